//! The free buffers of one group, in the order in which they are to be filled.

use std::cell::Cell;
use std::rc::Rc;

use crate::buffers::FreeList;

/// A ring of buffer numbers: the group puts free ones in at the end, receives take from the front.
pub(super) struct FreeBuffers {
    buffers: Box<[Cell<u16>]>,
    /// Positions count up and wrap; at most 32,768 lie between the two.
    front: Cell<u16>,
    end: Cell<u16>,
}

impl FreeBuffers {
    /// Room for `count` buffers, a power of two; none is free yet.
    pub(super) fn new(count: u16) -> FreeBuffers {
        let buffers = (0..count).map(|_| Cell::new(0)).collect();
        FreeBuffers { buffers, front: Cell::new(0), end: Cell::new(0) }
    }

    pub(super) fn len(&self) -> usize {
        usize::from(self.end.get().wrapping_sub(self.front.get()))
    }

    /// The buffer that is to be filled after `ahead` others.
    pub(super) fn at(&self, ahead: usize) -> Option<u16> {
        (ahead < self.len()).then(|| self.place(self.front.get().wrapping_add(ahead as u16)).get())
    }

    /// The first `count` buffers have been filled.
    pub(super) fn take(&self, count: usize) {
        debug_assert!(count <= self.len(), "{count} buffers are taken of {}", self.len());
        self.front.set(self.front.get().wrapping_add(count as u16));
    }

    fn place(&self, position: u16) -> &Cell<u16> {
        &self.buffers[usize::from(position) & (self.buffers.len() - 1)]
    }
}

impl FreeList for Rc<FreeBuffers> {
    fn provide(&self, position: u16, buffer: u16, _address: *mut u8, _len: u32) {
        debug_assert_eq!(position, self.end.get(), "a position is left out");
        self.place(position).set(buffer);
        self.end.set(position.wrapping_add(1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_are_taken_in_the_order_in_which_they_were_provided_also_around_the_end_of_the_count() {
        let free = Rc::new(FreeBuffers::new(4));
        let provide = |position: u32| free.provide(position as u16, (position % 7) as u16, std::ptr::null_mut(), 0);
        (0..3).for_each(provide);
        for round in 0..100_000 {
            provide(round + 3);
            assert_eq!((free.len(), free.at(4)), (4, None));
            assert_eq!((free.at(0), free.at(3)), (Some((round % 7) as u16), Some(((round + 3) % 7) as u16)));
            free.take(1);
        }
    }
}
