//! The workspace's own load generator, for what wrk cannot do: HTTP/2, requests by the clock, a connection for each request, and
//! connections that say nothing. It runs as a process like any other, on one thread.
//!
//! By the clock, a latency counts from when a request was due, so that a proxy that stalls is charged for what it kept from being
//! sent. With a connection for each request, the request says `Connection: close`: the proxy closes first, and no port of
//! the generator is left waiting, so that its rate has no bound but the machine.

use std::{net::SocketAddr, path::Path, process::Command};

use anyhow::{Context, ensure};
use bench_common::{interrupt::Interrupt, process::Process, wrk::Load};
use loadgen::{record::Recording, report::json};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

use crate::scenario::Handshake;

/// How long idle connections are held before memory is read: proxies that give buffers back do so by then.
const HOLD_SECONDS: u32 = 1;

/// How long requests come by the clock before latencies count. While connections are being opened answers come late, which in a
/// window of seconds would be the greater part of one in a hundred.
const START_SECONDS: u32 = 1;

/// Handshakes of the other kind than was asked for, in percent of all, without each connection's first: where a ticket is used once,
/// those that begin together may be more than the tickets that have come.
const OTHERS_PERCENT_MAX: u64 = 5;

/// Where it runs, and what it loads.
pub(crate) struct Generator<'a> {
    pub(crate) program: &'a Path,
    pub(crate) directory: &'a Path,
    pub(crate) core: usize,
    pub(crate) address: SocketAddr,
    pub(crate) path: String,
    pub(crate) connections: u32,
    pub(crate) tls: bool,
    /// HTTP/2 with so many streams on each connection.
    pub(crate) streams: Option<u32>,
    pub(crate) interrupt: &'a Interrupt,
}

/// What idle connections cost, each.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct IdleCost {
    /// Growth of the proxy's memory (Pss: what is shared counts by its part) over a proxy that has served and holds none.
    pub user_bytes: f64,
    /// All of the proxy's memory (Pss), with what it took to start.
    pub user_total_bytes: f64,
    /// Growth of the kernel's objects for sockets, both ends of each connection; none where the system does not tell.
    pub kernel_bytes: Option<f64>,
}

impl Generator<'_> {
    /// Requests as fast as they are answered, whose answers have so many bytes; with a body of so many, if any.
    pub(crate) fn as_answered(
        &self,
        answer_bytes: usize,
        body_bytes: Option<usize>,
        seconds: u32,
    ) -> anyhow::Result<Load> {
        let answer = format!("{answer_bytes}B");
        let mut arguments = vec!["--expect-bytes", &answer];
        let body = body_bytes.map(|bytes| format!("{bytes}B"));
        if let Some(body) = &body {
            arguments.extend(["--body-size", body]);
        }
        self.load(seconds, &arguments)
    }

    /// Requests that become due at random (Poisson), so many a second; for a little longer than `seconds`.
    pub(crate) fn by_the_clock(&self, per_second: u32, seconds: u32) -> anyhow::Result<Load> {
        let start = format!("{START_SECONDS}s");
        let rate = ["--rate", &per_second.to_string(), "--arrivals", "poisson", "--warm-up", &start];
        self.load(seconds, &rate).map(|load| with_start(load, seconds))
    }

    /// A connection for each request.
    pub(crate) fn connection_per_request(&self, seconds: u32) -> anyhow::Result<Load> {
        self.load(seconds, &["--connection-per-request"])
    }

    /// A TLS connection for each request, begun in that way.
    pub(crate) fn handshake_per_request(&self, kind: Handshake, seconds: u32) -> anyhow::Result<Load> {
        let mut arguments = vec!["--connection-per-request"];
        if kind == Handshake::Full {
            arguments.push("--no-resumption");
        }
        let recording = self.record(seconds, &arguments)?;
        let (full, resumed) = (recording.handshake_full.count(), recording.handshake_resumed.count());
        // A connection's first handshake has no ticket yet, and two that begin at once may find one ticket.
        let others = match kind {
            Handshake::Full => resumed,
            Handshake::Resumed => full.saturating_sub(u64::from(self.connections)),
        };
        ensure!(
            others * 100 <= OTHERS_PERCENT_MAX * (full + resumed),
            "{full} full handshakes and {resumed} resumed ones are not what was asked for"
        );
        load_of(&recording)
    }

    fn load(&self, seconds: u32, arguments: &[&str]) -> anyhow::Result<Load> {
        load_of(&self.record(seconds, arguments)?)
    }

    fn record(&self, seconds: u32, arguments: &[&str]) -> anyhow::Result<Recording> {
        let mut command = Command::new(self.program);
        command
            .args(["run", "--threads", "1", "--quiet", "--json", "-"])
            .args(["--connections", &self.connections.to_string()])
            .args(["--duration", &format!("{seconds}s")])
            .args(arguments)
            .arg(self.url());
        if self.tls {
            command.args(["--insecure", "--tls", "1.3"]);
        }
        if let Some(streams) = self.streams {
            command.args(["--http2", "--streams", &streams.to_string()]);
        }
        Ok(json::read(&self.run(command)?)?.recording)
    }

    /// Opens the connections one after the other with one request on each, holds them, and reads the memory of the process tree
    /// `proxy` before and then.
    pub(crate) fn hold_idle(&self, proxy: Pid) -> anyhow::Result<IdleCost> {
        let mut command = Command::new(self.program);
        command
            .args(["idle", "--request", "--json", "--children"])
            .args(["--connections", &self.connections.to_string()])
            .args(["--duration", &format!("{HOLD_SECONDS}s")])
            .args(["--pid", &proxy.to_string()])
            .arg(self.url());
        if self.tls {
            command.arg("--insecure");
        }
        parse_idle(&self.run(command)?, self.connections)
    }

    fn url(&self) -> String {
        let scheme = if self.tls { "https" } else { "http" };
        format!("{scheme}://{}{}", self.address, self.path)
    }

    fn run(&self, command: Command) -> anyhow::Result<String> {
        let mut process = Process::start("loadgen", command, self.core, self.directory)?;
        let status = process.wait(self.interrupt)?;
        let output = process.output();
        // The report may be as long as the run; what went wrong stands at its ends.
        let shown = || output.chars().take(2000).collect::<String>();
        ensure!(status.success(), "loadgen met errors ({status}):\n{}", shown());
        Ok(output)
    }
}

