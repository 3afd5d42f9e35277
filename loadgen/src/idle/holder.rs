//! The process that holds a share of the connections.
//!
//! It reads its orders from standard input, writes a line about its state to standard output several times a second, and ends
//! when standard input does, so that it never outlives who started it. A connection is a small task that waits for its socket
//! to become readable; it has a buffer and a parser only while it reads an answer.

use std::{
    cell::{Cell, RefCell},
    future::poll_fn,
    io::{self, BufRead, Read, Write},
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::PathBuf,
    pin::pin,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Poll, Waker},
    thread,
    time::{Duration, Instant},
};

use anyhow::Context;
use monoio::{
    io::{AsyncReadRent, AsyncWriteRentExt},
    net::TcpStream,
};
use rustls::pki_types::ServerName;
use serde::{Deserialize, Serialize};

use crate::{
    client::{
        http1,
        protocol::{Event, Failure, Key, Received},
        socket::{Address, connect, transfer_failure},
        tls,
    },
    load::{Alarm, Target, runtime},
    record::{ErrorCounts, ErrorKind},
    scenario::{Expect, Tls},
};

/// How often connections are opened and the state is told.
const TICK: Duration = Duration::from_millis(10);
/// Ticks between lines.
const TICKS_A_LINE: u64 = 10;
/// Connections that are made at once at most.
const CONNECTING_MAX: usize = 256;
/// Bytes of an answer that are read at a time.
const READ_BYTES: usize = 4 << 10;

/// What to hold.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Orders {
    pub(super) address: SocketAddr,
    pub(super) authority: String,
    pub(super) target: String,
    /// The number of this process's first connection among all.
    pub(super) first: u64,
    pub(super) connections: u64,
    pub(super) per_address: u64,
    pub(super) open_per_second: u64,
    pub(super) request: bool,
    pub(super) keep_alive_ms: Option<u64>,
    /// Whom to trust, where the connections are TLS.
    pub(super) tls: Option<Trust>,
}

/// How the server proves who it is.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Trust {
    pub(super) server_name: String,
    pub(super) ca_file: Option<PathBuf>,
    pub(super) insecure: bool,
}

/// Where a process stands.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct State {
    /// Connections that are open now.
    pub(super) open: u64,
    /// Connections that were open, and had their first answer where one was asked for.
    pub(super) ready: u64,
    /// Connections that the peer has closed after they were ready.
    pub(super) closed: u64,
    /// Answers received.
    pub(super) answers: u64,
    /// Connections that failed before they were ready, and requests that failed afterwards.
    pub(super) errors: ErrorCounts,
    /// Errors among these from before their connection was ready.
    pub(super) not_ready: u64,
}

impl State {
    pub(super) fn failed(&self) -> u64 {
        self.not_ready
    }

    pub(super) fn sum(states: impl Iterator<Item = Self>) -> Self {
        states.fold(Self::default(), |mut sum, state| {
            sum.open += state.open;
            sum.ready += state.ready;
            sum.closed += state.closed;
            sum.answers += state.answers;
            sum.not_ready += state.not_ready;
            sum.errors.merge(&state.errors);
            sum
        })
    }
}

/// The process's work, from its orders to the end of standard input.
///
/// # Errors
/// If there are no orders, or no io_uring.
pub fn hold() -> anyhow::Result<()> {
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line).context("reading the orders")?;
    let orders: Orders = serde_json::from_str(&line).context("understanding the orders")?;
    let is_over = Arc::new(AtomicBool::new(false));
    let over = Arc::clone(&is_over);
    thread::spawn(move || {
        let _ = io::stdin().lock().read_to_end(&mut Vec::new());
        over.store(true, Ordering::Relaxed);
    });
    runtime()?.block_on(run(orders, &is_over))
}

