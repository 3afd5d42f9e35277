//! nginx: one worker, keep-alive to the upstream, buffers that fit large bodies.

use std::{ffi::OsString, fmt::Write, fs, path::Path, process::Command};

use anyhow::Context;
use nix::unistd::geteuid;

use super::Site;

pub(super) fn launch(program: &Path, site: &Site<'_>) -> anyhow::Result<Command> {
    let config = site.directory.join("nginx.conf");
    fs::write(&config, config_text(site)).context("cannot write the configuration of nginx")?;
    let mut command = Command::new(program);
    command.args(arguments(&config, site.directory, "nginx"));
    Ok(command)
}

/// What nginx is started with, so that it stays in the foreground and writes nowhere but to `directory`.
pub(crate) fn arguments(config: &Path, directory: &Path, name: &str) -> Vec<OsString> {
    let error_log = directory.join(format!("{name}-error.log"));
    vec!["-p".into(), directory.into(), "-c".into(), config.into(), "-e".into(), error_log.into()]
}

/// The start of a configuration: what concerns the process, and not what it serves.
pub(crate) fn main_context(directory: &Path, name: &str) -> String {
    let directory = directory.display();
    let mut text = format!(
        "daemon off;
worker_processes 1;
pid {directory}/{name}.pid;
error_log {directory}/{name}-error.log;
"
    );
    if geteuid().is_root() {
        // Otherwise the worker becomes a user who may not read the temporary folder.
        text.push_str("user root;\n");
    }
    text
}

/// The start of the `http` context: what the proxy and the upstream have in common.
pub(crate) fn http_settings(directory: &Path) -> String {
    let mut text = String::from(
        "    access_log off;
    keepalive_timeout 600s;
    keepalive_requests 1000000000;
",
    );
    // nginx creates all of these when it starts, used or not, and the defaults belong to root.
    for module in ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"] {
        writeln!(text, "    {module}_temp_path {}/{module};", directory.display())
            .expect("a String takes whatever is written");
    }
    text
}

fn config_text(site: &Site<'_>) -> String {
    let Site { listen, upstream, scenario, directory } = site;
    let mut text = main_context(directory, "nginx");
    // Both sides of every request, twice, because the connections of one run of the load generator may still be closing
    // when those of the next arrive. nginx closes idle clients when it runs out.
    let connections = 4 * scenario.connections + 64;
    let idle_connections = scenario.connections.max(600);
    let http = http_settings(directory);
    // `proxy_max_temp_file_size 0`: a slow client must hold its upstream back, as in every other target, and not fill files.
    write!(
        text,
        "events {{
    worker_connections {connections};
}}
http {{
{http}    proxy_max_temp_file_size 0;
    upstream app {{
        server {upstream};
        keepalive {idle_connections};
        keepalive_timeout 600s;
        keepalive_requests 1000000000;
    }}
    server {{
        listen {listen};
        location / {{
            proxy_pass http://app;
            proxy_http_version 1.1;
            proxy_set_header Connection \"\";
            proxy_buffers 8 16k;
        }}
    }}
}}
"
    )
    .expect("a String takes whatever is written");
    text
}
