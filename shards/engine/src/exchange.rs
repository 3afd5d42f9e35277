//! One request and its response, from head to record.
//!
//! This is where an exchange branches; everything it calls computes and returns. It knows neither sockets nor protocols:
//! the client's side is a [`Downstream`], be it a whole HTTP/1 connection or one stream of many.

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::mem::offset_of;
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use plan::{Forwarding, Route, RouteId};
use ring::{Chunk, Instant};
use wire::ws::Key;
use wire::{BodyLength, FieldName, Method, RequestHead};

use crate::client::Client;
use crate::deadline::Deadline;
use crate::filter;
use crate::forward;
use crate::handler::proxy::Proxy;
use crate::outcome::{Error, Kind, Limit, Outcome, Side};
use crate::record::{KeptFields, Record};
use crate::request_id::RequestId;
use crate::route;
use crate::shard::{Serving, Shard};
use crate::streams::Downstream;
use crate::upstream::pool::Pool;

/// How often a request may have come through Ringway: more than any chain of them is long, and a loop soon gets there.
const LOOPS_MAX: usize = 8;
/// The whole exchange took too long.
const REQUEST_TIMEOUT: Error = Error::new(Side::Ringway, Kind::TimedOut, 504).by(Limit::RequestTime);

/// A request whose head has passed the gate, and what is done to it. Recycled by the shard. What is
/// still asked for when the answer has come lies together, in the line of the cache behind the head.
#[derive(Debug, Default)]
#[repr(C, align(64))]
pub(crate) struct Request {
    pub(crate) head: RequestHead,
    /// What the head's spans refer to.
    pub(crate) bytes: Chunk,
    /// What its record will show of the response.
    pub(crate) kept: RefCell<KeptFields>,
    /// The route that it takes, once one is found.
    pub(crate) route: Option<RouteId>,
    /// Whether it goes on under the name that a trusted peer gave it.
    pub(crate) keeps_id: bool,
    /// The name that we gave it, if we did.
    pub(crate) id: Option<RequestId>,
    /// The key of a WebSocket that a client of HTTP/2 asks for, which sends none of its own.
    pub(crate) websocket_key: Option<Key>,
}

const _: () = assert!(offset_of!(Request, bytes) == 192 && offset_of!(Request, id) <= 256);

/// What becomes of a request.
pub(crate) enum Way<'a> {
    /// It goes to this upstream.
    Upstream(&'a Route, &'a Rc<Pool>),
    /// It asked about the server, not the upstream: this is the answer.
    Here(u16),
}

impl Request {
    /// Forgets all but the head, as of a request that nobody takes up.
    pub(crate) fn forget(&mut self) {
        (self.route, self.id, self.keeps_id, self.websocket_key) = (None, None, false, None);
        self.kept.get_mut().clear();
    }

    /// The name that the record tells: ours, or the one that a trusted peer's was left.
    pub(crate) fn id_text(&self) -> &[u8] {
        match &self.id {
            Some(id) => id,
            None if self.keeps_id => self.head.value(FieldName::XRequestId, &self.bytes).unwrap_or_default(),
            None => b"",
        }
    }

    /// The name that the client is told; empty for none.
    pub(crate) fn returned_id(&self, forwarding: Forwarding) -> &[u8] {
        if forwarding.return_request_id { self.id_text() } else { b"" }
    }
}

