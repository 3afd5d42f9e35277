//! Asking an upstream over a connection that other requests share.

use std::cell::Cell;
use std::future::poll_fn;
use std::rc::Rc;

use wire::{BodyLength, FieldName, FieldNames, Method};

use super::proxy::{Attempt, Attempts, Proxy};
use super::relay::{Ended, Relay};
use crate::deadline::Deadline;
use crate::exchange::{self, Request, Way};
use crate::forward;
use crate::outcome::{Error, Kind, Side};
use crate::shard::Serving;
use crate::streams::{Downstream, Upstream as _};
use crate::upstream::coalesce::{Ending, Seat};
use crate::upstream::pool::Chosen;
use crate::upstream::retry::Replay;
use crate::upstream::server::Ticket;

/// What makes more of a request than a question: it has the connection change its protocol, or waits for leave to go on.
const NOT_SHARED: FieldNames = FieldNames::of(&[FieldName::Upgrade, FieldName::Expect]);

/// Whether a request may share its connection: asking it twice does no harm, and it ends with its head.
pub(super) fn may_share(request: &Request) -> bool {
    matches!(request.head.method(), Method::Get | Method::Head | Method::Options)
        && request.head.body() == BodyLength::None
        && request.head.names().intersection(NOT_SHARED).is_empty()
}

/// A request on a shared connection, for those behind it on its client's connection to follow.
pub(crate) struct Lead<'a> {
    proxy: &'a Proxy<'a>,
    /// What it was balanced by.
    key: u64,
    seat: &'a Seat,
    ticket: &'a Ticket,
}

impl Lead<'_> {
    /// Sends `request` behind this one over the same connection, if it may share one, would go to the same server, and finds
    /// room: then it is not answered any later than it would be if it waited for its turn. `serving` is what is served now.
    pub(crate) fn follow(&self, serving: &Serving, request: &mut Request) -> Option<(Seat, Ticket)> {
        let Proxy { shard, pool, client, .. } = *self.proxy;
        // Where another Plan has come meanwhile, its requests wait until those under the old one are over.
        let Ok(Way::Upstream(route, its_pool)) = exchange::begin(shard, serving, client, request) else { return None };
        let follows = route.coalesce && Rc::ptr_eq(pool, its_pool) && may_share(request);
        if !follows || pool.key(client, request) != self.key {
            return None;
        }
        let (mut seat, ticket) = pool.join_behind(self.seat, self.ticket)?;
        let proxy = Proxy { shard, plan: &serving.plan, route, pool, client, is_stream: Cell::default() };
        proxy.send(request, &mut seat, &ticket);
        Some((seat, ticket))
    }
}

impl Proxy<'_> {
    /// Sends `request` over a shared connection, unless that has been done ahead of its turn. If it is to have a connection of its
    /// own, returns only the choice of the server.
    pub(super) fn sit<D: Downstream>(
        &self,
        request: &Request,
        key: u64,
        down: &mut D,
    ) -> Result<(Seat, Ticket), Option<Chosen>> {
        if let Some(place) = down.take_place() {
            return Ok(place);
        }
        let (mut seat, ticket) = self.pool.join(key, down.is_followed())?;
        self.send(request, &mut seat, &ticket);
        Ok((seat, ticket))
    }

    fn send(&self, request: &Request, seat: &mut Seat, ticket: &Ticket) {
        self.pool.begin(ticket);
        let mut edits = self.shard.request_edits.borrow_mut();
        forward::edit_request(&mut edits, self.plan, self.route, self.client, request);
        seat.send_head(&request.head, &request.bytes, &edits);
    }

    /// Passes on the answer to `request`, which was sent over a shared connection. Returns whether that is done; if not, nothing of
    /// an answer has been passed on, and the request is to be sent on a connection of its own, as `attempts` says.
    ///
    /// # Errors
    /// As [`Proxy::run`].
    pub(super) async fn share<D: Downstream>(
        &self,
        request: &Request,
        (mut seat, ticket): (Seat, Ticket),
        attempts: &mut Attempts,
        down: &mut D,
        deadline: &mut Deadline,
    ) -> Result<bool, Error> {
        down.look_ahead(&Lead { proxy: self, key: attempts.key, seat: &seat, ticket: &ticket });
        let policy = &self.pool.policy().retry;
        let judge = || self.pool.judge_of(&ticket);
        let ended = {
            let tried = (policy.attempts > 1).then_some(&attempts.tried);
            let attempt = Attempt::new(self.pool, judge(), tried);
            let mut replay = Replay::new(policy, request);
            let sent = seat.sent();
            let mut relay = Relay::new(self, request, down, &mut seat, deadline, &mut replay, attempt);
            relay.sent_at(sent);
            poll_fn(|cx| self.unless_cut(relay.poll(cx))).await
        };
        attempts.sent = 1;
        let error = match ended {
            Ok(Ended::Whole) => {
                judge().acquit();
                return Ok(true);
            }
            // The budget has been asked, and the server judged.
            Ok(Ended::Withheld) => {
                attempts.avoid(&ticket);
                return Ok(false);
            }
            Ok(Ended::Switched) => unreachable!("the pipeline takes no switch"),
            Err(error) => error,
        };
        // What was answered before does not wait for this.
        down.flush();
        match seat.ending() {
            Some(Ending::Unread) => {
                attempts.sent = 0;
                self.pool.count_retry();
            }
            Some(Ending::Displaced) => {}
            Some(Ending::Lost { is_due }) => {
                if is_due {
                    judge().condemn();
                }
                if policy.attempts < 2 || !self.pool.spend_retry() {
                    return Err(error);
                }
            }
            None => {
                if error.side == Side::Upstream && matches!(error.kind, Kind::Gone | Kind::TimedOut) {
                    judge().condemn();
                }
                return Err(error);
            }
        }
        self.pool.count_resent();
        if seat.ending() != Some(Ending::Unread) && judge().has_other(&attempts.tried) {
            attempts.avoid(&ticket);
        }
        Ok(false)
    }
}
