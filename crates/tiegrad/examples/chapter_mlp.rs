//! The chapter's network with one hidden layer, and the five things that its parameters serve: training, prediction, use elsewhere, saving, examination.
//!
//! `cargo run --release -p tiegrad --example chapter_mlp`

use tiegrad::prelude::*;

pub(crate) fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(1);
    let mut params = Params::<f32>::new();
    let net = (
        Linear::new(&mut params, 4, 8, &mut rng),
        ReLU,
        Linear::new(&mut params, 8, 1, &mut rng),
    );

    // The tree, and PyTorch's print.
    println!("{}\n\n{}\n", net.tree(&params), net.repr());

    // One parameter: by field, by path. What they give is an id; the numbers lie in `params`.
    let bias = net.find("2.bias")?;
    assert_eq!(net.2.bias, Some(bias));
    println!("2.bias is {bias}: {}\n", params.show(bias));

    // All of them, and one by its position.
    println!("{}", net.list(&params, Select::all())?);
    if let Some((name, id)) = net.nth(2) {
        println!("the third is {name}, of shape {}", params.info(id)?.shape);
    }

    // A gradient is None until a backward pass has reached it.
    println!("\ngradient of 2.weight: {:?}", params.grad(net.2.weight)?);

    // Training, towards the mean of the four inputs.
    let x = Array2::from_shape_fn((64, 4), |_| rng.random_range(0.0..1.0_f32));
    let y = x.map_axis(Axis(1), |row| row.sum() / 4.0);
    let y = y.insert_axis(Axis(1));
    let (mut tape, mut opt) = (Tape::new(), AdamW::new(1e-2));
    for step in 0..=300 {
        let g = tape.record(&mut params);
        let loss = net.forward(g.input(&x)).mse_loss(g.input(&y)).backward()?;
        if step == 0
            && let Some(grad) = params.grad(net.2.weight)?
        {
            println!("after a backward pass: {grad:.3}\n");
        }
        opt.step(&mut params)?;
        params.zero_grad();
        if step % 100 == 0 {
            println!("step {step:3}: loss {loss:.5}");
        }
    }

    // Prediction: a tape that records no gradients.
    let row = array![[0.2_f32, 0.4, 0.6, 0.8]];
    let predicted = net.forward(tape.eval(&params).input(&row)).item()?;
    println!("\nmean of {row}: {predicted:.3}");

    // Examination: norms, and neurons that no gradient reached in the last backward pass.
    let g = tape.record(&mut params);
    net.forward(g.input(&x)).mse_loss(g.input(&y)).backward()?;
    println!("\n{}", net.report(&params));

    // Use elsewhere: the trained layer begins another network, frozen. Its numbers are not copied.
    let probe = (
        net.0.clone(),
        ReLU,
        Linear::new(&mut params, 8, 3, &mut rng),
    );
    probe.0.requires_grad(&mut params, false)?;
    println!("\n{}", probe.tree(&params));

    // Saving, as safetensors, which other software reads.
    let names = checkpoint_names(&net);
    let file = Checkpoint::new(&params, &names).to_bytes()?;
    println!("\na checkpoint of {} bytes", file.len());
    let loaded = Loaded::from_bytes(file)?;
    for name in loaded.names() {
        println!("  {name}: {:?}", loaded.tensor(name)?.shape());
    }

    // Change: a value is a view, not a copy.
    let mut weight = params.value_mut(net.0.weight)?;
    weight += 1.0;
    weight[[0, 0]] = 42.0;
    println!(
        "\nfirst row of 0.weight: {:.3}",
        weight.index_axis(Axis(0), 0)
    );
    Ok(())
}
