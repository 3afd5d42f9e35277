//! The server that sends every message back.

use std::{
    collections::HashMap,
    io::{self, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    os::fd::AsRawFd,
};

use anyhow::Context;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};

use super::{ACCEPT, KEY, frame, frame::Frame, wait};

/// Bytes that one read takes: more than the largest usual message.
const READ_BYTES: usize = 64 << 10;
const EVENTS_MAX: usize = 1024;
/// The listener's name among the events; connections go by their descriptors.
const LISTENER: u64 = u64::MAX;

/// Serves until the process is ended.
pub(super) fn serve(address: SocketAddr) -> anyhow::Result<()> {
    let listener = TcpListener::bind(address).with_context(|| format!("cannot listen on {address}"))?;
    listener.set_nonblocking(true)?;
    let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
    epoll.add(&listener, EpollEvent::new(EpollFlags::EPOLLIN, LISTENER))?;
    let mut connections = HashMap::new();
    let mut events = [EpollEvent::empty(); EVENTS_MAX];
    let mut piece = vec![0; READ_BYTES];
    loop {
        let count = wait(&epoll, &mut events, EpollTimeout::NONE)?;
        for event in &events[..count] {
            if event.data() == LISTENER {
                accept(&listener, &epoll, &mut connections)?;
                continue;
            }
            let Some(connection) = connections.get_mut(&event.data()) else { continue };
            match connection.serve(&mut piece) {
                Ok(waits_for_room) => {
                    let room = if waits_for_room { EpollFlags::EPOLLOUT } else { EpollFlags::empty() };
                    if connection.waits_for_room != waits_for_room {
                        connection.waits_for_room = waits_for_room;
                        let mut wanted = EpollEvent::new(EpollFlags::EPOLLIN | room, event.data());
                        epoll.modify(&connection.stream, &mut wanted)?;
                    }
                }
                // Its end, or the proxy's own mistake, which the load notices.
                Err(_) => drop(connections.remove(&event.data())),
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
        connections
            .insert(name, Connection { stream, received: vec![], to_send: vec![], open: false, waits_for_room: false });
    }
}

struct Connection {
    stream: TcpStream,
    received: Vec<u8>,
    to_send: Vec<u8>,
    /// Whether it has become a WebSocket.
    open: bool,
    waits_for_room: bool,
}

impl Connection {
    /// Reads, answers, and tells whether the answer still has to wait for room.
    fn serve(&mut self, piece: &mut [u8]) -> anyhow::Result<bool> {
        loop {
            match self.stream.read(piece) {
                Ok(0) => anyhow::bail!("the end"),
                Ok(count) => {
                    self.received.extend_from_slice(&piece[..count]);
                    // Less than there was room for: there is no more, and asking would cost a call.
                    if count < piece.len() {
                        break;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error.into()),
            }
        }
        if !self.open {
            self.open()?;
        }
        while self.open
            && let Some(frame) = Frame::parse(&self.received)?
            && frame.length_bytes() <= self.received.len()
        {
            frame::write(&mut self.to_send, frame.payload(&mut self.received));
            self.received.drain(..frame.length_bytes());
        }
        self.send()
    }

    /// Answers the handshake, once its request has come whole. RFC 6455 §4.2.2
    fn open(&mut self) -> anyhow::Result<()> {
        let Some(end) = self.received.windows(4).position(|window| window == b"\r\n\r\n") else { return Ok(()) };
        let head = String::from_utf8_lossy(&self.received[..end]).into_owned();
        anyhow::ensure!(head.contains(KEY), "no handshake: {head}");
        self.received.drain(..end + 4);
        self.open = true;
        let answer = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n";
        write!(self.to_send, "{answer}Sec-WebSocket-Accept: {ACCEPT}\r\n\r\n")?;
        Ok(())
    }

    fn send(&mut self) -> anyhow::Result<bool> {
        while !self.to_send.is_empty() {
            match self.stream.write(&self.to_send) {
                Ok(count) => drop(self.to_send.drain(..count)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(true),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(false)
    }
}
