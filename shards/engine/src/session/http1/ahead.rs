//! Requests that a client has pipelined, and that were sent to the upstream before their turn to be answered came.
//!
//! Where the request under way shares its connection to the upstream (see [`Lead`]), those behind it follow over the same one: as
//! many as wait in the inbox, up to a bound, until one comes that may not. That one is kept as it was read. Each is then
//! answered in its turn, by an exchange like any other.
//!
//! ```text
//!  inbox ─ look_ahead ─► queue ─ take_ahead ─► exchange::run, which finds the place that it was sent from
//! ```

use std::collections::VecDeque;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use plan::Plan;
use ring::Instant;
use wire::h1::{Parsed, parse_request};

use super::Http1;
use crate::client::Client;
use crate::exchange::{self, Request};
use crate::handler::coalesce::Lead;
use crate::outcome::{Error, Outcome};
use crate::shard::Serving;
use crate::tuning::wire_limits;
use crate::upstream::coalesce::Seat;
use crate::upstream::server::Ticket;

/// Requests of one connection that may be sent ahead of their turn.
const AHEAD_MAX: usize = 16;

/// The requests that have been read ahead; nothing is kept of clients that do not pipeline.
#[derive(Default)]
pub(super) struct Ahead(Option<Box<Queue>>);

struct Queue {
    waiting: VecDeque<Waiting>,
    /// Of the request under way: when it was sent, and from which place, until that is taken.
    sent: Option<Instant>,
    place: Option<(Seat, Ticket)>,
    /// Bytes of the inbox in which no next request was found.
    bytes_seen: usize,
}

/// A request whose head has been read.
struct Waiting {
    request: Box<Request>,
    serving: Rc<Serving>,
    began: Instant,
    /// Its place with the upstream, if it was sent.
    place: Option<(Seat, Ticket)>,
}

impl Ahead {
    /// Whether any has been read of late.
    #[inline]
    pub(super) fn is_begun(&self) -> bool {
        self.0.is_some()
    }

    /// Whether a request has been read that waits for its turn.
    #[inline]
    pub(super) fn is_waiting(&self) -> bool {
        self.0.as_ref().is_some_and(|queue| !queue.waiting.is_empty())
    }

    /// When the request under way was sent, if that was ahead of its turn.
    #[inline]
    pub(super) fn sent(&self) -> Option<Instant> {
        self.0.as_ref().and_then(|queue| queue.sent)
    }

    pub(super) fn take_place(&mut self) -> Option<(Seat, Ticket)> {
        self.0.as_mut().and_then(|queue| queue.place.take())
    }
}

impl Http1 {
    /// Takes up the request whose turn it is, if it has been read already, instead of the one that `request` was. Returns by what
    /// it is served.
    pub(super) fn take_ahead(&mut self, request: &mut Box<Request>) -> Option<Rc<Serving>> {
        let queue = self.ahead.0.as_mut()?;
        let Some(next) = queue.waiting.pop_front() else {
            self.ahead.0 = None;
            return None;
        };
        let Waiting { request: read, serving, began, place } = next;
        queue.sent = place.is_some().then_some(began);
        queue.place = place;
        self.shard.give_back(std::mem::replace(request, read));
        self.connection.take_up(&request.head, &wire_limits(&serving.plan));
        self.begin_request(request);
        Some(serving)
    }

    /// Reads the requests behind the one under way, and sends them behind `lead`, as far as that may be.
    pub(super) fn send_ahead(&mut self, lead: &Lead<'_>) {
        let serving = self.shard.serving();
        while self.may_read_ahead(&serving.plan) {
            let mut request = self.shard.take_request();
            if !self.read_ahead(&serving.plan, &mut request) {
                return self.shard.give_back(request);
            }
            let place = lead.follow(&serving, &mut request);
            let waiting = Waiting { request, serving: Rc::clone(&serving), began: ring::now(), place };
            self.queue().waiting.push_back(waiting);
        }
    }

    fn queue(&mut self) -> &mut Queue {
        self.ahead.0.get_or_insert_with(|| {
            let waiting = VecDeque::with_capacity(AHEAD_MAX);
            Box::new(Queue { waiting, sent: None, place: None, bytes_seen: 0 })
        })
    }

    /// Whether another request may follow on this connection, and it is of use to know it now.
    fn may_read_ahead(&self, plan: &Plan) -> bool {
        if !self.connection.persistent() || self.shard.is_draining() {
            return false;
        }
        let (waiting, last) = match &self.ahead.0 {
            Some(queue) => (queue.waiting.len(), queue.waiting.back()),
            None => (0, None),
        };
        // Behind one that had to wait, or that closes, none is sent.
        let goes_on = last.is_none_or(|last| last.place.is_some() && last.request.head.persistent());
        let requests_max = plan.limits.requests_per_connection_max as usize;
        let is_one_more = requests_max == 0 || self.requests as usize + waiting < requests_max;
        waiting < AHEAD_MAX && goes_on && is_one_more
    }

    /// Reads the next request's head, if it is there as a whole. What is wrong with it shows when its turn comes.
    fn read_ahead(&mut self, plan: &Plan, request: &mut Request) -> bool {
        loop {
            let (bytes, limits) = (self.inbox.bytes(), wire_limits(plan));
            let seen = self.ahead.0.as_ref().map_or(0, |queue| queue.bytes_seen);
            if bytes.len() > seen
                && let Ok(Parsed::Complete(len)) = parse_request(bytes, &limits, &mut request.head)
            {
                request.bytes = self.inbox.take(len);
                self.queue().bytes_seen = 0;
                return true;
            }
            let len = bytes.len();
            self.queue().bytes_seen = len;
            if !self.take_queued() {
                return false;
            }
        }
    }

    /// Takes bytes that have come meanwhile.
    fn take_queued(&mut self) -> bool {
        if self.transport.bytes_queued() == 0 {
            return false;
        }
        // They are there. Where they are not the whole of a record, the exchange registers for the rest before it waits.
        let cx = Context::from_waker(Waker::noop());
        matches!(self.inbox.poll_fill(&mut self.transport, &cx, self.expected), Poll::Ready(Ok(true)))
    }

    /// The connection ends before the requests that were sent ahead have been answered: each leaves a record of it, as the upstream
    /// has seen it.
    pub(super) fn abandon_ahead(&mut self, client: &Client, outcome: Outcome) {
        let Some(queue) = self.ahead.0.take() else { return };
        let error = match outcome {
            Outcome::Failed(error) => error,
            Outcome::Completed => Error::CLIENT_LEFT,
        };
        for Waiting { request, serving, began, place } in queue.waiting {
            if place.is_some() {
                self.shard.count_request();
                exchange::abandon(&self.shard, &serving, client, &request, began, error);
            }
            self.shard.give_back(request);
        }
    }
}
