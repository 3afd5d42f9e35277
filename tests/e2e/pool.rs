//! Upstream connections: kept, bounded, noticed when dead, and the one retry that is safe.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use kit::{Config, Gate, Origin, Peer, eventually, standard};

use crate::{before, start};

const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// An origin whose first connection answers one request and then follows `script` when the second has arrived; its other
/// connections answer everything.
fn dying(script: impl Fn(&mut Peer) -> io::Result<()> + Send + Sync + 'static) -> Origin {
    Origin::start(move |peer, number| {
        peer.read_request()?;
        peer.send(OK)?;
        while peer.read_head()?.is_some() {
            if number == 0 {
                return script(peer);
            }
            peer.send(OK)?;
        }
        Ok(())
    })
}

#[test]
fn requests_one_after_the_other_share_one_connection() {
    let origin = standard::start();
    let ringway = before(&origin);
    for n in 0..20 {
        let framing = if n % 2 == 0 { "length" } else { "chunked" };
        let response = ringway.connect().exchange("GET", &standard::get(&format!("/{framing}/5000"))).unwrap();
        assert_eq!(response.body.len(), 5_000);
    }
    assert_eq!(origin.accepted(), 1);
}

#[test]
fn a_response_that_closes_ends_its_connection() {
    let origin = Origin::start(|peer, _| {
        peer.read_request()?;
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")?;
        assert_eq!(peer.read_to_end()?, b"", "nothing follows on a connection that is to close");
        Ok(())
    });
    let ringway = before(&origin);
    let mut client = ringway.connect();
    for _ in 0..3 {
        assert_eq!(client.exchange("GET", &standard::get("/")).unwrap().text(), "ok");
    }
    origin.wait_until_closed();
    assert_eq!(origin.accepted(), 3);
}

