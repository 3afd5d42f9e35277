//! Immutable runs of bytes.

use std::fmt;
use std::ops::{Deref, Range};
use std::ptr::NonNull;
use std::rc::Rc;

use super::{Buffer, Group, pool};

/// An immutable run of bytes: a lease of a buffer that the kernel filled, pooled memory, or a constant. Cloning and
/// slicing copy no bytes.
pub struct Chunk {
    /// Where the bytes lie, so that reading them asks nothing of the owner. Invariant: `len` bytes from here belong to `owner`,
    /// are initialised, and are written by nobody for as long as it holds them.
    bytes: NonNull<u8>,
    len: u32,
    owner: Owner,
}

enum Owner {
    /// A held buffer is not in its group's free list: neither the kernel nor we write to it.
    Lease(Rc<Group>, u16),
    /// Shared, and so neither written nor moved, until its last holder gives it back. `None` only while a chunk is being
    /// dropped.
    Pooled(Option<Rc<Vec<u8>>>),
    Static,
}

impl Chunk {
    /// A chunk of constant bytes.
    #[must_use]
    pub const fn from_static(bytes: &'static [u8]) -> Chunk {
        assert!(bytes.len() <= u32::MAX as usize);
        Chunk { bytes: NonNull::from_ref(bytes).cast(), len: bytes.len() as u32, owner: Owner::Static }
    }

    /// Copies `bytes` into pooled memory.
    #[must_use]
    pub fn copy_of(bytes: &[u8]) -> Chunk {
        let mut buffer = Buffer::with_room(bytes.len());
        buffer.extend_from_slice(bytes);
        buffer.freeze()
    }

    /// The first `len` bytes of a buffer, which is held from now on.
    pub(super) fn lease(group: Rc<Group>, buffer: u16, len: u32) -> Chunk {
        assert!(len <= group.buffer_bytes(), "a lease of {len} bytes");
        Chunk { bytes: group.address(buffer), len, owner: Owner::Lease(group, buffer) }
    }

    pub(super) fn pooled(bytes: Rc<Vec<u8>>) -> Chunk {
        let len = u32::try_from(bytes.len()).expect("a buffer holds less than 4 GiB");
        let first = NonNull::from_ref(bytes.as_slice()).cast();
        Chunk { bytes: first, len, owner: Owner::Pooled(Some(bytes)) }
    }

    /// The bytes in `range`, counted from the chunk's start.
    ///
    /// # Panics
    /// If the range does not lie within the chunk.
    #[must_use]
    pub fn slice(&self, range: Range<usize>) -> Chunk {
        let mut slice = self.clone();
        slice.truncate(range.end);
        slice.advance(range.start);
        slice
    }

    /// Removes the first `n` bytes.
    ///
    /// # Panics
    /// If there are fewer.
    pub fn advance(&mut self, n: usize) {
        assert!(n <= self.len(), "advance by {n} of {} bytes", self.len());
        // SAFETY: the chunk has `n` bytes, as has just been checked, so that this is within them or at their end.
        self.bytes = unsafe { self.bytes.add(n) };
        self.len -= n as u32;
    }

    /// Keeps only the first `n` bytes.
    ///
    /// # Panics
    /// If there are fewer.
    pub fn truncate(&mut self, n: usize) {
        assert!(n <= self.len(), "truncate to {n} of {} bytes", self.len());
        self.len = n as u32;
    }

    /// Takes the first `n` bytes off as a chunk of their own.
    ///
    /// # Panics
    /// If there are fewer.
    #[inline]
    #[must_use]
    pub fn split_to(&mut self, n: usize) -> Chunk {
        if n == self.len() {
            return std::mem::take(self);
        }
        let mut front = self.clone();
        front.truncate(n);
        self.advance(n);
        front
    }

    /// Prepares the chunk for waiting: if it is a lease of a group whose buffers are scarce, its bytes are copied to pooled
    /// memory and the lease ends. Returns the number of bytes copied.
    pub fn settle(&mut self) -> usize {
        match &self.owner {
            Owner::Lease(group, _) if group.is_scarce() => {
                *self = Chunk::copy_of(self);
                self.len()
            }
            _ => 0,
        }
    }
}

impl Clone for Chunk {
    fn clone(&self) -> Chunk {
        let owner = match &self.owner {
            Owner::Lease(group, buffer) => {
                group.hold(*buffer);
                Owner::Lease(Rc::clone(group), *buffer)
            }
            Owner::Pooled(bytes) => Owner::Pooled(bytes.clone()),
            Owner::Static => Owner::Static,
        };
        Chunk { bytes: self.bytes, len: self.len, owner }
    }
}

impl Drop for Chunk {
    #[inline]
    fn drop(&mut self) {
        if !matches!(self.owner, Owner::Static) {
            self.owner.let_go();
        }
    }
}

impl Owner {
    fn let_go(&mut self) {
        match self {
            Owner::Lease(group, buffer) => group.release(*buffer),
            Owner::Pooled(bytes) => {
                if let Some(bytes) = bytes.take() {
                    pool::give_back(bytes);
                }
            }
            Owner::Static => {}
        }
    }
}

impl Deref for Chunk {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        // SAFETY: the field's invariant. The owner lives as long as the chunk, and so does what is borrowed from it.
        unsafe { std::slice::from_raw_parts(self.bytes.as_ptr(), self.len as usize) }
    }
}

impl Default for Chunk {
    fn default() -> Chunk {
        Chunk::from_static(&[])
    }
}

impl fmt::Debug for Chunk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match &self.owner {
            Owner::Lease(..) => "lease",
            Owner::Pooled(_) => "pooled",
            Owner::Static => "static",
        };
        write!(f, "Chunk({kind}, {} bytes)", self.len)
    }
}
