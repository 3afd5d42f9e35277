//! Ringway: one shard, no access log, on either backend; as it comes, or with another threshold for splicing.

use std::{fs, path::Path, process::Command};

use anyhow::Context;
use bench_common::body::Body;

use super::Site;

pub(super) fn launch(program: &Path, site: &Site<'_>, io: &str, splice_min: Option<Body>) -> anyhow::Result<Command> {
    let config = site.directory.join("ringway.toml");
    fs::write(&config, config_text(site, io, splice_min)).context("cannot write the configuration of ringway")?;
    let mut command = Command::new(program);
    command.arg("serve").arg("--config").arg(config);
    Ok(command)
}

fn config_text(site: &Site<'_>, io: &str, splice_min: Option<Body>) -> String {
    let Site { listen, upstream, scenario, .. } = site;
    let idle_connections = scenario.connections.max(1024);
    let splice =
        splice_min.map_or_else(String::new, |size| format!("splice_bytes_min = \"{}B\"\n", size.length_bytes()));
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
{splice}
[log]
access = \"off\"
"
    )
}
