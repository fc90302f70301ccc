//! The tree of modules: one traversal ([`module`]), and everything that follows from it.

mod containers;
mod copies;
mod error;
mod explain;
mod ext;
mod field;
mod find;
mod module;
mod near;
mod picture;
mod repr;
mod summary;
mod text;
mod tied;
mod use_report;
mod uses;
mod walk;
mod watch;

pub use error::NameError;
pub use ext::ModuleExt;
pub use field::Field;
pub(crate) use module::unboxed;
pub use module::{Module, Name, ParamUse, Role, Visit, VisitMut, WithRole};
pub(crate) use near::{near, near_uses};
pub use picture::Picture;
pub use repr::{Repr, fmt_module};
pub use summary::{Summary, SummaryRow, Tie};
pub(crate) use text::{PyBool, PyFloat, PyTuple};
pub use tied::Tied;
pub use use_report::{OneUse, UseReport, UsedParameter};
pub use uses::Use;
pub(crate) use uses::Uses;
pub use walk::{At, Walker};
pub(crate) use walk::{components, unescaped, walk};
pub(crate) use watch::{Observations, Watcher};
