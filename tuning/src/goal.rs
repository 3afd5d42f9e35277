//! What a value ought to be: compared with what is there, written where it is not, and shown to people.

use std::borrow::Cow;
use std::fmt;

use crate::host::Facts;

/// What a knob's value ought to be.
#[derive(Debug, Clone)]
pub enum Goal {
    /// The profile has no wish: the host's value stays, whatever it is.
    Leave,
    /// This value and no other.
    Exactly(Cow<'static, str>),
    /// Any of these; the first is written where none of them is there.
    OneOf(&'static [&'static str]),
    /// This number or a larger one.
    AtLeast(u64),
    /// This number or a smaller one.
    AtMost(u64),
    /// Each of several numbers no smaller than here. Only those that are smaller are raised.
    EachAtLeast(Cow<'static, [u64]>),
    /// A range at least as wide as this, its ends included.
    Span(u64, u64),
    /// A set of CPUs, which the kernel writes as a mask in groups of 32 bits.
    Cpus(Vec<u32>),
    /// What follows from the host.
    ByHost {
        /// The rule, in words.
        rule: &'static str,
        /// The rule.
        compute: fn(&Facts, &Place) -> Self,
    },
}

/// Which of its several places a knob is looked at in: a device, a queue, a CPU.
#[derive(Debug, Clone, Default)]
pub struct Place {
    /// What people read, such as `eth0 rx-1`; empty for a knob that is there once.
    pub label: String,
    /// The network device.
    pub device: String,
    /// The queue's number.
    pub queue: usize,
}

impl Goal {
    /// A value that must be just so.
    #[must_use]
    pub const fn exactly(value: &'static str) -> Self {
        Self::Exactly(Cow::Borrowed(value))
    }

    /// Numbers that must each be no smaller.
    #[must_use]
    pub const fn each_at_least(numbers: &'static [u64]) -> Self {
        Self::EachAtLeast(Cow::Borrowed(numbers))
    }

    /// The goal for this host, at this place. What follows from the host is computed.
    #[must_use]
    pub fn on(&self, facts: &Facts, place: &Place) -> Self {
        match self {
            Self::ByHost { compute, .. } => compute(facts, place).on(facts, place),
            other => other.clone(),
        }
    }

    /// Whether `value` is as wanted. What cannot be read as the numbers that are expected is not.
    #[must_use]
    pub fn holds(&self, value: &str) -> bool {
        match self {
            Self::Leave | Self::ByHost { .. } => true,
            Self::Exactly(wanted) => words(value).eq(words(wanted)),
            Self::OneOf(wanted) => wanted.contains(&value.trim()),
            Self::AtLeast(least) => number(value).is_some_and(|number| number >= *least),
            Self::AtMost(most) => number(value).is_some_and(|number| number <= *most),
            Self::EachAtLeast(least) => numbers(value).is_some_and(|numbers| {
                numbers.len() == least.len() && numbers.iter().zip(least.iter()).all(|(number, least)| number >= least)
            }),
            Self::Span(low, high) => {
                matches!(numbers(value).as_deref(), Some([first, last]) if first <= low && last >= high)
            }
            Self::Cpus(wanted) => cpus_of_mask(value).is_some_and(|cpus| cpus == *wanted),
        }
    }

    /// What is to be written where `now` stands and is not as wanted. `None` if there is no wish.
    #[must_use]
    pub fn value_after(&self, now: &str) -> Option<String> {
        match self {
            Self::Leave | Self::ByHost { .. } => None,
            Self::Exactly(wanted) => Some(wanted.to_string()),
            Self::OneOf(wanted) => wanted.first().map(|&first| first.to_owned()),
            Self::AtLeast(number) | Self::AtMost(number) => Some(number.to_string()),
            Self::EachAtLeast(least) => {
                let now = numbers(now).filter(|now| now.len() == least.len());
                let raised = least.iter().enumerate().map(|(index, &least)| {
                    let number = now.as_ref().map_or(least, |now| now[index].max(least));
                    number.to_string()
                });
                Some(raised.collect::<Vec<_>>().join(" "))
            }
            Self::Span(low, high) => Some(match numbers(now).as_deref() {
                Some(&[first, last]) => format!("{} {}", first.min(*low), last.max(*high)),
                _ => format!("{low} {high}"),
            }),
            Self::Cpus(cpus) => Some(mask_of_cpus(cpus)),
        }
    }
}

/// What stands in tables. A rule stands for itself until the host is known.
impl fmt::Display for Goal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Leave => f.write_str("-"),
            Self::Exactly(value) => f.write_str(value),
            Self::OneOf([values @ .., last]) if !values.is_empty() => write!(f, "{} or {last}", values.join(", ")),
            Self::OneOf(values) => f.write_str(&values.concat()),
            Self::AtLeast(number) => write!(f, ">= {number}"),
            Self::AtMost(number) => write!(f, "<= {number}"),
            Self::EachAtLeast(numbers) => {
                let numbers: Vec<_> = numbers.iter().map(u64::to_string).collect();
                write!(f, ">= {}", numbers.join(" "))
            }
            Self::Span(low, high) => write!(f, "{low} to {high}, or wider"),
            Self::Cpus(cpus) if cpus.is_empty() => f.write_str("no CPU"),
            Self::Cpus(cpus) => write!(f, "CPU {}", list_of_cpus(cpus)),
            Self::ByHost { rule, .. } => f.write_str(rule),
        }
    }
}

