//! A small pool of helper threads that share the chunks of one job with the thread that calls.
//!
//! The design answers what was measured: a fork must cost well below a microsecond while helpers are awake,
//! nothing may be allocated per call, and another process may hold the second core at any time. So chunks are
//! claimed one by one through one atomic counter, by caller and helpers alike; a caller never waits for a chunk
//! that nobody has begun; helpers spin for a bounded time after a job and then sleep.
//!
//! ```
//! use std::sync::atomic::{AtomicUsize, Ordering};
//! let sum = AtomicUsize::new(0);
//! tiegrad_kernels::threads::parallel_for(100, &|i| { sum.fetch_add(i, Ordering::Relaxed); });
//! assert_eq!(sum.into_inner(), 4950);
//! ```

use std::any::Any;
use std::cell::{Cell, UnsafeCell};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering, fence};
use std::sync::{Mutex, OnceLock};
use std::thread::Thread;
use std::time::{Duration, Instant};

/// The most threads that work on one job.
const MAX_THREADS: usize = 256;
/// How long a helper looks for the next job before it sleeps.
const SPIN: Duration = Duration::from_micros(80);

/// Sets how many threads work on a job, the caller included; 0 counts as 1. May be called at any time, and
/// changes no result. Where the system refuses a thread, jobs go on with those that are there, and the next one after
/// a call of this asks again.
///
/// ```
/// use tiegrad_kernels::threads;
/// threads::set_num_threads(2);
/// assert_eq!(threads::num_threads(), 2);
/// ```
pub fn set_num_threads(n: usize) {
    POOL.threads
        .store(n.clamp(1, MAX_THREADS), Ordering::Relaxed);
    POOL.refused.store(false, Ordering::Relaxed);
}

/// How many threads work on a job, the caller included: what [`set_num_threads`] set, else the environment
/// variable `TIEGRAD_NUM_THREADS`, else what the machine offers.
///
/// ```
/// assert!(tiegrad_kernels::threads::num_threads() >= 1);
/// ```
#[inline]
pub fn num_threads() -> usize {
    match POOL.threads.load(Ordering::Relaxed) {
        0 => default_threads(),
        n => n,
    }
}

#[cold]
fn default_threads() -> usize {
    let asked = std::env::var("TIEGRAD_NUM_THREADS")
        .ok()
        .and_then(|v| v.trim().parse().ok());
    let n = asked
        .filter(|&n| n >= 1)
        .unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from))
        .clamp(1, MAX_THREADS);
    // A racing `set_num_threads` wins.
    match POOL
        .threads
        .compare_exchange(0, n, Ordering::Relaxed, Ordering::Relaxed)
    {
        Ok(_) => n,
        Err(set) => set,
    }
}

/// Runs `f(0)`, …, `f(chunks - 1)`, each once, on this thread and the pool's, and returns when all are done.
///
/// Allocates nothing once the helper threads run. A call from inside a chunk, or while another thread's job
/// runs, does all its chunks on the calling thread. If a chunk panics, the others still run, and then the panic (of
/// several the first that was caught) goes on in the caller.
///
/// ```
/// tiegrad_kernels::threads::parallel_for(3, &|i| assert!(i < 3));
/// ```
pub fn parallel_for(chunks: usize, f: &(dyn Fn(usize) + Sync)) {
    let helpers = num_threads().min(chunks).saturating_sub(1);
    if chunks == 1 {
        f(0);
    } else if helpers == 0 || POOL.busy.swap(true, Ordering::Acquire) {
        run_here(chunks, f);
    } else {
        POOL.run(chunks, helpers, f);
    }
}

/// All chunks on this thread, in order.
fn run_here(chunks: usize, f: &(dyn Fn(usize) + Sync)) {
    let next = Cell::new(0);
    let mut first = None;
    while next.get() < chunks {
        // One `catch_unwind` for all chunks up to the next that panics.
        let rest = AssertUnwindSafe(|| {
            while next.get() < chunks {
                f(next.replace(next.get() + 1));
            }
        });
        if let Err(panic) = catch_unwind(rest) {
            first.get_or_insert(panic);
        }
    }
    if let Some(panic) = first {
        resume_unwind(panic);
    }
}

static POOL: Pool = Pool::new();

