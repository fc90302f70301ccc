//! What changes no bit of a product, on every level: the cache that it is cut for, where its operands begin, and how it is cut into parts.

use super::paths::{ALL, FORM, Form, Leveled, Operand, levels};
use super::{Layout, PLAIN, T};
use crate::cache::{with_second_level, with_whole_vectors, with_writing_across_lines};
use crate::matmul::{Activation, Gemm, gemm_at};
use crate::testing::{Numbers, bits};
use std::alloc;

/// How blocks are cut for a cache changes no bit.
#[test]
fn the_cache_changes_no_bit() {
    fn check<N: Leveled>(m: usize, n: usize, k: usize, [la, lb]: [Layout; 2]) {
        let mut numbers = Numbers::new((m + n + k) as u64);
        let a = Operand::<N>::new(&mut numbers, m, k, la, 0);
        let b = Operand::<N>::new(&mut numbers, k, n, lb, 0);
        for level in levels() {
            // A small one, one for few strips at a time, and one for many.
            let results = [1 << 20, (1 << 20) + 1, 4 << 20].map(|second_level| {
                let mut c = vec![N::ZERO; m * n];
                let mut g = Gemm::new(m, n, k);
                (g.a, g.a_row, g.a_col) = (a.data.as_ptr(), a.strides[0], a.strides[1]);
                (g.b, g.b_row, g.b_col) = (b.data.as_ptr(), b.strides[0], b.strides[1]);
                (g.c, g.c_row, g.c_col) = (c.as_mut_ptr(), n, 1);
                g.orient(|| level);
                // SAFETY: the vectors hold matrices of these sizes and strides.
                with_second_level(second_level, || unsafe { gemm_at(level, &g) });
                bits(&c)
            });
            assert!(
                results[0] == results[1] && results[0] == results[2],
                "{level:?} ({m},{k},{n}) {la:?} {lb:?}: the bits differ"
            );
        }
    }
    for layouts in [[PLAIN, PLAIN], [PLAIN, T], [T, PLAIN], [T, T]] {
        check::<f32>(100, 660, 600, layouts);
        check::<f64>(91, 340, 300, layouts);
    }
    // Last columns that are a tile of their row, and narrow results that have no others.
    for (n, layouts) in [30, 22]
        .iter()
        .flat_map(|&n| [[PLAIN, PLAIN], [PLAIN, T], [T, PLAIN]].map(|layouts| (n, layouts)))
    {
        check::<f32>(97, 2 * n, 450, layouts);
        check::<f32>(40, 64 + 2 * n, 450, layouts);
        check::<f64>(97, n, 600, layouts);
        check::<f64>(40, 32 + n, 600, layouts);
    }
    // A near `b` that few rows read where it lies, and one that they may not.
    for layouts in [[PLAIN, PLAIN], [T, PLAIN]] {
        check::<f32>(40, 300, 124, layouts);
        check::<f32>(40, 256, 124, layouts);
        check::<f64>(40, 150, 124, layouts);
        check::<f64>(40, 128, 124, layouts);
    }
    // A near `b`, and a result that is not.
    for layouts in [[PLAIN, PLAIN], [T, PLAIN]] {
        check::<f32>(190, 1101, 9, layouts);
        check::<f64>(997, 209, 12, layouts);
    }
    // Copies of `a` for more strips than there is room for.
    check::<f32>(300, 1100, 512, [T, PLAIN]);
    check::<f64>(260, 550, 512, [T, PLAIN]);
    check::<f32>(300, 1148, 512, [T, PLAIN]);
    check::<f64>(260, 574, 512, [T, PLAIN]);
}

/// Numbers that begin so many after the begin of a line, and end where the allocation does, so that AddressSanitizer sees what is read beyond.
struct Begun<N> {
    data: *mut N,
    shift: usize,
    len: usize,
    layout: alloc::Layout,
}

impl<N: Leveled> Begun<N> {
    fn new(values: &[N], shift: usize) -> Self {
        let bytes = (shift + values.len()) * size_of::<N>();
        let layout = alloc::Layout::from_size_align(bytes, 64).unwrap();
        // SAFETY: there is a number; what is allocated is checked, and is as long as what is written.
        let data = unsafe {
            let data = alloc::alloc_zeroed(layout).cast::<N>();
            assert!(bytes > 0 && !data.is_null());
            data.add(shift)
                .copy_from_nonoverlapping(values.as_ptr(), values.len());
            data
        };
        Begun {
            data,
            shift,
            len: values.len(),
            layout,
        }
    }

