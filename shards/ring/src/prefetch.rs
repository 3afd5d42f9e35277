//! Memory that is asked for before it is read.
//!
//! With hundreds of connections the state of one has left the near caches when its turn comes again: each line of it is then
//! a wait of tens of nanoseconds, and one pointer leads to the next. Whose turn comes next is known early, from the queues of
//! completions and of tasks: what is asked for while the one before is being served is there when it is read.

/// Bytes that are fetched together.
const LINE_BYTES: usize = 64;
/// Lines that are asked for at once; the processor has no room to note many more.
const LINES_MAX: usize = 16;

/// Asks for the memory of `value`, its first KiB at most, because it will soon be read or written. It is a hint: nothing waits.
#[inline]
pub(crate) fn prefetch<T: ?Sized>(value: &T) {
    let first = std::ptr::from_ref(value).cast::<u8>();
    for line in 0..size_of_val(value).div_ceil(LINE_BYTES).min(LINES_MAX) {
        prefetch_line(first.wrapping_add(line * LINE_BYTES));
    }
}

#[cfg(target_arch = "x86_64")]
#[inline]
fn prefetch_line(address: *const u8) {
    use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
    // SAFETY: a hint about any address whatever, which the processor is free to ignore.
    unsafe { _mm_prefetch::<_MM_HINT_T0>(address.cast()) };
}

/// Other processors are left to themselves.
#[cfg(not(target_arch = "x86_64"))]
fn prefetch_line(_address: *const u8) {}
