//! The thread that takes a shard's access records, as the writer of the access log does, and drops them.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use anyhow::Context;
use engine::{Outlet, Records};

/// Bytes of records that may wait; as in the program.
const WAITING_BYTES_MAX: usize = 1 << 20;

/// How long the thread rests when there are none; as in the program.
const REST: Duration = Duration::from_millis(20);

/// The thread, which does not allocate. Dropping it ends it.
pub(crate) struct Drain {
    stopping: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Drain {
    /// Starts it, and returns the shard's end.
    pub(crate) fn start() -> anyhow::Result<(Outlet, Self)> {
        let (outlet, records) = engine::outlet(WAITING_BYTES_MAX);
        let stopping = Arc::<AtomicBool>::default();
        let stop = Arc::clone(&stopping);
        let thread = thread::Builder::new()
            .name("records".into())
            .spawn(move || run(records, &stop))
            .context("the thread for records cannot be started")?;
        Ok((outlet, Self { stopping, thread: Some(thread) }))
    }
}

impl Drop for Drain {
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // There is nothing in it that could panic.
            let _ = thread.join();
        }
    }
}

fn run(mut records: Records, stopping: &AtomicBool) {
    let mut lines = Vec::with_capacity(WAITING_BYTES_MAX);
    while !stopping.load(Ordering::Relaxed) {
        records.take(&mut lines);
        if lines.is_empty() {
            thread::park_timeout(REST);
        }
        lines.clear();
    }
}
