//! Header blocks: gathered over HEADERS and CONTINUATION, decoded, and given their meaning. RFC 9113 §4.3 and §8.1

use super::{Connection, Event, Incoming};
use crate::h2::HeadError;
use crate::h2::budget::BudgetKind;
use crate::h2::config::Role;
use crate::h2::error::{ConnectionError, ErrorCode};
use crate::h2::frame::{END_HEADERS, END_STREAM, FrameHeader, Kind, headers, rst_stream};
use crate::h2::gate::Asked;
use crate::h2::priority::Priority;
use crate::h2::stream::{State, Stream};
use crate::{BodyLength, RequestHead};

/// Informational responses to one request, as in HTTP/1.
const INFORMATIONAL_MAX: u8 = 8;

/// A header block of which a part has come.
#[derive(Debug, Clone, Copy)]
pub(super) struct Block {
    pub(super) stream: u32,
    end_stream: bool,
}

impl Connection {
    pub(super) fn handle_headers(
        &mut self,
        header: FrameHeader,
        payload: &[u8],
        incoming: &mut Incoming,
        now_us: u64,
    ) -> Result<Option<Event>, ConnectionError> {
        let fragment = headers::fragment(header, payload)?;
        let (stream, end_stream) = (header.stream, header.has(END_STREAM));
        self.check_id(stream)?;
        if header.has(headers::PRIORITY) {
            self.spend(BudgetKind::Priorities, 1, now_us)?;
        }
        if header.has(END_HEADERS) {
            return self.handle_block(Block { stream, end_stream }, fragment, incoming, now_us);
        }
        self.block = Some(Block { stream, end_stream });
        self.gather(fragment, now_us)
    }

    /// RFC 9113 §6.10. That the block is of this stream was checked when the frame's header came.
    pub(super) fn handle_continuation(
        &mut self,
        header: FrameHeader,
        payload: &[u8],
        incoming: &mut Incoming,
        now_us: u64,
    ) -> Result<Option<Event>, ConnectionError> {
        self.spend(BudgetKind::Continuations, 1, now_us)?;
        self.gather(payload, now_us)?;
        if !header.has(END_HEADERS) {
            return Ok(None);
        }
        let block = self.block.take().expect("CONTINUATION was only let through within a block");
        let mut fragments = std::mem::take(&mut self.fragments);
        let event = self.handle_block(block, &fragments, incoming, now_us)?;
        fragments.clear();
        self.fragments = fragments;
        Ok(event)
    }

    fn gather(&mut self, fragment: &[u8], now_us: u64) -> Result<Option<Event>, ConnectionError> {
        if fragment.is_empty() {
            self.spend(BudgetKind::EmptyFrames, 1, now_us)?;
        }
        // Fields that are larger in the code of Huffman than without do not come twice this far.
        let max = self.config.heads.head_bytes_max.saturating_mul(2);
        if self.fragments.len() + fragment.len() > max as usize {
            return Err(ConnectionError::HeaderBlockTooLarge { max });
        }
        self.fragments.extend_from_slice(fragment);
        Ok(None)
    }

    /// HEADERS stand on streams of the client. RFC 9113 §5.1.1
    fn check_id(&self, stream: u32) -> Result<(), ConnectionError> {
        match self.config.role {
            Role::Server if stream.is_multiple_of(2) => Err(ConnectionError::StreamId { stream }),
            Role::Server => Ok(()),
            Role::Client => self.check_not_idle(Kind::Headers, stream),
        }
    }

    /// A header block is complete. Whatever becomes of it, it is decoded, since it may have changed the table.
    #[inline]
    fn handle_block(
        &mut self,
        Block { stream, end_stream }: Block,
        fragments: &[u8],
        incoming: &mut Incoming,
        now_us: u64,
    ) -> Result<Option<Event>, ConnectionError> {
        match self.streams.find(stream) {
            Some(slot) if !self.streams.at(slot).state.may_receive() => {
                self.discard_block(fragments)?;
                // RFC 9113 §5.1, half-closed (remote).
                self.fault(slot, ErrorCode::STREAM_CLOSED, now_us).map(Some)
            }
            Some(slot) if self.streams.at(slot).is_head_received => {
                self.handle_trailers(slot, end_stream, fragments, incoming, now_us)
            }
            Some(slot) => self.handle_response(slot, end_stream, fragments, incoming, now_us),
            None if self.config.role == Role::Server && stream > self.highest_remote => {
                self.handle_request(stream, end_stream, fragments, incoming, now_us)
            }
            None => {
                self.discard_block(fragments)?;
                self.check_late(Kind::Headers, stream, now_us)?;
                if end_stream {
                    self.departed.end(stream);
                }
                Ok(None)
            }
        }
    }