/// Answers `request` on `down`, and writes down how that ended.
#[expect(
    clippy::manual_async_fn,
    reason = "an async fn would keep its arguments twice, and many of these wait at once"
)]
pub(crate) fn run<'a, D: Downstream>(
    shard: &'a Shard,
    serving: &'a Serving,
    client: &'a Client,
    request: &'a mut Request,
    down: &'a mut D,
    deadline: &'a mut Deadline,
) -> impl Future<Output = Outcome> + use<'a, D> {
    async move {
        let mut tunnel_opened = None;
        let (started, way) = match down.sent_ahead() {
            None => (ring::now(), begin(shard, serving, client, request)),
            Some(sent) => (sent, way_of(serving, request)),
        };
        let is_asked = matches!(way, Ok(Way::Upstream(..)));
        let result = match way {
            Ok(Way::Upstream(route, pool)) => {
                let proxy = Proxy { shard, plan: &serving.plan, route, pool, client, is_stream: Cell::default() };
                let answer = match serving.plan.timeouts.request.is_zero() {
                    true => proxy.run(request, down, deadline).await,
                    // Off by default, and then it shall take no room.
                    false => {
                        let limit = serving.plan.timeouts.request;
                        ring::pooled(|| within(limit, &proxy.is_stream, proxy.run(request, down, deadline))).await
                    }
                };
                match answer {
                    // A tunnel has limits of its own.
                    Ok(Some(mut lease)) => {
                        tunnel_opened = Some(ring::now());
                        proxy.tunnel(down, &mut *lease, deadline).await
                    }
                    Ok(None) => Ok(()),
                    Err(error) => Err(error),
                }
            }
            Ok(Way::Here(status)) => {
                let mut edits = forward::own_edits(status);
                forward::add_name(&mut edits, request.returned_id(serving.plan.forwarding));
                down.respond(status, &edits);
                down.flush();
                Ok(())
            }
            Err(error) => Err(error),
        };
        let outcome = match result {
            Ok(()) => Outcome::Completed,
            Err(mut error) => {
                // Whose fault it is that the whole took too long nobody knows, but whom it was still waiting for.
                if error.limit == Some(Limit::RequestTime) && !down.request_complete() {
                    error.status = 408;
                }
                let filters = request.route.map(|id| &serving.plan.routes[id].filters.response[..]);
                let mut edits = filter::on_own_answer(filters.unwrap_or_default());
                forward::add_name(&mut edits, request.returned_id(serving.plan.forwarding));
                down.fail(&error, &edits);
                down.flush();
                Outcome::Failed(error)
            }
        };
        shard.note(client, outcome);
        if let Some(tally) = serving.tallies.route(request.route) {
            // A tunnel lasts as long as its ends like: how long it took to open is what a client waited for.
            let ended = tunnel_opened.unwrap_or_else(ring::now);
            let body_bytes = (down.body_bytes_received(), down.body_bytes_sent());
            tally.note(status(down, outcome), outcome, body_bytes, ended.saturating_duration_since(started));
        }
        let ended = Ended { client, request, is_asked, outcome, started };
        record(shard, serving, &ended, down);
        outcome
    }
}

/// Takes a request up: gives it its name, and finds out what becomes of it.
#[inline]
pub(crate) fn begin<'a>(
    shard: &Shard,
    serving: &'a Serving,
    client: &Client,
    request: &mut Request,
) -> Result<Way<'a>, Error> {
    request.route = None;
    request.kept.get_mut().clear();
    request.websocket_key = route::is_extended_connect(&request.head).then(|| Key::of(shard.request_ids.bytes()));
    forward::name(serving.plan.forwarding, &shard.request_ids, client, request);
    let way = shard.overload.admit().and_then(|()| find_way(serving, client, request));
    // From here on the head may have to wait for as long as the upstream takes.
    request.bytes.settle();
    way
}

/// Where a request has gone that was sent ahead of its turn.
fn way_of<'a>(serving: &'a Serving, request: &Request) -> Result<Way<'a>, Error> {
    let route = &serving.plan.routes[request.route.expect("what was sent had a route")];
    Ok(Way::Upstream(route, serving.pool(route.upstream)))
}

/// Writes down a request that was sent ahead of its turn, at `started`, and that nobody will answer.
pub(crate) fn abandon(
    shard: &Shard,
    serving: &Serving,
    client: &Client,
    request: &Request,
    started: Instant,
    error: Error,
) {
    let outcome = Outcome::Failed(error);
    shard.note(client, outcome);
    let now = ring::now();
    if let Some(tally) = serving.tallies.route(request.route) {
        tally.note(error.status, outcome, (0, 0), now.saturating_duration_since(started));
    }
    let route = request.route.map(|id| &serving.plan.routes[id]);
    let kept = request.kept.borrow();
    shard.record(serving, route.and_then(|route| route.access_log), now, || Record {
        client: client.text(),
        request: Some((&request.head, &request.bytes)),
        response: &kept,
        status: error.status,
        outcome,
        route: route.map(|route| route.name.as_str()),
        upstream: route.map(|route| serving.pool(route.upstream).policy().name.as_str()),
        request_id: request.id_text(),
        bytes_in: 0,
        bytes_out: 0,
        duration: now.saturating_duration_since(started),
        server_name: client.secure().and_then(|secure| secure.server_name.as_deref()),
        tls: client.secure().map(|secure| &secure.negotiated),
    });
}

