//! Names for checkpoints, from the one traversal of the tree.

use tiegrad_checkpoint::Entry;
use tiegrad_nn::{Module, ModuleExt};

/// The names that a checkpoint of `net` has: every use of every parameter with its path; the first of an id is canonical, later ones are
/// aliases.
///
/// ```
/// use tiegrad::prelude::*;
///
/// let mut rng = Xoshiro256PlusPlus::seed_from_u64(1);
/// let mut params = Params::<f32>::new();
/// let shared = Linear::new(&mut params, 8, 8, &mut rng);
/// let net = (shared.clone(), ReLU, shared);
/// let names = checkpoint_names(&net);
/// assert_eq!((names[0].path.as_str(), names[2].path.as_str()), ("0.weight", "2.weight"));
/// assert_eq!(names[0].id, names[2].id);
///
/// let bytes = Checkpoint::new(&params, &names).to_bytes()?;
/// let mut copy = params.clone();
/// Loaded::from_bytes(bytes)?.load_into(&mut copy, &names, Policy::strict())?;
/// # Ok::<(), tiegrad::checkpoint::Error>(())
/// ```
pub fn checkpoint_names<M: Module>(net: &M) -> Vec<Entry> {
    net.all_uses()
        .into_iter()
        .map(|u| {
            if u.transposed {
                Entry::transposed(u.path, u.id)
            } else {
                Entry::new(u.path, u.id)
            }
        })
        .collect()
}
