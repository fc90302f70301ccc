//! What is compared with and is not Rust: glibc's vector mathematics and a C loop, both loaded at run time where they are there.

use std::ffi::{CStr, CString, c_char, c_int, c_long, c_void};
use std::path::Path;
use std::process::Command;

unsafe extern "C" {
    fn dlopen(file: *const c_char, flags: c_int) -> *mut c_void;
    fn dlsym(library: *mut c_void, name: *const c_char) -> *mut c_void;
}

/// A symbol of a shared library.
fn symbol(library: &CStr, name: &str) -> Option<*mut c_void> {
    let name = CString::new(name).ok()?;
    // SAFETY: both strings end with a zero byte; the libraries that this program names have no constructors of note.
    let symbol = unsafe {
        let library = dlopen(library.as_ptr(), 2);
        if library.is_null() {
            return None;
        }
        dlsym(library, name.as_ptr())
    };
    (!symbol.is_null()).then_some(symbol)
}

/// n, p, g, m, v, threads.
pub(crate) type AdamW =
    unsafe extern "C" fn(c_long, *mut f32, *const f32, *mut f32, *mut f32, c_int);

/// The C loop, if there is a C compiler.
pub(crate) fn adamw() -> Option<AdamW> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/elementwise/adamw.c");
    let library = std::env::temp_dir().join(format!("tiegrad-adamw-{}.so", std::process::id()));
    let built = Command::new("cc")
        .args([
            "-O3",
            "-march=native",
            "-fno-math-errno",
            "-fopenmp",
            "-shared",
            "-fPIC",
            "-o",
        ])
        .args([&library, &source])
        .status()
        .is_ok_and(|s| s.success());
    let path = CString::new(library.to_str()?).ok()?;
    // By default OpenMP's threads spin on after their loop for longer than one step takes, on the processor that the
    // other library's helper needs then. So they sleep at once; ours do after 80 microseconds.
    if std::env::var_os("OMP_WAIT_POLICY").is_none() {
        // SAFETY: no C code runs on another thread yet, and Rust's own reads of the environment take std's lock.
        unsafe { std::env::set_var("OMP_WAIT_POLICY", "passive") };
    }
    let loaded = if built { symbol(&path, "adamw") } else { None };
    // The mapping stays when the file goes.
    let _ = std::fs::remove_file(&library);
    // SAFETY: the function has this signature in adamw.c.
    loaded.map(|f| unsafe { std::mem::transmute::<*mut c_void, AdamW>(f) })
}

/// A loop over one of libmvec's functions, for the widest vectors of the machine.
pub(crate) struct Vectors(*mut c_void);

impl Vectors {
    /// `function` is the C name, as `expf`.
    #[cfg(target_arch = "x86_64")]
    pub(crate) fn find(function: &str) -> Option<Vectors> {
        let single = function.ends_with('f') && function != "erf";
        let wide = is_x86_feature_detected!("avx512f");
        if !wide && !is_x86_feature_detected!("avx2") {
            return None;
        }
        let prefix = match (wide, single) {
            (true, true) => "_ZGVeN16v_",
            (true, false) => "_ZGVeN8v_",
            (false, true) => "_ZGVdN8v_",
            (false, false) => "_ZGVdN4v_",
        };
        symbol(c"libmvec.so.1", &format!("{prefix}{function}")).map(Vectors)
    }

    #[cfg(not(target_arch = "x86_64"))]
    pub(crate) fn find(_: &str) -> Option<Vectors> {
        None
    }

    /// `out = f(x)`; the length must be a multiple of 64 bytes. `T` is the type that the function was found for.
    #[cfg(target_arch = "x86_64")]
    pub(crate) fn run<T>(&self, out: &mut [T], x: &[T]) {
        use std::arch::x86_64::{__m256, __m512};
        #[target_feature(enable = "avx512f")]
        unsafe fn wide(f: *mut c_void, out: *mut __m512, x: *const __m512, n: usize) {
            // SAFETY: `find` found a function of one vector of 64 bytes. Vectors of float and double travel in the same registers.
            unsafe {
                let f =
                    std::mem::transmute::<*mut c_void, unsafe extern "C" fn(__m512) -> __m512>(f);
                for i in 0..n {
                    out.add(i).write_unaligned(f(x.add(i).read_unaligned()));
                }
            }
        }
        #[target_feature(enable = "avx2")]
        unsafe fn narrow(f: *mut c_void, out: *mut __m256, x: *const __m256, n: usize) {
            // SAFETY: as above, with 32 bytes.
            unsafe {
                let f =
                    std::mem::transmute::<*mut c_void, unsafe extern "C" fn(__m256) -> __m256>(f);
                for i in 0..n {
                    out.add(i).write_unaligned(f(x.add(i).read_unaligned()));
                }
            }
        }
        assert!(out.len() == x.len() && size_of_val(x).is_multiple_of(64));
        let (out, from) = (out.as_mut_ptr(), x.as_ptr());
        // SAFETY: both slices hold as many whole vectors, and the machine has the instructions that `find` looked for.
        unsafe {
            if is_x86_feature_detected!("avx512f") {
                wide(self.0, out.cast(), from.cast(), size_of_val(x) / 64);
            } else {
                narrow(self.0, out.cast(), from.cast(), size_of_val(x) / 32);
            }
        }
    }

    #[cfg(not(target_arch = "x86_64"))]
    pub(crate) fn run<T>(&self, _: &mut [T], _: &[T]) {}
}
