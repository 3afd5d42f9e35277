//! What is measured: Ringway, its peers, and the bare proxies, each set for the same work.
//!
//! Every target gets one worker, keep-alive on both sides, no access log unless its name says so, and the core that its process
//! is started on.
//! One file per target holds its settings and why they are fair.

mod bare;
mod haproxy;
mod nginx;
mod ringway;

use std::{fmt, fs, net::SocketAddr, path::Path, process::Command, str::FromStr};

use anyhow::{Context, ensure};
use bench_common::{
    body::Body,
    fetch,
    interrupt::Interrupt,
    process::{self, Process},
};

use crate::{
    programs::Programs,
    scenario::{Scenario, Work},
    websocket,
};

/// How the name of a target begins that is Ringway with another threshold for splicing.
const SPLICE_PREFIX: &str = "ringway-splice-";

/// A proxy under test.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// Ringway as it comes.
    Ringway,
    /// Ringway on its second backend.
    RingwayEpoll,
    /// Ringway that splices bodies from this size on.
    RingwaySplice(Body),
    /// Ringway as it is run every day: access log, metrics, an edit of a header, and the admin socket.
    RingwayDaily,
    /// nginx.
    Nginx,
    /// nginx with its access log.
    NginxLogged,
    /// HAProxy.
    Haproxy,
    /// HAProxy with its access log.
    HaproxyLogged,
    /// A proxy of `bench/runtimes`, by the name that its command line knows.
    Bare(String),
}

/// Where a target stands: between whom, for which scenario, with which folder to write to.
pub(crate) struct Site<'a> {
    pub(crate) listen: SocketAddr,
    pub(crate) upstream: SocketAddr,
    pub(crate) scenario: Scenario,
    pub(crate) directory: &'a Path,
}

/// A target that runs and was seen to serve its scenario.
#[derive(Debug)]
pub struct Running {
    /// What it is.
    pub target: Target,
    /// Its process.
    pub process: Process,
    /// Where it listens.
    pub address: SocketAddr,
}

impl Target {
    /// Whether it is one of the programs that Ringway is held against.
    #[must_use]
    pub fn is_peer(&self) -> bool {
        matches!(self, Self::Nginx | Self::NginxLogged | Self::Haproxy | Self::HaproxyLogged)
    }

    /// Whether it is Ringway, on whichever backend.
    #[must_use]
    pub fn is_ringway(&self) -> bool {
        matches!(self, Self::Ringway | Self::RingwayEpoll | Self::RingwaySplice(_) | Self::RingwayDaily)
    }

    /// Starts it on `core` in front of `upstream`, and checks that it serves the scenario's body.
    pub(crate) fn start(
        &self,
        programs: &Programs,
        upstream: SocketAddr,
        scenario: Scenario,
        directory: &Path,
        core: usize,
        interrupt: &Interrupt,
    ) -> anyhow::Result<Running> {
        let address = process::free_address()?;
        let name = self.to_string();
        let directory = &directory.join("targets").join(scenario.to_string()).join(&name);
        fs::create_dir_all(directory).context("cannot create a target's folder")?;
        let site = Site { listen: address, upstream, scenario, directory };
        let launch = self.launch(programs, &site)?;
        let mut process = Process::start(&name, launch, core, directory)?;
        process.wait_until_listening(address, interrupt)?;
        let served = match scenario.work {
            Work::Download(body) => fetch::check(address, body),
            Work::Upload(_) => fetch::check(address, Body::SMALL),
            Work::Echo(message_bytes) => websocket::load::check(address, message_bytes),
        };
        served.with_context(|| format!("{name} does not serve {scenario}:\n{}", process.output()))?;
        Ok(Running { target: self.clone(), process, address })
    }

    fn launch(&self, programs: &Programs, site: &Site<'_>) -> anyhow::Result<Command> {
        let ringway = |settings: ringway::Settings| ringway::launch(programs.ringway()?, site, &settings);
        match self {
            Self::Ringway => ringway(ringway::Settings::default()),
            Self::RingwayEpoll => ringway(ringway::Settings { io: "epoll", ..Default::default() }),
            Self::RingwaySplice(size) => ringway(ringway::Settings { splice_min: Some(*size), ..Default::default() }),
            Self::RingwayDaily => ringway(ringway::Settings { daily: true, ..Default::default() }),
            Self::Nginx => nginx::launch(&programs.nginx, site, false),
            Self::NginxLogged => nginx::launch(&programs.nginx, site, true),
            Self::Haproxy => haproxy::launch(programs.haproxy()?, site, false),
            Self::HaproxyLogged => haproxy::launch(programs.haproxy()?, site, true),
            Self::Bare(runtime) => Ok(bare::launch(programs.runtimes()?, runtime, site)),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ringway => formatter.write_str("ringway"),
            Self::RingwayEpoll => formatter.write_str("ringway-epoll"),
            Self::RingwaySplice(size) => write!(formatter, "{SPLICE_PREFIX}{}", size.name()),
            Self::RingwayDaily => formatter.write_str("ringway-daily"),
            Self::Nginx => formatter.write_str("nginx"),
            Self::NginxLogged => formatter.write_str("nginx-logged"),
            Self::Haproxy => formatter.write_str("haproxy"),
            Self::HaproxyLogged => formatter.write_str("haproxy-logged"),
            Self::Bare(runtime) => write!(formatter, "bare-{runtime}"),
        }
    }
}

impl FromStr for Target {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Self> {
        match text {
            "ringway" => Ok(Self::Ringway),
            "ringway-epoll" => Ok(Self::RingwayEpoll),
            "ringway-daily" => Ok(Self::RingwayDaily),
            "nginx" => Ok(Self::Nginx),
            "nginx-logged" => Ok(Self::NginxLogged),
            "haproxy" => Ok(Self::Haproxy),
            "haproxy-logged" => Ok(Self::HaproxyLogged),
            _ if text.starts_with(SPLICE_PREFIX) => {
                let size = Body::by_name(&text[SPLICE_PREFIX.len()..]).filter(|size| size.is_large());
                Ok(Self::RingwaySplice(size.context("expected a size, such as ringway-splice-16k")?))
            }
            _ => {
                // Which runtimes there are is for bench/runtimes to say; it depends on the features it was built with.
                let runtime = text
                    .strip_prefix("bare-")
                    .context("expected ringway, ringway-epoll, nginx, haproxy or bare-RUNTIME")?;
                let is_name = !runtime.is_empty() && runtime.bytes().all(|byte| byte.is_ascii_lowercase());
                ensure!(is_name, "expected bare- and the name of a runtime, such as bare-epoll");
                Ok(Self::Bare(runtime.to_owned()))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_reads_as_it_prints() {
        let daily = ["ringway-daily", "nginx-logged", "haproxy-logged"];
        for text in
            ["ringway", "ringway-epoll", "ringway-splice-16k", "nginx", "haproxy", "bare-epoll"].iter().chain(&daily)
        {
            assert_eq!(text.parse::<Target>().unwrap().to_string(), *text);
        }
    }

    #[test]
    fn what_is_no_target_is_refused() {
        for text in ["", "apache", "ringway-splice-", "ringway-splice-small", "bare", "bare-", "bare-../x", "Nginx"] {
            assert!(text.parse::<Target>().is_err(), "{text}");
        }
    }
}
