//! nginx: one worker, keep-alive to the upstream, buffers that fit large bodies and messages.

use std::{fmt::Write, fs, path::Path, process::Command};

use anyhow::Context;
use bench_common::nginx::{arguments, http_settings, main_context};

use super::Site;
use crate::{certificate::Certificate, scenario::Work};

/// What a request to the upstream says so that its connection is kept, or becomes a tunnel.
const KEEP_ALIVE: &str = "            proxy_set_header Connection \"\";\n";
const UPGRADE: &str =
    "            proxy_set_header Upgrade $http_upgrade;\n            proxy_set_header Connection \"upgrade\";\n";

pub(super) fn launch(program: &Path, site: &Site<'_>, logs: bool) -> anyhow::Result<Command> {
    let config = site.directory.join("nginx.conf");
    fs::write(&config, config_text(site, logs)).context("cannot write the configuration of nginx")?;
    let mut command = Command::new(program);
    command.args(arguments(&config, site.directory, "nginx"));
    Ok(command)
}

fn config_text(site: &Site<'_>, logs: bool) -> String {
    let Site { listen, upstream, scenario, directory, certificate } = site;
    let mut text = main_context(directory, "nginx");
    // Both sides of every request, twice, because the connections of one run of the load generator may still be closing
    // when those of the next arrive. nginx closes idle clients when it runs out.
    let connections = 2 * (scenario.connections + scenario.requests_max()) + 64;
    let idle_connections = scenario.requests_max().max(600);
    let mut http = http_settings(directory);
    if logs {
        // Buffered, as Ringway writes its own: without, nginx would make a system call for each line.
        let log = format!("access_log {}/access.log combined buffer=64k flush=1s;", directory.display());
        http = http.replace("access_log off;", &log);
        assert!(http.contains("flush=1s"), "the settings of nginx turn its log off by a line of their own");
    }
    // Through a tunnel nginx moves what fits `proxy_buffer_size`: a message with its frame's head shall. Else, its default.
    let (headers, buffer_bytes) = match scenario.work {
        Work::Echo(message_bytes) => (UPGRADE, (2 * message_bytes).clamp(4 << 10, 64 << 10)),
        _ => (KEEP_ALIVE, 4 << 10),
    };
    let (ssl, tls) = certificate.map_or_else(Default::default, |Certificate { certificate, key, .. }| {
        let (certificate, key) = (certificate.display(), key.display());
        // Tickets are on as it comes.
        let tls = format!(
            "        ssl_certificate {certificate};\n        ssl_certificate_key {key};\n        ssl_protocols TLSv1.3;\n"
        );
        (" ssl", tls)
    });
    // With `http2`, a listener without TLS speaks nothing else.
    let (http2, streams) = scenario.streams.map_or_else(Default::default, |streams| {
        (" http2", format!("        http2_max_concurrent_streams {};\n", streams.max(128)))
    });
    // `proxy_max_temp_file_size 0` and `proxy_request_buffering off`: a slow client must hold its upstream back, as in every other
    // target, and not fill files; bodies pass as they come.
    write!(
        text,
        "events {{
    worker_connections {connections};
}}
http {{
{http}    proxy_max_temp_file_size 0;
    proxy_request_buffering off;
    client_body_buffer_size 64k;
    upstream app {{
        server {upstream};
        keepalive {idle_connections};
        keepalive_timeout 600s;
        keepalive_requests 1000000000;
    }}
    server {{
        listen {listen}{ssl}{http2};
{tls}{streams}        location / {{
            proxy_pass http://app;
            proxy_http_version 1.1;
{headers}            proxy_buffers 8 16k;
            proxy_buffer_size {buffer_bytes};
            proxy_read_timeout 600s;
        }}
    }}
}}
"
    )
    .expect("a String takes whatever is written");
    text
}
