//! What is known of each descriptor, and what waits for it.

use std::ops::{Index, IndexMut};
use std::os::fd::RawFd;

use crate::kernel::{Key, RecvKind};

const NONE: u32 = u32::MAX;

/// The descriptors that operations were started on and that are not closed yet.
#[derive(Default)]
pub(super) struct Table {
    places: Vec<Place>,
    vacant: Vec<u32>,
    /// The place of each descriptor, by its number. Apart from the places because numbers are the whole process's: those of
    /// other shards cost four bytes here, and not a place.
    by_descriptor: Vec<u32>,
    /// The place where each operation was started that had to wait, by the index of its key.
    by_operation: Vec<u32>,
}

/// One descriptor. At most one operation reads, one writes, and one a direction polls.
pub(super) struct Place {
    pub(super) fd: RawFd,
    /// How often the place was vacated: an edge that was told of an earlier tenant is noticed.
    generation: u32,
    pub(super) reading: Option<(Key, Read)>,
    pub(super) writing: Option<(Key, Write)>,
    /// Polls for reading and for writing; [`Key::NOBODY`] where there is none.
    pub(super) polls: [Key; 2],
    pub(super) is_registered: bool,
    pub(super) is_listener: bool,
    /// Whether it stands among those that go on without another edge.
    pub(super) is_unfinished: bool,
    /// An edge was told, and no attempt has found nothing since.
    pub(super) readable: bool,
    pub(super) writable: bool,
    /// Whether a receive or a send that moved less than it was asked to has shown that nothing is left: true of TCP until the
    /// peer ends or marks a byte as urgent (epoll(7), question 9), not of Unix sockets, whose receives may stop between two
    /// messages.
    pub(super) short_means_empty: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Read {
    Recv { group: u16, kind: RecvKind },
    Accept,
    Counter { value: *mut u64 },
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Write {
    /// One run of bytes, of which the first `sent` have left.
    Run { bytes: *const u8, len: usize, sent: usize, more: bool },
    /// The runs that a header lists, of which the first `sent` bytes have left.
    Message { message: *const libc::msghdr, sent: usize, more: bool },
    /// `started`: the connection is being made, and the next edge tells how it went.
    Connect { address: *const libc::sockaddr, len: libc::socklen_t, started: bool },
}

impl Write {
    pub(super) fn sent(self) -> usize {
        match self {
            Write::Run { sent, .. } | Write::Message { sent, .. } => sent,
            Write::Connect { .. } => 0,
        }
    }

    /// The same after another `bytes` have left.
    pub(super) fn after(mut self, bytes: usize) -> Write {
        if let Write::Run { sent, .. } | Write::Message { sent, .. } = &mut self {
            *sent += bytes;
        }
        self
    }
}

impl Table {
    /// The place of a descriptor, which gets one if it has none.
    pub(super) fn place(&mut self, fd: RawFd) -> u32 {
        let number = fd as usize;
        if number >= self.by_descriptor.len() {
            self.by_descriptor.resize((number + 1).next_power_of_two(), NONE);
        }
        if self.by_descriptor[number] == NONE {
            self.by_descriptor[number] = self.vacant.pop().unwrap_or_else(|| {
                self.places.push(Place::new(fd, 0));
                (self.places.len() - 1) as u32
            });
            let index = self.by_descriptor[number];
            self[index] = Place::new(fd, self[index].generation);
        }
        self.by_descriptor[number]
    }

    /// Takes a descriptor's place from it, if it has one. What is known can be read until the place is given away again.
    pub(super) fn remove(&mut self, fd: RawFd) -> Option<u32> {
        let index = self.by_descriptor.get_mut(fd as usize).map(|place| std::mem::replace(place, NONE))?;
        let place = self.places.get_mut(index as usize)?;
        debug_assert!(place.reading.is_none() && place.writing.is_none(), "{fd} is closed under an operation");
        place.generation = place.generation.wrapping_add(1);
        (place.readable, place.writable) = (false, false);
        self.vacant.push(index);
        Some(index)
    }

    /// The place that an edge was told of, unless that has another tenant by now.
    pub(super) fn find(&self, name: u64) -> Option<u32> {
        let index = name as u32;
        self.places.get(index as usize).filter(|place| place.name(index) == name).map(|_| index)
    }

    /// An operation waits at this place.
    pub(super) fn remember(&mut self, key: Key, place: u32) {
        let operation = key.index() as usize;
        if operation >= self.by_operation.len() {
            self.by_operation.resize((operation + 1).next_power_of_two(), NONE);
        }
        self.by_operation[operation] = place;
    }

    /// Where an operation waits, if it still does: whether it is this one that waits there is for the keys to tell.
    pub(super) fn place_of(&self, key: Key) -> Option<u32> {
        self.by_operation.get(key.index() as usize).copied().filter(|place| *place != NONE)
    }
}

impl Index<u32> for Table {
    type Output = Place;

    fn index(&self, place: u32) -> &Place {
        &self.places[place as usize]
    }
}

impl IndexMut<u32> for Table {
    fn index_mut(&mut self, place: u32) -> &mut Place {
        &mut self.places[place as usize]
    }
}

impl Place {
    fn new(fd: RawFd, generation: u32) -> Place {
        Place {
            fd,
            generation,
            reading: None,
            writing: None,
            polls: [Key::NOBODY; 2],
            is_registered: false,
            is_listener: false,
            is_unfinished: false,
            readable: false,
            writable: true,
            short_means_empty: false,
        }
    }

    /// What edges of the place are told under.
    pub(super) fn name(&self, index: u32) -> u64 {
        u64::from(self.generation) << 32 | u64::from(index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_used_again_under_another_name() {
        let mut table = Table::default();
        let first = table.place(100);
        let name = table[first].name(first);
        assert_eq!((table.place(100), table.find(name)), (first, Some(first)));
        assert_eq!(table.remove(100), Some(first));
        assert_eq!((table.remove(100), table.remove(7), table.find(name)), (None, None, None));
        let second = table.place(3);
        assert_eq!((second, table[second].fd), (first, 3));
        assert_eq!(table.find(name), None);
        assert_eq!(table.find(table[second].name(second)), Some(second));
    }
}
