//! A proxy that does one thing wrong, at one byte.
//!
//! It stands between two ends of a connection (a client and Ringway, or Ringway and an origin) and passes bytes on. Armed with a
//! [`Fault`], it strikes once, when so many bytes have gone one [`Way`] since it was armed, over however many connections.
//! A fault is written as text, `to-client/reset@17`, so that a failure says how it is had again.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr};
use std::str::FromStr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, Weak};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use socket2::{Domain, SockAddr, Socket, Type};

use crate::{Address, DEADLINE};

/// How long a [`Kind::Delay`] holds the bytes back: long enough that both ends fall idle, far below any time-out.
pub const DELAY: Duration = Duration::from_millis(4);
/// How long a [`Kind::Stall`] lasts before the connection is reset: whoever watches it must have given up by then.
pub const STALL: Duration = Duration::from_millis(1_500);
/// Bytes that [`Kind::Shorten`] sends in segments of one to three bytes.
const SHORTENED_BYTES: usize = 40;
/// Bytes kept of what went the way of a fault.
const RECORD_BYTES_MAX: usize = 4 << 20;
const PIECE_BYTES: usize = 16 << 10;
const STACK_BYTES: usize = 128 << 10;

/// A direction through the proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// From the end that connected to the end that listens.
    ToServer,
    /// Back.
    ToClient,
}

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Nothing passes for [`DELAY`].
    Delay,
    /// The next bytes arrive in segments of one to three.
    Shorten,
    /// Both connections are reset.
    Reset,
    /// Both connections end in order.
    End,
    /// Nothing passes any more; after [`STALL`] both connections are reset.
    Stall,
    /// The bits of this mask are flipped in one byte.
    Garble(u8),
}

/// What goes wrong, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault {
    /// Which bytes are counted, and concerned.
    pub way: Way,
    /// What happens.
    pub kind: Kind,
    /// How many bytes pass before.
    pub at: u64,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.way == Way::ToServer { "to-server/" } else { "to-client/" })?;
        match self.kind {
            Kind::Delay => f.write_str("delay")?,
            Kind::Shorten => f.write_str("shorten")?,
            Kind::Reset => f.write_str("reset")?,
            Kind::End => f.write_str("end")?,
            Kind::Stall => f.write_str("stall")?,
            Kind::Garble(mask) => write!(f, "garble={mask:02x}")?,
        }
        write!(f, "@{}", self.at)
    }
}

impl FromStr for Fault {
    type Err = String;

    fn from_str(text: &str) -> Result<Fault, String> {
        let parse = || {
            let (way, rest) = text.split_once('/')?;
            let (kind, at) = rest.split_once('@')?;
            let way = match way {
                "to-server" => Way::ToServer,
                "to-client" => Way::ToClient,
                _ => return None,
            };
            let kind = match kind {
                "delay" => Kind::Delay,
                "shorten" => Kind::Shorten,
                "reset" => Kind::Reset,
                "end" => Kind::End,
                "stall" => Kind::Stall,
                _ => Kind::Garble(u8::from_str_radix(kind.strip_prefix("garble=")?, 16).ok()?),
            };
            Some(Fault { way, kind, at: at.parse().ok()? })
        };
        parse()
            .ok_or_else(|| format!("{text:?} is no fault; one is written to-client/reset@17 or to-server/garble=04@3"))
    }
}

/// A proxy that passes bytes on until its fault strikes.
#[derive(Debug)]
pub struct FaultProxy {
    address: Address,
    shared: Arc<Shared>,
    listener: Arc<Socket>,
    accepting: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    target: Address,
    stopping: AtomicBool,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    fault: Option<Fault>,
    /// Grows whenever the fault is changed, so that a stall of an earlier one ends.
    generation: u64,
    /// Bytes since then, to the server and to the client.
    passed: [u64; 2],
    /// What went each way since then, as it was passed on, by the connection's number.
    records: BTreeMap<u64, [Vec<u8>; 2]>,
    struck: bool,
    accepted: u64,
    links: Vec<Weak<Link>>,
}

/// One connection through the proxy.
#[derive(Debug)]
struct Link {
    number: u64,
    client: Socket,
    server: Socket,
    cut: AtomicBool,
}

