//! The libraries that are compared, each as one function from a problem and three pointers.

use std::ffi::{CStr, c_char, c_int};
use std::sync::OnceLock;

use faer::linalg::matmul::matmul as faer_matmul;
use libloading::Library;
use ndarray::linalg::general_mat_mul;
use ndarray::{ArrayView2, ArrayViewMut2, ShapeBuilder};
use tiegrad_kernels::matmul::{Epilogue, Mat, MatMut, MatmulShape, matmul};
use tiegrad_kernels::threads;

/// Which operand is stored transposed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Form {
    Plain,
    LeftTransposed,
    RightTransposed,
}

/// `batch` products of m x k times k x n, one after the other in memory.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Problem {
    pub(crate) batch: usize,
    pub(crate) m: usize,
    pub(crate) k: usize,
    pub(crate) n: usize,
    pub(crate) form: Form,
}

impl Problem {
    /// Row and column strides of the left operand.
    pub(crate) fn a(&self) -> [usize; 2] {
        if self.form == Form::LeftTransposed {
            [1, self.m]
        } else {
            [self.k, 1]
        }
    }

    /// Row and column strides of the right operand.
    pub(crate) fn b(&self) -> [usize; 2] {
        if self.form == Form::RightTransposed {
            [1, self.k]
        } else {
            [self.n, 1]
        }
    }

    pub(crate) fn flops(&self) -> f64 {
        2.0 * (self.batch * self.m * self.k * self.n) as f64
    }
}

/// How a library runs a problem.
///
/// # Safety
/// The pointers are valid for `batch` matrices of the problem's sizes, the last one for writes.
pub(crate) type Run<T> = unsafe fn(&Problem, *const T, *const T, *mut T);

/// The two floats and what the libraries call them.
pub(crate) trait Float: Copy + Default + 'static {
    const NAME: &'static str;
    fn of(x: f64) -> Self;
    fn peers() -> Vec<(&'static str, Run<Self>)>;
}

/// Sets how many threads every library may use; `matrixmultiply` and ndarray run on one.
pub(crate) fn set_threads(count: usize) {
    threads::set_num_threads(count);
    THREADS.store(count, std::sync::atomic::Ordering::Relaxed);
    for (library, setter) in [
        (openblas(), c"openblas_set_num_threads"),
        (blis(), c"bli_thread_set_num_threads"),
    ] {
        if let Some(library) = library {
            // SAFETY: both setters take one integer; the low half of a register where BLIS reads 64 bits.
            unsafe {
                if let Ok(set) =
                    library.get::<unsafe extern "C" fn(isize)>(setter.to_bytes_with_nul())
                {
                    set(count as isize);
                }
            }
        }
    }
}

static THREADS: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(1);

fn thread_count() -> usize {
    THREADS.load(std::sync::atomic::Ordering::Relaxed)
}

fn load(name: &str) -> Option<Library> {
    // SAFETY: loading OpenBLAS or BLIS runs their initializers, which only look at the machine.
    unsafe { Library::new(name) }.ok()
}

fn openblas() -> Option<&'static Library> {
    static LIBRARY: OnceLock<Option<Library>> = OnceLock::new();
    LIBRARY
        .get_or_init(|| {
            name_kernels();
            load("libopenblas.so.0")
        })
        .as_ref()
}

fn blis() -> Option<&'static Library> {
    static LIBRARY: OnceLock<Option<Library>> = OnceLock::new();
    LIBRARY
        .get_or_init(|| {
            name_kernels();
            load("libblis.so.4")
        })
        .as_ref()
}

/// Names the kernels for AVX-512 to libraries that do not know the processor, before the first of them is loaded, unless a user has named others. OpenBLAS knows processors by their models, and takes one that is newer than
/// itself for a very old one; BLIS takes AMD's after Zen 4 for ones without vectors. (BLIS 0.9 reads a number, which any word is 0 of: these very kernels, "skx". Later ones know the name.)
fn name_kernels() {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx512f") {
        static ONCE: std::sync::Once = std::sync::Once::new();
        ONCE.call_once(|| {
            let blis = is_amds_after_zen_4().then_some(("BLIS_ARCH_TYPE", "skx"));
            for (name, kernels) in [("OPENBLAS_CORETYPE", "SkylakeX")].into_iter().chain(blis) {
                if std::env::var_os(name).is_none() {
                    // SAFETY: no library that starts threads is loaded yet, so that the program has one.
                    unsafe { std::env::set_var(name, kernels) };
                }
            }
        });
    }
}

/// By maker and family (AMD, Architecture Programmer's Manual, volume 3, E.3.2; Zen 3 and Zen 4 are family 0x19).
#[cfg(target_arch = "x86_64")]
#[allow(unused_unsafe, reason = "unsafe functions in older Rust")]
fn is_amds_after_zen_4() -> bool {
    use std::arch::x86_64::__cpuid;
    // SAFETY: every x86-64 processor has the instruction.
    let (maker, version) = unsafe { (__cpuid(0), __cpuid(1).eax) };
    let family = (version >> 8 & 0xf) + (version >> 20 & 0xff);
    maker.ecx.to_le_bytes() == *b"cAMD" && family > 0x19
}

