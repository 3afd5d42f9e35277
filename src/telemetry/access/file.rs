//! A file as a target, or a named pipe.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use anyhow::Context;
use plan::access_log::{LogTarget, Place, Rotation};

use super::Sink;
use super::appender::Appender;
use super::rotation::{Aside, Housekeeping};

/// Access logs tell who visited what: not for everybody's eyes.
const MODE: u32 = 0o640;
/// How often a file with rotation is looked at: whether it is old enough, and whether another process has put it aside.
const LOOK_INTERVAL: Duration = Duration::from_millis(500);

/// The file that lines are appended to.
pub(super) struct LogFile {
    path: PathBuf,
    out: Appender,
    bytes: u64,
    /// When its first line may have been written.
    since: SystemTime,
    rotation: Option<Rotation>,
    looked_at: Option<Instant>,
    /// Whether it could not be put aside: then that waits for the next look.
    has_failed: bool,
    housekeeping: Housekeeping,
}

impl LogFile {
    pub(super) fn open(path: &Path, rotation: Option<Rotation>) -> io::Result<LogFile> {
        let (out, bytes, since) = open(path)?;
        let housekeeping = Housekeeping::default();
        let path = path.to_owned();
        let mut file = LogFile { path, out, bytes, since, rotation, looked_at: None, has_failed: false, housekeeping };
        // What a crash left half done is finished now.
        file.housekeeping.call();
        Ok(file)
    }

    /// Whether the path leads to another file by now, or to none.
    fn was_moved(&self) -> bool {
        match (fs::metadata(&self.path), self.out.file().metadata()) {
            (Ok(there), Ok(ours)) => (there.dev(), there.ino()) != (ours.dev(), ours.ino()),
            _ => true,
        }
    }

    fn is_due(&self, rotation: &Rotation) -> bool {
        let age = || self.since.elapsed().unwrap_or_default();
        self.bytes > 0
            && (rotation.bytes_max.is_some_and(|max| self.bytes >= max)
                || rotation.age_max.is_some_and(|max| age() >= max))
    }

    /// Puts the file aside and begins a new one. Every line is in one of the two: between them nothing is written, and the file
    /// changes its name in one step. If the new one cannot be opened, lines go on into the old one under its new name.
    fn rotate(&mut self) -> anyhow::Result<()> {
        // Two processes write to the file while one generation follows another: one of them puts it aside.
        if self.out.file().try_lock().is_err() {
            return Ok(());
        }
        if !self.was_moved() {
            let aside = Aside::name(&self.path);
            fs::rename(&self.path, &aside)
                .with_context(|| format!("cannot put {} aside as {}", self.path.display(), aside.display()))?;
            self.housekeeping.call();
        }
        self.reopen().with_context(|| format!("cannot begin {} anew", self.path.display()))
    }
}

impl Sink for LogFile {
    fn write(&mut self, lines: &[u8]) -> io::Result<usize> {
        let written = self.out.write(lines)?;
        self.bytes += written as u64;
        Ok(written)
    }

    fn reopen(&mut self) -> io::Result<()> {
        (self.out, self.bytes, self.since) = open(&self.path)?;
        Ok(())
    }

    fn tend(&mut self, now: Instant) -> anyhow::Result<()> {
        let Some(rotation) = self.rotation.filter(|_| self.out.is_regular() && self.out.is_at_line()) else {
            return Ok(());
        };
        let looks = self.looked_at.is_none_or(|at| now.saturating_duration_since(at) >= LOOK_INTERVAL);
        if looks {
            self.looked_at = Some(now);
            if self.was_moved() {
                self.reopen().with_context(|| format!("cannot begin {} anew", self.path.display()))?;
            }
            // Not before: what we still write to is not to be compressed.
            self.housekeeping.go_on(&self.path, &rotation);
        }
        if (self.has_failed && !looks) || !self.is_due(&rotation) {
            return Ok(());
        }
        let rotated = self.rotate();
        self.has_failed = rotated.is_err();
        rotated
    }

    fn change(&mut self, target: &LogTarget) {
        if let Place::File { rotation, .. } = &target.place {
            self.rotation = *rotation;
            self.housekeeping.call();
        }
    }
}

/// Opens the file for appending, with its length and age.
fn open(path: &Path) -> io::Result<(Appender, u64, SystemTime)> {
    let mut options = OpenOptions::new();
    options.append(true).create(true).mode(MODE);
    if fs::metadata(path).is_ok_and(|metadata| metadata.file_type().is_fifo()) {
        // Read as well, so that the opening does not wait for a reader, and the writing not fail between two readers; and not
        // to wait for one that does not read.
        options.append(false).create(false).read(true).write(true).custom_flags(libc::O_NONBLOCK);
    }
    // To look at its end. Who may only append cannot.
    let file = options.clone().read(true).open(path);
    let mut file = match file {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => options.open(path)?,
        opened => opened?,
    };
    let metadata = file.metadata()?;
    if !metadata.is_file() || metadata.len() == 0 {
        return Ok((Appender::new(file), 0, SystemTime::now()));
    }
    // A process that was killed in the middle of a line has left it without its end.
    if !ends_with_newline(&file, metadata.len()) {
        file.write_all(b"\n")?;
    }
    let since = metadata.created().unwrap_or_else(|_| SystemTime::now());
    Ok((Appender::new(file), metadata.len(), since))
}

/// Whether the file of that length does, as far as can be seen. By the descriptor: the path may lead to another file by now, if
/// another process has just put this one aside.
fn ends_with_newline(file: &File, length: u64) -> bool {
    let mut last = [b'\n'];
    file.read_exact_at(&mut last, length - 1).is_err() || last == [b'\n']
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    /// As one generation and the next do it: each rotates when it thinks so, with no more between them than the file.
    #[test]
    fn two_writers_share_a_file_and_its_rotation_and_no_line_is_lost() {
        const LINES: usize = 4_000;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("access.log");
        let rotation = Rotation { bytes_max: Some(1_000), age_max: None, kept_max: 10_000, compress: false };
        let write = |writer: usize| {
            let mut file = LogFile::open(&path, Some(rotation)).unwrap();
            for number in 0..LINES {
                let line = format!("{writer} {number}\n");
                assert_eq!(file.write(line.as_bytes()).unwrap(), line.len());
                file.tend(Instant::now()).unwrap();
            }
        };
        std::thread::scope(|scope| (0..2).for_each(|writer| _ = scope.spawn(move || write(writer))));
        let mut seen: HashMap<String, usize> = HashMap::new();
        let mut files = 0;
        for entry in fs::read_dir(folder.path()).unwrap() {
            files += 1;
            let text = fs::read_to_string(entry.unwrap().path()).unwrap();
            text.lines().for_each(|line| *seen.entry(line.to_owned()).or_default() += 1);
        }
        assert!(files > 10, "{files} files: it was put aside again and again");
        let expected = (0..2).flat_map(|writer| (0..LINES).map(move |number| format!("{writer} {number}")));
        assert!(expected.into_iter().all(|line| seen.remove(&line) == Some(1)), "each line is there once");
        assert!(seen.is_empty(), "nothing else is: {seen:?}");
    }
}
