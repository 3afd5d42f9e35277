//! Opening a connection to a server, and TLS over it where the upstream has that.

#[cfg(test)]
mod tests;

use std::fmt;
use std::future::poll_fn;
use std::io;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};

use plan::{Address, Upstream};
use ring::{Buffer, Instant, ReadMode, Stream};
use tls::{Connector, Reason, Session};

use super::announce::announce;
use super::server::Server;
use crate::client::Client;
use crate::complaint::Complaint;
use crate::deadline::Deadline;
use crate::outcome::{Error, Kind, Limit, Side};
use crate::tally::UpstreamTally;
use crate::transport::{Secured, Transport};
use crate::turns::Turns;

/// Room for a client's first message, most of which is a share of the key for each group that is offered.
const HELLO_ROOM_BYTES: usize = 2048;

/// How TLS is spoken with the servers of an upstream.
#[derive(Debug)]
pub(super) struct Secure {
    /// This shard's own.
    connector: Connector,
    /// About handshakes that fail.
    failed: Complaint,
    /// Who waits to go on with a handshake, with any upstream. It is not the line of the clients: whoever floods us with
    /// handshakes delays none with a server.
    turns: Rc<Turns>,
    tally: Option<Arc<UpstreamTally>>,
}

impl Secure {
    pub(super) fn new(connector: &Connector, turns: &Rc<Turns>, tally: Option<&Arc<UpstreamTally>>) -> Secure {
        let (turns, tally) = (Rc::clone(turns), tally.cloned());
        Secure { connector: connector.of_shard(), failed: Complaint::default(), turns, tally }
    }

    /// Counts what came of a handshake that was `begun` at this time.
    fn count(&self, begun: Instant, shaken: Result<bool, Reason>) {
        let Some(tally) = &self.tally else { return };
        match shaken {
            Ok(is_resumed) => {
                tally.tls_handshakes[usize::from(is_resumed)].add(1);
                tally.tls_latency.record(ring::now().saturating_duration_since(begun));
            }
            Err(reason) => tally.tls_handshakes_failed[reason.index()].add(1),
        }
    }
}

/// Opens a connection to `server`, within the upstream's time-out, which covers the handshake as well. The
/// server is told of the `client` that it is for, if it is to be told and there is one.
///
/// # Errors
/// 504 if that passed, 503 if this process has run out of descriptors, memory or ports, 502 for everything else. No server has
/// seen the request then, so it may be sent elsewhere.
pub(super) async fn connect(
    upstream: &Upstream,
    secure: Option<&Secure>,
    server: &Server,
    client: Option<&Client>,
) -> Result<Transport, Error> {
    let until = ring::now() + upstream.connect_timeout;
    let opened = match &server.address {
        Address::Tcp(address) => ring::connect_tcp(*address, upstream.connect_timeout).await,
        Address::Unix(path) => ring::connect_unix(path, upstream.connect_timeout).await,
    };
    let mut stream = opened.map_err(|error| {
        tracing::debug!(upstream = upstream.name, address = %server.address, %error, "connecting failed");
        classify(&error)
    })?;
    // Ahead of everything else, a handshake of TLS too.
    if let Some((version, client)) = upstream.send_proxy.zip(client) {
        announce(&mut stream, version, client);
    }
    let Some(secure) = secure else { return Ok(Transport::Plain(stream)) };
    let begun = ring::now();
    let shaken = shake_hands(stream, secure, server, until).await;
    secure.count(begun, shaken.as_ref().map(|(_, is_resumed)| *is_resumed).map_err(Failure::reason));
    shaken.map(|(transport, _)| transport).map_err(|failure| {
        if let Some(untold) = secure.failed.due(ring::now()) {
            let (upstream, server) = (&upstream.name, &server.name);
            tracing::warn!(upstream, server, untold, "no TLS with a server: {failure}");
        }
        failure.outcome()
    })
}

/// Why there is no TLS with a server.
enum Failure {
    /// The server has no name that it could prove.
    Nameless,
    /// It has said something before it was asked.
    Unasked,
    TimedOut,
    Socket(io::Error),
    Tls(tls::Error),
}

impl Failure {
    /// Under what it is counted.
    fn reason(&self) -> Reason {
        match self {
            Failure::Nameless => Reason::Name,
            Failure::Unasked => Reason::Unexpected,
            Failure::TimedOut => Reason::TimedOut,
            Failure::Socket(_) => Reason::Ended,
            Failure::Tls(error) => error.reason(),
        }
    }

