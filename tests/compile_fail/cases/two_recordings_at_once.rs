use tiegrad::prelude::*;

fn main() {
    let mut params = Params::<f32>::new();
    let w = params.insert(&ndarray::array![1.0_f32]).unwrap();
    let (mut first, mut second) = (Tape::new(), Tape::new());
    let loss = first.record(&mut params).param(w).square().sum();
    let other = second.record(&mut params).param(w).square().sum();
    loss.backward().unwrap();
    other.backward().unwrap();
}
