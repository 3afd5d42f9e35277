//! What passes through: interim responses, trailers, and responses that have no body.

use kit::{Origin, standard};

use crate::before;

#[test]
fn a_client_that_expects_100_gets_it_from_the_origin() {
    // RFC 9110 §10.1.1.
    let origin = Origin::start(|peer, _| {
        let head = peer.read_head()?.expect("a request");
        assert_eq!(head.field("expect"), Some("100-continue"));
        peer.send(b"HTTP/1.1 100 Continue\r\n\r\n")?;
        let mut body = Vec::new();
        peer.read_body(head.request_framing(), &mut |piece| body.extend_from_slice(piece))?;
        assert_eq!(body, b"hello");
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    });
    let ringway = before(&origin);
    let mut client = ringway.connect();
    client.send(b"POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n").unwrap();
    let interim = client.read_head().unwrap().expect("an interim response");
    assert_eq!(interim.status(), 100);
    client.send(b"hello").unwrap();
    assert_eq!(client.read_response("POST").unwrap().text(), "ok");
}

#[test]
fn a_client_that_expects_100_may_be_refused_without_sending_its_body() {
    let origin = Origin::start(|peer, _| {
        peer.read_head()?;
        peer.send(b"HTTP/1.1 417 No\r\nContent-Length: 4\r\n\r\nnope")?;
        peer.read_to_end().map(drop)
    });
    let ringway = before(&origin);
    let mut client = ringway.connect();
    client.send(b"POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n").unwrap();
    let response = client.read_response("POST").unwrap();
    assert_eq!((response.status(), response.text()), (417, "nope".to_owned()));
    assert!(response.interim.is_empty());
}

#[test]
fn interim_responses_are_passed_on_in_order() {
    // RFC 9110 §15.2, RFC 8297.
    let origin = Origin::start(|peer, _| {
        peer.read_request()?;
        peer.send(b"HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n")?;
        peer.send(b"HTTP/1.1 103 Early Hints\r\nLink: </b.css>; rel=preload\r\n\r\n")?;
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    });
    let ringway = before(&origin);
    let response = ringway.connect().exchange("GET", &standard::get("/")).unwrap();
    assert_eq!(response.text(), "ok");
    let statuses: Vec<_> = response.interim.iter().map(kit::Head::status).collect();
    assert_eq!(statuses, [102, 103, 103]);
    assert_eq!(response.interim[2].field("link"), Some("</b.css>; rel=preload"));
}

