//! Sessions: a client's connection, from the accept to the last byte. [`detect`] finds out what it carries, where that is in question;
//! [`http1`] and [`http2`] are what clients speak.

mod answer;
pub(crate) mod detect;
pub(crate) mod http1;
pub(crate) mod http2;
pub(crate) mod secure;

use std::future::poll_fn;
use std::task::Poll;
use std::time::Duration;

use crate::deadline::Deadline;
use crate::transport::Transport;

/// How long a closing connection is read so that the client gets what was said last: data that arrives at a closed socket makes
/// the kernel send a reset, which can overtake it (RFC 9112 §9.6).
const LINGER: Duration = Duration::from_secs(1);

/// Ends a connection that came to no request so that the client can read what was written last.
async fn farewell(transport: &mut Transport, deadline: &mut Deadline) {
    transport.end();
    deadline.set(LINGER);
    poll_fn(|cx| {
        if let Poll::Ready(Err(_)) = transport.poll_below(cx, 0) {
            return Poll::Ready(());
        }
        while let Poll::Ready(received) = transport.poll_drain(cx) {
            if !received {
                return Poll::Ready(());
            }
        }
        deadline.poll(cx)
    })
    .await;
}
