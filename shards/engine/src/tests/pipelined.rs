//! A session whose client pipelines, before an upstream that closes its connections now and then: whatever the seed, each request
//! gets its own answer, in order.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use plan::{Address, Coalesce, Retry, Route, Server, Upstream as Policy, UpstreamId};

use super::multiplexed::plan_of;
use crate::client::Client;
use crate::counters::Counters;
use crate::random::Random;
use crate::session::http1;
use crate::shard::Shard;
use crate::tally::Tallies;
use crate::transport::Transport;

const SEEDS: u64 = 24;
const REQUESTS: usize = 400;

/// What was asked for: the method and the number that the answer has to say.
type Question = (&'static str, usize);

#[test]
fn each_request_of_a_pipeline_gets_its_own_answer_in_order() {
    let (mut coalesced, mut resent) = (0, 0);
    for seed in 0..SEEDS {
        let (proxied, client) = client(seed);
        let counters = serve(proxied, upstream(seed));
        let answered = client.join().unwrap_or_else(|_| panic!("seed {seed}"));
        assert!(answered > REQUESTS * 9 / 10, "seed {seed}: {answered}");
        coalesced += counters.coalesced_requests.value();
        resent += counters.coalesced_resent.value();
        assert_eq!(counters.exchanges_ended(), REQUESTS as u64, "seed {seed}");
    }
    assert!(coalesced > SEEDS * REQUESTS as u64 / 4, "{coalesced}");
    assert!(resent > 0);
}

/// Serves the client at `client` as if it had connected, until it has left.
fn serve(client: SocketAddr, upstream: SocketAddr) -> Arc<Counters> {
    let counters = Arc::<Counters>::default();
    let (shared, ring_counters) = (Arc::clone(&counters), Arc::clone(&counters.ring));
    let policy = Policy {
        coalesce: Coalesce { connections_max: 2, depth_max: 10, engage_at: 1, stall_timeout: Duration::from_secs(10) },
        retry: Retry { budget_percent: 100, budget_min_per_s: 1000, backoff_base: Duration::ZERO, ..Retry::default() },
        ..Policy::new("echo".to_owned(), vec![Server::new(Address::Tcp(upstream))])
    };
    let plan = plan_of(policy, Route { coalesce: true, ..Route::new(None, "/", UpstreamId(0)) });
    ring::run(&ring::Config::default(), ring_counters, |_| async move {
        let shard = Shard::new(&plan, shared, Tallies::default(), Vec::new(), (None, &Vec::new().into()));
        let stream = ring::connect_tcp(client, Duration::from_secs(10)).await.unwrap();
        let client = Client::new(None, &plan);
        let membership = shard.enter(&client, None).unwrap();
        let due = ring::now() + plan.timeouts.head;
        http1::serve(membership, Transport::Plain(stream), client, due, false).await;
    })
    .unwrap();
    counters
}

/// A client that waits to be connected to, sends a pipeline in pieces, and reads the answers meanwhile. Its thread returns how
/// many came from the upstream; the others said 502.
fn client(seed: u64) -> (SocketAddr, JoinHandle<usize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let client = thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        let mut random = Random::with_seed(seed);
        let (mut bytes, mut questions) = (Vec::new(), Vec::new());
        for number in 0..REQUESTS {
            questions.push(ask(&mut bytes, number, &mut random));
        }
        let mut sender = stream.try_clone().unwrap();
        let sending = thread::spawn(move || {
            sender.set_nodelay(true).unwrap();
            let mut rest = &bytes[..];
            while !rest.is_empty() {
                let (piece, behind) = rest.split_at(rest.len().min(1 + random.below(3_000) as usize));
                sender.write_all(piece).unwrap();
                rest = behind;
            }
        });
        let mut reader = BufReader::new(stream);
        let answered = questions.iter().filter(|question| read_answer(&mut reader, question)).count();
        sending.join().unwrap();
        answered
    });
    (address, client)
}

fn ask(bytes: &mut Vec<u8>, number: usize, random: &mut Random) -> Question {
    let (method, rest) = match random.below(12) {
        0 => ("HEAD", "\r\n"),
        1 => ("POST", "Content-Length: 9\r\n\r\nGET /9 HT"),
        2 => ("GET", "Connection: upgrade\r\nUpgrade: websocket\r\n\r\n"),
        3 => ("OPTIONS", "X-Long: 0123456789012345678901234567890123456789\r\n\r\n"),
        _ => ("GET", "\r\n"),
    };
    bytes.extend_from_slice(format!("{method} /{number} HTTP/1.1\r\nHost: a.example\r\n{rest}").as_bytes());
    (method, number)
}

/// Reads the next answer, which has to be that to `question` or a 502 of the proxy's own.
fn read_answer(reader: &mut impl BufRead, (method, number): &Question) -> bool {
    let head = read_head(reader).unwrap().expect("every request is answered");
    let mut body = vec![0; if *method == "HEAD" { 0 } else { length_of(&head) }];
    reader.read_exact(&mut body).unwrap();
    if head.starts_with("HTTP/1.1 502 ") {
        return false;
    }
    assert!(head.contains(&format!("X-Number: {number}\r\n")), "{method} {number}: {head}");
    assert_eq!(String::from_utf8_lossy(&body), if *method == "HEAD" { String::new() } else { format!("/{number}") });
    true
}

/// A head's text, with the blank line; `None` at the end.
fn read_head(reader: &mut impl BufRead) -> io::Result<Option<String>> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head)? == 0 {
            return Ok(None);
        }
    }
    Ok(Some(head))
}

fn length_of(head: &str) -> usize {
    let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: "));
    length.map_or(0, |length| length.parse().unwrap())
}

/// Answers by the number in the target. About once in forty answers it closes: in peace, without a word, or in the middle.
fn upstream(seed: u64) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for (number, stream) in listener.incoming().enumerate() {
            let random = Random::with_seed(seed * 1_000_000 + number as u64);
            let stream = stream.unwrap();
            stream.set_nodelay(true).unwrap();
            thread::spawn(move || answer_all(&stream, random));
        }
    });
    address
}

fn answer_all(mut stream: &TcpStream, mut random: Random) -> io::Result<()> {
    let mut reader = BufReader::new(stream);
    let mut answers = Vec::new();
    while let Some(head) = read_head(&mut reader)? {
        reader.read_exact(&mut vec![0; length_of(&head)])?;
        let target = head.split(' ').nth(1).unwrap();
        let body = if head.starts_with("HEAD ") { "" } else { target };
        let ending = random.below(120);
        let close = if ending == 0 { "Connection: close\r\n" } else { "" };
        let number = &target[1..];
        let start = format!("HTTP/1.1 200 OK\r\nX-Number: {number}\r\n{close}Content-Length: {}\r\n\r\n", target.len());
        answers.extend_from_slice(start.as_bytes());
        answers.extend_from_slice(body.as_bytes());
        match ending {
            0 => return stream.write_all(&answers),
            1 => return stream.write_all(&answers[..answers.len() - start.len() - body.len()]),
            _ => {}
        }
        if reader.buffer().is_empty() || random.below(4) == 0 {
            stream.write_all(&std::mem::take(&mut answers))?;
        }
    }
    Ok(())
}
