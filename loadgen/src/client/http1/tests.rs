//! Responses by the sections of RFC 9112 and RFC 9110: what is read, what is refused, and that pieces change nothing.

use proptest::prelude::*;

use super::reader::{FIELDS_MAX, HEAD_BYTES_MAX, INTERIMS_MAX, Malformed, Piece, Reader};

/// A response as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Response {
    status: u16,
    body: Vec<u8>,
    is_complete: bool,
    keeps_alive: bool,
}

/// Reads all responses of `bytes`, which come in pieces of these lengths and then byte by byte.
fn responses(bytes: &[u8], to_head: bool, mut pieces: impl Iterator<Item = usize>) -> Result<Vec<Response>, Malformed> {
    let mut reader = Reader::new();
    let mut responses: Vec<Response> = Vec::new();
    let mut at = 0;
    while at < bytes.len() || reader.is_complete() {
        let end = (at + pieces.next().unwrap_or(1)).min(bytes.len());
        let mut input = &bytes[at..end];
        loop {
            let read = reader.read(input, to_head)?;
            assert!(read.consumed <= input.len());
            match read.piece {
                Piece::More => {
                    assert_eq!(read.consumed, input.len(), "all input is used before more is wanted");
                    break;
                }
                Piece::Head(status) => {
                    let keeps_alive = reader.keeps_alive();
                    responses.push(Response { status, body: Vec::new(), is_complete: false, keeps_alive });
                }
                Piece::Data(data) => responses.last_mut().expect("a head").body.extend_from_slice(data),
                Piece::End => responses.last_mut().expect("a head").is_complete = true,
            }
            input = &input[read.consumed..];
            if input.is_empty() && !reader.is_complete() {
                break;
            }
        }
        at = end;
    }
    Ok(responses)
}

fn whole(bytes: &[u8]) -> Result<Vec<Response>, Malformed> {
    responses(bytes, false, std::iter::once(bytes.len()))
}

#[track_caller]
fn assert_body(head: &str, body: &str, expected: &str, is_complete: bool) {
    let bytes = format!("{head}\r\n\r\n{body}");
    let read = whole(bytes.as_bytes()).unwrap_or_else(|malformed| panic!("{head:?}: {malformed}"));
    assert_eq!(read.len(), 1, "{head:?}");
    assert_eq!((read[0].body.as_slice(), read[0].is_complete), (expected.as_bytes(), is_complete), "{head:?}");
}

#[track_caller]
fn assert_refused(bytes: &str, why: Malformed) {
    assert_eq!(whole(bytes.as_bytes()), Err(why), "{bytes:?}");
}

#[test]
fn section_4_status_line() {
    for line in ["HTTP/1.1 200 OK", "HTTP/1.1 200 ", "HTTP/1.0 404 Not Found", "HTTP/1.1 599 caf\u{e9}"] {
        assert!(whole(format!("{line}\r\nContent-Length: 0\r\n\r\n").as_bytes()).is_ok(), "{line}");
    }
    for line in [
        "HTTP/1.1 200",
        "HTTP/1.1  200 OK",
        "HTTP/2 200 OK",
        "HTTP/1.2 200 OK",
        "http/1.1 200 OK",
        " HTTP/1.1 200 OK",
        "HTTP/1.1 20 OK",
        "HTTP/1.1 2000 OK",
        "HTTP/1.1 2x0 OK",
        "HTTP/1.1 200 O\u{1}K",
        "",
        "HTTP/1.1 +20 OK",
    ] {
        assert_refused(&format!("{line}\r\n\r\n"), Malformed::StatusLine);
    }
    assert_refused("HTTP/1.1 600 Odd\r\n\r\n", Malformed::Status);
    assert_refused("HTTP/1.1 099 Odd\r\n\r\n", Malformed::Status);
}

#[test]
fn section_2_2_line_ends() {
    assert_refused("HTTP/1.1 200 OK\nContent-Length: 0\n\n", Malformed::BareLineFeed);
    assert_refused("HTTP/1.1 200 OK\r\nContent-Length: 0\n\r\n", Malformed::BareLineFeed);
    assert_refused("HTTP/1.1 200 OK\r\nX: a\rb\r\n\r\n", Malformed::Field);
}

#[test]
fn section_5_fields() {
    for field in ["X : a", "X", ": a", "X\0: a", "X: a\0", "X: \u{7f}", "(: a", "X y: a"] {
        assert_refused(&format!("HTTP/1.1 200 OK\r\n{field}\r\n\r\n"), Malformed::Field);
    }
    assert_refused("HTTP/1.1 200 OK\r\nX: a\r\n b\r\n\r\n", Malformed::Folded);
    assert_body("HTTP/1.1 200 OK\r\nX:\r\nY: \t a \t\r\nCONTENT-length:\t2 ", "ab", "ab", true);
    let many = "X: a\r\n".repeat(FIELDS_MAX + 1);
    assert_refused(&format!("HTTP/1.1 200 OK\r\n{many}\r\n"), Malformed::TooManyFields);
    let long = "a".repeat(HEAD_BYTES_MAX);
    assert_refused(&format!("HTTP/1.1 200 OK\r\nX: {long}\r\n\r\n"), Malformed::HeadTooLarge);
    assert_refused(&format!("HTTP/1.1 200 {long}"), Malformed::HeadTooLarge);
}

