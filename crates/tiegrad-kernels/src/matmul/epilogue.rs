//! What is done to a product as it is written: a bias is added, then an activation applied.
//!
//! ReLU is applied in registers. The others are longer than what is left of the registers: their vectorized loops run over a tile right after
//! it was stored, while it is in the first-level cache.

use super::Gemm;
use crate::elementwise::{Gelu, GeluTanh, Unary};
use crate::scalar::{Arithmetic, Scalar};
use crate::simd::multiversion;

/// A function of every element of a product.
///
/// ```
/// use tiegrad_kernels::matmul::Activation;
/// assert_eq!(Activation::Relu.call(-2.0_f32), 0.0);
/// assert_eq!(Activation::default(), Activation::None);
/// ```
#[derive(Copy, Clone, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub enum Activation {
    /// x
    #[default]
    None,
    /// max(x, 0); NaN stays NaN.
    Relu,
    /// x Φ(x): [`Gelu`].
    Gelu,
    /// [`GeluTanh`].
    GeluTanh,
    /// x / (1 + e⁻ˣ)
    Silu,
    /// 1 / (1 + e⁻ˣ)
    Sigmoid,
    /// The hyperbolic tangent.
    Tanh,
}

impl Activation {
    /// The function's value.
    ///
    /// ```
    /// use tiegrad_kernels::matmul::Activation;
    /// assert_eq!(Activation::Sigmoid.call(0.0_f64), 0.5);
    /// assert!(Activation::Relu.call(f64::NAN).is_nan());
    /// ```
    #[inline(always)]
    pub fn call<T: Arithmetic>(self, x: T) -> T {
        match self {
            Activation::None => x,
            Activation::Relu => relu(x),
            Activation::Gelu => Gelu.call(x),
            Activation::GeluTanh => GeluTanh.call(x),
            Activation::Silu => x * x.sigmoid(),
            Activation::Sigmoid => x.sigmoid(),
            Activation::Tanh => x.tanh(),
        }
    }

    /// Whether it is applied to what was stored, instead of in registers.
    #[inline(always)]
    pub(super) fn is_long(self) -> bool {
        self as u8 > Activation::Relu as u8
    }
}

#[inline(always)]
pub(super) fn relu<T: Arithmetic>(x: T) -> T {
    if x < T::ZERO { T::ZERO } else { x }
}

/// What is done to the elements of a product, `alpha * a @ b + beta * c`, before they are written: a bias is added, then an activation applied.
/// The bits are those of the product with the bias followed by the elementwise kernel.
///
/// ```
/// use tiegrad_kernels::matmul::{Activation, Epilogue, Mat, MatMut, MatmulShape, matmul};
/// let (x, w) = ([1.0_f32, 2.0], [3.0, -4.0]);     // 2 x 1, 1 x 2
/// let mut y = [0.0; 4];
/// let epilogue = Epilogue::NONE.bias_per_column(&[0.5, 1.0]).activation(Activation::Relu);
/// matmul(MatmulShape::new(2, 2, 1), 1.0, Mat::new(&x, 1), Mat::new(&w, 2), 0.0, epilogue, MatMut::new(&mut y, 2));
/// assert_eq!(y, [3.5, 0.0, 6.5, 0.0]);
/// ```
#[derive(Copy, Clone, Debug)]
pub struct Epilogue<'a, T> {
    pub(crate) bias: Option<&'a [T]>,
    /// Whether the bias has an element per row, instead of one per column.
    pub(crate) by_row: bool,
    pub(crate) activation: Activation,
}

impl<'a, T> Epilogue<'a, T> {
    /// The product as it is.
    ///
    /// ```
    /// use tiegrad_kernels::matmul::{Epilogue, Mat, MatMut, MatmulShape, matmul};
    /// let mut c = [0.0];
    /// let (a, b) = (Mat::new(&[2.0], 1), Mat::new(&[3.0], 1));
    /// matmul(MatmulShape::new(1, 1, 1), 1.0, a, b, 0.0, Epilogue::NONE, MatMut::new(&mut c, 1));
    /// assert_eq!(c, [6.0]);
    /// ```
    pub const NONE: Self = Epilogue {
        bias: None,
        by_row: false,
        activation: Activation::None,
    };

