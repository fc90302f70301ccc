//! What kernels ask of the processor besides its instruction set: how large the cache of a core is, for those that keep a block of an operand in it, and what gains on it.

use std::sync::OnceLock;

/// Bytes that are taken to be a line, as they are on x86-64 and most others; Apple's processors have 128.
pub(crate) const LINE: usize = 64;

/// Whether `first`, and rows from there on that are `stride` elements apart, begin at lines.
#[inline(always)]
pub(crate) fn begin_at_lines<T>(first: *const T, stride: usize) -> bool {
    (first as usize | stride.wrapping_mul(size_of::<T>())).is_multiple_of(LINE)
}

/// Bytes of a core's second-level cache, asked of the processor once; 1 MB where it does not tell.
#[inline(always)]
pub(crate) fn second_level() -> usize {
    #[cfg(test)]
    if let Some(bytes) = tests::SECOND_LEVEL.get() {
        return bytes;
    }
    static BYTES: OnceLock<usize> = OnceLock::new();
    *BYTES.get_or_init(|| told().unwrap_or(1 << 20))
}

/// Whether `len` elements are so near that what is computed with them takes longer than they take to be read: where norms and sums gain by AVX-512. Measured on Zen 5, norms of rows of 512: up to 4 MB, four times its second-level cache,
/// 1.1 to 1.4 times as fast (of shorter rows up to 1.8 times), at 8 MB 0.75 to 1.0 times, from 16 MB on 0.7 to 0.97 times. Not measured on other processors.
#[inline(always)]
pub(crate) fn near<T>(len: usize) -> bool {
    len.saturating_mul(size_of::<T>()) <= second_level().saturating_mul(4)
}

/// Whether large results are better written past the cache, by way of the first-level cache. Measured: Intel's Emerald Rapids (1.1 to 1.9 times as fast) and AMD's Zen 4 (0.6 to 0.9 times).
#[inline(always)]
pub(crate) fn stores_gain_past() -> bool {
    #[cfg(test)]
    if let Some(gain) = tests::GAIN.get() {
        return gain;
    }
    processor() == Processor::Intel
}

/// The same of the backward passes of softmax and log-softmax whose rows have so many bytes. Measured: Zen 5, for rows of 512 and 2,048 bytes 1.07 to 1.4 times as fast on one thread and 1.1 to 1.2 on two, for rows of 8,192 bytes 0.7 to 0.8 times;
/// no other function gains there in all of these.
#[inline(always)]
pub(crate) fn stores_of_softmax_gain_past(bytes: usize) -> bool {
    #[cfg(test)]
    if let Some(gain) = tests::GAIN.get() {
        return gain;
    }
    stores_gain_past() || processor() == Processor::Zen5 && bytes <= 2048
}

/// Whether passes over rows, and large sums, gain by asking for memory ahead. Measured: Emerald Rapids, 1.1 to 1.5 times as fast; Zen 5, 1.0 to 1.25. On Zen 4 softmax gained up to 1.15 by its next row; it asks there for
/// the next rows that are taken together, which was not measured there, nor were the others.
#[inline(always)]
pub(crate) fn asking_gains() -> bool {
    matches!(processor(), Processor::Intel | Processor::Zen5)
}

/// The same for backward passes, most of which ask for two arrays. Measured: Emerald Rapids, 1.1 to 1.4 times as fast; Zen 5, 0.9 to 0.95 on one thread and 1.0 on two; Zen 4, 0.5 to 0.9 where the last loop asked.
#[inline(always)]
pub(crate) fn asking_backward_gains() -> bool {
    processor() == Processor::Intel
}

/// Whether softmax gains by asking for the lines of a large result before it writes them. Measured: Zen 5, 1.14 to 1.35 times as fast on one thread, 1.1 to 1.2 on two (log-softmax 0.9). Intel's processors write past the cache; Zen 4 was not measured.
#[inline(always)]
pub(crate) fn asking_results_gains() -> bool {
    processor() == Processor::Zen5
}

/// Whether strided copies past the cache gain by asking for what they read ahead. Measured: Zen 5, halves of rows of 16 KB 1.2 to 1.3 times as fast on one thread and 1.0 on two; not measured elsewhere.
#[inline(always)]
pub(crate) fn asking_copies_gains() -> bool {
    processor() == Processor::Zen5
}

/// Whether products whose rows fill no more than half a vector of AVX-512 gain by whole ones, parts of which are masked: a tile has more rows then, as there are more registers. Measured for more than six rows: Zen 5, 1.0 to 1.4 times as fast, Emerald Rapids, 1.0 to 1.2;
/// Zen 4, which computes a vector in two halves, takes twice the time for it.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
pub(crate) fn whole_vectors_gain() -> bool {
    #[cfg(test)]
    if let Some(gain) = tests::WHOLE.get() {
        return gain;
    }
    matches!(processor(), Processor::Intel | Processor::Zen5)
}

