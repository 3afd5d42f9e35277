//! RFC 9112 §6: where a body ends. Every unclear message is refused.

use wire::{BodyLength, FramingError, Method, RequestError, ResponseError};

use crate::{refuse_requests, refuse_responses, request, response};

#[test]
fn requests_say_how_their_body_ends() {
    let rows: &[(&str, BodyLength)] = &[
        ("GET / HTTP/1.1\r\nHost: x\r\n\r\n", BodyLength::None),
        ("POST / HTTP/1.1\r\nHost: x\r\n\r\n", BodyLength::None),
        ("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", BodyLength::Exact(0)),
        ("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0042\r\n\r\n", BodyLength::Exact(42)),
        ("GET / HTTP/1.0\r\nContent-Length: 7\r\n\r\n", BodyLength::Exact(7)),
        ("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 18446744073709551615\r\n\r\n", BodyLength::Exact(u64::MAX)),
        ("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n", BodyLength::Chunked),
        ("POST / HTTP/1.1\r\nHost: x\r\ntransfer-encoding:\tCHUNKED \r\n\r\n", BodyLength::Chunked),
    ];
    for &(bytes, body) in rows {
        assert_eq!(request(bytes.as_bytes()).body(), body, "{bytes:?}");
    }
}

/// A request with these lines, and where they start.
fn post(lines: &str) -> Vec<u8> {
    format!("POST / HTTP/1.1\r\nHost: x\r\n{lines}\r\n").into_bytes()
}
const LINES_AT: u32 = 26;

