//! What a scenario has around the proxy: a server behind it, and a load before it.

use std::{fs, net::SocketAddr, path::Path};

use anyhow::{Context, bail};
use bench_common::{
    body::Body,
    interrupt::Interrupt,
    process::Process,
    upstream::Upstream,
    wrk::{Load, Wrk},
};
use nix::unistd::Pid;

use crate::{
    batching::BatchingServer,
    generator::{Generator, IdleCost},
    programs::Programs,
    scenario::{Pace, Scenario, Work},
    targets::{Running, Target},
    websocket::{self, EchoServer},
};

/// What all scenarios of a run have in common. Upstream and load share a core.
#[derive(Debug)]
pub struct Stage<'a> {
    programs: &'a Programs,
    directory: &'a Path,
    load_core: usize,
    interrupt: &'a Interrupt,
    upstream: Upstream,
}

/// The server behind the proxies of one scenario. It runs as long as this is kept.
#[derive(Debug)]
pub struct Behind {
    /// Where it listens.
    pub address: SocketAddr,
    /// Its process.
    pub pid: Pid,
    _process: Option<Process>,
}

impl<'a> Stage<'a> {
    /// Starts the upstream; everything that is written goes to `directory`.
    ///
    /// # Errors
    /// Fails when it does not serve.
    pub fn start(
        programs: &'a Programs,
        directory: &'a Path,
        load_core: usize,
        interrupt: &'a Interrupt,
    ) -> anyhow::Result<Self> {
        let upstream = Upstream::start(&programs.nginx, directory, load_core, interrupt)?;
        Ok(Self { programs, directory, load_core, interrupt, upstream })
    }

    /// The server that `scenario` takes.
    ///
    /// # Errors
    /// Fails when it does not serve what the scenario asks for.
    pub fn behind(&self, scenario: Scenario) -> anyhow::Result<Behind> {
        match scenario.work {
            Work::Echo(_) => {
                let server = EchoServer::start(self.directory, self.load_core, self.interrupt)?;
                Ok(Behind { address: server.address, pid: server.process.pid(), _process: Some(server.process) })
            }
            Work::Batched | Work::PipelinedBatched(_) => {
                let server = BatchingServer::start(self.directory, self.load_core, self.interrupt)?;
                Ok(Behind { address: server.address, pid: server.process.pid(), _process: Some(server.process) })
            }
            Work::Download(body) => {
                self.upstream.offer(body)?;
                Ok(self.usual())
            }
            Work::Upload(_) | Work::Connect | Work::Handshake(_) | Work::Pipelined(_) | Work::Open(_) | Work::Idle => {
                Ok(self.usual())
            }
        }
    }

    fn usual(&self) -> Behind {
        Behind { address: self.upstream.address, pid: self.upstream.process.pid(), _process: None }
    }

    /// Starts a proxy on `core`, and sees it serve the scenario.
    ///
    /// # Errors
    /// Fails, with what it wrote, when it does not.
    pub fn proxy(&self, target: &Target, behind: &Behind, scenario: Scenario, core: usize) -> anyhow::Result<Running> {
        self.proxy_of(self.programs, target, behind, scenario, core)
    }

    /// As [`Stage::proxy`], of other programs than the upstream and the load are.
    ///
    /// # Errors
    /// Fails, with what it wrote, when it does not serve.
    pub fn proxy_of(
        &self,
        programs: &Programs,
        target: &Target,
        behind: &Behind,
        scenario: Scenario,
        core: usize,
    ) -> anyhow::Result<Running> {
        target.start(programs, behind.address, scenario, self.directory, core, self.interrupt)
    }

    /// Loads a proxy for `seconds`.
    ///
    /// # Errors
    /// Fails when the load meets an error, or no answer.
    pub fn load(&self, proxy: &Running, scenario: Scenario, seconds: u32) -> anyhow::Result<Load> {
        match scenario.work {
            Work::Echo(_) => {
                websocket::load(scenario, proxy.address, seconds, self.load_core, self.directory, self.interrupt)
            }
            Work::Connect => self.generator(proxy, scenario)?.connection_per_request(seconds),
            Work::Handshake(kind) => self.generator(proxy, scenario)?.handshake_per_request(kind, seconds),
            Work::Open(Pace::PerSecond(rate)) => self.generator(proxy, scenario)?.by_the_clock(rate, seconds),
            Work::Open(Pace::HalfLoad) => bail!("half of the load is not known yet: see Stage::settle"),
            Work::Idle => bail!("idle connections are no load: see Stage::hold_idle"),
            Work::Download(body) if scenario.streams.is_some() => {
                self.generator(proxy, scenario)?.as_answered(body.length_bytes(), None, seconds)
            }
            Work::Batched if scenario.streams.is_some() => {
                self.generator(proxy, scenario)?.as_answered(Body::SMALL.length_bytes(), None, seconds)
            }
            Work::Upload(body) if scenario.streams.is_some() => {
                let answer_bytes = Body::SMALL.length_bytes();
                self.generator(proxy, scenario)?.as_answered(answer_bytes, Some(body.length_bytes()), seconds)
            }
            Work::Download(_) | Work::Batched | Work::Upload(_) | Work::Pipelined(_) | Work::PipelinedBatched(_) => {
                self.wrk(proxy, scenario, seconds)
            }
        }
    }

    /// Finds out which pace half of the load is, where a scenario asks for that: half of what `first` answers over as many
    /// connections within `seconds`, in whole thousands.
    ///
    /// # Errors
    /// Fails when it does not answer.
    pub fn settle(&self, scenario: Scenario, first: &Running, seconds: u32) -> anyhow::Result<Scenario> {
        if scenario.work != Work::Open(Pace::HalfLoad) {
            return Ok(scenario);
        }
        let closed = Scenario { work: Work::Download(Body::SMALL), ..scenario };
        let full = self.load(first, closed, seconds)?.requests_per_second;
        // Whole thousands, so that figures of several runs stand side by side.
        let per_second = (full / 2000.0).round().max(1.0) as u32 * 1000;
        Ok(Scenario { work: Work::Open(Pace::PerSecond(per_second)), ..scenario })
    }

    /// Opens a scenario's connections to a proxy, holds them, and tells what they cost.
    ///
    /// # Errors
    /// Fails when one of them fails.
    pub fn hold_idle(&self, proxy: &Running, scenario: Scenario) -> anyhow::Result<IdleCost> {
        self.generator(proxy, scenario)?.hold_idle(proxy.process.pid())
    }

    fn generator(&self, proxy: &Running, scenario: Scenario) -> anyhow::Result<Generator<'_>> {
        Ok(Generator {
            program: self.programs.loadgen()?,
            directory: self.directory,
            core: self.load_core,
            address: proxy.address,
            path: scenario.path(),
            connections: scenario.connections,
            tls: scenario.tls,
            streams: scenario.streams,
            interrupt: self.interrupt,
        })
    }

    fn wrk(&self, proxy: &Running, scenario: Scenario, seconds: u32) -> anyhow::Result<Load> {
        let script = scenario.script().map(|text| {
            let file = self.directory.join(format!("{scenario}.lua"));
            fs::write(&file, text).map(|()| file).context("cannot write the script of wrk")
        });
        let script = script.transpose()?;
        let wrk = Wrk {
            program: &self.programs.wrk,
            directory: self.directory,
            core: self.load_core,
            address: proxy.address,
            path: &scenario.path(),
            script: script.as_deref(),
            tls: scenario.tls,
            connections: scenario.connections,
        };
        wrk.run(seconds, self.interrupt)
    }
}
