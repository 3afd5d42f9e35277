//! One connection's task: it connects, sends what its thread has for it, reads what comes back, and begins again.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    convert::Infallible,
    future::poll_fn,
    pin::pin,
    rc::Rc,
    task::{Context, Poll, Waker},
};

use monoio::{
    io::{AsyncReadRent, AsyncWriteRent, AsyncWriteRentExt, Splitable},
    net::TcpStream,
};

use super::{
    plan::Endpoint,
    worker::{Job, Worker},
};
use crate::{
    client::{
        http1,
        protocol::{Answered, Encoded, Event, Failure, Protocol},
        socket::{connect, transfer_failure},
        tls, websocket,
    },
    record::{Answer, ErrorKind},
    scenario::Timeouts,
};

/// Bytes that one read takes at most. Untouched pages of it cost nothing.
const READ_BYTES: usize = 64 << 10;
/// Bytes of requests that are gathered into one write, unless the first alone is longer.
const BATCH_BYTES_MAX: usize = 64 << 10;
/// Bytes that are enciphered at a time.
const SEAL_BYTES: usize = 256 << 10;
/// How long a connection that failed waits before it tries again.
const RETRY_AFTER_NS: u64 = 100_000_000;
/// How long the peer may take to close a connection after its last answer.
const CLOSING_NS_MAX: u64 = 1_000_000_000;

/// What a thread knows of one of its connections.
#[derive(Debug)]
pub(super) struct Connection {
    endpoint: usize,
    /// Whether the thread's list of idle connections has it.
    pub(super) is_listed: Cell<bool>,
    waker: RefCell<Option<Waker>>,
    phase: Cell<Phase>,
    since_ns: Cell<u64>,
    abort: Cell<Option<Abort>>,
    /// Requests that wait for their answer, the oldest first.
    outstanding: RefCell<VecDeque<Sent>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Has nothing to do and no socket.
    Waiting,
    /// TCP, TLS and the protocol's own handshake.
    Connecting,
    /// Requests and answers.
    Open,
    /// The last answer has come, and the peer is to close.
    Closing,
    /// After a failure.
    Retrying,
}

/// Why a connection is given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Abort {
    /// It has taken too long.
    TimedOut(Phase),
    /// The run is over.
    Over,
}

#[derive(Debug, Clone, Copy)]
struct Sent {
    job: Job,
    sent_ns: u64,
}

impl Connection {
    pub(super) fn new(endpoint: usize) -> Self {
        Self {
            endpoint,
            is_listed: Cell::new(false),
            waker: RefCell::default(),
            phase: Cell::new(Phase::Waiting),
            since_ns: Cell::new(0),
            abort: Cell::new(None),
            outstanding: RefCell::default(),
        }
    }

    /// Lets the task look whether there is something to do.
    pub(super) fn wake(&self) {
        if let Some(waker) = &*self.waker.borrow() {
            waker.wake_by_ref();
        }
    }

    /// Ends the task, whatever it does.
    pub(super) fn abort(&self) {
        self.abort.set(Some(Abort::Over));
        self.wake();
    }

    /// Gives up what has taken too long.
    pub(super) fn sweep(&self, now_ns: u64, timeouts: &Timeouts) {
        let phase = self.phase.get();
        let since_ns = self.since_ns.get();
        let oldest_due_ns = || self.outstanding.borrow().front().map(|sent| sent.job.due_ns);
        let ends_ns = match phase {
            Phase::Waiting => return,
            Phase::Connecting => since_ns + timeouts.connect.as_nanos() as u64,
            Phase::Open => match oldest_due_ns() {
                Some(due_ns) => due_ns + timeouts.request.as_nanos() as u64,
                None => return,
            },
            Phase::Closing => since_ns + CLOSING_NS_MAX,
            Phase::Retrying => since_ns + RETRY_AFTER_NS,
        };
        if now_ns >= ends_ns {
            if phase == Phase::Retrying {
                self.phase.set(Phase::Waiting);
            } else {
                self.abort.set(Some(Abort::TimedOut(phase)));
            }
            self.wake();
        }
    }

    fn enter(&self, phase: Phase, now_ns: u64) {
        self.phase.set(phase);
        self.since_ns.set(now_ns);
    }

