//! The loss curve of a run as SVG.

use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::marks::Marks;
use crate::metrics::Row;

const SIZE: (u32, u32) = (900, 540);
/// More training losses than these are averaged in groups.
const MAX_POINTS: usize = 500;

const TRAIN: RGBColor = RGBColor(0x1f, 0x77, 0xb4);
const VALIDATION: RGBColor = RGBColor(0xd9, 0x5f, 0x02);
const MARK: RGBColor = RGBColor(0x70, 0x70, 0x70);
const GRID: RGBColor = RGBColor(0xe6, 0xe6, 0xe6);
const INK: RGBColor = RGBColor(0x33, 0x33, 0x33);

type Points = Vec<(f64, f64)>;

/// Draws training and validation loss over the iterations, and the two marks as horizontal lines. Without losses there are
/// only the marks. The error is a drawing error of `plotters`, in words.
pub(crate) fn svg(
    title: &str,
    rows: &[Row],
    marks: &Marks,
    max_iters: u64,
) -> Result<String, String> {
    let mut text = String::new();
    let area = SVGBackend::with_string(&mut text, SIZE).into_drawing_area();
    draw(
        &area,
        title,
        &Curves::of(rows),
        marks,
        max_iters.max(1) as f64,
    )
    .map_err(|e| e.to_string())?;
    drop(area);
    Ok(text)
}

/// What is drawn, as points (iteration, loss).
struct Curves {
    steps: Points,
    train: Points,
    validation: Points,
}

impl Curves {
    fn of(rows: &[Row]) -> Curves {
        let mut curves = Curves {
            steps: Vec::new(),
            train: Vec::new(),
            validation: Vec::new(),
        };
        for row in rows {
            match row {
                Row::Step { iter, loss, .. } => curves.steps.push((*iter as f64, *loss)),
                Row::Eval {
                    iter,
                    train_loss,
                    val_loss,
                    ..
                } => {
                    curves.train.push((*iter as f64, *train_loss));
                    curves.validation.push((*iter as f64, *val_loss));
                }
                Row::Final { .. } => {}
            }
        }
        curves.steps = thin(&curves.steps);
        curves
    }

    /// A range of losses that holds all curves and marks, and some air.
    fn range(&self, marks: &Marks) -> (f64, f64) {
        let all = self
            .steps
            .iter()
            .chain(&self.train)
            .chain(&self.validation)
            .map(|point| point.1);
        let all = all
            .chain([marks.unigram, marks.bigram])
            .filter(|loss| loss.is_finite());
        let (low, high) = all.fold((f64::INFINITY, 0.0), |(low, high), y| {
            (f64::min(low, y), f64::max(high, y))
        });
        let air = 0.06 * (high - low).max(0.5);
        ((low - air).max(0.0), high + air)
    }
}

/// At most [`MAX_POINTS`] points, each the mean of as many neighbours.
fn thin(points: &[(f64, f64)]) -> Points {
    let group = points.len().div_ceil(MAX_POINTS).max(1);
    let mean = |chunk: &[(f64, f64)]| {
        let n = chunk.len() as f64;
        (
            chunk.iter().map(|p| p.0).sum::<f64>() / n,
            chunk.iter().map(|p| p.1).sum::<f64>() / n,
        )
    };
    points.chunks(group).map(mean).collect()
}

type DrawResult = Result<(), Box<dyn std::error::Error>>;

