//! Why share? Three experiments, each with and without a tie: a language model whose head is its embedding, on a text and on a walk over a ring, and an
//! autoencoder whose decoder is its encoder transposed. All are trained on more and more data and measured on data they have not seen. Prints a table and writes a figure.
//!
//! `cargo run --release -p tiegrad --example tied_vs_untied [FIGURE.svg]`   (about 15 s; the figure goes to tied_vs_untied.svg)

use std::collections::HashMap;
use std::ops::Range;

use plotters::prelude::*;
use tiegrad::prelude::*;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// Held-out loss of one kind of network: for each amount of training data, the losses of the seeds.
pub(crate) struct Curve {
    pub(crate) tied: bool,
    pub(crate) parameters: usize,
    pub(crate) points: Vec<(usize, Vec<f64>)>,
}

impl Curve {
    /// The mean over the seeds.
    pub(crate) fn mean(&self, index: usize) -> f64 {
        let losses = &self.points[index].1;
        losses.iter().sum::<f64>() / losses.len() as f64
    }
}

/// Both kinds at one task.
pub(crate) struct Experiment {
    pub(crate) title: &'static str,
    unit: &'static str,
    pub(crate) curves: [Curve; 2],
}

// --- The language model -------------------------------------------------------------------------------------------------------------------

const CONTEXT: usize = 4;
const WIDTH: usize = 32;
const TOKENS: usize = 400;

/// Predicts a token from the four before it: their embeddings side by side, one layer, and scores for every token.
#[derive(Module, Clone)]
struct LanguageModel {
    embedding: Embedding,
    hidden: Linear,
    head: Linear,
}

impl LanguageModel {
    fn new(params: &mut Params<f32>, tied: bool, rng: &mut impl Rng) -> Result<Self> {
        // Both tables start alike, tied or not: rows of length ½ or so.
        let start = || init::normal(0.0, 0.5 / (WIDTH as f64).sqrt());
        let embedding = Embedding::with_init(params, TOKENS, WIDTH, start(), rng)?;
        let hidden = Linear::new(params, CONTEXT * WIDTH, WIDTH, rng);
        let head = match tied {
            true => {
                let bias = params.insert(&Array1::<f32>::zeros(TOKENS))?;
                Linear::from_ids(params, embedding.weight, Some(bias))?
            }
            false => Linear::with(WIDTH, TOKENS)
                .bias_init(init::zeros())
                .weight_init(start())
                .build(params, rng)?,
        };
        Ok(Self {
            embedding,
            hidden,
            head,
        })
    }

    /// The mean of -ln p over a batch: contexts (batch, 4), targets (batch).
    fn loss<'t>(&self, contexts: Var<'t, f32>, targets: Var<'t, f32>) -> Var<'t, f32> {
        let x = self.embedding.forward(contexts);
        let x = x.reshape([x.shape()[0], CONTEXT * WIDTH]);
        let h = self.hidden.forward(x).tanh();
        self.head.forward(h).cross_entropy(targets)
    }
}

/// A text as numbers from 0 to 399: frequent pairs of neighbours become tokens, the most frequent first (byte-pair encoding).
fn tokens(text: &str) -> Vec<u32> {
    let mut known: HashMap<char, u32> = HashMap::new();
    let mut ids: Vec<u32> = text
        .chars()
        .map(|c| {
            let next = known.len() as u32;
            *known.entry(c).or_insert(next)
        })
        .collect();
    for new in known.len() as u32..TOKENS as u32 {
        let mut counts: HashMap<[u32; 2], usize> = HashMap::new();
        for pair in ids.windows(2) {
            *counts.entry([pair[0], pair[1]]).or_default() += 1;
        }
        // Of equally frequent pairs the smaller, so that the result does not depend on the map's order.
        let frequent = counts
            .into_iter()
            .max_by_key(|&(p, n)| (n, std::cmp::Reverse(p)));
        let Some((pair, _)) = frequent else { break };
        let mut merged = Vec::with_capacity(ids.len());
        let mut at = 0;
        while at < ids.len() {
            let here = ids[at..].starts_with(&pair);
            merged.push(if here { new } else { ids[at] });
            at += if here { 2 } else { 1 };
        }
        ids = merged;
    }
    ids
}

