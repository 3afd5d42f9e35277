//! What the proxy takes from a message, and what it adds: forwarding fields, `Via`, and the fields of one connection.

use kit::{Config, Head, Peer, Ringway, standard};

use crate::{before, start};

/// Sends a `GET` with `fields` and returns the head that the origin received.
fn forwarded(ringway: &Ringway, origin: &kit::Origin, fields: &str) -> Head {
    forwarded_by(&mut ringway.connect(), origin, fields)
}

fn forwarded_by(client: &mut Peer, origin: &kit::Origin, fields: &str) -> Head {
    let before = origin.received_all().len();
    let request = format!("GET /length/1 HTTP/1.1\r\nHost: test.example\r\n{fields}\r\n");
    assert_eq!(client.exchange("GET", request.as_bytes()).unwrap().status(), 200);
    Head::parse(&origin.received_all()[before..])
}

#[test]
fn forwarding_fields_are_written_anew() {
    let origin = standard::start();
    let ringway = before(&origin);
    let head = forwarded(&ringway, &origin, "");
    assert_eq!(head.values("x-forwarded-for"), ["127.0.0.1"]);
    assert_eq!(head.values("x-forwarded-proto"), ["http"]);
    assert_eq!(head.values("x-forwarded-host"), ["test.example"]);
    assert_eq!(head.values("host"), ["test.example"]);
}

#[test]
fn forwarding_fields_of_a_stranger_are_removed() {
    let origin = standard::start();
    let ringway = before(&origin);
    let forged = "X-Forwarded-For: 203.0.113.9\r\nx-forwarded-for: 203.0.113.10\r\nX-Forwarded-Proto: https\r\n\
                  X-Forwarded-Host: forged\r\nForwarded: for=203.0.113.9\r\nX_Forwarded_For: 203.0.113.11\r\n";
    let head = forwarded(&ringway, &origin, forged);
    assert_eq!(head.values("x-forwarded-for"), ["127.0.0.1"]);
    assert_eq!(head.values("x-forwarded-proto"), ["http"]);
    assert_eq!(head.values("x-forwarded-host"), ["test.example"]);
    let text = format!("{head:?}");
    assert!(!text.contains("203.0.113.") && !text.contains("forged"), "{text}");
}

#[test]
fn forwarding_fields_of_a_trusted_peer_are_kept_and_extended() {
    let origin = standard::start();
    let ringway = start(Config::to(origin.address()).set("trust", "networks", "[\"127.0.0.0/8\"]"));
    let fields =
        "X-Forwarded-For: 203.0.113.9, 203.0.113.10\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: public\r\n";
    let head = forwarded(&ringway, &origin, fields);
    assert_eq!(head.values("x-forwarded-for").join(", "), "203.0.113.9, 203.0.113.10, 127.0.0.1");
    assert_eq!(head.values("x-forwarded-proto"), ["https"]);
    assert_eq!(head.values("x-forwarded-host"), ["public"]);
    let head = forwarded(&ringway, &origin, "");
    assert_eq!(head.values("x-forwarded-for"), ["127.0.0.1"], "a trusted peer that says nothing");
    assert_eq!(head.values("x-forwarded-proto"), ["http"]);
}

#[test]
fn trust_ends_at_the_edge_of_the_network() {
    let origin = standard::start();
    let ringway = start(Config::to(origin.address()).set("trust", "networks", "[\"10.0.0.0/8\"]"));
    let head = forwarded(&ringway, &origin, "X-Forwarded-For: 203.0.113.9\r\n");
    assert_eq!(head.values("x-forwarded-for"), ["127.0.0.1"]);
}

#[test]
fn via_is_added_in_both_directions() {
    // RFC 9110 §7.6.3.
    let origin = kit::Origin::start(|peer, _| {
        while peer.read_request()?.is_some() {
            peer.send(b"HTTP/1.1 200 OK\r\nVia: 1.0 inner\r\nContent-Length: 0\r\n\r\n")?;
        }
        Ok(())
    });
    let ringway = before(&origin);
    let response =
        ringway.connect().exchange("GET", b"GET / HTTP/1.1\r\nHost: test\r\nVia: 1.1 outer\r\n\r\n").unwrap();
    assert_eq!(response.head.values("via").join(", "), "1.0 inner, 1.1 ringway");
    let request = Head::parse(&origin.received(0));
    assert_eq!(request.values("via").join(", "), "1.1 outer, 1.1 ringway");
}