fn draw(
    area: &DrawingArea<SVGBackend<'_>, Shift>,
    title: &str,
    curves: &Curves,
    marks: &Marks,
    end: f64,
) -> DrawResult {
    area.fill(&WHITE)?;
    let (low, high) = curves.range(marks);
    let mut chart = ChartBuilder::on(area)
        .caption(title, ("sans-serif", 22).into_font().color(&INK))
        .margin(16)
        .margin_right(28)
        .x_label_area_size(46)
        .y_label_area_size(60)
        .build_cartesian_2d(0.0..end, low..high)?;
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(GRID)
        .axis_style(INK)
        .x_labels(11)
        .y_labels(9)
        .x_label_formatter(&|x| format!("{x:.0}"))
        .y_label_formatter(&|y| format!("{y:.1}"))
        .x_desc("iteration")
        .y_desc("loss (nats per character)")
        .label_style(("sans-serif", 16).into_font().color(&INK))
        .axis_desc_style(("sans-serif", 17).into_font().color(&INK))
        .draw()?;

    for (name, y) in [
        ("unigram entropy", marks.unigram),
        ("bigram entropy", marks.bigram),
    ] {
        chart.draw_series(DashedLineSeries::new(
            [(0.0, y), (end, y)],
            6,
            5,
            MARK.stroke_width(1),
        ))?;
        let style = ("sans-serif", 16)
            .into_font()
            .color(&MARK)
            .pos(Pos::new(HPos::Right, VPos::Bottom));
        let label =
            EmptyElement::at((end, y)) + Text::new(format!("{name} {y:.2}"), (-6, -4), style);
        chart.plotting_area().draw(&label)?;
    }
    let faint = TRAIN.mix(0.4);
    chart
        .draw_series(LineSeries::new(
            curves.steps.iter().copied(),
            faint.stroke_width(1),
        ))?
        .label("single batches")
        .legend(move |(x, y)| PathElement::new([(x, y), (x + 22, y)], faint.stroke_width(1)));
    for (name, points, color) in [
        ("train", &curves.train, TRAIN),
        ("validation", &curves.validation, VALIDATION),
    ] {
        let label = match points.last() {
            Some((_, loss)) => format!("{name} {loss:.3}"),
            None => name.into(),
        };
        chart
            .draw_series(LineSeries::new(
                points.iter().copied(),
                color.stroke_width(2),
            ))?
            .label(label)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 22, y)], color.stroke_width(2)));
        chart.draw_series(
            points
                .iter()
                .map(|&point| Circle::new(point, 3, color.filled())),
        )?;
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperRight)
        .margin(14)
        .legend_area_size(30)
        .background_style(WHITE.mix(0.85))
        .border_style(GRID)
        .label_font(("sans-serif", 17).into_font().color(&INK))
        .draw()?;
    area.present()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const MARKS: Marks = Marks {
        unigram: 2.94,
        bigram: 2.37,
    };

    fn rows(evals: u64) -> Vec<Row> {
        let curve = |iter: u64, floor: f64| floor + 2.4 * (-(iter as f64) / 180.0).exp();
        let mut rows = Vec::new();
        for iter in 0..=evals * 125 {
            let wave = 0.06 * ((iter * iter) as f64).sin();
            if iter % 10 == 0 && iter > 0 {
                let loss = curve(iter, 1.5) + wave;
                rows.push(Row::Step {
                    iter,
                    loss,
                    lr: 1e-3,
                    grad_norm: 1.0,
                    tokens_per_s: 1.0,
                    elapsed_s: 1.0,
                });
            }
            if iter % 125 == 0 {
                let (train_loss, val_loss) = (curve(iter, 1.5), curve(iter, 1.85));
                rows.push(Row::Eval {
                    iter,
                    train_loss,
                    val_loss,
                    lr: 1e-3,
                    tokens_per_s: 1.0,
                    elapsed_s: 1.0,
                });
            }
        }
        rows
    }

    #[test]
    fn everything_is_labelled() {
        let svg = svg("cicero-1", &rows(8), &MARKS, 1000).unwrap();
        if let Some(path) = std::env::var_os("TIEGRAD_SAVE_PLOT") {
            std::fs::write(path, &svg).unwrap();
        }
        assert!(
            svg.starts_with("<svg") && svg.trim_end().ends_with("</svg>"),
            "{svg}"
        );
        for label in [
            "cicero-1",
            "iteration",
            "single batches",
            "unigram entropy 2.94",
            "bigram entropy 2.37",
            "train 1.50",
            "validation 1.85",
        ] {
            assert!(svg.contains(label), "{label}");
        }
        assert!(!svg.contains("NaN"));
    }

    #[test]
    fn little_to_draw_is_drawn() {
        for rows in [&rows(1)[..1], &[]] {
            assert!(
                svg(
                    "x",
                    rows,
                    &Marks {
                        unigram: 0.0,
                        bigram: 0.0
                    },
                    0
                )
                .unwrap()
                .contains("</svg>")
            );
        }
    }

    #[test]
    fn many_points_are_averaged() {
        let points: Points = (0..5001).map(|i| (f64::from(i), 1.0)).collect();
        let thinned = thin(&points);
        assert!(thinned.len() <= MAX_POINTS && thinned.len() > MAX_POINTS / 2);
        assert_eq!(thinned[0], (5.0, 1.0));
        assert_eq!(thin(&points[..7]), points[..7]);
    }
}
