//! Norms and clipping.

use crate::common::{set_grad, vector};
use tiegrad_arena::{ParamId, Params, Selection};
use tiegrad_kernels::Dual;
use tiegrad_optim::{ClipGradNorm, OptimError, clip_grad_norm, clip_grad_value, grad_norm};

fn two(a: &[f64], b: &[f64]) -> (Params<f64>, [ParamId; 2]) {
    let mut params = Params::new();
    let ids = [a, b].map(|grad| {
        let id = vector(&mut params, &vec![1.0; grad.len()]);
        set_grad(&mut params, id, grad);
        id
    });
    (params, ids)
}

fn grad(params: &Params<f64>, id: ParamId) -> Vec<f64> {
    params.grad_slice(id).unwrap().unwrap().to_vec()
}

#[test]
fn gradients_above_the_norm_are_scaled_as_pytorch_does() {
    let (mut params, [a, b]) = two(&[3.0, 0.0], &[0.0, 0.0, 4.0]);
    assert_eq!(grad_norm(&params), 5.0);
    assert_eq!(clip_grad_norm(&mut params, 2.0), Ok(5.0));
    let factor = 2.0 / (5.0 + 1e-6);
    assert_eq!(grad(&params, a), [3.0 * factor, 0.0]);
    assert_eq!(grad(&params, b), [0.0, 0.0, 4.0 * factor]);
}

#[test]
fn gradients_below_the_norm_keep_their_bits() {
    let (mut params, [a, b]) = two(&[0.3, 0.1], &[0.2]);
    for max_norm in [0.5, 100.0, f64::INFINITY] {
        let norm = clip_grad_norm(&mut params, max_norm).unwrap();
        assert!((norm - 0.14_f64.sqrt()).abs() < 1e-15);
    }
    assert_eq!(
        (grad(&params, a), grad(&params, b)),
        (vec![0.3, 0.1], vec![0.2])
    );
    clip_grad_norm(&mut params, 0.0).unwrap();
    assert_eq!(grad(&params, a), [0.0, 0.0]);
}

#[test]
fn untouched_and_frozen_parameters_do_not_count() {
    let (mut params, [a, b]) = two(&[3.0], &[4.0]);
    let untouched = vector(&mut params, &[1.0; 100]);
    assert_eq!(grad_norm(&params), 5.0, "also right after an insertion");
    params.set_requires_grad(b, false).unwrap();
    assert_eq!(clip_grad_norm(&mut params, 1.0), Ok(3.0));
    assert_eq!(grad(&params, b), [4.0]);
    assert!(grad(&params, a)[0] < 1.0);
    assert_eq!(params.grad_slice(untouched), Ok(None));
    params.zero_grad();
    assert_eq!(clip_grad_norm(&mut params, 1.0), Ok(0.0));
    assert_eq!(clip_grad_norm(&mut Params::<f32>::new(), 1.0), Ok(0.0));
}

#[test]
fn only_some_can_be_clipped() {
    let (mut params, [a, b]) = two(&[3.0], &[4.0]);
    let some = Selection::from_ids([b]);
    assert_eq!(
        ClipGradNorm::new(1.0).only(&some).clip(&mut params),
        Ok(4.0)
    );
    assert_eq!(grad(&params, a), [3.0]);
    assert!((grad(&params, b)[0] - 1.0).abs() < 1e-6);
}

#[test]
fn a_norm_that_is_not_finite_is_as_in_pytorch_or_an_error_that_names_the_parameter() {
    for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        let (mut params, [a, b]) = two(&[3.0], &[4.0, bad]);
        let error = ClipGradNorm::new(1.0)
            .error_if_nonfinite(true)
            .clip(&mut params);
        let Err(OptimError::NonFiniteNorm { id, norm, .. }) = error else {
            panic!("{error:?}");
        };
        assert_eq!((id, norm.is_finite()), (Some(b), false));
        assert!(error.unwrap_err().to_string().contains(&b.to_string()));
        assert_eq!(grad(&params, a), [3.0], "nothing has changed");

        assert!(!clip_grad_norm(&mut params, 1.0).unwrap().is_finite());
        if bad.is_nan() {
            assert!(grad(&params, a)[0].is_nan());
        } else {
            assert_eq!(grad(&params, a), [0.0]);
        }
        assert!(grad(&params, b)[1].is_nan());
    }
}

#[test]
fn squares_that_leave_the_range_do_not_harm_the_norm() {
    for scale in [1e30_f32, 1e-30, 1e-42] {
        let mut params = Params::<f32>::new();
        let id = vector(&mut params, &[1.0; 2]);
        set_grad(&mut params, id, &[3.0 * scale, 4.0 * scale]);
        let norm = grad_norm(&params);
        assert!(
            (norm / (5.0 * f64::from(scale)) - 1.0).abs() < 1e-3,
            "{norm}"
        );
    }
    let (mut params, _) = two(&[3e200], &[4e200]);
    assert!((clip_grad_norm(&mut params, 1.0).unwrap() / 5e200 - 1.0).abs() < 1e-15);
    assert!((grad_norm(&params) - 1.0).abs() < 1e-12);
    // Finite elements whose norm is not.
    let (mut params, _) = two(&[1.7e308], &[1.7e308]);
    let error = ClipGradNorm::new(1.0)
        .error_if_nonfinite(true)
        .clip(&mut params)
        .unwrap_err();
    assert!(
        error
            .to_string()
            .ends_with("each gradient is finite, but their norm is too large")
    );
}

#[test]
fn a_limit_that_is_none_is_an_error() {
    let (mut params, [a, _]) = two(&[3.0], &[4.0]);
    for bad in [-1.0, f64::NAN] {
        for error in [
            clip_grad_norm(&mut params, bad).unwrap_err(),
            clip_grad_value(&mut params, bad).unwrap_err(),
        ] {
            assert!(matches!(error, OptimError::Setting { .. }), "{error}");
        }
    }
    assert_eq!(grad(&params, a), [3.0]);
}

#[test]
fn values_are_cut_and_nan_stays() {
    let (mut params, [a, b]) = two(&[-3.0, 0.5], &[4.0, f64::NAN, f64::NEG_INFINITY]);
    clip_grad_value(&mut params, 1.0).unwrap();
    assert_eq!(grad(&params, a), [-1.0, 0.5]);
    let b = grad(&params, b);
    assert!(b[0] == 1.0 && b[1].is_nan() && b[2] == -1.0);
}

#[test]
fn a_dual_number_carries_the_derivative_of_the_clipped_gradient() {
    let gradient = |x: f64| [3.0 * x, 4.0];
    let clipped = |x: f64| {
        let (mut params, [a, _]) = two(&gradient(x), &[]);
        clip_grad_norm(&mut params, 1.0).unwrap();
        grad(&params, a)
    };
    let mut params = Params::<Dual<f64>>::new();
    let id = vector(&mut params, &[Dual { re: 1.0, eps: 0.0 }; 2]);
    let dual = |re, eps| Dual { re, eps };
    set_grad(&mut params, id, &[dual(3.0, 3.0), dual(4.0, 0.0)]);
    clip_grad_norm(&mut params, 1.0).unwrap();
    let (up, down) = (clipped(1.0 + 1e-6), clipped(1.0 - 1e-6));
    let found = params.grad_slice(id).unwrap().unwrap();
    for i in 0..2 {
        let expected = (up[i] - down[i]) / 2e-6;
        assert!(
            (found[i].eps - expected).abs() < 1e-8,
            "{} {expected}",
            found[i].eps
        );
    }
}
