//! What is saved comes back bit for bit, and equal content is equal bytes.

use std::collections::BTreeSet;

use proptest::prelude::*;
use safetensors::SafeTensors;
use tiegrad_arena::{Params, Shape, State};
use tiegrad_checkpoint::{Checkpoint, Entry, Loaded, Policy};
use tiegrad_kernels::scalar::Scalar;

/// Parameters of these shapes, each with its names, in a shuffled list.
#[derive(Clone, Debug)]
struct Net {
    shapes: Vec<Vec<usize>>,
    /// (name, parameter, transposed)
    names: Vec<(String, usize, bool)>,
    seed: u64,
}

fn nets() -> impl Strategy<Value = Net> {
    let shapes = prop::collection::vec(prop::collection::vec(0usize..5, 0..4), 1..6);
    // Any characters, since a path may hold any; not the few names that are taken.
    let name = prop_oneof![
        "[a-c]{1,2}(\\.[0-9]){0,2}",
        "\\PC{0,6}",
        "[\\x00-\\x7f]{0,4}",
        " x\"\\\\é"
    ];
    let taken = |name: &String| ["__metadata__", "format", "seed", "opt", "rng"].contains(&&**name);
    let name = name.prop_filter("taken", move |n| !taken(n) && !n.starts_with("opt."));
    (
        shapes,
        prop::collection::btree_set(name, 6..12),
        any::<u64>(),
    )
        .prop_flat_map(|(shapes, names, seed)| {
            let names: Vec<String> = names.into_iter().collect();
            let owners = prop::collection::vec((0..shapes.len(), any::<bool>()), names.len());
            (Just(shapes), Just(names).prop_shuffle(), owners, Just(seed))
        })
        .prop_map(|(shapes, names, owners, seed)| {
            // The first names go to one parameter each, so that all have one.
            let all = names.into_iter().zip(owners).enumerate();
            let names = all.map(|(at, (name, (owner, turned)))| {
                if at < shapes.len() {
                    (name, at, turned)
                } else {
                    (name, owner, turned)
                }
            });
            Net {
                names: names.collect(),
                shapes,
                seed,
            }
        })
}

/// A few bits for every (seed, place): any pattern there is, NaNs included.
fn noise(seed: u64, at: usize) -> u64 {
    let x = (seed ^ at as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (x ^ (x >> 31)).wrapping_mul(0xbf58_476d_1ce4_e5b9)
}

trait Bits: Scalar {
    fn of(bits: u64) -> Self;
    fn bits(self) -> u64;
}
impl Bits for f32 {
    fn of(bits: u64) -> Self {
        f32::from_bits((bits >> 32) as u32)
    }
    fn bits(self) -> u64 {
        self.to_bits().into()
    }
}
impl Bits for f64 {
    fn of(bits: u64) -> Self {
        f64::from_bits(bits)
    }
    fn bits(self) -> u64 {
        self.to_bits()
    }
}

/// The network in a new arena, whose values are noise or zeros.
fn build<T: Bits>(net: &Net, filled: bool) -> (Params<T>, Vec<Entry>, State<T>) {
    let mut params = Params::new();
    let mut at = 0;
    let mut fill = |w: &mut [T]| {
        for x in w {
            at += 1;
            *x = T::of(noise(net.seed, at));
        }
    };
    let ids: Vec<_> = net
        .shapes
        .iter()
        .map(|shape| {
            params.insert_with(Shape::new(shape).unwrap(), |w| {
                if filled {
                    fill(w)
                }
            })
        })
        .collect();
    let mut state = State::new(["exp_avg", "exp_avg_sq"]);
    if filled {
        state.sync(params.values());
        for (index, &id) in ids.iter().enumerate() {
            state.set_step(id, noise(net.seed, index)).unwrap();
            let mut moment = params.value(id).unwrap().to_owned();
            moment
                .iter_mut()
                .for_each(|x| *x = T::of(noise(!net.seed, x.bits() as usize)));
            state.set_tensor(id, "exp_avg_sq", &moment).unwrap();
        }
    }
    let entry = |(path, owner, turned): &(String, usize, bool)| Entry {
        transposed: *turned,
        ..Entry::new(path, ids[*owner])
    };
    (params, net.names.iter().map(entry).collect(), state)
}

fn all_bits<'a, T: Bits>(values: impl IntoIterator<Item = &'a T>) -> Vec<u64> {
    values.into_iter().map(|x| x.bits()).collect()
}