/// Whether two values are the same but for the white space between their words, which the kernel chooses by itself.
#[must_use]
pub fn same(one: &str, other: &str) -> bool {
    words(one).eq(words(other))
}

fn words(value: &str) -> impl Iterator<Item = &str> {
    value.split_ascii_whitespace()
}

fn number(value: &str) -> Option<u64> {
    // systemd writes what has no bound as a word, and so does /proc/PID/limits.
    match value.trim() {
        "infinity" | "unlimited" => Some(u64::MAX),
        value => value.parse().ok(),
    }
}

fn numbers(value: &str) -> Option<Vec<u64>> {
    words(value).map(|word| word.parse().ok()).collect()
}

/// CPUs in the kernel's list form: `0-3,8`.
#[must_use]
pub fn list_of_cpus(cpus: &[u32]) -> String {
    let mut parts: Vec<String> = Vec::new();
    let mut rest = cpus;
    while let [first, ..] = rest {
        let run = rest.iter().zip(*first..).take_while(|(cpu, expected)| *cpu == expected).count();
        let last = rest[run - 1];
        parts.push(if run == 1 { first.to_string() } else { format!("{first}-{last}") });
        rest = &rest[run..];
    }
    parts.join(",")
}

/// The CPUs of a list such as `0-3,8`; `None` if it is none. More CPUs than Linux can have are none as well.
#[must_use]
pub fn cpus_of_list(list: &str) -> Option<Vec<u32>> {
    const CPU_MAX: u32 = 8192;
    let mut cpus = Vec::new();
    for part in list.trim().split(',').filter(|part| !part.is_empty()) {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last): (u32, u32) = (first.parse().ok()?, last.parse().ok()?);
        if last > CPU_MAX {
            return None;
        }
        cpus.extend(first..=last);
    }
    Some(cpus)
}

/// The mask as sysfs takes it: groups of 32 bits in hexadecimal, the highest first.
fn mask_of_cpus(cpus: &[u32]) -> String {
    let groups = cpus.last().map_or(1, |last| last / 32 + 1);
    let group =
        |number: u32| cpus.iter().filter(|&&cpu| cpu / 32 == number).fold(0_u32, |mask, cpu| mask | 1 << (cpu % 32));
    (0..groups).rev().map(|number| format!("{:08x}", group(number))).collect::<Vec<_>>().join(",")
}

fn cpus_of_mask(mask: &str) -> Option<Vec<u32>> {
    let mut cpus = Vec::new();
    for (number, group) in (0_u32..).zip(mask.trim().rsplit(',')) {
        let group = u32::from_str_radix(group, 16).ok()?;
        cpus.extend((0..32).filter(|bit| group >> bit & 1 == 1).map(|bit| number * 32 + bit));
    }
    Some(cpus)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_compared_as_what_they_mean() {
        let holds: [(Goal, &str); 10] = [
            (Goal::Leave, "anything"),
            (Goal::exactly("1 2"), "1\t2\n"),
            (Goal::OneOf(&["madvise", "never"]), "never"),
            (Goal::AtLeast(4096), "65535"),
            (Goal::AtLeast(4096), "infinity"),
            (Goal::AtMost(30), "30"),
            (Goal::each_at_least(&[1, 2, 3]), "1 2 4"),
            (Goal::Span(10_240, 65_535), "1024\t65535"),
            (Goal::Cpus(vec![0, 1, 33]), "00000002,00000003"),
            (Goal::Cpus(vec![0]), "1"),
        ];
        for (goal, value) in holds {
            assert!(goal.holds(value), "{goal} {value}");
        }
        let fails: [(Goal, &str); 9] = [
            (Goal::exactly("1"), "2"),
            (Goal::OneOf(&["madvise", "never"]), "always"),
            (Goal::AtLeast(4096), "4095"),
            (Goal::AtLeast(1), "n/a"),
            (Goal::AtMost(30), "60"),
            (Goal::each_at_least(&[1, 2, 3]), "1 2 2"),
            (Goal::each_at_least(&[1, 2, 3]), "4 4"),
            (Goal::Span(10_240, 65_535), "32768 60999"),
            (Goal::Cpus(vec![0, 1]), "1"),
        ];
        for (goal, value) in fails {
            assert!(!goal.holds(value), "{goal} {value}");
        }
    }

    #[test]
    fn what_is_larger_already_is_not_made_smaller() {
        let after = |goal: Goal, now| goal.value_after(now).unwrap();
        assert_eq!(
            after(Goal::each_at_least(&[4096, 131_072, 16_777_216]), "4096 262144 6291456"),
            "4096 262144 16777216"
        );
        assert_eq!(after(Goal::Span(10_240, 65_535), "1024 60999"), "1024 65535");
        assert_eq!(after(Goal::Cpus(vec![0, 33]), "0"), "00000002,00000001");
        assert_eq!(after(Goal::Cpus(vec![]), "3"), "00000000");
        assert!(Goal::Leave.value_after("1").is_none());
    }

    #[test]
    fn lists_of_cpus_are_read_and_written() {
        for (list, cpus) in [("0-3,8", vec![0, 1, 2, 3, 8]), ("5", vec![5]), ("", vec![])] {
            assert_eq!(cpus_of_list(list).unwrap(), cpus);
            assert_eq!(list_of_cpus(&cpus), list);
        }
        assert!(cpus_of_list("0-x").is_none());
        assert!(cpus_of_list("0-4000000000").is_none());
    }
}
