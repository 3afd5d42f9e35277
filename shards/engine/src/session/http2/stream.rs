//! One stream of a client's connection, as its exchange sees it.

use std::future::poll_fn;
use std::io;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use plan::Plan;
use ring::Chunk;
use wire::h1::{Edits, ResponseFraming, Trailers};
use wire::h2::{Culprit, ErrorCode, StreamKey};
use wire::{BodyLength, Method, ResponseHead, Version};

use super::flow::Shared;
use super::link::Link;
use crate::deadline::Deadline;
use crate::exchange::{self, Request};
use crate::outcome::{Error, Kind, Limit, Side};
use crate::session::answer::{self, TEXT_PLAIN};
use crate::shard::Serving;
use crate::streams::{BodyPart, Downstream, Sink, Source, TunnelEnd};

/// Bytes that may be left to the connection to send when their exchange is over, where the stream's window has room for them.
const LEFT_BYTES_MAX: usize = 16 << 10;

/// A stream, from its request's head to the last byte of its response.
pub(super) struct Http2Stream {
    link: Rc<Link>,
    flow: Shared,
    key: StreamKey,
    answer: Answer,
    /// The request's.
    method: Method,
    status: Option<u16>,
    bytes_received: u64,
    bytes_sent: u64,
    /// Those of the request, once it has been read to its end.
    trailers: Option<Box<Trailers>>,
    /// Nothing is left to be done for it here.
    is_settled: bool,
}

/// How far the response has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    Awaited,
    Begun,
    /// All of it has been given to the connection.
    Ended,
}

/// Serves the request on the stream `key`.
pub(super) async fn exchange(
    link: Rc<Link>,
    flow: Shared,
    key: StreamKey,
    serving: Rc<Serving>,
    mut request: Box<Request>,
) {
    let began = ring::now();
    let mut down = Http2Stream::new(Rc::clone(&link), flow, key, request.head.method());
    let left = down.flow.borrow().gone;
    if let Some(error) = left {
        // The client took it back before anybody has seen it: an upstream need not.
        request.forget();
        exchange::abandon(&link.shard, &serving, &link.client, &request, began, error);
    } else {
        let mut deadline = Deadline::new();
        exchange::run(&link.shard, &serving, &link.client, &mut request, &mut down, &mut deadline).await;
        down.settle(&serving.plan, &mut deadline).await;
    }
    down.is_settled = true;
    link.shard.give_back(request);
}

impl Http2Stream {
    fn new(link: Rc<Link>, flow: Shared, key: StreamKey, method: Method) -> Http2Stream {
        Http2Stream {
            link,
            flow,
            key,
            answer: Answer::Awaited,
            method,
            status: None,
            bytes_received: 0,
            bytes_sent: 0,
            trailers: None,
            is_settled: false,
        }
    }

    /// Waits until the response has left, where the client holds it up, for as long as it may.
    async fn settle(&mut self, plan: &Plan, deadline: &mut Deadline) {
        if self.answer != Answer::Ended || self.is_left_to_connection() {
            return;
        }
        let bytes = self.flow.borrow().outbound_bytes;
        let rate = plan.limits.body_rate_min;
        let seconds = if rate == 0 { f64::from(u32::MAX) } else { bytes as f64 / f64::from(rate) };
        let due = ring::now() + plan.timeouts.body_rate_grace + Duration::from_secs_f64(seconds);
        let (mut left, mut late) = (usize::MAX, Limit::BodyIdle);
        let limit = poll_fn(|cx| {
            let mut flow = self.flow.borrow_mut();
            if flow.gone.is_some() || flow.is_sent {
                return Poll::Ready(None);
            }
            flow.wait(cx);
            if std::mem::replace(&mut left, flow.outbound_bytes) != flow.outbound_bytes {
                let idle = ring::now() + plan.timeouts.body_idle;
                late = if due < idle { Limit::BodyRate } else { Limit::BodyIdle };
                deadline.set_at(idle.min(due));
            }
            if self.link.shard.is_cutting() {
                return Poll::Ready(Some(Limit::Drain));
            }
            deadline.poll(cx).map(|()| Some(late))
        });
        if let Some(limit) = limit.await {
            self.link.shard.counters.hit(limit);
            self.reset(ErrorCode::CANCEL, Culprit::Peer);
        } else if !self.flow.borrow().is_received {
            // RFC 9113 §8.1: the answer is whole, and the rest of the request is of no use.
            self.reset(ErrorCode::NO_ERROR, Culprit::Us);
        }
    }

