//! A tunnel: both directions of a connection that has left HTTP, driven by one poll.
//!
//! It begins when the upstream has agreed (101, or 2xx to CONNECT) and never before; what the client sent ahead waits until
//! then. Each direction has a back-pressure and an end of its own: when one side has ended its sending, the other is told
//! and may go on.
//!
//! Most messages of a WebSocket are small, and for them a standing receive and a send cost least; larger ones come by one
//! receive into large buffers. A direction through which bytes pour is spliced instead, from socket to socket inside the
//! kernel, until it has calmed down.

use std::io;
use std::task::{Context, Poll};
use std::time::Duration;

use plan::Plan;
use ring::{Splice, SpliceError};

use crate::deadline::Deadline;
use crate::outcome::{Error, Kind, Side};
use crate::streams::TunnelEnd;

/// A wait for the source that brings as many bytes was worth a large receive.
const LARGE_BYTES: usize = 4096;
/// Waits in a row that bring less than a direction's way of reading is for, after which it gives that way up.
const CALM_WAITS: u8 = 4;
/// Bytes that one direction moves before others get their turn.
const MOVED_BYTES_MAX: usize = 1 << 20;

/// Both directions.
pub(super) struct Tunnel<A, B> {
    client: A,
    upstream: B,
    /// How long it may be without a byte in either direction.
    idle: Duration,
    inward: Direction,
    outward: Direction,
}

impl<A: TunnelEnd, B: TunnelEnd> Tunnel<A, B> {
    pub(super) fn new(client: A, upstream: B, plan: &Plan) -> Tunnel<A, B> {
        let idle = plan.timeouts.tunnel_idle;
        let poured_bytes_min = usize::try_from(plan.shards.splice_bytes_min).unwrap_or(usize::MAX);
        let direction = || Direction { poured_bytes_min, ..Direction::default() };
        Tunnel { client, upstream, idle, inward: direction(), outward: direction() }
    }

    /// Bytes that came from the client, and bytes that went to it.
    pub(super) fn bytes(&self) -> (u64, u64) {
        (self.inward.bytes, self.outward.bytes)
    }

    /// Ready when both directions have ended, when a connection has failed, or when neither has moved a byte for too long.
    pub(super) fn poll(&mut self, cx: &Context<'_>, deadline: &mut Deadline) -> Poll<Result<(), Error>> {
        let before = self.bytes();
        let inward = self.inward.poll(cx, &mut self.client, &mut self.upstream).map_err(Error::client_gone);
        let outward = self.outward.poll(cx, &mut self.upstream, &mut self.client).map_err(|_| Error::UPSTREAM_GONE);
        match (inward?, outward?) {
            (Poll::Ready(()), Poll::Ready(())) => return Poll::Ready(Ok(())),
            _ if self.bytes() != before => deadline.set(self.idle),
            _ => {}
        }
        deadline.poll(cx).map(|()| Err(Error::new(Side::Client, Kind::TunnelIdle, 408)))
    }
}

/// From one end to the other.
#[derive(Default)]
struct Direction {
    state: State,
    bytes: u64,
    /// Bytes since the last wait for the source.
    poured: usize,
    /// What a wait for the source brings at least where bytes pour.
    poured_bytes_min: usize,
    /// While copying: bytes of the waits before, as long as each brought enough to be spliced.
    pouring: usize,
    /// Waits in a row that brought little.
    calm_waits: u8,
    /// While copying: large receives are worth it.
    large: bool,
    /// There is no way around copying: an end is no plain connection, or the system grants no pipe.
    unspliceable: bool,
}

#[derive(Default)]
enum State {
    #[default]
    Copying,
    /// Bytes pour: what was received is still to be sent before the sockets can be spliced.
    Settling,
    Splicing(Splice),
    /// The source has ended: the sink is to be told once it has got everything.
    Ending,
    Ended,
}

impl Direction {
    /// Moves bytes as far as they go; ready at the end. A failure is the source's: a sink that takes no more ends the direction,
    /// and what that side still has to say comes by the other one.
    fn poll<A: TunnelEnd, B: TunnelEnd>(
        &mut self,
        cx: &Context<'_>,
        from: &mut A,
        to: &mut B,
    ) -> Result<Poll<()>, io::Error> {
        let start = self.bytes;
        while !matches!(self.state, State::Ended) {
            if self.bytes - start >= MOVED_BYTES_MAX as u64 {
                cx.waker().wake_by_ref();
                return Ok(Poll::Pending);
            }
            let step = match &mut self.state {
                State::Copying => {
                    let copied = self.copy(cx, from, to)?;
                    self.judge(from, to);
                    copied
                }
                State::Settling => self.settle(cx, from, to)?,
                State::Splicing(_) => self.splice(cx, from, to)?,
                State::Ending => to.poll_end(cx).map(|_| self.state = State::Ended),
                State::Ended => Poll::Ready(()),
            };
            if step.is_pending() {
                return Ok(Poll::Pending);
            }
        }
        Ok(Poll::Ready(()))
    }

