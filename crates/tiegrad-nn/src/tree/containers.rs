//! Modules that Rust has already: `Vec`, arrays, `BTreeMap`, `Box`, tuples.

use std::collections::BTreeMap;
use std::fmt;

use super::field::Field;
use super::module::{Module, Name, Visit, VisitMut};
use crate::layer::DynLayer;

macro_rules! list {
    ([$($generics:tt)*] $ty:ty) => {
        /// Names are positions. It prints as PyTorch's `ModuleList`, equal neighbours as one.
        impl<$($generics)*> Module for $ty {
            fn kind(&self) -> &str {
                "ModuleList"
            }

            fn visit<'a>(&'a self, v: &mut dyn Visit<'a>) {
                for (index, field) in self.iter().enumerate() {
                    field.enter(Name::Index(index), v);
                }
            }

            fn visit_mut(&mut self, v: &mut dyn VisitMut) {
                for (index, field) in self.iter_mut().enumerate() {
                    field.enter_mut(Name::Index(index), v);
                }
            }

            fn is_list(&self) -> bool {
                true
            }
        }
    };
}
list!([F: Field] Vec<F>);
list!([F: Field, const N: usize] [F; N]);

/// Names are keys, in their order. It prints as PyTorch's `ModuleDict`.
impl<F: Field> Module for BTreeMap<String, F> {
    fn kind(&self) -> &str {
        "ModuleDict"
    }

    fn visit<'a>(&'a self, v: &mut dyn Visit<'a>) {
        for (name, field) in self {
            field.enter(Name::Field(name), v);
        }
    }

    fn visit_mut(&mut self, v: &mut dyn VisitMut) {
        for (name, field) in self {
            field.enter_mut(Name::Field(name), v);
        }
    }
}

macro_rules! boxed {
    ([$($generics:tt)*] $ty:ty) => {
        /// A box is what is in it.
        impl<$($generics)*> Module for Box<$ty> {
            fn kind(&self) -> &str {
                (**self).kind()
            }

            fn visit<'a>(&'a self, v: &mut dyn Visit<'a>) {
                (**self).visit(v);
            }

            fn visit_mut(&mut self, v: &mut dyn VisitMut) {
                (**self).visit_mut(v);
            }

            fn extra_repr(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                (**self).extra_repr(f)
            }

            fn unboxed(&self) -> Option<&dyn Module> {
                Some(&**self)
            }
        }
    };
}
boxed!([M: Module] M);
boxed!([] dyn Module);
boxed!([] dyn DynLayer);

macro_rules! tuple {
    ($($field:ident $index:tt),*) => {
        /// Names are positions. It prints as PyTorch's `Sequential`, and as a [`Layer`](crate::Layer) it applies its elements in order.
        impl<$($field: Field),*> Module for ($($field,)*) {
            fn kind(&self) -> &str {
                "Sequential"
            }

            fn visit<'a>(&'a self, v: &mut dyn Visit<'a>) {
                $(self.$index.enter(Name::Index($index), v);)*
            }

            fn visit_mut(&mut self, v: &mut dyn VisitMut) {
                $(self.$index.enter_mut(Name::Index($index), v);)*
            }
        }
    };
}
tuple!(A 0);
tuple!(A 0, B 1);
tuple!(A 0, B 1, C 2);
tuple!(A 0, B 1, C 2, D 3);
tuple!(A 0, B 1, C 2, D 3, E 4);
tuple!(A 0, B 1, C 2, D 3, E 4, F 5);
tuple!(A 0, B 1, C 2, D 3, E 4, F 5, G 6);
tuple!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7);
tuple!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8);
tuple!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9);
tuple!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9, K 10);
tuple!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9, K 10, L 11);
