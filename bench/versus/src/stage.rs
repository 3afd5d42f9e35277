//! What a scenario has around the proxy: a server behind it, and a load before it.

use std::{fs, net::SocketAddr, path::Path};

use anyhow::Context;
use bench_common::{
    interrupt::Interrupt,
    upstream::Upstream,
    wrk::{Load, Wrk},
};
use nix::unistd::Pid;

use crate::{
    programs::Programs,
    scenario::{Scenario, Work},
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
    _echo: Option<EchoServer>,
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
                Ok(Behind { address: server.address, pid: server.process.pid(), _echo: Some(server) })
            }
            Work::Download(body) => {
                self.upstream.offer(body)?;
                Ok(self.usual())
            }
            Work::Upload(_) => Ok(self.usual()),
        }
    }

    fn usual(&self) -> Behind {
        Behind { address: self.upstream.address, pid: self.upstream.process.pid(), _echo: None }
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
        if let Work::Echo(_) = scenario.work {
            return websocket::load(scenario, proxy.address, seconds, self.load_core, self.directory, self.interrupt);
        }
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
            connections: scenario.connections,
        };
        wrk.run(seconds, self.interrupt)
    }
}
