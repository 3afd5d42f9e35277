//! RFC 9112 §2: message format, line ends, empty lines before a request, versions, and the bounds on a head.

use wire::h1::{Parsed, ServerConnection, parse_request, parse_response};
use wire::{Limits, RequestError, RequestHead, ResponseError, ResponseHead, SyntaxError, Version};

use crate::{refuse_requests, refuse_responses, request, response};

#[test]
fn empty_lines_before_a_request_are_skipped() {
    for lines in ["", "\r\n", "\r\n\r\n"] {
        let bytes = format!("{lines}GET /a HTTP/1.1\r\nHost: x\r\n\r\n");
        let head = request(bytes.as_bytes());
        assert_eq!(head.method_name(bytes.as_bytes()), b"GET");
        assert_eq!(head.path(bytes.as_bytes()), b"/a");
    }
}

#[test]
fn bytes_after_a_head_are_not_part_of_it() {
    let bytes = b"GET / HTTP/1.1\r\nHost: x\r\n\r\nGET /next HTTP/1.1\r\n";
    let mut head = RequestHead::new();
    assert_eq!(parse_request(bytes, &Limits::default(), &mut head), Ok(Parsed::Complete(27)));
    let bytes = b"HTTP/1.1 200 OK\r\n\r\n\0\0";
    let mut head = ResponseHead::new();
    assert_eq!(parse_response(bytes, &Limits::default(), &mut head), Ok(Parsed::Complete(19)));
}

#[test]
fn a_head_is_partial_until_its_last_byte() {
    let bytes = b"\r\nPOST /a?b HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\n";
    let mut head = RequestHead::new();
    for end in 0..bytes.len() {
        assert_eq!(parse_request(&bytes[..end], &Limits::default(), &mut head), Ok(Parsed::Partial), "{end}");
    }
    request(bytes);
    let bytes = b"HTTP/1.0 404 Not Found\r\nContent-Length: 3\r\n\r\n";
    let mut head = ResponseHead::new();
    for end in 0..bytes.len() {
        assert_eq!(parse_response(&bytes[..end], &Limits::default(), &mut head), Ok(Parsed::Partial), "{end}");
    }
    response(bytes);
}

#[test]
fn line_ends_are_crlf_and_nothing_else() {
    use SyntaxError::{BareCr, BareLf, EmptyLine};
    refuse_requests(&[
        (b"\nGET / HTTP/1.1\r\nHost: x\r\n\r\n", BareLf { at: 0 }.into(), 400),
        (b"\r\n\nGET / HTTP/1.1\r\nHost: x\r\n\r\n", BareLf { at: 2 }.into(), 400),
        (b"\r\rGET / HTTP/1.1\r\nHost: x\r\n\r\n", BareCr { at: 0 }.into(), 400),
        (b"\r\n\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n", EmptyLine { at: 4 }.into(), 400),
        (b"GET / HTTP/1.1\nHost: x\r\n\r\n", BareLf { at: 14 }.into(), 400),
        (b"GET / HTTP/1.1\rHost: x\r\n\r\n", BareCr { at: 14 }.into(), 400),
        (b"GET / HTTP/1.1\r\rHost: x\r\n\r\n", BareCr { at: 14 }.into(), 400),
        (b"GET / HTTP/1.1\r\nHost: x\n\r\n", BareLf { at: 23 }.into(), 400),
        (b"GET / HTTP/1.1\r\nHost: x\n\n", BareLf { at: 23 }.into(), 400),
        (b"GET / HTTP/1.1\r\nHost: x\r\n\n", BareLf { at: 25 }.into(), 400),
        (b"GET / HTTP/1.1\r\nHost: x\r\n\rX", BareCr { at: 25 }.into(), 400),
        (b"GET / HTTP/1.1\r\nHost: x\rA: b\r\n\r\n", BareCr { at: 23 }.into(), 400),
        (b"GET / HTTP/1.1\r\nHost: x\r\r\n\r\n", BareCr { at: 23 }.into(), 400),
        (b"GET / HTTP/1.1\r\nHost: x\r\nA: b\nC: d\r\n\r\n", BareLf { at: 29 }.into(), 400),
        (b"GET / HTTP/1.1\r\nHost: x\r\nA:\n\r\n", BareLf { at: 27 }.into(), 400),
        (b"GET / HTTP/1.1\r\nHost: x\r\nA: \n\r\n", BareLf { at: 28 }.into(), 400),
        (b"GET / HTTP/1.1\r\nHost: x\r\nA:\r\r\n\r\n", BareCr { at: 27 }.into(), 400),
        (b"GET / HTTP/1.1\r\nHost: x\r\nA: b\n\r\n\r\n", BareLf { at: 29 }.into(), 400),
        (b"GET / HTTP/1.1\r\n\nHost: x\r\n\r\n", BareLf { at: 16 }.into(), 400),
    ]);
    refuse_responses(&[
        (b"\r\nHTTP/1.1 200 OK\r\n\r\n", EmptyLine { at: 0 }.into()),
        (b"\nHTTP/1.1 200 OK\r\n\r\n", EmptyLine { at: 0 }.into()),
        (b"HTTP/1.1 200 OK\n\r\n", BareLf { at: 15 }.into()),
        (b"HTTP/1.1 200 OK\n\n", BareLf { at: 15 }.into()),
        (
            b"HTTP/1.1 200\n\r\n",
            SyntaxError::StartLine { part: wire::error::StartLinePart::Status, at: 12, byte: b'\n' }.into(),
        ),
        (b"HTTP/1.1 200 OK\r\n\n", BareLf { at: 17 }.into()),
        (b"HTTP/1.1 200 OK\r\nA: b\n\r\n", BareLf { at: 21 }.into()),
        (b"HTTP/1.1 200 OK\r\nA: b\r\n\n", BareLf { at: 23 }.into()),
        (b"HTTP/1.1 200 O\rK\r\n\r\n", BareCr { at: 14 }.into()),
    ]);
}

