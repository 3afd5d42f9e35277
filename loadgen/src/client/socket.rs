//! Sockets: connecting, and what its errors count as.

use std::{
    io,
    net::{IpAddr, SocketAddr, TcpStream as StdStream},
    path::PathBuf,
};

use monoio::net::TcpStream;
use nix::sys::socket::{setsockopt, sockopt};
use socket2::{Domain, SockAddr, Socket, Type};

use super::protocol::Failure;
use crate::record::ErrorKind;

/// Where connections go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// Over TCP.
    Tcp(SocketAddr),
    /// To a Unix socket.
    Unix(PathBuf),
}

/// Connects, from `source` where one is given. A socket of either family comes as a `TcpStream`, whose reading and writing
/// work on any stream socket.
///
/// # Errors
/// Nobody listens, no way there, no port or descriptor left. There is no limit of time: drop the future.
pub async fn connect(address: &Address, source: Option<IpAddr>) -> Result<TcpStream, Failure> {
    let failure = |error: io::Error| connect_failure(&error);
    let (socket, peer) = open(address, source).map_err(failure)?;
    let pending = match socket.connect(&peer) {
        Ok(()) => false,
        Err(error) if error.raw_os_error() == Some(rustix::io::Errno::INPROGRESS.raw_os_error()) => true,
        Err(error) => return Err(failure(error)),
    };
    if !pending {
        return into_stream(socket).map_err(failure);
    }
    // The runtime wants to own the descriptor that it waits for, and shows no socket options: a second one asks for them.
    let waiting = TcpStream::from_std(StdStream::from(socket.try_clone().map_err(failure)?)).map_err(failure)?;
    waiting.writable(true).await.map_err(failure)?;
    if let Some(error) = socket.take_error().map_err(failure)? {
        return Err(failure(error));
    }
    socket.set_nonblocking(false).map_err(failure)?;
    Ok(waiting)
}

fn open(address: &Address, source: Option<IpAddr>) -> io::Result<(Socket, SockAddr)> {
    let (domain, peer) = match address {
        Address::Tcp(peer) => (Domain::for_address(*peer), SockAddr::from(*peer)),
        Address::Unix(path) => (Domain::UNIX, SockAddr::unix(path)?),
    };
    let socket = Socket::new(domain, Type::STREAM.nonblocking(), None)?;
    if let Address::Tcp(_) = address {
        socket.set_tcp_nodelay(true)?;
        if let Some(source) = source {
            // The port is chosen when the peer is known, so that each peer has all ports.
            setsockopt(&socket, sockopt::IpBindAddressNoPort, &true)?;
            socket.bind(&SocketAddr::new(source, 0).into())?;
        }
    }
    Ok((socket, peer))
}

/// With descriptors that do not block, io_uring gives up where it would wait.
fn into_stream(socket: Socket) -> io::Result<TcpStream> {
    socket.set_nonblocking(false)?;
    TcpStream::from_std(StdStream::from(socket))
}

fn connect_failure(error: &io::Error) -> Failure {
    let kind = match error.kind() {
        io::ErrorKind::ConnectionRefused => ErrorKind::ConnectRefused,
        io::ErrorKind::TimedOut => ErrorKind::ConnectTimedOut,
        _ => ErrorKind::ConnectFailed,
    };
    Failure::new(kind, error.to_string())
}

/// What a failed read or write counts as.
#[must_use]
pub fn transfer_failure(error: &io::Error) -> Failure {
    let kind = match error.kind() {
        io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionAborted => {
            ErrorKind::Reset
        }
        io::ErrorKind::TimedOut => ErrorKind::TimedOut,
        _ => ErrorKind::Other,
    };
    Failure::new(kind, error.to_string())
}
