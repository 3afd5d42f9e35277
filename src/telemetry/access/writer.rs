//! The thread that writes to one target, and what is said when it cannot.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::Context;
use engine::{Complaint, Count, Outlet, Records};
use plan::LogTargetId;
use plan::access_log::{LogTarget, Place};

use super::super::metrics::LogTally;
use super::{Sink, name};

/// How long the writer rests when it has found nothing to write. Shards do not wake it: that would cost each request more
/// than its record.
const REST: Duration = Duration::from_millis(20);
/// The same after a round in which an outlet was an eighth full: at this pace it would be full within a few rests.
const SHORT_REST: Duration = Duration::from_millis(2);
/// How long it waits for a target that takes no more.
const STALL: Duration = Duration::from_millis(1);
/// How often the losses are told.
const TELL_INTERVAL: Duration = Duration::from_secs(1);

/// The control loop's end of a writer.
pub(super) struct Writer {
    /// Which target of the Plan it is; `None` once the Plan has no such target.
    pub(super) id: Option<LogTargetId>,
    target: LogTarget,
    orders: mpsc::Sender<Order>,
    shared: Arc<Shared>,
    outlets: u64,
    thread: Option<JoinHandle<()>>,
    teller: tokio::task::JoinHandle<()>,
}

/// What a writer is told.
enum Order {
    /// Write what comes here, too.
    Take(Records),
    /// The target has other settings now.
    Change(Box<LogTarget>),
}

/// What the writer and the control loop both see.
#[derive(Default)]
struct Shared {
    stopping: AtomicBool,
    reopening: AtomicBool,
    /// Outlets that shards are done with. Those that they were given are counted by the control loop alone.
    forgotten: AtomicU64,
    losses: Mutex<Losses>,
}

#[derive(Default)]
struct Losses {
    /// What the shards dropped because the writer fell behind, by outlet.
    dropped: Vec<Arc<Count>>,
    /// What the target did not take, and what the shards dropped at outlets that are no more.
    lost: u64,
    told: u64,
    /// Why the target took no more, the last time.
    reason: Option<String>,
}

impl Writer {
    /// Starts to write. What the target does not take is counted in `refused`.
    pub(super) fn start(target: LogTarget, sink: Box<dyn Sink>, refused: Arc<LogTally>) -> anyhow::Result<Writer> {
        let (orders, obeyed) = mpsc::channel();
        let shared = Arc::<Shared>::default();
        let thread = std::thread::Builder::new().name("access-log".to_owned());
        let running = Running::new(sink, obeyed, Arc::clone(&shared), refused, name(&target.place));
        let thread = thread.spawn(move || running.run()).context("the access log cannot be started")?;
        let teller = tokio::spawn(tell(Arc::clone(&shared), name(&target.place)));
        Ok(Writer { id: None, target, orders, shared, outlets: 0, thread: Some(thread), teller })
    }

    /// Whether it writes to this place.
    pub(super) fn is_of(&self, place: &Place) -> bool {
        match (&self.target.place, place) {
            (Place::File { path, .. }, Place::File { path: other, .. }) => path == other,
            (own, other) => own == other,
        }
    }

    /// Whether the outlets to it are what `target` asks for.
    pub(super) fn fits(&self, target: &LogTarget) -> bool {
        self.target.waiting_bytes_max == target.waiting_bytes_max
    }

    /// Takes the settings of the same place.
    pub(super) fn obey(&mut self, target: &LogTarget) {
        if self.target != *target {
            self.target = target.clone();
            // It lives for as long as we have it.
            let _ = self.orders.send(Order::Change(Box::new(target.clone())));
        }
    }

    /// A shard's way to it.
    pub(super) fn outlet(&mut self) -> Outlet {
        let (outlet, records) = engine::outlet(self.target.waiting_bytes_max as usize);
        self.shared.losses().dropped.push(records.dropped());
        self.outlets += 1;
        let _ = self.orders.send(Order::Take(records));
        self.wake();
        outlet
    }

    pub(super) fn reopen(&self) {
        self.shared.reopening.store(true, Ordering::Release);
        self.wake();
    }

    pub(super) fn stop(&self) {
        self.shared.stopping.store(true, Ordering::Release);
        self.wake();
    }

    /// Whether nobody can need it any more: the Plan has no such target, and no exchange is left that began with one that had.
    pub(super) fn is_idle(&self) -> bool {
        self.id.is_none() && self.shared.forgotten.load(Ordering::Acquire) == self.outlets
    }

    /// Waits until all is written that was recorded, at most until `end`, and says what was lost.
    pub(super) fn finish(mut self, end: Instant) {
        let Some(thread) = self.thread.take() else { return };
        while !thread.is_finished() && Instant::now() < end {
            std::thread::park_timeout(STALL);
        }
        let name = name(&self.target.place);
        if thread.is_finished() {
            // Its panic was logged.
            let _ = thread.join();
        } else {
            tracing::error!(log = name, "access records are lost: they were not taken in time");
        }
        self.shared.losses().tell(&name);
    }

    fn wake(&self) {
        if let Some(thread) = &self.thread {
            thread.thread().unpark();
        }
    }
}

impl Drop for Writer {
    /// The thread ends by itself when nothing can come any more.
    fn drop(&mut self) {
        self.teller.abort();
    }
}

