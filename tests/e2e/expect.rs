//! `Expect: 100-continue`, both ways. RFC 9110 §10.1.1

use std::process::Command;
use std::time::Duration;

use kit::process::run;
use kit::{Config, Gate, Head, Origin, standard};

use crate::{answering, before, start};

const EXPECTING: &[u8] = b"POST /upload HTTP/1.1\r\nHost: test\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n";

#[test]
fn the_upstream_decides_and_its_100_is_passed_on() {
    let origin = Origin::start(|peer, _| {
        let head = peer.read_head()?.expect("a request");
        assert_eq!(head.field("expect"), Some("100-continue"));
        assert!(peer.is_idle(), "no body before the 100");
        peer.send(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n")?;
        assert_eq!(peer.read_bytes(5)?, b"hello");
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    });
    let ringway = before(&origin);
    let mut client = ringway.connect();
    client.send(EXPECTING).unwrap();
    let statuses = [client.read_head().unwrap().unwrap().status(), client.read_head().unwrap().unwrap().status()];
    assert_eq!(statuses, [103, 100]);
    assert_eq!(client.exchange("POST", b"hello").unwrap().text(), "ok");
    assert!(client.is_idle());
}

#[test]
fn a_final_answer_instead_ends_the_exchange_and_both_connections() {
    let origin = Origin::start(|peer, _| {
        peer.read_head()?;
        peer.send(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno")?;
        peer.read_to_end().map(drop)
    });
    let ringway = before(&origin);
    let mut client = ringway.connect();
    let response = client.exchange("POST", EXPECTING).unwrap();
    assert_eq!((response.status(), response.text().as_str(), response.interim.len()), (403, "no", 0));
    // The body may follow or not: nothing that comes now could be told apart from it.
    client.assert_ends();
    origin.wait_until_closed();
}

#[test]
fn a_client_that_does_not_wait_is_served_all_the_same() {
    let begun = Gate::new();
    let origin = Origin::start({
        let begun = begun.clone();
        move |peer, _| {
            peer.read_head()?;
            begun.open();
            // Never a 100.
            assert_eq!(peer.read_bytes(5)?, b"hello");
            peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        }
    });
    let ringway = before(&origin);
    let mut client = ringway.connect();
    client.send(EXPECTING).unwrap();
    begun.wait();
    assert_eq!(client.exchange("POST", b"hello").unwrap().text(), "ok");
}

#[test]
fn refusals_of_our_own_come_at_once_and_without_a_100() {
    let origin = standard::start();
    let config = Config::new().upstream("app", &[origin.address()]).route(None, "/upload", "app");
    let ringway = start(config.limit("body_bytes", "\"4B\""));
    for (path, status) in [("/upload", 413), ("/nowhere", 404)] {
        let mut client = ringway.connect();
        let request = String::from_utf8(EXPECTING.to_vec()).unwrap().replace("/upload", path);
        let response = client.exchange("POST", request.as_bytes()).unwrap();
        assert_eq!((response.status(), response.interim.len()), (status, 0), "{path}");
        client.assert_ends();
    }
    assert_eq!(origin.accepted(), 0);
}

#[test]
fn other_expectations_fail() {
    let origin = standard::start();
    let ringway = before(&origin);
    for value in ["else", "100-continue, else", "200-ok", "100-continue=1"] {
        let mut client = ringway.connect();
        let request = format!("GET /length/1 HTTP/1.1\r\nHost: test\r\nExpect: {value}\r\n\r\n");
        assert_eq!(client.exchange("GET", request.as_bytes()).unwrap().status(), 417, "{value}");
    }
    assert_eq!(origin.accepted(), 0);
}

#[test]
fn an_expectation_in_http_1_0_is_ignored() {
    let origin = standard::start();
    let ringway = before(&origin);
    let mut client = ringway.connect();
    let request = b"POST /length/1 HTTP/1.0\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\nhello";
    let response = client.exchange("POST", request).unwrap();
    assert_eq!((response.status(), response.interim.len()), (200, 0));
    assert_eq!(Head::parse(&origin.received(0)).field("expect"), None);
}

#[test]
fn an_http_1_0_client_gets_no_100_of_the_upstream() {
    let origin = answering(
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    );
    let ringway = before(&origin);
    let response = ringway.connect().exchange("GET", b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n").unwrap();
    assert_eq!((response.text().as_str(), response.interim.len()), ("ok", 0), "RFC 9110 §15.2");
    assert!(response.head.lists("connection", "keep-alive"), "RFC 9112 §9.3: {:?}", response.head);
}

#[test]
fn curl_waits_for_its_100_and_gets_it() {
    let origin = Origin::start(|peer, _| {
        let head = peer.read_head()?.expect("a request");
        peer.send(b"HTTP/1.1 100 Continue\r\n\r\n")?;
        peer.read_body(head.request_framing(), &mut |_| {})?;
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    });
    let ringway = before(&origin);
    let mut command = Command::new("curl");
    // Without the 100 it would give up before it sends anything.
    command.args([
        "--silent",
        "--show-error",
        "--fail",
        "--noproxy",
        "*",
        "--max-time",
        "20",
        "--expect100-timeout",
        "60",
    ]);
    command.args(["--header", "Expect: 100-continue", "--data-binary", "hello", &ringway.url("/upload")]);
    assert_eq!(run("curl", &mut command, Duration::from_secs(30)), "ok");
    assert_eq!(Head::parse(&origin.received(0)).field("expect"), Some("100-continue"));
}
