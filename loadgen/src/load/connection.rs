//! One connection's task: it connects, sends what its thread has for it, reads what comes back, and begins again.

use std::{
    cell::{Cell, RefCell},
    future::poll_fn,
    pin::pin,
    rc::Rc,
    task::{Context, Poll, Waker},
};

use monoio::net::TcpStream;

use super::{
    exchange::Exchange,
    outstanding::Outstanding,
    plan::Endpoint,
    worker::{Job, Worker},
};
use crate::{
    client::{
        http1, http2,
        protocol::{Failure, Protocol},
        socket::{Address, connect},
        tls, websocket,
    },
    record::{ErrorKind, Recorder},
    scenario::Timeouts,
};

/// How long a connection that failed waits before it tries again.
const RETRY_AFTER_NS: u64 = 100_000_000;
/// How long the peer may take to close a connection after its last answer.
const CLOSING_NS_MAX: u64 = 1_000_000_000;

/// What a thread knows of one of its connections.
#[derive(Debug)]
pub(super) struct Connection {
    /// Which of the plan's endpoints it belongs to.
    pub(super) endpoint: usize,
    /// Counts its attempts to connect, from another number in each connection, so that a name's addresses have equal shares.
    turn: Cell<usize>,
    /// Whether the thread's list of idle connections has it.
    pub(super) is_listed: Cell<bool>,
    waker: RefCell<Option<Waker>>,
    phase: Cell<Phase>,
    since_ns: Cell<u64>,
    abort: Cell<Option<Abort>>,
    /// Whether a request that takes too long ends itself alone, and whether there is one.
    multiplexes: bool,
    pub(super) has_late: Cell<bool>,
    /// Requests that wait for their answer.
    pub(super) outstanding: RefCell<Outstanding>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
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

impl Connection {
    /// `number` tells it from the thread's other connections; `multiplexes` says whether requests stand side by side on it.
    pub(super) fn new(endpoint: usize, number: usize, multiplexes: bool) -> Self {
        Self {
            endpoint,
            turn: Cell::new(number),
            is_listed: Cell::new(false),
            waker: RefCell::default(),
            phase: Cell::new(Phase::Waiting),
            since_ns: Cell::new(0),
            abort: Cell::new(None),
            multiplexes,
            has_late: Cell::new(false),
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
        let ends_ns = match phase {
            Phase::Waiting => return,
            Phase::Connecting => since_ns + timeouts.connect.as_nanos() as u64,
            Phase::Open => match self.outstanding.borrow().oldest_due_ns() {
                Some(due_ns) => due_ns + timeouts.request.as_nanos() as u64,
                None => return,
            },
            Phase::Closing => since_ns + CLOSING_NS_MAX,
            Phase::Retrying => since_ns + RETRY_AFTER_NS,
        };
        if now_ns >= ends_ns {
            if phase == Phase::Retrying {
                self.phase.set(Phase::Waiting);
            } else if phase == Phase::Open && self.multiplexes {
                self.has_late.set(true);
            } else {
                self.abort.set(Some(Abort::TimedOut(phase)));
            }
            self.wake();
        }
    }

    pub(super) fn enter(&self, phase: Phase, now_ns: u64) {
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
    // One that waits for its first request makes no connection yet.
    let counts_as_connecting = !waits_for_request(&worker);
    if !counts_as_connecting {
        worker.connecting.set(worker.connecting.get() - 1);
    }
    while let Some(first) = wait_for_work(&worker, &connection).await {
        let seed = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(lives << 1);
        let outcome = live(&worker, &connection, first, seed, counts_as_connecting && lives == 0).await;
        lives += 1;
        connection.enter(Phase::Waiting, worker.now_ns());
        if let Err(stop) = outcome
            && fail(&worker, &connection, stop) == AfterFailure::Wait
        {
            connection.enter(Phase::Retrying, worker.now_ns());
        }
    }
    if counts_as_connecting && lives == 0 {
        worker.connecting.set(worker.connecting.get() - 1);
    }
    worker.leave();
}

/// Waits until there is a reason to connect; `None` at the end of the run. Where each connection serves one request, that
/// request is the reason, and its latency begins before the connection.
async fn wait_for_work(worker: &Rc<Worker>, connection: &Rc<Connection>) -> Option<Option<Job>> {
    let wants_job = waits_for_request(worker);
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

fn waits_for_request(worker: &Worker) -> bool {
    worker.plan.requests_per_connection == Some(1)
}

#[derive(PartialEq, Eq)]
enum AfterFailure {
    GoOn,
    Wait,
}

/// Counts what a connection that stopped has left unanswered.
fn fail(worker: &Worker, connection: &Connection, stop: Stop) -> AfterFailure {
    let outstanding = connection.outstanding.borrow_mut().take();
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
        ErrorKind::ConnectRefused
            | ErrorKind::ConnectTimedOut
            | ErrorKind::ConnectFailed
            | ErrorKind::Tls
            | ErrorKind::ProtocolRefused
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
        connection.outstanding.borrow_mut().insert(job, began_ns);
    }
    let connected = connection
        .unless_aborted(connect_to_any(&endpoint.addresses, connection.turn.replace(connection.turn.get() + 1)))
        .await;
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
        } else if worker.plan.http2 {
            worker.record(worker.now_ns(), |recorder| recorder.http2(|http2| http2.connections += 1));
            Protocol::Http2(Box::new(http2::Session::new(worker.plan.window_bytes)))
        } else {
            Protocol::Http1(http1::Session::new())
        };
        let first = connection.outstanding.borrow_mut().take().first().map(|sent| sent.job);
        let exchange = Exchange::new(worker, connection, tls, protocol, first);
        exchange.run(stream).await
    });
    let outcome = outcome.await;
    worker.record_connection(Recorder::disconnected);
    outcome
}

