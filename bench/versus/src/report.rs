//! What the rounds say: medians, ratios to the best peer, tables.

mod idle;

use std::fmt::Write;

use bench_common::{
    host::Host,
    statistics::{Estimate, Spread},
};
use bench_versus::scenario::Scenario;
use serde::Serialize;

pub(crate) use self::idle::IdleReport;
use crate::{
    arguments::Arguments,
    idle::IdleRound,
    measure::{Measured, Round, Sample},
};

/// The target that stands for what the foundation alone costs.
const FLOOR: &str = "bare-ring";

/// How busy the load's core is, in percent, when requests a second tell of it and not of the proxy.
const FULL_PERCENT: f64 = 97.0;

/// The narrowest column of names.
const NAME_LETTERS_MIN: usize = 13;

/// A run: on what, by which command, with which results.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) host: Host,
    pub(crate) command: String,
    pub(crate) settings: Settings,
    pub(crate) scenarios: Vec<ScenarioReport>,
    pub(crate) idle: Vec<IdleReport>,
}

/// What the command says or leaves to the defaults.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Settings {
    pub(crate) targets: Vec<String>,
    /// The target that ratios are to; none where it is the cheapest peer of each scenario.
    pub(crate) reference: Option<String>,
    pub(crate) rounds: u32,
    pub(crate) seconds: u32,
    pub(crate) warm_up_seconds: u32,
    pub(crate) proxy_core: usize,
    pub(crate) load_core: usize,
}

#[derive(Debug, Serialize)]
pub(crate) struct ScenarioReport {
    pub(crate) scenario: String,
    pub(crate) body_bytes: usize,
    pub(crate) connections: u32,
    /// How many requests became due in a second, where they came by the clock.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) per_second: Option<u32>,
    /// The target that the ratios are to.
    pub(crate) reference: String,
    pub(crate) targets: Vec<Summary>,
    pub(crate) rounds: Vec<Round>,
}

/// One target over the clean rounds.
#[derive(Debug, PartialEq, Serialize)]
pub(crate) struct Summary {
    pub(crate) target: String,
    pub(crate) proxy_us_per_request: Spread,
    /// Cost over the reference's in the same round.
    pub(crate) ratio: Spread,
    /// How sure its median is.
    pub(crate) ratio_estimate: Estimate,
    /// Cost over the bare ring proxy's in the same round, if that was measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) over_floor_us: Option<Spread>,
    /// Cost of proxy, upstream and load generator together.
    pub(crate) total_us_per_request: Spread,
    pub(crate) requests_per_second: Spread,
    pub(crate) latency_p50_us: Spread,
    pub(crate) latency_p99_us: Spread,
    pub(crate) proxy_core_percent: Spread,
    pub(crate) load_core_percent: Spread,
}

impl Report {
    pub(crate) fn new(host: Host, command: String, arguments: &Arguments) -> Self {
        let &Arguments { rounds, seconds, warm_up_seconds, ref stage, .. } = arguments;
        let (proxy_core, load_core) = (stage.proxy_core, stage.load_core);
        let targets = arguments.targets.iter().map(ToString::to_string).collect();
        let reference = arguments.reference.as_ref().map(ToString::to_string);
        let settings = Settings { targets, reference, rounds, seconds, warm_up_seconds, proxy_core, load_core };
        Self { host, command, settings, scenarios: Vec::new(), idle: Vec::new() }
    }

    pub(crate) fn add(&mut self, scenario: Scenario, measured: Measured) {
        let Measured { per_second, rounds } = measured;
        let counted = counted(&rounds);
        let cost =
            |target: usize| Spread::of(counted.iter().map(|round| round.samples[target].proxy_us_per_request)).median;
        let names = counted[0].samples.iter().map(|sample| (sample.target.as_str(), sample.peer));
        let reference = reference(names, cost, self.settings.reference.as_deref());
        let targets = (0..counted[0].samples.len()).map(|target| Summary::of(&counted, target, reference)).collect();
        self.scenarios.push(ScenarioReport {
            scenario: scenario.to_string(),
            body_bytes: scenario.length_bytes(),
            connections: scenario.connections,
            per_second,
            reference: counted[0].samples[reference].target.clone(),
            targets,
            rounds,
        });
    }

    pub(crate) fn add_idle(&mut self, scenario: Scenario, rounds: Vec<IdleRound>) {
        self.idle.push(IdleReport::new(scenario, rounds, self.settings.reference.as_deref()));
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
        for idle in &self.idle {
            idle.write_text(text)?;
        }
        Ok(())
    }
}

impl ScenarioReport {
    fn write_text(&self, text: &mut String) -> std::fmt::Result {
        writeln!(text, "\n{}: {}", self.scenario, self.circumstances())?;
        let width = name_width(self.targets.iter().map(|target| &*target.target));
        let ratio_title = format!("of {}", self.reference);
        writeln!(
            text,
            "{:<width$} {:>24} {:>20} {:>14} {:>8} {:>8} {:>8} {:>8} {:>13}",
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
            let mark = if target.is_bounded_by_the_load() { " *" } else { "" };
            let cores = format!("{}{mark}", target.cores());
            let over_floor = target.over_floor_us.map_or_else(String::new, |over| format!("{:+.2}", over.median));
            writeln!(
                text,
                "{:<width$} {:>24} {:>20} {over_floor:>14} {:>8.1} {:>8.0} {:>8} {:>8} {cores:>13}",
                target.target,
                spread_text(target.proxy_us_per_request),
                spread_text(target.ratio),
                target.total_us_per_request.median,
                target.requests_per_second.median,
                latency_text(target.latency_p50_us),
                latency_text(target.latency_p99_us),
            )?;
        }
        if self.targets.iter().any(Summary::is_bounded_by_the_load) {
            writeln!(text, "{BOUNDED}")?;
        }
        Ok(())
    }

