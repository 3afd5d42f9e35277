//! A connection of HTTP/2, of either role: bytes in, events out; calls in, frames out. RFC 9113
//!
//! The caller owns the socket, the clock and the content. It hands in the bytes that came
//! ([`handle_bytes`](Connection::handle_bytes)) until all are consumed and learns from each [`Event`] what they meant;
//! heads are put into memory that it lends ([`Incoming`]), content is told as a range of the bytes that it handed in.
//! It sends heads by calls, says how much content waits in queues of its own ([`queue_data`](Connection::queue_data)),
//! and asks what to put on the wire ([`poll_output`](Connection::poll_output)): the order of frames, and how much of
//! which queue is next, is decided here.
//!
//! The parts: `read` cuts bytes into frames and passes content on, `frames` does what the other frames ask, `heads`
//! deals with header blocks, `send` makes frames, `leave` is about GOAWAY and what follows.

mod frames;
mod heads;
mod leave;
mod read;
mod send;

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use super::budget::{BudgetKind, Counters};
use super::config::{Config, Role};
use super::error::{ConnectionError, ErrorCode};
use super::flow::{Bandwidth, Intake};
use super::frame::{self, ping};
use super::gate::HeadError;
use super::priority::Priority;
use super::scheduler::Scheduler;
use super::settings::{PeerSettings, TABLE_BYTES_DEFAULT, WINDOW_BYTES_DEFAULT};
use super::stream::StreamKey;
use super::streams::{Departed, Streams};
use super::{HeadDecoder, HeadEncoder};
use crate::{RequestHead, ResponseHead, Trailers};
use leave::Leaving;
use read::Reading;

pub use send::{Culprit, Output, SendError};

/// What every client sends first. RFC 9113 §3.4
pub const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A connection in either role.
#[derive(Debug)]
pub struct Connection {
    config: Arc<Config>,

    reading: Reading,
    /// Frames that have begun, those of a header block counted as one.
    units_begun: u32,
    /// A frame's header, or the payload of a frame other than DATA, as far as it has come.
    partial: Vec<u8>,
    /// The header block that is not complete.
    block: Option<heads::Block>,
    /// Its fragments.
    fragments: Vec<u8>,
    decoder: HeadDecoder,
    encoder: HeadEncoder,
    /// Frames that are ready to be sent, DATA excepted.
    frames: Vec<u8>,

    streams: Streams,
    departed: Departed,
    scheduler: Scheduler,
    /// The highest stream that the peer opened, or tried to.
    highest_remote: u32,
    /// The id of the next stream that we open.
    next_local: u32,
    /// Streams whose content was sent and whose trailers are due.
    trailers_due: VecDeque<StreamKey>,
    /// Priorities of streams that have not begun, the oldest first. RFC 9218 §7.1
    early_priorities: VecDeque<(u32, Priority)>,

    /// What the peer takes.
    peer: PeerSettings,
    /// Whether its first SETTINGS have come.
    is_peer_known: bool,
    /// SETTINGS of ours that the peer has not acknowledged.
    settings_unacknowledged: u32,
    /// Bytes that the peer takes on all streams together.
    window: i32,
    /// What we take on all streams together.
    intake: Intake,
    /// What `intake` is kept at.
    target: u32,
    /// What streams are kept at whose data is taken off our hands quickly.
    stream_target: u32,
    /// Bytes by which the targets of all streams exceed the window with which they began.
    grown_bytes: u32,
    bandwidth: Bandwidth,
    /// Streams that may be worth a WINDOW_UPDATE.
    updates: Vec<StreamKey>,
    /// Whether a PING of the caller is under way.
    is_ping_awaited: bool,

    counters: Counters,
    /// Whether the peer was told of a budget that is spent.
    is_calm_told: bool,
    leaving: Leaving,
    /// The last stream that the peer will act on, once it has said so.
    peer_last_stream: Option<u32>,
    failed: Option<ConnectionError>,
}

/// Where heads are put when they come. One serves all connections of a thread: what an event says was put here is
/// swapped out before the next call.
#[derive(Debug, Default)]
pub struct Incoming {
    /// Of [`Event::Head`] in the role of the server.
    pub request: RequestHead,
    /// Of [`Event::Head`] and [`Event::Informational`] in the role of the client.
    pub response: ResponseHead,
    /// What the spans of either refer to: the head as HTTP/1 would write it.
    pub bytes: Vec<u8>,
    /// Of [`Event::Trailers`].
    pub trailers: Trailers,
}

