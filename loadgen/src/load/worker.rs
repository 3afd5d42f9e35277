//! One thread's share of a run: its connections, its schedule, its clock and its record.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    future::poll_fn,
    pin::pin,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Poll, Waker},
    time::{Duration, Instant},
};

use super::{
    alarm::Alarm,
    connection::{self, Connection},
    plan::{Endpoint, Plan, Target},
    schedule::{Random, Schedule},
};
use crate::{
    client::{protocol::Failure, tls},
    record::{Answer, ErrorKind, Recorder, Recording},
    scenario::Extent,
};

/// Connections that a thread makes at once at most, so that no listener's queue overflows because of us.
const CONNECTING_MAX: usize = 256;

/// A request that is due.
#[derive(Debug, Clone, Copy)]
pub(super) struct Job {
    /// When, in nanoseconds from the thread's start.
    pub(super) due_ns: u64,
    pub(super) target: &'static Target,
}

/// What a thread has left at its end.
#[derive(Debug)]
pub(super) struct Finished {
    pub(super) recording: Recording,
    /// Requests that were sent, and not answered when the time for that was over.
    pub(super) unanswered: u64,
    /// Requests that were due, and not sent.
    pub(super) unsent: u64,
    /// The first error of each kind, in words.
    pub(super) examples: Vec<(ErrorKind, String)>,
}

/// One thread's share. All of it is used by this thread only.
#[derive(Debug)]
pub(super) struct Worker {
    pub(super) plan: &'static Plan,
    pub(super) tls: Option<tls::Client>,
    start: Instant,
    /// When the warm-up is over, and when no more requests are due; in nanoseconds from the start.
    measure_ns: u64,
    end_ns: u64,
    recorder: RefCell<Recorder>,
    examples: RefCell<Vec<(ErrorKind, String)>>,
    queues: Vec<Queue>,
    random: Cell<Random>,
    /// Requests that may still be begun, where they are counted.
    budget: Cell<u64>,
    stopped: Cell<bool>,
    /// Requests of the open loop that are due and unanswered.
    outstanding: Cell<u64>,
    outstanding_max: u64,
    pub(super) connecting: Cell<usize>,
    /// Connections whose tasks have not ended.
    active: Cell<usize>,
    unanswered: Cell<u64>,
    unsent: Cell<u64>,
    last_answer_ns: Cell<u64>,
    main: RefCell<Option<Waker>>,
}

/// What is due for an endpoint and has no connection yet, and the connections that have nothing to do.
#[derive(Debug, Default)]
struct Queue {
    due: RefCell<VecDeque<Job>>,
    idle: RefCell<VecDeque<Rc<Connection>>>,
}

/// A thread's part of what is shared out.
#[derive(Debug, Clone, Copy)]
pub(super) struct Share {
    pub(super) thread: usize,
    pub(super) connections: usize,
    pub(super) requests: u64,
}

/// Runs a thread's share until its end, or until `stop` is set.
pub(super) async fn run(
    plan: &'static Plan,
    share: Share,
    start: Instant,
    recorder: Recorder,
    stop: Arc<AtomicBool>,
) -> std::io::Result<Finished> {
    let worker = Rc::new(Worker::new(plan, share, start, recorder));
    let alarm = Alarm::new()?;
    let schedule = plan.rate.as_ref().map(|rate| Schedule::new(rate, plan.ramp_up, share.thread, plan.threads));
    Run { worker, share, schedule, next_due: None, connections: Vec::new(), stop }.run(&alarm).await
}

/// The thread's own task: it opens the connections, says what is due, and looks after the limits.
struct Run {
    worker: Rc<Worker>,
    share: Share,
    schedule: Option<Schedule>,
    next_due: Option<u64>,
    connections: Vec<Rc<Connection>>,
    stop: Arc<AtomicBool>,
}

