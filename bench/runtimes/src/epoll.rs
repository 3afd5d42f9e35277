//! The proxy on epoll by hand: edge-triggered, one state machine a client.
//!
//! Every socket is registered once, for both directions, and remembers whether a read may find something. A request
//! then costs two reads and two writes and no other call of its own: no read that only finds nothing, no
//! re-registration, and one `epoll_wait` for all that became ready.

use std::{
    io::{self, ErrorKind, Read, Write},
    net::{TcpListener, TcpStream},
    ops::Range,
    os::fd::OwnedFd,
};

use rustix::event::epoll::{self, EventData, EventFlags};
use slab::Slab;

use crate::proxy::{BUFFER_BYTES, Settings, bytes_left, is_request, response_bytes};

/// How many events one wait may bring.
const EVENTS_MAX: usize = 1024;

/// The event of the listener. Other events carry the index of a socket.
const LISTENER: u64 = u64::MAX;

pub(crate) fn run(settings: Settings) -> io::Result<()> {
    let listener = TcpListener::bind(settings.listen)?;
    listener.set_nonblocking(true)?;
    let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    epoll::add(&epoll, &listener, EventData::new_u64(LISTENER), EventFlags::IN)?;
    let mut proxy = Proxy { settings, epoll, sockets: Slab::new(), clients: Slab::new(), idle: Vec::new() };
    let mut events = Vec::with_capacity(EVENTS_MAX);
    loop {
        events.clear();
        match epoll::wait(&proxy.epoll, rustix::buffer::spare_capacity(&mut events), None) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        for event in events.drain(..) {
            // A packed field of the kernel's layout is copied out, not borrowed.
            let (flags, data) = (event.flags, event.data.u64());
            if data == LISTENER {
                proxy.accept(&listener)?;
            } else {
                proxy.handle_event(data as usize, flags);
            }
        }
    }
}

struct Proxy {
    settings: Settings,
    epoll: OwnedFd,
    /// Both sides' sockets. The index is the event's data. An index that is reused while an older event of the same
    /// wait is still to come costs the newer socket one read that finds nothing.
    sockets: Slab<Socket>,
    clients: Slab<Client>,
    /// Idle upstream sockets, the most recently used last.
    idle: Vec<usize>,
}

struct Socket {
    stream: TcpStream,
    /// Whether a read may find something: set by an event, cleared by a read that took all there was.
    readable: bool,
    /// Whether the peer closed or reset: the end of the stream is to be read after what it sent before.
    hung_up: bool,
    /// The client that this socket serves; none for an idle upstream.
    client: Option<usize>,
}

struct Client {
    socket: usize,
    upstream: Option<usize>,
    buffer: Box<[u8]>,
    state: State,
}

/// One exchange, in the order of its variants; each is left when its bytes are complete.
enum State {
    ReadRequest {
        filled_bytes: usize,
    },
    WriteRequest {
        pending: Range<usize>,
    },
    ReadResponseHead {
        filled_bytes: usize,
    },
    /// Alternates: what is pending is written before more is read.
    RelayResponse {
        pending: Range<usize>,
        unread_bytes: u64,
    },
}

impl Proxy {
    fn accept(&mut self, listener: &TcpListener) -> io::Result<()> {
        loop {
            let stream = match listener.accept() {
                Ok((stream, _)) => stream,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            };
            let client = self.clients.vacant_key();
            let socket = self.register(stream, Some(client))?;
            let buffer = vec![0; BUFFER_BYTES].into_boxed_slice();
            self.clients.insert(Client {
                socket,
                upstream: None,
                buffer,
                state: State::ReadRequest { filled_bytes: 0 },
            });
        }
    }

    /// The most recently used idle upstream, or a new one. Connecting blocks: it takes a loopback connection no longer
    /// than the system call, and a run connects only while it warms up.
    fn upstream(&mut self, client: usize) -> io::Result<usize> {
        if let Some(socket) = self.idle.pop() {
            self.sockets[socket].client = Some(client);
            return Ok(socket);
        }
        self.register(TcpStream::connect(self.settings.upstream)?, Some(client))
    }

    fn release(&mut self, upstream: usize) {
        if self.sockets[upstream].hung_up {
            self.sockets.remove(upstream);
        } else {
            self.sockets[upstream].client = None;
            self.idle.push(upstream);
        }
    }

