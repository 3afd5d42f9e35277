//! Where clients are accepted, and the addresses of sockets in general.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

/// One listening socket, opened once by each shard (`SO_REUSEPORT`) for TCP, and shared by them for a Unix path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listener {
    /// The address to bind.
    pub address: Address,
    /// Length of the kernel's queue of connections not yet accepted; 1 to 65,535.
    pub backlog: u32,
    /// Whether clients speak TLS here, as [`crate::Plan::tls`] says; `None` for those who do not.
    pub tls: Option<ListenerTls>,
}

/// What is particular to one listener for TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ListenerTls {
    /// What a client is told that speaks HTTP without TLS.
    pub plain_http: PlainHttp,
}

/// What a client is told that speaks HTTP without TLS where TLS is spoken. Its request is answered by nobody else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PlainHttp {
    /// 400.
    #[default]
    Refuse,
    /// 308 to the same address with `https`.
    Redirect,
}

impl Listener {
    /// A listener at `address`, with the default backlog and without TLS.
    #[must_use]
    pub fn new(address: Address) -> Listener {
        Listener { address, backlog: 4096, tls: None }
    }
}

/// The address of a stream socket.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Address {
    /// An IPv4 or IPv6 address and port.
    Tcp(SocketAddr),
    /// The path of a Unix socket, at most 107 bytes.
    Unix(PathBuf),
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Tcp(address) => address.fmt(f),
            Address::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}
