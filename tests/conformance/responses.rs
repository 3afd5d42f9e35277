//! RFC 9112 §4 and §6, RFC 9110 §15: what an upstream may answer.

use kit::{Config, Message, Origin, Peer, Ringway, standard};

use crate::BINARY;

/// Gives `answer` to every request, and keeps the connection.
fn answering(answer: &[u8]) -> (Origin, Ringway) {
    let answer = answer.to_vec();
    let origin = Origin::start(move |peer, _| {
        while peer.read_request()?.is_some() {
            peer.send(&answer)?;
        }
        Ok(())
    });
    let ringway = Ringway::start(BINARY, Config::to(origin.address()));
    (origin, ringway)
}

fn ask(client: &mut Peer) -> Message {
    client.exchange("GET", &standard::get("/")).unwrap()
}

/// Demands that `answer` is not passed on, in whole or in part, and that its connection is not used again.
#[track_caller]
fn assert_bad_gateway(answer: &[u8]) {
    let (origin, ringway) = answering(answer);
    let response = ask(&mut ringway.connect());
    assert_eq!(response.status(), 502, "{}: {:?}", answer.escape_ascii(), response.head);
    origin.wait_until_closed();
}

#[test]
fn a_status_line_is_strict() {
    for line in [
        "HTTP/1.1 99 X",
        "HTTP/1.1 1000 X",
        "HTTP/1.1 2x0 X",
        "HTTP/1.1  200 X",
        "HTTP/2.0 200 X",
        "http/1.1 200 X",
        "HTTP/1.1200 X",
        "HTTP/1.1",
        "ICY 200 OK",
        "HTTP/1.1 -20 X",
        "HTTP/1.1 200 a\0b",
        "HTTP/1.1 200 a\rb",
        "HTTP/1.1 000 X",
    ] {
        assert_bad_gateway(format!("{line}\r\nContent-Length: 0\r\n\r\n").as_bytes());
    }
}

#[test]
fn fields_of_a_response_are_strict() {
    for field in ["X Y: z", ": y", "X", "X: a\0b", "X: a\rb", "X\u{1}: y"] {
        assert_bad_gateway(format!("HTTP/1.1 200 OK\r\n{field}\r\nContent-Length: 0\r\n\r\n").as_bytes());
    }
    assert_bad_gateway(b"HTTP/1.1 200 OK\nContent-Length: 0\n\n");
}

#[test]
fn the_framing_of_a_response_is_strict() {
    for fields in [
        "Content-Length: 5\r\nContent-Length: 6\r\n",
        "Content-Length: 5, 6\r\n",
        "Content-Length: +5\r\n",
        "Content-Length: -5\r\n",
        "Content-Length: 0x5\r\n",
        "Content-Length: \r\n",
        "Content-Length: 99999999999999999999\r\n",
        "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
        "Transfer-Encoding: chunked, chunked\r\n",
        "Transfer-Encoding: xchunked\r\n",
    ] {
        assert_bad_gateway(format!("HTTP/1.1 200 OK\r\n{fields}\r\n5\r\nhello\r\n0\r\n\r\n").as_bytes());
    }
}

#[test]
fn a_name_with_a_space_before_its_colon_is_not_forwarded() {
    // RFC 9112 §5.1: a proxy removes that space, or refuses.
    let (_origin, ringway) = answering(b"HTTP/1.1 200 OK\r\nX : y\r\nContent-Length: 0\r\n\r\n");
    let response = ask(&mut ringway.connect());
    match response.status() {
        200 => assert!(!String::from_utf8_lossy(&response.head.raw).contains("X :"), "{:?}", response.head),
        status => assert_eq!(status, 502),
    }
}

#[test]
fn a_folded_line_is_not_forwarded() {
    // RFC 9112 §5.2: a proxy replaces the fold by spaces, or refuses.
    let (_origin, ringway) = answering(b"HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 0\r\n\r\n");
    let response = ask(&mut ringway.connect());
    match response.status() {
        200 => assert!(!String::from_utf8_lossy(&response.head.raw).contains("\r\n b"), "{:?}", response.head),
        status => assert_eq!(status, 502),
    }
}

#[test]
fn a_switch_of_protocols_that_nobody_asked_for_is_refused() {
    // RFC 9110 §15.2.2.
    assert_bad_gateway(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n");
}

#[test]
fn a_response_of_http_1_0_goes_on_as_http_1_1() {
    // RFC 9112 §2.3: a version is of one connection.
    let (_origin, ringway) = answering(b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello");
    let response = ask(&mut ringway.connect());
    assert_eq!(response.head.start_line, "HTTP/1.1 200 OK");
    assert_eq!(response.text(), "hello");
}

#[test]
fn bytes_after_a_response_without_a_body_are_not_a_response() {
    // RFC 9112 §6.3 and §11.1: what follows 204 or 304 would answer the next request.
    for status in ["204 No Content", "304 Not Modified"] {
        let forged = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged";
        let (_origin, ringway) = answering(format!("HTTP/1.1 {status}\r\nX: y\r\n\r\n{forged}").as_bytes());
        let mut client = ringway.connect();
        for _ in 0..3 {
            let response = ask(&mut client);
            assert!(response.head.start_line.contains(status), "{:?}", response.head);
        }
    }
}

#[test]
fn a_response_before_the_request_answers_nobody() {
    // RFC 9112 §9.3: an unsolicited response ends the connection.
    let origin = Origin::start(|peer, number| {
        if number == 0 {
            peer.read_request()?;
            peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nfirst")?;
            peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged")?;
            return peer.read_to_end().map(drop);
        }
        while peer.read_request()?.is_some() {
            peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nsecond")?;
        }
        Ok(())
    });
    let ringway = Ringway::start(BINARY, Config::to(origin.address()));
    let mut client = ringway.connect();
    assert_eq!(ask(&mut client).text(), "first");
    // Only bytes that arrive before the next request show that they answer nothing.
    origin.wait_until_closed();
    assert_eq!(ask(&mut client).text(), "second");
}

#[test]
fn a_response_without_framing_ends_with_its_connection() {
    // RFC 9112 §6.3.
    let origin = Origin::start(|peer, _| {
        peer.read_request()?;
        peer.send(b"HTTP/1.1 200 OK\r\nX: y\r\n\r\nall of this until the end")
    });
    let ringway = Ringway::start(BINARY, Config::to(origin.address()));
    assert_eq!(ask(&mut ringway.connect()).text(), "all of this until the end");
    let old = ringway.connect().exchange("GET", b"GET / HTTP/1.0\r\nHost: test\r\n\r\n").unwrap();
    assert_eq!(old.text(), "all of this until the end");
    assert_eq!(old.head.field("transfer-encoding"), None);
}

#[test]
fn trailers_of_a_response_are_strict() {
    for trailers in ["X y\r\n", ": y\r\n", "X : y\r\n"] {
        let answer = format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n{trailers}\r\n");
        let (_origin, ringway) = answering(answer.as_bytes());
        let mut client = ringway.connect();
        client.send(&standard::get("/")).unwrap();
        let (head, _) = client.read_final_head().unwrap();
        if head.status() == 200 {
            client.read_body(head.response_framing("GET"), &mut |_| {}).expect_err("a response that breaks off");
        } else {
            assert_eq!(head.status(), 502);
        }
    }
}
