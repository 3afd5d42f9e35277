//! Flow control: how much each end may send. RFC 9113 §5.2
//!
//! For what we send there is no more to know than how much the peer still takes: a number for each stream and one for
//! the connection. For what we receive there are three: what the peer may still send, what has come and is still in the
//! caller's hands, and how much of both together there should be at most, the target. Memory is bounded by the targets,
//! whatever the peer sends: a stream whose data is not taken off our hands comes to a stop by itself.
//!
//! The connection's window is to keep one end from drowning in many streams, and it must not let slow streams stop
//! others. So what lies in the caller's hands does not count against its target but against a bound of its own: the
//! peer may always send another target's worth, until so much is held that the bound is reached.
//!
//! Targets begin small and grow to what the path can hold ([`Bandwidth`]): to the bytes that come in one round trip, as
//! gRPC does it.

/// What may still be received, of a stream or of the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Intake {
    /// Bytes that the peer may still send, as far as it has been told.
    pub(super) granted: i32,
    /// Bytes that came and have not been released.
    pub(super) held: u32,
}

impl Intake {
    pub(super) fn new(granted: u32) -> Intake {
        Intake { granted: granted as i32, held: 0 }
    }

    /// Takes a frame of that many bytes; `false` if that is more than was granted.
    #[inline]
    #[must_use]
    pub(super) fn take(&mut self, bytes: u32) -> bool {
        if i64::from(self.granted) < i64::from(bytes) {
            return false;
        }
        self.granted -= bytes as i32;
        self.held += bytes;
        true
    }

    /// The caller is done with so many bytes.
    #[inline]
    pub(super) fn release(&mut self, bytes: u32) {
        debug_assert!(bytes <= self.held, "more released than came");
        self.held = self.held.saturating_sub(bytes);
    }

    /// What a stream's peer should be told that it may send more, if that is worth a frame: from half of the target on.
    #[inline]
    #[must_use]
    pub(super) fn increment_of_stream(&self, target: u32) -> Option<u32> {
        self.increment(i64::from(target) - i64::from(self.held), target)
    }

    /// The same for the connection, whose bound is `held_bytes_max`.
    #[inline]
    #[must_use]
    pub(super) fn increment_of_connection(&self, target: u32, held_bytes_max: u32) -> Option<u32> {
        self.increment(i64::from(target).min(i64::from(held_bytes_max) - i64::from(self.held)), target)
    }

    fn increment(&self, allowed: i64, target: u32) -> Option<u32> {
        let increment = allowed - i64::from(self.granted);
        if increment > 0 && increment >= i64::from(target / 2) { u32::try_from(increment).ok() } else { None }
    }
}

/// Adds what the peer grants to a window that we send into; `None` beyond 2^31-1. RFC 9113 §6.9.1
#[inline]
#[must_use]
pub(super) fn grown(window: i32, increment: i64) -> Option<i32> {
    i32::try_from(i64::from(window) + increment).ok()
}

/// Measures how many bytes come in one round trip, with a PING that goes out when data comes.
///
/// As long as that fills two thirds of the window, the window may be what holds the sender back: it becomes twice what
/// came. Once three measurements in a row have changed nothing, they become rare.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Bandwidth {
    /// A PING is on its way.
    is_measuring: bool,
    /// Bytes that came since it went out.
    bytes: u64,
    /// Not before this moment.
    next_us: u64,
    /// Measurements in a row that changed nothing.
    unchanged: u8,
}

impl Bandwidth {
    /// From the third measurement on that changed nothing.
    const PAUSE_US: u64 = 1_000_000;
    /// Between two measurements otherwise: no shorter round trip needs more than the smallest window.
    const PAUSE_SHORT_US: u64 = 1_000;
    const UNCHANGED_MAX: u8 = 3;

    /// Data came. Whether a PING should go out now.
    #[inline]
    pub(super) fn note(&mut self, bytes: u32, now_us: u64) -> bool {
        if self.is_measuring {
            self.bytes += u64::from(bytes);
            return false;
        }
        if now_us < self.next_us {
            return false;
        }
        self.is_measuring = true;
        // What has come already belongs to the round trip before.
        self.bytes = 0;
        true
    }

    /// The PING is answered. `Some` with the target of a window that holds what came in the round trip, if the window
    /// of `target` bytes may have been too small.
    pub(super) fn measured(&mut self, target: u32, target_max: u32, now_us: u64) -> Option<u32> {
        self.is_measuring = false;
        let filled = self.bytes * 3 / 2 >= u64::from(target);
        let grown = u32::try_from(self.bytes * 2).unwrap_or(u32::MAX).min(target_max);
        let changes = filled && grown > target;
        self.unchanged = if changes { 0 } else { (self.unchanged + 1).min(Self::UNCHANGED_MAX) };
        let is_settled = self.unchanged == Self::UNCHANGED_MAX || target >= target_max;
        self.next_us = now_us + if is_settled { Self::PAUSE_US } else { Self::PAUSE_SHORT_US };
        changes.then_some(grown)
    }
}
