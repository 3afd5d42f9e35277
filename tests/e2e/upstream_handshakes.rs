//! Handshakes with upstream servers, as the metrics tell of them.

use std::time::Duration;

use kit::{Address, Authority, Config, Nginx, Origin, Peer, Ringway, Scrape, eventually};

use crate::start;

const NAME: &str = "app.internal";

fn to(server: &Address, authority: &Authority) -> Config {
    let tls = format!("{{ ca = {:?}, server_name = {NAME:?} }}", authority.path());
    // Each request has a connection of its own.
    Config::to(server).upstream_option("tls", tls).upstream_option("idle_connections", 0)
}

fn metrics(ringway: &Ringway) -> Scrape {
    let request = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    let admin = Address::Unix(ringway.admin_socket());
    Scrape::parse(&Peer::connect(&admin).exchange("GET", request).unwrap().text())
}

fn get(ringway: &Ringway) -> u16 {
    let request = b"GET /session HTTP/1.1\r\nHost: a.example\r\n\r\n";
    ringway.connect().exchange("GET", request).unwrap().status()
}

#[test]
fn handshakes_with_servers_are_counted_and_timed() {
    let authority = Authority::new();
    let nginx = Nginx::start_with_tls(&authority.sign(&[NAME]), None);
    let ringway = start(to(nginx.address(), &authority));
    assert_eq!((get(&ringway), get(&ringway), get(&ringway)), (200, 200, 200));
    let told = metrics(&ringway);
    let count =
        |resumed: &str| told.sum("ringway_upstream_tls_handshakes_total", &[("upstream", "app"), ("resumed", resumed)]);
    assert_eq!((count("false"), count("true")), (Some(1.0), Some(2.0)));
    let timed = told.sum("ringway_upstream_tls_handshake_duration_seconds_count", &[("upstream", "app")]);
    assert_eq!(timed, Some(3.0));
    let seconds = told.sum("ringway_upstream_tls_handshake_duration_seconds_sum", &[]).unwrap();
    assert!(seconds > 0.0 && seconds < Duration::from_secs(20).as_secs_f64(), "{seconds}");
    assert_eq!(told.sum("ringway_upstream_tls_handshakes_failed_total", &[]), None);
}

#[test]
fn handshakes_with_servers_that_fail_are_counted_by_reason() {
    let authority = Authority::new();
    let stranger = Nginx::start_with_tls(&Authority::new().sign(&[NAME]), None);
    let plain = Origin::start(|peer, _| peer.send(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"));
    let brief = Origin::start(|peer, _| peer.read_bytes(5).map(drop));
    let silent = Origin::start(|peer, _| peer.read_to_end().map(drop));
    let failures = [
        (stranger.address(), "certificate", 502),
        (plain.address(), "malformed", 502),
        (brief.address(), "ended", 502),
        (silent.address(), "timed_out", 504),
    ];
    for (server, reason, status) in failures {
        let ringway = start(to(server, &authority).upstream_timeout("connect_timeout", "400ms"));
        assert_eq!(get(&ringway), status, "{reason}");
        let counted = || {
            let labels = [("upstream", "app"), ("reason", reason)];
            metrics(&ringway).sum("ringway_upstream_tls_handshakes_failed_total", &labels)
        };
        eventually("it is counted", || counted() >= Some(1.0));
        let told = metrics(&ringway);
        let all = told.sum("ringway_upstream_tls_handshakes_failed_total", &[]);
        assert_eq!(counted(), all, "nothing else is: {reason}");
        assert_eq!(told.sum("ringway_upstream_tls_handshakes_total", &[]), None, "{reason}");
    }
}

/// Many that come at once take turns, and each comes through.
#[test]
fn a_hundred_handshakes_with_servers_at_once_all_succeed() {
    let authority = Authority::new();
    let nginx = Nginx::start_with_tls(&authority.sign(&[NAME]), None);
    let ringway = start(to(nginx.address(), &authority));
    let clients: Vec<Peer> = (0..100).map(|_| ringway.connect()).collect();
    let asked: Vec<Peer> = clients
        .into_iter()
        .map(|mut client| {
            client.send(b"GET /session HTTP/1.1\r\nHost: a.example\r\n\r\n").unwrap();
            client
        })
        .collect();
    for mut client in asked {
        assert_eq!(client.read_response("GET").unwrap().status(), 200);
    }
    assert_eq!(metrics(&ringway).sum("ringway_upstream_tls_handshakes_total", &[]), Some(100.0));
}
