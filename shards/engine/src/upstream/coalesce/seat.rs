//! One request's place on a shared connection.

use std::rc::Rc;
use std::task::{Context, Poll, ready};

use ring::{Chunk, Instant, ReadMode};
use wire::h1::pipeline::{Fate, Ticket};
use wire::h1::write::{self, ConnectionOption};
use wire::h1::{Edits, Parsed, Trailers};
use wire::{BodyLength, Method, RequestHead, ResponseError, ResponseHead};

use super::lane::{Lane, Parts};
use crate::outcome::Error;
use crate::plain::Plain;
use crate::streams::{BodyPart, HeadKind, Sink, Source, Upstream};
use crate::tuning::{read_mode, wire_limits};
use crate::upstream::pool::Pool;

/// A request on a lane. When it is dropped before its answer is whole, the keeper reads that for it.
pub(crate) struct Seat {
    lane: Rc<Lane>,
    pool: Rc<Pool>,
    /// Its place in the order, while its answer is not whole.
    ticket: Option<Ticket>,
    /// The last head that arrived, and its bytes.
    head: Option<Box<ResponseHead>>,
    head_bytes: Chunk,
    trailers: Option<Box<Trailers>>,
    method: Method,
    length: BodyLength,
    /// When the request was sent.
    sent: Instant,
    /// Whether anything of its answer has arrived.
    is_answered: bool,
    /// It stays behind an answer that takes too long, since the budget allows no other way.
    stays: bool,
    ending: Option<Ending>,
}

/// Why a request got no answer from its lane, although nothing is wrong with its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// The server cannot have acted on it, or had closed an idle connection: no fault of anybody.
    Unread,
    /// An answer before it takes too long. The retry that this costs has been taken out of the budget.
    Displaced,
    /// The connection was lost, or was not to be trusted any more. `is_due` says that its own answer was awaited.
    Lost { is_due: bool },
}

impl Seat {
    pub(crate) fn new(lane: Rc<Lane>, pool: &Rc<Pool>) -> Seat {
        Seat {
            lane,
            pool: Rc::clone(pool),
            ticket: None,
            head: None,
            head_bytes: Chunk::default(),
            trailers: None,
            method: Method::Get,
            length: BodyLength::None,
            sent: ring::now(),
            is_answered: false,
            stays: false,
            ending: None,
        }
    }

    pub(super) fn lane(&self) -> &Rc<Lane> {
        &self.lane
    }

    /// When the request was sent, which may be long before its answer's turn.
    pub(crate) fn sent(&self) -> Instant {
        self.sent
    }

    /// Why the lane failed the request, if that was not about its own answer.
    pub(crate) fn ending(&self) -> Option<Ending> {
        self.ending
    }
}

impl Seat {
    /// Not its turn: it waits, unless the lane is lost, or stalled and there is another way.
    fn poll_turn(&mut self, parts: &mut Parts, ticket: Ticket, cx: &Context<'_>) -> Poll<Error> {
        if parts.pipeline.is_over() {
            return Poll::Ready(self.lose(parts, false));
        }
        if parts.is_stalled && !self.stays {
            if self.pool.policy().retry.attempts > 1 && self.pool.spend_retry() {
                self.ending = Some(Ending::Displaced);
                return Poll::Ready(Error::UPSTREAM_GONE);
            }
            self.stays = true;
        }
        let waker = parts.pipeline.tag(ticket).expect("a request has its place until it is answered");
        if !waker.as_ref().is_some_and(|known| known.will_wake(cx.waker())) {
            *waker = Some(cx.waker().clone());
        }
        Poll::Pending
    }

    /// The lane has ended before anything of this answer came.
    fn lose(&mut self, parts: &mut Parts, is_due: bool) -> Error {
        parts.wake_all();
        if !self.is_answered {
            self.ending = Some(match parts.pipeline.fate() {
                Fate::Unread | Fate::Stale => Ending::Unread,
                Fate::Unknown => Ending::Lost { is_due },
            });
        }
        Error::UPSTREAM_GONE
    }

    /// What came breaks the protocol. If nobody had asked for it, that is not about this answer.
    fn refuse(&mut self, parts: &mut Parts, error: &ResponseError) -> Error {
        tracing::debug!(%error, "malformed response on a shared connection");
        if *error == ResponseError::Unsolicited {
            self.is_answered = false;
            return self.lose(parts, false);
        }
        parts.wake_all();
        Error::UPSTREAM_MALFORMED
    }

    fn finish(&mut self, parts: &mut Parts) {
        self.trailers = parts.pipeline.trailers().map(|trailers| Box::new(trailers.clone()));
        self.ticket = None;
        parts.turn();
    }
}

/// Its bodies do not pass from socket to socket: the socket is not its own.
impl Source for Seat {}
impl Sink for Seat {}