    fn register(&mut self, stream: TcpStream, client: Option<usize>) -> io::Result<usize> {
        stream.set_nonblocking(true)?;
        stream.set_nodelay(true)?;
        let entry = self.sockets.vacant_entry();
        let interest = EventFlags::IN | EventFlags::OUT | EventFlags::RDHUP | EventFlags::ET;
        epoll::add(&self.epoll, &stream, EventData::new_u64(entry.key() as u64), interest)?;
        let socket = entry.key();
        entry.insert(Socket { stream, readable: false, hung_up: false, client });
        Ok(socket)
    }

    fn handle_event(&mut self, socket: usize, flags: EventFlags) {
        let Some(entry) = self.sockets.get_mut(socket) else { return };
        entry.hung_up |= flags.intersects(EventFlags::RDHUP | EventFlags::HUP | EventFlags::ERR);
        entry.readable |= entry.hung_up || flags.contains(EventFlags::IN);
        match entry.client {
            Some(client) => {
                if let Err(error) = self.advance(client)
                    && error.kind() != ErrorKind::WouldBlock
                {
                    self.close(client);
                }
            }
            // An idle upstream has nothing to say but that it closes.
            None if entry.readable => {
                self.idle.retain(|&idle| idle != socket);
                self.sockets.remove(socket);
            }
            None => {}
        }
    }

    fn close(&mut self, client: usize) {
        let client = self.clients.remove(client);
        self.sockets.remove(client.socket);
        if let Some(upstream) = client.upstream {
            self.sockets.remove(upstream);
        }
    }

    /// Takes a client's exchange as far as its sockets allow, which `WouldBlock` reports.
    fn advance(&mut self, key: usize) -> io::Result<()> {
        loop {
            let client = &mut self.clients[key];
            let (buffer, upstream) = (&mut client.buffer, client.upstream);
            match &mut client.state {
                State::ReadRequest { filled_bytes } => {
                    let received_bytes = self.sockets[client.socket].read(&mut buffer[*filled_bytes..])?;
                    if received_bytes == 0 {
                        return Err(ErrorKind::ConnectionAborted.into());
                    }
                    *filled_bytes += received_bytes;
                    if is_request(&buffer[..*filled_bytes])? {
                        client.state = State::WriteRequest { pending: 0..*filled_bytes };
                        let upstream = self.upstream(key)?;
                        self.clients[key].upstream = Some(upstream);
                    }
                }
                State::WriteRequest { pending } => {
                    self.sockets[assigned(upstream)].write_all(buffer, pending)?;
                    client.state = State::ReadResponseHead { filled_bytes: 0 };
                }
                State::ReadResponseHead { filled_bytes } => {
                    let received_bytes = self.sockets[assigned(upstream)].read(&mut buffer[*filled_bytes..])?;
                    if received_bytes == 0 {
                        return Err(ErrorKind::UnexpectedEof.into());
                    }
                    *filled_bytes += received_bytes;
                    if let Some(response_bytes) = response_bytes(&buffer[..*filled_bytes])? {
                        let unread_bytes = bytes_left(response_bytes, *filled_bytes)?;
                        client.state = State::RelayResponse { pending: 0..*filled_bytes, unread_bytes };
                    }
                }
                State::RelayResponse { pending, unread_bytes } => {
                    self.sockets[client.socket].write_all(buffer, pending)?;
                    if *unread_bytes > 0 {
                        let received_bytes = self.sockets[assigned(upstream)].read(buffer)?;
                        *unread_bytes = bytes_left(*unread_bytes, received_bytes)?;
                        *pending = 0..received_bytes;
                    } else {
                        client.state = State::ReadRequest { filled_bytes: 0 };
                        let upstream = assigned(client.upstream.take());
                        self.release(upstream);
                    }
                }
            }
        }
    }
}

impl Socket {
    /// Reads once; `WouldBlock` without a system call where nothing can have arrived.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if !self.readable {
            return Err(ErrorKind::WouldBlock.into());
        }
        let result = self.stream.read(buffer);
        match &result {
            // Less than asked for was all there was: what comes next raises an event. The end of the stream may have
            // raised its own together with the last bytes.
            Ok(received_bytes) => self.readable = self.hung_up || *received_bytes == buffer.len(),
            Err(error) => self.readable = error.kind() != ErrorKind::WouldBlock,
        }
        result
    }

    /// Writes `buffer[pending]` and shortens `pending` by what the socket took.
    fn write_all(&mut self, buffer: &[u8], pending: &mut Range<usize>) -> io::Result<()> {
        while pending.start < pending.end {
            pending.start += self.stream.write(&buffer[pending.clone()])?;
        }
        Ok(())
    }
}

fn assigned(upstream: Option<usize>) -> usize {
    upstream.expect("a client has an upstream from its request to the end of the response")
}
