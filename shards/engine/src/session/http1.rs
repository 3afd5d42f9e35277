//! A client's connection in HTTP/1: one exchange after another, in order. Requests that are pipelined may be with the upstream
//! before their turn comes ([`ahead`]).

mod ahead;

use std::fmt::Display;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use plan::{Limits, Plan};
use ring::{Chunk, Instant, ReadMode, Stream};
use wire::detect::HTTP2_PREFACE;
use wire::h1::{ConnectionOption, Edits, Next, Parsed, ServerConnection, Trailers, write};
use wire::{BodyLength, RequestError, ResponseHead};

use ahead::Ahead;

use super::answer::{self, TEXT_PLAIN};
use super::{LINGER, http2};
use crate::client::Client;
use crate::deadline::Deadline;
use crate::exchange::{self, Request};
use crate::handler::coalesce::Lead;
use crate::inbox::Inbox;
use crate::outbox::Outbox;
use crate::outcome::{Error, Kind, Limit, Outcome, Side};
use crate::plain::Plain;
use crate::refusal::Refusal;
use crate::shard::Membership;
use crate::streams::{BodyPart, Downstream, Sink, Source};
use crate::transport::Transport;
use crate::tuning::{WAITING_BYTES_MAX, expected_mode, poll_run, read_mode, wire_limits};
use crate::upstream::coalesce::Seat;
use crate::upstream::server::Ticket;

/// Bytes of a request's body that are read and thrown away so that its connection can be kept; a client that sends more
/// than that after it was answered is cut off.
const DRAINED_BYTES_MAX: u64 = 256 << 10;

/// The connection and where it stands.
struct Http1 {
    shard: Membership,
    transport: Transport,
    connection: ServerConnection,
    inbox: Inbox,
    outbox: Outbox,
    /// Requests that were read before their turn.
    ahead: Ahead,
    /// By when the first request's head has to be there, until it is waited for.
    head_due: Option<Instant>,
    /// How many requests it has carried.
    requests: u32,
    /// Of the request under way.
    request_length: BodyLength,
    status: Option<u16>,
    body_bytes_sent: u64,
    tunnel_bytes_received: u64,
    /// How the next request is best read: as the last one was large or not. An upload of many parts is a large request after
    /// another, and once its head has come most of a body has come with it.
    expected: ReadMode,
    /// A run of the body has passed by: what comes next is the frame of a chunk, and perhaps another run, which no large
    /// receive shall take.
    passed: bool,
    /// Whether the first request may turn out to be the preface of HTTP/2.
    may_know_http2: bool,
}

/// What the connection does next.
enum Then {
    /// Wait for the next request.
    Idle,
    /// Close, after the client has read what was sent.
    Close,
    /// Close at once: nobody is there.
    Drop,
    /// Go on in HTTP/2, which the client knows to be spoken here: its first request is due then.
    Http2(Instant),
}

/// Serves a client until one side is done. The first request's head is `due` then; where it is the preface of HTTP/2 and the client
/// `may_know` that it is spoken here, HTTP/2 is what follows.
pub(crate) fn serve(
    shard: Membership,
    transport: Transport,
    client: Client,
    due: Instant,
    may_know: bool,
) -> impl Future<Output = ()> {
    let mut session = Http1 {
        shard,
        transport,
        connection: ServerConnection::new(),
        inbox: Inbox::default(),
        outbox: Outbox::default(),
        ahead: Ahead::default(),
        head_due: Some(due),
        requests: 0,
        request_length: BodyLength::None,
        status: None,
        body_bytes_sent: 0,
        tunnel_bytes_received: 0,
        expected: ReadMode::Head,
        passed: false,
        may_know_http2: may_know,
    };
    // Made here and not in the future, which would keep room for the parts beside the whole.
    async move {
        if let Some(due) = session.run(&client).await {
            let Http1 { shard, transport, mut inbox, .. } = session;
            let received = inbox.take(inbox.bytes().len());
            ring::spawn(http2::serve(shard, transport, client, due, received));
        }
    }
}

