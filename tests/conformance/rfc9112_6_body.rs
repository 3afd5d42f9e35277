//! RFC 9112 §6: how a request's body is delimited. Every disagreement here is a smuggled request.

use crate::judge::{ANSWER, Judge};

const SMUGGLED: &str = "GET /smuggled HTTP/1.1\r\nHost: test\r\n\r\n";

fn post(version: &str, fields: &str, body: &str) -> Vec<u8> {
    format!("POST /judged HTTP/{version}\r\nHost: test\r\n{fields}\r\n{body}").into_bytes()
}

#[test]
fn content_length_and_transfer_encoding_do_not_go_together() {
    // RFC 9112 §6.1 and §6.3.
    let judge = Judge::start();
    let body = format!("0\r\n\r\n{SMUGGLED}");
    for fields in [
        "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
        "transfer-encoding: Chunked\r\ncontent-length: 0\r\n",
        "Content-Length: 5\r\nTransfer-Encoding: identity\r\n",
        "Content-Length: 44\r\nX: y\r\nTransfer-Encoding: gzip, chunked\r\n",
    ] {
        judge.refuses_with(fields, &post("1.1", fields, &body), &[400, 501]);
    }
}

#[test]
fn http_1_0_has_no_transfer_encoding() {
    // RFC 9112 §6.1.
    let judge = Judge::start();
    for fields in ["Transfer-Encoding: chunked\r\n", "Connection: keep-alive\r\nTransfer-Encoding: chunked\r\n"] {
        judge.refuses_with(fields, &post("1.0", fields, "5\r\nhello\r\n0\r\n\r\n"), &[400]);
    }
}

#[test]
fn a_length_is_given_once_and_in_digits() {
    // RFC 9110 §8.6.
    let judge = Judge::start();
    for value in [
        "+5",
        "-5",
        "0x5",
        "5 5",
        "",
        "5;",
        "5.0",
        "five",
        "5,",
        ",5",
        "5, 5",
        "5, 6",
        "5\t5",
        "1e1",
        "\"5\"",
        "5\u{663}",
        "18446744073709551616",
        "99999999999999999999999999",
        "9223372036854775808000",
    ] {
        judge.refuses_with(value, &post("1.1", &format!("Content-Length: {value}\r\n"), "hello"), &[400]);
    }
    for fields in [
        "Content-Length: 5\r\nContent-Length: 6\r\n",
        "Content-Length: 5\r\nContent-Length: 5\r\n",
        "Content-Length: 0\r\ncontent-length: 5\r\n",
        "Content-Length:\r\nContent-Length: 5\r\n",
    ] {
        judge.refuses_with(fields, &post("1.1", fields, "hello!"), &[400]);
    }
}

#[test]
fn the_only_transfer_coding_is_chunked_and_it_comes_once() {
    // RFC 9112 §6.1: 501 for a coding that is not understood, 400 where chunked is not the last.
    let judge = Judge::start();
    for value in [
        "identity",
        "gzip",
        "gzip, chunked",
        "chunked, gzip",
        "chunked, chunked",
        "chunked, identity",
        "identity, chunked",
        "xchunked",
        "chunkedx",
        "chunked;q=1",
        "\"chunked\"",
        "chu nked",
        "chunked,",
        ",chunked",
        "",
        "cow",
    ] {
        let request = post("1.1", &format!("Transfer-Encoding: {value}\r\n"), "5\r\nhello\r\n0\r\n\r\n");
        judge.refuses_with(value, &request, &[400, 501]);
    }
    for fields in [
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
        "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: cow\r\nTransfer-Encoding: chunked\r\n",
    ] {
        judge.refuses_with(fields, &post("1.1", fields, "5\r\nhello\r\n0\r\n\r\n"), &[400, 501]);
    }
}

#[test]
fn chunked_is_read_in_any_case_and_with_blanks_around_it() {
    let judge = Judge::start();
    for value in ["chunked", "Chunked", "CHUNKED", "  chunked", "chunked \t"] {
        let request = post("1.1", &format!("Transfer-Encoding:{value}\r\n"), "5\r\nhello\r\n0\r\n\r\n");
        assert_eq!(judge.forwards(value, &request).body, b"hello");
    }
}

#[test]
fn a_request_is_never_delimited_by_the_end_of_the_connection() {
    // RFC 9112 §6.3: without framing the body is empty, and what follows is the next request.
    let judge = Judge::start();
    let mut client = judge.connect();
    client.send(&post("1.1", "", "this is no request\r\n\r\n")).unwrap();
    assert_eq!(client.read_response("POST").unwrap().text(), ANSWER);
    assert_eq!(client.read_response("POST").unwrap().status(), 400);
    client.assert_ends();
    assert_eq!(judge.count(), 1);
    assert!(!String::from_utf8_lossy(&judge.received()).contains("this is no request"));
}

#[test]
fn a_body_is_not_taken_for_a_request_nor_a_request_for_a_body() {
    let judge = Judge::start();
    let length = format!("Content-Length: {}\r\n", SMUGGLED.len());
    for (method, count) in [("POST", 1), ("GET", 1), ("DELETE", 1), ("HEAD", 1), ("OPTIONS", 1)] {
        let before = judge.count();
        let request = format!("{method} /judged HTTP/1.1\r\nHost: test\r\n{length}\r\n{SMUGGLED}");
        let received = judge.forwards(method, request.as_bytes());
        assert_eq!(received.body, SMUGGLED.as_bytes(), "{method}: a body with any method is a body");
        assert_eq!(judge.count(), before + count);
    }
    let before = judge.count();
    let mut client = judge.connect();
    client.send(&post("1.1", "Content-Length: 0\r\n", SMUGGLED)).unwrap();
    for _ in 0..2 {
        assert_eq!(client.read_response("GET").unwrap().text(), ANSWER);
    }
    assert_eq!(judge.count(), before + 2, "two requests stay two");
}

#[test]
fn fields_that_resemble_the_framing_are_not_the_framing() {
    let judge = Judge::start();
    for field in
        ["Content_Length: 5", "Content-Length-X: 5", "X-Transfer-Encoding: chunked", "Transfer_Encoding: chunked"]
    {
        // Either refused, or forwarded as a request without a body; the bytes after it are the next request.
        let request = format!("GET /judged HTTP/1.1\r\nHost: test\r\n{field}\r\n\r\n{SMUGGLED}");
        let mut client = judge.connect();
        client.send(request.as_bytes()).unwrap();
        let first = client.read_response("GET").unwrap();
        if first.status() == 200 {
            assert_eq!(client.read_response("GET").unwrap().text(), ANSWER, "{field}");
        } else {
            assert_eq!(first.status(), 400, "{field}");
            client.assert_ends();
        }
    }
}
