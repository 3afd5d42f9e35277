//! What is asked of each proxy: which work, over how many connections.

use std::{fmt, str::FromStr};

use anyhow::{Context, ensure};
use bench_common::{
    body::Body,
    upstream::{CONNECTIONS_MAX, UPLOAD_BYTES_MAX, UPLOAD_PATH},
};

/// How the name of a scenario begins whose body is the request's.
const UPLOAD_PREFIX: &str = "upload-";
/// How the name of a scenario may begin whose body is of any size.
const BODY_PREFIX: &str = "body-";
/// The scenario with the upstream that answers a batch in one write.
const BATCHED: &str = "batched";
/// How the name of a WebSocket's scenario begins, with the size of its messages behind, and what it is for the usual ones.
const ECHO_PREFIX: &str = "ws-";
const ECHO: &str = "ws";
/// A message that the short form of a frame's length just holds. RFC 6455 §5.2
const ECHO_MESSAGE_BYTES: usize = 125;
/// Upper bound of a message; each connection holds a few of them.
const MESSAGE_BYTES_MAX: usize = 1 << 20;
/// What the scenario is called whose every request has a connection of its own.
const CONNECT: &str = "connect";
/// How the name of a scenario begins whose requests come so many in a write, and how many at most.
const PIPELINED_PREFIX: &str = "pipelined-";
const DEPTH_MAX: u32 = 256;
/// How it ends where the upstream answers all it has received in one write.
const BATCHED_SUFFIX: &str = "-batched";
/// How the name of a scenario begins whose requests come by the clock; behind it stands how many a second.
const OPEN_PREFIX: &str = "open-";
const OPEN_HALF: &str = "half";
const PER_SECOND_MAX: u32 = 1_000_000;
/// What the scenario is called whose connections say nothing, and how many they are at most: a process has 20,000 descriptors
/// where this is run, and the proxy needs some for its upstream.
const IDLE: &str = "idle";
const IDLE_CONNECTIONS_MAX: u32 = 16_000;

/// How the name of a scenario begins whose clients speak TLS, and what those are called that are about its beginning.
const TLS_PREFIX: &str = "tls-";
/// How the name of a scenario goes on whose clients speak HTTP/2, and what stands between its connections and their streams.
const HTTP2_PREFIX: &str = "h2-";
const STREAMS_MARK: char = 'x';
const STREAMS_MAX: u32 = 1024;
const HANDSHAKE: &str = "handshake";
const RESUMED: &str = "resumed";

/// One kind of work, done again and again over a number of connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scenario {
    /// What happens on each connection.
    pub work: Work,
    /// How many there are.
    pub connections: u32,
    /// Whether clients speak TLS 1.3 to the proxy.
    pub tls: bool,
    /// How many requests are under way at once on each connection, where clients speak HTTP/2: agreed on by ALPN, or with prior
    /// knowledge where there is no TLS. None for HTTP/1.1.
    pub streams: Option<u32>,
}

/// What happens on the connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Work {
    /// A GET of this body.
    Download(Body),
    /// A GET of the small body, from an upstream that answers all it has received in one write.
    Batched,
    /// A POST of this body, answered with the small one.
    Upload(Body),
    /// A message of so many bytes there and back through a WebSocket.
    Echo(usize),
    /// A GET of the small body on a connection of its own.
    Connect,
    /// GETs of the small body, so many in one write; their answers are awaited before the next write.
    Pipelined(u32),
    /// The same, from an upstream that answers all it has received in one write.
    PipelinedBatched(u32),
    /// GETs of the small body that become due by the clock, whether or not the earlier ones have been answered.
    Open(Pace),
    /// A GET of the small body on a TLS connection of its own.
    Handshake(Handshake),
    /// Nothing: each connection has had one request, and is held. What is measured is memory.
    Idle,
}

/// How a connection's TLS begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Handshake {
    /// With the server's certificate and a proof that it has the key.
    Full,
    /// With a ticket of an earlier one.
    Resumed,
}

/// How many requests become due in a second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// So many.
    PerSecond(u32),
    /// Half of what the first target answers over as many connections when it is asked as fast as it answers; the same for
    /// all targets.
    HalfLoad,
}

