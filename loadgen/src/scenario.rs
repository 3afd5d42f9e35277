//! What is to be asked of whom, how often and how: the scenario, from a file or the command line.
//!
//! [`raw`] is the file's form, [`lower`] gives it its meaning, and [`Diagnostic`] says where it has none. The command line
//! sets the same fields of the same [`Scenario`] afterwards, so that a flag overrides the file.

mod diagnostic;
mod lower;
mod raw;
pub mod units;
mod url;

use std::{ops::RangeInclusive, path::PathBuf, time::Duration};

pub use diagnostic::Diagnostic;
pub use lower::{header, read};
pub use url::{Origin, Url};

/// Connections that a scenario may open.
pub const CONNECTIONS_MAX: u64 = 1_000_000;
/// Threads that may drive them.
pub const THREADS_MAX: u64 = 1024;
/// Requests that may be under way on one connection.
pub const PIPELINE_MAX: u64 = 1024;
/// Streams that may be open on one connection of HTTP/2.
pub const STREAMS_MAX: u64 = 10_000;
/// What a flow-control window of HTTP/2 may be: what it is before anybody has said a size, to its bound. RFC 9113 §6.9
pub const WINDOW_BYTES: RangeInclusive<u64> = 65_535..=(1 << 31) - 1;
/// Requests a second that a schedule may ask for.
pub const RATE_MAX: f64 = 10e6;
/// Bytes of a request's body, which is kept in memory once.
pub const BODY_BYTES_MAX: u64 = 256 << 20;

/// A scenario in full.
#[derive(Debug, Clone, PartialEq)]
pub struct Scenario {
    /// Connections held open at once, 1 to [`CONNECTIONS_MAX`].
    pub connections: u64,
    /// Threads; `None` for one on each core that the process may use.
    pub threads: Option<u64>,
    /// When it ends.
    pub extent: Extent,
    /// Time before the measurement, under the same load; its samples are dropped.
    pub warm_up: Duration,
    /// Time over which connections are opened and a rate grows from zero, evenly.
    pub ramp_up: Duration,
    /// Whether the connections speak HTTP/2: agreed on by TLS (ALPN), or with prior knowledge where there is none.
    pub http2: bool,
    /// HTTP/2: requests under way on one connection at most, 1 to [`STREAMS_MAX`]; fewer where the server takes fewer.
    pub streams: u64,
    /// HTTP/2: bytes of an answer that may be under way, and of all answers of a connection; within [`WINDOW_BYTES`].
    pub window_bytes: u64,
    /// HTTP/1.1 and WebSocket: requests under way on one connection at most, 1 to [`PIPELINE_MAX`].
    pub pipeline: u64,
    /// Requests after which a connection is closed and another takes its place; `None` for no end.
    pub requests_per_connection: Option<u64>,
    /// Whether each thread is pinned to a core.
    pub pin: bool,
    /// A Unix socket to connect to, whatever host the URLs name.
    pub unix_socket: Option<PathBuf>,
    /// The schedule of an open loop; `None` for a closed one.
    pub rate: Option<Rate>,
    /// How long things may take.
    pub timeouts: Timeouts,
    /// TLS, for the schemes `https` and `wss`.
    pub tls: Tls,
    /// Fields of every request.
    pub headers: Vec<(String, String)>,
    /// What is asked for. At least one, all HTTP or all WebSocket.
    pub requests: Vec<Request>,
}

/// When a scenario ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// So long after the warm-up.
    Duration(Duration),
    /// After so many requests.
    Requests(u64),
}

/// When the requests of an open loop are due.
#[derive(Debug, Clone, PartialEq)]
pub struct Rate {
    /// The distances between requests.
    pub arrivals: Arrivals,
    /// Rates, one after the other; the last one holds until the end.
    pub steps: Vec<Step>,
    /// Requests that may be due and unanswered at once, queued or under way. One that becomes due beyond it is not sent, and
    /// counts as dropped.
    pub outstanding_max: u64,
    /// Where the random distances start from: the same number, the same schedule.
    pub seed: u64,
}

