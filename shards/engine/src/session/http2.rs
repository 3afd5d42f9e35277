//! A client's connection in HTTP/2: many exchanges at once, each on a stream of its own.
//!
//! One task, here, owns the transport. It takes frames apart as they come and begins an exchange for each request; what those have
//! to say, it writes, all of a tick in one send. The exchanges are tasks too, and share with it what a [`Link`] holds. They and it wake
//! one another:
//!
//! ```text
//!  transport ─► Connection::handle_bytes ─ Event ─► Flow ─ poll_body ─► exchange::run
//!      ▲                                                                     │ send_head, send_data, …
//!      └──── one send ◄── Connection::poll_output ◄── Flow ◄── Link::stir ◄──┘
//! ```
//!
//! Back-pressure: data of requests waits in flows as far as the windows of their streams go, which open as it is taken; data of responses
//! as far as a flow has room, which it has again as the client's windows and the socket take it.

mod flow;
mod link;
mod stream;

use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use ring::{Buffer, Chunk, Instant, ReadMode};
use wire::RequestError;
use wire::h1::Edits;
use wire::h2::{
    Connection, ConnectionError, Culprit, ErrorCode, Event, Excess, HeadError, Incoming, Output, ResetBy, StreamKey,
};

pub(crate) use flow::Flows;
use link::Link;

use super::{LINGER, answer};
use crate::client::Client;
use crate::deadline::Deadline;
use crate::outcome::{Error, Kind, Limit, Side};
use crate::shard::Membership;
use crate::transport::Transport;
use crate::tuning::WAITING_BYTES_MAX;

/// Receives that are dealt with before others get their turn.
const RECEIVES_MAX: usize = 16;
/// A receive that brings as many bytes tells that large ones are worth it.
const LARGE_BYTES: usize = 4096;
/// Room for a request's head, as it is kept while its exchange lasts.
const HEAD_ROOM_BYTES: usize = 1024;
/// Data of at most this many bytes is copied behind its frame's header; more is sent as it lies, where it can be.
const COPIED_BYTES_MAX: usize = 1024;
/// Room for what is gathered to be sent.
const ROOM_BYTES: usize = 4096;
/// The same for TLS, where all is copied once more: for a full record.
const SECURE_ROOM_BYTES: usize = 16 << 10;
/// The same where nothing is under way: for the greeting, and answers to pings.
const IDLE_ROOM_BYTES: usize = 1024;
/// How long a connection is idle until it gives back what it would need again for the next request.
const SHRINK_AFTER: Duration = Duration::from_secs(1);

/// The connection's own task.
struct Http2 {
    link: Rc<Link>,
    transport: Transport,
    /// By when the client's preface and settings have to be there, until they are.
    due: Option<Instant>,
    /// What has come in part and is of no use so, and since when.
    partial: Option<(u32, Instant)>,
    /// Since when nothing is under way, and whether what it does not need has been given back.
    idle_since: Option<Instant>,
    is_shrunk: bool,
    /// Requests that it has carried.
    requests: u32,
    /// No more are taken: the client has been told, or will be.
    is_draining: bool,
    /// The client has been told to calm down.
    is_calmed: bool,
    /// Bytes of the last receive, by which the next one is chosen.
    received_bytes: usize,
}

/// Why a connection is over.
enum End {
    /// Nobody is there any more.
    Gone,
    /// Nothing is under way, and nothing more is to come.
    Done,
    /// It was idle for too long, or something took too long to come.
    Late(Limit),
    /// The client has broken the protocol.
    Broken(ConnectionError),
    /// We have made a mistake.
    Failed,
}

/// Serves a client until one side is done. Its preface and settings are `due` then; `received` has come of them already.
pub(crate) fn serve(
    shard: Membership,
    transport: Transport,
    client: Client,
    due: Instant,
    received: Chunk,
) -> impl Future<Output = ()> {
    shard.counters.http2_connections.add(1);
    let connection = Connection::new(Arc::clone(&shard.serving().http2));
    let mut session = Http2 {
        link: Link::new(shard, client, connection),
        transport,
        due: Some(due),
        partial: None,
        idle_since: None,
        is_shrunk: false,
        requests: 0,
        is_draining: false,
        is_calmed: false,
        received_bytes: 0,
    };
    async move {
        let mut deadline = Deadline::new();
        let end = match session.take(received) {
            Ok(()) => poll_fn(|cx| session.poll(cx, &mut deadline)).await,
            Err(error) => End::Broken(error),
        };
        if let Some(code) = session.note(&end) {
            ring::pooled(|| session.close(code, &mut deadline)).await;
        }
    }
}

