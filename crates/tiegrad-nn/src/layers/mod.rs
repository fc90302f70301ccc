//! The layers, under PyTorch's names, with PyTorch's parameter names.

mod activation;
mod attention;
mod block;
mod dense;
mod dropout;
mod embedding;
mod gpt;
mod layer_norm;
mod linear;
mod rms_norm;

pub use activation::{
    Flatten, GELU, GELUTanh, Identity, LeakyReLU, LogSoftmax, ReLU, SiLU, Sigmoid, Softmax, Tanh,
};
pub use attention::CausalSelfAttention;
pub use block::{Block, MLP};
pub use dense::{Activation, Dense};
pub use dropout::Dropout;
pub use embedding::Embedding;
pub use gpt::{GPT, GptConfig};
pub use layer_norm::LayerNorm;
pub use linear::{Linear, LinearBuilder, TiedLinear};
pub use rms_norm::RMSNorm;
