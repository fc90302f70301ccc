//! [`check_op`] and [`check_ops`]: the rule of an op against finite differences and dual numbers, over the op's own samples.

use ndarray::ArrayD;
use tiegrad_arena::Params;
use tiegrad_arena::{ParamId, Shape};
use tiegrad_autodiff::{ArgKind, Error, Graph, Op, Sample, Tape, UseGrads, Var, ops};
use tiegrad_kernels::{Arithmetic, Dual};

use crate::draw::{Drawn, cotangent, draw, rng};
use crate::{CheckError, Report, derivative, error_of};

/// Of finite differences, relative to 1 + |gradient|.
const TOLERANCE: f64 = 1e-8;
/// Of dual numbers and of sums of gradients, which are only rounded differently.
const ROUNDING: f64 = 1e-12;
const STEP: f64 = 2e-3;

/// What was found of one op.
///
/// ```
/// let all = tiegrad_check::check_ops();
/// assert!(all.iter().all(|op| op.result.is_ok()));
/// ```
#[derive(Clone, Debug)]
pub struct OpReport {
    /// The op's name.
    pub name: &'static str,
    /// What was checked, or the first thing that is wrong.
    pub result: Result<Report, CheckError>,
}

/// Checks every op of the engine's list, in the list's order.
///
/// ```
/// assert!(tiegrad_check::check_ops().iter().any(|op| op.name == "matmul"));
/// ```
pub fn check_ops() -> Vec<OpReport> {
    struct All(Vec<OpReport>);
    impl ops::Visitor for All {
        fn op<O: Op>(&mut self) {
            self.0.push(OpReport {
                name: O::NAME,
                result: check_op::<O>(),
            });
        }
    }
    let mut all = All(Vec::new());
    ops::visit(&mut all);
    all.0
}

/// Checks an op, the engine's or a user's, over its [`samples`](Op::samples). For every sample and operand:
///
/// - the gradient against central finite differences in f64 (1e-8 relative to 1 + |gradient|);
/// - the gradient along a random direction against dual numbers, which also checks the op under `Dual<f64>` (1e-12);
/// - the same gradient, to the bit, when no other operand wants one; twice it after a second backward pass; that of a transposed view, for operands that the
///   op takes with strides; and the sum of both where two operands are the same Var.
///
/// # Errors
/// The first difference; an op that fails on its samples; an op without samples.
///
/// ```
/// use tiegrad_autodiff::ops;
/// assert!(tiegrad_check::check_op::<ops::Matmul>().is_ok());
/// ```
pub fn check_op<O: Op>() -> Result<Report, CheckError> {
    let mut report = Report::default();
    for (i, sample) in O::samples().into_iter().enumerate() {
        let mut check = Check::<O>::new(sample, i);
        check.run().map_err(|problem| match problem {
            Problem::Run(error) => CheckError::Failed {
                what: O::NAME.into(),
                place: format!("sample {i}"),
                error,
            },
            Problem::Wrong {
                place,
                element,
                analytic,
                reference,
            } => CheckError::Wrong {
                what: O::NAME.into(),
                place: format!("sample {i}, {place}"),
                element,
                analytic,
                reference,
            },
            Problem::Shape { found, expected } => CheckError::Shape {
                what: O::NAME.into(),
                place: format!("sample {i}"),
                found,
                expected,
            },
        })?;
        report.samples += 1;
        report.elements += check.elements;
        report.worst = report.worst.max(check.worst);
    }
    if report.samples == 0 {
        Err(CheckError::Nothing {
            what: O::NAME.into(),
        })
    } else {
        Ok(report)
    }
}

enum Problem {
    Run(Error),
    Wrong {
        place: String,
        element: usize,
        analytic: f64,
        reference: f64,
    },
    Shape {
        found: Box<Shape>,
        expected: Box<Shape>,
    },
}

impl From<Error> for Problem {
    fn from(error: Error) -> Problem {
        Problem::Run(error)
    }
}

/// One gradient for each operand; `None` for indices and for operands that were not asked for.
type Gradients = Vec<Option<ArrayD<f64>>>;

