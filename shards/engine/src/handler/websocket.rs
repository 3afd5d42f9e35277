//! A WebSocket that its route looks into: a tunnel whose frames are held to RFC 6455, and whose ends are seen to be alive.
//!
//! ```text
//!   client ──► Reader ──► frames as they lie ─────────────► upstream
//!          ◄── frames as they lie, our pings and close ◄── Reader ◄──
//! ```
//!
//! What passes is not changed. Between frames something of ours may be put in: a ping for an end that has been silent, whose
//! pong is then kept, and a close frame. An end is sent one when it or the other breaks a rule or answers no ping, and when the
//! shard is told to stop; its own close frame is then awaited, while what else it sends is thrown away. Once an end has sent its
//! close frame and got one, its connection ends.
//!
//! The ends are [`TunnelEnd`]s: nothing here knows what carries them.

mod breach;
mod end;

use std::task::{Context, Poll};
use std::time::Duration;

use plan::{Plan, WebSocket as Policy};
use ring::Instant;
use wire::ws::{CloseCode, Limits, Sender, agrees_on_deflate};
use wire::{FieldName, ResponseHead};

pub use breach::Breach;
use end::{End, Fault, Heartbeat, Own, pump};

use crate::counters::Counters;
use crate::deadline::Deadline;
use crate::outcome::{Error, Kind, Limit, Side};
use crate::streams::TunnelEnd;

/// How long the close frame of an end is awaited after a failure, and that what was sent arrives.
const CLOSE_WAIT: Duration = Duration::from_secs(2);

/// What the opening handshake has agreed on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Agreed {
    /// Messages may be compressed, as RFC 7692 says.
    deflate: bool,
}

/// What was agreed on, if the tunnel that this answer opens is a WebSocket's.
pub(super) fn agreed((head, bytes): (&ResponseHead, &[u8])) -> Option<Agreed> {
    let protocol = head.value(FieldName::Upgrade, bytes).filter(|_| head.status() == 101)?;
    if !protocol.eq_ignore_ascii_case(b"websocket") {
        return None;
    }
    let is_extensions = |name: &[u8]| name.eq_ignore_ascii_case(b"sec-websocket-extensions");
    let mut extensions = head.fields().iter().filter(|field| is_extensions(field.name.of(bytes)));
    Some(Agreed { deflate: extensions.any(|field| agrees_on_deflate(field.value.of(bytes))) })
}

/// Both directions.
pub(super) struct WebSocket<'a, A, B> {
    client: End<A>,
    upstream: End<B>,
    own: Own<'a>,
    counters: &'a Counters,
    /// How long it may be without a byte in either direction, and until when.
    idle: Duration,
    idle_due: Instant,
    /// Both ends are told to close.
    is_closing: bool,
    /// Why, if that is a failure, and how long they have.
    failure: Option<(Error, Instant)>,
}

/// What the clocks say.
enum Time {
    /// It is over.
    Up(Error),
    /// Something is to be done.
    Stirs,
    /// Nothing, until then.
    Waits(Instant),
}

