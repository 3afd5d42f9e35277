//! Accepting clients.

use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;

use ring::{Listener, Stream};

use crate::client::Client;
use crate::outcome::Limit;
use crate::session;
use crate::shard::Shard;
use crate::tally::ListenerTally;

/// Accepts from `listener` until the shard drains. Each connection becomes a task of its own.
pub(crate) async fn accept(shard: Rc<Shard>, mut listener: Listener, tally: Option<Arc<ListenerTally>>) {
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
            None => return,
            Some(Ok(stream)) => admit(&shard, stream, tally.as_ref()),
            Some(Err(error)) => {
                shard.counters.hit(Limit::System);
                if let Some(untold) = shard.scarcity.due(ring::now()) {
                    tracing::warn!(%error, untold, "accepting pauses: raise the limit on open files, or lower limits.connections");
                }
            }
        }
    }
}

/// Begins a session, if this client may have one more.
fn admit(shard: &Rc<Shard>, stream: Stream, tally: Option<&Arc<ListenerTally>>) {
    shard.counters.connections_accepted.add(1);
    tally.inspect(|tally| tally.connections.add(1));
    let client = Client::new(stream.peer(), &shard.serving().plan);
    match shard.enter(&client, tally) {
        Ok(membership) => ring::spawn(session::http1::serve(membership, stream, client)),
        Err(limit) => shard.counters.hit(limit),
    }
}