struct Check<O> {
    op: O,
    args: Vec<Drawn>,
    cotangent: ArrayD<f64>,
    direction: Vec<ArrayD<f64>>,
    tape: Tape,
    params: Params<f64>,
    elements: usize,
    worst: f64,
}

impl<O: Op> Check<O> {
    fn new(sample: Sample<O>, seed: usize) -> Check<O> {
        let mut rng = rng(0x7163_u64 + seed as u64);
        let args: Vec<Drawn> = sample
            .args
            .iter()
            .map(|spec| draw(spec, &mut rng))
            .collect();
        let direction = args
            .iter()
            .map(|arg| cotangent(arg.values().map_or(&[0], |values| values.shape()), &mut rng))
            .collect();
        let mut check = Check {
            op: sample.op,
            args,
            cotangent: ArrayD::zeros(ndarray::IxDyn(&[0])),
            direction,
            tape: Tape::new(),
            params: Params::new(),
            elements: 0,
            worst: 0.0,
        };
        let shape: Vec<usize> = {
            let g = check.tape.record(&mut check.params);
            let vars = vars(g, &check.args, &|_| true);
            g.apply(check.op, &vars).shape().to_vec()
        };
        check.cotangent = cotangent(&shape, &mut rng);
        check
    }

    fn run(&mut self) -> Result<(), Problem> {
        let gradients = self.gradients(|_| true, 1)?;
        self.finite_differences(&gradients)?;
        self.dual_numbers(&gradients)?;

        for i in 0..self.args.len() {
            let Some(expected) = &gradients[i] else {
                continue;
            };
            let alone = self.gradients(|j| j == i, 1)?;
            self.compare(
                &format!("operand {i}, the only one wanted"),
                &alone[i],
                expected,
                0.0,
            )?;
        }
        let twice = self.gradients(|_| true, 2)?;
        for (i, (twice, once)) in twice.iter().zip(&gradients).enumerate() {
            if let Some(once) = once {
                self.compare(
                    &format!("operand {i}, two backward passes"),
                    twice,
                    &(once * 2.0),
                    ROUNDING,
                )?;
            }
        }
        self.transposed_views(&gradients)?;
        self.shared_operands()?;
        self.shape_only()?;
        self.each_use(&gradients)
    }

    /// A pass without numbers gives the shape that the pass with numbers gives.
    fn shape_only(&mut self) -> Result<(), Problem> {
        let g = self.tape.shapes(&self.params, &());
        let places: Vec<_> = self
            .args
            .iter()
            .map(|arg| match arg {
                Drawn::Values(values) => g.placeholder(values.shape()),
                Drawn::Indices(indices) => g.placeholder_indices(indices.shape()),
            })
            .collect();
        let y = g.apply(self.op, &places);
        if let Some(error) = y.error() {
            return Err(error.into());
        }
        let (found, expected) = (*y.shape(), self.cotangent.shape());
        match Shape::new(expected) {
            Ok(expected) if found != expected => Err(Problem::Shape {
                found: Box::new(found),
                expected: Box::new(expected),
            }),
            _ => Ok(()),
        }
    }

    /// Operands that are parameters whose uses are kept apart: the slots get the same gradients, and each is the sum of its contributions.
    fn each_use(&mut self, gradients: &Gradients) -> Result<(), Problem> {
        let mut params = Params::<f64>::new();
        let mut uses = UseGrads::new();
        let ids: Vec<Option<ParamId>> = self
            .args
            .iter()
            .map(|arg| params.insert(arg.values()?).ok())
            .collect();
        if ids.iter().all(Option::is_none) {
            return Ok(());
        }
        let g = self.tape.record(&mut params).per_use(&mut uses);
        let mut all = vars(g, &self.args, &|_| false);
        for (var, id) in all.iter_mut().zip(&ids) {
            if let Some(id) = id {
                *var = g.param_ref(id);
            }
        }
        g.apply(self.op, &all).backward_with(&self.cotangent)?;
        for (i, id) in ids.iter().enumerate() {
            let (Some(id), Some(expected)) = (id, &gradients[i]) else {
                continue;
            };
            let slot = params.grad(*id).ok().flatten().map(|grad| grad.to_owned());
            let of_slot = format!("operand {i}, a parameter whose uses are kept apart");
            self.compare(&of_slot, &slot, expected, ROUNDING)?;
            let contributions = uses.of(*id).map(|each| each.grad().to_owned());
            let sum = contributions.reduce(|sum, each| sum + each);
            let of_sum = format!("operand {i}, the contributions of its uses");
            self.compare(&of_sum, &sum, expected, ROUNDING)?;
        }
        Ok(())
    }