impl<'a, A: TunnelEnd, B: TunnelEnd> WebSocket<'a, A, B> {
    pub(super) fn new(
        (client, upstream): (A, B),
        agreed: Agreed,
        policy: &Policy,
        plan: &Plan,
        counters: &'a Counters,
    ) -> WebSocket<'a, A, B> {
        let limits = Limits { frame_bytes_max: policy.frame_bytes_max, message_bytes_max: policy.message_bytes_max };
        let idle = plan.timeouts.tunnel_idle;
        WebSocket {
            client: End::new(client, Sender::Client, limits, agreed.deflate),
            upstream: End::new(upstream, Sender::Server, limits, agreed.deflate),
            own: Own::new(policy, counters),
            counters,
            idle,
            idle_due: ring::now() + idle,
            is_closing: false,
            failure: None,
        }
    }

    /// Bytes that came from the client, and bytes that went to it.
    pub(super) fn bytes(&self) -> (u64, u64) {
        (self.client.received(), self.client.sent())
    }

    /// Ready when both ends have closed, when one has failed, or when neither has sent a byte for too long.
    pub(super) fn poll(
        &mut self,
        cx: &Context<'_>,
        deadline: &mut Deadline,
        is_draining: bool,
    ) -> Poll<Result<(), Error>> {
        if is_draining && !self.is_closing {
            self.close(CloseCode::GOING_AWAY, CloseCode::GOING_AWAY);
        }
        loop {
            let before = self.client.received() + self.upstream.received();
            // What one direction finds is for both to say.
            let inward = pump(cx, &mut self.client, &mut self.upstream, &mut self.own);
            let outward = pump(cx, &mut self.upstream, &mut self.client, &mut self.own);
            if self.client.received() + self.upstream.received() > before {
                self.idle_due = ring::now() + self.idle;
            }
            let mut is_stirred = false;
            for (side, found) in [(Side::Client, inward), (Side::Upstream, outward)] {
                match found {
                    Ok(()) => continue,
                    Err(Fault::Violation(violation)) => self.refuse(side, violation),
                    // Who was told to close may do it without many words.
                    Err(Fault::Gone) if self.is_closing => self.forget(side),
                    Err(Fault::Gone) => return Poll::Ready(Err(gone(side))),
                }
                is_stirred = true;
            }
            self.client.poll_end(cx);
            self.upstream.poll_end(cx);
            if is_stirred {
                continue;
            }
            if self.client.has_passed_all_to(&self.upstream) && self.upstream.has_passed_all_to(&self.client) {
                return Poll::Ready(self.failure.map_or(Ok(()), |(error, _)| Err(error)));
            }
            match self.time() {
                Time::Up(error) => return Poll::Ready(Err(error)),
                Time::Stirs => {}
                Time::Waits(until) => {
                    deadline.set_at(until);
                    if deadline.poll(cx).is_pending() {
                        return Poll::Pending;
                    }
                }
            }
        }
    }

    /// Has both ends sent a close frame.
    fn close(&mut self, client: CloseCode, upstream: CloseCode) {
        self.is_closing = true;
        self.client.close(client);
        self.upstream.close(upstream);
    }

    /// An end has broken a rule: it is told which, and nothing more is read of it. RFC 6455 §7.1.7
    fn refuse(&mut self, side: Side, violation: wire::ws::Violation) {
        let breach = Breach::of(side, violation);
        tracing::debug!(?side, %violation, "a WebSocket breaks the protocol");
        self.counters.websocket_breaches[breach.index()].add(1);
        self.fail(side, violation.close_code(), breach::error(side, violation));
    }

    /// Closes because of `error`, which is `side`'s doing: `code` is for that one.
    fn fail(&mut self, side: Side, code: CloseCode, error: Error) {
        self.failure.get_or_insert((error, ring::now() + CLOSE_WAIT));
        match side {
            // For the server it is as if the client had left; for the client, the server has failed.
            Side::Client => self.close(code, CloseCode::GOING_AWAY),
            _ => self.close(CloseCode::INTERNAL_ERROR, code),
        }
        match side {
            Side::Client => self.client.disbelieve(),
            _ => self.upstream.disbelieve(),
        }
    }

    fn forget(&mut self, side: Side) {
        match side {
            Side::Client => self.client.forget(),
            _ => self.upstream.forget(),
        }
    }

    fn time(&mut self) -> Time {
        let now = ring::now();
        let mut until = self.idle_due;
        if let Some((error, due)) = self.failure {
            if due <= now {
                return Time::Up(error);
            }
            until = until.min(due);
        }
        if self.idle_due <= now {
            return Time::Up(Error::new(Side::Client, Kind::TunnelIdle, 408));
        }
        let beats = [self.client.beat(now, &self.own), self.upstream.beat(now, &self.own)];
        for (side, beat) in [Side::Client, Side::Upstream].into_iter().zip(beats) {
            match beat {
                Heartbeat::None => {}
                Heartbeat::At(at) => until = until.min(at),
                Heartbeat::PingDue => return Time::Stirs,
                Heartbeat::Missed => {
                    let error = Error::new(side, Kind::TimedOut, if side == Side::Client { 408 } else { 504 });
                    self.fail(side, CloseCode::INTERNAL_ERROR, error.by(Limit::WebSocketPong));
                    return Time::Stirs;
                }
            }
        }
        Time::Waits(until)
    }
}

fn gone(side: Side) -> Error {
    if side == Side::Client { Error::CLIENT_LEFT } else { Error::UPSTREAM_GONE }
}
