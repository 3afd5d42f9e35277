//! Folded stacks.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, BufRead};
use std::str::FromStr;

use inferno::collapse::Collapse;
use inferno::collapse::perf::{Folder, Options};

use crate::Place;

/// How the name of a kernel's frame ends.
pub const KERNEL_MARK: &str = "_[k]";

/// Call stacks, each with its weight: samples that met it, or µs that it took. The text of it has a line for each, outermost
/// frame first: `shard-0;main;read_[k] 42`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stacks(BTreeMap<String, u64>);

/// Why a text has no stacks in it.
#[derive(Debug, thiserror::Error)]
pub enum FoldError {
    /// A line that is not `FRAME;FRAME;… WEIGHT`.
    #[error("line {line} is no folded stack: {text}")]
    Line {
        /// Its number, from one.
        line: usize,
        /// How it begins.
        text: String,
    },
    /// The output of `perf script` could not be read.
    #[error("the output of perf script cannot be folded: {0}")]
    PerfScript(#[from] io::Error),
}

/// What part of all the weight is whose, by the innermost frame of each stack, in percent.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Share {
    /// The kernel's.
    pub kernel: f64,
    /// Ringway's.
    pub ringway: f64,
    /// Other user code's, and what has no name.
    pub user: f64,
}

impl Stacks {
    /// None yet.
    #[must_use]
    pub fn new() -> Stacks {
        Stacks::default()
    }

    /// Counts a stack, `FRAME;FRAME;…`, outermost frame first.
    pub fn add(&mut self, stack: impl Into<String>, weight: u64) {
        *self.0.entry(stack.into()).or_default() += weight;
    }

    /// Counts what another set has.
    pub fn extend(&mut self, others: &Stacks) {
        others.iter().for_each(|(stack, weight)| self.add(stack, weight));
    }

    /// Folds what `perf script -F comm,tid,time,event,ip,sym,dso` prints. The outermost frame is the name of the thread; a kernel's
    /// frames get [`KERNEL_MARK`]. Each sample weighs one, unless its period is printed too: then it weighs that.
    ///
    /// # Errors
    /// When it cannot be read, or is something else.
    pub fn of_perf_script(script: impl BufRead) -> Result<Stacks, FoldError> {
        let mut options = Options::default();
        options.annotate_kernel = true;
        let mut folded = Vec::new();
        Folder::from(options).collapse(script, &mut folded)?;
        String::from_utf8_lossy(&folded).parse()
    }

    /// The sum of the weights.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.0.values().sum()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The stacks and their weights, in the order of their texts.
    pub fn iter(&self) -> impl Iterator<Item = (&str, u64)> {
        self.0.iter().map(|(stack, weight)| (stack.as_str(), *weight))
    }

    /// Whose the weight is.
    #[must_use]
    pub fn share(&self) -> Share {
        let mut share = Share::default();
        let percent = 100.0 / self.total().max(1) as f64;
        for (stack, weight) in self.iter() {
            let innermost = stack.rsplit(';').next().unwrap_or_default();
            let whose = match Place::of(innermost) {
                Place::Kernel => &mut share.kernel,
                Place::Ringway => &mut share.ringway,
                Place::User | Place::Unknown => &mut share.user,
            };
            *whose += weight as f64 * percent;
        }
        share
    }

    /// As lines, for inferno.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.iter().map(|(stack, weight)| format!("{stack} {weight}")).collect()
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Share { kernel, ringway, user } = self;
        write!(f, "kernel {kernel:.1} %, Ringway {ringway:.1} %, other user code {user:.1} %")
    }
}

impl fmt::Display for Stacks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.iter().try_for_each(|(stack, weight)| writeln!(f, "{stack} {weight}"))
    }
}

impl FromStr for Stacks {
    type Err = FoldError;

    fn from_str(text: &str) -> Result<Stacks, FoldError> {
        let mut stacks = Stacks::new();
        for (index, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
            let parsed = line.rsplit_once(' ').and_then(|(stack, weight)| Some((stack, weight.parse().ok()?)));
            let wrong = || FoldError::Line { line: index + 1, text: line.chars().take(80).collect() };
            let (stack, weight) = parsed.filter(|(stack, _)| !stack.is_empty()).ok_or_else(wrong)?;
            stacks.add(stack, weight);
        }
        Ok(stacks)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two samples of a thread, as perf 6.1 prints them.
    const SCRIPT: &str = "\
shard-0  1234 25345.408834: cpu-clock: 
\tffffffff81b04f10 tcp_sendmsg ([kernel.kallsyms])
\tffffffff821ef691 do_syscall_64 ([kernel.kallsyms])
\t           d0043 ringway_ring::core::turn (/usr/bin/ringway)

shard-0  1234 25345.413834: cpu-clock: 
\t           d0050 ringway_wire::h1::read::parse_request (/usr/bin/ringway)
\t           d0043 ringway_ring::core::turn (/usr/bin/ringway)

";

    #[test]
    fn a_script_is_folded_with_the_kernel_marked() {
        let stacks = Stacks::of_perf_script(SCRIPT.as_bytes()).unwrap();
        let folded = "shard-0;ringway_ring::core::turn;do_syscall_64_[k];tcp_sendmsg_[k] 1\n\
                      shard-0;ringway_ring::core::turn;ringway_wire::h1::read::parse_request 1\n";
        assert_eq!(stacks.to_string(), folded);
        assert_eq!(stacks.share(), Share { kernel: 50.0, ringway: 50.0, user: 0.0 });
    }

    #[test]
    fn stacks_read_as_they_print_and_the_same_ones_add_up() {
        let mut stacks: Stacks = "a;b 2\n\na;b c 3\na;b 4\n".parse().unwrap();
        stacks.add("a", 1);
        assert_eq!(stacks.to_string(), "a 1\na;b 6\na;b c 3\n");
        assert_eq!(stacks.to_string().parse::<Stacks>().unwrap(), stacks);
        assert_eq!(stacks.total(), 10);
    }

    #[test]
    fn what_is_no_stack_is_named_by_its_line() {
        for (text, line) in [("a;b 1\na;b x\n", 2), ("a;b\n", 1), (" 7\n", 1), ("a;b -1\n", 1)] {
            let error = text.parse::<Stacks>().unwrap_err();
            assert!(error.to_string().starts_with(&format!("line {line} ")), "{error}");
        }
    }
}
