//! In builds with little optimization the compiler lets crates share what a generic function became for a type: a program uses the copy of
//! the crate that it depends on. So the ops are compiled here, for `f32` and `f64`, and not again in each program and each test. With
//! full optimization nothing is shared, and a program compiles the ops that it uses: this module is not there then.

use std::hint::black_box;
use std::panic::Location;

use tiegrad_arena::Params;
use tiegrad_kernels::Scalar;

use crate::graph::Graph;
use crate::op::Op;
use crate::ops::{self, Visitor};
use crate::tape::Tape;
use crate::var::Var;

type Apply<T, O> =
    fn(Graph<'static, T>, O, &[Var<'static, T>], &'static Location<'static>) -> Var<'static, T>;

struct Ops;

impl Visitor for Ops {
    fn op<O: Op>(&mut self) {
        black_box::<Apply<f32, O>>(Graph::apply_at);
        black_box::<Apply<f64, O>>(Graph::apply_at);
    }
}

fn tape<T: Scalar>() {
    black_box::<fn(&'static mut Tape, &'static mut Params<T>) -> Graph<'static, T>>(Tape::record);
    black_box::<fn(&'static mut Tape, &'static Params<T>) -> Graph<'static, T>>(Tape::eval);
    black_box::<fn(Var<'static, T>) -> Result<T, crate::Error>>(Var::backward);
}

/// Names what is compiled here. Nobody calls it.
pub fn compiled() {
    ops::visit(&mut Ops);
    tape::<f32>();
    tape::<f64>();
}
