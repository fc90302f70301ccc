//! GPT: names, counts, shapes, initialization, and that what it computes is what nanoGPT defines.

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use tiegrad_nn::prelude::*;

fn rng() -> impl Rng {
    SmallRng::seed_from_u64(1)
}

fn small() -> GptConfig {
    GptConfig {
        n_layer: 2,
        n_head: 2,
        n_embd: 8,
        block_size: 6,
        vocab_size: 11,
        ..GptConfig::default()
    }
}

#[test]
fn nano_gpts_cpu_setting_has_804096_parameters() {
    let mut params = Params::<f32>::new();
    let gpt = GPT::new(&mut params, &GptConfig::default(), &mut rng()).unwrap();
    assert_eq!(gpt.num_parameters(&params), 804_096);
    assert_eq!(
        gpt.num_parameters_with_duplicates(&params),
        804_096 + 65 * 128
    );
    assert_eq!(params.num_elements(), 804_096);

    let untied = GptConfig {
        tied: false,
        ..GptConfig::default()
    };
    let mut params = Params::<f32>::new();
    let gpt = GPT::new(&mut params, &untied, &mut rng()).unwrap();
    assert_eq!(gpt.num_parameters(&params), 804_096 + 65 * 128);
}

#[test]
fn names_are_nano_gpts() {
    let mut params = Params::<f32>::new();
    let config = GptConfig {
        n_layer: 1,
        bias: true,
        ..small()
    };
    let gpt = GPT::new(&mut params, &config, &mut rng()).unwrap();
    let names: Vec<_> = gpt.all_uses().into_iter().map(|each| each.path).collect();
    let expected = "wte.weight wpe.weight h.0.ln_1.weight h.0.ln_1.bias h.0.attn.c_attn.weight h.0.attn.c_attn.bias \
        h.0.attn.c_proj.weight h.0.attn.c_proj.bias h.0.ln_2.weight h.0.ln_2.bias h.0.mlp.c_fc.weight h.0.mlp.c_fc.bias \
        h.0.mlp.c_proj.weight h.0.mlp.c_proj.bias ln_f.weight ln_f.bias lm_head.weight";
    assert_eq!(names.join(" "), expected);
}

#[test]
fn print_tree_and_summary() {
    let mut params = Params::<f32>::new();
    let gpt = GPT::new(&mut params, &small(), &mut rng()).unwrap();
    insta::assert_snapshot!("gpt_print", gpt.to_string());
    insta::assert_snapshot!("gpt_tree", gpt.tree(&params).to_string());
    insta::assert_snapshot!(
        "gpt_summary",
        gpt.summary(&params, tokens([2, 5])).unwrap().to_string()
    );
}

#[test]
fn weights_start_as_in_nano_gpt() {
    weights_start_with(Some(0.02), 0.02);
}

#[test]
fn weights_start_as_wide_as_the_width_asks() {
    weights_start_with(None, 0.02 * 6.0_f64.sqrt());
}

#[track_caller]
fn weights_start_with(init_std: Option<f64>, std_of_weights: f64) {
    let mut params = Params::<f64>::new();
    let config = GptConfig {
        bias: true,
        init_std,
        ..GptConfig::default()
    };
    let gpt = GPT::new(&mut params, &config, &mut rng()).unwrap();
    for (name, id) in gpt.named_parameters() {
        let values = params.as_slice(id).unwrap();
        let n = values.len() as f64;
        let mean = values.iter().sum::<f64>() / n;
        let std = (values.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n).sqrt();
        let expected = if name.ends_with("bias") {
            (0.0, 0.0)
        } else if name.contains("ln_") {
            (1.0, 0.0)
        } else if name.ends_with("c_proj.weight") {
            (0.0, std_of_weights / 8.0_f64.sqrt())
        } else {
            (0.0, std_of_weights)
        };
        // Four standard errors of the mean and of the standard deviation.
        assert!(
            (mean - expected.0).abs() <= 4.0 * expected.1 / n.sqrt(),
            "{name}: mean {mean}"
        );
        assert!(
            (std - expected.1).abs() <= 4.0 * expected.1 / (2.0 * n).sqrt(),
            "{name}: std {std}"
        );
    }
}

#[test]
fn shapes_and_first_loss() {
    let mut params = Params::<f64>::new();
    let gpt = GPT::new(&mut params, &small(), &mut rng()).unwrap();
    let mut tape = Tape::new();
    let g = tape.eval(&params);
    let idx = g.indices((&[1_u32, 2, 3, 4, 5, 6, 7, 8][..], [2, 4]));
    let logits = gpt.forward(idx);
    assert_eq!(**logits.shape(), [2, 4, 11]);
    let targets = g.indices((&[9_u32, 10, 0, 9, 10, 0, 9, 10][..], [2, 4]));
    let loss = gpt.loss(idx, targets).item().unwrap();
    assert!((loss - 11.0_f64.ln()).abs() < 0.1, "{loss}");

    let last = gpt.last_logits(idx).value().unwrap();
    let all = logits.value().unwrap();
    let difference = &last - &all.index_axis(ndarray::Axis(1), 3);
    assert!(difference.iter().all(|d| d.abs() < 1e-12), "{difference}");
}

