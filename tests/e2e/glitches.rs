//! Clients that break the rules again and again.

use kit::{Config, Ringway, eventually, standard};

use crate::start;

/// Whether a new connection is served.
fn is_served(ringway: &Ringway) -> bool {
    let mut client = ringway.connect();
    client.exchange("GET", &standard::get("/length/1")).is_ok_and(|response| response.status() == 200)
}

#[test]
fn a_client_that_breaks_the_rules_again_and_again_is_cut_off() {
    let origin = standard::start();
    let ringway = start(Config::to(origin.address()).limit("glitches_per_client", 5));
    let mut earlier = ringway.connect();
    assert_eq!(earlier.exchange("GET", &standard::get("/length/1")).unwrap().status(), 200);
    for number in 0..6 {
        assert!(is_served(&ringway), "refused after {number} breaches of 5 that it may commit");
        let mut client = ringway.connect();
        client.send(b"GET / HTTP/1.1\r\nHost: test\r\nHost: test\r\n\r\n").unwrap();
        assert_eq!(client.read_response("GET").unwrap().status(), 400);
    }
    assert!(!is_served(&ringway), "served after one breach too many");
    ringway.connect().assert_ends();
    let response = earlier.exchange("GET", &standard::get("/length/1")).unwrap();
    assert_eq!(response.status(), 200, "connections that are open go on");
    let told = || ringway.process().stderr().matches("a client breaks the rules again and again").count();
    eventually("the log tells", || told() > 0);
    assert_eq!(told(), 1, "{}", ringway.process().stderr());
    let counts = ringway.stop_and_count();
    assert_eq!((counts["clients_cut_off"], counts["limits{limits.glitches_per_client}"]), (1, 2));
}

#[test]
fn malformed_bodies_count_and_large_ones_do_not() {
    let origin = standard::start();
    let config = Config::to(origin.address()).limit("glitches_per_client", 3).limit("body_bytes", "\"10B\"");
    let ringway = start(config);
    let post = |framing: &str| {
        let mut client = ringway.connect();
        client.send(format!("POST /length/1 HTTP/1.1\r\nHost: test\r\n{framing}").as_bytes()).unwrap();
        client.read_response("POST").unwrap().status()
    };
    for _ in 0..10 {
        assert_eq!(post("Content-Length: 11\r\n\r\n"), 413);
    }
    for _ in 0..4 {
        assert_eq!(post("Transfer-Encoding: chunked\r\n\r\nnonsense\r\n"), 400);
    }
    eventually("the client is cut off", || !is_served(&ringway));
}

#[test]
fn aborted_requests_count_when_they_are_a_flood() {
    let origin = standard::start();
    let ringway = start(Config::to(origin.address()).limit("glitches_per_client", 1));
    let abort = || {
        let mut client = ringway.connect();
        let _ = client.send(b"GET /length/1 HTTP/1.1\r\nHo");
        client.reset()
    };
    (0..50).for_each(|_| abort().unwrap());
    assert!(is_served(&ringway), "users that move on are no flood");
    eventually("the client is cut off", || {
        abort().unwrap();
        !is_served(&ringway)
    });
}