    fn at(&self) -> *mut N {
        self.data.wrapping_add(self.shift)
    }

    fn get(&self) -> &[N] {
        // SAFETY: so many were written there.
        unsafe { std::slice::from_raw_parts(self.at(), self.len) }
    }
}

impl<N> Drop for Begun<N> {
    fn drop(&mut self) {
        // SAFETY: allocated so, and not freed yet.
        unsafe { alloc::dealloc(self.data.cast(), self.layout) };
    }
}

/// Where operands begin within a line changes no bit, though some that do not begin at one are copied, whatever the cache.
#[test]
fn alignment_changes_no_bit() {
    fn check<N: Leveled>(
        [m, n, k]: [usize; 3],
        [la, lb]: [Layout; 2],
        shifts: impl Iterator<Item = [usize; 3]> + Clone,
    ) {
        for level in levels() {
            let mut first = None;
            for shift in shifts.clone() {
                let mut numbers = Numbers::new((m + n + k) as u64);
                let a = Operand::<N>::new(&mut numbers, m, k, la, 0);
                let b = Operand::<N>::new(&mut numbers, k, n, lb, 0);
                let reached = |of: &Operand<N>, rows: usize, cols: usize| {
                    let last = (rows - 1) * of.strides[0] + (cols - 1) * of.strides[1];
                    of.data[..=last].to_vec()
                };
                let a_data = Begun::new(&reached(&a, m, k), shift[0]);
                let b_data = Begun::new(&reached(&b, k, n), shift[1]);
                for second_level in [1 << 20, 4 << 20] {
                    let c = Begun::new(&vec![N::ZERO; m * n], shift[2]);
                    let mut g = Gemm::new(m, n, k);
                    (g.a, g.a_row, g.a_col) =
                        (a_data.at().cast_const(), a.strides[0], a.strides[1]);
                    (g.b, g.b_row, g.b_col) =
                        (b_data.at().cast_const(), b.strides[0], b.strides[1]);
                    (g.c, g.c_row, g.c_col) = (c.at(), n, 1);
                    g.orient(|| level);
                    // SAFETY: the vectors hold matrices of these sizes and strides.
                    with_second_level(second_level, || unsafe { gemm_at(level, &g) });
                    let result = bits(c.get());
                    assert!(
                        *first.get_or_insert_with(|| result.clone()) == result,
                        "{level:?} ({m},{k},{n}) {la:?} {lb:?} {shift:?} {second_level}: the bits differ"
                    );
                }
            }
        }
    }
    // Operands together, or only one of them.
    let some = [
        [0, 0, 0],
        [1, 1, 1],
        [4, 0, 2],
        [0, 4, 5],
        [5, 3, 8],
        [8, 15, 0],
        [16, 2, 16],
    ];
    for (m, n, k) in [
        // The shorter side copied, which is either one, or not where it begins at lines.
        (40, 10, 304),
        (64, 5, 512),
        (12, 100, 320),
        (3, 100, 304),
        (40, 10, 300),
        // Shorter rows, of which many pass.
        (4, 64, 64),
        (70, 6, 96),
        // A near `b` with rows 1,024 bytes apart.
        (40, 256, 124),
        (40, 128, 124),
        (40, 256, 60),
        (40, 128, 60),
        // A few high tiles.
        (20, 140, 300),
        (40, 33, 50),
        (9, 16, 16),
        (101, 131, 5),
        (100, 100, 100),
    ] {
        for layouts in [[PLAIN, PLAIN], [PLAIN, T], [T, PLAIN], [T, T]] {
            check::<f32>([m, n, k], layouts, some.iter().copied());
            check::<f64>([m, n, k], layouts, some.iter().copied());
        }
    }
    // Long rows that each begin at the same place within a line, eight to one column, and, pages apart, four columns of one row.
    for k in [512_usize, 301, 317, 1024] {
        let gap = Layout {
            row_gap: k.next_multiple_of(16) - k,
            ..PLAIN
        };
        for (m, n, layouts) in [
            (24, 1, [gap, T]),
            (1, 20, [PLAIN, Layout { t: true, ..gap }]),
            (9, 5, [gap, Layout { t: true, ..gap }]),
        ] {
            check::<f32>([m, n, k], layouts, (0..17).map(|shift| [shift; 3]));
            check::<f64>([m, n, k], layouts, (0..17).map(|shift| [shift; 3]));
        }
    }
}

