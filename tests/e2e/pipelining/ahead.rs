//! Pipelined requests that are sent to the upstream together, where their route coalesces, and answered in order.

use std::io;

use kit::{Config, Gate, Origin, Peer, Ringway, eventually, standard};

use crate::coalesce::{AT_ONCE, SHARED, config, echo, echo_all, origin, sharing, sharing_by, targets};
use crate::start;

/// A GET of each target, in one run of bytes.
fn gets(targets: &[&str]) -> Vec<u8> {
    targets.iter().flat_map(|target| standard::get(target)).collect()
}

#[track_caller]
fn assert_texts(client: &mut Peer, targets: &[&str]) {
    for target in targets {
        let answer = client.read_response("GET").unwrap();
        assert_eq!((answer.status(), answer.text().as_str()), (200, *target));
    }
}

/// Waits for this many requests on the shared connection, and answers them in one write.
fn answer_together(peer: &mut Peer, count: usize) -> io::Result<()> {
    let targets = targets(peer, count)?;
    peer.send(&targets.iter().flat_map(|target| echo(target)).collect::<Vec<_>>())
}

/// Waits until the request for `target` has come to the upstream.
fn arrived(origin: &Origin, target: &str) {
    let line = format!("GET {target} ");
    eventually("the request is at the upstream", || String::from_utf8_lossy(&origin.received_all()).contains(&line));
}

#[test]
fn requests_of_one_client_go_upstream_together_and_are_answered_in_order() {
    // None is answered before all have come.
    let origin = origin(|peer| {
        answer_together(peer, 16)?;
        echo_all(peer)
    });
    let ringway = sharing(&origin, AT_ONCE);
    let names: Vec<String> = (0..16).map(|number| format!("/{number}")).collect();
    let targets: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut client = ringway.connect();
    client.send(&gets(&targets)).unwrap();
    assert_texts(&mut client, &targets);
    assert!(client.is_idle());
    let counts = ringway.stop_and_count();
    assert_eq!((counts["coalesced_requests"], counts["coalesced_batches"]), (16, 1));
    assert_eq!(origin.accepted(), 2);
}

#[test]
fn a_lone_client_that_pipelines_shares_a_connection_with_itself() {
    let origin = Origin::start(|peer, _| echo_all(peer));
    // The default: it engages from 24 requests on.
    let ringway = start(Config::to(origin.address()).route_option("coalesce", true));
    let mut client = ringway.connect();
    client.send(&gets(&["/open", "/behind"])).unwrap();
    assert_texts(&mut client, &["/open", "/behind"]);
    eventually("the shared connections are open", || origin.accepted() > 1);
    eventually("they are used", || {
        client.send(&gets(&["/a", "/b", "/c"])).unwrap();
        assert_texts(&mut client, &["/a", "/b", "/c"]);
        (1..origin.accepted()).any(|number| String::from_utf8_lossy(&origin.received(number)).contains("GET /c "))
    });
    let counts = ringway.stop_and_count();
    assert!(counts["coalesced_requests"] > counts["coalesced_batches"], "{counts:?}");
}

#[test]
fn a_long_pipeline_is_answered_in_order_however_it_is_cut() {
    let origin = origin(echo_all);
    let ringway = sharing(&origin, AT_ONCE);
    let names: Vec<String> = (0..2_000).map(|number| format!("/{number}")).collect();
    let targets: Vec<&str> = names.iter().map(String::as_str).collect();
    let bytes = gets(&targets);
    for piece in [bytes.len(), 4096, 701, 37] {
        let mut client = ringway.connect();
        std::thread::scope(|scope| {
            let mut sender = client.second();
            let bytes = &bytes;
            scope.spawn(move || bytes.chunks(piece).for_each(|piece| sender.send(piece).unwrap()));
            assert_texts(&mut client, &targets);
        });
    }
    assert!(ringway.stop_and_count()["coalesced_requests"] > 4_000);
}

