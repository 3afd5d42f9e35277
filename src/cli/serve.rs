//! `ringway serve`: from the command line to running shards, in this process or in a worker.

use std::io::Write;
use std::path::Path;

use anyhow::Context;
use plan::Address;

use super::ServeArgs;
use super::banner::Banner;
use crate::asked::Asked;
use crate::config::Loaded;
use crate::control::{self, Assignment, Ready, Start};
use crate::listen::ListenError;
use crate::supervisor::{self, Program};
use crate::{demo, telemetry};

pub(super) fn serve(args: ServeArgs) -> anyhow::Result<()> {
    // The embedded default is there to be looked at: one process is all that it takes.
    let is_alone = args.no_supervisor || args.config.is_none();
    let asked = asked(args)?;
    if !is_alone && supervisor::is_successor() {
        return take_over(asked);
    }
    let loaded = asked.load()?;
    telemetry::log::start(loaded.log_level)?;
    let config = asked.config.clone();
    let served = if is_alone {
        run(asked, loaded, None)
    } else {
        Program::of_this_process().and_then(|program| supervisor::serve(asked, &loaded, program))
    };
    served.map_err(|error| with_way_out(error, config.as_deref()))
}

/// Goes on where another version of this program has stopped: whatever is wrong now, somebody is being served.
fn take_over(asked: Asked) -> anyhow::Result<()> {
    let log_level = asked.load().map_or(tracing::Level::INFO, |loaded| loaded.log_level);
    telemetry::log::start(log_level)?;
    supervisor::take_over(asked, Program::of_this_process()?)
}

/// Serves in this process. People are told when it is ready, unless a supervisor says that they have been.
pub(super) fn run(asked: Asked, loaded: Loaded, assignment: Option<Assignment>) -> anyhow::Result<()> {
    let announce = assignment.as_ref().is_none_or(|assignment| assignment.announce);
    let (plan, discovery, config) = (loaded.plan.clone(), loaded.discovery.clone(), asked.config.clone());
    control::serve(Start { asked, loaded, assignment }, |ready: &Ready| {
        if announce {
            let (plan, discovery, program) = (&plan, &discovery, &program_name());
            print(&Banner { plan, discovery, ready, config: config.as_deref(), program });
        }
    })
}

/// What is to be served: what the file says, or the embedded default together with the demo upstream that it needs.
pub(super) fn asked(args: ServeArgs) -> anyhow::Result<Asked> {
    let environment = args.environment.chosen().map(str::to_owned);
    let ServeArgs { config, listen, shards, .. } = args;
    let demo = match config {
        Some(_) => None,
        None => Some(demo::start().context("the demo upstream cannot be started")?),
    };
    Ok(Asked { config, environment, listen, shards, demo })
}

fn program_name() -> String {
    std::env::args().next().unwrap_or_else(|| "ringway".to_owned())
}

/// Says what to do about an address that is taken.
fn with_way_out(error: anyhow::Error, config: Option<&Path>) -> anyhow::Error {
    let Some(taken) = error.downcast_ref::<ListenError>().filter(|error| error.is_taken()) else { return error };
    let Address::Tcp(mut other) = taken.address else { return error };
    other.set_port(other.port().checked_add(1).unwrap_or(8080));
    let advice = match config {
        None => format!("Choose another address: {} serve --listen {other}", program_name()),
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

/// The command that shows a first answer of a server at `address`. Over `tls`, a name is what the server is asked for before HTTP
/// begins; who vouches for its certificate is not for a first answer.
pub(super) fn request_command(address: &Address, tls: bool, host: Option<&str>, path: &str) -> String {
    let (scheme, insecure) = if tls { ("https", "--insecure ") } else { ("http", "") };
    let host_option = host.filter(|_| !tls).map(|host| format!("-H 'Host: {host}' ")).unwrap_or_default();
    let name = host.filter(|_| tls);
    match address {
        Address::Unix(socket) => {
            let name = name.unwrap_or("localhost");
            format!("curl {insecure}--unix-socket {} {host_option}{scheme}://{name}{path}", socket.display())
        }
        Address::Tcp(address) => {
            let mut reachable = *address;
            if reachable.ip().is_unspecified() {
                reachable.set_ip(if reachable.is_ipv4() {
                    std::net::Ipv4Addr::LOCALHOST.into()
                } else {
                    std::net::Ipv6Addr::LOCALHOST.into()
                });
            }
            match name {
                Some(name) => format!("curl {insecure}--connect-to ::{reachable} {scheme}://{name}{path}"),
                None => format!("curl {insecure}{host_option}{scheme}://{reachable}{path}"),
            }
        }
    }
}
