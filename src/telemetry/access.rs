//! The access log: what the shards recorded, written to standard output by a thread of its own.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Context;
use engine::{Recorder, Records};

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
    let mut out = std::io::stdout();
    let mut complained = false;
    loop {
        // Asked before looking: what was recorded before the order to stop is then seen.
        let last = stopping.load(Ordering::Acquire);
        let mut found = false;
        for records in &mut records {
            match write(records, &mut out) {
                Ok(some) => found |= some,
                Err(error) if complained => drop(error),
                Err(error) => {
                    complained = true;
                    tracing::error!(%error, "access records are lost: standard output does not take them");
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

/// Writes what one shard has recorded; whole lines, since a shard commits whole lines.
fn write(records: &mut Records, out: &mut impl Write) -> std::io::Result<bool> {
    let waiting = records.slots();
    if waiting == 0 {
        return Ok(false);
    }
    let Ok(chunk) = records.read_chunk(waiting) else { return Ok(false) };
    let (first, second) = chunk.as_slices();
    let written = out.write_all(first).and_then(|()| out.write_all(second)).and_then(|()| out.flush());
    // Also on failure: what cannot be written must not stop the shards' records for ever.
    chunk.commit_all();
    written.map(|()| true)
}