/// The distances between the requests of an open loop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arrivals {
    /// All the same.
    Constant,
    /// Exponentially distributed, as with clients that know nothing of each other.
    Poisson,
}

/// A rate for a time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Step {
    /// Requests a second.
    pub per_second: f64,
    /// How long.
    pub duration: Duration,
}

/// How long things may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// TCP's handshake and TLS's.
    pub connect: Duration,
    /// From when a request was due until its answer is complete.
    pub request: Duration,
    /// At the end, for what is under way.
    pub drain: Duration,
}

/// TLS of all connections.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tls {
    /// Whether any certificate will do.
    pub insecure: bool,
    /// Certificates (PEM) to trust instead of the system's.
    pub ca_file: Option<PathBuf>,
    /// The name to ask for (SNI) and to verify, instead of the URL's host.
    pub server_name: Option<String>,
    /// Versions to offer.
    pub versions: TlsVersions,
    /// Whether later connections resume earlier sessions.
    pub resumption: bool,
}

/// The versions of TLS that are offered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TlsVersions {
    /// 1.3, and 1.2 for those who know no better.
    Both,
    /// 1.2 only.
    Tls12,
    /// 1.3 only.
    Tls13,
}

/// One kind of request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Where it goes.
    pub url: Url,
    /// The method; not for WebSocket.
    pub method: String,
    /// How often it comes, relative to the other requests' weights.
    pub weight: u64,
    /// Fields besides those of the scenario.
    pub headers: Vec<(String, String)>,
    /// The body, or WebSocket's message.
    pub body: Option<Body>,
    /// What the answer has to be.
    pub expect: Expect,
}

/// What a request carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// These bytes.
    Bytes(Vec<u8>),
    /// What the file holds when the run begins.
    File(PathBuf),
    /// So many bytes of a pattern.
    Size(u64),
}

/// What an answer has to be. What is not said is not looked at.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Expect {
    /// Statuses that are as expected; empty for 200 to 399.
    pub statuses: Vec<StatusRange>,
    /// The length of its body.
    pub body_bytes: Option<u64>,
    /// The SHA-256 of its body.
    pub body_sha256: Option<[u8; 32]>,
}

/// Statuses from the first to the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StatusRange {
    /// The lowest.
    pub first: u16,
    /// The highest.
    pub last: u16,
}

impl Default for Scenario {
    fn default() -> Self {
        Self {
            connections: 64,
            threads: None,
            extent: Extent::Duration(Duration::from_secs(10)),
            warm_up: Duration::ZERO,
            ramp_up: Duration::ZERO,
            http2: false,
            streams: 1,
            window_bytes: 16 << 20,
            pipeline: 1,
            requests_per_connection: None,
            pin: false,
            unix_socket: None,
            rate: None,
            timeouts: Timeouts::default(),
            tls: Tls::default(),
            headers: Vec::new(),
            requests: Vec::new(),
        }
    }
}

impl Default for Rate {
    fn default() -> Self {
        Self { arrivals: Arrivals::Constant, steps: Vec::new(), outstanding_max: 100_000, seed: 1 }
    }
}

impl Default for Timeouts {
    fn default() -> Self {
        Self { connect: Duration::from_secs(5), request: Duration::from_secs(30), drain: Duration::from_secs(5) }
    }
}

impl Default for Tls {
    fn default() -> Self {
        Self { insecure: false, ca_file: None, server_name: None, versions: TlsVersions::Both, resumption: true }
    }
}

impl Request {
    /// A GET of `url`.
    #[must_use]
    pub fn to(url: Url) -> Self {
        Self { url, method: "GET".to_owned(), weight: 1, headers: Vec::new(), body: None, expect: Expect::default() }
    }
}

