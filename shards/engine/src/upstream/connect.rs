//! Opening a connection to a server.

use std::io;

use plan::{Address, Upstream};

use super::announce::announce;
use crate::client::Client;
use crate::outcome::{Error, Kind, Limit, Side};
use crate::transport::Transport;

/// Opens a connection to `address`, within the upstream's time-out. The server is told of the `client` that it is for, if it is to
/// be told and there is one.
///
/// # Errors
/// 504 if that passed, 503 if this process has run out of descriptors, memory or ports, 502 for everything else. No server has
/// seen the request then, so it may be sent elsewhere.
pub(crate) async fn connect(
    upstream: &Upstream,
    address: &Address,
    client: Option<&Client>,
) -> Result<Transport, Error> {
    let opened = match address {
        Address::Tcp(address) => ring::connect_tcp(*address, upstream.connect_timeout).await,
        Address::Unix(path) => ring::connect_unix(path, upstream.connect_timeout).await,
    };
    let mut stream = opened.map_err(|error| {
        tracing::debug!(upstream = upstream.name, %address, %error, "connecting failed");
        classify(&error)
    })?;
    // Ahead of everything else, a handshake of TLS too.
    if let Some((version, client)) = upstream.send_proxy.zip(client) {
        announce(&mut stream, version, client);
    }
    Ok(Transport::Plain(stream))
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
