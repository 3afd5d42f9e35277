//! `ringway serve`: from the command line to running shards.

use std::io::Write;
use std::path::Path;

use anyhow::Context;
use plan::{Address, Listener};
use tracing::Level;

use super::ServeArgs;
use super::banner::Banner;
use super::listen::{self, ListenError};
use crate::config::{self, Discovery, Loaded};
use crate::{control, demo, telemetry};

pub(super) fn serve(args: ServeArgs) -> anyhow::Result<()> {
    let Loaded { mut plan, log_level, discovery } = load(args.config.as_deref(), args.environment.chosen())?;
    if !args.listen.is_empty() {
        plan.listeners = args.listen.into_iter().map(Listener::new).collect();
    }
    if let Some(count) = args.shards {
        plan.shards.count = count;
    }
    telemetry::log::start(log_level)?;
    let program = std::env::args().next().unwrap_or_else(|| "ringway".to_owned());
    let config = args.config.as_deref();
    listen::check_free(&plan.listeners).map_err(|error| with_way_out(error, config, &program))?;
    control::serve(plan.clone(), discovery.clone(), |ready| {
        print(&Banner { plan: &plan, discovery: &discovery, ready, config, program: &program });
    })
}

/// What the file says, or the embedded default together with the demo upstream that it needs.
fn load(path: Option<&Path>, environment: Option<&str>) -> anyhow::Result<Loaded> {
    if let Some(path) = path {
        return Ok(config::load(path, environment)?);
    }
    let demo = demo::start().context("the demo upstream cannot be started")?;
    Ok(Loaded { plan: config::embedded(demo), log_level: Level::INFO, discovery: Discovery::default() })
}

/// Says what to do about an address that is taken.
fn with_way_out(error: ListenError, config: Option<&Path>, program: &str) -> anyhow::Error {
    if !error.is_taken() {
        return error.into();
    }
    let mut other = error.address;
    other.set_port(other.port().checked_add(1).unwrap_or(8080));
    let advice = match config {
        None => format!("Choose another address: {program} serve --listen {other}"),
        Some(path) => format!("Change it in {}, or choose another for this run: --listen {other}", path.display()),
    };
    anyhow::anyhow!("{error}.\n{advice}")
}

/// The banner goes to standard output, or, where that carries the access log, out of its way to standard error. Nobody
/// needs it to serve: a closed output is no error.
fn print(banner: &Banner<'_>) {
    let text = banner.to_string();
    let _ = match banner.plan.access_logs.use_stdout() {
        false => std::io::stdout().write_all(text.as_bytes()),
        true => std::io::stderr().write_all(text.as_bytes()),
    };
}

/// The command that shows a first answer of a server at `address`.
pub(super) fn request_command(address: &Address, host: Option<&str>, path: &str) -> String {
    let host_option = host.map(|host| format!("-H 'Host: {host}' ")).unwrap_or_default();
    match address {
        Address::Unix(socket) => format!("curl --unix-socket {} {host_option}http://localhost{path}", socket.display()),
        Address::Tcp(address) => {
            let mut reachable = *address;
            if reachable.ip().is_unspecified() {
                reachable.set_ip(if reachable.is_ipv4() {
                    std::net::Ipv4Addr::LOCALHOST.into()
                } else {
                    std::net::Ipv6Addr::LOCALHOST.into()
                });
            }
            format!("curl {host_option}http://{reachable}{path}")
        }
    }
}
