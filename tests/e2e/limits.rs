//! How much a client may send, and how long it may take.

use std::time::{Duration, Instant};

use kit::{Config, Origin, Peer, eventually, standard};

use crate::{OK, answering, before, start};

/// Demands an error response that closes the connection.
#[track_caller]
fn assert_closes(mut client: Peer, method: &str, status: u16) {
    let response = client.read_response(method).unwrap();
    assert_eq!(response.status(), status, "{:?}", response.head);
    assert!(response.head.lists("connection", "close"), "{:?}", response.head);
    assert!(response.body.len() < 1_000);
    client.assert_ends();
}

#[test]
fn a_head_larger_than_the_limit_is_431() {
    // The standard origin would send the fields back, and its response would be too large in turn.
    let origin = answering(OK);
    let ringway = start(Config::to(origin.address()).limit("head_bytes", "\"8KiB\""));
    let request = |filler: usize| format!("GET /length/1 HTTP/1.1\r\nHost: test\r\nX: {}\r\n\r\n", "f".repeat(filler));
    let mut client = ringway.connect();
    assert_eq!(client.exchange("GET", request(7_900).as_bytes()).unwrap().status(), 200, "a head below the limit");
    client.send(request(8_200).as_bytes()).unwrap();
    assert_closes(client, "GET", 431);

    let mut endless = ringway.connect();
    endless.send(b"GET / HTTP/1.1\r\n").unwrap();
    for n in 0..400 {
        // The proxy may close before everything is sent.
        let _ = endless.send(format!("X-{n}: {}\r\n", "f".repeat(30)).as_bytes());
    }
    assert_closes(endless, "GET", 431);
    assert_eq!(origin.accepted(), 1);
}

#[test]
fn the_limit_on_a_head_may_be_larger_than_any_buffer() {
    let origin = standard::start();
    let ringway = start(Config::to(origin.address()).limit("head_bytes", "\"256KiB\"").limit("fields", 900));
    let filler = format!("X-Filler: {}\r\n", "f".repeat(1_000)).repeat(200);
    let request = format!("GET /length/1 HTTP/1.1\r\nHost: test\r\n{filler}\r\n");
    let mut client = ringway.connect();
    // The standard origin sends the fields back: the response's head is as large.
    assert_eq!(client.exchange("GET", request.as_bytes()).unwrap().status(), 200);
    assert_eq!(client.exchange("GET", &standard::get("/length/1")).unwrap().status(), 200);
}

#[test]
fn more_fields_than_the_limit_are_431() {
    let origin = answering(OK);
    let ringway = start(Config::to(origin.address()).limit("fields", 20));
    let request = |fields: usize| format!("GET /length/1 HTTP/1.1\r\nHost: test\r\n{}\r\n", "X: y\r\n".repeat(fields));
    let mut client = ringway.connect();
    assert_eq!(client.exchange("GET", request(15).as_bytes()).unwrap().status(), 200);
    client.send(request(20).as_bytes()).unwrap();
    assert_closes(client, "GET", 431);
}

#[test]
fn a_request_line_larger_than_the_limit_is_414() {
    let origin = standard::start();
    let ringway = start(Config::to(origin.address()).limit("head_bytes", "\"8KiB\""));
    let mut client = ringway.connect();
    client.send(format!("GET /{} HTTP/1.1\r\nHost: test\r\n\r\n", "x".repeat(9_000)).as_bytes()).unwrap();
    assert_closes(client, "GET", 414);
    let mut client = ringway.connect();
    client.send(format!("GET /{}", "x".repeat(9_000)).as_bytes()).unwrap();
    assert_closes(client, "GET", 414);
}

#[test]
fn a_body_larger_than_the_limit_is_413() {
    let origin = standard::start();
    let ringway = start(Config::to(origin.address()).limit("body_bytes", "\"1KiB\""));
    for framing in ["Content-Length: 1024\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\n400\r\n"] {
        let end = if framing.starts_with('T') { "\r\n0\r\n\r\n" } else { "" };
        let body = "x".repeat(1_024);
        let request = format!("POST /length/1 HTTP/1.1\r\nHost: test\r\n{framing}{body}{end}");
        assert_eq!(ringway.connect().exchange("POST", request.as_bytes()).unwrap().status(), 200, "{framing}");
    }
    let mut client = ringway.connect();
    client.send(b"POST /length/1 HTTP/1.1\r\nHost: test\r\nContent-Length: 1025\r\n\r\n").unwrap();
    assert_closes(client, "POST", 413);
    let mut client = ringway.connect();
    client.send(b"POST /length/1 HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n").unwrap();
    let _ = client.send_pattern_chunked(5_000, 500);
    assert_closes(client, "POST", 413);
}