    fn discard_block(&mut self, fragments: &[u8]) -> Result<(), ConnectionError> {
        self.decoder.discard(fragments, &self.config.heads).map_err(fatal)
    }

    /// A request opens a stream (server).
    fn handle_request(
        &mut self,
        id: u32,
        end_stream: bool,
        fragments: &[u8],
        incoming: &mut Incoming,
        now_us: u64,
    ) -> Result<Option<Event>, ConnectionError> {
        self.highest_remote = id;
        if self.leaving.ignores(id) {
            self.discard_block(fragments)?;
            return self.spend(BudgetKind::LateFrames, 1, now_us).map(|()| None);
        }
        if self.streams.len() >= self.config.streams_max as usize {
            self.discard_block(fragments)?;
            return self.refuse(id, end_stream, now_us).map(|()| None);
        }
        let state = if end_stream { State::HalfClosedRemote } else { State::Open };
        let granted = self.config.initial_window_bytes();
        let mut stream = Stream::new(id, state, self.peer.stream_window_bytes, granted);
        stream.is_head_received = true;
        let (head, bytes) = (&mut incoming.request, &mut incoming.bytes);
        match self.decoder.decode_request(fragments, &self.config.heads, end_stream, head, bytes) {
            Ok(()) => {
                if let BodyLength::Exact(expected) = head.body() {
                    stream.expected = Some(expected);
                }
                let early = self.early_priority(id);
                stream.priority = early.or_else(|| said_priority(head, bytes)).unwrap_or(Priority::UNSAID);
                self.counters.earn_by_head();
                let stream = self.streams.insert(stream);
                Ok(Some(Event::Head { stream, end: end_stream }))
            }
            Err(error) if error.is_connection_error() => Err(fatal(error)),
            Err(error) => {
                stream.is_deaf = true;
                let stream = self.streams.insert(stream);
                self.spend(BudgetKind::Faults, 1, now_us)?;
                Ok(Some(Event::Malformed { stream, error }))
            }
        }
    }

    /// One stream too many. RFC 9113 §5.1.2
    fn refuse(&mut self, id: u32, end_stream: bool, now_us: u64) -> Result<(), ConnectionError> {
        rst_stream::write(&mut self.frames, id, ErrorCode::REFUSED_STREAM);
        if !end_stream {
            self.departed.remember(id, self.config.initial_window_bytes() as i32);
        }
        // Before it knows our settings, a client cannot know better.
        if self.settings_acknowledged() { self.spend(BudgetKind::Refusals, 1, now_us) } else { Ok(()) }
    }

    /// An answer, or one that comes before it (client).
    fn handle_response(
        &mut self,
        slot: u32,
        end_stream: bool,
        fragments: &[u8],
        incoming: &mut Incoming,
        now_us: u64,
    ) -> Result<Option<Event>, ConnectionError> {
        let key = self.streams.key(slot);
        let stream = self.streams.at_mut(slot);
        let (head, bytes) = (&mut incoming.response, &mut incoming.bytes);
        let asked = Asked { method: stream.method, protocol: &stream.protocol };
        if let Err(error) = self.decoder.decode_response(fragments, &self.config.heads, end_stream, asked, head, bytes)
        {
            return self.malformed(slot, error, now_us).map(Some);
        }
        // An upgrade is over HTTP: it is final here.
        if head.is_informational() && head.status() != 101 {
            stream.informational += 1;
            // RFC 9113 §8.1: a response does not end before its final head.
            if end_stream || stream.informational > INFORMATIONAL_MAX {
                return self.fault(slot, ErrorCode::PROTOCOL_ERROR, now_us).map(Some);
            }
            return Ok(Some(Event::Informational { stream: key }));
        }
        self.counters.earn_by_head();
        stream.is_head_received = true;
        match head.body_for(stream.method) {
            BodyLength::None if head.status() != 101 => stream.is_answer_empty = true,
            BodyLength::Exact(expected) => stream.expected = Some(expected),
            BodyLength::None | BodyLength::Chunked | BodyLength::UntilClose => {}
        }
        if end_stream {
            // RFC 9113 §8.1.1
            if stream.expected.is_some_and(|expected| expected > 0) {
                return self.fault(slot, ErrorCode::PROTOCOL_ERROR, now_us).map(Some);
            }
            self.end_remote(slot);
        }
        Ok(Some(Event::Head { stream: key, end: end_stream }))
    }

