//! The budgets of `perf/budget.toml`: what may not be exceeded, as data.

use std::{collections::BTreeMap, fs, path::Path};

use anyhow::Context;
use serde::Deserialize;

/// The file, as seen from the workspace's folder.
pub const PATH: &str = "perf/budget.toml";

/// All budgets.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Budget {
    /// How far beyond a budget a figure may go, in percent, before it fails.
    pub tolerance_percent: f64,
    /// What the instructions were counted with.
    pub toolchain: Toolchain,
    /// User instructions of one operation of a part, by its name.
    pub instructions: BTreeMap<String, f64>,
    /// What a request asks of the kernel and of the heap, by scenario of `bench/costs`.
    pub requests: BTreeMap<String, Request>,
    /// User memory of an idle connection.
    pub idle: Idle,
}

/// A compiler makes other code than another: counts are compared under the one that they were made with.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Toolchain {
    /// What `rustc --version` says.
    pub rustc: String,
}

/// Budgets of one request, in steady state. What is not named is not bounded.
#[derive(Debug, Clone, Copy, PartialEq, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Request {
    /// Heap allocations. An absolute bound: a percentage of nothing is nothing.
    pub allocations_max: Option<f64>,
    /// Calls of `io_uring_enter`.
    pub enters: Option<f64>,
    /// Operations handed to the kernel.
    pub sqes: Option<f64>,
    /// Completions taken back.
    pub cqes: Option<f64>,
    /// Bytes copied out of the kernel's buffers because few were free.
    pub copied_bytes: Option<f64>,
}

/// Budgets of an idle connection.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Idle {
    /// Bytes of user memory. An absolute bound.
    pub bytes_max: f64,
}

impl Budget {
    /// Reads the file.
    ///
    /// # Errors
    /// Fails when it is not there, or has something else in it.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let text = fs::read_to_string(path)
            .with_context(|| format!("cannot read {}; run it in the folder of the workspace", path.display()))?;
        toml::from_str(&text).with_context(|| format!("{} is not as expected", path.display()))
    }

    /// How `figure` exceeds `budget`, in words; none if it stays within the tolerance.
    #[must_use]
    pub fn excess(&self, name: &str, what: &str, figure: f64, budget: f64) -> Option<String> {
        let percent = if budget > 0.0 { 100.0 * (figure / budget - 1.0) } else { f64::INFINITY };
        let is_over = figure > budget * (1.0 + self.tolerance_percent / 100.0);
        is_over.then(|| {
            let by = if percent.is_finite() { format!(", {percent:+.1} %") } else { String::new() };
            format!("TOO HIGH: {name}: {figure:.3} {what}; the budget is {budget:.3}{by}")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn budget() -> Budget {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(PATH);
        Budget::read(&path).unwrap()
    }

    #[test]
    fn the_file_is_as_expected() {
        let budget = budget();
        assert!(budget.tolerance_percent > 0.0 && !budget.instructions.is_empty());
        assert_eq!(budget.requests["small@64"].allocations_max, Some(0.001));
    }

    #[test]
    fn what_goes_beyond_the_tolerance_is_named() {
        let budget = Budget { tolerance_percent: 3.0, ..budget() };
        assert_eq!(budget.excess("small@64", "SQEs a request", 2.05, 2.0), None);
        let text = budget.excess("small@64", "SQEs a request", 2.07, 2.0).unwrap();
        assert_eq!(text, "TOO HIGH: small@64: 2.070 SQEs a request; the budget is 2.000, +3.5 %");
        assert_eq!(budget.excess("x", "copied bytes", 0.0, 0.0), None);
        assert!(budget.excess("x", "copied bytes", 0.1, 0.0).is_some());
    }
}
