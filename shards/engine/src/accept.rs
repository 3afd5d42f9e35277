//! Accepting clients.

use std::future::poll_fn;
use std::io;
use std::task::Poll;
use std::time::Duration;

use plan::Address;
use ring::{Listener, Stream};

use crate::client::Client;
use crate::deadline::Deadline;
use crate::outcome::Limit;
use crate::session;
use crate::shard::Acceptance;
use crate::transport::Transport;

/// In a drain, a listener that nobody accepts from any more is empty when nothing has come for so long.
const EMPTY_AFTER: Duration = Duration::from_millis(20);
/// How long it is emptied at most: connections may come faster than it takes to find it empty.
const EMPTYING_MAX: Duration = Duration::from_secs(1);

/// Accepts from `listener` until the shard drains. Each connection becomes a task of its own.
pub(crate) async fn accept(shard: Acceptance, mut listener: Listener) {
    let place = shard.watch();
    let mut is_full = false;
    loop {
        let accepted = poll_fn(|cx| {
            place.set(cx.waker());
            if shard.is_draining() {
                return Poll::Ready(None);
            }
            if !shard.has_room() {
                // Those that the kernel accepted already wait in the listener, the others in its backlog.
                listener.stop();
                if !std::mem::replace(&mut is_full, true) {
                    shard.counters.hit(Limit::Connections);
                }
                return Poll::Pending;
            }
            is_full = false;
            listener.poll_accept(cx).map(Some)
        });
        match accepted.await {
            None => break,
            Some(accepted) => take(&shard, accepted),
        }
    }
    if shard.is_last() && !is_full {
        empty(&shard, &mut listener).await;
    }
    // What the kernel has accepted for us is ours, whoever accepts the next.
    listener.stop();
    while let Some(accepted) = poll_fn(|cx| listener.poll_rest(cx)).await {
        take(&shard, accepted);
    }
}

/// Takes the connections that wait in `listener`, which is about to be closed, and they with it if they stayed.
async fn empty(shard: &Acceptance, listener: &mut Listener) {
    let until = ring::now() + EMPTYING_MAX;
    let mut quiet = Deadline::new();
    loop {
        quiet.set_at((ring::now() + EMPTY_AFTER).min(until));
        let accepted = poll_fn(|cx| match listener.poll_accept(cx) {
            Poll::Ready(accepted) => Poll::Ready(Some(accepted)),
            Poll::Pending => quiet.poll(cx).map(|()| None),
        });
        match accepted.await {
            Some(accepted) if ring::now() < until => take(shard, accepted),
            last => return last.into_iter().for_each(|accepted| take(shard, accepted)),
        }
    }
}

fn take(shard: &Acceptance, accepted: io::Result<Stream>) {
    match accepted {
        Ok(stream) => admit(shard, stream),
        Err(error) => {
            shard.counters.hit(Limit::System);
            if let Some(untold) = shard.scarcity.due(ring::now()) {
                tracing::warn!(%error, untold, "accepting pauses: raise the limit on open files, or lower limits.connections");
            }
        }
    }
}

/// Begins a session, if this client may have one more.
fn admit(shard: &Acceptance, stream: Stream) {
    shard.counters.connections_accepted.add(1);
    shard.tally.as_ref().inspect(|tally| tally.connections.add(1));
    let serving = shard.serving();
    let (peer, listener) = (stream.peer(), serving.plan.listeners.get(shard.place));
    let client = match listener.map(|listener| &listener.address) {
        // It has gone already, and shall not be taken for a peer on a Unix socket, which may be trusted.
        Some(Address::Tcp(_)) if peer.is_none() => Client::unknown(),
        _ => Client::new(peer, &serving.plan).with_ends(serving.ends_of(&stream)),
    };
    if let Some(listener) = listener.filter(|listener| listener.detects()) {
        return session::detect::admit(shard, &serving, listener, stream, client);
    }
    let due = ring::now() + serving.plan.timeouts.head;
    match shard.enter(&client, shard.tally.as_ref()) {
        Ok(membership) => {
            let may_know = listener.is_some_and(|listener| listener.protocols.http2);
            ring::spawn(session::http1::serve(membership, Transport::Plain(stream), client, due, may_know));
        }
        Err(limit) => shard.counters.hit(limit),
    }
}
