//! The rounds: every target in turn, each in a window of its own.

use std::time::{Duration, Instant};

use anyhow::Context;
use bench_common::{
    cpu::{self, MachineTime, TreeTime},
    wrk::Load,
};
use bench_versus::{
    scenario::{Pace, Scenario, Work},
    stage::Stage,
    targets::Running,
};
use nix::unistd::Pid;
use serde::Serialize;

use crate::{arguments::Arguments, progress::Progress};

/// How much CPU time others may use while a target is measured, in percent of the window, before its round is polluted.
const FOREIGN_PERCENT_MAX: f64 = 5.0;

/// How busy the load's core may be, in percent, before requests that come by the clock come late. In a closed loop it may be full: the
/// load then waits, and what a request costs the proxy is the same.
const LOAD_CORE_PERCENT_MAX: f64 = 95.0;

/// What all scenarios of a run have in common.
pub(crate) struct Bench<'a> {
    pub(crate) arguments: &'a Arguments,
    pub(crate) stage: Stage<'a>,
}

/// The rounds of a scenario.
#[derive(Debug)]
pub(crate) struct Measured {
    /// How many requests became due in a second, where they came by the clock.
    pub(crate) per_second: Option<u32>,
    /// Polluted ones included.
    pub(crate) rounds: Vec<Round>,
}

/// Every target, measured once, in the order of the command line.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Round {
    /// Something but the targets made the figures; the round was repeated, as far as the bound allowed.
    pub(crate) polluted: bool,
    /// What it was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) pollution: Option<String>,
    pub(crate) samples: Vec<Sample>,
}

/// One target in one window.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Sample {
    pub(crate) target: String,
    pub(crate) peer: bool,
    pub(crate) requests: u64,
    /// CPU time, user and kernel, of all processes of the proxy.
    pub(crate) proxy_us_per_request: f64,
    pub(crate) upstream_us_per_request: f64,
    pub(crate) load_us_per_request: f64,
    pub(crate) requests_per_second: f64,
    /// Zero where the load does not tell: wrk's correction of its percentiles takes each answer of a pipeline for a turn of its
    /// own, and what it prints then is nothing.
    pub(crate) latency_p50_us: f64,
    /// Likewise.
    pub(crate) latency_p99_us: f64,
    /// How busy the cores were, in percent of the window.
    pub(crate) proxy_core_percent: f64,
    pub(crate) load_core_percent: f64,
    /// CPU time on any core that was spent by neither proxy, upstream, load generator nor this program.
    pub(crate) foreign_percent: f64,
}

impl Sample {
    /// What a request cost both cores.
    pub(crate) fn total_us_per_request(&self) -> f64 {
        self.proxy_us_per_request + self.upstream_us_per_request + self.load_us_per_request
    }
}