/// The future's result, unless `limit` passes before, which it may once `is_exempt`.
async fn within<T>(
    limit: Duration,
    is_exempt: &Cell<bool>,
    answer: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    let mut answer = pin!(answer);
    let mut end = Deadline::new();
    end.set(limit);
    poll_fn(|cx| match answer.as_mut().poll(cx) {
        Poll::Ready(result) => Poll::Ready(result),
        Poll::Pending if is_exempt.get() => Poll::Pending,
        Poll::Pending => end.poll(cx).map(|()| Err(REQUEST_TIMEOUT)),
    })
    .await
}

/// Where the request goes, if anywhere.
fn find_way<'a>(serving: &'a Serving, client: &Client, request: &mut Request) -> Result<Way<'a>, Error> {
    let Request { head, bytes, route, .. } = request;
    // RFC 9110 §7.4, §15.5.20
    if client.secure().is_some_and(|secure| !secure.admits(head.host(bytes), serving.acceptor.as_deref())) {
        return Err(Error::new(Side::Client, Kind::Misdirected, 421));
    }
    // RFC 9110 §9.3.8: it would show a script what its browser keeps from it, and nobody needs it.
    if head.method() == Method::Trace {
        return Err(Error::new(Side::Client, Kind::Unsupported, 405));
    }
    if forward::times_seen(head, bytes) >= LOOPS_MAX {
        return Err(Error::new(Side::Ringway, Kind::Loop, 508));
    }
    if forward::hops_left(head, bytes)? == Some(0) {
        return Ok(Way::Here(204));
    }
    *route = route::find(&serving.plan.routes, head, bytes);
    let route = route.map(|id| &serving.plan.routes[id]);
    if head.method() == Method::Connect {
        route::check_connect(route, head)?;
    }
    let route = route.ok_or(Error::new(Side::Ringway, Kind::NoRoute, 404))?;
    route::check_extended_connect(route, head, bytes)?;
    if matches!(head.body(), BodyLength::Exact(length) if length > serving.plan.limits.body_bytes_max) {
        return Err(Error::new(Side::Client, Kind::TooLarge, 413).by(Limit::BodyBytes));
    }
    Ok(Way::Upstream(route, serving.pool(route.upstream)))
}

/// The status that the client got, or would have got.
fn status(down: &impl Downstream, outcome: Outcome) -> u16 {
    match outcome {
        Outcome::Completed => down.status().unwrap_or(0),
        Outcome::Failed(error) => down.status().unwrap_or(error.status),
    }
}

/// What is known of an exchange that has ended, besides what its response tells.
struct Ended<'a> {
    client: &'a Client,
    request: &'a Request,
    /// Whether it was sent to an upstream.
    is_asked: bool,
    outcome: Outcome,
    started: Instant,
}

/// Writes the exchange down where its route says, or where exchanges without one go.
fn record<D: Downstream>(shard: &Shard, serving: &Serving, ended: &Ended<'_>, down: &D) {
    let Ended { client, request, is_asked, outcome, started } = *ended;
    let route = request.route.map(|id| &serving.plan.routes[id]);
    let log = route.map_or(serving.plan.access_logs.default, |route| route.access_log);
    let (now, kept) = (ring::now(), request.kept.borrow());
    shard.record(serving, log, now, || Record {
        client: client.text(),
        server_name: client.secure().and_then(|secure| secure.server_name.as_deref()),
        tls: client.secure().map(|secure| &secure.negotiated),
        request: Some((&request.head, &request.bytes)),
        response: &kept,
        status: status(down, outcome),
        outcome,
        route: route.map(|route| route.name.as_str()),
        upstream: route.filter(|_| is_asked).map(|route| serving.pool(route.upstream).policy().name.as_str()),
        request_id: request.id_text(),
        bytes_in: down.body_bytes_received(),
        bytes_out: down.body_bytes_sent(),
        duration: now.saturating_duration_since(started),
    });
}
