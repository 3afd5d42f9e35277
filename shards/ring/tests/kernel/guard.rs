//! A heap that makes what is freed unreadable.
//!
//! On a guarded thread every allocation of some size gets pages of its own, out of one large reservation, and ends right
//! before a page without access. The slack around it holds canary bytes, which are checked when it is freed; then its pages
//! lose their memory and all access, for ever: addresses are not used twice.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::ptr::null_mut;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

const PAGE: usize = 4096;
const RESERVED_BYTES: usize = 64 << 30;
const GUARDED_BYTES_MIN: usize = 48;
const GUARDED_BYTES_MAX: usize = 1 << 20;
const CANARY: u8 = 0xA5;

thread_local! {
    static GUARDED: Cell<bool> = const { Cell::new(false) };
}

static BASE: OnceLock<usize> = OnceLock::new();
/// Bytes of the reservation that were given out.
static USED: AtomicUsize = AtomicUsize::new(0);

/// From now on this thread's allocations are guarded. They may be freed on any thread.
pub(crate) fn on_this_thread() {
    BASE.get_or_init(|| map(null_mut(), RESERVED_BYTES, libc::PROT_NONE, 0) as usize);
    GUARDED.set(true);
}

pub(crate) struct Guard;

// SAFETY: what is given out are the system's blocks, or blocks inside of pages that nobody else gets.
unsafe impl GlobalAlloc for Guard {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let fits = (GUARDED_BYTES_MIN..=GUARDED_BYTES_MAX).contains(&layout.size()) && layout.align() <= PAGE;
        if fits
            && GUARDED.try_with(Cell::get).unwrap_or(false)
            && let Some(block) = alloc_guarded(layout)
        {
            return block;
        }
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        let base = BASE.get().copied().unwrap_or(usize::MAX);
        if (base..base.saturating_add(RESERVED_BYTES)).contains(&block.addr()) {
            return free_guarded(block, layout);
        }
        // SAFETY: the caller's promise, and the block is the system's.
        unsafe { System.dealloc(block, layout) }
    }
}

fn data_bytes(layout: Layout) -> usize {
    layout.size().next_multiple_of(PAGE)
}

fn alloc_guarded(layout: Layout) -> Option<*mut u8> {
    let data_bytes = data_bytes(layout);
    let offset = USED.fetch_add(data_bytes + PAGE, Ordering::Relaxed);
    if offset + data_bytes + PAGE > RESERVED_BYTES {
        return None;
    }
    let start = (BASE.get().copied()? + offset) as *mut u8;
    map(start, data_bytes, libc::PROT_READ | libc::PROT_WRITE, libc::MAP_FIXED);
    let slack = (data_bytes - layout.size()) & !(layout.align() - 1);
    // SAFETY: the pages were just mapped for this block.
    unsafe {
        start.write_bytes(CANARY, data_bytes);
        Some(start.add(slack))
    }
}

fn free_guarded(block: *mut u8, layout: Layout) {
    let data_bytes = data_bytes(layout);
    let slack = (data_bytes - layout.size()) & !(layout.align() - 1);
    // SAFETY: as it was computed when the block was given out; the pages are still mapped.
    let (start, pages) = unsafe {
        let start = block.sub(slack);
        (start, std::slice::from_raw_parts(start, data_bytes))
    };
    if !pages[..slack].iter().chain(&pages[slack + layout.size()..]).all(|byte| *byte == CANARY) {
        fail("somebody wrote beside a block of the heap\n");
    }
    map(start, data_bytes, libc::PROT_NONE, libc::MAP_FIXED);
}

/// New anonymous pages, in place of what was there if `flags` say so.
fn map(at: *mut u8, len: usize, protection: i32, flags: i32) -> *mut u8 {
    let flags = flags | libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
    // SAFETY: `at` is null, or lies in the reservation and belongs to the caller's block.
    let mapped = unsafe { libc::mmap(at.cast(), len, protection, flags, -1, 0) };
    if mapped == libc::MAP_FAILED {
        fail("the guarded heap could not be mapped\n");
    }
    mapped.cast()
}

/// Ends the process without the heap.
fn fail(message: &str) -> ! {
    // SAFETY: writes from a string that lives.
    unsafe { libc::write(2, message.as_ptr().cast(), message.len()) };
    std::process::abort();
}

#[test]
fn freed_memory_is_out_of_the_kernels_reach() {
    std::thread::spawn(|| {
        on_this_thread();
        let block = vec![7_u8; 100];
        let address = block.as_ptr();
        let (reader, writer) = std::io::pipe().expect("a pipe");
        let write = |address: *const u8| {
            // SAFETY: the kernel checks the address, which is the test.
            let written = unsafe { libc::write(std::os::fd::AsRawFd::as_raw_fd(&writer), address.cast(), 100) };
            if written < 0 { Err(std::io::Error::last_os_error().raw_os_error()) } else { Ok(written) }
        };
        assert_eq!(write(address), Ok(100));
        drop(block);
        assert_eq!(write(address), Err(Some(libc::EFAULT)));
        drop(reader);
    })
    .join()
    .expect("the guarded thread ends well");
}
