//! RFC 9112 §2: messages, line ends and versions.

use crate::judge::Judge;

#[test]
fn lines_end_with_crlf_and_nothing_else() {
    // RFC 9112 §2.2 lets a recipient take a bare LF for a line end. It does not demand it, and Ringway does not.
    Judge::start().refuses(&[
        ("bare LF everywhere", b"GET / HTTP/1.1\nHost: test\n\n"),
        ("bare LF after the request line", b"GET / HTTP/1.1\nHost: test\r\n\r\n"),
        ("bare LF after a field", b"GET / HTTP/1.1\r\nHost: test\nX: y\r\n\r\n"),
        ("bare LF as the blank line", b"GET / HTTP/1.1\r\nHost: test\r\n\n\r\n\r\n"),
        ("bare CR in the request line", b"GET /\rX HTTP/1.1\r\nHost: test\r\n\r\n"),
        ("bare CR in a value", b"GET / HTTP/1.1\r\nHost: test\r\nX: a\rb\r\n\r\n"),
        ("bare CR in a name", b"GET / HTTP/1.1\r\nHost: test\r\nX\rY: a\r\n\r\n"),
        ("CR CR LF", b"GET / HTTP/1.1\r\r\nHost: test\r\n\r\n"),
        ("CR LF hidden by CR", b"GET / HTTP/1.1\r\nHost: test\r\nX: a\r\rContent-Length: 5\r\n\r\n"),
    ]);
}

#[test]
fn no_byte_of_a_head_is_nul() {
    Judge::start().refuses(&[
        ("NUL in the method", b"G\0T / HTTP/1.1\r\nHost: test\r\n\r\n"),
        ("NUL in the target", b"GET /\0 HTTP/1.1\r\nHost: test\r\n\r\n"),
        ("NUL in a name", b"GET / HTTP/1.1\r\nHost: test\r\nX\0: y\r\n\r\n"),
        ("NUL in a value", b"GET / HTTP/1.1\r\nHost: test\r\nX: y\0z\r\n\r\n"),
        ("NUL before the request", b"\0GET / HTTP/1.1\r\nHost: test\r\n\r\n"),
    ]);
}

#[test]
fn nothing_stands_between_the_request_line_and_the_first_field() {
    // RFC 9112 §2.2: whitespace there is how a field is hidden from one of two readers.
    Judge::start().refuses(&[
        ("a folded first field", b"GET / HTTP/1.1\r\n Host: test\r\n\r\n"),
        ("a tab before the first field", b"GET / HTTP/1.1\r\n\tX: y\r\nHost: test\r\n\r\n"),
        ("a line of blanks", b"GET / HTTP/1.1\r\n  \r\nHost: test\r\n\r\n"),
    ]);
}

#[test]
fn the_version_is_one_dot_one_or_one_dot_zero() {
    let judge = Judge::start();
    // RFC 9112 §2.3, RFC 9110 §15.6.6.
    for version in ["HTTP/2.0", "HTTP/3.0", "HTTP/0.9", "HTTP/9.9"] {
        let request = format!("GET / {version}\r\nHost: test\r\n\r\n");
        judge.refuses_with(version, request.as_bytes(), &[505, 400]);
    }
    for version in [
        "http/1.1",
        "HTTP/1",
        "HTTP/1.1.1",
        "HTTP/11.1",
        "HTTP/1.10",
        "HTTP/ 1.1",
        "HTTP/1,1",
        "HTTPS/1.1",
        "FTP/1.1",
        "HTTP/+1.1",
    ] {
        let request = format!("GET / {version}\r\nHost: test\r\n\r\n");
        judge.refuses_with(version, request.as_bytes(), &[400, 505]);
    }
    judge.refuses_with("no version, as in HTTP/0.9", b"GET /\r\n\r\n", &[400, 505]);
}

#[test]
fn other_protocols_are_refused() {
    let judge = Judge::start();
    let http2 = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    judge.refuses_with("the preface of HTTP/2", http2, &[400, 505]);
    let tls =
        b"\x16\x03\x01\x00\xc4\x01\x00\x00\xc0\x03\x03aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\x00\x00\x02\x13\x01\r\n\r\n";
    judge.refuses_with("the first message of TLS", tls, &[400]);
    judge.refuses_with("the greeting of SSH", b"SSH-2.0-OpenSSH_9.2\r\n\r\n", &[400]);
    judge.refuses_with(
        "the header of the PROXY protocol",
        b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\nGET / HTTP/1.1\r\n\r\n",
        &[400, 505],
    );
}

#[test]
fn a_blank_line_before_a_request_is_skipped() {
    // RFC 9112 §2.2.
    let judge = Judge::start();
    let received = judge.forwards("one blank line", b"\r\nGET /judged HTTP/1.1\r\nHost: test\r\n\r\n");
    assert!(received.head.start_line.starts_with("GET /judged "), "{:?}", received.head);
}
