//! Several targets under the same load, in turns.
//!
//! Machines drift: a target that is measured after the other has another machine. So the targets take turns in short windows (A
//! B C, A B C, …), a ratio is taken between windows of the same round, and what is told is the median of the rounds' ratios with
//! its interval ([`bench_common::statistics`]). A first round warms everything up and is not counted. With a meter
//! ([`crate::process`]) a target's CPU time is told for each request that it answered, and its memory at a window's end.
//!
//! How a window is made is the caller's affair: [`Comparison::measure`] asks for one after the other.

mod arguments;
mod figures;
mod json;
mod page;
mod table;

use std::fmt;

use anyhow::Context;

use crate::{
    process::{Memory, Meter},
    record::Recording,
    report::About,
};

pub use arguments::CompareArguments;
pub use json::FORMAT;

/// What is compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// What tells it from the others.
    pub name: String,
    /// A URL, or the path of a scenario.
    pub load: String,
    /// Whose CPU time and memory are told, if anybody's.
    pub meter: Option<Meter>,
}

/// Which window it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// Before the first round; not counted.
    WarmUp,
    /// One of the rounds, from 1.
    Round {
        /// Which.
        round: u32,
        /// Of how many.
        of: u32,
    },
}

/// What one window left.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Window {
    pub(crate) recording: Recording,
    pub(crate) cpu: Option<bench_common::cpu::Ticked>,
    pub(crate) memory: Option<Memory>,
}

/// Targets and their windows: of each target one in each round.
#[derive(Debug, Clone)]
pub struct Comparison {
    about: About,
    targets: Vec<Target>,
    rounds: Vec<Vec<Window>>,
}

impl fmt::Display for Turn {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WarmUp => write!(formatter, "warm-up"),
            Self::Round { round, of } => write!(formatter, "{round}/{of}"),
        }
    }
}

impl Comparison {
    /// Measures the targets in `rounds` rounds. `run` makes one window of load; when it returns none, because its user wishes
    /// no more, the rounds that are complete are told.
    ///
    /// # Errors
    /// Fails when `run` does, when a target answers nothing in the warm-up or one that is metered has ended, and when no round
    /// was completed.
    pub fn measure(
        about: About,
        targets: Vec<Target>,
        rounds: u32,
        mut run: impl FnMut(&Target, Turn) -> anyhow::Result<Option<Recording>>,
    ) -> anyhow::Result<Self> {
        let turns = (1..=rounds).map(|round| Turn::Round { round, of: rounds });
        let mut complete = Vec::new();
        for turn in [Turn::WarmUp].into_iter().chain(turns) {
            let Some(round) = measure_round(&targets, turn, &mut run)? else { break };
            match turn {
                Turn::WarmUp => ensure_answered(&targets, &round)?,
                Turn::Round { .. } => complete.push(round),
            }
        }
        anyhow::ensure!(!complete.is_empty(), "no round was completed");
        Ok(Self { about, targets, rounds: complete })
    }

    /// The windows of one target, over all rounds.
    pub(crate) fn windows(&self, target: usize) -> impl Iterator<Item = &Window> {
        self.rounds.iter().map(move |round| &round[target])
    }

    /// What one target's windows recorded together.
    pub(crate) fn recording(&self, target: usize) -> Recording {
        let recordings = self.windows(target).map(|window| window.recording.clone());
        recordings
            .reduce(|mut sum, later| {
                sum.append(later);
                sum
            })
            .unwrap_or_default()
    }

    /// Whether any request failed.
    #[must_use]
    pub fn has_errors(&self) -> bool {
        self.rounds.iter().flatten().any(|window| window.recording.errors.total() > 0)
    }

    /// For a terminal.
    #[must_use]
    pub fn text(&self) -> String {
        table::text(self)
    }

    /// For programs; the form is described in the manual.
    ///
    /// # Errors
    /// Never for a comparison that this program made: its figures are finite.
    pub fn json(&self) -> anyhow::Result<String> {
        json::write(self)
    }

    /// One page with plots.
    #[must_use]
    pub fn html(&self, title: &str) -> String {
        page::page(self, title)
    }
}

/// A target that answers nothing has no figures: better to say so before the rounds than after them.
fn ensure_answered(targets: &[Target], round: &[Window]) -> anyhow::Result<()> {
    for (target, window) in targets.iter().zip(round) {
        if window.recording.requests() == 0 {
            let errors: Vec<String> =
                window.recording.errors.iter().map(|(kind, count)| format!("{kind}: {count}")).collect();
            anyhow::bail!("{} answered nothing as expected in the warm-up ({})", target.name, errors.join(", "));
        }
    }
    Ok(())
}

fn measure_round(
    targets: &[Target],
    turn: Turn,
    run: &mut impl FnMut(&Target, Turn) -> anyhow::Result<Option<Recording>>,
) -> anyhow::Result<Option<Vec<Window>>> {
    let mut round = Vec::with_capacity(targets.len());
    for target in targets {
        let context = || format!("cannot measure {}", target.name);
        let before = target.meter.as_ref().map(Meter::spent).transpose().with_context(context)?;
        let Some(recording) = run(target, turn).with_context(context)? else { return Ok(None) };
        let after = target.meter.as_ref().map(Meter::spent).transpose().with_context(context)?;
        let cpu = before.zip(after).map(|(before, after)| after.since(before));
        let memory = target.meter.as_ref().map(Meter::memory).transpose().with_context(context)?;
        round.push(Window { recording, cpu, memory });
    }
    Ok(Some(round))
}

#[cfg(test)]
mod tests;
