//! Connections that say nothing: what memory each costs.
//!
//! A proxy keeps what it once allocated, so each round has proxies of its own. It is warmed up first, so that what all
//! connections share is not counted, then the connections are opened with one request on each and held.

use anyhow::Context;
use bench_common::body::Body;
use bench_versus::{
    generator::IdleCost,
    scenario::{Scenario, Work},
};
use serde::Serialize;

use crate::{measure::Bench, progress::Progress};

/// Connections that warm a proxy up: as many as take a request at once when the others are opened one after the other, and more.
const WARM_UP_CONNECTIONS: u32 = 64;

/// Every target once, in the order of the command line.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct IdleRound {
    pub(crate) samples: Vec<IdleSample>,
}

/// One target's connections.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct IdleSample {
    pub(crate) target: String,
    pub(crate) peer: bool,
    #[serde(flatten)]
    pub(crate) cost: IdleCost,
}

/// Takes the rounds of one scenario. Memory is nobody else's, so that no round is polluted.
pub(crate) fn run(bench: &Bench<'_>, scenario: Scenario, progress: &mut Progress) -> anyhow::Result<Vec<IdleRound>> {
    let rounds = bench.arguments.rounds;
    let behind = bench.stage.behind(scenario)?;
    let warm_up = Scenario {
        work: Work::Download(Body::SMALL),
        connections: WARM_UP_CONNECTIONS,
        tls: scenario.tls,
        streams: None,
    };
    let name = scenario.to_string();
    (1..=rounds)
        .map(|round| {
            let mut line = format!("{name} round {round}:");
            let mut samples = Vec::new();
            for target in &bench.arguments.targets {
                progress.window(&name, round as usize, rounds, &target.to_string());
                let measured = || {
                    let proxy = bench.stage.proxy(target, &behind, scenario, bench.arguments.stage.proxy_core)?;
                    bench.stage.load(&proxy, warm_up, bench.arguments.warm_up_seconds)?;
                    bench.stage.hold_idle(&proxy, scenario)
                };
                let cost = measured().with_context(|| format!("{target} under {scenario}"))?;
                line.push_str(&format!("  {target} {:.0} B", cost.user_bytes));
                samples.push(IdleSample { target: target.to_string(), peer: target.is_peer(), cost });
            }
            progress.round(&line);
            Ok(IdleRound { samples })
        })
        .collect()
}
