//! Stands where the engine will be plugged in.

use std::path::Path;

use crate::batches::Batch;
use crate::config::Config;
use crate::engine::{Engine, Metadata, StepReport};
use crate::error::{Error, Result};

/// No model can be made of this type: every way to one is an error.
pub(crate) enum Pending {}

fn none<T>() -> Result<T> {
    Err(Error::failed("this build of tiegrad has no engine"))
}

impl Engine for Pending {
    fn set_threads(_: Option<usize>) {}
    fn new(_: &Config, _: usize) -> Result<Self> {
        none()
    }
    fn metadata(_: &Path) -> Result<Metadata> {
        none()
    }
    fn load(_: &Path, _: &Config, _: usize) -> Result<Self> {
        none()
    }
    fn save(&mut self, _: &Path, _: &Metadata) -> Result<()> {
        match *self {}
    }
    fn describe(&self) -> String {
        match *self {}
    }
    fn step(&mut self, _: u64, _: &Batch, _: f64) -> Result<StepReport> {
        match *self {}
    }
    fn loss(&mut self, _: &Batch) -> Result<f64> {
        match *self {}
    }
    fn logits(&mut self, _: &[u32], _: &mut Vec<f32>) -> Result<()> {
        match *self {}
    }
}