    fn outcome(&self) -> Error {
        match self {
            Failure::TimedOut => classify(&io::ErrorKind::TimedOut.into()),
            Failure::Socket(error) => classify(error),
            Failure::Nameless | Failure::Unasked | Failure::Tls(_) => classify(&io::ErrorKind::InvalidData.into()),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Nameless => f.write_str("it has no name that it could prove"),
            Failure::Unasked => f.write_str("it has sent data before it was asked"),
            Failure::TimedOut => f.write_str("the handshake took too long"),
            Failure::Socket(error) => error.fmt(f),
            Failure::Tls(error) => error.fmt(f),
        }
    }
}

/// Shakes hands, in turns: a connection's own share of the key takes one, and all that follows on what the server says first
/// another. Returns whether a session was resumed as well.
async fn shake_hands(
    stream: Stream,
    secure: &Secure,
    server: &Server,
    until: Instant,
) -> Result<(Transport, bool), Failure> {
    let connector = &secure.connector;
    let name = connector.name(server.host.as_deref(), ip_of(&server.address)).ok_or(Failure::Nameless)?;
    let mut deadline = Deadline::new();
    deadline.set_at(until);
    take_turn(secure, &mut deadline).await?;
    let mut hello = Buffer::with_room(HELLO_ROOM_BYTES);
    let session = Session::client(Arc::clone(connector.config()), name, &mut hello).map_err(Failure::Tls)?;
    let mut secured = Box::new(Secured::new(stream, session));
    secured.send(hello);
    let answered = poll_fn(|cx| poll_until(&mut deadline, cx, |cx| secured.poll_arrival(cx)));
    answered.await.ok_or(Failure::TimedOut)?.map_err(Failure::Socket)?;
    take_turn(secure, &mut deadline).await?;
    let shaken = poll_fn(|cx| poll_until(&mut deadline, cx, |cx| secured.poll_handshake(cx)));
    let is_resumed = match shaken.await {
        None => return Err(Failure::TimedOut),
        Some(Ok(negotiated)) => negotiated.resumed,
        Some(Err(error)) => {
            let failure = secured.failure().cloned().map_or(Failure::Socket(error), Failure::Tls);
            // The server learns why, if it takes that at once.
            poll_fn(|cx| poll_until(&mut deadline, cx, |cx| secured.poll_below(cx, 0))).await;
            return Err(failure);
        }
    };
    // What came along with the end of the handshake was said by the server without a question. As an answer it would be that
    // to whatever is asked first.
    match poll_fn(|cx| Poll::Ready(secured.poll_stirred(cx, ReadMode::Head))).await {
        Poll::Ready(()) => Err(match secured.failure() {
            Some(tls::Error::UnexpectedMessage) => Failure::Unasked,
            Some(error) => Failure::Tls(error.clone()),
            None => Failure::Socket(io::ErrorKind::UnexpectedEof.into()),
        }),
        Poll::Pending => Ok((Transport::Tls(secured), is_resumed)),
    }
}

/// Waits until it is this handshake's turn.
async fn take_turn(secure: &Secure, deadline: &mut Deadline) -> Result<(), Failure> {
    let mut turn = secure.turns.wait();
    poll_fn(|cx| poll_until(deadline, cx, |cx| turn.poll(cx))).await.ok_or(Failure::TimedOut)
}

/// Ready with nothing when the time is up.
fn poll_until<T>(
    deadline: &mut Deadline,
    cx: &Context<'_>,
    poll: impl FnOnce(&Context<'_>) -> Poll<T>,
) -> Poll<Option<T>> {
    match poll(cx) {
        Poll::Ready(ready) => Poll::Ready(Some(ready)),
        Poll::Pending => deadline.poll(cx).map(|()| None),
    }
}

fn ip_of(address: &Address) -> Option<IpAddr> {
    match address {
        Address::Tcp(address) => Some(address.ip()),
        Address::Unix(_) => None,
    }
}

fn classify(error: &io::Error) -> Error {
    const EMFILE: i32 = 24;
    const ENFILE: i32 = 23;
    const ENOBUFS: i32 = 105;
    let error = match (error.kind(), error.raw_os_error()) {
        (io::ErrorKind::TimedOut, _) => Error::new(Side::Upstream, Kind::TimedOut, 504).by(Limit::UpstreamConnect),
        // No address is available when all ports are taken by connections to this server.
        (io::ErrorKind::OutOfMemory | io::ErrorKind::AddrNotAvailable, _) | (_, Some(EMFILE | ENFILE | ENOBUFS)) => {
            Error::new(Side::Ringway, Kind::NoCapacity, 503).by(Limit::System)
        }
        _ => Error::new(Side::Upstream, Kind::Refused, 502),
    };
    Error { retry_safe: true, ..error }
}