impl Http1 {
    /// Returns once the connection is over, or with when the first request of HTTP/2 is due.
    #[expect(
        clippy::manual_async_fn,
        reason = "an async fn would keep its arguments twice, and every connection has one"
    )]
    fn run<'a>(&'a mut self, client: &'a Client) -> impl Future<Output = Option<Instant>> + use<'a> {
        async move {
            let mut deadline = Deadline::new();
            loop {
                let due = self.head_due.unwrap_or_else(|| ring::now() + self.shard.serving().plan.timeouts.keep_alive);
                deadline.set_at(due);
                let limit = if self.head_due.is_some() { Limit::HeadTime } else { Limit::KeepAlive };
                if !poll_fn(|cx| self.poll_idle(&mut deadline, limit, cx)).await {
                    // What was answered last may still be on its way, and TLS has a last word.
                    if self.transport.owes() {
                        ring::pooled(|| self.close(&mut deadline)).await;
                    }
                    return None;
                }
                // What works on a request takes more room than an idle connection shall hold.
                match ring::pooled(|| self.work(client, &mut deadline)).await {
                    Then::Idle => {}
                    Then::Close => {
                        ring::pooled(|| self.close(&mut deadline)).await;
                        return None;
                    }
                    Then::Drop => return None,
                    Then::Http2(due) => return Some(due),
                }
            }
        }
    }

    /// Ready with whether bytes have come; `false` when the connection is to be closed instead.
    fn poll_idle(&mut self, deadline: &mut Deadline, limit: Limit, cx: &Context<'_>) -> Poll<bool> {
        self.shard.register(cx);
        if let Poll::Ready(filled) = self.inbox.poll_fill(&mut self.transport, cx, self.expected) {
            return Poll::Ready(filled.unwrap_or(false));
        }
        if let Some(until) = self.shard.idle_until() {
            // Told once of the drain, it waits no longer than that allows.
            if until <= ring::now() {
                return Poll::Ready(false);
            }
            deadline.bring_forward(until);
        }
        ready!(deadline.poll(cx));
        if !self.shard.is_draining() {
            self.shard.counters.hit(limit);
        }
        Poll::Ready(false)
    }

    /// Serves requests for as long as bytes are there.
    #[expect(clippy::manual_async_fn, reason = "as above")]
    fn work<'a>(&'a mut self, client: &'a Client, deadline: &'a mut Deadline) -> impl Future<Output = Then> + use<'a> {
        async move {
            let mut request = self.shard.take_request();
            let (then, outcome) = loop {
                if let Err(error) = self.room(deadline).await {
                    error.limit.inspect(|limit| self.shard.counters.hit(*limit));
                    break (Then::Drop, Outcome::Failed(error));
                }
                // The exchange finishes with the Plan it began with.
                let ahead = if self.ahead.is_begun() { self.take_ahead(&mut request) } else { None };
                let serving = match ahead {
                    Some(serving) => serving,
                    None => {
                        let serving = self.shard.serving();
                        let due = self.head_due.take().unwrap_or_else(|| ring::now() + serving.plan.timeouts.head);
                        if let Err(then) = self.head(&serving.plan, client, &mut request, due, deadline).await {
                            break (then, Outcome::Completed);
                        }
                        serving
                    }
                };
                self.count_request(&serving.plan.limits);
                if self.inbox.is_ended() && self.inbox.is_empty() && !self.ahead.is_waiting() {
                    self.connection.force_close();
                }
                let shard = Rc::clone(&self.shard);
                let outcome = exchange::run(&shard, &serving, client, &mut request, self, deadline).await;
                self.expected = expected_mode(self.connection.body_received(), &serving.plan);
                match self.after_exchange(deadline).await {
                    Next::KeepAlive if !self.inbox.is_empty() || self.ahead.is_waiting() => {}
                    Next::KeepAlive if !self.inbox.is_ended() => break (Then::Idle, outcome),
                    Next::KeepAlive | Next::Close | Next::Drain => break (Then::Close, outcome),
                }
            };
            self.abandon_ahead(client, outcome);
            self.shard.give_back(request);
            then
        }
    }

    /// A client that pipelines requests and reads no answers is not served any faster than it reads.
    async fn room(&mut self, deadline: &mut Deadline) -> Result<(), Error> {
        if self.transport.bytes_waiting() <= WAITING_BYTES_MAX {
            return Ok(());
        }
        // The answer to the next request is not waited for.
        self.outbox.flush(&mut self.transport);
        deadline.set(self.shard.serving().plan.timeouts.body_idle);
        poll_fn(|cx| match self.poll_writable(cx) {
            Poll::Ready(writable) => Poll::Ready(writable),
            Poll::Pending => {
                deadline.poll(cx).map(|()| Err(Error::new(Side::Client, Kind::TimedOut, 408).by(Limit::BodyIdle)))
            }
        })
        .await
    }

    /// The last request that this connection may carry is answered as such.
    fn count_request(&mut self, limits: &Limits) {
        self.shard.count_request();
        self.requests = self.requests.saturating_add(1);
        if self.requests == limits.requests_per_connection_max {
            self.connection.force_close();
            self.shard.counters.hit(Limit::RequestsPerConnection);
        }
    }

    /// Reads the next request's head, or answers why there is none.
    async fn head(
        &mut self,
        plan: &Plan,
        client: &Client,
        request: &mut Request,
        due: Instant,
        deadline: &mut Deadline,
    ) -> Result<(), Then> {
        let limits = wire_limits(plan);
        let began = ring::now();
        let parsed = loop {
            match self.connection.parse_head(self.inbox.bytes(), &limits, &mut request.head) {
                Ok(Parsed::Complete(len)) => break Ok(len),
                Ok(Parsed::Partial) => {}
                Err(_) if self.is_http2() => return Err(Then::Http2(due)),
                Err(error) => break Err(self.refuse(&error)),
            }
            // The rest may take as long as it likes, within the deadline: it shall hold no lease meanwhile.
            self.inbox.settle();
            deadline.set_at(due);
            match poll_fn(|cx| self.poll_more(deadline, cx)).await {
                Ok(true) => {}
                Ok(false) => break Err(Error::CLIENT_TRUNCATED),
                Err(error) => break Err(error),
            }
        };
        match parsed {
            Ok(len) => {
                request.bytes = self.inbox.take(len);
                self.begin_request(request);
                Ok(())
            }
            Err(error) => {
                answer::record_refusal(&self.shard, client, error, began);
                Err(if error.kind == Kind::Gone { Then::Drop } else { Then::Close })
            }
        }
    }

    /// Whether what came first, which is no request, is the preface of HTTP/2 as far as it goes.
    fn is_http2(&self) -> bool {
        let bytes = self.inbox.bytes();
        let seen = bytes.len().min(HTTP2_PREFACE.len());
        self.may_know_http2 && self.requests == 0 && bytes[..seen] == HTTP2_PREFACE[..seen]
    }

    fn begin_request(&mut self, request: &Request) {
        self.request_length = request.head.body();
        (self.status, self.body_bytes_sent, self.passed) = (None, 0, false);
    }

    fn poll_more(&mut self, deadline: &mut Deadline, cx: &Context<'_>) -> Poll<Result<bool, Error>> {
        if let Poll::Ready(filled) = self.inbox.poll_fill(&mut self.transport, cx, self.expected) {
            return Poll::Ready(filled.map_err(Error::client_gone));
        }
        ready!(deadline.poll(cx));
        // No request was parsed, so that the connection's state machine knows of none to be answered.
        let error = Error::new(Side::Client, Kind::TimedOut, 408).by(Limit::HeadTime);
        let text = answer::text(&error, None);
        let length = text.len() as u64;
        let out = self.outbox.bytes();
        write::write_status(out, 408, TEXT_PLAIN, length, &Edits::new(), ConnectionOption::Close);
        out.extend_from_slice(text.as_bytes());
        self.flush();
        Poll::Ready(Err(error))
    }

    /// Answers a head that did not pass the gate.
    fn refuse(&mut self, refused: &RequestError) -> Error {
        let status = refused.status();
        let kind = if matches!(status, 414 | 431) { Kind::TooLarge } else { Kind::Malformed };
        let mut error = Error::new(Side::Client, kind, status);
        error.limit = match refused {
            RequestError::StartLineTooLong { .. } | RequestError::HeadTooLarge { .. } => Some(Limit::HeadBytes),
            RequestError::TargetTooLong { .. } => Some(Limit::UriBytes),
            RequestError::FieldsTooMany { .. } => Some(Limit::Fields),
            RequestError::FieldTooLarge { .. } => Some(Limit::FieldBytes),
            _ => None,
        };
        if self.requests == 0
            && let Some(refusal) = Refusal::of_request(self.inbox.bytes())
        {
            self.shard.counters.refusals[refusal.index()].add(1);
        }
        self.answer(&error, Some(refused), &Edits::new());
        self.flush();
        error
    }

    /// Reads what is left of the request, within bounds.
    async fn after_exchange(&mut self, deadline: &mut Deadline) -> Next {
        let next = self.connection.next();
        if next != Next::Drain {
            return next;
        }
        deadline.set(self.shard.serving().plan.timeouts.body_idle.min(LINGER));
        let before = self.connection.body_received();
        let drained = poll_fn(|cx| {
            while let Poll::Ready(part) = self.poll_body(cx) {
                let too_much = self.connection.body_received() - before > DRAINED_BYTES_MAX;
                match part {
                    Ok(BodyPart::End) => return Poll::Ready(true),
                    Ok(BodyPart::Data(_)) if !too_much => {}
                    Ok(BodyPart::Data(_)) | Err(_) => return Poll::Ready(false),
                }
            }
            deadline.poll(cx).map(|()| false)
        });
        if drained.await { self.connection.next() } else { Next::Close }
    }

    /// Closes so that the client can read all that was sent.
    async fn close(&mut self, deadline: &mut Deadline) {
        self.transport.end();
        deadline.set(self.shard.serving().plan.timeouts.body_idle);
        let flushed = poll_fn(|cx| match self.transport.poll_below(cx, 0) {
            Poll::Ready(flushed) => Poll::Ready(flushed.is_ok()),
            Poll::Pending => deadline.poll(cx).map(|()| {
                self.shard.counters.hit(Limit::BodyIdle);
                false
            }),
        });
        if !flushed.await || self.inbox.is_ended() {
            return;
        }
        deadline.set(LINGER);
        poll_fn(|cx| {
            while let Poll::Ready(received) = self.transport.poll_recv(cx, ReadMode::Head) {
                if !matches!(received, Ok(Some(_))) {
                    return Poll::Ready(());
                }
            }
            deadline.poll(cx)
        })
        .await;
    }

    /// A shard that stops says so in the last answer. Requests that are with the upstream already are still answered.
    fn end_if_draining(&mut self) {
        if self.shard.is_draining() && !self.ahead.is_waiting() {
            self.connection.force_close();
        }
    }

    /// Answers in our own name; `extra` is what the route says besides.
    fn answer(&mut self, error: &Error, detail: Option<&RequestError>, extra: &Edits) {
        let text = answer::text(error, detail.map(|detail| detail as &dyn Display));
        self.status = Some(error.status);
        self.end_if_draining();
        let edits = answer::edits(error, extra);
        self.connection.write_own(self.outbox.bytes(), error.status, TEXT_PLAIN, text.as_bytes(), &edits);
    }
}

