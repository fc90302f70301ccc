//! Gradients, runs and optimizer state.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // also in the helpers of tests

use ndarray::{arr1, arr2};
use tiegrad_arena::{ArenaError, Grads, ParamId, Params, Selection, Shape, State, Values};

/// Parameters of these lengths, and their ids.
fn arena(lens: &[usize]) -> (Params<f64>, Vec<ParamId>) {
    let mut params = Params::new();
    let ids = lens
        .iter()
        .map(|&len| params.insert_with(Shape::new(&[len]).unwrap(), |_| {}))
        .collect();
    (params, ids)
}

/// What a rule does: overwrite at the first contribution, accumulate afterwards.
fn contribute(values: &Values<f64>, grads: &mut Grads<f64>, id: ParamId, x: f64) {
    let range = values.slot(id).unwrap().range();
    let accumulate = grads.touch(id.index());
    for grad in &mut grads.slab_mut()[range] {
        *grad = if accumulate { *grad + x } else { x };
    }
}

fn contribute_to(params: &mut Params<f64>, id: ParamId, x: f64) {
    let (values, grads) = params.split();
    grads.prepare(values);
    contribute(values, grads, id, x);
}

#[test]
fn gradients_are_none_until_reached_and_take_no_memory_before() {
    let (mut params, ids) = arena(&[3, 2]);
    assert!(params.grads().slab().is_empty());
    assert_eq!(params.grad(ids[0]), Ok(None));
    params.split();
    assert!(params.grads().slab().is_empty(), "only `prepare` allocates");
    contribute_to(&mut params, ids[0], 2.0);
    contribute_to(&mut params, ids[0], 3.0);
    assert_eq!(
        params.grad(ids[0]).unwrap().unwrap(),
        arr1(&[5.0, 5.0, 5.0]).into_dyn()
    );
    assert_eq!(params.grad(ids[1]), Ok(None));
    assert!(params.clone().grads().slab().is_empty());
    assert!(params.cast::<f32>().grads().slab().is_empty());
}

#[test]
fn zero_grad_writes_no_gradient() {
    let (mut params, ids) = arena(&[3]);
    contribute_to(&mut params, ids[0], 2.0);
    params.zero_grad();
    assert_eq!(params.grad(ids[0]), Ok(None));
    assert_eq!(
        params.grads().slab()[..3],
        [2.0; 3],
        "the bytes are as they were"
    );
    // The next contribution overwrites, whatever is there.
    params.split().1.slab_mut().fill(f64::NAN);
    contribute_to(&mut params, ids[0], 1.0);
    assert_eq!(params.grad_slice(ids[0]).unwrap(), Some(&[1.0; 3][..]));
}

#[test]
fn gradients_survive_changes_of_the_arena() {
    let (mut params, ids) = arena(&[20, 5, 7]);
    for (n, &id) in ids.iter().enumerate() {
        contribute_to(&mut params, id, n as f64 + 1.0);
    }
    let new = params.insert(&arr2(&[[1.0]])).unwrap();
    assert_eq!(params.grad(new), Ok(None));
    params.remove(ids[0]).unwrap();
    params.compact();
    assert_eq!(params.grad_slice(ids[1]).unwrap(), Some(&[2.0; 5][..]));
    assert_eq!(params.grad_slice(ids[2]).unwrap(), Some(&[3.0; 7][..]));
    // A new tenant of a slot starts without its predecessor's gradient.
    params.remove(ids[1]).unwrap();
    let tenant = params.insert(&arr1(&[0.0; 5])).unwrap();
    assert_eq!(tenant.index(), ids[1].index());
    assert_eq!(params.grad(tenant), Ok(None));
    assert!(matches!(params.grad(ids[1]), Err(ArenaError::Stale { .. })));
}