impl Run {
    async fn run(mut self, alarm: &Alarm) -> std::io::Result<Finished> {
        let worker = Rc::clone(&self.worker);
        let dealt = worker.plan.deal(self.share.connections);
        self.next_due = self.schedule.as_mut().and_then(Schedule::next_due_ns);
        let sweep_ns = sweep_interval(worker.plan).as_nanos() as u64;
        let mut sweep_at_ns = sweep_ns;
        let mut drained_at_ns = None;
        loop {
            let now_ns = worker.now_ns();
            self.open_connections(&dealt, now_ns);
            self.release_due(now_ns);
            if now_ns >= sweep_at_ns {
                self.sweep(now_ns);
                sweep_at_ns = now_ns + sweep_ns;
            }
            if !worker.stopped.get() && (now_ns >= worker.end_ns || self.stop.load(Ordering::Relaxed)) {
                // What is due in an open loop is still sent.
                worker.stopped.set(true);
            }
            if worker.is_ending() {
                if worker.is_over() && worker.active.get() == 0 {
                    break;
                }
                let drain_ns = worker.plan.timeouts.drain.as_nanos() as u64;
                let drained_at_ns = *drained_at_ns.get_or_insert_with(|| {
                    self.connections.iter().for_each(|connection| connection.wake());
                    now_ns + drain_ns
                });
                if now_ns >= drained_at_ns {
                    worker.give_up_queued();
                    self.connections.iter().for_each(|connection| connection.abort());
                }
            }
            let mut next_ns = sweep_at_ns.min(if worker.stopped.get() { u64::MAX } else { worker.end_ns });
            if let Some(due_ns) = self.next_due.filter(|_| !worker.stopped.get()) {
                next_ns = next_ns.min(due_ns);
            }
            worker.sleep(alarm, next_ns).await?;
        }
        Ok(worker.finish(self.connections))
    }

    /// Opens the connections whose time in the ramp has come.
    fn open_connections(&mut self, dealt: &[usize], now_ns: u64) {
        let worker = &self.worker;
        let ramp_ns = worker.plan.ramp_up.as_nanos() as u64;
        while self.connections.len() < dealt.len()
            && worker.connecting.get() < CONNECTING_MAX
            && !worker.is_over()
            && now_ns >= (self.connections.len() as u64 * ramp_ns) / dealt.len() as u64
        {
            let index = self.connections.len();
            let connection = Rc::new(Connection::new(dealt[index], index, worker.plan.http2));
            worker.active.set(worker.active.get() + 1);
            worker.connecting.set(worker.connecting.get() + 1);
            let seed = (self.share.thread as u64) << 32 | index as u64;
            monoio::spawn(connection::run(Rc::clone(worker), Rc::clone(&connection), seed));
            self.connections.push(connection);
        }
    }

    /// Hands out what has become due.
    fn release_due(&mut self, now_ns: u64) {
        let Some(schedule) = &mut self.schedule else { return };
        let last_ns = now_ns.min(self.worker.end_ns.saturating_sub(1));
        while let Some(due_ns) = self.next_due.filter(|due_ns| *due_ns <= last_ns && !self.worker.is_ending()) {
            self.worker.enqueue(due_ns);
            self.next_due = schedule.next_due_ns();
        }
    }

    /// Gives up what has taken too long, and wakes those that wait before they try again.
    fn sweep(&self, now_ns: u64) {
        self.worker.tick(now_ns);
        self.worker.expire_queued(now_ns);
        for connection in &self.connections {
            connection.sweep(now_ns, &self.worker.plan.timeouts);
        }
    }
}

/// How often the limits are looked at: often enough that none is overrun by more than a twentieth.
fn sweep_interval(plan: &Plan) -> Duration {
    let shortest = plan.timeouts.connect.min(plan.timeouts.request);
    (shortest / 20).clamp(Duration::from_millis(2), Duration::from_millis(50))
}

impl Worker {
    fn new(plan: &'static Plan, share: Share, start: Instant, recorder: Recorder) -> Self {
        let measure_ns = plan.warm_up.as_nanos() as u64;
        let (end_ns, budget) = match plan.extent {
            Extent::Duration(duration) => (measure_ns + duration.as_nanos() as u64, u64::MAX),
            Extent::Requests(_) => (u64::MAX, share.requests),
        };
        Self {
            plan,
            tls: plan.tls.as_ref().map(|tls| tls.for_thread(plan.resumption)),
            start,
            measure_ns,
            end_ns,
            recorder: RefCell::new(recorder),
            examples: RefCell::default(),
            queues: plan.endpoints.iter().map(|_| Queue::default()).collect(),
            random: Cell::new(Random::new(plan.rate.as_ref().map_or(1, |rate| rate.seed), !(share.thread as u64))),
            budget: Cell::new(budget),
            stopped: Cell::new(false),
            outstanding: Cell::new(0),
            outstanding_max: plan
                .rate
                .as_ref()
                .map_or(u64::MAX, |rate| rate.outstanding_max.div_ceil(plan.threads as u64)),
            connecting: Cell::new(0),
            active: Cell::new(0),
            unanswered: Cell::new(0),
            unsent: Cell::new(0),
            last_answer_ns: Cell::new(0),
            main: RefCell::default(),
        }
    }