/// What the connections' tasks share.
#[derive(Debug)]
struct Shared {
    address: Address,
    target: &'static Target,
    request: bool,
    tls: Option<(tls::Client, ServerName<'static>)>,
    state: RefCell<State>,
    connecting: Cell<usize>,
}

/// A connection, and its TLS.
#[derive(Debug)]
struct Link {
    stream: TcpStream,
    tls: Option<tls::Session>,
}

/// What the process knows of one connection.
#[derive(Debug, Default)]
struct Held {
    waker: RefCell<Option<Waker>>,
    /// Whether it is to send a request.
    is_due: Cell<bool>,
}

async fn run(orders: Orders, is_over: &AtomicBool) -> anyhow::Result<()> {
    let request = format!("GET {} HTTP/1.1\r\nHost: {}\r\n\r\n", orders.target, orders.authority);
    let target = Target {
        usual: request.into_bytes().leak(),
        last: b"",
        fields: &[],
        body: b"",
        to_head: false,
        expect: Expect::default(),
        weight: 1,
    };
    let shared = Rc::new(Shared {
        address: Address::Tcp(orders.address),
        target: Box::leak(Box::new(target)),
        request: orders.request,
        tls: orders.tls.as_ref().map(client).transpose()?,
        state: RefCell::default(),
        connecting: Cell::new(0),
    });
    let mut held: Vec<Rc<Held>> = Vec::with_capacity(orders.connections as usize);
    let mut keep_alive = orders.keep_alive_ms.map(|interval_ms| KeepAlive::new(Duration::from_millis(interval_ms)));
    let alarm = Alarm::new()?;
    let start = Instant::now();
    let mut ticks = 0;
    while !is_over.load(Ordering::Relaxed) {
        let allowed = (start.elapsed().as_secs_f64() * orders.open_per_second as f64) as u64 + 1;
        while (held.len() as u64) < orders.connections.min(allowed) && shared.connecting.get() < CONNECTING_MAX {
            let source = source(&orders, orders.first + held.len() as u64);
            let connection = Rc::new(Held::default());
            shared.connecting.set(shared.connecting.get() + 1);
            monoio::spawn(hold_one(Rc::clone(&shared), Rc::clone(&connection), source));
            held.push(connection);
        }
        if let Some(keep_alive) = &mut keep_alive {
            keep_alive.wake_those_due(&held);
        }
        if ticks % TICKS_A_LINE == 0 {
            let mut stdout = io::stdout().lock();
            // Whoever started this has gone if it does not listen any more.
            if writeln!(stdout, "{}", serde_json::to_string(&*shared.state.borrow())?).is_err() {
                break;
            }
            stdout.flush()?;
        }
        ticks += 1;
        alarm.until(start + TICK * ticks as u32).await?;
    }
    Ok(())
}

fn client(trust: &Trust) -> anyhow::Result<(tls::Client, ServerName<'static>)> {
    // Each connection is a client of its own: what is held shall not depend on tickets.
    let settings =
        Tls { insecure: trust.insecure, ca_file: trust.ca_file.clone(), resumption: false, ..Tls::default() };
    let name = trust.server_name.clone();
    let name = ServerName::try_from(name).with_context(|| format!("`{}` is no name for TLS", trust.server_name))?;
    Ok((tls::Client::new(&settings, tls::HTTP1)?, name))
}

/// Where the connection of this number comes from: 127.1.0.1 and its successors, if the target is in 127.0.0.0/8.
fn source(orders: &Orders, number: u64) -> Option<IpAddr> {
    match orders.address.ip() {
        IpAddr::V4(target) if target.is_loopback() => {
            let first = u32::from(Ipv4Addr::new(127, 1, 0, 1));
            Some(Ipv4Addr::from(first + (number / orders.per_address) as u32).into())
        }
        _ => None,
    }
}

/// Sends each connection's requests one interval apart, those of all connections evenly over it.
#[derive(Debug)]
struct KeepAlive {
    interval: Duration,
    last: Instant,
    /// Connections that are due, and the fraction of one.
    due: f64,
    next: usize,
}

impl KeepAlive {
    fn new(interval: Duration) -> Self {
        Self { interval, last: Instant::now(), due: 0.0, next: 0 }
    }

