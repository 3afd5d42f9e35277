//! Numbers as people read them, and rates from two looks at the counters.

use std::time::{Duration, Instant};

use crate::control::{LatencyBucket, RouteStatus, ServerState, ServerStatus, Status, UpstreamStatus};

/// Whole, with separators: `1,234,567`.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// In at most six characters: `987`, `1.23k`, `45.6M`.
pub(super) fn short(number: f64) -> String {
    scaled(number, 1000.0, &["", "k", "M", "G", "T", "P"])
}

/// Bytes in at most nine characters: `987 B`, `1.23 KiB`.
pub(super) fn bytes(number: f64) -> String {
    scaled(number, 1024.0, &[" B", " KiB", " MiB", " GiB", " TiB", " PiB"])
}

fn scaled(number: f64, step: f64, units: &[&str]) -> String {
    let mut value = number.max(0.0);
    let mut unit = 0;
    // What would be rounded up to a whole step is written as one.
    while value >= step - 0.5 && unit + 1 < units.len() {
        value /= step;
        unit += 1;
    }
    let digits = match value {
        _ if unit == 0 && value.fract() == 0.0 => 0,
        value if value < 9.995 => 2,
        value if value < 99.95 => 1,
        _ => 0,
    };
    format!("{value:.digits$}{}", units[unit])
}

/// A share of a whole: `0 %`, `3.4 %`, `99.98 %`, `100 %`; never rounded up to all or down to none.
fn percent(part: u64, whole: u64) -> String {
    if part == 0 || whole == 0 {
        return "0 %".to_owned();
    }
    if part >= whole {
        return "100 %".to_owned();
    }
    let share = part as f64 * 100.0 / whole as f64;
    let digits = if (10.0..99.0).contains(&share) { 1 } else { 2 };
    format!("{:.digits$} %", share.clamp(0.01, 99.99))
}