impl Source for Http1 {
    fn run_bytes(&self) -> u64 {
        if self.transport.is_plain() { self.connection.body_run() } else { 0 }
    }

    fn poll_run(&mut self, cx: &Context<'_>) -> Poll<u64> {
        poll_run(&mut self.transport, &self.inbox, self.connection.body_run(), cx)
    }

    fn source(&mut self) -> Option<&mut Stream> {
        self.transport.plain()
    }

    fn pass(&mut self, bytes: usize) {
        self.connection.pass_body(bytes as u64);
        self.passed = true;
    }
}

impl Sink for Http1 {
    fn begin_run(&mut self, bytes: u64) -> Result<(), Error> {
        let framing = self.connection.data_framing(bytes as usize).map_err(|_| Error::UPSTREAM_MALFORMED)?;
        self.outbox.begin_run(&mut self.transport, &framing);
        Ok(())
    }

    fn sink(&mut self) -> Option<&mut Stream> {
        self.transport.plain()
    }

    fn count(&mut self, bytes: usize) {
        self.body_bytes_sent += bytes as u64;
    }

    fn end_run(&mut self) {
        self.outbox.end_run();
    }
}

impl Downstream for Http1 {
    type Tunnel<'a> = Plain<'a>;

    fn poll_body(&mut self, cx: &Context<'_>) -> Poll<Result<BodyPart, Error>> {
        loop {
            if self.connection.request_complete() {
                return Poll::Ready(Ok(BodyPart::End));
            }
            if !self.inbox.is_empty() {
                let decoded = self.connection.decode_body(self.inbox.bytes());
                let decoded = decoded.map_err(|error| {
                    tracing::debug!(%error, "malformed request body");
                    Error::CLIENT_MALFORMED
                })?;
                if let Some(data) = self.inbox.take_decoded(&decoded) {
                    return Poll::Ready(Ok(BodyPart::Data(data)));
                }
                continue;
            }
            let mode = match self.expected {
                _ if self.passed => ReadMode::Once,
                ReadMode::Once | ReadMode::Body => ReadMode::Body,
                ReadMode::Head => read_mode(self.request_length, self.connection.body_received()),
            };
            let filled = ready!(self.inbox.poll_fill(&mut self.transport, cx, mode)).map_err(Error::client_gone)?;
            self.passed = false;
            if !filled && self.connection.handle_eof().is_err() {
                return Poll::Ready(Err(Error::CLIENT_TRUNCATED));
            }
        }
    }