impl Bench<'_> {
    /// Starts every target and takes the rounds of one scenario, polluted ones included.
    pub(crate) fn run(&self, scenario: Scenario, progress: &mut Progress) -> anyhow::Result<Measured> {
        let Arguments { targets, rounds: rounds_wanted, stage, .. } = self.arguments;
        let name = scenario.to_string();
        let behind = self.stage.behind(scenario)?;
        let proxies = targets
            .iter()
            .map(|target| self.stage.proxy(target, &behind, scenario, stage.proxy_core))
            .collect::<anyhow::Result<Vec<_>>>()?;

        let first = &proxies[0];
        let scenario = self.stage.settle(scenario, first, self.arguments.warm_up_seconds)?;
        let per_second = match scenario.work {
            Work::Open(Pace::PerSecond(rate)) => Some(rate),
            _ => None,
        };
        let mut rounds: Vec<Round> = Vec::new();
        let mut clean: u32 = 0;
        while clean < *rounds_wanted && rounds.len() < 2 * *rounds_wanted as usize {
            let number = rounds.len() + 1;
            let mut line = format!("{name} round {number}:");
            let mut samples = Vec::with_capacity(proxies.len());
            for proxy in &proxies {
                progress.window(&name, number, *rounds_wanted, &proxy.target.to_string());
                let sample = self.measure(proxy, scenario, behind.pid);
                let sample = sample.with_context(|| format!("{} under {scenario}", proxy.target))?;
                line.push_str(&format!("  {} {:.2} µs", sample.target, sample.proxy_us_per_request));
                samples.push(sample);
            }
            let pollution = pollution(&samples, per_second.is_some());
            match &pollution {
                Some(what) => {
                    line.push_str(&format!("  polluted: {what}"));
                    progress.add(proxies.len());
                }
                None => clean += 1,
            }
            progress.round(&line);
            rounds.push(Round { polluted: pollution.is_some(), pollution, samples });
        }
        Ok(Measured { per_second, rounds })
    }

    /// Warms one proxy up and measures it. The measured window has its own connections: opening and closing them is
    /// within it, which is a few thousandths of its requests, and the same for every target.
    fn measure(&self, proxy: &Running, scenario: Scenario, upstream: Pid) -> anyhow::Result<Sample> {
        let Arguments { seconds, warm_up_seconds, .. } = *self.arguments;
        self.stage.load(proxy, scenario, warm_up_seconds)?;
        let start = Snapshot::take(proxy.process.pid(), upstream)?;
        let load = self.stage.load(proxy, scenario, seconds)?;
        let end = Snapshot::take(proxy.process.pid(), upstream)?;
        Ok(self.sample(proxy, load, start, end))
    }

    fn sample(&self, proxy: &Running, load: Load, start: Snapshot, end: Snapshot) -> Sample {
        let window = end.at.duration_since(start.at);
        let proxy_time = end.proxy.since(start.proxy);
        let upstream_time = end.upstream.since(start.upstream);
        let load_time = end.ended_children.saturating_sub(start.ended_children);
        let own_time = end.own.saturating_sub(start.own);
        let machine = end.machine - start.machine;
        let foreign = machine.total().saturating_sub(proxy_time + upstream_time + load_time + own_time);
        let per_request = |time: Duration| time.as_secs_f64() * 1e6 / load.requests as f64;
        let percent = |time: Duration| 100.0 * time.as_secs_f64() / window.as_secs_f64();
        Sample {
            target: proxy.target.to_string(),
            peer: proxy.target.is_peer(),
            requests: load.requests,
            proxy_us_per_request: per_request(proxy_time),
            upstream_us_per_request: per_request(upstream_time),
            load_us_per_request: per_request(load_time),
            requests_per_second: load.requests_per_second,
            latency_p50_us: load.latency_p50_us,
            latency_p99_us: load.latency_p99_us,
            proxy_core_percent: percent(machine.core(self.arguments.stage.proxy_core)),
            load_core_percent: percent(machine.core(self.arguments.stage.load_core)),
            foreign_percent: percent(foreign),
        }
    }
}

/// What spoils a round, if anything does.
fn pollution(samples: &[Sample], by_the_clock: bool) -> Option<String> {
    let greatest = |value: fn(&Sample) -> f64| samples.iter().map(value).fold(0.0, f64::max);
    let (foreign, load) = (greatest(|sample| sample.foreign_percent), greatest(|sample| sample.load_core_percent));
    if foreign > FOREIGN_PERCENT_MAX {
        Some(format!("others used {foreign:.0} %"))
    } else if by_the_clock && load > LOAD_CORE_PERCENT_MAX {
        Some(format!("the load's core was {load:.0} % busy, and the load late"))
    } else {
        None
    }
}

/// All clocks at one end of a window.
struct Snapshot {
    at: Instant,
    proxy: TreeTime,
    upstream: TreeTime,
    /// The load generator counts here once its run has ended.
    ended_children: Duration,
    own: Duration,
    machine: MachineTime,
}

impl Snapshot {
    fn take(proxy: Pid, upstream: Pid) -> anyhow::Result<Self> {
        Ok(Self {
            at: Instant::now(),
            proxy: TreeTime::of(proxy)?,
            upstream: TreeTime::of(upstream)?,
            ended_children: cpu::ended_children_time()?,
            own: cpu::own_time()?,
            machine: MachineTime::now()?,
        })
    }
}

/// A sample for tests.
#[cfg(test)]
pub(crate) fn example(target: &str) -> Sample {
    Sample {
        target: target.into(),
        peer: true,
        requests: 100,
        proxy_us_per_request: 10.0,
        upstream_us_per_request: 3.0,
        load_us_per_request: 2.0,
        requests_per_second: 50_000.0,
        latency_p50_us: 600.0,
        latency_p99_us: 900.0,
        proxy_core_percent: 60.0,
        load_core_percent: 100.0,
        foreign_percent: 0.5,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_core_spoils_only_what_comes_by_the_clock() {
        let sample =
            |foreign_percent, load_core_percent| Sample { foreign_percent, load_core_percent, ..example("nginx") };
        let full = [sample(0.0, 50.0), sample(0.0, 99.0)];
        assert_eq!(pollution(&full, false), None);
        assert!(pollution(&full, true).unwrap().contains("99 % busy"));
        assert_eq!(pollution(&[sample(4.0, 90.0)], true), None);
        assert!(pollution(&[sample(0.0, 9.0), sample(6.0, 9.0)], false).unwrap().contains("others used 6 %"));
    }
}
