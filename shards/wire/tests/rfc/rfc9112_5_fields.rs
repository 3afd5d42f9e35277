//! RFC 9112 §5: field lines.

use wire::h1::{Parsed, parse_request, parse_request_by_grammar};
use wire::{FieldName, Limits, RequestHead, SyntaxError};

use crate::{refuse_requests, refuse_responses, request};

#[test]
fn lines_are_sliced_and_names_are_tokens() {
    let bytes = b"GET / HTTP/1.1\r\nhOsT: x\r\nX-A:\r\nX-B: \t \r\nX-C:  a \t b\t \r\nCOOKIE:\xff\x80\r\n!#$%&'*+-.^_`|~0aZ: q\r\n\r\n";
    let head = request(bytes);
    let expected: &[(&[u8], &[u8], FieldName)] = &[
        (b"hOsT", b"x", FieldName::Host),
        (b"X-A", b"", FieldName::Other),
        (b"X-B", b"", FieldName::Other),
        (b"X-C", b"a \t b", FieldName::Other),
        (b"COOKIE", b"\xff\x80", FieldName::Cookie),
        (b"!#$%&'*+-.^_`|~0aZ", b"q", FieldName::Other),
    ];
    assert_eq!(head.fields().len(), expected.len());
    let mut lines = Vec::new();
    for (field, &(name, value, token)) in head.fields().iter().zip(expected) {
        assert_eq!((field.name.of(bytes), field.value.of(bytes), field.token), (name, value, token));
        lines.extend_from_slice(field.line.of(bytes));
    }
    assert_eq!(lines, bytes[16..bytes.len() - 2], "the lines tile the section");
    assert_eq!(head.value(FieldName::Cookie, bytes), Some(&b"\xff\x80"[..]));
    assert_eq!(head.value(FieldName::Via, bytes), None);
    assert_eq!(head.field_named(b"x-c", bytes).map(|field| field.value.of(bytes)), Some(&b"a \t b"[..]));
    assert_eq!(head.field_named(b"cookie", bytes).map(|field| field.token), Some(FieldName::Cookie));
    assert!(head.field_named(b"x-d", bytes).is_none());
}

