use tiegrad::prelude::*;

fn main() {
    let params = Params::<f32>::new();
    let mut tape = Tape::new();
    let old = tape.eval(&params).input(&[1.0]);
    let new = tape.eval(&params).input(&[2.0]);
    new.item().unwrap();
    old.item().unwrap();
}
