//! What the first bytes of a connection begin.

use wire::detect::{HTTP2_PREFACE, Opening, Wanted, opening};
use wire::proxy_protocol::V2_SIGNATURE;

/// Bytes, what they begin, and how many of them it takes to know.
const OPENINGS: [(&[u8], Opening, usize); 14] = [
    (b"PROXY TCP4 ", Opening::ProxyV1, 6),
    (V2_SIGNATURE, Opening::ProxyV2, 12),
    (b"\x16\x03\x01\x02\0", Opening::Tls, 2),
    (HTTP2_PREFACE, Opening::Http2, 24),
    (b"GET / HTTP/1.1", Opening::Http1, 1),
    (b"POST / HTTP/1.1", Opening::Http1, 2),
    (b"PROPFIND / HTTP/1.1", Opening::Http1, 4),
    (b"PRI * HTTP/2.0\r\nX", Opening::Http1, 17),
    (b"\r\nGET / HTTP/1.1", Opening::Http1, 3),
    (b"\nGET", Opening::Http1, 1),
    (b"\x16\x02", Opening::Unknown, 2),
    (b"\x80\x2e\x01", Opening::Unknown, 1),
    (b"\0", Opening::Unknown, 1),
    (b"SSH-2.0-x", Opening::Http1, 1),
];

#[test]
fn each_is_known_by_its_first_bytes() {
    for (bytes, expected, needed) in OPENINGS {
        for end in 0..=bytes.len() {
            let found = opening(&bytes[..end], Wanted::ALL);
            let expected = (end >= needed).then_some(expected);
            assert_eq!(found, expected, "{} bytes of {}", end, bytes.escape_ascii());
        }
    }
}

#[test]
fn what_is_not_wanted_delays_nobody() {
    for (bytes, expected, _) in OPENINGS {
        let found = opening(&bytes[..1], Wanted::default());
        let is_token = !matches!(bytes[0], 0x16 | 0x80 | 0);
        assert_eq!(found, Some(if is_token { Opening::Http1 } else { Opening::Unknown }));
        let without_proxy = Wanted { proxy: false, ..Wanted::ALL };
        if matches!(expected, Opening::ProxyV1 | Opening::ProxyV2) {
            assert_eq!(
                opening(bytes, without_proxy),
                Some(Opening::Http1),
                "it is for the parser of requests to refuse"
            );
        }
    }
    assert_eq!(opening(b"\x16\x03", Wanted { tls: false, ..Wanted::ALL }), Some(Opening::Unknown));
    assert_eq!(opening(HTTP2_PREFACE, Wanted { http2: false, ..Wanted::ALL }), Some(Opening::Http1));
}
