//! An origin that follows a script.

use std::io;
use std::net::{Ipv4Addr, Shutdown, SocketAddr};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::thread::{self, JoinHandle};

use socket2::{Domain, SockAddr, Socket, Type};

use crate::peer::{Peer, Record};
use crate::{Address, eventually};

/// Bytes of the stack of each connection's thread: small, since a test may have many.
const STACK_BYTES: usize = 512 << 10;

/// A server whose every connection runs a script in a thread of its own, and which keeps what each connection received.
///
/// An error that a script returns ends its connection and no more: the other side may go away whenever it likes. A panic of a
/// script (a failed assertion) fails the test when the origin is dropped.
#[derive(Debug)]
pub struct Origin {
    address: Address,
    shared: Arc<Shared>,
    listener: Arc<Socket>,
    accepting: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    stopping: AtomicBool,
    /// Keeps nothing of a connection that has ended.
    forgetful: bool,
    open: AtomicUsize,
    accepted: AtomicUsize,
    connections: Mutex<Vec<Connection>>,
}

#[derive(Debug)]
struct Connection {
    record: Record,
    /// Weak, because only the script's end closes the connection, or resets it.
    socket: Weak<Socket>,
    thread: Option<JoinHandle<()>>,
}

impl Origin {
    /// Listens on a free port. The script is given the connection and its number, counted from 0 in the order of arrival;
    /// the connection is closed when the script returns.
    ///
    /// # Panics
    /// If there is no port to listen on.
    pub fn start(script: impl Fn(&mut Peer, usize) -> io::Result<()> + Send + Sync + 'static) -> Origin {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        Origin::listen(Domain::IPV4, &SockAddr::from(address), false, script)
    }

    /// Listens on a free port, and keeps nothing of what it received: for tests with connections without number.
    ///
    /// # Panics
    /// If there is no port to listen on.
    pub fn start_forgetful(script: impl Fn(&mut Peer, usize) -> io::Result<()> + Send + Sync + 'static) -> Origin {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        Origin::listen(Domain::IPV4, &SockAddr::from(address), true, script)
    }

    /// Listens at `address`, for a test that needs several addresses with one port.
    ///
    /// # Panics
    /// If the address cannot be bound.
    pub fn start_at(
        address: SocketAddr,
        script: impl Fn(&mut Peer, usize) -> io::Result<()> + Send + Sync + 'static,
    ) -> Origin {
        Origin::listen(Domain::for_address(address), &SockAddr::from(address), false, script)
    }

    /// Listens on the path of a Unix socket.
    ///
    /// # Panics
    /// If the path cannot be bound.
    pub fn start_unix(
        path: &Path,
        script: impl Fn(&mut Peer, usize) -> io::Result<()> + Send + Sync + 'static,
    ) -> Origin {
        Origin::listen(Domain::UNIX, &SockAddr::unix(path).expect("a short path"), false, script)
    }

    fn listen<S>(domain: Domain, address: &SockAddr, forgetful: bool, script: S) -> Origin
    where
        S: Fn(&mut Peer, usize) -> io::Result<()> + Send + Sync + 'static,
    {
        let socket = Socket::new(domain, Type::STREAM, None).expect("a socket");
        socket.bind(address).expect("an address to bind");
        socket.listen(4096).expect("a listening socket");
        let bound = socket.local_addr().expect("the address that was bound");
        let address = match bound.as_socket() {
            Some(address) => Address::Tcp(address),
            None => Address::Unix(bound.as_pathname().expect("a path").to_owned()),
        };
        let (listener, shared) = (Arc::new(socket), Arc::new(Shared { forgetful, ..Shared::default() }));
        let accepting = thread::spawn({
            let (listener, shared, script) = (listener.clone(), shared.clone(), Arc::new(script));
            move || accept(&listener, &shared, &script)
        });
        Origin { address, shared, listener, accepting: Some(accepting) }
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// How many connections it has accepted.
    #[must_use]
    pub fn accepted(&self) -> usize {
        self.shared.accepted.load(Ordering::SeqCst)
    }

    /// How many connections are open now, as far as their scripts know.
    #[must_use]
    pub fn open(&self) -> usize {
        self.shared.open.load(Ordering::SeqCst)
    }

    /// What connection `number` has received, up to 1 MiB. It is empty for a connection that has not come.
    #[must_use]
    pub fn received(&self, number: usize) -> Vec<u8> {
        self.connections().get(number).map_or_else(Vec::new, |connection| read(&connection.record))
    }

    /// What all connections have received, in the order of their numbers.
    #[must_use]
    pub fn received_all(&self) -> Vec<u8> {
        self.connections().iter().flat_map(|connection| read(&connection.record)).collect()
    }

    /// Waits until no connection is open.
    ///
    /// # Panics
    /// If one stays open.
    #[track_caller]
    pub fn wait_until_closed(&self) {
        eventually("the origin has no open connection", || self.open() == 0);
    }

    fn connections(&self) -> std::sync::MutexGuard<'_, Vec<Connection>> {
        self.shared.connections.lock().expect("no thread panics holding the connections")
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.shared.stopping.store(true, Ordering::SeqCst);
        // Shutting a listening socket down wakes the thread that accepts on it.
        let _ = self.listener.shutdown(Shutdown::Both);
        let accepted = self.accepting.take().is_none_or(|thread| thread.join().is_ok());
        let connections = std::mem::take(&mut *self.connections());
        for connection in &connections {
            let _ = connection.socket.upgrade().map(|socket| socket.shutdown(Shutdown::Both));
        }
        let finished = connections.into_iter().filter_map(|connection| connection.thread).map(JoinHandle::join);
        let panicked = finished.filter(Result::is_err).count();
        if !thread::panicking() {
            assert!(accepted && panicked == 0, "{panicked} scripts of the origin panicked");
        }
        if let Address::Unix(path) = &self.address {
            let _ = std::fs::remove_file(path);
        }
    }
}

