//! Statuses of answers, counted by code.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Codes that HTTP gives room for: 100 to 599 have a meaning, and up to 999 can be sent. // RFC 9110 §15
const CODES: usize = 1000;

/// How many answers had each status. A code above 999 counts as 999, which nobody uses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "BTreeMap<u16, u64>", into = "BTreeMap<u16, u64>")]
pub struct StatusCounts(Box<[u64; CODES]>);

impl Default for StatusCounts {
    fn default() -> Self {
        Self(Box::new([0; CODES]))
    }
}

impl StatusCounts {
    /// Counts one answer.
    pub fn add(&mut self, code: u16) {
        self.0[usize::from(code).min(CODES - 1)] += 1;
    }

    /// Adds all of `other`.
    pub fn merge(&mut self, other: &Self) {
        for (sum, count) in self.0.iter_mut().zip(other.0.iter()) {
            *sum += count;
        }
    }

    /// The codes that occurred.
    pub fn iter(&self) -> impl Iterator<Item = (u16, u64)> + '_ {
        (0..).zip(self.0.iter().copied()).filter(|(_, count)| *count > 0)
    }

    /// How many answers had a code of the class, such as 2 for 200 to 299.
    #[must_use]
    pub fn class(&self, hundreds: u16) -> u64 {
        self.iter().filter(|(code, _)| code / 100 == hundreds).map(|(_, count)| count).sum()
    }

    /// How many answers had any.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }
}

impl From<BTreeMap<u16, u64>> for StatusCounts {
    fn from(counts: BTreeMap<u16, u64>) -> Self {
        let mut all = Self::default();
        for (code, count) in counts {
            all.0[usize::from(code).min(CODES - 1)] += count;
        }
        all
    }
}

impl From<StatusCounts> for BTreeMap<u16, u64> {
    fn from(counts: StatusCounts) -> Self {
        counts.iter().collect()
    }
}
