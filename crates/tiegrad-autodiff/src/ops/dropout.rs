//! Dropout with counter-based masks.

use tiegrad_arena::Shape;
use tiegrad_kernels::{Scalar, elementwise};

use crate::error::Problem;
use crate::op::{Backward, Forward, Op};
use crate::sample::{ArgSpec, Sample};
use crate::tape::RngState;
use crate::var::Var;

/// Each element is 0 with probability p and else x / (1 - p) (Srivastava et al., JMLR 15, 2014; the inverted form).
///
/// The mask is a function of (seed, step, number of the dropout op in the step, position): nothing is stored for the rule, every scalar
/// type drops the same elements, and the number of threads plays no part.
///
/// ```
/// # let mut params = tiegrad_arena::Params::<f64>::new(); let mut tape = tiegrad_autodiff::Tape::new(); let g = tape.record(&mut params);
/// let x = g.leaf(&[1.0; 8]);
/// let y = x.dropout(0.5);
/// assert!(y.value()?.iter().all(|&y| y == 0.0 || y == 2.0));
/// y.sum().backward()?;
/// assert_eq!(x.grad()?, Some(y.value()?.to_owned())); // the same mask
/// # Ok::<(), tiegrad_autodiff::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Dropout {
    p: f64,
    key: u64,
}

/// The finalizer of splitmix64 (Steele, Lea & Flood, OOPSLA 2014): a bijection that mixes every bit into every other.
#[inline(always)]
fn mix(mut x: u64) -> u64 {
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

impl Dropout {
    fn new(p: f64, rng: RngState, number: u32) -> Dropout {
        let mut key = mix(rng.seed.wrapping_add(GOLDEN));
        key = mix(key.wrapping_add(rng.step.wrapping_mul(GOLDEN)));
        key = mix(key.wrapping_add(u64::from(number).wrapping_mul(GOLDEN)));
        Dropout { p, key }
    }

    /// What element `i` is multiplied by.
    #[inline(always)]
    fn factor<T: Scalar>(self, scale: T) -> impl Fn(usize) -> T + Copy + Sync {
        // 53 random bits against p.
        let threshold = (self.p * (1_u64 << 53) as f64) as u64;
        let key = self.key;
        move |i| {
            let bits = mix(key.wrapping_add((i as u64).wrapping_mul(GOLDEN))) >> 11;
            if bits < threshold { T::ZERO } else { scale }
        }
    }

    fn scale<T: Scalar>(self) -> T {
        T::from_f64(if self.p < 1.0 {
            1.0 / (1.0 - self.p)
        } else {
            0.0
        })
    }
}

impl Op for Dropout {
    const NAME: &'static str = "dropout";

    fn arity(&self) -> Option<usize> {
        Some(1)
    }

    fn shape(&self, args: &[&Shape]) -> Result<Shape, Problem> {
        if (0.0..=1.0).contains(&self.p) {
            Ok(*args[0])
        } else {
            Err(Problem::Setting {
                what: "p must be a probability, 0 to 1",
                value: self.p,
            })
        }
    }

    fn forward<T: Scalar>(&self, cx: &mut Forward<'_, '_, T>) -> Result<(), Problem> {
        let (x, factor) = (cx.arg(0), self.factor(self.scale()));
        elementwise::map_indexed(cx.write(), cx.out(), x, move |i, x| x * factor(i));
        Ok(())
    }

    fn backward<T: Scalar>(&self, cx: &Backward<'_, '_, T>) {
        let (dy, factor) = (cx.dy(), self.factor(self.scale()));
        cx.into(0, |dst| {
            elementwise::map_indexed(dst.write, dst.data, dy, move |i, dy| dy * factor(i))
        });
    }

    fn samples() -> Vec<Sample<Self>> {
        let op = |p| Dropout::new(p, RngState { seed: 3, step: 5 }, 1);
        vec![
            Sample::new(op(0.4), [ArgSpec::values([4, 5])]),
            Sample::new(op(0.0), [ArgSpec::values([3])]),
            Sample::new(op(1.0), [ArgSpec::values([3])]),
        ]
    }
}

impl<'t, T: Scalar> Var<'t, T> {
    /// In training mode, each element is 0 with probability `p` and else x / (1 - p); in evaluation mode, `self`.
    ///
    /// ```
    /// # use tiegrad_arena::Params; use tiegrad_autodiff::Tape;
    /// let mut params = Params::<f32>::new();
    /// let mut tape = Tape::new();
    /// let g = tape.record(&mut params);
    /// let kept = g.full([10_000], 1.0).dropout(0.25).sum().item()? * 0.75;
    /// assert!((kept - 7_500.0).abs() < 200.0);
    /// assert_eq!(g.train(false).full([8], 1.0).dropout(0.25).sum().item()?, 8.0);
    /// # Ok::<(), tiegrad_autodiff::Error>(())
    /// ```
    #[track_caller]
    pub fn dropout(self, p: f64) -> Var<'t, T> {
        let g = self.graph();
        // A wrong p is an error in evaluation mode too.
        if !g.is_training() && (0.0..=1.0).contains(&p) {
            return self;
        }
        let (rng, number) = g.next_dropout();
        g.apply(Dropout::new(p, rng, number), &[self])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_are_even_and_differ_between_ops_steps_and_seeds() {
        let mask = |seed, step, number| -> Vec<bool> {
            let factor = Dropout::new(0.3, RngState { seed, step }, number).factor(1.0_f64);
            (0..20_000).map(|i| factor(i) == 0.0).collect()
        };
        let first = mask(1, 0, 0);
        let share = |m: &[bool]| m.iter().filter(|&&d| d).count() as f64 / m.len() as f64;
        assert!((share(&first) - 0.3).abs() < 0.015);
        for other in [mask(2, 0, 0), mask(1, 1, 0), mask(1, 0, 1)] {
            let both: Vec<bool> = first.iter().zip(&other).map(|(a, b)| *a && *b).collect();
            assert!(
                (share(&both) - 0.09).abs() < 0.01,
                "masks look dependent: {}",
                share(&both)
            );
        }
    }
}
