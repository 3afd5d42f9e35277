//! HTTP/2 as a client: many requests at once on one connection, whose answers come in any order. RFC 9113
//!
//! The bytes go through [`frame`]; header blocks through [`hpack`]; what belongs to one request and its answer is a [`stream`]. A
//! request's fields never change, so that its block is copied from the last one. Bodies of requests are sent as the server's windows
//! allow, streams taking turns; windows for answers are opened again when half of them is used.

mod frame;
mod hpack;
mod stream;

use std::{collections::VecDeque, fmt};

use frame::{HEAD_BYTES, Head, Kind, PAYLOAD_BYTES_MAX, WINDOW_BYTES, WINDOW_BYTES_MAX, reason, setting};
use hpack::{BadBlock, Decoder, Encoder};
use stream::{Fields, Place, Stream, Streams};

use super::protocol::{Event, Failure, GoAway, Key, Received};
use crate::{load::Target, record::ErrorKind};

/// Streams that are opened before the server has said how many it takes: what every server is to take. RFC 9113 §6.5.2
const STREAMS_BEFORE_SETTINGS: usize = 100;
/// Compressed bytes of a head, over all its frames.
const BLOCK_BYTES_MAX: usize = 64 << 10;
/// Bytes of answers to PING and SETTINGS that may wait. A server that asks for more does not read.
const REPLY_BYTES_MAX: usize = 1 << 20;

/// One connection's conversation.
pub struct Session {
    reading: Reading,
    decoder: Decoder,
    encoder: Encoder,
    streams: Streams,
    /// Bytes that a stream of the server's may have under way, and all of them together.
    window_bytes: u32,
    /// Bytes of all answers that were read, and for which the server has no new room yet.
    unreturned_bytes: u32,
    /// Bytes of bodies that the server takes of all streams, and of a new one.
    send_window: i64,
    stream_window: i64,
    streams_max: usize,
    /// Slots of streams that have something to send and room for it, by turns.
    sending: VecDeque<usize>,
    /// Frames that answer the server's own.
    replies: Vec<u8>,
    /// The last block, and what it said, while a block of the same bytes says the same.
    repeated: Option<(Vec<u8>, Fields)>,
    block: Vec<u8>,
    has_settings: bool,
}

/// Where in the server's bytes the session stands.
#[derive(Debug)]
struct Reading {
    head: [u8; HEAD_BYTES],
    head_bytes: usize,
    frame: Option<Frame>,
    /// What has come of a payload that is handled as a whole.
    payload: Vec<u8>,
    /// A block whose end has not come: its stream, whether it ends the stream, and its bytes. RFC 9113 §4.3
    block: Option<(u32, bool, Vec<u8>)>,
}

/// A frame whose payload is being read.
#[derive(Debug, Clone, Copy)]
struct Frame {
    head: Head,
    /// Bytes of the payload that have not come.
    left: usize,
    /// Of DATA: bytes of padding at its end, once they are known.
    padding: Option<usize>,
}

impl Session {
    /// A connection on which nothing was said. `window_bytes` is how much of an answer may be under way.
    #[must_use]
    pub fn new(window_bytes: u32) -> Self {
        Self {
            reading: Reading { head: [0; HEAD_BYTES], head_bytes: 0, frame: None, payload: Vec::new(), block: None },
            decoder: Decoder::new(),
            encoder: Encoder::new(),
            streams: Streams::new(),
            window_bytes,
            unreturned_bytes: 0,
            send_window: WINDOW_BYTES,
            stream_window: WINDOW_BYTES,
            streams_max: STREAMS_BEFORE_SETTINGS,
            sending: VecDeque::new(),
            replies: Vec::new(),
            repeated: None,
            block: Vec::new(),
            has_settings: false,
        }
    }

    /// Writes the preface. Requests may follow at once. RFC 9113 §3.4
    pub fn open(&self, output: &mut Vec<u8>) {
        output.extend_from_slice(frame::PREFACE);
        frame::write_settings(output, &[(setting::ENABLE_PUSH, 0), (setting::INITIAL_WINDOW_SIZE, self.window_bytes)]);
        if i64::from(self.window_bytes) > WINDOW_BYTES {
            frame::write_window_update(output, 0, self.window_bytes - WINDOW_BYTES as u32);
        }
    }

