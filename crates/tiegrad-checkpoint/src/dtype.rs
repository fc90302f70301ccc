//! The element types that the safetensors format knows.

use std::fmt;

macro_rules! dtypes {
    ($($(#[doc = $doc:literal])+ $name:ident = $bits:literal,)+) => {
        /// The type of a tensor's elements, under the format's names. Tensors of every type can be looked at; values are read from and written
        /// as `F64`, `F32`, `F16` and `BF16`.
        ///
        /// ```
        /// use tiegrad_checkpoint::Dtype;
        /// assert_eq!((Dtype::BF16.to_string().as_str(), Dtype::BF16.bitsize()), ("BF16", 16));
        /// ```
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[allow(non_camel_case_types, reason = "the format's names")]
        #[non_exhaustive]
        pub enum Dtype {
            $($(#[doc = $doc])+ $name,)+
        }

        impl Dtype {
            /// Bits of one element.
            ///
            /// ```
            /// use tiegrad_checkpoint::Dtype;
            /// assert_eq!((Dtype::F64.bitsize(), Dtype::F4.bitsize()), (64, 4));
            /// ```
            pub fn bitsize(self) -> usize {
                match self {
                    $(Dtype::$name => $bits,)+
                }
            }

            /// The format's name.
            ///
            /// ```
            /// use tiegrad_checkpoint::Dtype;
            /// assert_eq!(Dtype::F8_E4M3.name(), "F8_E4M3");
            /// ```
            pub fn name(self) -> &'static str {
                match self {
                    $(Dtype::$name => stringify!($name),)+
                }
            }

            /// The type of this name.
            pub(crate) fn of(name: &str) -> Option<Dtype> {
                match name {
                    $(stringify!($name) => Some(Dtype::$name),)+
                    _ => None,
                }
            }
        }
    };
}

// In order of alignment, as the reference implementation has it: larger elements come first in a file.
dtypes! {
    /// Boolean, one byte.
    BOOL = 8,
    /// Microscaling 4-bit float.
    F4 = 4,
    /// Microscaling 6-bit float, 2 bits of exponent.
    F6_E2M3 = 6,
    /// Microscaling 6-bit float, 3 bits of exponent.
    F6_E3M2 = 6,
    /// Unsigned byte.
    U8 = 8,
    /// Signed byte.
    I8 = 8,
    /// 8-bit float, 5 bits of exponent.
    F8_E5M2 = 8,
    /// 8-bit float, 4 bits of exponent.
    F8_E4M3 = 8,
    /// 8-bit scale, 8 bits of exponent.
    F8_E8M0 = 8,
    /// 8-bit float without negative zero, 4 bits of exponent.
    F8_E4M3FNUZ = 8,
    /// 8-bit float without negative zero, 5 bits of exponent.
    F8_E5M2FNUZ = 8,
    /// Signed, 16 bits.
    I16 = 16,
    /// Unsigned, 16 bits.
    U16 = 16,
    /// IEEE half precision.
    F16 = 16,
    /// The upper half of a single.
    BF16 = 16,
    /// Signed, 32 bits.
    I32 = 32,
    /// Unsigned, 32 bits.
    U32 = 32,
    /// IEEE single precision.
    F32 = 32,
    /// Complex of two singles.
    C64 = 64,
    /// IEEE double precision.
    F64 = 64,
    /// Signed, 64 bits.
    I64 = 64,
    /// Unsigned, 64 bits.
    U64 = 64,
}

impl fmt::Display for Dtype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
