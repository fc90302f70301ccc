//! Parameter access: one layer, one parameter, all at once.

use std::collections::HashSet;

use tiegrad::prelude::*;

use crate::data::{assert_near, list_of, load_state, print_of, tensor};
use crate::nets::{Mlp, mlp, rng, run, shapes, train, x};

/// One trained arena: train, predict, reuse, save for other software, inspect.
#[test]
fn r01_parameters_serve_five_purposes() {
    let mut params = Params::<f32>::new();
    let net = mlp(&mut params);
    // Training.
    let losses = train(&net, &mut params, &mut AdamW::new(0.05), &x(), 200);
    assert!(losses[199] < losses[0] / 100.0, "{losses:?}");
    // Prediction.
    let y = run(&net, &params, &x());
    assert!(y.iter().all(|y| (y - 1.0).abs() < 0.2), "{y}");
    // Reuse in another context: the trained layer is the frozen beginning of another network.
    let head = Linear::new(&mut params, 8, 3, &mut rng(9));
    let classifier = (net.0.clone(), ReLU, head);
    classifier.0.requires_grad(&mut params, false).unwrap();
    let features = params.value(net.0.weight).unwrap().to_owned();
    train(&classifier, &mut params, &mut SGD::new(0.1), &x(), 5);
    assert_eq!(params.value(net.0.weight).unwrap(), features);
    assert_eq!(run(&net, &params, &x()), y);
    // Other software reads the file: here the `safetensors` crate, in PyTorch `safetensors.torch.load_file`.
    let names = checkpoint_names(&net);
    let file = Checkpoint::new(&params, &names).to_bytes().unwrap();
    let file = safetensors::SafeTensors::deserialize(&file).unwrap();
    let weight = file.tensor("2.weight").unwrap();
    let first = f32::from_le_bytes(weight.data()[..4].try_into().unwrap());
    assert_eq!(weight.shape(), [1, 8]);
    assert_eq!(first, params.as_slice(net.2.weight).unwrap()[0]);
    // Examination.
    assert!(params.value(net.0.weight).unwrap().iter().any(|w| *w > 0.5));
    let picture = net.tree(&params).to_string();
    assert!(picture.contains("40 of them frozen"), "{picture}");
}

#[test]
fn r03_the_tree_is_the_chapters_picture() {
    let mut params = Params::<f32>::new();
    let net = mlp(&mut params);
    // The chapter's picture, letter for letter, and below it what tiegrad adds.
    let chapter = "\
net  (Sequential)
├─ 0: Linear      ├─ weight  (8, 4)
│                 └─ bias    (8,)
├─ 1: ReLU         (no params)
└─ 2: Linear      ├─ weight  (1, 8)
                  └─ bias    (1,)
";
    let ours = net.tree(&params).to_string();
    assert_eq!(
        ours.strip_prefix(chapter),
        Some("\n49 parameters"),
        "{ours}"
    );
}

#[test]
fn r04_by_path_by_traversal_and_in_checkpoints() {
    let mut params = Params::<f32>::new();
    let net = mlp(&mut params);
    // By path, in two ways.
    assert_eq!(net.find("2.weight"), Ok(net.2.weight));
    // By traversal: every leaf.
    let traversed = net.named_parameters();
    assert!(traversed.contains(&("2.weight".to_owned(), net.2.weight)));
    // The checkpoint holds the same names for the same parameters: the same walk.
    let names = checkpoint_names(&net);
    let saved: Vec<_> = names.iter().map(|e| (e.path.clone(), e.id)).collect();
    assert_eq!(saved, traversed);
    let loaded = Loaded::from_bytes(Checkpoint::new(&params, &names).to_bytes().unwrap()).unwrap();
    let in_file: HashSet<&str> = loaded.names().collect();
    assert_eq!(in_file, traversed.iter().map(|(name, _)| &**name).collect());
}

#[derive(Module, Clone)]
struct AsStruct {
    hidden: Linear,
    output: Linear,
}

impl Layer for AsStruct {
    fn forward<'t, T: Scalar>(&self, x: Var<'t, T>) -> Var<'t, T> {
        self.output.forward(self.hidden.forward(x).relu())
    }
}