    /// Whether what is left to send needs nobody to watch over it: the window has room for it, and the request has come whole.
    fn is_left_to_connection(&self) -> bool {
        let flow = self.flow.borrow();
        let (of_stream, of_connection) = self.link.connection.borrow().send_windows(self.key);
        let window = of_stream.min(of_connection) as usize;
        flow.is_sent || (flow.is_received && flow.outbound_bytes <= LEFT_BYTES_MAX.min(window))
    }

    fn reset(&mut self, code: ErrorCode, culprit: Culprit) {
        self.link.connection.borrow_mut().reset(self.key, code, culprit);
        self.link.end(self.key, Error::CLIENT_LEFT);
        self.link.shard.counters.http2_resets_sent.add(1);
        self.answer = Answer::Ended;
        self.link.stir();
    }

    /// Gives the connection a head that ends the response, or begins it.
    fn begin(&mut self, status: u16, is_end: bool) {
        self.status = Some(status);
        self.answer = if is_end { Answer::Ended } else { Answer::Begun };
        self.flow.borrow_mut().is_sent = is_end;
    }

    fn gone(&self) -> Error {
        self.flow.borrow().gone.unwrap_or(Error::CLIENT_LEFT)
    }
}

impl Drop for Http2Stream {
    fn drop(&mut self) {
        let link = &self.link;
        link.exchanges.set(link.exchanges.get() - 1);
        if !self.is_settled {
            link.is_broken.set(true);
        }
        let is_over = {
            let flow = self.flow.borrow();
            flow.gone.is_some() || (flow.is_sent && flow.is_received)
        };
        if is_over {
            link.end(self.key, Error::CLIENT_LEFT);
        }
        if link.exchanges.get() == 0 || !self.is_settled {
            link.stir();
        }
        link.shard.flows.give_back(std::mem::take(&mut self.flow));
    }
}

/// Its bodies lie in frames, and cannot pass from socket to socket.
impl Source for Http2Stream {}
impl Sink for Http2Stream {}

impl Downstream for Http2Stream {
    type Tunnel<'a> = &'a mut Http2Stream;

    fn poll_body(&mut self, cx: &Context<'_>) -> Poll<Result<BodyPart, Error>> {
        let mut flow = self.flow.borrow_mut();
        if let Some(error) = flow.gone {
            return Poll::Ready(Err(error));
        }
        let Some(data) = flow.inbound.pop() else {
            if flow.is_received {
                self.trailers = flow.trailers.take();
                return Poll::Ready(Ok(BodyPart::End));
            }
            flow.wait(cx);
            return Poll::Pending;
        };
        drop(flow);
        self.bytes_received += data.len() as u64;
        self.link.release(self.key, data.len());
        Poll::Ready(Ok(BodyPart::Data(data)))
    }

    fn trailers(&self) -> Option<&Trailers> {
        self.trailers.as_deref()
    }

    fn send_informational(&mut self, head: &ResponseHead, bytes: &[u8]) {
        // A stream that is gone is noticed elsewhere.
        let _ = self.link.connection.borrow_mut().send_informational(self.key, head, bytes);
    }

    fn send_head(&mut self, head: &ResponseHead, bytes: &[u8], edits: &Edits, body: BodyLength) {
        let framing = ResponseFraming::of(self.method, Version::Http2, head.status(), body);
        let is_end = matches!(framing, ResponseFraming::None | ResponseFraming::Described | ResponseFraming::Exact(0));
        self.begin(head.status(), is_end);
        let _ = self.link.connection.borrow_mut().send_response(self.key, head, bytes, edits, framing, is_end);
    }

    fn send_data(&mut self, data: Chunk) -> Result<(), Error> {
        let bytes = data.len();
        let queued = self.link.connection.borrow_mut().queue_data(self.key, bytes, false);
        if queued.is_err() {
            return Err(self.gone());
        }
        let mut flow = self.flow.borrow_mut();
        flow.outbound.push_back(data);
        flow.outbound_bytes += bytes;
        self.link.count(bytes);
        self.bytes_sent += bytes as u64;
        Ok(())
    }

    fn finish(&mut self, trailers: Option<&Trailers>) -> Result<(), Error> {
        if std::mem::replace(&mut self.answer, Answer::Ended) == Answer::Ended {
            return Ok(());
        }
        let mut connection = self.link.connection.borrow_mut();
        let queued = match trailers {
            None => {
                let mut flow = self.flow.borrow_mut();
                // Where nothing waits, the end is written at once.
                flow.is_sent = flow.outbound_bytes == 0;
                connection.queue_data(self.key, 0, true)
            }
            Some(trailers) => {
                self.flow.borrow_mut().outbound_trailers = Some(Box::new(trailers.clone()));
                connection.queue_trailers(self.key)
            }
        };
        drop(connection);
        queued.map_err(|_| self.gone())
    }

