//! Asking an upstream: one attempt, and when another.

use std::cell::Cell;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::Poll;

use plan::{Plan, Route, WebSocket as WebSocketPolicy};
use wire::ResponseHead;
use wire::h1::Edits;

use super::coalesce::may_share;
use super::relay::{Ended, Relay};
use super::tunnel::Tunnel;
use super::websocket::{self, Agreed, WebSocket};
use crate::client::Client;
use crate::counters::Open;
use crate::deadline::Deadline;
use crate::exchange::Request;
use crate::filter;
use crate::forward;
use crate::outcome::{Error, Kind, Limit, Side};
use crate::shard::Shard;
use crate::streams::{Downstream, Upstream};
use crate::upstream::pool::{Chosen, Judge, Lease, Pool};
use crate::upstream::retry::Replay;
use crate::upstream::server::{Ticket, Tried};

/// The shard stops.
const CUT: Error = Error::new(Side::Ringway, Kind::TimedOut, 503).by(Limit::Drain);

/// What an attempt needs to know.
pub(crate) struct Proxy<'a> {
    pub(crate) shard: &'a Shard,
    pub(crate) plan: &'a Plan,
    pub(crate) route: &'a Route,
    pub(crate) pool: &'a Rc<Pool>,
    pub(crate) client: &'a Client,
    /// The answer is a stream of events, which has time-outs of its own.
    pub(crate) is_stream: Cell<bool>,
}

/// How far the attempts at one request have come.
pub(super) struct Attempts {
    /// What the request is balanced by.
    pub(super) key: u64,
    /// Servers that are not asked again.
    pub(super) tried: Tried,
    /// How often a server has seen the request.
    pub(super) sent: u8,
    /// Only a connection that nobody has used yet will do.
    fresh: bool,
    /// The server that is asked first, if one has been chosen already.
    chosen: Option<Chosen>,
}

/// One attempt, as the relay sees it: what the answer's head means for the server, and whether it is passed on.
pub(super) struct Attempt<'a> {
    pub(super) pool: &'a Pool,
    pub(super) judge: Judge<'a>,
    /// Which servers have been tried, if the request may be sent to another whatever this one has done with it.
    tried: Option<&'a Tried>,
}

