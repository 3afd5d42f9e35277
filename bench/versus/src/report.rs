//! What the rounds say: medians, ratios to the best peer, tables.

use std::fmt::Write;

use bench_common::host::Host;
use bench_versus::scenario::Scenario;
use serde::Serialize;

use crate::{
    measure::{Round, Sample},
    statistics::Spread,
};

/// The target that stands for what the foundation alone costs.
const FLOOR: &str = "bare-ring";

/// A run: on what, by which command, with which results.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) host: Host,
    command: String,
    scenarios: Vec<ScenarioReport>,
}

#[derive(Debug, Serialize)]
struct ScenarioReport {
    scenario: String,
    body_bytes: usize,
    connections: u32,
    /// The peer that the ratios are to: the one with the lowest median cost.
    reference: String,
    targets: Vec<Summary>,
    rounds: Vec<Round>,
}

/// One target over the clean rounds.
#[derive(Debug, PartialEq, Serialize)]
struct Summary {
    target: String,
    proxy_us_per_request: Spread,
    /// Cost over the reference's in the same round.
    ratio: Spread,
    /// Cost over the bare ring proxy's in the same round, if that was measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    over_floor_us: Option<Spread>,
    /// Cost of proxy, upstream and load generator together.
    total_us_per_request: Spread,
    requests_per_second: Spread,
    latency_p50_us: Spread,
    latency_p99_us: Spread,
    proxy_core_percent: Spread,
    load_core_percent: Spread,
}

impl Report {
    pub(crate) fn new(host: Host, command: String) -> Self {
        Self { host, command, scenarios: Vec::new() }
    }

    pub(crate) fn add(&mut self, scenario: Scenario, rounds: Vec<Round>) {
        let counted = counted(&rounds);
        let reference = reference(&counted);
        let targets = (0..counted[0].samples.len()).map(|target| Summary::of(&counted, target, reference)).collect();
        self.scenarios.push(ScenarioReport {
            scenario: scenario.to_string(),
            body_bytes: scenario.length_bytes(),
            connections: scenario.connections,
            reference: counted[0].samples[reference].target.clone(),
            targets,
            rounds,
        });
    }

    /// The report for readers.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        self.write_text(&mut text).expect("a String takes whatever is written");
        text
    }

    fn write_text(&self, text: &mut String) -> std::fmt::Result {
        writeln!(text, "{}", self.host)?;
        writeln!(text, "{}\n", self.command)?;
        writeln!(
            text,
            "CPU is the proxy's time a request in µs, user and kernel: median (min-max) over the clean rounds."
        )?;
        writeln!(
            text,
            "Ratios and differences are taken in each round. Both: proxy, upstream and load together, in µs. A request of ws is a \
             message there and back."
        )?;
        for scenario in &self.scenarios {
            scenario.write_text(text)?;
        }
        Ok(())
    }
}

impl ScenarioReport {
    fn write_text(&self, text: &mut String) -> std::fmt::Result {
        let polluted = self.rounds.iter().filter(|round| round.polluted).count();
        let clean = self.rounds.len() - polluted;
        write!(text, "\n{}: {} bytes, {} connections, ", self.scenario, self.body_bytes, self.connections)?;
        match (clean, polluted) {
            (_, 0) => writeln!(text, "rounds: {clean}")?,
            (0, _) => writeln!(text, "NO CLEAN ROUND: others used the machine in all {polluted}; do not quote this")?,
            _ => writeln!(text, "rounds: {clean}; polluted and left out: {polluted}")?,
        }
        let ratio_title = format!("of {}", self.reference);
        writeln!(
            text,
            "{:<13} {:>24} {:>20} {:>14} {:>8} {:>8} {:>8} {:>8} {:>11}",
            "target",
            "CPU",
            ratio_title,
            format!("over {FLOOR}"),
            "both",
            "req/s",
            "p50 µs",
            "p99 µs",
            "cores busy"
        )?;
        for target in &self.targets {
            let cores = format!("{:.0}+{:.0} %", target.proxy_core_percent.median, target.load_core_percent.median);
            let over_floor = target.over_floor_us.map_or_else(String::new, |over| format!("{:+.2}", over.median));
            writeln!(
                text,
                "{:<13} {:>24} {:>20} {over_floor:>14} {:>8.1} {:>8.0} {:>8.0} {:>8.0} {cores:>11}",
                target.target,
                spread_text(target.proxy_us_per_request),
                spread_text(target.ratio),
                target.total_us_per_request.median,
                target.requests_per_second.median,
                target.latency_p50_us.median,
                target.latency_p99_us.median,
            )?;
        }
        Ok(())
    }
}

