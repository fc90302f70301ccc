//! Optimizer updates over runs of slabs: one fused pass each, with PyTorch's formulas.
//!
//! Factors are computed in `f64` by the caller and here, and rounded once to the scalar.

use crate::elementwise::run_size;
use crate::scalar::Scalar;
use crate::simd::multiversion;
use crate::threads::{Shared, for_each_run, parallel_for};

/// The factors of an SGD step, as in `torch.optim.SGD`.
///
/// ```
/// use tiegrad_kernels::step::SgdStep;
/// let s = SgdStep { lr: 0.1, momentum: 0.9, nesterov: true, ..SgdStep::default() };
/// assert_eq!(s.weight_decay, 0.0);
/// ```
#[derive(Copy, Clone, PartialEq, Debug, Default)]
pub struct SgdStep {
    /// Learning rate.
    pub lr: f64,
    /// Momentum factor; 0: none.
    pub momentum: f64,
    /// Dampening of what a gradient adds to the momentum buffer.
    pub dampening: f64,
    /// L2 penalty, added to the gradient.
    pub weight_decay: f64,
    /// Nesterov momentum.
    pub nesterov: bool,
    /// Goes up the gradient.
    pub maximize: bool,
    /// The first step: the momentum buffer becomes the gradient, undampened, and is not read.
    pub first: bool,
}

/// One SGD step. `buf` is the momentum buffer; with `momentum == 0` it may be `None` and is not touched. O(n) for n parameters.
///
/// # Panics
/// If lengths differ, or momentum is used without a buffer.
///
/// ```
/// use tiegrad_kernels::step::{SgdStep, sgd};
/// let mut p = [1.0_f64];
/// sgd(&mut p, &[2.0], None, SgdStep { lr: 0.1, ..SgdStep::default() });
/// assert_eq!(p, [0.8]);
/// ```
pub fn sgd<T: Scalar>(p: &mut [T], g: &[T], buf: Option<&mut [T]>, s: SgdStep) {
    let n = p.len();
    assert_eq!(n, g.len(), "sgd: lengths differ");
    if s.momentum == 0.0 {
        for_each_run(p, run_size(n), |at, p| sgd_run(p, &g[at..at + p.len()], s));
        return;
    }
    let buf = buf.unwrap_or_default();
    assert_eq!(
        n,
        buf.len(),
        "sgd: momentum needs a buffer of the same length"
    );
    let (p, buf) = (Shared::new(p), Shared::new(buf));
    runs(n, &|start, end| {
        // SAFETY: runs do not overlap, and both slices are borrowed until all are done.
        let (p, buf) = unsafe { (p.range(start, end), buf.range(start, end)) };
        momentum_run(p, &g[start..end], buf, s);
    });
}

/// The factors of an Adam or AdamW step, as in `torch.optim.Adam` and `AdamW`.
///
/// ```
/// let s = tiegrad_kernels::step::AdamStep::new(1e-3, 0.9, 0.999, 1e-8, 2);
/// assert!((s.bias_correction2 - (1.0 - 0.999_f64.powi(2))).abs() < 1e-15);
/// ```
#[derive(Copy, Clone, PartialEq, Debug)]
pub struct AdamStep {
    /// Learning rate.
    pub lr: f64,
    /// Decay of the first moment.
    pub beta1: f64,
    /// Decay of the second moment.
    pub beta2: f64,
    /// Added to the denominator.
    pub eps: f64,
    /// Weight decay.
    pub weight_decay: f64,
    /// AdamW: parameters shrink by `1 - lr * weight_decay` first. Otherwise the decay joins the gradient.
    pub decoupled: bool,
    /// Goes up the gradient.
    pub maximize: bool,
    /// `1 - beta1^t` at step t.
    pub bias_correction1: f64,
    /// `1 - beta2^t` at step t.
    pub bias_correction2: f64,
}

