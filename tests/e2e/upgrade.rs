//! Leaving HTTP: WebSockets and other upgrades, CONNECT, and the tunnel that follows.

use std::io;
use std::thread;
use std::time::Duration;

use kit::websockets::{self, Messages};
use kit::{Config, Gate, Head, Origin, Peer, Ringway, WebSocketServer, pattern, standard};

use crate::{OK, answering, before, start};

const ASK: &str = "GET /chat HTTP/1.1\r\nHost: test\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\r\n";
const SWITCH: &[u8] =
    b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nX-End: 1\r\n\r\n";

/// An origin that switches protocols, and then runs `talk`.
fn switching(talk: impl Fn(&mut Peer) -> io::Result<()> + Send + Sync + 'static) -> Origin {
    Origin::start(move |peer, _| {
        peer.read_head()?;
        peer.send(SWITCH)?;
        talk(peer)
    })
}

/// Sends back whatever comes, until the end.
fn echo(peer: &mut Peer) -> io::Result<()> {
    let mut writer = peer.second();
    peer.read_body(kit::Framing::UntilClose, &mut |piece| writer.send(piece).unwrap_or_default())?;
    peer.half_close()
}

/// A client whose connection has become a tunnel.
fn tunnel(ringway: &Ringway) -> Peer {
    let mut client = ringway.connect();
    client.send(ASK.as_bytes()).unwrap();
    let (head, _) = client.read_final_head().unwrap();
    assert_eq!(head.status(), 101, "{head:?}");
    client
}

#[test]
fn a_websocket_is_passed_on_and_its_tunnel_carries_bytes_both_ways() {
    let origin = switching(echo);
    let ringway = before(&origin);
    let mut client = ringway.connect();
    client.send(ASK.as_bytes()).unwrap();
    let (head, _) = client.read_final_head().unwrap();
    assert_eq!((head.field("connection"), head.field("upgrade")), (Some("Upgrade"), Some("websocket")));
    assert_eq!((head.field("x-end"), head.field("content-length")), (Some("1"), None), "{head:?}");
    for message in ["one", "two"] {
        client.send(message.as_bytes()).unwrap();
        assert_eq!(client.read_bytes(3).unwrap(), message.as_bytes());
    }
    client.half_close().unwrap();
    client.assert_ends();
    let asked = Head::parse(&origin.received(0));
    assert_eq!((asked.values("connection"), asked.values("upgrade")), (vec!["Upgrade"], vec!["websocket"]));
    let record = ringway.record_of("/chat");
    assert_eq!((record["status"].as_u64(), record["outcome"].as_str()), (Some(101), Some("completed")), "{record}");
    assert_eq!((record["bytes_in"].as_u64(), record["bytes_out"].as_u64()), (Some(6), Some(6)), "{record}");
}

#[test]
fn bytes_ahead_of_the_101_wait_for_it() {
    // Premature upgrade: CVE-2026-2833, CVE-2024-23326.
    let (asked, decided) = (Gate::new(), Gate::new());
    let origin = Origin::start({
        let (asked, decided) = (asked.clone(), decided.clone());
        move |peer, number| {
            peer.read_head()?;
            if number > 0 {
                return peer.send(OK.as_bytes());
            }
            asked.open();
            decided.wait();
            assert!(peer.is_idle(), "nothing follows the request before the tunnel is open");
            peer.send(SWITCH)?;
            echo(peer)
        }
    });
    let ringway = before(&origin);
    let mut client = ringway.connect();
    client.send(format!("{ASK}first").as_bytes()).unwrap();
    asked.wait();
    client.send(b" second").unwrap();
    // Whatever the proxy would do with those bytes it has done when it has answered a later request.
    assert_eq!(ringway.connect().exchange("GET", &standard::get("/")).unwrap().status(), 200);
    decided.open();
    assert_eq!(client.read_final_head().unwrap().0.status(), 101);
    assert_eq!(client.read_bytes(12).unwrap(), b"first second");
}