    /// Adds `bias[j]` to column j, instead of any other bias.
    ///
    /// ```
    /// use tiegrad_kernels::matmul::{Epilogue, Mat, MatMut, MatmulShape, matmul};
    /// let mut c = [0.0; 2];
    /// let (a, b) = (Mat::new(&[2.0], 1), Mat::new(&[3.0, 4.0], 2));
    /// let bias = Epilogue::NONE.bias_per_column(&[10.0, 20.0]);
    /// matmul(MatmulShape::new(1, 2, 1), 1.0, a, b, 0.0, bias, MatMut::new(&mut c, 2));
    /// assert_eq!(c, [16.0, 28.0]);
    /// ```
    #[must_use]
    #[inline(always)]
    pub const fn bias_per_column(mut self, bias: &'a [T]) -> Self {
        self.bias = Some(bias);
        self.by_row = false;
        self
    }

    /// Adds `bias[i]` to row i, instead of any other bias.
    ///
    /// ```
    /// use tiegrad_kernels::matmul::{Epilogue, Mat, MatMut, MatmulShape, matmul};
    /// let mut c = [0.0; 2];
    /// let (a, b) = (Mat::new(&[2.0], 1), Mat::new(&[3.0, 4.0], 2));
    /// let bias = Epilogue::NONE.bias_per_row(&[10.0]);
    /// matmul(MatmulShape::new(1, 2, 1), 1.0, a, b, 0.0, bias, MatMut::new(&mut c, 2));
    /// assert_eq!(c, [16.0, 18.0]);
    /// ```
    #[must_use]
    #[inline(always)]
    pub const fn bias_per_row(mut self, bias: &'a [T]) -> Self {
        self.bias = Some(bias);
        self.by_row = true;
        self
    }

    /// Applies this function after the bias.
    ///
    /// ```
    /// use tiegrad_kernels::matmul::{Activation, Epilogue, Mat, MatMut, MatmulShape, matmul};
    /// let mut c = [1.0_f64];
    /// let (a, b) = (Mat::new(&[2.0], 1), Mat::new(&[-3.0], 1));
    /// let relu = Epilogue::NONE.activation(Activation::Relu);
    /// matmul(MatmulShape::new(1, 1, 1), 1.0, a, b, 0.0, relu, MatMut::new(&mut c, 1));
    /// assert_eq!(c, [0.0]);
    /// ```
    #[must_use]
    #[inline(always)]
    pub const fn activation(mut self, activation: Activation) -> Self {
        self.activation = activation;
        self
    }

    /// Where the bias of a product of `m` rows and `n` columns stands; null without one.
    #[inline(always)]
    pub(super) fn bias_ptr(&self, m: usize, n: usize) -> *const T {
        match self.bias {
            Some(bias) if self.by_row => {
                assert!(bias.len() >= m, "the bias is shorter than a column");
                bias.as_ptr()
            }
            Some(bias) => {
                assert!(bias.len() >= n, "the bias is shorter than a row");
                bias.as_ptr()
            }
            None => std::ptr::null(),
        }
    }
}

impl<T: Scalar> Gemm<T> {
    /// Applies a long activation to these rows and columns, which have been stored.
    ///
    /// # Safety
    /// As [`Scalar::gemm`]; the elements are within the result.
    #[inline(always)]
    pub(super) unsafe fn activate(&self, i: usize, rows: usize, j: usize, cols: usize) {
        if self.activation.is_long() {
            let part = self.part(i, rows, j, cols);
            // SAFETY: promised by the caller.
            unsafe {
                if self.c_col == 1 {
                    T::activate(self.activation, part.c, rows, cols, self.c_row);
                } else {
                    part.activate_scattered();
                }
            }
        }
    }

    /// Applies a long activation to a result without contiguous rows, by way of a copy on the stack.
    ///
    /// # Safety
    /// As [`Scalar::gemm`].
    #[inline(never)]
    unsafe fn activate_scattered(&self) {
        let mut block = [T::ZERO; 64];
        for i in 0..self.m {
            for j in (0..self.n).step_by(block.len()) {
                let part = self.part(i, 1, j, block.len().min(self.n - j));
                let block = &mut block[..part.n];
                // SAFETY: the elements are within the part's row.
                unsafe {
                    for (c, x) in block.iter_mut().enumerate() {
                        *x = *part.c.add(c * part.c_col);
                    }
                    T::activate(self.activation, block.as_mut_ptr(), 1, part.n, part.n);
                    for (c, &x) in block.iter().enumerate() {
                        *part.c.add(c * part.c_col) = x;
                    }
                }
            }
        }
    }
}