#[test]
fn what_must_not_share_waits_for_its_turn_and_so_does_what_is_behind_it() {
    let origin = Origin::start(|peer, _| {
        while let Some(request) = peer.read_request()? {
            let target = request.head.target();
            peer.send(&if request.head.method() == "HEAD" { head_of(target) } else { echo(target) })?;
        }
        Ok(())
    });
    let ringway = sharing(&origin, AT_ONCE);
    let host = "Host: test\r\n";
    let requests = [
        ("GET", "/a".to_owned(), String::new()),
        ("HEAD", "/b".to_owned(), String::new()),
        ("GET", "/c".to_owned(), String::new()),
        ("POST", "/d".to_owned(), "Content-Length: 5\r\n\r\nGET /".to_owned()),
        ("POST", "/e".to_owned(), "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n".to_owned()),
        ("GET", "/f".to_owned(), String::new()),
        ("GET", "/g".to_owned(), "Connection: upgrade\r\nUpgrade: websocket\r\n\r\n".to_owned()),
        ("DELETE", "/h".to_owned(), String::new()),
        ("GET", "/i".to_owned(), String::new()),
    ];
    let mut bytes = Vec::new();
    for (method, target, rest) in &requests {
        let rest = if rest.is_empty() { "\r\n" } else { rest };
        bytes.extend_from_slice(format!("{method} {target} HTTP/1.1\r\n{host}{rest}").as_bytes());
    }
    let mut client = ringway.connect();
    for _ in 0..3 {
        client.send(&bytes).unwrap();
        for (method, target, _) in &requests {
            let answer = client.read_response(method).unwrap();
            let text = if *method == "HEAD" { "" } else { target };
            assert_eq!((answer.status(), answer.text().as_str()), (200, text), "{method} {target}");
        }
    }
    assert!(client.is_idle());
    let shared = String::from_utf8(origin.received(SHARED)).unwrap();
    for (method, target, _) in &requests {
        let shares = matches!(target.as_str(), "/a" | "/b" | "/c" | "/f" | "/i");
        assert_eq!(shared.contains(&format!("{method} {target} ")), shares, "{method} {target}");
    }
}

fn head_of(target: &str) -> Vec<u8> {
    let answer = echo(target);
    answer[..answer.len() - target.len()].to_vec()
}

#[test]
fn a_refused_request_is_answered_after_those_before_it() {
    let origin = origin(echo_all);
    let ringway = sharing(&origin, AT_ONCE);
    for (refused, status) in [
        ("GET /two words HTTP/1.1\r\nHost: test\r\n\r\n", 400),
        ("GET /%00 HTTP/1.1\r\nHost: test\r\n\r\n", 400),
        ("GET /x HTTP/1.1\r\n\r\n", 400),
        ("TRACE /x HTTP/1.1\r\nHost: test\r\n\r\n", 405),
    ] {
        let mut client = ringway.connect();
        client.send(&[&gets(&["/a", "/b"])[..], refused.as_bytes()].concat()).unwrap();
        assert_texts(&mut client, &["/a", "/b"]);
        assert_eq!(client.read_response("GET").unwrap().status(), status, "{refused}");
    }
}

#[test]
fn none_is_sent_behind_the_one_that_closes() {
    let origin = origin(echo_all);
    let ringway = sharing(&origin, AT_ONCE);
    let mut client = ringway.connect();
    let last = "GET /last HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n";
    client.send(&[&gets(&["/a", "/b"])[..], last.as_bytes(), &gets(&["/never"])].concat()).unwrap();
    assert_texts(&mut client, &["/a", "/b", "/last"]);
    client.assert_ends();
    drop(ringway);
    assert!(!String::from_utf8(origin.received_all()).unwrap().contains("/never"), "RFC 9112 §9.6");
}

#[test]
fn no_more_are_sent_than_the_connection_may_carry() {
    let origin = origin(|peer| {
        answer_together(peer, 4)?;
        echo_all(peer)
    });
    let ringway = sharing_by(&origin, config(origin.address(), AT_ONCE).limit("requests_per_connection", 4));
    let mut client = ringway.connect();
    client.send(&gets(&["/a", "/b", "/c", "/d", "/e", "/f"])).unwrap();
    assert_texts(&mut client, &["/a", "/b", "/c"]);
    let last = client.read_response("GET").unwrap();
    assert!(last.text() == "/d" && last.head.lists("connection", "close"), "{:?}", last.head);
    client.assert_ends();
    drop(ringway);
    assert!(!String::from_utf8(origin.received_all()).unwrap().contains("/e"));
}

