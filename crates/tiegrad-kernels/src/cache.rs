//! How large the cache of a core is, for kernels that keep a block of an operand in it.

use std::sync::atomic::{AtomicUsize, Ordering};

/// Bytes of a core's second-level cache, asked of the processor once; 1 MB where it does not tell.
#[inline(always)]
pub(crate) fn second_level() -> usize {
    #[cfg(test)]
    if let Some(bytes) = tests::PRETENDED.get() {
        return bytes;
    }
    static BYTES: AtomicUsize = AtomicUsize::new(0);

    #[cold]
    fn ask() -> usize {
        let bytes = told().unwrap_or(1 << 20);
        BYTES.store(bytes, Ordering::Relaxed);
        bytes
    }

    match BYTES.load(Ordering::Relaxed) {
        0 => ask(),
        bytes => bytes,
    }
}

/// What `cpuid` says: leaf 4 of Intel's processors and leaf 0x8000001D of AMD's list the caches in one format (Intel, Software Developer's Manual,
/// volume 2A, CPUID; AMD, Architecture Programmer's Manual, volume 3, E.4.15).
#[cfg(target_arch = "x86_64")]
fn told() -> Option<usize> {
    use std::arch::x86_64::{__cpuid, __cpuid_count};
    const EXTENDED: u32 = 0x8000_0000;
    let cache = |leaf: u32| {
        (0..8)
            .map(|which| __cpuid_count(leaf, which))
            .take_while(|cache| cache.eax & 31 != 0)
            // A level of 2, for data or both.
            .find(|cache| cache.eax >> 5 & 7 == 2 && cache.eax & 31 != 2)
            .map(|cache| {
                let field =
                    |from: u32, bits: u32| (cache.ebx >> from & ((1 << bits) - 1)) as usize + 1;
                field(0, 12) * field(12, 10) * field(22, 10) * (cache.ecx as usize + 1)
            })
    };
    let of_intel = if __cpuid(0).eax >= 4 { cache(4) } else { None };
    of_intel.or_else(|| {
        let listed = __cpuid(EXTENDED).eax >= EXTENDED + 0x1d;
        if listed { cache(EXTENDED + 0x1d) } else { None }
    })
}

#[cfg(not(target_arch = "x86_64"))]
fn told() -> Option<usize> {
    None
}

/// Runs `f`, for which this thread takes the cache to be so large.
#[cfg(test)]
pub(crate) fn with_second_level(bytes: usize, f: impl FnOnce()) {
    tests::PRETENDED.set(Some(bytes));
    f();
    tests::PRETENDED.set(None);
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    thread_local! {
        pub(super) static PRETENDED: Cell<Option<usize>> = const { Cell::new(None) };
    }

    /// As Linux says, where it does.
    #[test]
    fn the_second_level_is_as_large_as_the_system_says() {
        let bytes = second_level();
        assert!((64 << 10..1 << 30).contains(&bytes), "{bytes}");
        assert_eq!(bytes, second_level());
        let of_system = |index| {
            let read = |file: &str| {
                let folder = "/sys/devices/system/cpu/cpu0/cache";
                std::fs::read_to_string(format!("{folder}/index{index}/{file}")).ok()
            };
            let size = read("size")?;
            let second = read("level")?.trim() == "2" && read("type")?.trim() != "Instruction";
            let kilobytes: usize = size.trim().strip_suffix('K')?.parse().ok()?;
            second.then_some(kilobytes << 10)
        };
        if cfg!(target_arch = "x86_64")
            && let Some(expected) = (0..8).find_map(of_system)
        {
            assert_eq!(bytes, expected);
        }
    }
}
