//! Whether every answer reaches the client that asked, under everything that an upstream and clients may do meanwhile.
//!
//! Each request has an id of its own. The [`origin`] says it in the answer's head and fills the body with it; now and then it
//! closes, announced or not, in the middle of an answer or between two, stalls, sends nonsense, or answers what nobody asked.
//! [`run`] sends requests from many clients, half of which pipeline, and some of which leave before they are answered, and demands that whoever gets an
//! answer gets his own. Answers may be missing; they may not be another's.

use std::collections::HashSet;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use crate::{Address, Head, Origin, Peer, Random, eventually, standard};

/// What came of it.
#[derive(Debug, Default)]
pub struct Tally {
    /// Answers that were the right ones, and whole.
    pub right: AtomicU64,
    /// Answers in the proxy's own name, and those that broke off.
    pub missing: AtomicU64,
    /// Requests whose clients left.
    pub left: AtomicU64,
    /// Requests that were on their way when the origin answered what nobody had asked: HTTP/1.1 knows no difference between that
    /// and their answer.
    pub crossed: AtomicU64,
}

/// The ids of requests that came to the origin behind an answer that nobody had asked for, with which they may have crossed.
#[derive(Debug, Default, Clone)]
pub struct Crossed(Arc<Mutex<HashSet<String>>>);

impl Crossed {
    fn add(&self, head: &Head) {
        self.ids().insert(id_of(head).to_owned());
    }

    fn has(&self, id: &str) -> bool {
        self.ids().contains(id)
    }

    fn ids(&self) -> std::sync::MutexGuard<'_, HashSet<String>> {
        self.0.lock().expect("no thread panics while it notes an id")
    }
}

/// An origin that answers by the id in the target, and misbehaves about once in `calm` answers.
#[must_use]
pub fn origin(calm: u64, crossed: &Crossed) -> Origin {
    let crossed = crossed.clone();
    Origin::start_forgetful(move |peer, number| {
        let mut random = Random::new(number as u64);
        let mut answers = Vec::new();
        while let Some(head) = peer.read_head()? {
            if random.once_in(calm) {
                return misbehave(peer, &mut random, &head, answers, &crossed);
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

fn id_of(head: &Head) -> &str {
    head.target().rsplit('/').next().unwrap_or_default()
}

fn answer(out: &mut Vec<u8>, head: &Head, random: &mut Random, extra: &str) {
    let id = id_of(head);
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
fn misbehave(
    peer: &mut Peer,
    random: &mut Random,
    head: &Head,
    mut answers: Vec<u8>,
    crossed: &Crossed,
) -> io::Result<()> {
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
            peer.send(b"HTTP/1.1 200 OK\r\nX-Id: astray\r\nContent-Length: 6\r\n\r\nastray")?;
            while let Some(head) = peer.read_head()? {
                crossed.add(&head);
            }
            Ok(())
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
pub fn run(address: &Address, crossed: &Crossed, clients: u64, requests: u64) -> Tally {
    let tally = Tally::default();
    thread::scope(|scope| {
        for client in 0..clients {
            let tally = &tally;
            scope.spawn(move || ask(address, crossed, client, requests / clients, tally));
        }
    });
    tally
}

/// One request: every other client sends several at once, pipelined.
struct Question {
    id: String,
    method: &'static str,
}

impl Question {
    fn draw(client: u64, number: u64, random: &mut Random) -> Question {
        let method = if random.once_in(20) { "HEAD" } else { "GET" };
        Question { id: format!("{client}-{number}-"), method }
    }

    fn bytes(&self) -> Vec<u8> {
        let request = String::from_utf8(standard::get(&format!("/{}", self.id))).expect("a head is text");
        request.replacen("GET", self.method, 1).into_bytes()
    }

    /// Reads the answer. Returns whether more may follow.
    fn read(&self, peer: &mut Peer, crossed: &Crossed, tally: &Tally) -> bool {
        let Ok(answer) = peer.read_response(self.method) else {
            tally.missing.fetch_add(1, Ordering::Relaxed);
            return false;
        };
        if answer.head.field("x-id") == Some("astray") {
            eventually("the request crossed with it", || crossed.has(&self.id));
            tally.crossed.fetch_add(1, Ordering::Relaxed);
        } else if answer.status() == 200 {
            let id = &self.id;
            assert_eq!(answer.head.field("x-id"), Some(&id[..]), "an answer went astray");
            let copies = answer.body.len() / id.len();
            assert!(answer.body == id.repeat(copies).as_bytes(), "a body went astray: {id} got {:?}", answer.text());
            tally.right.fetch_add(1, Ordering::Relaxed);
        } else {
            assert!(matches!(answer.status(), 502..=504), "{:?}", answer.head);
            tally.missing.fetch_add(1, Ordering::Relaxed);
        }
        !answer.head.lists("connection", "close")
    }
}

fn ask(address: &Address, crossed: &Crossed, client: u64, requests: u64, tally: &Tally) {
    let mut random = Random::new(client + 1_000_000);
    let (mut peer, mut number) = (None, 0);
    while number < requests {
        let depth = if client.is_multiple_of(2) { 1 } else { (1 + random.below(24)).min(requests - number) };
        let questions: Vec<_> = (number..number + depth).map(|n| Question::draw(client, n, &mut random)).collect();
        number += depth;
        let mut connected = match peer.take() {
            Some(connected) => connected,
            None => Peer::try_connect(address).expect("the proxy accepts"),
        };
        if connected.send(&questions.iter().flat_map(Question::bytes).collect::<Vec<_>>()).is_err() {
            tally.missing.fetch_add(depth, Ordering::Relaxed);
            continue;
        }
        // Some leave before the last answer, and some before the first.
        let is_leaving = random.once_in(60);
        let awaited = if is_leaving { random.below(depth) } else { depth };
        let read = questions[..awaited as usize]
            .iter()
            .take_while(|question| question.read(&mut connected, crossed, tally))
            .count() as u64;
        if is_leaving && read == awaited {
            tally.left.fetch_add(depth - awaited, Ordering::Relaxed);
            if random.once_in(2) {
                drop(connected.reset());
            }
        } else if read == depth {
            peer = Some(connected);
        } else {
            // The one that was the last has been counted.
            tally.missing.fetch_add(awaited - read - 1, Ordering::Relaxed);
        }
    }
}