impl Upstream for Seat {
    type Tunnel<'a> = Plain<'a>;

    fn tunnel(&mut self) -> Plain<'_> {
        unreachable!("a shared connection does not leave HTTP")
    }

    fn send_head(&mut self, head: &RequestHead, bytes: &[u8], edits: &Edits) {
        let parts = &mut *self.lane.parts.borrow_mut();
        self.method = head.method();
        parts.limits = wire_limits(self.pool.plan());
        if parts.pipeline.is_empty() {
            parts.since = ring::now();
        }
        self.ticket = Some(parts.pipeline.expect(head.method(), parts.received(), None));
        let authority = self.lane.authority.as_bytes();
        write::write_request(parts.outbox(), head, bytes, edits, authority, ConnectionOption::None);
        parts.unsent += 1;
        if parts.unsent == 1 {
            parts.wake_keeper();
        }
    }

    fn send_data(&mut self, _: Chunk) -> Result<(), Error> {
        unreachable!("a request with a body does not share its connection")
    }

    fn finish(&mut self, _: Option<&Trailers>) -> Result<(), Error> {
        Ok(())
    }

    /// The keeper does, for all of the tick.
    fn flush(&mut self) {}

    fn poll_writable(&mut self, _: &Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn poll_head(&mut self, cx: &Context<'_>) -> Poll<Result<HeadKind, Error>> {
        let lane = Rc::clone(&self.lane);
        let parts = &mut *lane.parts.borrow_mut();
        let ticket = self.ticket.expect("an answer follows its request");
        if !parts.pipeline.is_due(ticket) {
            return self.poll_turn(parts, ticket, cx).map(Err);
        }
        if parts.pipeline.is_over() {
            return Poll::Ready(Err(self.lose(parts, true)));
        }
        loop {
            if !parts.inbox.is_empty() {
                self.is_answered = true;
                let head = self.head.get_or_insert_with(|| parts.spare_head.take().unwrap_or_default());
                match parts.pipeline.parse_head(parts.inbox.bytes(), &parts.limits, head) {
                    Ok(Parsed::Complete(len)) => {
                        self.head_bytes = parts.inbox.take(len);
                        self.length = head.body_for(self.method);
                        let is_final = !head.is_informational();
                        return Poll::Ready(Ok(if is_final { HeadKind::Final } else { HeadKind::Informational }));
                    }
                    Ok(Parsed::Partial) => parts.inbox.settle(),
                    Err(error) => return Poll::Ready(Err(self.refuse(parts, &error))),
                }
            }
            if !ready!(parts.poll_fill(cx, ReadMode::Head)) {
                return Poll::Ready(Err(self.lose(parts, true)));
            }
        }
    }

    fn response(&self) -> (&ResponseHead, &[u8]) {
        (self.head.as_ref().expect("a head that was announced is there"), &self.head_bytes)
    }

    fn body_length(&self) -> BodyLength {
        self.length
    }

    fn poll_body(&mut self, cx: &Context<'_>) -> Poll<Result<BodyPart, Error>> {
        if self.ticket.is_none() {
            return Poll::Ready(Ok(BodyPart::End));
        }
        let lane = Rc::clone(&self.lane);
        let parts = &mut *lane.parts.borrow_mut();
        loop {
            if parts.pipeline.is_whole() {
                Seat::finish(self, parts);
                return Poll::Ready(Ok(BodyPart::End));
            }
            if parts.pipeline.is_over() {
                return Poll::Ready(Err(self.lose(parts, true)));
            }
            if !parts.inbox.is_empty() {
                let decoded = match parts.pipeline.decode_body(parts.inbox.bytes()) {
                    Ok(decoded) => decoded,
                    Err(error) => {
                        tracing::debug!(%error, "malformed response body on a shared connection");
                        parts.wake_all();
                        return Poll::Ready(Err(Error::UPSTREAM_MALFORMED));
                    }
                };
                if let Some(data) = parts.inbox.take_decoded(&decoded) {
                    return Poll::Ready(Ok(BodyPart::Data(data)));
                }
                continue;
            }
            let mode = read_mode(self.length, parts.pipeline.body_received());
            if !ready!(parts.poll_fill(cx, mode)) && !parts.pipeline.is_whole() {
                return Poll::Ready(Err(self.lose(parts, true)));
            }
        }
    }

    fn trailers(&self) -> Option<&Trailers> {
        self.trailers.as_deref()
    }

    /// It may have been, from the tick's end on.
    fn has_sent(&self) -> bool {
        true
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let parts = &mut *self.lane.parts.borrow_mut();
        if let Some(mut head) = self.head.take() {
            head.clear();
            parts.spare_head = Some(head);
        }
        if let Some(ticket) = self.ticket {
            parts.pipeline.forsake(ticket);
            parts.wake_keeper();
        }
    }
}
