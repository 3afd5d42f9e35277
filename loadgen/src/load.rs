//! Makes load: a thread for each core, an io_uring for each thread, and nothing that threads share while they run.
//!
//! [`Plan`] is the scenario made ready. In each thread, `worker` opens connections and says what is due (by the
//! [`schedule`], or as soon as an answer has come), and each `connection` is a task that connects, and in an `exchange` sends and reads. Times are
//! nanoseconds from the run's start.

mod alarm;
mod connection;
mod exchange;
mod outstanding;
mod plan;
pub mod schedule;
mod worker;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

pub(crate) use alarm::Alarm;
use anyhow::Context;
use monoio::{IoUringDriver, RuntimeBuilder};
pub use plan::{Plan, Target};
use worker::{Finished, Share};

use crate::{
    record::{ErrorKind, Live, Loop, Recorder, Recording},
    scenario::Extent,
};

/// Entries of a thread's submission queue.
const RING_ENTRIES: u32 = 4096;

/// Load that is being made.
#[derive(Debug)]
pub struct Load {
    threads: Vec<JoinHandle<anyhow::Result<Finished>>>,
    live: Vec<Arc<Live>>,
    stop: Arc<AtomicBool>,
    start: Instant,
    warm_up: Duration,
}

/// What was measured.
#[derive(Debug)]
pub struct Outcome {
    /// Of all threads together.
    pub recording: Recording,
    /// Requests that were sent, and not answered when the time for that was over.
    pub unanswered: u64,
    /// Requests of an open loop that were due, and not sent when the time for that was over.
    pub unsent: u64,
    /// The first error of each kind, in words.
    pub examples: Vec<(ErrorKind, String)>,
}

impl Load {
    /// Starts the plan's threads.
    ///
    /// # Errors
    /// If a thread cannot be started.
    pub fn start(plan: &'static Plan) -> anyhow::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let start = Instant::now();
        let cores = if plan.pin { core_affinity::get_core_ids().unwrap_or_default() } else { Vec::new() };
        let (mut threads, mut live) = (Vec::new(), Vec::new());
        for index in 0..plan.threads {
            let recorder = Recorder::new(if plan.rate.is_some() { Loop::Open } else { Loop::Closed });
            live.push(recorder.live());
            let share = Share {
                thread: index,
                connections: portion(plan.connections as u64, index, plan.threads) as usize,
                requests: match plan.extent {
                    Extent::Duration(_) => u64::MAX,
                    Extent::Requests(requests) => portion(requests, index, plan.threads),
                },
            };
            let core = (!cores.is_empty()).then(|| cores[index % cores.len()]);
            let stop = Arc::clone(&stop);
            let builder = thread::Builder::new().name(format!("load-{index}"));
            threads.push(builder.spawn(move || {
                if let Some(core) = core {
                    core_affinity::set_for_current(core);
                }
                let finished = runtime()?.block_on(worker::run(plan, share, start, recorder, stop));
                finished.context("the thread's timer")
            })?);
        }
        Ok(Self { threads, live, stop, start, warm_up: plan.warm_up })
    }

    /// What each thread has counted so far.
    #[must_use]
    pub fn live(&self) -> &[Arc<Live>] {
        &self.live
    }

    /// How much of the measurement has passed; nothing while the warm-up lasts.
    #[must_use]
    pub fn measured(&self) -> Duration {
        self.start.elapsed().saturating_sub(self.warm_up)
    }

    /// Begins no more requests, and waits only for those under way.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    /// Whether all threads have ended.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.threads.iter().all(JoinHandle::is_finished)
    }

    /// Waits for the end.
    ///
    /// # Errors
    /// If a thread could not do its work.
    pub fn finish(self) -> anyhow::Result<Outcome> {
        let mut finished = Vec::with_capacity(self.threads.len());
        for thread in self.threads {
            finished.push(thread.join().map_err(|_| anyhow::anyhow!("a thread of the load generator panicked"))??);
        }
        let mut outcome = Outcome { recording: Recording::default(), unanswered: 0, unsent: 0, examples: Vec::new() };
        let mut recordings = Vec::with_capacity(finished.len());
        for thread in finished {
            outcome.unanswered += thread.unanswered;
            outcome.unsent += thread.unsent;
            for example in thread.examples {
                if !outcome.examples.iter().any(|(kind, _)| *kind == example.0) {
                    outcome.examples.push(example);
                }
            }
            recordings.push(thread.recording);
        }
        outcome.recording = Recording::merged(recordings);
        Ok(outcome)
    }
}

/// A thread's part of a total that is shared out evenly.
fn portion(total: u64, index: usize, parts: usize) -> u64 {
    total / parts as u64 + u64::from((index as u64) < total % parts as u64)
}

/// monoio as it comes sets neither flag, and then a request costs a fifth to a third more.
pub(crate) fn runtime() -> anyhow::Result<monoio::Runtime<IoUringDriver>> {
    let mut ring = io_uring_of_monoio::IoUring::builder();
    ring.setup_single_issuer().setup_defer_taskrun();
    let runtime = RuntimeBuilder::<IoUringDriver>::new().with_entries(RING_ENTRIES).uring_builder(ring).build();
    runtime.context("io_uring is not to be had here: loadgen needs Linux 6.1 or later, and a sandbox that allows it")
}
