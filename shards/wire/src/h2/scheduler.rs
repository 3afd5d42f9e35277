//! Whose turn it is to send: priorities by RFC 9218 §10.
//!
//! The streams that have data and a window for it stand in lists, two for each urgency: those whose responses are of
//! use in parts take turns, frame by frame; the others are served whole, in the order of their ids. The more urgent
//! come first always; the two lists of one urgency take turns with each other, so that neither a long download nor many
//! small ones keep the rest of their level waiting. The lists run through the streams themselves: nothing is allocated,
//! and a stream leaves its list from wherever it stands.

use super::priority::Priority;
use super::streams::Streams;

/// Lists in all: two for each urgency.
const LISTS: usize = 2 * (Priority::URGENCY_MAX as usize + 1);
/// No slot.
const NONE: u32 = u32::MAX;

/// A stream's place in a list.
#[derive(Debug, Clone, Copy)]
pub(super) struct Link {
    previous: u32,
    next: u32,
    /// The list; `OUT` for none.
    list: u8,
}

const OUT: u8 = u8::MAX;

impl Default for Link {
    fn default() -> Link {
        Link { previous: NONE, next: NONE, list: OUT }
    }
}

#[derive(Debug, Clone, Copy)]
struct List {
    first: u32,
    last: u32,
}

/// The order of those that have something to send.
#[derive(Debug)]
pub(super) struct Scheduler {
    lists: [List; LISTS],
    /// A bit for each list that has somebody in it.
    occupied: u16,
    /// A bit for each urgency whose next turn is that of the streams that are served whole.
    turn_of_whole: u8,
}

impl Default for Scheduler {
    fn default() -> Scheduler {
        Scheduler { lists: [List { first: NONE, last: NONE }; LISTS], occupied: 0, turn_of_whole: u8::MAX }
    }
}

impl Scheduler {
    /// Nobody has anything to send.
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.occupied == 0
    }

    /// The stream whose turn it is. It stays where it is.
    #[inline]
    pub(super) fn first(&self) -> Option<u32> {
        if self.occupied == 0 {
            return None;
        }
        let urgency = self.occupied.trailing_zeros() as usize / 2;
        let both = (self.occupied >> (2 * urgency)) & 0b11;
        let takes_turns = match both {
            0b11 => self.turn_of_whole & (1 << urgency) == 0,
            only => only == 0b10,
        };
        Some(self.lists[2 * urgency + usize::from(takes_turns)].first)
    }

    /// That stream, the [`first`](Self::first), has sent a frame: the next one has its turn. It leaves its list unless
    /// it `goes_on`, having more to send and a window for it.
    #[inline]
    pub(super) fn pass(&mut self, streams: &mut Streams, slot: u32, goes_on: bool) {
        let list = streams.at(slot).link.list;
        self.turn_of_whole ^= 1 << (list / 2);
        if !goes_on {
            return self.remove(streams, slot);
        }
        let takes_turns = list % 2 == 1;
        let List { first, last } = self.lists[usize::from(list)];
        if takes_turns && first != last {
            self.remove(streams, slot);
            self.append(streams, slot, list);
        }
    }

    /// That stream has something to send. It may stand in its list already.
    #[inline]
    pub(super) fn insert(&mut self, streams: &mut Streams, slot: u32) {
        let stream = streams.at(slot);
        if stream.link.list != OUT {
            return;
        }
        let list = 2 * stream.priority.urgency + u8::from(stream.priority.is_incremental);
        if stream.priority.is_incremental {
            self.append(streams, slot, list);
        } else {
            self.insert_by_id(streams, slot, list);
        }
    }

    /// That stream has nothing to send any more, or no window. It may stand in no list.
    pub(super) fn remove(&mut self, streams: &mut Streams, slot: u32) {
        let link = std::mem::take(&mut streams.at_mut(slot).link);
        if link.list == OUT {
            return;
        }
        let list = &mut self.lists[usize::from(link.list)];
        match link.previous {
            NONE => list.first = link.next,
            previous => streams.at_mut(previous).link.next = link.next,
        }
        match link.next {
            NONE => list.last = link.previous,
            next => streams.at_mut(next).link.previous = link.previous,
        }
        if list.first == NONE {
            self.occupied &= !(1 << link.list);
        }
    }

    /// Gives a stream another priority, and the place that goes with it.
    pub(super) fn change(&mut self, streams: &mut Streams, slot: u32, priority: Priority) {
        let is_listed = streams.at(slot).link.list != OUT;
        if is_listed {
            self.remove(streams, slot);
        }
        streams.at_mut(slot).priority = priority;
        if is_listed {
            self.insert(streams, slot);
        }
    }

    fn append(&mut self, streams: &mut Streams, slot: u32, list: u8) {
        let last = self.lists[usize::from(list)].last;
        self.insert_between(streams, slot, list, last, NONE);
    }

    /// Behind all that were opened earlier. Streams mostly come in the order of their ids, so this looks from the end.
    fn insert_by_id(&mut self, streams: &mut Streams, slot: u32, list: u8) {
        let id = streams.at(slot).id;
        let mut previous = self.lists[usize::from(list)].last;
        while previous != NONE && streams.at(previous).id > id {
            previous = streams.at(previous).link.previous;
        }
        let next = if previous == NONE { self.lists[usize::from(list)].first } else { streams.at(previous).link.next };
        self.insert_between(streams, slot, list, previous, next);
    }

    fn insert_between(&mut self, streams: &mut Streams, slot: u32, list: u8, previous: u32, next: u32) {
        streams.at_mut(slot).link = Link { previous, next, list };
        let ends = &mut self.lists[usize::from(list)];
        match previous {
            NONE => ends.first = slot,
            previous => streams.at_mut(previous).link.next = slot,
        }
        match next {
            NONE => ends.last = slot,
            next => streams.at_mut(next).link.previous = slot,
        }
        self.occupied |= 1 << list;
    }
}
