//! A session that carries many exchanges at a time, in memory: the proof that [`exchange`](crate::exchange) needs nothing
//! of HTTP/1. Its streams have flow-control windows, as those of HTTP/2 will.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::rc::Rc;
use std::sync::{Arc, Barrier};
use std::task::{Context, Poll, Waker};

use plan::{Address, Listener, Plan, Route, RouteTable, Server, Shards, Upstream as Policy, UpstreamId};
use ring::Chunk;
use wire::h1::{Edits, Parsed, Trailers, parse_request};
use wire::{BodyLength, Limits, RequestHead, ResponseHead};

use crate::client::Client;
use crate::counters::Counters;
use crate::deadline::Deadline;
use crate::exchange::{self, Request};
use crate::outcome::{Error, Outcome};
use crate::shard::Shard;
use crate::streams::{BodyPart, Downstream, Sink, Source, TunnelEnd};
use crate::tally::Tallies;

/// A part of a body that makes the stream panic, as a mistake of ours would.
const PANIC: &[u8] = b"panic";

/// One stream of the session. All streams write to the session's one log, as frames go to one connection.
struct MemoryStream {
    id: usize,
    session: Rc<Session>,
    received: u64,
    status: Option<u16>,
    sent: u64,
}

#[derive(Default)]
struct Session {
    frames: RefCell<Vec<(usize, Frame)>>,
    inbound: RefCell<Vec<Inbound>>,
}

#[derive(Default)]
struct Inbound {
    parts: VecDeque<Vec<u8>>,
    ended: bool,
    /// Bytes of the response that the peer is ready to take.
    window: u64,
    waker: Option<Waker>,
}

#[derive(Debug, PartialEq, Eq)]
enum Frame {
    Head(u16),
    Data(Vec<u8>),
    End,
    Failed(u16),
}

impl Session {
    fn open(self: &Rc<Self>, window: u64) -> MemoryStream {
        let mut inbound = self.inbound.borrow_mut();
        inbound.push(Inbound { window, ..Inbound::default() });
        MemoryStream { id: inbound.len() - 1, session: Rc::clone(self), received: 0, status: None, sent: 0 }
    }

    fn deliver(&self, id: usize, change: impl FnOnce(&mut Inbound)) {
        let inbound = &mut self.inbound.borrow_mut()[id];
        change(inbound);
        if let Some(waker) = inbound.waker.take() {
            waker.wake();
        }
    }

    fn body_of(&self, id: usize) -> Vec<u8> {
        let frames = self.frames.borrow();
        let data = frames.iter().filter_map(|(stream, frame)| match frame {
            Frame::Data(data) if *stream == id => Some(&data[..]),
            _ => None,
        });
        data.collect::<Vec<_>>().concat()
    }
}

impl MemoryStream {
    fn log(&self, frame: Frame) {
        self.session.frames.borrow_mut().push((self.id, frame));
    }

    fn inbound<T>(&self, look: impl FnOnce(&mut Inbound) -> T) -> T {
        look(&mut self.session.inbound.borrow_mut()[self.id])
    }
}

/// Its bodies cannot pass from socket to socket.
impl Source for MemoryStream {}
impl Sink for MemoryStream {}

/// A stream that was opened by an extended CONNECT carries a tunnel in its data.
impl TunnelEnd for &mut MemoryStream {
    fn poll_bytes(&mut self, cx: &Context<'_>, _large: bool) -> Poll<io::Result<Option<Chunk>>> {
        self.poll_body(cx).map(|part| match part {
            Ok(BodyPart::Data(data)) => Ok(Some(data)),
            Ok(BodyPart::End) => Ok(None),
            Err(error) => Err(io::Error::other(error)),
        })
    }

    fn send_bytes(&mut self, bytes: Chunk) {
        self.send_data(bytes).expect("a stream in memory takes everything");
    }

    fn poll_room(&mut self, cx: &Context<'_>) -> Poll<io::Result<()>> {
        self.poll_writable(cx).map_err(io::Error::other)
    }

    fn poll_end(&mut self, _: &Context<'_>) -> Poll<io::Result<()>> {
        self.log(Frame::End);
        Poll::Ready(Ok(()))
    }
}

impl Downstream for MemoryStream {
    type Tunnel<'a> = &'a mut MemoryStream;

    fn switch(&mut self, head: &ResponseHead, _: &[u8], _: &Edits) {
        self.status = Some(head.status());
        self.log(Frame::Head(head.status()));
    }

    fn tunnel(&mut self) -> &mut MemoryStream {
        self
    }

    fn count_tunnel(&mut self, _: u64, _: u64) {}

