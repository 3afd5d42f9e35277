//! Clients that go away or stand still, at each phase of an exchange: the upstream is told, and nothing is left behind.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use kit::{Config, Gate, Origin, Peer, Ringway, eventually, pattern, standard};

use crate::{before, start};

/// How much a proxy's memory may grow over a storm of clients that leave nothing behind.
const GROWTH_BYTES_MAX: u64 = 8 << 20;
/// Pipes that a second storm may add to the pool of the first.
const PIPES_ADDED_MAX: usize = 4;
/// Clients of one storm.
const STORM: usize = 150;
const LARGE: u64 = 64 << 20;

/// Runs the same storm twice: the first fills the pools, the second must leave nothing behind.
fn assert_nothing_stays(ringway: &Ringway, mut storm: impl FnMut()) {
    let start = ringway.process().descriptors();
    storm();
    // Pipes and idle upstream connections are pooled within limits; what a second storm adds to them is a leak.
    let mut pooled = usize::MAX;
    eventually("the descriptors have settled", || {
        let before = std::mem::replace(&mut pooled, ringway.process().descriptors());
        thread::sleep(Duration::from_millis(50));
        before == pooled
    });
    assert!(pooled <= start + 64, "the pools hold little: {start} descriptors before the storm, {pooled} after it");
    let memory = ringway.process().memory_bytes();
    storm();
    // Exchanges that overlap more than any did before add a pipe to the pool; a leak adds descriptors with every client.
    ringway.wait_for_descriptors(pooled + 2 * PIPES_ADDED_MAX);
    let growth = ringway.process().memory_bytes().saturating_sub(memory);
    assert!(growth <= GROWTH_BYTES_MAX, "memory grew by {growth} bytes");
}

/// Connects, sends `bytes`, and goes away with a reset or an orderly close.
fn leave_after(ringway: &Ringway, bytes: &[u8], reset: bool) {
    let mut client = ringway.connect();
    client.send(bytes).unwrap();
    if reset {
        client.reset().unwrap();
    }
}

#[test]
fn clients_gone_before_the_end_of_the_head_leave_nothing() {
    let origin = standard::start();
    let ringway = before(&origin);
    assert_nothing_stays(&ringway, || {
        for n in 0..STORM {
            leave_after(&ringway, &b"GET / HTTP/1.1\r\nHost: te"[..n % 24], n % 2 == 0);
        }
    });
    assert_eq!(origin.accepted(), 0, "half a request reaches no upstream");
}

#[test]
fn clients_gone_in_the_middle_of_the_body_leave_nothing() {
    let origin = standard::start();
    let ringway = before(&origin);
    assert_nothing_stays(&ringway, || {
        for n in 0..STORM {
            let framing =
                if n % 3 == 0 { "Transfer-Encoding: chunked\r\n\r\n5\r\nhel" } else { "Content-Length: 9\r\n\r\nhel" };
            leave_after(&ringway, format!("POST / HTTP/1.1\r\nHost: test\r\n{framing}").as_bytes(), n % 2 == 0);
        }
        origin.wait_until_closed();
    });
}

#[test]
fn a_body_that_breaks_off_is_not_passed_on_as_whole() {
    for (framing, reset) in
        [("Content-Length: 9", false), ("Transfer-Encoding: chunked", false), ("Content-Length: 9", true)]
    {
        let origin = Origin::start(|peer, _| match peer.read_request() {
            Err(error) if error.kind() == io::ErrorKind::TimedOut => panic!("the upstream's connection was not closed"),
            Ok(Some(request)) => panic!("a whole request came of half a one: {request:?}"),
            _ => Ok(()),
        });
        let ringway = before(&origin);
        let body = if framing.starts_with('T') { "5\r\nhello\r\n" } else { "hello" };
        leave_after(
            &ringway,
            format!("POST /half HTTP/1.1\r\nHost: test\r\n{framing}\r\n\r\n{body}").as_bytes(),
            reset,
        );
        eventually("the upstream sees the request", || origin.accepted() == 1);
        origin.wait_until_closed();
        ringway.assert_outcome("/half", &["client_gone"]);
    }
}

