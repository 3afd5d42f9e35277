//! What is measured: Ringway, its peers, and the bare proxies, each set for the same work.
//!
//! Every target gets one worker, keep-alive on both sides, no access log, and the core that its process is started on.
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
pub(crate) enum Target {
    Ringway,
    /// Ringway on its second backend.
    RingwayEpoll,
    /// Ringway that splices bodies from this size on.
    RingwaySplice(Body),
    Nginx,
    Haproxy,
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
pub(crate) struct Running {
    pub(crate) target: Target,
    pub(crate) process: Process,
    pub(crate) address: SocketAddr,
}

impl Target {
    /// Whether it is one of the programs that Ringway is held against.
    pub(crate) fn is_peer(&self) -> bool {
        matches!(self, Self::Nginx | Self::Haproxy)
    }

    /// Whether it is Ringway, on whichever backend.
    pub(crate) fn is_ringway(&self) -> bool {
        matches!(self, Self::Ringway | Self::RingwayEpoll | Self::RingwaySplice(_))
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
        match self {
            Self::Ringway => ringway::launch(programs.ringway()?, site, "io_uring", None),
            Self::RingwayEpoll => ringway::launch(programs.ringway()?, site, "epoll", None),
            Self::RingwaySplice(size) => ringway::launch(programs.ringway()?, site, "io_uring", Some(*size)),
            Self::Nginx => nginx::launch(&programs.nginx, site),
            Self::Haproxy => haproxy::launch(programs.haproxy()?, site),
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
            Self::Nginx => formatter.write_str("nginx"),
            Self::Haproxy => formatter.write_str("haproxy"),
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
            "nginx" => Ok(Self::Nginx),
            "haproxy" => Ok(Self::Haproxy),
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
        for text in ["ringway", "ringway-epoll", "ringway-splice-16k", "nginx", "haproxy", "bare-epoll"] {
            assert_eq!(text.parse::<Target>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_is_no_target_is_refused() {
        for text in ["", "apache", "ringway-splice-", "ringway-splice-small", "bare", "bare-", "bare-../x", "Nginx"] {
            assert!(text.parse::<Target>().is_err(), "{text}");
        }
    }
}