#[test]
fn undefined_minor_versions_count_as_1_1_and_other_majors_are_refused() {
    // RFC 9110 §2.5
    for minor in b'1'..=b'9' {
        let mut bytes = *b"GET / HTTP/1.1\r\nHost: x\r\nA: b\r\n\r\n";
        bytes[13] = minor;
        let head = request(&bytes);
        assert_eq!(head.version(), Version::Http11);
        assert_eq!(head.fields().len(), 2);
        let mut bytes = *b"HTTP/1.1 200 OK\r\nA: b\r\n\r\n";
        bytes[7] = minor;
        assert_eq!(response(&bytes).version(), Version::Http11);
    }
    assert_eq!(request(b"GET / HTTP/1.0\r\n\r\n").version(), Version::Http10);
    assert_eq!(response(b"HTTP/1.0 200 OK\r\n\r\n").version(), Version::Http10);
    let unsupported = RequestError::VersionUnsupported { at: 6 };
    refuse_requests(&[
        (b"GET / HTTP/2.0\r\nHost: x\r\n\r\n", unsupported, 505),
        (b"GET / HTTP/0.9\r\nHost: x\r\n\r\n", unsupported, 505),
        (b"GET / HTTP/9.9\r\nHost: x\r\n\r\n", unsupported, 505),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", unsupported, 505),
    ]);
    refuse_responses(&[(b"HTTP/2.0 200 OK\r\n\r\n", ResponseError::VersionUnsupported { at: 0 })]);
}

const SMALL: Limits =
    Limits { head_bytes_max: 64, start_line_bytes_max: 32, fields_max: 3, target_bytes_max: 32, field_bytes_max: 64 };

/// Parses under `SMALL`, whole and byte by byte, and returns the outcome, which must not depend on that.
fn under_small_limits(bytes: &[u8]) -> Result<Parsed, RequestError> {
    let mut head = RequestHead::new();
    let whole = parse_request(bytes, &SMALL, &mut head);
    let mut by_bytes = (0..=bytes.len()).map(|end| parse_request(&bytes[..end], &SMALL, &mut head));
    let first = by_bytes.find(|parsed| *parsed != Ok(Parsed::Partial)).unwrap_or(Ok(Parsed::Partial));
    assert_eq!(first, whole, "{}", bytes.escape_ascii());
    whole
}

#[test]
fn a_request_line_over_the_limit_is_414() {
    // 31 to 33 bytes with the CRLF.
    let line = |path_len: usize| format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "a".repeat(path_len));
    assert_eq!(under_small_limits(line(15).as_bytes()), Ok(Parsed::Complete(42)));
    assert_eq!(under_small_limits(line(16).as_bytes()), Ok(Parsed::Complete(43)));
    let too_long = RequestError::StartLineTooLong { max: 32 };
    assert_eq!(under_small_limits(line(17).as_bytes()), Err(too_long));
    assert_eq!(too_long.status(), 414);
    assert_eq!(
        under_small_limits(&b"GET /".repeat(20)[..40]),
        Err(SyntaxError::StartLine { part: wire::error::StartLinePart::Version, at: 9, byte: b'/' }.into())
    );
    assert_eq!(under_small_limits(format!("GET /{}", "a".repeat(50)).as_bytes()), Err(too_long));
    assert_eq!(under_small_limits(format!("GET /{}", "a".repeat(26)).as_bytes()), Ok(Parsed::Partial));
    assert_eq!(under_small_limits(format!("GET /{}", "a".repeat(27)).as_bytes()), Err(too_long));
    // The bound counts from the line, not from the empty lines before it.
    assert_eq!(under_small_limits(format!("\r\n{}", line(16)).as_bytes()), Ok(Parsed::Complete(45)));
}

