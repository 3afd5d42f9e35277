//! Accepting clients.

use std::future::poll_fn;
use std::rc::Rc;
use std::task::Poll;
use std::time::{Duration, Instant};

use ring::Listener;

use crate::session;
use crate::shard::Shard;

/// Between two log lines about the same trouble.
const COMPLAINT_INTERVAL: Duration = Duration::from_secs(1);

/// Accepts from `listener` until the shard drains. Each connection becomes a task of its own.
pub(crate) async fn accept(shard: Rc<Shard>, mut listener: Listener) {
    let place = shard.watch();
    let mut complained = None::<Instant>;
    loop {
        let accepted = poll_fn(|cx| {
            place.set(cx.waker());
            if shard.is_draining() {
                return Poll::Ready(None);
            }
            if !shard.has_room() {
                // Those that the kernel accepted already wait in the listener, the others in its backlog.
                listener.stop();
                return Poll::Pending;
            }
            listener.poll_accept(cx).map(Some)
        });
        match accepted.await {
            None => return,
            Some(Ok(stream)) => {
                shard.counters.connections_accepted.add(1);
                ring::spawn(session::http1::serve(shard.enter(), stream));
            }
            Some(Err(error)) => {
                let now = ring::now();
                if complained.is_none_or(|at| now.saturating_duration_since(at) >= COMPLAINT_INTERVAL) {
                    complained = Some(now);
                    tracing::warn!(%error, "accepting pauses: raise the limit on open files, or lower limits.connections");
                }
            }
        }
    }
}