    fn respond(&mut self, status: u16, _: &Edits) {
        self.status = Some(status);
        self.log(Frame::Head(status));
        self.log(Frame::End);
    }

    fn poll_body(&mut self, cx: &Context<'_>) -> Poll<Result<BodyPart, Error>> {
        let part = self.inbound(|inbound| match inbound.parts.pop_front() {
            Some(part) => Poll::Ready(Some(part)),
            None if inbound.ended => Poll::Ready(None),
            None => {
                inbound.waker = Some(cx.waker().clone());
                Poll::Pending
            }
        });
        part.map(|part| {
            Ok(match part {
                Some(part) => {
                    assert!(part != PANIC, "on purpose");
                    self.received += part.len() as u64;
                    BodyPart::Data(Chunk::copy_of(&part))
                }
                None => BodyPart::End,
            })
        })
    }

    fn trailers(&self) -> Option<&Trailers> {
        None
    }

    fn send_informational(&mut self, head: &ResponseHead, _: &[u8]) {
        self.log(Frame::Head(head.status()));
    }

    fn send_head(&mut self, head: &ResponseHead, _: &[u8], _: &Edits, _: BodyLength) {
        self.status = Some(head.status());
        self.log(Frame::Head(head.status()));
    }

    fn send_data(&mut self, data: Chunk) -> Result<(), Error> {
        self.sent += data.len() as u64;
        self.inbound(|inbound| inbound.window = inbound.window.saturating_sub(data.len() as u64));
        self.log(Frame::Data(data.to_vec()));
        Ok(())
    }

    fn finish(&mut self, _: Option<&Trailers>) -> Result<(), Error> {
        self.log(Frame::End);
        Ok(())
    }

    fn fail(&mut self, error: &Error, _: &Edits) {
        self.log(Frame::Failed(error.status));
    }

    fn flush(&mut self) {}

    fn poll_writable(&mut self, cx: &Context<'_>) -> Poll<Result<(), Error>> {
        self.inbound(|inbound| {
            if inbound.window > 0 {
                return Poll::Ready(Ok(()));
            }
            inbound.waker = Some(cx.waker().clone());
            Poll::Pending
        })
    }

    fn poll_failed(&mut self, _: &Context<'_>) -> Poll<Error> {
        Poll::Pending
    }

    fn status(&self) -> Option<u16> {
        self.status
    }

    fn request_complete(&self) -> bool {
        self.inbound(|inbound| inbound.ended && inbound.parts.is_empty())
    }

    fn body_bytes_received(&self) -> u64 {
        self.received
    }

    fn body_bytes_sent(&self) -> u64 {
        self.sent
    }
}

/// An echo server that answers the first `together` requests only when all of them have arrived.
fn echo(together: usize) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let barrier = Arc::new(Barrier::new(together));
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let barrier = Arc::clone(&barrier);
            std::thread::spawn(move || echo_one(stream.unwrap(), &barrier));
        }
    });
    address
}

fn echo_one(mut stream: TcpStream, barrier: &Barrier) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut length = 0;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).unwrap_or(0) == 0 {
            return;
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        if line == "\r\n" {
            break;
        }
    }
    barrier.wait();
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n").unwrap();
    stream.write_all(&body).unwrap();
    // Until the proxy closes: a reset must not overtake the answer.
    let _ = reader.read(&mut [0]);
}

fn plan(upstream: SocketAddr, connections_max: u32) -> Arc<Plan> {
    let server = Server::new(Address::Tcp(upstream));
    let upstream = Policy { connections_max, ..Policy::new("echo".to_owned(), vec![server]) };
    plan_of(upstream, Route::new(None, "/", UpstreamId(0)))
}

pub(super) fn plan_of(upstream: Policy, route: Route) -> Arc<Plan> {
    Arc::new(Plan {
        listeners: vec![Listener::new(Address::Tcp(([127, 0, 0, 1], 0).into()))],
        upstreams: vec![upstream],
        routes: RouteTable::new(vec![route]),
        passthrough: plan::PassthroughTable::default(),
        limits: plan::Limits::default(),
        timeouts: plan::Timeouts::default(),
        overload: plan::Overload::default(),
        http2: plan::Http2::default(),
        tls: None,
        trust: plan::TrustPolicy::default(),
        forwarding: plan::Forwarding::default(),
        shards: Shards { count: 1, pin: false, io: plan::Io::Auto, splice_bytes_min: Shards::SPLICE_BYTES_MIN },
        access_logs: plan::AccessLogs::default(),
        metrics: plan::Metrics::default(),
    })
}