    /// Lets [`Self::wake`] wake the task that polls now.
    fn listen(&self, context: &Context<'_>) {
        let mut waker = self.waker.borrow_mut();
        if !waker.as_ref().is_some_and(|waker| waker.will_wake(context.waker())) {
            *waker = Some(context.waker().clone());
        }
    }

    /// Waits for `future`, unless the connection is given up.
    async fn unless_aborted<T>(&self, future: impl Future<Output = Result<T, Failure>>) -> Result<T, Stop> {
        let mut future = pin!(future);
        poll_fn(|context| {
            self.listen(context);
            match self.abort.take() {
                Some(abort) => Poll::Ready(Err(Stop::Aborted(abort))),
                None => future.as_mut().poll(context).map_err(Stop::Failed),
            }
        })
        .await
    }
}

/// Why an exchange stopped.
#[derive(Debug)]
enum Stop {
    Aborted(Abort),
    Failed(Failure),
}

/// A connection's task, from its place in the ramp to the run's end.
pub(super) async fn run(worker: Rc<Worker>, connection: Rc<Connection>, seed: u64) {
    let mut lives = 0_u64;
    while let Some(first) = wait_for_work(&worker, &connection).await {
        let seed = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(lives << 1);
        let outcome = live(&worker, &connection, first, seed, lives == 0).await;
        lives += 1;
        connection.enter(Phase::Waiting, worker.now_ns());
        if let Err(stop) = outcome
            && fail(&worker, &connection, stop) == AfterFailure::Wait
        {
            connection.enter(Phase::Retrying, worker.now_ns());
        }
    }
    if lives == 0 {
        worker.connecting.set(worker.connecting.get() - 1);
    }
    worker.leave();
}

/// Waits until there is a reason to connect; `None` at the end of the run. Where each connection serves one request, that
/// request is the reason, and its latency begins before the connection.
async fn wait_for_work(worker: &Rc<Worker>, connection: &Rc<Connection>) -> Option<Option<Job>> {
    let wants_job = worker.plan.requests_per_connection == Some(1);
    poll_fn(|context| {
        connection.listen(context);
        if worker.is_over() || connection.abort.take() == Some(Abort::Over) {
            return Poll::Ready(None);
        }
        if connection.phase.get() == Phase::Retrying {
            return Poll::Pending;
        }
        if !wants_job {
            return Poll::Ready(Some(None));
        }
        match worker.take(connection.endpoint, connection, || worker.now_ns()) {
            Some(job) => Poll::Ready(Some(Some(job))),
            None => Poll::Pending,
        }
    })
    .await
}

#[derive(PartialEq, Eq)]
enum AfterFailure {
    GoOn,
    Wait,
}

/// Counts what a connection that stopped has left unanswered.
fn fail(worker: &Worker, connection: &Connection, stop: Stop) -> AfterFailure {
    let outstanding = connection.outstanding.take();
    let failure = match stop {
        Stop::Aborted(Abort::Over) => {
            worker.left_unanswered(outstanding.len());
            return AfterFailure::GoOn;
        }
        Stop::Aborted(Abort::TimedOut(Phase::Closing)) => return AfterFailure::GoOn,
        Stop::Aborted(Abort::TimedOut(Phase::Connecting)) => {
            Failure::new(ErrorKind::ConnectTimedOut, "no connection in time")
        }
        Stop::Aborted(Abort::TimedOut(_)) => Failure::new(ErrorKind::TimedOut, "no answer in time"),
        Stop::Failed(failure) => failure,
    };
    // Requests that have been taken and not been sent are outstanding as well.
    outstanding.iter().for_each(|sent| worker.failed(&failure, sent.job.due_ns));
    if outstanding.is_empty() {
        worker.failed_without_request(&failure);
    }
    let refuses = matches!(
        failure.kind,
        ErrorKind::ConnectRefused | ErrorKind::ConnectTimedOut | ErrorKind::ConnectFailed | ErrorKind::Tls
    );
    if refuses { AfterFailure::Wait } else { AfterFailure::GoOn }
}

