//! RFC 9112 §4: the status line.

use wire::error::StartLinePart::{Reason, Status, Version as VersionPart};
use wire::{ResponseError, SyntaxError};

use crate::{refuse_responses, response};

#[test]
fn status_and_reason_are_read() {
    let rows: &[(&[u8], u16, &[u8])] = &[
        (b"HTTP/1.1 200 OK\r\n\r\n", 200, b"OK"),
        (b"HTTP/1.1 200 \r\n\r\n", 200, b""),
        (b"HTTP/1.1 200\r\n\r\n", 200, b""),
        (b"HTTP/1.1 200\r\nA: b\r\n\r\n", 200, b""),
        (b"HTTP/1.1 404 Not Found\r\nA: b\r\n\r\n", 404, b"Not Found"),
        (b"HTTP/1.1 100 Continue\r\n\r\n", 100, b"Continue"),
        (b"HTTP/1.1 999 \tOdd  one \r\n\r\n", 999, b"\tOdd  one "),
        (b"HTTP/1.1 200 Zur\xc3\xbcck\r\nA: b\r\n\r\n", 200, b"Zur\xc3\xbcck"),
        (b"HTTP/1.7 200 \xff\r\n\r\n", 200, b"\xff"),
    ];
    for &(bytes, status, reason) in rows {
        let head = response(bytes);
        assert_eq!(head.status(), status);
        assert_eq!(head.reason().of(bytes), reason, "{}", bytes.escape_ascii());
        assert_eq!(head.is_informational(), status < 200);
    }
}

#[test]
fn malformed_status_lines_are_refused() {
    let start_line = |part, at, byte| ResponseError::Syntax(SyntaxError::StartLine { part, at, byte });
    refuse_responses(&[
        (b" HTTP/1.1 200 OK\r\n\r\n", start_line(VersionPart, 0, b' ')),
        (b"http/1.1 200 OK\r\n\r\n", start_line(VersionPart, 0, b'h')),
        (b"HTTP/1.1200 OK\r\n\r\n", start_line(VersionPart, 8, b'2')),
        (b"HTTP/1.1\t200 OK\r\n\r\n", start_line(VersionPart, 8, b'\t')),
        (b"HTTP/1.1  200 OK\r\n\r\n", start_line(Status, 9, b' ')),
        (b"HTTP/1.1 20 OK\r\n\r\n", start_line(Status, 11, b' ')),
        (b"HTTP/1.1 2000 OK\r\n\r\n", start_line(Status, 12, b'0')),
        (b"HTTP/1.1 +20 OK\r\n\r\n", start_line(Status, 9, b'+')),
        (b"HTTP/1.1 2x0 OK\r\n\r\n", start_line(Status, 10, b'x')),
        (b"HTTP/1.1 OK\r\n\r\n", start_line(Status, 9, b'O')),
        (b"HTTP/1.1 200\tOK\r\n\r\n", start_line(Status, 12, b'\t')),
        (b"HTTP/1.1 200 O\0K\r\n\r\n", start_line(Reason, 14, 0)),
        (b"HTTP/1.1 200 O\x7fK\r\n\r\n", start_line(Reason, 14, 0x7f)),
        (b"HTTP/1.1 099 OK\r\n\r\n", ResponseError::StatusInvalid { at: 9 }),
        (b"HTTP/1.1 000 OK\r\n\r\n", ResponseError::StatusInvalid { at: 9 }),
        (b"ICY 200 OK\r\n\r\n", start_line(VersionPart, 0, b'I')),
        (b"<html>\r\n\r\n", start_line(VersionPart, 0, b'<')),
    ]);
}
