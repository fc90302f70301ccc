//! Numbers on slices for tiegrad: matmul, elementwise, reductions, normalization, attention, threads.
//!
//! Functions here take slices and strides (in elements) and know neither shapes nor a tape. What they
//! compute does not depend on the number of threads: work is cut by its size alone, matrix products by the
//! number of threads too, where no cut changes a sum.
//!
//! A length or stride that does not fit is a bug of the caller and panics; users of the engine never
//! reach these functions with unchecked input. Memory safety does not rest on the caller.
//!
//! ```
//! use tiegrad_kernels::{Write, elementwise};
//! let x = [1.0_f32, 2.0, 3.0];
//! let mut y = [0.0; 3];
//! elementwise::map(Write::Overwrite, &mut y, &x, |x| x * x);
//! assert_eq!(y, [1.0, 4.0, 9.0]);
//! ```

pub mod attention;
pub mod buffer;
pub mod elementwise;
pub mod gather;
pub mod matmul;
pub mod reduce;
pub mod reference;
pub mod rows;
pub mod scalar;
pub mod step;
pub mod threads;

mod cache;
mod math32;
mod math64;
#[macro_use]
mod simd;
mod strided;
#[cfg(test)]
mod testing;

pub use buffer::AlignedBuf;
pub use scalar::{Arithmetic, DType, Dual, Scalar, ScalarFn};
pub use simd::{instruction_set, use_instruction_set};

/// The largest number of dimensions that strided functions take.
///
/// ```
/// use tiegrad_kernels::{MAX_RANK, Write, elementwise::copy_strided};
/// let (ones, mut y) = ([1; MAX_RANK], [0.0_f32]);
/// copy_strided(Write::Overwrite, &mut y, &ones, &[5.0], &ones, &ones);
/// assert_eq!(y, [5.0]);
/// ```
pub const MAX_RANK: usize = 8;

/// Whether a function replaces its destination or adds to it.
///
/// ```
/// use tiegrad_kernels::{Write, elementwise};
/// let mut y = [10.0_f64];
/// elementwise::map(Write::Accumulate, &mut y, &[1.0], |x| x);
/// assert_eq!(y, [11.0]);
/// ```
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Write {
    /// The destination is written and never read: it may hold anything, NaN included.
    Overwrite,
    /// The result is added to what the destination holds.
    Accumulate,
}