/// A tuple, a struct and a list made at run time, with the same weights: PyTorch's output, and the same bits three times.
#[test]
fn r05_an_mlp_in_three_notations() {
    fn outputs<T: Scalar>() -> [ArrayD<T>; 3] {
        let mut params = Params::<T>::new();
        let net: Mlp = mlp(&mut params);
        load_state("flat", &net, &mut params);
        let as_struct = AsStruct {
            hidden: net.0.clone(),
            output: net.2.clone(),
        };
        let list = sequential![net.0.clone(), ReLU, net.2.clone()];
        let x: Array2<T> = tensor("flat/x")
            .mapv(T::from_f64)
            .into_dimensionality()
            .unwrap();
        assert_eq!(x.dim(), (2, 4));
        [
            run(&net, &params, &x),
            run(&as_struct, &params, &x),
            run(&list, &params, &x),
        ]
    }
    let [tuple, as_struct, list] = outputs::<f64>();
    assert_eq!(tuple.shape(), [2, 1]);
    assert_eq!((&as_struct, &list), (&tuple, &tuple));
    assert_near(&tuple.view(), &tensor("flat/y"), 1e-12, "f64");
    let [tuple, as_struct, list] = outputs::<f32>();
    assert_eq!((&as_struct, &list), (&tuple, &tuple));
    assert_near(&tuple.view(), &tensor("flat/y"), 1e-6, "f32");
}

#[test]
fn r10_a_model_is_a_list_of_layers() {
    let mut params = Params::<f32>::new();
    let net = mlp(&mut params);
    let seq = sequential![net.0.clone(), ReLU, net.2.clone()];
    assert_eq!((seq.len(), seq[2].kind()), (3, "Linear"));
    let kinds: Vec<&str> = seq.iter().map(|layer| layer.kind()).collect();
    assert_eq!(kinds, ["Linear", "ReLU", "Linear"]);
    // Down to the layer's own type, and so to its fields.
    assert_eq!(seq[2].downcast_ref::<Linear>(), Some(&net.2));
    assert_eq!(seq.get::<Linear>(2), Some(&net.2));
    assert!(seq.get::<Linear>(1).is_none() && seq.get::<Linear>(3).is_none());
    // A layer of the list runs by itself.
    let mut tape = Tape::new();
    let y = seq[0].forward(tape.eval(&params).input(x::<f32>()));
    assert_eq!(**y.shape(), [2, 8]);
}

#[test]
fn r11_a_layers_parameters_are_a_set_of_its_own() {
    let mut params = Params::<f32>::new();
    let net = mlp(&mut params);
    params.value_mut(net.2.weight).unwrap().fill(0.25);
    params.value_mut(net.2.bias.unwrap()).unwrap().fill(-0.5);
    let print: Vec<String> = net
        .2
        .named_parameters()
        .into_iter()
        .map(|(name, id)| format!("{name}: {}", params.show(id)))
        .collect();
    // Name, shape, type, values: what the chapter's print of a layer's parameters has.
    assert_eq!(
        print,
        [
            "weight: Parameter([1, 8], float32, requires_grad=true)\n\
             [[0.25, 0.25, 0.25, 0.25, 0.25, 0.25, 0.25, 0.25]]",
            "bias: Parameter([1], float32, requires_grad=true)\n[-0.5]"
        ]
    );
}

#[test]
fn r12_a_dense_layer_is_a_weight_and_a_bias_in_f32() {
    // `Params::<f32>` is the type that a training program writes; nothing else says so.
    let mut params = Params::new();
    let layer = Linear::new(&mut params, 4, 8, &mut rng(1));
    let values: &[f32] = params.as_slice(layer.weight).unwrap();
    assert_eq!(values.len(), 32);
    assert_eq!(
        shapes(&layer, &params),
        [("weight".into(), vec![8, 4]), ("bias".into(), vec![8])]
    );
    assert!(params.show(layer.weight).to_string().contains("float32"));

    let without = Linear::with(4, 8)
        .bias(false)
        .build(&mut params, &mut rng(1))
        .unwrap();
    assert_eq!(without.bias, None);
    assert_eq!(shapes(&without, &params), [("weight".into(), vec![8, 4])]);
}

/// 1,000 layers, ten deep.
#[test]
fn r13_names_are_unique_in_a_deep_tree() {
    fn nest(params: &mut Params<f32>, depth: usize) -> Sequential {
        let layers = (0..100).map(|_| Linear::new(params, 1, 1, &mut rng(1)));
        let mut net: Sequential = layers.collect();
        if depth > 1 {
            net.push(nest(params, depth - 1));
        }
        net
    }
    let mut params = Params::new();
    let net = nest(&mut params, 10);
    let named = net.named_parameters();
    assert_eq!((net.modules::<Linear>().len(), named.len()), (1000, 2000));
    let names: HashSet<&str> = named.iter().map(|(name, _)| &**name).collect();
    assert_eq!(names.len(), 2000);
    let deepest = named.iter().map(|(name, _)| name.split('.').count()).max();
    assert_eq!(deepest, Some(11));
    for (name, id) in &named {
        assert_eq!(net.find(name), Ok(*id));
    }
}

