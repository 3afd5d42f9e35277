//! RFC 9112 §9: persistence, one exchange after another, and the two state machines.

use wire::h1::{ClientConnection, Edits, Next, OutputError, Parsed, ServerConnection};
use wire::{BodyError, BodyLength, Limits, RequestError, RequestHead, ResponseError, ResponseHead};

use crate::{refuse_requests, refuse_responses, request, response};

#[test]
fn persistence_follows_version_and_options() {
    let rows = [
        ("HTTP/1.1", "", true),
        ("HTTP/1.1", "Connection: close\r\n", false),
        ("HTTP/1.1", "Connection: CLOSE\r\n", false),
        ("HTTP/1.1", "Connection: keep-alive, close\r\n", false),
        ("HTTP/1.1", "Connection: X-A\r\nConnection: ,close,\r\n", false),
        ("HTTP/1.1", "Connection: keep-alive\r\n", true),
        ("HTTP/1.1", "Connection: closed\r\n", true),
        ("HTTP/1.1", "X-Connection: close\r\n", true),
        ("HTTP/1.0", "", false),
        ("HTTP/1.0", "Connection: Keep-Alive\r\n", true),
        ("HTTP/1.0", "Connection: keep-alive, close\r\n", false),
        ("HTTP/1.0", "Keep-Alive: timeout=5\r\n", false),
        ("HTTP/1.0", "Proxy-Connection: keep-alive\r\n", false),
    ];
    for (version, lines, persistent) in rows {
        let bytes = format!("GET / {version}\r\nHost: x\r\n{lines}\r\n");
        assert_eq!(request(bytes.as_bytes()).persistent(), persistent, "{bytes:?}");
        let bytes = format!("{version} 200 OK\r\n{lines}\r\n");
        assert_eq!(response(bytes.as_bytes()).persistent(), persistent, "{bytes:?}");
    }
}