/// What a call of [`Connection::handle_bytes`] found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Handled {
    /// Bytes of the input that are dealt with: all, unless there is an event.
    pub consumed: usize,
    /// What they meant.
    pub event: Option<Event>,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A request, which opens the stream (server), or the final response (client).
    Head {
        /// The stream.
        stream: StreamKey,
        /// No content and no trailers follow.
        end: bool,
    },
    /// A request was refused for its head (server). It is to be answered with [`Connection::send_status`] or reset; its
    /// content is not reported.
    Malformed {
        /// The stream.
        stream: StreamKey,
        /// Why, with the status that says so.
        error: HeadError,
    },
    /// A response of which another follows (client).
    Informational {
        /// The stream.
        stream: StreamKey,
    },
    /// Content. [`Connection::release`] is owed for each byte, also when the stream is gone by then.
    Data {
        /// The stream.
        stream: StreamKey,
        /// Where it lies in the input. Empty only if `end`.
        range: Range<usize>,
        /// Nothing follows.
        end: bool,
    },
    /// Trailers. Nothing follows.
    Trailers {
        /// The stream.
        stream: StreamKey,
    },
    /// The stream is gone. NO_ERROR from a server behind its whole answer only means that the rest of the request is
    /// not wanted. RFC 9113 §8.1
    Reset {
        /// The stream.
        stream: StreamKey,
        /// Why.
        code: ErrorCode,
        /// Who reset it: we, if the peer broke a rule on this stream.
        by: ResetBy,
    },
    /// The peer takes no more streams. Those above `last_stream` that we had opened are gone; it has not acted on them.
    GoAway {
        /// The last stream of ours that the peer will have acted on.
        last_stream: u32,
        /// Why.
        code: ErrorCode,
    },
    /// The peer has changed what it takes.
    Settings,
    /// The answer to a [`Connection::ping`].
    Pong,
}

/// Who reset a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResetBy {
    /// The peer.
    Peer,
    /// We, for a fault of the peer.
    Us,
}

impl Connection {
    /// A connection on which nothing has come yet. What is to be sent first waits to be [polled](Self::poll_output).
    #[must_use]
    pub fn new(config: Arc<Config>) -> Connection {
        let mut connection = Connection {
            reading: if config.role == Role::Server { Reading::Preface { matched: 0 } } else { Reading::Header },
            units_begun: 0,
            partial: Vec::new(),
            block: None,
            fragments: Vec::new(),
            decoder: HeadDecoder::new(TABLE_BYTES_DEFAULT),
            encoder: HeadEncoder::new(config.encoder_table_bytes_max),
            frames: Vec::new(),
            streams: Streams::default(),
            departed: Departed::default(),
            scheduler: Scheduler::default(),
            highest_remote: 0,
            next_local: 1,
            trailers_due: VecDeque::new(),
            early_priorities: VecDeque::new(),
            peer: PeerSettings::default(),
            is_peer_known: false,
            settings_unacknowledged: 0,
            window: WINDOW_BYTES_DEFAULT as i32,
            intake: Intake::new(WINDOW_BYTES_DEFAULT),
            target: config.connection_window_bytes.clamp(WINDOW_BYTES_DEFAULT, frame::MAX_31_BITS),
            stream_target: config.initial_window_bytes(),
            grown_bytes: 0,
            bandwidth: Bandwidth::default(),
            updates: Vec::new(),
            is_ping_awaited: false,
            counters: Counters::default(),
            is_calm_told: false,
            leaving: Leaving::Staying,
            peer_last_stream: None,
            failed: None,
            config,
        };
        connection.send_preface();
        connection
    }

    /// How many streams are open or half closed.
    #[must_use]
    pub fn active(&self) -> usize {
        self.streams.len()
    }

    /// The streams that are open or half closed, in no order.
    pub fn streams(&self) -> impl Iterator<Item = StreamKey> {
        self.streams.keys()
    }

    /// How many streams may be opened now (client).
    #[must_use]
    pub fn streams_available(&self) -> usize {
        /// Until the peer has said something else: what RFC 9113 §6.5.2 asks it to allow at least.
        const STREAMS_UNTOLD: u32 = 100;
        if self.config.role == Role::Server || !self.is_open() || self.next_local > frame::MAX_31_BITS {
            return 0;
        }
        let told = if self.is_peer_known { self.peer.streams_max } else { STREAMS_UNTOLD };
        (told.min(self.config.streams_max) as usize).saturating_sub(self.streams.len())
    }

    /// What the peer takes.
    #[must_use]
    pub fn peer_settings(&self) -> &PeerSettings {
        &self.peer
    }

    /// Whether the peer has acknowledged our SETTINGS.
    #[must_use]
    pub fn settings_acknowledged(&self) -> bool {
        self.settings_unacknowledged == 0
    }

