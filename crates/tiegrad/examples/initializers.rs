//! A picture of what each initializer draws: a line of bars for each in the terminal, and one SVG file with all histograms.
//!
//! `cargo run --release -p tiegrad --example initializers [file.svg]` (without a name, into the directory for temporary files)

use std::error::Error;
use std::path::{Path, PathBuf};

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use tiegrad::nn::init::{Distribution, Fan};
use tiegrad::prelude::*;

/// As one would write it, what it makes, and the shape that it is for.
type Exhibit = (&'static str, Box<dyn Initializer>, &'static [usize]);

/// A weight of 96 outputs and 64 inputs.
const MATRIX: &[usize] = &[96, 64];
/// As many kernels of 3 × 3.
const KERNELS: &[usize] = &[96, 64, 3, 3];

fn gallery() -> Result<Vec<Exhibit>, init::InitError> {
    let gaussian = init::gluon_xavier(Distribution::Normal, Fan::Average, 3.0);
    let out = init::variance_scaling(1.0, Fan::Out, Distribution::Uniform);
    Ok(vec![
        ("zeros()", init::zeros().boxed(), MATRIX),
        ("constant(0.5)", init::constant(0.5).boxed(), MATRIX),
        (
            "uniform(-0.05, 0.05)",
            init::uniform(-0.05, 0.05).boxed(),
            MATRIX,
        ),
        ("normal(0, 0.01)", init::normal(0.0, 0.01).boxed(), MATRIX),
        (
            "trunc_normal(0, 1, -2, 2)",
            init::trunc_normal(0.0, 1.0, -2.0, 2.0).boxed(),
            MATRIX,
        ),
        ("xavier_uniform()", init::xavier_uniform().boxed(), MATRIX),
        ("xavier_normal()", init::xavier_normal().boxed(), MATRIX),
        ("glorot_normal()", init::glorot_normal().boxed(), MATRIX),
        ("kaiming_uniform()", init::kaiming_uniform().boxed(), MATRIX),
        ("kaiming_normal()", init::kaiming_normal().boxed(), MATRIX),
        ("he_normal()", init::he_normal().boxed(), MATRIX),
        (
            "kaiming_uniform().a(√5)",
            init::kaiming_uniform().a(5.0_f64.sqrt()).boxed(),
            MATRIX,
        ),
        ("lecun_uniform()", init::lecun_uniform().boxed(), MATRIX),
        ("lecun_normal()", init::lecun_normal().boxed(), MATRIX),
        ("variance_scaling(1, out, uniform)", out.boxed(), MATRIX),
        ("gluon_xavier(gaussian, avg, 3)", gaussian.boxed(), MATRIX),
        (
            "msra_prelu(avg, 0.25)",
            init::msra_prelu(Fan::Average, 0.25).boxed(),
            MATRIX,
        ),
        ("orthogonal()", init::orthogonal().boxed(), MATRIX),
        ("eye()", init::eye().boxed(), MATRIX),
        ("sparse(0.9, 0.01)", init::sparse(0.9, 0.01).boxed(), MATRIX),
        ("dirac(1), of 3 × 3", init::dirac(1).boxed(), KERNELS),
        (
            "bilinear(), of 4 × 4",
            init::bilinear().boxed(),
            &[8, 8, 4, 4],
        ),
        ("lstm_bias(1)", init::lstm_bias(1.0).boxed(), &[256]),
        ("pytorch_default()", init::pytorch_default().boxed(), MATRIX),
        ("keras_default()", init::keras_default().boxed(), MATRIX),
        ("gluon_default()", init::gluon_default().boxed(), MATRIX),
        ("the chapter's own", chapters().boxed(), MATRIX),
        (
            "by_name(\"RandomNormal\")",
            init::by_name("RandomNormal")?,
            MATRIX,
        ),
    ])
}

/// U(5, 10) with probability 1/4, 0 with 1/2, U(-10, -5) with 1/4.
fn chapters() -> impl Initializer {
    init::from_fn(|_, values, rng| {
        for value in values {
            let x = init::uniform_draw(rng, -10.0, 10.0);
            *value = if x.abs() >= 5.0 { x } else { 0.0 };
        }
    })
}

/// How values are distributed between `-reach` and `reach`.
struct Histogram {
    reach: f64,
    mean: f64,
    std: f64,
    /// Values that come again and again, with their share of all.
    atoms: Vec<(f64, f64)>,
    /// The shares of all others, from left to right.
    bins: Vec<f64>,
}

impl Histogram {
    const BINS: usize = 40;

    fn of(values: &[f64]) -> Self {
        let n = values.len() as f64;
        let mean = values.iter().sum::<f64>() / n;
        let std = (values.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n).sqrt();
        let largest = values.iter().fold(0.0_f64, |most, x| most.max(x.abs()));
        let reach = if largest > 0.0 { largest } else { 1.0 };

        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        let mut atoms = Vec::new();
        let mut bins = vec![0.0; Self::BINS];
        for same in sorted.chunk_by(|a, b| a == b) {
            let share = same.len() as f64 / n;
            if same.len() > 1 {
                atoms.push((same[0], share));
            } else {
                let at = (same[0] + reach) / (2.0 * reach) * Self::BINS as f64;
                bins[(at as usize).min(Self::BINS - 1)] += share;
            }
        }
        Self {
            reach,
            mean,
            std,
            atoms,
            bins,
        }
    }

