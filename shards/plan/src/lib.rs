//! The contract between configuration and shards: immutable policy.
//!
//! A [`Plan`] is everything that a shard needs to know to serve, resolved and bounded: no names left to look up, no text
//! left to parse, no default left to guess. `src/config` builds it; the engine reads it and never changes it. The crate
//! knows neither TOML nor serde nor sockets, so that a Plan can be built by hand in a test, or by another front end.
//!
//! Read [`Plan`] first; then [`route`] (which route serves a request), [`filter`] (what is done to it on the way),
//! [`websocket`] (what is looked at in a tunnel),
//! [`upstream`] (where it goes), [`passthrough`] (which connections of TLS go there as they are), [`limits`] (how much and how
//! long), [`http2`] (how much at once), [`trust`] (whose word about the client is believed), [`forwarding`] (what is said about it), [`tls`] (who Ringway is to
//! its clients, and who they have to be) and [`access_log`] (what is written down).

pub mod access_log;
pub mod filter;
pub mod forwarding;
pub mod http2;
pub mod limits;
pub mod listener;
pub mod metrics;
pub mod passthrough;
pub mod route;
pub mod tls;
pub mod trust;
pub mod upstream;
pub mod websocket;

pub use access_log::{AccessLog, AccessLogId, AccessLogs, LogTarget, LogTargetId};
pub use filter::{Filters, HeaderEdits};
pub use forwarding::Forwarding;
pub use http2::{Http2, Http2Budgets};
pub use limits::{Limits, Overload, Timeouts};
pub use listener::{Address, Listener, ListenerTls, PlainHttp, Protocols, ProxyProtocol};
pub use metrics::{LatencyBuckets, Metrics};
pub use passthrough::{Passthrough, PassthroughTable};
pub use route::{HostIndex, HostPattern, PathPattern, Route, RouteId, RouteTable, Streams, UpstreamId};
pub use tls::Tls;
pub use trust::{Network, TrustPolicy};
pub use upstream::{Balance, Coalesce, HashKey, Health, Retry, SendProxy, Server, Upstream};
pub use websocket::WebSocket;

/// Everything a shard needs to know to serve. Shared by all shards, read only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Where clients are accepted. At least one.
    pub listeners: Vec<Listener>,
    /// The groups of servers that requests are proxied to, indexed by [`UpstreamId`].
    pub upstreams: Vec<Upstream>,
    /// Which route serves which host and path.
    pub routes: RouteTable,
    /// Which connections of TLS go to an upstream as they are.
    pub passthrough: PassthroughTable,
    /// How much a peer may send or hold.
    pub limits: Limits,
    /// How long a peer may take.
    pub timeouts: Timeouts,
    /// When a shard has too much to do.
    pub overload: Overload,
    /// How much a client of HTTP/2 may have under way.
    pub http2: Http2,
    /// Who Ringway is to the clients of the listeners with [`Listener::tls`]; there is none without it.
    pub tls: Option<Tls>,
    /// Whose forwarding headers are believed.
    pub trust: TrustPolicy,
    /// What requests say about clients besides the usual.
    pub forwarding: Forwarding,
    /// Number of shards, and whether each is pinned to a core.
    pub shards: Shards,
    /// Which exchanges are written down, how, and where.
    pub access_logs: AccessLogs,
    /// What is counted, and how finely it is told.
    pub metrics: Metrics,
}

/// How the data plane is laid over the machine's cores.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shards {
    /// Number of shards; 1 to 1024.
    pub count: u16,
    /// Whether shard *n* is pinned to the *n*-th core that this process may use (modulo their number).
    pub pin: bool,
    /// By which of the kernel's interfaces they move bytes.
    pub io: Io,
    /// Data bytes of a body in one run (the rest of the body, or of a chunk) from which it passes from socket to socket inside
    /// the kernel; as many at a time, twice in a row, through a tunnel. 4 KiB to 1 TiB, which nothing reaches.
    pub splice_bytes_min: u64,
}

impl Shards {
    /// Where [`Shards::splice_bytes_min`] stands unless told otherwise: below, splicing costs more system calls than it saves
    /// copying.
    pub const SPLICE_BYTES_MIN: u64 = 32 << 10;
}

/// The kernel's interface for many sockets at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Io {
    /// io_uring, or epoll where io_uring is refused or too old.
    #[default]
    Auto,
    /// io_uring, or no start.
    IoUring,
    /// epoll.
    Epoll,
}
