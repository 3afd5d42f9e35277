//! The task of a shared connection: what its requests do not do themselves.

use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use ring::{Instant, ReadMode};
use wire::h1::Parsed;

use super::lane::{Lane, Parts};
use crate::deadline::Deadline;
use crate::tuning::read_mode;
use crate::upstream::connect::connect;
use crate::upstream::pool::{Held, Pool};
use crate::upstream::server::Server;

/// Bytes of bodies that are read for nobody until it is cheaper to open another connection.
const SKIPPED_BYTES_MAX: u64 = 256 << 10;

/// Opens another shared connection to `server`, and keeps it until it ends. Until it is there, requests go their own ways, and
/// if it cannot be had, theirs will be the first to notice.
pub(in crate::upstream) fn open(pool: &Rc<Pool>, server: &Rc<Server>) {
    let lanes = &server.lanes;
    lanes.opening.set(lanes.opening.get() + 1);
    let (pool, server) = (Rc::clone(pool), Rc::clone(server));
    ring::spawn(async move {
        let lane = connected(&pool, &server).await;
        server.lanes.opening.set(server.lanes.opening.get() - 1);
        let Some(lane) = lane else { return server.lanes.rest(ring::now()) };
        let idle_max = pool.policy().keep_alive_timeout;
        let kept = Kept::new(pool.held(), &server, lane);
        // The keeper outlives the Plan.
        drop(pool);
        kept.keep(idle_max).await;
    });
}

async fn connected(pool: &Rc<Pool>, server: &Server) -> Option<Rc<Lane>> {
    if !pool.take_place() {
        return None;
    }
    pool.count_connect();
    let connected = ring::pooled(|| connect(pool.policy(), pool.secure(), server, None)).await;
    let Ok(transport) = connected else {
        pool.give_place_back();
        return None;
    };
    let requests_max = server.lanes.requests_max();
    Some(Rc::new(Lane::new(transport, &pool.policy().coalesce, server.authority(), requests_max)))
}

/// A lane among its server's, until this is dropped.
struct Kept {
    held: Rc<Held>,
    server: Rc<Server>,
    lane: Rc<Lane>,
    /// Bytes that were read for nobody since the connection was last idle.
    skipped_bytes: u64,
}

impl Kept {
    fn new(held: &Rc<Held>, server: &Rc<Server>, lane: Rc<Lane>) -> Kept {
        server.lanes.lanes.borrow_mut().push(Rc::clone(&lane));
        held.count(|tally| tally.coalesced_connections.add(1));
        Kept { held: Rc::clone(held), server: Rc::clone(server), lane, skipped_bytes: 0 }
    }

    async fn keep(mut self, idle_max: Duration) {
        let mut deadline = Deadline::new();
        poll_fn(|cx| self.poll(idle_max, &mut deadline, cx)).await;
    }

    /// Ready when the connection is to be closed.
    fn poll(&mut self, idle_max: Duration, deadline: &mut Deadline, cx: &Context<'_>) -> Poll<()> {
        let lane = Rc::clone(&self.lane);
        let parts = &mut *lane.parts.borrow_mut();
        if parts.keeper.is_none() {
            parts.keeper = Some(cx.waker().clone());
        }
        let sent = parts.flush();
        if sent > 0 {
            self.held.count_batch(sent);
        }
        while self.poll_next(parts, cx).is_ready() && !parts.pipeline.is_over() {}
        if let Some(lesson) = parts.pipeline.take_lesson() {
            self.server.lanes.learn(lesson, ring::now());
        }
        if parts.pipeline.is_over() {
            parts.wake_all();
            return Poll::Ready(());
        }
        let is_idle = parts.pipeline.is_empty();
        if is_idle && (parts.is_retired || self.server.keeps_none() || self.held.is_closing()) {
            return Poll::Ready(());
        }
        let (due, now) = (parts.since + if is_idle { idle_max } else { lane.policy.stall_timeout }, ring::now());
        if due <= now {
            if is_idle || self.is_worthless(parts) {
                parts.pipeline.break_off();
                parts.wake_all();
                return Poll::Ready(());
            }
            self.stall(parts, now);
            deadline.clear();
        } else {
            deadline.set_at(due);
        }
        deadline.poll(cx)
    }

