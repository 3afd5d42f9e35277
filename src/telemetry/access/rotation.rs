//! Files that were put aside: their names, their compression, and their end.
//!
//! A file `access.log` becomes `access.log.20261120T072134.043012`, and later `access.log.20261120T072134.043012.gz`. Whatever
//! moment a crash comes at, every line is in one file: the compressed file appears under its name only when it is whole and on
//! the disk, and the other is removed after that. What was left half done is finished by the next process.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter};
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;
use std::time::Duration;

use engine::Utc;
use flate2::Compression;
use flate2::write::GzEncoder;
use plan::access_log::Rotation;

/// How long nobody must have written to a file until it is compressed: a process that still has it open notices sooner than
/// this that it was put aside.
const SETTLED_AFTER: Duration = Duration::from_secs(2);
/// `.20261120T072134.043012`
const STAMP_BYTES: usize = 23;
const COMPRESSED: &str = ".gz";
const UNFINISHED: &str = ".gz.part";

/// The name of a file that is put aside now.
pub(super) struct Aside;

impl Aside {
    /// A name that no file has.
    pub(super) fn name(path: &Path) -> PathBuf {
        loop {
            let Utc { year, month, day, hour, minute, second, micros, .. } = Utc::now();
            let stamp = format!(".{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}.{micros:06}");
            let name = with_suffix(path, &stamp);
            if !name.exists() && !with_suffix(&name, COMPRESSED).exists() {
                return name;
            }
        }
    }

    /// Whether what follows the log's own name is such a stamp.
    fn is_stamp(text: &str) -> bool {
        text.len() == STAMP_BYTES
            && text.bytes().enumerate().all(|(place, byte)| match place {
                0 | 16 => byte == b'.',
                9 => byte == b'T',
                _ => byte.is_ascii_digit(),
            })
    }
}

/// The work on files that were put aside, on a thread of its own: it is slow, and the log goes on meanwhile.
#[derive(Default)]
pub(super) struct Housekeeping {
    is_due: bool,
    thread: Option<JoinHandle<io::Result<bool>>>,
}

impl Housekeeping {
    /// There may be something to do.
    pub(super) fn call(&mut self) {
        self.is_due = true;
    }

    /// Begins what is due, and takes note of what has ended.
    pub(super) fn go_on(&mut self, path: &Path, rotation: &Rotation) {
        if let Some(thread) = self.thread.take_if(|thread| thread.is_finished()) {
            match thread.join() {
                Ok(Ok(is_left)) => self.is_due |= is_left,
                Ok(Err(error)) => {
                    tracing::error!(log = %path.display(), %error, "old access logs cannot be compressed or removed");
                }
                // Its panic was logged.
                Err(_) => {}
            }
        }
        if self.is_due && self.thread.is_none() {
            let (path, rotation) = (path.to_owned(), *rotation);
            let thread = std::thread::Builder::new().name("log-rotation".to_owned());
            self.thread = thread.spawn(move || keep_house(&path, &rotation)).ok();
            self.is_due = self.thread.is_none();
        }
    }
}

/// Compresses and removes what is to be; tells whether something is left for later.
fn keep_house(path: &Path, rotation: &Rotation) -> io::Result<bool> {
    let mut is_left = false;
    let mut asides = asides(path)?;
    for surplus in asides.drain(..asides.len().saturating_sub(rotation.kept_max.into())) {
        for suffix in ["", COMPRESSED, UNFINISHED] {
            remove(&with_suffix(&surplus, suffix))?;
        }
    }
    for aside in asides.iter().filter(|_| rotation.compress) {
        is_left |= !compress(aside)?;
    }
    Ok(is_left)
}

/// The files that were put aside, oldest first, by the names that they got then.
fn asides(path: &Path) -> io::Result<Vec<PathBuf>> {
    let (Some(folder), Some(own)) = (path.parent(), path.file_name().and_then(|name| name.to_str())) else {
        return Ok(Vec::new());
    };
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let name = entry?.file_name();
        let Some(rest) = name.to_str().and_then(|name| name.strip_prefix(own)) else { continue };
        let stamp = rest.strip_suffix(UNFINISHED).or_else(|| rest.strip_suffix(COMPRESSED)).unwrap_or(rest);
        if Aside::is_stamp(stamp) {
            found.push(with_suffix(path, stamp));
        }
    }
    found.sort();
    found.dedup();
    Ok(found)
}

