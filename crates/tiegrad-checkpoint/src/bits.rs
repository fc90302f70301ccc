//! Between scalars and the little-endian bytes of a file.

use std::borrow::Cow;

use crate::dtype::Dtype;
use tiegrad_kernels::scalar::{DType, Dual, Scalar, ScalarFn};

/// The type in which a scalar is stored; dual numbers are not.
pub(crate) fn stored<T: Scalar>() -> Option<Dtype> {
    match T::DTYPE {
        DType::F32 => Some(Dtype::F32),
        DType::F64 => Some(Dtype::F64),
        _ => None,
    }
}

/// What to call a scalar beside the names of a file's types.
pub(crate) fn type_name<T: Scalar>() -> &'static str {
    match T::DTYPE {
        DType::F32 => "F32",
        DType::F64 => "F64",
        other => other.name(),
    }
}

/// Whether [`decode`] reads values of this type.
pub(crate) fn is_float(dtype: Dtype) -> bool {
    matches!(dtype, Dtype::F16 | Dtype::BF16 | Dtype::F32 | Dtype::F64)
}

/// Appends values as bytes, bit for bit (of a dual number, the real part).
pub(crate) fn encode<T: Scalar>(values: &[T], out: &mut Vec<u8>) {
    T::apply(Encode { out }, values);
}

/// Reads values of a floating-point type: bit for bit where the types agree, rounded to nearest where `T` is narrower. A
/// dual number gets a zero derivative.
pub(crate) fn decode<T: Scalar>(dtype: Dtype, bytes: &[u8], out: &mut [T]) {
    T::apply(Decode { dtype, bytes }, out);
}

/// `f32` and `f64` go through methods of their own, since a detour over `f64` would quiet an `f32`'s signalling NaN.
struct Encode<'v> {
    out: &'v mut Vec<u8>,
}

impl<'v> ScalarFn for Encode<'v> {
    type In<T: Scalar> = &'v [T];
    type Out<T: Scalar> = ();

    fn call_f32(self, values: &[f32]) {
        append(self.out, values, |x| x.to_le_bytes());
    }
    fn call_f64(self, values: &[f64]) {
        append(self.out, values, |x| x.to_le_bytes());
    }
    fn call_dual_f32(self, values: &[Dual<f32>]) {
        append(self.out, values, |x| x.re.to_le_bytes());
    }
    fn call_dual_f64(self, values: &[Dual<f64>]) {
        append(self.out, values, |x| x.re.to_le_bytes());
    }
}

#[inline]
fn append<T, const N: usize>(out: &mut Vec<u8>, values: &[T], bytes: impl Fn(&T) -> [u8; N]) {
    let start = out.len();
    out.resize(start + values.len() * N, 0);
    let end = &mut out[start..];
    for (to, value) in end.as_chunks_mut::<N>().0.iter_mut().zip(values) {
        *to = bytes(value);
    }
}

struct Decode<'v> {
    dtype: Dtype,
    bytes: &'v [u8],
}

impl Decode<'_> {
    #[inline]
    fn fill<T>(self, out: &mut [T], narrow: impl Fn(f32) -> T, wide: impl Fn(f64) -> T) {
        match self.dtype {
            Dtype::F64 => read(self.bytes, out, |b| wide(f64::from_le_bytes(b))),
            Dtype::F32 => read(self.bytes, out, |b| narrow(f32::from_le_bytes(b))),
            Dtype::F16 => read(self.bytes, out, |b| narrow(half(u16::from_le_bytes(b)))),
            // The high half of an f32.
            Dtype::BF16 => read(self.bytes, out, |[low, high]| {
                narrow(f32::from_le_bytes([0, 0, low, high]))
            }),
            _ => {} // callers ask `is_float` first
        }
    }
}

impl<'v> ScalarFn for Decode<'v> {
    type In<T: Scalar> = &'v mut [T];
    type Out<T: Scalar> = ();

    fn call_f32(self, out: &mut [f32]) {
        self.fill(out, |x| x, |x| x as f32);
    }
    fn call_f64(self, out: &mut [f64]) {
        self.fill(out, f64::from, |x| x);
    }
    fn call_dual_f32(self, out: &mut [Dual<f32>]) {
        self.fill(
            out,
            |x| Dual { re: x, eps: 0.0 },
            |x| Dual {
                re: x as f32,
                eps: 0.0,
            },
        );
    }
    fn call_dual_f64(self, out: &mut [Dual<f64>]) {
        self.fill(
            out,
            |x| Dual {
                re: x.into(),
                eps: 0.0,
            },
            |x| Dual { re: x, eps: 0.0 },
        );
    }
}