impl Work {
    /// The body of the answer; none where there is no plain request.
    #[must_use]
    pub fn answer(self) -> Option<Body> {
        match self {
            Self::Download(body) => Some(body),
            Self::Echo(_) => None,
            _ => Some(Body::SMALL),
        }
    }

    /// Whether there are clients for it that speak TLS.
    fn may_be_secured(self) -> bool {
        match self {
            Self::Download(_) | Self::Batched | Self::Upload(_) | Self::Open(_) => true,
            Self::Pipelined(_) | Self::PipelinedBatched(_) => true,
            Self::Handshake(_) | Self::Idle => true,
            Self::Echo(_) | Self::Connect => false,
        }
    }

    /// Whether there are clients for it that speak HTTP/2.
    fn may_be_http2(self) -> bool {
        matches!(self, Self::Download(_) | Self::Batched | Self::Upload(_) | Self::Open(_))
    }
}

impl Scenario {
    /// How many requests are under way at once at most: as many connections may there be to the upstream.
    #[must_use]
    pub fn requests_max(self) -> u32 {
        self.connections * self.streams.unwrap_or(1)
    }

    /// Bytes of the body, or of the message.
    #[must_use]
    pub fn length_bytes(self) -> usize {
        match self.work {
            Work::Download(body) | Work::Upload(body) => body.length_bytes(),
            Work::Echo(message_bytes) => message_bytes,
            _ => Body::SMALL.length_bytes(),
        }
    }

    /// The path asked for.
    #[must_use]
    pub fn path(self) -> String {
        match self.work {
            Work::Download(body) => body.path(),
            Work::Upload(_) => UPLOAD_PATH.to_owned(),
            Work::Echo(_) => "/".to_owned(),
            _ => Body::SMALL.path(),
        }
    }

    /// The script by which wrk makes the requests, where a GET is not enough.
    #[must_use]
    pub fn script(self) -> Option<String> {
        match self.work {
            Work::Upload(body) => {
                let repeated = body.length_bytes() / 16;
                Some(format!("wrk.method = \"POST\"\nwrk.body = string.rep(\"0123456789abcdef\", {repeated})\n"))
            }
            // wrk finds out how many requests a write has, counts each answer, and writes again when the last has come.
            Work::Pipelined(depth) | Work::PipelinedBatched(depth) => Some(format!(
                "init = function(arguments)\n    local requests = {{}}\n    \
                 for request = 1, {depth} do requests[request] = wrk.format() end\n    \
                 pipeline = table.concat(requests)\nend\nrequest = function() return pipeline end\n"
            )),
            Work::Download(_) | Work::Batched | Work::Echo(_) | Work::Connect => None,
            Work::Handshake(_) | Work::Open(_) | Work::Idle => None,
        }
    }
}

impl fmt::Display for Work {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Batched => formatter.write_str(BATCHED),
            Self::Download(body) if Body::USUAL.contains(body) => formatter.write_str(&body.name()),
            Self::Download(body) => write!(formatter, "{BODY_PREFIX}{}", body.name()),
            Self::Upload(body) => write!(formatter, "{UPLOAD_PREFIX}{}", body.name()),
            Self::Echo(ECHO_MESSAGE_BYTES) => formatter.write_str(ECHO),
            Self::Echo(message_bytes) => write!(formatter, "{ECHO_PREFIX}{}k", message_bytes >> 10),
            Self::Connect => formatter.write_str(CONNECT),
            Self::Handshake(Handshake::Full) => formatter.write_str(HANDSHAKE),
            Self::Handshake(Handshake::Resumed) => formatter.write_str(RESUMED),
            Self::Pipelined(depth) => write!(formatter, "{PIPELINED_PREFIX}{depth}"),
            Self::PipelinedBatched(depth) => write!(formatter, "{PIPELINED_PREFIX}{depth}{BATCHED_SUFFIX}"),
            Self::Open(pace) => write!(formatter, "{OPEN_PREFIX}{pace}"),
            Self::Idle => formatter.write_str(IDLE),
        }
    }
}