/// One connection from its making to its end.
async fn live(
    worker: &Rc<Worker>,
    connection: &Rc<Connection>,
    first: Option<Job>,
    seed: u64,
    counts_as_connecting: bool,
) -> Result<(), Stop> {
    let endpoint = &worker.plan.endpoints[connection.endpoint];
    let began_ns = worker.now_ns();
    connection.enter(Phase::Connecting, began_ns);
    if let Some(job) = first {
        connection.outstanding.borrow_mut().push_back(Sent { job, sent_ns: began_ns });
    }
    let connected = connection.unless_aborted(connect(&endpoint.address, None)).await;
    if counts_as_connecting {
        worker.connecting.set(worker.connecting.get() - 1);
    }
    let mut stream = connected?;
    let connected_ns = worker.now_ns();
    worker.record_connection(|recorder| recorder.connected(connected_ns - began_ns));
    let outcome = connection.unless_aborted(async {
        let tls = shake_hands(worker, endpoint, &mut stream, connected_ns).await?;
        let protocol = if endpoint.origin.websocket {
            Protocol::WebSocket(websocket::Session::new(endpoint.handshake, seed))
        } else {
            Protocol::Http1(http1::Session::new())
        };
        let first = connection.outstanding.borrow_mut().pop_front().map(|sent| sent.job);
        let exchange = Exchange::new(worker, connection, tls, protocol, first);
        exchange.run(stream).await
    });
    let outcome = outcome.await;
    worker.record_connection(crate::record::Recorder::disconnected);
    outcome
}

/// TLS's handshake, where the origin wants one.
async fn shake_hands(
    worker: &Worker,
    endpoint: &Endpoint,
    stream: &mut TcpStream,
    began_ns: u64,
) -> Result<Option<RefCell<tls::Session>>, Failure> {
    let (Some(client), Some(name)) = (&worker.tls, &endpoint.server_name) else { return Ok(None) };
    let mut session = client.session(name)?;
    let mut input = Vec::with_capacity(16 << 10);
    let mut output = Vec::new();
    loop {
        session.flush(&mut output);
        if !output.is_empty() {
            let (result, written) = stream.write_all(output).await;
            let bytes = result.map_err(|error| transfer_failure(&error))? as u64;
            worker.record(worker.now_ns(), |recorder| recorder.sent(bytes));
            output = written;
            output.clear();
        }
        if !session.is_handshaking() {
            break;
        }
        let (result, read) = stream.read(input).await;
        input = read;
        match result.map_err(|error| transfer_failure(&error))? {
            0 => return Err(Failure::new(ErrorKind::Tls, "closed within the handshake")),
            bytes => worker.record(worker.now_ns(), |recorder| recorder.received(bytes as u64)),
        }
        session.receive(&input, |_| Err(Failure::new(ErrorKind::Malformed, "bytes before any request")))?;
    }
    let took_ns = worker.now_ns() - began_ns;
    worker.record_connection(|recorder| recorder.shook_hands(session.handshake(), took_ns));
    Ok(Some(RefCell::new(session)))
}

/// Requests and answers on one connection. Reading and writing go on side by side, so that neither end waits for the other
/// with full buffers.
struct Exchange<'a> {
    worker: &'a Rc<Worker>,
    connection: &'a Rc<Connection>,
    tls: Option<RefCell<tls::Session>>,
    protocol: RefCell<Protocol>,
    /// The request for which the connection was made.
    first: Cell<Option<Job>>,
    /// Whether requests may be sent, before the peer has agreed to the protocol and after the last answer.
    is_open: Cell<bool>,
    is_closing: Cell<bool>,
    begun: Cell<u64>,
    answered: Cell<u64>,
    first_byte_ns: Cell<Option<u64>>,
    /// The time of the bytes that were just handled, for the requests that follow from them at once.
    now_ns: Cell<Option<u64>>,
    has_reply: Cell<bool>,
}

impl<'a> Exchange<'a> {
    fn new(
        worker: &'a Rc<Worker>,
        connection: &'a Rc<Connection>,
        tls: Option<RefCell<tls::Session>>,
        protocol: Protocol,
        first: Option<Job>,
    ) -> Self {
        Self {
            worker,
            connection,
            tls,
            protocol: RefCell::new(protocol),
            first: Cell::new(first),
            is_open: Cell::new(false),
            is_closing: Cell::new(false),
            begun: Cell::new(0),
            answered: Cell::new(0),
            first_byte_ns: Cell::new(None),
            now_ns: Cell::new(None),
            has_reply: Cell::new(false),
        }
    }

