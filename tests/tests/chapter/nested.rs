//! Parameters of nested blocks.

use tiegrad::prelude::*;

use crate::data::{assert_gradients, assert_near, list_of, load_state, print_of, tensor};
use crate::nets::{Block1, block1, block2, rgnet, rng, run, shapes, tied_mlp};

/// `"0.block 2.0.weight"` goes through print, look-up and a file, and comes back.
#[test]
fn r25_a_block_factory_with_names_of_ones_own() {
    let mut params = Params::<f32>::new();
    let net = rgnet(&mut params);
    let names: Vec<String> = (0..4).map(|i| net.0.name(i).unwrap().to_string()).collect();
    assert_eq!(names, ["block 0", "block 1", "block 2", "block 3"]);
    let path = "0.block 2.0.weight";
    // Print.
    assert!(
        net.repr()
            .to_string()
            .contains("    (block 2): Sequential(")
    );
    assert!(
        net.tree(&params)
            .to_string()
            .contains("│  ├─ block 2: Sequential")
    );
    // Look-up.
    let id = net.find(path).unwrap();
    let block: &Block1 = net.0.get(2).unwrap();
    assert_eq!(id, block.0.weight);
    assert_eq!(net.named_parameters()[8], (path.to_owned(), id));
    assert_eq!(
        net.select(&params, path).unwrap(),
        Selection::from_ids([id])
    );
    // File.
    params.value_mut(id).unwrap().fill(7.0);
    let names = checkpoint_names(&net);
    let file = Checkpoint::new(&params, &names).to_bytes().unwrap();
    let loaded = Loaded::from_bytes(file).unwrap();
    assert_eq!(
        loaded.tensor(path).unwrap().to_vec::<f32>().unwrap(),
        [7.0; 32]
    );
    params.value_mut(id).unwrap().fill(0.0);
    loaded
        .load_into(&mut params, &names, Policy::strict())
        .unwrap();
    assert_eq!(params.as_slice(id).unwrap(), [7.0; 32]);
    // Four blocks, and not one four times.
    let blocks = params.len();
    assert_eq!(blocks, 18);
}

#[test]
fn r26_a_nested_forward_pass_is_pytorchs() {
    let mut params = Params::<f64>::new();
    let net = rgnet(&mut params);
    load_state("nested", &net, &mut params);
    let x: Array2<f64> = tensor("nested/x").into_dimensionality().unwrap();
    let y = run(&net, &params, &x);
    assert_near(&y.view(), &tensor("nested/y"), 1e-12, "f64");
    let single = run(&net, &params.cast::<f32>(), &x.mapv(|x| x as f32));
    assert_near(&single.view(), &tensor("nested/y"), 1e-6, "f32");
    // All of it made at run time: the same bits.
    let list = sequential![net.0.clone(), net.1.clone()];
    assert_eq!(run(&list, &params, &x), y);

    let mut tape = Tape::new();
    let g = tape.record(&mut params);
    let loss = net
        .forward(g.input(&x))
        .mse_loss(g.input(tensor("nested/target")))
        .backward()
        .unwrap();
    assert!((loss - tensor("nested/loss").sum()).abs() < 1e-12);
    assert_gradients("nested", &net, &params, 1e-12);
}

#[test]
fn r27_prints_are_pytorchs_line_for_line() {
    let mut params = Params::<f32>::new();
    let net = rgnet(&mut params);
    assert_eq!(net.repr().to_string(), print_of("nested"));
    // A list made at run time, and a struct, print by themselves.
    let list = sequential![block2(&mut params, &mut rng(1)), net.1.clone()];
    assert_eq!(format!("{list}"), print_of("nested"));
    let tied = tied_mlp(&mut params, 4, 1);
    assert_eq!(tied.repr().to_string(), print_of("tied"));
}

#[test]
fn r28_all_eighteen_nested_parameters_in_one_list() {
    let mut params = Params::<f32>::new();
    let net = rgnet(&mut params);
    let list = shapes(&net, &params);
    assert_eq!(list.len(), 18);
    assert_eq!(list, list_of("nested", "parameters"));
    assert_eq!(list[0], ("0.block 0.0.weight".to_owned(), vec![8, 4]));
    assert_eq!(list[17], ("1.bias".to_owned(), vec![1]));

    // Gluon's version: 4-32-16 blocks, 10 outputs.
    let mut inputs = 4;
    let mut blocks = Sequential::new();
    for _ in 0..4 {
        let (rng, width) = (&mut rng(1), std::mem::replace(&mut inputs, 16));
        blocks.push(sequential![
            Linear::new(&mut params, width, 32, rng),
            ReLU,
            Linear::new(&mut params, 32, 16, rng),
            ReLU
        ]);
    }
    let gluon = (blocks, Linear::new(&mut params, 16, 10, &mut rng(1)));
    let list: Vec<Vec<usize>> = shapes(&gluon, &params).into_iter().map(|p| p.1).collect();
    let mut expected = vec![vec![32, 4], vec![32], vec![16, 32], vec![16]];
    for _ in 1..4 {
        expected.extend([vec![32, 16], vec![32], vec![16, 32], vec![16]]);
    }
    expected.extend([vec![10, 16], vec![10]]);
    assert_eq!(list, expected);
}

/// The chapter's `rgnet[0][1][0].bias`.
#[test]
fn r30_chained_access() {
    let mut params = Params::<f32>::new();
    // Tuples all the way down: fields, checked by the compiler.
    let rng = &mut rng(4);
    let mut block = || block1(&mut params, rng);
    let blocks = (block(), block(), block(), block());
    let tuples = (blocks, Linear::new(&mut params, 4, 1, rng));
    let bias = tuples.0.1.0.bias.unwrap();
    assert_eq!(tuples.find("0.1.0.bias"), Ok(bias));
    assert_eq!(params.value(bias).unwrap().shape(), [8]);
    // A struct.
    #[derive(Module, Clone)]
    struct Net {
        blocks: Vec<Block1>,
        output: Linear,
    }
    let net = Net {
        blocks: vec![tuples.0.0.clone(), tuples.0.1.clone()],
        output: tuples.1.clone(),
    };
    assert_eq!(net.blocks[1].0.bias, Some(bias));
    assert_eq!(net.find("blocks.1.0.bias"), Ok(bias));
    assert_eq!(net.find("output.weight"), Ok(tuples.1.weight));
    // Made at run time: by path, or by index and type.
    let list = sequential![
        sequential![tuples.0.0.clone(), tuples.0.1.clone()],
        tuples.1
    ];
    assert_eq!(list.find("0.1.0.bias"), Ok(bias));
    let inner = list.get::<Sequential>(0).unwrap();
    let block = inner[1].downcast_ref::<Block1>().unwrap();
    assert_eq!(block.0.bias, Some(bias));
}
