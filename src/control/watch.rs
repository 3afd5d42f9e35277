//! A configuration whose changes are noticed as they are made.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::mpsc;

use crate::config;

/// How long nothing may change before what has changed is read: editors write a file in several steps.
const QUIET: Duration = Duration::from_millis(200);

/// Notices changes. None after it is dropped.
pub(super) struct Watch {
    changes: mpsc::Receiver<()>,
    /// Something has changed that was not told yet.
    has_changed: bool,
    folders: BTreeSet<PathBuf>,
    _watcher: RecommendedWatcher,
}

impl Watch {
    /// Watches the folders of the files that the configuration at `path` consists of: many editors, and those who mount
    /// configurations, replace a file instead of writing to it. What else lies there may be noticed as well; a reload finds that
    /// nothing changed. `has_changed` says that something may have changed already.
    pub(super) fn new(path: &Path, has_changed: bool) -> anyhow::Result<Watch> {
        let folders = folders(path)?;
        let (sender, changes) = mpsc::channel(1);
        let notice = move |event: notify::Result<notify::Event>| {
            let is_change = event.is_ok_and(|event| !matches!(event.kind, EventKind::Access(_)));
            if is_change {
                // One that waits already says the same.
                let _ = sender.try_send(());
            }
        };
        let mut watcher = notify::recommended_watcher(notice).context("files cannot be watched")?;
        for folder in &folders {
            let watched = watcher.watch(folder, RecursiveMode::NonRecursive);
            watched.with_context(|| format!("{} cannot be watched", folder.display()))?;
        }
        Ok(Watch { changes, has_changed, folders, _watcher: watcher })
    }

    /// Whether it watches all that the configuration at `path` consists of now, and nothing else.
    pub(super) fn is_of(&self, path: &Path) -> bool {
        folders(path).is_ok_and(|folders| folders == self.folders)
    }

    /// Waits until something has changed, and then nothing for a moment. May be dropped and called again.
    pub(super) async fn noticed(watch: &mut Option<Watch>) {
        let Some(watch) = watch else { return std::future::pending().await };
        if !watch.has_changed {
            if watch.changes.recv().await.is_none() {
                return std::future::pending().await;
            }
            watch.has_changed = true;
        }
        while let Ok(Some(())) = tokio::time::timeout(QUIET, watch.changes.recv()).await {}
        watch.has_changed = false;
    }
}

/// The folders of the files that the configuration at `path` consists of.
fn folders(path: &Path) -> anyhow::Result<BTreeSet<PathBuf>> {
    let mut folders = BTreeSet::new();
    for file in config::files(path)?.iter().map(PathBuf::as_path).chain([path]) {
        let file = std::path::absolute(file)?;
        let above = || file.parent().map_or_else(PathBuf::new, Path::to_path_buf);
        folders.insert(if file.is_dir() { file.clone() } else { above() });
    }
    Ok(folders)
}