fn request(body_bytes: usize) -> Request {
    parsed(&format!("POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: {body_bytes}\r\n\r\n"))
}

fn parsed(bytes: &str) -> Request {
    let mut head = RequestHead::new();
    assert!(matches!(parse_request(bytes.as_bytes(), &Limits::default(), &mut head), Ok(Parsed::Complete(_))));
    Request { head, bytes: Chunk::copy_of(bytes.as_bytes()), ..Request::default() }
}

/// Runs `test` on a shard that proxies to `upstream`, and returns the shard's counters.
fn on_a_shard<F: Future<Output = ()> + 'static>(
    upstream: SocketAddr,
    connections_max: u32,
    test: impl FnOnce(Rc<Shard>) -> F,
) -> Arc<Counters> {
    on_a_shard_of(plan(upstream, connections_max), test)
}

fn on_a_shard_of<F: Future<Output = ()> + 'static>(
    plan: Arc<Plan>,
    test: impl FnOnce(Rc<Shard>) -> F,
) -> Arc<Counters> {
    let counters = Arc::<Counters>::default();
    let shared = Arc::clone(&counters);
    let ring_counters = Arc::clone(&counters.ring);
    ring::run(&ring::Config::default(), ring_counters, |_| {
        test(Shard::new(&plan, shared, Tallies::default(), Vec::new(), (None, &Vec::new().into())))
    })
    .unwrap();
    counters
}

type Outcomes = Rc<RefCell<Vec<(usize, Outcome)>>>;

fn start(shard: &Rc<Shard>, stream: MemoryStream, body_bytes: usize, outcomes: &Outcomes) {
    start_with(shard, stream, request(body_bytes), outcomes);
}

fn start_with(shard: &Rc<Shard>, mut stream: MemoryStream, mut request: Request, outcomes: &Outcomes) {
    let (shard, outcomes) = (Rc::clone(shard), Rc::clone(outcomes));
    ring::spawn(async move {
        let client = Client::new(None, &shard.serving().plan);
        let mut deadline = Deadline::new();
        let outcome = exchange::run(&shard, &shard.serving(), &client, &mut request, &mut stream, &mut deadline).await;
        outcomes.borrow_mut().push((stream.id, outcome));
    });
}

/// Waits until `count` exchanges have ended.
async fn ended(outcomes: &Outcomes, count: usize) {
    until(|| outcomes.borrow().len() >= count).await;
}

async fn until(holds: impl Fn() -> bool) {
    let mut deadline = Deadline::new();
    deadline.set(std::time::Duration::from_secs(20));
    while !holds() {
        assert!(std::future::poll_fn(|cx| Poll::Ready(deadline.poll(cx))).await.is_pending(), "exchanges are stuck");
        ring::sleep(std::time::Duration::from_millis(1)).await;
    }
}

fn pattern(id: usize, bytes: usize) -> Vec<u8> {
    (0..bytes).map(|at| (at * 31 + id * 7) as u8).collect()
}

#[test]
fn sixteen_exchanges_go_on_at_once_and_keep_their_bytes_apart() {
    const STREAMS: usize = 16;
    const BODY_BYTES: usize = 100_000;
    let counters = on_a_shard(echo(STREAMS), 100, |shard| async move {
        let session = Rc::new(Session::default());
        let outcomes = Outcomes::default();
        for _ in 0..STREAMS {
            start(&shard, session.open(u64::MAX), BODY_BYTES, &outcomes);
        }
        // Piece by piece, one stream after the other, as frames arrive on one connection.
        let bodies: Vec<_> = (0..STREAMS).map(|id| pattern(id, BODY_BYTES)).collect();
        for at in (0..BODY_BYTES).step_by(10_000) {
            for (id, body) in bodies.iter().enumerate() {
                session.deliver(id, |inbound| inbound.parts.push_back(body[at..at + 10_000].to_vec()));
            }
            ring::yield_now().await;
        }
        (0..STREAMS).for_each(|id| session.deliver(id, |inbound| inbound.ended = true));
        ended(&outcomes, STREAMS).await;
        for (id, outcome) in outcomes.borrow().iter() {
            assert_eq!(*outcome, Outcome::Completed, "stream {id}");
            assert_eq!(session.body_of(*id), bodies[*id], "stream {id}");
        }
    });
    assert_eq!(counters.exchanges_ended(), STREAMS as u64);
    assert_eq!(counters.upstream_connects.value(), STREAMS as u64);
}

