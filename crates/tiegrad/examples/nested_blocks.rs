//! The chapter's nested blocks: a factory, names with a space, the tree, the table, access by path, by field and by index.
//!
//! `cargo run --release -p tiegrad --example nested_blocks`

use tiegrad::prelude::*;

/// The chapter's `block1`.
type Block = (Linear, ReLU, Linear, ReLU);

fn block1(params: &mut Params<f32>, rng: &mut impl Rng) -> Block {
    (
        Linear::new(params, 4, 8, rng),
        ReLU,
        Linear::new(params, 8, 4, rng),
        ReLU,
    )
}

/// The chapter's `block2`: four of them, named at run time.
fn block2(params: &mut Params<f32>, rng: &mut impl Rng) -> Result<Sequential, NameError> {
    let mut net = Sequential::new();
    for i in 0..4 {
        net.push_named(format!("block {i}"), block1(params, rng))?;
    }
    Ok(net)
}

pub(crate) fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(1);
    let mut params = Params::<f32>::new();
    let rgnet = (
        block2(&mut params, &mut rng)?,
        Linear::new(&mut params, 4, 1, &mut rng),
    );

    println!("{}\n", rgnet.repr());
    println!("{}\n", rgnet.tree(&params));
    println!("{}\n", rgnet.summary(&params, [2, 4])?);

    println!("{} parameters:", rgnet.named_parameters().len());
    for (name, id) in rgnet.named_parameters() {
        println!("  {name:20} {}", params.info(id)?.shape);
    }

    // The chapter's rgnet[0][1][0].bias: a list made at run time is asked by path, or by index and type.
    let by_path = rgnet.find("0.block 1.0.bias")?;
    let block: Option<&Block> = rgnet.0.get(1);
    let by_index = block.and_then(|block| block.0.bias);
    assert_eq!(Some(by_path), by_index);
    println!("\n0.block 1.0.bias: {}", params.show(by_path));

    // Names are relative to the node that is asked.
    if let Some(block) = block {
        let names = block.named_parameters().into_iter().map(|(name, _)| name);
        println!(
            "of the block alone: {}",
            names.collect::<Vec<_>>().join(", ")
        );
    }

    // The layers of one type, wherever they are.
    for (path, linear) in rgnet.modules::<Linear>() {
        print!(
            "{path}: {} → {}   ",
            linear.in_features, linear.out_features
        );
    }
    println!("\n");

    // A wrong name is an error that suggests the right ones.
    if let Err(error) = rgnet.find("0.block2.0.weight") {
        println!("{error}");
    }

    let x = Array2::from_shape_fn((2, 4), |_| rng.random_range(0.0..1.0_f32));
    let mut tape = Tape::new();
    let y = rgnet.forward(tape.eval(&params).input(&x));
    println!("\noutput:\n{}", y.value()?);
    Ok(())
}