#[test]
fn a_client_that_leaves_costs_others_nothing_and_leaves_a_record_of_each_request() {
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
    let mut leaver = ringway.connect();
    leaver.send(&gets(&["/a", "/b", "/c"])).unwrap();
    arrived(&origin, "/c");
    let mut other = ringway.connect();
    other.send(&standard::get("/other")).unwrap();
    arrived(&origin, "/other");
    leaver.reset().unwrap();
    for target in ["/a", "/b", "/c"] {
        ringway.assert_outcome(target, &["client_gone"]);
    }
    gate.open();
    assert_texts(&mut other, &["/other"]);
    other.send(&gets(&["/d", "/e"])).unwrap();
    assert_texts(&mut other, &["/d", "/e"]);
    let counts = ringway.stop_and_count();
    assert_eq!(counts["coalesced_requests"], 6, "the connection was kept");
    assert_eq!(counts["exchanges{client_gone}"], 3, "{counts:?}");
}

#[test]
fn an_answer_that_ends_the_connection_is_the_last() {
    let gate = Gate::new();
    let origin = origin({
        let gate = gate.clone();
        move |peer| {
            let targets = targets(peer, 4)?;
            gate.wait();
            // A client of HTTP/1.0 is sent this until the connection's end.
            peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n/a\r\n0\r\n\r\n")?;
            peer.send(&targets[1..].iter().flat_map(|target| echo(target)).collect::<Vec<_>>())?;
            echo_all(peer)
        }
    });
    let ringway = sharing(&origin, AT_ONCE);
    let mut old = ringway.connect();
    let requests = ["/a", "/b", "/c"]
        .map(|target| format!("GET {target} HTTP/1.0\r\nHost: test\r\nConnection: keep-alive\r\n\r\n"));
    old.send(requests.concat().as_bytes()).unwrap();
    arrived(&origin, "/c");
    let mut other = ringway.connect();
    other.send(&standard::get("/other")).unwrap();
    arrived(&origin, "/other");
    gate.open();
    assert_eq!(old.read_response("GET").unwrap().text(), "/a");
    old.assert_ends();
    assert_texts(&mut other, &["/other"]);
    ringway.assert_outcome("/c", &["client_gone"]);
    assert_eq!(ringway.stop_and_count()["coalesced_requests"], 4, "the connection was kept");
}

#[test]
fn those_that_a_lost_connection_leaves_unanswered_are_sent_again_in_order() {
    for announced in [true, false] {
        let origin = origin(move |peer| {
            let targets = targets(peer, 5)?;
            peer.send(&echo(&targets[0]))?;
            let last = String::from_utf8(echo(&targets[1])).unwrap();
            let field = if announced { "OK\r\nConnection: close\r\n" } else { "OK\r\n" };
            peer.send(last.replacen("OK\r\n", field, 1).as_bytes())
        });
        let retry = "{ budget_min = 10 }";
        let ringway = sharing_by(&origin, config(origin.address(), AT_ONCE).upstream_option("retry", retry));
        let mut client = ringway.connect();
        client.send(&gets(&["/a", "/b", "/c", "/d", "/e"])).unwrap();
        assert_texts(&mut client, &["/a", "/b", "/c", "/d", "/e"]);
        assert_eq!(ringway.stop_and_count()["coalesced_resent"], 3, "announced: {announced}");
    }
}

#[test]
fn a_malformed_answer_is_one_requests_and_not_the_others() {
    let origin = origin(|peer| {
        let targets = targets(peer, 4)?;
        let nonsense = b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx";
        peer.send(&[&echo(&targets[0]), &nonsense[..], &echo(&targets[2])].concat())?;
        peer.read_to_end().map(drop)
    });
    let ringway = sharing(&origin, AT_ONCE);
    let mut client = ringway.connect();
    client.send(&gets(&["/a", "/b", "/c", "/d"])).unwrap();
    assert_texts(&mut client, &["/a"]);
    assert_eq!(client.read_response("GET").unwrap().status(), 502);
    assert_texts(&mut client, &["/c", "/d"]);
    ringway.assert_outcome("/b", &["upstream_malformed"]);
}

