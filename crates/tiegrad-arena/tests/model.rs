//! Several arenas, copies of each other or not, against hash maps: every id ever given is looked up in all of them after
//! every operation, and gradients, optimizer state and layouts are compared with what the maps say.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // also in the helpers of tests

use std::collections::{HashMap, HashSet};

use proptest::prelude::*;
use tiegrad_arena::{ArenaError, ParamId, Params, Shape, State};

const NAMES: [&str; 2] = ["exp_avg", "exp_avg_sq"];

#[derive(Clone, Debug)]
struct Entry {
    shape: Shape,
    value: Vec<f64>,
    grad: Option<Vec<f64>>,
    requires_grad: bool,
}

/// What one arena should hold.
#[derive(Clone, Debug, Default)]
struct Model {
    live: HashMap<ParamId, Entry>,
    /// Removed from this arena, or from one it was copied from before the copy; with the shape.
    removed: HashMap<ParamId, Shape>,
    /// What the optimizer's state should hold, as of the last sync.
    state: HashMap<ParamId, ([Vec<f64>; 2], u64)>,
    synced: bool,
}

struct Arena {
    params: Params<f64>,
    state: State<f64>,
    model: Model,
}

#[derive(Clone, Debug)]
enum Op {
    Insert { dims: Vec<usize>, value: i32 },
    Remove { id: usize },
    Write { id: usize, value: i32 },
    Freeze { id: usize, requires_grad: bool },
    Compact,
    Clone,
    CloneFrom { from: usize },
    CastThereAndBack,
    Contribute { id: usize, value: i32 },
    ZeroGrad,
    Sync,
    WriteState { id: usize, slab: usize, value: i32 },
}

fn ops() -> impl Strategy<Value = Vec<(usize, Op)>> {
    let id = || any::<usize>();
    let value = || -50..50;
    let dims = prop_oneof![
        4 => prop::collection::vec(0usize..7, 0..4),
        1 => prop::collection::vec(9usize..20, 1..3),
    ];
    let op = prop_oneof![
        6 => (dims, value()).prop_map(|(dims, value)| Op::Insert { dims, value }),
        4 => id().prop_map(|id| Op::Remove { id }),
        2 => (id(), value()).prop_map(|(id, value)| Op::Write { id, value }),
        1 => (id(), any::<bool>()).prop_map(|(id, requires_grad)| Op::Freeze { id, requires_grad }),
        2 => Just(Op::Compact),
        1 => Just(Op::Clone),
        1 => id().prop_map(|from| Op::CloneFrom { from }),
        1 => Just(Op::CastThereAndBack),
        6 => (id(), value()).prop_map(|(id, value)| Op::Contribute { id, value }),
        1 => Just(Op::ZeroGrad),
        2 => Just(Op::Sync),
        3 => (id(), 0usize..2, value()).prop_map(|(id, slab, value)| Op::WriteState { id, slab, value }),
    ];
    prop::collection::vec((any::<usize>(), op), 1..80)
}

/// `len` numbers that tell a wrong place or a wrong copy.
fn numbers(value: i32, len: usize) -> Vec<f64> {
    (0..len)
        .map(|i| f64::from(value) + i as f64 / 1024.0)
        .collect()
}

#[derive(Default)]
struct World {
    arenas: Vec<Arena>,
    ids: Vec<ParamId>,
    /// Every layout number that was ever seen, and what it stood for.
    layouts: HashMap<u64, Vec<(ParamId, usize)>>,
}

impl World {
    fn pick(&self, seed: usize) -> ParamId {
        if self.ids.is_empty() {
            ParamId::DEAD
        } else {
            self.ids[seed % self.ids.len()]
        }
    }

