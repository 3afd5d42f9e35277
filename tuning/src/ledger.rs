//! The record of what was changed: each old value stands on the disk before its change is made.
//!
//! ```text
//! record (old, intended) ──► set ──► record (old, written)      a crash at any arrow leaves enough to revert
//! ```

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use rustix::fs::FlockOperation;
use serde::{Deserialize, Serialize};

use crate::goal::same;
use crate::survey::Target;

/// The version of the file's form. Another one is not touched.
const VERSION: u32 = 1;
/// A record is never larger: hundreds of queues on dozens of cards.
const ENTRIES_MAX: usize = 65_536;

/// What was changed and how it was before. Writes itself to the disk at every change.
#[derive(Debug)]
pub struct Ledger {
    folder: PathBuf,
    state: State,
    /// Held for as long as this lives: two that change the same host would take each other's values for the old ones.
    _lock: Option<File>,
}

#[derive(Debug, Serialize, Deserialize)]
struct State {
    version: u32,
    entries: Vec<Entry>,
}

/// One thing that was changed.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Entry {
    /// The knob's name, for people.
    pub knob: String,
    /// What was changed.
    pub target: Target,
    /// What stood there before the first change; nothing, if the document did not exist.
    pub old: Option<String>,
    /// What a change that was begun was to put there.
    pub intended: Option<String>,
    /// What stood there after the last change that was finished.
    pub written: Option<String>,
    /// The start of the machine in which it was changed.
    pub boot_id: String,
    /// Folders that were made for a document, the outermost first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub made_folders: Vec<String>,
}

impl Entry {
    /// Whether `now` is what this tool put there.
    #[must_use]
    pub fn is_ours(&self, now: &str) -> bool {
        [&self.intended, &self.written].into_iter().flatten().any(|value| same(value, now))
    }
}