/// A matrix of contiguous rows that nobody else uses.
struct Rows<T> {
    c: *mut T,
    rows: usize,
    cols: usize,
    /// From one row to the next.
    row: usize,
}

impl<T> Rows<T> {
    /// # Safety
    /// The elements are valid for reads and writes, and nobody else uses them while this lives.
    #[inline(always)]
    unsafe fn new(c: *mut T, rows: usize, cols: usize, row: usize) -> Self {
        if row == cols {
            // Rows one after the other are one long row.
            let (rows, cols) = (1, rows * cols);
            Rows { c, rows, cols, row }
        } else {
            Rows { c, rows, cols, row }
        }
    }

    #[inline(always)]
    fn row(&mut self, i: usize) -> &mut [T] {
        assert!(i < self.rows, "no such row");
        // SAFETY: `new` was promised that these elements are valid and ours alone.
        unsafe { std::slice::from_raw_parts_mut(self.c.wrapping_add(i * self.row), self.cols) }
    }
}

/// For each float one function, which is compiled here and not in every crate that multiplies.
pub(crate) mod activate {
    use super::{Activation, Rows, run};

    /// # Safety
    /// As [`Scalar::activate`](crate::Scalar).
    pub(crate) unsafe fn f32(
        activation: Activation,
        c: *mut f32,
        rows: usize,
        cols: usize,
        row: usize,
    ) {
        // SAFETY: promised by the caller.
        run(activation, unsafe { Rows::new(c, rows, cols, row) });
    }

    /// # Safety
    /// As [`Scalar::activate`](crate::Scalar).
    pub(crate) unsafe fn f64(
        activation: Activation,
        c: *mut f64,
        rows: usize,
        cols: usize,
        row: usize,
    ) {
        // SAFETY: promised by the caller.
        run(activation, unsafe { Rows::new(c, rows, cols, row) });
    }
}

fn run<T: Scalar>(activation: Activation, mut x: Rows<T>) {
    /// Each function in a type of its own, so that its loop has no other in it.
    macro_rules! loops {
        ($($name:ident)*) => {
            match activation {
                Activation::None => {}
                Activation::Relu => {
                    for i in 0..x.rows {
                        x.row(i).iter_mut().for_each(|x| *x = relu(*x));
                    }
                }
                $(Activation::$name => {
                    #[derive(Clone, Copy)]
                    struct $name;
                    impl<T: Arithmetic> Unary<T> for $name {
                        #[inline(always)]
                        fn call(self, x: T) -> T {
                            Activation::$name.call(x)
                        }
                    }
                    in_place(x, $name);
                })*
            }
        };
    }
    loops!(Gelu GeluTanh Silu Sigmoid Tanh);
}

/// Numbers of which a row is made: whole vectors on every level, and so few that a tile's row has no rest.
const CHUNK: usize = 16;

multiversion! {
    avx512 [T: Scalar as N; F: Unary]
    fn in_place(x: Rows<T>, f: F) -> () {
        let mut x = x;
        for i in 0..x.rows {
            let (chunks, rest) = x.row(i).as_chunks_mut::<CHUNK>();
            for chunk in chunks {
                *chunk = call_all::<T, N, F>(f, *chunk);
            }
            if !rest.is_empty() {
                let mut chunk = [T::ZERO; CHUNK];
                chunk[..rest.len()].copy_from_slice(rest);
                rest.copy_from_slice(&call_all::<T, N, F>(f, chunk)[..rest.len()]);
            }
        }
    }
}

/// A loop of a length known to the compiler, which makes vectors of it without a rest.
#[inline(always)]
fn call_all<T: Scalar, N: Arithmetic + From<T> + Into<T>, F: Unary<N>>(
    f: F,
    mut x: [T; CHUNK],
) -> [T; CHUNK] {
    for x in &mut x {
        *x = f.call(N::from(*x)).into();
    }
    x
}