/// Places on a ring of 400, each a few steps from the last (a normal distribution of width 4), called by names that say nothing about where they are.
/// Here what is like the last token is likely to come next.
fn walk(length: usize) -> Vec<u32> {
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(7);
    let mut names: Vec<u32> = (0..TOKENS as u32).collect();
    for i in (1..TOKENS).rev() {
        names.swap(i, rng.random_range(0..=i));
    }
    let mut at = 0.0;
    let steps = (0..length).map(|_| {
        at += init::normal_draw(&mut rng, 0.0, 4.0);
        names[(at.rem_euclid(TOKENS as f64) as usize) % TOKENS]
    });
    steps.collect()
}

/// Contexts and targets at positions of the text.
fn batch(text: &[u32], at: impl IntoIterator<Item = usize>) -> (Array2<u32>, Array1<u32>) {
    let at: Vec<usize> = at.into_iter().collect();
    let contexts = Array2::from_shape_fn((at.len(), CONTEXT), |(i, j)| text[at[i] + j]);
    let targets = Array1::from_shape_fn(at.len(), |i| text[at[i] + CONTEXT]);
    (contexts, targets)
}

/// The held-out loss at the best moment of the training, in nats per token.
fn language_model(
    tied: bool,
    text: &[u32],
    train: Range<usize>,
    held_out: Range<usize>,
    steps: usize,
    seed: u64,
) -> Result<(usize, f64)> {
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
    let mut params = Params::<f32>::new();
    let net = LanguageModel::new(&mut params, tied, &mut rng)?;
    let (seen, unseen) = batch(text, held_out);
    let (mut tape, mut opt) = (Tape::new(), AdamW::new(4e-3));
    let mut best = f64::INFINITY;
    for step in 1..=steps {
        let at = (0..64).map(|_| rng.random_range(train.start..train.end - CONTEXT));
        let (contexts, targets) = batch(text, at);
        let g = tape.record(&mut params);
        net.loss(g.indices(&contexts), g.indices(&targets))
            .backward()?;
        opt.step(&mut params)?;
        params.zero_grad();
        if step % 25 == 0 || step == steps {
            let g = tape.eval(&params);
            let loss = net.loss(g.indices(&seen), g.indices(&unseen)).item()?;
            best = best.min(f64::from(loss));
        }
    }
    Ok((net.num_parameters(&params), best))
}

// --- The autoencoder ----------------------------------------------------------------------------------------------------------------------

const FEATURES: usize = 32;
const RANK: usize = 4;
const NOISE: f64 = 0.5;

/// Encoder and decoder with four units between them; tied, the decoder is the encoder's matrix transposed.
fn autoencoder(
    params: &mut Params<f32>,
    tied: bool,
    rng: &mut impl Rng,
) -> Result<Box<dyn DynLayer>> {
    let encoder = Linear::new(params, FEATURES, RANK, rng);
    Ok(match tied {
        true => {
            let transposed = Tied::transposed(encoder.weight);
            Box::new((encoder, TiedLinear::new(params, transposed, true)?))
        }
        false => Box::new((encoder, Linear::new(params, RANK, FEATURES, rng))),
    })
}

/// Points near a plane of four dimensions: factors times a mixing matrix, and noise.
fn points(count: usize, mixing: &Array2<f32>, rng: &mut impl Rng) -> Array2<f32> {
    let mut normal = |std: f64| init::normal_draw(rng, 0.0, std) as f32;
    let factors = Array2::from_shape_simple_fn((count, RANK), || normal(1.0));
    let noise = Array2::from_shape_simple_fn((count, FEATURES), || normal(NOISE));
    factors.dot(mixing) + noise
}

