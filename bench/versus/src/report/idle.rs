//! What idle connections cost.

use std::fmt::Write;

use bench_common::statistics::{Estimate, Spread};
use bench_versus::scenario::Scenario;
use serde::Serialize;

use super::{name_width, reference, spread_text};
use crate::idle::{IdleRound, IdleSample};

#[derive(Debug, Serialize)]
pub(crate) struct IdleReport {
    pub(crate) scenario: String,
    pub(crate) connections: u32,
    /// The target that the ratios are to.
    pub(crate) reference: String,
    pub(crate) targets: Vec<IdleSummary>,
    pub(crate) rounds: Vec<IdleRound>,
}

/// One target over the rounds: bytes a connection.
#[derive(Debug, PartialEq, Serialize)]
pub(crate) struct IdleSummary {
    pub(crate) target: String,
    pub(crate) user_bytes: Spread,
    /// Of it, over the reference's in the same round.
    pub(crate) ratio: Spread,
    /// How sure its median is.
    pub(crate) ratio_estimate: Estimate,
    pub(crate) user_total_bytes: Spread,
    pub(crate) kernel_bytes: Option<Spread>,
}

impl IdleReport {
    pub(super) fn new(scenario: Scenario, rounds: Vec<IdleRound>, named: Option<&str>) -> Self {
        let targets = &rounds[0].samples;
        let bytes = |target: usize| rounds.iter().map(move |round| round.samples[target].cost.user_bytes);
        let names = targets.iter().map(|sample| (sample.target.as_str(), sample.peer));
        let reference = reference(names, |target| Spread::of(bytes(target)).median, named);
        let summary = |target: usize| {
            let spread =
                |value: fn(&IdleSample) -> f64| Spread::of(rounds.iter().map(|round| value(&round.samples[target])));
            let kernel: Option<Vec<f64>> = rounds.iter().map(|round| round.samples[target].cost.kernel_bytes).collect();
            // Pages come four KiB at a time: few connections may have cost none.
            let ratios = || bytes(target).zip(bytes(reference)).map(|(own, other)| own / other.max(1.0));
            IdleSummary {
                target: targets[target].target.clone(),
                user_bytes: spread(|sample| sample.cost.user_bytes),
                ratio: Spread::of(ratios()),
                ratio_estimate: Estimate::of(ratios()),
                user_total_bytes: spread(|sample| sample.cost.user_total_bytes),
                kernel_bytes: kernel.map(Spread::of),
            }
        };
        Self {
            scenario: scenario.to_string(),
            connections: scenario.connections,
            reference: targets[reference].target.clone(),
            targets: (0..targets.len()).map(summary).collect(),
            rounds,
        }
    }

    pub(super) fn write_text(&self, text: &mut String) -> std::fmt::Result {
        let width = name_width(self.targets.iter().map(|target| &*target.target));
        writeln!(text, "\n{}: {}", self.scenario, self.circumstances())?;
        writeln!(
            text,
            "{:<width$} {:>24} {:>20} {:>12} {:>14}",
            "target",
            "user bytes",
            format!("of {}", self.reference),
            "with start",
            "kernel, both"
        )?;
        for target in &self.targets {
            let Spread { median, min, max } = target.user_bytes;
            let kernel = target.kernel_bytes.map_or("–".to_owned(), |kernel| format!("{:.0}", kernel.median));
            writeln!(
                text,
                "{:<width$} {:>24} {:>20} {:>12.0} {kernel:>14}",
                target.target,
                format!("{median:.0} ({min:.0}-{max:.0})"),
                spread_text(target.ratio),
                target.user_total_bytes.median,
            )?;
        }
        Ok(())
    }

    pub(crate) fn circumstances(&self) -> String {
        format!("{} connections, rounds: {}. {METHOD}", self.connections, self.rounds.len())
    }
}

/// What the figures are.
const METHOD: &str = "Bytes a connection (Pss) that has had one request: growth of a proxy that was warm; all it has, with what it \
                      took to start; and what the kernel's sockets grew by, both ends of each connection and upstreams together.";
