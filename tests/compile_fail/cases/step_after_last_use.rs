//! After the last use of the graph the values may change: no block, no `drop`.
use tiegrad::prelude::*;

pub(crate) fn main() {
    let mut params = Params::<f32>::new();
    let w = params.insert(&ndarray::array![1.0_f32]).unwrap();
    let mut tape = Tape::new();
    let mut opt = SGD::new(0.1);
    let g = tape.record(&mut params);
    let _loss = g.param(w).square().sum().backward().unwrap();
    opt.step(&mut params).unwrap();
    params.value_mut(w).unwrap()[[0]] = 2.0;
    params.zero_grad();
}
