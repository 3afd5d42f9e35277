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
/// How the name of a WebSocket's scenario begins, with the size of its messages behind, and what it is for the usual ones.
const ECHO_PREFIX: &str = "ws-";
const ECHO: &str = "ws";
/// A message that the short form of a frame's length just holds. RFC 6455 §5.2
const ECHO_MESSAGE_BYTES: usize = 125;
/// Upper bound of a message; each connection holds a few of them.
const MESSAGE_BYTES_MAX: usize = 1 << 20;

/// One kind of work, done again and again over a number of connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scenario {
    /// What happens on each connection.
    pub work: Work,
    /// How many there are.
    pub connections: u32,
}

/// What happens on the connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Work {
    /// A GET of this body.
    Download(Body),
    /// A POST of this body, answered with the small one.
    Upload(Body),
    /// A message of so many bytes there and back through a WebSocket.
    Echo(usize),
}

impl Scenario {
    /// Bytes of the body, or of the message.
    #[must_use]
    pub fn length_bytes(self) -> usize {
        match self.work {
            Work::Download(body) | Work::Upload(body) => body.length_bytes(),
            Work::Echo(message_bytes) => message_bytes,
        }
    }

    /// The path asked for.
    #[must_use]
    pub fn path(self) -> String {
        match self.work {
            Work::Download(body) => body.path(),
            Work::Upload(_) => UPLOAD_PATH.to_owned(),
            Work::Echo(_) => "/".to_owned(),
        }
    }

    /// The script by which wrk makes the requests, where a GET is not enough.
    #[must_use]
    pub fn script(self) -> Option<String> {
        let Work::Upload(body) = self.work else { return None };
        let repeated = body.length_bytes() / 16;
        Some(format!("wrk.method = \"POST\"\nwrk.body = string.rep(\"0123456789abcdef\", {repeated})\n"))
    }
}

impl fmt::Display for Work {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Download(body) if Body::USUAL.contains(body) => formatter.write_str(&body.name()),
            Self::Download(body) => write!(formatter, "{BODY_PREFIX}{}", body.name()),
            Self::Upload(body) => write!(formatter, "{UPLOAD_PREFIX}{}", body.name()),
            Self::Echo(ECHO_MESSAGE_BYTES) => formatter.write_str(ECHO),
            Self::Echo(message_bytes) => write!(formatter, "{ECHO_PREFIX}{}k", message_bytes >> 10),
        }
    }
}

impl FromStr for Work {
    type Err = anyhow::Error;

    fn from_str(name: &str) -> anyhow::Result<Self> {
        let body = |name: &str| {
            Body::by_name(name)
                .with_context(|| format!("no body is called {name}; there are small, and sizes such as 16k"))
        };
        if name == ECHO {
            Ok(Self::Echo(ECHO_MESSAGE_BYTES))
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
        write!(formatter, "{}@{}", self.work, self.connections)
    }
}

impl FromStr for Scenario {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Self> {
        let (work, connections) = text.split_once('@').context("expected WORK@CONNECTIONS, such as small@64")?;
        let work = work.parse()?;
        let connections = connections.parse().with_context(|| format!("{connections} is no number of connections"))?;
        ensure!((1..=CONNECTIONS_MAX).contains(&connections), "connections: expected 1 to {CONNECTIONS_MAX}");
        Ok(Self { work, connections })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scenario_reads_as_it_prints() {
        let names = ["small@64", "64k@512", "1m@1", "body-16k@64", "body-2m@4", "upload-64k@64", "upload-1m@16"];
        for text in names.into_iter().chain(["ws@64", "ws-16k@64", "ws-1024k@1"]) {
            assert_eq!(text.parse::<Scenario>().unwrap().to_string(), text);
        }
        assert_eq!("body-64k@2".parse::<Scenario>().unwrap().to_string(), "64k@2", "one name for a size");
    }

    #[test]
    fn what_is_no_scenario_is_refused() {
        let sizes =
            ["65m@4", "0k@1", "body-@4", "upload-@4", "upload@4", "upload-2m@1", "ws-@4", "ws-0k@1", "ws-1025k@1"];
        for text in sizes.into_iter().chain(["small", "small@", "small@0", "small@2049", "@4"]) {
            assert!(text.parse::<Scenario>().is_err(), "{text}");
        }
    }
}
