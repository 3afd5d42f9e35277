//! Standard output as a target.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;

use super::Sink;
use super::appender::Appender;

/// Standard output, by a descriptor of its own.
pub(super) struct Stdout(Appender);

impl Stdout {
    pub(super) fn open() -> io::Result<Stdout> {
        let own = io::stdout().as_fd().try_clone_to_owned()?;
        Ok(Stdout(Appender::new(File::from(own))))
    }
}

impl Sink for Stdout {
    fn write(&mut self, lines: &[u8]) -> io::Result<usize> {
        self.0.write(lines)
    }
}
