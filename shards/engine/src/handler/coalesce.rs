//! Asking an upstream over a connection that other requests share.

use std::future::poll_fn;

use wire::{BodyLength, FieldName, FieldNames, Method};

use super::proxy::{Attempt, Attempts, Proxy};
use super::relay::{Ended, Relay};
use crate::deadline::Deadline;
use crate::exchange::Request;
use crate::forward;
use crate::outcome::{Error, Kind, Side};
use crate::streams::{Downstream, Upstream as _};
use crate::upstream::coalesce::{Ending, Seat};
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

impl Proxy<'_> {
    /// Sends `request` over a shared connection and passes the answer on. Returns whether that is done; if not, nothing of an
    /// answer has been passed on, and the request is to be sent on a connection of its own, as `attempts` says.
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
        self.pool.begin(&ticket);
        let policy = &self.pool.policy().retry;
        let judge = || self.pool.judge_of(&ticket);
        let ended = {
            let is_repeatable = policy.attempts > 1 && judge().has_other(&attempts.tried);
            let attempt = Attempt::new(self.pool, judge(), is_repeatable);
            {
                let mut edits = self.shard.request_edits.borrow_mut();
                forward::edit_request(&mut edits, self.plan, self.route, self.client, request);
                seat.send_head(&request.head, &request.bytes, &edits);
            }
            let mut replay = Replay::new(policy, request);
            let mut relay = Relay::new(self, request, down, &mut seat, deadline, &mut replay, attempt);
            poll_fn(|cx| self.unless_cut(relay.poll(cx))).await
        };
        attempts.sent = 1;
        let error = match ended {
            Ok(Ended::Whole) => {
                judge().acquit(seat.response().0.status());
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