/// Whether rows are written wherever they begin, or line by line, changes no bit, and writes nothing beyond them.
#[test]
fn how_rows_are_written_changes_no_bit() {
    fn check<N: Leveled>([m, n, k]: [usize; 3], la: Layout, gap: usize, second_level: usize) {
        let mut numbers = Numbers::new((m + n + k) as u64);
        let a = Operand::<N>::new(&mut numbers, m, k, la, 0);
        let b = Operand::<N>::new(&mut numbers, k, n, PLAIN, 0);
        let old: Vec<N> = numbers.vec((m - 1) * (n + gap) + n);
        for level in levels() {
            for long in [false, true] {
                let results = [false, true].map(|little| {
                    let c = Begun::new(&old, 3);
                    let mut g = Gemm::new(m, n, k);
                    (g.a, g.a_row, g.a_col) = (a.data.as_ptr(), a.strides[0], a.strides[1]);
                    (g.b, g.b_row, g.b_col) = (b.data.as_ptr(), b.strides[0], b.strides[1]);
                    (g.c, g.c_row, g.c_col) = (c.at(), n + gap, 1);
                    if long {
                        g.activation = Activation::Tanh;
                    }
                    g.orient(|| level);
                    with_writing_across_lines(little, || {
                        // SAFETY: the vectors hold matrices of these sizes and strides.
                        with_second_level(second_level, || unsafe { gemm_at(level, &g) });
                    });
                    bits(c.get())
                });
                assert!(
                    results[0] == results[1],
                    "{level:?} ({m},{k},{n}) {la:?} {gap} {long}: the bits differ"
                );
                let untouched = |at: &usize| at % (n + gap) >= n;
                for at in (0..old.len()).filter(untouched) {
                    assert_eq!(results[1][at], bits(&old)[at], "({m},{k},{n}) {gap}: {at}");
                }
            }
        }
    }
    for k in 1..=8 {
        // Fewer rows than are taken together, as many, and more; columns that fill vectors and that do not, and several spans of them.
        for (m, n) in [
            (1, 4700),
            (2, 65),
            (3, 130),
            (4, 128),
            (9, 100),
            (7, 300),
            (6, 4700),
        ] {
            for la in [PLAIN, T] {
                check::<f32>([m, n, k], la, 0, 1 << 20);
                check::<f64>([m, n, k], la, 5, 1 << 20);
            }
        }
    }
    // More to read than tiles leave to few rows.
    for k in 6..=8 {
        for (m, n) in [(14, 1001), (20, 1501)] {
            check::<f32>([m, n, k], PLAIN, 0, 1 << 20);
            check::<f64>([m, n, k], PLAIN, 0, 1 << 20);
        }
    }
    // Results in the second-level cache, and beyond it.
    for second_level in [140 << 10, 4 << 20] {
        check::<f32>([90, 401, 1], PLAIN, 0, second_level);
        check::<f64>([90, 401, 1], PLAIN, 0, second_level);
    }
}

/// Whether rows that fit into half a vector are computed by whole ones changes no bit.
#[test]
fn whole_vectors_have_the_bits_of_halves() {
    fn check<N: Leveled>(m: usize, n: usize, k: usize, form: Form) {
        for la in [PLAIN, T] {
            let mut numbers = Numbers::new((m + n + k) as u64);
            let a = Operand::<N>::new(&mut numbers, m, k, la, 0);
            let b = Operand::<N>::new(&mut numbers, k, n, PLAIN, 0);
            let old: Vec<N> = numbers.vec(m * n);
            let bias: Vec<N> = numbers.vec(m.max(n));
            for level in levels() {
                let results = [false, true].map(|gain| {
                    let mut c = old.clone();
                    let mut g = Gemm::new(m, n, k);
                    (g.alpha, g.beta) = (N::from_f64(form.alpha), N::from_f64(form.beta));
                    (g.a, g.a_row, g.a_col) = (a.data.as_ptr(), a.strides[0], a.strides[1]);
                    (g.b, g.b_row, g.b_col) = (b.data.as_ptr(), b.strides[0], b.strides[1]);
                    (g.c, g.c_row, g.c_col) = (c.as_mut_ptr(), n, 1);
                    if form.bias {
                        g.bias = bias.as_ptr();
                    }
                    g.orient(|| level);
                    // SAFETY: the vectors hold matrices of these sizes and strides.
                    with_whole_vectors(gain, || unsafe { gemm_at(level, &g) });
                    bits(&c)
                });
                assert!(
                    results[0] == results[1],
                    "{level:?} ({m},{k},{n}) {la:?} {form:?}: the bits differ"
                );
            }
        }
    }
    for m in [7, 8, 13, 30, 100] {
        for n in 1..=8 {
            for k in [1, 2, 5, 9, 12, 17, 40, 130, 512] {
                for form in [FORM, ALL] {
                    check::<f32>(m, n, k, form);
                    check::<f64>(m, n.min(4), k, form);
                }
            }
        }
    }
}

