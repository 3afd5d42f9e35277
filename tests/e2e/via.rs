//! Loops, hops, and requests that are about the proxy itself.

use kit::{Config, Head, Origin, Port, standard};

use crate::{before, start};

#[test]
fn a_request_that_comes_back_again_and_again_is_refused() {
    // A proxy that is its own upstream: the request goes around until it is told apart by its Via.
    let port = Port::take();
    let address = port.address();
    let ringway = start(Config::to(&address).listen(&address));
    let response = ringway.connect().exchange("GET", &standard::get("/round")).unwrap();
    assert_eq!(response.status(), 508);
    let rounds = ringway.records();
    assert!(rounds.len() <= 9, "{} rounds", rounds.len());
    ringway.assert_outcome("/round", &["loop_detected"]);
}

#[test]
fn a_few_proxies_in_a_row_are_no_loop() {
    let origin = standard::start();
    let ringway = before(&origin);
    let passed = |via: &str| {
        let request = format!("GET / HTTP/1.1\r\nHost: test\r\n{via}\r\n");
        ringway.connect().exchange("GET", request.as_bytes()).unwrap().status()
    };
    assert_eq!(passed("Via: 1.1 ringway, 1.0 other\r\nVia: 2 ringway (ringway)\r\n"), 200);
    assert_eq!(passed(&"Via: 1.1 ringway-2\r\nVia: 1.1 x (ringway)\r\n".repeat(8)), 200, "others of similar name");
    assert_eq!(passed(&format!("Via: {}\r\n", ["1.1 RingWay"; 8].join(","))), 508);
    assert_eq!(passed(&"Via: HTTP/1.1 ringway\r\n".repeat(8)), 508);
}

#[test]
fn trace_is_refused_and_told_what_is_allowed() {
    let origin = standard::start();
    let ringway = before(&origin);
    let response = ringway.connect().exchange("TRACE", b"TRACE / HTTP/1.1\r\nHost: test\r\nCookie: secret\r\n\r\n");
    let response = response.unwrap();
    assert_eq!(response.status(), 405);
    assert!(response.head.lists("allow", "GET") && !response.head.lists("allow", "TRACE"), "RFC 9110 §15.5.6");
    assert!(!response.text().contains("secret"));
    assert_eq!(origin.accepted(), 0);
    ringway.assert_outcome("/", &["client_unsupported"]);
}

#[test]
fn options_goes_as_far_as_max_forwards_says() {
    // RFC 9110 §7.6.2.
    let origin = standard::start();
    let ringway = before(&origin);
    let mut client = ringway.connect();
    let mut ask = |target: &str, hops: &str| {
        let request = format!("OPTIONS {target} HTTP/1.1\r\nHost: test\r\n{hops}\r\n");
        client.exchange("OPTIONS", request.as_bytes()).unwrap()
    };
    let here = ask("*", "Max-Forwards: 0\r\n");
    assert_eq!((here.status(), here.head.field("content-length")), (204, None));
    assert!(here.head.lists("allow", "OPTIONS"), "{:?}", here.head);
    assert_eq!(ask("/length/0", "Max-Forwards: 0\r\n").status(), 204);
    assert_eq!(origin.accepted(), 0);
    assert_eq!(ask("*", "Max-Forwards: 1\r\n").status(), 200);
    assert_eq!(ask("/length/0", "Max-Forwards: 10\r\n").status(), 200);
    assert_eq!(ask("/length/0", "").status(), 200);
    let received = String::from_utf8(origin.received(0)).unwrap();
    let heads: Vec<_> = received.split_inclusive("\r\n\r\n").map(|head| Head::parse(head.as_bytes())).collect();
    let hops: Vec<_> = heads.iter().map(|head| (head.target(), head.values("max-forwards").join(","))).collect();
    let expected = [("*", "0"), ("/length/0", "9"), ("/length/0", "")];
    assert_eq!(hops, expected.map(|(target, hops)| (target, hops.to_owned())));
    assert_eq!(ask("*", "Max-Forwards: -1\r\n").status(), 400);
}

#[test]
fn max_forwards_of_other_methods_is_left_alone() {
    let origin = Origin::start(|peer, _| standard::serve(peer));
    let ringway = before(&origin);
    let request = b"GET /length/0 HTTP/1.1\r\nHost: test\r\nMax-Forwards: 0\r\n\r\n";
    assert_eq!(ringway.connect().exchange("GET", request).unwrap().status(), 200);
    assert_eq!(Head::parse(&origin.received(0)).values("max-forwards"), ["0"]);
}
