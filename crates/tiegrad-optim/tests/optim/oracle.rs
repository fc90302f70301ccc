//! PyTorch's optimizers, step by step: the vectors in `tests/data`, or in the folder that `TIEGRAD_ORACLE` names.
//!
//! In the vectors that came with the project, `p0`, `p1` hold the parameters *after the last step*, bit for bit: they were
//! written down without a copy. Where that is so, the start is found again from the first step (see `start`), which then
//! proves nothing by itself; all further steps do. That the starts found so through four optimizers agree is a test of the
//! first step.

use std::path::{Path, PathBuf};

use safetensors::{Dtype, SafeTensors};
use serde_json::Value;
use tiegrad_arena::{Params, Shape};
use tiegrad_optim::{Adam, AdamW, Optimizer, RMSprop, SGD};

/// Rounding only: PyTorch computed these in f64.
const TOLERANCE: f64 = 1e-12;

#[test]
fn steps_are_those_of_pytorch() {
    let folder = std::env::var_os("TIEGRAD_ORACLE").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data")),
        PathBuf::from,
    );
    let (cases, bytes) = load(&folder);
    let tensors = SafeTensors::deserialize(&bytes).unwrap();

    let (mut ran, mut found_again) = (0, 0);
    let mut failures = Vec::new();
    for case in &cases {
        let Some(name) = kind(case) else {
            continue;
        };
        ran += 1;
        match run(name, case, &tensors) {
            Ok(case) => found_again += usize::from(case.overwritten),
            Err(reason) => failures.push(format!("{} {}: {reason}", case["id"], case["kwargs"])),
        }
    }
    println!(
        "{ran} cases of optimizers from {} ({found_again} of them without their start)",
        folder.display()
    );
    assert!(
        failures.is_empty(),
        "{} of {ran} failed:\n{}",
        failures.len(),
        failures.join("\n")
    );
    assert!(ran > 0, "no case of an optimizer in {}", folder.display());
}

/// Runs a case and returns it.
fn run(name: &str, case: &Value, tensors: &SafeTensors<'_>) -> Result<Case, String> {
    let id = case["id"].as_str().ok_or("no id")?;
    let names = case["tensors"].as_array().ok_or("no tensors")?;
    let has = |tensor: &str| names.iter().any(|name| name == tensor);
    let tensor = |name: String| read(tensors, &format!("{id}/{name}"));
    let kwargs = case["kwargs"].as_object().ok_or("no kwargs")?;
    let opt = || optimizer(name, kwargs);

    let mut case = Case::default();
    while has(&format!("p{}", case.start.len())) {
        let (shape, data) = tensor(format!("p{}", case.start.len()))?;
        case.shapes
            .push(Shape::new(&shape).map_err(|e| e.to_string())?);
        case.start.push(data);
    }
    let count = case.start.len();
    let optional = |tensor_name: String| {
        let there = has(&tensor_name);
        there
            .then(|| Ok::<_, String>(tensor(tensor_name)?.1))
            .transpose()
    };
    while has(&format!("p0_after{}", case.after.len())) {
        let step = case.after.len();
        // A parameter without a gradient at a step is skipped.
        let grads = (0..count).map(|i| optional(format!("g{step}_{i}")));
        case.grads.push(grads.collect::<Result<_, _>>()?);
        let after = (0..count).map(|i| Ok(tensor(format!("p{i}_after{step}"))?.1));
        case.after.push(after.collect::<Result<_, String>>()?);
    }
    let Some(last) = case.after.last() else {
        return Err("no parameters or no steps".into());
    };
    case.overwritten = case.start == *last;
    if case.overwritten {
        case.start = start(&case, opt)?;
    }
    let (mut opt, mut params, ids) = (opt()?, Params::<f64>::new(), &mut Vec::new());
    for (shape, start) in case.shapes.iter().zip(&case.start) {
        ids.push(params.insert_with(*shape, |w| w.copy_from_slice(start)));
    }
    for (step, (grads, after)) in case.grads.iter().zip(&case.after).enumerate() {
        crate::common::step(&mut *opt, &mut params, ids, grads)?;
        for (i, (&id, after)) in ids.iter().zip(after).enumerate() {
            let found = params.as_slice(id).map_err(|e| e.to_string())?;
            for (element, (e, f)) in after.iter().zip(found).enumerate() {
                // Written so that a NaN fails.
                let close = (e - f).abs() <= TOLERANCE * e.abs().max(1.0);
                if !close {
                    return Err(format!("step {step}, p{i}[{element}]: {f} and not {e}"));
                }
            }
        }
    }
    Ok(case)
}

/// What a case holds: parameters before the first step, gradients of each step, parameters after it.
#[derive(Default)]
struct Case {
    /// Whether the vectors have the end in the place of the start.
    overwritten: bool,
    shapes: Vec<Shape>,
    start: Vec<Vec<f64>>,
    grads: Vec<Vec<Option<Vec<f64>>>>,
    after: Vec<Vec<Vec<f64>>>,
}