/// Compresses a file that was put aside; tells whether there is nothing left to do.
fn compress(aside: &Path) -> io::Result<bool> {
    let (unfinished, compressed) = (with_suffix(aside, UNFINISHED), with_suffix(aside, COMPRESSED));
    if compressed.exists() {
        remove(aside)?;
        remove(&unfinished)?;
        return Ok(true);
    }
    let modified = match fs::metadata(aside) {
        Ok(metadata) => metadata.modified()?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(true),
        Err(error) => return Err(error),
    };
    if modified.elapsed().unwrap_or_default() < SETTLED_AFTER {
        return Ok(false);
    }
    let file = OpenOptions::new().write(true).create(true).truncate(false).open(&unfinished)?;
    // Another process may be at it.
    if file.try_lock().is_err() {
        return Ok(false);
    }
    // Or have been at it until now: then it has removed what we would compress.
    let Ok(mut source) = File::open(aside) else { return Ok(true) };
    file.set_permissions(source.metadata()?.permissions())?;
    file.set_len(0)?;
    let mut encoder = GzEncoder::new(BufWriter::new(&file), Compression::default());
    io::copy(&mut source, &mut encoder)?;
    encoder.finish()?.into_inner().map_err(io::IntoInnerError::into_error)?;
    file.sync_all()?;
    fs::rename(&unfinished, &compressed)?;
    remove(aside)?;
    Ok(true)
}

/// Removes a file, if it is there.
fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::time::SystemTime;

    use flate2::read::GzDecoder;

    use super::*;

    const KEEP_ALL: Rotation = Rotation { bytes_max: None, age_max: None, kept_max: 100, compress: true };

    fn write_settled(path: &Path, text: &str) {
        fs::write(path, text).unwrap();
        let file = File::options().write(true).open(path).unwrap();
        file.set_modified(SystemTime::now() - 2 * SETTLED_AFTER).unwrap();
    }

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = entries.collect();
        names.sort();
        names
    }

    fn decompressed(path: &Path) -> String {
        let mut text = String::new();
        GzDecoder::new(File::open(path).unwrap()).read_to_string(&mut text).unwrap();
        text
    }

    #[test]
    fn a_name_is_recognised_and_sorts_by_its_time() {
        let first = Aside::name(Path::new("/x/access.log"));
        let stamp = first.to_str().unwrap().strip_prefix("/x/access.log").unwrap().to_owned();
        assert!(Aside::is_stamp(&stamp), "{stamp}");
        assert!(Aside::is_stamp(".20261120T072134.043012") && !Aside::is_stamp(".1") && !Aside::is_stamp(".bak"));
        assert!(!Aside::is_stamp(".20261120X072134.043012"));
    }

    #[test]
    fn what_a_crash_left_is_finished_whatever_its_moment() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("access.log");
        let aside = |day: u8| with_suffix(&path, &format!(".202611{day:02}T000000.000000"));
        // After the rename; in the middle of the compression; before the original was removed.
        write_settled(&aside(1), "one\n");
        write_settled(&aside(2), "two\n");
        fs::write(with_suffix(&aside(2), UNFINISHED), b"half of it").unwrap();
        write_settled(&aside(3), "three\n");
        fs::write(with_suffix(&aside(3), COMPRESSED), b"whole").unwrap();
        // Not of ours.
        fs::write(folder.path().join("access.log.1"), "x").unwrap();
        fs::write(&path, "now\n").unwrap();

        assert!(!keep_house(&path, &KEEP_ALL).unwrap());
        let expected = ["access.log", "access.log.1"].map(str::to_owned).into_iter();
        let expected = expected.chain((1..=3).map(|day| format!("access.log.202611{day:02}T000000.000000.gz")));
        assert_eq!(names(folder.path()), expected.collect::<Vec<_>>());
        assert_eq!(decompressed(&with_suffix(&aside(1), COMPRESSED)), "one\n");
        assert_eq!(decompressed(&with_suffix(&aside(2), COMPRESSED)), "two\n");
        assert_eq!(fs::read(with_suffix(&aside(3), COMPRESSED)).unwrap(), b"whole");
    }

    #[test]
    fn a_file_that_somebody_may_still_write_to_is_left_for_later() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("access.log");
        fs::write(with_suffix(&path, ".20261101T000000.000000"), "fresh\n").unwrap();
        assert!(keep_house(&path, &KEEP_ALL).unwrap(), "it is still to be done");
        assert_eq!(names(folder.path()), ["access.log.20261101T000000.000000"]);
    }

    #[test]
    fn the_oldest_are_removed_in_whatever_form() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("access.log");
        for (day, suffix) in [(1, ""), (2, COMPRESSED), (3, ""), (4, COMPRESSED)] {
            write_settled(&with_suffix(&path, &format!(".202611{day:02}T000000.000000{suffix}")), "x");
        }
        let rotation = Rotation { kept_max: 2, compress: false, ..KEEP_ALL };
        assert!(!keep_house(&path, &rotation).unwrap());
        assert_eq!(names(folder.path()), ["access.log.20261103T000000.000000", "access.log.20261104T000000.000000.gz"]);
    }
}