/// A connection to one of the origin's addresses: by turns over connections, and to the next where nobody listens.
async fn connect_to_any(addresses: &[Address], turn: usize) -> Result<TcpStream, Failure> {
    let mut last = None;
    for address in addresses.iter().cycle().skip(turn % addresses.len()).take(addresses.len()) {
        match connect(address, None).await {
            Ok(stream) => return Ok(stream),
            Err(failure) => last = Some(failure),
        }
    }
    Err(last.expect("an origin has an address"))
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
    session
        .shake_hands(stream, |way| {
            worker.record(worker.now_ns(), |recorder| match way {
                tls::Way::Sent(bytes) => recorder.sent(bytes),
                tls::Way::Received(bytes) => recorder.received(bytes),
            });
        })
        .await?;
    if worker.plan.http2 && session.protocol() != Some(tls::HTTP2) {
        return Err(Failure::new(ErrorKind::ProtocolRefused, "the server chose another protocol than h2 (ALPN)"));
    }
    let took_ns = worker.now_ns() - began_ns;
    worker.record_connection(|recorder| recorder.shook_hands(session.handshake(), took_ns));
    Ok(Some(RefCell::new(session)))
}

#[cfg(test)]
mod tests {
    use std::net::{SocketAddr, TcpListener};

    use super::*;

    #[test]
    fn connections_go_to_all_addresses_by_turns_and_pass_the_dead_ones_over() {
        let listeners = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
        // A port that was ours a moment ago, and that nobody listens at.
        let dead = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let [one, other] = listeners.each_ref().map(|listener| listener.local_addr().unwrap());
        let addresses = [one, dead, other].map(Address::Tcp);
        let mut runtime = monoio::RuntimeBuilder::<monoio::IoUringDriver>::new().build().unwrap();
        let peers: Vec<SocketAddr> = runtime.block_on(async {
            let mut peers = Vec::new();
            for turn in 0..4 {
                peers.push(connect_to_any(&addresses, turn).await.unwrap().peer_addr().unwrap());
            }
            peers
        });
        assert_eq!(peers, [one, other, other, one]);
        let failed = runtime.block_on(connect_to_any(&[Address::Tcp(dead)], 7)).unwrap_err();
        assert_eq!(failed.kind, ErrorKind::ConnectRefused);
    }
}
