//! Requests that share a connection to the upstream: in one send, answered in order, and none at another's cost.

use std::io;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use kit::{Address, Config, Gate, Origin, Peer, Ringway, astray, eventually, standard};

use crate::start;

/// The shared connection is the second that an origin accepts: the request that has it opened takes its own at once.
pub(crate) const SHARED: usize = 1;

/// One shared connection, from the first request on.
pub(crate) const AT_ONCE: &str = "{ engage_at = 1, connections = 1, stall_timeout = \"10s\" }";

pub(crate) fn config(origin: &Address, coalesce: &str) -> Config {
    Config::to(origin).upstream_option("coalesce", coalesce).route_option("coalesce", true)
}

/// Runs the proxy before `origin` until the shared connection is open.
pub(crate) fn sharing(origin: &Origin, coalesce: &str) -> Ringway {
    sharing_by(origin, config(origin.address(), coalesce))
}

pub(crate) fn sharing_by(origin: &Origin, config: Config) -> Ringway {
    let ringway = start(config);
    assert_eq!(ringway.connect().exchange("GET", &standard::get("/warm")).unwrap().text(), "/warm");
    eventually("the shared connection is open", || origin.accepted() == 2);
    ringway
}

/// The answer that says what was asked for.
pub(crate) fn echo(target: &str) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{target}", target.len()).into_bytes()
}

pub(crate) fn echo_all(peer: &mut Peer) -> io::Result<()> {
    while let Some(head) = peer.read_head()? {
        peer.send(&echo(head.target()))?;
    }
    Ok(())
}

/// An origin that follows `script` on its shared connection, and echoes on all others.
pub(crate) fn origin(script: impl Fn(&mut Peer) -> io::Result<()> + Send + Sync + 'static) -> Origin {
    Origin::start(move |peer, number| if number == SHARED { script(peer) } else { echo_all(peer) })
}

/// Sends a request for each target, from a client of its own; each is on its way before the next is sent.
pub(crate) fn ask(ringway: &Ringway, origin: &Origin, targets: &[&str]) -> Vec<Peer> {
    let sent = |target: &str| {
        let mut client = ringway.connect();
        client.send(&standard::get(target)).unwrap();
        let line = format!("GET {target} ");
        eventually("the request is at the upstream", || {
            String::from_utf8_lossy(&origin.received_all()).contains(&line)
        });
        client
    };
    targets.iter().map(|target| sent(target)).collect()
}

/// Reads the requests for `count` targets.
pub(crate) fn targets(peer: &mut Peer, count: usize) -> io::Result<Vec<String>> {
    let mut targets = Vec::new();
    while targets.len() < count {
        let head = peer.read_head()?.ok_or(io::ErrorKind::UnexpectedEof)?;
        targets.push(head.target().to_owned());
    }
    Ok(targets)
}

#[track_caller]
pub(crate) fn assert_answered(clients: &mut [Peer], targets: &[&str]) {
    for (client, target) in clients.iter_mut().zip(targets) {
        assert_eq!(client.read_response("GET").unwrap().text(), *target);
    }
}

#[test]
fn requests_of_many_clients_go_over_one_connection_and_each_gets_its_own_answer() {
    let origin = origin(|peer| {
        let targets = targets(peer, 4)?;
        let answers: Vec<u8> = targets.iter().flat_map(|target| echo(target)).collect();
        peer.send(&answers)?;
        echo_all(peer)
    });
    let ringway = sharing(&origin, AT_ONCE);
    let targets = ["/a", "/b", "/c", "/d"];
    let mut clients = ask(&ringway, &origin, &targets);
    assert_answered(&mut clients, &targets);
    // Again, on the same connections.
    clients.iter_mut().zip(targets).for_each(|(client, target)| client.send(&standard::get(target)).unwrap());
    assert_answered(&mut clients, &targets);
    assert_eq!(origin.accepted(), 2);
    let counts = ringway.stop_and_count();
    assert_eq!(counts["coalesced_requests"], 8);
    // The first four one by one; the others as they were read.
    assert!((5..=8).contains(&counts["coalesced_batches"]), "{counts:?}");
    assert!(!counts.contains_key("coalesced_resent"), "{counts:?}");
}

