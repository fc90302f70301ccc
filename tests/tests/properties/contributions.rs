//! The gradient of a tied parameter is the sum of what its uses contribute, each computed by itself: exactly where nothing is rounded, within
//! the bound of a sum's rounding else, and in the same bits on every run.

use tiegrad::prelude::*;

use crate::common::{all_bits, bits, gpt, rng, tokens};

const USES: usize = 6;

/// A number made from six uses of a (4, 4) matrix, of as many kinds: plain, transposed, by rows, element by element, a part, the bias of a linear map.
fn loss<'t, T: Scalar>(g: Graph<'t, T>, w: [ParamId; USES], x: &Array2<T>) -> Var<'t, T> {
    let w = w.map(|id| g.param(id));
    let x = g.input(x);
    let h = x.matmul(w[0]).matmul(w[1].t());
    let rows = w[2].embedding(g.indices(&[2_u32, 0, 2]));
    let h = h * w[3] + rows.sum_dim(&[0], true);
    let h = h.linear(w[4], Some(w[5].select(0, 1)));
    h.sum() + w[3].slice(1, 1..3).sum()
}

/// The gradient of the tied matrix, and those of six copies.
fn gradients<T: Scalar>(w: &Array2<T>, x: &Array2<T>) -> (Vec<T>, [Vec<T>; USES]) {
    let mut params = Params::<T>::new();
    let tied = params.insert(w).unwrap();
    let apart = [(); USES].map(|()| params.insert(w).unwrap());
    let mut tape = Tape::new();
    let one = loss(tape.record(&mut params), [tied; USES], x)
        .backward()
        .unwrap();
    let other = loss(tape.record(&mut params), apart, x).backward().unwrap();
    assert_eq!(one, other);
    let gradient = |id| params.grad_slice(id).unwrap().unwrap().to_vec();
    (gradient(tied), apart.map(gradient))
}

#[test]
fn a_tied_gradient_is_the_sum_of_the_contributions_exactly() {
    for seed in 0..20 {
        let rng = &mut rng(seed);
        let mut matrix =
            || Array2::from_shape_simple_fn((4, 4), || rng.random_range(-3..=3) as f32);
        let (tied, apart) = gradients(&matrix(), &matrix());
        for (i, &found) in tied.iter().enumerate() {
            let contributions = apart.each_ref().map(|a| a[i]);
            assert_eq!(
                found,
                contributions.iter().sum::<f32>(),
                "{contributions:?}"
            );
            assert!(found.abs() < (1 << 24) as f32, "no longer exact in f32");
        }
        // Every use has a part in it.
        assert!(
            apart.iter().all(|a| a.iter().any(|&x| x != 0.0)),
            "{apart:?}"
        );
    }
}

#[test]
fn a_tied_gradient_is_the_sum_of_the_contributions_within_rounding() {
    for seed in 0..20 {
        let rng = &mut rng(seed);
        let mut matrix =
            || Array2::from_shape_simple_fn((4, 4), || rng.random_range(-1.0..1.0_f32));
        let (tied, apart) = gradients(&matrix(), &matrix());
        for (i, &found) in tied.iter().enumerate() {
            let contributions = apart.each_ref().map(|a| f64::from(a[i]));
            let sum: f64 = contributions.iter().sum();
            // Each contribution is a sum of at most 16 terms that may be added to what is there one by one.
            let terms = (16 * USES) as f64;
            let bound = terms
                * f64::from(f32::EPSILON)
                * contributions.iter().map(|c| 1.0 + c.abs()).sum::<f64>();
            assert!((f64::from(found) - sum).abs() <= bound, "{found}, {sum}");
        }
    }
}

#[test]
fn the_tied_embedding_of_a_gpt_gets_what_embedding_and_head_get_apart() {
    let (mut one, mut two) = (Params::<f64>::new(), Params::<f64>::new());
    let tied = gpt(true, &mut one);
    let untied = gpt(false, &mut two);
    for (path, id) in untied.named_parameters() {
        let values = one.as_slice(tied.find(&path).unwrap()).unwrap();
        two.as_mut_slice(id).unwrap().copy_from_slice(values);
    }
    let (x, y) = tokens();
    let mut tape = Tape::new();
    let mut run = |gpt: &GPT, params: &mut Params<f64>| {
        let g = tape.record(params);
        gpt.loss(g.indices(&x), g.indices(&y)).backward().unwrap()
    };
    assert_eq!(run(&tied, &mut one), run(&untied, &mut two));
    for (path, id) in tied.named_parameters() {
        let found = one.grad(id).unwrap().unwrap();
        let mut expected = two
            .grad(untied.find(&path).unwrap())
            .unwrap()
            .unwrap()
            .to_owned();
        if path == "wte.weight" {
            expected += &two.grad(untied.lm_head.weight).unwrap().unwrap();
            let error = (&found - &expected).mapv(f64::abs);
            assert!(error.iter().all(|&e| e < 1e-15), "{error}");
        } else {
            assert_eq!(found, expected, "{path}");
        }
    }
}

#[test]
fn two_runs_have_the_same_bits() {
    let run = || {
        let mut params = Params::<f32>::new();
        let gpt = gpt(true, &mut params);
        let (x, y) = tokens();
        let (mut tape, mut opt) = (Tape::new(), AdamW::new(1e-2));
        let mut seen = Vec::new();
        for _ in 0..4 {
            let g = tape.record(&mut params);
            let loss = gpt.loss(g.indices(&x), g.indices(&y)).backward().unwrap();
            seen.push(bits(&[
                loss,
                clip_grad_norm(&mut params, 0.5).unwrap() as f32,
            ]));
            seen.extend(
                params
                    .ids()
                    .map(|id| bits(params.grad_slice(id).unwrap().unwrap())),
            );
            opt.step(&mut params).unwrap();
            params.zero_grad();
        }
        (seen, all_bits(&params))
    };
    assert_eq!(run(), run());
}