    /// One receive, one send.
    fn copy<A: TunnelEnd, B: TunnelEnd>(&mut self, cx: &Context<'_>, from: &mut A, to: &mut B) -> io::Result<Poll<()>> {
        match to.poll_room(cx) {
            Poll::Ready(Ok(())) => {}
            Poll::Ready(Err(_)) => {
                self.state = State::Ended;
                return Ok(Poll::Ready(()));
            }
            Poll::Pending => return Ok(Poll::Pending),
        }
        let Poll::Ready(received) = from.poll_bytes(cx, self.large) else {
            self.note_wait();
            return Ok(Poll::Pending);
        };
        let Some(bytes) = received? else {
            self.state = State::Ending;
            return Ok(Poll::Ready(()));
        };
        self.bytes += bytes.len() as u64;
        self.poured += bytes.len();
        to.send_bytes(bytes);
        Ok(Poll::Ready(()))
    }

    /// Leaves copying where bytes pour.
    fn judge<A: TunnelEnd, B: TunnelEnd>(&mut self, from: &mut A, to: &mut B) {
        let pours = self.pouring.saturating_add(self.poured) >= self.poured_bytes_min.saturating_mul(2);
        if pours && !self.unspliceable && matches!(self.state, State::Copying) {
            self.unspliceable = from.socket().is_none() || to.socket().is_none();
            if !self.unspliceable {
                self.state = State::Settling;
            }
        }
    }

    /// Takes note while copying that the source is waited for: what came since the last time tells how to read on.
    fn note_wait(&mut self) {
        let poured = match std::mem::take(&mut self.poured) {
            // The other direction was polled, and this one with it.
            0 => return,
            poured => poured,
        };
        self.pouring = if poured >= self.poured_bytes_min { self.pouring.saturating_add(poured) } else { 0 };
        self.calm_waits = if poured >= LARGE_BYTES { 0 } else { self.calm_waits.saturating_add(1) };
        self.large = poured >= LARGE_BYTES || (self.large && self.calm_waits < CALM_WAITS);
    }

    /// Ends the receive in flight and sends what it brought.
    fn settle<A: TunnelEnd, B: TunnelEnd>(
        &mut self,
        cx: &Context<'_>,
        from: &mut A,
        to: &mut B,
    ) -> io::Result<Poll<()>> {
        match from.poll_quiet(cx) {
            Poll::Pending => Ok(Poll::Pending),
            Poll::Ready(false) => self.copy(cx, from, to),
            Poll::Ready(true) => {
                (self.pouring, self.poured, self.calm_waits) = (0, 0, 0);
                match Splice::until_end() {
                    Some(splice) => self.state = State::Splicing(splice),
                    None => {
                        self.unspliceable = true;
                        self.state = State::Copying;
                    }
                }
                Ok(Poll::Ready(()))
            }
        }
    }

    fn splice<A: TunnelEnd, B: TunnelEnd>(
        &mut self,
        cx: &Context<'_>,
        from: &mut A,
        to: &mut B,
    ) -> io::Result<Poll<()>> {
        let State::Splicing(splice) = &mut self.state else { return Ok(Poll::Ready(())) };
        let (Some(source), Some(sink)) = (from.socket(), to.socket()) else { return Ok(Poll::Pending) };
        match splice.poll(cx, source, sink) {
            Poll::Ready(Ok(bytes)) => {
                self.bytes += bytes as u64;
                self.poured += bytes;
                if splice.is_done() {
                    self.state = State::Ending;
                }
                Ok(Poll::Ready(()))
            }
            Poll::Ready(Err(SpliceError::Source(error))) => Err(error),
            Poll::Ready(Err(SpliceError::Sink(_))) => {
                self.state = State::Ended;
                Ok(Poll::Ready(()))
            }
            Poll::Pending if splice.waits_for_sink() => Ok(Poll::Pending),
            Poll::Pending => {
                match std::mem::take(&mut self.poured) {
                    // The other direction was polled, and this one with it.
                    0 => {}
                    // Half as many: a direction shall not change its ways to and fro.
                    poured if poured < self.poured_bytes_min / 2 => self.calm_waits += 1,
                    _ => self.calm_waits = 0,
                }
                if self.calm_waits < CALM_WAITS || !splice.is_empty() {
                    return Ok(Poll::Pending);
                }
                (self.state, self.calm_waits) = (State::Copying, 0);
                Ok(Poll::Ready(()))
            }
        }
    }
}