    /// The kind of work of which the peer has asked too much, if it has: it was told by GOAWAY, and no new streams are
    /// taken.
    #[must_use]
    pub fn calm(&self) -> Option<BudgetKind> {
        self.counters.calm()
    }

    /// Bytes of the stream's queue that were not asked for yet; 0 if the stream is gone.
    #[must_use]
    pub fn queued(&self, stream: StreamKey) -> u64 {
        self.streams.of(stream).map_or(0, |stream| stream.queued)
    }

    /// Bytes of content that were sent on the stream.
    #[must_use]
    pub fn sent(&self, stream: StreamKey) -> u64 {
        self.streams.of(stream).map_or(0, |stream| stream.sent)
    }

    /// Bytes of content that came on the stream.
    #[must_use]
    pub fn received(&self, stream: StreamKey) -> u64 {
        self.streams.of(stream).map_or(0, |stream| stream.received)
    }

    /// Bytes that the peer takes on the stream, and on the connection: 0 in either is what stops a stream that has
    /// [`queued`](Self::queued) data. How long a peer may keep it so is for the caller to say, who has a clock.
    #[must_use]
    pub fn send_windows(&self, stream: StreamKey) -> (u32, u32) {
        let of_stream = self.streams.of(stream).map_or(0, |stream| stream.window);
        (of_stream.max(0) as u32, self.window.max(0) as u32)
    }

    /// Bytes of content that were reported and not released, and those that are to come of a frame whose header has.
    #[must_use]
    pub fn held(&self) -> u32 {
        self.intake.held
    }

    /// The priority of a stream.
    #[must_use]
    pub fn priority(&self, stream: StreamKey) -> Option<Priority> {
        self.streams.of(stream).map(|stream| stream.priority)
    }

    /// Gives a stream another priority: an upstream may know better than the client. RFC 9218 §8
    pub fn set_priority(&mut self, stream: StreamKey, priority: Priority) {
        if self.streams.of(stream).is_some() {
            self.scheduler.change(&mut self.streams, stream.slot, priority);
        }
    }

    /// The caller is done with `bytes` of content that were reported on that stream: the peer may send as much again.
    #[inline]
    pub fn release(&mut self, stream: StreamKey, bytes: usize) {
        self.intake.release(bytes as u32);
        self.release_on_stream(stream, bytes as u32);
    }

    #[inline]
    fn release_on_stream(&mut self, key: StreamKey, bytes: u32) {
        let Some(stream) = self.streams.of_mut(key) else { return };
        stream.intake.release(bytes);
        // Only streams whose data does not pile up are given more, and only what no other stream will need.
        if stream.target < self.stream_target && stream.intake.held <= stream.target / 2 {
            let left = self.config.growth_bytes_max().saturating_sub(self.grown_bytes);
            let growth = (self.stream_target - stream.target).min(left);
            stream.target += growth;
            self.grown_bytes += growth;
        }
        let is_worth_it = stream.intake.increment_of_stream(stream.target).is_some();
        if is_worth_it && !stream.is_update_due && stream.state.may_receive() {
            stream.is_update_due = true;
            self.updates.push(key);
        }
    }

    /// Whether the rest of something is awaited that is of no use in parts: of a frame other than DATA, or of a header block. Two that are not the
    /// same have different numbers.
    #[must_use]
    pub fn partial_unit(&self) -> Option<u32> {
        let is_whole = self.block.is_none() && self.partial.is_empty();
        let is_between = matches!(self.reading, Reading::Header | Reading::Content { .. });
        (!(is_whole && is_between)).then_some(self.units_begun)
    }

    /// Asks the peer for a sign of life, unless such a question is under way. [`Event::Pong`] is the answer.
    pub fn ping(&mut self) -> bool {
        if self.is_ping_awaited || self.failed.is_some() {
            return false;
        }
        self.is_ping_awaited = true;
        ping::write(&mut self.frames, frames::PING_OF_CALLER, false);
        true
    }

    /// Gives memory back that is of no use while there are no streams.
    pub fn shrink(&mut self) {
        self.streams.shrink();
        for buffer in [&mut self.partial, &mut self.fragments, &mut self.frames] {
            buffer.shrink_to_fit();
        }
        self.updates = Vec::new();
        self.trailers_due = VecDeque::new();
        self.early_priorities.shrink_to_fit();
    }

    fn is_open(&self) -> bool {
        self.failed.is_none() && self.peer_last_stream.is_none() && self.leaving == Leaving::Staying
    }

    fn spend(&mut self, kind: BudgetKind, cost: u32, now_us: u64) -> Result<(), ConnectionError> {
        self.counters.spend(&self.config.budgets, kind, cost, now_us)?;
        self.keep_calm();
        Ok(())
    }
}
