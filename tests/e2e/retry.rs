//! Requests that are sent again to another server.

use std::fmt::Display;

use kit::{Config, Origin, Port, Ringway, standard};

use crate::{OK, answering, start};

const UNAVAILABLE: &str = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 2\r\n\r\nno";
/// Health out of the way: every server gets its turns.
const NEVER_EJECT: &str = "{ failures = 0 }";

fn before_all(servers: &[&dyn Display], retry: &str) -> Ringway {
    let config = Config::new().upstream("app", servers).route(None, "/", "app");
    start(config.upstream_option("health", NEVER_EJECT).upstream_option("retry", retry))
}

/// An origin that reads each request whole and then closes, or resets.
fn dying(reset: bool) -> Origin {
    Origin::start(move |peer, _| {
        peer.read_request()?;
        if reset { peer.reset_on_drop() } else { Ok(()) }
    })
}

fn statuses(ringway: &Ringway, method: &str, count: usize) -> Vec<u16> {
    let request = format!("{method} /length/2 HTTP/1.1\r\nHost: test\r\n\r\n");
    (0..count).map(|_| ringway.connect().exchange(method, request.as_bytes()).unwrap().status()).collect()
}

fn requests(origin: &Origin) -> usize {
    String::from_utf8(origin.received_all()).unwrap().matches(" HTTP/1.1\r\n").count()
}

#[test]
fn a_server_that_refuses_is_passed_over_whatever_the_method() {
    let (refused, good) = (Port::take(), standard::start());
    let ringway = before_all(&[&refused.address(), good.address()], "{ attempts = 1, budget = 0, budget_min = 0 }");
    for method in ["GET", "POST"] {
        assert_eq!(statuses(&ringway, method, 10), [200; 10], "{method}");
    }
    assert_eq!(ringway.stop_and_count()["upstream_failovers"], 20, "taking turns, each request begins with it");
}

#[test]
fn all_servers_that_refuse_are_asked_before_502() {
    let ports = [Port::take(), Port::take(), Port::take()];
    let addresses = ports.each_ref().map(Port::address);
    let servers: Vec<&dyn Display> = addresses.iter().map(|address| address as &dyn Display).collect();
    let ringway = before_all(&servers, "{ attempts = 1 }");
    assert_eq!(statuses(&ringway, "GET", 1), [502]);
    ringway.assert_outcome("/length/2", &["upstream_refused"]);
}

#[test]
fn a_request_that_may_be_repeated_goes_to_another_server() {
    for reset in [false, true] {
        let (bad, good) = (dying(reset), standard::start());
        let ringway = before_all(&[bad.address(), good.address()], "{ budget = 100 }");
        for method in ["GET", "HEAD", "DELETE", "OPTIONS"] {
            assert_eq!(statuses(&ringway, method, 4), [200; 4], "{method}, reset {reset}");
        }
        assert!(requests(&bad) >= 4, "the bad server was asked at all");
    }
}

#[test]
fn a_request_that_may_not_be_repeated_is_not() {
    let (bad, good) = (dying(false), standard::start());
    let ringway = before_all(&[bad.address(), good.address()], "{ statuses = [503] }");
    let mut seen = statuses(&ringway, "POST", 10);
    seen.sort_unstable();
    assert_eq!(seen, [200, 200, 200, 200, 200, 502, 502, 502, 502, 502]);
    assert_eq!(requests(&bad) + requests(&good), 10, "a request was made twice");
}

#[test]
fn a_request_is_sent_no_more_often_than_configured() {
    for (attempts, expected) in [(1, 1), (2, 2), (3, 3), (8, 4)] {
        let origins = [dying(false), dying(true), dying(false), dying(true)];
        let servers = origins.each_ref().map(|origin| origin.address() as &dyn Display);
        let ringway = before_all(&servers, &format!("{{ attempts = {attempts} }}"));
        assert_eq!(statuses(&ringway, "GET", 1), [502]);
        assert_eq!(origins.iter().map(Origin::accepted).sum::<usize>(), expected, "{attempts} attempts");
        assert!(origins.iter().all(|origin| origin.accepted() <= 1), "a server was asked twice");
    }
}

