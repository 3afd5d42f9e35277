//! A connection from the first message of its TLS handshake, which [`super::detect`] has read, to the last.

use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use ring::{Chunk, Instant, Stream};
use tls::{Error, Negotiated, Reason, Session};

use super::{farewell, http1, http2};
use crate::client::Client;
use crate::deadline::Deadline;
use crate::outcome::Limit;
use crate::secure::{Identified, Secure};
use crate::shard::Membership;
use crate::transport::{Secured, Transport};

/// The name of HTTP/2 in ALPN. RFC 9113 §3.1
const HTTP2: &[u8] = b"h2";

/// A client that has said hello.
pub(crate) struct Greeted {
    pub(crate) shard: Membership,
    pub(crate) stream: Stream,
    pub(crate) client: Client,
    /// All that has come from it.
    pub(crate) received: Chunk,
    /// The name that it asks for, in lower case.
    pub(crate) server_name: Option<Box<str>>,
    /// By when the handshake and the head of the first request must be there.
    pub(crate) due: Instant,
}

/// Conducts the handshake and serves the client.
pub(crate) async fn serve(greeted: Greeted) {
    let mut deadline = Deadline::new();
    deadline.set_at(greeted.due);
    let Greeted { shard, stream, client, received, server_name, due } = greeted;
    // It takes more room than the connection shall hold when it is over, whose task is another one.
    match shake_hands(&shard, stream, received, server_name.as_deref(), &mut deadline).await {
        Ok((secured, negotiated, identified)) => {
            shard.counters.tls_handshakes[negotiated.kind()].add(1);
            let speaks_http2 = *negotiated.protocol == *HTTP2;
            let client = client.with_tls(Secure { server_name, negotiated: *negotiated, identified });
            match speaks_http2 {
                true => ring::spawn(http2::serve(shard, Transport::Tls(secured), client, due, Chunk::default())),
                false => ring::spawn(http1::serve(shard, Transport::Tls(secured), client, due, false)),
            }
        }
        Err(Failure { reason, transport }) => {
            shard.handshake_failed(&client, reason);
            if let Some(mut transport) = transport {
                farewell(&mut transport, &mut deadline).await;
            }
        }
    }
}

/// Why there was no handshake, and who is to be told.
struct Failure {
    reason: Reason,
    transport: Option<Transport>,
}

async fn shake_hands(
    shard: &Membership,
    stream: Stream,
    received: Chunk,
    server_name: Option<&str>,
    deadline: &mut Deadline,
) -> Result<(Box<Secured>, Box<Negotiated>, Option<Identified>), Failure> {
    let nobody = |reason| Failure { reason, transport: None };
    let mut turn = shard.turns.wait();
    let waited = poll_fn(|cx| match turn.poll(cx) {
        Poll::Ready(()) => Poll::Ready(true),
        Poll::Pending => poll_late(shard, deadline, cx).map(|()| false),
    });
    if !waited.await {
        return Err(nobody(Reason::TimedOut));
    }
    drop(turn);
    // The connection keeps what its handshake was conducted by; the acceptor may be another one meanwhile.
    let serving = shard.serving();
    let acceptor = serving.acceptor.as_ref().ok_or(nobody(Reason::Internal))?;
    let Some(host) = acceptor.choose(server_name) else {
        return Err(Failure { reason: Reason::Name, transport: Some(Secured::refuse(stream)) });
    };
    let session = Session::server(Arc::clone(&host.config)).map_err(|error| nobody(error.reason()))?;
    let mut secured = Box::new(Secured::new(stream, session));
    secured.feed(received);
    let shaken = poll_fn(|cx| match secured.poll_handshake(cx) {
        Poll::Ready(result) => Poll::Ready(Some(result)),
        Poll::Pending => poll_late(shard, deadline, cx).map(|()| None),
    });
    match shaken.await {
        Some(Ok(negotiated)) if negotiated.protocol.is_empty() && host.needs_alpn => {
            Err(Failure { reason: Reason::Protocol, transport: Some(Transport::Tls(secured)) })
        }
        Some(Ok(negotiated)) => match Identified::of(host.asks_clients, &negotiated) {
            Ok(identified) => Ok((secured, negotiated, identified)),
            Err(error) => {
                tracing::debug!(%error, "a client cannot be identified");
                Err(Failure { reason: Reason::Certificate, transport: Some(Transport::Tls(secured)) })
            }
        },
        Some(Err(error)) => {
            let reason = reason_of(&error, secured.failure());
            Err(Failure { reason, transport: Some(Transport::Tls(secured)) })
        }
        None => Err(nobody(Reason::TimedOut)),
    }
}

/// Ready when the time is up, or when the shard stops and gives nobody more.
fn poll_late(shard: &Membership, deadline: &mut Deadline, cx: &Context<'_>) -> Poll<()> {
    shard.register(cx);
    if let Some(until) = shard.idle_until() {
        deadline.bring_forward(until);
    }
    ready!(deadline.poll(cx));
    if !shard.is_draining() {
        shard.counters.hit(Limit::HeadTime);
    }
    Poll::Ready(())
}

fn reason_of(error: &io::Error, failure: Option<&Error>) -> Reason {
    match failure {
        Some(failure) => {
            tracing::debug!(%failure, "handshake failed");
            failure.reason()
        }
        None => {
            tracing::debug!(%error, "connection lost during the handshake");
            Reason::Ended
        }
    }
}