impl fmt::Display for Pace {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::HalfLoad => formatter.write_str(OPEN_HALF),
            Self::PerSecond(rate) if rate % 1000 == 0 => write!(formatter, "{}k", rate / 1000),
            Self::PerSecond(rate) => write!(formatter, "{rate}"),
        }
    }
}

impl FromStr for Pace {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Self> {
        if text == OPEN_HALF {
            return Ok(Self::HalfLoad);
        }
        let (number, factor) = text.strip_suffix('k').map_or((text, 1), |thousands| (thousands, 1000));
        let rate = number.parse::<u32>().ok().and_then(|number| number.checked_mul(factor));
        rate.filter(|rate| (1..=PER_SECOND_MAX).contains(rate))
            .map(Self::PerSecond)
            .with_context(|| format!("no rate is {text}; expected {OPEN_HALF}, or requests a second such as 11k"))
    }
}

impl FromStr for Work {
    type Err = anyhow::Error;

    fn from_str(name: &str) -> anyhow::Result<Self> {
        let body = |name: &str| {
            Body::by_name(name)
                .with_context(|| format!("no body is called {name}; there are small, and sizes such as 16k"))
        };
        if name == BATCHED {
            Ok(Self::Batched)
        } else if name == ECHO {
            Ok(Self::Echo(ECHO_MESSAGE_BYTES))
        } else if name == CONNECT {
            Ok(Self::Connect)
        } else if name == HANDSHAKE {
            Ok(Self::Handshake(Handshake::Full))
        } else if name == RESUMED {
            Ok(Self::Handshake(Handshake::Resumed))
        } else if name == IDLE {
            Ok(Self::Idle)
        } else if let Some(depth) = name.strip_prefix(PIPELINED_PREFIX) {
            let (depth, work): (_, fn(u32) -> Self) = match depth.strip_suffix(BATCHED_SUFFIX) {
                Some(depth) => (depth, Self::PipelinedBatched),
                None => (depth, Self::Pipelined),
            };
            let depth = depth.parse().ok().filter(|depth| (2..=DEPTH_MAX).contains(depth));
            depth.map(work).with_context(|| format!("a pipeline is 2 to {DEPTH_MAX} deep"))
        } else if let Some(pace) = name.strip_prefix(OPEN_PREFIX) {
            pace.parse().map(Self::Open)
        } else if let Some(size) = name.strip_prefix(ECHO_PREFIX) {
            let bytes = size.strip_suffix('k').and_then(|number| number.parse::<usize>().ok()).map(|kib| kib << 10);
            let bytes = bytes.filter(|bytes| (1..=MESSAGE_BYTES_MAX).contains(bytes));
            bytes.map(Self::Echo).with_context(|| format!("no message has {size}; expected such as {ECHO_PREFIX}16k"))
        } else if let Some(size) = name.strip_prefix(UPLOAD_PREFIX) {
            let body = body(size)?;
            ensure!(body.length_bytes() <= UPLOAD_BYTES_MAX, "an upload has at most {UPLOAD_BYTES_MAX} bytes");
            Ok(Self::Upload(body))
        } else {
            body(name.strip_prefix(BODY_PREFIX).unwrap_or(name)).map(Self::Download)
        }
    }
}

impl fmt::Display for Scenario {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_named = matches!(self.work, Work::Handshake(_));
        let prefix = if self.tls && !is_named { TLS_PREFIX } else { "" };
        match self.streams {
            None => write!(formatter, "{prefix}{}@{}", self.work, self.connections),
            Some(streams) => {
                write!(formatter, "{prefix}{HTTP2_PREFIX}{}@{}{STREAMS_MARK}{streams}", self.work, self.connections)
            }
        }
    }
}

