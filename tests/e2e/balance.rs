//! Requests spread over the servers of an upstream.

use std::fmt::Display;
use std::net::{IpAddr, Ipv4Addr};

use kit::{Config, Gate, Origin, Peer, Ringway, eventually, standard};

use crate::{OK, start};

/// An upstream of these origins, balanced by `balance`.
fn balanced(origins: &[Origin], balance: &str) -> Config {
    let servers: Vec<&dyn Display> = origins.iter().map(|origin| origin.address() as &dyn Display).collect();
    let config = Config::new().upstream("app", &servers).route(None, "/", "app");
    config.upstream_option("balance", format!("{balance:?}"))
}

/// Origins that answer with their number, and hold back requests for `/held` until the gate opens.
fn origins(count: usize, gate: &Gate) -> Vec<Origin> {
    let origin = |number: usize| {
        let gate = gate.clone();
        Origin::start(move |peer, _| {
            while let Some(request) = peer.read_request()? {
                if request.head.target() == "/held" {
                    gate.wait();
                }
                peer.send(format!("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n{number}").as_bytes())?;
            }
            Ok(())
        })
    };
    (0..count).map(origin).collect()
}

/// The number of the origin that answers `request`.
fn answered_by(client: &mut Peer, request: &[u8]) -> usize {
    let response = client.exchange("GET", request).unwrap();
    assert_eq!(response.status(), 200);
    response.text().parse().unwrap()
}

fn counts(ringway: &Ringway, count: usize, requests: impl Iterator<Item = Vec<u8>>) -> Vec<usize> {
    let mut counts = vec![0; count];
    let mut client = ringway.connect();
    requests.for_each(|request| counts[answered_by(&mut client, &request)] += 1);
    counts
}

#[test]
fn weights_share_the_requests_out() {
    let origins = origins(2, &Gate::new());
    let config = Config::new().upstream("app", &[origins[0].address()]).weighted_server(origins[1].address(), 3);
    let ringway = start(config.route(None, "/", "app"));
    assert_eq!(counts(&ringway, 2, (0..40).map(|_| standard::get("/"))), [10, 30]);
}

#[test]
fn a_busy_server_is_left_alone() {
    for balance in ["least_connections", "random_two"] {
        let gate = Gate::new();
        let origins = origins(2, &gate);
        let ringway = start(balanced(&origins, balance));
        let mut held = ringway.connect();
        held.send(&standard::get("/held")).unwrap();
        eventually("the request is held", || origins.iter().any(|origin| !origin.received_all().is_empty()));
        let busy = origins.iter().position(|origin| !origin.received_all().is_empty()).unwrap();
        let counts = counts(&ringway, 2, (0..20).map(|_| standard::get("/")));
        assert_eq!((counts[busy], counts[1 - busy]), (0, 20), "{balance}");
        gate.open();
        assert_eq!(held.read_response("GET").unwrap().text(), busy.to_string());
    }
}

#[test]
fn a_client_stays_with_its_server_and_clients_spread() {
    for balance in ["source_hash", "consistent_hash"] {
        let origins = origins(3, &Gate::new());
        let ringway = start(balanced(&origins, balance));
        let mut seen = [0; 3];
        for host in 1..=30 {
            let source = IpAddr::V4(Ipv4Addr::new(127, 0, 1, host));
            let ask = || answered_by(&mut Peer::connect_from(ringway.address(), source).unwrap(), &standard::get("/"));
            let server = ask();
            assert!((0..3).all(|_| ask() == server), "{balance} sent {source} elsewhere");
            seen[server] += 1;
        }
        assert!(seen.iter().all(|clients| *clients > 0), "{balance}: {seen:?}");
    }
}

#[test]
fn a_key_of_the_request_decides() {
    let by_path = |key: usize| format!("GET /{key}?{} HTTP/1.1\r\nHost: test\r\n\r\n", key * 7);
    let by_field = |key: usize| format!("GET /{} HTTP/1.1\r\nHost: test\r\nx-user: {key}\r\n\r\n", key * 7);
    let requests: [(&str, &dyn Fn(usize) -> String); 2] = [("path", &by_path), ("header:X-User", &by_field)];
    for (hash, request) in requests {
        let origins = origins(3, &Gate::new());
        let ringway = start(balanced(&origins, "consistent_hash").upstream_option("hash", format!("{hash:?}")));
        let mut client = ringway.connect();
        let first: Vec<_> = (0..60).map(|key| answered_by(&mut client, request(key).as_bytes())).collect();
        let again: Vec<_> = (0..60).map(|key| answered_by(&mut client, request(key).as_bytes())).collect();
        assert_eq!(first, again, "{hash}");
        assert!((0..3).all(|server| first.contains(&server)), "{hash}: {first:?}");
    }
}

#[test]
fn keys_of_a_server_that_is_gone_move_and_no_others() {
    let mut origins = origins(3, &Gate::new());
    let ringway = start(balanced(&origins, "consistent_hash").upstream_option("hash", "\"path\""));
    let mut client = ringway.connect();
    let mut ask =
        || -> Vec<_> { (0..60).map(|key| answered_by(&mut client, &standard::get(&format!("/{key}")))).collect() };
    let before = ask();
    drop(origins.remove(1));
    let after = ask();
    for (before, after) in before.iter().zip(&after) {
        assert!(*after != 1 && (*before == 1 || before == after), "{before} to {after}");
    }
}

#[test]
fn shards_agree_on_where_a_key_belongs() {
    let origins = origins(5, &Gate::new());
    let ringway = start(balanced(&origins, "consistent_hash").upstream_option("hash", "\"path\"").shards(4));
    for key in 0..5 {
        let request = standard::get(&format!("/{key}"));
        // Each connection may be another shard's.
        let servers: Vec<_> = (0..12).map(|_| answered_by(&mut ringway.connect(), &request)).collect();
        assert!(servers.iter().all(|server| *server == servers[0]), "{servers:?}");
    }
}

#[test]
fn one_server_serves_whatever_the_balancer() {
    for balance in ["round_robin", "least_connections", "random_two", "source_hash", "consistent_hash"] {
        let origin = crate::answering(OK);
        let ringway = start(balanced(std::slice::from_ref(&origin), balance));
        for _ in 0..3 {
            assert_eq!(ringway.connect().exchange("GET", &standard::get("/")).unwrap().text(), "ok", "{balance}");
        }
    }
}