impl Expect {
    /// Whether an answer may have this status.
    #[must_use]
    pub fn allows(&self, status: u16) -> bool {
        if self.statuses.is_empty() {
            return (200..400).contains(&status);
        }
        self.statuses.iter().any(|range| (range.first..=range.last).contains(&status))
    }
}

impl Scenario {
    /// Whether the parts fit together; each by itself was checked where it was read.
    ///
    /// # Errors
    /// Says what does not fit.
    pub fn check(&self) -> Result<(), Diagnostic> {
        let fail = |message: &str| Err(Diagnostic::plain(message));
        let Some(first) = self.requests.first() else {
            return fail("nothing to ask for: give a URL, or a scenario with [[requests]]");
        };
        for (what, value, max) in [
            ("connections", self.connections, CONNECTIONS_MAX),
            ("threads", self.threads.unwrap_or(1), THREADS_MAX),
            ("requests under way on a connection", self.pipeline, PIPELINE_MAX),
            ("streams of a connection", self.streams, STREAMS_MAX),
            ("requests a connection", self.requests_per_connection.unwrap_or(1), u64::MAX),
        ] {
            if !(1..=max).contains(&value) {
                return fail(&format!("{what}: expected 1 to {max}"));
            }
        }
        if let Extent::Duration(Duration::ZERO) | Extent::Requests(0) = self.extent {
            return fail("a run of nothing: expected a duration or a number of requests above 0");
        }
        if self.timeouts.connect.is_zero() || self.timeouts.request.is_zero() {
            return fail("a time limit of nothing: expected more");
        }
        if self.rate.iter().flat_map(|rate| &rate.steps).any(|step| step.per_second > RATE_MAX) {
            return fail(&format!("a rate above {RATE_MAX} a second"));
        }
        if self
            .requests
            .iter()
            .any(|request| request.method.is_empty() || !request.method.bytes().all(|byte| byte.is_ascii_uppercase()))
        {
            return fail("a method is written in capitals, such as POST");
        }
        if !WINDOW_BYTES.contains(&self.window_bytes) {
            return fail(&format!("a window: expected {} to {} bytes", WINDOW_BYTES.start(), WINDOW_BYTES.end()));
        }
        match (self.http2, self.pipeline, self.streams) {
            (true, _, _) if first.url.origin.websocket => {
                return fail("WebSocket is spoken over HTTP/1.1 only: leave `http2` out");
            }
            (true, 2.., _) => return fail("HTTP/2 has no pipeline: say how many streams"),
            (false, _, 2..) => return fail("only HTTP/2 has streams: say so, or give a pipeline"),
            _ => {}
        }
        let fields = || self.headers.iter().chain(self.requests.iter().flat_map(|request| &request.headers));
        // RFC 9113 §8.2.2
        if self.http2 && fields().any(|(name, value)| name.eq_ignore_ascii_case("te") && value != "trailers") {
            return fail("in HTTP/2 the field TE says `trailers` or nothing");
        }
        if self.requests.iter().any(|request| request.url.origin.websocket != first.url.origin.websocket) {
            return fail("a scenario speaks either HTTP or WebSocket: the URLs' schemes differ");
        }
        if first.url.origin.websocket && self.requests.iter().any(|request| request.expect != Expect::default()) {
            return fail("a WebSocket message is expected to come back as it was sent: leave `expect` out");
        }
        if self.requests.iter().all(|request| request.weight == 0) {
            return fail("no request has a weight above 0");
        }
        if self.rate.as_ref().is_some_and(|rate| rate.steps.is_empty()) {
            return fail("a rate needs `per_second` or `steps`");
        }
        if let (Some(rate), Extent::Duration(_)) = (&self.rate, self.extent)
            && rate.steps.iter().all(|step| step.per_second == 0.0)
        {
            return fail("no step has a rate above 0");
        }
        Ok(())
    }
}
