//! What a user of the arena relies on, one test per promise.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // also in the helpers of tests

use std::collections::HashSet;

use ndarray::{Array, Array2, ArrayD, IxDyn, arr0, arr1, arr2};
use tiegrad_arena::{ArenaError, Grads, ParamId, Params, Selection, Shape, State, Values};
use tiegrad_kernels::Dual;

fn shape(dims: &[usize]) -> Shape {
    Shape::new(dims).unwrap()
}

fn filled(params: &mut Params<f32>, len: usize, value: f32) -> ParamId {
    params.insert_with(shape(&[len]), |w| w.fill(value))
}

#[test]
fn everything_goes_to_other_threads() {
    fn send_and_sync<T: Send + Sync + 'static>() {}
    send_and_sync::<Params<f32>>();
    send_and_sync::<Values<f64>>();
    send_and_sync::<Grads<f32>>();
    send_and_sync::<State<f64>>();
    send_and_sync::<Selection>();
    send_and_sync::<ArenaError>();
}

#[test]
fn ids_are_eight_bytes() {
    assert_eq!((size_of::<ParamId>(), size_of::<Option<ParamId>>()), (8, 8));
}

#[test]
fn scalars_and_empty_shapes_are_parameters() {
    let mut params = Params::<f64>::new();
    let scalar = params.insert(&arr0(2.5)).unwrap();
    let empty = params.insert(&Array2::<f64>::zeros((3, 0))).unwrap();
    let after = params.insert(&arr1(&[1.0])).unwrap();
    assert_eq!(params.value(scalar).unwrap(), arr0(2.5).into_dyn());
    assert_eq!(params.value(empty).unwrap().shape(), [3, 0]);
    assert_eq!(params.as_slice(empty).unwrap(), [0.0; 0]);
    assert_eq!((params.len(), params.num_elements()), (3, 2));

    let (values, grads) = params.split();
    grads.prepare(values);
    for id in [scalar, empty, after] {
        assert!(!grads.touch(id.index()));
    }
    let runs: Vec<_> = grads.runs(values, |_| true).unwrap().collect();
    assert_eq!(
        (runs.len(), runs[0].range.clone(), runs[0].slots.clone()),
        (1, 0..32, 0..3)
    );
    assert_eq!(params.grad(empty).unwrap().unwrap().shape(), [3, 0]);
    assert_eq!(params.remove(empty).unwrap().shape(), [3, 0]);
    params.compact();
    assert_eq!(params.as_slice(after).unwrap(), [1.0]);
}

