//! What threads of a program may share and pass on.

use tiegrad::arena::{Grads, State, Values};
use tiegrad::autodiff::Error;
use tiegrad::prelude::*;

#[test]
fn arenas_networks_optimizers_and_errors_may_go_to_other_threads() {
    fn check<T: Send + Sync + 'static>() {}
    check::<Params<f32>>();
    check::<Params<Dual<f64>>>();
    check::<(Values<f32>, Grads<f32>, State<f32>)>();
    check::<(GPT, Linear, Sequential, Tied)>();
    check::<(SGD, Adam, AdamW, RMSprop)>();
    check::<(Error, Loaded, NameError)>();
    fn send<T: Send + 'static>() {}
    send::<Tape>();
}

/// Two threads, one network, one copy of the values; the sum of their gradients is that of both batches.
#[test]
fn workers_share_values_and_sum_gradients() {
    let mut params = Params::<f64>::new();
    let net = Linear::new(&mut params, 3, 2, &mut Xoshiro256PlusPlus::seed_from_u64(1));
    let batches = [array![[1.0, 2.0, 3.0]], array![[-1.0, 0.5, 4.0]]];
    let work = |values: &Values<f64>, batch: &Array2<f64>| {
        let mut grads = Grads::new(values);
        let mut tape = Tape::new();
        let g = tape.record_into(values, &mut grads);
        net.forward(g.input(batch))
            .square()
            .sum()
            .backward()
            .unwrap();
        grads
    };
    let (values, grads) = params.split();
    let theirs: Vec<Grads<f64>> = std::thread::scope(|scope| {
        let workers = batches
            .each_ref()
            .map(|batch| scope.spawn(move || work(values, batch)));
        workers
            .into_iter()
            .map(|worker| worker.join().unwrap())
            .collect()
    });
    grads.reduce(&theirs).unwrap();
    let summed = params.grad(net.weight).unwrap().unwrap().to_owned();

    params.zero_grad();
    let mut tape = Tape::new();
    for batch in &batches {
        let g = tape.record(&mut params);
        net.forward(g.input(batch))
            .square()
            .sum()
            .backward()
            .unwrap();
    }
    assert_eq!(params.grad(net.weight).unwrap().unwrap(), summed);
}
