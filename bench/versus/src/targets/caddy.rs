//! Caddy: one processor for Go, keep-alive to the upstream, nothing that the scenario does not need. How often it collects garbage and how
//! large its buffers are is as it comes: larger ones (`read_buffer`) could not help, since Go reads a large body past them into
//! the 32 KiB of whoever copies it.

use std::{fs, path::Path, process::Command};

use anyhow::Context;

use super::Site;
use crate::certificate::{Certificate, NAME};

pub(super) fn launch(program: &Path, site: &Site<'_>) -> anyhow::Result<Command> {
    let config = site.directory.join("caddy.conf");
    fs::write(&config, config_text(site)).context("cannot write the configuration of caddy")?;
    let mut command = Command::new(program);
    command.args(["run", "--adapter", "caddyfile", "--config"]).arg(config);
    // Go would see one core anyway, the one that it may run on; this says that it is meant.
    command.env("GOMAXPROCS", "1");
    for folder in ["HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME"] {
        command.env(folder, site.directory);
    }
    Ok(command)
}

fn config_text(site: &Site<'_>) -> String {
    let Site { listen, upstream, scenario, certificate, .. } = site;
    let idle_connections = scenario.requests_max().max(1024);
    let protocols = match (scenario.streams, certificate) {
        (None, _) => "h1",
        (Some(_), Some(_)) => "h1 h2",
        (Some(_), None) => "h1 h2c",
    };
    // Clients that go to an address name no server.
    let (scheme, default_name, tls) = certificate.map_or_else(
        || ("http", String::new(), String::new()),
        |Certificate { certificate, key, .. }| {
            let (certificate, key) = (certificate.display(), key.display());
            let tls = format!("    tls {certificate} {key} {{\n        protocols tls1.3\n    }}\n");
            ("https", format!("    default_sni {NAME}\n"), tls)
        },
    );
    // Without `compression off` it would ask the upstream for gzip and unpack the answers.
    format!(
        "{{
    admin off
    auto_https off
{default_name}    log {{
        output stderr
        level ERROR
    }}
    servers {{
        protocols {protocols}
        timeouts {{
            idle 600s
        }}
    }}
}}

{scheme}://:{port} {{
    bind {host}
{tls}    reverse_proxy {upstream} {{
        transport http {{
            keepalive 600s
            keepalive_idle_conns {idle_connections}
            keepalive_idle_conns_per_host {idle_connections}
            compression off
            versions 1.1
        }}
    }}
}}
",
        port = listen.port(),
        host = listen.ip(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configuration_is_as_written_here() {
        assert_eq!(
            config_text(&Site::example("small@64")),
            "{
    admin off
    auto_https off
    log {
        output stderr
        level ERROR
    }
    servers {
        protocols h1
        timeouts {
            idle 600s
        }
    }
}

http://:8001 {
    bind 127.0.0.1
    reverse_proxy 127.0.0.1:8002 {
        transport http {
            keepalive 600s
            keepalive_idle_conns 1024
            keepalive_idle_conns_per_host 1024
            compression off
            versions 1.1
        }
    }
}
"
        );
    }
}