#[test]
fn r14_weights_are_out_by_in_and_keras_kernels_are_transposed() {
    let mut params = Params::<f64>::new();
    let layer = Linear::new(&mut params, 4, 8, &mut rng(1));
    assert_eq!(params.value(layer.weight).unwrap().shape(), [8, 4]);
    // The flat net of PyTorch, its second layer as arrays: [out, in], and the same as Keras would have it, [in, out].
    let weight = tensor("flat/state/0.weight");
    let weight: Array2<f64> = weight.into_dimensionality().unwrap();
    let bias: Array1<f64> = tensor("flat/state/0.bias").into_dimensionality().unwrap();
    let kernel = weight.t().to_owned();
    let ours = Linear::from_weight(&mut params, &weight, Some(&bias)).unwrap();
    let keras = Linear::from_kernel(&mut params, &kernel, Some(&bias)).unwrap();
    assert_eq!((keras.in_features, keras.out_features), (4, 8));
    assert_eq!(params.value(keras.weight), params.value(ours.weight));
    let x: Array2<f64> = tensor("flat/x").into_dimensionality().unwrap();
    let expected = x.dot(&kernel) + &bias;
    for layer in [ours, keras] {
        let y = run(&layer, &params, &x);
        assert_near(&y.view(), &expected.clone().into_dyn(), 1e-12, "x W + b");
    }
}

#[test]
fn r15_a_parameter_prints_its_shape_and_type() {
    let mut params = Params::<f32>::new();
    let net = mlp(&mut params);
    let bias = net.2.bias.unwrap();
    params.value_mut(bias).unwrap().fill(-0.125);
    assert_eq!(
        params.show(bias).to_string(),
        "Parameter([1], float32, requires_grad=true)\n[-0.125]"
    );
    params.set_requires_grad(bias, false).unwrap();
    let double = params.cast::<f64>();
    assert_eq!(
        double.show(bias).to_string(),
        "Parameter([1], float64, requires_grad=false)\n[-0.125]"
    );
    // With its name, which is the net's to know: Gluon's `Parameter dense1_bias (shape=(1,), dtype=float32)`.
    params.set_requires_grad(bias, true).unwrap();
    let line = net.list(&params, bias).unwrap().to_string();
    assert_eq!(line, "2.bias  (1,)  float32");
    // The id is a type of its own, not a number, and prints as slot, generation and arena.
    let printed = format!("{bias:?}");
    assert_eq!(printed, format!("#3v1@{}", bias.arena()));
}

#[test]
fn r16_a_value_is_asked_for_and_not_copied() {
    let mut params = Params::<f32>::new();
    let net = mlp(&mut params);
    let id = net.0.weight;
    let value = params.value(id).unwrap();
    assert_eq!(value.shape(), [8, 4]);
    assert_eq!(value.as_ptr(), params.as_slice(id).unwrap().as_ptr());
    let slab = params.values().slab().as_ptr_range();
    assert!(slab.contains(&value.as_ptr()), "a view into the slab");
}

#[test]
fn r17_weight_and_bias_are_fields() {
    let mut params = Params::<f32>::new();
    let net = mlp(&mut params);
    let (weight, bias): (ParamId, Option<ParamId>) = (net.2.weight, net.2.bias);
    assert_eq!(params.value(weight).unwrap().shape(), [1, 8]);
    assert_eq!(params.value(bias.unwrap()).unwrap().shape(), [1]);
    // An embedding's and a normalization's are too.
    let (table, norm) = (
        Embedding::new(&mut params, 5, 3, &mut rng(1)),
        LayerNorm::new(&mut params, 3),
    );
    assert_eq!(params.value(table.weight).unwrap().shape(), [5, 3]);
    assert_eq!(norm.find("weight").ok(), norm.weight);
}

#[test]
fn r18_there_is_no_gradient_before_a_backward_pass() {
    let mut params = Params::<f32>::new();
    let net = mlp(&mut params);
    assert_eq!(params.grad(net.2.weight), Ok(None));
    // Nor after a forward pass alone, nor for what a backward pass does not reach.
    let mut tape = Tape::new();
    let g = tape.record(&mut params);
    let y = net.0.forward(g.input(x::<f32>())).value();
    assert!(y.is_ok());
    assert_eq!(params.grad(net.0.weight), Ok(None));
    let g = tape.record(&mut params);
    let y = net.0.forward(g.input(x::<f32>()));
    y.sum().backward().unwrap();
    assert!(params.grad(net.0.weight).unwrap().is_some());
    assert_eq!(params.grad(net.2.weight), Ok(None));
    params.zero_grad();
    assert_eq!(params.grad(net.0.weight), Ok(None));
}