    /// Nanoseconds from the start.
    #[inline]
    pub(super) fn now_ns(&self) -> u64 {
        self.start.elapsed().as_nanos() as u64
    }

    /// What a connection of `endpoint` is to send now. In an open loop, a connection that gets nothing is told when there is
    /// something.
    #[inline]
    pub(super) fn take(
        &self,
        endpoint: usize,
        connection: &Rc<Connection>,
        now_ns: impl FnOnce() -> u64,
    ) -> Option<Job> {
        if self.plan.rate.is_none() {
            let budget = self.budget.get();
            if self.stopped.get() || budget == 0 {
                return None;
            }
            if budget != u64::MAX {
                self.budget.set(budget - 1);
            }
            return Some(Job { due_ns: now_ns(), target: self.choose(&self.plan.endpoints[endpoint]) });
        }
        let queue = &self.queues[endpoint];
        let job = queue.due.borrow_mut().pop_front();
        if job.is_none() && !connection.is_listed.replace(true) {
            queue.idle.borrow_mut().push_back(Rc::clone(connection));
        }
        job
    }

    /// Takes back a request that the peer did not process, so that another connection sends it.
    pub(super) fn give_back(&self, endpoint: usize, job: Job) {
        if self.plan.rate.is_some() {
            self.queues[endpoint].due.borrow_mut().push_front(job);
            self.wake_idle(endpoint);
        } else if self.budget.get() != u64::MAX {
            self.budget.set(self.budget.get() + 1);
        }
    }

    /// Whether a connection without work is to end.
    #[inline]
    pub(super) fn is_over(&self) -> bool {
        self.is_ending() && self.queues.iter().all(|queue| queue.due.borrow().is_empty())
    }

    /// Whether no more requests become due.
    #[inline]
    fn is_ending(&self) -> bool {
        self.stopped.get() || self.budget.get() == 0
    }

    /// The time for what was due is over.
    fn give_up_queued(&self) {
        for queue in &self.queues {
            self.unsent.set(self.unsent.get() + queue.due.borrow_mut().drain(..).len() as u64);
        }
    }

    /// Counts an answer, or what is wrong with it.
    #[inline]
    pub(super) fn answered(&self, answer: Answer, unexpected: Option<ErrorKind>) {
        self.outstanding.set(self.outstanding.get().saturating_sub(1));
        self.last_answer_ns.set(answer.end_ns);
        if answer.due_ns < self.measure_ns {
            return;
        }
        if let Some(kind) = unexpected {
            let detail = answer.status.map_or_else(String::new, |status| format!("status {status}"));
            return self.count_failure(&Failure::new(kind, detail), answer.status, answer.end_ns);
        }
        let from = |time_ns: u64| time_ns - self.measure_ns;
        self.recorder.borrow_mut().answered(&Answer {
            due_ns: from(answer.due_ns),
            sent_ns: from(answer.sent_ns),
            first_byte_ns: from(answer.first_byte_ns),
            end_ns: from(answer.end_ns),
            status: answer.status,
        });
    }

    /// Counts a request that failed; `due_ns` says when it was due.
    pub(super) fn failed(&self, failure: &Failure, due_ns: u64) {
        self.outstanding.set(self.outstanding.get().saturating_sub(1));
        self.count_error(failure, due_ns);
    }

    /// Counts a connection that failed before it had a request. Where requests are counted it stands for one, so that a run
    /// against nobody ends.
    pub(super) fn failed_without_request(&self, failure: &Failure) {
        if self.plan.rate.is_none() && self.budget.get() != u64::MAX {
            if self.is_ending() {
                return;
            }
            self.budget.set(self.budget.get() - 1);
        }
        self.count_error(failure, self.now_ns());
    }

    fn count_error(&self, failure: &Failure, at_ns: u64) {
        if at_ns >= self.measure_ns {
            self.count_failure(failure, None, self.now_ns());
        }
    }

    fn count_failure(&self, failure: &Failure, status: Option<u16>, now_ns: u64) {
        self.recorder.borrow_mut().failed(failure.kind, status, now_ns.saturating_sub(self.measure_ns));
        let mut examples = self.examples.borrow_mut();
        if !failure.detail.is_empty() && !examples.iter().any(|(kind, _)| *kind == failure.kind) {
            examples.push((failure.kind, failure.detail.clone().into_owned()));
        }
    }

    /// Counts requests that were sent and will not be answered.
    pub(super) fn left_unanswered(&self, requests: usize) {
        self.unanswered.set(self.unanswered.get() + requests as u64);
    }