#[inline]
fn read<T, const N: usize>(bytes: &[u8], out: &mut [T], value: impl Fn([u8; N]) -> T) {
    for (to, from) in out.iter_mut().zip(bytes.as_chunks::<N>().0) {
        *to = value(*from);
    }
}

/// An IEEE 754 half-precision number: 1 bit sign, 5 bits exponent (bias 15), 10 bits fraction.
fn half(bits: u16) -> f32 {
    let sign = u32::from(bits >> 15) << 31;
    let exponent = u32::from(bits >> 10) & 0x1f;
    let fraction = u32::from(bits) & 0x3ff;
    match exponent {
        // Zero and subnormals: the fraction times 2^-24, which an f32 holds exactly.
        0 => f32::from_bits((fraction as f32 * 2.0f32.powi(-24)).to_bits() | sign),
        0x1f => f32::from_bits(sign | 0x7f80_0000 | (fraction << 13)),
        _ => f32::from_bits(sign | ((exponent + 127 - 15) << 23) | (fraction << 13)),
    }
}

/// A shape with its last two axes swapped; with fewer than two, the same.
pub(crate) fn swapped(shape: &[usize]) -> Vec<usize> {
    let mut shape = shape.to_vec();
    if let [.., rows, cols] = &mut shape[..] {
        std::mem::swap(rows, cols);
    }
    shape
}

/// The bytes of a tensor of this shape, with its last two axes swapped where `swap` says so.
pub(crate) fn oriented<'a>(
    bytes: &'a [u8],
    shape: &[usize],
    dtype: Dtype,
    swap: bool,
) -> Cow<'a, [u8]> {
    match *shape {
        [.., rows, cols] if swap && rows > 1 && cols > 1 && !bytes.is_empty() => {
            Cow::Owned(transpose(bytes, rows, cols, dtype.bitsize() / 8))
        }
        _ => Cow::Borrowed(bytes),
    }
}

fn transpose(bytes: &[u8], rows: usize, cols: usize, size: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    for matrix in bytes.chunks_exact(rows * cols * size) {
        for col in 0..cols {
            for row in 0..rows {
                let at = (row * cols + col) * size;
                out.extend_from_slice(&matrix[at..at + size]);
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_are_read_as_ieee_says() {
        for (bits, value) in [
            (0x0000, 0.0),
            (0x3c00, 1.0),
            (0xc000, -2.0),
            (0x3555, 0.333_251_95),
            (0x7bff, 65504.0),
            (0x0001, 5.960_464_5e-8),
            (0x03ff, 6.097_555e-5),
            (0x0400, 6.103_515_6e-5),
            (0x7c00, f32::INFINITY),
            (0xfc00, f32::NEG_INFINITY),
        ] {
            assert_eq!(half(bits), value, "{bits:#06x}");
        }
        assert!(half(0x8000).is_sign_negative() && half(0x8000) == 0.0);
        assert!(half(0x7e01).is_nan() && half(0x7c01).is_nan());
    }

    #[test]
    fn halves_increase_with_their_bits() {
        for bits in 0..0x7c00u16 {
            assert!(half(bits) < half(bits + 1), "{bits:#06x}");
            assert_eq!(half(bits | 0x8000), -half(bits));
        }
    }

    #[test]
    fn signalling_nans_survive() {
        let values = [
            f32::from_bits(0x7f80_0001),
            f32::from_bits(0xffc1_2345),
            -0.0,
        ];
        let mut bytes = Vec::new();
        encode(&values, &mut bytes);
        let mut back = [0f32; 3];
        decode(Dtype::F32, &bytes, &mut back);
        assert_eq!(back.map(f32::to_bits), values.map(f32::to_bits));
    }

    #[test]
    fn matrices_are_transposed_one_by_one() {
        let bytes: Vec<u8> = (0..12).collect();
        let turned = oriented(&bytes, &[2, 2, 3], Dtype::U8, true);
        assert_eq!(turned[..], [0, 3, 1, 4, 2, 5, 6, 9, 7, 10, 8, 11]);
        assert_eq!(oriented(&turned, &[2, 3, 2], Dtype::U8, true)[..], bytes);
        assert_eq!(swapped(&[2, 2, 3]), [2, 3, 2]);
        assert_eq!(swapped(&[4]), [4]);
        assert_eq!(oriented(&bytes, &[12], Dtype::U8, true)[..], bytes);
        assert!(oriented(&[], &[3, 0, 2, 2], Dtype::F32, true).is_empty());
    }
}
