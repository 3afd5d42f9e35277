//! h2o: one thread, keep-alive to the upstream, nothing that the scenario does not need.

use std::{fs, path::Path, process::Command};

use anyhow::Context;
use nix::unistd::geteuid;

use super::Site;
use crate::{certificate::Certificate, scenario::Work};

pub(super) fn launch(program: &Path, site: &Site<'_>) -> anyhow::Result<Command> {
    let config = site.directory.join("h2o.yaml");
    fs::write(&config, config_text(site, geteuid().is_root())).context("cannot write the configuration of h2o")?;
    let mut command = Command::new(program);
    command.arg("--conf").arg(config);
    Ok(command)
}

fn config_text(site: &Site<'_>, is_root: bool) -> String {
    let Site { listen, upstream, scenario, directory, certificate } = site;
    // Clients, twice, because the connections of one run of the load generator may still be closing when those of the next
    // arrive. At its default of 1024, h2o lets further ones wait.
    let connections_max = 2 * scenario.connections + 1024;
    // Timeouts are so long, in seconds or milliseconds as h2o has it, that no connection is closed between the rounds.
    let websocket = if matches!(scenario.work, Work::Echo(_)) { "\n        proxy.websocket: ON" } else { "" };
    // What is measured is the client's choice of TLS 1.3; this h2o knows no word for it.
    let tls = certificate.map_or_else(String::new, |Certificate { certificate, key, .. }| {
        let (certificate, key) = (certificate.display(), key.display());
        format!("  ssl:\n    certificate-file: {certificate}\n    key-file: {key}\n    minimum-version: TLSv1.2\n")
    });
    // Without TLS, the word for upgrades decides as well whether a connection may begin with HTTP/2's preface.
    let (upgrades, http2) = match scenario.streams {
        None => ("OFF", String::new()),
        Some(streams) => {
            let streams = streams.max(100);
            ("ON", format!("http2-idle-timeout: 600\nhttp2-max-concurrent-requests-per-connection: {streams}\n"))
        }
    };
    // Otherwise it becomes a user who may not read the temporary folder.
    let user = if is_root { "user: root\n" } else { "" };
    format!(
        "num-threads: 1
max-connections: {connections_max}
{user}pid-file: {directory}/h2o.pid
temp-buffer-path: {directory}
http1-request-timeout: 600
http1-upgrade-to-http2: {upgrades}
{http2}listen:
  host: {host}
  port: {port}
{tls}hosts:
  default:
    paths:
      \"/\":
        proxy.reverse.url: \"http://{upstream}/\"
        proxy.preserve-host: ON
        proxy.timeout.keepalive: 600000
        proxy.timeout.io: 600000{websocket}
",
        directory = directory.display(),
        host = listen.ip(),
        port = listen.port(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configuration_is_as_written_here() {
        assert_eq!(
            config_text(&Site::example("small@64"), true),
            "num-threads: 1
max-connections: 1152
user: root
pid-file: /scratch/h2o.pid
temp-buffer-path: /scratch
http1-request-timeout: 600
http1-upgrade-to-http2: OFF
listen:
  host: 127.0.0.1
  port: 8001
hosts:
  default:
    paths:
      \"/\":
        proxy.reverse.url: \"http://127.0.0.1:8002/\"
        proxy.preserve-host: ON
        proxy.timeout.keepalive: 600000
        proxy.timeout.io: 600000
"
        );
        assert!(config_text(&Site::example("ws@64"), false).contains("proxy.websocket: ON\n"));
    }
}