#[test]
fn bytes_after_a_response_make_its_connection_unusable() {
    // They would be taken for the answer to the next request.
    let origin = Origin::start(|peer, _| {
        peer.read_request()?;
        peer.send(&[OK, b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nsmuggled"].concat())?;
        peer.read_to_end().map(drop)
    });
    let ringway = before(&origin);
    for _ in 0..3 {
        assert_eq!(ringway.connect().exchange("GET", &standard::get("/")).unwrap().text(), "ok");
    }
    assert_eq!(origin.accepted(), 3);
}

#[test]
fn only_so_many_idle_connections_are_kept() {
    let (origin, gate) = standard::held(OK);
    let ringway = start(Config::to(origin.address()).upstream_option("idle_connections", 2));
    let mut clients: Vec<Peer> = (0..8).map(|_| ringway.connect()).collect();
    clients.iter_mut().for_each(|client| client.send(&standard::get("/")).unwrap());
    eventually("eight requests are at the upstream", || origin.accepted() == 8);
    gate.open();
    clients.iter_mut().for_each(|client| assert_eq!(client.read_response("GET").unwrap().text(), "ok"));
    eventually("two connections are left", || origin.open() == 2);
}

#[test]
fn an_idle_connection_is_closed_when_its_time_is_over() {
    let origin = standard::start();
    let ringway = start(Config::to(origin.address()).upstream_timeout("keep_alive_timeout", "200ms"));
    assert_eq!(ringway.connect().exchange("GET", &standard::get("/length/1")).unwrap().status(), 200);
    origin.wait_until_closed();
}

#[test]
fn death_while_idle_is_noticed() {
    let closing = Gate::new();
    let origin = Origin::start({
        let closing = closing.clone();
        move |peer, number| {
            peer.read_request()?;
            peer.send(OK)?;
            if number == 0 {
                closing.wait();
                return Ok(());
            }
            peer.read_to_end().map(drop)
        }
    });
    let ringway = before(&origin);
    let mut client = ringway.connect();
    assert_eq!(client.exchange("GET", &standard::get("/1")).unwrap().text(), "ok");
    let descriptors = ringway.process().descriptors();
    closing.open();
    ringway.wait_for_descriptors(descriptors - 1);
    // A POST may not be retried: only a fresh connection can answer it.
    let post = b"POST /2 HTTP/1.1\r\nHost: test\r\nContent-Length: 2\r\n\r\nab";
    assert_eq!(client.exchange("POST", post).unwrap().text(), "ok");
    assert_eq!(origin.accepted(), 2);
}

#[test]
fn an_idempotent_request_is_retried_when_a_kept_connection_dies() {
    for reset in [false, true] {
        for method in ["GET", "HEAD", "PUT", "DELETE", "OPTIONS"] {
            let origin = dying(move |peer| if reset { peer.reset_on_drop() } else { Ok(()) });
            let ringway = before(&origin);
            let mut client = ringway.connect();
            assert_eq!(client.exchange("GET", &standard::get("/1")).unwrap().text(), "ok");
            let request = format!("{method} /2 HTTP/1.1\r\nHost: test\r\n\r\n");
            let response = client.exchange(method, request.as_bytes());
            // HEAD's answer here has a body that it should not have; its connection is of no use after it.
            assert_eq!(response.unwrap().status(), 200, "{method}, reset {reset}");
            assert_eq!(origin.accepted(), 2);
            let retried = String::from_utf8(origin.received(1)).unwrap();
            assert!(retried.starts_with(&format!("{method} /2 ")), "{retried}");
        }
    }
}

#[test]
fn a_post_that_was_written_is_not_retried() {
    for (reset, body) in
        [(false, "Content-Length: 2\r\n\r\nab"), (true, "Content-Length: 2\r\n\r\nab"), (false, "\r\n")]
    {
        let origin = dying(move |peer| if reset { peer.reset_on_drop() } else { Ok(()) });
        let ringway = before(&origin);
        let mut client = ringway.connect();
        assert_eq!(client.exchange("GET", &standard::get("/1")).unwrap().text(), "ok");
        let request = format!("POST /2 HTTP/1.1\r\nHost: test\r\n{body}");
        assert_eq!(client.exchange("POST", request.as_bytes()).unwrap().status(), 502);
        assert_eq!(origin.accepted(), 1, "the request was made twice");
    }
}

#[test]
fn a_request_is_retried_only_once() {
    let first = Arc::new(AtomicUsize::new(0));
    let origin = Origin::start({
        let first = first.clone();
        move |peer, _| {
            peer.read_request()?;
            if first.fetch_add(1, Ordering::SeqCst) == 0 {
                peer.send(OK)?;
                peer.read_request()?;
            }
            Ok(())
        }
    });
    let ringway = before(&origin);
    let mut client = ringway.connect();
    assert_eq!(client.exchange("GET", &standard::get("/1")).unwrap().text(), "ok");
    assert_eq!(client.exchange("GET", &standard::get("/2")).unwrap().status(), 502);
    assert_eq!(origin.accepted(), 2);
}

#[test]
fn a_fresh_connection_that_dies_is_not_retried() {
    let origin = Origin::start(|peer, _| peer.read_request().map(drop));
    let ringway = before(&origin);
    assert_eq!(ringway.connect().exchange("GET", &standard::get("/")).unwrap().status(), 502);
    assert_eq!(origin.accepted(), 1);
}

#[test]
fn a_request_whose_answer_had_begun_is_not_retried() {
    let origin = dying(|peer| peer.send(b"HTTP/1.1 2"));
    let ringway = before(&origin);
    let mut client = ringway.connect();
    assert_eq!(client.exchange("GET", &standard::get("/1")).unwrap().text(), "ok");
    assert_eq!(client.exchange("GET", &standard::get("/2")).unwrap().status(), 502);
    assert_eq!(origin.accepted(), 1);
}

#[test]
fn a_request_that_finds_no_free_connection_is_503() {
    let (origin, gate) = standard::held(OK);
    let config = Config::to(origin.address()).upstream_option("connections", 1);
    let ringway = start(config.upstream_timeout("connect_timeout", "300ms"));
    let mut served = ringway.connect();
    served.send(&standard::get("/1")).unwrap();
    eventually("the first request is at the upstream", || !origin.received(0).is_empty());
    assert_eq!(ringway.connect().exchange("GET", &standard::get("/2")).unwrap().status(), 503);
    gate.open();
    assert_eq!(served.read_response("GET").unwrap().text(), "ok");
    assert_eq!(origin.accepted(), 1);
    assert_eq!(ringway.stop_and_count()["limits{upstreams.connections}"], 1);
}

#[test]
fn a_request_waits_for_a_connection_that_becomes_free() {
    let (origin, gate) = standard::held(OK);
    let config = Config::to(origin.address()).upstream_option("connections", 2);
    let ringway = start(config.upstream_timeout("connect_timeout", "15s"));
    let mut clients: Vec<Peer> = (0..20).map(|_| ringway.connect()).collect();
    clients.iter_mut().for_each(|client| client.send(&standard::get("/")).unwrap());
    eventually("two requests are at the upstream", || origin.accepted() == 2);
    gate.open();
    clients.iter_mut().for_each(|client| assert_eq!(client.read_response("GET").unwrap().text(), "ok"));
    assert_eq!(origin.accepted(), 2);
}

#[test]
fn servers_of_an_upstream_take_turns() {
    let origins = [standard::start(), standard::start(), standard::start()];
    let servers = origins.each_ref().map(|origin| origin.address() as &dyn std::fmt::Display);
    let ringway = start(Config::new().upstream("app", &servers).route(None, "/", "app"));
    for _ in 0..30 {
        assert_eq!(ringway.connect().exchange("GET", &standard::get("/length/1")).unwrap().status(), 200);
    }
    for origin in &origins {
        let received = String::from_utf8(origin.received_all()).unwrap();
        assert_eq!(received.matches("GET /").count(), 10);
    }
}
