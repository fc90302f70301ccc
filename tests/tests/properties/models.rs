//! Gradients of whole models against finite differences. The models are made in f32 and checked under `params.cast::<f64>()`.

use tiegrad::arena::Shape;
use tiegrad::autodiff::{ArgSpec, Backward, Forward, Op, Problem, Sample};
use tiegrad::kernels::elementwise;
use tiegrad::nn::{GptConfig, TiedLinear};
use tiegrad::prelude::*;
use tiegrad_check::{CheckError, gradcheck};

fn check_gpt(tied: bool, dropout: f64, bias: bool) {
    let config = GptConfig {
        n_layer: 2,
        n_head: 2,
        n_embd: 4,
        block_size: 5,
        vocab_size: 7,
        dropout,
        bias,
        tied,
        init_std: Some(0.02),
    };
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(1);
    let mut params = Params::<f32>::new();
    let net = GPT::new(&mut params, &config, &mut rng).unwrap();
    // Larger weights than a GPT begins with, so that no gradient is too small to be seen; gains and biases too.
    net.init_at(&mut params, "**", init::uniform(-0.7, 0.7), &mut rng)
        .unwrap();
    let x = array![[1_u32, 4, 0, 6], [2, 2, 5, 3]];
    let y = array![[4_u32, 0, 6, 2], [2, 5, 3, 1]];
    let params = params.cast::<f64>();
    let report = gradcheck(&params, |g| net.loss(g.indices(&x), g.indices(&y))).unwrap();
    assert!(report.elements > 300, "{report:?}");
}

#[test]
fn a_tied_gpt() {
    check_gpt(true, 0.0, true);
}

#[test]
fn an_untied_gpt() {
    check_gpt(false, 0.0, false);
}

#[test]
fn a_tied_gpt_with_dropout() {
    check_gpt(true, 0.3, true);
}

#[test]
fn an_untied_gpt_with_dropout() {
    check_gpt(false, 0.3, true);
}

/// The decoder's two matrices are the encoder's, transposed.
#[test]
fn an_autoencoder_with_transposed_ties() {
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(3);
    let mut params = Params::<f32>::new();
    let encoder = [(6, 4), (4, 3)].map(|(i, o)| Linear::new(&mut params, i, o, &mut rng));
    let mut decode =
        |layer: &Linear| TiedLinear::new(&mut params, Tied::transposed(layer.weight), true);
    let decoder = (
        decode(&encoder[1]).unwrap(),
        Tanh,
        decode(&encoder[0]).unwrap(),
    );
    let net = (
        encoder[0].clone(),
        Tanh,
        encoder[1].clone(),
        Sigmoid,
        decoder,
    );
    assert_eq!((net.named_parameters().len(), net.all_uses().len()), (6, 8));

    let x = Array2::from_shape_simple_fn((5, 6), || rng.random_range(-1.0..1.0));
    let report = gradcheck(&params.cast::<f64>(), |g| {
        let x = g.input(&x);
        net.forward(x).mse_loss(x)
    });
    assert_eq!(report.unwrap().elements, 24 + 4 + 12 + 3 + 4 + 6);
}

/// One cell at five steps, its inputs from a table: a recurrent net.
#[test]
fn a_recurrent_net() {
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(4);
    let mut params = Params::<f32>::new();
    let table = Embedding::new(&mut params, 5, 3, &mut rng);
    let cell = Linear::new(&mut params, 6, 3, &mut rng);
    let gradients = gradcheck(&params.cast::<f64>(), |g| {
        let inputs = table.forward(g.indices(&array![[0_u32, 3, 4, 3, 1], [2, 2, 0, 1, 4]]));
        let mut h = g.full([2, 3], 0.1);
        for step in 0..5 {
            h = cell
                .forward(g.concat(&[inputs.select(1, step), h], -1))
                .tanh();
        }
        h.matmul(g.param(table.weight).t())
            .cross_entropy(g.indices(&[3_u32, 0]))
    });
    assert_eq!(gradients.unwrap().elements, 15 + 18 + 3);
}

/// The square with a rule that is wrong by one percent.
#[derive(Clone, Copy)]
struct Wrong;

impl Op for Wrong {
    const NAME: &'static str = "wrong";
    fn arity(&self) -> Option<usize> {
        Some(1)
    }
    fn shape(&self, args: &[&Shape]) -> Result<Shape, Problem> {
        Ok(*args[0])
    }
    fn forward<T: Scalar>(&self, cx: &mut Forward<'_, '_, T>) -> Result<(), Problem> {
        let x = cx.arg(0);
        elementwise::map(cx.write(), cx.out(), x, |x| x * x);
        Ok(())
    }
    fn backward<T: Scalar>(&self, cx: &Backward<'_, '_, T>) {
        let factor = T::from_f64(2.02);
        cx.into(0, |dst| {
            elementwise::zip(dst.write, dst.data, cx.arg(0), cx.dy(), move |x, dy| {
                factor * x * dy
            })
        });
    }
    fn samples() -> Vec<Sample<Self>> {
        vec![Sample::new(Wrong, [ArgSpec::values([3])])]
    }
}

#[test]
fn a_wrong_rule_anywhere_in_a_model_is_found() {
    let mut params = Params::<f64>::new();
    let layer = Linear::new(&mut params, 3, 2, &mut Xoshiro256PlusPlus::seed_from_u64(5));
    let loss = |wrong: bool| {
        let layer = layer.clone();
        gradcheck(&params, move |g| {
            let h = layer.forward(g.full([1, 3], 1.0));
            let h = if wrong {
                g.apply(Wrong, &[h])
            } else {
                h.square()
            };
            h.sum()
        })
    };
    assert!(loss(false).is_ok());
    assert!(matches!(loss(true), Err(CheckError::Wrong { .. })));
    assert!(tiegrad_check::check_op::<Wrong>().is_err());
}
