//! What a run tells: live on a terminal, as a table, as JSON, and as a page with plots.
//!
//! A [`Report`] is a [`Recording`] with what has to be known to judge it: what was loaded, how, from which machine. It goes to
//! readers by [`table`] and [`html`] and to programs by [`json`], which is also read again: pages over several runs are drawn
//! from their JSON ([`overlay`]). While the run lasts, [`progress`] shows where it stands.

pub mod html;
pub mod json;
pub mod overlay;
pub mod progress;
pub mod table;
pub(crate) mod words;

use std::time::{SystemTime, UNIX_EPOCH};

use bench_common::host::{Machine, timestamp};
use serde::{Deserialize, Serialize};

use crate::record::{Distribution, Recording};

/// The quantiles that reports tell, in percent.
pub const PERCENTILES: [f64; 8] = [50.0, 75.0, 90.0, 95.0, 99.0, 99.9, 99.99, 99.999];

/// What has to be known of a run to judge its figures.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct About {
    /// What was loaded: a URL, or the name that its user gave it.
    pub name: String,
    /// When the run started, in UTC, as RFC 3339 writes it.
    pub started: String,
    /// The load generator and its version.
    pub generator: String,
    /// The machine that the load came from.
    pub machine: Machine,
    /// How it was loaded, in the order for readers: name and value of each setting.
    pub settings: Vec<(String, String)>,
}

/// A run and what it left.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// What has to be known to judge it.
    pub about: About,
    /// What it left.
    pub recording: Recording,
    /// What else its reader should know, such as the first error of each kind in full.
    pub notes: Vec<String>,
}

impl About {
    /// Describes a run that starts now.
    ///
    /// # Errors
    /// Fails when the system does not tell what it is.
    pub fn now(name: impl Into<String>, settings: Vec<(String, String)>) -> anyhow::Result<Self> {
        Ok(Self {
            name: name.into(),
            started: timestamp(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()),
            generator: concat!(env!("CARGO_PKG_NAME"), " ", env!("CARGO_PKG_VERSION")).to_owned(),
            machine: Machine::describe()?,
            settings,
        })
    }
}

impl Report {
    /// The distributions of the run that have samples, with their names for readers.
    pub(crate) fn distributions(&self) -> Vec<(&'static str, &Distribution)> {
        let recording = &self.recording;
        [
            ("latency", Some(&recording.latency)),
            ("service", recording.service.as_ref()),
            ("first byte", Some(&recording.first_byte)),
            ("connect", Some(&recording.connect)),
            ("handshake", Some(&recording.handshake_full)),
            ("resumption", Some(&recording.handshake_resumed)),
        ]
        .into_iter()
        .filter_map(|(name, distribution)| Some((name, distribution?)))
        .filter(|(_, distribution)| !distribution.is_empty())
        .collect()
    }

    /// Failed requests in 100.
    pub(crate) fn error_percent(&self) -> f64 {
        let errors = self.recording.errors.total();
        let all = errors + self.recording.requests();
        if all == 0 { 0.0 } else { errors as f64 * 100.0 / all as f64 }
    }

    /// What was counted in each second of the run.
    pub(crate) fn per_second(&self, count: u64) -> f64 {
        if self.recording.elapsed_ns == 0 { 0.0 } else { count as f64 * 1e9 / self.recording.elapsed_ns as f64 }
    }
}

/// Whether so many samples can tell this quantile: at least one is expected beyond it.
pub(crate) fn can_tell(distribution: &Distribution, percent: f64) -> bool {
    distribution.count() as f64 * (100.0 - percent) >= 100.0 * (1.0 - 1e-9)
}

#[cfg(test)]
pub(crate) mod samples;
