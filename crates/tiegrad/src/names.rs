//! Names for checkpoints, from the one traversal of the tree.

use tiegrad_arena::Params;
use tiegrad_checkpoint::Entry;
use tiegrad_kernels::Scalar;
use tiegrad_nn::{Module, ModuleExt, NameError, Select, Use};

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
    net.all_uses().into_iter().map(entry).collect()
}

/// The names for a checkpoint of a part of `net`: of what is selected (see [`Select`]), every use. A tied parameter comes with all of its paths, whichever of
/// them was selected, so that a partial checkpoint keeps ties too.
///
/// ```
/// use tiegrad::prelude::*;
///
/// let mut rng = Xoshiro256PlusPlus::seed_from_u64(1);
/// let mut params = Params::<f32>::new();
/// let shared = Linear::new(&mut params, 8, 8, &mut rng);
/// let net = (shared.clone(), Linear::new(&mut params, 8, 1, &mut rng), shared);
/// let names = checkpoint_names_of(&net, &params, "2.weight")?;
/// assert_eq!(names.iter().map(|name| &*name.path).collect::<Vec<_>>(), ["0.weight", "2.weight"]);
///
/// let bytes = Checkpoint::new(&params, &names).to_bytes()?;
/// let mut copy = params.clone();
/// Loaded::from_bytes(bytes)?.load_into(&mut copy, &names, Policy::strict())?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// Those of [`select`](ModuleExt::select).
pub fn checkpoint_names_of<'s, M: Module, T: Scalar>(
    net: &M,
    params: &Params<T>,
    select: impl Into<Select<'s>>,
) -> Result<Vec<Entry>, NameError> {
    let ids = net.select(params, select)?;
    let uses = net.all_uses().into_iter();
    Ok(uses.filter(|u| ids.contains(u.id)).map(entry).collect())
}

fn entry(u: Use) -> Entry {
    if u.transposed {
        Entry::transposed(u.path, u.id)
    } else {
        Entry::new(u.path, u.id)
    }
}
