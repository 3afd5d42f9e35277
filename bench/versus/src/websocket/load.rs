//! The clients: on each connection one message under way, its echo compared byte by byte.

use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
    time::{Duration, Instant},
};

use anyhow::{Context, bail, ensure};
use bench_common::wrk::Load;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};

use super::{ACCEPT, KEY, frame, frame::Frame, wait};

const TIMEOUT: Duration = Duration::from_secs(5);
const HEAD_BYTES_MAX: usize = 16 << 10;
const EVENTS_MAX: usize = 1024;
/// How often the clock's end is looked at when nothing comes.
const WAIT_MS: u8 = 100;

/// Opens one WebSocket and has one message echoed.
pub(crate) fn check(address: SocketAddr, message_bytes: usize) -> anyhow::Result<()> {
    let message = message(message_bytes);
    let (mut client, mut piece) = (Client::open(address)?, vec![0; 64 << 10]);
    client.start(&request(&message))?;
    while !client.receive(&message, &mut piece)? {}
    Ok(())
}

/// Loads `address` for `seconds`.
pub(super) fn run(address: SocketAddr, connections: u32, message_bytes: usize, seconds: u32) -> anyhow::Result<Load> {
    let message = message(message_bytes);
    let request = request(&message);
    let mut clients = (0..connections).map(|_| Client::open(address)).collect::<anyhow::Result<Vec<_>>>()?;
    let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
    for (name, client) in (0..).zip(&mut clients) {
        client.stream.set_nonblocking(true)?;
        epoll.add(&client.stream, EpollEvent::new(EpollFlags::EPOLLIN, name))?;
        client.start(&request)?;
    }
    let mut events = [EpollEvent::empty(); EVENTS_MAX];
    let mut piece = vec![0; 64 << 10];
    let mut latencies_us: Vec<u32> = Vec::new();
    let start = Instant::now();
    let window = Duration::from_secs(seconds.into());
    while start.elapsed() < window {
        let count = wait(&epoll, &mut events, EpollTimeout::from(WAIT_MS))?;
        for event in &events[..count] {
            let client = &mut clients[usize::try_from(event.data())?];
            if event.events().contains(EpollFlags::EPOLLOUT) {
                client.send(&request)?;
            }
            if client.receive(&message, &mut piece)? {
                latencies_us.push(u32::try_from(client.sent_at.elapsed().as_micros())?);
                client.start(&request)?;
            }
            // A proxy may hold a large message back: its rest goes out when there is room.
            let room = if client.unsent(&request) { EpollFlags::EPOLLOUT } else { EpollFlags::empty() };
            if client.wanted != room {
                client.wanted = room;
                epoll.modify(&client.stream, &mut EpollEvent::new(EpollFlags::EPOLLIN | room, event.data()))?;
            }
        }
    }
    ensure!(!latencies_us.is_empty(), "no message came back");
    Ok(figures(latencies_us, start.elapsed()))
}

fn figures(mut latencies_us: Vec<u32>, elapsed: Duration) -> Load {
    latencies_us.sort_unstable();
    let at = |percent: usize| f64::from(latencies_us[(latencies_us.len() - 1) * percent / 100]);
    Load {
        requests: latencies_us.len() as u64,
        requests_per_second: latencies_us.len() as f64 / elapsed.as_secs_f64(),
        latency_p50_us: at(50),
        latency_p99_us: at(99),
    }
}

/// What is sent: a period of 61, so that a misplaced piece shows.
fn message(message_bytes: usize) -> Vec<u8> {
    (0..61).cycle().take(message_bytes).collect()
}

fn request(message: &[u8]) -> Vec<u8> {
    let mut request = Vec::new();
    frame::write_masked(&mut request, message);
    request
}

struct Client {
    stream: TcpStream,
    received: Vec<u8>,
    sent_bytes: usize,
    sent_at: Instant,
    /// Events that are awaited beside bytes.
    wanted: EpollFlags,
}

impl Client {
    /// Connects and shakes hands. RFC 6455 §4.1
    fn open(address: SocketAddr) -> anyhow::Result<Self> {
        let mut stream = TcpStream::connect_timeout(&address, TIMEOUT)?;
        stream.set_read_timeout(Some(TIMEOUT))?;
        stream.set_nodelay(true)?;
        write!(
            stream,
            "GET / HTTP/1.1\r\nHost: {address}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Key: {KEY}\r\nSec-WebSocket-Version: 13\r\n\r\n"
        )?;
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).context("no head of an answer")?;
            head.push(byte[0]);
            ensure!(head.len() <= HEAD_BYTES_MAX, "a head without end");
        }
        let head = String::from_utf8_lossy(&head).into_owned();
        ensure!(head.starts_with("HTTP/1.1 101 ") && head.contains(ACCEPT), "not a WebSocket:\n{head}");
        let wanted = EpollFlags::empty();
        Ok(Self { stream, received: Vec::new(), sent_bytes: 0, sent_at: Instant::now(), wanted })
    }

    /// Begins to send one message.
    fn start(&mut self, request: &[u8]) -> anyhow::Result<()> {
        self.sent_at = Instant::now();
        self.sent_bytes = 0;
        self.send(request)
    }

    fn send(&mut self, request: &[u8]) -> anyhow::Result<()> {
        while self.unsent(request) {
            match self.stream.write(&request[self.sent_bytes..]) {
                Ok(count) => self.sent_bytes += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error).context("a WebSocket does not take a message"),
            }
        }
        Ok(())
    }

    fn unsent(&self, request: &[u8]) -> bool {
        self.sent_bytes < request.len()
    }

    /// Takes what has come; whether the message is back.
    fn receive(&mut self, message: &[u8], piece: &mut [u8]) -> anyhow::Result<bool> {
        match self.stream.read(piece) {
            Ok(0) => bail!("a WebSocket ended"),
            Ok(count) => self.received.extend_from_slice(&piece[..count]),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
            Err(error) => return Err(error).context("a WebSocket failed"),
        }
        let Some(frame) = Frame::parse(&self.received)? else { return Ok(false) };
        if frame.length_bytes() > self.received.len() {
            return Ok(false);
        }
        ensure!(frame.length_bytes() == self.received.len(), "more came back than was sent");
        ensure!(frame.payload(&mut self.received) == message, "a message came back changed");
        self.received.clear();
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_of_every_length_come_back_and_are_counted() {
        let address = bench_common::process::free_address().unwrap();
        // It ends with this process.
        std::thread::spawn(move || super::super::echo::serve(address));
        while TcpStream::connect(address).is_err() {
            std::thread::yield_now();
        }
        for message_bytes in [0, 125, 126, 16 << 10, 1 << 20] {
            check(address, message_bytes).unwrap();
        }
        let load = run(address, 8, 16 << 10, 1).unwrap();
        assert!(load.requests > 8 && load.latency_p50_us <= load.latency_p99_us, "{load:?}");
    }

    #[test]
    fn percentiles_are_those_of_the_sorted_times() {
        let load = figures((1..=101).rev().collect(), Duration::from_secs(2));
        assert_eq!((load.requests, load.requests_per_second), (101, 50.5));
        assert_eq!((load.latency_p50_us, load.latency_p99_us), (51.0, 100.0));
    }
}
