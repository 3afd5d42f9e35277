//! Clients by the thousand that take their time: each sends, or reads, one byte a second.
//!
//! One thread drives them all, evenly spread over each second, so that they cost little of what is measured beside them. A client
//! whose connection the server ends comes back: there are always as many as were asked for.

use std::io::{self, ErrorKind, Read, Write};
use std::net::Shutdown;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use socket2::{Domain, SockAddr, Socket, Type};

use crate::{Address, Gate};

/// How often the thread wakes in a second, and drives a part of the clients.
const SLOTS: usize = 200;
/// The receive buffer of those who read slowly.
const RECEIVE_BYTES: usize = 4 << 10;
/// What they ask for, far more than all buffers on the way hold.
const RESPONSE_BYTES: usize = 600_000;

/// Slow clients at work. They go away when dropped.
#[derive(Debug)]
pub struct SlowClients {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    address: Address,
    stopping: AtomicBool,
    returned: AtomicUsize,
    /// Open once each has done something.
    around: Gate,
}

/// What a client does slowly.
#[derive(Debug, Clone, Copy)]
enum Habit {
    Head,
    Length,
    Chunked,
    Read,
}

struct Client {
    habit: Habit,
    socket: Socket,
}

impl SlowClients {
    /// Connects `count` clients to `address`: a quarter send a head, a quarter each a body by length and in chunks, and a quarter
    /// read a response, for which they ask as the [standard origin](crate::standard) wants it. Returns when each has begun.
    ///
    /// # Panics
    /// If they cannot all connect.
    #[must_use]
    pub fn start(address: &Address, count: usize) -> SlowClients {
        let shared = Arc::new(Shared {
            address: address.clone(),
            stopping: AtomicBool::new(false),
            returned: AtomicUsize::new(0),
            around: Gate::new(),
        });
        let habits = [Habit::Head, Habit::Length, Habit::Chunked, Habit::Read];
        let clients: Vec<Client> = habits
            .into_iter()
            .cycle()
            .take(count)
            .map(|habit| Client::connect(address, habit).expect("a slow client's connection"))
            .collect();
        let thread = thread::spawn({
            let shared = shared.clone();
            move || drive(&shared, clients)
        });
        let slow = SlowClients { shared, thread: Some(thread) };
        slow.shared.around.wait();
        slow
    }

    /// How often one was sent away, and came back.
    #[must_use]
    pub fn returned(&self) -> usize {
        self.shared.returned.load(Ordering::Relaxed)
    }
}

impl Drop for SlowClients {
    fn drop(&mut self) {
        self.shared.stopping.store(true, Ordering::SeqCst);
        let ended = self.thread.take().is_none_or(|thread| thread.join().is_ok());
        assert!(ended || thread::panicking(), "the slow clients panicked");
    }
}

fn drive(shared: &Shared, mut clients: Vec<Client>) {
    let share = clients.len().div_ceil(SLOTS).max(1);
    let mut due = Instant::now();
    loop {
        for slot in clients.chunks_mut(share) {
            if shared.stopping.load(Ordering::SeqCst) {
                return;
            }
            for client in slot {
                if client.step().is_err() {
                    shared.returned.fetch_add(1, Ordering::Relaxed);
                    // One who finds no room tries again in a second.
                    if let Ok(back) = Client::connect(&shared.address, client.habit) {
                        *client = back;
                    }
                }
            }
            due += Duration::from_secs(1) / u32::try_from(SLOTS).expect("a small number");
            thread::sleep(due.saturating_duration_since(Instant::now()));
        }
        shared.around.open();
    }
}

impl Client {
    fn connect(address: &Address, habit: Habit) -> io::Result<Client> {
        let (domain, target) = match address {
            Address::Tcp(address) => (Domain::for_address(*address), SockAddr::from(*address)),
            Address::Unix(path) => (Domain::UNIX, SockAddr::unix(path)?),
        };
        let mut socket = Socket::new(domain, Type::STREAM, None)?;
        if matches!(habit, Habit::Read) {
            socket.set_recv_buffer_size(RECEIVE_BYTES)?;
        }
        socket.connect(&target)?;
        let begin = match habit {
            Habit::Head => "GET /slow HTTP/1.1\r\nHost: test\r\nX: ".to_owned(),
            Habit::Length => "POST /slow HTTP/1.1\r\nHost: test\r\nContent-Length: 100000\r\n\r\n".to_owned(),
            // One chunk, which does not end.
            Habit::Chunked => {
                "POST /slow HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n10000\r\n".to_owned()
            }
            Habit::Read => format!("GET /length/{RESPONSE_BYTES} HTTP/1.1\r\nHost: test\r\n\r\n"),
        };
        socket.write_all(begin.as_bytes())?;
        socket.set_nonblocking(true)?;
        Ok(Client { habit, socket })
    }

    /// Sends or reads a byte.
    fn step(&mut self) -> io::Result<()> {
        let mut byte = [b'x'];
        let done =
            if matches!(self.habit, Habit::Read) { self.socket.read(&mut byte) } else { self.socket.write(&byte) };
        match done {
            Ok(0) => Err(ErrorKind::UnexpectedEof.into()),
            Err(error) if error.kind() != ErrorKind::WouldBlock => Err(error),
            _ => Ok(()),
        }
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        let _ = self.socket.shutdown(Shutdown::Both);
    }
}