#[test]
fn clients_gone_while_waiting_for_the_head_leave_nothing() {
    let origin = Origin::start(|peer, _| peer.read_to_end().map(drop));
    let ringway = before(&origin);
    let mut accepted = 0;
    assert_nothing_stays(&ringway, || {
        let clients: Vec<Peer> = (0..STORM)
            .map(|_| {
                let mut client = ringway.connect();
                client.send(&standard::get("/waiting")).unwrap();
                client
            })
            .collect();
        accepted += STORM;
        eventually("every request is at the upstream", || origin.accepted() == accepted);
        clients.into_iter().for_each(|client| client.reset().unwrap());
        origin.wait_until_closed();
    });
    ringway.assert_outcome("/waiting", &["client_gone"]);
}

#[test]
fn clients_gone_in_the_middle_of_the_response_leave_nothing() {
    let origin = standard::start();
    let ringway = before(&origin);
    assert_nothing_stays(&ringway, || {
        for n in 0..STORM {
            let mut client = ringway.connect();
            let framing = if n % 2 == 0 { "length" } else { "chunked" };
            client.send(&standard::get(&format!("/{framing}/5000000"))).unwrap();
            let (head, _) = client.read_final_head().unwrap();
            assert_eq!(head.status(), 200);
            if n % 3 == 0 {
                client.reset().unwrap();
            }
        }
        origin.wait_until_closed();
    });
}