    /// How many requests may be under way at once.
    #[must_use]
    pub fn streams_max(&self) -> usize {
        if self.is_spent() { 0 } else { self.streams_max }
    }

    /// Writes a request's head; its body follows by [`Self::reply`].
    pub fn request(&mut self, target: &'static Target, key: Key, output: &mut Vec<u8>) {
        let id = self.streams.next_id().expect("no request is made when the ids have run out");
        let mut block = std::mem::take(&mut self.block);
        block.clear();
        self.encoder.encode(target.fields, &mut block);
        frame::write_headers(output, id, target.body.is_empty(), &block);
        self.block = block;
        let slot = self.streams.insert(Stream::new(id, key, target, self.stream_window));
        self.take_turn(slot);
    }

    /// Gives a request up, which the server is told.
    pub fn cancel(&mut self, key: Key) {
        let found =
            self.streams.iter_mut().find(|(_, stream)| stream.key == key).map(|(slot, stream)| (slot, stream.id));
        if let Some((slot, id)) = found {
            frame::write_reset(&mut self.replies, id, frame::CANCEL);
            self.streams.remove(slot);
        }
    }

    /// Writes what the server is to be told, and of bodies what fits: until `output` has `bytes_max`, or a window is used up.
    pub fn reply(&mut self, output: &mut Vec<u8>, bytes_max: usize) {
        output.append(&mut self.replies);
        while output.len() < bytes_max && self.send_window > 0 {
            let Some(slot) = self.sending.pop_front() else { return };
            // A stream that has ended meanwhile has left its slot, to another one maybe.
            let Some(stream) = self.streams.at(slot).filter(|stream| stream.is_sending) else { continue };
            stream.is_sending = false;
            let room = self.send_window.min(stream.send_window).max(0) as usize;
            let (piece, rest) = stream.unsent.split_at(stream.unsent.len().min(room).min(PAYLOAD_BYTES_MAX));
            if piece.is_empty() {
                continue;
            }
            frame::write_data(output, stream.id, rest.is_empty(), piece);
            stream.unsent = rest;
            stream.send_window -= piece.len() as i64;
            self.send_window -= piece.len() as i64;
            self.take_turn(slot);
        }
    }

    /// Lets a stream send when its turn comes, if it has something to send and room for it.
    fn take_turn(&mut self, slot: usize) {
        if let Some(stream) = self.streams.at(slot)
            && !stream.is_sending
            && !stream.unsent.is_empty()
            && stream.send_window > 0
        {
            stream.is_sending = true;
            self.sending.push_back(slot);
        }
    }

    /// Whether the connection has had as many requests as it has numbers for.
    #[must_use]
    pub fn is_spent(&self) -> bool {
        self.streams.next_id().is_none()
    }

    /// Reads until something is complete, or the input is used up.
    ///
    /// # Errors
    /// The connection is of no use afterwards.
    pub fn receive(&mut self, input: &[u8]) -> Result<Received, Failure> {
        let mut consumed = 0;
        loop {
            let rest = &input[consumed..];
            let Some(mut frame) = self.reading.frame else {
                if rest.is_empty() {
                    return Ok(Received { consumed, event: None });
                }
                consumed += self.read_head(rest)?;
                continue;
            };
            let (used, event) = if frame.head.kind == Kind::Data {
                if rest.is_empty() && frame.left > 0 {
                    return Ok(Received { consumed, event: None });
                }
                self.read_data(&mut frame, rest)?
            } else {
                let piece = &rest[..rest.len().min(frame.left)];
                frame.left -= piece.len();
                if frame.left > 0 {
                    self.reading.payload.extend_from_slice(piece);
                    self.reading.frame = Some(frame);
                    return Ok(Received { consumed: input.len(), event: None });
                }
                let event = self.handle_whole(frame.head, piece)?;
                (piece.len(), event)
            };
            consumed += used;
            self.reading.frame = (frame.left > 0).then_some(frame);
            if event.is_some() {
                return Ok(Received { consumed, event });
            }
        }
    }