#[test]
fn section_6_3_the_length_of_a_body() {
    // Rule 1: no body, whatever the fields say.
    for status in [204, 304] {
        assert_body(&format!("HTTP/1.1 {status} \r\nContent-Length: 5"), "", "", true);
    }
    let head = responses(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", true, std::iter::once(99)).unwrap();
    assert!(head[0].is_complete && head[0].body.is_empty());
    // Rules 3, 4 and 5.
    assert_refused(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n",
        Malformed::BothLengths,
    );
    for coding in ["gzip", "gzip, chunked", "chunked, gzip", "chunked\r\nTransfer-Encoding: chunked", "identity", ""] {
        assert_refused(&format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: {coding}\r\n\r\n"), Malformed::TransferEncoding);
    }
    for length in ["", "+5", "5, 5", "5 5", "0x5", "18446744073709551616", "5\r\nContent-Length: 5"] {
        assert_refused(&format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n"), Malformed::ContentLength);
    }
    // Rule 6, and rule 8: until the connection's end.
    assert_body("HTTP/1.1 200 OK\r\nContent-Length: 5", "hello", "hello", true);
    assert_body("HTTP/1.1 200 OK\r\nContent-Length: 6", "hello", "hello", false);
    assert_body("HTTP/1.1 200 OK", "hello", "hello", false);
    // Section 6.1: not in what has no body, and not from HTTP/1.0.
    assert_refused("HTTP/1.1 204 \r\nTransfer-Encoding: chunked\r\n\r\n", Malformed::TransferEncoding);
    assert_refused("HTTP/1.0 200 \r\nTransfer-Encoding: chunked\r\n\r\n", Malformed::TransferEncoding);
}

#[test]
fn section_7_1_chunks() {
    let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked";
    assert_body(head, "5\r\nhello\r\n0\r\n\r\n", "hello", true);
    assert_body(head, "0005;a=b;c=\"d\"\r\nhello\r\n1 ;x\r\n!\r\n0\r\nTrailer: 1\r\n\r\n", "hello!", true);
    assert_body(head, "5\r\nhello\r\n", "hello", false);
    let with = |body: &str| format!("{head}\r\n\r\n{body}");
    for size in ["", "g", "-1", "0x5", "5 ", "5 x", "11111111111111111", ";a"] {
        assert_refused(&with(&format!("{size}\r\nhello\r\n")), Malformed::ChunkSize);
    }
    assert_refused(&with("5\r\nhello!\r\n"), Malformed::ChunkEnd);
    assert_refused(&with("5\r\nhello\n"), Malformed::BareLineFeed);
    assert_refused(&with(&format!("5;{}", "x".repeat(5000))), Malformed::ChunkSize);
    assert_refused(&with("0\r\nbad trailer\r\n\r\n"), Malformed::Field);
    assert_refused(&with(&format!("0\r\n{}", "X: a\r\n".repeat(FIELDS_MAX + 1))), Malformed::TooManyFields);
}

#[test]
fn section_9_3_persistence() {
    let keeps = |head: &str| whole(format!("{head}\r\nContent-Length: 0\r\n\r\n").as_bytes()).unwrap()[0].keeps_alive;
    assert!(keeps("HTTP/1.1 200 OK"));
    assert!(keeps("HTTP/1.0 200 OK\r\nConnection: Keep-Alive"));
    assert!(!keeps("HTTP/1.0 200 OK"));
    assert!(!keeps("HTTP/1.1 200 OK\r\nConnection: x, Close"));
    assert!(!keeps("HTTP/1.1 200 OK\r\nConnection: keep-alive\r\nConnection: close"));
}

#[test]
fn rfc_9110_section_15_2_interim_responses_precede_the_final_one() {
    let interim = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n";
    let all = format!("{}HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", interim.repeat(INTERIMS_MAX));
    assert_eq!(whole(all.as_bytes()).unwrap().len(), 1);
    assert_refused(&interim.repeat(INTERIMS_MAX + 1), Malformed::TooManyInterims);
    assert_refused("HTTP/1.1 101 Switching Protocols\r\n\r\n", Malformed::Switched);
}

#[test]
fn pipelined_responses_are_told_apart() {
    let bytes = b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\naHTTP/1.1 204 \r\n\r\nHTTP/1.1 200 OK\r\n\
                  Transfer-Encoding: chunked\r\n\r\n1\r\nb\r\n0\r\n\r\nHTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n";
    let read = whole(bytes).unwrap();
    let told: Vec<(u16, &[u8])> = read.iter().map(|response| (response.status, response.body.as_slice())).collect();
    assert_eq!(told, [(200, &b"a"[..]), (204, b""), (200, b"b"), (404, b"")]);
    assert!(read.iter().all(|response| response.is_complete));
}

proptest! {
    #[test]
    fn pieces_change_nothing(
        which in proptest::collection::vec(0..5_usize, 1..6),
        damage in proptest::option::of((0..400_usize, any::<u8>())),
        pieces in proptest::collection::vec(1..40_usize, 0..60),
    ) {
        const RESPONSES: [&str; 5] = [
            "HTTP/1.1 200 OK\r\nServer: x\r\nContent-Length: 11\r\n\r\nhello world",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;x=y\r\nhello\r\n6\r\n world\r\n0\r\nT: 1\r\n\r\n",
            "HTTP/1.1 103 Hints\r\nA: b\r\n\r\nHTTP/1.1 304 Not Modified\r\nETag: \"1\"\r\n\r\n",
            "HTTP/1.0 404 Not Found\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n",
            "HTTP/1.1 204 No Content\r\n\r\n",
        ];
        let mut bytes: Vec<u8> = which.iter().flat_map(|which| RESPONSES[*which].bytes()).collect();
        if let Some((at, byte)) = damage {
            let at = at % bytes.len();
            bytes[at] = byte;
        }
        prop_assert_eq!(responses(&bytes, false, pieces.into_iter()), whole(&bytes));
    }
}