    async fn run(&self, stream: TcpStream) -> Result<(), Failure> {
        let (mut from_peer, mut to_peer) = stream.into_split();
        let mut reading = pin!(self.read(&mut from_peer));
        let mut writing = pin!(self.write(&mut to_peer));
        let mut write_failure = None;
        poll_fn(|context| {
            if let Poll::Ready(outcome) = reading.as_mut().poll(context) {
                return Poll::Ready(outcome);
            }
            // A peer that has closed may have answered before: what it sent is read first.
            if write_failure.is_none()
                && let Poll::Ready(Err(failure)) = writing.as_mut().poll(context)
            {
                write_failure = Some(failure);
            }
            self.now_ns.set(None);
            if self.has_nothing_left() { Poll::Ready(Ok(())) } else { Poll::Pending }
        })
        .await
    }

    /// Whether the run is over for this connection.
    fn has_nothing_left(&self) -> bool {
        self.worker.is_over() && self.first_is_none() && self.connection.outstanding.borrow().is_empty()
    }

    fn first_is_none(&self) -> bool {
        let first = self.first.take();
        self.first.set(first);
        first.is_none()
    }

    async fn read(&self, from_peer: &mut impl AsyncReadRent) -> Result<(), Failure> {
        let mut buffer = Vec::with_capacity(READ_BYTES);
        loop {
            let (result, read) = from_peer.read(buffer).await;
            buffer = read;
            let bytes = match result {
                Ok(0) => return self.end(),
                Ok(bytes) => bytes,
                Err(_) if self.is_closing.get() => return Ok(()),
                Err(error) => return Err(transfer_failure(&error)),
            };
            let now_ns = self.worker.now_ns();
            self.now_ns.set(Some(now_ns));
            self.worker.record(now_ns, |recorder| recorder.received(bytes as u64));
            match &self.tls {
                None => self.handle(&buffer, now_ns)?,
                Some(tls) => {
                    let mut tls = tls.borrow_mut();
                    tls.receive(&buffer, |plaintext| self.handle(plaintext, now_ns))?;
                    if tls.wants_write() {
                        self.has_reply.set(true);
                    }
                }
            }
        }
    }

    /// Hands bytes of the protocol to it, and looks at what became complete.
    #[inline]
    fn handle(&self, mut input: &[u8], now_ns: u64) -> Result<(), Failure> {
        while !input.is_empty() && !self.is_closing.get() {
            if self.first_byte_ns.get().is_none() {
                self.first_byte_ns.set(Some(now_ns));
            }
            let mut protocol = self.protocol.borrow_mut();
            let received = protocol.receive(input)?;
            input = &input[received.consumed..];
            match received.event {
                None => {}
                Some(Event::Opened) => {
                    self.is_open.set(true);
                    self.connection.enter(Phase::Open, now_ns);
                    self.first_byte_ns.set(None);
                }
                Some(Event::Answered(answered)) => self.handle_answer(answered, &mut protocol, now_ns),
            }
            if let Protocol::WebSocket(_) = &*protocol {
                self.has_reply.set(true);
            }
        }
        Ok(())
    }

    #[inline]
    fn handle_answer(&self, answered: Answered, protocol: &mut Protocol, now_ns: u64) {
        let sent = self.connection.outstanding.borrow_mut().pop_front().expect("an answer has a request");
        let answer = Answer {
            due_ns: sent.job.due_ns,
            sent_ns: sent.sent_ns,
            first_byte_ns: self.first_byte_ns.take().unwrap_or(now_ns),
            end_ns: now_ns,
            status: answered.status,
        };
        self.worker.answered(answer, answered.unexpected);
        self.answered.set(self.answered.get() + 1);
        let is_last = self.worker.plan.requests_per_connection.is_some_and(|last| self.answered.get() >= last);
        if answered.last || is_last {
            self.is_closing.set(true);
            self.connection.enter(Phase::Closing, now_ns);
            if let Protocol::WebSocket(session) = protocol {
                session.close();
            }
            // What follows an answer with `Connection: close` was not processed. RFC 9112 §9.6
            for sent in self.connection.outstanding.borrow_mut().drain(..).rev() {
                self.worker.give_back(self.connection.endpoint, sent.job);
            }
        }
    }

