use tiegrad_nn::prelude::*;

#[derive(Module)]
#[module(crate = "tiegrad_nn", colour = "red")]
struct UnknownOnType(ReLU);

#[derive(Module)]
#[module(crate = "tiegrad_nn")]
struct UnknownOnField {
    #[module(skipp)]
    inner: ReLU,
}

#[derive(Module)]
#[module(crate = "tiegrad_nn", kind = "A", kind = "B")]
struct Twice(ReLU);

#[derive(Module)]
#[module(crate = "tiegrad_nn", kind = "")]
struct EmptyKind(ReLU);

#[derive(Module)]
#[module(crate = "tiegrad_nn")]
struct SameName {
    a: ReLU,
    #[module(name = "a")]
    b: ReLU,
}

#[derive(Module)]
#[module(crate = "tiegrad_nn")]
struct SkippedAndNamed {
    #[module(skip, name = "a")]
    a: ReLU,
}

#[derive(Module)]
#[module(crate = "tiegrad_nn")]
struct WrongRole {
    #[module(role = "sideways")]
    a: ParamId,
}

#[derive(Module)]
#[module(crate = "tiegrad_nn")]
enum OnVariant {
    #[module(skip)]
    A(ReLU),
}

#[derive(Module)]
#[module(crate = "tiegrad_nn")]
struct Borrows<'a> {
    inner: &'a ReLU,
}

#[derive(Module)]
#[module(crate = "tiegrad_nn")]
union Union {
    a: u32,
}

fn main() {}