#[test]
fn a_client_of_http_1_0_gets_no_interim_response() {
    // RFC 9110 §15.2.
    let origin = Origin::start(|peer, _| {
        peer.read_request()?;
        peer.send(b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    });
    let ringway = before(&origin);
    let response = ringway.connect().exchange("GET", b"GET / HTTP/1.0\r\nHost: test\r\n\r\n").unwrap();
    assert_eq!(response.text(), "ok");
    assert!(response.interim.is_empty());
}

#[test]
fn trailers_of_a_request_reach_the_origin() {
    // RFC 9112 §7.1.2.
    let origin = standard::start();
    let ringway = before(&origin);
    let request = b"POST /length/1 HTTP/1.1\r\nHost: test\r\nTrailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n\
                    5\r\nhello\r\n0\r\nX-Sum: 42\r\nX-More: yes\r\n\r\n";
    let response = ringway.connect().exchange("POST", request).unwrap();
    assert_eq!(response.head.values("x-saw-trailer"), ["X-Sum: 42", "X-More: yes"]);
    assert!(response.head.values("x-saw").contains(&"Trailer: X-Sum"));
}

#[test]
fn trailers_of_a_response_reach_the_client() {
    let origin = Origin::start(|peer, _| {
        while peer.read_request()?.is_some() {
            peer.send(b"HTTP/1.1 200 OK\r\nTrailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n")?;
            peer.send(b"5\r\nhello\r\n0\r\nX-Sum: 42\r\n\r\n")?;
        }
        Ok(())
    });
    let ringway = before(&origin);
    let mut client = ringway.connect();
    for _ in 0..2 {
        let response = client.exchange("GET", &standard::get("/")).unwrap();
        assert_eq!(response.text(), "hello");
        assert_eq!(response.trailers, [("X-Sum".to_owned(), "42".to_owned())]);
    }
}

#[test]
fn a_response_without_a_body_is_one_whatever_its_fields_say() {
    // RFC 9112 §6.3: the answer to HEAD, 204 and 304 end with their heads.
    let origin = Origin::start(|peer, _| {
        while let Some(request) = peer.read_request()? {
            let status = if request.head.method() == "HEAD" { "200 OK" } else { "304 Not Modified" };
            peer.send(format!("HTTP/1.1 {status}\r\nContent-Length: 1000\r\nETag: \"x\"\r\n\r\n").as_bytes())?;
        }
        Ok(())
    });
    let ringway = before(&origin);
    let mut client = ringway.connect();
    for method in ["HEAD", "GET", "HEAD", "GET"] {
        let request = format!("{method} / HTTP/1.1\r\nHost: test\r\n\r\n");
        let response = client.exchange(method, request.as_bytes()).unwrap();
        assert_eq!(response.head.field("content-length"), Some("1000"), "{:?}", response.head);
        assert!(client.is_idle());
    }
    assert_eq!(origin.accepted(), 1);
}

#[test]
fn the_reason_phrase_passes_and_may_be_missing() {
    let origin = Origin::start(|peer, _| {
        peer.read_request()?;
        peer.send(b"HTTP/1.1 299 My Own Reason\r\nContent-Length: 0\r\n\r\n")?;
        peer.read_request()?;
        peer.send(b"HTTP/1.1 299 \r\nContent-Length: 0\r\n\r\n")
    });
    let ringway = before(&origin);
    let mut client = ringway.connect();
    let response = client.exchange("GET", &standard::get("/")).unwrap();
    assert_eq!(response.head.start_line, "HTTP/1.1 299 My Own Reason");
    assert_eq!(client.exchange("GET", &standard::get("/")).unwrap().head.start_line, "HTTP/1.1 299 ");
}

#[test]
fn a_body_of_unknown_length_goes_in_chunks_or_until_the_end() {
    let origin = standard::start();
    let ringway = before(&origin);
    let mut client = ringway.connect();
    client.send(&standard::get("/close/70000")).unwrap();
    let head = client.read_pattern_response("GET", 70_000).unwrap();
    assert_eq!(head.field("content-length"), None);
    let mut old = ringway.connect();
    old.send(b"GET /chunked/70000 HTTP/1.0\r\nHost: test\r\n\r\n").unwrap();
    let head = old.read_pattern_response("GET", 70_000).unwrap();
    assert_eq!(head.field("transfer-encoding"), None, "RFC 9112 §6.1: not to a client of HTTP/1.0");
    old.assert_ends();
}

#[test]
fn a_first_piece_of_a_response_does_not_wait_for_the_next() {
    let gate = kit::Gate::new();
    let origin = Origin::start({
        let gate = gate.clone();
        move |peer, _| {
            peer.read_request()?;
            peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n")?;
            gate.wait();
            peer.send(b"6\r\nsecond\r\n0\r\n\r\n")
        }
    });
    let ringway = before(&origin);
    let mut client = ringway.connect();
    client.send(&standard::get("/")).unwrap();
    let (head, _) = client.read_final_head().unwrap();
    let mut body = Vec::new();
    client
        .read_body(head.response_framing("GET"), &mut |piece| {
            body.extend_from_slice(piece);
            if body == b"first" {
                gate.open();
            }
        })
        .unwrap();
    assert_eq!(body, b"firstsecond");
}

#[test]
fn a_first_piece_of_a_request_does_not_wait_for_the_next() {
    let gate = kit::Gate::new();
    let origin = Origin::start({
        let gate = gate.clone();
        move |peer, _| {
            let head = peer.read_head()?.expect("a request");
            let mut received = 0;
            peer.read_body(head.request_framing(), &mut |piece| {
                received += piece.len();
                gate.open();
            })?;
            peer.send(format!("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{received}").as_bytes())
        }
    });
    let ringway = before(&origin);
    let mut client = ringway.connect();
    client.send(b"POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 10\r\n\r\nfirst").unwrap();
    gate.wait();
    client.send(b"later").unwrap();
    assert_eq!(client.read_response("POST").unwrap().text(), "10");
}
