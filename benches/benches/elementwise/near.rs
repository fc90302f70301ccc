//! Rows and sums in the cache: what layers of a small network call, where arithmetic and the latency of each row take the time.

use super::{interleaved, numbers};
use std::hint::black_box;
use tiegrad::kernels::{Write, instruction_set, reduce, rows, use_instruction_set};

/// Numbers of an array: 64 KB, which fits into the second-level cache together with the others, and which one thread computes.
const NUMBERS: usize = 16 * 1024;
/// Numbers of a row.
const LENGTHS: [usize; 6] = [10, 32, 64, 128, 512, 2048];

/// A line for each function, with a column for each length of rows.
pub(crate) fn near() {
    let set = instruction_set();
    println!(
        "\nrows in the cache: f32, arrays of 64 KB, one thread, ps a number, median by {set} (by its AVX2 copy)\n\
         | function |{} |\n|---|{}",
        LENGTHS
            .map(|cols| format!(" {cols} a row |"))
            .concat()
            .trim_end_matches('|'),
        "---|".repeat(LENGTHS.len())
    );
    let columns = LENGTHS.map(of_length);
    for (i, (name, _)) in columns[0].iter().enumerate() {
        let figures = columns
            .each_ref()
            .map(|column| format!(" {} |", column[i].1));
        println!("| {name} |{}", figures.concat());
    }
}

/// The figures of all functions for rows of one length.
fn of_length(cols: usize) -> Vec<(&'static str, String)> {
    let count = NUMBERS / cols;
    let n = count * cols;
    let w = Write::Overwrite;
    let (x, dy) = (&numbers::<f32>(n)[..], &numbers::<f32>(n)[..]);
    let (gamma, beta) = (&numbers::<f32>(cols)[..], &numbers::<f32>(cols)[..]);
    let targets: Vec<u32> = (0..count).map(|r| (r % cols) as u32).collect();
    let (mut y, mut log_y, mut out) = (vec![0.0; n], vec![0.0; n], vec![0.0; n]);
    rows::softmax(&mut y, x, cols);
    rows::log_softmax(&mut log_y, x, cols);
    let (mut losses, mut lse) = (vec![0.0; count], vec![0.0; count]);
    rows::cross_entropy(&mut losses, &mut lse, x, &targets, cols);
    let (mut stats, mut rms) = (vec![0.0; 2 * count], vec![0.0; 2 * count]);
    rows::layer_norm(&mut out, &mut stats, x, None, None, 1e-5, cols);
    rows::rms_norm(&mut out, &mut rms, x, None, 1e-5, cols);
    let (mut per_row, mut per_column) = (vec![0.0; count], vec![0.0; cols]);
    let (mut dgamma, mut dbeta) = (vec![0.0; cols], vec![0.0; cols]);
    let mut out2 = out.clone();
    let set = instruction_set();
    let mut figures = Vec::new();
    let mut line = |name, f: &mut dyn FnMut()| {
        // Both copies in turn: medians of the same moments.
        let cell = std::cell::RefCell::new(f);
        let by = |level: &str| {
            assert!(use_instruction_set(level), "{level} is not there");
            (cell.borrow_mut())();
        };
        let second = if set == "avx512" { "avx2" } else { set };
        let times = interleaved(31, 20, &mut [&mut || by(set), &mut || by(second)]);
        assert!(use_instruction_set(set));
        let ps = |(median, _): (f64, f64)| format!("{:.0}", median * 1e12 / n as f64);
        let other = if second == set {
            String::new()
        } else {
            format!(" ({})", ps(times[1]))
        };
        figures.push((name, ps(times[0]) + &other));
    };
    let none: (&[f32], &[usize]) = (&[], &[0, 0]);
    line("copy", &mut || {
        black_box(&mut out).copy_from_slice(black_box(x))
    });
    let sums = |to: &mut [f32], strides: [usize; 2]| {
        let (shape, from, (b, b_s)) = ([count, cols], [cols, 1], none);
        reduce::sum_to(
            w,
            to,
            &strides,
            &shape,
            x,
            &from,
            b,
            b_s,
            b,
            b_s,
            |a, _, _| a,
        );
    };
    line("sums of rows", &mut || sums(&mut per_row, [1, 0]));
    line("sums of columns", &mut || sums(&mut per_column, [0, 1]));
    line("sum", &mut || {
        black_box(reduce::sum(black_box(x)));
    });
    line("softmax", &mut || rows::softmax(&mut out2, x, cols));
    line("softmax backward", &mut || {
        rows::softmax_backward(w, &mut out2, &y, dy, cols)
    });
    line("log-softmax", &mut || rows::log_softmax(&mut out2, x, cols));
    line("log-softmax backward", &mut || {
        rows::log_softmax_backward(w, &mut out2, &log_y, dy, cols)
    });
    let final_lse = lse.clone();
    line("cross-entropy", &mut || {
        rows::cross_entropy(&mut losses, &mut lse, x, &targets, cols)
    });
    line("cross-entropy backward", &mut || {
        rows::cross_entropy_backward(w, &mut out2, x, &final_lse, &targets, cols, |_| 0.5)
    });
    let final_stats = stats.clone();
    line("layer norm", &mut || {
        rows::layer_norm(
            &mut out2,
            &mut stats,
            x,
            Some(gamma),
            Some(beta),
            1e-5,
            cols,
        )
    });
    line("layer norm backward", &mut || {
        rows::layer_norm_backward_input(w, &mut out2, dy, x, &final_stats, Some(gamma), cols)
    });
    line("layer norm's parameters' gradients", &mut || {
        let (dgamma, dbeta) = (Some((w, &mut dgamma[..])), Some((w, &mut dbeta[..])));
        rows::layer_norm_backward_params(dgamma, dbeta, dy, x, &final_stats, cols);
    });
    let final_rms = rms.clone();
    line("RMS norm", &mut || {
        rows::rms_norm(&mut out2, &mut rms, x, Some(gamma), 1e-5, cols)
    });
    line("RMS norm backward", &mut || {
        rows::rms_norm_backward_input(w, &mut out2, dy, x, &final_rms, Some(gamma), cols)
    });
    figures
}