#[test]
fn an_upstream_that_declines_leaves_an_ordinary_connection() {
    for answer in [
        OK,
        "HTTP/1.1 200 OK\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 2\r\n\r\nok",
        "HTTP/1.1 426 Upgrade Required\r\nContent-Length: 2\r\n\r\nok",
    ] {
        let origin = answering(answer);
        let ringway = before(&origin);
        let mut client = ringway.connect();
        // What follows is the next request, not the tunnel's.
        client.send(format!("{ASK}GET /next HTTP/1.1\r\nHost: test\r\n\r\n").as_bytes()).unwrap();
        for path in ["/chat", "/next"] {
            let response = client.read_response("GET").unwrap();
            assert_eq!((response.text().as_str(), response.head.field("upgrade")), ("ok", None), "{path}");
        }
        assert_eq!((origin.accepted(), client.is_idle()), (1, true), "both connections go on");
    }
}

#[test]
fn a_101_that_nobody_asked_for_is_a_bad_gateway() {
    let origin = switching(echo);
    let ringway = before(&origin);
    for request in [
        "GET / HTTP/1.1\r\nHost: test\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: test\r\nUpgrade: websocket\r\n\r\n",
        "GET / HTTP/1.0\r\nHost: test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
        "HEAD / HTTP/1.1\r\nHost: test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: test\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 1\r\n\r\nx",
    ] {
        let method = request.split(' ').next().unwrap();
        let response = ringway.connect().exchange(method, request.as_bytes()).unwrap();
        assert_eq!(response.status(), 502, "{request}");
    }
    let asked = String::from_utf8(origin.received_all()).unwrap().to_ascii_lowercase();
    assert!(!asked.contains("upgrade"), "{asked}");
}

#[test]
fn a_101_to_another_protocol_is_a_bad_gateway() {
    let origin = answering("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n");
    let ringway = before(&origin);
    assert_eq!(ringway.connect().exchange("GET", ASK.as_bytes()).unwrap().status(), 502);
    ringway.assert_outcome("/chat", &["upstream_malformed"]);
}

#[test]
fn a_route_names_the_protocols_that_it_allows() {
    let origin = standard::start();
    let config = Config::to(origin.address()).route_option("upgrades", "[\"mqtt\", \"x/1\"]");
    let ringway = start(config.route(None, "/none", "app").route_option("upgrades", "[]"));
    let offered = |path: &str, protocols: &str| {
        let before = origin.received_all().len();
        let request = format!("GET {path} HTTP/1.1\r\nHost: t\r\nConnection: Upgrade\r\nUpgrade: {protocols}\r\n\r\n");
        assert_eq!(ringway.connect().exchange("GET", request.as_bytes()).unwrap().status(), 200);
        Head::parse(&origin.received_all()[before..]).values("upgrade").join(", ")
    };
    assert_eq!(offered("/", "websocket"), "");
    assert_eq!(offered("/", "h2c, X/1 , mqtt"), "X/1", "the client's favourite among those that are allowed");
    assert_eq!(offered("/", "MQTT"), "MQTT");
    assert_eq!(offered("/none", "mqtt, websocket"), "");
}

#[test]
fn each_side_may_end_before_the_other() {
    let origin = switching(|peer| {
        peer.send(b"greeting")?;
        peer.half_close()?;
        let rest = peer.read_to_end()?;
        assert_eq!(rest, b"after the end of the other side");
        Ok(())
    });
    let ringway = before(&origin);
    let mut client = tunnel(&ringway);
    assert_eq!(client.read_to_end().unwrap(), b"greeting");
    client.send(b"after the end of the other side").unwrap();
    client.half_close().unwrap();
    ringway.assert_outcome("/chat", &["completed"]);
    origin.wait_until_closed();
}