#[test]
fn what_must_not_share_does_not() {
    let origin = origin(echo_all);
    let ringway = sharing(&origin, AT_ONCE);
    let fields = "Host: test\r\n";
    for request in [
        format!("POST /post HTTP/1.1\r\n{fields}Content-Length: 1\r\n\r\nx"),
        format!("DELETE /delete HTTP/1.1\r\n{fields}\r\n"),
        format!("GET /body HTTP/1.1\r\n{fields}Content-Length: 1\r\n\r\nx"),
        format!("GET /up HTTP/1.1\r\n{fields}Connection: upgrade\r\nUpgrade: websocket\r\n\r\n"),
    ] {
        drop(ringway.connect().exchange("GET", request.as_bytes()));
    }
    assert!(!ringway.stop_and_count().contains_key("coalesced_requests"));
    assert_eq!(origin.received(SHARED), b"");
}

#[test]
fn few_requests_take_connections_of_their_own() {
    let origin = standard::start();
    let ringway = start(config(origin.address(), "{ engage_at = 8 }"));
    let mut clients: Vec<Peer> = (0..4).map(|_| ringway.connect()).collect();
    for _ in 0..20 {
        clients.iter_mut().for_each(|client| client.send(&standard::get("/length/10")).unwrap());
        clients.iter_mut().for_each(|client| assert_eq!(client.read_response("GET").unwrap().status(), 200));
    }
    assert!(!ringway.stop_and_count().contains_key("coalesced_requests"));
}

#[test]
fn an_end_that_was_announced_costs_nobody_his_answer() {
    let origin = origin(|peer| {
        let targets = targets(peer, 3)?;
        let last = String::from_utf8_lossy(&echo(&targets[0])).replacen("OK\r\n", "OK\r\nConnection: close\r\n", 1);
        peer.send(last.as_bytes())
    });
    // No retry is allowed: what the server has not read is not one.
    let ringway = sharing_by(&origin, config(origin.address(), AT_ONCE).upstream_option("retry", "{ attempts = 1 }"));
    let targets = ["/a", "/b", "/c"];
    assert_answered(&mut ask(&ringway, &origin, &targets), &targets);
    assert_eq!(ringway.stop_and_count()["coalesced_resent"], 2);
}

#[test]
fn an_end_without_a_word_costs_retries_from_the_budget() {
    for (budget, status) in [("{ budget_min = 10 }", 200), ("{ budget_min = 0, budget = 0 }", 502)] {
        let origin = origin(|peer| {
            let targets = targets(peer, 3)?;
            peer.send(&echo(&targets[0]))
        });
        let ringway = sharing_by(&origin, config(origin.address(), AT_ONCE).upstream_option("retry", budget));
        let mut clients = ask(&ringway, &origin, &["/a", "/b", "/c"]);
        assert_answered(&mut clients[..1], &["/a"]);
        for client in &mut clients[1..] {
            assert_eq!(client.read_response("GET").unwrap().status(), status, "{budget}");
        }
    }
}

#[test]
fn a_malformed_answer_is_one_clients_and_not_the_others() {
    let origin = origin(|peer| {
        let targets = targets(peer, 3)?;
        let nonsense = b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx";
        peer.send(&[&echo(&targets[0]), &nonsense[..], &echo(&targets[2])].concat())?;
        peer.read_to_end().map(drop)
    });
    let ringway = sharing(&origin, AT_ONCE);
    let mut clients = ask(&ringway, &origin, &["/a", "/b", "/c"]);
    assert_answered(&mut clients[..1], &["/a"]);
    assert_eq!(clients[1].read_response("GET").unwrap().status(), 502);
    assert_answered(&mut clients[2..], &["/c"]);
    let again = String::from_utf8(origin.received(0)).unwrap();
    assert!(again.contains("GET /c "), "asked again on another connection");
    ringway.assert_outcome("/b", &["upstream_malformed"]);
}

#[test]
fn an_answer_that_nobody_asked_for_is_nobodys() {
    let gate = Gate::new();
    let origin = origin({
        let gate = gate.clone();
        move |peer| {
            let targets = targets(peer, 1)?;
            peer.send(&[echo(&targets[0]), echo("/smuggled")].concat())?;
            gate.open();
            // The proxy closes.
            assert_eq!(peer.read_to_end()?, b"");
            Ok(())
        }
    });
    let ringway = sharing(&origin, AT_ONCE);
    assert_answered(&mut ask(&ringway, &origin, &["/a"]), &["/a"]);
    gate.wait();
    for target in ["/b", "/c"] {
        assert_eq!(ringway.connect().exchange("GET", &standard::get(target)).unwrap().text(), target);
    }
}

