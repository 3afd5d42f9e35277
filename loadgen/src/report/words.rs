//! Figures in words: three significant digits and a unit.

use crate::record::Http2Counts;

const KIB: f64 = 1024.0;

/// What HTTP/2's connections went through; nothing where it was not spoken.
pub(crate) fn http2(counts: &Http2Counts) -> Vec<String> {
    if counts.is_empty() {
        return Vec::new();
    }
    let Http2Counts { connections, streams, resets_received, resets_sent, go_aways } = *counts;
    [
        ("connections", connections),
        ("streams", streams),
        ("reset by the server", resets_received),
        ("reset by loadgen", resets_sent),
        ("GOAWAYs", go_aways),
    ]
    .map(|(name, count_of)| format!("{name}: {}", count(count_of)))
    .into()
}

/// A time, such as `1.23 ms`.
pub(crate) fn time(ns: f64) -> String {
    let (value, unit) = match ns {
        ns if ns < 1e3 => return format!("{ns:.0} ns"),
        ns if ns < 999.5e3 => (ns / 1e3, "µs"),
        ns if ns < 999.5e6 => (ns / 1e6, "ms"),
        ns => (ns / 1e9, "s"),
    };
    format!("{} {unit}", digits(value))
}

/// A number of bytes, such as `1.23 MiB`.
pub(crate) fn bytes(bytes: f64) -> String {
    let units = ["B", "KiB", "MiB", "GiB", "TiB"];
    let power = (0..units.len() - 1).take_while(|&power| bytes >= 999.5 * KIB.powf(power as f64)).count();
    let value = bytes / KIB.powf(power as f64);
    if power == 0 { format!("{value:.0} B") } else { format!("{} {}", digits(value), units[power]) }
}

/// A rate or another large figure in little room, such as `61.7k`.
pub(crate) fn short(value: f64) -> String {
    match value {
        value if value < 999.5 => digits(value),
        value if value < 999.5e3 => format!("{}k", digits(value / 1e3)),
        value if value < 999.5e6 => format!("{}M", digits(value / 1e6)),
        value => format!("{}G", digits(value / 1e9)),
    }
}

/// A count in full, in groups of three digits: `1,234,567`.
pub(crate) fn count(count: u64) -> String {
    let digits = count.to_string();
    let mut grouped = String::with_capacity(digits.len() * 4 / 3);
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// A share in percent, such as `0.012 %`: never a bare zero for what is not zero.
pub(crate) fn percent(percent: f64) -> String {
    match percent {
        0.0 => "0 %".to_owned(),
        percent if percent < 0.001 => "< 0.001 %".to_owned(),
        percent if percent < 1.0 => format!("{percent:.3} %"),
        percent => format!("{percent:.2} %"),
    }
}

/// A percentile without needless zeros: `99`, `99.9`.
pub(crate) fn percentile(percent: f64) -> String {
    format!("p{percent}")
}

/// Three significant digits of a value below a thousand or so; a whole value stays whole.
fn digits(value: f64) -> String {
    // What a division left of a whole value is no digit.
    let is_whole = (value - value.round()).abs() < 1e-9 * value.max(1.0);
    match value {
        value if value >= 99.95 || is_whole => format!("{value:.0}"),
        value if value >= 9.995 => format!("{value:.1}"),
        value => format!("{value:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_have_three_digits_and_a_unit() {
        for (ns, text) in [
            (0.0, "0 ns"),
            (999.0, "999 ns"),
            (1_234.0, "1.23 µs"),
            (99_960.0, "100 µs"),
            (999_499.0, "999 µs"),
            (999_600.0, "1.00 ms"),
            (12_345_678.0, "12.3 ms"),
            (2e9, "2 s"),
            (3_600e9, "3600 s"),
        ] {
            assert_eq!(time(ns), text);
        }
        assert_eq!(
            [0.0, 1023.0, 1536.0, 10e6, 5e12].map(bytes),
            ["0 B", "1.00 KiB", "1.50 KiB", "9.54 MiB", "4.55 TiB"]
        );
        assert_eq!([0.0, 7.0, 61_728.0, 1e6].map(short), ["0", "7", "61.7k", "1M"]);
        assert_eq!([0, 999, 1000, 1_234_567].map(count), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!([0.0, 1e-6, 0.5, 12.345].map(percent), ["0 %", "< 0.001 %", "0.500 %", "12.35 %"]);
    }
}