/// Whether vectors that are written across two lines of the cache cost so little that products with a short inner dimension are computed row beside row, wherever they begin. Measured: Zen 5, where rows of such stores
/// take 1.0 to 1.1 times as long as those of whole lines; Emerald Rapids, twice as long or more. On Zen 4 it was not measured.
#[inline(always)]
pub(crate) fn writing_across_lines_costs_little() -> bool {
    #[cfg(test)]
    if let Some(little) = tests::ACROSS.get() {
        return little;
    }
    processor() == Processor::Zen5
}

/// Whether wide tiles after the first of a strip gain by asking for rows of the right operand. Measured: Emerald Rapids, up to 1.14 times as fast; Zen 5, which reads them ahead by itself, 0.97 to 1.0. Not on Zen 4
/// either, where it was not measured: its figures are of tiles that did not ask.
#[inline(always)]
pub(crate) fn asking_rows_gains() -> bool {
    !matches!(processor(), Processor::Zen5 | Processor::Amd)
}

/// The processors that were measured, and those like them.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Processor {
    Intel,
    /// Zen 4, and AMD's before it.
    Amd,
    /// Zen 5, and AMD's after it.
    Zen5,
    Other,
}

/// Which one this is, asked of it once.
#[inline(always)]
fn processor() -> Processor {
    static PROCESSOR: OnceLock<Processor> = OnceLock::new();
    *PROCESSOR.get_or_init(|| match maker().as_ref() {
        Some(b"GenuineIntel") => Processor::Intel,
        Some(b"AuthenticAMD") if family() < 0x1a => Processor::Amd,
        Some(b"AuthenticAMD") => Processor::Zen5,
        _ => Processor::Other,
    })
}

/// The processor's family (AMD, Architecture Programmer's Manual, volume 3, E.3.2: 0x19 is Zen 3 and Zen 4, 0x1a Zen 5).
#[cfg(target_arch = "x86_64")]
#[allow(unused_unsafe, reason = "unsafe functions in older Rust")]
fn family() -> u32 {
    // SAFETY: every x86-64 processor has the instruction.
    let version = unsafe { std::arch::x86_64::__cpuid(1) }.eax;
    (version >> 8 & 0xf) + (version >> 20 & 0xff)
}

#[cfg(not(target_arch = "x86_64"))]
fn family() -> u32 {
    0
}

/// What the processor's maker calls itself.
#[cfg(target_arch = "x86_64")]
#[allow(unused_unsafe, reason = "unsafe functions in older Rust")]
fn maker() -> Option<[u8; 12]> {
    // SAFETY: every x86-64 processor has the instruction.
    let name = unsafe { std::arch::x86_64::__cpuid(0) };
    let parts = [name.ebx, name.edx, name.ecx].map(u32::to_le_bytes);
    parts.as_flattened().try_into().ok()
}

#[cfg(not(target_arch = "x86_64"))]
fn maker() -> Option<[u8; 12]> {
    None
}

/// What `cpuid` says: leaf 0x8000001D of AMD's processors and leaf 4 of Intel's list the caches in one format (AMD, Architecture Programmer's Manual,
/// volume 3, E.4.15; Intel, Software Developer's Manual, volume 2A, CPUID).
#[cfg(target_arch = "x86_64")]
#[allow(unused_unsafe, reason = "unsafe functions in older Rust")]
fn told() -> Option<usize> {
    use std::arch::x86_64::{__cpuid, __cpuid_count};
    const EXTENDED: u32 = 0x8000_0000;
    // SAFETY: every x86-64 processor has the instruction.
    let first = |leaf: u32| unsafe { __cpuid(leaf) };
    let caches = |leaf: u32| {
        // SAFETY: as above.
        let each = (0..8).map(move |which| unsafe { __cpuid_count(leaf, which) });
        // Type 0: there are no more.
        each.take_while(|cache| cache.eax & 31 != 0)
            // Level 2, not for instructions alone.
            .find(|cache| cache.eax >> 5 & 7 == 2 && cache.eax & 31 != 2)
            .map(|cache| {
                let field = |from: u32, bits: u32| (cache.ebx >> from & ((1 << bits) - 1)) as usize;
                // Bytes of a line, partitions of lines, ways, sets; each less one.
                [
                    field(0, 12),
                    field(12, 10),
                    field(22, 10),
                    cache.ecx as usize,
                ]
                .into_iter()
                .fold(1, |bytes: usize, less| bytes.saturating_mul(less + 1))
            })
    };
    let has_extended = first(EXTENDED).eax >= EXTENDED + 0x1d
        // The flag that the leaf is there.
        && first(EXTENDED + 1).ecx >> 22 & 1 == 1;
    let of_amd = has_extended.then(|| caches(EXTENDED + 0x1d)).flatten();
    of_amd.or_else(|| (first(0).eax >= 4).then(|| caches(4)).flatten())
}

