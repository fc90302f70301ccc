//! [`gradcheck`]: the gradients of a user's model, parameter by parameter.

use tiegrad_arena::{ParamId, Params};
use tiegrad_autodiff::{Error, Graph, Tape, Var};

use crate::{CheckError, Report, derivative, error_of};

/// Relative to 1 + |gradient|.
const TOLERANCE: f64 = 1e-7;
const STEP: f64 = 1e-3;
/// Elements of one parameter that are compared; a larger one is sampled evenly.
const ELEMENTS: usize = 64;

/// Compares the gradient of every parameter that requires one with central finite differences in f64. `loss` builds a scalar from a graph; it
/// is run in training mode, each time with the same dropout masks. Of a parameter with more than 64 elements, 64 spread evenly are
/// compared. A parameter that the loss does not use must have no gradient and no influence.
///
/// To check a network that trains in f32, check it under `params.cast::<f64>()`: the ids stay valid.
///
/// # Errors
/// The first element that differs by more than 1e-7 relative to 1 + |gradient|; the first op that fails; no parameter to check.
///
/// ```
/// # use tiegrad_arena::Params; use tiegrad_check::gradcheck; use ndarray::array;
/// let mut params = Params::<f64>::new();
/// let w = params.insert(&array![0.5, 2.0])?;
/// assert!(gradcheck(&params, |g| g.param(w).log().sum()).is_ok());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn gradcheck(
    params: &Params<f64>,
    loss: impl for<'t> Fn(Graph<'t, f64>) -> Var<'t, f64>,
) -> Result<Report, CheckError> {
    let what = || "model".to_string();
    let failed = |error: Error| CheckError::Failed {
        what: what(),
        place: "forward".into(),
        error,
    };
    let mut copy = params.clone();
    let mut tape = Tape::new();
    loss(tape.record(&mut copy)).backward().map_err(failed)?;

    let ids: Vec<ParamId> = copy
        .ids()
        .filter(|&id| copy.requires_grad(id).unwrap_or(false))
        .collect();
    let mut probe = params.clone();
    let mut report = Report {
        samples: 1,
        ..Report::default()
    };
    for id in ids {
        let gradient = copy.grad_slice(id).ok().flatten().map(<[f64]>::to_vec);
        let len = copy.as_slice(id).map_or(0, <[f64]>::len);
        let stride = len.div_ceil(ELEMENTS).max(1);
        for element in (0..len).step_by(stride) {
            let analytic = gradient.as_ref().map_or(0.0, |g| g[element]);
            let mut at = |by: f64| -> Result<f64, Error> {
                let shift = |probe: &mut Params<f64>, by: f64| {
                    if let Ok(values) = probe.as_mut_slice(id) {
                        values[element] = by;
                    }
                };
                let old = params.as_slice(id).map_or(0.0, |values| values[element]);
                shift(&mut probe, old + by);
                // The same masks as in the recording above.
                tape.set_rng_state(Default::default());
                let value = loss(tape.record(&mut probe)).item();
                shift(&mut probe, old);
                value
            };
            let reference = derivative(STEP, &mut at).map_err(failed)?;
            let error = error_of(analytic, reference);
            if error > TOLERANCE {
                let place = format!("parameter {id}");
                return Err(CheckError::Wrong {
                    what: what(),
                    place,
                    element,
                    analytic,
                    reference,
                });
            }
            report.elements += 1;
            report.worst = report.worst.max(error);
        }
    }
    if report.elements == 0 {
        Err(CheckError::Nothing { what: what() })
    } else {
        Ok(report)
    }
}