impl Http2 {
    /// Ready when the connection is over.
    fn poll(&mut self, cx: &Context<'_>, deadline: &mut Deadline) -> Poll<End> {
        self.link.register(cx);
        self.link.shard.register(cx);
        if let Some(end) = self.read(cx) {
            return Poll::Ready(end);
        }
        if self.link.is_broken.get() {
            return Poll::Ready(End::Failed);
        }
        if self.link.shard.is_draining() {
            self.drain();
            if self.link.shard.is_cutting() {
                self.link.wake_all();
            }
        }
        self.write();
        let connection = self.link.connection.borrow();
        if connection.is_drained() && self.link.exchanges.get() == 0 && !connection.wants_output() {
            return Poll::Ready(End::Done);
        }
        drop(connection);
        // To be woken when there is room again. Of a failure the receive in flight tells.
        let _ = self.transport.poll_below(cx, WAITING_BYTES_MAX / 2);
        self.poll_late(cx, deadline)
    }

    /// Takes what has come. What the client does not read of our frames keeps it from being heard.
    fn read(&mut self, cx: &Context<'_>) -> Option<End> {
        for _ in 0..RECEIVES_MAX {
            if self.transport.bytes_waiting() > 2 * WAITING_BYTES_MAX {
                return None;
            }
            let mode = if self.received_bytes >= LARGE_BYTES { ReadMode::Body } else { ReadMode::Head };
            let received = match self.transport.poll_recv(cx, mode) {
                Poll::Pending => return None,
                Poll::Ready(Ok(Some(received))) => received,
                Poll::Ready(_) => return Some(End::Gone),
            };
            self.received_bytes = received.len();
            if let Err(error) = self.take(received) {
                return Some(End::Broken(error));
            }
        }
        cx.waker().wake_by_ref();
        None
    }

    /// Takes bytes apart.
    fn take(&mut self, received: Chunk) -> Result<(), ConnectionError> {
        let now_us = now_us();
        let shard = Rc::clone(&self.link.shard);
        let mut incoming = shard.incoming.borrow_mut();
        let mut at = 0;
        while at < received.len() {
            let handled = self.link.connection.borrow_mut().handle_bytes(&received[at..], &mut incoming, now_us)?;
            if let Some(event) = handled.event {
                self.heed(event, &received, at, &mut incoming);
            }
            at += handled.consumed;
        }
        let connection = self.link.connection.borrow();
        self.partial = connection.partial_unit().map(|unit| match self.partial {
            Some((same, since)) if same == unit => (unit, since),
            _ => (unit, ring::now()),
        });
        if let Some(budget) = connection.calm().filter(|_| !self.is_calmed) {
            (self.is_calmed, self.is_draining) = (true, true);
            self.link.shard.counters.http2_budgets[budget.index()].add(1);
            tracing::debug!(client = self.link.client.text(), budget = budget.name(), "a client is told to calm down");
        }
        Ok(())
    }

    /// Deals with what bytes have meant, `received` from `at` on.
    fn heed(&mut self, event: Event, received: &Chunk, at: usize, incoming: &mut Incoming) {
        match event {
            Event::Head { stream, end } => self.begin(stream, end, incoming),
            Event::Malformed { stream, error } => self.refuse(stream, &error),
            Event::Data { stream, range, end } => {
                let data = received.slice(at + range.start..at + range.end);
                let bytes = data.len();
                let taken = self.link.with_flow(stream, |flow| {
                    if bytes > 0 {
                        flow.inbound.push(data);
                    }
                    flow.is_received |= end;
                    flow.wake();
                });
                if taken.is_none() {
                    self.link.release(stream, bytes);
                }
            }
            Event::Trailers { stream } => {
                let trailers = Box::new(std::mem::take(&mut incoming.trailers));
                self.link.with_flow(stream, |flow| {
                    (flow.trailers, flow.is_received) = (Some(trailers), true);
                    flow.wake();
                });
            }
            Event::Reset { stream, code, by } => {
                tracing::trace!(stream = stream.id, %code, "a stream was reset");
                let error = match by {
                    ResetBy::Peer => Error::CLIENT_LEFT,
                    ResetBy::Us => Error::CLIENT_MALFORMED,
                };
                let counters = &self.link.shard.counters;
                match by {
                    ResetBy::Peer => counters.http2_resets_received.add(1),
                    ResetBy::Us => counters.http2_resets_sent.add(1),
                }
                self.link.end(stream, error);
            }
            Event::Settings => self.due = None,
            // Clients push nothing, and what they say of an end of theirs, the end of the connection will say.
            Event::Informational { .. } | Event::GoAway { .. } | Event::Pong => {}
        }
    }

