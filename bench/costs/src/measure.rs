//! The windows: a shard of its own for each scenario, warmed up, then counted.

use std::{
    fs,
    net::SocketAddr,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use bench_common::{body::Body, interrupt::Interrupt, wrk::Wrk};

use crate::{
    arguments::Arguments,
    heap::Heap,
    holder::Holder,
    memory::Memory,
    records::Drain,
    report::{IdleCosts, Measured, RequestCosts},
    scenario::{RequestKind, Requests, Scenario, Work},
    shard::Shard,
    tally::Tally,
};

/// How often a state that nothing announces is looked at again.
const POLL_INTERVAL: Duration = Duration::from_millis(10);

/// How long the load goes on after the window, so that its end is not counted.
const RUN_OUT_SECONDS: u32 = 1;

/// How long the shard may take to notice that its clients are gone.
const QUIET_TIMEOUT: Duration = Duration::from_secs(5);

/// Connections that warm the shard up before idle ones are counted.
const WARM_UP_CONNECTIONS: u32 = 64;

/// What all scenarios of a run have in common.
pub(crate) struct Bench<'a> {
    pub(crate) arguments: &'a Arguments,
    pub(crate) wrk: &'a Path,
    pub(crate) directory: &'a Path,
    pub(crate) upstream: SocketAddr,
    pub(crate) interrupt: &'a Interrupt,
}

impl Bench<'_> {
    /// Starts a shard, measures it under one scenario, and ends it.
    pub(crate) fn run(&self, scenario: Scenario) -> anyhow::Result<Measured> {
        match scenario.work {
            Work::Requests(requests) => self.requests(scenario, requests).map(Measured::Requests),
            Work::Idle => self.idle(scenario).map(Measured::Idle),
        }
        .with_context(|| format!("under {scenario}"))
    }

    fn requests(&self, scenario: Scenario, requests: Requests) -> anyhow::Result<RequestCosts> {
        let Arguments { seconds, warm_up_seconds, .. } = *self.arguments;
        // Declared first, to end last: the shard's end needs somebody who takes its records.
        let (recorder, _drain) = requests.logged.then(Drain::start).transpose()?.unzip();
        let shard = self.start_shard(scenario, recorder)?;
        let path = requests.kind.path();
        let script = requests.kind.script().map(|text| {
            let file = self.directory.join(format!("{scenario}.lua"));
            fs::write(&file, text).map(|()| file).context("cannot write the script of wrk")
        });
        let script = script.transpose()?;
        let wrk = Wrk { path: &path, script: script.as_deref(), ..self.wrk(&shard, scenario.connections) };
        let load = wrk.start(warm_up_seconds + seconds + RUN_OUT_SECONDS)?;
        self.pass(warm_up_seconds)?;

        // From here to the end of the window this thread does not allocate.
        let start = Tally::take(&shard.counters);
        self.pass(seconds)?;
        let window = Tally::take(&shard.counters).since(start);

        load.finish(self.interrupt)?;
        shard.stop()?;
        ensure!(window.requests > 0, "no request ended in the window");
        ensure!(window.failed == 0, "{} of {} exchanges failed", window.failed, window.requests);
        ensure!(window.records_dropped == 0, "{} access records were dropped", window.records_dropped);
        Ok(RequestCosts { scenario, seconds, window })
    }

    fn idle(&self, scenario: Scenario) -> anyhow::Result<IdleCosts> {
        let connections = scenario.connections;
        let shard = self.start_shard(scenario, None)?;
        let path = RequestKind::Download(Body::SMALL).path();
        let wrk = Wrk { path: &path, ..self.wrk(&shard, WARM_UP_CONNECTIONS) };
        wrk.run(self.arguments.warm_up_seconds, self.interrupt)?;
        self.wait_until_open(&shard, 0)?;

        let (memory, heap) = (Memory::now()?, Heap::now());
        let holder = Holder::start(shard.address, connections, self.arguments.load_core)?;
        self.wait_until_open(&shard, connections)?;
        let (memory_then, heap_then) = (Memory::now()?, Heap::now());

        drop(holder);
        shard.stop()?;
        let per_connection = |now: u64, then: u64| (then as f64 - now as f64) / f64::from(connections);
        Ok(IdleCosts {
            scenario,
            anonymous_bytes: per_connection(memory.anonymous_bytes, memory_then.anonymous_bytes),
            private_dirty_bytes: per_connection(memory.private_dirty_bytes, memory_then.private_dirty_bytes),
            heap_bytes: per_connection(heap.bytes_live, heap_then.bytes_live),
        })
    }

    fn start_shard(&self, scenario: Scenario, outlet: Option<engine::Outlet>) -> anyhow::Result<Shard> {
        let edited = matches!(scenario.work, Work::Requests(Requests { edited: true, .. }));
        Shard::start(self.upstream, scenario.connections, edited, outlet, self.arguments.shard_core)
    }

    fn wrk(&self, shard: &Shard, connections: u32) -> Wrk<'_> {
        let core = self.arguments.load_core;
        Wrk {
            program: self.wrk,
            directory: self.directory,
            core,
            address: shard.address,
            path: "/",
            tls: false,
            script: None,
            connections,
        }
    }

    /// Lets time pass; does not allocate.
    fn pass(&self, seconds: u32) -> anyhow::Result<()> {
        let end = Instant::now() + Duration::from_secs(seconds.into());
        while let Some(left) = end.checked_duration_since(Instant::now()) {
            self.interrupt.check()?;
            thread::sleep(left.min(10 * POLL_INTERVAL));
        }
        Ok(())
    }

    /// Waits until the shard has as many client connections as are meant.
    fn wait_until_open(&self, shard: &Shard, connections: u32) -> anyhow::Result<()> {
        let deadline = Instant::now() + QUIET_TIMEOUT;
        loop {
            let open = shard.counters.connections_open.value();
            if open == u64::from(connections) {
                return Ok(());
            }
            ensure!(Instant::now() < deadline, "{open} connections are open, and not {connections}");
            self.interrupt.check()?;
            thread::sleep(POLL_INTERVAL);
        }
    }
}
