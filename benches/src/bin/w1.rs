//! `w1 STEPS`: the W1 step, for callgrind (`just count-w1`) and for timing without criterion.

use std::time::Instant;

use tiegrad_benches::{Error, W1, Work};

fn main() -> Result<(), Error> {
    let steps: u32 = std::env::args()
        .nth(1)
        .map_or(Ok(1_000_000), |text| text.parse())?;
    let mut work = W1::default();
    let start = Instant::now();
    let mut loss = 0.0;
    for _ in 0..steps {
        loss = work.step()?;
    }
    println!(
        "{steps} steps, {:.1} ns each, last loss {loss:e}",
        start.elapsed().as_nanos() as f64 / f64::from(steps)
    );
    Ok(())
}