#[test]
fn an_answer_that_breaks_off_ends_the_connection_and_those_behind_share_its_reason() {
    let origin = origin(|peer| {
        targets(peer, 3)?;
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
    });
    let ringway = sharing(&origin, AT_ONCE);
    let mut client = ringway.connect();
    client.send(&gets(&["/a", "/b", "/c"])).unwrap();
    assert!(client.read_response("GET").is_err());
    for target in ["/a", "/b", "/c"] {
        ringway.assert_outcome(target, &["upstream_gone"]);
    }
}

#[test]
fn those_behind_a_slow_answer_are_asked_elsewhere_and_still_wait_for_it() {
    let gate = Gate::new();
    let origin = origin({
        let gate = gate.clone();
        move |peer| {
            answer_together_after(peer, 4, &gate)?;
            echo_all(peer)
        }
    });
    let ringway = sharing(&origin, "{ engage_at = 1, connections = 1, stall_timeout = \"100ms\" }");
    let mut client = ringway.connect();
    client.send(&gets(&["/slow", "/b", "/c"])).unwrap();
    arrived(&origin, "/c");
    let mut other = ringway.connect();
    other.send(&standard::get("/other")).unwrap();
    // It was behind them, and does not wait with them.
    assert_texts(&mut other, &["/other"]);
    assert!(client.is_idle());
    gate.open();
    assert_texts(&mut client, &["/slow", "/b", "/c"]);
}

fn answer_together_after(peer: &mut Peer, count: usize, gate: &Gate) -> io::Result<()> {
    let targets = targets(peer, count)?;
    gate.wait();
    peer.send(&targets.iter().flat_map(|target| echo(target)).collect::<Vec<_>>())
}

#[test]
fn a_stop_answers_what_is_with_the_upstream_already() {
    let gate = Gate::new();
    let origin = origin({
        let gate = gate.clone();
        move |peer| answer_together_after(peer, 3, &gate)
    });
    let mut ringway = sharing(&origin, AT_ONCE);
    let mut client = ringway.connect();
    client.send(&gets(&["/a", "/b", "/c"])).unwrap();
    arrived(&origin, "/c");
    ringway.terminate();
    eventually("the proxy accepts no more", || Peer::try_connect(ringway.address()).is_err());
    gate.open();
    assert_texts(&mut client, &["/a", "/b"]);
    let last = client.read_response("GET").unwrap();
    assert!(last.text() == "/c" && last.head.lists("connection", "close"), "{:?}", last.head);
    client.assert_ends();
    assert!(ringway.wait().success());
}

#[test]
fn a_reload_between_a_request_and_its_turn_changes_nothing_for_it() {
    let gate = Gate::new();
    let origin = origin({
        let gate = gate.clone();
        move |peer| {
            answer_together_after(peer, 3, &gate)?;
            echo_all(peer)
        }
    });
    let ringway = sharing(&origin, AT_ONCE);
    let mut client = ringway.connect();
    client.send(&gets(&["/a", "/b", "/c"])).unwrap();
    arrived(&origin, "/c");
    ringway.reload(
        config(origin.address(), AT_ONCE).route_option("response_headers", "{ set = { X-Plan = \"second\" } }"),
    );
    gate.open();
    for target in ["/a", "/b", "/c"] {
        let answer = client.read_response("GET").unwrap();
        assert_eq!((answer.text().as_str(), answer.head.field("x-plan")), (target, None));
    }
    client.send(&gets(&["/d", "/e"])).unwrap();
    for target in ["/d", "/e"] {
        let answer = client.read_response("GET").unwrap();
        assert_eq!((answer.text().as_str(), answer.head.field("x-plan")), (target, Some("second")));
    }
}