/// The kernels that OpenBLAS and BLIS chose, for the first line of the output.
pub(crate) fn kernels() -> String {
    let name = |library: &'static str, name: Option<*const c_char>| {
        let name = name.filter(|name| !name.is_null())?;
        // SAFETY: both return strings that are never freed.
        let name = unsafe { CStr::from_ptr(name) }.to_string_lossy();
        Some(format!(", {library} on {name}"))
    };
    // SAFETY: these are the functions' C declarations.
    let (core, arch) = unsafe {
        type Name = unsafe extern "C" fn() -> *const c_char;
        let core = openblas().and_then(|l| l.get::<Name>(b"openblas_get_corename\0").ok());
        let id = blis().and_then(|l| {
            let id = l.get::<unsafe extern "C" fn() -> c_int>(b"bli_arch_query_id\0");
            let string =
                l.get::<unsafe extern "C" fn(c_int) -> *const c_char>(b"bli_arch_string\0");
            Some(string.ok()?(id.ok()?()))
        });
        (core.map(|core| core()), id)
    };
    [name("OpenBLAS", core), name("BLIS", arch)]
        .into_iter()
        .flatten()
        .collect()
}

/// `cblas_sgemm` or `cblas_dgemm`.
type Cblas<T> = unsafe extern "C" fn(
    c_int,
    c_int,
    c_int,
    c_int,
    c_int,
    c_int,
    T,
    *const T,
    c_int,
    *const T,
    c_int,
    T,
    *mut T,
    c_int,
);

unsafe fn cblas<T: Float>(f: Cblas<T>, p: &Problem, a: *const T, b: *const T, c: *mut T) {
    const ROW_MAJOR: c_int = 101;
    let stored = |transposed| if transposed { 112 } else { 111 };
    let (ta, tb) = (
        p.form == Form::LeftTransposed,
        p.form == Form::RightTransposed,
    );
    let [m, k, n] = [p.m as c_int, p.k as c_int, p.n as c_int];
    for i in 0..p.batch {
        // SAFETY: promised by the caller.
        unsafe {
            f(
                ROW_MAJOR,
                stored(ta),
                stored(tb),
                m,
                n,
                k,
                T::of(1.0),
                a.add(i * p.m * p.k),
                if ta { m } else { k },
                b.add(i * p.k * p.n),
                if tb { k } else { n },
                T::of(0.0),
                c.add(i * p.m * p.n),
                n,
            );
        }
    }
}

