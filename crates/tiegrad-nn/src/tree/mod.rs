//! The tree of modules: one traversal ([`module`]), and everything that follows from it.

mod containers;
mod copies;
mod error;
mod explain;
mod ext;
mod field;
mod find;
mod glob;
mod module;
mod picture;
mod repr;
mod summary;
mod text;
mod tied;
mod uses;
mod walk;
mod watch;

pub use error::NameError;
pub use ext::ModuleExt;
pub use field::Field;
pub(crate) use glob::{Selected, select_uses};
pub(crate) use module::unboxed;
pub use module::{Module, Name, ParamUse, Role, Visit, VisitMut, WithRole};
pub use picture::Picture;
pub use repr::{Repr, fmt_module};
pub use summary::{Summary, SummaryRow, Tie};
pub(crate) use text::{PyBool, PyFloat, PyTuple};
pub use tied::Tied;
pub(crate) use uses::IdMap;
pub use uses::Use;
pub use walk::{At, Walker};
pub(crate) use watch::{Observations, Watcher};