#[test]
fn a_slow_answer_holds_up_nobody_for_long() {
    let gate = Gate::new();
    let origin = origin({
        let gate = gate.clone();
        move |peer| {
            let targets = targets(peer, 3)?;
            gate.wait();
            peer.send(&targets.iter().flat_map(|target| echo(target)).collect::<Vec<_>>())?;
            echo_all(peer)
        }
    });
    let ringway = sharing(&origin, "{ engage_at = 1, connections = 1, stall_timeout = \"200ms\" }");
    let mut clients = ask(&ringway, &origin, &["/slow", "/b", "/c"]);
    // The others have theirs while the first still waits.
    assert_answered(&mut clients[1..], &["/b", "/c"]);
    // Nor is the connection chosen for new ones.
    let began = Instant::now();
    assert_eq!(ringway.connect().exchange("GET", &standard::get("/d")).unwrap().text(), "/d");
    assert!(began.elapsed() < Duration::from_secs(5));
    assert!(clients[0].is_idle());
    gate.open();
    assert_answered(&mut clients[..1], &["/slow"]);
    let counts = ringway.stop_and_count();
    assert_eq!((counts["coalesced_resent"], counts["coalesced_requests"]), (2, 3));
}

#[test]
fn a_client_that_leaves_takes_no_answer_with_it() {
    let gate = Gate::new();
    let origin = origin({
        let gate = gate.clone();
        move |peer| {
            let targets = targets(peer, 4)?;
            gate.wait();
            peer.send(&targets.iter().flat_map(|target| echo(target)).collect::<Vec<_>>())?;
            echo_all(peer)
        }
    });
    let ringway = sharing(&origin, AT_ONCE);
    let mut clients = ask(&ringway, &origin, &["/a", "/b", "/c", "/d"]);
    clients.remove(2).reset().unwrap();
    clients.remove(0).reset().unwrap();
    eventually("both are known to be gone", || {
        ringway.records().iter().filter(|record| record["outcome"] == "client_gone").count() == 2
    });
    gate.open();
    assert_answered(&mut clients, &["/b", "/d"]);
    assert_eq!(ringway.connect().exchange("GET", &standard::get("/e")).unwrap().text(), "/e");
    let counts = ringway.stop_and_count();
    assert_eq!(counts["coalesced_requests"], 5, "the connection was kept");
}

#[test]
fn large_answers_pass_whole_and_with_back_pressure() {
    const BYTES: u64 = 20 << 20;
    let origin = Origin::start(|peer, number| match number {
        0 => warm_then_pattern(peer),
        _ => standard::serve(peer),
    });
    let ringway = sharing(&origin, "{ engage_at = 1, connections = 1, stall_timeout = \"100ms\" }");
    let memory = ringway.process().memory_bytes();
    // This one does not read.
    let mut slow = ringway.connect();
    slow.send(&standard::get(&format!("/length/{BYTES}"))).unwrap();
    let answers: Vec<_> = (0..4)
        .map(|number| {
            let mut client = ringway.connect();
            client.send(&standard::get(&format!("/chunked/{}", 100_000 + number))).unwrap();
            (client, 100_000 + number)
        })
        .collect();
    for (mut client, bytes) in answers {
        client.read_pattern_response("GET", bytes).unwrap();
    }
    let growth = ringway.process().memory_bytes().saturating_sub(memory);
    assert!(growth < 12 << 20, "grew by {growth} bytes");
    slow.read_pattern_response("GET", BYTES).unwrap();
}

/// The first connection.
fn warm_then_pattern(peer: &mut Peer) -> io::Result<()> {
    if peer.read_head()?.is_some() {
        peer.send(&echo("/warm"))?;
    }
    standard::serve(peer)
}

