//! One stream: where its two halves stand, and everything that is kept of it. RFC 9113 §5.1

use super::flow::Intake;
use super::priority::Priority;
use super::scheduler::Link;
use crate::Method;

/// Names a stream. `slot` is small and is used again for later streams, so that callers can keep what is theirs in a
/// `Vec`; `id` is never used again on the same connection, so that a key that outlived its stream is known for what it
/// is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct StreamKey {
    /// The stream's id on the wire.
    pub id: u32,
    /// Its place among the streams of the connection: below the number of streams that were ever open at once.
    pub slot: u32,
}

/// Where a stream stands. RFC 9113 §5.1, figure 2, without the states of pushed streams: nobody pushes here.
///
/// ```text
///                         ┌──────┐
///                         │ idle │  ids above the highest that was opened
///                         └──┬───┘
///                            │ send H / recv H
///                            ▼
///                         ┌──────┐
///              recv END   │      │   send END
///            ┌────────────┤ Open ├────────────┐
///            ▼            │      │            ▼
///   ┌──────────────────┐  └──┬───┘  ┌─────────────────┐
///   │ HalfClosedRemote │     │      │ HalfClosedLocal │
///   │ (we may send)    │     │ R    │ (the peer may)  │
///   └────────┬─────────┘     │      └────────┬────────┘
///            │ send END / R  │               │ recv END / R
///            │               ▼               │
///            │           ┌────────┐          │
///            └──────────►│ closed │◄─────────┘
///                        └────────┘
///   H: HEADERS    END: END_STREAM    R: RST_STREAM, of either side
/// ```
///
/// Idle and closed streams take no memory: an id above the highest one is idle, and one that is not among the streams
/// is closed. What is remembered for a while are closed streams that we had reset, on which frames may still be on
/// their way ([`Departed`](super::streams::Departed)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Open,
    HalfClosedLocal,
    HalfClosedRemote,
    Closed,
}

impl State {
    /// Our half ends.
    pub(super) fn end_local(&mut self) {
        *self = match self {
            State::Open => State::HalfClosedLocal,
            State::HalfClosedRemote => State::Closed,
            State::HalfClosedLocal | State::Closed => unreachable!("our half ends once"),
        };
    }

    /// The peer's half ends.
    pub(super) fn end_remote(&mut self) {
        *self = match self {
            State::Open => State::HalfClosedRemote,
            State::HalfClosedLocal => State::Closed,
            State::HalfClosedRemote | State::Closed => unreachable!("the peer's half ends once"),
        };
    }

    #[inline]
    pub(super) fn may_send(self) -> bool {
        matches!(self, State::Open | State::HalfClosedRemote)
    }

    #[inline]
    pub(super) fn may_receive(self) -> bool {
        matches!(self, State::Open | State::HalfClosedLocal)
    }
}

/// What follows the data that waits to be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    /// Not known yet.
    Open,
    /// Nothing: the last frame carries END_STREAM.
    End,
    /// Trailers.
    Trailers,
}

/// A stream that is neither idle nor closed.
#[derive(Debug)]
pub(super) struct Stream {
    /// 0 in a free slot.
    pub(super) id: u32,
    pub(super) state: State,

    /// Whether our final head was sent.
    pub(super) is_head_sent: bool,
    pub(super) ending: Ending,
    /// Bytes that the caller has for us to send.
    pub(super) queued: u64,
    /// Bytes that the peer takes; below 0 when it has taken back what it had granted. RFC 9113 §6.9.2
    pub(super) window: i32,
    /// Bytes of content that were sent.
    pub(super) sent: u64,
    pub(super) priority: Priority,
    /// Its place in the order of those that have something to send.
    pub(super) link: Link,

    /// Whether the peer's final head has come.
    pub(super) is_head_received: bool,
    /// The method of the request. Client only.
    pub(super) method: Method,
    /// The protocol to which the request asked to switch; empty for none. Client only.
    pub(super) protocol: Box<[u8]>,
    /// The answer has no content, whatever its head says. Client only.
    pub(super) is_answer_empty: bool,
    /// The request was refused for its head: what else comes is thrown away. Server only.
    pub(super) is_deaf: bool,
    /// Informational responses so far. Client only.
    pub(super) informational: u8,
    pub(super) intake: Intake,
    /// What `intake` is kept at.
    pub(super) target: u32,
    /// Whether it stands among those that may be worth a WINDOW_UPDATE.
    pub(super) is_update_due: bool,
    /// Bytes of content that came.
    pub(super) received: u64,
    /// Bytes of content that were announced by Content-Length.
    pub(super) expected: Option<u64>,
}

impl Stream {
    pub(super) fn new(id: u32, state: State, window: u32, granted: u32) -> Stream {
        Stream {
            id,
            state,
            is_head_sent: false,
            ending: Ending::Open,
            queued: 0,
            window: window as i32,
            sent: 0,
            priority: Priority::UNSAID,
            link: Link::default(),
            is_head_received: false,
            method: Method::Get,
            protocol: Box::default(),
            is_answer_empty: false,
            is_deaf: false,
            informational: 0,
            intake: Intake::new(granted),
            target: granted,
            is_update_due: false,
            received: 0,
            expected: None,
        }
    }
}