    /// One character for each bin, atoms among them.
    fn line(&self) -> String {
        let mut bins = self.bins.clone();
        for &(value, share) in &self.atoms {
            let at = (value + self.reach) / (2.0 * self.reach) * bins.len() as f64;
            bins[(at as usize).min(Self::BINS - 1)] += share;
        }
        let most = bins.iter().copied().fold(0.0, f64::max);
        let marks = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
        // Rounded up: what is there is seen.
        let mark = |share: &f64| marks[(8.0 * share / most).ceil() as usize];
        bins.iter().map(mark).collect()
    }

    fn caption(&self) -> String {
        let most = self.atoms.iter().max_by(|a, b| a.1.total_cmp(&b.1));
        let most = most.map(|(value, share)| format!(", {:.1} % are {value}", 100.0 * share));
        // No negative zeros.
        let [mean, std] = [self.mean, self.std].map(|x| (1e4 * x).round() / 1e4 + 0.0);
        format!("mean {mean:.4}, std {std:.4}{}", most.unwrap_or_default())
    }
}

const PANEL: (i32, i32) = (300, 150);
const COLUMNS: usize = 4;
const BAR: RGBColor = RGBColor(0x1f, 0x77, 0xb4);
const ATOM: RGBColor = RGBColor(0xd9, 0x5f, 0x02);
const INK: RGBColor = RGBColor(0x33, 0x33, 0x33);
const PALE: RGBColor = RGBColor(0xb0, 0xb0, 0xb0);

fn picture(path: &Path, histograms: &[(&str, Histogram)]) -> Result<(), Box<dyn Error>> {
    let rows = histograms.len().div_ceil(COLUMNS);
    let size = (
        PANEL.0 as u32 * COLUMNS as u32,
        PANEL.1 as u32 * rows as u32,
    );
    let area = SVGBackend::new(path, size).into_drawing_area();
    area.fill(&WHITE)?;
    for (panel, (title, histogram)) in area.split_evenly((rows, COLUMNS)).iter().zip(histograms) {
        let style = |size: u32, color: RGBColor, at: HPos| {
            let text = ("sans-serif", size).into_font().color(&color);
            text.pos(Pos::new(at, VPos::Center))
        };
        let (left, right, top, base) = (14, PANEL.0 - 14, 44, PANEL.1 - 24);
        let (width, height) = (f64::from(right - left), f64::from(base - top));
        let across = |x: f64| left + ((x / histogram.reach + 1.0) / 2.0 * width).round() as i32;
        let text = |text: &str, at: (i32, i32), style| Text::new(text.to_owned(), at, style);
        let title = title.to_string();
        panel.draw(&text(&title, (left, 14), style(14, INK, HPos::Left)))?;
        let caption = histogram.caption();
        panel.draw(&text(&caption, (left, 31), style(11, INK, HPos::Left)))?;

        let most = histogram
            .bins
            .iter()
            .copied()
            .fold(f64::MIN_POSITIVE, f64::max);
        for (i, share) in histogram.bins.iter().enumerate() {
            let edge = |i: usize| left + (width * i as f64 / Histogram::BINS as f64).round() as i32;
            let up = base - (share / most * height).round() as i32;
            let bar = [(edge(i), up), (edge(i + 1) - 1, base)];
            if *share > 0.0 {
                panel.draw(&Rectangle::new(bar, BAR.filled()))?;
            }
        }
        for &(value, share) in &histogram.atoms {
            let (x, up) = (across(value), base - (share * height).round() as i32);
            panel.draw(&PathElement::new(
                vec![(x, base), (x, up)],
                ATOM.stroke_width(2),
            ))?;
            panel.draw(&Circle::new((x, up), 3, ATOM.filled()))?;
        }
        panel.draw(&PathElement::new(vec![(left, base), (right, base)], PALE))?;
        for (x, at) in [(-1.0, HPos::Left), (0.0, HPos::Center), (1.0, HPos::Right)] {
            let x = x * histogram.reach;
            let place = (across(x), base + 10);
            panel.draw(&text(&short(x), place, style(10, INK, at)))?;
        }
    }
    area.present()?;
    Ok(())
}

/// Three digits.
fn short(x: f64) -> String {
    if x == 0.0 {
        return "0".to_owned();
    }
    let digits = (2 - x.abs().log10().floor() as i32).max(0) as usize;
    format!("{x:.digits$}")
}

fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args().nth(1).map(PathBuf::from);
    explore(&path.unwrap_or_else(|| std::env::temp_dir().join("tiegrad_initializers.svg")))
}

/// Everything in the gallery, as lines and as a file.
pub(crate) fn explore(path: &Path) -> Result<(), Box<dyn Error>> {
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(1);
    let mut params = Params::<f64>::new();
    let mut histograms = Vec::new();
    for (title, initializer, shape) in gallery()? {
        let id = params.insert_with(Shape::new(shape)?, |_| {});
        init::fill(&mut params, id, initializer, &mut rng)?;
        let histogram = Histogram::of(params.as_slice(id)?);
        let (line, reach) = (histogram.line(), short(histogram.reach));
        println!(
            "{title:<34} {:>7} |{line}| {reach:<6} {}",
            format!("-{reach}"),
            histogram.caption()
        );
        histograms.push((title, histogram));
    }
    picture(path, &histograms)?;
    println!("\nAll histograms: {}", path.display());
    Ok(())
}
