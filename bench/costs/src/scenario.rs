//! What the shard is loaded with.

use std::{fmt, str::FromStr};

use anyhow::{Context, ensure};
use bench_common::{
    body::Body,
    upstream::{CONNECTIONS_MAX, UPLOAD_PATH},
};

/// Upper bound of idle connections: 20,000 descriptors are a common limit of a process, and it needs some for other things.
const IDLE_CONNECTIONS_MAX: u32 = 19_000;

/// Bytes that an upload has.
const UPLOAD_BYTES: usize = 64 << 10;

/// One kind of work over a number of keep-alive connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Scenario {
    pub(crate) work: Work,
    pub(crate) connections: u32,
}

/// What happens on the connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Work {
    /// One request after the other.
    Requests(Requests),
    /// One request, then nothing.
    Idle,
}

/// What is asked for, again and again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Requests {
    pub(crate) kind: RequestKind,
    /// Whether the route edits the header fields of requests and answers.
    pub(crate) edited: bool,
    /// Whether the shard records them in an access log.
    pub(crate) logged: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RequestKind {
    /// A GET of this body.
    Download(Body),
    /// A POST of 64 KiB, answered with the small body.
    Upload,
}

impl RequestKind {
    /// The path asked for.
    pub(crate) fn path(self) -> String {
        match self {
            Self::Download(body) => body.path(),
            Self::Upload => UPLOAD_PATH.to_owned(),
        }
    }

    /// The script by which wrk makes the requests, where a GET is not enough.
    pub(crate) fn script(self) -> Option<String> {
        match self {
            Self::Download(_) => None,
            Self::Upload => Some(format!(
                "wrk.method = \"POST\"\nwrk.body = string.rep(\"0123456789abcdef\", {})\n",
                UPLOAD_BYTES / 16
            )),
        }
    }
}

impl fmt::Display for Scenario {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, edits, log) = match self.work {
            Work::Idle => ("idle".to_owned(), "", ""),
            Work::Requests(Requests { kind, edited, logged }) => {
                let name = match kind {
                    RequestKind::Download(body) => body.name(),
                    RequestKind::Upload => "upload".to_owned(),
                };
                (name, if edited { "+edits" } else { "" }, if logged { "+log" } else { "" })
            }
        };
        write!(formatter, "{name}@{}{edits}{log}", self.connections)
    }
}

impl FromStr for Scenario {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Self> {
        let (name, rest) = text.split_once('@').context("expected BODY@CONNECTIONS, such as small@64")?;
        let without = |text, suffix| str::strip_suffix(text, suffix).map_or((text, false), |rest| (rest, true));
        let (rest, logged) = without(rest, "+log");
        let (connections, edited) = without(rest, "+edits");
        let (work, connections_max) = match name {
            "idle" => (Work::Idle, IDLE_CONNECTIONS_MAX),
            "upload" => (Work::Requests(Requests { kind: RequestKind::Upload, edited, logged }), CONNECTIONS_MAX),
            _ => {
                let body = Body::by_name(name).filter(|body| Body::USUAL.contains(body));
                let body = body
                    .with_context(|| format!("nothing is called {name}; there are small, 64k, 1m, upload and idle"))?;
                (Work::Requests(Requests { kind: RequestKind::Download(body), edited, logged }), CONNECTIONS_MAX)
            }
        };
        ensure!(!((edited || logged) && work == Work::Idle), "idle connections have nothing to edit or to log");
        let connections = connections.parse().with_context(|| format!("{connections} is no number of connections"))?;
        ensure!((1..=connections_max).contains(&connections), "connections: expected 1 to {connections_max}");
        Ok(Self { work, connections })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scenario_reads_as_it_prints() {
        let work = ["small@1", "64k@64", "1m@16", "upload@64", "small@64+log", "upload@2+edits", "small@2+edits+log"];
        for text in work.into_iter().chain(["idle@10000"]) {
            assert_eq!(text.parse::<Scenario>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_is_no_scenario_is_refused() {
        let idle = ["idle@20000", "idle@10+log", "idle@10+edits"];
        for text in ["small", "small@", "small@0", "small@2049", "2m@4", "small@4+", "small@4+log+edits"]
            .into_iter()
            .chain(idle)
        {
            assert!(text.parse::<Scenario>().is_err(), "{text}");
        }
    }
}
