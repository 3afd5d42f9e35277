//! A connection while a request has it, and what the request says of the server.

use std::ops::{Deref, DerefMut};
use std::rc::Rc;

use ring::Instant;

use super::{Admitted, Pool};
use crate::client::Client;
use crate::deadline::Deadline;
use crate::outcome::Error;
use crate::tuning::wire_limits;
use crate::upstream::health::Verdict;
use crate::upstream::http1::Http1Upstream;
use crate::upstream::server::{Ticket, Tried};

/// A connection in use. When dropped it is closed; [`Lease::give_back`] keeps it.
pub(crate) struct Lease {
    connection: Option<Box<Http1Upstream>>,
    pool: Rc<Pool>,
    ticket: Ticket,
    /// Whether it served another exchange before.
    pub(crate) reused: bool,
}

impl Pool {
    /// An idle connection to the server of `ticket`: what nearly every request gets. The ticket if there is none.
    pub(crate) fn lease_idle(self: &Rc<Self>, ticket: Ticket) -> Result<Lease, Ticket> {
        match self.idle(&ticket) {
            Some(connection) => Ok(self.reuse(connection, ticket)),
            None => Err(ticket),
        }
    }

    fn reuse(self: &Rc<Self>, mut connection: Box<Http1Upstream>, ticket: Ticket) -> Lease {
        connection.limit(wire_limits(&self.plan));
        Lease { connection: Some(connection), pool: Rc::clone(self), ticket, reused: true }
    }

    /// A connection for `client` to the server of `ticket`: an idle one, unless `fresh` is asked for or there is none, else a
    /// new one. A server that cannot be connected to counts as tried.
    ///
    /// # Errors
    /// 503 if no connection was to be had in time, else why none could be opened.
    pub(crate) async fn lease(
        self: &Rc<Self>,
        client: &Client,
        ticket: Ticket,
        tried: &mut Tried,
        fresh: bool,
        deadline: &mut Deadline,
    ) -> Result<Lease, Error> {
        let place = match self.admit(&ticket, fresh, deadline).await? {
            Admitted::Idle(connection) => return Ok(self.reuse(connection, ticket)),
            Admitted::New(place) => place,
        };
        let transport = self.connect(&ticket, self.secure(), client, tried).await?;
        let connection = Http1Upstream::new(transport, wire_limits(&self.plan), ticket.authority());
        // The place is the lease's from here on.
        std::mem::forget(place);
        Ok(Lease { connection: Some(Box::new(connection)), pool: Rc::clone(self), ticket, reused: false })
    }
}

impl Lease {
    /// A request is about to be sent.
    pub(crate) fn begin(&self) {
        self.pool.begin(&self.ticket);
    }

    /// Keeps the connection for the next request, if it is fit for one.
    pub(crate) fn give_back(mut self) {
        if let Some(connection) = self.connection.take_if(|connection| connection.is_reusable()) {
            self.pool.keep(&self.ticket, connection);
        }
    }

    /// The connection, and who judges the server by it.
    pub(crate) fn split(&mut self) -> (&mut Http1Upstream, Judge<'_>) {
        let connection = self.connection.as_mut().expect("a lease that was handed out has its connection");
        (connection, Judge { pool: &self.pool, ticket: &self.ticket })
    }

    /// The response has been passed on whole: a success, unless its status was a failure, which has been told.
    pub(crate) fn acquit(&self) {
        self.judge().acquit();
    }

    /// The server failed this request.
    pub(crate) fn condemn(&self) {
        self.judge().condemn();
    }

    fn judge(&self) -> Judge<'_> {
        self.pool.judge_of(&self.ticket)
    }

    /// The request is not to be sent to this server again.
    pub(crate) fn mark_tried(&self, tried: &mut Tried) {
        tried.add(&self.ticket);
    }
}

/// Judges the server of one request by its answer.
pub(crate) struct Judge<'a> {
    pub(super) pool: &'a Pool,
    pub(super) ticket: &'a Ticket,
}

impl Judge<'_> {
    /// The response has been passed on whole, as [`Lease::acquit`].
    pub(crate) fn acquit(&self) {
        if !self.ticket.failed.get() {
            self.pool.judge(self.ticket, Verdict::Success);
        }
    }

    /// The server failed this request.
    pub(crate) fn condemn(&self) {
        self.pool.judge(self.ticket, Verdict::Failure);
    }

    /// The server's answer has begun, with this status. That alone is no success yet, since it may break off, but it ends a
    /// trial, since it may take for ever.
    pub(crate) fn answered(&self, status: u16) {
        if self.pool.counts_as_failure(status) {
            self.pool.judge(self.ticket, Verdict::Failure);
        } else if self.ticket.on_trial.get() {
            self.pool.judge(self.ticket, Verdict::Success);
        }
    }

    /// The head of an answer has come, to a request whose end was sent at `sent`.
    pub(crate) fn measure_head(&self, sent: Instant) {
        let took = || ring::now().saturating_duration_since(sent);
        self.pool.count(|tally| tally.head_latency.record(took()));
        self.ticket.count(|tally| {
            tally.heads.add(1);
            tally.heads_us.add(took().as_micros() as u64);
        });
    }

    /// Whether another server could be asked, if this one is not to be asked again either.
    pub(crate) fn has_other(&self, tried: &Tried) -> bool {
        self.pool.has_left(tried, Some(self.ticket))
    }
}

impl Deref for Lease {
    type Target = Http1Upstream;

    fn deref(&self) -> &Http1Upstream {
        self.connection.as_ref().expect("a lease that was handed out has its connection")
    }
}

impl DerefMut for Lease {
    fn deref_mut(&mut self) -> &mut Http1Upstream {
        self.connection.as_mut().expect("a lease that was handed out has its connection")
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(connection) = self.connection.take() {
            self.pool.close(connection);
        }
    }
}