impl AdamStep {
    /// The factors of step `t` (from 1), without weight decay.
    ///
    /// ```
    /// use tiegrad_kernels::step::AdamStep;
    /// let step = AdamStep::new(1e-3, 0.9, 0.999, 1e-8, 1);
    /// assert!((step.bias_correction1 - 0.1).abs() < 1e-15);
    /// assert_eq!(step.weight_decay, 0.0);
    /// ```
    pub fn new(lr: f64, beta1: f64, beta2: f64, eps: f64, t: u64) -> Self {
        AdamStep {
            lr,
            beta1,
            beta2,
            eps,
            weight_decay: 0.0,
            decoupled: false,
            maximize: false,
            bias_correction1: 1.0 - beta1.powf(t as f64),
            bias_correction2: 1.0 - beta2.powf(t as f64),
        }
    }
}

/// One Adam or AdamW step; `m` and `v` are the moments. With `max_v` the denominator uses the largest second
/// moment so far (AMSGrad). O(n) for n parameters.
///
/// # Panics
/// If lengths differ.
///
/// ```
/// use tiegrad_kernels::step::{AdamStep, adam};
/// let (mut p, mut m, mut v) = ([1.0_f64], [0.0], [0.0]);
/// adam(&mut p, &[5.0], &mut m, &mut v, None, AdamStep::new(0.1, 0.9, 0.999, 0.0, 1));
/// assert!((p[0] - 0.9).abs() < 1e-15);
/// ```
pub fn adam<T: Scalar>(
    p: &mut [T],
    g: &[T],
    m: &mut [T],
    v: &mut [T],
    max_v: Option<&mut [T]>,
    s: AdamStep,
) {
    let n = p.len();
    assert!(
        n == g.len() && n == m.len() && n == v.len(),
        "adam: lengths differ"
    );
    let (p, m, v) = (Shared::new(p), Shared::new(m), Shared::new(v));
    let max_v = max_v.map(|x| {
        assert_eq!(n, x.len(), "adam: lengths differ");
        Shared::new(x)
    });
    runs(n, &|start, end| {
        // SAFETY: runs do not overlap, and all slices are borrowed until all are done.
        unsafe {
            let (p, m, v) = (
                p.range(start, end),
                m.range(start, end),
                v.range(start, end),
            );
            let g = &g[start..end];
            match max_v {
                None => adam_run(p, g, m, v, s),
                Some(x) => amsgrad_run(p, g, m, v, x.range(start, end), s),
            }
        }
    });
}

/// The factors of an RMSprop step, as in `torch.optim.RMSprop`.
///
/// ```
/// use tiegrad_kernels::step::RmspropStep;
/// let s = RmspropStep { lr: 0.01, alpha: 0.99, eps: 1e-8, ..RmspropStep::default() };
/// assert_eq!(s.momentum, 0.0);
/// ```
#[derive(Copy, Clone, PartialEq, Debug, Default)]
pub struct RmspropStep {
    /// Learning rate.
    pub lr: f64,
    /// Decay of the averages.
    pub alpha: f64,
    /// Added to the denominator.
    pub eps: f64,
    /// L2 penalty, added to the gradient.
    pub weight_decay: f64,
    /// Momentum factor; 0: none.
    pub momentum: f64,
    /// Goes up the gradient.
    pub maximize: bool,
}

