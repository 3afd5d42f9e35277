//! Durations, sizes and numbers as people write them: `250ms`, `64KiB`, `150k`.

use std::time::Duration;

/// A duration: a number with `us`, `ms`, `s`, `m` or `h`. Whole microseconds, at most a week.
///
/// # Errors
/// Says what is expected instead.
pub fn duration(text: &str) -> Result<Duration, String> {
    const DURATION_MAX: Duration = Duration::from_secs(7 * 24 * 3600);
    let (number, unit) = split(text);
    let unit_us = match unit {
        "us" | "µs" => 1.0,
        "ms" => 1e3,
        "s" => 1e6,
        "m" | "min" => 60e6,
        "h" => 3600e6,
        _ => return Err(format!("`{text}` is no duration: expected a number with us, ms, s, m or h, such as 250ms")),
    };
    let number = decimal(number).ok_or_else(|| format!("`{text}` is no duration: expected a number before {unit}"))?;
    let duration = Duration::from_micros((number * unit_us).round() as u64);
    if duration > DURATION_MAX {
        return Err(format!("`{text}` is longer than a week"));
    }
    Ok(duration)
}

/// A size in bytes: a number alone, or with `B`, `KB`, `MB`, `GB` (powers of 1000), `KiB`, `MiB`, `GiB` (of 1024).
///
/// # Errors
/// Says what is expected instead.
pub fn bytes(text: &str) -> Result<u64, String> {
    let (number, unit) = split(text);
    let scale = match unit {
        "" | "B" => 1.0,
        "KB" | "kB" => 1e3,
        "MB" => 1e6,
        "GB" => 1e9,
        "KiB" => 1024.0,
        "MiB" => 1024.0 * 1024.0,
        "GiB" => 1024.0 * 1024.0 * 1024.0,
        _ => return Err(format!("`{text}` is no size: expected a number, alone or with KB, MB, GB, KiB, MiB or GiB")),
    };
    let number = decimal(number).ok_or_else(|| format!("`{text}` is no size: expected a number such as 64KiB"))?;
    Ok((number * scale).round() as u64)
}

/// A count: a number alone, or with `k` or `M` (thousands, millions).
///
/// # Errors
/// Says what is expected instead.
pub fn count(text: &str) -> Result<u64, String> {
    let (number, unit) = split(text);
    let scale = match unit {
        "" => 1.0,
        "k" => 1e3,
        "M" => 1e6,
        _ => return Err(format!("`{text}` is no number: expected digits, alone or with k or M, such as 150k")),
    };
    let number = decimal(number).ok_or_else(|| format!("`{text}` is no number"))?;
    let count = number * scale;
    if count.fract() != 0.0 {
        return Err(format!("`{text}` is no whole number"));
    }
    Ok(count as u64)
}

fn split(text: &str) -> (&str, &str) {
    let unit = text.find(|c: char| !c.is_ascii_digit() && c != '.' && c != '_').unwrap_or(text.len());
    text.split_at(unit)
}

/// Digits with at most one point, underscores between them allowed. Below 10^15, so that nothing is lost in an `f64`.
fn decimal(text: &str) -> Option<f64> {
    let digits = text.replace('_', "");
    let first = digits.chars().next()?;
    if !first.is_ascii_digit() || digits.ends_with('.') {
        return None;
    }
    digits.parse::<f64>().ok().filter(|number| *number < 1e15)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_sizes_and_counts_read_as_they_are_written() {
        assert_eq!(duration("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(duration("1.5s"), Ok(Duration::from_millis(1500)));
        assert_eq!(duration("2m"), Ok(Duration::from_secs(120)));
        assert_eq!(duration("7us"), Ok(Duration::from_micros(7)));
        assert_eq!(bytes("64KiB"), Ok(65_536));
        assert_eq!(bytes("1MB"), Ok(1_000_000));
        assert_eq!(bytes("128"), Ok(128));
        assert_eq!(count("150k"), Ok(150_000));
        assert_eq!(count("1.5M"), Ok(1_500_000));
        assert_eq!(count("10_000"), Ok(10_000));
    }

    #[test]
    fn what_is_no_quantity_says_what_is_expected() {
        for text in ["", "s", "10", "10 s", "-1s", "1..2s", ".5s", "5.s", "9000h", "1e9s"] {
            assert!(duration(text).is_err(), "{text}");
        }
        for text in ["", "KiB", "1 KiB", "1TiB", "-1", "99999999999999999GiB"] {
            assert!(bytes(text).is_err(), "{text}");
        }
        for text in ["", "1.5", "k", "1G", "0x10"] {
            assert!(count(text).is_err(), "{text}");
        }
        assert!(duration("10").unwrap_err().contains("250ms"));
    }
}