    /// Reads of a frame's head what there is.
    fn read_head(&mut self, input: &[u8]) -> Result<usize, Failure> {
        let reading = &mut self.reading;
        let taken = input.len().min(HEAD_BYTES - reading.head_bytes);
        reading.head[reading.head_bytes..reading.head_bytes + taken].copy_from_slice(&input[..taken]);
        reading.head_bytes += taken;
        if !self.has_settings && reading.head[..reading.head_bytes.min(7)] == b"HTTP/1."[..reading.head_bytes.min(7)] {
            if reading.head_bytes < 7 {
                return Ok(taken);
            }
            return Err(Failure::new(ErrorKind::ProtocolRefused, "the server answered in HTTP/1"));
        }
        if reading.head_bytes < HEAD_BYTES {
            return Ok(taken);
        }
        reading.head_bytes = 0;
        let head = Head::parse(&reading.head);
        // RFC 9113 §3.4
        if !self.has_settings && (head.kind != Kind::Settings || head.has(frame::ACK)) {
            return Err(malformed("something before the server's SETTINGS"));
        }
        if head.length > PAYLOAD_BYTES_MAX {
            return Err(malformed("a frame longer than allowed"));
        }
        // Nothing may stand between the frames of a block. RFC 9113 §4.3
        let continues = reading.block.as_ref().map(|(stream, ..)| *stream);
        if continues.is_some() != (head.kind == Kind::Continuation) || continues.is_some_and(|id| id != head.stream) {
            return Err(malformed("a header block that is interrupted, or continued where there is none"));
        }
        reading.payload.clear();
        let padding = (!head.has(frame::PADDED)).then_some(0);
        reading.frame = Some(Frame { head, left: head.length, padding });
        Ok(taken)
    }

    /// Reads of DATA what there is, without waiting for its end. RFC 9113 §6.1
    fn read_data(&mut self, frame: &mut Frame, input: &[u8]) -> Result<(usize, Option<Event>), Failure> {
        let head = frame.head;
        let used = input.len().min(frame.left);
        let mut data = &input[..used];
        if frame.padding.is_none() {
            let Some((padding, rest)) = data.split_first() else { return Err(malformed("padding without a length")) };
            frame.padding = Some(usize::from(*padding));
            if usize::from(*padding) >= frame.left {
                return Err(malformed("more padding than there is frame"));
            }
            frame.left -= 1;
            self.unreturned_bytes += 1;
            data = rest;
        }
        frame.left -= data.len();
        // What has come of the padding is the end of what has come.
        let padding = frame.padding.unwrap_or(0).saturating_sub(frame.left).min(data.len());
        let body = &data[..data.len() - padding];
        self.unreturned_bytes += data.len() as u32;
        self.return_connection_window();
        let slot = match self.streams.place(head.stream) {
            Place::Live(slot) => slot,
            // Given up by us; it was under way already.
            Place::Gone => return Ok((used, None)),
            Place::Idle => return Err(malformed("DATA of a stream that was never begun")),
        };
        let is_end = frame.left == 0 && head.has(frame::END_STREAM);
        let (window_bytes, stream) = (self.window_bytes, self.streams.at(slot).expect("it lives"));
        if let Some(wrong) = stream.handle_data(body) {
            return Ok((used, Some(self.give_up(slot, wrong))));
        }
        stream.unreturned_bytes += data.len() as u32;
        if !head.has(frame::END_STREAM) && stream.unreturned_bytes > window_bytes / 2 {
            frame::write_window_update(&mut self.replies, stream.id, stream.unreturned_bytes);
            stream.unreturned_bytes = 0;
        }
        Ok((used, is_end.then(|| self.complete(slot))))
    }

