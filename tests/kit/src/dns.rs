//! A server of the DNS that answers as the test says (RFC 1035), over UDP.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

const HEADER_BYTES: usize = 12;
const TYPE_A: u16 = 1;
const TYPE_AAAA: u16 = 28;
const SERVER_FAILURE: u8 = 2;
const NAME_ERROR: u8 = 3;

/// A name server. It knows the names that it was told of, and answers NXDOMAIN for all others.
#[derive(Debug)]
pub struct DnsServer {
    address: SocketAddr,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    stopping: AtomicBool,
    zone: Mutex<HashMap<String, Entry>>,
}

#[derive(Debug, Default)]
struct Entry {
    addresses: Vec<IpAddr>,
    ttl_s: u32,
    /// Questions are answered with a failure.
    fails: bool,
    asked: usize,
}

impl DnsServer {
    /// Listens on a free port.
    ///
    /// # Panics
    /// If there is no port to listen on.
    #[must_use]
    pub fn start() -> DnsServer {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port to answer on");
        socket.set_read_timeout(Some(Duration::from_millis(20))).expect("a time-out on a socket");
        let address = socket.local_addr().expect("the address that was bound");
        let shared = Arc::new(Shared::default());
        let thread = thread::spawn({
            let shared = shared.clone();
            move || serve(&socket, &shared)
        });
        DnsServer { address, shared, thread: Some(thread) }
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on `name` has these addresses, for so many seconds.
    pub fn set(&self, name: &str, addresses: &[IpAddr], ttl_s: u32) {
        self.change(name, |entry| {
            entry.addresses = addresses.to_vec();
            (entry.ttl_s, entry.fails) = (ttl_s, false);
        });
    }

    /// From now on questions for `name` fail.
    pub fn fail(&self, name: &str) {
        self.change(name, |entry| entry.fails = true);
    }

    /// How often `name` was asked for, both families counted.
    #[must_use]
    pub fn asked(&self, name: &str) -> usize {
        self.zone().get(name).map_or(0, |entry| entry.asked)
    }

    fn change(&self, name: &str, change: impl FnOnce(&mut Entry)) {
        change(self.zone().entry(name.to_owned()).or_default());
    }

    fn zone(&self) -> std::sync::MutexGuard<'_, HashMap<String, Entry>> {
        self.shared.zone.lock().expect("no thread panics holding the zone")
    }
}

impl Drop for DnsServer {
    fn drop(&mut self) {
        self.shared.stopping.store(true, Ordering::SeqCst);
        let joined = self.thread.take().map(JoinHandle::join);
        assert!(thread::panicking() || joined.is_none_or(|joined| joined.is_ok()), "the name server panicked");
    }
}

fn serve(socket: &UdpSocket, shared: &Shared) {
    let mut question = [0; 1500];
    while !shared.stopping.load(Ordering::SeqCst) {
        let Ok((length, peer)) = socket.recv_from(&mut question) else { continue };
        if let Some(answer) = answer(&question[..length], shared) {
            let _ = socket.send_to(&answer, peer);
        }
    }
}

/// The answer to a query with one question; `None` for what is no such query.
fn answer(query: &[u8], shared: &Shared) -> Option<Vec<u8>> {
    let (name, end) = read_name(query, HEADER_BYTES)?;
    let question = query.get(HEADER_BYTES..end + 4)?;
    let wanted = u16::from_be_bytes([query[end], query[end + 1]]);
    let mut zone = shared.zone.lock().expect("no thread panics holding the zone");
    let entry = zone.get_mut(&name);
    let (mut code, mut ttl_s, mut addresses) = (NAME_ERROR, 0, Vec::new());
    if let Some(entry) = entry {
        entry.asked += 1;
        (code, ttl_s) = (if entry.fails { SERVER_FAILURE } else { 0 }, entry.ttl_s);
        let is_wanted = |ip: &&IpAddr| !entry.fails && wanted == if ip.is_ipv4() { TYPE_A } else { TYPE_AAAA };
        addresses = entry.addresses.iter().filter(is_wanted).copied().collect();
    }
    let mut out = query[..2].to_vec();
    // A response, recursion desired and available.
    out.extend_from_slice(&[0x81, 0x80 | code, 0, 1, 0, u8::try_from(addresses.len()).ok()?, 0, 0, 0, 0]);
    out.extend_from_slice(question);
    for address in addresses {
        // The name is the question's, by a pointer to it. RFC 1035 §4.1.4
        out.extend_from_slice(&[0xc0, 0x0c]);
        out.extend_from_slice(&wanted.to_be_bytes());
        out.extend_from_slice(&[0, 1]);
        out.extend_from_slice(&ttl_s.to_be_bytes());
        match address {
            IpAddr::V4(address) => {
                out.extend_from_slice(&[0, 4]);
                out.extend_from_slice(&address.octets());
            }
            IpAddr::V6(address) => {
                out.extend_from_slice(&[0, 16]);
                out.extend_from_slice(&address.octets());
            }
        }
    }
    Some(out)
}

/// The name at `at` in lower case, and where it ends.
fn read_name(query: &[u8], mut at: usize) -> Option<(String, usize)> {
    let mut labels = Vec::new();
    loop {
        let length = usize::from(*query.get(at)?);
        at += 1;
        if length == 0 {
            return Some((labels.join("."), at));
        }
        let label = query.get(at..at + length)?;
        labels.push(String::from_utf8_lossy(label).to_ascii_lowercase());
        at += length;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_answers_for_the_names_that_it_knows() {
        let server = DnsServer::start();
        server.set("a.test", &["192.0.2.7".parse().unwrap()], 60);
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        socket.set_read_timeout(Some(crate::DEADLINE)).unwrap();
        let ask = |name: &[u8]| {
            let query = [&[7, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0], name, &[0, 1, 0, 1]].concat();
            socket.send_to(&query, server.address()).unwrap();
            let mut answer = [0; 512];
            let length = socket.recv(&mut answer).unwrap();
            answer[..length].to_vec()
        };
        let known = ask(b"\x01A\x04test\0");
        assert_eq!((known[3] & 15, known[7]), (0, 1));
        assert!(known.ends_with(&[0, 0, 0, 60, 0, 4, 192, 0, 2, 7]));
        assert_eq!(ask(b"\x01b\0")[3] & 15, NAME_ERROR);
        assert_eq!(server.asked("a.test"), 1);
        server.fail("a.test");
        assert_eq!(ask(b"\x01a\x04test\0")[3] & 15, SERVER_FAILURE);
    }
}
