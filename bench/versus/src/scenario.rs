//! What is asked of each proxy: which body, over how many connections.

use std::{fmt, str::FromStr};

use anyhow::{Context, ensure};
use bench_common::{body::Body, upstream::CONNECTIONS_MAX};

/// One body, asked for again and again over a number of keep-alive connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Scenario {
    pub(crate) body: Body,
    pub(crate) connections: u32,
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
        let body =
            Body::by_name(name).with_context(|| format!("no body is called {name}; there are small, 64k and 1m"))?;
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
}