#[test]
fn a_chunk_that_would_exceed_the_limit_is_refused_before_its_data_come() {
    let origin = standard::start();
    // Nothing but the announcement can end the exchange so soon.
    let config = Config::to(origin.address()).limit("body_bytes", "\"1KiB\"").timeout("body_idle", "1h");
    let ringway = start(config.timeout("head", "1h"));
    let chunk = |bytes: usize| format!("{bytes:x}\r\n{}\r\n", "x".repeat(bytes));
    for (before, announced) in [
        (String::new(), "401"),
        (String::new(), "401;extension=1"),
        (String::new(), "ffffffffffffffff"),
        (chunk(1_000), "19"),
        (chunk(1_024), "1"),
        (chunk(1) + &chunk(2), "ffffffffffffffff"),
    ] {
        let head = "PUT /length/1 HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n";
        let request = format!("{head}{before}{announced}\r\n");
        for pieces in [1, request.len().min(300)] {
            let mut client = ringway.connect();
            client.send_in_pieces(request.as_bytes(), pieces).unwrap();
            assert_closes(client, "PUT", 413);
        }
    }
    let record = ringway.record_of("/length/1");
    assert_eq!((&record["outcome"], &record["limit"]), (&"client_too_large".into(), &"limits.body_bytes".into()));
    let received = String::from_utf8(origin.received_all()).unwrap();
    assert!(
        !received.contains("401") && !received.contains("ffff"),
        "the chunk was announced to the origin: {received}"
    );
    // Chunks that fill the limit to its last byte pass.
    let request =
        format!("PUT / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n{}{}", chunk(1_000), chunk(24));
    let response = ringway.connect().exchange("PUT", format!("{request}0\r\n\r\n").as_bytes()).unwrap();
    assert_eq!(response.status(), 200);
    drop(origin);
    assert_eq!(ringway.stop_and_count()["limits{limits.body_bytes}"], 12);
}

#[test]
fn a_head_that_does_not_end_in_time_is_408() {
    let origin = standard::start();
    let ringway = start(Config::to(origin.address()).timeout("head", "300ms"));
    let mut client = ringway.connect();
    let begun = Instant::now();
    client.send(b"GET / HTTP/1.1\r\nHost: te").unwrap();
    assert_closes(client, "GET", 408);
    assert!(begun.elapsed() >= Duration::from_millis(290), "the time-out is not shorter than configured");
    assert_eq!(origin.accepted(), 0);
}

#[test]
fn progress_does_not_extend_the_time_of_a_head() {
    let ringway = start(Config::to("127.0.0.1:9").timeout("head", "300ms"));
    let mut client = ringway.connect();
    let begun = Instant::now();
    client.send(b"GET / HTTP/1.1\r\n").unwrap();
    while client.is_idle() && begun.elapsed() < Duration::from_secs(10) {
        // A client's own pace: one field every 50 ms would go on for ever.
        std::thread::sleep(Duration::from_millis(50));
        let _ = client.send(b"X: y\r\n");
    }
    assert!(begun.elapsed() < Duration::from_secs(3), "the head went on for {:?}", begun.elapsed());
}

#[test]
fn a_second_head_that_does_not_end_in_time_is_408() {
    let origin = standard::start();
    let ringway = start(Config::to(origin.address()).timeout("head", "300ms"));
    let mut client = ringway.connect();
    assert_eq!(client.exchange("GET", &standard::get("/length/1")).unwrap().status(), 200);
    client.send(b"GET /second HT").unwrap();
    assert_closes(client, "GET", 408);
}

#[test]
fn an_idle_connection_is_closed_without_a_word() {
    let origin = standard::start();
    let ringway = start(Config::to(origin.address()).timeout("head", "200ms").timeout("keep_alive", "200ms"));
    ringway.connect().assert_ends();
    let mut client = ringway.connect();
    assert_eq!(client.exchange("GET", &standard::get("/length/1")).unwrap().status(), 200);
    client.assert_ends();
}

