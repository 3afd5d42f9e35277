//! The run's own folders: one that lasts as long as the run, and one that is kept, with the report for readers and for
//! programs and the configurations that were measured.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use anyhow::Context;
use serde::Serialize;

/// How configurations are recognised among the logs and files of the temporary folder.
const CONFIG_EXTENSIONS: [&str; 5] = ["conf", "cfg", "lua", "toml", "yaml"];

/// A temporary folder, in memory where the system offers that, so that no disk has a part in the figures.
///
/// # Errors
/// Fails when none can be created.
pub fn scratch_directory(bench: &str) -> anyhow::Result<tempfile::TempDir> {
    let prefix = format!("ringway-{bench}-");
    let builder = |parent| tempfile::Builder::new().prefix(&prefix).tempdir_in(parent);
    builder("/dev/shm".into()).or_else(|_| builder(env::temp_dir())).context("cannot create a temporary folder")
}

/// What is kept of a run.
#[derive(Debug)]
pub struct Run<'a, R> {
    /// The folder's name, to which a number is added when there is one already.
    pub name: &'a str,
    /// The bench, which names the files.
    pub bench: &'a str,
    /// The report for programs.
    pub report: &'a R,
    /// The report for readers.
    pub text: &'a str,
    /// The temporary folder, for the configurations in it.
    pub scratch: &'a Path,
}

impl<R: Serialize> Run<'_, R> {
    /// Writes everything to a new folder in `parent` and returns its path.
    ///
    /// # Errors
    /// Fails when something cannot be written.
    pub fn keep(&self, parent: &Path) -> anyhow::Result<PathBuf> {
        let Self { name, bench, report, text, scratch } = *self;
        fs::create_dir_all(parent).with_context(|| format!("cannot create {}", parent.display()))?;
        let folder = create_folder(parent, name)?;
        let mut json = serde_json::to_string_pretty(report).context("cannot write the report as JSON")?;
        json.push('\n');
        write(&folder.join(format!("{bench}.json")), &json)?;
        write(&folder.join(format!("{bench}.txt")), text)?;
        keep_configs(scratch, scratch, &folder.join("configs"))?;
        Ok(folder)
    }
}

/// Creates `name` in `parent`, or `name-2` and so on when the same revision was measured that day before.
fn create_folder(parent: &Path, name: &str) -> anyhow::Result<PathBuf> {
    let mut folder = parent.join(name);
    for attempt in 2..1000 {
        match fs::create_dir(&folder) {
            Ok(()) => return Ok(folder),
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
                folder = parent.join(format!("{name}-{attempt}"));
            }
            Err(error) => return Err(error).with_context(|| format!("cannot create {}", folder.display())),
        }
    }
    anyhow::bail!("too many runs of {name}")
}

/// Copies the configurations below `from`, with `$TMP` in place of the temporary folder that existed only for the run.
fn keep_configs(scratch: &Path, from: &Path, to: &Path) -> anyhow::Result<()> {
    for entry in fs::read_dir(from).with_context(|| format!("cannot list {}", from.display()))? {
        let path = entry?.path();
        let Some(name) = path.file_name() else { continue };
        if path.is_dir() {
            // The level that only groups the targets says nothing to a reader.
            let to = if name == "targets" { to.to_owned() } else { to.join(name) };
            keep_configs(scratch, &path, &to)?;
        } else if path.extension().is_some_and(|extension| CONFIG_EXTENSIONS.iter().any(|config| extension == *config))
        {
            let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
            fs::create_dir_all(to).with_context(|| format!("cannot create {}", to.display()))?;
            write(&to.join(name), &text.replace(&*scratch.to_string_lossy(), "$TMP"))?;
        }
    }
    Ok(())
}

fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_run_gets_a_folder_of_its_own() {
        let parent = tempfile::tempdir().unwrap();
        let names = [(); 3].map(|()| create_folder(parent.path(), "run").unwrap());
        assert_eq!(names, ["run", "run-2", "run-3"].map(|name| parent.path().join(name)));
    }

    #[test]
    fn configurations_are_kept_without_the_folder_they_were_written_for() {
        let (scratch, kept) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let target = scratch.path().join("targets/small@64/nginx");
        fs::create_dir_all(&target).unwrap();
        fs::write(target.join("nginx.conf"), format!("pid {}/nginx.pid;", scratch.path().display())).unwrap();
        fs::write(target.join("nginx.log"), "noise").unwrap();
        keep_configs(scratch.path(), scratch.path(), kept.path()).unwrap();
        let folder = kept.path().join("small@64/nginx");
        assert_eq!(fs::read_to_string(folder.join("nginx.conf")).unwrap(), "pid $TMP/nginx.pid;");
        assert!(!folder.join("nginx.log").exists());
    }
}