    /// Reads what no request reads itself: answers that nobody waits for, and what comes unasked. Ready when one has been read,
    /// or when the connection is over.
    fn poll_next(&mut self, parts: &mut Parts, cx: &Context<'_>) -> Poll<()> {
        if parts.pipeline.is_over() {
            return Poll::Ready(());
        }
        match parts.pipeline.due() {
            Some((_, false)) => Poll::Pending,
            Some((_, true)) => {
                let read = ready!(self.poll_skip(parts, cx));
                match read {
                    true => parts.turn(),
                    false => parts.pipeline.break_off(),
                }
                Poll::Ready(())
            }
            None => {
                self.skipped_bytes = 0;
                if parts.inbox.is_empty() {
                    ready!(parts.transport.poll_stirred(cx, ReadMode::Head));
                }
                parts.pipeline.break_off();
                Poll::Ready(())
            }
        }
    }

    /// Ready when the answer that is due has been read whole and thrown away; with `false` if that did not succeed.
    fn poll_skip(&mut self, parts: &mut Parts, cx: &Context<'_>) -> Poll<bool> {
        loop {
            if parts.pipeline.is_whole() {
                return Poll::Ready(true);
            }
            if parts.pipeline.is_over() || self.skipped_bytes > SKIPPED_BYTES_MAX {
                return Poll::Ready(false);
            }
            if !parts.inbox.is_empty() {
                match parts.skip() {
                    Ok(Some(bytes)) => {
                        self.skipped_bytes += bytes as u64;
                        continue;
                    }
                    Ok(None) => parts.inbox.settle(),
                    Err(()) => return Poll::Ready(false),
                }
            }
            let mode = match parts.pipeline.is_head_due() {
                true => ReadMode::Head,
                false => read_mode(wire::BodyLength::Chunked, parts.pipeline.body_received()),
            };
            if !ready!(parts.poll_fill(cx, mode)) && !parts.pipeline.is_whole() {
                return Poll::Ready(false);
            }
        }
    }

    /// Whether nobody waits for anything, and what is due does not come.
    fn is_worthless(&self, parts: &mut Parts) -> bool {
        parts.pipeline.live().next().is_none()
    }

    /// The answer that is due takes too long for those behind it.
    fn stall(&self, parts: &mut Parts, now: Instant) {
        if !std::mem::replace(&mut parts.is_stalled, true) {
            self.held.count(|tally| tally.coalesced_stalls.add(1));
            self.server.lanes.rest(now);
            parts.wake_all();
        }
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.server.lanes.lanes.borrow_mut().retain(|lane| !Rc::ptr_eq(lane, &self.lane));
        self.held.count(|tally| tally.coalesced_connections.sub(1));
        self.held.give_place_back();
    }
}

impl Parts {
    /// Throws away what can be read of the answer that is due: how many bytes; nothing where more have to come first.
    fn skip(&mut self) -> Result<Option<usize>, ()> {
        if !self.pipeline.is_head_due() {
            let decoded = self.pipeline.decode_body(self.inbox.bytes()).map_err(drop)?;
            drop(self.inbox.take(decoded.consumed));
            return Ok(Some(decoded.consumed));
        }
        let mut head = self.spare_head.take().unwrap_or_default();
        let parsed = self.pipeline.parse_head(self.inbox.bytes(), &self.limits, &mut head);
        self.spare_head = Some(head);
        match parsed.map_err(drop)? {
            Parsed::Complete(len) => {
                drop(self.inbox.take(len));
                Ok(Some(len))
            }
            Parsed::Partial => Ok(None),
        }
    }
}