#[cfg(not(target_arch = "x86_64"))]
fn told() -> Option<usize> {
    None
}

/// Runs `f`, for which this thread takes stores past the cache to gain, or not to.
#[cfg(test)]
pub(crate) fn with_stores_past(gain: bool, f: impl FnOnce()) {
    tests::GAIN.with(|of| tests::pretend(of, gain, f));
}

/// Runs `f`, for which this thread takes writing across two lines of the cache to cost little, or not to.
#[cfg(test)]
pub(crate) fn with_writing_across_lines(little: bool, f: impl FnOnce()) {
    tests::ACROSS.with(|of| tests::pretend(of, little, f));
}

/// Runs `f`, for which this thread takes whole vectors of AVX-512 to gain, or not to.
#[cfg(test)]
pub(crate) fn with_whole_vectors(gain: bool, f: impl FnOnce()) {
    tests::WHOLE.with(|of| tests::pretend(of, gain, f));
}

/// Runs `f`, for which this thread takes the cache to be so large.
#[cfg(test)]
pub(crate) fn with_second_level(bytes: usize, f: impl FnOnce()) {
    tests::SECOND_LEVEL.with(|of| tests::pretend(of, bytes, f));
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    thread_local! {
        pub(super) static SECOND_LEVEL: Cell<Option<usize>> = const { Cell::new(None) };
        pub(super) static WHOLE: Cell<Option<bool>> = const { Cell::new(None) };
        pub(super) static ACROSS: Cell<Option<bool>> = const { Cell::new(None) };
        pub(super) static GAIN: Cell<Option<bool>> = const { Cell::new(None) };
    }

    /// Runs `f` with that in the cell, which afterwards, or if it panics, has what was there.
    pub(super) fn pretend<T: Copy>(cell: &Cell<Option<T>>, now: T, f: impl FnOnce()) {
        struct Before<'a, T: Copy>(&'a Cell<Option<T>>, Option<T>);
        impl<T: Copy> Drop for Before<'_, T> {
            fn drop(&mut self) {
                self.0.set(self.1);
            }
        }
        let _before = Before(cell, cell.replace(Some(now)));
        f();
    }

    /// As Linux says of one of the processors, where it says so and `cpuid` does.
    #[test]
    fn the_second_level_is_as_large_as_the_system_says() {
        let bytes = second_level();
        assert!((64 << 10..1 << 30).contains(&bytes), "{bytes}");
        assert_eq!(bytes, second_level());
        let of_system = |processor: usize, index: usize| {
            let read = |file: &str| {
                let folder = format!("/sys/devices/system/cpu/cpu{processor}/cache/index{index}");
                std::fs::read_to_string(format!("{folder}/{file}")).ok()
            };
            let size = read("size")?;
            let second = read("level")?.trim() == "2" && read("type")?.trim() != "Instruction";
            let kilobytes: usize = size.trim().strip_suffix('K')?.parse().ok()?;
            second.then_some(kilobytes << 10)
        };
        let sizes: Vec<usize> = (0..256)
            .flat_map(|processor| (0..8).filter_map(move |index| of_system(processor, index)))
            .collect();
        if told().is_some() && !sizes.is_empty() {
            assert!(sizes.contains(&bytes), "{bytes} {sizes:?}");
        }
    }

    /// As Linux says, where it does.
    #[cfg(target_arch = "x86_64")]
    #[test]
    fn the_processor_is_the_one_that_the_system_names() {
        let Ok(all) = std::fs::read_to_string("/proc/cpuinfo") else {
            return;
        };
        let of_system = |name: &str| {
            let (_, value) = all
                .lines()
                .filter_map(|line| line.split_once(':'))
                .find(|(key, _)| key.trim() == name)?;
            Some(value.trim().to_owned())
        };
        let Some(vendor) = of_system("vendor_id") else {
            return;
        };
        assert_eq!(maker(), vendor.as_bytes().try_into().ok());
        assert_eq!(of_system("cpu family"), Some(family().to_string()));
        let after_zen_4 = vendor == "AuthenticAMD" && family() > 0x19;
        assert_eq!(processor() == Processor::Zen5, after_zen_4);
        assert_eq!(processor() == Processor::Intel, vendor == "GenuineIntel");
        // Who gains by all passes gains by those of rows.
        assert!(asking_gains() || !asking_backward_gains());
    }

    #[test]
    fn what_is_pretended_ends() {
        let real = second_level();
        with_second_level(12, || {
            with_second_level(34, || assert_eq!(second_level(), 34));
            assert_eq!(second_level(), 12);
        });
        let failed = std::panic::catch_unwind(|| with_second_level(12, || panic!("on purpose")));
        assert!(failed.is_err());
        assert_eq!(second_level(), real);
    }
}