    /// The gradients of cotangent · op(args) with respect to those operands that `wanted` says.
    fn gradients(
        &mut self,
        wanted: impl Fn(usize) -> bool,
        passes: usize,
    ) -> Result<Gradients, Problem> {
        let g = self.tape.record(&mut self.params);
        let vars = vars(g, &self.args, &wanted);
        let y = g.apply(self.op, &vars);
        if let Some(error) = y.error() {
            return Err(error.into());
        }
        let reached = (0..self.args.len()).any(|i| wanted(i) && self.args[i].values().is_some());
        for _ in 0..passes {
            if reached {
                y.backward_with(&self.cotangent)?;
            }
        }
        let mut gradients = Vec::new();
        for (i, var) in vars.iter().enumerate() {
            gradients.push(match &self.args[i] {
                Drawn::Values(_) => var.grad()?,
                Drawn::Indices(_) => None,
            });
        }
        Ok(gradients)
    }

    fn value(&mut self, args: &[Drawn]) -> Result<f64, Error> {
        let g = self.tape.eval(&self.params).train(true);
        let y = g.apply(self.op, &vars(g, args, &|_| false));
        let y = y.value()?;
        Ok(y.iter().zip(&self.cotangent).map(|(y, c)| y * c).sum())
    }

    fn finite_differences(&mut self, gradients: &Gradients) -> Result<(), Problem> {
        let mut moved = self.args.clone();
        for (i, gradient) in gradients.iter().enumerate() {
            let Some(values) = self.args[i].values().cloned() else {
                continue;
            };
            for element in 0..values.len() {
                let reference = derivative(STEP, |by| {
                    let mut shifted = values.clone();
                    if let Some(x) = shifted.iter_mut().nth(element) {
                        *x += by;
                    }
                    moved[i] = Drawn::Values(shifted);
                    self.value(&moved)
                })?;
                let analytic = gradient
                    .as_ref()
                    .and_then(|g| g.iter().nth(element).copied())
                    .unwrap_or(f64::NAN);
                self.settle(
                    &format!("operand {i}"),
                    element,
                    analytic,
                    reference,
                    TOLERANCE,
                )?;
            }
            moved[i] = Drawn::Values(values);
        }
        Ok(())
    }

    /// cotangent · (d op along the direction), from one forward pass over dual numbers, equals Σ gradient · direction.
    fn dual_numbers(&mut self, gradients: &Gradients) -> Result<(), Problem> {
        let params = Params::<Dual<f64>>::new();
        let g = self.tape.eval(&params).train(true);
        let vars: Vec<Var<'_, Dual<f64>>> = self
            .args
            .iter()
            .zip(&self.direction)
            .map(|(arg, direction)| match arg {
                Drawn::Values(values) => {
                    let mut dual = values.mapv(<Dual<f64> as Arithmetic>::from_f64);
                    dual.zip_mut_with(direction, |x, &eps| x.eps = eps);
                    g.input(&dual)
                }
                Drawn::Indices(indices) => g.indices(indices),
            })
            .collect();
        let y = g.apply(self.op, &vars);
        let reference = y
            .value()?
            .iter()
            .zip(&self.cotangent)
            .map(|(y, c)| y.eps * c)
            .sum();
        let analytic = gradients
            .iter()
            .zip(&self.direction)
            .filter_map(|(gradient, direction)| gradient.as_ref().map(|g| (g * direction).sum()))
            .sum();
        self.settle(
            "all operands along a direction (dual numbers)",
            0,
            analytic,
            reference,
            ROUNDING,
        )
    }

