//! Property 6: an error names the line of the user's call, through derived layers, tuples and pointers alike, and `explain` adds the layer's path.

use tiegrad::autodiff::Error;
use tiegrad::prelude::*;

fn rng() -> Xoshiro256PlusPlus {
    Xoshiro256PlusPlus::seed_from_u64(1)
}

#[track_caller]
fn assert_at(error: &Error, line: u32) {
    assert!(
        error.location().file().ends_with("error_location.rs"),
        "{error}"
    );
    assert_eq!(error.location().line(), line, "{error}");
}

#[test]
fn a_layer_called_by_the_user() {
    let mut params = Params::<f32>::new();
    let net = (
        Linear::new(&mut params, 4, 8, &mut rng()),
        ReLU,
        Linear::new(&mut params, 7, 1, &mut rng()),
    );
    let mut tape = Tape::new();
    let g = tape.eval(&params);
    let error = net.forward(g.full([2, 4], 1.0)).sum().item().unwrap_err();
    assert_at(&error, line!() - 1);
    assert_eq!(error.op(), "linear");
    let text = net.explain(&error);
    assert!(text.contains("2.weight"), "{text}");
}

#[test]
fn a_layer_behind_a_pointer() {
    let mut params = Params::<f32>::new();
    let inner = sequential![ReLU, Linear::new(&mut params, 7, 1, &mut rng())];
    let net = sequential![Linear::new(&mut params, 4, 8, &mut rng()), inner];
    let mut tape = Tape::new();
    let g = tape.eval(&params);
    let error = net.forward(g.full([2, 4], 1.0)).sum().item().unwrap_err();
    assert_at(&error, line!() - 1);
    let text = net.explain(&error);
    assert!(text.contains("1.1.weight"), "{text}");
    // Afterwards, errors outside of a layer are where they are.
    let error = (g.full([2], 1.0) + g.full([3], 1.0)).item().unwrap_err();
    assert_at(&error, line!() - 1);
}
