//! What is asked of each proxy: which body, up or down, over how many connections.

use std::{fmt, str::FromStr};

use anyhow::{Context, ensure};
use bench_common::{
    body::Body,
    upstream::{CONNECTIONS_MAX, UPLOAD_PATH},
};

/// How the name of a scenario begins whose body is the request's.
const UPLOAD_PREFIX: &str = "upload-";

/// One body, asked for or sent again and again over a number of keep-alive connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Scenario {
    pub(crate) body: Body,
    /// Whether the body is that of a POST, which is answered with the small body, and not that of the response to a GET.
    pub(crate) upload: bool,
    pub(crate) connections: u32,
}

impl Scenario {
    /// The path asked for.
    pub(crate) fn path(self) -> String {
        if self.upload { UPLOAD_PATH.to_owned() } else { self.body.path() }
    }

    /// The script by which wrk makes the requests, where a GET is not enough.
    pub(crate) fn script(self) -> Option<String> {
        let length_bytes = self.body.length_bytes();
        let body = format!("string.rep(\"0123456789abcdef\", {})", length_bytes / 16);
        self.upload.then(|| format!("wrk.method = \"POST\"\nwrk.body = {body}\n"))
    }
}

impl fmt::Display for Scenario {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let prefix = if self.upload { UPLOAD_PREFIX } else { "" };
        write!(formatter, "{prefix}{}@{}", self.body.name(), self.connections)
    }
}

impl FromStr for Scenario {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Self> {
        let (name, connections) = text.split_once('@').context("expected BODY@CONNECTIONS, such as small@64")?;
        let (name, upload) = name.strip_prefix(UPLOAD_PREFIX).map_or((name, false), |name| (name, true));
        let body =
            Body::by_name(name).with_context(|| format!("no body is called {name}; there are small, 64k and 1m"))?;
        let connections = connections.parse().with_context(|| format!("{connections} is no number of connections"))?;
        ensure!((1..=CONNECTIONS_MAX).contains(&connections), "connections: expected 1 to {CONNECTIONS_MAX}");
        Ok(Self { body, upload, connections })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scenario_reads_as_it_prints() {
        for text in ["small@64", "64k@512", "1m@1", "upload-64k@64", "upload-1m@16"] {
            assert_eq!(text.parse::<Scenario>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_is_no_scenario_is_refused() {
        for text in ["small", "small@", "small@0", "small@2049", "2m@4", "@4", "upload-@4", "upload@4"] {
            assert!(text.parse::<Scenario>().is_err(), "{text}");
        }
    }
}
