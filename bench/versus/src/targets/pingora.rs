//! Pingora: the service of `bench/pingora`, one thread without work stealing, jemalloc, as many kept upstream connections as it may
//! need. Body buffers are its own 64 KiB.

use std::{path::Path, process::Command};

use super::Site;

pub(super) fn launch(program: &Path, site: &Site<'_>) -> Command {
    let mut command = Command::new(program);
    command.args(["--listen", &site.listen.to_string(), "--upstream", &site.upstream.to_string()]);
    command.args(["--idle-connections", &site.scenario.connections.max(1024).to_string()]);
    command
}
