//! An op of one's own, with its rule: the Huber loss, which grows like the square for small differences and like the absolute value for large
//! ones. A user's op goes through the same protocol as the engine's, and `check_op` checks it in the same way.
//!
//! `cargo run --release -p tiegrad --example custom_op`

use tiegrad::arena::Shape;
use tiegrad::autodiff::{ArgSpec, Backward, Forward, Op, Problem, Sample};
use tiegrad::kernels::elementwise;
use tiegrad::prelude::*;
use tiegrad_check::check_op;

/// ½ d² where |d| ≤ delta, else delta (|d| - ½ delta), with d = x - y (Huber, Ann. Math. Statist. 35, 1964). The value of this type is the op's
/// record on the tape: its settings.
#[derive(Clone, Copy)]
struct Huber {
    delta: f64,
}

impl Op for Huber {
    const NAME: &'static str = "huber";

    fn arity(&self) -> Option<usize> {
        Some(2)
    }

    /// Everything that can be wrong with shapes and settings is found here, before anything is computed.
    fn shape(&self, args: &[&Shape]) -> Result<Shape, Problem> {
        if self.delta.is_nan() || self.delta <= 0.0 {
            let what = "delta must be positive";
            return Err(Problem::Setting {
                what,
                value: self.delta,
            });
        }
        if args[0] == args[1] {
            Ok(*args[0])
        } else {
            Err(Problem::ShapesDiffer)
        }
    }

    fn forward<T: Scalar>(&self, cx: &mut Forward<'_, '_, T>) -> Result<(), Problem> {
        let (x, y) = (cx.arg(0), cx.arg(1));
        let (delta, half) = (T::from_f64(self.delta), T::from_f64(0.5));
        elementwise::zip(cx.write(), cx.out(), x, y, move |x, y| {
            let d = (x - y).abs();
            if d <= delta {
                half * d * d
            } else {
                delta * (d - half * delta)
            }
        });
        Ok(())
    }

    /// The derivative by x is d, cut off at ±delta; that by y is its negative. `into` hands out where it goes and says
    /// whether to overwrite or to add; it does not call for operands of which nobody wants the gradient.
    fn backward<T: Scalar>(&self, cx: &Backward<'_, '_, T>) {
        let (x, y, dy) = (cx.arg(0), cx.arg(1), cx.dy());
        let delta = T::from_f64(self.delta);
        let slope = move |x: T, y: T| (x - y).maximum(-delta).minimum(delta);
        cx.into(0, |dst| {
            elementwise::zip3(dst.write, dst.data, x, y, dy, move |x, y, dy| {
                slope(x, y) * dy
            });
        });
        cx.into(1, |dst| {
            elementwise::zip3(dst.write, dst.data, x, y, dy, move |x, y, dy| {
                -(slope(x, y) * dy)
            });
        });
    }

    /// What `check_op` draws: both branches, away from the point between them, and no elements at all.
    fn samples() -> Vec<Sample<Self>> {
        let values = |shape: &[usize], low, high| ArgSpec::values(shape).range(low, high);
        let op = Huber { delta: 1.0 };
        vec![
            Sample::new(op, [values(&[2, 3], -0.4, 0.4), values(&[2, 3], -0.4, 0.4)]),
            Sample::new(op, [values(&[4], 1.0, 2.0), values(&[4], -2.0, -1.0)]),
            Sample::new(op, [values(&[4], -2.0, -1.0), values(&[4], 1.0, 2.0)]),
            Sample::new(op, [values(&[0], 0.0, 1.0), values(&[0], 0.0, 1.0)]),
        ]
    }
}

/// How the op reads in a program: a method like the engine's.
trait HuberLoss {
    fn huber_loss(self, target: Self, delta: f64) -> Self;
}

impl<T: Scalar> HuberLoss for Var<'_, T> {
    #[track_caller] // an error names the line that called this
    fn huber_loss(self, target: Self, delta: f64) -> Self {
        self.graph().apply(Huber { delta }, &[self, target]).mean()
    }
}

/// The line through points, found with one of two losses.
fn fit(points: &[(f32, f32)], robust: bool) -> Result<(f32, f32), Box<dyn std::error::Error>> {
    let mut params = Params::<f32>::new();
    let line = Linear::new(&mut params, 1, 1, &mut Xoshiro256PlusPlus::seed_from_u64(1));
    let x = Array2::from_shape_fn((points.len(), 1), |(i, _)| points[i].0);
    let y = Array2::from_shape_fn((points.len(), 1), |(i, _)| points[i].1);
    let (mut tape, mut opt) = (Tape::new(), Adam::new(0.05));
    for _ in 0..500 {
        let g = tape.record(&mut params);
        let (prediction, target) = (line.forward(g.input(&x)), g.input(&y));
        let loss = if robust {
            prediction.huber_loss(target, 0.1)
        } else {
            prediction.mse_loss(target)
        };
        loss.backward()?;
        opt.step(&mut params)?;
        params.zero_grad();
    }
    let bias = params.as_slice(line.find("bias")?)?[0];
    Ok((params.as_slice(line.weight)?[0], bias))
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let report = check_op::<Huber>()?;
    println!(
        "huber: {} gradients over {} samples checked, the largest error {:.0e}",
        report.elements, report.samples, report.worst
    );

    // y = 2 x + 1, but every tenth point is wrong.
    let points: Vec<(f32, f32)> = (0..50)
        .map(|i| {
            (
                i as f32 / 50.0,
                if i % 10 == 7 {
                    20.0
                } else {
                    2.0 * i as f32 / 50.0 + 1.0
                },
            )
        })
        .collect();
    for (name, robust) in [("squared error", false), ("Huber loss", true)] {
        let (slope, intercept) = fit(&points, robust)?;
        println!("with the {name:13}: y = {slope:.3} x + {intercept:.3}");
    }

    // A mistake poisons the value; whoever asks for it gets the error.
    let params = Params::<f32>::new();
    let mut tape = Tape::new();
    let g = tape.eval(&params);
    if let Err(error) = g.input(&[1.0, 2.0]).huber_loss(g.input(&[1.0]), 0.1).item() {
        println!("{error}");
    }
    Ok(())
}