    /// Begins the exchange of a request whose head has come.
    fn begin(&mut self, key: StreamKey, is_whole: bool, incoming: &mut Incoming) {
        let link = &self.link;
        let serving = link.shard.serving();
        let mut request = link.shard.take_request();
        let mut bytes = Buffer::with_room(HEAD_ROOM_BYTES);
        // What it takes instead is room for the next.
        std::mem::swap(&mut request.head, &mut incoming.request);
        std::mem::swap::<Vec<u8>>(&mut bytes, &mut incoming.bytes);
        request.bytes = bytes.freeze();
        link.shard.count_request();
        link.shard.counters.http2_requests.add(1);
        let flow = link.begin(key);
        flow.borrow_mut().is_received = is_whole;
        link.exchanges.set(link.exchanges.get() + 1);
        ring::spawn(stream::exchange(Rc::clone(link), flow, key, serving.clone(), request));
        self.requests = self.requests.saturating_add(1);
        if self.requests == serving.plan.limits.requests_per_connection_max {
            link.shard.counters.hit(Limit::RequestsPerConnection);
            self.drain();
        }
    }

    /// Answers a request whose head did not pass the gate.
    fn refuse(&mut self, stream: StreamKey, refused: &HeadError) {
        let kind = if matches!(refused.status(), 414 | 431) { Kind::TooLarge } else { Kind::Malformed };
        let mut error = Error::new(Side::Client, kind, refused.status());
        error.limit = limit_of(refused);
        tracing::debug!(client = self.link.client.text(), %refused, "HTTP/2: a request is refused");
        answer::record_refusal(&self.link.shard, &self.link.client, error, ring::now());
        let edits = answer::edits(&error, &Edits::new());
        let mut connection = self.link.connection.borrow_mut();
        if connection.send_status(stream, error.status, ("", 0), &edits, true).is_ok() {
            // RFC 9113 §8.1: whatever is to come of it is of no use.
            connection.reset(stream, ErrorCode::NO_ERROR, Culprit::Us);
        }
    }

    /// Takes no more requests.
    fn drain(&mut self) {
        if !std::mem::replace(&mut self.is_draining, true) {
            self.link.connection.borrow_mut().drain();
        }
    }

    /// Writes what is to be sent, as far as the socket has room.
    fn write(&mut self) {
        let is_secure = !self.transport.is_plain();
        let room = match self.link.exchanges.get() {
            0 => IDLE_ROOM_BYTES,
            _ if is_secure => SECURE_ROOM_BYTES,
            _ => ROOM_BYTES,
        };
        while self.link.connection.borrow().wants_output() && self.transport.bytes_waiting() < WAITING_BYTES_MAX {
            let mut out = Buffer::with_room(room);
            let mut is_more = true;
            while is_more && out.len() < room {
                let output = self.link.connection.borrow_mut().poll_output(&mut out);
                match output {
                    None => is_more = false,
                    Some(Output::Trailers { stream }) => self.write_trailers(stream),
                    Some(Output::Data { stream, bytes, end }) => {
                        let copied_max = if is_secure { usize::MAX } else { COPIED_BYTES_MAX };
                        out = self.write_data((stream, bytes, end), out, copied_max, room);
                    }
                }
            }
            self.transport.write(out.freeze());
            if !is_more {
                return;
            }
        }
    }

    /// Writes the payload of a frame of data, whose header stands at the end of `out`; what is too large to be copied goes to the socket
    /// behind that. Returns what the next frame goes to.
    fn write_data(
        &mut self,
        (stream, bytes, is_end): (StreamKey, usize, bool),
        mut out: Buffer,
        copied_max: usize,
        room: usize,
    ) -> Buffer {
        let transport = &mut self.transport;
        let taken = self.link.with_flow(stream, |flow| {
            let mut left = bytes;
            while left > 0 {
                let chunk = flow.take_outbound(left);
                assert!(!chunk.is_empty(), "what was queued is there");
                left -= chunk.len();
                if chunk.len() <= copied_max {
                    out.extend_from_slice(&chunk);
                } else {
                    let before = std::mem::replace(&mut out, Buffer::with_room(room));
                    transport.write(before.freeze());
                    transport.write(chunk);
                }
            }
            flow.is_sent = is_end;
            flow.wake();
            is_end && flow.is_received
        });
        self.link.uncount(bytes);
        if taken == Some(true) {
            self.link.forget(stream);
        }
        out
    }

    fn write_trailers(&mut self, stream: StreamKey) {
        let trailers = self.link.with_flow(stream, |flow| {
            flow.is_sent = true;
            flow.wake();
            flow.outbound_trailers.take()
        });
        let trailers = trailers.flatten().unwrap_or_default();
        // A stream that is gone needs none.
        let _ = self.link.connection.borrow_mut().send_trailers(stream, &trailers);
    }

