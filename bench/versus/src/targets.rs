//! What is measured: Ringway, its peers, and the bare proxies, each set for the same work.
//!
//! Every target gets one worker, keep-alive on both sides, no access log unless its name says so, and the core that its process
//! is started on.
//! One file per target holds its settings and why they are fair.

mod bare;
mod caddy;
mod envoy;
mod h2o;
mod haproxy;
mod nginx;
mod pingora;
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
    certificate::Certificate,
    programs::Programs,
    scenario::{Scenario, Work},
    served, websocket,
};

/// How the name of a target begins that is Ringway with another threshold for splicing.
const SPLICE_PREFIX: &str = "ringway-splice-";
/// How the name of a target begins that is Ringway with more shards, all of them on the proxy's core.
const SHARDS_PREFIX: &str = "ringway-shards-";
const SHARDS_MAX: u32 = 256;

/// A proxy under test.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// Ringway as it comes.
    Ringway,
    /// Ringway whose one route coalesces.
    RingwayCoalesced,
    /// Ringway on its second backend.
    RingwayEpoll,
    /// Ringway that splices bodies from this size on.
    RingwaySplice(Body),
    /// Ringway as it is run every day: access log, metrics, an edit of a header, and the admin socket.
    RingwayDaily,
    /// Ringway with so many shards on the one core.
    RingwayShards(u32),
    /// nginx.
    Nginx,
    /// nginx with its access log.
    NginxLogged,
    /// HAProxy.
    Haproxy,
    /// HAProxy with its access log.
    HaproxyLogged,
    /// h2o.
    H2o,
    /// Caddy.
    Caddy,
    /// Envoy.
    Envoy,
    /// The service of `bench/pingora`.
    Pingora,
    /// A proxy of `bench/runtimes`, by the name that its command line knows.
    Bare(String),
}

/// Where a target stands: between whom, for which scenario, with which folder to write to.
pub(crate) struct Site<'a> {
    pub(crate) listen: SocketAddr,
    pub(crate) upstream: SocketAddr,
    pub(crate) scenario: Scenario,
    pub(crate) directory: &'a Path,
    /// What it shows to clients, where they speak TLS.
    pub(crate) certificate: Option<&'a Certificate>,
}

#[cfg(test)]
impl Site<'static> {
    /// For the tests of configurations.
    fn example(scenario: &str) -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8001)),
            upstream: SocketAddr::from(([127, 0, 0, 1], 8002)),
            scenario: scenario.parse().expect("a scenario"),
            directory: Path::new("/scratch"),
            certificate: None,
        }
    }
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
        !self.is_ringway() && !matches!(self, Self::Bare(_))
    }

    /// Whether it is set here to speak TLS with clients.
    #[must_use]
    pub fn speaks_tls(&self) -> bool {
        !matches!(self, Self::Pingora | Self::Bare(_))
    }

    /// Whether it is set here to speak HTTP/2 with clients.
    #[must_use]
    pub fn speaks_http2(&self) -> bool {
        !matches!(self, Self::Pingora | Self::Bare(_))
    }

    /// Whether it is Ringway, on whichever backend.
    #[must_use]
    pub fn is_ringway(&self) -> bool {
        match self {
            Self::Ringway
            | Self::RingwayCoalesced
            | Self::RingwayEpoll
            | Self::RingwaySplice(_)
            | Self::RingwayDaily
            | Self::RingwayShards(_) => true,
            Self::Nginx | Self::NginxLogged | Self::Haproxy | Self::HaproxyLogged => false,
            Self::H2o | Self::Caddy | Self::Envoy | Self::Pingora | Self::Bare(_) => false,
        }
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
        let certificate = scenario.tls.then(|| Certificate::in_directory(directory)).transpose()?;
        let name = self.to_string();
        let directory = &directory.join("targets").join(scenario.to_string()).join(&name);
        fs::create_dir_all(directory).context("cannot create a target's folder")?;
        let site = Site { listen: address, upstream, scenario, directory, certificate: certificate.as_ref() };
        let launch = self.launch(programs, &site)?;
        let mut process = Process::start(&name, launch, core, directory)?;
        process.wait_until_listening(address, interrupt)?;
        let served = match (scenario.work, scenario.work.answer(), &certificate) {
            (Work::Echo(message_bytes), ..) => websocket::load::check(address, message_bytes),
            (_, Some(body), None) if scenario.streams.is_none() => fetch::check(address, body),
            (_, Some(body), certificate) => {
                served::check(address, body, certificate.as_ref(), scenario.streams.is_some())
            }
            (_, None, _) => Ok(()),
        };
        served.with_context(|| format!("{name} does not serve {scenario}:\n{}", process.output()))?;
        Ok(Running { target: self.clone(), process, address })
    }

    fn launch(&self, programs: &Programs, site: &Site<'_>) -> anyhow::Result<Command> {
        let ringway = |settings: ringway::Settings| ringway::launch(programs.ringway()?, site, &settings);
        match self {
            Self::Ringway => ringway(ringway::Settings::default()),
            Self::RingwayCoalesced => ringway(ringway::Settings { coalesces: true, ..Default::default() }),
            Self::RingwayEpoll => ringway(ringway::Settings { io: "epoll", ..Default::default() }),
            Self::RingwaySplice(size) => ringway(ringway::Settings { splice_min: Some(*size), ..Default::default() }),
            Self::RingwayDaily => ringway(ringway::Settings { daily: true, ..Default::default() }),
            Self::RingwayShards(shards) => ringway(ringway::Settings { shards: *shards, ..Default::default() }),
            Self::Nginx => nginx::launch(&programs.nginx, site, false),
            Self::NginxLogged => nginx::launch(&programs.nginx, site, true),
            Self::Haproxy => haproxy::launch(programs.haproxy()?, site, false),
            Self::HaproxyLogged => haproxy::launch(programs.haproxy()?, site, true),
            Self::H2o => h2o::launch(programs.h2o()?, site),
            Self::Caddy => caddy::launch(programs.caddy()?, site),
            Self::Envoy => envoy::launch(programs.envoy()?, site),
            Self::Pingora => Ok(pingora::launch(programs.pingora()?, site)),
            Self::Bare(runtime) => Ok(bare::launch(programs.runtimes()?, runtime, site)),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ringway => formatter.write_str("ringway"),
            Self::RingwayCoalesced => formatter.write_str("ringway-coalesced"),
            Self::RingwayEpoll => formatter.write_str("ringway-epoll"),
            Self::RingwaySplice(size) => write!(formatter, "{SPLICE_PREFIX}{}", size.name()),
            Self::RingwayDaily => formatter.write_str("ringway-daily"),
            Self::RingwayShards(shards) => write!(formatter, "{SHARDS_PREFIX}{shards}"),
            Self::Nginx => formatter.write_str("nginx"),
            Self::NginxLogged => formatter.write_str("nginx-logged"),
            Self::Haproxy => formatter.write_str("haproxy"),
            Self::HaproxyLogged => formatter.write_str("haproxy-logged"),
            Self::H2o => formatter.write_str("h2o"),
            Self::Caddy => formatter.write_str("caddy"),
            Self::Envoy => formatter.write_str("envoy"),
            Self::Pingora => formatter.write_str("pingora"),
            Self::Bare(runtime) => write!(formatter, "bare-{runtime}"),
        }
    }
}

