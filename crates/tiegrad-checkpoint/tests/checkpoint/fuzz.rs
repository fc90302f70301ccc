//! Files with flipped, missing and added bytes: an error or a sound file, never a panic, and the same verdict as safetensors'.

use crate::common::{entries, file, param};
use proptest::prelude::*;
use safetensors::SafeTensors;
use tiegrad_arena::{Params, State};
use tiegrad_checkpoint::{Checkpoint, Error, Fault, Loaded, Policy};

fn sound() -> (Params<f32>, Vec<tiegrad_checkpoint::Entry>, Vec<u8>) {
    let mut params = Params::new();
    let a = param(&mut params, &[2, 3], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    let b = param(&mut params, &[], &[7.0]);
    let names = entries(&[("a", a), ("tie", a), ("b.\"quoted\" ü", b)]);
    let mut state = State::new(["m"]);
    state.sync(params.values());
    state.set_step(a, 3).unwrap();
    let checkpoint = Checkpoint::new(&params, &names)
        .state("opt", &state)
        .bytes("rng", &[1, 2, 3]);
    let bytes = checkpoint.metadata("k", "v").to_bytes().unwrap();
    (params, names, bytes)
}

/// Reads bytes and does with them all that can be done.
fn exercise(bytes: &[u8]) -> Result<(), Error> {
    let (mut params, names, _) = sound();
    let verdict = Loaded::from_bytes(bytes);
    let reference = SafeTensors::deserialize(bytes);
    match &verdict {
        Ok(loaded) => {
            let reference = reference.expect("safetensors refuses what was accepted");
            assert_eq!(loaded.names().len(), reference.len());
            for name in loaded.names() {
                let (ours, theirs) = (loaded.tensor(name)?, reference.tensor(name).unwrap());
                assert_eq!((ours.data(), ours.shape()), (theirs.data(), theirs.shape()));
            }
        }
        // What is ours to refuse: names that are there twice, and what our own metadata keys hold.
        Err(Error::Broken {
            fault: Fault::DuplicateName { .. } | Fault::Metadata { .. } | Fault::Version { .. },
            ..
        }) => {}
        Err(error) => assert!(reference.is_err(), "safetensors accepts it: {error}"),
    }
    let loaded = verdict?;
    let all = Policy::strict()
        .cast(true)
        .allow_missing(true)
        .allow_unexpected(true)
        .allow_tie(true)
        .allow_untie(true);
    for policy in [Policy::strict(), all] {
        for outcome in [
            loaded.load_into(&mut params, &names, policy),
            loaded.restore_state("opt", &mut State::new(["m"]), &params, &names, policy),
        ] {
            if let Err(error) = outcome {
                assert!(!error.to_string().is_empty());
            }
        }
    }
    Ok(())
}

#[test]
fn the_file_itself_is_sound() {
    exercise(&sound().2).unwrap();
}

#[test]
fn every_single_bit_flip_and_every_cut_of_the_header() {
    let bytes = sound().2;
    let header = 8 + u64::from_le_bytes(*bytes.first_chunk().unwrap()) as usize;
    for at in 0..header {
        for bit in 0..8 {
            let mut bytes = bytes.clone();
            bytes[at] ^= 1 << bit;
            let _ = exercise(&bytes);
        }
    }
    for len in 0..bytes.len() {
        assert!(exercise(&bytes[..len]).is_err());
    }
}

/// Pieces of headers, so that many files are nearly right.
fn json() -> impl Strategy<Value = String> {
    let number = prop_oneof![0..20u64, Just(u64::MAX), Just(u64::MAX / 4), Just(1 << 32)];
    let dtype = prop_oneof!["F32", "F64", "BF16", "U8", "F4", "F6_E2M3", "BOOL", "X"];
    let tensor = (
        prop_oneof!["a", "b", "tie", "opt\\.m\\.a", "__metadata__"],
        dtype,
        prop::collection::vec(number.clone(), 0..4),
        number.clone(),
        number,
    )
        .prop_map(|(name, dtype, shape, from, to)| {
            format!(
                r#""{name}":{{"dtype":"{dtype}","shape":{shape:?},"data_offsets":[{from},{to}]}}"#
            )
        });
    let metadata = prop_oneof![
        Just(r#""__metadata__":null"#.to_string()),
        Just(r#""__metadata__":{"tie":"a","a":"tie"}"#.to_string()),
        Just(r#""__metadata__":{"tiegrad.states":"{\"opt\":[\"m\"]}","tiegrad.transposed":"[\"tie\"]"}"#.to_string()),
        Just(r#""__metadata__":{"tiegrad.states":"{\"\":[\"m\"]}","tiegrad.version":"1"}"#.to_string()),
    ];
    prop::collection::vec(prop_oneof![3 => tensor, 1 => metadata], 0..4)
        .prop_map(|parts| format!("{{{}}}", parts.join(",")))
}

proptest! {
    #[test]
    fn several_flips(flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6)) {
        let mut bytes = sound().2;
        for (at, with) in flips {
            let at = at.index(bytes.len());
            bytes[at] ^= with;
        }
        let _ = exercise(&bytes);
    }

    #[test]
    fn bytes_put_in_and_taken_out(
        at in any::<prop::sample::Index>(),
        gone in 0usize..20,
        new in prop::collection::vec(any::<u8>(), 0..20),
    ) {
        let mut bytes = sound().2;
        let at = at.index(bytes.len());
        let end = (at + gone).min(bytes.len());
        bytes.splice(at..end, new);
        let _ = exercise(&bytes);
    }

    #[test]
    fn anything(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
        let _ = exercise(&bytes);
    }

    #[test]
    fn headers_that_are_nearly_right(header in json(), data in prop::collection::vec(any::<u8>(), 0..40)) {
        let _ = exercise(&file(header, &data));
    }
}