#[test]
fn a_position_does_not_see_what_follows() {
    let mut params = Params::<f64>::new();
    let gpt = GPT::new(&mut params, &small(), &mut rng()).unwrap();
    gpt.init(&mut params, init::normal(0.0, 0.5), &mut rng())
        .unwrap();
    let mut tape = Tape::new();
    let mut first_two = |third: u32| {
        let g = tape.eval(&params);
        let logits = gpt.forward(g.indices((&[1, 2, third][..], [1, 3])));
        logits.slice(1, 0..2).value().unwrap().into_owned()
    };
    assert_eq!(first_two(3), first_two(9));
}

/// Without dropout attention is one op, with it a composition: where nothing is dropped they agree, and so do their gradients.
#[test]
fn composed_attention_is_the_fused_one() {
    let mut params = Params::<f64>::new();
    let fused = CausalSelfAttention::new(&mut params, 8, 2, 0.0, true, &mut rng()).unwrap();
    // So little is dropped that this seed drops nothing; the scale 1 / (1 - p) is 1 within the bound.
    let composed = CausalSelfAttention {
        attn_dropout: Dropout::new(1e-12),
        ..fused.clone()
    };
    let mut numbers = vec![0.0; 2 * 5 * 8];
    let mut source = rng();
    numbers
        .iter_mut()
        .for_each(|x| *x = init::normal_draw(&mut source, 0.0, 1.0));
    let mut run = |layer: &CausalSelfAttention| {
        params.zero_grad();
        let mut tape = Tape::new();
        let g = tape.record(&mut params);
        let loss = layer
            .forward(g.input((&numbers[..], [2, 5, 8])))
            .square()
            .sum()
            .backward()
            .unwrap();
        let grads = fused
            .named_parameters()
            .into_iter()
            .flat_map(|(_, id)| params.grad_slice(id).unwrap().unwrap().to_vec());
        (loss, grads.collect::<Vec<_>>())
    };
    let ((loss, grads), (other_loss, other_grads)) = (run(&fused), run(&composed));
    assert!((loss - other_loss).abs() < 1e-9 * loss.abs());
    let worst = grads
        .iter()
        .zip(&other_grads)
        .map(|(a, b)| (a - b).abs())
        .fold(0.0, f64::max);
    assert!(worst < 1e-9, "{worst}");
}

#[test]
fn dropout_is_on_in_training_only() {
    let mut params = Params::<f64>::new();
    let gpt = GPT::new(
        &mut params,
        &GptConfig {
            dropout: 0.5,
            ..small()
        },
        &mut rng(),
    )
    .unwrap();
    gpt.init(&mut params, init::normal(0.0, 0.5), &mut rng())
        .unwrap();
    let (mut tape, idx) = (Tape::new(), ndarray::arr2(&[[1_u32, 2, 3]]));
    let eval = |tape: &mut Tape| {
        let g = tape.eval(&params);
        let idx = g.indices(&idx);
        gpt.loss(idx, idx).item().unwrap()
    };
    assert_eq!(eval(&mut tape), eval(&mut tape));
    let mut train = || {
        let g = tape.record(&mut params);
        let idx = g.indices(&idx);
        gpt.loss(idx, idx).backward().unwrap()
    };
    assert_ne!(train(), train());
}

#[test]
fn what_does_not_fit_is_an_error() {
    let mut params = Params::<f32>::new();
    let error = GPT::new(
        &mut params,
        &GptConfig {
            n_head: 3,
            ..small()
        },
        &mut rng(),
    )
    .unwrap_err();
    assert_eq!(
        error.to_string(),
        "n_head divides n_embd, got n_head 3 and n_embd 8"
    );
    assert!(
        GPT::new(
            &mut params,
            &GptConfig {
                n_head: 0,
                ..small()
            },
            &mut rng()
        )
        .is_err()
    );

    let gpt = GPT::new(&mut params, &small(), &mut rng()).unwrap();
    let mut tape = Tape::new();
    let g = tape.eval(&params);
    let too_long = gpt
        .forward(g.indices((&[0_u32; 7][..], [1, 7])))
        .value()
        .unwrap_err();
    assert_eq!(too_long.op(), "slice");
    assert!(
        gpt.explain(&too_long).contains("wpe.weight (Embedding)"),
        "{}",
        gpt.explain(&too_long)
    );
    let unknown = gpt
        .forward(g.indices((&[11_u32][..], [1, 1])))
        .value()
        .unwrap_err();
    assert!(
        gpt.explain(&unknown)
            .contains("wte.weight (Embedding), also used as lm_head.weight (Linear)")
    );
    assert!(
        gpt.forward(g.full([1, 3], 1.0)).value().is_err(),
        "values are not indices"
    );
    assert!(
        gpt.h[0]
            .attn
            .forward(g.full([1, 3, 9], 1.0))
            .value()
            .is_err()
    );
    assert!(gpt.h[0].attn.forward(g.full([8], 1.0)).value().is_err());
    assert!(gpt.h[0].attn.forward(g.full([], 1.0)).value().is_err());
}