fn accept<S>(listener: &Socket, shared: &Arc<Shared>, script: &Arc<S>)
where
    S: Fn(&mut Peer, usize) -> io::Result<()> + Send + Sync + 'static,
{
    while !shared.stopping.load(Ordering::SeqCst) {
        let Ok((socket, _)) = listener.accept() else { continue };
        // A peer that is gone already leaves nothing to serve.
        let Ok(mut peer) = Peer::new(socket) else { continue };
        let mut connections = shared.connections.lock().expect("no thread panics holding the connections");
        let number = shared.accepted.fetch_add(1, Ordering::SeqCst);
        if shared.forgetful {
            peer.forget_record();
            forget_ended(&mut connections);
        }
        let (record, socket) = (peer.record(), Arc::downgrade(peer.socket()));
        shared.open.fetch_add(1, Ordering::SeqCst);
        let thread = thread::Builder::new().stack_size(STACK_BYTES).spawn({
            let (shared, script) = (shared.clone(), script.clone());
            move || {
                let _open = Open(shared);
                // What a script returns as an error is the other side's going away.
                let _ = script(&mut peer, number);
                drop(peer);
            }
        });
        connections.push(Connection { record, socket, thread: Some(thread.expect("a thread")) });
    }
}

/// Forgets the connections whose scripts have returned; one that panicked stays, to be found in the end.
fn forget_ended(connections: &mut Vec<Connection>) {
    if connections.len() < 256 || !connections.len().is_power_of_two() {
        return;
    }
    for connection in &mut *connections {
        let ended = connection.thread.take_if(|thread| thread.is_finished());
        assert!(ended.is_none_or(|thread| thread.join().is_ok()), "a script of the origin panicked");
    }
    connections.retain(|connection| connection.thread.is_some());
}

/// Counts an open connection down at its end, however its script ends.
struct Open(Arc<Shared>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::SeqCst);
    }
}

fn read(record: &Record) -> Vec<u8> {
    record.lock().expect("no thread panics holding a record").clone()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_keeps_what_it_received_and_counts_its_connections() {
        let origin = Origin::start(|peer, number| {
            peer.read_request()?;
            peer.send(format!("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n{number}").as_bytes())?;
            peer.read_to_end().map(drop)
        });
        for number in 0..3 {
            let request = format!("GET /{number} HTTP/1.1\r\n\r\n");
            let response = Peer::connect(origin.address()).exchange("GET", request.as_bytes()).unwrap();
            assert_eq!(response.text(), number.to_string());
            assert_eq!(origin.received(number), request.as_bytes());
        }
        origin.wait_until_closed();
        assert_eq!(origin.accepted(), 3);
    }

    #[test]
    fn a_reset_a_close_and_half_a_body_are_told_apart() {
        let origin = Origin::start(|peer, number| {
            peer.read_request()?;
            match number {
                0 => peer.reset_on_drop(),
                1 => Ok(()),
                _ => peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"),
            }
        });
        let kinds = [io::ErrorKind::ConnectionReset, io::ErrorKind::UnexpectedEof, io::ErrorKind::UnexpectedEof];
        for kind in kinds {
            let error = Peer::connect(origin.address()).exchange("GET", b"GET / HTTP/1.1\r\n\r\n").unwrap_err();
            assert_eq!(error.kind(), kind, "{error}");
        }
    }

    #[test]
    #[should_panic(expected = "1 scripts of the origin panicked")]
    fn a_failed_assertion_of_a_script_fails_the_test() {
        let origin = Origin::start(|peer, _| {
            assert!(peer.read_request()?.is_none(), "this fails on purpose");
            Ok(())
        });
        let _ = Peer::connect(origin.address()).exchange("GET", b"GET / HTTP/1.1\r\n\r\n");
    }
}
