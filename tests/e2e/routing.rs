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

/// A proxy before origins of these names, with the routes that `routes` adds.
fn before_all(names: &[&'static str], routes: impl FnOnce(Config) -> Config) -> (Ringway, Vec<Origin>) {
    let origins: Vec<Origin> = names.iter().map(|name| named(name)).collect();
    let upstreams = names.iter().zip(&origins);
    let config = upstreams.fold(Config::new(), |config, (name, origin)| config.upstream(name, &[origin.address()]));
    (start(routes(config)), origins)
}

#[test]
fn the_most_specific_host_pattern_chooses_and_the_others_are_not_asked() {
    let (ringway, _origins) = before_all(&["exact", "deep", "suffix", "prefix", "address", "any"], |config| {
        config
            .route(None, "/shared", "any")
            .route(Some("www.*"), "/", "prefix")
            .route(Some("*.example.com"), "/", "suffix")
            .route(Some("*.deep.example.com"), "/", "deep")
            .route(Some("A.Example.com."), "/own", "exact")
            .route(None, "/", "address")
            .route_option("hosts", "[\"[0:0::1]\", \"192.0.2.1\"]")
    });
    for (host, target, expected) in [
        ("a.example.com", "/own", "exact"),
        ("A.EXAMPLE.com.:8080", "/own/x", "exact"),
        ("a.example.com", "/other", "404"),
        ("a.example.com", "/shared", "any"),
        ("b.example.com", "/own", "suffix"),
        ("b.example.com", "/shared", "suffix"),
        ("x.y.example.com:80", "/", "suffix"),
        ("x.deep.example.com", "/", "deep"),
        ("deep.example.com", "/", "suffix"),
        ("example.com", "/", "404"),
        ("www.example.com", "/", "suffix"),
        ("www.example.org", "/", "prefix"),
        ("www", "/", "404"),
        ("[::1]:8080", "/", "address"),
        ("192.0.2.1", "/", "address"),
        ("192.0.2.2", "/", "404"),
    ] {
        assert_eq!(ask(&ringway, host, target), expected, "{host} {target}");
    }
    let unnamed = ringway.connect().exchange("GET", b"GET /shared HTTP/1.0\r\n\r\n").unwrap();
    assert_eq!(unnamed.text(), "any", "a client that names no host is served by the routes of any");
}

#[test]
fn an_exact_path_comes_first_and_a_priority_before_that() {
    let (ringway, _origins) = before_all(&["all", "exact", "below", "maintenance", "challenges"], |config| {
        config
            .route(Some("a.example"), "/", "all")
            .exact_route(Some("a.example"), "/api", "exact")
            .route(Some("a.example"), "/api", "below")
            .route(Some("a.example"), "/old", "maintenance")
            .route_option("priority", 1)
            .exact_route(Some("a.example"), "/old/page", "exact")
            .route(None, "/.well-known/acme-challenge", "challenges")
            .route_option("priority", 10)
    });
    for (target, expected) in [
        ("/api", "exact"),
        ("/api?x", "exact"),
        ("/api/", "below"),
        ("/api/x", "below"),
        ("/x/../api", "exact"),
        ("/%61pi/x", "below"),
        ("/old/page", "maintenance"),
        ("/.well-known/acme-challenge/token", "challenges"),
        ("/.well-known/other", "all"),
    ] {
        assert_eq!(ask(&ringway, "a.example", target), expected, "{target}");
    }
}

#[test]
fn a_record_names_the_route() {
    let (ringway, _origins) = before_all(&["app"], |config| {
        config
            .route(Some("*.example.com"), "/api", "app")
            .exact_route(None, "/health", "app")
            .route(None, "/named", "app")
            .route_option("name", "\"the-one\"")
    });
    for (target, expected) in [
        ("/api/x", Some("*.example.com/api")),
        ("/health", Some("=/health")),
        ("/named", Some("the-one")),
        ("/none", None),
    ] {
        ask(&ringway, "a.example.com", target);
        assert_eq!(ringway.record_of(target)["route"].as_str(), expected, "{target}");
    }
}

#[test]
fn ten_thousand_hosts_are_served_each_by_its_route() {
    let (ringway, _origins) = before_all(&["even", "odd"], |config| {
        (0..10_000).fold(config, |config, index| {
            config.route(Some(&format!("h{index}.example")), "/", ["even", "odd"][index % 2])
        })
    });
    for index in [0, 1, 4_998, 4_999, 9_998, 9_999] {
        assert_eq!(ask(&ringway, &format!("H{index}.example"), "/"), ["even", "odd"][index % 2], "{index}");
    }
    assert_eq!(ask(&ringway, "h10000.example", "/"), "404");
}