/// The parameters from which the first step leads to `after[0]`: a step changes little, so what one from a guess misses is what
/// the guess misses, nearly.
fn start(
    case: &Case,
    opt: impl Fn() -> Result<Box<dyn Optimizer<f64>>, String>,
) -> Result<Vec<Vec<f64>>, String> {
    let mut guess = case.after[0].clone();
    for _ in 0..200 {
        let (mut params, mut ids) = (Params::<f64>::new(), Vec::new());
        for (shape, values) in case.shapes.iter().zip(&guess) {
            ids.push(params.insert_with(*shape, |w| w.copy_from_slice(values)));
        }
        crate::common::step(&mut *opt()?, &mut params, &ids, &case.grads[0])?;
        let mut missed: f64 = 0.0;
        for ((guess, after), &id) in guess.iter_mut().zip(&case.after[0]).zip(&ids) {
            let reached = params.as_slice(id).map_err(|e| e.to_string())?;
            for ((guess, after), reached) in guess.iter_mut().zip(after).zip(reached) {
                *guess += after - reached;
                missed = missed.max((after - reached).abs() / after.abs().max(1.0));
            }
        }
        if missed < 1e-15 {
            return Ok(guess);
        }
    }
    Err("the start is not in the vectors and cannot be found".into())
}

/// The first step of every optimizer leads back to one start.
#[test]
fn starts_agree_between_optimizers() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data");
    let (cases, bytes) = load(&PathBuf::from(folder));
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let cases: Vec<_> = cases
        .iter()
        .map(|case| run(kind(case).unwrap(), case, &tensors).unwrap())
        .collect();
    for case in &cases {
        // They were drawn from one seed.
        assert_eq!(case.grads, cases[0].grads);
        for (a, b) in case
            .start
            .iter()
            .flatten()
            .zip(cases[0].start.iter().flatten())
        {
            assert!((a - b).abs() < 1e-13, "{a} {b}");
        }
    }
    assert!(cases.len() >= 14);
}

/// The name of the optimizer that a case is of, if we have it.
fn kind(case: &Value) -> Option<&'static str> {
    let kind = case["kind"].as_str()?.strip_prefix("optim.")?;
    ["SGD", "Adam", "AdamW", "RMSprop"]
        .into_iter()
        .find(|name| *name == kind)
}

fn load(folder: &Path) -> (Vec<Value>, Vec<u8>) {
    let text = std::fs::read_to_string(folder.join("train.json")).unwrap();
    let bytes = std::fs::read(folder.join("train.safetensors")).unwrap();
    (serde_json::from_str(&text).unwrap(), bytes)
}

fn optimizer(
    name: &str,
    kwargs: &serde_json::Map<String, Value>,
) -> Result<Box<dyn Optimizer<f64>>, String> {
    let number = |value: &Value| match value {
        Value::Object(map) => map["float"].as_str().and_then(|text| text.parse().ok()),
        // A learning rate may be given as a tensor of one number.
        Value::Array(one) if one.len() == 1 => one[0].as_f64(),
        other => other.as_f64(),
    };
    macro_rules! build {
        ($ty:ident: $($number:ident)* ; $($switch:ident)* ; $($pair:ident)*) => {{
            let mut opt = $ty::<f64>::default();
            for (key, value) in kwargs {
                let bad = || format!("{key} = {value} is not understood");
                match key.as_str() {
                    "lr" => opt.set_lr(number(value).ok_or_else(bad)?),
                    $(stringify!($number) => opt = opt.$number(number(value).ok_or_else(bad)?),)*
                    $(stringify!($switch) => opt = opt.$switch(value.as_bool().ok_or_else(bad)?),)*
                    $(stringify!($pair) => {
                        let pair = [&value[0], &value[1]].map(|v| number(v).ok_or_else(bad));
                        let [first, second] = pair;
                        opt = opt.$pair(first?, second?);
                    })*
                    // How PyTorch computes, not what.
                    "foreach" | "fused" | "capturable" | "differentiable" => {}
                    _ => return Err(bad()),
                }
            }
            Box::new(opt)
        }};
    }
    Ok(match name {
        "SGD" => build!(SGD: momentum dampening weight_decay ; nesterov maximize ;),
        "Adam" => {
            build!(Adam: weight_decay eps ; amsgrad maximize decoupled_weight_decay ; betas)
        }
        "AdamW" => build!(AdamW: weight_decay eps ; amsgrad maximize ; betas),
        "RMSprop" => build!(RMSprop: alpha eps weight_decay momentum ; centered maximize ;),
        _ => return Err("no such optimizer".into()),
    })
}

fn read(tensors: &SafeTensors<'_>, name: &str) -> Result<(Vec<usize>, Vec<f64>), String> {
    let view = tensors.tensor(name).map_err(|e| format!("{name}: {e}"))?;
    if view.dtype() != Dtype::F64 {
        return Err(format!("{name} is {:?}", view.dtype()));
    }
    let bytes = view.data().chunks_exact(8);
    let data = bytes
        .map(|b| f64::from_le_bytes(b.try_into().unwrap()))
        .collect();
    Ok((view.shape().to_vec(), data))
}