#[test]
fn runs_are_as_long_as_can_be() {
    let (mut params, ids) = arena(&[32, 8, 8, 1, 100]);
    let runs = |params: &mut Params<f64>, keep: &dyn Fn(ParamId) -> bool| {
        let (values, grads) = params.split();
        let runs = grads.runs(values, keep).unwrap();
        runs.map(|run| (run.range, run.slots)).collect::<Vec<_>>()
    };
    assert_eq!(runs(&mut params, &|_| true), []);
    for &id in &ids[..4] {
        contribute_to(&mut params, id, 1.0);
    }
    assert_eq!(runs(&mut params, &|_| true), [(0..80, 0..4)]);
    let biases = Selection::from_ids([ids[1], ids[3]]);
    assert_eq!(
        runs(&mut params, &|id| biases.contains(id)),
        [(32..48, 1..2), (64..80, 3..4)]
    );
    assert_eq!(
        runs(&mut params, &|id| !biases.contains(id)),
        [(0..32, 0..1), (48..64, 2..3)]
    );
    params.remove(ids[1]).unwrap();
    assert_eq!(
        runs(&mut params, &|_| true),
        [(0..32, 0..1), (48..80, 2..4)]
    );
    params.zero_grad();
    assert_eq!(runs(&mut params, &|_| true), []);
}

#[test]
fn runs_of_an_old_layout_are_an_error_and_not_nothing() {
    let (mut params, ids) = arena(&[3, 4]);
    let mut worker = Grads::new(params.values());
    contribute(params.values(), &mut worker, ids[1], 1.0);
    params.remove(ids[0]).unwrap();
    params.compact();
    let error = worker.runs(params.values(), |_| true).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the arena's layout has changed since these were laid out; call `Grads::prepare` first"
    );
    worker.prepare(params.values());
    assert_eq!(
        worker
            .runs(params.values(), |_| true)
            .unwrap()
            .next()
            .unwrap()
            .range,
        0..16
    );
    assert_eq!(worker.slice(ids[1]), Some(&[1.0; 4][..]));
}

#[test]
fn workers_share_values_and_are_summed_in_order() {
    let (mut params, ids) = arena(&[4, 4, 4]);
    let big = 1e16;
    let (values, grads) = params.split();
    let mut workers: Vec<_> = (0..3).map(|_| Grads::new(values)).collect();
    std::thread::scope(|scope| {
        for (n, worker) in workers.iter_mut().enumerate() {
            let ids = &ids;
            scope.spawn(move || {
                contribute(values, worker, ids[0], [big, 1.0, -big][n]);
                if n == 1 {
                    contribute(values, worker, ids[1], 5.0);
                }
            });
        }
    });
    // Never laid out so far: the first contribution overwrites.
    grads.reduce(&workers).unwrap();
    assert_eq!(
        params.grad_slice(ids[0]).unwrap(),
        Some(&[(big + 1.0) - big; 4][..])
    );
    assert_eq!(params.grad_slice(ids[1]).unwrap(), Some(&[5.0; 4][..]));
    assert_eq!(params.grad_slice(ids[2]).unwrap(), None);

    workers.swap(1, 2);
    let (values, grads) = params.split();
    grads.zero_grad();
    contribute(values, grads, ids[1], 2.0);
    grads.reduce(&workers).unwrap();
    assert_eq!(
        params.grad_slice(ids[0]).unwrap(),
        Some(&[1.0; 4][..]),
        "in the given order"
    );
    assert_eq!(
        params.grad_slice(ids[1]).unwrap(),
        Some(&[7.0; 4][..]),
        "what is there comes first"
    );
}

#[test]
fn reducing_what_is_not_known_is_an_error_and_changes_nothing() {
    let (mut params, ids) = arena(&[4]);
    contribute_to(&mut params, ids[0], 1.0);
    let mut grads = params.grads().clone();
    let new = params.insert(&arr1(&[0.0])).unwrap();
    let mut known = Grads::new(params.values());
    contribute(params.values(), &mut known, ids[0], 10.0);
    let mut unknown = known.clone();
    contribute(params.values(), &mut unknown, new, 1.0);
    assert!(matches!(
        grads.reduce(&[known.clone(), unknown.clone()]),
        Err(ArenaError::OutOfStep { .. })
    ));
    assert_eq!(grads.slice(ids[0]), Some(&[1.0; 4][..]));
    grads.reduce(&[known]).unwrap();
    assert_eq!(grads.slice(ids[0]), Some(&[11.0; 4][..]));
    grads.prepare(params.values());
    grads.reduce(&[unknown]).unwrap();
    assert_eq!(grads.slice(new), Some(&[1.0][..]));
}

