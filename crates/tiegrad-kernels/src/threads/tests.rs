use super::*;
use crate::testing::number_of_threads;
use std::sync::atomic::AtomicU32;

#[test]
fn every_chunk_runs_once() {
    let _lock = number_of_threads();
    for threads in [1, 2, 3, 8, 2, 1, 4] {
        set_num_threads(threads);
        for chunks in [0, 1, 2, 3, 7, 64, 1000] {
            let counts: Vec<AtomicU32> = (0..chunks).map(|_| AtomicU32::new(0)).collect();
            for _ in 0..20 {
                parallel_for(chunks, &|i| {
                    counts[i].fetch_add(1, Ordering::Relaxed);
                });
            }
            assert!(counts.iter().all(|c| c.load(Ordering::Relaxed) == 20));
        }
    }
}

#[test]
fn helpers_wake_after_they_slept() {
    let _lock = number_of_threads();
    set_num_threads(4);
    for _ in 0..30 {
        std::thread::sleep(SPIN * 3);
        let sum = AtomicUsize::new(0);
        parallel_for(100, &|i| {
            sum.fetch_add(i, Ordering::Relaxed);
        });
        assert_eq!(sum.into_inner(), 4950);
    }
}

#[test]
fn nested_and_simultaneous_calls_are_safe() {
    let _lock = number_of_threads();
    set_num_threads(3);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..200 {
                    let sum = AtomicUsize::new(0);
                    parallel_for(5, &|i| {
                        parallel_for(7, &|j| {
                            sum.fetch_add(i * 7 + j, Ordering::Relaxed);
                        });
                    });
                    assert_eq!(sum.into_inner(), 34 * 35 / 2);
                }
            });
        }
    });
}

#[test]
fn a_panic_reaches_the_caller_and_the_pool_goes_on() {
    let _lock = number_of_threads();
    for threads in [1, 2, 4] {
        set_num_threads(threads);
        for bad in [0, 5, 49] {
            // In a job, and in a chunk of a job: there all chunks run on one thread.
            for outer in [1, 3] {
                let done = AtomicUsize::new(0);
                let result = catch_unwind(AssertUnwindSafe(|| {
                    parallel_for(outer, &|_| {
                        parallel_for(50, &|i| {
                            assert!(i != bad, "chunk {i}");
                            done.fetch_add(1, Ordering::Relaxed);
                        });
                    });
                }));
                let message = *result.unwrap_err().downcast::<String>().unwrap();
                assert_eq!(message, format!("chunk {bad}"));
                assert_eq!(done.into_inner(), 49 * outer);
                parallel_for(8, &|_| {});
            }
        }
    }
}