#[test]
fn requests_with_unclear_framing_are_refused() {
    use FramingError::{
        ChunkedNotLast, ChunkedRepeated, CodingInvalid, CodingUnknown, LengthInvalid, LengthRepeated, LengthWithCoding,
    };
    // Offsets count from the first of the lines.
    let length = "Content-Length: ".len() as u32;
    let coding = "Transfer-Encoding: ".len() as u32;
    type Row = (&'static str, fn(u32) -> FramingError, u32, u16);
    let rows: &[Row] = &[
        ("Content-Length: \r\n", |at| LengthInvalid { at }, length, 400),
        ("Content-Length: -1\r\n", |at| LengthInvalid { at }, length, 400),
        ("Content-Length: +1\r\n", |at| LengthInvalid { at }, length, 400),
        ("Content-Length: 1a\r\n", |at| LengthInvalid { at }, length, 400),
        ("Content-Length: 0x10\r\n", |at| LengthInvalid { at }, length, 400),
        ("Content-Length: 1 2\r\n", |at| LengthInvalid { at }, length, 400),
        ("Content-Length: 1.0\r\n", |at| LengthInvalid { at }, length, 400),
        ("Content-Length: 1e3\r\n", |at| LengthInvalid { at }, length, 400),
        ("Content-Length: 1_000\r\n", |at| LengthInvalid { at }, length, 400),
        ("Content-Length: \"5\"\r\n", |at| LengthInvalid { at }, length, 400),
        ("Content-Length: \u{661}\r\n", |at| LengthInvalid { at }, length, 400),
        ("Content-Length: 18446744073709551616\r\n", |at| LengthInvalid { at }, length, 400),
        ("Content-Length: 99999999999999999999999999\r\n", |at| LengthInvalid { at }, length, 400),
        ("Content-Length: ,1\r\n", |at| LengthRepeated { at }, length, 400),
        ("Content-Length: 1, 1\r\n", |at| LengthRepeated { at }, length + 1, 400),
        ("Content-Length: 1,2\r\n", |at| LengthRepeated { at }, length + 1, 400),
        ("Content-Length: 5\r\nContent-Length: 5\r\n", |at| LengthRepeated { at }, length + 3, 400),
        ("Content-Length: 5\r\nContent-Length: 6\r\n", |at| LengthRepeated { at }, length + 3, 400),
        ("Content-Length: 5\r\nA: b\r\ncontent-length: 5\r\n", |at| LengthRepeated { at }, length + 9, 400),
        ("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", |at| LengthWithCoding { at }, length + 3, 400),
        ("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", |at| LengthWithCoding { at }, 0, 400),
        ("Transfer-Encoding: identity\r\nContent-Length: 5\r\n", |at| LengthWithCoding { at }, 0, 400),
        ("Transfer-Encoding: gzip, chunked\r\n", |at| CodingUnknown { at }, coding, 501),
        ("Transfer-Encoding: gzip;q=1, chunked\r\n", |at| CodingUnknown { at }, coding, 501),
        ("Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n", |at| CodingUnknown { at }, coding, 501),
        ("Transfer-Encoding: identity, chunked\r\n", |at| CodingUnknown { at }, coding, 501),
        ("Transfer-Encoding: gzip\r\n", |at| ChunkedNotLast { at }, coding, 400),
        ("Transfer-Encoding: identity\r\n", |at| ChunkedNotLast { at }, coding, 400),
        ("Transfer-Encoding: xchunked\r\n", |at| ChunkedNotLast { at }, coding, 400),
        ("Transfer-Encoding: chunkedx\r\n", |at| ChunkedNotLast { at }, coding, 400),
        ("Transfer-Encoding: chunk\r\n", |at| ChunkedNotLast { at }, coding, 400),
        ("Transfer-Encoding: chunked;a=b\r\n", |at| ChunkedNotLast { at }, coding, 400),
        ("Transfer-Encoding: chunked, gzip\r\n", |at| ChunkedNotLast { at }, coding + 9, 400),
        ("Transfer-Encoding: chunked, identity\r\n", |at| ChunkedNotLast { at }, coding + 9, 400),
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding: gzip\r\n", |at| ChunkedNotLast { at }, 2 * coding + 9, 400),
        ("Transfer-Encoding: chunked, chunked\r\n", |at| ChunkedRepeated { at }, coding + 9, 400),
        (
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: Chunked\r\n",
            |at| ChunkedRepeated { at },
            2 * coding + 9,
            400,
        ),
        ("Transfer-Encoding:\r\n", |at| CodingInvalid { at }, coding - 1, 400),
        ("Transfer-Encoding: ,chunked\r\n", |at| CodingInvalid { at }, coding, 400),
        ("Transfer-Encoding: chunked,\r\n", |at| CodingInvalid { at }, coding + 8, 400),
        ("Transfer-Encoding: chunked, ,\r\n", |at| CodingInvalid { at }, coding + 9, 400),
        ("Transfer-Encoding: \"chunked\"\r\n", |at| CodingInvalid { at }, coding, 400),
        ("Transfer-Encoding: chunked foo\r\n", |at| CodingInvalid { at }, coding, 400),
        ("Transfer-Encoding: gzip chunked\r\n", |at| CodingInvalid { at }, coding, 400),
        ("Transfer-Encoding: \u{17f}hunked\r\n", |at| CodingInvalid { at }, coding, 400),
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding:\r\n", |at| CodingInvalid { at }, 2 * coding + 8, 400),
    ];
    for &(lines, fault, at, status) in rows {
        let fault = RequestError::Framing(fault(LINES_AT + at));
        refuse_requests(&[(&post(lines), fault, status)]);
    }
    refuse_requests(&[(
        b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n",
        FramingError::CodingInHttp10 { at: 17 }.into(),
        400,
    )]);
}

#[test]
fn responses_with_unclear_framing_are_refused() {
    use FramingError::{
        ChunkedNotLast, CodingInHttp10, CodingUnknown, LengthInvalid, LengthRepeated, LengthWithCoding,
    };
    let framing = ResponseError::Framing;
    refuse_responses(&[
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5, 5\r\n\r\n", framing(LengthRepeated { at: 34 })),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n", framing(LengthRepeated { at: 36 })),
        (b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n", framing(LengthInvalid { at: 33 })),
        (b"HTTP/1.1 204 OK\r\nContent-Length: x\r\n\r\n", framing(LengthInvalid { at: 33 })),
        (
            b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
            framing(LengthWithCoding { at: 36 }),
        ),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n", framing(ChunkedNotLast { at: 36 })),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", framing(CodingUnknown { at: 36 })),
        (b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", framing(CodingInHttp10 { at: 17 })),
    ]);
}

#[test]
fn the_length_of_a_response_depends_on_the_request() {
    use BodyLength::{Chunked, Exact, None, UntilClose};
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    let exact = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n";
    let close = "HTTP/1.1 200 OK\r\n\r\n";
    let rows: &[(&str, Method, BodyLength)] = &[
        (chunked, Method::Get, Chunked),
        (exact, Method::Get, Exact(5)),
        (close, Method::Get, UntilClose),
        ("HTTP/1.0 200 OK\r\n\r\n", Method::Get, UntilClose),
        ("HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\n", Method::Post, Exact(5)),
        (chunked, Method::Head, None),
        (exact, Method::Head, None),
        (close, Method::Head, None),
        (exact, Method::Connect, None),
        (chunked, Method::Connect, None),
        ("HTTP/1.1 403 No\r\nContent-Length: 5\r\n\r\n", Method::Connect, Exact(5)),
        ("HTTP/1.1 100 Continue\r\n\r\n", Method::Get, None),
        ("HTTP/1.1 103 Hints\r\nContent-Length: 5\r\n\r\n", Method::Get, None),
        ("HTTP/1.1 204 No\r\nContent-Length: 5\r\n\r\n", Method::Get, None),
        ("HTTP/1.1 304 No\r\nContent-Length: 5\r\n\r\n", Method::Get, None),
        ("HTTP/1.1 205 Reset\r\nContent-Length: 0\r\n\r\n", Method::Get, Exact(0)),
    ];
    for &(bytes, method, body) in rows {
        assert_eq!(response(bytes.as_bytes()).body_for(method), body, "{method:?} {bytes:?}");
    }
}