/// The held-out reconstruction error at the best moment of the training, per feature.
fn reconstruction(tied: bool, count: usize, steps: usize, seed: u64) -> Result<(usize, f64)> {
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
    let mixing = Array2::from_shape_simple_fn((RANK, FEATURES), || {
        init::normal_draw(&mut rng, 0.0, 1.0) as f32
    });
    let (train, held_out) = (
        points(count, &mixing, &mut rng),
        points(512, &mixing, &mut rng),
    );
    let mut params = Params::<f32>::new();
    let net = autoencoder(&mut params, tied, &mut rng)?;
    let (mut tape, mut opt) = (Tape::new(), Adam::new(5e-3));
    let mut best = f64::INFINITY;
    for step in 1..=steps {
        let g = tape.record(&mut params);
        let x = g.input(&train);
        net.forward(x).mse_loss(x).backward()?;
        opt.step(&mut params)?;
        params.zero_grad();
        if step % 25 == 0 || step == steps {
            let x = tape.eval(&params).input(&held_out);
            best = best.min(f64::from(net.forward(x).mse_loss(x).item()?));
        }
    }
    Ok((net.num_parameters(&params), best))
}

// --- All of them, and what comes of it --------------------------------------------------------------------------------------------------------

/// Trains everything: `steps` steps for each network, `seeds` networks for each point.
pub(crate) fn experiments(steps: usize, seeds: u64, sizes: usize) -> Result<[Experiment; 3]> {
    let curve =
        |tied: bool, amounts: &[usize], run: &dyn Fn(usize, u64) -> Result<(usize, f64)>| {
            let mut curve = Curve {
                tied,
                parameters: 0,
                points: Vec::new(),
            };
            for &amount in amounts {
                let mut losses = Vec::new();
                for seed in 1..=seeds {
                    let (parameters, loss) = run(amount, seed)?;
                    curve.parameters = parameters;
                    losses.push(loss);
                }
                curve.points.push((amount, losses));
            }
            Ok::<_, Box<dyn std::error::Error>>(curve)
        };
    let languages = [
        ("language model, Latin", tokens(lipsum::LIBER_PRIMUS)),
        ("language model, a walk", walk(10_000)),
    ];
    let [latin, walk] = languages.map(|(title, text)| {
        let end = text.len() * 9 / 10;
        // The text, half of it, half of that.
        let amounts: Vec<usize> = (0..sizes).rev().map(|halvings| end >> halvings).collect();
        let run = |tied| {
            curve(tied, &amounts, &|amount, seed| {
                let held_out = end..text.len() - CONTEXT;
                language_model(tied, &text, end - amount..end, held_out, steps, seed)
            })
        };
        Ok::<_, Box<dyn std::error::Error>>(Experiment {
            title,
            unit: "training tokens",
            curves: [run(true)?, run(false)?],
        })
    });
    let counts: Vec<usize> = (0..sizes).map(|doublings| 8 << (2 * doublings)).collect();
    let run = |tied| {
        curve(tied, &counts, &|count, seed| {
            reconstruction(tied, count, steps, seed)
        })
    };
    let autoencoder = Experiment {
        title: "autoencoder",
        unit: "training points",
        curves: [run(true)?, run(false)?],
    };
    Ok([latin?, walk?, autoencoder])
}

fn table(experiment: &Experiment) {
    let [tied, untied] = &experiment.curves;
    println!(
        "{}: {} parameters tied, {} untied",
        experiment.title, tied.parameters, untied.parameters
    );
    println!(
        "  {:>15}   {:>18}   {:>18}   tied is",
        experiment.unit, "held out, tied", "held out, untied"
    );
    let spread = |losses: &[f64]| {
        let low = losses.iter().copied().fold(f64::INFINITY, f64::min);
        losses.iter().copied().fold(0.0, f64::max) - low
    };
    for (i, ((amount, a), (_, b))) in tied.points.iter().zip(&untied.points).enumerate() {
        let gain = untied.mean(i) - tied.mean(i);
        // A difference that is smaller than what a seed makes is none.
        let verdict = match gain.abs() > spread(a).max(spread(b)) {
            true if gain > 0.0 => "better",
            true => "worse",
            false => "equal, within the seeds",
        };
        println!(
            "  {amount:>15}   {:>9.4} (±{:.4})   {:>9.4} (±{:.4})   {verdict}",
            tied.mean(i),
            spread(a) / 2.0,
            untied.mean(i),
            spread(b) / 2.0
        );
    }
    println!();
}