impl FaultProxy {
    /// Listens on a free port, and passes each connection on to `target`.
    ///
    /// # Panics
    /// If there is no port to listen on.
    #[must_use]
    pub fn start(target: &Address) -> FaultProxy {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).expect("an address to bind");
        socket.listen(1024).expect("a listening socket");
        let bound = socket.local_addr().expect("the address that was bound").as_socket().expect("an IP address");
        let state = Mutex::new(State::default());
        let shared = Arc::new(Shared {
            target: target.clone(),
            stopping: AtomicBool::new(false),
            state,
            changed: Condvar::new(),
        });
        let listener = Arc::new(socket);
        let accepting = thread::spawn({
            let (listener, shared) = (listener.clone(), shared.clone());
            move || accept(&listener, &shared)
        });
        FaultProxy { address: Address::Tcp(bound), shared, listener, accepting: Some(accepting) }
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// Counts from 0 again, and will do `fault`, or nothing, in place of what it was armed with. A stall that lasts is ended.
    pub fn arm(&self, fault: Option<Fault>) {
        let mut state = self.shared.state();
        state.fault = fault;
        state.generation += 1;
        state.passed = [0; 2];
        state.records.clear();
        state.struck = false;
        state.links.retain(|link| link.strong_count() > 0);
        self.shared.changed.notify_all();
    }

    /// How many bytes went `way` since it was armed.
    #[must_use]
    pub fn passed(&self, way: Way) -> u64 {
        self.shared.state().passed[way as usize]
    }

    /// Whether the fault has struck.
    #[must_use]
    pub fn has_struck(&self) -> bool {
        self.shared.state().struck
    }

    /// What went `way` since it was armed, as it was passed on, each connection for itself and up to 4 MiB.
    #[must_use]
    pub fn records(&self, way: Way) -> Vec<Vec<u8>> {
        self.shared.state().records.values().map(|record| record[way as usize].clone()).collect()
    }

    /// Ends every connection in order.
    pub fn hang_up(&self) {
        let links: Vec<Weak<Link>> = std::mem::take(&mut self.shared.state().links);
        links.iter().filter_map(Weak::upgrade).for_each(|link| link.cut(false));
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        self.shared.stopping.store(true, Ordering::SeqCst);
        let _ = self.listener.shutdown(Shutdown::Both);
        self.arm(None);
        self.hang_up();
        let ended = self.accepting.take().is_none_or(|thread| thread.join().is_ok());
        assert!(ended || thread::panicking(), "the fault proxy panicked");
    }
}

fn accept(listener: &Socket, shared: &Arc<Shared>) {
    while !shared.stopping.load(Ordering::SeqCst) {
        let Ok((client, _)) = listener.accept() else { continue };
        // Without a server the client sees the end of its connection.
        let number = shared.state().accepted;
        let Ok(link) = Link::open(number, client, &shared.target) else { continue };
        let link = Arc::new(link);
        let mut state = shared.state();
        state.accepted += 1;
        state.links.push(Arc::downgrade(&link));
        drop(state);
        for way in [Way::ToServer, Way::ToClient] {
            let (shared, link) = (shared.clone(), link.clone());
            let pump = thread::Builder::new().stack_size(STACK_BYTES).spawn(move || {
                // Whichever end fails, the other learns it as a reset.
                if pump(&shared, &link, way).is_err() {
                    link.cut(true);
                }
            });
            pump.expect("a thread");
        }
    }
}

/// Passes bytes on one way until their end.
fn pump(shared: &Shared, link: &Link, way: Way) -> io::Result<()> {
    let (mut from, mut to) = link.ends(way);
    let mut piece = [0; PIECE_BYTES];
    loop {
        let count = match from.read(&mut piece)? {
            0 if link.cut.load(Ordering::SeqCst) => return Ok(()),
            0 => return to.shutdown(Shutdown::Write),
            count => count,
        };
        let piece = &mut piece[..count];
        let Some(strike) = shared.pass(link.number, way, piece) else {
            to.write_all(piece)?;
            continue;
        };
        let (before, after) = piece.split_at(strike.offset);
        to.write_all(before)?;
        match strike.kind {
            Kind::Delay => thread::sleep(DELAY),
            Kind::Shorten => {
                let (short, rest) = after.split_at(after.len().min(SHORTENED_BYTES));
                for (number, segment) in Segments(short).enumerate() {
                    to.write_all(segment)?;
                    // No wait for anything: it makes the kernel deliver them apart.
                    thread::sleep(Duration::from_micros(if number % 8 == 0 { 500 } else { 50 }));
                }
                to.write_all(rest)?;
                continue;
            }
            Kind::Reset | Kind::End => {
                link.cut(strike.kind == Kind::Reset);
                return Ok(());
            }
            Kind::Stall => {
                shared.stall(strike.generation);
                link.cut(true);
                return Ok(());
            }
            Kind::Garble(_) => {}
        }
        to.write_all(after)?;
    }
}