impl Summary {
    fn of(rounds: &[&Round], target: usize, reference: usize) -> Self {
        let spread = |value: fn(&Sample) -> f64| Spread::of(rounds.iter().map(|round| value(&round.samples[target])));
        // Within a round, because the machine drifts between rounds.
        let paired = |other: usize, compare: fn(f64, f64) -> f64| {
            let cost = |round: &Round, target: usize| round.samples[target].proxy_us_per_request;
            Spread::of(rounds.iter().map(|round| compare(cost(round, target), cost(round, other))))
        };
        let floor = rounds[0].samples.iter().position(|sample| sample.target == FLOOR);
        Self {
            target: rounds[0].samples[target].target.clone(),
            proxy_us_per_request: spread(|sample| sample.proxy_us_per_request),
            ratio: paired(reference, |cost, other| cost / other),
            over_floor_us: floor.map(|floor| paired(floor, |cost, other| cost - other)),
            total_us_per_request: spread(Sample::total_us_per_request),
            requests_per_second: spread(|sample| sample.requests_per_second),
            latency_p50_us: spread(|sample| sample.latency_p50_us),
            latency_p99_us: spread(|sample| sample.latency_p99_us),
            proxy_core_percent: spread(|sample| sample.proxy_core_percent),
            load_core_percent: spread(|sample| sample.load_core_percent),
        }
    }
}

/// The clean rounds; all of them where none is clean, which the report then says.
fn counted(rounds: &[Round]) -> Vec<&Round> {
    let clean: Vec<&Round> = rounds.iter().filter(|round| !round.polluted).collect();
    if clean.is_empty() { rounds.iter().collect() } else { clean }
}

/// The index of the cheapest peer by its median; of the cheapest target where no peer was measured.
fn reference(rounds: &[&Round]) -> usize {
    let samples = &rounds[0].samples;
    let any_peer = samples.iter().any(|sample| sample.peer);
    let cost = |target: usize| Spread::of(rounds.iter().map(|round| round.samples[target].proxy_us_per_request)).median;
    (0..samples.len())
        .filter(|&target| samples[target].peer || !any_peer)
        .min_by(|&left, &right| cost(left).total_cmp(&cost(right)))
        .expect("a round has a sample for each target, and there is at least one")
}

fn spread_text(spread: Spread) -> String {
    format!("{:.2} ({:.2}-{:.2})", spread.median, spread.min, spread.max)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round(polluted: bool, costs: [(&str, bool, f64); 3]) -> Round {
        let samples = costs.map(|(target, peer, proxy_us_per_request)| Sample {
            target: target.into(),
            peer,
            requests: 100,
            proxy_us_per_request,
            upstream_us_per_request: 3.0,
            load_us_per_request: 2.0,
            requests_per_second: 50_000.0,
            latency_p50_us: 600.0,
            latency_p99_us: 900.0,
            proxy_core_percent: 60.0,
            load_core_percent: 100.0,
            foreign_percent: 0.5,
        });
        Round { polluted, samples: samples.into() }
    }

    fn rounds() -> Vec<Round> {
        vec![
            round(false, [("bare-ring", false, 8.0), ("nginx", true, 10.0), ("haproxy", true, 16.0)]),
            round(true, [("bare-ring", false, 90.0), ("nginx", true, 1.0), ("haproxy", true, 1.0)]),
            round(false, [("bare-ring", false, 9.0), ("nginx", true, 15.0), ("haproxy", true, 20.0)]),
            round(false, [("bare-ring", false, 10.0), ("nginx", true, 10.0), ("haproxy", true, 22.0)]),
        ]
    }

    #[test]
    fn ratios_are_of_the_cheapest_peer_round_by_round() {
        let rounds = rounds();
        let counted = counted(&rounds);
        let nginx = reference(&counted);
        assert_eq!((counted.len(), nginx), (3, 1));
        let bare = Summary::of(&counted, 0, nginx);
        assert_eq!(bare.ratio, Spread { median: 0.8, min: 0.6, max: 1.0 });
        assert_eq!(bare.total_us_per_request.median, 14.0);
        let haproxy = Summary::of(&counted, 2, nginx);
        assert_eq!(haproxy.over_floor_us, Some(Spread { median: 11.0, min: 8.0, max: 12.0 }));
    }

    #[test]
    fn without_peers_the_cheapest_target_is_the_reference() {
        let rounds = [round(false, [("ringway", false, 9.0), ("bare-epoll", false, 8.0), ("bare-tokio", false, 9.5)])];
        assert_eq!(reference(&counted(&rounds)), 1);
    }

    #[test]
    fn polluted_rounds_count_only_where_there_is_nothing_else() {
        let rounds = [round(true, [("ringway", false, 9.0), ("nginx", true, 8.0), ("haproxy", true, 9.5)])];
        assert_eq!(counted(&rounds).len(), 1);
    }
}
