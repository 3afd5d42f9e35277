//! Caddy: one processor for Go, keep-alive to the upstream, nothing that HTTP/1.1 does not need. How often it collects garbage and how
//! large its buffers are is as it comes: larger ones (`read_buffer`) could not help, since Go reads a large body past them into
//! the 32 KiB of whoever copies it.

use std::{fs, path::Path, process::Command};

use anyhow::Context;

use super::Site;

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
    let Site { listen, upstream, scenario, .. } = site;
    let idle_connections = scenario.connections.max(1024);
    // Without `compression off` it would ask the upstream for gzip and unpack the answers.
    format!(
        "{{
    admin off
    auto_https off
    log {{
        output stderr
        level ERROR
    }}
    servers {{
        protocols h1
        timeouts {{
            idle 600s
        }}
    }}
}}

http://:{port} {{
    bind {host}
    reverse_proxy {upstream} {{
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
