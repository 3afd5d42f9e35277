//! The load generator: wrk, one thread.

use std::{net::SocketAddr, path::Path, process::Command};

use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};

use crate::{interrupt::Interrupt, process::Process};

/// What a run of a load generator tells.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Load {
    /// Responses received in full.
    pub requests: u64,
    /// Per second of the run.
    pub requests_per_second: f64,
    /// Median of the time from a request to the end of its response.
    pub latency_p50_us: f64,
    /// The time that 99 of 100 responses took at most.
    pub latency_p99_us: f64,
}

/// Where the load generator runs, and what it loads.
#[derive(Debug)]
pub struct Wrk<'a> {
    /// The installed program.
    pub program: &'a Path,
    /// Where its output goes.
    pub directory: &'a Path,
    /// The core that it has.
    pub core: usize,
    /// What it loads.
    pub address: SocketAddr,
    /// What it asks for.
    pub path: &'a str,
    /// A Lua script that makes the requests, where a GET of the path is not enough.
    pub script: Option<&'a Path>,
    /// Whether it speaks TLS. It verifies nothing.
    pub tls: bool,
    /// Keep-alive connections, each with one request under way.
    pub connections: u32,
}

/// A run of wrk that is under way. Dropping it ends it.
#[derive(Debug)]
pub struct Running(Process);

impl Wrk<'_> {
    /// Loads the address for `seconds`, and waits for the end.
    ///
    /// # Errors
    /// As [`Wrk::start`] and [`Running::finish`].
    pub fn run(&self, seconds: u32, interrupt: &Interrupt) -> anyhow::Result<Load> {
        self.start(seconds)?.finish(interrupt)
    }

    /// Begins to load the address for `seconds`.
    ///
    /// # Errors
    /// Fails when wrk cannot be started.
    pub fn start(&self, seconds: u32) -> anyhow::Result<Running> {
        let mut command = Command::new(self.program);
        command
            .args(["--threads", "1", "--latency"])
            .args(["--connections", &self.connections.to_string()])
            .args(["--duration", &format!("{seconds}s")]);
        if let Some(script) = self.script {
            command.arg("--script").arg(script);
        }
        let scheme = if self.tls { "https" } else { "http" };
        command.arg(format!("{scheme}://{}{}", self.address, self.path));
        Process::start("wrk", command, self.core, self.directory).map(Running)
    }
}

impl Running {
    /// Waits until the time of the run is over.
    ///
    /// # Errors
    /// Fails, with wrk's own text, when it fails, counts an error, or counts nothing: a proxy that answers wrongly has
    /// no cost to compare.
    pub fn finish(mut self, interrupt: &Interrupt) -> anyhow::Result<Load> {
        let status = self.0.wait(interrupt)?;
        let output = self.0.output();
        if !status.success() {
            bail!("wrk failed ({status}):\n{output}");
        }
        parse(&output)
    }
}

fn parse(output: &str) -> anyhow::Result<Load> {
    for line in output.lines().map(str::trim) {
        if line.starts_with("Socket errors:") || line.starts_with("Non-2xx or 3xx responses:") {
            bail!("wrk met errors:\n{output}");
        }
    }
    let load = parse_figures(output).with_context(|| format!("the output of wrk is not as expected:\n{output}"))?;
    if load.requests == 0 {
        bail!("wrk received no response:\n{output}");
    }
    Ok(load)
}

fn parse_figures(output: &str) -> Option<Load> {
    let lines = || output.lines().map(str::trim);
    let after = |prefix: &str| lines().find_map(|line| line.strip_prefix(prefix)).map(str::trim);
    Some(Load {
        requests: lines().find_map(|line| line.split_once(" requests in "))?.0.parse().ok()?,
        requests_per_second: after("Requests/sec:")?.parse().ok()?,
        latency_p50_us: parse_time_us(after("50%")?)?,
        latency_p99_us: parse_time_us(after("99%")?)?,
    })
}

fn parse_time_us(text: &str) -> Option<f64> {
    const UNITS_US: [(&str, f64); 5] = [("us", 1.0), ("ms", 1e3), ("s", 1e6), ("m", 60e6), ("h", 3600e6)];
    // The order matters: "us" and "ms" also end with "s".
    let (number, unit_us) = UNITS_US.iter().find_map(|(unit, us)| Some((text.strip_suffix(unit)?, us)))?;
    Some(number.parse::<f64>().ok()? * unit_us)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTPUT: &str = "Running 4s test @ http://127.0.0.1:8080/small
  1 threads and 64 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency   643.47us   99.23us   4.01ms   91.15%
    Req/Sec    99.40k     4.51k  105.51k    75.00%
  Latency Distribution
     50%  621.00us
     75%  663.00us
     90%  702.00us
     99%    1.05ms
  396160 requests in 4.00s, 92.56MB read
Requests/sec:  99034.74
Transfer/sec:     23.14MB
";

    #[test]
    fn figures_are_found() {
        let load = parse(OUTPUT).unwrap();
        assert_eq!(
            load,
            Load { requests: 396_160, requests_per_second: 99034.74, latency_p50_us: 621.0, latency_p99_us: 1050.0 }
        );
    }

    #[test]
    fn errors_and_silence_fail_with_the_text() {
        let socket_errors = "  Socket errors: connect 0, read 3, write 0, timeout 0\n";
        let error = parse(&OUTPUT.replace("Requests/sec", &format!("{socket_errors}Requests/sec"))).unwrap_err();
        assert!(error.to_string().contains("read 3"), "{error}");
        let refused = "  Non-2xx or 3xx responses: 7\n";
        let error = parse(&OUTPUT.replace("Requests/sec", &format!("{refused}Requests/sec"))).unwrap_err();
        assert!(error.to_string().contains("responses: 7"), "{error}");
        assert!(parse(&OUTPUT.replace("396160 requests", "0 requests")).is_err());
        assert!(parse("unable to connect").is_err());
    }

    #[test]
    fn times_carry_their_unit() {
        for (text, us) in [("621.00us", 621.0), ("1.05ms", 1050.0), ("2.00s", 2e6), ("1.50m", 90e6)] {
            assert_eq!(parse_time_us(text), Some(us), "{text}");
        }
        assert_eq!(parse_time_us("12"), None);
    }
}