    fn trailers(&self) -> Option<&Trailers> {
        self.connection.trailers()
    }

    fn send_informational(&mut self, head: &ResponseHead, bytes: &[u8]) {
        self.connection.write_informational(self.outbox.bytes(), head, bytes);
    }

    fn send_head(&mut self, head: &ResponseHead, bytes: &[u8], edits: &Edits, body: BodyLength) {
        self.status = Some(head.status());
        self.end_if_draining();
        self.connection.write_head(self.outbox.bytes(), head, bytes, edits, body);
    }

    fn send_data(&mut self, data: Chunk) -> Result<(), Error> {
        let framing = self.connection.data_framing(data.len()).map_err(|_| Error::UPSTREAM_MALFORMED)?;
        self.body_bytes_sent += data.len() as u64;
        self.outbox.data(&mut self.transport, &framing, data);
        Ok(())
    }

    fn finish(&mut self, trailers: Option<&Trailers>) -> Result<(), Error> {
        self.connection.finish(self.outbox.bytes(), trailers).map_err(|_| Error::UPSTREAM_MALFORMED)
    }

    fn switch(&mut self, head: &ResponseHead, bytes: &[u8], edits: &Edits) {
        self.status = Some(head.status());
        self.connection.write_switch(self.outbox.bytes(), head, bytes, edits);
    }