#[test]
fn a_client_that_half_closes_still_gets_its_response() {
    let (origin, gate) = standard::held(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nlate");
    let ringway = before(&origin);
    let mut client = ringway.connect();
    client.send(&standard::get("/")).unwrap();
    client.half_close().unwrap();
    eventually("the request is at the upstream", || !origin.received(0).is_empty());
    gate.open();
    assert_eq!(client.read_response("GET").unwrap().text(), "late");
    client.assert_ends();
}

#[test]
fn a_slow_reader_stops_the_upstream_and_gets_everything_in_the_end() {
    let sent = Arc::new(AtomicU64::new(0));
    let origin = Origin::start({
        let sent = sent.clone();
        move |peer, _| {
            peer.read_head()?;
            peer.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {LARGE}\r\n\r\n").as_bytes())?;
            for start in (0..LARGE).step_by(64 << 10) {
                peer.send_pattern(start, start + (64 << 10))?;
                sent.store(start + (64 << 10), Ordering::SeqCst);
            }
            Ok(())
        }
    });
    let ringway = before(&origin);
    let memory = ringway.process().memory_bytes();
    let mut client = Peer::connect_with_receive_buffer(ringway.address(), 64 << 10).unwrap();
    client.send(&standard::get("/")).unwrap();
    let stopped_at = wait_until_still(&sent);
    assert!(stopped_at < LARGE, "the upstream was not stopped: it sent everything to a client that read nothing");
    let growth = ringway.process().memory_bytes().saturating_sub(memory);
    assert!(growth <= GROWTH_BYTES_MAX, "the proxy hoards {growth} bytes for a client that reads nothing");
    client.read_pattern_response("GET", LARGE).unwrap();
}

#[test]
fn a_slow_upstream_stops_the_client_and_gets_everything_in_the_end() {
    let gate = Gate::new();
    let origin = Origin::start({
        let gate = gate.clone();
        move |peer, _| {
            let head = peer.read_head()?.expect("a request");
            gate.wait();
            let mut check = pattern::Check::default();
            peer.read_body(head.request_framing(), &mut |piece| check.update(piece))?;
            check.assert_whole(LARGE);
            peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nwhole")
        }
    });
    let ringway = before(&origin);
    let memory = ringway.process().memory_bytes();
    let mut client = ringway.connect();
    client.send(format!("PUT / HTTP/1.1\r\nHost: test\r\nContent-Length: {LARGE}\r\n\r\n").as_bytes()).unwrap();
    let sent = AtomicU64::new(0);
    thread::scope(|scope| {
        let (mut sender, sent) = (client.second(), &sent);
        scope.spawn(move || {
            for start in (0..LARGE).step_by(64 << 10) {
                sender.send_pattern(start, start + (64 << 10)).unwrap();
                sent.store(start + (64 << 10), Ordering::SeqCst);
            }
        });
        let stopped_at = wait_until_still(sent);
        assert!(stopped_at < LARGE, "the client was not stopped: it sent everything to an upstream that read nothing");
        let growth = ringway.process().memory_bytes().saturating_sub(memory);
        assert!(growth <= GROWTH_BYTES_MAX, "the proxy hoards {growth} bytes for an upstream that reads nothing");
        gate.open();
        assert_eq!(client.read_response("PUT").unwrap().text(), "whole");
    });
}

#[test]
fn slow_readers_starve_nobody() {
    let origin = standard::start();
    let ringway = before(&origin);
    let mut slow: Vec<Peer> = (0..200)
        .map(|_| {
            let mut client = Peer::connect_with_receive_buffer(ringway.address(), 8 << 10).unwrap();
            client.send(&standard::get("/length/8000000")).unwrap();
            client
        })
        .collect();
    let mut quick = ringway.connect();
    for _ in 0..50 {
        quick.send(&standard::get("/chunked/100000")).unwrap();
        quick.read_pattern_response("GET", 100_000).unwrap();
    }
    // The slow ones were not forgotten either.
    for client in slow.iter_mut().step_by(40) {
        client.read_pattern_response("GET", 8_000_000).unwrap();
    }
}

#[test]
fn slow_upstreams_starve_nobody() {
    let gate = Gate::new();
    let origin = Origin::start({
        let gate = gate.clone();
        move |peer, number| {
            if number < 100 {
                peer.read_head()?;
                gate.wait();
                return Ok(());
            }
            standard::serve(peer)
        }
    });
    let ringway = before(&origin);
    let uploads: Vec<Peer> = (0..100)
        .map(|_| {
            let mut client = ringway.connect();
            client.send(b"PUT /slow HTTP/1.1\r\nHost: test\r\nContent-Length: 1000000000\r\n\r\n").unwrap();
            client.send(&pattern::bytes(100_000)).unwrap();
            client
        })
        .collect();
    eventually("all uploads are at the upstream", || origin.accepted() == 100);
    let mut quick = ringway.connect();
    for _ in 0..50 {
        quick.send(b"POST /length/50000 HTTP/1.1\r\nHost: test\r\nContent-Length: 50000\r\n\r\n").unwrap();
        quick.send_pattern(0, 50_000).unwrap();
        quick.read_pattern_response("POST", 50_000).unwrap();
    }
    gate.open();
    drop(uploads);
}

#[test]
fn a_body_of_the_client_that_stands_still_ends_the_exchange() {
    let origin = standard::start();
    let ringway = start(Config::to(origin.address()).timeout("body_idle", "200ms"));
    let mut client = ringway.connect();
    client.send(b"POST /still HTTP/1.1\r\nHost: test\r\nContent-Length: 10\r\n\r\nhalf").unwrap();
    let answer = String::from_utf8(client.read_to_end().unwrap_or_default()).unwrap();
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 408 "), "{answer}");
    ringway.assert_outcome("/still", &["client_timeout"]);
    origin.wait_until_closed();
}

#[test]
fn a_client_that_does_not_read_its_response_is_dropped_in_time() {
    let origin = standard::start();
    let ringway = start(Config::to(origin.address()).timeout("body_idle", "300ms"));
    let mut client = Peer::connect_with_receive_buffer(ringway.address(), 8 << 10).unwrap();
    client.send(&standard::get("/length/100000000")).unwrap();
    ringway.assert_outcome("/length/100000000", &["client_timeout"]);
    origin.wait_until_closed();
}

/// Waits until a count that moved stands still for a third of a second, and returns it.
fn wait_until_still(count: &AtomicU64) -> u64 {
    eventually("something is sent", || count.load(Ordering::SeqCst) > 0);
    let (mut last, mut still) = (0, 0);
    eventually("the sender is stopped", || {
        let now = count.load(Ordering::SeqCst);
        still = if now == last { still + 1 } else { 0 };
        last = now;
        thread::sleep(Duration::from_millis(10));
        still >= 30
    });
    last
}
