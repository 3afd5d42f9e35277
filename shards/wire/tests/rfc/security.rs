//! The lines of the security page that this crate answers for: what trusted proxies got wrong. The tables of malformed
//! heads and chunks stand with their RFC sections; here is what crosses them.

use std::panic::catch_unwind;

use wire::h1::write::write_request;
use wire::h1::{ClientConnection, ConnectionOption, Edits, Line, Next, Parsed, ServerConnection, parse_request};
use wire::{FieldName, Limits, RequestError, RequestHead, ResponseError, ResponseHead};

use crate::{request, response};

/// Hop-by-hop stripping, CVE-2025-48865: Connection cannot name away trusted headers.
#[test]
fn connection_cannot_name_away_what_others_trust() {
    let trusted = [
        "Content-Length",
        "Content-Type",
        "Authorization",
        "Cookie",
        "X-Forwarded-For",
        "X-Forwarded-Proto",
        "X-Forwarded-Host",
        "X-Forwarded-Port",
        "X-Real-IP",
        "X-Request-Id",
        "Forwarded",
        "Via",
        "Range",
        "Origin",
        "Proxy-Authorization",
        "Cache-Control",
        "Max-Forwards",
        "traceparent",
    ];
    for name in trusted {
        let bytes = format!("POST / HTTP/1.1\r\nHost: x\r\nConnection: {}\r\n{name}: 5\r\n\r\n", name.to_lowercase());
        let mut out = Vec::new();
        let head = request(bytes.as_bytes());
        write_request(&mut out, &head, bytes.as_bytes(), &Edits::new(), b"", ConnectionOption::None);
        assert_eq!(out, format!("POST / HTTP/1.1\r\nHost: x\r\n{name}: 5\r\n\r\n").as_bytes());
    }
    let bytes =
        b"GET / HTTP/1.1\r\nConnection: host, transfer-encoding\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
    let mut out = Vec::new();
    write_request(&mut out, &request(bytes), bytes, &Edits::new(), b"", ConnectionOption::None);
    assert_eq!(out, b"GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
}

/// Premature upgrade, CVE-2026-2833 and CVE-2024-23326: an upgrade that was not passed on cannot be answered.
#[test]
fn an_upgrade_is_not_passed_on_and_101_is_refused() {
    let ask = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
    let mut client = ClientConnection::new();
    let mut out = Vec::new();
    client.write_head(&mut out, &request(ask), ask, &Edits::new(), b"");
    assert_eq!(out, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    let switch = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
    let parsed = client.parse_head(switch, &Limits::default(), &mut ResponseHead::new());
    assert_eq!(parsed, Err(ResponseError::SwitchUnasked));
    assert!(!client.reusable());
}

/// The same CVEs: 101 counts only as the answer to what was offered, and no other status opens a tunnel.
#[test]
fn only_a_101_to_what_was_offered_switches() {
    let ask = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: h2c, websocket\r\n\r\n";
    let offered = |answer: &[u8]| {
        let mut edits = Edits::new();
        edits.offer(b"websocket").unwrap();
        let (mut client, mut out) = (ClientConnection::new(), Vec::new());
        client.write_head(&mut out, &request(ask), ask, &edits, b"");
        assert_eq!(out, b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
        let parsed = client.parse_head(answer, &Limits::default(), &mut ResponseHead::new());
        (parsed, client.switched(), client.reusable())
    };
    let good = b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: WebSocket\r\n\r\n";
    assert_eq!(offered(good), (Ok(Parsed::Complete(good.len())), true, false));
    for bad in [
        "HTTP/1.1 101 Switching Protocols\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket, h2c\r\n\r\n",
    ] {
        assert_eq!(offered(bad.as_bytes()), (Err(ResponseError::SwitchUnasked), false, false), "{bad}");
    }
    let ok = b"HTTP/1.1 200 OK\r\nConnection: upgrade\r\nUpgrade: websocket\r\nContent-Length: 0\r\n\r\n";
    assert_eq!(offered(ok), (Ok(Parsed::Complete(ok.len())), false, true));
}

/// Two readings of a path, CVE-2026-40912 and CVE-2025-66490: what is matched is what is written.
#[test]
fn a_path_has_one_reading() {
    for (sent, written) in [("/a/%2e%2E//%62", "/b"), ("/x%2fy", "/x%2Fy"), ("/./a/?b=//../c", "/a/?b=//../c")] {
        let bytes = format!("GET {sent} HTTP/1.1\r\nHost: x\r\n\r\n").into_bytes();
        let (head, mut out) = (request(&bytes), Vec::new());
        write_request(&mut out, &head, &bytes, &Edits::new(), b"", ConnectionOption::None);
        assert_eq!(out, format!("GET {written} HTTP/1.1\r\nHost: x\r\n\r\n").into_bytes());
        assert!(written.as_bytes().starts_with(head.path(&bytes)), "{sent}");
    }
    for sent in ["/../a", "/a%00", "/a\\b", "/a%5cb", "/%zz", "/a/..%2fb", "/a/..;/b"] {
        let bytes = format!("GET {sent} HTTP/1.1\r\nHost: x\r\n\r\n").into_bytes();
        let refused = parse_request(&bytes, &Limits::default(), &mut RequestHead::new()).unwrap_err();
        assert!(matches!(refused, RequestError::Path(_)) && refused.status() == 400, "{sent}: {refused}");
    }
}

/// Body left unread after an early answer, CVE-2025-4366 and 0.CL: the upstream that answered early is not reused.
#[test]
fn an_upstream_that_answers_before_the_request_is_complete_is_not_reused() {
    let ask = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\n";
    let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
    let exchange = |early: bool| {
        let mut client = ClientConnection::new();
        client.write_head(&mut Vec::new(), &request(ask), ask, &Edits::new(), b"");
        let answered = |client: &mut ClientConnection| {
            let parsed = client.parse_head(answer, &Limits::default(), &mut ResponseHead::new());
            assert_eq!(parsed, Ok(Parsed::Complete(answer.len())));
        };
        if early {
            answered(&mut client);
        }
        client.data_framing(3).unwrap();
        client.finish(&mut Vec::new(), None).unwrap();
        if !early {
            answered(&mut client);
        }
        client.reusable()
    };
    assert!(exchange(false));
    assert!(!exchange(true), "even though the request was completed afterwards");
}

/// Response queue poisoning: bytes that answer no request.
#[test]
fn bytes_on_an_idle_upstream_connection_are_refused() {
    let bytes = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
    let mut fresh = ClientConnection::new();
    assert_eq!(fresh.parse_head(b"", &Limits::default(), &mut ResponseHead::new()), Ok(Parsed::Partial));
    let unsolicited = Err(ResponseError::Unsolicited);
    assert_eq!(fresh.parse_head(bytes, &Limits::default(), &mut ResponseHead::new()), unsolicited);
    assert!(!fresh.reusable());
    let ask = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n";
    let mut used = ClientConnection::new();
    used.write_head(&mut Vec::new(), &request(ask), ask, &Edits::new(), b"");
    used.parse_head(bytes, &Limits::default(), &mut ResponseHead::new()).unwrap();
    assert!(used.reusable());
    assert_eq!(used.parse_head(bytes, &Limits::default(), &mut ResponseHead::new()), unsolicited);
    assert!(!used.reusable());
}

/// Framing conflicts: a request is never delimited by close, and chunks are encoded anew.
#[test]
fn chunk_extensions_and_odd_sizes_do_not_survive() {
    let ask = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
    let body = b"0003;evil=\"\xff\"\r\nabc\r\n00;x\r\nX-Sum: 1\r\nContent-Length: 9\r\n\r\n";
    let mut server = ServerConnection::new();
    let mut head = RequestHead::new();
    server.parse_head(ask, &Limits::default(), &mut head).unwrap();
    let mut client = ClientConnection::new();
    let mut out = Vec::new();
    client.write_head(&mut out, &head, ask, &Edits::new(), b"");
    let head_len = out.len();
    let decoded = server.decode_body(body).unwrap();
    assert!(decoded.complete);
    let framing = client.data_framing(decoded.data.len()).unwrap();
    out.extend_from_slice(framing.prefix.as_bytes());
    out.extend_from_slice(&body[decoded.data]);
    out.extend_from_slice(framing.suffix);
    client.finish(&mut out, server.trailers()).unwrap();
    assert_eq!(&out[head_len..], b"3\r\nabc\r\n0\r\nX-Sum: 1\r\n\r\n");
}

/// An empty run of data must not become the chunk that ends the body.
#[test]
fn an_empty_run_of_data_is_not_a_last_chunk() {
    let ask = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n";
    let answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    let mut server = ServerConnection::new();
    server.parse_head(ask, &Limits::default(), &mut RequestHead::new()).unwrap();
    let head = response(answer);
    server.write_head(&mut Vec::new(), &head, answer, &Edits::new(), head.framing());
    let framing = server.data_framing(0).unwrap();
    assert!(framing.prefix.is_empty() && framing.suffix.is_empty());
    server.finish(&mut Vec::new(), None).unwrap();
    assert_eq!(server.next(), Next::KeepAlive);
}

/// Absent Host, CVE-2026-47220: no crash, no name.
#[test]
fn a_client_that_names_no_host_is_served_without_one() {
    let bytes = b"GET / HTTP/1.0\r\nA: b\r\n\r\n";
    let head = request(bytes);
    assert_eq!((head.authority(), head.host(bytes), head.port()), (None, &b""[..], None));
    assert_eq!(head.value(FieldName::Host, bytes), None);
}

/// What an edit writes is judged like what a peer sends: no value can open a line of its own.
#[test]
fn every_byte_of_an_edit_is_judged() {
    for byte in 0..=255u8 {
        let mut edits = Edits::new();
        let allowed = byte == b'\t' || (byte >= b' ' && byte != 0x7f);
        assert_eq!(edits.append(b"X-A", &[b'a', byte, b'b']).is_ok(), allowed, "{byte:#x}");
        // Wherever it stands among those that are looked at together.
        for (length, at) in (0..20).flat_map(|length| (0..length).map(move |at| (length, at))) {
            let mut value = vec![b'~'; length];
            value[at] = byte;
            assert_eq!(edits.add(FieldName::Via, &value).is_ok(), allowed, "{byte:#x} at {at} of {length}");
        }
    }
}

/// What is compiled in is judged too.
#[test]
fn every_byte_of_a_constant_line_is_judged() {
    let refused = |name, text| catch_unwind(|| Line::new(name, text)).is_err();
    assert!(!refused(FieldName::Via, "Via: 1.1 ringway\r\n") && !refused(FieldName::Via, "Via: \r\n"));
    for text in
        ["", "\r\n", "Via\r\n", "Via:\r\n", "Via:1.1\r\n", "via: 1.1\r\n", "Via: 1.1", "Via: 1.1\n", "Age: 1\r\n"]
    {
        assert!(refused(FieldName::Via, text), "{text:?}");
    }
    for text in ["Via: a\rb\r\n", "Via: a\r\nb\r\n", "Via: a\0\r\n", "Via: \x7f\r\n"] {
        assert!(refused(FieldName::Via, text), "{text:?}");
    }
    assert!(refused(FieldName::Host, "Host: a\r\n"), "frames the message or concerns one connection");
    assert!(refused(FieldName::Other, ": a\r\n"));
}