    fn apply(&mut self, arena: usize, op: &Op) {
        let arena = arena % self.arenas.len();
        let chosen = match op {
            Op::Remove { id }
            | Op::Write { id, .. }
            | Op::Freeze { id, .. }
            | Op::Contribute { id, .. }
            | Op::WriteState { id, .. } => self.pick(*id),
            _ => ParamId::DEAD,
        };
        let Arena {
            params,
            state,
            model,
        } = &mut self.arenas[arena];
        let known = model.live.contains_key(&chosen);
        match op {
            Op::Insert { dims, value } => {
                let shape = Shape::new(dims).unwrap();
                let value = numbers(*value, shape.len());
                let id = params.insert_with(shape, |to| {
                    assert!(to.iter().all(|&x| x == 0.0), "fresh values are zeros");
                    to.copy_from_slice(&value);
                });
                assert!(!self.ids.contains(&id), "{id} was given twice");
                self.ids.push(id);
                model.live.insert(
                    id,
                    Entry {
                        shape,
                        value,
                        grad: None,
                        requires_grad: true,
                    },
                );
            }
            Op::Remove { .. } => match params.remove(chosen) {
                Ok(value) => {
                    let entry = model.live.remove(&chosen).expect("removed what is there");
                    assert_eq!(value.shape(), entry.shape.dims());
                    assert_eq!(value.into_raw_vec_and_offset().0, entry.value);
                    model.removed.insert(chosen, entry.shape);
                }
                Err(_) => assert!(!known),
            },
            Op::Write { value, .. } => match params.as_mut_slice(chosen) {
                Ok(slice) => {
                    let new = numbers(*value, slice.len());
                    slice.copy_from_slice(&new);
                    model.live.get_mut(&chosen).unwrap().value = new;
                }
                Err(_) => assert!(!known),
            },
            Op::Freeze { requires_grad, .. } => {
                assert_eq!(
                    params.set_requires_grad(chosen, *requires_grad).is_ok(),
                    known
                );
                if let Some(entry) = model.live.get_mut(&chosen) {
                    entry.requires_grad = *requires_grad;
                }
            }
            Op::Compact => params.compact(),
            Op::Clone => {
                let copy = params.clone();
                self.push(copy, arena);
            }
            Op::CastThereAndBack => {
                // The numbers above are exact in `f32`.
                let copy = params.cast::<f32>().cast::<f64>();
                self.push(copy, arena);
            }
            Op::CloneFrom { from } => {
                let from = from % self.arenas.len();
                if from != arena {
                    let source = self.arenas[from].params.clone();
                    let mut model = copy_of(&self.arenas[from].model);
                    let target = &mut self.arenas[arena];
                    model.state = target.model.state.clone();
                    model.synced = target.model.synced;
                    target.params.clone_from(&source);
                    target.model = model;
                }
            }
            Op::Contribute { value, .. } => {
                let (values, grads) = params.split();
                grads.prepare(values);
                match values.slot(chosen) {
                    Ok(slot) => {
                        let entry = model.live.get_mut(&chosen).unwrap();
                        let add = numbers(*value, slot.shape.len());
                        let accumulate = grads.touch(chosen.index());
                        assert_eq!(accumulate, entry.grad.is_some());
                        let to = &mut grads.slab_mut()[slot.range()];
                        for (to, &add) in to.iter_mut().zip(&add) {
                            *to = if accumulate { *to + add } else { add };
                        }
                        match &mut entry.grad {
                            Some(grad) => {
                                grad.iter_mut().zip(&add).for_each(|(to, add)| *to += add)
                            }
                            grad => *grad = Some(add),
                        }
                    }
                    Err(_) => assert!(!known),
                }
            }
            Op::ZeroGrad => {
                params.zero_grad();
                model.live.values_mut().for_each(|entry| entry.grad = None);
            }
            Op::Sync => {
                state.sync(params.values());
                model.state.retain(|id, _| model.live.contains_key(id));
                for (&id, entry) in &model.live {
                    let zeros = || vec![0.0; entry.shape.len()];
                    model
                        .state
                        .entry(id)
                        .or_insert_with(|| ([zeros(), zeros()], 0));
                }
                model.synced = true;
            }
            Op::WriteState { slab, value, .. } => {
                let result = match model.state.get_mut(&chosen) {
                    Some((slabs, step)) => {
                        slabs[*slab] = numbers(*value, slabs[*slab].len());
                        *step += 1;
                        let shape = state.tensor(chosen, NAMES[*slab]).unwrap().raw_dim();
                        let array =
                            ndarray::Array::from_shape_vec(shape, slabs[*slab].clone()).unwrap();
                        state.set_step(chosen, *step).unwrap();
                        state.set_tensor(chosen, NAMES[*slab], &array)
                    }
                    None => state.set_tensor(chosen, NAMES[*slab], &ndarray::arr1(&[1.0])),
                };
                assert_eq!(result.is_ok(), model.state.contains_key(&chosen));
            }
        }
    }

    fn push(&mut self, params: Params<f64>, from: usize) {
        if self.arenas.len() < 5 {
            let (state, mut model) = (
                self.arenas[from].state.clone(),
                copy_of(&self.arenas[from].model),
            );
            model.state = self.arenas[from].model.state.clone();
            self.arenas.push(Arena {
                params,
                state,
                model,
            });
        }
    }

    fn check(&mut self) {
        for arena in &self.arenas {
            for &id in self.ids.iter().chain([&ParamId::DEAD]) {
                arena.check_id(id);
            }
            arena.check_whole();
            let values = arena.params.values();
            let places: Vec<_> = values
                .slots()
                .iter()
                .filter_map(|s| Some((s.id?, s.offset)))
                .collect();
            let before = self
                .layouts
                .entry(values.layout())
                .or_insert_with(|| places.clone());
            assert_eq!(*before, places, "one layout number for two layouts");
        }
    }
}

/// A copy has no gradients.
fn copy_of(model: &Model) -> Model {
    let mut copy = model.clone();
    copy.live.values_mut().for_each(|entry| entry.grad = None);
    copy
}

