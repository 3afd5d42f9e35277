//! The ring of bytes between a shard and the writer of one target.

use std::sync::Arc;

use plan::LogTargetId;
use ring::Count;

/// The shard's end.
#[derive(Debug)]
pub struct Outlet {
    ring: rtrb::Producer<u8>,
    dropped: Arc<Count>,
}

/// The writer's end: whole lines.
#[derive(Debug)]
pub struct Records {
    ring: rtrb::Consumer<u8>,
    dropped: Arc<Count>,
}

/// How a shard comes to an outlet when it is given a Plan.
#[derive(Debug)]
pub enum NextOutlet {
    /// There was none to that target.
    New(Outlet),
    /// It is the one of this target of the Plan that is served now.
    Kept(LogTargetId),
}

/// Both ends of a ring with room for `bytes` bytes of lines.
#[must_use]
pub fn outlet(bytes: usize) -> (Outlet, Records) {
    let (producer, consumer) = rtrb::RingBuffer::new(bytes);
    let dropped = Arc::<Count>::default();
    (Outlet { ring: producer, dropped: Arc::clone(&dropped) }, Records { ring: consumer, dropped })
}

impl Outlet {
    /// Hands a whole line over; `false`, and counted, if there is no room for all of it.
    pub(super) fn push(&mut self, line: &[u8]) -> bool {
        let pushed = self.ring.push_entire_slice(line).is_ok();
        if !pushed {
            self.dropped.add(1);
        }
        pushed
    }
}

impl Records {
    /// Bytes that wait.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.ring.slots()
    }

    /// Bytes that may wait.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.ring.buffer().capacity()
    }

    /// Takes all lines that wait, behind what `lines` holds already.
    pub fn take(&mut self, lines: &mut Vec<u8>) {
        let Ok(chunk) = self.ring.read_chunk(self.ring.slots()) else { return };
        let (first, second) = chunk.as_slices();
        lines.extend_from_slice(first);
        lines.extend_from_slice(second);
        chunk.commit_all();
    }

    /// Whether the shard is done with its end. What it wrote before may still wait.
    #[must_use]
    pub fn is_abandoned(&self) -> bool {
        self.ring.is_abandoned()
    }

    /// How many records found no room, to be looked at by anyone at any time.
    #[must_use]
    pub fn dropped(&self) -> Arc<Count> {
        Arc::clone(&self.dropped)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_dropped_whole_and_counted() {
        let (mut outlet, mut records) = outlet(10);
        assert!(outlet.push(b"12345\n"));
        assert!(!outlet.push(b"67890\n"));
        let mut lines = Vec::new();
        records.take(&mut lines);
        assert_eq!((lines.as_slice(), records.waiting(), records.dropped().value()), (&b"12345\n"[..], 0, 1));
        // Across the end of the ring.
        assert!(outlet.push(b"abcdefg\n"));
        records.take(&mut lines);
        assert_eq!(lines, b"12345\nabcdefg\n");
        drop(outlet);
        assert!(records.is_abandoned());
    }
}
