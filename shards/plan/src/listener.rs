//! Where clients are accepted, and the addresses of sockets in general.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

use crate::TrustPolicy;

/// One listening socket, opened once by each shard (`SO_REUSEPORT`) for TCP, and shared by them for a Unix path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listener {
    /// The address to bind.
    pub address: Address,
    /// Length of the kernel's queue of connections not yet accepted; 1 to 65,535.
    pub backlog: u32,
    /// Whether connections begin with a header of the PROXY protocol.
    pub proxy_protocol: ProxyProtocol,
    /// What clients may speak.
    pub protocols: Protocols,
    /// How TLS ends here that is not passed through, as [`crate::Plan::tls`] says; `None` where none does.
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
    /// A listener at `address`, with the default backlog, for HTTP of both versions without anything ahead of it.
    #[must_use]
    pub fn new(address: Address) -> Listener {
        Listener {
            address,
            backlog: 4096,
            proxy_protocol: ProxyProtocol::default(),
            protocols: Protocols::default(),
            tls: None,
        }
    }

    /// Whether the first bytes of a connection are looked at before they are taken for a request. Of HTTP/1 and HTTP/2 the reader
    /// of requests tells the one from the other by itself.
    #[must_use]
    pub fn detects(&self) -> bool {
        self.proxy_protocol != ProxyProtocol::Off || self.protocols.tls || !self.protocols.http1
    }
}

/// Whether connections to a listener begin with a header of the PROXY protocol, and whose header is believed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum ProxyProtocol {
    /// None does: what looks like one is a malformed request.
    #[default]
    Off,
    /// Connections of these peers may begin with one. One of anybody else's is refused.
    Optional(TrustPolicy),
    /// Every connection has to begin with one. Who is not one of these peers is refused at once.
    Required(TrustPolicy),
}

/// What clients may speak on a listener. At least one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Protocols {
    /// HTTP/1 without TLS.
    pub http1: bool,
    /// HTTP/2 without TLS, by prior knowledge (RFC 9113 §3.3).
    pub http2: bool,
    /// TLS, which is passed through ([`crate::Passthrough`]) or ends here ([`Listener::tls`]).
    pub tls: bool,
}

impl Default for Protocols {
    fn default() -> Protocols {
        Protocols { http1: true, http2: true, tls: false }
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
