//! A network with a shared layer, watched while it trains: the norms of each parameter and of its gradient, and what each use of the shared layer contributes
//! to its gradient: a norm for each use, and the cosine of the angle between them.
//!
//! `cargo run --release -p tiegrad --example shared_layer`

use tiegrad::prelude::*;

pub(crate) fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(1);
    let mut params = Params::<f32>::new();
    // The shared layer stands at 2 and at 4: a clone of a layer is tied to it.
    let shared = Linear::new(&mut params, 8, 8, &mut rng);
    let net = (
        Linear::new(&mut params, 4, 8, &mut rng),
        Tanh,
        shared.clone(),
        Tanh,
        shared,
        Tanh,
        Linear::new(&mut params, 8, 1, &mut rng),
    );
    println!("{}\n", net.tree(&params));

    let x = Array2::from_shape_simple_fn((128, 4), || rng.random_range(-1.0..1.0_f32));
    let y = x.map_axis(Axis(1), |row| row[0] * row[1] - row[2] * row[3]);
    let y = y.insert_axis(Axis(1));
    let (mut tape, mut opt) = (Tape::new(), AdamW::new(5e-3));
    // Memory of its own for the gradients of uses. A recording without `per_use` pays nothing for it.
    let mut uses = UseGrads::new();
    for step in 0..=400 {
        let watched = step % 100 == 0;
        let g = tape.record(&mut params);
        let g = if watched { g.per_use(&mut uses) } else { g };
        let loss = net.forward(g.input(&x)).mse_loss(g.input(&y)).backward()?;
        if watched {
            println!("step {step}: loss {loss:.5}");
            println!("{}", net.report(&params));
            // The last use of the forward pass is the first of the backward pass.
            let of: Vec<_> = uses.of(net.2.weight).collect();
            if let [second, first] = of[..] {
                println!(
                    "uses of the shared weight: |at 2| {:.5}, |at 4| {:.5}, cosine {:.3}",
                    first.norm(),
                    second.norm(),
                    first.cosine(second).unwrap_or(f64::NAN)
                );
            }
            println!();
        }
        opt.step(&mut params)?;
        params.zero_grad();
    }

    // The same as a table, for every parameter that is used more than once.
    println!("{}", net.use_report(&uses));
    Ok(())
}
