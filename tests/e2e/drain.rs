//! SIGTERM: no new work, and the work in hand is finished within a bound.

use std::time::{Duration, Instant};

use kit::{Config, Gate, Origin, Peer, eventually, pattern, standard};

use crate::{before, start};

#[test]
fn an_exchange_in_flight_is_finished() {
    let gate = Gate::new();
    let origin = Origin::start({
        let gate = gate.clone();
        move |peer, _| {
            peer.read_request()?;
            peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 200000\r\n\r\n")?;
            peer.send_pattern(0, 1_000)?;
            gate.wait();
            peer.send_pattern(1_000, 200_000)
        }
    });
    let mut ringway = start(Config::to(origin.address()).timeout("drain", "15s"));
    let mut client = ringway.connect();
    client.send(&standard::get("/")).unwrap();
    let (head, _) = client.read_final_head().unwrap();
    let mut idle = ringway.connect();
    ringway.terminate();
    idle.assert_ends();
    eventually("no connection is accepted", || Peer::try_connect(ringway.address()).is_err());
    gate.open();
    let mut check = pattern::Check::default();
    client.read_body(head.response_framing("GET"), &mut |piece| check.update(piece)).unwrap();
    check.assert_whole(200_000);
    client.assert_ends();
    assert_eq!(ringway.wait().code(), Some(0));
}

#[test]
fn a_request_whose_head_is_still_awaited_upstream_is_finished() {
    let (origin, gate) = standard::held(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nlate");
    let mut ringway = before(&origin);
    let mut client = ringway.connect();
    client.send(&standard::get("/")).unwrap();
    eventually("the request is at the upstream", || !origin.received(0).is_empty());
    ringway.terminate();
    eventually("no connection is accepted", || Peer::try_connect(ringway.address()).is_err());
    gate.open();
    let response = client.read_response("GET").unwrap();
    assert_eq!(response.text(), "late");
    assert!(response.head.lists("connection", "close"), "RFC 9112 §9.6: {:?}", response.head);
    assert_eq!(ringway.wait().code(), Some(0));
}

#[test]
fn idle_connections_are_closed_at_once() {
    let origin = standard::start();
    let mut ringway = start(Config::to(origin.address()).shards(2));
    let mut clients: Vec<Peer> = (0..50).map(|_| ringway.connect()).collect();
    for client in clients.iter_mut().step_by(2) {
        assert_eq!(client.exchange("GET", &standard::get("/length/1")).unwrap().status(), 200);
    }
    ringway.terminate();
    assert_eq!(ringway.wait().code(), Some(0));
    clients.iter_mut().for_each(Peer::assert_ends);
}

#[test]
fn an_exchange_that_outlasts_the_bound_is_cut_off() {
    let origin = Origin::start(|peer, _| {
        peer.read_request()?;
        peer.read_to_end().map(drop)
    });
    let ringway = start(Config::to(origin.address()).timeout("drain", "500ms"));
    let mut client = ringway.connect();
    client.send(&standard::get("/")).unwrap();
    eventually("the request is at the upstream", || !origin.received(0).is_empty());
    let begun = Instant::now();
    ringway.terminate();
    let response = client.read_response("GET").unwrap();
    assert_eq!((response.status(), response.text().contains("request_timeout")), (503, true), "{:?}", response.head);
    assert!(response.head.lists("connection", "close"), "{:?}", response.head);
    assert!(begun.elapsed() < Duration::from_secs(5), "the drain took {:?}", begun.elapsed());
    assert!(begun.elapsed() > Duration::from_millis(450), "the drain was cut short: {:?}", begun.elapsed());
    client.assert_ends();
    let record = ringway.record_of("/");
    assert_eq!((&record["outcome"], &record["limit"]), (&"request_timeout".into(), &"timeouts.drain".into()));
    let counts = ringway.stop_and_count();
    assert_eq!((counts["exchanges{request_timeout}"], counts["limits{timeouts.drain}"]), (1, 1));
    // Counted while the last answer was on its way.
    assert_eq!(counts["connections_open"], 1);
    assert!(counts["ring_sockets_open"] >= 1, "{counts:?}");
}

#[test]
fn records_of_the_last_exchanges_are_written() {
    let origin = standard::start();
    let mut ringway = before(&origin);
    for n in 0..100 {
        let request = standard::get(&format!("/length/{n}"));
        assert_eq!(ringway.connect().exchange("GET", &request).unwrap().status(), 200);
    }
    ringway.terminate();
    assert_eq!(ringway.wait().code(), Some(0));
    assert_eq!(ringway.records().len(), 100);
}
