//! The comparison for programs.
//!
//! One object, whose `format` is [`FORMAT`]; fields may be added under the same format, none changes its meaning.
//!
//! - `about`: as in a run's report; `method`: how the ratios came about, in words; `rounds`: how many were completed.
//! - `metrics`: for each the targets in order, with `value` (`median`, `min`, `max` over the rounds) and `ratio` to the first
//!   target (`median`, `low`, `high`); null where there is none.
//! - `targets`: `name`, `load`, `rounds` (each round's `requests`, `errors`, `elapsed_ns`, and of a metered target
//!   `user_ns`, `system_ns` and `memory`), and `recording`, everything that was recorded in all rounds, as in a run's report
//!   but without a series.

use anyhow::Context;
use serde::Serialize;

use super::{
    Comparison,
    figures::{self, Figures, METHOD},
};
use crate::{process::Memory, record::Recording, report::About};

/// The name and version of the format.
pub const FORMAT: &str = "ringway-loadgen-comparison/1";

pub(super) fn write(comparison: &Comparison) -> anyhow::Result<String> {
    let document = Document {
        format: FORMAT,
        about: &comparison.about,
        method: METHOD,
        rounds: comparison.rounds.len(),
        metrics: figures::of(comparison),
        targets: (0..comparison.targets.len()).map(|target| TargetRounds::of(comparison, target)).collect(),
    };
    let mut text = serde_json::to_string(&document).context("cannot write the comparison as JSON")?;
    text.push('\n');
    Ok(text)
}

#[derive(Serialize)]
struct Document<'a> {
    format: &'static str,
    about: &'a About,
    method: &'static str,
    rounds: usize,
    metrics: Vec<Figures>,
    targets: Vec<TargetRounds<'a>>,
}

#[derive(Serialize)]
struct TargetRounds<'a> {
    name: &'a str,
    load: &'a str,
    rounds: Vec<Round>,
    recording: Recording,
}

#[derive(Serialize)]
struct Round {
    requests: u64,
    errors: u64,
    elapsed_ns: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_ns: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    system_ns: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    memory: Option<Memory>,
}

impl<'a> TargetRounds<'a> {
    fn of(comparison: &'a Comparison, position: usize) -> Self {
        let target = &comparison.targets[position];
        let nanoseconds = |time: std::time::Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        let rounds = comparison.windows(position).map(|window| Round {
            requests: window.recording.requests(),
            errors: window.recording.errors.total(),
            elapsed_ns: window.recording.elapsed_ns,
            user_ns: window.cpu.map(|cpu| nanoseconds(cpu.user)),
            system_ns: window.cpu.map(|cpu| nanoseconds(cpu.system)),
            memory: window.memory,
        });
        Self {
            name: &target.name,
            load: &target.load,
            rounds: rounds.collect(),
            recording: comparison.recording(position),
        }
    }
}
