//! What is asked of each proxy: which body, over how many connections.

use std::{fmt, str::FromStr};

use anyhow::{Context, ensure};
use serde::Serialize;

/// Upper bound of the connections of a scenario. Between two runs of the load generator a proxy may hold four descriptors
/// for each, and the upstream holds one for each of every target: 20,000 are a common limit of a process.
pub(crate) const CONNECTIONS_MAX: u32 = 2048;

/// One body, asked for again and again over a number of keep-alive connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Scenario {
    pub(crate) body: Body,
    pub(crate) connections: u32,
}

/// The bodies that the upstream offers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Body {
    Small,
    #[serde(rename = "64k")]
    Kib64,
    #[serde(rename = "1m")]
    Mib1,
}

impl Body {
    pub(crate) const ALL: [Self; 3] = [Self::Small, Self::Kib64, Self::Mib1];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Small => "small",
            Self::Kib64 => "64k",
            Self::Mib1 => "1m",
        }
    }

    /// The path at which the upstream offers it.
    pub(crate) fn path(self) -> String {
        format!("/{}", self.name())
    }

    pub(crate) fn length_bytes(self) -> usize {
        match self {
            Self::Small => 128,
            Self::Kib64 => 64 << 10,
            Self::Mib1 => 1 << 20,
        }
    }

    /// Whether a proxy's means for large bodies (splicing, larger buffers) belong to a fair comparison.
    pub(crate) fn is_large(self) -> bool {
        self != Self::Small
    }

    /// The content: letters and digits whose period of 61 divides no buffer size, so that a misplaced piece shows.
    pub(crate) fn content(self) -> Vec<u8> {
        const CHARACTERS: &[u8] = b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXY";
        CHARACTERS.iter().copied().cycle().take(self.length_bytes()).collect()
    }
}

impl fmt::Display for Scenario {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}@{}", self.body.name(), self.connections)
    }
}

impl FromStr for Scenario {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Self> {
        let (name, connections) = text.split_once('@').context("expected BODY@CONNECTIONS, such as small@64")?;
        let body = Body::ALL
            .into_iter()
            .find(|body| body.name() == name)
            .with_context(|| format!("no body is called {name}; there are small, 64k and 1m"))?;
        let connections = connections.parse().with_context(|| format!("{connections} is no number of connections"))?;
        ensure!((1..=CONNECTIONS_MAX).contains(&connections), "connections: expected 1 to {CONNECTIONS_MAX}");
        Ok(Self { body, connections })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scenario_reads_as_it_prints() {
        for text in ["small@64", "64k@512", "1m@1"] {
            assert_eq!(text.parse::<Scenario>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_is_no_scenario_is_refused() {
        for text in ["small", "small@", "small@0", "small@2049", "2m@4", "@4"] {
            assert!(text.parse::<Scenario>().is_err(), "{text}");
        }
    }

    #[test]
    fn bodies_have_their_length() {
        for body in Body::ALL {
            assert_eq!(body.content().len(), body.length_bytes());
        }
    }
}