/// A few columns of a product have the bits that they have in the whole, however few they are: threads cut products anywhere.
#[test]
fn parts_have_the_bits_of_the_whole_on_every_path() {
    fn check<N: Leveled>(m: usize, n: usize, k: usize, [la, lb]: [Layout; 2], form: Form) {
        let mut numbers = Numbers::new((m + n + k) as u64);
        let a = Operand::<N>::new(&mut numbers, m, k, la, 0);
        let b = Operand::<N>::new(&mut numbers, k, n, lb, 0);
        let old: Vec<N> = numbers.vec(m * n);
        let bias: Vec<N> = numbers.vec(m.max(n));
        for level in levels() {
            let mut g = Gemm::new(m, n, k);
            (g.alpha, g.beta) = (N::from_f64(form.alpha), N::from_f64(form.beta));
            (g.a, g.a_row, g.a_col) = (a.data.as_ptr(), a.strides[0], a.strides[1]);
            (g.b, g.b_row, g.b_col) = (b.data.as_ptr(), b.strides[0], b.strides[1]);
            if form.bias {
                g.bias = bias.as_ptr();
            }
            let (mut whole, mut parts) = (old.clone(), old.clone());
            (g.c, g.c_row, g.c_col) = (whole.as_mut_ptr(), n, 1);
            g.orient(|| level);
            // SAFETY: the vectors hold matrices of these sizes and strides; parts are of them.
            unsafe {
                gemm_at(level, &g);
                g.c = parts.as_mut_ptr();
                for (i, rows) in [(0, g.m / 2), (g.m / 2, g.m - g.m / 2)] {
                    let cols = g.n.div_ceil(2).min(7);
                    for j in (0..g.n).step_by(cols) {
                        gemm_at(level, &g.part(i, rows, j, cols.min(g.n - j)));
                    }
                }
            }
            assert!(
                bits(&whole) == bits(&parts),
                "{level:?} ({m},{k},{n}) {la:?} {lb:?} {form:?}: the bits differ"
            );
        }
    }
    for (m, n, k) in [
        (3, 40, 16),
        (2, 50, 9),
        (1, 30, 8),
        // Dot products in chains.
        (1, 3, 200),
        (4, 1, 300),
        // Few rows in chains.
        (1, 10, 200),
        (1, 40, 50),
        (1, 20, 600),
        (2, 16, 33),
        (2, 40, 70),
        (3, 13, 30),
        (3, 30, 90),
        (3, 30, 600),
        // Columns that are copied in the whole at once, and not so in the parts.
        (3, 4, 200),
        (9, 3, 150),
        // Several rows in a vector, of which the half is too few; few columns.
        (70, 3, 14),
        (100, 3, 9),
        (70, 4, 2),
        // Rows of whole pages, whose columns are whole tiles.
        (40, 64, 1024),
        (20, 30, 12),
        // The last vector of a row of several, some of which is written again.
        (9, 71, 3),
        (40, 67, 40),
        // Rows that are apart, at once.
        (101, 131, 5),
        (85, 131, 7),
        // Last columns as rows of the transposed product.
        (150, 36, 40),
        (140, 17, 33),
        // A right operand in registers, sixteen dot products at once, half vectors in the parts and, for the longer sum, not.
        (40, 30, 5),
        (40, 14, 10),
        (20, 10, 200),
        (40, 30, 512),
        (40, 30, 513),
    ] {
        for layouts in [[PLAIN, PLAIN], [PLAIN, T], [T, PLAIN], [T, T]] {
            for form in [FORM, ALL] {
                check::<f32>(m, n, k, layouts, form);
                check::<f64>(m, n, k, layouts, form);
            }
        }
    }
}