/// One RMSprop step. `square_avg` averages squared gradients; with `grad_avg` the variance is centered; with
/// `momentum != 0` the step goes through `buf`. O(n) for n parameters.
///
/// # Panics
/// If lengths differ, or momentum is used without a buffer.
///
/// ```
/// use tiegrad_kernels::step::{RmspropStep, rmsprop};
/// let (mut p, mut sq) = ([1.0_f64], [0.0]);
/// let s = RmspropStep { lr: 0.1, alpha: 0.75, eps: 0.0, ..RmspropStep::default() };
/// rmsprop(&mut p, &[3.0], &mut sq, None, None, s);
/// assert!((p[0] - 0.8).abs() < 1e-15);
/// ```
pub fn rmsprop<T: Scalar>(
    p: &mut [T],
    g: &[T],
    square_avg: &mut [T],
    grad_avg: Option<&mut [T]>,
    buf: Option<&mut [T]>,
    s: RmspropStep,
) {
    let n = p.len();
    assert!(
        n == g.len() && n == square_avg.len(),
        "rmsprop: lengths differ"
    );
    let share = |x: Option<&mut [T]>| {
        x.map(|x| {
            assert_eq!(n, x.len(), "rmsprop: lengths differ");
            Shared::new(x)
        })
    };
    let (p, sq, avg) = (Shared::new(p), Shared::new(square_avg), share(grad_avg));
    let buf = if s.momentum == 0.0 {
        None
    } else {
        share(Some(buf.unwrap_or_default()))
    };
    runs(n, &|start, end| {
        // SAFETY: runs do not overlap, and all slices are borrowed until all are done.
        unsafe {
            let [avg, buf] = [avg, buf].map(|x| x.map(|x| x.range(start, end)));
            rmsprop_run(
                p.range(start, end),
                &g[start..end],
                sq.range(start, end),
                avg,
                buf,
                s,
            );
        }
    });
}

/// `x *= factor`: what clipping does to gradients. O(n) for n elements.
///
/// ```
/// let mut g = [2.0_f32, 4.0];
/// tiegrad_kernels::step::scale(&mut g, 0.5);
/// assert_eq!(g, [1.0, 2.0]);
/// ```
pub fn scale<T: Scalar>(x: &mut [T], factor: T) {
    for_each_run(x, run_size(x.len()), |_, x| scale_run(x, factor));
}

/// Calls `f(start, end)` for runs of `0..n`, in parallel where n is large.
fn runs(n: usize, f: &(dyn Fn(usize, usize) + Sync)) {
    let size = run_size(n);
    parallel_for(n.div_ceil(size), &|i| f(i * size, n.min((i + 1) * size)));
}

multiversion! {
    [T: Scalar]
    fn scale_run(x: &mut [T], factor: T) -> () {
        for x in x {
            *x *= factor;
        }
    }
}

multiversion! {
    [T: Scalar]
    fn sgd_run(p: &mut [T], g: &[T], s: SgdStep) -> () {
        let sign = T::from_f64(if s.maximize { -1.0 } else { 1.0 });
        let (lr, decay) = (T::from_f64(s.lr), T::from_f64(s.weight_decay));
        if s.weight_decay == 0.0 {
            let lr = lr * sign;
            for (p, &g) in p.iter_mut().zip(g) {
                *p -= lr * g;
            }
        } else {
            for (p, &g) in p.iter_mut().zip(g) {
                *p -= lr * (sign * g + decay * *p);
            }
        }
    }
}

multiversion! {
    [T: Scalar]
    fn momentum_run(p: &mut [T], g: &[T], buf: &mut [T], s: SgdStep) -> () {
        let sign = T::from_f64(if s.maximize { -1.0 } else { 1.0 });
        let (lr, decay) = (T::from_f64(s.lr), T::from_f64(s.weight_decay));
        let decays = s.weight_decay != 0.0;
        let (momentum, fresh) = (T::from_f64(s.momentum), T::from_f64(1.0 - s.dampening));
        let n = p.len();
        let (g, buf) = (&g[..n], &mut buf[..n]);
        for i in 0..n {
            let g = if decays { sign * g[i] + decay * p[i] } else { sign * g[i] };
            let b = if s.first { g } else { momentum * buf[i] + fresh * g };
            buf[i] = b;
            p[i] -= lr * if s.nesterov { g + momentum * b } else { b };
        }
    }
}

/// The factors of Adam's update, rounded to the scalar.
#[derive(Clone, Copy)]
struct Adam<T> {
    sign: T,
    penalized: bool,
    penalty: T,
    shrink: T,
    fresh1: T,
    beta2: T,
    fresh2: T,
    root: T,
    eps: T,
    step: T,
}