struct Pool {
    /// Threads to use; 0: not yet known.
    threads: AtomicUsize,
    /// Whether a job is in the mailbox. Whoever sets it owns the mailbox.
    busy: AtomicBool,
    job: Job,
    helpers: [OnceLock<Helper>; MAX_THREADS - 1],
    /// Whether the system has refused a thread: asking again in every call would cost more than the threads would gain.
    refused: AtomicBool,
}

/// A function and how many chunks it is called for.
type Task = (*const (dyn Fn(usize) + Sync), usize);

/// The mailbox: one job at a time.
struct Job {
    /// The function and the number of chunks. Written by the owner of the mailbox while `unclaimed` is 0; read
    /// only by a thread that has claimed a chunk which is not yet done.
    task: UnsafeCell<Option<Task>>,
    /// Chunks that nobody has begun. Going from n to n - 1 claims chunk `chunks - n`.
    unclaimed: AtomicUsize,
    /// Chunks that are not done.
    unfinished: AtomicUsize,
    /// What a chunk panicked with.
    panic: Mutex<Option<Box<dyn Any + Send>>>,
}

// SAFETY: `task` is the only field that is not Sync; its comment says who may touch it when. Claiming a chunk is
// an acquire of the release that published the task, and finishing it is a release that the owner acquires
// before it writes the next task.
unsafe impl Sync for Job {}

struct Helper {
    thread: Thread,
    asleep: AtomicBool,
}

impl Pool {
    const fn new() -> Self {
        Pool {
            threads: AtomicUsize::new(0),
            busy: AtomicBool::new(false),
            job: Job {
                task: UnsafeCell::new(None),
                unclaimed: AtomicUsize::new(0),
                unfinished: AtomicUsize::new(0),
                panic: Mutex::new(None),
            },
            helpers: [const { OnceLock::new() }; MAX_THREADS - 1],
            refused: AtomicBool::new(false),
        }
    }

    /// Runs a job as the owner of the mailbox, and gives the mailbox back.
    fn run(&'static self, chunks: usize, helpers: usize, f: &(dyn Fn(usize) + Sync)) {
        let job = &self.job;
        // SAFETY: only the lifetime changes. No thread uses the reference after its chunk is done, and this
        // function does not return before all are.
        let f: *const (dyn Fn(usize) + Sync) = unsafe { std::mem::transmute(f) };
        // SAFETY: this thread owns the mailbox, and no chunk of an older job is unfinished.
        unsafe { *job.task.get() = Some((f, chunks)) };
        job.unfinished.store(chunks, Ordering::Relaxed);
        // With the fence: either a helper that falls asleep sees the job, or this thread sees it asleep.
        job.unclaimed.store(chunks, Ordering::Release);
        fence(Ordering::SeqCst);
        for (i, helper) in self.helpers[..helpers].iter().enumerate() {
            match helper.get() {
                Some(h) if h.asleep.load(Ordering::Relaxed) => {
                    h.asleep.store(false, Ordering::Relaxed);
                    h.thread.unpark();
                }
                Some(_) => {}
                None if self.refused.load(Ordering::Relaxed) => {}
                None => self.spawn(i),
            }
        }
        while job.do_chunk() {}
        job.wait();
        let panic = match job.panic.lock() {
            Ok(mut p) => p.take(),
            Err(_) => None,
        };
        self.busy.store(false, Ordering::Release);
        if let Some(panic) = panic {
            resume_unwind(panic);
        }
    }

    /// Starts helper `i`. Where the system gives no thread, the work is done by those that are there.
    #[cold]
    fn spawn(&'static self, i: usize) {
        let named = std::thread::Builder::new().name(format!("tiegrad-{}", i + 1));
        let Ok(handle) = named.spawn(move || self.help(i)) else {
            self.refused.store(true, Ordering::Relaxed);
            return;
        };
        let thread = handle.thread().clone();
        // Set by nobody else: only the mailbox's owner spawns.
        let _ = self.helpers[i].set(Helper {
            thread,
            asleep: AtomicBool::new(false),
        });
    }