    fn wake_those_due(&mut self, held: &[Rc<Held>]) {
        let elapsed = self.last.elapsed();
        self.last += elapsed;
        self.due = (self.due + held.len() as f64 * elapsed.div_duration_f64(self.interval)).min(held.len() as f64);
        while self.due >= 1.0 {
            self.due -= 1.0;
            let connection = &held[self.next % held.len()];
            self.next = (self.next + 1) % held.len();
            connection.is_due.set(true);
            if let Some(waker) = &*connection.waker.borrow() {
                waker.wake_by_ref();
            }
        }
    }
}

async fn hold_one(shared: Rc<Shared>, held: Rc<Held>, source: Option<IpAddr>) {
    let connected = connect(&shared.address, source).await;
    shared.connecting.set(shared.connecting.get() - 1);
    let mut link = match connected {
        Ok(stream) => Link { stream, tls: None },
        Err(failure) => return shared.count(&failure, true),
    };
    shared.state.borrow_mut().open += 1;
    let mut is_ready = false;
    let outcome = Box::pin(converse(&shared, &held, &mut link, &mut is_ready)).await;
    shared.state.borrow_mut().open -= 1;
    match outcome {
        Ok(()) => shared.state.borrow_mut().closed += 1,
        Err(failure) => shared.count(&failure, !is_ready),
    }
}

/// Holds a connection until the peer closes it.
async fn converse(shared: &Shared, held: &Held, link: &mut Link, is_ready: &mut bool) -> Result<(), Failure> {
    if let Some((client, name)) = &shared.tls {
        let mut session = client.session(name)?;
        Box::pin(session.shake_hands(&mut link.stream, |_| ())).await?;
        link.tls = Some(session);
    }
    if shared.request {
        Box::pin(exchange(shared, link)).await?;
    }
    *is_ready = true;
    shared.state.borrow_mut().ready += 1;
    loop {
        match wait(held, &link.stream).await? {
            Woken::ByPeer if Box::pin(has_ended(link)).await? => return Ok(()),
            Woken::ByPeer => {}
            Woken::ByClock => Box::pin(exchange(shared, link)).await?,
        }
    }
}

enum Woken {
    ByPeer,
    ByClock,
}

async fn wait(held: &Held, stream: &TcpStream) -> Result<Woken, Failure> {
    let mut readable = pin!(stream.readable(true));
    poll_fn(|context| {
        *held.waker.borrow_mut() = Some(context.waker().clone());
        if held.is_due.replace(false) {
            return Poll::Ready(Ok(Woken::ByClock));
        }
        readable
            .as_mut()
            .poll(context)
            .map(|ready| ready.map(|()| Woken::ByPeer).map_err(|error| transfer_failure(&error)))
    })
    .await
}

/// Whether the peer has closed; else it has said what only TLS knows, such as a ticket.
async fn has_ended(link: &mut Link) -> Result<bool, Failure> {
    let room = if link.tls.is_some() { READ_BYTES } else { 1 };
    let (result, read) = link.stream.read(Vec::with_capacity(room)).await;
    if result.map_err(|error| transfer_failure(&error))? == 0 {
        return Ok(true);
    }
    let unsolicited = |_: &[u8]| Err(http1::Malformed::Unsolicited.into());
    match &mut link.tls {
        None => unsolicited(&read).map(|()| false),
        Some(tls) => tls.receive(&read, unsolicited).map(|()| tls.has_ended()),
    }
}

/// One request and its answer.
async fn exchange(shared: &Shared, link: &mut Link) -> Result<(), Failure> {
    let request = shared.target.usual;
    let written = match &mut link.tls {
        None => link.stream.write_all(request).await.0,
        Some(tls) => {
            let mut sealed = Vec::with_capacity(request.len() + 64);
            tls.write(request, &mut sealed);
            link.stream.write_all(sealed).await.0
        }
    };
    written.map_err(|error| transfer_failure(&error))?;
    let mut session = http1::Session::new();
    session.request(shared.target, Key(0), false);
    let mut buffer = Vec::with_capacity(READ_BYTES);
    let mut is_answered = false;
    while !is_answered {
        let (result, read) = link.stream.read(buffer).await;
        buffer = read;
        if result.map_err(|error| transfer_failure(&error))? == 0 {
            return Err(Failure::new(ErrorKind::ClosedEarly, "before the end of an answer"));
        }
        let mut take = |bytes: &[u8]| {
            // Nothing follows the only answer.
            let received = if is_answered { Received { consumed: 0, event: None } } else { session.receive(bytes)? };
            if let Some(Event::Answered(answered)) = received.event {
                is_answered = true;
                if let Some(kind) = answered.unexpected {
                    return Err(Failure::new(kind, "an answer that is not as expected"));
                }
            }
            if is_answered && received.consumed < bytes.len() {
                return Err(http1::Malformed::Unsolicited.into());
            }
            Ok(())
        };
        match &mut link.tls {
            None => take(&buffer)?,
            Some(tls) => tls.receive(&buffer, take)?,
        }
    }
    shared.state.borrow_mut().answers += 1;
    Ok(())
}

impl Shared {
    fn count(&self, failure: &Failure, is_before_ready: bool) {
        let mut state = self.state.borrow_mut();
        state.errors.add(failure.kind);
        state.not_ready += u64::from(is_before_ready);
    }
}