#[test]
fn connection_options_are_tokens_and_few() {
    let bytes = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: X-A , keep-alive,\tx-b\r\nUpgrade: a\r\n\r\n";
    let head = request(bytes);
    let nominated: Vec<_> = head.nominated().iter().map(|span| span.of(bytes)).collect();
    assert_eq!(nominated, [&b"X-A"[..], b"x-b"]);
    assert!(!head.upgrade(), "Connection does not name Upgrade");
    assert!(request(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: a\r\n\r\n").upgrade());
    assert!(!request(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\n\r\n").upgrade());
    assert!(!request(b"GET / HTTP/1.0\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: a\r\n\r\n").upgrade());

    let many = |count: usize| {
        let names: Vec<_> = (10..10 + count).map(|index| format!("x{index}")).collect();
        format!("HTTP/1.1 200 OK\r\nConnection: {}\r\n\r\n", names.join(","))
    };
    response(many(16).as_bytes());
    refuse_responses(&[(many(17).as_bytes(), ResponseError::ConnectionOptionsTooMany { at: 29 + 16 * 4 })]);
    refuse_requests(&[
        (
            b"GET / HTTP/1.1\r\nHost: x\r\nConnection: a b\r\n\r\n",
            RequestError::ConnectionOptionInvalid { at: 37 },
            400,
        ),
        (
            b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close, \"a\"\r\n\r\n",
            RequestError::ConnectionOptionInvalid { at: 44 },
            400,
        ),
    ]);
}

/// A server connection that has read `bytes` as a request head.
fn server(bytes: &str) -> ServerConnection {
    let mut server = ServerConnection::new();
    let parsed = server.parse_head(bytes.as_bytes(), &Limits::default(), &mut RequestHead::new());
    assert_eq!(parsed, Ok(Parsed::Complete(bytes.len())), "{bytes:?}");
    server
}

/// What a server writes in answer to `ask`, when the upstream answered `answer` with `data` behind it.
fn relay(ask: &str, answer: &str, data: &[u8]) -> (String, Next) {
    let mut server = server(ask);
    let head = response(answer.as_bytes());
    let ask = request(ask.as_bytes());
    let mut out = Vec::new();
    server.write_head(&mut out, &head, answer.as_bytes(), &Edits::new(), head.body_for(ask.method()));
    if !data.is_empty() {
        let framing = server.data_framing(data.len()).unwrap();
        out.extend_from_slice(framing.prefix.as_bytes());
        out.extend_from_slice(data);
        out.extend_from_slice(framing.suffix);
    }
    server.finish(&mut out, None).unwrap();
    (String::from_utf8(out).unwrap(), server.next())
}

#[test]
fn a_response_is_framed_for_its_client() {
    let get11 = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
    let get10 = "GET / HTTP/1.0\r\n\r\n";
    let get10_kept = "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n";
    let close11 = "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    let head11 = "HEAD / HTTP/1.1\r\nHost: x\r\n\r\n";
    let exact = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n";
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    let until_close = "HTTP/1.0 200 OK\r\n\r\n";
    let line = "HTTP/1.1 200 OK\r\n";
    let rows: &[(&str, &str, &[u8], &str, Next)] = &[
        (get11, exact, b"abc", "Content-Length: 3\r\n\r\nabc", Next::KeepAlive),
        (get11, chunked, b"abc", "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", Next::KeepAlive),
        (get11, chunked, b"", "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", Next::KeepAlive),
        (get11, until_close, b"abc", "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", Next::KeepAlive),
        (close11, exact, b"abc", "Content-Length: 3\r\nConnection: close\r\n\r\nabc", Next::Close),
        (
            close11,
            chunked,
            b"abc",
            "Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
            Next::Close,
        ),
        (get10, exact, b"abc", "Content-Length: 3\r\nConnection: close\r\n\r\nabc", Next::Close),
        (get10, chunked, b"abc", "Connection: close\r\n\r\nabc", Next::Close),
        (get10_kept, exact, b"abc", "Content-Length: 3\r\nConnection: keep-alive\r\n\r\nabc", Next::KeepAlive),
        (get10_kept, chunked, b"abc", "Connection: close\r\n\r\nabc", Next::Close),
        (get10_kept, until_close, b"abc", "Connection: close\r\n\r\nabc", Next::Close),
        (head11, exact, b"", "Content-Length: 3\r\n\r\n", Next::KeepAlive),
        (head11, chunked, b"", "\r\n", Next::KeepAlive),
        (head11, until_close, b"", "\r\n", Next::KeepAlive),
    ];
    for &(ask, answer, data, written, next) in rows {
        assert_eq!(relay(ask, answer, data), (format!("{line}{written}"), next), "{ask:?} {answer:?}");
    }
    let no_content = "HTTP/1.1 204 No Content\r\nContent-Length: 0\r\nA: b\r\n\r\n";
    assert_eq!(relay(get11, no_content, b"").0, "HTTP/1.1 204 No Content\r\nA: b\r\n\r\n");
    let not_modified = "HTTP/1.1 304 Not Modified\r\nContent-Length: 3\r\n\r\n";
    assert_eq!(relay(get11, not_modified, b"").0, not_modified);
}

#[test]
fn a_promised_length_is_kept_or_the_connection_closes() {
    let ask = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
    let answer = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n";
    let mut out = Vec::new();
    let mut begin = || {
        let mut server = server(ask);
        server.write_head(
            &mut out,
            &response(answer.as_bytes()),
            answer.as_bytes(),
            &Edits::new(),
            BodyLength::Exact(3),
        );
        server
    };
    let mut short = begin();
    short.data_framing(2).unwrap();
    assert_eq!(short.finish(&mut Vec::new(), None), Err(OutputError::TooShort { missing: 1 }));
    assert_eq!(short.next(), Next::Close);
    let mut long = begin();
    long.data_framing(2).unwrap();
    assert_eq!(long.data_framing(2), Err(OutputError::TooLong));
    assert!(long.finish(&mut Vec::new(), None).is_err());
    assert_eq!(long.next(), Next::Close);
}

#[test]
fn an_unread_request_body_is_drained_or_the_connection_closes() {
    let mut server = server("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n");
    server.write_own(&mut Vec::new(), 404, "text/plain", b"no\n", &Edits::new());
    assert_eq!(server.next(), Next::Drain);
    assert_eq!(server.decode_body(b"abc").map(|decoded| decoded.complete), Ok(false));
    assert_eq!(server.next(), Next::Drain);
    let decoded = server.decode_body(b"deGET").unwrap();
    assert_eq!((decoded.consumed, decoded.complete), (2, true));
    assert_eq!(server.next(), Next::KeepAlive);
    let next = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n";
    assert_eq!(server.parse_head(next, &Limits::default(), &mut RequestHead::new()), Ok(Parsed::Complete(next.len())));
}

#[test]
fn a_refused_request_is_answered_and_the_connection_closes() {
    let mut server = ServerConnection::new();
    let bytes = b"GET / HTTP/1.1\r\nHost: x\r\nHost: x\r\n\r\n";
    let fault = server.parse_head(bytes, &Limits::default(), &mut RequestHead::new()).unwrap_err();
    let mut out = Vec::new();
    server.write_own(&mut out, fault.status(), "text/plain", b"no\n", &Edits::new());
    let head =
        b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nContent-Length: 3\r\nConnection: close\r\n\r\nno\n";
    assert_eq!(out, head);
    assert_eq!(server.next(), Next::Close);
}

#[test]
fn a_broken_request_body_closes_the_connection() {
    let mut broken = server("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
    assert_eq!(broken.decode_body(b"x"), Err(BodyError::ChunkSize { byte: b'x' }));
    let mut out = Vec::new();
    broken.write_own(&mut out, 400, "", b"", &Edits::new());
    assert_eq!(out, b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    assert_eq!(broken.next(), Next::Close);

    let mut cut = server("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\n");
    assert_eq!(cut.handle_eof(), Err(BodyError::Truncated));
    assert_eq!(cut.next(), Next::Close);
}

#[test]
fn an_answer_of_our_own_to_head_has_no_body() {
    let mut server = server("HEAD / HTTP/1.1\r\nHost: x\r\n\r\n");
    let mut out = Vec::new();
    server.write_own(&mut out, 404, "text/plain", b"no\n", &Edits::new());
    assert_eq!(out, b"HTTP/1.1 404 Not Found\r\nContent-Type: text/plain\r\nContent-Length: 3\r\n\r\n");
    assert_eq!(server.next(), Next::KeepAlive);
}

#[test]
fn force_close_is_said_in_the_head() {
    let mut closing = server("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    closing.force_close();
    let mut out = Vec::new();
    closing.write_own(&mut out, 200, "", b"", &Edits::new());
    assert!(String::from_utf8(out).unwrap().contains("\r\nConnection: close\r\n"));
    assert_eq!(closing.next(), Next::Close);

    let mut client = ClientConnection::new();
    client.force_close();
    let (bytes, mut out) = (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", Vec::new());
    client.write_head(&mut out, &request(bytes), bytes, &Edits::new(), b"");
    assert_eq!(out, b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
}

#[test]
fn a_head_that_comes_byte_by_byte_is_read_as_a_whole_one() {
    let bytes = b"\r\nPOST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n";
    let mut server = ServerConnection::new();
    let mut head = RequestHead::new();
    for end in 0..bytes.len() {
        assert_eq!(server.parse_head(&bytes[..end], &Limits::default(), &mut head), Ok(Parsed::Partial));
    }
    assert_eq!(server.parse_head(bytes, &Limits::default(), &mut head), Ok(Parsed::Complete(bytes.len())));
    assert_eq!(head.fields(), request(bytes).fields());
}

/// A client connection that has sent `ask`, body excepted.
fn client(ask: &[u8]) -> ClientConnection {
    let mut client = ClientConnection::new();
    client.write_head(&mut Vec::new(), &request(ask), ask, &Edits::new(), b"");
    client
}
const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n";
const POST: &[u8] = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n";

/// Feeds a whole response, head and body, and the end of the connection if it is needed.
fn receive(client: &mut ClientConnection, bytes: &[u8]) -> Result<(), ResponseError> {
    let mut head = ResponseHead::new();
    let Parsed::Complete(len) = client.parse_head(bytes, &Limits::default(), &mut head)? else { panic!("partial") };
    let mut at = len;
    while at < bytes.len() && !client.response_complete() {
        at += client.decode_body(&bytes[at..]).unwrap().consumed;
    }
    Ok(())
}

#[test]
fn an_upstream_connection_is_reused_only_if_nothing_is_left() {
    let rows: &[(&[u8], bool)] = &[
        (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", true),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", true),
        (b"HTTP/1.1 204 No\r\n\r\n", true),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n", true),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\nConnection: keep-alive\r\n\r\n", true),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", false),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", false),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab", false),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcX", false),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nHTTP/1.1 200 OK\r\n", false),
        (b"HTTP/1.1 204 No\r\n\r\nX", false),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nX", false),
        (b"HTTP/1.1 200 OK\r\n\r\nabc", false),
    ];
    for &(bytes, reusable) in rows {
        let mut client = client(GET);
        assert!(!client.reusable() && client.response_awaited());
        receive(&mut client, bytes).unwrap();
        assert_eq!(client.reusable(), reusable, "{}", bytes.escape_ascii());
    }
    let mut ended = client(GET);
    receive(&mut ended, b"HTTP/1.1 200 OK\r\n\r\nabc").unwrap();
    assert_eq!(ended.handle_eof(), Ok(()));
    assert!(ended.response_complete() && !ended.reusable());
}

#[test]
fn a_reused_connection_carries_the_next_exchange() {
    let mut client = client(GET);
    for _ in 0..3 {
        receive(&mut client, b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc").unwrap();
        assert!(client.reusable());
        client.write_head(&mut Vec::new(), &request(GET), GET, &Edits::new(), b"");
        assert!(client.response_awaited() && !client.reusable());
    }
}

#[test]
fn informational_responses_precede_the_final_one_in_a_bounded_number() {
    let mut client = client(GET);
    let mut head = ResponseHead::new();
    for _ in 0..16 {
        let parsed = client.parse_head(b"HTTP/1.1 103 Hints\r\n\r\nHTTP", &Limits::default(), &mut head);
        assert_eq!(parsed, Ok(Parsed::Complete(22)));
        assert!(head.is_informational() && client.response_awaited());
    }
    let mut patient = self::client(GET);
    receive(&mut patient, b"HTTP/1.1 100 Continue\r\n\r\n").unwrap();
    receive(&mut patient, b"HTTP/1.1 204 No\r\n\r\n").unwrap();
    assert!(patient.reusable());
    let parsed = client.parse_head(b"HTTP/1.1 103 Hints\r\n\r\n", &Limits::default(), &mut head);
    assert_eq!(parsed, Err(ResponseError::InformationalTooMany { max: 16 }));
    assert!(!client.reusable());
}

#[test]
fn an_end_before_the_answer_is_a_truncation() {
    assert_eq!(client(GET).handle_eof(), Err(BodyError::Truncated));
    assert_eq!(ClientConnection::new().handle_eof(), Ok(()));
    let mut cut = client(GET);
    receive(&mut cut, b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab").unwrap();
    assert_eq!(cut.handle_eof(), Err(BodyError::Truncated));
}

#[test]
fn a_request_body_keeps_its_promise_too() {
    let mut whole = client(POST);
    assert!(!whole.request_complete());
    assert!(whole.data_framing(5).unwrap().prefix.is_empty());
    whole.finish(&mut Vec::new(), None).unwrap();
    assert!(whole.request_complete());
    let mut short = client(POST);
    assert_eq!(short.finish(&mut Vec::new(), None), Err(OutputError::TooShort { missing: 5 }));
    assert_eq!(client(POST).data_framing(6), Err(OutputError::TooLong));
}