#[test]
fn fields_of_one_connection_are_not_passed_to_the_origin() {
    // RFC 9110 §7.6.1.
    let origin = standard::start();
    let ringway = before(&origin);
    let fields = "Connection: keep-alive, X-Mine , x-other\r\nX-Mine: 1\r\nX-Other: 2\r\nKeep-Alive: timeout=5\r\n\
                  Proxy-Connection: keep-alive\r\nTE: trailers\r\nUpgrade: h2c\r\nX-Kept: 3\r\n";
    let head = forwarded(&ringway, &origin, fields);
    for name in ["x-mine", "x-other", "keep-alive", "proxy-connection", "upgrade"] {
        assert_eq!(head.field(name), None, "{name} is of one connection: {head:?}");
    }
    assert_eq!(head.field("x-kept"), Some("3"));
    assert!(!head.lists("connection", "x-mine") && !head.lists("connection", "upgrade"), "{head:?}");
}

#[test]
fn fields_of_one_connection_are_not_passed_to_the_client() {
    let origin = kit::Origin::start(|peer, _| {
        while peer.read_request()?.is_some() {
            let fields =
                "Connection: X-Mine\r\nX-Mine: 1\r\nKeep-Alive: timeout=5\r\nProxy-Connection: x\r\nX-Kept: 3\r\n";
            peer.send(format!("HTTP/1.1 200 OK\r\n{fields}Content-Length: 0\r\n\r\n").as_bytes())?;
        }
        Ok(())
    });
    let ringway = before(&origin);
    let response = ringway.connect().exchange("GET", &standard::get("/")).unwrap();
    for name in ["x-mine", "keep-alive", "proxy-connection"] {
        assert_eq!(response.head.field(name), None, "{:?}", response.head);
    }
    assert_eq!(response.head.field("x-kept"), Some("3"));
    assert!(!response.head.lists("connection", "x-mine"));
}

#[test]
fn connection_cannot_name_away_the_fields_that_others_trust() {
    // CVE-2025-48865.
    let origin = standard::start();
    let ringway = start(Config::to(origin.address()).set("trust", "networks", "[\"127.0.0.0/8\"]"));
    let names = "Connection: X-Forwarded-For, X-Forwarded-Proto, X-Forwarded-Host, Host, Via, Content-Length\r\n";
    let head = forwarded(&ringway, &origin, &format!("{names}X-Forwarded-For: 203.0.113.9\r\n"));
    assert!(head.field("x-forwarded-for").is_some_and(|value| value.ends_with("127.0.0.1")), "{head:?}");
    assert_eq!(head.field("x-forwarded-proto"), Some("http"));
    assert_eq!(head.field("host"), Some("test.example"));
    assert!(head.lists("via", "1.1 ringway"));
}

#[test]
fn connection_cannot_name_away_the_framing() {
    let origin = standard::start();
    let ringway = before(&origin);
    let request =
        b"POST /length/1 HTTP/1.1\r\nHost: test\r\nConnection: Content-Length\r\nContent-Length: 5\r\n\r\nhello";
    let mut client = ringway.connect();
    let response = client.exchange("POST", request).unwrap();
    match response.status() {
        200 => assert_eq!(response.head.field("x-body").map(|body| &body[..1]), Some("5")),
        status => assert_eq!(status, 400),
    }
}