#[test]
fn a_body_is_sent_again_whole() {
    for reset in [false, true] {
        let (bad, good) = (dying(reset), standard::start());
        let ringway = before_all(&[bad.address(), good.address()], "{ budget = 100 }");
        for length in [1, 5_000, 40_000, 65_536] {
            for _ in 0..2 {
                let mut client = ringway.connect();
                client
                    .send(format!("PUT / HTTP/1.1\r\nHost: t\r\nContent-Length: {length}\r\n\r\n").as_bytes())
                    .unwrap();
                client.send_pattern(0, length).unwrap();
                let response = client.read_response("PUT").unwrap();
                assert_eq!(response.status(), 200, "{length} bytes");
                assert_eq!(response.head.field("x-body"), Some(&length.to_string()[..]));
                client.send(b"PUT / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n").unwrap();
                client.send_pattern_chunked(length, 7_777).unwrap();
                let response = client.read_response("PUT").unwrap();
                assert_eq!(response.status(), 200, "{length} bytes in chunks");
                assert_eq!(response.head.field("x-body"), Some(&length.to_string()[..]));
            }
        }
        assert!(bad.accepted() >= 8, "the bad server was asked at all");
    }
}

#[test]
fn a_body_that_is_too_long_to_be_kept_is_not_sent_again() {
    let (bad, other) = (dying(false), dying(false));
    let ringway = before_all(&[bad.address(), other.address()], "{ body_bytes = '1KiB' }");
    for framing in ["Content-Length: 100000\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\n"] {
        let before = bad.accepted() + other.accepted();
        let mut client = ringway.connect();
        client.send(format!("PUT / HTTP/1.1\r\nHost: test\r\n{framing}").as_bytes()).unwrap();
        match framing.starts_with("Content") {
            true => client.send_pattern(0, 100_000).unwrap(),
            false => client.send_pattern_chunked(100_000, 9_999).unwrap(),
        }
        assert_eq!(client.read_response("PUT").unwrap().status(), 502);
        assert_eq!(bad.accepted() + other.accepted(), before + 1);
    }
}

#[test]
fn a_status_is_retried_where_that_is_asked_for() {
    let (bad, good) = (answering(UNAVAILABLE), answering(OK));
    let ringway = before_all(&[bad.address(), good.address()], "{ statuses = [502, 503] }");
    assert_eq!(statuses(&ringway, "GET", 10), [200; 10]);
    assert!(requests(&bad) >= 5 && requests(&good) == 10);
    let ringway = before_all(&[bad.address(), good.address()], "{}");
    assert_eq!(statuses(&ringway, "GET", 10).iter().filter(|status| **status == 503).count(), 5);
}

#[test]
fn the_last_servers_answer_is_passed_on_whatever_its_status() {
    let (one, other) = (answering(UNAVAILABLE), answering(UNAVAILABLE));
    let ringway = before_all(&[one.address(), other.address()], "{ statuses = [503], attempts = 5 }");
    let response = ringway.connect().exchange("GET", &standard::get("/")).unwrap();
    assert_eq!((response.status(), response.text()), (503, "no".to_owned()));
    assert_eq!(requests(&one) + requests(&other), 2);
}

#[test]
fn an_answer_that_is_withheld_leaves_nothing_behind() {
    // Its body comes in part before the retry, and must not reach any client.
    let bad = Origin::start(|peer, _| {
        peer.read_request()?;
        peer.send(b"HTTP/1.1 503 No\r\nContent-Length: 1000000\r\n\r\n")?;
        peer.send_pattern(0, 1_000_000)
    });
    let good = answering(OK);
    let ringway = before_all(&[bad.address(), good.address()], "{ statuses = [503] }");
    let mut client = ringway.connect();
    for _ in 0..10 {
        assert_eq!(client.exchange("GET", &standard::get("/")).unwrap().text(), "ok");
    }
    bad.wait_until_closed();
}

#[test]
fn without_a_budget_nothing_is_retried() {
    let (bad, good) = (answering(UNAVAILABLE), answering(OK));
    let retry = "{ statuses = [503], budget = 0, budget_min = 0 }";
    let ringway = before_all(&[bad.address(), good.address()], retry);
    assert_eq!(statuses(&ringway, "GET", 10).iter().filter(|status| **status == 503).count(), 5);
    assert_eq!(ringway.stop_and_count()["upstream_retries_denied"], 5);
}

#[test]
fn the_budget_is_a_share_of_the_requests() {
    let (one, other) = (answering(UNAVAILABLE), answering(UNAVAILABLE));
    let retry = "{ statuses = [503], budget = 20, budget_min = 0 }";
    let ringway = before_all(&[one.address(), other.address()], retry);
    assert_eq!(statuses(&ringway, "GET", 100), [503; 100]);
    assert_eq!(requests(&one) + requests(&other), 120);
    let counts = ringway.stop_and_count();
    assert_eq!((counts["upstream_retries"], counts["upstream_retries_denied"]), (20, 80));
}
