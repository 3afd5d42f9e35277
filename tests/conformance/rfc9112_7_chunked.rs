//! RFC 9112 §7.1: the chunked coding. It is decoded and encoded anew, never forwarded as it came.

use crate::judge::{Judge, with_chunks};

#[test]
fn a_malformed_chunk_breaks_the_request_off() {
    let judge = Judge::start();
    for body in [
        "5 \r\nhello\r\n0\r\n\r\n",
        " 5\r\nhello\r\n0\r\n\r\n",
        "0x5\r\nhello\r\n0\r\n\r\n",
        "+5\r\nhello\r\n0\r\n\r\n",
        "-5\r\nhello\r\n0\r\n\r\n",
        "g\r\nhello\r\n0\r\n\r\n",
        "\r\nhello\r\n0\r\n\r\n",
        ";x=y\r\nhello\r\n0\r\n\r\n",
        "5,\r\nhello\r\n0\r\n\r\n",
        "5_0\r\nhello\r\n0\r\n\r\n",
        "5\nhello\r\n0\r\n\r\n",
        "5\rhello\r\n0\r\n\r\n",
        "5\r\nhello\n0\r\n\r\n",
        "5\r\nhello\r0\r\n\r\n",
        "5\r\nhelloX\r\n0\r\n\r\n",
        "5\r\nhell\r\n0\r\n\r\n",
        "5\r\nhello0\r\n\r\n",
        "5\r\nhello\r\n\r\n0\r\n\r\n",
        "5\r\nhello\r\n0\n\r\n",
        "5\r\nhello\r\n0\r\n\n",
        "5\r\nhello\r\n0\r\nX",
    ] {
        // The last one is malformed only by what follows it.
        let body = if body.ends_with('X') { format!("{body}\r\n\r\n") } else { body.to_owned() };
        judge.breaks_off(&body.escape_debug().to_string(), &with_chunks(&body));
    }
}

#[test]
fn a_chunk_size_does_not_overflow() {
    let judge = Judge::start();
    for size in [
        "10000000000000000",
        "10000000000000005",
        "ffffffffffffffff0",
        "100000000000000000000000000000005",
        "fffffffffffffffffffffffffffffffffff",
    ] {
        judge.breaks_off(size, &with_chunks(&format!("{size}\r\nhello\r\n0\r\n\r\n")));
    }
    let zeros = "0".repeat(100_000) + "5\r\nhello\r\n0\r\n\r\n";
    judge.breaks_off("a size of 100,000 digits", &with_chunks(&zeros));
}

#[test]
fn chunk_extensions_are_dropped() {
    // RFC 9112 §7.1.1. CVE-2025-55315.
    let judge = Judge::start();
    for body in [
        "5;a=b\r\nhello\r\n0\r\n\r\n",
        "5;a=\"b c;d\"\r\nhello\r\n0;z\r\n\r\n",
        "2;a\r\nhe\r\n3;b;c=d\r\nllo\r\n0\r\n\r\n",
    ] {
        let before = judge.received().len();
        assert_eq!(judge.forwards(body, &with_chunks(body)).body, b"hello");
        let received = String::from_utf8(judge.received().split_off(before)).unwrap();
        assert!(!received.split("\r\n\r\n").nth(1).unwrap_or_default().contains(';'), "{received}");
    }
}

#[test]
fn chunk_extensions_are_bounded_and_have_no_controls() {
    let judge = Judge::start();
    for extension in ["a\nb", "a\rb", "a\0b", "a=\"\n\"", "a=\"\r\n\""] {
        let body = format!("5;{extension}\r\nhello\r\n0\r\n\r\n");
        judge.breaks_off(&body.escape_debug().to_string(), &with_chunks(&body));
    }
    let long = format!("5;{}\r\nhello\r\n0\r\n\r\n", "a".repeat(200_000));
    judge.breaks_off("an extension of 200,000 bytes", &with_chunks(&long));
    // Small chunks with large extensions cost a recipient much and carry little.
    let many = format!("1;{}\r\nx\r\n", "a".repeat(200)).repeat(5_000) + "0\r\n\r\n";
    judge.breaks_off("a megabyte of extensions", &with_chunks(&many));
}

#[test]
fn sizes_are_read_in_either_case_and_with_leading_zeros() {
    let judge = Judge::start();
    for (body, length) in [
        ("A\r\n0123456789\r\n0\r\n\r\n", 10),
        ("a\r\n0123456789\r\n0\r\n\r\n", 10),
        ("000a\r\n0123456789\r\n000\r\n\r\n", 10),
        ("1\r\n0\r\n9\r\n123456789\r\n0\r\n\r\n", 10),
        ("0\r\n\r\n", 0),
    ] {
        let received = judge.forwards(body, &with_chunks(body));
        assert_eq!(received.body, &b"0123456789"[..length], "{body}");
    }
}

#[test]
fn ten_thousand_tiny_chunks_are_one_body() {
    let judge = Judge::start();
    let received = judge.forwards("tiny chunks", &with_chunks(&("1\r\nx\r\n".repeat(10_000) + "0\r\n\r\n")));
    assert_eq!(received.body, "x".repeat(10_000).into_bytes());
}

#[test]
fn a_malformed_trailer_breaks_the_request_off() {
    let judge = Judge::start();
    for trailers in ["X : y\r\n", "X y\r\n", ": y\r\n", " X: y\r\n", "X: a\r\n b\r\n", "X: a\nY: b\r\n", "X: a\0b\r\n"]
    {
        let body = format!("5\r\nhello\r\n0\r\n{trailers}\r\n");
        judge.breaks_off(&body.escape_debug().to_string(), &with_chunks(&body));
    }
    let body = format!("5\r\nhello\r\n0\r\n{}\r\n", format!("X: {}\r\n", "y".repeat(1_000)).repeat(500));
    judge.breaks_off("half a megabyte of trailers", &with_chunks(&body));
}

#[test]
fn trailers_cannot_bring_framing_routing_or_identity() {
    // RFC 9110 §6.5.1: such a field is not to be merged into the head. Refused or dropped, the origin never sees it.
    let judge = Judge::start();
    for field in [
        "Content-Length: 7",
        "Transfer-Encoding: chunked",
        "Host: other",
        "Connection: X",
        "X-Forwarded-For: 192.0.2.1",
    ] {
        let name = field.split(':').next().unwrap();
        let body = format!("5\r\nhello\r\n0\r\n{field}\r\n\r\n");
        let before = judge.received().len();
        let status = judge.connect().exchange("POST", &with_chunks(&body)).unwrap().status();
        assert!([200, 400].contains(&status), "{field}: {status}");
        let received = String::from_utf8(judge.received().split_off(before)).unwrap();
        let after_head = received.split_once("\r\n\r\n").map_or("", |(_, rest)| rest);
        assert!(!after_head.contains(name), "{field}: {received}");
    }
}

#[test]
fn what_follows_the_last_chunk_is_the_next_request() {
    let judge = Judge::start();
    let mut client = judge.connect();
    let next = "GET /next HTTP/1.1\r\nHost: test\r\n\r\n";
    client.send(&with_chunks(&format!("5\r\nhello\r\n0\r\n\r\n{next}"))).unwrap();
    for _ in 0..2 {
        assert_eq!(client.read_response("POST").unwrap().status(), 200);
    }
    assert_eq!(judge.count(), 2);
}