    /// The life of helper `i`.
    fn help(&'static self, i: usize) {
        let job = &self.job;
        // What a chunk may need is made now, so that no later call allocates.
        crate::matmul::prepare_thread();
        loop {
            let mut idle_since = None;
            loop {
                // A helper beyond the number of threads leaves the work to the others.
                if i + 1 < num_threads() && job.unclaimed.load(Ordering::Relaxed) > 0 {
                    if job.do_chunk() {
                        idle_since = None;
                    }
                    continue;
                }
                for _ in 0..32 {
                    std::hint::spin_loop();
                }
                if idle_since.get_or_insert_with(Instant::now).elapsed() > SPIN {
                    break;
                }
            }
            // The spawner may not have set the slot yet; then there is nothing to sleep on.
            let Some(me) = self.helpers[i].get() else {
                std::thread::yield_now();
                continue;
            };
            me.asleep.store(true, Ordering::Relaxed);
            fence(Ordering::SeqCst);
            while me.asleep.load(Ordering::Relaxed) {
                if i + 1 < num_threads() && job.unclaimed.load(Ordering::Relaxed) > 0 {
                    me.asleep.store(false, Ordering::Relaxed);
                    break;
                }
                std::thread::park();
            }
        }
    }
}

impl Job {
    /// Claims a chunk and runs it; false if none was left.
    fn do_chunk(&self) -> bool {
        let mut left = self.unclaimed.load(Ordering::Relaxed);
        loop {
            if left == 0 {
                return false;
            }
            match self.unclaimed.compare_exchange_weak(
                left,
                left - 1,
                Ordering::Acquire,
                Ordering::Relaxed,
            ) {
                Ok(_) => break,
                Err(now) => left = now,
            }
        }
        // SAFETY: the chunk that this thread claimed is unfinished, so the task is the one it belongs to (even
        // if `left` was read during an older job), and nobody writes it.
        let task = unsafe { *self.task.get() };
        if let Some((f, chunks)) = task {
            // SAFETY: the caller of the job keeps the function alive until its last chunk is done.
            let f = unsafe { &*f };
            if let Err(panic) = catch_unwind(AssertUnwindSafe(|| f(chunks - left)))
                && let Ok(mut p) = self.panic.lock()
            {
                p.get_or_insert(panic);
            }
        }
        self.unfinished.fetch_sub(1, Ordering::Release);
        true
    }

    /// Waits for the chunks that helpers have begun.
    fn wait(&self) {
        let mut spins = 0_u32;
        while self.unfinished.load(Ordering::Acquire) > 0 {
            spins += 1;
            if spins < 4000 {
                std::hint::spin_loop();
            } else {
                // A helper was descheduled in the middle of a chunk: let it run.
                std::thread::yield_now();
            }
        }
    }
}

/// A slice that chunks of one job write to, each in a range of its own.
pub(crate) struct Shared<T> {
    data: *mut T,
    len: usize,
}

impl<T> Clone for Shared<T> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<T> Copy for Shared<T> {}

// SAFETY: access goes through `range`, whose caller promises that ranges in use do not overlap.
unsafe impl<T: Send> Sync for Shared<T> {}
// SAFETY: as above.
unsafe impl<T: Send> Send for Shared<T> {}

impl<T> Shared<T> {
    /// Shares `slice` for as long as its borrow lasts.
    pub(crate) fn new(slice: &mut [T]) -> Self {
        Shared {
            data: slice.as_mut_ptr(),
            len: slice.len(),
        }
    }

    /// The first element.
    #[inline(always)]
    pub(crate) fn pointer(self) -> *mut T {
        self.data
    }

    /// Elements `start..end`, both cut to the length.
    ///
    /// # Safety
    /// The borrow that this was made from must last, and no two live ranges may overlap.
    #[inline(always)]
    pub(crate) unsafe fn range<'a>(self, start: usize, end: usize) -> &'a mut [T] {
        let end = end.min(self.len);
        let start = start.min(end);
        // SAFETY: the range lies in the slice; the caller promises the rest.
        unsafe { std::slice::from_raw_parts_mut(self.data.add(start), end - start) }
    }
}

/// Calls `f(start, run)` for the runs of `out` of length `size` (the last may be shorter), in parallel if there
/// is more than one.
#[inline]
pub(crate) fn for_each_run<T: Send>(
    out: &mut [T],
    size: usize,
    f: impl Fn(usize, &mut [T]) + Sync,
) {
    let size = size.max(1);
    if out.len() <= size {
        if !out.is_empty() {
            f(0, out);
        }
        return;
    }
    let shared = Shared::new(out);
    let runs = shared.len.div_ceil(size);
    parallel_for(runs, &|i| {
        let start = i * size;
        // SAFETY: runs do not overlap, and `out` is borrowed until all are done.
        f(start, unsafe { shared.range(start, start + size) });
    });
}

#[cfg(test)]
mod tests;