impl Arena {
    fn check_id(&self, id: ParamId) {
        let (params, model) = (&self.params, &self.model);
        let Some(entry) = model.live.get(&id) else {
            assert!(!params.contains(id));
            match (params.value(id).unwrap_err(), model.removed.get(&id)) {
                (
                    ArenaError::Stale {
                        id: named,
                        held,
                        now,
                        ..
                    },
                    Some(shape),
                ) => {
                    assert_eq!(named, id);
                    if let Some(held) = held {
                        assert_eq!((held.id, held.shape), (id, *shape));
                        assert!(held.declared_at.file().ends_with("model.rs"));
                    } else {
                        // Only where the slot has had another tenant since.
                        assert!(
                            now.is_some() || params.values().slots()[id.index()].info().id != id
                        );
                    }
                }
                (ArenaError::Foreign { id: named, .. }, None) if !id.is_dead() => {
                    assert_eq!(named, id)
                }
                (ArenaError::Dead, None) if id.is_dead() => {}
                (error, removed) => panic!("{id}, removed here: {removed:?}, gave {error:?}"),
            }
            assert!(
                params.info(id).is_err()
                    && params.grad(id).is_err()
                    && params.as_slice(id).is_err()
            );
            return;
        };
        let info = params.info(id).unwrap();
        assert_eq!(
            (info.id, info.shape, info.requires_grad),
            (id, entry.shape, entry.requires_grad)
        );
        assert_eq!(params.as_slice(id).unwrap(), entry.value);
        assert_eq!(params.value(id).unwrap().shape(), entry.shape.dims());
        assert_eq!(params.grad_slice(id).unwrap(), entry.grad.as_deref());
        let grad = params.grad(id).unwrap();
        assert_eq!(grad.map(|grad| grad.iter().copied().collect()), entry.grad);
    }

    fn check_whole(&self) {
        let (params, model) = (&self.params, &self.model);
        assert_eq!(params.len(), model.live.len());
        assert_eq!(
            params.ids().collect::<HashSet<_>>(),
            model.live.keys().copied().collect()
        );
        assert_eq!(
            params.num_elements(),
            model
                .live
                .values()
                .map(|entry| entry.shape.len())
                .sum::<usize>()
        );
        self.check_slab();
        self.check_runs();

        assert_eq!(
            self.state.ids().collect::<HashSet<_>>(),
            model.state.keys().copied().collect()
        );
        for (&id, (slabs, step)) in &model.state {
            assert_eq!(self.state.step(id), Ok(*step));
            for (name, slab) in NAMES.iter().zip(slabs) {
                let tensor = self.state.tensor(id, name).unwrap();
                assert_eq!(tensor.iter().copied().collect::<Vec<_>>(), *slab);
            }
        }
    }

    /// Parameters are aligned and disjoint, and the padding behind each is zero, in values and in gradients.
    fn check_slab(&self) {
        let values = self.params.values();
        let mut owner = vec![None; values.slab().len()];
        for slot in values.slots() {
            let Some(id) = slot.id else { continue };
            assert_eq!(slot.offset % 16, 0);
            let padded = slot.offset..slot.offset + slot.shape.len().next_multiple_of(16);
            for element in padded.clone() {
                assert_eq!(
                    owner[element].replace(id),
                    None,
                    "two parameters in one place"
                );
            }
            let padding = slot.range().end..padded.end;
            assert!(values.slab()[padding.clone()].iter().all(|&x| x == 0.0));
            if self.params.grads().is_prepared(values) {
                assert!(
                    self.params.grads().slab()[padding]
                        .iter()
                        .all(|&x| x == 0.0)
                );
            }
        }
    }

    /// Runs hold each touched slot once, lie where the slots lie, and could not be longer.
    fn check_runs(&self) {
        let (values, grads) = (self.params.values(), self.params.grads());
        let keep = |id: ParamId| !id.index().is_multiple_of(5);
        let Ok(runs) = grads.runs(values, keep) else {
            // Gradients follow at the next `split`.
            assert!(!grads.is_prepared(values));
            return;
        };
        let runs: Vec<_> = runs.collect();
        let wanted = values.slots().iter().filter(|slot| {
            slot.id
                .is_some_and(|id| keep(id) && self.model.live[&id].grad.is_some())
        });
        let mut slots = runs.iter().flat_map(|run| run.slots.clone());
        for slot in wanted {
            assert_eq!(slots.next(), Some(slot.info().id.index()));
        }
        assert_eq!(slots.next(), None);
        for run in &runs {
            let mut at = run.range.start;
            for slot in &values.slots()[run.slots.clone()] {
                assert_eq!(slot.offset, at);
                at += slot.shape.len().next_multiple_of(16);
            }
            assert_eq!(at, run.range.end);
        }
        for pair in runs.windows(2) {
            assert!(
                pair[0].slots.end != pair[1].slots.start
                    || pair[0].range.end != pair[1].range.start
            );
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn arenas_behave_as_hash_maps(ops in ops()) {
        let mut world = World::default();
        for _ in 0..2 {
            world.arenas.push(Arena {
                params: Params::new(),
                state: State::new(NAMES),
                model: Model::default(),
            });
        }
        for (arena, op) in &ops {
            world.apply(*arena, op);
            world.check();
        }
    }
}