impl FromStr for Target {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Self> {
        match text {
            "ringway" => Ok(Self::Ringway),
            "ringway-coalesced" => Ok(Self::RingwayCoalesced),
            "ringway-epoll" => Ok(Self::RingwayEpoll),
            "ringway-daily" => Ok(Self::RingwayDaily),
            "nginx" => Ok(Self::Nginx),
            "nginx-logged" => Ok(Self::NginxLogged),
            "haproxy" => Ok(Self::Haproxy),
            "haproxy-logged" => Ok(Self::HaproxyLogged),
            "h2o" => Ok(Self::H2o),
            "caddy" => Ok(Self::Caddy),
            "envoy" => Ok(Self::Envoy),
            "pingora" => Ok(Self::Pingora),
            _ if text.starts_with(SHARDS_PREFIX) => {
                let shards =
                    text[SHARDS_PREFIX.len()..].parse().ok().filter(|shards| (1..=SHARDS_MAX).contains(shards));
                shards.map(Self::RingwayShards).context("expected a number of shards, such as ringway-shards-8")
            }
            _ if text.starts_with(SPLICE_PREFIX) => {
                let size = Body::by_name(&text[SPLICE_PREFIX.len()..]).filter(|size| size.is_large());
                Ok(Self::RingwaySplice(size.context("expected a size, such as ringway-splice-16k")?))
            }
            _ => {
                // Which runtimes there are is for bench/runtimes to say; it depends on the features it was built with.
                let runtime = text.strip_prefix("bare-").context(
                    "expected ringway, a peer such as nginx, haproxy, h2o, caddy, envoy or pingora, or bare-RUNTIME",
                )?;
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
        let daily = ["ringway-daily", "ringway-coalesced", "nginx-logged", "haproxy-logged"];
        let more = ["h2o", "caddy", "envoy", "pingora", "ringway-shards-64"];
        for text in ["ringway", "ringway-epoll", "ringway-splice-16k", "nginx", "haproxy", "bare-epoll"]
            .iter()
            .chain(&daily)
            .chain(&more)
        {
            assert_eq!(text.parse::<Target>().unwrap().to_string(), *text);
        }
    }

    #[test]
    fn what_is_no_target_is_refused() {
        for text in [
            "",
            "apache",
            "ringway-splice-",
            "ringway-splice-small",
            "ringway-shards-0",
            "ringway-shards-",
            "bare",
            "bare-",
            "bare-../x",
            "Nginx",
        ] {
            assert!(text.parse::<Target>().is_err(), "{text}");
        }
    }
}
