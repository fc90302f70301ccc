//! Initializers of one's own: a closure, and a type with settings. Both see the parameter's path, shape, role and fans, and the random source.
//!
//! The distribution is that of the book's chapter on parameters: U(5, 10) with probability 1/4, 0 with 1/2, U(-10, -5) with 1/4.
//!
//! `cargo run --release -p tiegrad --example custom_initializer`

use tiegrad::nn::init::{InitError, Target};
use tiegrad::prelude::*;

/// U(low, high) with probability 1/4, 0 with 1/2, U(-high, -low) with 1/4.
struct TwoSided {
    low: f64,
    high: f64,
}

impl Initializer for TwoSided {
    fn fill(
        &mut self,
        target: &Target<'_>,
        values: &mut [f64],
        rng: &mut dyn Rng,
    ) -> Result<(), InitError> {
        let Self { low, high } = *self;
        if !(0.0 <= low && low <= high && high.is_finite()) {
            return Err(target.unsuitable(format!("{low} to {high} is no range above 0")));
        }
        println!("Init {} {}", target.path, target.shape);
        for value in values {
            // One draw for the side, one for the size: half of all are on neither side.
            let (side, size) = (
                init::uniform_draw(rng, -2.0, 2.0).trunc(),
                init::uniform_draw(rng, low, high),
            );
            *value = if side == 0.0 { 0.0 } else { side * size };
        }
        Ok(())
    }

    /// With a name that tells all settings, the same initializer through both paths of a tie is no conflict.
    fn name(&self) -> Option<String> {
        Some(format!("TwoSided(low={}, high={})", self.low, self.high))
    }
}

pub(crate) fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(0);
    let mut params = Params::<f32>::new();
    let net = (
        Linear::new(&mut params, 4, 8, &mut rng),
        ReLU,
        Linear::new(&mut params, 8, 1, &mut rng),
    );

    // As a type. Weights are for it, biases become 0.
    let own = || TwoSided {
        low: 5.0,
        high: 10.0,
    };
    net.init(&mut params, own(), &mut rng)?;
    println!(
        "{:.4}",
        params.value(net.0.weight)?.slice(ndarray::s![..2, ..])
    );

    // As a closure, which is the chapter's formula: U(-10, 10), and 0 where that is nearer to 0 than 5. Again needs to be said.
    let closure = init::from_fn(|target, values, rng| {
        println!("Init {} {}", target.path, target.shape);
        for value in values {
            let x = init::uniform_draw(rng, -10.0, 10.0);
            *value = if x.abs() >= 5.0 { x } else { 0.0 };
        }
    });
    net.reinit(&mut params, closure, &mut rng)?;
    println!(
        "{:.4}",
        params.value(net.0.weight)?.slice(ndarray::s![..2, ..])
    );

    // Without `reinit` it is an error, and so are settings that make no sense: nothing has changed then.
    let error = net
        .init(&mut params, own(), &mut rng)
        .map_err(|e| e.to_string());
    println!("{}", error.err().unwrap_or_default());
    let wrong = TwoSided {
        low: 5.0,
        high: -1.0,
    };
    let error = net
        .reinit_at(&mut params, "2", wrong, &mut rng)
        .map_err(|e| e.to_string());
    println!("{}", error.err().unwrap_or_default());

    // At construction, and one parameter by its id.
    let layer = Linear::with(2, 2)
        .weight_init(own())
        .build(&mut params, &mut rng)?;
    init::refill(&mut params, layer.weight, own(), &mut rng)?;
    println!("{:.4}", params.value(layer.weight)?);
    Ok(())
}