    /// The second header block of a message. RFC 9113 §8.1
    fn handle_trailers(
        &mut self,
        slot: u32,
        end_stream: bool,
        fragments: &[u8],
        incoming: &mut Incoming,
        now_us: u64,
    ) -> Result<Option<Event>, ConnectionError> {
        let key = self.streams.key(slot);
        let decoded = self.decoder.decode_trailers(fragments, &self.config.heads, &mut incoming.trailers);
        let stream = self.streams.at(slot);
        let is_deaf = stream.is_deaf;
        if let Err(error) = decoded
            && (!is_deaf || error.is_connection_error())
        {
            return self.malformed(slot, error, now_us).map(Some);
        }
        let is_short = stream.expected.is_some_and(|expected| stream.received != expected);
        if !end_stream || (is_short && !is_deaf) {
            return self.fault(slot, ErrorCode::PROTOCOL_ERROR, now_us).map(Some);
        }
        self.end_remote(slot);
        Ok((!is_deaf).then_some(Event::Trailers { stream: key }))
    }

    fn malformed(&mut self, slot: u32, error: HeadError, now_us: u64) -> Result<Event, ConnectionError> {
        if error.is_connection_error() {
            return Err(fatal(error));
        }
        self.fault(slot, ErrorCode::PROTOCOL_ERROR, now_us)
    }

    /// The peer's half of the stream has ended.
    #[inline]
    pub(super) fn end_remote(&mut self, slot: u32) {
        let stream = self.streams.at_mut(slot);
        stream.state.end_remote();
        if stream.state == State::Closed {
            self.complete(slot);
        }
    }

    /// Our half of the stream has ended.
    #[inline]
    pub(super) fn end_local(&mut self, slot: u32) {
        let stream = self.streams.at_mut(slot);
        stream.state.end_local();
        if stream.state == State::Closed {
            self.complete(slot);
        } else if stream.is_deaf {
            // Whoever is refused need not go on. RFC 9113 §8.1
            self.reset_stream(slot, ErrorCode::NO_ERROR);
        }
    }

    /// Both halves have ended as they should: that makes up for one that does not.
    #[inline]
    fn complete(&mut self, slot: u32) {
        self.counters.earn(BudgetKind::Resets, 1);
        self.forget(slot);
    }

    /// Forgets a stream, which is closed from now on.
    #[inline]
    pub(super) fn forget(&mut self, slot: u32) {
        self.scheduler.remove(&mut self.streams, slot);
        self.grown_bytes -= self.streams.at(slot).target - self.config.initial_window_bytes();
        self.streams.remove(slot);
    }

    /// Tells the peer that a stream is over, and forgets it.
    pub(super) fn reset_stream(&mut self, slot: u32, code: ErrorCode) {
        let stream = self.streams.at(slot);
        let id = stream.id;
        if stream.state.may_receive() {
            self.departed.remember(id, stream.intake.granted);
        }
        self.forget(slot);
        rst_stream::write(&mut self.frames, id, code);
    }
}

/// What the client says in the head. RFC 9218 §5
#[inline]
fn said_priority(head: &RequestHead, bytes: &[u8]) -> Option<Priority> {
    Priority::parse(head.field_named(b"priority", bytes)?.value.of(bytes))
}

/// A block after which the tables of both ends are no longer the same.
fn fatal(error: HeadError) -> ConnectionError {
    match error {
        HeadError::Compression(error) => ConnectionError::Compression(error),
        _ => ConnectionError::HeaderListExcessive,
    }
}