#[test]
fn heads_and_hints_and_ends_are_told_apart() {
    let origin = origin(|peer| {
        targets(peer, 1)?;
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")?;
        let targets = targets(peer, 3)?;
        peer.send(b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n")?;
        peer.send(&echo(&targets[0]))?;
        peer.send(b"HTTP/1.1 304 Not Modified\r\nContent-Length: 77\r\n\r\n")?;
        peer.send(b"HTTP/1.0 200 OK\r\n\r\nuntil the end")
    });
    let ringway = sharing(&origin, AT_ONCE);
    let mut client = ringway.connect();
    let head = client.exchange("HEAD", b"HEAD /head HTTP/1.1\r\nHost: test\r\n\r\n").unwrap();
    assert_eq!((head.head.field("content-length"), head.body.len()), (Some("1000"), 0));
    let mut clients = ask(&ringway, &origin, &["/a", "/b", "/c"]);
    let hinted = clients[0].read_response("GET").unwrap();
    assert_eq!((hinted.interim.len(), hinted.text()), (1, "/a".to_owned()));
    assert_eq!(clients[1].read_response("GET").unwrap().status(), 304);
    assert_eq!(clients[2].read_response("GET").unwrap().text(), "until the end");
}

#[test]
fn a_limit_on_requests_is_learned_and_kept_to() {
    // 20 requests a connection, and those behind the last are not answered.
    let origin = Origin::start_forgetful(|peer, _| {
        for number in 1..=20 {
            let Some(head) = peer.read_head()? else { return Ok(()) };
            let answer = String::from_utf8_lossy(&echo(head.target())).into_owned();
            let close = if number == 20 { "OK\r\nConnection: close\r\n" } else { "OK\r\n" };
            peer.send(answer.replacen("OK\r\n", close, 1).as_bytes())?;
        }
        Ok(())
    });
    let ringway = start(config(origin.address(), "{ engage_at = 1, connections = 2, stall_timeout = \"10s\" }"));
    thread::scope(|scope| {
        for client in 0..8 {
            let ringway = &ringway;
            scope.spawn(move || {
                for number in 0..250 {
                    let target = format!("/{client}/{number}");
                    let answer = ringway.connect().exchange("GET", &standard::get(&target)).unwrap();
                    assert_eq!((answer.status(), answer.text()), (200, target));
                }
            });
        }
    });
    let counts = ringway.stop_and_count();
    let resent = counts.get("coalesced_resent").copied().unwrap_or(0);
    assert!(counts["coalesced_requests"] > 500, "{counts:?}");
    assert!(resent < 40, "those that the first connections lost, and hardly any more: {resent}");
}

#[test]
fn a_reload_and_a_drain_lose_no_answer() {
    let origin = origin(echo_all);
    let ringway = sharing(&origin, AT_ONCE);
    let mut client = ringway.connect();
    for _ in 0..5 {
        assert_eq!(client.exchange("GET", &standard::get("/a")).unwrap().text(), "/a");
    }
    // Another policy: the old connection is not shared any more. A Plan without it closes it.
    ringway.reload(config(origin.address(), "{ engage_at = 1, connections = 1, depth = 2 }"));
    for _ in 0..5 {
        assert_eq!(client.exchange("GET", &standard::get("/b")).unwrap().text(), "/b");
    }
    let counts = ringway.stop_and_count();
    assert!(counts["coalesced_requests"] >= 5, "{counts:?}");
}

#[test]
fn no_answer_goes_astray() {
    const REQUESTS: u64 = 24_000;
    let crossed = astray::Crossed::default();
    let origin = astray::origin(400, &crossed);
    let coalesce = "{ engage_at = 4, connections = 3, stall_timeout = \"20ms\" }";
    let retry = "{ budget = 100, budget_min = 1000 }";
    let config = config(origin.address(), coalesce).upstream_option("retry", retry);
    // It closes and stalls again and again: what a server is ejected for is not the question here.
    let ringway = start(config.upstream_option("health", "{ failures = 0 }"));
    let tally = astray::run(ringway.address(), &crossed, 24, REQUESTS);
    let right = tally.right.load(Ordering::Relaxed);
    assert!(right > REQUESTS * 9 / 10, "{tally:?}");
    let counts = ringway.stop_and_count();
    assert!(counts["coalesced_requests"] > REQUESTS / 10, "{counts:?}");
    assert!(counts["coalesced_resent"] > 0, "{counts:?}");
}
