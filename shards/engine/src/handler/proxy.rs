//! Asking an upstream: one attempt, and when another.

use std::future::poll_fn;
use std::rc::Rc;
use std::task::Poll;

use plan::Plan;
use wire::h1::Edits;

use super::relay::Relay;
use super::tunnel::Tunnel;
use crate::counters::Counters;
use crate::deadline::Deadline;
use crate::exchange::Request;
use crate::outcome::{Error, Kind, Side};
use crate::streams::{Downstream, Upstream};
use crate::upstream::pool::{Lease, Pool};

/// What an attempt needs to know.
pub(crate) struct Proxy<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) pool: &'a Rc<Pool>,
    pub(crate) counters: &'a Counters,
    pub(crate) response_edits: &'a Edits,
}

impl Proxy<'_> {
    /// Sends `request` to the upstream and passes the answer on.
    ///
    /// # Errors
    /// What kept the answer from being passed on whole. Unless a response has begun, `down` is still to be answered.
    pub(crate) async fn run<D: Downstream>(
        &self,
        request: &Request,
        down: &mut D,
        deadline: &mut Deadline,
    ) -> Result<(), Error> {
        let mut fresh = false;
        loop {
            let mut lease = self.lease(fresh, down, deadline).await?;
            lease.send_head(&request.head, &request.bytes, &request.edits);
            let mut relay = Relay::new(self, request, down, &mut *lease, deadline);
            let relayed = poll_fn(|cx| relay.poll(cx)).await;
            let (untouched, switched) = (relay.is_untouched(), relay.is_switched());
            let Err(mut error) = relayed else {
                if switched {
                    return self.tunnel(down, &mut *lease, deadline).await;
                }
                lease.give_back();
                return Ok(());
            };
            // A connection that died while it was idle looks alive until it is used. RFC 9110 §9.2.2: a request is sent
            // again only if that does no harm, or if no server can have seen it.
            let lost = error.side == Side::Upstream && error.kind == Kind::Gone && !lease.has_answer();
            error.retry_safe = lost && untouched && (request.head.method().is_idempotent() || !lease.has_sent());
            if !(error.retry_safe && lease.reused && !fresh) {
                return Err(error);
            }
            self.counters.upstream_retries.add(1);
            fresh = true;
        }
    }

    /// Joins both sides, which have left HTTP, until both have ended. The upstream's connection is not used again.
    async fn tunnel<D: Downstream, U: Upstream>(
        &self,
        down: &mut D,
        up: &mut U,
        deadline: &mut Deadline,
    ) -> Result<(), Error> {
        self.counters.tunnels.add(1);
        deadline.set(self.plan.timeouts.tunnel_idle);
        let mut tunnel = Tunnel::new(down.tunnel(), up.tunnel(), self.plan.timeouts.tunnel_idle);
        let ended = poll_fn(|cx| tunnel.poll(cx, deadline)).await;
        let (received, sent) = tunnel.bytes();
        drop(tunnel);
        down.count_tunnel(received, sent);
        ended
    }

    /// A connection, unless the client leaves while it is opened.
    async fn lease<D: Downstream>(&self, fresh: bool, down: &mut D, deadline: &mut Deadline) -> Result<Lease, Error> {
        let leasing = self.pool.lease(fresh, deadline);
        let mut leasing = std::pin::pin!(leasing);
        poll_fn(|cx| {
            if let Poll::Ready(leased) = leasing.as_mut().poll(cx) {
                return Poll::Ready(leased);
            }
            down.poll_failed(cx).map(Err)
        })
        .await
    }
}
