//! One end of a WebSocket: what it sends is followed, and between the frames that it is sent come ours.

use std::task::{Context, Poll};
use std::time::Duration;

use plan::WebSocket as Policy;
use ring::{Chunk, Instant};
use wire::ws::{CloseCode, Limits, Opcode, Piece, Reader, Sender, Violation, write_close, write_ping};

use crate::counters::Counters;
use crate::random::Random;
use crate::streams::TunnelEnd;

/// A receive that brings as many bytes makes the next one a large one.
const LARGE_BYTES: usize = 4096;
/// Bytes that one direction moves before others get their turn.
const MOVED_BYTES_MAX: u64 = 1 << 20;
/// Bytes of a ping's payload: enough that no other ping has the same.
const PING_BYTES: usize = 8;

/// An end, with what it has said and was told.
pub(super) struct End<T> {
    stream: T,
    reader: Reader,
    input: Input,
    output: Output,
    heart: Heart,
    /// Frames that it is sent are masked, since it is the server. RFC 6455 §5.1
    is_masked: bool,
    /// It has not taken all that it was sent.
    is_full: bool,
    /// It takes nothing more: its connection has failed.
    is_gone: bool,
    /// The last receive was a large one.
    large: bool,
    received: u64,
    sent: u64,
}

/// What comes from an end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Input {
    /// Frames.
    Open,
    /// Nothing that is to be believed: it is thrown away.
    Disbelieved,
    /// Nothing more.
    Ended,
}

/// What goes to an end.
///
/// ```text
///                  our close frame is to come              all was passed on
///           Open ─────────────────────────────► Closing ───────────┐
///            │ the other end's close frame         │ behind a frame │
///            ▼                                     ▼                ▼
///          Closed ◄────────────────────────────────┘             Ending ──► Ended
///            │ it has closed too, or will not be heard              ▲
///            └──────────────────────────────────────────────────────┘
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Output {
    /// The other end's frames.
    Open,
    /// The rest of the frame that is passing, and then a close frame of ours.
    Closing(CloseCode),
    /// A close frame has been sent: nothing more is.
    Closed,
    /// The end of our sending.
    Ending,
    /// It has been sent.
    Ended,
}

/// Whether an end lives.
struct Heart {
    /// When something came from it the last time.
    heard: Instant,
    ping: Ping,
    /// What the last ping carried.
    payload: Option<[u8; PING_BYTES]>,
    /// The pong may be late for a reason that is not the end's.
    is_excused: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ping {
    None,
    /// One is to be put in behind the frame that is passing, unless the end takes nothing of it until then.
    Due(Instant),
    /// Its pong is awaited until then.
    Sent(Instant),
}

/// What a heart needs next.
pub(super) enum Heartbeat {
    None,
    At(Instant),
    /// A ping is to be put in.
    PingDue,
    /// The pong did not come.
    Missed,
}

/// What frames of ours are made with.
pub(super) struct Own<'a> {
    /// Masking keys, and what pings carry. Masks keep a client's script from choosing bytes on the wire (RFC 6455 §10.3); in frames of
    /// ours there are none of a script's.
    random: Random,
    ping_interval: Duration,
    pong_timeout: Duration,
    counters: &'a Counters,
}

/// Why a direction goes no further.
pub(super) enum Fault {
    /// What its source sends is no WebSocket.
    Violation(Violation),
    /// Its source's connection has failed.
    Gone,
}

/// Passes on what comes from one end to the other, as far as that goes.
pub(super) fn pump<A: TunnelEnd, B: TunnelEnd>(
    cx: &Context<'_>,
    from: &mut End<A>,
    to: &mut End<B>,
    own: &mut Own<'_>,
) -> Result<(), Fault> {
    let start = from.received;
    loop {
        to.put_in(from, own);
        if from.input == Input::Ended {
            to.end();
            return Ok(());
        }
        if from.received - start >= MOVED_BYTES_MAX {
            cx.waker().wake_by_ref();
            return Ok(());
        }
        if !to.poll_room(cx) {
            // What it may have answered is not read.
            from.heart.is_excused = true;
            return Ok(());
        }
        let Poll::Ready(received) = from.stream.poll_bytes(cx, from.large) else { return Ok(()) };
        match received {
            Ok(Some(chunk)) => from.take(chunk, to, own).map_err(Fault::Violation)?,
            Ok(None) => from.input = Input::Ended,
            Err(_) => return Err(Fault::Gone),
        }
    }
}

