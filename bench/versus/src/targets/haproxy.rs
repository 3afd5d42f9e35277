//! HAProxy: one thread, connections shared between clients, splicing for large bodies, buffers that fit messages.

use std::{fs, path::Path, process::Command};

use anyhow::Context;

use super::Site;
use crate::scenario::Work;

pub(super) fn launch(program: &Path, site: &Site<'_>, logs: bool) -> anyhow::Result<Command> {
    let config = site.directory.join("haproxy.cfg");
    fs::write(&config, config_text(site, logs)).context("cannot write the configuration of haproxy")?;
    let mut command = Command::new(program);
    command.arg("-db").arg("-f").arg(config);
    Ok(command)
}

fn config_text(site: &Site<'_>, logs: bool) -> String {
    let Site { listen, upstream, scenario, certificate, .. } = site;
    // Clients only, twice, because the connections of one run of the load generator may still be closing when those of
    // the next arrive.
    let connections_max = 2 * scenario.requests_max() + 1024;
    // A pipe for each response; HAProxy's default is a quarter of its connections.
    let pipes_max = scenario.requests_max() + 16;
    // Not `splice-auto`: it takes this load for no streaming, hardly splices, and a 1 MiB body costs three times as much.
    let splice = match scenario.work {
        Work::Download(body) if body.is_large() => "    option splice-response\n",
        Work::Upload(body) if body.is_large() => "    option splice-request\n",
        _ => "",
    };
    // A message with its frame's head shall fit a buffer; HAProxy's default of 16 KiB would cut one of 16 KiB in two.
    let buffer = match scenario.work {
        Work::Echo(message_bytes) => format!("    tune.bufsize {}\n", (2 * message_bytes).max(16 << 10)),
        _ => String::new(),
    };
    // HAProxy counts two descriptors for each client and does not start where the system grants fewer. Idle clients take one.
    let limits = if scenario.work == Work::Idle { "    no strict-limits\n" } else { "" };
    // It writes no files: its log goes to standard output, which is one here.
    let (log, http_log) = match logs {
        true => ("    log stdout format raw local0\n", "    log global\n    option httplog\n"),
        false => ("", ""),
    };
    let (alpn, http2, streams) = match (scenario.streams, certificate) {
        (None, _) => ("", "", String::new()),
        (Some(streams), Some(_)) => (" alpn h2", "", streams_max(streams)),
        (Some(streams), None) => ("", " proto h2", streams_max(streams)),
    };
    let tls = certificate
        .map_or_else(String::new, |certificate| format!(" ssl crt {} ssl-min-ver TLSv1.3", certificate.both.display()));
    // The two ratios: HAProxy closes idle upstream connections above a quarter of the descriptors that it derives from
    // maxconn. Requests would then open new ones, and maxconn would decide the result.
    format!(
        "global
    nbthread 1
    maxconn {connections_max}
    maxpipes {pipes_max}
    tune.pool-low-fd-ratio 100
    tune.pool-high-fd-ratio 100
{limits}{buffer}{streams}{log}
defaults
    mode http
    timeout connect 5s
    timeout client 600s
    timeout server 600s
    timeout http-keep-alive 600s
    timeout tunnel 600s
    http-reuse always
{splice}{http_log}
frontend web
    bind {listen}{tls}{alpn}{http2}
    default_backend app

backend app
    server app {upstream} pool-max-conn -1 pool-purge-delay 600s
"
    )
}

/// Its default is 100.
fn streams_max(streams: u32) -> String {
    format!("    tune.h2.max-concurrent-streams {}\n", streams.max(100))
}
