//! The programs that a bench needs and finds installed.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::Context;

/// Where system administration programs live, which is not on every user's PATH.
const SYSTEM_FOLDERS: [&str; 3] = ["/usr/local/sbin", "/usr/sbin", "/sbin"];

/// The path of an installed program.
///
/// # Errors
/// Fails, naming what to install, when it is neither on the PATH nor among the system's own programs.
pub fn installed(name: &str) -> anyhow::Result<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .chain(SYSTEM_FOLDERS.map(PathBuf::from))
        .map(|folder| folder.join(name))
        .find(|program| program.is_file())
        .with_context(|| format!("{name} is not installed; tests/install.sh --bench installs what the benches need"))
}

/// What a program says of its version, on one line.
#[must_use]
pub fn version(program: &Path) -> String {
    version_by(program, "-v")
}

/// What a program says of its version when it is asked by `argument`, on one line.
#[must_use]
pub fn version_by(program: &Path, argument: &str) -> String {
    // nginx tells on standard error, and wrk ends with an error after it has told.
    let Ok(output) = Command::new(program).arg(argument).output() else { return "unknown".into() };
    let text = [output.stdout, output.stderr].concat();
    version_line(&String::from_utf8_lossy(&text)).to_owned()
}

/// The first line, without the authors and addresses that may follow the version.
fn version_line(text: &str) -> &str {
    let line = text.lines().find(|line| !line.trim().is_empty()).unwrap_or("unknown");
    [" Copyright", " - "].iter().fold(line, |line, mark| line.split(mark).next().unwrap_or(line)).trim()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_one_line_without_addresses() {
        for (text, version) in [
            ("nginx version: nginx/1.22.1\n", "nginx version: nginx/1.22.1"),
            (
                "HAProxy version 2.6.12 2026/10/17 - https://haproxy.org/\nStatus: x\n",
                "HAProxy version 2.6.12 2026/10/17",
            ),
            ("wrk 4.1.0 [epoll] Copyright (C) 2012 Will Glozer\nUsage: wrk\n", "wrk 4.1.0 [epoll]"),
            ("", "unknown"),
        ] {
            assert_eq!(version_line(text), version);
        }
    }
}