#[test]
fn a_connection_in_use_outlives_the_time_of_an_idle_one() {
    let origin = standard::start();
    let ringway = start(Config::to(origin.address()).timeout("keep_alive", "300ms"));
    let mut client = ringway.connect();
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_millis(900) {
        assert_eq!(client.exchange("GET", &standard::get("/length/1")).unwrap().status(), 200);
        // The client's own pace, below the time-out.
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn beyond_the_limit_connections_wait_until_others_close() {
    let origin = standard::start();
    let ringway = start(Config::to(origin.address()).limit("connections", 4));
    let mut held: Vec<Peer> = (0..4).map(|_| ringway.connect()).collect();
    for client in &mut held {
        // The harness's own first connection may still count: each must have been accepted before the next test step.
        assert_eq!(client.exchange("GET", &standard::get("/length/1")).unwrap().status(), 200);
    }
    let mut waiting = ringway.connect();
    waiting.send(&standard::get("/length/2")).unwrap();
    assert_eq!(held[0].exchange("GET", &standard::get("/length/1")).unwrap().status(), 200);
    assert!(waiting.is_idle(), "the connection beyond the limit is served");
    held.pop();
    assert_eq!(waiting.read_response("GET").unwrap().body.len(), 2);
    assert!(ringway.stop_and_count()["limits{limits.connections}"] >= 1);
}

#[test]
fn many_idle_connections_close_in_their_time_and_leave_nothing() {
    let origin = standard::start();
    let ringway = start(Config::to(origin.address()).timeout("head", "1s").timeout("keep_alive", "1s"));
    let descriptors = ringway.process().descriptors();
    let clients: Vec<Peer> = (0..500).map(|_| ringway.connect()).collect();
    eventually("all connections are accepted", || ringway.process().descriptors() >= descriptors + 499);
    ringway.wait_for_descriptors(descriptors);
    for mut client in clients {
        client.assert_ends();
    }
}

#[test]
fn an_unread_flood_of_errors_does_not_stop_the_proxy() {
    let origin = standard::start();
    let ringway = before(&origin);
    let bad: Vec<Peer> = (0..300)
        .map(|_| {
            let mut client = ringway.connect();
            let _ = client.send(b"NONSENSE\r\n\r\n");
            client
        })
        .collect();
    assert_eq!(ringway.connect().exchange("GET", &standard::get("/length/1")).unwrap().status(), 200);
    drop(bad);
}

#[test]
fn a_target_larger_than_its_limit_is_414() {
    let origin = answering(OK);
    let ringway = start(Config::to(origin.address()).limit("uri_bytes", "\"100B\""));
    let request = |bytes: usize| format!("GET /{} HTTP/1.1\r\nHost: test\r\n\r\n", "x".repeat(bytes - 1));
    let mut client = ringway.connect();
    assert_eq!(client.exchange("GET", request(100).as_bytes()).unwrap().status(), 200);
    client.send(request(101).as_bytes()).unwrap();
    assert_closes(client, "GET", 414);
    assert_eq!(origin.accepted(), 1);
    assert_eq!(ringway.stop_and_count()["limits{limits.uri_bytes}"], 1);
}

#[test]
fn a_field_larger_than_its_limit_is_431_and_502_from_an_upstream() {
    let origin = Origin::start(|peer, _| {
        while let Some(request) = peer.read_request()? {
            let bytes = if request.head.target() == "/large" { 200 } else { 20 };
            let field = format!("X: {}", "y".repeat(bytes));
            peer.send(format!("HTTP/1.1 200 OK\r\n{field}\r\nContent-Length: 0\r\n\r\n").as_bytes())?;
        }
        Ok(())
    });
    let ringway = start(Config::to(origin.address()).limit("field_bytes", "\"100B\""));
    let request = |path: &str, bytes: usize| {
        format!("GET {path} HTTP/1.1\r\nHost: test\r\nX: {}\r\n\r\n", "y".repeat(bytes - 5)).into_bytes()
    };
    let mut client = ringway.connect();
    assert_eq!(client.exchange("GET", &request("/", 100)).unwrap().status(), 200);
    assert_eq!(client.exchange("GET", &request("/large", 100)).unwrap().status(), 502);
    client.send(&request("/", 101)).unwrap();
    assert_closes(client, "GET", 431);
    assert_eq!(ringway.record_of("")["limit"], "limits.field_bytes");
    assert_eq!(ringway.stop_and_count()["limits{limits.field_bytes}"], 1);
}

#[test]
fn the_last_request_of_a_connection_is_answered_as_such() {
    let origin = standard::start();
    let ringway = start(Config::to(origin.address()).limit("requests_per_connection", 3));
    let mut client = ringway.connect();
    // Pipelined, so that what follows the last one is there already.
    client.send(&standard::get("/length/1").repeat(5)).unwrap();
    for number in 1..=3 {
        let response = client.read_response("GET").unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(response.head.lists("connection", "close"), number == 3, "answer {number}: {:?}", response.head);
    }
    client.assert_ends();
    assert_eq!(ringway.stop_and_count()["limits{limits.requests_per_connection}"], 1);
}

#[test]
fn one_connection_more_than_a_client_may_have_is_closed_at_once() {
    let origin = standard::start();
    let ringway = start(Config::to(origin.address()).limit("connections_per_client", 3));
    let connect = || {
        let mut client = ringway.connect();
        client.exchange("GET", &standard::get("/length/1")).map(|_| client)
    };
    let mut held: Vec<Peer> = Vec::new();
    // The harness's own first connection may still count.
    eventually("three connections are served", || {
        held.extend(connect());
        held.len() == 3
    });
    assert!(connect().is_err(), "a fourth connection is served");
    for client in &mut held {
        assert_eq!(client.exchange("GET", &standard::get("/length/1")).unwrap().status(), 200, "the others go on");
    }
    held.pop();
    eventually("there is room again", || connect().is_ok());
    assert!(ringway.stop_and_count()["limits{limits.connections_per_client}"] >= 1);
}

#[test]
fn peers_that_speak_for_many_are_not_counted() {
    let origin = standard::start();
    let config = Config::to(origin.address()).limit("connections_per_client", 1).limit("glitches_per_client", 1);
    let ringway = start(config.set("trust", "networks", "[\"127.0.0.0/8\"]"));
    let mut held: Vec<Peer> = (0..5).map(|_| ringway.connect()).collect();
    for client in &mut held {
        client.send(b"NONSENSE\r\n\r\n").unwrap();
        assert_eq!(client.read_response("GET").unwrap().status(), 400);
    }
    assert_eq!(ringway.connect().exchange("GET", &standard::get("/length/1")).unwrap().status(), 200);
}

#[test]
fn a_whole_exchange_that_takes_too_long_is_504() {
    let gate = kit::Gate::new();
    let origin = Origin::start({
        let gate = gate.clone();
        move |peer, _| {
            peer.read_head()?;
            gate.wait();
            Ok(())
        }
    });
    let ringway = start(Config::to(origin.address()).timeout("request", "300ms"));
    let begun = Instant::now();
    let mut client = ringway.connect();
    let response = client.exchange("GET", &standard::get("/slow")).unwrap();
    assert_eq!(response.status(), 504);
    assert!(begun.elapsed() >= Duration::from_millis(290), "the time-out is not shorter than configured");
    // While the request itself is not whole, that is what took too long.
    let mut client = ringway.connect();
    client.send(b"POST /upload HTTP/1.1\r\nHost: test\r\nContent-Length: 10\r\n\r\n12345").unwrap();
    assert_closes(client, "POST", 408);
    for path in ["/slow", "/upload"] {
        let record = ringway.record_of(path);
        assert_eq!((&record["outcome"], &record["limit"]), (&"request_timeout".into(), &"timeouts.request".into()));
    }
    gate.open();
    assert_eq!(ringway.stop_and_count()["limits{timeouts.request}"], 2);
}

#[test]
fn an_answer_that_is_in_time_is_not_cut_by_the_limit_on_the_whole() {
    let origin = standard::start();
    let ringway = start(Config::to(origin.address()).timeout("request", "1s"));
    let mut client = ringway.connect();
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_millis(1_500) {
        assert_eq!(client.exchange("GET", &standard::get("/length/100000")).unwrap().body.len(), 100_000);
    }
}