#[test]
fn each_request_goes_to_the_server_that_it_is_balanced_to() {
    let origins: Vec<Origin> = (0..3).map(|name| Origin::start(move |peer, _| name_all(peer, name))).collect();
    let addresses: Vec<&dyn std::fmt::Display> = origins.iter().map(|origin| origin.address() as _).collect();
    let config = Config::new()
        .upstream("app", &addresses)
        .upstream_option("balance", "\"consistent_hash\"")
        .upstream_option("hash", "\"path\"")
        .upstream_option("coalesce", AT_ONCE)
        .route(None, "/", "app")
        .route_option("coalesce", true);
    let ringway = start(config);
    let names: Vec<String> = (0..60).map(|number| format!("/{}", number / 3)).collect();
    let one_by_one: Vec<String> = names.iter().map(|target| server_of(&ringway, target)).collect();
    let mut client = ringway.connect();
    for _ in 0..5 {
        client.send(&names.iter().flat_map(|target| standard::get(target)).collect::<Vec<_>>()).unwrap();
        for (target, server) in names.iter().zip(&one_by_one) {
            let answer = client.read_response("GET").unwrap();
            assert_eq!((answer.text().as_str(), answer.head.field("x-server")), (&target[..], Some(&server[..])));
        }
    }
    assert!(ringway.stop_and_count()["coalesced_requests"] > 0);
}

fn name_all(peer: &mut Peer, name: usize) -> io::Result<()> {
    while let Some(head) = peer.read_head()? {
        let answer = String::from_utf8(echo(head.target())).unwrap();
        peer.send(answer.replacen("OK\r\n", &format!("OK\r\nX-Server: {name}\r\n"), 1).as_bytes())?;
    }
    Ok(())
}

fn server_of(ringway: &Ringway, target: &str) -> String {
    let answer = ringway.connect().exchange("GET", &standard::get(target)).unwrap();
    answer.head.field("x-server").unwrap().to_owned()
}

#[test]
fn large_answers_to_pipelined_requests_pass_whole_and_with_back_pressure() {
    const BYTES: u64 = 4 << 20;
    let origin = Origin::start(|peer, number| match number {
        0 => {
            peer.read_head()?;
            peer.send(&echo("/warm"))?;
            standard::serve(peer)
        }
        _ => standard::serve(peer),
    });
    let ringway = sharing(&origin, AT_ONCE);
    let memory = ringway.process().memory_bytes();
    let mut client = ringway.connect();
    let target = format!("/length/{BYTES}");
    client.send(&gets(&[&target[..]; 12])).unwrap();
    arrived(&origin, &target);
    for _ in 0..12 {
        client.read_pattern_response("GET", BYTES).unwrap();
        let growth = ringway.process().memory_bytes().saturating_sub(memory);
        assert!(growth < 12 << 20, "grew by {growth} bytes");
    }
}

#[test]
fn only_so_many_are_with_the_upstream_at_once() {
    let gate = Gate::new();
    let origin = origin({
        let gate = gate.clone();
        move |peer| {
            let targets = targets(peer, 18)?;
            gate.wait();
            peer.send(&targets.iter().flat_map(|target| echo(target)).collect::<Vec<_>>())?;
            echo_all(peer)
        }
    });
    let ringway = sharing(&origin, AT_ONCE);
    let names: Vec<String> = (0..100).map(|number| format!("/{number}")).collect();
    let targets: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut client = ringway.connect();
    client.send(&gets(&targets)).unwrap();
    arrived(&origin, "/16");
    // Another's comes right behind.
    let mut other = ringway.connect();
    other.send(&standard::get("/other")).unwrap();
    arrived(&origin, "/other");
    assert!(!String::from_utf8(origin.received_all()).unwrap().contains("GET /17 "));
    gate.open();
    assert_texts(&mut other, &["/other"]);
    assert_texts(&mut client, &targets);
}

#[test]
fn a_batch_costs_as_few_operations_as_one_request() {
    const BATCHES: u64 = 200;
    let origin = origin(|peer| {
        for _ in 0..BATCHES {
            answer_together(peer, 16)?;
        }
        echo_all(peer)
    });
    let ringway = sharing(&origin, AT_ONCE);
    let mut client = ringway.connect();
    for _ in 0..BATCHES {
        client.send(&gets(&["/x"; 16])).unwrap();
        assert_texts(&mut client, &["/x"; 16]);
    }
    let counts = ringway.stop_and_count();
    assert_eq!(counts["coalesced_batches"], BATCHES);
    // A send in each direction, and now and then a receive that is armed again.
    assert!(counts["ring_entries"] < 4 * BATCHES + 100, "{counts:?}");
}