impl<T: TunnelEnd> End<T> {
    pub(super) fn new(stream: T, sender: Sender, limits: Limits, deflate: bool) -> End<T> {
        End {
            stream,
            reader: Reader::new(sender, limits, deflate),
            input: Input::Open,
            output: Output::Open,
            heart: Heart { heard: ring::now(), ping: Ping::None, payload: None, is_excused: false },
            is_masked: sender == Sender::Server,
            is_full: false,
            is_gone: false,
            large: false,
            received: 0,
            sent: 0,
        }
    }

    /// Bytes that came from it.
    pub(super) fn received(&self) -> u64 {
        self.received
    }

    /// Bytes that went to it.
    pub(super) fn sent(&self) -> u64 {
        self.sent
    }

    /// Has it sent a close frame, unless it was sent one.
    pub(super) fn close(&mut self, code: CloseCode) {
        if self.output == Output::Open {
            self.output = Output::Closing(code);
        }
    }

    /// What it sends is thrown away from now on.
    pub(super) fn disbelieve(&mut self) {
        if self.input == Input::Open {
            self.input = Input::Disbelieved;
        }
    }

    /// Its connection has failed while it was told to close: nothing more comes.
    pub(super) fn forget(&mut self) {
        self.input = Input::Ended;
    }

    /// Sends what is still to be said to it once nothing more will be.
    pub(super) fn poll_end(&mut self, cx: &Context<'_>) {
        // RFC 6455 §7.1.1: both have closed, or it is not waited for.
        if self.output == Output::Closed && (self.input != Input::Open || self.reader.is_closed()) {
            self.output = Output::Ending;
        }
        if self.output == Output::Ending && self.stream.poll_end(cx).is_ready() {
            self.output = Output::Ended;
        }
    }

    /// Whether the direction from here to `to` has come to its end.
    pub(super) fn has_passed_all_to<B>(&self, to: &End<B>) -> bool {
        to.output == Output::Ended && (self.input != Input::Open || self.reader.is_closed() || to.is_gone)
    }

    /// What its heart needs as of `now`.
    pub(super) fn beat(&mut self, now: Instant, own: &Own<'_>) -> Heartbeat {
        let is_closing = self.output != Output::Open || self.input != Input::Open || self.reader.is_closed();
        if is_closing || own.ping_interval.is_zero() {
            return Heartbeat::None;
        }
        let next = now + own.pong_timeout;
        let (due, later, is_its_fault) = match self.heart.ping {
            Ping::None => (self.heart.heard + own.ping_interval, Ping::Due(next), false),
            // Whoever passes the frame on puts it in; that the frame does not go on may be the other end's fault.
            Ping::Due(due) => (due, Ping::Due(next), self.is_full),
            Ping::Sent(due) => (due, Ping::Sent(next), true),
        };
        if due > now {
            return Heartbeat::At(due);
        }
        if is_its_fault && !self.heart.is_excused {
            return Heartbeat::Missed;
        }
        let is_new = self.heart.ping == Ping::None;
        (self.heart.ping, self.heart.is_excused) = (later, false);
        if is_new { Heartbeat::PingDue } else { Heartbeat::At(next) }
    }

