//! RFC 9113 §8, from the sender's side: what of a head goes into a block, whichever version it came in.

use wire::h1::{Edits, ResponseFraming};
use wire::h2::{Asked, HeadDecoder, HeadEncoder};
use wire::hpack::Decoder;
use wire::{BodyLength, FieldName, FieldNames, Limits, Method, RequestHead, ResponseHead, Scheme, Trailers, Version};

use crate::hpack::{Pair, block, decode_all, never_indexed};
use crate::{request, response};

/// The fields of one block, written by a new encoder.
fn written(write: impl FnOnce(&mut HeadEncoder, &mut Vec<u8>)) -> Vec<Pair> {
    let mut out = Vec::new();
    write(&mut HeadEncoder::new(4096), &mut out);
    decode_all(&mut Decoder::new(4096), &out).unwrap()
}

fn pairs(fields: &[(&str, &str)]) -> Vec<Pair> {
    fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn forwarded(bytes: &[u8], edits: &Edits) -> Vec<Pair> {
    let head = request(bytes);
    written(|encoder, out| encoder.write_request(out, &head, bytes, edits, Scheme::Https, b"fallback"))
}

#[test]
fn a_request_of_http_1_is_translated() {
    let bytes = b"POST /a?b HTTP/1.1\r\nHost: a.example:1\r\nUser-Agent: t\r\nConnection: keep-alive, X-Drop\r\nKeep-Alive: 5\r\n\
                  X-Drop: 1\r\nX-Other: \t odd \r\nCookie: a=1; b=2\r\nTransfer-Encoding: chunked\r\nTrailer: x\r\n\
                  Proxy-Connection: a\r\nUpgrade: b\r\nTE: gzip\r\nExpect: 100-continue\r\n\r\n";
    let mut edits = Edits::new();
    edits.remove(FieldNames::of(&[FieldName::UserAgent]));
    edits.append(b"X-Forwarded-For", b"192.0.2.1").unwrap();
    edits.append(b"X-Mixed-Case", b"").unwrap();
    let expected = [
        (":method", "POST"),
        (":scheme", "https"),
        (":authority", "a.example:1"),
        (":path", "/a?b"),
        ("x-other", "odd"),
        ("cookie", "a=1; b=2"),
        ("trailer", "x"),
        ("expect", "100-continue"),
        ("x-forwarded-for", "192.0.2.1"),
        ("x-mixed-case", ""),
    ];
    assert_eq!(forwarded(bytes, &edits), pairs(&expected));
}

#[test]
fn a_target_becomes_scheme_authority_and_path() {
    let rows: [(&[u8], &str, &str, &str); 9] = [
        (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", "GET", "a", "/"),
        (b"GET http://b/x?y HTTP/1.1\r\nHost: b\r\n\r\n", "GET", "b", "/x?y"),
        (b"GET http://b?y HTTP/1.1\r\nHost: b\r\n\r\n", "GET", "b", "/?y"),
        (b"GET http://b HTTP/1.1\r\nHost: b\r\n\r\n", "GET", "b", "/"),
        (b"OPTIONS http://b HTTP/1.1\r\nHost: b\r\n\r\n", "OPTIONS", "b", "*"),
        (b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", "OPTIONS", "a", "*"),
        (b"GET /a/../%62 HTTP/1.1\r\nHost: a\r\n\r\n", "GET", "a", "/b"),
        (b"GET / HTTP/1.0\r\n\r\n", "GET", "fallback", "/"),
        (b"BREW / HTTP/1.1\r\nHost:\r\n\r\n", "BREW", "fallback", "/"),
    ];
    for (bytes, method, authority, path) in rows {
        let expected = [(":method", method), (":scheme", "https"), (":authority", authority), (":path", path)];
        assert_eq!(forwarded(bytes, &Edits::new()), pairs(&expected), "{}", bytes.escape_ascii());
    }
    let connect = forwarded(b"CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n", &Edits::new());
    assert_eq!(connect, pairs(&[(":method", "CONNECT"), (":authority", "a:443")]));
}

/// RFC 9113 §8.2.2
#[test]
fn of_te_only_trailers_goes_on() {
    let te = |value: &str| {
        let bytes = format!("GET / HTTP/1.1\r\nHost: a\r\nConnection: TE\r\nTE: {value}\r\n\r\n");
        forwarded(bytes.as_bytes(), &Edits::new()).into_iter().find(|(name, _)| name == "te")
    };
    for value in ["trailers", "deflate;q=0.5, Trailers", "gzip, trailers ,x"] {
        assert_eq!(te(value), Some(("te".to_owned(), "trailers".to_owned())), "{value}");
    }
    for value in ["", "deflate", "trailers;q=0", "xtrailers"] {
        assert_eq!(te(value), None, "{value}");
    }
}

/// RFC 8441 §5
#[test]
fn an_offered_upgrade_is_an_extended_connect() {
    let bytes =
        b"GET /chat HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: x\r\n\
                  Sec-WebSocket-Version: 13\r\n\r\n";
    let mut edits = Edits::new();
    edits.offer(b"websocket").unwrap();
    let expected = [
        (":method", "CONNECT"),
        (":protocol", "websocket"),
        (":scheme", "https"),
        (":authority", "a"),
        (":path", "/chat"),
        ("sec-websocket-version", "13"),
    ];
    assert_eq!(forwarded(bytes, &edits), pairs(&expected));
    let bytes =
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: x\r\n\
                  Sec-WebSocket-Protocol: chat\r\nContent-Length: 3\r\n\r\n";
    let head = response(bytes);
    let switch = written(|encoder, out| encoder.write_switch(out, &head, bytes, &Edits::new()));
    assert_eq!(switch, pairs(&[(":status", "200"), ("sec-websocket-protocol", "chat")]));
}

#[test]
fn a_response_of_http_1_is_translated() {
    let bytes = b"HTTP/1.1 200 Fine\r\nServer: s\r\nContent-Length: 5\r\nConnection: close, X-Drop\r\nX-Drop: 1\r\nSet-Cookie: a\r\n\
                  Trailer: x\r\n\r\n";
    let head = response(bytes);
    let respond = |framing| written(|encoder, out| encoder.write_response(out, &head, bytes, &Edits::new(), framing));
    let (status, server, cookie, trailer) =
        ((":status", "200"), ("server", "s"), ("set-cookie", "a"), ("trailer", "x"));
    let length = |value| ("content-length", value);
    assert_eq!(respond(ResponseFraming::Exact(5)), pairs(&[status, server, length("5"), cookie, trailer]));
    assert_eq!(respond(ResponseFraming::Exact(6)), pairs(&[status, server, cookie, trailer, length("6")]));
    assert_eq!(respond(ResponseFraming::Chunked), pairs(&[status, server, cookie, trailer]));
    assert_eq!(respond(ResponseFraming::Described), pairs(&[status, server, length("5"), cookie]));
    assert_eq!(respond(ResponseFraming::None), pairs(&[status, server, cookie]));
}

#[test]
fn the_framing_is_decided_by_one_rule() {
    let of = |method, version, status| ResponseFraming::of(method, version, status, BodyLength::Chunked);
    assert_eq!(of(Method::Get, Version::Http2, 200), ResponseFraming::Chunked);
    assert_eq!(of(Method::Get, Version::Http10, 200), ResponseFraming::UntilClose);
    assert_eq!(of(Method::Head, Version::Http2, 200), ResponseFraming::Described);
    assert_eq!(of(Method::Connect, Version::Http2, 200), ResponseFraming::None);
    for (status, framing) in [
        (100, ResponseFraming::None),
        (103, ResponseFraming::None),
        (204, ResponseFraming::None),
        (304, ResponseFraming::Described),
    ] {
        assert_eq!(of(Method::Get, Version::Http2, status), framing);
    }
}

#[test]
fn answers_of_our_own_are_status_type_length_and_edits() {
    let mut edits = Edits::new();
    edits.add(FieldName::Date, b"today").unwrap();
    let own = |status, content_type| {
        let edits = &edits;
        written(move |encoder, out| encoder.write_status(out, status, content_type, 12, edits))
    };
    let date = ("date", "today");
    let expected = [(":status", "404"), ("content-type", "text/plain"), ("content-length", "12"), date];
    assert_eq!(own(404, "text/plain"), pairs(&expected));
    assert_eq!(own(204, ""), pairs(&[(":status", "204"), date]));
    assert_eq!(own(304, ""), pairs(&[(":status", "304"), date]));
    assert_eq!(written(HeadEncoder::write_continue), pairs(&[(":status", "100")]));
}

/// RFC 7541 §7.1.3: who forwards a field keeps what its sender asked for.
#[test]
fn what_came_as_never_indexed_goes_on_as_such() {
    let fields = [(":method", "GET"), (":scheme", "http"), (":authority", "a"), (":path", "/")];
    let block = [block(&fields), never_indexed("x-secret", "1")].concat();
    let (mut head, mut bytes) = (RequestHead::new(), Vec::new());
    HeadDecoder::new(4096).decode_request(&block, &Limits::default(), true, &mut head, &mut bytes).unwrap();
    let mut out = Vec::new();
    HeadEncoder::new(4096).write_request(&mut out, &head, &bytes, &Edits::new(), Scheme::Http, b"");
    let mut marks = Vec::new();
    Decoder::new(4096)
        .decode(&out, &mut |field: wire::hpack::HeaderField<'_>| {
            marks.push(field.never_indexed);
            std::ops::ControlFlow::Continue(())
        })
        .unwrap();
    assert_eq!(marks, [false, false, false, false, true]);
}

#[test]
fn trailers_are_passed_on() {
    let mut trailers = Trailers::default();
    let mut decoder = HeadDecoder::new(4096);
    decoder.decode_trailers(&block(&[("grpc-status", "0"), ("x", "")]), &Limits::default(), &mut trailers).unwrap();
    let passed = written(|encoder, out| encoder.write_trailers(out, &trailers));
    assert_eq!(passed, pairs(&[("grpc-status", "0"), ("x", "")]));
}

/// Both ways through one connection: what an encoder writes, a decoder reads, also from the table.
#[test]
fn heads_survive_the_way_between_two_of_us() {
    let bytes = b"GET /a HTTP/1.1\r\nHost: a.example\r\nUser-Agent: t\r\nX-Own: value\r\nCookie: a=1\r\n\r\n";
    let answer = b"HTTP/1.1 200 OK\r\nServer: s\r\nContent-Length: 5\r\nX-Own: value\r\n\r\n";
    let (request, response) = (request(bytes), response(answer));
    let (mut encoder, mut decoder) = (HeadEncoder::new(4096), HeadDecoder::new(4096));
    let limits = Limits::default();
    let (mut head, mut text, mut lens) = (RequestHead::new(), Vec::new(), Vec::new());
    let mut answered = ResponseHead::new();
    for _ in 0..4 {
        let mut out = Vec::new();
        encoder.write_request(&mut out, &request, bytes, &Edits::new(), Scheme::Http, b"");
        lens.push(out.len());
        decoder.decode_request(&out, &limits, true, &mut head, &mut text).unwrap();
        let expected: &[u8] =
            b"GET /a HTTP/1.1\r\nhost: a.example\r\nuser-agent: t\r\nx-own: value\r\ncookie: a=1\r\n\r\n";
        assert_eq!(text, expected);
        out.clear();
        encoder.write_response(&mut out, &response, answer, &Edits::new(), ResponseFraming::Exact(5));
        decoder.decode_response(&out, &limits, false, Asked::default(), &mut answered, &mut text).unwrap();
        assert_eq!(text, b"HTTP/1.1 200 OK\r\nserver: s\r\ncontent-length: 5\r\nx-own: value\r\n\r\n");
    }
    assert!(lens[2] < lens[0] / 2 && lens[3] == lens[2], "{lens:?}");
}