impl Proxy<'_> {
    /// Sends `request` to the upstream and passes the answer on. Where that left HTTP, returns the connection, for
    /// [`Proxy::tunnel`].
    ///
    /// # Errors
    /// What kept the answer from being passed on whole. Unless a response has begun, `down` is still to be answered.
    #[expect(clippy::manual_async_fn, reason = "as in exchange::run")]
    pub(crate) fn run<'a, D: Downstream>(
        &'a self,
        request: &'a Request,
        down: &'a mut D,
        deadline: &'a mut Deadline,
    ) -> impl Future<Output = Result<Option<Lease>, Error>> {
        async move {
            let policy = &self.pool.policy().retry;
            let key = self.pool.key(self.client, request);
            let mut attempts = Attempts { key, tried: Tried::default(), sent: 0, fresh: false, chosen: None };
            let mut replay = Replay::new(policy, request);
            self.pool.earn_retry();
            if self.route.coalesce && self.pool.policy().send_proxy.is_none() && may_share(request) {
                match self.sit(request, key, down) {
                    Ok(share) => {
                        if ring::pooled(|| self.share(request, share, &mut attempts, down, deadline)).await? {
                            return Ok(None);
                        }
                    }
                    Err(chosen) => attempts.chosen = chosen,
                }
            }
            loop {
                let mut lease = match self.lease_idle(&mut attempts)? {
                    Ok(lease) => lease,
                    Err(ticket) => self.lease(ticket, &mut attempts, down, deadline).await?,
                };
                attempts.sent += 1;
                // RFC 9110 §9.2.2: a request is sent again only if that does no harm, or if no server can have seen it.
                let is_idempotent = request.head.method().is_idempotent();
                let may_go_on = attempts.sent < policy.attempts;
                let tried = (is_idempotent && may_go_on).then_some(&attempts.tried);
                match self.ask(request, &mut lease, tried, down, deadline, &mut replay).await {
                    Ok(Ended::Whole) => {
                        lease.acquit();
                        lease.give_back();
                        return Ok(None);
                    }
                    Ok(Ended::Switched) => {
                        lease.acquit();
                        return Ok(Some(lease));
                    }
                    // The budget has been asked, and the server judged. What is left of the answer costs the connection.
                    Ok(Ended::Withheld) => {}
                    Err(mut error) => {
                        let lost = error.side == Side::Upstream && error.kind == Kind::Gone && !lease.has_answer();
                        error.retry_safe = lost && replay.is_whole() && (is_idempotent || !lease.has_sent());
                        // A connection that died while it was idle looks alive until it is used: no fault of the server.
                        if error.retry_safe && lease.reused && !attempts.fresh {
                            self.pool.count_retry();
                            attempts.fresh = true;
                            attempts.sent -= 1;
                            continue;
                        }
                        if error.side == Side::Upstream && matches!(error.kind, Kind::Gone | Kind::TimedOut) {
                            lease.condemn();
                        }
                        let is_left = may_go_on && lease.split().1.has_other(&attempts.tried);
                        if !(error.retry_safe && is_left && self.pool.spend_retry()) {
                            return Err(error);
                        }
                    }
                }
                lease.mark_tried(&mut attempts.tried);
                drop(lease);
                self.pause(attempts.sent, down, deadline).await?;
            }
        }
    }

    /// One attempt, on one connection. A future of its own, so that its state and that of getting the connection take the
    /// same room.
    fn ask<'a, D: Downstream>(
        &'a self,
        request: &'a Request,
        lease: &'a mut Lease,
        tried: Option<&'a Tried>,
        down: &'a mut D,
        deadline: &'a mut Deadline,
        replay: &'a mut Replay,
    ) -> impl Future<Output = Result<Ended, Error>> {
        lease.begin();
        let (connection, judge) = lease.split();
        let attempt = Attempt { pool: self.pool, judge, tried };
        let mut edits = self.shard.request_edits.borrow_mut();
        forward::edit_request(&mut edits, self.plan, self.route, self.client, request);
        connection.send_head(&request.head, &request.bytes, &edits);
        let mut relay = Relay::new(self, request, down, connection, deadline, replay, attempt);
        poll_fn(move |cx| self.unless_cut(relay.poll(cx)))
    }

    /// The changes to the final answer's head. `filtered` has room for those that are not the same for all.
    pub(super) fn response_edits<'e>(&'e self, request: &Request, filtered: &'e mut Edits) -> &'e Edits {
        let (filters, usual) = (&self.route.filters.response, &self.shard.response_edits);
        filter::on_response(filters, request.returned_id(self.plan.forwarding), usual, filtered)
    }

    /// Takes note of what the record will show of the final answer's head.
    pub(super) fn keep(&self, request: &Request, head: &ResponseHead, bytes: &[u8]) {
        if let Some(log) = self.route.access_log {
            let names = &self.plan.access_logs.log(log).format.response_headers;
            if !names.is_empty() {
                request.kept.borrow_mut().fill(names, head, bytes);
            }
        }
    }

    /// Joins both sides, which have left HTTP, until both have ended. The upstream's connection is not used again.
    pub(crate) async fn tunnel<D: Downstream, U: Upstream>(
        &self,
        down: &mut D,
        up: &mut U,
        deadline: &mut Deadline,
    ) -> Result<(), Error> {
        self.shard.counters.tunnels.add(1);
        let _open = Open::new(&self.shard.counters.tunnels_open);
        if let Some(policy) = &self.route.websocket
            && let Some(agreed) = websocket::agreed(up.response())
        {
            return ring::pooled(|| self.websocket(policy, agreed, down, up, deadline)).await;
        }
        deadline.set(self.plan.timeouts.tunnel_idle);
        let mut tunnel = Tunnel::new(down.tunnel(), up.tunnel(), self.plan);
        let ended = poll_fn(|cx| self.unless_cut(tunnel.poll(cx, deadline))).await;
        let (received, sent) = tunnel.bytes();
        drop(tunnel);
        down.count_tunnel(received, sent);
        ended
    }

    /// Joins both sides of a WebSocket, and looks at what passes.
    async fn websocket<D: Downstream, U: Upstream>(
        &self,
        policy: &WebSocketPolicy,
        agreed: Agreed,
        down: &mut D,
        up: &mut U,
        deadline: &mut Deadline,
    ) -> Result<(), Error> {
        let counters = &self.shard.counters;
        counters.websockets.add(1);
        let mut websocket = WebSocket::new((down.tunnel(), up.tunnel()), agreed, policy, self.plan, counters);
        let ended = poll_fn(|cx| self.unless_cut(websocket.poll(cx, deadline, self.shard.is_draining()))).await;
        let (received, sent) = websocket.bytes();
        drop(websocket);
        down.count_tunnel(received, sent);
        ended
    }

    /// An idle connection to the server that was chosen if one was, else to the one whose turn it is: what nearly every request
    /// gets. Where there is none, a place with that server.
    fn lease_idle(&self, attempts: &mut Attempts) -> Result<Result<Lease, Ticket>, Error> {
        let ticket = self.pool.pick(attempts.chosen.take(), attempts.key, &attempts.tried)?;
        Ok(if attempts.fresh { Err(ticket) } else { self.pool.lease_idle(ticket) })
    }

    /// A connection to the server of `ticket`, unless the client leaves while it is opened. Servers that cannot be connected to
    /// are passed over at once: no server has seen the request.
    async fn lease<D: Downstream>(
        &self,
        mut ticket: Ticket,
        attempts: &mut Attempts,
        down: &mut D,
        deadline: &mut Deadline,
    ) -> Result<Lease, Error> {
        loop {
            let leased = {
                let leasing = self.pool.lease(self.client, ticket, &mut attempts.tried, attempts.fresh, deadline);
                let mut leasing = std::pin::pin!(leasing);
                let leased = poll_fn(|cx| {
                    if let Poll::Ready(leased) = leasing.as_mut().poll(cx) {
                        return Poll::Ready(leased);
                    }
                    self.unless_cut(down.poll_failed(cx).map(Err))
                });
                leased.await
            };
            match leased {
                Err(error) if error.side == Side::Upstream && self.pool.has_untried(&attempts.tried) => {
                    self.pool.count_failover();
                    ticket = self.pool.pick(None, attempts.key, &attempts.tried)?;
                }
                leased => return leased,
            }
        }
    }

    /// Waits before the `retry`-th retry, unless the client leaves.
    async fn pause<D: Downstream>(&self, retry: u8, down: &mut D, deadline: &mut Deadline) -> Result<(), Error> {
        deadline.set(self.pool.backoff(retry));
        poll_fn(|cx| match down.poll_failed(cx) {
            Poll::Ready(error) => Poll::Ready(Err(error)),
            Poll::Pending => self.unless_cut(deadline.poll(cx).map(Ok)),
        })
        .await
    }

    /// What came of a wait, unless it is over for want of time: the shard stops, and has waited as long as it may.
    pub(super) fn unless_cut<T>(&self, waited: Poll<Result<T, Error>>) -> Poll<Result<T, Error>> {
        match waited {
            Poll::Pending if self.shard.is_cutting() => Poll::Ready(Err(CUT)),
            waited => waited,
        }
    }
}

impl Attempts {
    /// The request is not to be sent to this server again.
    pub(super) fn avoid(&mut self, server: &Ticket) {
        self.tried.add(server);
    }
}

impl<'a> Attempt<'a> {
    pub(super) fn new(pool: &'a Pool, judge: Judge<'a>, tried: Option<&'a Tried>) -> Attempt<'a> {
        Attempt { pool, judge, tried }
    }

    /// Takes note of an answer with this status. Tells whether it is withheld from the client, because another server is
    /// asked instead; `is_whole` says that all of the request could be sent there.
    pub(super) fn withholds(&self, status: u16, is_whole: bool) -> bool {
        self.judge.answered(status);
        let Some(tried) = self.tried else { return false };
        let is_bad = self.pool.policy().retry.statuses.contains(&status);
        is_bad && is_whole && self.judge.has_other(tried) && self.pool.spend_retry()
    }
}
