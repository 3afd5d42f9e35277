//! Another revision of Ringway, built beside this one.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, ensure};
use bench_versus::programs::run_cargo;

/// Another revision's name and binary.
#[derive(Debug)]
pub(crate) struct Revision {
    pub(crate) name: String,
    pub(crate) ringway: PathBuf,
}

/// A git worktree, which goes when this does. What was built of it stays in its own target folder, for the next time.
struct Worktree(PathBuf);

impl Revision {
    /// Checks it out into a folder of its own and builds it as this one is, frame pointers included.
    pub(crate) fn build(revision: &str) -> anyhow::Result<Self> {
        let name = git(&["rev-parse", "--short", "--verify", "--end-of-options", &format!("{revision}^{{commit}}")])?;
        let target = env::var_os("CARGO_TARGET_DIR").map_or_else(|| PathBuf::from("target"), PathBuf::from);
        let folder = env::current_dir().context("no working folder")?.join(target).join("flame");
        std::fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
        let worktree = Worktree::add(folder.join(&name), &name)?;
        eprintln!("building ringway of {name}");
        let mut build = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        build
            .current_dir(&worktree.0)
            .args(["build", "--release", "--package", "ringway", "--bin", "ringway"])
            .args(["--config", "build.rustflags=[\"-Cforce-frame-pointers=yes\"]"])
            .arg("--target-dir")
            .arg(folder.join(format!("{name}-target")));
        let ringway = run_cargo(build, "ringway").with_context(|| format!("revision {name}"))?;
        Ok(Self { name, ringway })
    }
}

impl Worktree {
    fn add(folder: PathBuf, revision: &str) -> anyhow::Result<Worktree> {
        // One that an interrupted run has left.
        if folder.exists() {
            git(&["worktree", "remove", "--force", path(&folder)?])?;
        }
        git(&["worktree", "add", "--detach", "--force", path(&folder)?, revision])?;
        Ok(Worktree(folder))
    }
}

impl Drop for Worktree {
    fn drop(&mut self) {
        let removed = path(&self.0).and_then(|path| git(&["worktree", "remove", "--force", path]));
        if let Err(error) = removed {
            eprintln!("the worktree {} stays: {error:#}", self.0.display());
        }
    }
}

fn path(path: &Path) -> anyhow::Result<&str> {
    path.to_str().with_context(|| format!("{} is not UTF-8", path.display()))
}

fn git(arguments: &[&str]) -> anyhow::Result<String> {
    let output = Command::new("git").args(arguments).output().context("cannot start git")?;
    let told = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "git {} failed: {}", arguments.join(" "), told.trim());
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_revision_is_said_by_git() {
        let error = Revision::build("no-such-revision").unwrap_err();
        assert!(error.to_string().contains("git rev-parse"), "{error:#}");
    }
}
