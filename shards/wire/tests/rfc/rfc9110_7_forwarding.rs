//! RFC 9110 §7.6: what changes in a message that is passed on, and what does not.

use wire::h1::write::{write_request, write_response, write_status};
use wire::h1::{ConnectionOption, EditError, Edits, ResponseFraming};
use wire::{FieldName, FieldNames};

use crate::{request, response};

fn forwarded(bytes: &str, edits: &Edits) -> String {
    let mut out = Vec::new();
    let head = request(bytes.as_bytes());
    write_request(&mut out, &head, bytes.as_bytes(), edits, b"fallback:1", ConnectionOption::None);
    String::from_utf8(out).unwrap()
}

fn passed_back(bytes: &str, edits: &Edits, framing: ResponseFraming, connection: ConnectionOption) -> String {
    let mut out = Vec::new();
    write_response(&mut out, &response(bytes.as_bytes()), bytes.as_bytes(), edits, framing, connection);
    String::from_utf8(out).unwrap()
}

#[test]
fn request_lines_take_the_form_that_an_origin_server_expects() {
    let rows = [
        ("GET /a?b HTTP/1.1\r\nHost: x\r\n\r\n", "GET /a?b HTTP/1.1\r\nHost: x\r\n\r\n"),
        ("GET /a HTTP/1.7\r\nHost: x\r\n\r\n", "GET /a HTTP/1.1\r\nHost: x\r\n\r\n"),
        ("\r\nget / HTTP/1.1\r\nHOST: x:80\r\n\r\n", "get / HTTP/1.1\r\nHost: x:80\r\n\r\n"),
        ("GET http://X/a?b HTTP/1.1\r\nHost: x\r\n\r\n", "GET /a?b HTTP/1.1\r\nHost: X\r\n\r\n"),
        ("GET http://x HTTP/1.1\r\nHost: x\r\n\r\n", "GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
        ("GET http://x?b HTTP/1.1\r\nHost: x\r\n\r\n", "GET /?b HTTP/1.1\r\nHost: x\r\n\r\n"),
        ("OPTIONS http://x HTTP/1.1\r\nHost: x\r\n\r\n", "OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n"),
        ("OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", "OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n"),
        ("GET / HTTP/1.0\r\n\r\n", "GET / HTTP/1.1\r\nHost: fallback:1\r\n\r\n"),
        ("GET / HTTP/1.1\r\nHost:\r\n\r\n", "GET / HTTP/1.1\r\nHost: \r\n\r\n"),
        ("CONNECT x:1 HTTP/1.1\r\nHost: x:1\r\n\r\n", "CONNECT x:1 HTTP/1.1\r\nHost: x:1\r\n\r\n"),
    ];
    for (bytes, written) in rows {
        assert_eq!(forwarded(bytes, &Edits::new()), written, "{bytes:?}");
    }
}

#[test]
fn untouched_fields_keep_case_order_and_spacing() {
    let fields = "accept:*/*\r\nX-One:  1 \r\nx-one:\t2\r\nCOOKIE: a=b\r\n";
    let bytes = format!("GET / HTTP/1.1\r\n{fields}Host: x\r\n\r\n");
    assert_eq!(forwarded(&bytes, &Edits::new()), format!("GET / HTTP/1.1\r\nHost: x\r\n{fields}\r\n"));
    let bytes = format!("HTTP/1.1 299 Odd One\r\n{fields}\r\n");
    let framing = ResponseFraming::Described;
    assert_eq!(passed_back(&bytes, &Edits::new(), framing, ConnectionOption::None), bytes);
}

#[test]
fn fields_of_one_connection_are_left_out() {
    let bytes = "GET / HTTP/1.1\r\nHost: x\r\nA: 1\r\nConnection: keep-alive, X-Hop, accept, Upgrade,, TE, HTTP2-Settings\r\n\
        X-HOP: 1\r\nB: 2\r\nKeep-Alive: timeout=5\r\nProxy-Connection: keep-alive\r\nTE: trailers\r\nC: 3\r\n\
        Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\nAccept: */*\r\nTrailer: D\r\nD: 4\r\n\r\n";
    assert_eq!(forwarded(bytes, &Edits::new()), "GET / HTTP/1.1\r\nHost: x\r\nA: 1\r\nB: 2\r\nC: 3\r\nD: 4\r\n\r\n");
    let bytes = "HTTP/1.1 200 OK\r\nConnection: X-Hop\r\nUpgrade: h2c\r\nx-hop: 1\r\nKeep-Alive: timeout=5\r\nA: 1\r\n\
        Content-Length: 3\r\n\r\n";
    let written = passed_back(bytes, &Edits::new(), ResponseFraming::Exact(3), ConnectionOption::None);
    assert_eq!(written, "HTTP/1.1 200 OK\r\nA: 1\r\nContent-Length: 3\r\n\r\n");
}

#[test]
fn framing_is_written_from_what_is_known() {
    let exact = "POST / HTTP/1.1\r\nHost: x\r\ncontent-length:  007\r\nTrailer: A\r\n\r\n";
    assert_eq!(forwarded(exact, &Edits::new()), "POST / HTTP/1.1\r\nHost: x\r\ncontent-length:  007\r\n\r\n");
    let chunked = "POST / HTTP/1.1\r\nHost: x\r\ntransfer-encoding: CHUNKED\r\nTrailer: A\r\nB: c\r\n\r\n";
    assert_eq!(
        forwarded(chunked, &Edits::new()),
        "POST / HTTP/1.1\r\nHost: x\r\nTrailer: A\r\nB: c\r\nTransfer-Encoding: chunked\r\n\r\n"
    );

    let known = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTrailer: A\r\nB: c\r\n\r\n";
    let none = "HTTP/1.1 200 OK\r\nB: c\r\n\r\n";
    use ConnectionOption::{Close, KeepAlive};
    let rows = [
        (known, ResponseFraming::Exact(5), ConnectionOption::None, "Content-Length: 5\r\nB: c\r\n"),
        (known, ResponseFraming::Described, KeepAlive, "Content-Length: 5\r\nB: c\r\nConnection: keep-alive\r\n"),
        (known, ResponseFraming::Exact(6), ConnectionOption::None, "B: c\r\nContent-Length: 6\r\n"),
        (known, ResponseFraming::None, ConnectionOption::None, "B: c\r\n"),
        (
            known,
            ResponseFraming::Chunked,
            ConnectionOption::None,
            "Trailer: A\r\nB: c\r\nTransfer-Encoding: chunked\r\n",
        ),
        (known, ResponseFraming::UntilClose, Close, "B: c\r\nConnection: close\r\n"),
        (
            none,
            ResponseFraming::Exact(u64::MAX),
            Close,
            "B: c\r\nContent-Length: 18446744073709551615\r\nConnection: close\r\n",
        ),
        (none, ResponseFraming::Exact(0), ConnectionOption::None, "B: c\r\nContent-Length: 0\r\n"),
    ];
    for (bytes, framing, connection, fields) in rows {
        let written = passed_back(bytes, &Edits::new(), framing, connection);
        assert_eq!(written, format!("HTTP/1.1 200 OK\r\n{fields}\r\n"), "{framing:?}");
    }
}

#[test]
fn a_response_is_of_http_1_1_with_the_reason_it_had() {
    for (bytes, line) in [
        ("HTTP/1.0 404 Nicht da\r\n\r\n", "HTTP/1.1 404 Nicht da"),
        ("HTTP/1.1 200\r\n\r\n", "HTTP/1.1 200 "),
        ("HTTP/1.9 503 \r\n\r\n", "HTTP/1.1 503 "),
    ] {
        let written = passed_back(bytes, &Edits::new(), ResponseFraming::None, ConnectionOption::None);
        assert_eq!(written, format!("{line}\r\n\r\n"));
    }
}

#[test]
fn edits_are_applied_while_a_head_is_written() {
    let mut edits = Edits::new();
    edits.remove(FieldNames::of(&[FieldName::XForwardedFor, FieldName::Forwarded, FieldName::Host, FieldName::Other]));
    edits.remove_named(b"x-drop").unwrap();
    edits.remove_named(b"accept").unwrap();
    edits.append_joined(b"X-Forwarded-For", &[b"10.0.0.1", b"", b"10.0.0.2"], b", ").unwrap();
    edits.replace(FieldName::Via, b"1.1 ringway").unwrap();
    let bytes = "GET / HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: evil\r\nA: 1\r\nX-Drop: 1\r\nForwarded: evil\r\nVia: old\r\n\
        B: 2\r\nAccept: c\r\nx-forwarded-for: evil\r\n\r\n";
    let added = "X-Forwarded-For: 10.0.0.1, 10.0.0.2\r\nVia: 1.1 ringway\r\n";
    assert_eq!(forwarded(bytes, &edits), format!("GET / HTTP/1.1\r\nHost: x\r\nA: 1\r\nB: 2\r\n{added}\r\n"));
    edits.clear();
    assert!(forwarded(bytes, &edits).contains("X-Drop: 1\r\nForwarded: evil"));
}

#[test]
fn edits_cannot_break_a_message() {
    let mut edits = Edits::new();
    for value in [&b"a\r\nb: c"[..], b"a\rb", b"a\nb", b"a\0b", b"\x7f", b"\x01"] {
        assert_eq!(edits.append(b"X-A", value), Err(EditError::ValueInvalid), "{}", value.escape_ascii());
        assert_eq!(edits.append_joined(b"X-A", &[b"a", b"b"], value), Err(EditError::ValueInvalid));
        assert_eq!(edits.replace(FieldName::Via, value), Err(EditError::ValueInvalid));
    }
    for name in [&b""[..], b"a b", b"a:", b"a\r\nb", b"\xc3\xa4", b"via\r", b"content\rtype"] {
        assert_eq!(edits.append(name, b"a"), Err(EditError::NameInvalid), "{}", name.escape_ascii());
        assert_eq!(edits.remove_named(name), Err(EditError::NameInvalid));
    }
    for name in ["Host", "content-length", "Transfer-Encoding", "Connection", "TE", "Trailer", "Upgrade", "Keep-Alive"]
    {
        let reserved = Err(EditError::Reserved(FieldName::of(name.as_bytes())));
        assert_eq!(edits.append(name.as_bytes(), b"a"), reserved);
        assert_eq!(edits.remove_named(name.as_bytes()), reserved);
    }
    assert_eq!(edits.replace(FieldName::Other, b"a"), Err(EditError::NameInvalid));
    assert!(edits.appended().is_empty() && edits.removed().is_empty());
    edits.remove(FieldNames::of(&[FieldName::ContentLength, FieldName::TransferEncoding, FieldName::Host]));
    let bytes = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n";
    assert_eq!(forwarded(bytes, &edits), bytes);
}

#[test]
fn answers_of_our_own_are_whole() {
    let mut edits = Edits::new();
    edits.append(b"Date", b"Thu, 01 Jan 1970 00:00:00 GMT").unwrap();
    let mut out = Vec::new();
    write_status(&mut out, 502, "text/plain", 12, &edits, ConnectionOption::Close);
    assert_eq!(
        out,
        b"HTTP/1.1 502 Bad Gateway\r\nContent-Type: text/plain\r\nContent-Length: 12\r\n\
        Date: Thu, 01 Jan 1970 00:00:00 GMT\r\nConnection: close\r\n\r\n"
    );
    out.clear();
    write_status(&mut out, 204, "", 0, &Edits::new(), ConnectionOption::None);
    assert_eq!(out, b"HTTP/1.1 204 No Content\r\n\r\n");
}
