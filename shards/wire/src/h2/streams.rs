//! The streams of a connection: where each lies, and what is remembered of those that were reset.

use super::stream::{Stream, StreamKey};

/// Streams in slots that are used again, found by id through a table of twice as many places as there are slots.
///
/// Ids that follow one another are scattered over the table, since runs without a gap would have to be looked through
/// whenever a stream ends. Nothing is allocated once as many streams have been open at once as ever will be.
#[derive(Debug, Default)]
pub(super) struct Streams {
    slots: Vec<Stream>,
    free: Vec<u32>,
    /// Open addressing with linear probing; a power of two, never more than half full. 0: free, otherwise the slot and
    /// one.
    places: Vec<u32>,
}

impl Streams {
    /// How many there are.
    #[inline]
    pub(super) fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The slot of a stream.
    #[inline]
    pub(super) fn find(&self, id: u32) -> Option<u32> {
        if self.places.is_empty() {
            return None;
        }
        let mask = self.places.len() - 1;
        let mut place = home(id, mask);
        loop {
            let slot = self.places[place].checked_sub(1)?;
            if self.slots[slot as usize].id == id {
                return Some(slot);
            }
            place = (place + 1) & mask;
        }
    }

    /// The stream in that slot.
    #[inline]
    pub(super) fn at(&self, slot: u32) -> &Stream {
        &self.slots[slot as usize]
    }

    #[inline]
    pub(super) fn at_mut(&mut self, slot: u32) -> &mut Stream {
        &mut self.slots[slot as usize]
    }

    /// The stream of that key, unless it is gone.
    #[inline]
    pub(super) fn of(&self, key: StreamKey) -> Option<&Stream> {
        self.slots.get(key.slot as usize).filter(|stream| stream.id == key.id)
    }

    #[inline]
    pub(super) fn of_mut(&mut self, key: StreamKey) -> Option<&mut Stream> {
        self.slots.get_mut(key.slot as usize).filter(|stream| stream.id == key.id)
    }

    #[inline]
    pub(super) fn key(&self, slot: u32) -> StreamKey {
        StreamKey { id: self.at(slot).id, slot }
    }

    pub(super) fn keys(&self) -> impl Iterator<Item = StreamKey> {
        let slots = self.slots.iter().zip(0..);
        slots.filter(|(stream, _)| stream.id != 0).map(|(stream, slot)| StreamKey { id: stream.id, slot })
    }

    /// Takes a stream in.
    pub(super) fn insert(&mut self, stream: Stream) -> StreamKey {
        debug_assert!(stream.id != 0 && self.find(stream.id).is_none());
        let id = stream.id;
        let slot = match self.free.pop() {
            Some(slot) => {
                self.slots[slot as usize] = stream;
                slot
            }
            None => {
                self.slots.push(stream);
                (self.slots.len() - 1) as u32
            }
        };
        if self.places.len() < 2 * self.slots.len() {
            self.rebuild();
        } else {
            self.place(id, slot);
        }
        StreamKey { id, slot }
    }

    /// Forgets the stream in that slot.
    pub(super) fn remove(&mut self, slot: u32) {
        self.displace(self.at(slot).id, slot);
        self.slots[slot as usize].id = 0;
        self.free.push(slot);
    }

    /// Gives the memory back that streams have taken, if there are none.
    pub(super) fn shrink(&mut self) {
        if self.is_empty() {
            *self = Streams::default();
        }
    }

    fn rebuild(&mut self) {
        const PLACES_MIN: usize = 16;
        let places = (4 * self.slots.len()).next_power_of_two().max(PLACES_MIN);
        self.places.clear();
        self.places.resize(places, 0);
        for slot in 0..self.slots.len() as u32 {
            let id = self.at(slot).id;
            if id != 0 {
                self.place(id, slot);
            }
        }
    }

    fn place(&mut self, id: u32, slot: u32) {
        let mask = self.places.len() - 1;
        let mut place = home(id, mask);
        while self.places[place] != 0 {
            place = (place + 1) & mask;
        }
        self.places[place] = slot + 1;
    }

    /// Frees the place of a stream, and moves those up that had stepped aside.
    fn displace(&mut self, id: u32, slot: u32) {
        let mask = self.places.len() - 1;
        let mut hole = home(id, mask);
        while self.places[hole] != slot + 1 {
            hole = (hole + 1) & mask;
        }
        let mut place = hole;
        loop {
            place = (place + 1) & mask;
            let Some(other) = self.places[place].checked_sub(1) else { break };
            let distance = place.wrapping_sub(home(self.at(other).id, mask)) & mask;
            if distance >= (place.wrapping_sub(hole) & mask) {
                self.places[hole] = self.places[place];
                hole = place;
            }
        }
        self.places[hole] = 0;
    }
}

/// Where a stream would like to be: Fibonacci hashing (Knuth, The Art of Computer Programming, volume 3, §6.4).
#[inline]
fn home(id: u32, mask: usize) -> usize {
    const MULTIPLIER: u32 = 0x9e37_79b9;
    (id.wrapping_mul(MULTIPLIER) >> 16) as usize & mask
}

/// The streams that we reset last: what the peer sent before it knew is not at fault. RFC 9113 §5.1, "closed"
#[derive(Debug, Default)]
pub(super) struct Departed {
    /// A ring, once it is full.
    streams: Vec<Reset>,
    next: usize,
    /// The highest id that was forgotten: below it nobody can tell any more who ended a stream.
    forgotten: u32,
}

#[derive(Debug, Clone, Copy)]
struct Reset {
    id: u32,
    /// What the peer might still send.
    granted: i32,
}

/// What is known of a stream that is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Memory {
    /// We reset it, and not long ago.
    Reset,
    /// It may be one that we reset.
    Faint,
    /// The peer had ended its half or reset it.
    Ended,
}

impl Departed {
    /// How many are remembered.
    const STREAMS_MAX: usize = 128;

    /// Remembers a stream that we reset while the peer might send.
    pub(super) fn remember(&mut self, id: u32, granted: i32) {
        let reset = Reset { id, granted };
        if self.streams.len() < Self::STREAMS_MAX {
            self.streams.push(reset);
            return;
        }
        let oldest = &mut self.streams[self.next];
        self.forgotten = self.forgotten.max(oldest.id);
        *oldest = reset;
        self.next = (self.next + 1) % Self::STREAMS_MAX;
    }

    pub(super) fn recall(&self, id: u32) -> Memory {
        if self.streams.iter().any(|reset| reset.id == id) {
            Memory::Reset
        } else if id <= self.forgotten {
            Memory::Faint
        } else {
            Memory::Ended
        }
    }

    /// Takes data that comes late; `false` if it is more than the peer could ever have thought that it may send.
    pub(super) fn take(&mut self, id: u32, bytes: u32) -> bool {
        let Some(reset) = self.streams.iter_mut().find(|reset| reset.id == id) else { return true };
        match i32::try_from(i64::from(reset.granted) - i64::from(bytes)) {
            Ok(granted @ 0..) => {
                reset.granted = granted;
                true
            }
            _ => false,
        }
    }

    /// The peer ends its half, late: whatever still comes is its fault.
    pub(super) fn end(&mut self, id: u32) {
        let position = self.streams.iter().position(|reset| reset.id == id);
        if let Some(position) = position
            && self.streams.len() < Self::STREAMS_MAX
        {
            self.streams.swap_remove(position);
        }
    }
}
