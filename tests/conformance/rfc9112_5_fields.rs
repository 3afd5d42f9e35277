//! RFC 9112 §5: field lines.

use crate::judge::{Judge, with_fields, with_raw_fields};

#[test]
fn a_name_is_a_token_and_the_colon_follows_at_once() {
    // RFC 9112 §5.1.
    let judge = Judge::start();
    for field in [
        "X : y",
        "X\t: y",
        "Content-Length : 0",
        "Transfer-Encoding : chunked",
        "Transfer-Encoding\t: chunked",
        ": y",
        "X Y: z",
        "X",
        "X y",
        "X(1): y",
        "X@: y",
        "\"X\": y",
        "X/Y: z",
        "X[]: y",
        "X=1: y",
        "X;Y: z",
        "X,Y: z",
        "X\\Y: z",
        "{X}: y",
    ] {
        judge.refuses_with(field, &with_fields(&format!("{field}\r\n")), &[400]);
    }
    for byte in [0x01_u8, 0x0b, 0x1f, 0x7f, 0x80, 0xff] {
        let request = with_raw_fields(&[b"X".as_slice(), &[byte], b": y\r\n"].concat());
        judge.refuses_with(&format!("byte {byte:#04x} in a name"), &request, &[400]);
    }
}

#[test]
fn a_line_is_not_folded() {
    // RFC 9112 §5.2: obs-fold is refused with 400, or unfolded; two readers may choose differently.
    let judge = Judge::start();
    for fields in [
        "X: a\r\n b\r\n",
        "X: a\r\n\tb\r\n",
        "X: a\r\n \r\n",
        "Content-Length:\r\n 5\r\n",
        "Transfer-Encoding:\r\n chunked\r\n",
        "X: a\r\n Content-Length: 5\r\n",
    ] {
        judge.refuses_with(&fields.escape_debug().to_string(), &with_fields(fields), &[400]);
    }
}

#[test]
fn a_value_has_no_controls() {
    // RFC 9110 §5.5.
    let judge = Judge::start();
    for byte in (0x00_u8..0x20).chain([0x7f]).filter(|byte| ![b'\t', b'\n', b'\r'].contains(byte)) {
        let request = with_raw_fields(&[b"X: a".as_slice(), &[byte], b"b\r\n"].concat());
        judge.refuses_with(&format!("byte {byte:#04x} in a value"), &request, &[400]);
    }
}

#[test]
fn a_value_may_have_blanks_and_bytes_above_ascii() {
    let judge = Judge::start();
    let fields = b"A: a\tb  c\r\nB:\t  trimmed \t\r\nC: \xe9\xff\r\nD:\r\nE:x\r\n";
    let received = judge.forwards("odd values", &with_raw_fields(fields));
    for (name, value) in [("a", "a\tb  c"), ("b", "trimmed"), ("c", "\u{e9}\u{ff}"), ("d", ""), ("e", "x")] {
        assert_eq!(received.head.field(name), Some(value), "{:?}", received.head);
    }
}

#[test]
fn fields_of_the_same_name_stay_in_order() {
    // RFC 9110 §5.3.
    let judge = Judge::start();
    let received = judge.forwards("repeated", &with_fields("X: 1\r\nY: 2\r\nx: 3\r\nX: 4\r\n"));
    assert_eq!(received.head.values("x"), ["1", "3", "4"]);
}