#[test]
fn arrays_of_any_strides_go_in_row_by_row() {
    let mut params = Params::<f32>::new();
    let array = arr2(&[[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]);
    let transposed = params.insert(&array.t()).unwrap();
    assert_eq!(params.info(transposed).unwrap().shape, [3, 2]);
    assert_eq!(
        params.as_slice(transposed).unwrap(),
        [1.0, 4.0, 2.0, 5.0, 3.0, 6.0]
    );
    let stepped = params.insert(&array.slice(ndarray::s![.., ..;-2])).unwrap();
    assert_eq!(params.as_slice(stepped).unwrap(), [3.0, 1.0, 6.0, 4.0]);
}

#[test]
fn views_are_not_copies() {
    let mut params = Params::<f32>::new();
    let id = params.insert(&arr2(&[[1.0, 2.0], [3.0, 4.0]])).unwrap();
    let slab = params.values().slab().as_ptr();
    assert_eq!(params.value(id).unwrap().as_ptr(), slab);
    params.value_mut(id).unwrap()[[1, 0]] = 9.0;
    assert_eq!(params.as_slice(id).unwrap(), [1.0, 2.0, 9.0, 4.0]);

    let (values, grads) = params.split();
    grads.prepare(values);
    grads.touch(id.index());
    let slab = grads.slab().as_ptr();
    params.grad_mut(id).unwrap().unwrap()[[0, 1]] = 7.0;
    let grad = params.grad(id).unwrap().unwrap();
    assert_eq!((grad.as_ptr(), grad[[0, 1]]), (slab, 7.0));
}

#[test]
fn parameters_start_on_cache_lines() {
    let mut params = Params::<f64>::new();
    for len in [1, 3, 16, 17, 100] {
        let id = params.insert_with(shape(&[len]), |_| {});
        assert_eq!(params.as_slice(id).unwrap().as_ptr() as usize % 64, 0);
    }
}

#[test]
fn a_bad_id_says_what_it_was_and_what_is_there() {
    let mut params = Params::<f32>::new();
    let line = line!() + 1;
    let first = params.insert_with(shape(&[8, 4]), |_| {});
    params.remove(first).unwrap();
    let text = params.value(first).unwrap_err().to_string();
    let here = format!("{}:{line}:24", file!());
    let there = format!("{}:{}:12", file!(), line + 1);
    assert_eq!(
        text,
        format!(
            "the parameter {first} was removed at {there}: it had the shape [8, 4], declared at {here}; its slot is empty now"
        )
    );

    let second = filled(&mut params, 3, 1.0);
    assert_eq!((second.index(), second.generation()), (0, 2));
    let text = params.remove(first).unwrap_err().to_string();
    assert!(text.starts_with(&format!("the parameter {first} was removed at {there}: it had the shape [8, 4], declared at {here}; its slot now holds {second} of shape [3], declared at ")), "{text}");

    params.remove(second).unwrap();
    let third = filled(&mut params, 5, 1.0);
    let text = params.value(first).unwrap_err().to_string();
    assert!(text.starts_with(&format!("the parameter {first} was removed, and others have used its slot since; the slot now holds {third} of shape [5]")), "{text}");

    let mut other = Params::<f32>::new();
    assert_eq!(
        other.value(third).unwrap_err().to_string(),
        format!(
            "the parameter {third} belongs to the arena @{}, not to this one (which has inserted nothing itself yet); \
             the slot of that index here is empty now",
            third.arena()
        )
    );
    let own = filled(&mut other, 2, 0.0);
    let text = other.value(third).unwrap_err().to_string();
    assert!(
        text.contains(&format!(
            "(which inserts as @{}); the slot of that index here now holds {own} of shape [2]",
            own.arena()
        )),
        "{text}"
    );

    assert!(
        params
            .value(ParamId::DEAD)
            .unwrap_err()
            .to_string()
            .starts_with("this parameter does not exist")
    );
    assert_eq!(
        params.show(ParamId::DEAD).to_string(),
        format!("Parameter({})", ArenaError::Dead)
    );
}

#[test]
fn what_two_copies_insert_is_foreign_to_each_other() {
    let mut original = Params::<f32>::new();
    let shared = filled(&mut original, 2, 1.0);
    let mut copy = original.clone();
    let mut cast = original.cast::<f64>();
    let in_original = filled(&mut original, 2, 2.0);
    let in_copy = filled(&mut copy, 2, 3.0);
    let in_cast = cast.insert(&arr1(&[4.0, 4.0])).unwrap();
    let indices: HashSet<_> = [in_original, in_copy, in_cast].map(ParamId::index).into();
    assert_eq!(indices, [1].into());
    let tags: HashSet<_> = [in_original, in_copy, in_cast].map(ParamId::arena).into();
    assert_eq!(tags.len(), 3);
    assert_eq!(
        in_original.arena(),
        shared.arena(),
        "the original goes on under its tag"
    );

    assert!(matches!(
        original.value(in_copy),
        Err(ArenaError::Foreign { .. })
    ));
    assert!(matches!(
        copy.value(in_original),
        Err(ArenaError::Foreign { .. })
    ));
    assert!(matches!(
        copy.value(in_cast),
        Err(ArenaError::Foreign { .. })
    ));
    assert!(original.contains(shared) && copy.contains(shared) && cast.contains(shared));
    // What came from before the copy and was removed from it is stale there, and nowhere else.
    copy.remove(shared).unwrap();
    assert!(matches!(copy.value(shared), Err(ArenaError::Stale { .. })));
    assert!(original.value(shared).is_ok());
}

#[test]
fn a_cast_keeps_ids_values_and_layout() {
    let mut params = Params::<f32>::new();
    let ids: Vec<_> = (1..6)
        .map(|i| filled(&mut params, i * 7, i as f32 / 3.0))
        .collect();
    params.remove(ids[1]).unwrap();
    params.set_requires_grad(ids[2], false).unwrap();
    let precise = params.cast::<f64>();
    assert_eq!(precise.layout(), params.layout());
    for &id in &[ids[0], ids[2], ids[3], ids[4]] {
        let values: Vec<_> = params
            .as_slice(id)
            .unwrap()
            .iter()
            .map(|&x| f64::from(x))
            .collect();
        assert_eq!(precise.as_slice(id).unwrap(), values);
        assert_eq!(precise.info(id).unwrap(), params.info(id).unwrap());
        assert_eq!(
            precise.values().slot(id).unwrap().offset,
            params.values().slot(id).unwrap().offset
        );
    }
    assert!(precise.value(ids[1]).is_err());
    let back = precise.cast::<f32>();
    assert!(
        params
            .ids()
            .all(|id| back.as_slice(id) == params.as_slice(id))
    );
}

#[test]
fn a_cast_to_dual_numbers_and_back_keeps_ids() {
    let mut params = Params::<f32>::new();
    let ids = [3, 40].map(|len| filled(&mut params, len, 0.1));
    let duals = params.cast::<Dual<f64>>();
    for id in ids {
        let slice = duals.as_slice(id).unwrap();
        assert!(
            slice
                .iter()
                .all(|x| (x.re, x.eps) == (f64::from(0.1f32), 0.0))
        );
        assert_eq!(slice.as_ptr() as usize % 64, 0);
    }
    assert_eq!(
        duals.cast::<f32>().as_slice(ids[1]),
        params.as_slice(ids[1])
    );
}

#[test]
fn a_slot_whose_generation_would_wrap_is_retired() {
    let mut params = Params::<f32>::new();
    let mut past = Vec::new();
    loop {
        let id = filled(&mut params, 1, 0.0);
        if id.index() != 0 {
            break;
        }
        params.remove(id).unwrap();
        past.push(id);
    }
    assert_eq!(past.len(), (1 << 12) - 1);
    assert_eq!(past.iter().collect::<HashSet<_>>().len(), past.len());
    for &id in &past {
        assert!(
            matches!(params.value(id), Err(ArenaError::Stale { .. })),
            "{id}"
        );
    }
    assert_eq!(
        params.values().slab().len(),
        16,
        "and its memory is used again"
    );
}

#[test]
fn removed_memory_is_used_again() {
    let mut params = Params::<f32>::new();
    let ids: Vec<_> = [40, 10, 60].map(|len| filled(&mut params, len, 1.0)).into();
    let before = params.values().slab().len();
    params.remove(ids[0]).unwrap();
    params.remove(ids[1]).unwrap();
    // 48 and 16 elements that lie side by side are 64.
    let big = filled(&mut params, 64, 2.0);
    assert_eq!(
        (
            params.values().slot(big).unwrap().offset,
            params.values().slab().len()
        ),
        (0, before)
    );
    params.remove(big).unwrap();
    let small = filled(&mut params, 20, 3.0);
    assert_eq!(params.values().slot(small).unwrap().offset, 0);
    assert_eq!(params.as_slice(ids[2]).unwrap(), [1.0; 60]);
    params.compact();
    assert_eq!(params.values().slab().len(), 32 + 64);
    assert_eq!(params.as_slice(small).unwrap(), [3.0; 20]);
    assert_eq!(params.as_slice(ids[2]).unwrap(), [1.0; 60]);
}

#[test]
fn a_parameter_that_no_memory_could_hold_is_a_dead_id() {
    let mut params = Params::<f64>::new();
    let kept = params.insert(&arr1(&[1.0])).unwrap();
    let huge = shape(&[1 << 30, 1 << 30]);
    assert!(matches!(
        params.try_insert_with(huge, |_| {}),
        Err(ArenaError::Memory { .. })
    ));
    let text = params
        .try_insert_with(huge, |_| {})
        .unwrap_err()
        .to_string();
    assert!(
        text.starts_with(
            "a parameter of shape [1073741824, 1073741824] does not fit: no memory for "
        ),
        "{text}"
    );
    let dead = params.insert_with(huge, |_| panic!("nothing to fill"));
    assert!(dead.is_dead() && !params.contains(dead));
    assert_eq!(params.value(dead), Err(ArenaError::Dead));
    assert_eq!(params.remove(dead), Err(ArenaError::Dead));
    assert_eq!(
        (params.len(), params.as_slice(kept).unwrap()),
        (1, &[1.0][..])
    );
    let nine: ArrayD<f64> = Array::zeros(IxDyn(&[1; 9]));
    assert!(matches!(
        params.insert(&nine),
        Err(ArenaError::BadShape { .. })
    ));
}

#[test]
fn a_fill_that_panics_leaves_the_arena_in_order() {
    let mut params = Params::<f32>::new();
    let kept = filled(&mut params, 3, 1.0);
    let hole = filled(&mut params, 30, 2.0);
    params.remove(hole).unwrap();
    for len in [20, 50] {
        let inserted = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            params.insert_with(shape(&[len]), |w| {
                w.fill(f32::NAN);
                panic!("a user's mistake");
            })
        }));
        assert!(inserted.is_err());
    }
    assert_eq!((params.len(), params.num_elements()), (1, 3));
    let next = params.insert_with(shape(&[30]), |w| assert!(w.iter().all(|&x| x == 0.0)));
    assert_eq!(next.generation(), 2);
    assert_eq!(params.as_slice(kept).unwrap(), [1.0; 3]);
}