#[test]
fn a_stream_without_a_window_stops_no_other() {
    const BODY_BYTES: usize = 1 << 20;
    on_a_shard(echo(3), 100, |shard| async move {
        let session = Rc::new(Session::default());
        let outcomes = Outcomes::default();
        let windows = [u64::MAX, 1, u64::MAX];
        for (id, window) in windows.into_iter().enumerate() {
            start(&shard, session.open(window), BODY_BYTES, &outcomes);
            session.deliver(id, |inbound| {
                inbound.parts.push_back(pattern(id, BODY_BYTES));
                inbound.ended = true;
            });
        }
        ended(&outcomes, 2).await;
        assert!(outcomes.borrow().iter().all(|(id, outcome)| *id != 1 && *outcome == Outcome::Completed));
        // The server may have served the others first.
        until(|| !session.body_of(1).is_empty()).await;
        let stopped_at = session.body_of(1).len();
        assert!((1..BODY_BYTES).contains(&stopped_at), "stopped after {stopped_at} bytes");
        session.deliver(1, |inbound| inbound.window = u64::MAX);
        ended(&outcomes, 3).await;
        assert_eq!(session.body_of(1), pattern(1, BODY_BYTES));
    });
}

#[test]
fn a_panic_in_one_exchange_ends_that_one_and_gives_its_connection_back() {
    let counters = on_a_shard(echo(1), 1, |shard| async move {
        let session = Rc::new(Session::default());
        let outcomes = Outcomes::default();
        let doomed = session.open(u64::MAX);
        session.deliver(doomed.id, |inbound| inbound.parts.push_back(PANIC.to_vec()));
        start(&shard, doomed, 4, &outcomes);
        // The plan lets a shard have one connection: the other exchange needs the doomed one's.
        let other = session.open(u64::MAX);
        session.deliver(other.id, |inbound| inbound.ended = true);
        start(&shard, other, 0, &outcomes);
        ended(&outcomes, 1).await;
        assert_eq!(*outcomes.borrow(), [(1, Outcome::Completed)]);
    });
    assert_eq!((counters.ring.panics.value(), counters.exchanges_ended()), (1, 1));
}

/// A server that switches protocols and then echoes until the end, of which it says `bye`.
fn switching() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        let mut line = String::new();
        while line != "\r\n" {
            line.clear();
            reader.read_line(&mut line).unwrap();
        }
        stream.write_all(b"HTTP/1.1 101 Up\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\nhello ").unwrap();
        io::copy(&mut reader, &mut stream).unwrap();
        stream.write_all(b" bye").unwrap();
    });
    address
}

#[test]
fn a_stream_of_many_carries_a_tunnel() {
    on_a_shard(switching(), 1, |shard| async move {
        let session = Rc::new(Session::default());
        let outcomes = Outcomes::default();
        let stream = session.open(u64::MAX);
        let ask = "GET / HTTP/1.1\r\nHost: a.example\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n";
        start_with(&shard, stream, parsed(ask), &outcomes);
        session.deliver(0, |inbound| {
            inbound.parts.push_back(b"frames".to_vec());
            inbound.ended = true;
        });
        ended(&outcomes, 1).await;
        assert_eq!(*outcomes.borrow(), [(0, Outcome::Completed)]);
        assert_eq!(session.body_of(0), b"hello frames bye");
        let frames = session.frames.borrow();
        assert_eq!((&frames[0].1, &frames[frames.len() - 1].1), (&Frame::Head(101), &Frame::End));
    });
}

#[test]
fn a_tunnel_over_a_stream_of_many_is_looked_into_where_its_route_asks() {
    let policy = Policy::new("echo".to_owned(), vec![Server::new(Address::Tcp(switching()))]);
    let route = Route { websocket: Some(plan::WebSocket::default()), ..Route::new(None, "/", UpstreamId(0)) };
    let counters = on_a_shard_of(plan_of(policy, route), |shard| async move {
        let session = Rc::new(Session::default());
        let outcomes = Outcomes::default();
        let stream = session.open(u64::MAX);
        let ask = "GET / HTTP/1.1\r\nHost: a.example\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n";
        start_with(&shard, stream, parsed(ask), &outcomes);
        // A close frame of the client, whose mask is zeros.
        session.deliver(0, |inbound| inbound.parts.push_back(b"\x88\x82\0\0\0\0\x03\xe8".to_vec()));
        ended(&outcomes, 1).await;
        assert_eq!(*outcomes.borrow(), [(0, Outcome::Failed(Error::UPSTREAM_MALFORMED))]);
        assert_eq!(session.body_of(0), b"\x88\x02\x03\xf3", "1011, and nothing of what the upstream said");
    });
    assert_eq!((counters.websockets.value(), counters.websocket_breaches[3].value()), (1, 1));
}