    /// Ready when somebody has taken too long.
    fn poll_late(&mut self, cx: &Context<'_>, deadline: &mut Deadline) -> Poll<End> {
        let serving = self.link.shard.serving();
        let timeouts = &serving.plan.timeouts;
        let now = ring::now();
        let is_idle = self.link.exchanges.get() == 0;
        self.idle_since = if is_idle { self.idle_since.or(Some(now)) } else { None };
        self.is_shrunk &= is_idle;
        let (mut due, mut limit) = match (self.due, self.partial, self.idle_since) {
            (Some(due), ..) => (due, Limit::HeadTime),
            (None, Some((_, since)), _) => (since + timeouts.head, Limit::HeadTime),
            (None, None, Some(since)) => (since + timeouts.keep_alive, Limit::KeepAlive),
            (None, None, None) => {
                deadline.clear();
                return Poll::Pending;
            }
        };
        if let Some(until) = self.link.shard.idle_until().filter(|_| is_idle) {
            due = due.min(until);
            limit = Limit::KeepAlive;
        }
        if due <= now {
            return Poll::Ready(if self.link.shard.is_draining() { End::Done } else { End::Late(limit) });
        }
        let shrink_at = self.idle_since.filter(|_| !self.is_shrunk).map(|since| since + SHRINK_AFTER);
        deadline.set_at(shrink_at.map_or(due, |at| at.min(due)));
        ready!(deadline.poll(cx));
        if shrink_at.is_some_and(|at| at <= ring::now()) && !self.link.connection.borrow().wants_output() {
            self.link.shrink();
        }
        self.is_shrunk = true;
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Takes note of the end, and tells with which word the client is told, if it is.
    fn note(&mut self, end: &End) -> Option<ErrorCode> {
        let shard = &self.link.shard;
        let code = match end {
            End::Gone => None,
            End::Done => Some(ErrorCode::NO_ERROR),
            End::Late(limit) => {
                match limit {
                    Limit::KeepAlive => shard.counters.hit(*limit),
                    _ => {
                        let error = Error::new(Side::Client, Kind::TimedOut, 408).by(*limit);
                        answer::record_refusal(shard, &self.link.client, error, ring::now());
                    }
                }
                Some(ErrorCode::NO_ERROR)
            }
            End::Broken(error) => {
                tracing::debug!(client = self.link.client.text(), %error, "HTTP/2: the connection is broken");
                if let ConnectionError::Budget(budget) = error
                    && !self.is_calmed
                {
                    shard.counters.http2_budgets[budget.index()].add(1);
                }
                answer::record_refusal(shard, &self.link.client, Error::CLIENT_MALFORMED, ring::now());
                Some(error.code())
            }
            End::Failed => Some(ErrorCode::INTERNAL_ERROR),
        };
        self.link.end_all(Error::CLIENT_LEFT);
        code
    }

    /// Closes so that the client can read all that was sent.
    async fn close(&mut self, code: ErrorCode, deadline: &mut Deadline) {
        self.link.connection.borrow_mut().go_away(code);
        self.write();
        self.transport.end();
        deadline.set(self.link.shard.serving().plan.timeouts.body_idle);
        let flushed = poll_fn(|cx| match self.transport.poll_below(cx, 0) {
            Poll::Ready(flushed) => Poll::Ready(flushed.is_ok()),
            Poll::Pending => deadline.poll(cx).map(|()| {
                self.link.shard.counters.hit(Limit::BodyIdle);
                false
            }),
        });
        if !flushed.await {
            return;
        }
        deadline.set(LINGER);
        poll_fn(|cx| {
            while let Poll::Ready(received) = self.transport.poll_drain(cx) {
                if !received {
                    return Poll::Ready(());
                }
            }
            deadline.poll(cx)
        })
        .await;
    }
}

/// The limit that a refused head has met, if it has.
fn limit_of(refused: &HeadError) -> Option<Limit> {
    match refused {
        HeadError::TooLarge(Excess::Head { .. }) | HeadError::Request(RequestError::HeadTooLarge { .. }) => {
            Some(Limit::HeadBytes)
        }
        HeadError::TooLarge(Excess::Target { .. }) | HeadError::Request(RequestError::TargetTooLong { .. }) => {
            Some(Limit::UriBytes)
        }
        HeadError::TooLarge(Excess::Fields { .. } | Excess::Crumbs { .. })
        | HeadError::Request(RequestError::FieldsTooMany { .. }) => Some(Limit::Fields),
        HeadError::TooLarge(Excess::Field { .. }) | HeadError::Request(RequestError::FieldTooLarge { .. }) => {
            Some(Limit::FieldBytes)
        }
        _ => None,
    }
}

/// The tick's time, as the connection counts it.
fn now_us() -> u64 {
    u64::try_from(ring::now().since_start().as_micros()).unwrap_or(u64::MAX)
}
