//! Bytes become frames, and those of DATA go to their streams.

use super::{Connection, Event, Handled, Incoming, PREFACE, ResetBy};
use crate::h2::budget::BudgetKind;
use crate::h2::config::Role;
use crate::h2::error::{ConnectionError, ErrorCode};
use crate::h2::frame::{END_STREAM, FrameHeader, HEADER_BYTES, Kind, PADDED, data, ping};
use crate::h2::stream::StreamKey;
use crate::h2::streams::Memory;

/// What the next byte belongs to.
///
/// ```text
///   Preface ──► Header ──► Payload ──► Header          all other frames: their payload is gathered, unless it has come whole
///   (server)       │ ▲
///                  │ └──────────────────────────┐
///                  ├──────────────► Content ────┤      DATA: its content is passed on as it comes
///                  └──► PadLength ─────┘        │
///                             └─────────────────┘
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reading {
    /// The client's first bytes, of which so many have come.
    Preface { matched: u8 },
    /// A frame's header, of which a part may be in `partial`.
    Header,
    /// A frame's payload, of which a part is in `partial`.
    Payload(FrameHeader),
    /// The length of the padding of DATA.
    PadLength { header: FrameHeader, stream: Option<StreamKey> },
    /// Content, then padding, of DATA; together at least one byte.
    Content {
        /// Whose it is; `None` if nobody wants it.
        stream: Option<StreamKey>,
        content: u32,
        padding: u32,
        end: bool,
    },
}

