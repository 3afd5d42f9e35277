//! Opening a connection to a server, and TLS over it where the upstream has that.

use std::fmt;
use std::future::poll_fn;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::task::{Context, Poll};

use plan::{Address, Upstream};
use ring::{Buffer, Instant, ReadMode, Stream};
use tls::{Connector, Session};

use super::announce::announce;
use super::server::Server;
use crate::client::Client;
use crate::complaint::Complaint;
use crate::deadline::Deadline;
use crate::outcome::{Error, Kind, Limit, Side};
use crate::transport::{Secured, Transport};

/// Room for a client's first message, most of which is a share of the key for each group that is offered.
const HELLO_ROOM_BYTES: usize = 2048;

/// How TLS is spoken with the servers of an upstream.
#[derive(Debug)]
pub(super) struct Secure {
    /// This shard's own.
    connector: Connector,
    /// About handshakes that fail.
    failed: Complaint,
}

impl Secure {
    pub(super) fn new(connector: &Connector) -> Secure {
        Secure { connector: connector.of_shard(), failed: Complaint::default() }
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
    shake_hands(stream, &secure.connector, server, until).await.map_err(|failure| {
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

async fn shake_hands(
    stream: Stream,
    connector: &Connector,
    server: &Server,
    until: Instant,
) -> Result<Transport, Failure> {
    let name = connector.name(server.host.as_deref(), ip_of(&server.address)).ok_or(Failure::Nameless)?;
    let mut hello = Buffer::with_room(HELLO_ROOM_BYTES);
    let session = Session::client(Arc::clone(connector.config()), name, &mut hello).map_err(Failure::Tls)?;
    let mut secured = Box::new(Secured::new(stream, session));
    secured.send(hello);
    let mut deadline = Deadline::new();
    deadline.set_at(until);
    let shaken = poll_fn(|cx| poll_until(&mut deadline, cx, |cx| secured.poll_handshake(cx)));
    match shaken.await {
        None => return Err(Failure::TimedOut),
        Some(Ok(_)) => {}
        Some(Err(error)) => {
            let failure = secured.failure().cloned().map_or(Failure::Socket(error), Failure::Tls);
            // The server learns why, if it takes that at once.
            poll_fn(|cx| poll_until(&mut deadline, cx, |cx| secured.poll_below(cx, 0))).await;
            return Err(failure);
        }
    }
    // What came along with the end of the handshake was said by the server without a question. As an answer it would be that
    // to whatever is asked first.
    match poll_fn(|cx| Poll::Ready(secured.poll_stirred(cx, ReadMode::Head))).await {
        Poll::Ready(()) => Err(match secured.failure() {
            Some(tls::Error::UnexpectedMessage) => Failure::Unasked,
            Some(error) => Failure::Tls(error.clone()),
            None => Failure::Socket(io::ErrorKind::UnexpectedEof.into()),
        }),
        Poll::Pending => Ok(Transport::Tls(secured)),
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_this_process_lacks_is_no_fault_of_the_server() {
        let outcome = |number| {
            let error = classify(&io::Error::from_raw_os_error(number));
            assert!(error.retry_safe, "no server has seen the request");
            (error.side, error.status, error.limit)
        };
        // EMFILE, ENFILE, ENOMEM, ENOBUFS, EADDRNOTAVAIL
        for number in [24, 23, 12, 105, 99] {
            assert_eq!(outcome(number), (Side::Ringway, 503, Some(Limit::System)), "{number}");
        }
        // ETIMEDOUT
        assert_eq!(outcome(110), (Side::Upstream, 504, Some(Limit::UpstreamConnect)));
        // ECONNREFUSED, ENETUNREACH, EHOSTUNREACH, ENOENT, EACCES
        for number in [111, 101, 113, 2, 13] {
            assert_eq!(outcome(number), (Side::Upstream, 502, None), "{number}");
        }
    }
}