    /// The peer has closed.
    fn end(&self) -> Result<(), Failure> {
        if self.is_closing.get() {
            return Ok(());
        }
        let now_ns = self.worker.now_ns();
        let cut = self.tls.as_ref().is_some_and(|tls| !tls.borrow_mut().has_ended());
        let mut protocol = self.protocol.borrow_mut();
        if let Some(answered) = protocol.end()? {
            if cut {
                return Err(Failure::new(ErrorKind::ClosedEarly, "TLS was cut without a close_notify"));
            }
            self.handle_answer(answered, &mut protocol, now_ns);
        }
        Ok(())
    }

    async fn write(&self, to_peer: &mut impl AsyncWriteRent) -> Result<Infallible, Failure> {
        let mut batch = Vec::new();
        let mut sealed = Vec::new();
        self.is_open.set(self.protocol.borrow_mut().open(&mut batch));
        if self.is_open.get() {
            self.connection.enter(Phase::Open, self.worker.now_ns());
        }
        let mut prepared: Option<&'static [u8]> = None;
        if batch.is_empty() {
            prepared = poll_fn(|_| self.next_output(&mut batch)).await;
        }
        loop {
            let sent_bytes;
            if let Some(tls) = &self.tls {
                let plaintext = prepared.unwrap_or(&batch);
                let mut pieces = plaintext.chunks(SEAL_BYTES);
                let mut bytes = 0;
                loop {
                    let piece = pieces.next();
                    tls.borrow_mut().write(piece.unwrap_or_default(), &mut sealed);
                    if sealed.is_empty() {
                        break;
                    }
                    let (result, written) = to_peer.write_all(std::mem::take(&mut sealed)).await;
                    bytes += result.map_err(|error| transfer_failure(&error))?;
                    sealed = written;
                    sealed.clear();
                    if piece.is_none() {
                        break;
                    }
                }
                sent_bytes = bytes;
            } else if let Some(prepared) = prepared {
                let (result, _) = to_peer.write_all(prepared).await;
                sent_bytes = result.map_err(|error| transfer_failure(&error))?;
            } else {
                let (result, written) = to_peer.write_all(std::mem::take(&mut batch)).await;
                sent_bytes = result.map_err(|error| transfer_failure(&error))?;
                batch = written;
            }
            let now_ns = self.now_ns.get().unwrap_or_else(|| self.worker.now_ns());
            self.worker.record(now_ns, |recorder| recorder.sent(sent_bytes as u64));
            batch.clear();
            prepared = poll_fn(|_| self.next_output(&mut batch)).await;
        }
    }

    /// What is to be written next: prepared bytes, or what is then in `batch`.
    fn next_output(&self, batch: &mut Vec<u8>) -> Poll<Option<&'static [u8]>> {
        let mut protocol = self.protocol.borrow_mut();
        let has_reply = self.has_reply.replace(false) && {
            let tls_wants = self.tls.as_ref().is_some_and(|tls| tls.borrow().wants_write());
            protocol.reply(batch) || tls_wants
        };
        let mut prepared: Option<&'static [u8]> = None;
        let per_connection = self.worker.plan.requests_per_connection.unwrap_or(u64::MAX);
        let mut outstanding = self.connection.outstanding.borrow_mut();
        while self.is_open.get()
            && !self.is_closing.get()
            && outstanding.len() < self.worker.plan.pipeline
            && self.begun.get() < per_connection
            && batch.len() < BATCH_BYTES_MAX
        {
            let now_ns = || self.now_ns.get().unwrap_or_else(|| self.worker.now_ns());
            let job = self.first.take();
            let Some(job) = job.or_else(|| self.worker.take(self.connection.endpoint, self.connection, now_ns)) else {
                break;
            };
            outstanding.push_back(Sent { job, sent_ns: now_ns() });
            self.begun.set(self.begun.get() + 1);
            let encoded = protocol.request(job.target, self.begun.get() == per_connection, batch);
            if let Encoded::Prepared(bytes) = encoded {
                if batch.is_empty() && prepared.is_none() {
                    prepared = Some(bytes);
                    continue;
                }
                batch.extend_from_slice(prepared.take().unwrap_or_default());
                batch.extend_from_slice(bytes);
            }
        }
        if has_reply || prepared.is_some() || !batch.is_empty() { Poll::Ready(prepared) } else { Poll::Pending }
    }
}
