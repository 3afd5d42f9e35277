//! Buffers that we fill ourselves, kept for reuse by size.
//!
//! The pool belongs to the thread. A buffer is taken by the room that it must have, and goes back, cleared, when its last
//! holder is dropped; the pool keeps a bounded number of bytes and frees what comes back beyond it.

use std::cell::RefCell;
use std::mem::ManuallyDrop;
use std::ops::{Deref, DerefMut};
use std::rc::Rc;

use super::Chunk;

/// Room of the buffers that are kept, in bytes. A buffer that grew counts as the largest class that fits into it. 17 KiB are for
/// a full record of TLS, which is a few bytes longer than its 16 KiB of data.
const CLASSES: [usize; 5] = [1 << 10, 4 << 10, 16 << 10, 17 << 10, 64 << 10];

thread_local! {
    static POOL: RefCell<Pool> = const { RefCell::new(Pool { free: [const { Vec::new() }; CLASSES.len()], kept_bytes: 0, kept_bytes_max: 16 << 20 }) };
}

struct Pool {
    free: [Vec<Rc<Vec<u8>>>; CLASSES.len()],
    kept_bytes: usize,
    kept_bytes_max: usize,
}

/// Sets how many bytes this thread's pool keeps; 0 keeps none, so that every buffer is freed after its use.
pub(crate) fn keep_at_most(bytes: usize) {
    POOL.with_borrow_mut(|pool| {
        pool.kept_bytes_max = bytes;
        if bytes == 0 {
            pool.free.iter_mut().for_each(Vec::clear);
            pool.kept_bytes = 0;
        }
    });
}

/// A growing run of bytes from the pool; becomes an immutable [`Chunk`] by [`Buffer::freeze`].
#[derive(Debug)]
pub struct Buffer(ManuallyDrop<Rc<Vec<u8>>>);

// Every connection has room for some buffers, and nearly none holds one while it waits.
const _: () = assert!(size_of::<Option<Buffer>>() == size_of::<usize>());

impl Buffer {
    /// An empty buffer with room for at least `room` bytes.
    #[must_use]
    pub fn with_room(room: usize) -> Buffer {
        let class = CLASSES.iter().position(|class| *class >= room);
        let kept = class.and_then(|class| {
            POOL.try_with(|pool| {
                let pool = &mut *pool.borrow_mut();
                let kept = pool.free[class].pop()?;
                pool.kept_bytes -= CLASSES[class];
                Some(kept)
            })
            .ok()
            .flatten()
        });
        let room = class.map_or(room, |class| CLASSES[class]);
        Buffer(ManuallyDrop::new(kept.unwrap_or_else(|| Rc::new(Vec::with_capacity(room)))))
    }

    /// The bytes as an immutable chunk.
    #[must_use]
    pub fn freeze(self) -> Chunk {
        let mut buffer = ManuallyDrop::new(self);
        // SAFETY: the buffer is not dropped, nor used again.
        Chunk::pooled(unsafe { ManuallyDrop::take(&mut buffer.0) })
    }
}

impl Deref for Buffer {
    type Target = Vec<u8>;

    fn deref(&self) -> &Vec<u8> {
        &self.0
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut Vec<u8> {
        Rc::get_mut(&mut self.0).expect("a buffer is its bytes' only holder")
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        // SAFETY: nobody uses the buffer any more.
        give_back(unsafe { ManuallyDrop::take(&mut self.0) });
    }
}

/// Puts a buffer back if this was its last holder.
pub(super) fn give_back(mut bytes: Rc<Vec<u8>>) {
    let Some(inner) = Rc::get_mut(&mut bytes) else { return };
    let Some(class) = CLASSES.iter().rposition(|class| *class <= inner.capacity()) else { return };
    inner.clear();
    // What has grown far beyond the largest class is not kept: it would be counted as less than it is.
    if inner.capacity() > 2 * CLASSES[CLASSES.len() - 1] {
        return;
    }
    // The thread may be ending, its pool gone: then the bytes are simply freed.
    let _ = POOL.try_with(|pool| {
        let pool = &mut *pool.borrow_mut();
        if pool.kept_bytes + CLASSES[class] <= pool.kept_bytes_max {
            pool.kept_bytes += CLASSES[class];
            pool.free[class].push(bytes);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_comes_back_when_its_last_holder_is_gone() {
        let mut buffer = Buffer::with_room(100);
        buffer.extend_from_slice(b"hello");
        let address = buffer.as_ptr();
        let chunk = buffer.freeze();
        let (other, tail) = (chunk.clone(), chunk.slice(1..3));
        drop(chunk);
        assert_eq!((&other[..], &tail[..]), (&b"hello"[..], &b"el"[..]));
        drop(other);
        assert_ne!(Buffer::with_room(100).as_ptr(), address, "the tail still holds the bytes");
        drop(tail);
        let again = Buffer::with_room(100);
        assert!(again.is_empty() && again.capacity() >= 100);
    }

    #[test]
    fn the_pool_keeps_no_more_than_it_may() {
        keep_at_most(CLASSES[0]);
        drop((Buffer::with_room(1), Buffer::with_room(1), Buffer::with_room(1)));
        assert_eq!(POOL.with_borrow(|pool| (pool.kept_bytes, pool.free[0].len())), (CLASSES[0], 1));
        keep_at_most(0);
        assert_eq!(POOL.with_borrow(|pool| (pool.kept_bytes, pool.free[0].len())), (0, 0));
    }
}