fn check<T: Bits>(net: &Net) {
    let (params, names, state) = build::<T>(net, true);
    let rng = net.seed.to_le_bytes();
    let checkpoint = Checkpoint::new(&params, &names)
        .state("opt", &state)
        .bytes("rng", &rng);
    let bytes = checkpoint
        .metadata("seed", net.seed.to_string())
        .to_bytes()
        .unwrap();

    let reference = SafeTensors::deserialize(&bytes).unwrap();
    let owners: BTreeSet<_> = names.iter().map(|entry| entry.id).collect();
    assert_eq!(reference.len(), owners.len() * 4 + 1);

    let loaded = Loaded::from_bytes(bytes.clone()).unwrap();
    assert_eq!(loaded.aliases().count(), names.len() - owners.len());
    let (mut back, names, mut memory) = build::<T>(net, false);
    let report = loaded
        .load_into(&mut back, &names, Policy::strict())
        .unwrap();
    assert_eq!(report.loaded, owners.len());
    loaded
        .restore_state("opt", &mut memory, &back, &names, Policy::strict())
        .unwrap();
    assert_eq!(
        all_bits(back.values().slab()),
        all_bits(params.values().slab())
    );
    for slab in 0..2 {
        assert_eq!(
            all_bits(memory.slab(slab).unwrap()),
            all_bits(state.slab(slab).unwrap())
        );
    }
    assert_eq!(memory.steps(), state.steps());
    assert_eq!(loaded.metadata()["seed"], net.seed.to_string());
    assert_eq!(loaded.bytes("rng").unwrap(), rng);

    // Another arena, another order of what was added: the same bytes.
    let again = Checkpoint::new(&back, &names).metadata("seed", net.seed.to_string());
    assert_eq!(
        again
            .bytes("rng", &rng)
            .state("opt", &memory)
            .to_bytes()
            .unwrap(),
        bytes
    );
}

proptest! {
    #[test]
    fn single_precision(net in nets()) {
        check::<f32>(&net);
    }

    #[test]
    fn double_precision(net in nets()) {
        check::<f64>(&net);
    }
}

#[test]
fn a_saved_file_is_what_to_bytes_gives() {
    let net = Net {
        shapes: vec![vec![300, 400], vec![7]],
        names: vec![
            ("w".into(), 0, false),
            ("t".into(), 0, true),
            ("b".into(), 1, false),
        ],
        seed: 5,
    };
    let (params, names, state) = build::<f32>(&net, true);
    let checkpoint = Checkpoint::new(&params, &names).state("opt", &state);
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("model.safetensors");
    checkpoint.save(&path).unwrap();
    assert_eq!(
        std::fs::read(&path).unwrap(),
        checkpoint.to_bytes().unwrap()
    );
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);
}

/// The bytes are a promise to files that exist: this one was looked at and loaded with the reference reader.
#[test]
fn the_layout_does_not_change() {
    let mut params = Params::<f32>::new();
    let w = crate::common::param(&mut params, &[1, 2], &[1.0, -2.0]);
    let names = [Entry::new("w", w), Entry::transposed("tied", w)];
    let mut state = State::new(["m"]);
    state.sync(params.values());
    state.set_step(w, 258).unwrap();
    let checkpoint = Checkpoint::new(&params, &names)
        .state("opt", &state)
        .bytes("rng", b"xyz");
    let bytes = checkpoint.metadata("epoch", "3").to_bytes().unwrap();
    let header = concat!(
        r#"{"__metadata__":{"epoch":"3","format":"pt","tied":"w","tiegrad.bytes":"[\"rng\"]","#,
        r#""tiegrad.states":"{\"opt\":[\"m\"]}","tiegrad.transposed":"[\"tied\"]","tiegrad.version":"1"},"#,
        r#""opt.step.w":{"dtype":"U64","shape":[],"data_offsets":[0,8]},"#,
        r#""opt.m.w":{"dtype":"F32","shape":[1,2],"data_offsets":[8,16]},"#,
        r#""w":{"dtype":"F32","shape":[1,2],"data_offsets":[16,24]},"#,
        r#""rng":{"dtype":"U8","shape":[3],"data_offsets":[24,27]}}"#,
    );
    let len = header.len().next_multiple_of(8);
    let mut expected = (len as u64).to_le_bytes().to_vec();
    expected.extend_from_slice(format!("{header:<len$}").as_bytes());
    expected.extend_from_slice(&[2, 1, 0, 0, 0, 0, 0, 0]);
    expected.extend_from_slice(&[0; 8]);
    expected.extend_from_slice(&[0, 0, 128, 63, 0, 0, 0, 192]);
    expected.extend_from_slice(b"xyz");
    assert_eq!(
        String::from_utf8_lossy(&bytes),
        String::from_utf8_lossy(&expected)
    );
    assert_eq!(bytes, expected);
}