impl<T: Scalar> Adam<T> {
    #[inline(always)]
    fn new(s: &AdamStep) -> Self {
        let (penalty, shrink) = if s.decoupled {
            (0.0, 1.0 - s.lr * s.weight_decay)
        } else {
            (s.weight_decay, 1.0)
        };
        Adam {
            sign: T::from_f64(if s.maximize { -1.0 } else { 1.0 }),
            penalized: penalty != 0.0,
            penalty: T::from_f64(penalty),
            shrink: T::from_f64(shrink),
            fresh1: T::from_f64(1.0 - s.beta1),
            beta2: T::from_f64(s.beta2),
            fresh2: T::from_f64(1.0 - s.beta2),
            root: T::from_f64(s.bias_correction2.sqrt().recip()),
            eps: T::from_f64(s.eps),
            step: T::from_f64(s.lr / s.bias_correction1),
        }
    }

    /// One element's moments.
    #[inline(always)]
    fn moments(&self, p: T, g: T, m: &mut T, v: &mut T) {
        let g = if self.penalized {
            self.sign * g + self.penalty * p
        } else {
            self.sign * g
        };
        *m += (g - *m) * self.fresh1;
        *v = *v * self.beta2 + self.fresh2 * g * g;
    }

    /// One element's step, given the second moment to divide by.
    #[inline(always)]
    fn update(&self, p: T, m: T, v: T) -> T {
        p * self.shrink - self.step * m / (v.sqrt() * self.root + self.eps)
    }
}

multiversion! {
    avx512 [T: Scalar]
    fn adam_run(p: &mut [T], g: &[T], m: &mut [T], v: &mut [T], s: AdamStep) -> () {
        let a = Adam::new(&s);
        let n = p.len();
        let (g, m, v) = (&g[..n], &mut m[..n], &mut v[..n]);
        for i in 0..n {
            a.moments(p[i], g[i], &mut m[i], &mut v[i]);
            p[i] = a.update(p[i], m[i], v[i]);
        }
    }
}

multiversion! {
    avx512 [T: Scalar]
    fn amsgrad_run(p: &mut [T], g: &[T], m: &mut [T], v: &mut [T], max_v: &mut [T], s: AdamStep) -> () {
        let a = Adam::new(&s);
        let n = p.len();
        let (g, m, v, max_v) = (&g[..n], &mut m[..n], &mut v[..n], &mut max_v[..n]);
        for i in 0..n {
            a.moments(p[i], g[i], &mut m[i], &mut v[i]);
            max_v[i] = max_v[i].maximum(v[i]);
            p[i] = a.update(p[i], m[i], max_v[i]);
        }
    }
}

multiversion! {
    [T: Scalar]
    fn rmsprop_run(
        p: &mut [T], g: &[T], sq: &mut [T], avg: Option<&mut [T]>, buf: Option<&mut [T]>, s: RmspropStep,
    ) -> () {
        let sign = T::from_f64(if s.maximize { -1.0 } else { 1.0 });
        let (lr, decay, eps) = (T::from_f64(s.lr), T::from_f64(s.weight_decay), T::from_f64(s.eps));
        let (alpha, fresh) = (T::from_f64(s.alpha), T::from_f64(1.0 - s.alpha));
        let (momentum, decays) = (T::from_f64(s.momentum), s.weight_decay != 0.0);
        let (mut avg, mut buf) = (avg, buf);
        let n = p.len();
        let (g, sq) = (&g[..n], &mut sq[..n]);
        for i in 0..n {
            let g = if decays { sign * g[i] + decay * p[i] } else { sign * g[i] };
            sq[i] = sq[i] * alpha + fresh * g * g;
            let mut square = sq[i];
            if let Some(avg) = &mut avg {
                avg[i] += (g - avg[i]) * fresh;
                square -= avg[i] * avg[i];
            }
            let mut step = g / (square.sqrt() + eps);
            if let Some(buf) = &mut buf {
                step += momentum * buf[i];
                buf[i] = step;
            }
            p[i] -= lr * step;
        }
    }
}

#[cfg(test)]
mod tests;