impl FromStr for Scenario {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Self> {
        let (work, connections) = text.split_once('@').context("expected WORK@CONNECTIONS, such as small@64")?;
        let (work, secured) = work.strip_prefix(TLS_PREFIX).map_or((work, false), |work| (work, true));
        let (work, is_http2) = work.strip_prefix(HTTP2_PREFIX).map_or((work, false), |work| (work, true));
        let work: Work = work.parse()?;
        ensure!(!is_http2 || work.may_be_http2(), "{work} has no client that speaks HTTP/2");
        ensure!(!secured || work.may_be_secured(), "{work} has no client that speaks TLS");
        ensure!(
            !(secured && matches!(work, Work::Handshake(_))),
            "{work} speaks TLS as it is called: leave {TLS_PREFIX} out"
        );
        let (connections, streams) = match connections.split_once(STREAMS_MARK) {
            Some((connections, streams)) if is_http2 => {
                let streams = streams.parse().ok().filter(|streams| (1..=STREAMS_MAX).contains(streams));
                (connections, Some(streams.with_context(|| format!("streams: expected 1 to {STREAMS_MAX}"))?))
            }
            _ => (connections, None),
        };
        ensure!(!is_http2 || streams.is_some(), "HTTP/2 has streams: expected such as {HTTP2_PREFIX}small@16x32");
        let connections = connections.parse().with_context(|| format!("{connections} is no number of connections"))?;
        let connections_max = if work == Work::Idle { IDLE_CONNECTIONS_MAX } else { CONNECTIONS_MAX };
        ensure!((1..=connections_max).contains(&connections), "connections: expected 1 to {connections_max}");
        Ok(Self { work, connections, tls: secured || matches!(work, Work::Handshake(_)), streams })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scenario_reads_as_it_prints() {
        let names = ["small@64", "64k@512", "1m@1", "body-16k@64", "body-2m@4", "upload-64k@64", "upload-1m@16"];
        let others = ["connect@64", "pipelined-16@64", "open-half@64", "open-11k@64", "open-500@1", "idle@16000"];
        let tls = [
            "tls-small@64",
            "tls-1m@16",
            "tls-upload-64k@4",
            "tls-open-half@64",
            "tls-idle@4000",
            "handshake@64",
            "resumed@64",
        ];
        let http2 =
            ["h2-small@16x32", "tls-h2-small@16x32", "h2-1m@1x1", "h2-upload-64k@4x8", "tls-h2-open-half@16x32"];
        for text in names
            .into_iter()
            .chain(["ws@64", "ws-16k@64", "ws-1024k@1", "batched@64", "pipelined-16-batched@64"])
            .chain(others)
            .chain(tls)
            .chain(http2)
        {
            assert_eq!(text.parse::<Scenario>().unwrap().to_string(), text);
        }
        assert_eq!("body-64k@2".parse::<Scenario>().unwrap().to_string(), "64k@2", "one name for a size");
    }

    #[test]
    fn what_is_no_scenario_is_refused() {
        let sizes =
            ["65m@4", "0k@1", "body-@4", "upload-@4", "upload@4", "upload-2m@1", "ws-@4", "ws-0k@1", "ws-1025k@1"];
        let others = [
            "pipelined-1@4",
            "pipelined-257@4",
            "pipelined@4",
            "pipelined-batched@4",
            "open@4",
            "open-0@4",
            "open-2000k@4",
            "idle@16001",
        ];
        let connections = ["small", "small@", "small@0", "small@2049", "@4", "connect@2049"];
        let tls = ["tls-@4", "tls-ws@4", "tls-connect@4", "tls-idle@16001", "tls-handshake@4", "tls-tls-small@4"];
        let http2 = [
            "h2-small@16",
            "small@16x32",
            "h2-small@16x0",
            "h2-small@x4",
            "h2-ws@4x4",
            "h2-connect@4x4",
            "h2-tls-small@4x4",
        ];
        for text in sizes.into_iter().chain(others).chain(connections).chain(tls).chain(http2) {
            assert!(text.parse::<Scenario>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_pipeline_is_one_string_of_requests() {
        let script = "pipelined-16@4".parse::<Scenario>().unwrap().script().unwrap();
        assert_eq!(
            script,
            "init = function(arguments)
    local requests = {}
    for request = 1, 16 do requests[request] = wrk.format() end
    pipeline = table.concat(requests)
end
request = function() return pipeline end
"
        );
    }
}
