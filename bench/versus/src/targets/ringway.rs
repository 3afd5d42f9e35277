//! Ringway: one shard, no access log, on either backend.

use std::{fs, path::Path, process::Command};

use anyhow::Context;

use super::Site;

pub(super) fn launch(program: &Path, site: &Site<'_>, io: &str) -> anyhow::Result<Command> {
    let config = site.directory.join("ringway.toml");
    fs::write(&config, config_text(site, io)).context("cannot write the configuration of ringway")?;
    let mut command = Command::new(program);
    command.args(["serve", "--no-supervisor", "--config"]).arg(config);
    Ok(command)
}

fn config_text(site: &Site<'_>, io: &str) -> String {
    let Site { listen, upstream, scenario, .. } = site;
    let idle_connections = scenario.connections.max(1024);
    // The process inherits its core, as every target does; pinning once more could only move it.
    format!(
        "[[listeners]]
address = \"{listen}\"

[upstreams.app]
servers = [\"{upstream}\"]
idle_connections = {idle_connections}

[[routes]]
prefix = \"/\"
upstream = \"app\"

[shards]
count = 1
pin = false
io = \"{io}\"

[log]
access = \"off\"
"
    )
}