macro_rules! float {
    ($float:ident, $module:ident, $mm:ident, $cblas:literal) => {
        mod $module {
            use super::*;

            unsafe fn tiegrad(p: &Problem, a: *const $float, b: *const $float, c: *mut $float) {
                let ([ar, ac], [br, bc]) = (p.a(), p.b());
                // SAFETY: promised by the caller.
                let (a, b, c) = unsafe {
                    (
                        std::slice::from_raw_parts(a, p.batch * p.m * p.k),
                        std::slice::from_raw_parts(b, p.batch * p.k * p.n),
                        std::slice::from_raw_parts_mut(c, p.batch * p.m * p.n),
                    )
                };
                matmul(
                    MatmulShape {
                        batch: [1, p.batch],
                        ..MatmulShape::new(p.m, p.n, p.k)
                    },
                    1.0,
                    Mat {
                        data: a,
                        row: ar,
                        col: ac,
                        batch: [0, p.m * p.k],
                    },
                    Mat {
                        data: b,
                        row: br,
                        col: bc,
                        batch: [0, p.k * p.n],
                    },
                    0.0,
                    Epilogue::NONE,
                    MatMut {
                        data: c,
                        row: p.n,
                        col: 1,
                        batch: [0, p.m * p.n],
                    },
                );
            }

            unsafe fn matrixmultiply(
                p: &Problem,
                a: *const $float,
                b: *const $float,
                c: *mut $float,
            ) {
                let ([ar, ac], [br, bc]) = (p.a(), p.b());
                for i in 0..p.batch {
                    // SAFETY: promised by the caller.
                    unsafe {
                        matrixmultiply::$mm(
                            p.m,
                            p.k,
                            p.n,
                            1.0,
                            a.add(i * p.m * p.k),
                            ar as isize,
                            ac as isize,
                            b.add(i * p.k * p.n),
                            br as isize,
                            bc as isize,
                            0.0,
                            c.add(i * p.m * p.n),
                            p.n as isize,
                            1,
                        );
                    }
                }
            }

            unsafe fn gemm(p: &Problem, a: *const $float, b: *const $float, c: *mut $float) {
                let ([ar, ac], [br, bc]) = (p.a(), p.b());
                let parallelism = match thread_count() {
                    1 => gemm::Parallelism::None,
                    n => gemm::Parallelism::Rayon(n),
                };
                for i in 0..p.batch {
                    // SAFETY: promised by the caller.
                    unsafe {
                        gemm::gemm(
                            p.m,
                            p.n,
                            p.k,
                            c.add(i * p.m * p.n),
                            1,
                            p.n as isize,
                            false,
                            a.add(i * p.m * p.k),
                            ac as isize,
                            ar as isize,
                            b.add(i * p.k * p.n),
                            bc as isize,
                            br as isize,
                            0.0,
                            1.0,
                            false,
                            false,
                            false,
                            parallelism,
                        );
                    }
                }
            }

            unsafe fn faer(p: &Problem, a: *const $float, b: *const $float, c: *mut $float) {
                let ([ar, ac], [br, bc]) = (p.a(), p.b());
                let par = match thread_count() {
                    1 => faer::Par::Seq,
                    n => faer::Par::rayon(n),
                };
                for i in 0..p.batch {
                    // SAFETY: promised by the caller.
                    unsafe {
                        let a = faer::MatRef::from_raw_parts(
                            a.add(i * p.m * p.k),
                            p.m,
                            p.k,
                            ar as isize,
                            ac as isize,
                        );
                        let b = faer::MatRef::from_raw_parts(
                            b.add(i * p.k * p.n),
                            p.k,
                            p.n,
                            br as isize,
                            bc as isize,
                        );
                        let c = faer::MatMut::from_raw_parts_mut(
                            c.add(i * p.m * p.n),
                            p.m,
                            p.n,
                            p.n as isize,
                            1,
                        );
                        faer_matmul(c, faer::Accum::Replace, a, b, 1.0, par);
                    }
                }
            }

            unsafe fn ndarray(p: &Problem, a: *const $float, b: *const $float, c: *mut $float) {
                let ([ar, ac], [br, bc]) = (p.a(), p.b());
                for i in 0..p.batch {
                    // SAFETY: promised by the caller.
                    unsafe {
                        let a = ArrayView2::from_shape_ptr(
                            (p.m, p.k).strides((ar, ac)),
                            a.add(i * p.m * p.k),
                        );
                        let b = ArrayView2::from_shape_ptr(
                            (p.k, p.n).strides((br, bc)),
                            b.add(i * p.k * p.n),
                        );
                        let mut c = ArrayViewMut2::from_shape_ptr((p.m, p.n), c.add(i * p.m * p.n));
                        general_mat_mul(1.0, &a, &b, 0.0, &mut c);
                    }
                }
            }

            fn symbol(library: Option<&'static Library>) -> Option<Cblas<$float>> {
                // SAFETY: this is the function's C declaration; the library is never unloaded.
                unsafe { library?.get::<Cblas<$float>>($cblas).ok().map(|f| *f) }
            }

            fn openblas_gemm() -> Option<Cblas<$float>> {
                static F: OnceLock<Option<Cblas<$float>>> = OnceLock::new();
                *F.get_or_init(|| symbol(openblas()))
            }

            fn blis_gemm() -> Option<Cblas<$float>> {
                static F: OnceLock<Option<Cblas<$float>>> = OnceLock::new();
                *F.get_or_init(|| symbol(blis()))
            }

            unsafe fn run_openblas(
                p: &Problem,
                a: *const $float,
                b: *const $float,
                c: *mut $float,
            ) {
                if let Some(f) = openblas_gemm() {
                    // SAFETY: promised by the caller.
                    unsafe { cblas(f, p, a, b, c) };
                }
            }

            unsafe fn run_blis(p: &Problem, a: *const $float, b: *const $float, c: *mut $float) {
                if let Some(f) = blis_gemm() {
                    // SAFETY: promised by the caller.
                    unsafe { cblas(f, p, a, b, c) };
                }
            }

            impl Float for $float {
                const NAME: &'static str = stringify!($float);
                fn of(x: f64) -> Self {
                    x as $float
                }
                fn peers() -> Vec<(&'static str, Run<Self>)> {
                    let mut peers: Vec<(&'static str, Run<Self>)> = vec![
                        ("tiegrad", tiegrad),
                        ("matrixm.", matrixmultiply),
                        ("gemm", gemm),
                        ("faer", faer),
                        ("ndarray", ndarray),
                    ];
                    if openblas_gemm().is_some() {
                        peers.push(("OpenBLAS", run_openblas));
                    }
                    if blis_gemm().is_some() {
                        peers.push(("BLIS", run_blis));
                    }
                    peers
                }
            }
        }
    };
}

float!(f32, single, sgemm, b"cblas_sgemm\0");
float!(f64, double, dgemm, b"cblas_dgemm\0");