#[test]
fn a_head_over_the_limit_is_431() {
    let head = |value_len: usize| format!("GET / HTTP/1.1\r\nHost: x\r\nA: {}\r\n\r\n", "a".repeat(value_len));
    assert_eq!(under_small_limits(head(32).as_bytes()), Ok(Parsed::Complete(64)));
    let too_large = RequestError::HeadTooLarge { max: 64 };
    assert_eq!(under_small_limits(head(33).as_bytes()), Err(too_large));
    assert_eq!(too_large.status(), 431);
    assert_eq!(under_small_limits(head(500).as_bytes()), Err(too_large));
    assert_eq!(under_small_limits(&head(500).as_bytes()[..64]), Err(too_large));
    assert_eq!(under_small_limits(&head(500).as_bytes()[..63]), Ok(Parsed::Partial));
}

/// A connection parses again only when a line ends; a line that never ends must still meet the limits.
#[test]
fn a_line_without_end_meets_the_limits_byte_by_byte() {
    let first_refusal = |bytes: &[u8]| {
        let (mut server, mut head) = (ServerConnection::new(), RequestHead::new());
        let mut outcomes = (0..=bytes.len()).map(|end| (end, server.parse_head(&bytes[..end], &SMALL, &mut head)));
        outcomes.find(|(_, parsed)| *parsed != Ok(Parsed::Partial))
    };
    // The empty lines that may precede the request line are allowed for.
    let line = format!("GET /{}", "a".repeat(100));
    assert_eq!(first_refusal(line.as_bytes()), Some((36, Err(RequestError::StartLineTooLong { max: 32 }))));
    let head = format!("GET / HTTP/1.1\r\nHost: x\r\nA: {}", "a".repeat(100));
    assert_eq!(first_refusal(head.as_bytes()), Some((64, Err(RequestError::HeadTooLarge { max: 64 }))));
}

#[test]
fn more_fields_than_the_limit_are_431() {
    let too_many = RequestError::FieldsTooMany { max: 3 };
    assert_eq!(under_small_limits(b"GET / HTTP/1.1\r\nHost: x\r\nA: b\r\nC: d\r\n\r\n"), Ok(Parsed::Complete(39)));
    assert_eq!(under_small_limits(b"GET / HTTP/1.1\r\nHost: x\r\nA: b\r\nC: d\r\nE: f\r\n\r\n"), Err(too_many));
    assert_eq!(too_many.status(), 431);
}

#[test]
fn a_target_over_the_limit_is_414_and_a_field_over_it_431() {
    let limits = Limits { target_bytes_max: 16, field_bytes_max: 20, ..Limits::default() };
    let parse = |target: usize, field: usize| {
        let (target, value) = ("a".repeat(target - 1), "b".repeat(field - "X: \r\n".len()));
        let head = format!("GET /{target} HTTP/1.1\r\nHost: x\r\nX: {value}\r\n\r\n");
        parse_request(head.as_bytes(), &limits, &mut RequestHead::new()).map(|_| ())
    };
    assert_eq!(parse(16, 20), Ok(()));
    let (long, large) = (RequestError::TargetTooLong { max: 16 }, RequestError::FieldTooLarge { at: 32, max: 20 });
    assert_eq!((parse(17, 20), long.status()), (Err(long), 414));
    assert_eq!((parse(8, 21), large.status()), (Err(large), 431));
    let answer = format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "b".repeat(16));
    let parsed = parse_response(answer.as_bytes(), &limits, &mut ResponseHead::new());
    assert_eq!(parsed, Err(ResponseError::FieldTooLarge { at: 17, max: 20 }));
}

#[test]
fn more_fields_than_the_fast_table_holds_are_read_slowly() {
    let limits = Limits { fields_max: 1000, ..Limits::default() };
    for count in [1, 127, 128, 129, 999] {
        let mut bytes = b"GET / HTTP/1.1\r\nHost: x\r\n".to_vec();
        for index in 0..count {
            bytes.extend_from_slice(format!("X-{index}: {index}\r\n").as_bytes());
        }
        bytes.extend_from_slice(b"\r\n");
        let mut head = RequestHead::new();
        assert_eq!(parse_request(&bytes, &limits, &mut head), Ok(Parsed::Complete(bytes.len())));
        assert_eq!(head.fields().len(), count + 1);
        let last = head.field_named(format!("x-{}", count - 1).as_bytes(), &bytes).unwrap();
        assert_eq!(last.value.of(&bytes), format!("{}", count - 1).as_bytes());
    }
}

#[test]
fn response_bounds_are_the_same() {
    let mut head = ResponseHead::new();
    let mut parse = |bytes: &str| parse_response(bytes.as_bytes(), &SMALL, &mut head);
    let long = "a".repeat(60);
    assert_eq!(parse(&format!("HTTP/1.1 200 {long}")), Err(ResponseError::StartLineTooLong { max: 32 }));
    assert_eq!(parse(&format!("HTTP/1.1 200 OK\r\nA: {long}\r\n\r\n")), Err(ResponseError::HeadTooLarge { max: 64 }));
    let four = "HTTP/1.1 200 OK\r\nA: b\r\nC: d\r\nE: f\r\nG: h\r\n\r\n";
    assert_eq!(parse(four), Err(ResponseError::FieldsTooMany { max: 3 }));
}