    /// Opens the connection's window again when half of it is used.
    fn return_connection_window(&mut self) {
        if self.unreturned_bytes > self.window_bytes.max(WINDOW_BYTES as u32) / 2 {
            frame::write_window_update(&mut self.replies, 0, self.unreturned_bytes);
            self.unreturned_bytes = 0;
        }
    }

    /// Handles a frame whose payload has come: what was kept of it, and `piece`.
    fn handle_whole(&mut self, head: Head, piece: &[u8]) -> Result<Option<Event>, Failure> {
        if self.reading.payload.is_empty() {
            return self.handle_frame(head, piece);
        }
        let mut payload = std::mem::take(&mut self.reading.payload);
        payload.extend_from_slice(piece);
        let event = self.handle_frame(head, &payload);
        self.reading.payload = payload;
        event
    }

    fn handle_frame(&mut self, head: Head, payload: &[u8]) -> Result<Option<Event>, Failure> {
        let of_stream = matches!(head.kind, Kind::Headers | Kind::Priority | Kind::RstStream | Kind::Continuation);
        let of_connection = matches!(head.kind, Kind::Settings | Kind::Ping | Kind::GoAway);
        if of_stream && head.stream == 0 || of_connection && head.stream != 0 {
            return Err(malformed("a frame on a stream that it cannot be on"));
        }
        match head.kind {
            Kind::Headers => self.handle_headers(head, payload),
            Kind::Continuation => {
                let (stream, end_stream, mut block) = self.reading.block.take().expect("it was checked with its head");
                block.extend_from_slice(payload);
                self.handle_block(stream, end_stream, head.has(frame::END_HEADERS), &block)
            }
            Kind::RstStream => self.handle_reset(head.stream, number(payload)?),
            Kind::Settings => self.handle_settings(head, payload).map(|()| None),
            Kind::Ping => {
                let opaque = payload.try_into().map_err(|_| malformed("a PING that has not eight bytes"))?;
                if !head.has(frame::ACK) {
                    frame::write_ping_ack(&mut self.replies, opaque);
                }
                self.limit_replies().map(|()| None)
            }
            Kind::GoAway => self.handle_go_away(payload).map(Some),
            Kind::WindowUpdate => self.handle_window_update(head.stream, number(payload)?),
            Kind::PushPromise => Err(malformed("a push, which was refused beforehand")),
            Kind::Priority | Kind::Unknown => Ok(None),
            Kind::Data => unreachable!("DATA is read as it comes"),
        }
    }

    /// RFC 9113 §6.2
    fn handle_headers(&mut self, head: Head, mut payload: &[u8]) -> Result<Option<Event>, Failure> {
        let mut padding = 0;
        if head.has(frame::PADDED) {
            let (length, rest) = payload.split_first().ok_or_else(|| malformed("padding without a length"))?;
            (padding, payload) = (usize::from(*length), rest);
        }
        if head.has(frame::PRIORITY) {
            payload = payload.get(5..).ok_or_else(|| malformed("a priority cut short"))?;
        }
        let bytes = payload.len().checked_sub(padding).ok_or_else(|| malformed("more padding than there is frame"))?;
        let end_headers = head.has(frame::END_HEADERS);
        self.handle_block(head.stream, head.has(frame::END_STREAM), end_headers, &payload[..bytes])
    }

    /// Takes what has come of a block, and looks at it when it is whole.
    fn handle_block(
        &mut self,
        id: u32,
        end_stream: bool,
        end_headers: bool,
        block: &[u8],
    ) -> Result<Option<Event>, Failure> {
        if block.len() > BLOCK_BYTES_MAX {
            return Err(malformed(BadBlock::TooLarge.words()));
        }
        if !end_headers {
            self.reading.block = Some((id, end_stream, block.to_vec()));
            return Ok(None);
        }
        // Whatever becomes of the stream: the table goes on with each block.
        let fields = self.decode(block)?;
        let slot = match self.streams.place(id) {
            Place::Live(slot) => slot,
            Place::Gone => return Ok(None),
            Place::Idle => return Err(malformed("a head on a stream that was never begun")),
        };
        let stream = self.streams.at(slot).expect("it lives");
        if let Some(wrong) = stream.handle_fields(&fields, end_stream) {
            return Ok(Some(self.give_up(slot, wrong)));
        }
        let key = stream.key;
        Ok(Some(if end_stream { self.complete(slot) } else { Event::Begun(key) }))
    }

