//! Groups of buffers that the kernel picks from.

use std::cell::{Cell, RefCell};
use std::io;
use std::ptr::NonNull;
use std::rc::Rc;

use super::Chunk;

/// Where a group's free buffers are put for the kernel to pick. `position` counts up from 0 and wraps.
pub(crate) trait FreeList {
    fn provide(&self, position: u16, buffer: u16, address: *mut u8, len: u32);
}

/// A fixed number of equal buffers in one mapping.
pub(crate) struct Group {
    id: u16,
    buffer_bytes: u32,
    memory: Mapping,
    /// Chunks alive over each buffer; 0: the buffer is free (the kernel may write to it at any time).
    holders: Box<[Cell<u16>]>,
    /// The buffer at each position of the free list, as the kernel sees it.
    order: Box<[Cell<u16>]>,
    /// Where each buffer was put last.
    position: Box<[Cell<u16>]>,
    /// The position that the next freed buffer gets.
    tail: Cell<u16>,
    free: Cell<u16>,
    free_list: RefCell<Option<Box<dyn FreeList>>>,
}

impl std::fmt::Debug for Group {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Group").field("id", &self.id).field("free", &self.free).finish_non_exhaustive()
    }
}

impl Group {
    /// `count` buffers of `buffer_bytes` each. `count` is a power of two, at most 32,768.
    pub(crate) fn new(id: u16, count: u16, buffer_bytes: u32) -> io::Result<Rc<Group>> {
        assert!(count.is_power_of_two() && count <= 1 << 15, "a group has a power of two of buffers, at most 32,768");
        let cells = || (0..count).map(|_| Cell::new(0)).collect::<Box<[Cell<u16>]>>();
        let memory = Mapping::new(usize::from(count) * buffer_bytes as usize)?;
        Ok(Rc::new(Group {
            id,
            buffer_bytes,
            memory,
            holders: cells(),
            order: cells(),
            position: cells(),
            tail: Cell::new(0),
            free: Cell::new(0),
            free_list: RefCell::new(None),
        }))
    }

    pub(crate) fn id(&self) -> u16 {
        self.id
    }

    pub(crate) fn count(&self) -> u16 {
        self.holders.len() as u16
    }

    pub(crate) fn buffer_bytes(&self) -> u32 {
        self.buffer_bytes
    }

    /// Number of buffers that the kernel may pick.
    pub(crate) fn free(&self) -> u16 {
        self.free.get()
    }

    /// Whether fewer than a quarter of the buffers are free, so that bytes which wait must be copied out.
    pub(crate) fn is_scarce(&self) -> bool {
        self.free.get() < self.count() / 4
    }

    /// Offers all buffers through `free_list`, once, at the start.
    pub(crate) fn attach(&self, free_list: Box<dyn FreeList>) {
        *self.free_list.borrow_mut() = Some(free_list);
        for buffer in 0..self.count() {
            self.provide(buffer);
        }
    }

    /// Offers no more buffers: the kernel side is gone. Leases that are still held stay readable.
    pub(crate) fn detach(&self) {
        *self.free_list.borrow_mut() = None;
    }

    fn provide(&self, buffer: u16) {
        debug_assert_eq!(self.holders[usize::from(buffer)].get(), 0, "a held buffer is offered");
        let position = self.tail.get();
        self.tail.set(position.wrapping_add(1));
        let mask = self.count() - 1;
        self.order[usize::from(position & mask)].set(buffer);
        self.position[usize::from(buffer)].set(position & mask);
        self.free.set(self.free.get() + 1);
        if let Some(free_list) = &*self.free_list.borrow() {
            free_list.provide(position, buffer, self.address(buffer).as_ptr(), self.buffer_bytes);
        }
    }

    /// Where a buffer lies: initialised memory (the mapping starts zeroed) for as long as the group lives.
    pub(crate) fn address(&self, buffer: u16) -> NonNull<u8> {
        assert!(buffer < self.count(), "buffer {buffer} of {}", self.count());
        // SAFETY: the buffer lies within the mapping.
        unsafe { self.memory.base().add(usize::from(buffer) * self.buffer_bytes as usize) }
    }

    /// The `len` bytes that a completion delivered, beginning in `first` and going on in the buffers that followed it in
    /// the free list. To be called when the completion arrives, in the order of arrival: later, positions may have been
    /// filled anew.
    pub(crate) fn lease(self: &Rc<Self>, first: u16, len: usize, mut deliver: impl FnMut(Chunk)) {
        let mask = self.count() - 1;
        let mut position = self.position[usize::from(first)].get();
        let mut left = len;
        loop {
            let buffer = self.order[usize::from(position)].get();
            let here = left.min(self.buffer_bytes as usize);
            debug_assert_eq!(self.holders[usize::from(buffer)].get(), 0, "the kernel filled a held buffer");
            self.holders[usize::from(buffer)].set(1);
            self.free.set(self.free.get() - 1);
            deliver(Chunk::lease(Rc::clone(self), buffer, here as u32));
            left -= here;
            if left == 0 {
                return;
            }
            position = (position + 1) & mask;
        }
    }

    pub(super) fn hold(&self, buffer: u16) {
        let holders = &self.holders[usize::from(buffer)];
        holders.set(holders.get().checked_add(1).expect("fewer than 65,536 chunks over one buffer"));
    }

    pub(super) fn release(&self, buffer: u16) {
        let holders = &self.holders[usize::from(buffer)];
        let left = holders.get() - 1;
        holders.set(left);
        if left == 0 {
            self.provide(buffer);
        }
    }
}

/// Anonymous memory straight from the kernel: page-aligned, zeroed, and returned when dropped.
#[derive(Debug)]
pub(crate) struct Mapping {
    base: NonNull<u8>,
    len: usize,
}

impl Mapping {
    pub(crate) fn new(len: usize) -> io::Result<Mapping> {
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        // SAFETY: a new anonymous mapping touches nothing that exists.
        let base = unsafe { libc::mmap(std::ptr::null_mut(), len, protection, flags, -1, 0) };
        if base == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let base = NonNull::new(base.cast()).expect("mmap does not map page 0 unasked");
        Ok(Mapping { base, len })
    }

    pub(crate) fn base(&self) -> NonNull<u8> {
        self.base
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: the mapping is ours and nothing refers to it any more: whoever holds addresses into it holds `self`.
        unsafe { libc::munmap(self.base.as_ptr().cast(), self.len) };
    }
}