/// Adds the requests of the start, which cost the proxy as the others did, and which are not told: they came at the same rate.
fn with_start(load: Load, seconds: u32) -> Load {
    let share = f64::from(seconds + START_SECONDS) / f64::from(seconds);
    Load { requests: (load.requests as f64 * share).round() as u64, ..load }
}

fn load_of(recording: &Recording) -> anyhow::Result<Load> {
    let us = |quantile| recording.latency.quantile_ns(quantile) as f64 / 1e3;
    ensure!(recording.requests() > 0, "loadgen received no response");
    Ok(Load {
        requests: recording.requests(),
        requests_per_second: recording.requests_per_second(),
        latency_p50_us: us(0.5),
        latency_p99_us: us(0.99),
    })
}

fn parse_idle(output: &str, connections: u32) -> anyhow::Result<IdleCost> {
    #[derive(Deserialize)]
    struct Told {
        memory: Moments,
    }
    #[derive(Deserialize)]
    struct Moments {
        before: Moment,
        end: Moment,
    }
    #[derive(Deserialize)]
    struct Moment {
        target: Target,
        kernel: Kernel,
    }
    #[derive(Deserialize)]
    struct Target {
        proportional_bytes: Option<u64>,
    }
    #[derive(Deserialize)]
    struct Kernel {
        tcp_buffer_bytes: u64,
        socket_slab_bytes: Option<u64>,
    }

    let Told { memory: Moments { before, end } } =
        serde_json::from_str(output).context("the report of idle connections is not as expected")?;
    let each = |bytes: f64| bytes / f64::from(connections);
    let user = |moment: &Moment| {
        let bytes = moment.target.proportional_bytes.map(|bytes| bytes as f64);
        bytes.context("the memory of the proxy cannot be read: it belongs to another user")
    };
    let kernel = |moment: &Moment| {
        let slabs = moment.kernel.socket_slab_bytes?;
        Some((slabs + moment.kernel.tcp_buffer_bytes) as f64)
    };
    Ok(IdleCost {
        user_bytes: each(user(&end)? - user(&before)?),
        user_total_bytes: each(user(&end)?),
        kernel_bytes: kernel(&end).zip(kernel(&before)).map(|(end, before)| each(end - before)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_start_s_requests_count_at_the_rate_of_the_others() {
        let load =
            Load { requests: 44_000, requests_per_second: 11_000.0, latency_p50_us: 90.0, latency_p99_us: 800.0 };
        assert_eq!(with_start(load, 4), Load { requests: 55_000, ..load });
    }

    #[test]
    fn memory_is_told_for_each_connection() {
        let moment = |user: u64, slabs: &str| {
            format!(
                r#"{{"holders": {{"resident_bytes": 1}}, "target": {{"resident_bytes": 9, "proportional_bytes": {user}}},
                "kernel": {{"tcp_buffer_bytes": 4096, "tcp_sockets": 3, "slab_bytes": 5, "socket_slab_bytes": {slabs}}}}}"#
            )
        };
        let told = |before, slabs, end, slabs_end| {
            let (before, end) = (moment(before, slabs), moment(end, slabs_end));
            format!(r#"{{"wanted": 10, "memory": {{"before": {before}, "all_open": {end}, "end": {end}}}}}"#)
        };
        let cost = parse_idle(&told(50_000, "100000", 60_000, "140000"), 10).unwrap();
        assert_eq!(cost, IdleCost { user_bytes: 1000.0, user_total_bytes: 6000.0, kernel_bytes: Some(4000.0) });
        let cost = parse_idle(&told(50_000, "null", 60_000, "null"), 10).unwrap();
        assert_eq!(cost.kernel_bytes, None);
        assert!(parse_idle("{}", 10).is_err());
    }
}
