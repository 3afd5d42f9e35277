//! Durations and sizes: `250ms`, `10s`, `5m`, `1h`; `512B`, `16KiB`, `1MiB`, `2GiB`, `1TiB`. A whole number and a unit,
//! always: a bare number has been read as seconds by one and as milliseconds by another too often.

use std::fmt;
use std::time::Duration;

use super::diagnostic::{Problem, quoted};

/// Units of time in milliseconds, smallest first.
const TIME_UNITS: [(&str, u64); 4] = [("ms", 1), ("s", 1000), ("m", 60 * 1000), ("h", 60 * 60 * 1000)];
/// Units of size in bytes, smallest first.
const SIZE_UNITS: [(&str, u64); 5] = [("B", 1), ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("TiB", 1 << 40)];

/// What people write for a unit of time, beside the unit itself.
const TIME_ALIASES: [(&str, &str); 13] = [
    ("msec", "ms"),
    ("millis", "ms"),
    ("milliseconds", "ms"),
    ("sec", "s"),
    ("secs", "s"),
    ("second", "s"),
    ("seconds", "s"),
    ("min", "m"),
    ("mins", "m"),
    ("minutes", "m"),
    ("hr", "h"),
    ("hour", "h"),
    ("hours", "h"),
];

/// Reads a duration.
pub(super) fn duration(text: &str) -> Result<Duration, Problem> {
    let as_unit = |unit: &str| {
        let lower = unit.to_ascii_lowercase();
        let known = TIME_UNITS.iter().map(|(name, _)| (*name, *name)).chain(TIME_ALIASES);
        known.into_iter().find(|(alias, _)| *alias == lower).map(|(_, name)| name)
    };
    quantity(text, "duration", &TIME_UNITS, "a whole number and a unit: `250ms`, `10s`, `5m`, `1h`", as_unit)
        .map(Duration::from_millis)
}

/// Reads a size, in bytes.
pub(super) fn size(text: &str) -> Result<u64, Problem> {
    // `k`, `KB`, `kib` and the like are all near enough to tell what was meant, but not to be taken for it.
    let as_unit = |unit: &str| {
        let lower = unit.to_ascii_lowercase();
        SIZE_UNITS.iter().map(|(name, _)| *name).find(|name| {
            let letter = name[..1].to_ascii_lowercase();
            lower == letter || lower == format!("{letter}b") || lower == name.to_ascii_lowercase()
        })
    };
    quantity(text, "size", &SIZE_UNITS, "a whole number and a unit: `512B`, `16KiB`, `1MiB`, `1TiB`", as_unit)
}

/// A duration as it would be written, in the largest unit that keeps it whole. Exact to the millisecond.
pub(crate) struct ShowDuration(pub(crate) Duration);

impl fmt::Display for ShowDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        show(f, u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX), &TIME_UNITS, "s")
    }
}

/// A size as it would be written, in the largest unit that keeps it whole.
pub(super) struct ShowSize(pub(super) u64);

impl fmt::Display for ShowSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        show(f, self.0, &SIZE_UNITS, "B")
    }
}

fn show(f: &mut fmt::Formatter<'_>, amount: u64, units: &[(&str, u64)], unit_of_zero: &str) -> fmt::Result {
    match units.iter().rev().find(|(_, factor)| amount >= *factor && amount.is_multiple_of(*factor)) {
        Some((unit, factor)) => write!(f, "{}{unit}", amount / factor),
        None => write!(f, "0{unit_of_zero}"),
    }
}

/// Reads a number and one of `units`. `as_unit` is the unit that a wrong one was probably meant to be.
fn quantity(
    text: &str,
    kind: &str,
    units: &[(&str, u64)],
    expected: &str,
    as_unit: impl Fn(&str) -> Option<&'static str>,
) -> Result<u64, Problem> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    if number.is_empty() {
        return Err(Problem::new(format!("{} is not a {kind}", quoted(text))).expected(expected));
    }
    let Some((_, factor)) = units.iter().find(|(name, _)| *name == unit) else {
        return Err(unit_problem(text, kind, number, unit, as_unit).expected(expected));
    };
    number
        .parse::<u64>()
        .ok()
        .and_then(|number| number.checked_mul(*factor))
        .ok_or_else(|| Problem::new(format!("{} is too large for a {kind}", quoted(text))))
}

fn unit_problem(
    text: &str,
    kind: &str,
    number: &str,
    unit: &str,
    as_unit: impl Fn(&str) -> Option<&'static str>,
) -> Problem {
    if unit.is_empty() {
        return Problem::new(format!("{} has no unit", quoted(text)));
    }
    if unit.starts_with(['.', ',']) {
        let advice = "write it in a smaller unit: `1500ms` for one and a half seconds";
        let problem = Problem::new(format!("{} is not a whole number", quoted(text)));
        return if kind == "duration" { problem.note(advice) } else { problem };
    }
    if unit.bytes().any(|byte| byte.is_ascii_digit()) {
        return Problem::new(format!("{} has more than one unit", quoted(text)));
    }
    let problem = Problem::new(format!("{} is not a {kind}", quoted(text)));
    match as_unit(unit.trim()) {
        Some(meant) => problem.note(format!("did you mean `{number}{meant}`?")),
        None => problem,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn units_are_read_exactly() {
        let durations = [("250ms", 250), ("0s", 0), ("10s", 10_000), ("5m", 300_000), ("1h", 3_600_000)];
        for (text, ms) in durations {
            assert_eq!(duration(text).unwrap(), Duration::from_millis(ms), "{text}");
        }
        let sizes = [("512B", 512), ("16KiB", 16 << 10), ("1MiB", 1 << 20), ("3GiB", 3 << 30), ("1TiB", 1 << 40)];
        for (text, bytes) in sizes {
            assert_eq!(size(text).unwrap(), bytes, "{text}");
        }
    }

    #[test]
    fn what_was_meant_is_suggested_and_never_taken() {
        let suggested = |problem: Problem| problem.in_one_line();
        for (text, meant) in [("10 s", "`10s`"), ("5min", "`5m`"), ("2S", "`2s`"), ("1hour", "`1h`")] {
            let line = suggested(duration(text).unwrap_err());
            assert!(line.contains(&format!("did you mean {meant}?")), "{text}: {line}");
        }
        for (text, meant) in [("16K", "`16KiB`"), ("16kb", "`16KiB`"), ("1 mib", "`1MiB`"), ("5b", "`5B`")] {
            let line = suggested(size(text).unwrap_err());
            assert!(line.contains(&format!("did you mean {meant}?")), "{text}: {line}");
        }
        for text in ["", "s", "-1s", "+1s", "1", "1.5s", "1m30s", "99999999999999999999s", "1d", "１s"] {
            assert!(duration(text).is_err(), "{text}");
            assert!(size(&text.replace('s', "B")).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_shown_reads_back_the_same(amount in any::<u64>(), shift in 0u32..64) {
            let amount = amount >> shift;
            prop_assert_eq!(size(&ShowSize(amount).to_string()).unwrap(), amount);
            let written = Duration::from_millis(amount);
            prop_assert_eq!(duration(&ShowDuration(written).to_string()).unwrap(), written);
        }
    }
}
