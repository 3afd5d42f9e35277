//! The bare proxies of `bench/runtimes`: what the foundation alone costs.

use std::{path::Path, process::Command};

use super::Site;

pub(super) fn launch(program: &Path, runtime: &str, site: &Site<'_>) -> Command {
    let mut command = Command::new(program);
    command.arg(runtime);
    command.args(["--listen", &site.listen.to_string(), "--upstream", &site.upstream.to_string()]);
    command
}
