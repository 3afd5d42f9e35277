//! Which upstream serves which host and path.

use kit::{Config, Origin, Ringway};

use crate::start;

/// An origin that answers everything with its name.
fn named(name: &'static str) -> Origin {
    Origin::start(move |peer, _| {
        while peer.read_request()?.is_some() {
            peer.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{name}", name.len()).as_bytes())?;
        }
        Ok(())
    })
}

/// Asks for `target` at `host`; the body names the origin, a failure is its status.
fn ask(ringway: &Ringway, host: &str, target: &str) -> String {
    let request = format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n");
    let response = ringway.connect().exchange("GET", request.as_bytes()).unwrap();
    if response.status() == 200 { response.text() } else { response.status().to_string() }
}

#[test]
fn host_and_longest_prefix_choose_the_upstream() {
    let (one, two, api) = (named("one"), named("two"), named("api"));
    let config = Config::new()
        .upstream("one", &[one.address()])
        .upstream("two", &[two.address()])
        .upstream("api", &[api.address()])
        .route(Some("one.example"), "/", "one")
        .route(Some("two.example"), "/", "two")
        .route(Some("two.example"), "/api", "api")
        .route(None, "/shared", "api");
    let ringway = start(config);
    for (host, target, expected) in [
        ("one.example", "/", "one"),
        ("one.example", "/api", "one"),
        ("ONE.Example:8080", "/", "one"),
        ("two.example", "/", "two"),
        ("two.example", "/api", "api"),
        ("two.example", "/api/x?y=/z", "api"),
        ("two.example", "/apix", "two"),
        ("three.example", "/shared/x", "api"),
        ("three.example", "/", "404"),
        ("", "/shared", "api"),
    ] {
        assert_eq!(ask(&ringway, host, target), expected, "{host} {target}");
    }
}

#[test]
fn an_absolute_target_is_routed_by_its_authority() {
    // RFC 9112 §3.2.2.
    let (one, two) = (named("one"), named("two"));
    let config = Config::new()
        .upstream("one", &[one.address()])
        .upstream("two", &[two.address()])
        .route(Some("one.example"), "/", "one")
        .route(Some("two.example"), "/app", "two");
    let ringway = start(config);
    assert_eq!(ask(&ringway, "one.example", "http://one.example"), "one");
    assert_eq!(ask(&ringway, "two.example", "http://two.example/app?x=y"), "two");
    assert_eq!(ask(&ringway, "two.example", "http://two.example/"), "404");
    assert_ne!(ask(&ringway, "one.example", "http://two.example/app"), "one", "the field alone does not route");
}

#[test]
fn a_path_that_no_route_matches_is_404_and_keeps_the_connection() {
    let origin = named("origin");
    let ringway = start(Config::new().upstream("app", &[origin.address()]).route(None, "/app", "app"));
    let mut client = ringway.connect();
    for _ in 0..3 {
        let response = client.exchange("GET", b"GET / HTTP/1.1\r\nHost: test\r\n\r\n").unwrap();
        assert_eq!(response.status(), 404);
        assert!(!response.body.is_empty());
    }
    assert_eq!(client.exchange("GET", b"GET /app HTTP/1.1\r\nHost: test\r\n\r\n").unwrap().text(), "origin");
    let response = client.exchange("HEAD", b"HEAD / HTTP/1.1\r\nHost: test\r\n\r\n").unwrap();
    assert_eq!(response.status(), 404);
    assert!(client.is_idle(), "a HEAD has no body, 404 included");
}

#[test]
fn the_body_of_a_request_without_a_route_is_not_taken_for_a_request() {
    let origin = named("origin");
    let ringway = start(Config::new().upstream("app", &[origin.address()]).route(None, "/app", "app"));
    let mut client = ringway.connect();
    let smuggled = "GET /app/smuggled HTTP/1.1\r\nHost: test\r\n\r\n";
    client
        .send(
            format!("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: {}\r\n\r\n{smuggled}", smuggled.len()).as_bytes(),
        )
        .unwrap();
    let response = client.read_response("POST").unwrap();
    assert_eq!(response.status(), 404);
    if response.head.lists("connection", "close") {
        client.assert_ends();
    } else {
        assert_eq!(client.exchange("GET", b"GET /app HTTP/1.1\r\nHost: test\r\n\r\n").unwrap().text(), "origin");
        assert!(client.is_idle());
    }
    assert!(!String::from_utf8(origin.received_all()).unwrap().contains("smuggled"));
}