    /// Takes what came from here, and passes on what is good of it.
    fn take<B: TunnelEnd>(&mut self, mut chunk: Chunk, to: &mut End<B>, own: &mut Own<'_>) -> Result<(), Violation> {
        self.received += chunk.len() as u64;
        self.large = chunk.len() >= LARGE_BYTES;
        self.heart.heard = ring::now();
        while !chunk.is_empty() && self.input == Input::Open {
            to.put_in(self, own);
            // Where something is to be put in, what is read ends with the frame.
            let frame = usize::try_from(self.reader.frame_left()).unwrap_or(usize::MAX);
            let len = if frame > 0 && to.waits_for_frame() { frame.min(chunk.len()) } else { chunk.len() };
            let read = self.reader.read(&chunk[..len])?;
            let taken = read.taken;
            match read.piece {
                Piece::Data => {
                    to.pass(chunk.split_to(taken));
                    continue;
                }
                Piece::Head(head) => to.pass(Chunk::copy_of(head)),
                Piece::Control(control) => {
                    // RFC 6455 §5.5.3: the answer to our own ping is nobody else's.
                    let is_ours = control.opcode == Opcode::Pong && self.heart.hear(control.payload());
                    if !is_ours {
                        to.pass(Chunk::copy_of(control.bytes));
                    }
                    if control.opcode == Opcode::Close && to.output == Output::Open {
                        to.output = Output::Closed;
                    }
                }
                Piece::Held | Piece::Meaningless => {}
            }
            chunk.advance(taken);
        }
        // RFC 6455 §5.4: in the middle of a frame it cannot answer.
        self.heart.is_excused |= self.reader.frame_left() > 0;
        Ok(())
    }

    /// Sends bytes of the other end, unless it has been sent a close frame. RFC 6455 §5.5.1
    fn pass(&mut self, bytes: Chunk) {
        if matches!(self.output, Output::Open | Output::Closing(_)) {
            self.sent += bytes.len() as u64;
            self.stream.send_bytes(bytes);
        }
    }

    /// Whether something is to be put in behind the frame that is passing.
    fn waits_for_frame(&self) -> bool {
        matches!(self.output, Output::Closing(_))
            || (self.output == Output::Open && matches!(self.heart.ping, Ping::Due(_)))
    }

    /// Puts in what is to be, if no frame of `from` is passing.
    fn put_in<A>(&mut self, from: &End<A>, own: &mut Own<'_>) {
        if !self.waits_for_frame() {
            return;
        }
        if from.reader.frame_left() > 0 {
            if from.input != Input::Open {
                // The frame will not end, so that nothing can follow it.
                self.output = Output::Ending;
            }
            return;
        }
        let mask = self.is_masked.then(|| own.random.bytes());
        let mut frame = Vec::new();
        match self.output {
            Output::Closing(code) => {
                write_close(&mut frame, code, "", mask);
                self.pass(Chunk::copy_of(&frame));
                self.output = Output::Closed;
            }
            _ => {
                let payload = own.random.bytes();
                write_ping(&mut frame, &payload, mask);
                self.pass(Chunk::copy_of(&frame));
                own.counters.websocket_pings.add(1);
                self.heart.ping = Ping::Sent(ring::now() + own.pong_timeout);
                (self.heart.payload, self.heart.is_excused) = (Some(payload), false);
            }
        }
    }

    /// The other end has ended: so does what goes here.
    fn end(&mut self) {
        if self.output != Output::Ended {
            self.output = Output::Ending;
        }
    }

    /// Whether it can be sent more. What would be thrown away it can.
    fn poll_room(&mut self, cx: &Context<'_>) -> bool {
        if !matches!(self.output, Output::Open | Output::Closing(_)) {
            return !self.is_gone;
        }
        match self.stream.poll_room(cx) {
            Poll::Pending => {
                self.is_full = true;
                false
            }
            Poll::Ready(Ok(())) => {
                // It takes what it is sent, and our ping may have been behind much of that.
                self.heart.is_excused |= std::mem::take(&mut self.is_full);
                true
            }
            // What it still has to say comes by the other direction.
            Poll::Ready(Err(_)) => {
                (self.output, self.is_gone) = (Output::Ended, true);
                false
            }
        }
    }
}

impl Heart {
    /// Takes note of a pong. Tells whether it answers our last ping: any does for a sign of life, since only the latest of several
    /// pings needs an answer (RFC 6455 §5.5.3).
    fn hear(&mut self, payload: &[u8]) -> bool {
        if matches!(self.ping, Ping::Sent(_)) {
            self.ping = Ping::None;
        }
        self.payload.is_some_and(|ours| ours == payload)
    }
}

impl<'a> Own<'a> {
    pub(super) fn new(policy: &Policy, counters: &'a Counters) -> Own<'a> {
        Own { random: Random::new(), ping_interval: policy.ping_interval, pong_timeout: policy.pong_timeout, counters }
    }
}