#[test]
fn state_follows_the_arena_by_id() {
    let (mut params, ids) = arena(&[20, 2, 3]);
    let mut state = State::new(["momentum_buffer"]);
    assert_eq!(state.names().collect::<Vec<_>>(), ["momentum_buffer"]);
    assert!(matches!(
        state.step(ids[0]),
        Err(ArenaError::OutOfStep { .. })
    ));
    state.sync(params.values());
    for (n, &id) in ids.iter().enumerate() {
        let range = params.values().slot(id).unwrap().range();
        let ([slab], steps) = state.parts_mut();
        slab[range].fill(n as f64 + 1.0);
        steps[id.index()] = 10 + n as u64;
    }
    params.remove(ids[0]).unwrap();
    params.compact();
    let new = params.insert(&arr1(&[0.0; 20])).unwrap();
    assert_eq!(new.index(), 0);
    state.sync(params.values());
    assert_eq!(
        state.tensor(ids[1], "momentum_buffer").unwrap(),
        arr1(&[2.0, 2.0]).into_dyn()
    );
    assert_eq!(
        state.tensor(ids[2], "momentum_buffer").unwrap(),
        arr1(&[3.0; 3]).into_dyn()
    );
    assert_eq!(
        state.tensor(new, "momentum_buffer").unwrap(),
        arr1(&[0.0; 20]).into_dyn()
    );
    assert_eq!(
        (state.step(ids[1]), state.step(ids[2]), state.step(new)),
        (Ok(11), Ok(12), Ok(0))
    );
    assert!(state.step(ids[0]).is_err());
    state.reset();
    assert_eq!(
        state.tensor(ids[1], "momentum_buffer").unwrap(),
        arr1(&[0.0, 0.0]).into_dyn()
    );
    assert_eq!(state.step(ids[1]), Ok(0));
}

#[test]
fn state_is_written_whole_or_not_at_all() {
    let mut params = Params::<f32>::new();
    let id = params.insert(&arr2(&[[0.0f32; 2]; 3])).unwrap();
    let mut state = State::new(["a", "b"]);
    state.sync(params.values());
    let value = arr2(&[[1.0f32, 2.0, 3.0], [4.0, 5.0, 6.0]]);
    state.set_tensor(id, "b", &value.t()).unwrap();
    assert_eq!(state.tensor(id, "b").unwrap(), value.t().into_dyn());
    assert_eq!(state.slab(0).unwrap(), [0.0; 16]);
    let text = state.set_tensor(id, "b", &value).unwrap_err().to_string();
    assert_eq!(
        text,
        format!("the parameter {id} has the shape [3, 2], and the array given for it has [2, 3]")
    );
    let text = state.tensor(id, "c").unwrap_err().to_string();
    assert_eq!(
        text,
        "the optimizer's state has no tensor \"c\"; it has [\"a\", \"b\"]"
    );
    let [a, b, none] = state.slabs_mut();
    assert_eq!((a.len(), b.len(), none.len()), (16, 16, 0));
}

#[test]
fn selections_are_sets() {
    let (_, ids) = arena(&[1, 1, 1, 1]);
    let (low, high) = (
        Selection::from_ids(ids[..3].to_vec()),
        ids[2..].iter().copied().collect::<Selection>(),
    );
    assert_eq!(low.union(&high), Selection::from_ids(ids.clone()));
    assert_eq!(low.intersection(&high), Selection::from_ids([ids[2]]));
    assert_eq!(low.difference(&high), Selection::from_ids([ids[1], ids[0]]));
    let mut grown = high.clone();
    grown.extend(low.iter());
    assert_eq!(
        (
            grown.len(),
            grown.is_empty(),
            Selection::default().is_empty()
        ),
        (4, false, true)
    );
    assert!(!grown.contains(ParamId::DEAD));
}
