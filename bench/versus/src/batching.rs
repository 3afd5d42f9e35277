//! An upstream that answers what it has received in one write: the small body, to every request.
//!
//! nginx writes each pipelined answer by itself. What coalescing can save shows only before a server that does not, as those
//! written for pipelining, or for HTTP/2, do not. One thread on epoll; this program started again, as for WebSockets.

use std::{
    collections::HashMap,
    io::{self, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    os::fd::AsRawFd,
    path::Path,
};

use anyhow::{Context, ensure};
use bench_common::{
    body::Body,
    fetch,
    interrupt::Interrupt,
    process::{self, Process},
};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};

use crate::websocket::{itself, wait};

/// Bytes that one read takes: a batch of requests.
const READ_BYTES: usize = 256 << 10;
/// Bytes of a request that may wait for its end.
const REQUEST_BYTES_MAX: usize = 16 << 10;
const EVENTS_MAX: usize = 1024;
/// The listener's name among the events; connections go by their descriptors.
const LISTENER: u64 = u64::MAX;

/// The server, running.
pub(crate) struct BatchingServer {
    pub(crate) process: Process,
    pub(crate) address: SocketAddr,
}

impl BatchingServer {
    /// Starts it on `core`, and checks that it answers.
    pub(crate) fn start(directory: &Path, core: usize, interrupt: &Interrupt) -> anyhow::Result<Self> {
        let address = process::free_address()?;
        let mut command = itself();
        command.args(["batching-upstream", "--listen", &address.to_string()]);
        let mut process = Process::start("batching-upstream", command, core, directory)?;
        process.wait_until_listening(address, interrupt)?;
        fetch::check(address, Body::SMALL).with_context(|| format!("the upstream:\n{}", process.output()))?;
        Ok(Self { process, address })
    }
}

/// Serves until the process is ended.
pub(crate) fn serve(address: SocketAddr) -> anyhow::Result<()> {
    let listener = TcpListener::bind(address).with_context(|| format!("cannot listen on {address}"))?;
    listener.set_nonblocking(true)?;
    let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
    epoll.add(&listener, EpollEvent::new(EpollFlags::EPOLLIN, LISTENER))?;
    let mut connections = HashMap::new();
    let mut events = [EpollEvent::empty(); EVENTS_MAX];
    let body = Body::SMALL.content();
    let mut answer =
        format!("HTTP/1.1 200 OK\r\nServer: batching\r\nContent-Length: {}\r\n\r\n", body.len()).into_bytes();
    answer.extend_from_slice(&body);
    let (mut piece, mut answers) = (vec![0; READ_BYTES], Vec::new());
    loop {
        let count = wait(&epoll, &mut events, EpollTimeout::NONE)?;
        for event in &events[..count] {
            if event.data() == LISTENER {
                accept(&listener, &epoll, &mut connections)?;
                continue;
            }
            let Some(connection) = connections.get_mut(&event.data()) else { continue };
            if connection.serve(&mut piece, &answer, &mut answers).is_err() {
                // Its end, or the proxy's own mistake, which the load notices.
                connections.remove(&event.data());
            }
        }
    }
}

fn accept(listener: &TcpListener, epoll: &Epoll, connections: &mut HashMap<u64, Connection>) -> anyhow::Result<()> {
    loop {
        let (stream, _) = match listener.accept() {
            Ok(accepted) => accepted,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error).context("cannot accept"),
        };
        stream.set_nonblocking(true)?;
        stream.set_nodelay(true)?;
        let name = u64::from(stream.as_raw_fd().cast_unsigned());
        epoll.add(&stream, EpollEvent::new(EpollFlags::EPOLLIN, name))?;
        connections.insert(name, Connection { stream, partial: vec![] });
    }
}

struct Connection {
    stream: TcpStream,
    /// The beginning of a request whose end has not come.
    partial: Vec<u8>,
}

impl Connection {
    /// Answers what one read brings.
    fn serve(&mut self, piece: &mut [u8], answer: &[u8], answers: &mut Vec<u8>) -> anyhow::Result<()> {
        let count = match self.stream.read(piece) {
            Ok(0) => anyhow::bail!("the end"),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        answers.clear();
        let received = match self.partial.is_empty() {
            true => &piece[..count],
            false => {
                self.partial.extend_from_slice(&piece[..count]);
                &self.partial[..]
            }
        };
        let mut rest = received;
        while let Some(end) = head_end(rest) {
            answers.extend_from_slice(answer);
            rest = &rest[end..];
        }
        ensure!(rest.len() <= REQUEST_BYTES_MAX, "a request without an end");
        self.partial = rest.to_vec();
        // The proxies read what they asked for: there is room for it, as there was for the requests.
        self.stream.write_all(answers).context("no room for the answers")
    }
}

/// Where the first request ends. Line ends are few, so that they are looked for.
fn head_end(bytes: &[u8]) -> Option<usize> {
    memchr::memmem::find(bytes, b"\r\n\r\n").map(|at| at + 4)
}
