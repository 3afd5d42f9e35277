//! Whether every answer reaches the client that asked, under everything that an upstream and clients may do meanwhile.
//!
//! Each request has an id of its own. The [`origin`] says it in the answer's head and fills the body with it; now and then it
//! closes, announced or not, in the middle of an answer or between two, stalls, sends nonsense, or answers what nobody asked.
//! [`run`] sends requests from many clients, some of which leave before they are answered, and demands that whoever gets an
//! answer gets his own. Answers may be missing; they may not be another's.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use crate::{Address, Head, Origin, Peer, Random, standard};

/// What came of it.
#[derive(Debug, Default)]
pub struct Tally {
    /// Answers that were the right ones, and whole.
    pub right: AtomicU64,
    /// Answers in the proxy's own name, and those that broke off.
    pub missing: AtomicU64,
    /// Requests whose clients left.
    pub left: AtomicU64,
}

/// An origin that answers by the id in the target, and misbehaves about once in `calm` answers.
#[must_use]
pub fn origin(calm: u64) -> Origin {
    Origin::start_forgetful(move |peer, number| {
        let mut random = Random::new(number as u64);
        let mut answers = Vec::new();
        while let Some(head) = peer.read_head()? {
            if random.once_in(calm) {
                return misbehave(peer, &mut random, &head, answers);
            }
            answer(&mut answers, &head, &mut random, "");
            // What has come together is answered together, mostly.
            if peer.is_idle() || answers.len() > 64 << 10 || random.once_in(4) {
                peer.send(&std::mem::take(&mut answers))?;
            }
        }
        Ok(())
    })
}

fn answer(out: &mut Vec<u8>, head: &Head, random: &mut Random, extra: &str) {
    let id = head.target().rsplit('/').next().unwrap_or_default();
    let body = id.repeat(match random.below(100) {
        0 => 4_000,
        few => few as usize % 20,
    });
    let has_body = head.method() != "HEAD";
    let head_start = format!("HTTP/1.1 200 OK\r\nX-Id: {id}\r\n{extra}");
    if random.once_in(3) {
        out.extend_from_slice(format!("{head_start}Transfer-Encoding: chunked\r\n\r\n").as_bytes());
        if has_body {
            out.extend_from_slice(&crate::message::chunked(body.as_bytes(), 700));
        }
    } else {
        out.extend_from_slice(format!("{head_start}Content-Length: {}\r\n\r\n", body.len()).as_bytes());
        if has_body {
            out.extend_from_slice(body.as_bytes());
        }
    }
}

/// Ends the connection, or holds it up, in one of many ways. `answers` are those that are due before this one.
fn misbehave(peer: &mut Peer, random: &mut Random, head: &Head, mut answers: Vec<u8>) -> io::Result<()> {
    match random.below(8) {
        // Announced: what is behind it is not answered.
        0 | 1 => {
            answer(&mut answers, head, random, "Connection: close\r\n");
            peer.send(&answers)
        }
        // Between two answers.
        2 => peer.send(&answers),
        // In the middle of one.
        3 => {
            answer(&mut answers, head, random, "");
            answers.truncate(answers.len() * 2 / 3);
            peer.send(&answers)
        }
        4 => peer.reset_on_drop(),
        5 => {
            answers.extend_from_slice(b"HTTP/1.1 two hundred\r\n\r\nX-Id: 0\r\n\r\n");
            peer.send(&answers)
        }
        // One answer too many, when nothing is awaited.
        6 => {
            answer(&mut answers, head, random, "");
            peer.send(&answers)?;
            while !peer.is_idle() {
                let Some(head) = peer.read_head()? else { return Ok(()) };
                let mut one = Vec::new();
                answer(&mut one, &head, random, "");
                peer.send(&one)?;
            }
            peer.send(b"HTTP/1.1 200 OK\r\nX-Id: astray\r\nContent-Length: 6\r\n\r\nastray")
        }
        // Too slow for those behind.
        _ => {
            peer.send(&answers)?;
            thread::sleep(Duration::from_millis(60));
            let mut late = Vec::new();
            answer(&mut late, head, random, "");
            peer.send(&late)?;
            standard_end(peer, random)
        }
    }
}

/// Answers what still comes.
fn standard_end(peer: &mut Peer, random: &mut Random) -> io::Result<()> {
    while let Some(head) = peer.read_head()? {
        let mut one = Vec::new();
        answer(&mut one, &head, random, "");
        peer.send(&one)?;
    }
    Ok(())
}

/// Sends `requests` in all from `clients` at once to the proxy at `address`.
///
/// # Panics
/// If an answer reaches a client that did not ask for it.
pub fn run(address: &Address, clients: u64, requests: u64) -> Tally {
    let tally = Tally::default();
    thread::scope(|scope| {
        for client in 0..clients {
            let tally = &tally;
            scope.spawn(move || ask(address, client, requests / clients, tally));
        }
    });
    tally
}

fn ask(address: &Address, client: u64, requests: u64, tally: &Tally) {
    let mut random = Random::new(client + 1_000_000);
    let mut peer = None;
    for number in 0..requests {
        let id = format!("{client}-{number}-");
        let mut connected = match peer.take() {
            Some(connected) => connected,
            None => Peer::try_connect(address).expect("the proxy accepts"),
        };
        let method = if random.once_in(20) { "HEAD" } else { "GET" };
        let request = String::from_utf8(standard::get(&format!("/{id}"))).expect("a head is text");
        if connected.send(request.replacen("GET", method, 1).as_bytes()).is_err() {
            tally.missing.fetch_add(1, Ordering::Relaxed);
            continue;
        }
        if random.once_in(60) {
            tally.left.fetch_add(1, Ordering::Relaxed);
            if random.once_in(2) {
                drop(connected.reset());
            }
            continue;
        }
        let Ok(answer) = connected.read_response(method) else {
            tally.missing.fetch_add(1, Ordering::Relaxed);
            continue;
        };
        if !answer.head.lists("connection", "close") {
            peer = Some(connected);
        }
        if answer.status() != 200 {
            assert!(matches!(answer.status(), 502..=504), "{:?}", answer.head);
            tally.missing.fetch_add(1, Ordering::Relaxed);
            continue;
        }
        assert_eq!(answer.head.field("x-id"), Some(&id[..]), "an answer went astray");
        let copies = answer.body.len() / id.len();
        assert!(answer.body == id.repeat(copies).as_bytes(), "a body went astray: {id} got {:?}", answer.text());
        tally.right.fetch_add(1, Ordering::Relaxed);
    }
}