    fn tunnel(&mut self) -> Plain<'_> {
        Plain { transport: &mut self.transport, inbox: &mut self.inbox }
    }

    fn count_tunnel(&mut self, received: u64, sent: u64) {
        self.tunnel_bytes_received += received;
        self.body_bytes_sent += sent;
    }

    fn respond(&mut self, status: u16, edits: &Edits) {
        self.status = Some(status);
        self.end_if_draining();
        self.connection.write_own(self.outbox.bytes(), status, "", b"", edits);
    }

    fn fail(&mut self, error: &Error, edits: &Edits) {
        if error.kind == Kind::Gone && error.side == Side::Client {
            return self.connection.force_close();
        }
        if self.connection.response_awaited() {
            // Where the client is at fault, or more of its request may come, the connection is not worth its risk.
            if error.side == Side::Client || !self.connection.request_complete() {
                self.connection.force_close();
            }
            self.answer(error, None, edits);
        } else {
            // The rest is missing, and the connection's end says so.
            self.connection.force_close();
            self.flush();
            self.transport.break_off();
        }
    }

    fn flush(&mut self) {
        // What answers the next request leaves with this, and is written as soon as that has to wait.
        if self.ahead.is_waiting() && self.connection.is_done() && self.outbox.has_room() {
            return;
        }
        self.outbox.flush(&mut self.transport);
    }

    fn poll_writable(&mut self, cx: &Context<'_>) -> Poll<Result<(), Error>> {
        self.transport.poll_below(cx, WAITING_BYTES_MAX).map_err(Error::client_gone)
    }

    fn poll_failed(&mut self, cx: &Context<'_>) -> Poll<Error> {
        // A standing receive notices a reset. The end of the client's side alone is not one: it may still read.
        self.transport.watch(self.expected);
        self.transport.poll_failed(cx).map(Error::client_gone)
    }

    fn status(&self) -> Option<u16> {
        self.status
    }

    fn request_complete(&self) -> bool {
        self.connection.request_complete()
    }

    fn body_bytes_received(&self) -> u64 {
        self.connection.body_received() + self.tunnel_bytes_received
    }

    fn body_bytes_sent(&self) -> u64 {
        self.body_bytes_sent
    }

    fn is_followed(&self) -> bool {
        !self.inbox.is_empty()
    }

    fn look_ahead(&mut self, lead: &Lead<'_>) {
        if !self.inbox.is_empty() || self.transport.bytes_queued() > 0 {
            self.send_ahead(lead);
        }
    }

    fn sent_ahead(&self) -> Option<Instant> {
        self.ahead.sent()
    }

    fn take_place(&mut self) -> Option<(Seat, Ticket)> {
        self.ahead.take_place()
    }
}
