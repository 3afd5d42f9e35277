//! nginx as every bench starts it: in the foreground, one worker, all it writes in one folder.

use std::{ffi::OsString, fmt::Write, path::Path};

use nix::unistd::geteuid;

/// What nginx is started with, so that it writes nowhere but to `directory`.
#[must_use]
pub fn arguments(config: &Path, directory: &Path, name: &str) -> Vec<OsString> {
    let error_log = directory.join(format!("{name}-error.log"));
    vec!["-p".into(), directory.into(), "-c".into(), config.into(), "-e".into(), error_log.into()]
}

/// The start of a configuration: what concerns the process, and not what it serves.
#[must_use]
pub fn main_context(directory: &Path, name: &str) -> String {
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
///
/// # Panics
/// Never: a `String` takes whatever is written.
#[must_use]
pub fn http_settings(directory: &Path) -> String {
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