const TIED: RGBColor = RGBColor(0xd9, 0x5f, 0x02);
const UNTIED: RGBColor = RGBColor(0x1f, 0x77, 0xb4);
const INK: RGBColor = RGBColor(0x33, 0x33, 0x33);
const GRID: RGBColor = RGBColor(0xe6, 0xe6, 0xe6);

/// The experiments side by side; lines through the means, a point for each seed.
pub(crate) fn figure(experiments: &[Experiment]) -> Result<String> {
    let mut svg = String::new();
    let area = SVGBackend::with_string(&mut svg, (1380, 440)).into_drawing_area();
    area.fill(&WHITE)?;
    for (panel, experiment) in area.split_evenly((1, 3)).iter().zip(experiments) {
        let points = || experiment.curves.iter().flat_map(|curve| &curve.points);
        let amounts = || points().map(|(amount, _)| *amount as f64);
        let losses = || points().flat_map(|(_, losses)| losses).copied();
        let (low, high) = (
            losses().fold(f64::INFINITY, f64::min),
            losses().fold(0.0, f64::max),
        );
        let air = 0.08 * (high - low).max(1e-3);
        let xs =
            amounts().fold(f64::INFINITY, f64::min) * 0.8..amounts().fold(0.0, f64::max) * 1.25;
        let mut chart = ChartBuilder::on(panel)
            .caption(experiment.title, ("sans-serif", 20).into_font().color(&INK))
            .margin(12)
            .x_label_area_size(44)
            .y_label_area_size(62)
            .build_cartesian_2d(xs.log_scale(), low - air..high + air)?;
        chart
            .configure_mesh()
            .light_line_style(TRANSPARENT)
            .bold_line_style(GRID)
            .axis_style(INK)
            .x_label_formatter(&|x| format!("{x:.0}"))
            .x_desc(experiment.unit)
            .y_desc("held-out loss")
            .label_style(("sans-serif", 14).into_font().color(&INK))
            .axis_desc_style(("sans-serif", 15).into_font().color(&INK))
            .draw()?;
        for curve in &experiment.curves {
            let (name, color) = match curve.tied {
                true => ("tied", TIED),
                false => ("untied", UNTIED),
            };
            let means = (0..curve.points.len()).map(|i| (curve.points[i].0 as f64, curve.mean(i)));
            chart
                .draw_series(LineSeries::new(means, color.stroke_width(2)))?
                .label(format!("{name}, {} parameters", curve.parameters))
                .legend(move |(x, y)| {
                    PathElement::new([(x, y), (x + 22, y)], color.stroke_width(2))
                });
            let seeds = curve
                .points
                .iter()
                .flat_map(|(amount, losses)| losses.iter().map(|&loss| (*amount as f64, loss)));
            chart.draw_series(seeds.map(|point| Circle::new(point, 3, color.mix(0.6).filled())))?;
        }
        chart
            .configure_series_labels()
            .position(SeriesLabelPosition::UpperRight)
            .margin(10)
            .legend_area_size(28)
            .background_style(WHITE.mix(0.85))
            .border_style(GRID)
            .label_font(("sans-serif", 15).into_font().color(&INK))
            .draw()?;
    }
    area.present()?;
    drop(area);
    Ok(svg)
}

pub(crate) fn main() -> Result<()> {
    let experiments = experiments(600, 3, 4)?;
    experiments.iter().for_each(table);
    let path = std::env::args().nth(1);
    let path = path.as_deref().unwrap_or("tied_vs_untied.svg");
    std::fs::write(path, figure(&experiments)?)?;
    println!("the figure: {path}");
    Ok(())
}