    /// Most answers have the same block as the one before: it is read once, as long as it refers to nothing that has changed.
    fn decode(&mut self, block: &[u8]) -> Result<Fields, Failure> {
        if let Some((known, fields)) = &self.repeated
            && known == block
        {
            return Ok(*fields);
        }
        let mut fields = Fields::default();
        let decoded = self.decoder.decode(block, |name, value| fields.add(name, value));
        decoded.map_err(|bad| malformed(bad.words()))?;
        let mut kept = self.repeated.take().map(|(bytes, _)| bytes).unwrap_or_default();
        if self.decoder.is_unchanged() {
            kept.clear();
            kept.extend_from_slice(block);
            self.repeated = Some((kept, fields));
        }
        Ok(fields)
    }

    /// The answer has ended.
    fn complete(&mut self, slot: usize) -> Event {
        let mut stream = self.streams.remove(slot).expect("it lives");
        if !stream.unsent.is_empty() {
            // Answered before all of the request was there: the rest is for nobody. RFC 9113 §8.1
            frame::write_reset(&mut self.replies, stream.id, frame::CANCEL);
        }
        match stream.answered() {
            Ok(answered) => Event::Answered(answered),
            Err(wrong) => Event::Failed(stream.key, malformed(wrong)),
        }
    }

    /// What came on a stream is no answer; the others are not concerned. RFC 9113 §5.4.2
    fn give_up(&mut self, slot: usize, wrong: &'static str) -> Event {
        let stream = self.streams.remove(slot).expect("it lives");
        frame::write_reset(&mut self.replies, stream.id, frame::PROTOCOL_ERROR);
        Event::Failed(stream.key, malformed(wrong))
    }

    fn handle_reset(&mut self, id: u32, code: u32) -> Result<Option<Event>, Failure> {
        match self.streams.place(id) {
            Place::Live(slot) => {
                let stream = self.streams.remove(slot).expect("it lives");
                Ok(Some(Event::Failed(stream.key, Failure::new(ErrorKind::StreamReset, reason(code)))))
            }
            Place::Gone => Ok(None),
            Place::Idle => Err(malformed("a reset of a stream that was never begun")),
        }
    }

    /// RFC 9113 §6.5
    fn handle_settings(&mut self, head: Head, payload: &[u8]) -> Result<(), Failure> {
        if head.has(frame::ACK) {
            return if payload.is_empty() { Ok(()) } else { Err(malformed("an acknowledgement with a content")) };
        }
        if !payload.len().is_multiple_of(6) {
            return Err(malformed("SETTINGS cut short"));
        }
        if !std::mem::replace(&mut self.has_settings, true) {
            // As many as we like, unless it says a number.
            self.streams_max = usize::MAX;
        }
        for entry in payload.chunks_exact(6) {
            let name = u16::from_be_bytes([entry[0], entry[1]]);
            let value = u32::from_be_bytes([entry[2], entry[3], entry[4], entry[5]]);
            match name {
                setting::HEADER_TABLE_SIZE => self.encoder.limit(value),
                setting::MAX_CONCURRENT_STREAMS => self.streams_max = value as usize,
                setting::INITIAL_WINDOW_SIZE => self.resize_windows(i64::from(value))?,
                setting::MAX_FRAME_SIZE if !(1 << 14..1 << 24).contains(&value) => {
                    return Err(malformed("a frame size out of bounds"));
                }
                _ => {}
            }
        }
        frame::write_settings_ack(&mut self.replies);
        self.limit_replies()
    }