    fn switch(&mut self, head: &ResponseHead, bytes: &[u8], edits: &Edits) {
        // RFC 8441 §5: what a 101 is in HTTP/1, is 200 here.
        self.begin(if head.status() == 101 { 200 } else { head.status() }, false);
        let framing = ResponseFraming::Chunked;
        let _ = self.link.connection.borrow_mut().send_response(self.key, head, bytes, edits, framing, false);
    }

    fn tunnel(&mut self) -> &mut Http2Stream {
        self
    }

    fn count_tunnel(&mut self, _: u64, _: u64) {
        // Its bytes were counted as those of bodies are.
    }

    fn respond(&mut self, status: u16, edits: &Edits) {
        self.begin(status, true);
        let _ = self.link.connection.borrow_mut().send_status(self.key, status, ("", 0), edits, true);
    }

    fn fail(&mut self, error: &Error, edits: &Edits) {
        if self.flow.borrow().gone.is_some() {
            return;
        }
        if self.answer != Answer::Awaited || (error.kind == Kind::Gone && error.side == Side::Client) {
            // The rest is missing, and the stream's end says so.
            let (code, culprit) = match (error.side, error.kind) {
                (Side::Client, Kind::Malformed) => (ErrorCode::PROTOCOL_ERROR, Culprit::Peer),
                (Side::Client, _) => (ErrorCode::CANCEL, Culprit::Peer),
                _ => (ErrorCode::INTERNAL_ERROR, Culprit::Us),
            };
            return self.reset(code, culprit);
        }
        let text = answer::text(error, None);
        let edits = answer::edits(error, edits);
        let is_head = self.method == Method::Head;
        self.begin(error.status, is_head);
        let content = (TEXT_PLAIN, text.len() as u64);
        let sent = self.link.connection.borrow_mut().send_status(self.key, error.status, content, &edits, is_head);
        if sent.is_ok() && !is_head {
            let _ = self.send_data(Chunk::copy_of(text.as_bytes())).and_then(|()| self.finish(None));
            // It is not the answer of an upstream.
            self.bytes_sent -= text.len() as u64;
        }
    }

    fn flush(&mut self) {
        if self.link.connection.borrow().wants_output() {
            self.link.stir();
        }
    }

    fn poll_writable(&mut self, cx: &Context<'_>) -> Poll<Result<(), Error>> {
        let mut flow = self.flow.borrow_mut();
        if let Some(error) = flow.gone {
            return Poll::Ready(Err(error));
        }
        if flow.has_room(self.link.outbound_bytes()) {
            return Poll::Ready(Ok(()));
        }
        flow.wait(cx);
        Poll::Pending
    }

    fn poll_failed(&mut self, cx: &Context<'_>) -> Poll<Error> {
        let mut flow = self.flow.borrow_mut();
        if let Some(error) = flow.gone {
            return Poll::Ready(error);
        }
        flow.wait(cx);
        Poll::Pending
    }

    fn status(&self) -> Option<u16> {
        self.status
    }

    fn request_complete(&self) -> bool {
        self.flow.borrow().is_received
    }

    fn body_bytes_received(&self) -> u64 {
        self.bytes_received
    }

    fn body_bytes_sent(&self) -> u64 {
        self.bytes_sent
    }
}

/// A stream that was opened by an extended CONNECT carries a tunnel in its data. RFC 8441 §5
impl TunnelEnd for &mut Http2Stream {
    fn poll_bytes(&mut self, cx: &Context<'_>, _large: bool) -> Poll<io::Result<Option<Chunk>>> {
        self.poll_body(cx).map(|part| match part {
            Ok(BodyPart::Data(data)) => Ok(Some(data)),
            Ok(BodyPart::End) => Ok(None),
            Err(error) => Err(io::Error::other(error)),
        })
    }

    fn send_bytes(&mut self, bytes: Chunk) {
        // A stream that is gone is noticed by whoever polls for room.
        let _ = self.send_data(bytes);
        self.flush();
    }

    fn poll_room(&mut self, cx: &Context<'_>) -> Poll<io::Result<()>> {
        self.poll_writable(cx).map_err(io::Error::other)
    }

    fn poll_end(&mut self, cx: &Context<'_>) -> Poll<io::Result<()>> {
        self.finish(None).map_err(io::Error::other)?;
        self.flush();
        let mut flow = self.flow.borrow_mut();
        if flow.gone.is_some() || flow.is_sent {
            return Poll::Ready(Ok(()));
        }
        flow.wait(cx);
        Poll::Pending
    }
}
