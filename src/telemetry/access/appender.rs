//! A descriptor to which whole lines are appended.

use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};

/// The descriptor, without a buffer: one would keep what could not be written, and write it twice.
pub(super) struct Appender {
    file: File,
    /// Whether it is a file that can be cut off, and not a pipe or a terminal.
    is_regular: bool,
    /// Bytes of a line that was begun and goes on with the next write.
    begun_bytes: u64,
    /// Whether a line was begun whose rest is lost.
    is_torn: bool,
}

impl Appender {
    pub(super) fn new(file: File) -> Appender {
        let is_regular = file.metadata().is_ok_and(|metadata| metadata.is_file());
        Appender { file, is_regular, begun_bytes: 0, is_torn: false }
    }

    pub(super) fn file(&self) -> &File {
        &self.file
    }

    pub(super) fn is_regular(&self) -> bool {
        self.is_regular
    }

    /// Whether what was written ends with a whole line.
    pub(super) fn is_at_line(&self) -> bool {
        self.begun_bytes == 0
    }

    /// As [`super::Sink::write`].
    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.is_torn {
            match self.write_once(b"\n") {
                Ok(1..) => self.is_torn = false,
                other => return other,
            }
        }
        match self.write_once(bytes) {
            Ok(written) => {
                let whole = bytes[..written].iter().rposition(|byte| *byte == b'\n');
                self.begun_bytes = match whole {
                    Some(newline) => (written - newline - 1) as u64,
                    None => self.begun_bytes + written as u64,
                };
                Ok(written)
            }
            Err(error) => {
                self.cut_off();
                Err(error)
            }
        }
    }

    fn write_once(&mut self, bytes: &[u8]) -> io::Result<usize> {
        loop {
            match self.file.write(bytes) {
                Ok(0) if !bytes.is_empty() => return Err(io::ErrorKind::WriteZero.into()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(0),
                result => return result,
            }
        }
    }

    /// Takes the line that was begun back, as when the disk was full in its middle. Where that cannot be done, the next line
    /// at least begins as one.
    fn cut_off(&mut self) {
        let begun = std::mem::take(&mut self.begun_bytes);
        if begun > 0 {
            self.is_torn = !self.is_regular || self.shorten(begun).is_err();
        }
    }

    fn shorten(&mut self, by: u64) -> io::Result<()> {
        let (end, length) = (self.file.stream_position()?, self.file.metadata()?.len());
        // Another process, such as the one before us, may have written behind our line.
        if end != length || by > end {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        self.file.set_len(end - by)?;
        self.file.seek(SeekFrom::Start(end - by)).map(drop)
    }
}
