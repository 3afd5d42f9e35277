//! One request and its response, from head to record.
//!
//! This is where an exchange branches; everything it calls computes and returns. It knows neither sockets nor protocols:
//! the client's side is a [`Downstream`], be it a whole HTTP/1 connection or one stream of many.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use ring::Chunk;
use wire::h1::Edits;
use wire::{BodyLength, Method, RequestHead, Target};

use crate::client::Client;
use crate::deadline::Deadline;
use crate::forward;
use crate::handler::proxy::Proxy;
use crate::outcome::{Error, Kind, Limit, Outcome, Side};
use crate::record::Record;
use crate::shard::{Serving, Shard};
use crate::streams::Downstream;
use crate::upstream::pool::Pool;

/// The whole exchange took too long.
const REQUEST_TIMEOUT: Error = Error::new(Side::Ringway, Kind::TimedOut, 504).by(Limit::RequestTime);

/// A request whose head has passed the gate, and what is done to it. Recycled by the shard.
#[derive(Debug, Default)]
pub(crate) struct Request {
    pub(crate) head: RequestHead,
    /// What the head's spans refer to.
    pub(crate) bytes: Chunk,
    /// The changes to the head on its way to the upstream.
    pub(crate) edits: Edits,
}

/// Answers `request` on `down`, and writes down how that ended.
pub(crate) async fn run<D: Downstream>(
    shard: &Rc<Shard>,
    client: &Client,
    request: &mut Request,
    down: &mut D,
    deadline: &mut Deadline,
) -> Outcome {
    let started = ring::now();
    // The exchange finishes with the Plan it began with.
    let serving = shard.serving();
    let pool = shard.overload.admit().and_then(|()| route(&serving, request));
    // From here on the head may have to wait for as long as the upstream takes.
    request.bytes.settle();
    let result = match &pool {
        Ok(pool) => {
            forward::edit_request(client, request);
            let proxy =
                Proxy { plan: &serving.plan, pool, counters: &shard.counters, response_edits: &shard.response_edits };
            let answer = pin!(proxy.run(request, down, deadline));
            within(serving.plan.timeouts.request, answer).await
        }
        Err(error) => Err(*error),
    };
    let outcome = match result {
        Ok(()) => Outcome::Completed,
        Err(mut error) => {
            // Whose fault it is that the whole took too long nobody knows, but whom it was still waiting for.
            if error.limit == Some(Limit::RequestTime) && !down.request_complete() {
                error.status = 408;
            }
            down.fail(&error);
            down.flush();
            Outcome::Failed(error)
        }
    };
    let upstream = pool.as_ref().ok().map(|pool| pool.policy().name.as_str());
    record(shard, client, request, down, upstream, outcome, started);
    outcome
}

/// The future's result, unless `limit` passes before; zero is no limit. It is large, and stays where it is.
async fn within(limit: Duration, mut answer: Pin<&mut impl Future<Output = Result<(), Error>>>) -> Result<(), Error> {
    if limit.is_zero() {
        return answer.await;
    }
    let mut end = Deadline::new();
    end.set(limit);
    poll_fn(|cx| match answer.as_mut().poll(cx) {
        Poll::Ready(result) => Poll::Ready(result),
        Poll::Pending => end.poll(cx).map(|()| Err(REQUEST_TIMEOUT)),
    })
    .await
}

/// Where the request goes.
fn route<'a>(serving: &'a Serving, request: &Request) -> Result<&'a Rc<Pool>, Error> {
    let (head, bytes) = (&request.head, &request.bytes);
    // A tunnel to anywhere is not for a reverse proxy to open.
    if head.method() == Method::Connect {
        return Err(Error::new(Side::Client, Kind::Malformed, 501));
    }
    // RFC 9112 §3.2.4: the asterisk means the server as a whole.
    let path = if head.target() == Target::Asterisk { b"/" } else { head.path(bytes) };
    let route = serving.plan.routes.find(head.host(bytes), path);
    let route = route.ok_or(Error::new(Side::Ringway, Kind::NoRoute, 404))?;
    if matches!(head.body(), BodyLength::Exact(length) if length > serving.plan.limits.body_bytes_max) {
        return Err(Error::new(Side::Client, Kind::TooLarge, 413).by(Limit::BodyBytes));
    }
    Ok(serving.pool(route.upstream))
}

fn record<D: Downstream>(
    shard: &Shard,
    client: &Client,
    request: &Request,
    down: &D,
    upstream: Option<&str>,
    outcome: Outcome,
    started: std::time::Instant,
) {
    shard.note(client, outcome);
    let now = ring::now();
    shard.record(now, || {
        let (head, bytes) = (&request.head, &request.bytes);
        let status = match outcome {
            Outcome::Completed => down.status().unwrap_or(0),
            Outcome::Failed(error) => down.status().unwrap_or(error.status),
        };
        Record {
            client: client.text(),
            method: head.method_name(bytes),
            host: head.host(bytes),
            path: head.path_and_query(bytes),
            status,
            outcome,
            upstream,
            bytes_in: down.body_bytes_received(),
            bytes_out: down.body_bytes_sent(),
            duration: now.saturating_duration_since(started),
        }
    });
}
