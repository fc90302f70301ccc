use tiegrad::prelude::*;

fn main() {
    let mut params = Params::<f32>::new();
    let w = params.insert(&ndarray::array![1.0_f32]).unwrap();
    let mut tape = Tape::new();
    let loss = tape.record(&mut params).param(w).square().sum();
    params.value_mut(w).unwrap()[[0]] = 2.0;
    loss.backward().unwrap();
}