    /// Changes the record, unless the warm-up lasts.
    #[inline]
    pub(super) fn record(&self, now_ns: u64, change: impl FnOnce(&mut Recorder)) {
        if now_ns >= self.measure_ns {
            change(&mut self.recorder.borrow_mut());
        }
    }

    /// Changes the record also while the warm-up lasts: connections live longer than that.
    pub(super) fn record_connection(&self, change: impl FnOnce(&mut Recorder)) {
        change(&mut self.recorder.borrow_mut());
    }

    /// One connection's task has ended.
    pub(super) fn leave(&self) {
        self.active.set(self.active.get() - 1);
        if self.active.get() == 0
            && let Some(main) = self.main.borrow_mut().take()
        {
            main.wake();
        }
    }

    fn tick(&self, now_ns: u64) {
        self.record(now_ns, |recorder| recorder.tick(now_ns - self.measure_ns));
    }

    /// A request has become due.
    fn enqueue(&self, due_ns: u64) {
        match self.budget.get() {
            u64::MAX => {}
            budget => self.budget.set(budget - 1),
        }
        if self.outstanding.get() >= self.outstanding_max {
            let failure = Failure::new(ErrorKind::Dropped, "as many as allowed are due and unanswered");
            return self.count_error(&failure, due_ns);
        }
        self.outstanding.set(self.outstanding.get() + 1);
        let endpoint = self.choose_endpoint();
        let target = self.choose(&self.plan.endpoints[endpoint]);
        self.queues[endpoint].due.borrow_mut().push_back(Job { due_ns, target });
        self.wake_idle(endpoint);
    }

    /// Tells the connection that was idle the longest.
    fn wake_idle(&self, endpoint: usize) {
        if let Some(connection) = self.queues[endpoint].idle.borrow_mut().pop_front() {
            connection.is_listed.set(false);
            connection.wake();
        }
    }

    /// Requests that waited for a connection for too long have timed out.
    fn expire_queued(&self, now_ns: u64) {
        let timeout_ns = self.plan.timeouts.request.as_nanos() as u64;
        for queue in &self.queues {
            let has_expired =
                |queue: &Queue| queue.due.borrow().front().is_some_and(|job| job.due_ns + timeout_ns <= now_ns);
            while has_expired(queue) {
                if let Some(job) = queue.due.borrow_mut().pop_front() {
                    self.failed(&Failure::new(ErrorKind::TimedOut, "no connection was free in time"), job.due_ns);
                }
            }
        }
    }

    fn choose_endpoint(&self) -> usize {
        if self.plan.endpoints.len() == 1 {
            return 0;
        }
        let weights = self.plan.endpoints.iter().map(|endpoint| endpoint.weight);
        self.draw(weights.clone().sum(), weights)
    }

    #[inline]
    fn choose(&self, endpoint: &'static Endpoint) -> &'static Target {
        match endpoint.targets.as_slice() {
            [target] => target,
            targets => &targets[self.draw(endpoint.weight, targets.iter().map(|target| target.weight))],
        }
    }

    /// Which of the weights a random number falls on.
    fn draw(&self, total: u64, weights: impl Iterator<Item = u64>) -> usize {
        let mut random = self.random.get();
        let mut point = random.next_below(total);
        self.random.set(random);
        for (index, weight) in weights.enumerate() {
            if point < weight {
                return index;
            }
            point -= weight;
        }
        unreachable!("the weights add up to the total")
    }

    /// Waits for a time, or for the last connection to end.
    async fn sleep(&self, alarm: &Alarm, until_ns: u64) -> std::io::Result<()> {
        let mut alarm = pin!(alarm.until(self.start + Duration::from_nanos(until_ns)));
        let active = self.active.get();
        poll_fn(|context| {
            if active > 0 && self.active.get() == 0 {
                return Poll::Ready(Ok(()));
            }
            *self.main.borrow_mut() = Some(context.waker().clone());
            alarm.as_mut().poll(context)
        })
        .await
    }

    fn finish(&self, connections: Vec<Rc<Connection>>) -> Finished {
        drop(connections);
        self.queues.iter().for_each(|queue| queue.idle.borrow_mut().clear());
        let end_ns = match self.plan.extent {
            Extent::Duration(_) => self.end_ns.min(self.now_ns()),
            Extent::Requests(_) => self.last_answer_ns.get(),
        };
        let recorder = self.recorder.replace(Recorder::new(crate::record::Loop::Closed));
        Finished {
            recording: recorder.finish(end_ns.saturating_sub(self.measure_ns)),
            unanswered: self.unanswered.get(),
            unsent: self.unsent.get(),
            examples: self.examples.take(),
        }
    }
}