    /// The windows of all streams change by as much as that of new ones; they may become negative. RFC 9113 §6.9.2
    fn resize_windows(&mut self, bytes: i64) -> Result<(), Failure> {
        let change = bytes - self.stream_window;
        self.stream_window = bytes;
        let mut may_send = Vec::new();
        for (slot, stream) in self.streams.iter_mut() {
            stream.send_window += change;
            if stream.send_window > WINDOW_BYTES_MAX {
                return Err(malformed("a window too large"));
            }
            may_send.push(slot);
        }
        if bytes > WINDOW_BYTES_MAX {
            return Err(malformed("a window too large"));
        }
        may_send.into_iter().for_each(|slot| self.take_turn(slot));
        Ok(())
    }

    /// RFC 9113 §6.9
    fn handle_window_update(&mut self, id: u32, bytes: u32) -> Result<Option<Event>, Failure> {
        let bytes = i64::from(bytes & 0x7fff_ffff);
        if bytes == 0 {
            return Err(malformed("a window opened by nothing"));
        }
        if id == 0 {
            self.send_window += bytes;
            return if self.send_window > WINDOW_BYTES_MAX { Err(malformed("a window too large")) } else { Ok(None) };
        }
        match self.streams.place(id) {
            Place::Live(slot) => {
                let stream = self.streams.at(slot).expect("it lives");
                stream.send_window += bytes;
                if stream.send_window > WINDOW_BYTES_MAX {
                    return Ok(Some(self.give_up(slot, "a window too large")));
                }
                self.take_turn(slot);
                Ok(None)
            }
            Place::Gone => Ok(None),
            Place::Idle => Err(malformed("a window of a stream that was never begun")),
        }
    }

    /// The server takes no more streams; those above the last it names were not processed. RFC 9113 §6.8
    fn handle_go_away(&mut self, payload: &[u8]) -> Result<Event, Failure> {
        let Some((last, rest)) = payload.split_first_chunk::<4>() else { return Err(malformed("GOAWAY cut short")) };
        let Some((code, _)) = rest.split_first_chunk::<4>() else { return Err(malformed("GOAWAY cut short")) };
        let (last, code) = (u32::from_be_bytes(*last) & 0x7fff_ffff, u32::from_be_bytes(*code));
        let mut unprocessed: Vec<(u32, usize, Key)> = Vec::new();
        for (slot, stream) in self.streams.iter_mut().filter(|(_, stream)| stream.id > last) {
            unprocessed.push((stream.id, slot, stream.key));
        }
        unprocessed.sort_unstable();
        for (_, slot, _) in &unprocessed {
            self.streams.remove(*slot);
        }
        Ok(Event::GoAway(GoAway {
            unprocessed: unprocessed.into_iter().map(|(.., key)| key).collect(),
            failure: (code != frame::NO_ERROR).then(|| Failure::new(ErrorKind::GoneAway, reason(code))),
        }))
    }

    fn limit_replies(&self) -> Result<(), Failure> {
        if self.replies.len() > REPLY_BYTES_MAX {
            return Err(malformed("a flood of frames that want an answer"));
        }
        Ok(())
    }

    /// The connection has ended.
    ///
    /// # Errors
    /// If an answer was cut short, or is missing.
    pub fn end(&mut self) -> Result<(), Failure> {
        match (self.streams.is_empty(), self.has_settings) {
            (true, _) => Ok(()),
            (false, true) => Err(Failure::new(ErrorKind::ClosedEarly, "before the end of all answers")),
            // As servers do that take the preface for a broken request.
            (false, false) => Err(Failure::new(ErrorKind::ProtocolRefused, "closed without a word of HTTP/2")),
        }
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { reading, send_window, streams_max, .. } = self;
        f.debug_struct("Session")
            .field("reading", &reading.frame)
            .field("send_window", send_window)
            .field("streams_max", streams_max)
            .finish_non_exhaustive()
    }
}

/// A payload of four bytes.
fn number(payload: &[u8]) -> Result<u32, Failure> {
    payload.try_into().map(u32::from_be_bytes).map_err(|_| malformed("a frame of another length than it has to have"))
}

fn malformed(what: &'static str) -> Failure {
    Failure::new(ErrorKind::Malformed, what)
}

#[cfg(test)]
mod tests;
