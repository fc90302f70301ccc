//! The examples of the crate `tiegrad`, as they stand there, so that they are not only compiled but run.

#[path = "../../../crates/tiegrad/examples/chapter_mlp.rs"]
pub(crate) mod chapter_mlp;
#[path = "../../../crates/tiegrad/examples/custom_initializer.rs"]
pub(crate) mod custom_initializer;
#[path = "../../../crates/tiegrad/examples/custom_optimizer.rs"]
pub(crate) mod custom_optimizer;
#[path = "../../../crates/tiegrad/examples/initializers.rs"]
#[allow(dead_code, reason = "its main looks at the program's arguments")]
pub(crate) mod initializers;
#[path = "../../../crates/tiegrad/examples/nested_blocks.rs"]
pub(crate) mod nested_blocks;
#[path = "../../../crates/tiegrad/examples/shared_layer.rs"]
pub(crate) mod shared_layer;
#[path = "../../../crates/tiegrad/examples/tied_vs_untied.rs"]
#[allow(
    dead_code,
    reason = "its main is run by hand: it takes ten seconds and writes a file"
)]
pub(crate) mod tied_vs_untied;
