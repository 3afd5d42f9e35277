//! The access log: what the shards recorded, written to standard output by a thread of its own.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::Context;
use engine::{Complaint, Recorder, Records};

/// Bytes of records that may wait for the writer, a shard.
const WAITING_BYTES_MAX: usize = 1 << 20;
/// How long the writer rests when it has found nothing to write. Shards do not wake it: that would cost each request more
/// than its record.
const REST: Duration = Duration::from_millis(20);

/// The thread that writes, and what it reads from.
pub(crate) struct AccessWriter {
    records: Vec<Records>,
    stopping: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl AccessWriter {
    pub(crate) fn new() -> AccessWriter {
        AccessWriter { records: Vec::new(), stopping: Arc::default(), thread: None }
    }

    /// The recorder of one more shard; to be asked for before the start.
    pub(crate) fn recorder(&mut self) -> Recorder {
        let (recorder, records) = engine::recorder(WAITING_BYTES_MAX);
        self.records.push(records);
        recorder
    }

    pub(crate) fn start(&mut self) -> anyhow::Result<()> {
        let records = std::mem::take(&mut self.records);
        let stopping = Arc::clone(&self.stopping);
        let thread = std::thread::Builder::new().name("access-log".to_owned());
        let thread = thread.spawn(move || run(records, &stopping)).context("the access log cannot be started")?;
        self.thread = Some(thread);
        Ok(())
    }

    /// Writes what is left, once the shards have ended.
    pub(crate) fn finish(mut self) {
        self.stopping.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // Its panic was logged.
            let _ = thread.join();
        }
    }
}

fn run(mut records: Vec<Records>, stopping: &AtomicBool) {
    let mut out = Output::new(io::stdout().as_fd());
    let complaint = Complaint::default();
    loop {
        // Asked before looking: what was recorded before the order to stop is then seen.
        let last = stopping.load(Ordering::Acquire);
        let mut found = false;
        for records in &mut records {
            match write(records, &mut out) {
                Ok(some) => found |= some,
                Err(error) => {
                    if let Some(untold) = complaint.due(Instant::now()) {
                        tracing::error!(%error, untold, "access records are lost: standard output does not take them");
                    }
                }
            }
        }
        match (found, last) {
            (false, true) => return,
            (false, false) => std::thread::park_timeout(REST),
            (true, _) => {}
        }
    }
}

/// Writes what one shard has recorded; whole lines, since a shard commits whole lines. Tells whether there was any.
fn write(records: &mut Records, out: &mut Output) -> io::Result<bool> {
    let waiting = records.slots();
    if waiting == 0 {
        return Ok(false);
    }
    let Ok(chunk) = records.read_chunk(waiting) else { return Ok(false) };
    let (first, second) = chunk.as_slices();
    let written = out.write(first).and_then(|()| out.write(second));
    // Also on failure: what cannot be written must not stop the shards' records for ever.
    chunk.commit_all();
    written.map(|()| true)
}

/// Standard output without a buffer of its own: one would keep what could not be written, and write it twice.
struct Output {
    /// `None` if standard output cannot be had.
    file: Option<File>,
    /// Whether what was written ends in the middle of a line.
    mid_line: bool,
    /// Whether the rest of that line is lost, as when the disk was full in its middle.
    torn: bool,
}

impl Output {
    fn new(stdout: BorrowedFd<'_>) -> Output {
        Output { file: stdout.try_clone_to_owned().ok().map(File::from), mid_line: false, torn: false }
    }

    /// Writes `bytes`. After a failure, the next call begins with a whole line.
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        if std::mem::take(&mut self.torn) {
            self.write_through(b"\n")?;
        }
        self.write_through(bytes)
    }

    fn write_through(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        let Some(file) = &mut self.file else { return Err(io::ErrorKind::BrokenPipe.into()) };
        while !bytes.is_empty() {
            match file.write(bytes) {
                Ok(written) if written > 0 => {
                    self.mid_line = bytes[written - 1] != b'\n';
                    bytes = &bytes[written..];
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                failed => {
                    self.torn = self.mid_line;
                    return failed.and(Err(io::ErrorKind::WriteZero.into()));
                }
            }
        }
        Ok(())
    }
}
