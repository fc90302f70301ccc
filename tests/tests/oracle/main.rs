//! PyTorch's tied nets, trained: losses, first gradients and final parameters, from the vectors in `data`, or in the folder that
//! `TIEGRAD_ORACLE` names (files `train.json` and `train.safetensors`; the cases whose kind begins with `train.` are run).
//!
//! Nothing about a case is assumed beyond the architecture of its net: sizes follow from the shapes of `state/`, the number of steps from `loss`.
//! A case that cannot be run is a failure.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "also in the helpers of tests"
)]

use std::collections::BTreeSet;
use std::path::PathBuf;

use tiegrad::prelude::*;

use nets::Net;
use vectors::{Case, Vectors};

mod nets;
mod vectors;

/// Relative to 1 + |x|.
const TOLERANCE: f64 = 1e-10;

#[test]
fn tied_nets_train_as_in_pytorch() {
    let folder = std::env::var_os("TIEGRAD_ORACLE").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/data")),
        PathBuf::from,
    );
    let vectors = Vectors::read(&folder);
    let cases = vectors.cases("train.");
    let mut failures = Vec::new();
    let mut worst = 0.0;
    for case in &cases {
        match run(case) {
            Ok(error) => worst = f64::max(worst, error),
            Err(why) => failures.push(format!("{}: {why}", case.id)),
        }
    }
    println!(
        "{} cases of tied nets from {}, the largest error {worst:e}",
        cases.len(),
        folder.display()
    );
    assert!(
        !cases.is_empty(),
        "no case of a tied net in {}",
        folder.display()
    );
    assert!(
        failures.is_empty(),
        "{} of {} failed:\n{}",
        failures.len(),
        cases.len(),
        failures.join("\n")
    );
}

/// Trains the case's net and returns the largest error.
fn run(case: &Case<'_>) -> Result<f64, String> {
    let mut params = Params::<f64>::new();
    let net = Net::build(case, &mut params)?;
    load(case, &net, &mut params)?;
    let mut optimizer = optimizer(case.optimizer)?;

    let mut worst = Worst::default();
    let mut tape = Tape::new();
    for (step, &expected) in case.tensor("loss")?.data.iter().enumerate() {
        let g = tape.record(&mut params);
        let loss = net.loss(case, g)?.backward().map_err(|e| e.to_string())?;
        worst.see(
            &format!("the loss before step {step}"),
            &[loss],
            &[expected],
        )?;
        if step == 0 {
            compare_gradients(case, &net, &params, &mut worst)?;
        }
        optimizer.step(&mut params).map_err(|e| e.to_string())?;
        params.zero_grad();
    }
    if optimizer.state().ids().count() != net.named_parameters().len() {
        return Err("not one optimizer state for each parameter".into());
    }
    for used in net.all_uses() {
        let name = format!("final/{}", used.path);
        let found = params.as_slice(used.id).map_err(|e| e.to_string())?;
        worst.see(&name, found, &case.tensor(&name)?.data)?;
    }
    case.all_were_read()?;
    Ok(worst.0)
}

/// PyTorch's settings of the vectors; its defaults for the rest.
fn optimizer(name: &str) -> Result<Box<dyn Optimizer<f64>>, String> {
    Ok(match name {
        "SGD" => Box::new(SGD::new(0.05).momentum(0.9).nesterov(true)),
        "Adam" => Box::new(Adam::new(0.02)),
        "AdamW" => Box::new(AdamW::new(0.01).weight_decay(0.1)),
        "RMSprop" => Box::new(RMSprop::new(0.003)),
        other => return Err(format!("unknown optimizer {other:?}")),
    })
}

/// Every path of the net gets the tensor of its name. Aliases must say the same: a tie that the file does not have is none.
fn load(case: &Case<'_>, net: &Net, params: &mut Params<f64>) -> Result<(), String> {
    for used in net.all_uses() {
        let name = format!("state/{}", used.path);
        let tensor = case.tensor(&name)?;
        let shape = params.info(used.id).map_err(|e| e.to_string())?.shape;
        if *shape != tensor.shape[..] {
            return Err(format!(
                "{name} has the shape {:?}, the net {shape}",
                tensor.shape
            ));
        }
        let values = params.as_mut_slice(used.id).map_err(|e| e.to_string())?;
        if used.alias_of.is_some() && values != tensor.data {
            return Err(format!("{name} differs from what it is tied to"));
        }
        values.copy_from_slice(&tensor.data);
    }
    Ok(())
}

/// `grad0/` has every parameter once; together the names must cover the net.
fn compare_gradients(
    case: &Case<'_>,
    net: &Net,
    params: &Params<f64>,
    worst: &mut Worst,
) -> Result<(), String> {
    let mut seen = BTreeSet::new();
    for name in case.names("grad0/") {
        let path = &name["grad0/".len()..];
        let id = net.find(path).map_err(|e| e.to_string())?;
        let found = params.grad_slice(id).map_err(|e| e.to_string())?;
        let found = found.ok_or_else(|| format!("{path} has no gradient"))?;
        worst.see(name, found, &case.tensor(name)?.data)?;
        seen.insert(id);
    }
    let all: BTreeSet<ParamId> = net
        .named_parameters()
        .into_iter()
        .map(|(_, id)| id)
        .collect();
    if seen != all {
        return Err("the gradients do not cover the parameters".into());
    }
    Ok(())
}

/// The largest error so far.
#[derive(Default)]
struct Worst(f64);

impl Worst {
    fn see(&mut self, what: &str, found: &[f64], expected: &[f64]) -> Result<(), String> {
        if found.len() != expected.len() {
            return Err(format!(
                "{what}: {} numbers, expected {}",
                found.len(),
                expected.len()
            ));
        }
        for (i, (x, y)) in found.iter().zip(expected).enumerate() {
            let error = (x - y).abs() / (1.0 + y.abs());
            if error.is_nan() || error > TOLERANCE {
                return Err(format!("{what}[{i}] is {x:e}, PyTorch has {y:e}"));
            }
            self.0 = self.0.max(error);
        }
        Ok(())
    }
}