/// Why the record cannot be kept. Nothing is changed without it.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// The file or its folder cannot be read or written.
    #[error("cannot keep the record of old values in {}: {source}", path.display())]
    Io {
        /// Where.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// What stands there cannot be understood.
    #[error("{}: {why}", path.display())]
    Damaged {
        /// Where.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// Another one is at work.
    #[error("another ringway-tune is at work: it holds {}", .0.display())]
    Busy(PathBuf),
    /// More was changed than any host has.
    #[error("the record of old values is full: revert first")]
    Full,
}

impl Ledger {
    /// The record in `folder`, to be looked at. An empty one if there is none.
    ///
    /// # Errors
    /// Fails if the file is there and cannot be read or understood.
    pub fn look(folder: &Path) -> Result<Self, LedgerError> {
        Ok(Self { folder: folder.to_owned(), state: load(&folder.join(FILE))?, _lock: None })
    }

    /// The record in `folder`, to be changed: nobody else may until it is dropped. Makes the folder.
    ///
    /// # Errors
    /// Fails if it cannot be made, read or understood, or if another process has it.
    pub fn open(folder: &Path) -> Result<Self, LedgerError> {
        let path = folder.join("lock");
        let failed = |source| LedgerError::Io { path: path.clone(), source };
        fs::create_dir_all(folder).map_err(failed)?;
        let lock = File::create(&path).map_err(failed)?;
        match rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => return Err(LedgerError::Busy(path)),
            Err(error) => return Err(failed(error.into())),
        }
        Ok(Self { folder: folder.to_owned(), state: load(&folder.join(FILE))?, _lock: Some(lock) })
    }

    /// What was changed, in the order of the first changes.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        &self.state.entries
    }

    /// The entry of `target`.
    #[must_use]
    pub fn entry(&self, target: &Target) -> Option<&Entry> {
        self.state.entries.iter().find(|entry| entry.target == *target)
    }

    /// Notes that the value of `entry.target`, now `entry.old`, is going to be `entry.intended`. The old value of an
    /// earlier entry stays, unless a restart of the machine has set that back in the meantime.
    ///
    /// # Errors
    /// Fails if it cannot be written: the change must not be made then.
    pub fn begin(&mut self, entry: Entry) -> Result<(), LedgerError> {
        let is_full = self.state.entries.len() >= ENTRIES_MAX;
        match self.state.entries.iter_mut().find(|known| known.target == entry.target) {
            Some(known)
                if known.boot_id == entry.boot_id || entry.old.as_deref().is_some_and(|now| known.is_ours(now)) =>
            {
                known.intended = entry.intended;
                known.boot_id = entry.boot_id;
            }
            // Documents live longer than a start of the machine.
            Some(known) if matches!(known.target, Target::Document { .. }) => known.intended = entry.intended,
            Some(known) => *known = entry,
            None if is_full => return Err(LedgerError::Full),
            None => self.state.entries.push(entry),
        }
        self.save()
    }

    /// Notes what stands there now that the change is finished.
    ///
    /// # Errors
    /// Fails if it cannot be written.
    pub fn finish(&mut self, target: &Target, written: String) -> Result<(), LedgerError> {
        let entry = self.state.entries.iter_mut().find(|entry| entry.target == *target);
        let entry = entry.expect("a change is begun before it is finished");
        entry.intended = None;
        entry.written = Some(written);
        self.save()
    }

    /// Notes that the change was refused: what stood there stands there still. An entry without any change is none.
    ///
    /// # Errors
    /// Fails if it cannot be written.
    pub fn give_up(&mut self, target: &Target) -> Result<(), LedgerError> {
        self.state.entries.retain(|entry| entry.target != *target || entry.written.is_some());
        if let Some(entry) = self.state.entries.iter_mut().find(|entry| entry.target == *target) {
            entry.intended = None;
        }
        self.save()
    }

    /// Forgets an entry that was set back.
    ///
    /// # Errors
    /// Fails if it cannot be written.
    pub fn forget(&mut self, target: &Target) -> Result<(), LedgerError> {
        self.state.entries.retain(|entry| entry.target != *target);
        self.save()
    }

    /// Puts the whole record on the disk: beside the file, then in its place, so that a crash leaves the old one or the new.
    fn save(&self) -> Result<(), LedgerError> {
        let path = self.folder.join(FILE);
        let failed = |source| LedgerError::Io { path: path.clone(), source };
        if self.state.entries.is_empty() {
            return match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed(error)),
                _ => Ok(()),
            };
        }
        let text = serde_json::to_string_pretty(&self.state).expect("a record is plain data");
        replace_file(&path, &(text + "\n")).map_err(failed)
    }
}

const FILE: &str = "state.json";

fn load(path: &Path) -> Result<State, LedgerError> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Ok(State { version: VERSION, entries: Vec::new() });
        }
        Err(source) => return Err(LedgerError::Io { path: path.to_owned(), source }),
    };
    let damaged = |why: String| LedgerError::Damaged { path: path.to_owned(), why };
    // The version first: another one may have any form.
    let version = serde_json::from_str::<serde_json::Value>(&text).map_err(|error| damaged(error.to_string()))?;
    match version.get("version").and_then(serde_json::Value::as_u64) {
        Some(version) if version == u64::from(VERSION) => {
            serde_json::from_str(&text).map_err(|error| damaged(error.to_string()))
        }
        Some(version) => {
            Err(damaged(format!("version {version} is not known here; this ringway-tune knows {VERSION}")))
        }
        None => Err(damaged("it has no version".to_owned())),
    }
}

/// Has `path` hold `text`, or what it held before; never half of it, even over a crash of the machine.
///
/// # Errors
/// As writing, syncing and renaming give them.
pub(crate) fn replace_file(path: &Path, text: &str) -> io::Result<()> {
    let folder = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
    let beside = beside(path);
    let mut file = File::create(&beside)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&beside, path)?;
    File::open(folder)?.sync_all()
}

/// Where a file is written before it takes the place of `path`.
pub(crate) fn beside(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.new"))
}
