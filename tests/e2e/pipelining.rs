//! Requests that come together, and messages that come in pieces.

mod ahead;

use std::io;
use std::thread;
use std::time::Duration;

use kit::message::chunked;
use kit::{Origin, Peer, standard};

use crate::before;

/// Answers each request with its own target and body, so that a response shows which request it belongs to.
fn echo(peer: &mut Peer) -> io::Result<()> {
    while let Some(request) = peer.read_request()? {
        let body = [request.head.target().as_bytes(), b" ", &request.body].concat();
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
        let body = if request.head.method() == "HEAD" { Vec::new() } else { body };
        peer.send(&[head.as_bytes(), &body].concat())?;
    }
    Ok(())
}

#[test]
fn a_thousand_requests_in_one_write_are_answered_in_order() {
    let origin = Origin::start(|peer, _| echo(peer));
    let ringway = before(&origin);
    let requests: Vec<u8> =
        (0..1_000).flat_map(|n| format!("GET /{n} HTTP/1.1\r\nHost: test\r\n\r\n").into_bytes()).collect();
    let mut client = ringway.connect();
    client.send(&requests).unwrap();
    for n in 0..1_000 {
        let response = client.read_response("GET").unwrap();
        assert_eq!((response.status(), response.text()), (200, format!("/{n} ")));
    }
    assert!(client.is_idle());
    assert_eq!(origin.accepted(), 1, "one upstream connection serves them one after the other");
}

#[test]
fn pipelined_requests_of_all_kinds_are_answered_in_order() {
    let origin = Origin::start(|peer, _| echo(peer));
    let ringway = before(&origin);
    let (mut requests, mut expected) = (Vec::new(), Vec::new());
    for n in 0..200 {
        let body = "x".repeat(n * 37 % 6_000);
        let (method, content) = match n % 4 {
            0 => ("GET", String::new()),
            1 => ("HEAD", String::new()),
            _ => ("POST", body.clone()),
        };
        requests.extend_from_slice(format!("{method} /{n} HTTP/1.1\r\nHost: test\r\n").as_bytes());
        match n % 4 {
            2 => requests.extend_from_slice(format!("Content-Length: {}\r\n\r\n{body}", body.len()).as_bytes()),
            3 => {
                requests.extend_from_slice(b"Transfer-Encoding: chunked\r\n\r\n");
                requests.extend_from_slice(&chunked(body.as_bytes(), 500));
            }
            _ => requests.extend_from_slice(b"\r\n"),
        }
        expected.push((method, if method == "HEAD" { String::new() } else { format!("/{n} {content}") }));
    }
    let mut client = ringway.connect();
    thread::scope(|scope| {
        // Both directions at once: what is sent is more than the sockets hold, so that the answers must be read meanwhile.
        let mut reader = client.second();
        scope.spawn(move || client.send(&requests).unwrap());
        for (n, (method, text)) in expected.iter().enumerate() {
            let response = reader.read_response(method).unwrap();
            assert_eq!((response.status(), &response.text()), (200, text), "request {n}");
        }
    });
}

#[test]
fn a_last_request_that_closes_ends_the_pipeline() {
    let origin = Origin::start(|peer, _| echo(peer));
    let ringway = before(&origin);
    let mut client = ringway.connect();
    let close = "GET /2 HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n";
    let requests = format!("GET /1 HTTP/1.1\r\nHost: test\r\n\r\n{close}GET /3 HTTP/1.1\r\nHost: test\r\n\r\n");
    client.send(requests.as_bytes()).unwrap();
    assert_eq!(client.read_response("GET").unwrap().text(), "/1 ");
    let second = client.read_response("GET").unwrap();
    assert_eq!(second.text(), "/2 ");
    assert!(second.head.lists("connection", "close"), "RFC 9112 §9.6: {:?}", second.head);
    client.assert_ends();
    let received = String::from_utf8(origin.received_all()).unwrap();
    assert!(
        !received.contains("/3"),
        "RFC 9112 §9.6: a request after the one that closes is not processed: {received}"
    );
}

#[test]
fn a_request_split_at_any_byte_arrives_whole() {
    let origin = Origin::start(|peer, _| echo(peer));
    let ringway = before(&origin);
    let length = b"POST /l HTTP/1.1\r\nHost: test\r\nContent-Length: 5\r\n\r\nhello".to_vec();
    let chunked =
        b"POST /c HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n"
            .to_vec();
    let mut client = ringway.connect();
    for request in [length, chunked] {
        for at in 1..request.len() {
            send_split(&mut client, &request, at).unwrap();
            let response = client.read_response("POST").unwrap();
            assert!(response.text().ends_with(" hello"), "split at {at}: {}", response.text());
        }
        client.send_in_pieces(&request, request.len()).unwrap();
        assert!(client.read_response("POST").unwrap().text().ends_with(" hello"), "one byte at a time");
    }
}

#[test]
fn a_response_split_at_any_byte_arrives_whole() {
    const ANSWERS: [&str; 2] = [
        "HTTP/1.1 200 OK\r\nX-A: b\r\nContent-Length: 5\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\nX-T: t\r\n\r\n",
    ];
    let origin = Origin::start(|peer, _| {
        while let Some(request) = peer.read_request()? {
            let (answer, at) = request.head.target()[1..].split_once('/').expect("two numbers");
            let answer = ANSWERS[answer.parse::<usize>().expect("a number")].as_bytes();
            match at.parse().expect("a number") {
                0 => peer.send_in_pieces(answer, answer.len())?,
                at => send_split(peer, answer, at)?,
            }
        }
        Ok(())
    });
    let ringway = before(&origin);
    let mut client = ringway.connect();
    for (n, answer) in ANSWERS.iter().enumerate() {
        for at in 0..answer.len() {
            let response = client.exchange("GET", &standard::get(&format!("/{n}/{at}"))).unwrap();
            assert_eq!((response.status(), response.text()), (200, "hello".to_owned()), "answer {n} split at {at}");
        }
    }
    assert_eq!(origin.accepted(), 1);
}

#[test]
fn blank_lines_between_requests_are_skipped() {
    // RFC 9112 §2.2: at least one empty line before a request line is ignored.
    let origin = Origin::start(|peer, _| echo(peer));
    let ringway = before(&origin);
    let mut client = ringway.connect();
    client.send(b"\r\nGET /1 HTTP/1.1\r\nHost: test\r\n\r\n\r\nGET /2 HTTP/1.1\r\nHost: test\r\n\r\n").unwrap();
    assert_eq!(client.read_response("GET").unwrap().text(), "/1 ");
    assert_eq!(client.read_response("GET").unwrap().text(), "/2 ");
}

/// Sends `bytes` in two segments. The pause is no wait for anything: it makes the kernel deliver them apart.
fn send_split(peer: &mut Peer, bytes: &[u8], at: usize) -> io::Result<()> {
    peer.send(&bytes[..at])?;
    thread::sleep(Duration::from_millis(1));
    peer.send(&bytes[at..])
}
