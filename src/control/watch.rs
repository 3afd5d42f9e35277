//! A configuration whose changes are noticed as they are made.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use notify::event::ModifyKind;
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::config;

/// How long nothing may change before what has changed is read: editors write a file in several steps.
const QUIET: Duration = Duration::from_millis(200);
/// What goes on changing for so long is read all the same.
const QUIET_MAX: Duration = Duration::from_secs(2);

/// Notices changes. None after it is dropped.
pub(super) struct Watch {
    changes: mpsc::Receiver<()>,
    /// Something has changed that was not told yet.
    changing: Option<Changing>,
    files: BTreeSet<PathBuf>,
    _watcher: RecommendedWatcher,
}

/// A change that may not be over yet.
#[derive(Debug, Clone, Copy)]
struct Changing {
    /// When it is, if nothing more comes.
    quiet_at: Instant,
    /// When it is in any case.
    over_at: Instant,
}

impl Changing {
    fn begun() -> Changing {
        let now = Instant::now();
        Changing { quiet_at: now + QUIET, over_at: now + QUIET_MAX }
    }

    fn go_on(&mut self) {
        self.quiet_at = (Instant::now() + QUIET).min(self.over_at);
    }
}

impl Watch {
    /// Watches the folders of the files that the configuration at `path` consists of: many editors, and those who mount
    /// configurations, replace a file instead of writing to it. What else appears there or goes may be noticed as well; a reload
    /// finds that nothing changed. `has_changed` says that something may have changed already.
    pub(super) fn new(path: &Path, has_changed: bool) -> anyhow::Result<Watch> {
        Watch::of(files(path)?, has_changed)
    }

    /// Watches these files and folders, in the same way.
    pub(super) fn of(files: BTreeSet<PathBuf>, has_changed: bool) -> anyhow::Result<Watch> {
        let (sender, changes) = mpsc::channel(1);
        let known = files.clone();
        let notice = move |event: notify::Result<Event>| {
            if event.is_ok_and(|event| is_change(&event, &known)) {
                // One that waits already says the same.
                let _ = sender.try_send(());
            }
        };
        let mut watcher = notify::recommended_watcher(notice).context("files cannot be watched")?;
        for folder in folders(&files) {
            let watched = watcher.watch(&folder, RecursiveMode::NonRecursive);
            watched.with_context(|| format!("{} cannot be watched", folder.display()))?;
        }
        Ok(Watch { changes, changing: has_changed.then(Changing::begun), files, _watcher: watcher })
    }

    /// Whether it watches all that the configuration at `path` consists of now, and nothing else.
    pub(super) fn is_of(&self, path: &Path) -> bool {
        files(path).is_ok_and(|files| files == self.files)
    }

    /// Whether it watches these files and folders, and nothing else.
    pub(super) fn watches(&self, files: &BTreeSet<PathBuf>) -> bool {
        self.files == *files
    }

    /// Waits until something has changed, and then nothing for a moment. May be dropped and called again as often as the caller
    /// likes: how long it has been quiet is not forgotten.
    pub(super) async fn noticed(watch: &mut Option<Watch>) {
        let Some(watch) = watch else { return std::future::pending().await };
        let changing = match &mut watch.changing {
            Some(changing) => changing,
            none => {
                if watch.changes.recv().await.is_none() {
                    return std::future::pending().await;
                }
                none.insert(Changing::begun())
            }
        };
        while let Ok(Some(())) = tokio::time::timeout_at(changing.quiet_at, watch.changes.recv()).await {
            if Instant::now() >= changing.over_at {
                break;
            }
            changing.go_on();
        }
        watch.changing = None;
    }
}

/// Whether an event may concern the configuration of these files: one that tells of names may (a file that is included appears,
/// a link is replaced), and one that tells of contents does if they are those of such a file. A log that is written beside
/// them is none of ours.
fn is_change(event: &Event, files: &BTreeSet<PathBuf>) -> bool {
    match event.kind {
        EventKind::Access(_) => false,
        EventKind::Modify(ModifyKind::Data(_) | ModifyKind::Metadata(_)) => {
            event.paths.iter().any(|path| files.contains(path))
        }
        _ => true,
    }
}

/// The files that the configuration at `path` consists of, and `path` itself.
fn files(path: &Path) -> anyhow::Result<BTreeSet<PathBuf>> {
    let files = config::files(path)?;
    Ok(files.iter().map(PathBuf::as_path).chain([path]).map(std::path::absolute).collect::<Result<_, _>>()?)
}

/// Their folders.
fn folders(files: &BTreeSet<PathBuf>) -> BTreeSet<PathBuf> {
    let folder = |file: &PathBuf| {
        if file.is_dir() { file.clone() } else { file.parent().map_or_else(PathBuf::new, Path::to_path_buf) }
    };
    files.iter().map(folder).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watch(folder: &Path, has_changed: bool) -> Option<Watch> {
        std::fs::write(folder.join("ringway.toml"), "").unwrap();
        Some(Watch::new(&folder.join("ringway.toml"), has_changed).unwrap())
    }

    fn run(test: impl Future<Output = ()>) {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(test);
    }

    #[test]
    fn a_change_is_noticed_however_often_the_wait_is_dropped() {
        let folder = tempfile::tempdir().unwrap();
        run(async {
            let mut watch = watch(folder.path(), true);
            // The control loop has other things to do in between, far more often than it is quiet for long enough.
            let mut between = tokio::time::interval(QUIET / 10);
            loop {
                tokio::select! {
                    () = Watch::noticed(&mut watch) => break,
                    _ = between.tick() => {}
                }
            }
        });
    }

    #[test]
    fn what_goes_on_changing_is_noticed_in_time() {
        let folder = tempfile::tempdir().unwrap();
        run(async {
            let mut watch = watch(folder.path(), false);
            let mut noticed = std::pin::pin!(Watch::noticed(&mut watch));
            let mut between = tokio::time::interval(QUIET / 10);
            loop {
                tokio::select! {
                    () = &mut noticed => break,
                    _ = between.tick() => std::fs::write(folder.path().join("ringway.toml"), "[log]\n").unwrap(),
                }
            }
        });
    }

    #[test]
    fn only_files_of_the_configuration_are_looked_into() {
        use notify::event::{CreateKind, DataChange};
        let files = BTreeSet::from([PathBuf::from("/etc/ringway/ringway.toml")]);
        let told = |kind, path: &str| is_change(&Event::new(kind).add_path(path.into()), &files);
        let written = EventKind::Modify(ModifyKind::Data(DataChange::Any));
        assert!(told(written, "/etc/ringway/ringway.toml"));
        assert!(!told(written, "/etc/ringway/access.log"));
        assert!(told(EventKind::Create(CreateKind::File), "/etc/ringway/more.toml"));
    }
}