/// Where in a piece a fault strikes.
struct Strike {
    offset: usize,
    kind: Kind,
    generation: u64,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no thread panics holding the state")
    }

    /// Counts `piece`, and garbles it if that is its fate.
    fn pass(&self, link: u64, way: Way, piece: &mut [u8]) -> Option<Strike> {
        let mut state = self.state();
        let start = state.passed[way as usize];
        let end = start + piece.len() as u64;
        state.passed[way as usize] = end;
        // A fault strikes when the byte before it has come, and not only with the next one; garbling needs the byte itself.
        let strike =
            state.fault.filter(|fault| fault.way == way && !state.struck).and_then(|Fault { kind, at, .. }| {
                let here = if matches!(kind, Kind::Garble(_)) {
                    (start..end).contains(&at)
                } else {
                    at == 0 || (start < at && at <= end)
                };
                let offset = usize::try_from(at.saturating_sub(start)).ok().filter(|_| here)?;
                Some(Strike { offset, kind, generation: state.generation })
            });
        if let Some(Strike { offset, kind, .. }) = strike {
            state.struck = true;
            if let Kind::Garble(mask) = kind {
                piece[offset] ^= mask;
            }
        }
        let record = &mut state.records.entry(link).or_default()[way as usize];
        let room = RECORD_BYTES_MAX.saturating_sub(record.len());
        record.extend_from_slice(&piece[..piece.len().min(room)]);
        strike
    }

    /// Waits until the fault is changed, or [`STALL`] is over.
    fn stall(&self, generation: u64) {
        let same = |state: &mut State| state.generation == generation;
        drop(self.changed.wait_timeout_while(self.state(), STALL, same).expect("no thread panics holding the state"));
    }
}

impl Link {
    fn open(number: u64, client: Socket, target: &Address) -> io::Result<Link> {
        let (domain, address) = match target {
            Address::Tcp(address) => (Domain::for_address(*address), SockAddr::from(*address)),
            Address::Unix(path) => (Domain::UNIX, SockAddr::unix(path)?),
        };
        let server = Socket::new(domain, Type::STREAM, None)?;
        server.connect(&address)?;
        for socket in [&client, &server] {
            socket.set_write_timeout(Some(DEADLINE))?;
            if socket.local_addr()?.as_socket().is_some() {
                socket.set_tcp_nodelay(true)?;
            }
        }
        Ok(Link { number, client, server, cut: AtomicBool::new(false) })
    }

    fn ends(&self, way: Way) -> (&Socket, &Socket) {
        match way {
            Way::ToServer => (&self.client, &self.server),
            Way::ToClient => (&self.server, &self.client),
        }
    }

    /// Ends both connections. Those who read here are woken; the last of them closes.
    fn cut(&self, reset: bool) {
        self.cut.store(true, Ordering::SeqCst);
        for socket in [&self.client, &self.server] {
            if reset {
                // Closing sends a reset then. Shutting the reading side down sends nothing.
                let _ = socket.set_linger(Some(Duration::ZERO));
                let _ = socket.shutdown(Shutdown::Read);
            } else {
                let _ = socket.shutdown(Shutdown::Both);
            }
        }
    }
}

/// Segments of one, two and three bytes in turn.
struct Segments<'a>(&'a [u8]);

impl<'a> Iterator for Segments<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let length = (1 + self.0.len() % 3).min(self.0.len());
        let (segment, rest) = self.0.split_at(length);
        self.0 = rest;
        (!segment.is_empty()).then_some(segment)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Peer, standard};

    fn faulted(fault: &str) -> (FaultProxy, io::Result<Vec<u8>>) {
        let origin = standard::start();
        let proxy = FaultProxy::start(origin.address());
        proxy.arm(Some(fault.parse().unwrap()));
        let mut client = Peer::connect(proxy.address());
        client.send(b"GET /length/100 HTTP/1.1\r\nConnection: close\r\n\r\n").unwrap();
        let answer = client.read_to_end();
        (proxy, answer)
    }

    #[test]
    fn a_fault_reads_as_it_prints() {
        for text in ["to-server/reset@0", "to-client/garble=80@17", "to-client/stall@3", "to-server/end@9"] {
            assert_eq!(text.parse::<Fault>().unwrap().to_string(), text);
        }
        for text in ["", "reset@1", "to-client/reset", "to-client/garble@1", "up/reset@1"] {
            assert!(text.parse::<Fault>().is_err(), "{text}");
        }
    }

    #[test]
    fn each_kind_does_what_it_says() {
        let whole = faulted("to-client/delay@9").1.unwrap();
        assert_eq!(faulted("to-client/shorten@3").1.unwrap(), whole);
        assert_eq!(faulted("to-client/end@20").1.unwrap(), whole[..20]);
        assert_eq!(faulted("to-client/reset@20").1.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
        assert_eq!(faulted("to-client/stall@20").1.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
        assert_eq!(faulted("to-server/end@5").1.unwrap(), b"");
        let (proxy, garbled) = faulted("to-client/garble=01@30");
        let garbled = garbled.unwrap();
        assert_eq!((garbled[30] ^ 1, &garbled[..30], &garbled[31..]), (whole[30], &whole[..30], &whole[31..]));
        assert_eq!(proxy.records(Way::ToClient), [garbled]);
        assert!(proxy.has_struck());
    }
}