#[test]
fn malformed_lines_are_refused() {
    use SyntaxError::{FoldedLine, NameByte, NameEmpty, SpaceBeforeColon, ValueByte};
    refuse_requests(&[
        (b"GET / HTTP/1.1\r\n Host: x\r\n\r\n", FoldedLine { at: 16 }.into(), 400),
        (b"GET / HTTP/1.1\r\n\tHost: x\r\n\r\n", FoldedLine { at: 16 }.into(), 400),
        (b"GET / HTTP/1.1\r\nHost: x\r\nA: b\r\n c\r\n\r\n", FoldedLine { at: 31 }.into(), 400),
        (b"GET / HTTP/1.1\r\nHost: x\r\nA:\r\n\tc\r\n\r\n", FoldedLine { at: 29 }.into(), 400),
        (b"GET / HTTP/1.1\r\nHost: x\r\n \r\n\r\n", FoldedLine { at: 25 }.into(), 400),
        (b"GET / HTTP/1.1\r\nHost : x\r\n\r\n", SpaceBeforeColon { at: 20 }.into(), 400),
        (b"GET / HTTP/1.1\r\nHost\t: x\r\n\r\n", SpaceBeforeColon { at: 20 }.into(), 400),
        (b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length : 3\r\n\r\n", SpaceBeforeColon { at: 39 }.into(), 400),
        (b"GET / HTTP/1.1\r\nHost: x\r\nA B: c\r\n\r\n", SpaceBeforeColon { at: 26 }.into(), 400),
        (b"GET / HTTP/1.1\r\n: x\r\n\r\n", NameEmpty { at: 16 }.into(), 400),
        (b"GET / HTTP/1.1\r\nHost: x\r\n:\r\n\r\n", NameEmpty { at: 25 }.into(), 400),
        (b"GET / HTTP/1.1\r\nHost: x\r\nA\r\n\r\n", NameByte { at: 26, byte: b'\r' }.into(), 400),
        (b"GET / HTTP/1.1\r\nHost: x\r\nA\n\r\n", NameByte { at: 26, byte: b'\n' }.into(), 400),
        (b"GET / HTTP/1.1\r\nHost: x\r\nA\0: b\r\n\r\n", NameByte { at: 26, byte: 0 }.into(), 400),
        (b"GET / HTTP/1.1\r\nHost: x\r\nA\x7f: b\r\n\r\n", NameByte { at: 26, byte: 0x7f }.into(), 400),
        (b"GET / HTTP/1.1\r\nHost: x\r\n\xc3\xa4: b\r\n\r\n", NameByte { at: 25, byte: 0xc3 }.into(), 400),
        (b"GET / HTTP/1.1\r\nHost: x\r\n\"A\": b\r\n\r\n", NameByte { at: 25, byte: b'"' }.into(), 400),
        (b"GET / HTTP/1.1\r\nHost: x\r\nA(b): c\r\n\r\n", NameByte { at: 26, byte: b'(' }.into(), 400),
        (b"GET / HTTP/1.1\r\nHost: x\r\nA/b: c\r\n\r\n", NameByte { at: 26, byte: b'/' }.into(), 400),
        (b"GET / HTTP/1.1\r\nHost: x\r\nA@b: c\r\n\r\n", NameByte { at: 26, byte: b'@' }.into(), 400),
        (b"GET / HTTP/1.1\r\nHost: x\r\nA: b\0c\r\n\r\n", ValueByte { at: 29, byte: 0 }.into(), 400),
        (b"GET / HTTP/1.1\r\nHost: x\r\nA: \x01\r\n\r\n", ValueByte { at: 28, byte: 1 }.into(), 400),
        (b"GET / HTTP/1.1\r\nHost: x\r\nA: b\x0bc\r\n\r\n", ValueByte { at: 29, byte: 0x0b }.into(), 400),
        (b"GET / HTTP/1.1\r\nHost: x\r\nA: b\x1bc\r\n\r\n", ValueByte { at: 29, byte: 0x1b }.into(), 400),
        (b"GET / HTTP/1.1\r\nHost: x\r\nA: b\x7fc\r\n\r\n", ValueByte { at: 29, byte: 0x7f }.into(), 400),
    ]);
    refuse_responses(&[
        (b"HTTP/1.1 200 OK\r\nA : b\r\n\r\n", SpaceBeforeColon { at: 18 }.into()),
        (b"HTTP/1.1 200 OK\r\n A: b\r\n\r\n", FoldedLine { at: 17 }.into()),
        (b"HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n", FoldedLine { at: 23 }.into()),
        (b"HTTP/1.1 200 OK\r\nA: b\0c\r\n\r\n", ValueByte { at: 21, byte: 0 }.into()),
        (b"HTTP/1.1 200 OK\r\n: b\r\n\r\n", NameEmpty { at: 17 }.into()),
        (b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n", SpaceBeforeColon { at: 19 }.into()),
        (b"HTTP/1.1 200 OK\r\nA[]: b\r\n\r\n", NameByte { at: 18, byte: b'[' }.into()),
    ]);
}

/// Every byte in every place of a head: the fast reader accepts what the scalar grammar accepts, and finds the same
/// lines.
#[test]
fn every_byte_in_every_place_is_judged_as_the_grammar_says() {
    let template = b"\r\nGET /a?b HTTP/1.1\r\nHost: x\r\nA-b: c d\r\nE:\r\n\r\n";
    let limits = Limits::default();
    let (mut fast, mut exact) = (RequestHead::new(), RequestHead::new());
    for place in 0..template.len() {
        for byte in 0..=255 {
            let mut bytes = template.to_vec();
            bytes[place] = byte;
            let by_grammar = parse_request_by_grammar(&bytes, &limits, &mut exact);
            let parsed = parse_request(&bytes, &limits, &mut fast);
            match by_grammar {
                Err(fault) => assert_eq!(parsed, Err(fault), "{}", bytes.escape_ascii()),
                Ok(Parsed::Partial) => assert_eq!(parsed, Ok(Parsed::Partial), "{}", bytes.escape_ascii()),
                Ok(Parsed::Complete(len)) => {
                    assert!(parsed.is_err() || parsed == Ok(Parsed::Complete(len)), "{}", bytes.escape_ascii());
                    assert_eq!(fast.fields(), exact.fields(), "{}", bytes.escape_ascii());
                    assert_eq!(fast.target_span(), exact.target_span());
                    assert_eq!(fast.method_name(&bytes), exact.method_name(&bytes));
                }
            }
        }
    }
}
