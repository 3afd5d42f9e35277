//! Another configuration, in place: what is under way is not touched.

use std::time::Duration;

use kit::{Config, Origin, Peer, Ringway, eventually, standard};

use crate::under_load::Load;
use crate::{BINARY, OK, answering, start};

const SWITCH: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
const ASK: &[u8] = b"GET / HTTP/1.1\r\nHost: test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";

/// An origin whose tunnels send back whatever comes.
pub(crate) fn echo() -> Origin {
    Origin::start(|peer, _| {
        peer.read_head()?;
        peer.send(SWITCH)?;
        let mut writer = peer.second();
        peer.read_body(kit::Framing::UntilClose, &mut |piece| writer.send(piece).unwrap_or_default())?;
        peer.half_close()
    })
}

/// A client in a tunnel.
pub(crate) fn tunnel(ringway: &Ringway) -> Peer {
    let mut client = ringway.connect();
    client.send(ASK).unwrap();
    assert_eq!(client.read_final_head().unwrap().0.status(), 101);
    client
}

#[track_caller]
pub(crate) fn assert_echoes(client: &mut Peer, text: &str) {
    client.send(text.as_bytes()).unwrap();
    assert_eq!(client.read_bytes(text.len()).unwrap(), text.as_bytes());
}

/// The longest that a shard stood still, as the log of a reload tells it.
fn stopped(told: &str) -> Duration {
    let number = told.split("stopped_us_max=").nth(1).unwrap_or_else(|| panic!("not in place: {told}"));
    let digits: String = number.chars().take_while(char::is_ascii_digit).collect();
    Duration::from_micros(digits.parse().unwrap())
}

#[test]
fn a_kept_connection_meets_the_new_routes() {
    let (old, new) = (answering(OK), answering("HTTP/1.1 203 New\r\nContent-Length: 0\r\n\r\n"));
    let ringway = start(Config::to(old.address()));
    let mut client = ringway.connect();
    assert_eq!(client.exchange("GET", &standard::get("/")).unwrap().status(), 200);
    ringway.reload(Config::new().upstream("next", &[new.address()]).route(None, "/", "next"));
    assert_eq!(client.exchange("GET", &standard::get("/")).unwrap().status(), 203);
    // Nobody uses the old upstream any more: its connection is closed.
    old.wait_until_closed();
    drop(client);
    let counts = ringway.stop_and_count();
    assert_eq!(counts["plan_swaps"], 1);
    assert!(counts["plan_swap_ns_max"] > 0);
}

#[test]
fn an_exchange_finishes_with_the_plan_that_it_began_with() {
    let (origin, gate) = standard::held(OK);
    let other = answering("HTTP/1.1 203 New\r\nContent-Length: 0\r\n\r\n");
    let ringway = start(Config::to(origin.address()));
    let mut client = ringway.connect();
    client.send(&standard::get("/")).unwrap();
    eventually("the request is at the upstream", || !origin.received(0).is_empty());
    ringway.reload(Config::new().upstream("next", &[other.address()]).route(None, "/", "next"));
    assert_eq!(ringway.connect().exchange("GET", &standard::get("/")).unwrap().status(), 203);
    gate.open();
    assert_eq!(client.read_response("GET").unwrap().text(), "ok");
}

#[test]
fn an_upstream_that_stays_keeps_its_connections_and_new_limits_apply() {
    let origin = standard::start();
    let ringway = start(Config::to(origin.address()));
    let get = || ringway.connect().exchange("GET", &standard::get("/length/5?longer-than-allowed")).unwrap().status();
    assert_eq!(get(), 200);
    let config = || Config::to(origin.address()).upstream_timeout("head_timeout", "7s");
    ringway.reload(config());
    assert_eq!(get(), 200);
    ringway.reload(config().limit("uri_bytes", "\"16B\""));
    assert_eq!((get(), origin.accepted()), (414, 1));
    let other = standard::start();
    ringway.reload(Config::new().upstream("app", &[origin.address(), other.address()]).route(None, "/", "app"));
    for _ in 0..4 {
        assert_eq!(get(), 200);
    }
    assert_eq!((origin.accepted(), other.accepted()), (1, 1), "a server that stays keeps its connection");
}