/// How long something has lasted, in its two largest units: `4 s`, `3 min 12 s`, `2 d 3 h`.
pub(super) fn lasted(seconds: u64) -> String {
    let units = [("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1)];
    let first = units.iter().position(|(_, length)| seconds >= *length).unwrap_or(3);
    let (name, length) = units[first];
    let mut text = format!("{} {name}", seconds / length);
    if let Some((name, shorter)) = units.get(first + 1)
        && seconds % length >= *shorter
    {
        text += &format!(" {} {name}", seconds % length / shorter);
    }
    text
}

/// How long something lasts, in its largest unit.
fn roughly(seconds: u64) -> String {
    let words = lasted(seconds);
    words.split_whitespace().take(2).collect::<Vec<_>>().join(" ")
}

/// A status, and when it was taken.
#[derive(Debug, Clone)]
pub(super) struct Sample {
    pub(super) at: Instant,
    pub(super) status: Status,
}

/// Two looks at one worker, the second at least a moment after the first.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rates<'a> {
    before: Option<&'a Status>,
    over: Duration,
}

impl<'a> Rates<'a> {
    /// None at all.
    pub(super) const NONE: Rates<'static> = Rates { before: None, over: Duration::ZERO };

    /// From `before` to `now`. Another worker's counters say nothing: then there are no rates yet.
    pub(super) fn between(before: Option<&'a Sample>, now: &Sample) -> Rates<'a> {
        let same = before.filter(|before| before.status.pid == now.status.pid && before.at < now.at);
        let over = same.map_or(Duration::ZERO, |before| now.at - before.at);
        Rates { before: same.map(|before| &before.status), over }
    }

    /// By how much a counter has grown a second; none without an earlier look at it.
    pub(super) fn of(&self, now: u64, before: impl FnOnce(&'a Status) -> Option<u64>) -> Option<f64> {
        let before = before(self.before?)?;
        Some(now.saturating_sub(before) as f64 / self.over.as_secs_f64())
    }

    /// By how much a count has grown since; 0 without an earlier look at it.
    pub(super) fn growth(&self, now: u64, before: impl FnOnce(&'a Status) -> Option<u64>) -> u64 {
        now.saturating_sub(self.before.and_then(before).unwrap_or(now))
    }

    /// Exchanges that did not complete, a second.
    pub(super) fn failures(&self, now: &Status) -> Option<f64> {
        self.of(failed(now), |before| Some(failed(before)))
    }

    /// The share of time that a shard's thread was busy, 0 to 1.
    pub(super) fn busy(&self, now: &Status, shard: usize) -> Option<f64> {
        self.share_us(now, |status| status.shards.get(shard)?.cpu_us)
    }

    /// The share of time that a shard's thread was ready to run and had no core, 0 to 1.
    pub(super) fn waiting(&self, now: &Status, shard: usize) -> Option<f64> {
        self.share_us(now, |status| status.shards.get(shard)?.cpu_waited_us)
    }

    fn share_us(&self, now: &Status, us: impl Fn(&Status) -> Option<u64>) -> Option<f64> {
        let us_a_second = self.of(us(now)?, &us)?;
        Some((us_a_second / 1e6).min(1.0))
    }

    /// The latency, in µs, that a share of what ended since then stayed below; none if nothing has ended, or none is measured. It
    /// is as exact as the buckets are narrow: within one, latencies are taken to be spread evenly.
    pub(super) fn quantile(
        &self,
        now: &[LatencyBucket],
        before: impl FnOnce(&'a Status) -> Option<&'a [LatencyBucket]>,
        share: f64,
    ) -> Option<f64> {
        let before = before(self.before?)?;
        let known = |from_us| before.iter().find(|known| known.from_us == from_us).map_or(0, |known| known.count);
        let grown = now.iter().map(|bucket| (bucket, bucket.count.saturating_sub(known(bucket.from_us))));
        let grown: Vec<(&LatencyBucket, u64)> = grown.filter(|(_, count)| *count > 0).collect();
        let whole: u64 = grown.iter().map(|(_, count)| count).sum();
        let wanted = share * whole as f64;
        let mut passed = 0.0;
        for (bucket, count) in grown {
            let count = count as f64;
            if passed + count >= wanted {
                let width = bucket.to_us.map_or(0, |to_us| to_us.saturating_sub(bucket.from_us));
                return Some(bucket.from_us as f64 + (wanted - passed) / count * width as f64);
            }
            passed += count;
        }
        None
    }

    /// Such a latency of all exchanges.
    pub(super) fn of_all(&self, now: &Status, share: f64) -> Option<f64> {
        self.quantile(&now.totals.latency, |before| Some(&before.totals.latency), share)
    }

    /// How the route in this place was used.
    pub(super) fn of_route(&self, place: usize, route: &RouteStatus) -> Use {
        // There may be ten thousand, and they stay in their places but at reloads.
        let known = self.before.and_then(|before| before.routes.get(place)).filter(|known| known.name == route.name);
        let of = |now: u64, count: fn(&RouteStatus) -> u64| self.of(now, |_| known.map(count));
        let quantile = |share| self.quantile(&route.latency, |_| known.map(|known| known.latency.as_slice()), share);
        let before = known.and_then(|known| known.requests);
        Use {
            requests: route.requests.and_then(|now| self.of(now, |_| before)),
            failures: of(route.failures, |known| known.failures).filter(|_| before.is_some()),
            median_us: quantile(0.5),
            high_us: quantile(0.99),
        }
    }

    /// How an upstream was used.
    pub(super) fn of_upstream(&self, upstream: &UpstreamStatus) -> Use {
        let known = self.before.and_then(|before| before.upstreams.iter().find(|known| known.name == upstream.name));
        let quantile = |share| self.quantile(&upstream.latency, |_| known.map(|known| known.latency.as_slice()), share);
        let failures = |upstream: &UpstreamStatus| upstream.servers.iter().map(|server| server.failures).sum();
        let requests = known.and_then(|known| known.requests);
        Use {
            requests: upstream.requests.and_then(|now| self.of(now, |_| requests)),
            failures: self.of(failures(upstream), |_| known.map(failures)),
            median_us: quantile(0.5),
            high_us: quantile(0.99),
        }
    }

    /// How a server was used. Its latency is a mean.
    pub(super) fn of_server(&self, upstream: &str, server: &ServerStatus) -> Use {
        let known = self.before.and_then(|before| {
            let upstream = before.upstreams.iter().find(|known| known.name == upstream)?;
            upstream.servers.iter().find(|known| known.address == server.address)
        });
        let of = |now, count: fn(&ServerStatus) -> u64| self.of(now, |_| known.map(count));
        let heads = server.heads.zip(known.and_then(|known| known.heads));
        let mean_us = heads
            .filter(|(now, before)| now.count > before.count)
            .map(|(now, before)| now.sum_us.saturating_sub(before.sum_us) as f64 / (now.count - before.count) as f64);
        Use {
            requests: of(server.requests, |known| known.requests),
            failures: of(server.failures, |known| known.failures),
            median_us: mean_us,
            high_us: None,
        }
    }
}

/// What happened to one thing between two looks.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Use {
    /// A second.
    pub(super) requests: Option<f64>,
    /// A second.
    pub(super) failures: Option<f64>,
    /// What half of the requests stayed below; for a server the mean.
    pub(super) median_us: Option<f64>,
    /// What 99 of 100 stayed below.
    pub(super) high_us: Option<f64>,
}

/// µs as people read them, in at most seven characters: `850 µs`, `1.9 ms`, `12 ms`, `3.4 s`.
pub(super) fn duration(us: f64) -> String {
    let scaled = |value: f64, unit: &str| {
        let digits = usize::from(value < 9.95);
        format!("{value:.digits$} {unit}")
    };
    match us {
        us if us < 999.5 => format!("{us:.0} µs"),
        us if us < 999_500.0 => scaled(us / 1e3, "ms"),
        us => scaled(us / 1e6, "s"),
    }
}

/// A latency, or a dash where there is none.
pub(super) fn latency(us: Option<f64>) -> String {
    us.map_or_else(|| "-".to_owned(), duration)
}

/// Exchanges that did not complete.
fn failed(status: &Status) -> u64 {
    status.totals.outcomes.iter().filter(|(word, _)| *word != "completed").map(|(_, count)| count).sum()
}

/// The share of the exchanges that completed, by counts that were read together.
pub(super) fn completed(status: &Status) -> String {
    let completed = status.totals.outcomes.get("completed").copied().unwrap_or_default();
    percent(completed, completed + failed(status))
}

/// A rate, or a dash where there is none yet.
pub(super) fn rate(rate: Option<f64>) -> String {
    rate.map_or_else(|| "-".to_owned(), |rate| short(rate.round_to_tenth()))
}

trait RoundToTenth {
    fn round_to_tenth(self) -> f64;
}

impl RoundToTenth for f64 {
    /// Small rates without digits that mean nothing; large ones are rounded by [`short`].
    fn round_to_tenth(self) -> f64 {
        if self < 100.0 { (self * 10.0).round() / 10.0 } else { self.round() }
    }
}

/// Whether a server gets requests, and if not, since when or until when.
pub(super) fn standing(server: &ServerStatus, shards: usize) -> String {
    match server.state {
        ServerState::Up => "up".to_owned(),
        ServerState::Draining if server.active == 0 => "drained".to_owned(),
        ServerState::Draining => "draining".to_owned(),
        ServerState::Unknown => "unknown".to_owned(),
        // All shards that have ejected it wait for a request to find out whether it is back.
        ServerState::Ejected if server.ejected_for_ms == 0 => "on trial".to_owned(),
        ServerState::Ejected => format!("out {}", roughly(server.ejected_for_ms.div_ceil(1000))),
        ServerState::Impaired => format!("out on {}/{shards}", server.ejected_by_shards),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short_and_honest() {
        assert_eq!([0, 999, 1000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
        let shown = [0.0, 5.0, 999.0, 999.7, 1234.0, 99_960.0, 45_600_000.0, 999_999.0].map(short);
        assert_eq!(shown, ["0", "5", "999", "1.00k", "1.23k", "100k", "45.6M", "1.00M"]);
        let shown = [0.4, 850.0, 999.6, 1_940.0, 9_960.0, 12_400.0, 999_600.0, 60e6].map(duration);
        assert_eq!(shown, ["0 µs", "850 µs", "1.0 ms", "1.9 ms", "10 ms", "12 ms", "1.0 s", "60 s"]);
        assert_eq!([100.0, 1536.0].map(bytes), ["100 B", "1.50 KiB"]);
        let shares = [(0, 9), (9, 9), (1, 1_000_000), (999_999, 1_000_000), (1, 3), (0, 0)].map(|(a, b)| percent(a, b));
        assert_eq!(shares, ["0 %", "100 %", "0.01 %", "99.99 %", "33.3 %", "0 %"]);
        assert_eq!(
            [0, 59, 60, 192, 3600, 183_000].map(lasted),
            ["0 s", "59 s", "1 min", "3 min 12 s", "1 h", "2 d 2 h"]
        );
    }
}