#[test]
fn a_reset_of_either_side_ends_the_tunnel() {
    let origin = switching(|peer| peer.read_to_end().map(drop));
    let ringway = before(&origin);
    let descriptors = ringway.process().descriptors();
    tunnel(&ringway).reset().unwrap();
    ringway.assert_outcome("/chat", &["client_gone"]);
    origin.wait_until_closed();
    let origin = switching(|peer| peer.reset_on_drop());
    let ringway = before(&origin);
    tunnel(&ringway).assert_ends();
    ringway.assert_outcome("/chat", &["upstream_gone"]);
    ringway.wait_for_descriptors(descriptors);
}

#[test]
fn bytes_that_pour_both_ways_arrive_whole_and_small_ones_after_them() {
    const LENGTH: u64 = 30_000_000;
    let origin = switching(|peer| {
        let mut writer = peer.second();
        let sending = thread::spawn(move || writer.send_pattern(0, LENGTH));
        let mut check = pattern::Check::default();
        peer.read_body(kit::Framing::Length(LENGTH), &mut |piece| check.update(piece))?;
        check.assert_whole(LENGTH);
        sending.join().expect("the writer does not panic")?;
        echo(peer)
    });
    let ringway = before(&origin);
    let mut client = tunnel(&ringway);
    let mut writer = client.second();
    let sending = thread::spawn(move || writer.send_pattern(0, LENGTH));
    let mut check = pattern::Check::default();
    client.read_body(kit::Framing::Length(LENGTH), &mut |piece| check.update(piece)).unwrap();
    check.assert_whole(LENGTH);
    sending.join().unwrap().unwrap();
    for number in 0..20 {
        let message = format!("message {number:02}");
        client.send(message.as_bytes()).unwrap();
        assert_eq!(client.read_bytes(message.len()).unwrap(), message.as_bytes());
    }
    client.half_close().unwrap();
    client.assert_ends();
    let record = ringway.record_of("/chat");
    assert_eq!((record["bytes_in"].as_u64(), record["bytes_out"].as_u64()), (Some(LENGTH + 200), Some(LENGTH + 200)));
    assert!(ringway.stop_and_count()["ring_bytes_spliced"] > LENGTH / 10, "what pours is spliced");
}

#[test]
fn a_side_that_does_not_read_stops_the_other() {
    let read = Gate::new();
    let origin = switching({
        let read = read.clone();
        move |peer| {
            read.wait();
            let mut check = pattern::Check::default();
            peer.read_body(kit::Framing::UntilClose, &mut |piece| check.update(piece))?;
            check.assert_whole(40_000_000);
            peer.send(b"done")
        }
    });
    let ringway = before(&origin);
    let mut client = tunnel(&ringway);
    let memory = ringway.process().memory_bytes();
    let mut writer = client.second();
    let sending = thread::spawn(move || writer.send_pattern(0, 40_000_000));
    // Other clients are served meanwhile; by then the tunnel has taken all that it takes.
    for _ in 0..20 {
        assert_eq!(ringway.connect().exchange("GET", b"GET / HTTP/1.1\r\n\r\n").unwrap().status(), 400);
    }
    let grown = ringway.process().memory_bytes().saturating_sub(memory);
    assert!(grown < 8 << 20, "{grown} bytes more for a tunnel that stands still");
    read.open();
    sending.join().unwrap().unwrap();
    client.half_close().unwrap();
    assert_eq!(client.read_to_end().unwrap(), b"done");
}

#[test]
fn a_tunnel_without_a_byte_is_closed_and_any_byte_keeps_it() {
    let origin = switching(echo);
    let ringway = start(Config::to(origin.address()).timeout("tunnel_idle", "600ms").timeout("body_idle", "100ms"));
    let mut client = tunnel(&ringway);
    for _ in 0..5 {
        // The pace of the pings, longer in sum than the limit.
        thread::sleep(Duration::from_millis(200));
        client.send(b"\x89\0").unwrap();
        assert_eq!(client.read_bytes(2).unwrap(), b"\x89\0");
    }
    client.assert_ends();
    origin.wait_until_closed();
    ringway.assert_outcome("/chat", &["tunnel_idle"]);
    let counts = ringway.stop_and_count();
    assert_eq!((counts["tunnels"], counts["exchanges{tunnel_idle}"]), (1, 1));
}