#[test]
fn an_ejected_server_stays_so() {
    let good = answering(OK);
    let bad = answering("HTTP/1.1 503 Bad\r\nContent-Length: 0\r\n\r\n");
    let config = || {
        let config = Config::new().upstream("app", &[good.address(), bad.address()]).route(None, "/", "app");
        config.upstream_option("health", "{ failures = 1, ejection_base = '60s' }")
    };
    let ringway = start(config());
    let get = || ringway.connect().exchange("GET", &standard::get("/")).unwrap().status();
    eventually("the server is ejected", || get() == 503);
    ringway.reload(config().limit("fields", 50));
    assert!((0..8).all(|_| get() == 200));
}

#[test]
fn a_tunnel_outlives_fifty_reloads() {
    let origin = echo();
    let ringway = start(Config::to(origin.address()));
    let mut client = tunnel(&ringway);
    for round in 0..50 {
        ringway.reload(Config::to(origin.address()).limit("fields", 50 + round));
        assert_echoes(&mut client, "still here");
    }
}

#[test]
fn an_invalid_file_changes_nothing_and_the_log_says_why() {
    let origin = standard::start();
    let ringway = start(Config::to(origin.address()));
    ringway.rewrite_as("[[listeners]]\nadress = '127.0.0.1:1'\n");
    let told = ringway.reload_as_written();
    assert!(told.contains("not reloaded, nothing has changed") && told.contains("did you mean `address`?"), "{told}");
    assert_eq!(ringway.connect().exchange("GET", &standard::get("/length/1")).unwrap().status(), 200);
    // What is wrong is no lasting harm.
    ringway.reload(Config::to(origin.address()).limit("uri_bytes", "\"16B\""));
    assert_eq!(
        ringway.connect().exchange("GET", &standard::get("/length/1?longer-than-allowed")).unwrap().status(),
        414
    );
}

#[test]
fn other_listeners_are_refused_where_there_is_no_supervisor() {
    let origin = standard::start();
    let ringway = start(Config::to(origin.address()));
    let port = kit::Port::take();
    ringway.rewrite(Config::to(origin.address()).listen(port.address()));
    let told = ringway.reload_as_written();
    assert!(told.contains("a running process cannot change listeners"), "{told}");
    assert!(Peer::try_connect(&port.address()).is_err());
}

#[test]
fn a_watched_file_is_read_when_it_changes() {
    let origin = standard::start();
    let config = || Config::to(origin.address()).set("process", "watch", "true");
    let ringway = start(config());
    let get = || ringway.connect().exchange("GET", &standard::get("/length/1?longer-than-allowed")).unwrap().status();
    assert_eq!(get(), 200);
    ringway.rewrite(config().limit("uri_bytes", "\"16B\""));
    eventually("the new limit is in force", || get() == 414);
    ringway.rewrite(config());
    eventually("the old limit is in force again", || get() == 200);
}

#[test]
fn access_records_begin_and_end() {
    let origin = standard::start();
    let config = |access: &str| Config::to(origin.address()).set("log", "access", format!("{access:?}"));
    let ringway = start(config("off"));
    let get = |path: &str| assert_eq!(ringway.connect().exchange("GET", &standard::get(path)).unwrap().status(), 200);
    get("/length/1");
    ringway.reload(config("json"));
    get("/length/2");
    let _ = ringway.record_of("/length/2");
    ringway.reload(config("off"));
    get("/length/3");
    let paths: Vec<_> = ringway.records().iter().map(|record| record["path"].clone()).collect();
    assert_eq!(paths, ["/length/2"]);
}

#[test]
fn no_request_is_lost() {
    let origin = standard::start();
    let ringway = Ringway::start(BINARY, Config::to(origin.address()).shards(2));
    let load = Load::start(ringway.address());
    for round in 0..50 {
        let config = Config::to(origin.address()).shards(2).limit("fields", 50 + round);
        ringway.reload(config);
    }
    load.assert_lossless();
}

#[test]
fn ten_thousand_routes_stop_a_shard_for_no_longer_than_a_moment() {
    let origin = standard::start();
    let config = |fields: u32| {
        let upstreams = (0..100).fold(Config::to(origin.address()).limit("fields", fields), |config, number| {
            config.upstream(&format!("u{number}"), &[origin.address()])
        });
        (0..10_000).fold(upstreams, |config, number| {
            config.route(Some(&format!("h{number}.test")), "/", &format!("u{}", number % 100))
        })
    };
    let ringway = start(config(50));
    let mut longest = Duration::ZERO;
    for fields in [51, 52, 53] {
        ringway.rewrite(config(fields));
        longest = longest.max(stopped(&ringway.reload_as_written()));
    }
    // A build for debugging, on a machine that others use too. perf/runs has what a release build takes.
    assert!(longest < Duration::from_millis(5), "a shard stood still for {longest:?}");
}