impl Connection {
    /// Takes bytes that came. Frames that are not whole are kept (one at most), content is not: it is reported as it
    /// comes, in parts if its frame comes in parts. To be called again with what was not consumed until there is no
    /// event.
    ///
    /// # Errors
    /// What the peer did that ends the connection. It is told by a GOAWAY that is ready to be
    /// [sent](Self::poll_output); after that the connection has to be closed. Every later call returns the same error.
    pub fn handle_bytes(
        &mut self,
        input: &[u8],
        incoming: &mut Incoming,
        now_us: u64,
    ) -> Result<Handled, ConnectionError> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        let handled = self.read(input, incoming, now_us);
        if let Err(error) = handled {
            self.fail(error);
        }
        handled
    }

    fn read(&mut self, input: &[u8], incoming: &mut Incoming, now_us: u64) -> Result<Handled, ConnectionError> {
        let mut at = 0;
        while at < input.len() {
            let (consumed, event) = match self.reading {
                Reading::Header => self.read_header(&input[at..], incoming, now_us)?,
                Reading::Content { stream, content, padding, end } => {
                    self.read_content(at, input.len() - at, (stream, content, padding, end), now_us)
                }
                Reading::Payload(header) => self.read_payload(header, &input[at..], incoming, now_us)?,
                Reading::PadLength { header, stream } => {
                    self.reading = Reading::Header;
                    (1, self.begin_content(header, stream, Some(input[at]), now_us)?)
                }
                Reading::Preface { matched } => (self.read_preface(matched, &input[at..], now_us)?, None),
            };
            at += consumed;
            if event.is_some() {
                return Ok(Handled { consumed: at, event });
            }
        }
        Ok(Handled { consumed: at, event: None })
    }

    /// RFC 9113 §3.4
    fn read_preface(&mut self, matched: u8, rest: &[u8], now_us: u64) -> Result<usize, ConnectionError> {
        let expected = &PREFACE[usize::from(matched)..];
        let count = expected.len().min(rest.len());
        if rest[..count] != expected[..count] {
            return Err(ConnectionError::Preface);
        }
        self.reading = if count == expected.len() {
            self.counters.start(now_us);
            Reading::Header
        } else {
            Reading::Preface { matched: matched + count as u8 }
        };
        Ok(count)
    }

    #[inline]
    fn read_header(
        &mut self,
        rest: &[u8],
        incoming: &mut Incoming,
        now_us: u64,
    ) -> Result<(usize, Option<Event>), ConnectionError> {
        let (header, consumed) = match rest.first_chunk::<HEADER_BYTES>() {
            Some(header) if self.partial.is_empty() => (FrameHeader::parse(header), HEADER_BYTES),
            _ => {
                let count = (HEADER_BYTES - self.partial.len()).min(rest.len());
                self.partial.extend_from_slice(&rest[..count]);
                let Some(header) = self.partial.first_chunk::<HEADER_BYTES>().map(FrameHeader::parse) else {
                    return Ok((count, None));
                };
                self.partial.clear();
                (header, count)
            }
        };
        self.check(header)?;
        // A header block is one, in however many frames it comes.
        self.units_begun = self.units_begun.wrapping_add(u32::from(header.kind != Kind::Continuation));
        if header.kind == Kind::Data {
            return Ok((consumed, self.begin_data(header, now_us)?));
        }
        match rest[consumed..].get(..header.length as usize) {
            Some(payload) => Ok((consumed + payload.len(), self.handle_frame(header, payload, incoming, now_us)?)),
            None => {
                self.reading = Reading::Payload(header);
                Ok((consumed, None))
            }
        }
    }

    /// What can be said of a frame before its payload has come.
    #[inline]
    fn check(&mut self, header: FrameHeader) -> Result<(), ConnectionError> {
        let kind = header.kind;
        if !self.is_peer_known && (kind != Kind::Settings || header.has(crate::h2::frame::ACK)) {
            return Err(ConnectionError::SettingsMissing { kind });
        }
        let max = self.config.payload_bytes_max();
        if header.length > max {
            return Err(ConnectionError::FrameTooLarge { kind, length: header.length, max });
        }
        // RFC 9113 §6.10: nothing stands between the frames of a header block.
        let expected = self.block.as_ref().map(|block| block.stream);
        let continues = (kind == Kind::Continuation).then_some(header.stream);
        if expected != continues {
            return Err(ConnectionError::HeaderBlockBroken { kind, stream: header.stream });
        }
        Ok(header.check()?)
    }

    fn read_payload(
        &mut self,
        header: FrameHeader,
        rest: &[u8],
        incoming: &mut Incoming,
        now_us: u64,
    ) -> Result<(usize, Option<Event>), ConnectionError> {
        let count = (header.length as usize - self.partial.len()).min(rest.len());
        self.partial.extend_from_slice(&rest[..count]);
        if self.partial.len() < header.length as usize {
            return Ok((count, None));
        }
        self.reading = Reading::Header;
        let payload = std::mem::take(&mut self.partial);
        let event = self.handle_frame(header, &payload, incoming, now_us)?;
        self.partial = payload;
        self.partial.clear();
        Ok((count, event))
    }

    /// A DATA frame begins: windows are charged with all of it, padding included. RFC 9113 §6.9.1
    fn begin_data(&mut self, header: FrameHeader, now_us: u64) -> Result<Option<Event>, ConnectionError> {
        self.check_not_idle(header.kind, header.stream)?;
        if !self.intake.take(header.length) {
            return Err(ConnectionError::WindowExceeded { stream: 0 });
        }
        let key = match self.streams.find(header.stream) {
            None => {
                self.take_late_data(header, now_us)?;
                None
            }
            Some(slot) if !self.streams.at(slot).state.may_receive() => {
                // RFC 9113 §5.1, half-closed (remote).
                let event = self.fault(slot, ErrorCode::STREAM_CLOSED, now_us)?;
                self.discard(header);
                return Ok(Some(event));
            }
            Some(slot) => {
                if !self.streams.at_mut(slot).intake.take(header.length) {
                    return Err(ConnectionError::WindowExceeded { stream: header.stream });
                }
                Some(self.streams.key(slot))
            }
        };
        if key.is_none() {
            self.discard(header);
            return Ok(None);
        }
        if header.has(PADDED) {
            self.reading = Reading::PadLength { header, stream: key };
            return Ok(None);
        }
        self.begin_content(header, key, None, now_us)
    }

    /// Data on a stream that is closed. RFC 9113 §5.1
    fn take_late_data(&mut self, header: FrameHeader, now_us: u64) -> Result<(), ConnectionError> {
        // Frames of some size are few: the window bounds them.
        const CRUMB_BYTES: u32 = 1024;
        if header.length < CRUMB_BYTES || self.departed.recall(header.stream) != Memory::Reset {
            self.check_late(header.kind, header.stream, now_us)?;
        }
        if !self.departed.take(header.stream, header.length) {
            return Err(ConnectionError::WindowExceeded { stream: header.stream });
        }
        if header.has(END_STREAM) {
            self.departed.end(header.stream);
        }
        Ok(())
    }

    /// Nobody wants the payload that follows.
    fn discard(&mut self, header: FrameHeader) {
        self.intake.release(header.length);
        if header.length > 0 {
            self.reading = Reading::Content { stream: None, content: 0, padding: header.length, end: false };
        }
    }

    /// The header of a DATA frame has come, and the length of its padding, if it has one.
    fn begin_content(
        &mut self,
        header: FrameHeader,
        stream: Option<StreamKey>,
        pad_length: Option<u8>,
        now_us: u64,
    ) -> Result<Option<Event>, ConnectionError> {
        let content = match pad_length {
            Some(pad_length) => data::content_bytes(header, pad_length)?,
            None => header.length,
        };
        // Padding is consumed as soon as it is announced.
        let padding = header.length - content;
        let unread = padding - u32::from(pad_length.is_some());
        self.intake.release(padding);
        let Some(key) = stream.filter(|key| self.streams.of(*key).is_some()) else {
            // The stream was reset by us in the meantime.
            self.intake.release(content);
            self.skip(content + unread);
            return Ok(None);
        };
        if padding > 0 {
            self.release_on_stream(key, padding);
        }
        let end = header.has(END_STREAM);
        if content == 0 && !end {
            self.spend(BudgetKind::EmptyFrames, 1, now_us)?;
        }
        let stream = self.streams.at_mut(key.slot);
        let received = stream.received + u64::from(content);
        let is_malformed = !stream.is_head_received
            || (stream.is_answer_empty && content > 0)
            // RFC 9113 §8.1.1: what Content-Length says has to be what comes.
            || stream.expected.is_some_and(|expected| received > expected || (end && received < expected));
        if is_malformed && !stream.is_deaf {
            let event = self.fault(key.slot, ErrorCode::PROTOCOL_ERROR, now_us)?;
            self.intake.release(content);
            self.skip(content + unread);
            return Ok(Some(event));
        }
        stream.received = received;
        if content + unread > 0 {
            self.reading = Reading::Content { stream: Some(key), content, padding: unread, end };
        }
        if content == 0 && end {
            let is_deaf = stream.is_deaf;
            self.end_remote(key.slot);
            return Ok((!is_deaf).then_some(Event::Data { stream: key, range: 0..0, end: true }));
        }
        Ok(None)
    }

    fn skip(&mut self, bytes: u32) {
        if bytes > 0 {
            self.reading = Reading::Content { stream: None, content: 0, padding: bytes, end: false };
        }
    }

    /// Passes content on: as much as there is.
    fn read_content(
        &mut self,
        at: usize,
        available: usize,
        (stream, content, padding, end): (Option<StreamKey>, u32, u32, bool),
        now_us: u64,
    ) -> (usize, Option<Event>) {
        let taken = (content as usize).min(available);
        let skipped = (padding as usize).min(available - taken);
        let (content, padding) = (content - taken as u32, padding - skipped as u32);
        self.reading = match content + padding {
            0 => Reading::Header,
            _ => Reading::Content { stream, content, padding, end },
        };
        let consumed = taken + skipped;
        if taken == 0 {
            return (consumed, None);
        }
        let Some(key) = stream.filter(|key| self.streams.of(*key).is_some_and(|stream| !stream.is_deaf)) else {
            // Reset in the meantime, or refused: nobody will release it.
            self.intake.release(taken as u32);
            if let Some(key) = stream {
                self.release_on_stream(key, taken as u32);
                if end && content == 0 && self.streams.of(key).is_some() {
                    self.end_remote(key.slot);
                }
            }
            return (consumed, None);
        };
        if self.bandwidth.note(taken as u32, now_us) {
            ping::write(&mut self.frames, super::frames::PING_OF_BANDWIDTH, false);
        }
        let end = end && content == 0;
        if end {
            self.end_remote(key.slot);
        }
        (consumed, Some(Event::Data { stream: key, range: at..at + taken, end }))
    }

    /// A frame on a stream that nobody has opened is a fault. RFC 9113 §5.1
    #[inline]
    pub(super) fn check_not_idle(&self, kind: Kind, stream: u32) -> Result<(), ConnectionError> {
        let is_local = stream % 2 == u32::from(self.config.role == Role::Client);
        let is_idle = if is_local { stream >= self.next_local } else { stream > self.highest_remote };
        if is_idle { Err(ConnectionError::StreamIdle { kind, stream }) } else { Ok(()) }
    }

    /// A frame of content on a stream that is closed: what we reset may still get some, and so may what we never took.
    pub(super) fn check_late(&mut self, kind: Kind, stream: u32, now_us: u64) -> Result<(), ConnectionError> {
        if self.departed.recall(stream) == Memory::Ended && !self.leaving.ignores(stream) {
            return Err(ConnectionError::StreamClosed { kind, stream });
        }
        self.spend(BudgetKind::LateFrames, 1, now_us)
    }

    /// The peer broke a rule on a stream, which ends it. RFC 9113 §5.4.2
    pub(super) fn fault(&mut self, slot: u32, code: ErrorCode, now_us: u64) -> Result<Event, ConnectionError> {
        let stream = self.streams.key(slot);
        self.reset_stream(slot, code);
        self.spend(BudgetKind::Faults, 1, now_us)?;
        Ok(Event::Reset { stream, code, by: ResetBy::Us })
    }
}
