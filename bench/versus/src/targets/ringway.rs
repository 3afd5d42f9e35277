//! Ringway: one shard, as it comes, on its second backend, with another threshold for splicing, with more shards on the same core,
//! or with all that a day's operation asks for.

use std::{fs, path::Path, process::Command};

use anyhow::Context;
use bench_common::body::Body;

use super::Site;
use crate::certificate::Certificate;

/// What is set unlike Ringway's defaults.
pub(super) struct Settings {
    pub(super) io: &'static str,
    pub(super) splice_min: Option<Body>,
    /// Access log, metrics, admin socket and an edit of a header; without, all of them are off.
    pub(super) daily: bool,
    /// Shards, all on the one core.
    pub(super) shards: u32,
    /// Whether requests share connections to the upstream.
    pub(super) coalesces: bool,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings { io: "io_uring", splice_min: None, daily: false, shards: 1, coalesces: false }
    }
}

pub(super) fn launch(program: &Path, site: &Site<'_>, settings: &Settings) -> anyhow::Result<Command> {
    let config = site.directory.join("ringway.toml");
    fs::write(&config, config_text(site, settings)).context("cannot write the configuration of ringway")?;
    let mut command = Command::new(program);
    // One process, whose CPU time is what the data plane costs. The supervisor would sleep beside it.
    command.arg("serve").arg("--no-supervisor").arg("--config").arg(config);
    Ok(command)
}

fn config_text(site: &Site<'_>, settings: &Settings) -> String {
    let Site { listen, upstream, scenario, directory, certificate } = site;
    let idle_connections = scenario.requests_max().max(1024);
    let splice = settings
        .splice_min
        .map_or_else(String::new, |size| format!("splice_bytes_min = \"{}B\"\n", size.length_bytes()));
    let (log, admin, metrics, edit) = match settings.daily {
        false => ("\"off\"".to_owned(), "off".to_owned(), false, ""),
        true => (
            format!("{{ format = \"combined\", path = \"{}\" }}", directory.join("access.log").display()),
            format!("unix:{}", directory.join("admin.sock").display()),
            true,
            "request_headers = { set = { X-Edited = \"yes\" } }\n",
        ),
    };
    let (secured, tls) = certificate.map_or_else(Default::default, |Certificate { certificate, key, .. }| {
        let (certificate, key) = (certificate.display(), key.display());
        let tls = format!("\n[tls]\ncertificate = \"{certificate}\"\nkey = \"{key}\"\nprofile = \"modern\"\n");
        ("tls = true\n", tls)
    });
    let Settings { io, shards, coalesces, .. } = settings;
    // The process inherits its core, as every target does; pinning once more could only move it.
    format!(
        "access_log = {log}

[[listeners]]
address = \"{listen}\"
{secured}
[upstreams.app]
servers = [\"{upstream}\"]
idle_connections = {idle_connections}

[[routes]]
prefix = \"/\"
upstream = \"app\"
coalesce = {coalesces}
{edit}
[shards]
count = {shards}
pin = false
io = \"{io}\"
{splice}
[admin]
address = \"{admin}\"

[metrics]
enabled = {metrics}
{tls}"
    )
}