    /// What was measured, and how many rounds of it count.
    pub(crate) fn circumstances(&self) -> String {
        let polluted = self.rounds.iter().filter(|round| round.polluted).count();
        let clean = self.rounds.len() - polluted;
        let per_second = self.per_second.map_or_else(String::new, |rate| format!("{rate} requests due a second, "));
        let what = format!("{} bytes, {} connections, {per_second}", self.body_bytes, self.connections);
        match (clean, polluted) {
            (_, 0) => format!("{what}rounds: {clean}"),
            (0, _) => {
                let reason = self.rounds.iter().find_map(|round| round.pollution.as_deref()).unwrap_or("polluted");
                format!("{what}NO CLEAN ROUND of {polluted} ({reason}); do not quote this")
            }
            _ => format!("{what}rounds: {clean}; polluted and left out: {polluted}"),
        }
    }
}

/// What the mark beside the cores says.
pub(crate) const BOUNDED: &str =
    "* The load's core was full and the proxy's was not: requests a second and latencies tell of upstream and load.";

impl Summary {
    fn of(rounds: &[&Round], target: usize, reference: usize) -> Self {
        let spread = |value: fn(&Sample) -> f64| Spread::of(rounds.iter().map(|round| value(&round.samples[target])));
        // Within a round, because the machine drifts between rounds.
        let paired = |other: usize, compare: fn(f64, f64) -> f64| {
            let cost = |round: &Round, target: usize| round.samples[target].proxy_us_per_request;
            rounds.iter().map(|round| compare(cost(round, target), cost(round, other))).collect::<Vec<_>>()
        };
        let floor = rounds[0].samples.iter().position(|sample| sample.target == FLOOR);
        Self {
            target: rounds[0].samples[target].target.clone(),
            proxy_us_per_request: spread(|sample| sample.proxy_us_per_request),
            ratio: Spread::of(paired(reference, |cost, other| cost / other)),
            ratio_estimate: Estimate::of(paired(reference, |cost, other| cost / other)),
            over_floor_us: floor.map(|floor| Spread::of(paired(floor, |cost, other| cost - other))),
            total_us_per_request: spread(Sample::total_us_per_request),
            requests_per_second: spread(|sample| sample.requests_per_second),
            latency_p50_us: spread(|sample| sample.latency_p50_us),
            latency_p99_us: spread(|sample| sample.latency_p99_us),
            proxy_core_percent: spread(|sample| sample.proxy_core_percent),
            load_core_percent: spread(|sample| sample.load_core_percent),
        }
    }

    /// How busy both cores were.
    pub(crate) fn cores(&self) -> String {
        format!("{:.0}+{:.0} %", self.proxy_core_percent.median, self.load_core_percent.median)
    }

    /// Whether upstream and load had no time left while the proxy had.
    pub(crate) fn is_bounded_by_the_load(&self) -> bool {
        self.load_core_percent.median >= FULL_PERCENT && self.proxy_core_percent.median < FULL_PERCENT
    }
}

/// The clean rounds; all of them where none is clean, which the report then says.
fn counted(rounds: &[Round]) -> Vec<&Round> {
    let clean: Vec<&Round> = rounds.iter().filter(|round| !round.polluted).collect();
    if clean.is_empty() { rounds.iter().collect() } else { clean }
}

/// The index of the target that was named; else of the cheapest peer by `cost`; of the cheapest target where no peer was
/// measured.
fn reference<'a>(
    targets: impl Iterator<Item = (&'a str, bool)> + Clone,
    cost: impl Fn(usize) -> f64,
    named: Option<&str>,
) -> usize {
    let any_peer = targets.clone().any(|(_, is_peer)| is_peer);
    let is_named = |target: &str| named == Some(target);
    let any_named = targets.clone().any(|(target, _)| is_named(target));
    targets
        .enumerate()
        .filter(|&(_, (target, is_peer))| if any_named { is_named(target) } else { is_peer || !any_peer })
        .map(|(index, _)| index)
        .min_by(|&left, &right| cost(left).total_cmp(&cost(right)))
        .expect("a round has a sample for each target, and there is at least one")
}

/// Letters of the column of names.
fn name_width<'a>(names: impl Iterator<Item = &'a str>) -> usize {
    names.map(str::len).fold(NAME_LETTERS_MIN, usize::max)
}

/// A latency in µs; a dash where the load tells none.
pub(crate) fn latency_text(latency: Spread) -> String {
    if latency.median > 0.0 { format!("{:.0}", latency.median) } else { "–".to_owned() }
}

fn spread_text(spread: Spread) -> String {
    format!("{:.2} ({:.2}-{:.2})", spread.median, spread.min, spread.max)
}

#[cfg(test)]
pub(crate) mod tests;
