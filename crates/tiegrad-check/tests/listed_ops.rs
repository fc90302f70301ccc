//! Every op of the list passes; a wrong rule, a lost gradient and a rule that adds by itself do not.

use tiegrad_arena::Shape;
use tiegrad_autodiff::{ArgSpec, Backward, Forward, Op, Problem, Sample, ops};
use tiegrad_check::{CheckError, check_op, check_ops};
use tiegrad_kernels::{Scalar, elementwise};

#[test]
fn every_listed_op_passes() {
    let reports = check_ops();
    let mut names: Vec<_> = reports.iter().map(|op| op.name).collect();
    for op in &reports {
        match &op.result {
            Ok(report) => println!("{:<14} {report:?}", op.name),
            Err(error) => println!("{:<14} {error}", op.name),
        }
    }
    let wrong: Vec<_> = reports
        .iter()
        .filter_map(|op| op.result.as_ref().err())
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), reports.len(), "two ops of one name");
    assert!(reports.len() >= 44);
}

/// An op y = x · x + z whose rule is spoilt in a chosen way.
#[derive(Clone, Copy)]
struct Spoilt<const HOW: u8>;

const RIGHT: u8 = 0;
const WRONG_FACTOR: u8 = 1;
const LOST: u8 = 2;
const ADDS_BY_ITSELF: u8 = 3;
const OVERWRITES: u8 = 4;
const NO_SAMPLES: u8 = 5;

impl<const HOW: u8> Op for Spoilt<HOW> {
    const NAME: &'static str = "spoilt";

    fn arity(&self) -> Option<usize> {
        Some(2)
    }

    fn shape(&self, args: &[&Shape]) -> Result<Shape, Problem> {
        if args[0] == args[1] {
            Ok(*args[0])
        } else {
            Err(Problem::ShapesDiffer)
        }
    }

    fn forward<T: Scalar>(&self, cx: &mut Forward<'_, '_, T>) -> Result<(), Problem> {
        let (x, z) = (cx.arg(0), cx.arg(1));
        elementwise::zip(cx.write(), cx.out(), x, z, |x, z| x * x + z);
        Ok(())
    }

    fn backward<T: Scalar>(&self, cx: &Backward<'_, '_, T>) {
        use tiegrad_kernels::Write;
        let factor = T::from_f64(if HOW == WRONG_FACTOR { 2.0 + 1e-6 } else { 2.0 });
        if HOW != LOST || !cx.wants(1) {
            cx.into(0, |dst| {
                let write = match HOW {
                    ADDS_BY_ITSELF => Write::Accumulate,
                    OVERWRITES => Write::Overwrite,
                    _ => dst.write,
                };
                elementwise::zip(write, dst.data, cx.arg(0), cx.dy(), move |x, dy| {
                    factor * x * dy
                });
            });
        }
        cx.into(1, |dst| {
            elementwise::map(dst.write, dst.data, cx.dy(), |dy| dy)
        });
    }

    fn samples() -> Vec<Sample<Self>> {
        if HOW == NO_SAMPLES {
            return Vec::new();
        }
        vec![Sample::new(
            Spoilt,
            [ArgSpec::values([2, 3]), ArgSpec::values([2, 3])],
        )]
    }
}

#[test]
fn a_right_rule_passes() {
    let report = check_op::<Spoilt<RIGHT>>().unwrap();
    assert_eq!(report.samples, 1);
    assert!(report.elements > 12);
}

#[test]
fn a_spoilt_rule_is_found() {
    let wrong = |result: Result<_, CheckError>| matches!(result, Err(CheckError::Wrong { .. }));
    assert!(wrong(check_op::<Spoilt<WRONG_FACTOR>>()));
    assert!(wrong(check_op::<Spoilt<LOST>>()));
    assert!(wrong(check_op::<Spoilt<ADDS_BY_ITSELF>>()));
    assert!(wrong(check_op::<Spoilt<OVERWRITES>>()));
}

#[test]
fn a_check_of_nothing_is_no_pass() {
    assert!(matches!(
        check_op::<Spoilt<NO_SAMPLES>>(),
        Err(CheckError::Nothing { .. })
    ));
}

/// The list names every op file's types: an op that is written but not listed would be missed by the checks.
#[test]
fn every_op_of_the_engine_is_listed() {
    let mut listed = Names(Vec::new());
    ops::visit(&mut listed);
    let folder =
        std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../tiegrad-autodiff/src/ops");
    let mut written = Vec::new();
    for file in std::fs::read_dir(folder).unwrap() {
        let text = std::fs::read_to_string(file.unwrap().path()).unwrap();
        // Ops say their name once, as a constant or in the first line of a family's table.
        for line in text.lines() {
            let line = line.trim();
            if let Some(rest) = line.strip_prefix("const NAME: &'static str = \"") {
                written.push(rest.trim_end_matches("\";").to_string());
            } else if line.ends_with(',') || line.contains(", |") {
                let mut words = line.split(", ");
                let first = words.next().unwrap_or("");
                let is_type = first.chars().next().is_some_and(char::is_uppercase)
                    && first.chars().all(char::is_alphanumeric);
                if let (true, Some(name)) = (is_type, words.find(|w| w.starts_with('"'))) {
                    written.push(name.trim_matches(['"', ',']).to_string());
                }
            }
        }
    }
    assert!(
        written.len() >= 30,
        "the pattern of this test no longer finds the ops: {written:?}"
    );
    for name in &written {
        assert!(
            listed.0.contains(&name.as_str()),
            "{name} is written in ops/ but not listed in ops::visit"
        );
    }
}

struct Names(Vec<&'static str>);

impl ops::Visitor for Names {
    fn op<O: Op>(&mut self) {
        self.0.push(O::NAME);
    }
}
