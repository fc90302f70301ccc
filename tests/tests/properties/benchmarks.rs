//! The work that the benchmarks time. It is tested here because benchmarks come with other libraries to compare with, which only they should build.

use tiegrad_benches::{W1, W2, W3, Work};

#[test]
fn the_work_is_the_work() {
    assert!(W1::default().step().unwrap() > 0.0);
    let digits = W2::default().step().unwrap();
    assert!((digits - 10.0_f32.ln()).abs() < 0.3, "{digits}");
    let mut gpt = W3::new().unwrap();
    assert_eq!(gpt.num_parameters(), 804_096);
    let loss = gpt.step().unwrap();
    assert!((loss - 65.0_f32.ln()).abs() < 0.1, "{loss}");
}