    /// An operand that the op takes with strides, given as the transposed view of its transpose.
    fn transposed_views(&mut self, gradients: &Gradients) -> Result<(), Problem> {
        for (i, gradient) in gradients.iter().enumerate() {
            let (Some(values), Some(gradient)) = (self.args[i].values(), gradient) else {
                continue;
            };
            if self.op.kind(i) != ArgKind::Strided || values.ndim() < 2 {
                continue;
            }
            let last = values.ndim() - 1;
            let swapped = values
                .clone()
                .permuted_axes(order(last + 1))
                .as_standard_layout()
                .into_owned();
            let back: Vec<isize> = order(last + 1).iter().map(|&axis| axis as isize).collect();
            let g = self.tape.record(&mut self.params);
            let leaf = g.leaf(&swapped);
            let mut all = vars(g, &self.args, &|_| true);
            all[i] = leaf.permute(&back);
            g.apply(self.op, &all).backward_with(&self.cotangent)?;
            let found = leaf.grad()?.map(|g| g.permuted_axes(order(last + 1)));
            self.compare(
                &format!("operand {i}, a transposed view"),
                &found,
                gradient,
                ROUNDING,
            )?;
        }
        Ok(())
    }

    /// Two operands of one shape as one Var: where both are set to the same values, its gradient is the sum of the two.
    fn shared_operands(&mut self) -> Result<(), Problem> {
        for i in 0..self.args.len() {
            for j in i + 1..self.args.len() {
                let (Some(a), Some(b)) = (self.args[i].values(), self.args[j].values()) else {
                    continue;
                };
                if a.shape() != b.shape() {
                    continue;
                }
                let same = self.args[i].clone();
                let kept = std::mem::replace(&mut self.args[j], same);
                // The second operand's range may not hold the first's values (a kink, a division): then nothing is compared.
                let separate = self.gradients(|_| true, 1)?;
                let g = self.tape.record(&mut self.params);
                let mut all = vars(g, &self.args, &|_| true);
                all[j] = all[i];
                g.apply(self.op, &all).backward_with(&self.cotangent)?;
                let found = all[i].grad()?;
                self.args[j] = kept;
                if let (Some(a), Some(b)) = (&separate[i], &separate[j]) {
                    self.compare(
                        &format!("operands {i} and {j}, one Var"),
                        &found,
                        &(a + b),
                        ROUNDING,
                    )?;
                }
            }
        }
        Ok(())
    }

    fn compare(
        &mut self,
        place: &str,
        found: &Option<ArrayD<f64>>,
        expected: &ArrayD<f64>,
        tolerance: f64,
    ) -> Result<(), Problem> {
        for (element, &reference) in expected.iter().enumerate() {
            let analytic = found
                .as_ref()
                .and_then(|g| g.iter().nth(element).copied())
                .unwrap_or(f64::NAN);
            self.settle(place, element, analytic, reference, tolerance)?;
        }
        Ok(())
    }

    fn settle(
        &mut self,
        place: &str,
        element: usize,
        analytic: f64,
        reference: f64,
        tolerance: f64,
    ) -> Result<(), Problem> {
        let error = error_of(analytic, reference);
        if error > tolerance {
            return Err(Problem::Wrong {
                place: place.into(),
                element,
                analytic,
                reference,
            });
        }
        self.elements += 1;
        self.worst = self.worst.max(error);
        Ok(())
    }
}

fn order(rank: usize) -> Vec<usize> {
    (0..rank).rev().collect()
}

fn vars<'t>(
    g: Graph<'t, f64>,
    args: &[Drawn],
    wanted: &dyn Fn(usize) -> bool,
) -> Vec<Var<'t, f64>> {
    args.iter()
        .enumerate()
        .map(|(i, arg)| match arg {
            Drawn::Values(values) if wanted(i) => g.leaf(values),
            Drawn::Values(values) => g.input(values),
            Drawn::Indices(indices) => g.indices(indices),
        })
        .collect()
}