impl Shared {
    fn losses(&self) -> std::sync::MutexGuard<'_, Losses> {
        self.losses.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Losses {
    fn total(&self) -> u64 {
        self.lost + self.dropped.iter().map(|dropped| dropped.value()).sum::<u64>()
    }

    /// Says how many were lost since it was last said.
    fn tell(&mut self, log: &str) {
        let total = self.total();
        if total > self.told {
            let reason = self.reason.take().unwrap_or_else(|| "they are not taken as fast as they come".to_owned());
            tracing::error!(log, lost = total - self.told, total, "access records are lost: {reason}");
            self.told = total;
        }
    }
}

/// Says once a second what was lost, on the control thread: the writer itself may be stuck.
async fn tell(shared: Arc<Shared>, log: String) {
    loop {
        tokio::time::sleep(TELL_INTERVAL).await;
        shared.losses().tell(&log);
    }
}

/// The writer's end.
struct Running {
    sink: Box<dyn Sink>,
    orders: mpsc::Receiver<Order>,
    shared: Arc<Shared>,
    refused: Arc<LogTally>,
    name: String,
    sources: Vec<Records>,
    /// Lines of one shard, of which those before `written` are written.
    lines: Vec<u8>,
    written: usize,
    /// About files that cannot be opened anew or put aside.
    complaint: Complaint,
}

/// What came of a round.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Round {
    Nothing,
    Little,
    Much,
    Stalled,
}

impl Running {
    fn new(
        sink: Box<dyn Sink>,
        orders: mpsc::Receiver<Order>,
        shared: Arc<Shared>,
        refused: Arc<LogTally>,
        name: String,
    ) -> Running {
        Running {
            sink,
            orders,
            shared,
            refused,
            name,
            sources: vec![],
            lines: vec![],
            written: 0,
            complaint: Complaint::default(),
        }
    }

    fn run(mut self) {
        loop {
            // Asked before looking: what was recorded before the order to stop is then seen.
            let is_last = self.shared.stopping.load(Ordering::Acquire) | !self.obey();
            let round = self.round();
            let now = Instant::now();
            if let Err(error) = self.sink.tend(now)
                && self.complaint.due(engine::Instant::now()).is_some()
            {
                tracing::error!(log = self.name, "{error:#}");
            }
            match round {
                Round::Nothing if is_last => return,
                Round::Nothing => std::thread::park_timeout(REST),
                Round::Little => std::thread::park_timeout(if is_last { Duration::ZERO } else { REST }),
                Round::Much => std::thread::park_timeout(if is_last { Duration::ZERO } else { SHORT_REST }),
                Round::Stalled => std::thread::park_timeout(STALL),
            }
        }
    }

    /// Does what it was told; `false` once it will be told nothing more, and no shard has anything for it.
    fn obey(&mut self) -> bool {
        let is_needed = loop {
            match self.orders.try_recv() {
                Ok(Order::Take(records)) => self.sources.push(records),
                Ok(Order::Change(target)) => self.sink.change(&target),
                Err(mpsc::TryRecvError::Empty) => break true,
                Err(mpsc::TryRecvError::Disconnected) => break !self.sources.is_empty(),
            }
        };
        // In the middle of a line that is being written the old target still gets its rest.
        if self.written == self.lines.len() && self.shared.reopening.swap(false, Ordering::AcqRel) {
            match self.sink.reopen() {
                Ok(()) => tracing::info!(log = self.name, "the access log was opened anew"),
                Err(error) => {
                    tracing::error!(log = self.name, %error, "the access log cannot be opened anew: the old one stays in use");
                }
            }
        }
        is_needed
    }

    /// Writes what each shard has recorded.
    fn round(&mut self) -> Round {
        let mut round = Round::Nothing;
        let mut next = 0;
        loop {
            if self.written < self.lines.len() {
                if !self.write() {
                    return Round::Stalled;
                }
                continue;
            }
            self.lines.clear();
            self.written = 0;
            let Some(source) = self.sources.get_mut(next) else { break };
            // Asked before looking, as above.
            let is_abandoned = source.is_abandoned();
            source.take(&mut self.lines);
            if !self.lines.is_empty() {
                let is_much = self.lines.len() * 8 > source.capacity();
                round = round.max(if is_much { Round::Much } else { Round::Little });
                next += 1;
            } else if is_abandoned {
                self.forget(next);
            } else {
                next += 1;
            }
        }
        round
    }

    /// Writes some of the lines; `false` if the target takes none now.
    fn write(&mut self) -> bool {
        match self.sink.write(&self.lines[self.written..]) {
            Ok(0) => return false,
            Ok(bytes) => self.written += bytes,
            Err(error) => {
                let left = &self.lines[self.written..];
                let lost = left.iter().filter(|byte| **byte == b'\n').count() as u64;
                let mut losses = self.shared.losses();
                losses.lost += lost;
                self.refused.records.add(lost);
                losses.reason = Some(error.to_string());
                self.written = self.lines.len();
            }
        }
        true
    }

    /// Takes leave of a shard's end that will bring nothing more.
    fn forget(&mut self, source: usize) {
        let dropped = self.sources.swap_remove(source).dropped();
        let mut losses = self.shared.losses();
        losses.lost += dropped.value();
        losses.dropped.retain(|other| !Arc::ptr_eq(other, &dropped));
        self.shared.forgotten.fetch_add(1, Ordering::Release);
    }
}