#[test]
fn untouched_fields_keep_their_case_and_order() {
    let origin = standard::start();
    let ringway = before(&origin);
    let fields = "X-ZEBRA: 1\r\naccept: a\r\nX-Apple: 2\r\nACCEPT: b\r\nx-zebra: \"quoted  blanks\"\r\nEmpty:\r\nHigh: \u{e9}\r\n";
    let head = forwarded(&ringway, &origin, fields);
    let kept: Vec<_> = head
        .end_to_end(&["host", "via", "x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "x-real-ip"])
        .into_iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    // The high byte was sent as two of UTF-8, and is read here as two of Latin-1.
    let expected =
        ["X-ZEBRA=1", "accept=a", "X-Apple=2", "ACCEPT=b", "x-zebra=\"quoted  blanks\"", "Empty=", "High=\u{c3}\u{a9}"];
    assert_eq!(kept, expected);
}

#[test]
fn the_target_is_passed_on_unchanged() {
    let origin = standard::start();
    let ringway = before(&origin);
    for target in
        ["/length/1?a=b&c=%20", "/length/1/~user/a;b=c", "/length/1?", "/length/1?x=?y/../z", "/length/1/@:!$'()*+,"]
    {
        let request = format!("GET {target} HTTP/1.1\r\nHost: test\r\n\r\n");
        let before = origin.received_all().len();
        assert_eq!(ringway.connect().exchange("GET", request.as_bytes()).unwrap().status(), 200, "{target}");
        assert_eq!(Head::parse(&origin.received_all()[before..]).target(), target);
    }
}

#[test]
fn a_request_of_http_1_0_goes_on_as_http_1_1() {
    let origin = standard::start();
    let ringway = before(&origin);
    let response = ringway.connect().exchange("GET", b"GET /length/3 HTTP/1.0\r\n\r\n").unwrap();
    assert_eq!(response.status(), 200);
    let head = Head::parse(&origin.received(0));
    assert!(head.start_line.ends_with(" HTTP/1.1"), "RFC 9112 §2.3: {head:?}");
    assert_eq!(head.values("host").len(), 1, "RFC 9112 §3.2: {head:?}");
}

#[test]
fn whatever_identifies_a_client_is_removed_from_strangers_and_kept_from_the_trusted() {
    // CVE-2026-30851, CVE-2026-39858.
    let origin = standard::start();
    let forged = "X-Real-IP: 203.0.113.1\r\nX-Request-Id: forged\r\nX-Forwarded-Server: forged\r\n\
                  X-Forwarded-Client-Cert: forged\r\nx_real_ip: alias\r\nX-Request_ID: alias\r\n\
                  X_Forwarded_Client_Cert: alias\r\nX-Other: kept\r\n";
    let head = forwarded(&before(&origin), &origin, forged);
    assert_eq!(head.values("x-real-ip"), ["127.0.0.1"]);
    let text = format!("{head:?}");
    assert!(!text.contains("forged") && !text.contains("alias") && text.contains("X-Other: kept"), "{text}");

    let trusting = start(Config::to(origin.address()).set("trust", "networks", "[\"127.0.0.0/8\"]"));
    let head = forwarded(&trusting, &origin, forged);
    assert_eq!((head.values("x-real-ip"), head.values("x-request-id")), (vec!["203.0.113.1"], vec!["forged"]));
    assert_eq!(head.field("x-forwarded-client-cert"), Some("forged"));
    assert!(!format!("{head:?}").contains("alias"), "nobody honest spells them so: {head:?}");
    let told = forwarded(&trusting, &origin, "X-Forwarded-For: 203.0.113.9\r\n");
    assert_eq!(told.field("x-real-ip"), None, "a trusted peer's list is not contradicted");
}

#[test]
fn requests_are_named_where_the_configuration_asks_for_it() {
    let origin = standard::start();
    let config = Config::to(origin.address()).set("forwarding", "request_id", true);
    let ringway = start(config.set("trust", "networks", "[\"127.0.0.0/8\"]"));
    let name = |fields: &str| {
        let head = forwarded(&ringway, &origin, fields);
        let names = head.values("x-request-id").iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(names.len(), 1, "{head:?}");
        names[0].clone()
    };
    let (one, other) = (name(""), name(""));
    assert!(one != other && one.len() == 32 && one.bytes().all(|byte| byte.is_ascii_hexdigit()), "{one} {other}");
    assert_eq!(name("X-Request-Id: from-before\r\n"), "from-before");
    for id in [&one, &other, "from-before"] {
        kit::eventually("the record tells the name", || {
            ringway.records().iter().any(|record| record["request_id"] == id)
        });
    }

    let strict = start(Config::to(origin.address()).set("forwarding", "request_id", true));
    let head = forwarded(&strict, &origin, "X-Request-Id: forged\r\n");
    assert!(head.values("x-request-id").len() == 1 && head.field("x-request-id") != Some("forged"), "{head:?}");
}

#[test]
fn forwarded_is_written_where_the_configuration_asks_for_it() {
    // RFC 7239 §4.
    let origin = standard::start();
    let ringway = start(Config::to(origin.address()).set("forwarding", "forwarded", true));
    let head = forwarded(&ringway, &origin, "Forwarded: for=203.0.113.9\r\n");
    assert_eq!(head.values("forwarded"), ["for=127.0.0.1;host=\"test.example\";proto=http"]);
    let config = Config::to(origin.address()).set("forwarding", "forwarded", true);
    let trusting = start(config.set("trust", "networks", "[\"127.0.0.0/8\"]"));
    let head = forwarded(&trusting, &origin, "Forwarded: for=203.0.113.9\r\n");
    let expected = "for=203.0.113.9, for=127.0.0.1;host=\"test.example\";proto=http";
    assert_eq!(head.values("forwarded"), [expected]);
}
