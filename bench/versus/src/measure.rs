//! The rounds: every target in turn, each in a window of its own.

use std::time::{Duration, Instant};

use anyhow::Context;
use bench_common::{
    cpu::{self, MachineTime, TreeTime},
    wrk::Load,
};
use bench_versus::{scenario::Scenario, stage::Stage, targets::Running};
use nix::unistd::Pid;
use serde::Serialize;

use crate::arguments::Arguments;

/// How much CPU time others may use while a target is measured, in percent of the window, before its round is polluted.
const FOREIGN_PERCENT_MAX: f64 = 5.0;

/// What all scenarios of a run have in common.
pub(crate) struct Bench<'a> {
    pub(crate) arguments: &'a Arguments,
    pub(crate) stage: Stage<'a>,
}

/// Every target, measured once, in the order of the command line.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Round {
    /// Somebody else used the machine meanwhile; the round was repeated, as far as the bound allowed.
    pub(crate) polluted: bool,
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
    pub(crate) latency_p50_us: f64,
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
    pub(crate) fn run(&self, scenario: Scenario) -> anyhow::Result<Vec<Round>> {
        let Arguments { targets, rounds: rounds_wanted, proxy_core, .. } = self.arguments;
        let behind = self.stage.behind(scenario)?;
        let proxies = targets
            .iter()
            .map(|target| self.stage.proxy(target, &behind, scenario, *proxy_core))
            .collect::<anyhow::Result<Vec<_>>>()?;

        let mut rounds: Vec<Round> = Vec::new();
        let mut clean: u32 = 0;
        while clean < *rounds_wanted && rounds.len() < 2 * *rounds_wanted as usize {
            eprint!("{scenario} round {}:", rounds.len() + 1);
            let mut samples = Vec::with_capacity(proxies.len());
            for proxy in &proxies {
                let sample = self.measure(proxy, scenario, behind.pid);
                let sample = sample.with_context(|| format!("{} under {scenario}", proxy.target))?;
                eprint!("  {} {:.2} µs", sample.target, sample.proxy_us_per_request);
                samples.push(sample);
            }
            let foreign = samples.iter().map(|sample| sample.foreign_percent).fold(0.0, f64::max);
            let polluted = foreign > FOREIGN_PERCENT_MAX;
            eprintln!("{}", if polluted { format!("  polluted: others used {foreign:.0} %") } else { String::new() });
            clean += u32::from(!polluted);
            rounds.push(Round { polluted, samples });
        }
        Ok(rounds)
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
            proxy_core_percent: percent(machine.core(self.arguments.proxy_core)),
            load_core_percent: percent(machine.core(self.arguments.load_core)),
            foreign_percent: percent(foreign),
        }
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
