//! Layers of one's own: one with a parameter, one around any other layer. They are what the engine's are: the tree, initializers,
//! checkpoints, gradient checks and every data type come with `#[derive(Module)]` and one `forward`.
//!
//! `cargo run --release -p tiegrad --example custom_layer`

use std::fmt;

use tiegrad::arena::Shape;
use tiegrad::prelude::*;

/// Root mean square normalization: x / √(mean(x²) + eps) · gain over the last dimension (Zhang and Sennrich, arXiv:1910.07467).
#[derive(Module, Clone)]
#[module(extra_repr = "RMSNorm::extra")]
struct RMSNorm {
    /// Its role tells whole-net initializers to set it to 1 and to leave it out of what is for weights.
    #[module(role = "gain")]
    weight: ParamId,
    features: usize,
    eps: f64,
}

impl RMSNorm {
    fn new<T: Scalar>(params: &mut Params<T>, features: usize) -> Result<Self, init::InitError> {
        let shape = Shape::new(&[features])?;
        let weight = params.insert_with(shape, |gain| gain.fill(T::ONE));
        Ok(Self {
            weight,
            features,
            eps: 1e-6,
        })
    }

    /// What stands in the parentheses of the print.
    fn extra(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "({},), eps={:e}", self.features, self.eps)
    }
}

impl Layer for RMSNorm {
    fn forward<'t, T: Scalar>(&self, x: Var<'t, T>) -> Var<'t, T> {
        // Composed of ops, so there is no rule to write. A parameter is looked up where it is used.
        let mean_square = x.square().mean_dim(&[-1], true);
        let rms = mean_square.affine(1.0, self.eps).sqrt();
        x / rms * x.graph().param_ref(&self.weight)
    }
}

/// x + inner(norm(x)), around any layer.
#[derive(Module, Clone)]
struct Residual<L: Layer> {
    norm: RMSNorm,
    inner: L,
}

impl<L: Layer> Layer for Residual<L> {
    fn forward<'t, T: Scalar>(&self, x: Var<'t, T>) -> Var<'t, T> {
        x + self.inner.forward(self.norm.forward(x))
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(1);
    let mut params = Params::<f32>::new();
    let block = Residual {
        norm: RMSNorm::new(&mut params, 6)?,
        inner: (
            Linear::new(&mut params, 6, 12, &mut rng),
            GELU,
            Linear::new(&mut params, 12, 6, &mut rng),
        ),
    };
    // The clone is the same block once more, as in a recurrent net: its parameters are tied to the first one's.
    let net = (
        block.clone(),
        block,
        Linear::new(&mut params, 6, 3, &mut rng),
    );
    println!("{}\n", net.repr());
    println!("{}\n", net.tree(&params));

    // The class of a row is where the largest of its first three entries stands.
    let x = Array2::from_shape_simple_fn((256, 6), || rng.random_range(-1.0..1.0_f32));
    let y = x.map_axis(Axis(1), |row| {
        (0..3).fold(0, |best, i| if row[i] > row[best] { i } else { best })
    });
    let (mut tape, mut opt) = (Tape::new(), AdamW::new(1e-2));
    for step in 0..=200 {
        let g = tape.record(&mut params);
        let loss = net
            .forward(g.input(&x))
            .cross_entropy(g.indices(&y))
            .backward()?;
        opt.step(&mut params)?;
        params.zero_grad();
        if step % 50 == 0 {
            println!("step {step}: loss {loss:.5}");
        }
    }

    // The same object under f64, against finite differences.
    let report = tiegrad_check::gradcheck(&params.cast::<f64>(), |g| {
        let x = g.full([2, 6], 0.5);
        net.forward(x).square().sum()
    })?;
    println!(
        "\n{} gradients checked, the largest error {:.0e}",
        report.elements, report.worst
    );

    // A mistake is an error that says where.
    let g = tape.eval(&params);
    if let Err(error) = net.forward(g.full([2, 7], 0.5)).value() {
        println!("\n{}", net.explain(&error));
    }
    Ok(())
}