#[test]
fn growing_moves_nothing_that_was_reserved() {
    let mut params = Params::<f32>::with_capacity(1024);
    filled(&mut params, 16, 1.0);
    let start = params.values().slab().as_ptr();
    for _ in 0..63 {
        filled(&mut params, 16, 1.0);
    }
    assert_eq!(params.values().slab().as_ptr(), start);
}

#[test]
fn a_copy_brought_up_to_date_keeps_its_memory() {
    let mut params = Params::<f32>::new();
    let id = filled(&mut params, 1000, 1.0);
    let mut target = params.clone();
    let start = target.as_slice(id).unwrap().as_ptr();
    params.as_mut_slice(id).unwrap().fill(2.0);
    target.clone_from(&params);
    assert_eq!(target.as_slice(id).unwrap(), [2.0; 1000]);
    assert_eq!(target.as_slice(id).unwrap().as_ptr(), start);
}

#[test]
fn parameters_and_arenas_print() {
    let mut params = Params::<f64>::new();
    let id = params.insert(&arr2(&[[1.0, 2.0]])).unwrap();
    params.set_requires_grad(id, false).unwrap();
    assert_eq!(
        params.show(id).to_string(),
        "Parameter([1, 2], float64, requires_grad=false)\n[[1, 2]]"
    );
    assert_eq!(
        format!("{params:?}"),
        "Params { dtype: \"float64\", len: 1, num_elements: 2, .. }"
    );
}