/// The report names the neurons that do not fire; `examples/custom_optimizer.rs`, an optimizer that a user writes, is run here.
#[test]
fn r19_gradients_serve_diagnosis_and_custom_optimizers() {
    let mut params = Params::<f32>::new();
    let net = mlp(&mut params);
    assert!(
        net.report(&params)
            .rows
            .iter()
            .all(|row| row.grad.is_none())
    );
    // Neurons 1 and 6 never fire: their bias is far below what the weights can reach.
    for dead in [1, 6] {
        params.value_mut(net.0.bias.unwrap()).unwrap()[[dead]] = -100.0;
    }
    params.value_mut(net.0.weight).unwrap().fill(1.0);
    let mut tape = Tape::new();
    let g = tape.record(&mut params);
    net.forward(g.input(x::<f32>())).sum().backward().unwrap();
    let report = net.report(&params);
    let grad = report.rows[0].grad.as_ref().unwrap();
    assert_eq!(
        (grad.rows, grad.dead, &*grad.first_dead),
        (8, 2, &[1, 6][..])
    );
    let slot = params.grad_slice(net.0.weight).unwrap().unwrap();
    let norm = slot.iter().map(|x| f64::from(x * x)).sum::<f64>().sqrt();
    assert!((grad.norm - norm).abs() < 1e-5 && norm > 0.0);
    let text = report.to_string();
    assert!(text.contains("2 of 8: 1, 6"), "{text}");

    crate::examples::custom_optimizer::main().unwrap();
}

#[test]
fn r20_names_and_shapes_of_one_layer_and_of_all() {
    let mut params = Params::<f32>::new();
    let net = mlp(&mut params);
    let list = |shapes: Vec<(String, Vec<usize>)>| {
        let each = shapes.iter().map(|pair| format!("{pair:?}"));
        each.collect::<Vec<_>>().join(" ")
    };
    assert_eq!(
        list(shapes(&net.0, &params)),
        r#"("weight", [8, 4]) ("bias", [8])"#
    );
    assert_eq!(
        list(shapes(&net, &params)),
        r#"("0.weight", [8, 4]) ("0.bias", [8]) ("2.weight", [1, 8]) ("2.bias", [1])"#
    );
    assert_eq!(shapes(&net, &params), list_of("flat", "parameters"));
}

#[test]
fn r21_names_are_relative_to_the_node_that_is_asked() {
    let mut params = Params::<f32>::new();
    let inner = mlp(&mut params);
    let outer = (inner.clone(), Tanh);
    let named = |net: &dyn Module| -> Vec<String> {
        let named = net.named_parameters().into_iter();
        named.map(|(name, _)| name).collect()
    };
    assert_eq!(named(&inner.2), ["weight", "bias"]);
    assert_eq!(named(&inner)[2..], ["2.weight", "2.bias"]);
    assert_eq!(named(&outer)[2..], ["0.2.weight", "0.2.bias"]);
    // The same parameter, whichever node is asked.
    for (net, path) in [
        (&inner.2 as &dyn Module, "weight"),
        (&inner, "2.weight"),
        (&outer, "0.2.weight"),
    ] {
        assert_eq!(net.find(path), Ok(inner.2.weight));
    }
}

#[test]
fn r22_by_name_and_by_position() {
    let mut params = Params::<f32>::new();
    let net = mlp(&mut params);
    let bias = net.2.bias.unwrap();
    // PyTorch's `state_dict()['2.bias']`, Keras's `get_weights()[1]`.
    assert_eq!(net.find("2.bias"), Ok(bias));
    assert_eq!(net.nth(1), Some(("0.bias".to_owned(), net.0.bias.unwrap())));
    assert_eq!(net.nth(3), Some(("2.bias".to_owned(), bias)));
    assert_eq!(net.nth(4), None);
    for (i, named) in net.named_parameters().into_iter().enumerate() {
        assert_eq!(net.nth(i), Some(named));
    }
    // A wrong name is an error that suggests the nearest ones; a module is not a parameter.
    let error = net.find("2.wieght").unwrap_err().to_string();
    assert!(error.contains(r#"near it: "2.weight""#), "{error}");
    let error = net.find("bias").unwrap_err().to_string();
    assert!(
        error.contains("0.bias") && error.contains("2.bias"),
        "{error}"
    );
    let error = net.find("2").unwrap_err().to_string();
    assert!(
        error.contains("module") && error.contains("2.weight"),
        "{error}"
    );
    assert!(net.find("1.weight").is_err());
}

#[test]
fn r27_prints_are_pytorchs_line_for_line_flat() {
    let mut params = Params::<f32>::new();
    let net = mlp(&mut params);
    assert_eq!(net.repr().to_string(), print_of("flat"));
    let list = sequential![net.0.clone(), ReLU, net.2.clone()];
    assert_eq!(format!("{list}"), print_of("flat"));
}
