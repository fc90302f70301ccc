//! A fork: a parameter that begins as a copy of another, with the state that optimizers have for it.

#![allow(clippy::unwrap_used)] // also in the helpers of tests

use tiegrad_arena::{ArenaError, ParamId, Params, Shape, State};

fn filled(params: &mut Params<f32>, len: usize, x: f32) -> ParamId {
    params.insert_with(Shape::new(&[len]).unwrap(), |w| w.fill(x))
}

/// Gives a parameter a state that no other has.
fn remember(state: &mut State<f32>, params: &Params<f32>, id: ParamId, x: f32) {
    state.sync(params.values());
    let len = params.info(id).unwrap().shape.len();
    let values: Vec<f32> = (0..len).map(|i| x + i as f32 / 16.0).collect();
    state
        .set_tensor(id, "avg", &ndarray::arr1(&values))
        .unwrap();
    state.set_step(id, x as u64).unwrap();
}

fn recalled(state: &State<f32>, id: ParamId) -> (Vec<f32>, u64) {
    let avg = state.tensor(id, "avg").unwrap();
    (avg.iter().copied().collect(), state.step(id).unwrap())
}

#[test]
fn a_fork_is_a_copy_and_then_its_own() {
    let mut params = Params::<f32>::new();
    let id = filled(&mut params, 3, 1.0);
    params.set_requires_grad(id, false).unwrap();
    params.mark_initialized(id, "0.weight", "ones").unwrap();
    let (values, grads) = params.split();
    grads.prepare(values);
    grads.touch(id.index());

    let line = line!() + 1;
    let copy = params.fork(id).unwrap();
    let info = *params.info(copy).unwrap();
    assert_eq!((info.forked_from, info.requires_grad), (Some(id), false));
    assert_eq!(info.declared_at.line(), line);
    assert_eq!(info.shape, [3]);
    assert_eq!(params.info(id).unwrap().forked_from, None);
    assert_eq!(params.initialized(copy), params.initialized(id));
    assert!(params.grad(id).unwrap().is_some() && params.grad(copy).unwrap().is_none());

    params.as_mut_slice(copy).unwrap()[0] = 5.0;
    assert_eq!(params.as_slice(id), Ok(&[1.0; 3][..]));
    assert_eq!(params.as_slice(copy), Ok(&[5.0, 1.0, 1.0][..]));
}

#[test]
fn what_cannot_be_forked_is_an_error() {
    let mut params = Params::<f32>::new();
    let id = filled(&mut params, 3, 1.0);
    params.remove(id).unwrap();
    assert!(matches!(params.fork(id), Err(ArenaError::Stale { .. })));
    assert_eq!(params.fork(ParamId::DEAD), Err(ArenaError::Dead));
    assert!(matches!(
        Params::<f32>::new().fork(id),
        Err(ArenaError::Foreign { .. })
    ));
    assert!(params.is_empty());
}

#[test]
fn state_follows_a_fork_once() {
    let mut params = Params::new();
    let [other, id] = [2, 3].map(|len| filled(&mut params, len, 0.0));
    let mut state = State::new(["avg"]);
    remember(&mut state, &params, other, 9.0);
    remember(&mut state, &params, id, 5.0);

    let copy = params.fork(id).unwrap();
    state.sync(params.values());
    assert_eq!(recalled(&state, copy), (vec![5.0, 5.0625, 5.125], 5));
    for known in [other, id] {
        assert_eq!(
            recalled(&state, known).1,
            if known == id { 5 } else { 9 },
            "the others keep theirs"
        );
    }

    // From now on each has its own, whatever comes and goes.
    remember(&mut state, &params, copy, 7.0);
    remember(&mut state, &params, id, 6.0);
    params.remove(other).unwrap();
    params.compact();
    filled(&mut params, 40, 0.0);
    state.sync(params.values());
    assert_eq!((recalled(&state, copy).1, recalled(&state, id).1), (7, 6));
    assert_eq!(recalled(&state, copy).0[0], 7.0);
}

#[test]
fn a_fork_has_the_state_of_the_original_wherever_it_came_to_lie() {
    let mut params = Params::new();
    let [hole, id] = [16, 16].map(|len| filled(&mut params, len, 0.0));
    let mut state = State::new(["avg"]);
    remember(&mut state, &params, hole, 3.0);
    remember(&mut state, &params, id, 5.0);
    let expected = recalled(&state, id);

    // In a freed stretch, of an original that is gone and whose place is taken before any optimizer has looked.
    params.remove(hole).unwrap();
    let copy = params.fork(id).unwrap();
    let copy_of_copy = params.fork(copy).unwrap();
    params.remove(id).unwrap();
    let new = filled(&mut params, 16, 0.0);
    assert_eq!(new.index(), id.index());
    state.sync(params.values());
    assert_eq!(recalled(&state, copy), expected);
    assert_eq!(recalled(&state, copy_of_copy), expected);
    assert_eq!(recalled(&state, new), (vec![0.0; 16], 0));
}

#[test]
fn a_state_that_never_knew_the_original_begins_at_zero() {
    let mut params = Params::new();
    let id = filled(&mut params, 2, 0.0);
    let copy = params.fork(id).unwrap();
    let mut state = State::new(["avg"]);
    remember(&mut state, &params, id, 5.0);
    filled(&mut params, 2, 0.0);
    state.sync(params.values());
    assert_eq!(recalled(&state, copy), (vec![0.0; 2], 0));
}

#[test]
fn copies_of_an_arena_know_what_was_forked() {
    let mut params = Params::new();
    let id = filled(&mut params, 2, 1.0);
    let copy = params.fork(id).unwrap();
    assert_eq!(params.clone().info(copy).unwrap().forked_from, Some(id));
    assert_eq!(
        params.cast::<f64>().info(copy).unwrap().forked_from,
        Some(id)
    );
    // The next one in its slot was not.
    params.remove(copy).unwrap();
    let next = filled(&mut params, 2, 1.0);
    assert_eq!(next.index(), copy.index());
    assert_eq!(params.info(next).unwrap().forked_from, None);
}
