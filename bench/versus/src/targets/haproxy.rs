//! HAProxy: one thread, connections shared between clients, splicing for large bodies.

use std::{fs, path::Path, process::Command};

use anyhow::Context;

use super::Site;

pub(super) fn launch(program: &Path, site: &Site<'_>) -> anyhow::Result<Command> {
    let config = site.directory.join("haproxy.cfg");
    fs::write(&config, config_text(site)).context("cannot write the configuration of haproxy")?;
    let mut command = Command::new(program);
    command.arg("-db").arg("-f").arg(config);
    Ok(command)
}

fn config_text(site: &Site<'_>) -> String {
    let Site { listen, upstream, scenario, .. } = site;
    // Clients only, twice, because the connections of one run of the load generator may still be closing when those of
    // the next arrive.
    let connections_max = 2 * scenario.connections + 1024;
    // A pipe for each response; HAProxy's default is a quarter of its connections.
    let pipes_max = scenario.connections + 16;
    // Not `splice-auto`: it takes this load for no streaming, hardly splices, and a 1 MiB body costs three times as much.
    let splice = match (scenario.body.is_large(), scenario.upload) {
        (true, false) => "    option splice-response\n",
        (true, true) => "    option splice-request\n",
        (false, _) => "",
    };
    // The two ratios: HAProxy closes idle upstream connections above a quarter of the descriptors that it derives from
    // maxconn. Requests would then open new ones, and maxconn would decide the result.
    format!(
        "global
    nbthread 1
    maxconn {connections_max}
    maxpipes {pipes_max}
    tune.pool-low-fd-ratio 100
    tune.pool-high-fd-ratio 100

defaults
    mode http
    timeout connect 5s
    timeout client 600s
    timeout server 600s
    timeout http-keep-alive 600s
    http-reuse always
{splice}
frontend web
    bind {listen}
    default_backend app

backend app
    server app {upstream} pool-max-conn -1 pool-purge-delay 600s
"
    )
}
