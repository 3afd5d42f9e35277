//! The command line.

use anyhow::{bail, ensure};
use bench_common::arguments::StageArguments;
use bench_versus::{
    scenario::{Scenario, Work},
    targets::Target,
    websocket::Role,
};
use clap::Parser;

/// Runs Ringway beside its peers and compares the CPU time that a request costs each.
#[derive(Debug, Parser)]
#[command(name = "versus", subcommand_negates_reqs = true, disable_help_subcommand = true)]
pub(crate) struct Arguments {
    /// What is asked of each proxy: WORK@CONNECTIONS, where WORK is a GET of the body small (128 bytes), 64k, 1m or body-SIZE; a POST
    /// of the body upload-SIZE; a message of 125 bytes (ws) or of ws-SIZE, there and back through a WebSocket; connect, small GETs
    /// with a connection each; pipelined-DEPTH, small GETs so many in a write; open-RATE, small GETs by the clock, so many a second
    /// (11k) or half as many as the first target can answer (half); idle, connections held for what memory they cost; or batched, which is small
    /// from an upstream that answers all it has received in one write, as pipelined-DEPTH-batched is pipelined-DEPTH from such a one. With
    /// tls- before it, clients speak TLS 1.3; handshake and resumed are small GETs with a TLS connection each. With h2- (or tls-h2-)
    /// they speak HTTP/2: WORK@CONNECTIONSxSTREAMS, of small, sizes, upload-SIZE, batched and open-RATE, such as tls-h2-small@16x32.
    #[arg(long, value_delimiter = ',', default_value = "small@64,small@512,64k@64,1m@16")]
    pub(crate) scenarios: Vec<Scenario>,

    /// What is measured: ringway, ringway-coalesced, ringway-epoll, nginx, haproxy, h2o, caddy, envoy, pingora (which is built), and the proxies of
    /// bench/runtimes as bare-ring, bare-epoll, and so on; ringway-splice-SIZE is Ringway with that `splice_bytes_min`,
    /// ringway-shards-COUNT with so many shards on the one core. [default: ringway, and its peers that are installed]
    #[arg(long, value_delimiter = ',')]
    pub(crate) targets: Vec<Target>,

    /// The target that ratios are to. [default: in each scenario the cheapest peer]
    #[arg(long, value_name = "TARGET")]
    pub(crate) reference: Option<Target>,

    /// How many clean rounds each scenario takes. As many again are added at most in place of polluted ones.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) rounds: u32,

    /// How long each target is measured in a round, in seconds.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=600))]
    pub(crate) seconds: u32,

    /// How long each target is loaded before it is measured, in seconds.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=600))]
    pub(crate) warm_up_seconds: u32,

    #[command(flatten)]
    pub(crate) stage: StageArguments,

    /// Print the report, keep nothing.
    #[arg(long)]
    pub(crate) no_keep: bool,

    #[command(subcommand)]
    pub(crate) role: Option<Role>,
}

impl Arguments {
    /// Checks what the parser cannot: that the targets differ, and that the machine has the two cores.
    pub(crate) fn check(&self) -> anyhow::Result<()> {
        for (index, target) in self.targets.iter().enumerate() {
            ensure!(!self.targets[..index].contains(target), "the target {target} is named twice");
        }
        if let Some(reference) = &self.reference {
            let measured = self.targets.is_empty() || self.targets.contains(reference);
            ensure!(measured, "{reference}, which ratios shall be to, is not among the targets");
        }
        let bare = self.targets.iter().any(|target| matches!(target, Target::Bare(_)));
        let plain = |work| matches!(work, Work::Download(_) | Work::Batched | Work::Open(_) | Work::Idle);
        ensure!(
            !bare || self.scenarios.iter().all(|scenario| plain(scenario.work)),
            "the bare proxies pass on one request after the other, without a body, on connections that stay; they open no tunnel: \
             measure without them"
        );
        if self.scenarios.iter().any(|scenario| scenario.tls)
            && let Some(target) = self.targets.iter().find(|target| !target.speaks_tls())
        {
            bail!("{target} is not set for TLS here: measure without it");
        }
        if self.scenarios.iter().any(|scenario| scenario.streams.is_some())
            && let Some(target) = self.targets.iter().find(|target| !target.speaks_http2())
        {
            bail!("{target} is not set for HTTP/2 here: measure without it");
        }
        let pipelines = self
            .scenarios
            .iter()
            .any(|scenario| matches!(scenario.work, Work::Pipelined(_) | Work::PipelinedBatched(_)));
        ensure!(
            !(pipelines && self.targets.contains(&Target::Pingora)),
            "Pingora closes a connection on which requests are pipelined, with the first answer: measure without it"
        );
        self.stage.check()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(line: &str) -> Result<(), String> {
        let arguments = Arguments::try_parse_from(["versus"].into_iter().chain(line.split(' '))).expect("it parses");
        // Another core than the proxy's may not be there.
        arguments.check().map_err(|error| error.to_string())
    }

    #[test]
    fn what_a_target_cannot_do_is_said_before_it_is_asked() {
        for (line, error) in [
            ("--targets pingora,nginx --scenarios pipelined-16@4", "Pingora closes"),
            ("--targets bare-ring --scenarios connect@4", "on connections that stay"),
            ("--targets bare-ring --scenarios upload-64k@4", "without a body"),
            ("--targets nginx,pingora --scenarios small@4,tls-small@4", "pingora is not set for TLS"),
            ("--targets nginx,bare-ring --scenarios h2-small@4x4", "bare-ring is not set for HTTP/2"),
            ("--targets nginx,nginx", "named twice"),
            ("--targets nginx --reference haproxy", "is not among the targets"),
        ] {
            assert!(check(line).unwrap_err().contains(error), "{line}");
        }
        let fine = "--targets pingora,nginx,bare-ring --reference nginx --scenarios idle@4,open-half@4,small@4";
        assert!(check(fine).map_or_else(|error| error.starts_with("core "), |()| true));
    }
}
