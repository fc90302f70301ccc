use super::*;
use crate::reference;
use crate::testing::{Numbers, assert_close, same_for_all_threads};

#[test]
fn agrees_with_the_reference_for_all_threads() {
    let mut numbers = Numbers::new(1);
    for (rows, cols, n) in [
        (5, 1, 0),
        (1, 3, 4),
        (7, 0, 3),
        (65, 128, 768),
        (9, 33, 50),
        (1000, 3, 40_000),
    ] {
        let table: Vec<f32> = numbers.vec(rows * cols);
        let index: Vec<u32> = (0..n).map(|_| numbers.below(rows) as u32).collect();
        let dy: Vec<f32> = numbers.vec(n * cols);
        let mut expected = vec![0.0; n * cols];
        reference::gather_rows(&mut expected, &table, cols, &index);
        let actual = same_for_all_threads(|| {
            let mut out = vec![f32::NAN; n * cols];
            gather_rows(&mut out, &table, cols, &index);
            out
        });
        assert_close(&actual, &expected, 0.0);
        let mut expected = table.clone();
        reference::scatter_add_rows(&mut expected, cols, &index, &dy);
        let actual = same_for_all_threads(|| {
            let mut grad = table.clone();
            scatter_add_rows(&mut grad, cols, &index, &dy);
            grad
        });
        assert_close(&actual, &expected, 0.0);
    }
}

#[test]
#[should_panic(expected = "an index is not a row of the table")]
fn an_index_beyond_the_table_panics() {
    gather_rows(&mut [0.0_f32; 2], &[0.0; 4], 2, &[2]);
}
