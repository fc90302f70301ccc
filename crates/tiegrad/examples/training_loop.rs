//! A training loop, whole: a network with a tie, data, a tape, an optimizer. (The README shows this program.)
//!
//! `cargo run --release -p tiegrad --example training_loop`

use tiegrad::prelude::*;

// A network is a struct of layers. A layer holds the ids of its parameters; the numbers lie in a `Params`.
#[derive(Module, Clone)]
struct Mlp {
    hidden: Linear,
    shared: Linear,
    out: Linear,
}

// One `forward` for every data type: the same network runs under `Params<f32>`, `Params<f64>` and dual numbers.
impl Layer for Mlp {
    fn forward<'t, T: Scalar>(&self, x: Var<'t, T>) -> Var<'t, T> {
        let h = self.hidden.forward(x).relu();
        let h = self.shared.forward(h).relu();
        let h = self.shared.forward(h).relu(); // a tie: the same ids, used twice
        self.out.forward(h)
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(1);
    let mut params = Params::<f32>::new();
    let net = Mlp {
        hidden: Linear::new(&mut params, 4, 8, &mut rng),
        shared: Linear::new(&mut params, 8, 8, &mut rng),
        out: Linear::new(&mut params, 8, 1, &mut rng),
    };
    println!("{}", net.tree(&params));

    // ndarray's arrays go in and come out.
    let x = Array2::from_shape_fn((32, 4), |(i, j)| ((3 * i + 5 * j) as f32).sin());
    let y = x
        .map_axis(Axis(1), |row| row[0] * row[1] - row[2])
        .insert_axis(Axis(1));
    // The tape is memory that every step uses again: after the first steps nothing is allocated any more.
    let (mut tape, mut opt) = (Tape::new(), AdamW::new(1e-2));
    for step in 0..500 {
        let g = tape.record(&mut params); // borrows: values cannot change before the last use of g
        // `backward` adds the gradients into the parameters' slots and returns the loss, or the first error on the way to it.
        let loss = net.forward(g.input(&x)).mse_loss(g.input(&y)).backward()?;
        opt.step(&mut params)?;
        params.zero_grad();
        if step % 100 == 0 {
            println!("step {step}: loss {loss:.5}");
        }
    }
    Ok(())
}