#[test]
fn a_drain_leaves_tunnels_their_time_and_no_more() {
    let origin = switching(echo);
    let mut ringway = start(Config::to(origin.address()).timeout("drain", "500ms"));
    let mut client = tunnel(&ringway);
    let mut idle = ringway.connect();
    ringway.terminate();
    idle.assert_ends();
    client.send(b"still").unwrap();
    assert_eq!(client.read_bytes(5).unwrap(), b"still");
    client.assert_ends();
    assert_eq!(ringway.wait().code(), Some(0));
    let record = ringway.record_of("/chat");
    assert_eq!(
        (record["status"].as_u64(), record["outcome"].as_str()),
        (Some(101), Some("request_timeout")),
        "{record}"
    );
    assert_eq!(record["limit"].as_str(), Some("timeouts.drain"), "{record}");
    assert_eq!((record["bytes_in"].as_u64(), record["bytes_out"].as_u64()), (Some(5), Some(5)), "{record}");
}

#[test]
fn connect_is_refused_where_no_route_allows_it() {
    let origin = standard::start();
    let ringway = before(&origin);
    let mut client = ringway.connect();
    let response = client.exchange("GET", b"CONNECT test:443 HTTP/1.1\r\nHost: test:443\r\n\r\nGET / HTTP/1.1\r\n\r\n");
    assert_eq!(response.unwrap().status(), 501);
    client.assert_ends();
    assert_eq!(origin.accepted(), 0);
}

#[test]
fn connect_goes_to_the_upstream_of_a_route_that_allows_it() {
    let origin = Origin::start(|peer, number| {
        let head = peer.read_head()?.expect("a request");
        assert_eq!((head.method(), head.target(), head.field("host")), ("CONNECT", "test:443", Some("test:443")));
        if number > 0 {
            peer.send(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno")?;
            return peer.read_to_end().map(drop);
        }
        assert!(peer.is_idle(), "nothing before the answer");
        peer.send(b"HTTP/1.1 200 Connected\r\nContent-Length: 5\r\n\r\n")?;
        echo(peer)
    });
    let ringway = start(Config::to(origin.address()).route_option("connect", "true"));
    const CONNECT: &[u8] = b"CONNECT test:443 HTTP/1.1\r\nHost: test:443\r\n\r\n";
    let mut client = ringway.connect();
    client.send(CONNECT).unwrap();
    let (head, _) = client.read_final_head().unwrap();
    assert_eq!((head.status(), head.field("content-length")), (200, None), "RFC 9110 §9.3.6");
    client.send(b"hello").unwrap();
    assert_eq!(client.read_bytes(5).unwrap(), b"hello");
    client.half_close().unwrap();
    client.assert_ends();

    let mut declined = ringway.connect();
    declined.send(&[CONNECT, b"GET /ahead HTTP/1.1\r\nHost: test\r\n\r\n"].concat()).unwrap();
    let response = declined.read_response("GET").unwrap();
    assert_eq!((response.status(), response.text().as_str()), (403, "no"));
    declined.assert_ends();
    let body = b"CONNECT test:443 HTTP/1.1\r\nHost: test:443\r\nContent-Length: 1\r\n\r\nx";
    assert_eq!(ringway.connect().exchange("GET", body).unwrap().status(), 400);
}

#[test]
fn pythons_websockets_speak_through_the_tunnel() {
    let server = WebSocketServer::start();
    let ringway = start(Config::to(server.address()).shards(2));
    websockets::speak(&ringway.url("/chat"), Messages::Compressed);
}
