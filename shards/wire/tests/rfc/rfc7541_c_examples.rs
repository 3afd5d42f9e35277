//! RFC 7541, Appendix C: every example, its fields and the table behind it.

use crate::hpack::{decode_all, probe};
use wire::hpack::Decoder;

/// Bytes as the RFC prints them.
fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex.bytes().filter(u8::is_ascii_hexdigit).collect();
    let digit = |byte: u8| char::from(byte).to_digit(16).unwrap() as u8;
    digits.chunks(2).map(|pair| digit(pair[0]) << 4 | digit(pair[1])).collect()
}

/// Blocks that follow each other on one connection: the bytes, their fields, and the table then, newest first.
type Example<'a> = (&'a str, &'a [(&'a str, &'a str)], &'a [(&'a str, &'a str)]);

#[track_caller]
fn check(table_bytes_max: u32, examples: &[Example<'_>]) {
    let mut decoder = Decoder::new(table_bytes_max);
    for (block, fields, table) in examples {
        let owned = |rows: &[(&str, &str)]| -> Vec<(String, String)> {
            rows.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
        };
        assert_eq!(decode_all(&mut decoder, &bytes(block)).unwrap(), owned(fields));
        assert_eq!(probe(&decoder), owned(table));
    }
}

#[test]
fn c_2_literals_and_indexed_fields() {
    let custom = [("custom-key", "custom-header")];
    check(4096, &[("400a 6375 7374 6f6d 2d6b 6579 0d63 7573 746f 6d2d 6865 6164 6572", &custom, &custom)]);
    check(4096, &[("040c 2f73 616d 706c 652f 7061 7468", &[(":path", "/sample/path")], &[])]);
    check(4096, &[("1008 7061 7373 776f 7264 0673 6563 7265 74", &[("password", "secret")], &[])]);
    check(4096, &[("82", &[(":method", "GET")], &[])]);
}

const FIRST_REQUEST: [(&str, &str); 4] =
    [(":method", "GET"), (":scheme", "http"), (":path", "/"), (":authority", "www.example.com")];
const SECOND_REQUEST: [(&str, &str); 5] = [
    (":method", "GET"),
    (":scheme", "http"),
    (":path", "/"),
    (":authority", "www.example.com"),
    ("cache-control", "no-cache"),
];
const THIRD_REQUEST: [(&str, &str); 5] = [
    (":method", "GET"),
    (":scheme", "https"),
    (":path", "/index.html"),
    (":authority", "www.example.com"),
    ("custom-key", "custom-value"),
];
const TABLE_OF_REQUESTS: [(&str, &str); 3] =
    [("custom-key", "custom-value"), ("cache-control", "no-cache"), (":authority", "www.example.com")];

#[test]
fn c_3_requests_without_huffman_coding() {
    check(
        4096,
        &[
            ("8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d", &FIRST_REQUEST, &TABLE_OF_REQUESTS[2..]),
            ("8286 84be 5808 6e6f 2d63 6163 6865", &SECOND_REQUEST, &TABLE_OF_REQUESTS[1..]),
            (
                "8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65",
                &THIRD_REQUEST,
                &TABLE_OF_REQUESTS,
            ),
        ],
    );
}

#[test]
fn c_4_requests_with_huffman_coding() {
    check(
        4096,
        &[
            ("8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff", &FIRST_REQUEST, &TABLE_OF_REQUESTS[2..]),
            ("8286 84be 5886 a8eb 1064 9cbf", &SECOND_REQUEST, &TABLE_OF_REQUESTS[1..]),
            ("8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf", &THIRD_REQUEST, &TABLE_OF_REQUESTS),
        ],
    );
}

const FIRST_DATE: (&str, &str) = ("date", "Mon, 21 Oct 2013 20:13:21 GMT");
const SECOND_DATE: (&str, &str) = ("date", "Mon, 21 Oct 2013 20:13:22 GMT");
const PRIVATE: (&str, &str) = ("cache-control", "private");
const LOCATION: (&str, &str) = ("location", "https://www.example.com");
const COOKIE: (&str, &str) = ("set-cookie", "foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1");
const ENCODING: (&str, &str) = ("content-encoding", "gzip");

/// The tables of C.5 and C.6 have room for 256 bytes, so that entries go.
fn check_responses(blocks: [&str; 3]) {
    check(
        256,
        &[
            (
                blocks[0],
                &[(":status", "302"), PRIVATE, FIRST_DATE, LOCATION],
                &[LOCATION, FIRST_DATE, PRIVATE, (":status", "302")],
            ),
            (
                blocks[1],
                &[(":status", "307"), PRIVATE, FIRST_DATE, LOCATION],
                &[(":status", "307"), LOCATION, FIRST_DATE, PRIVATE],
            ),
            (
                blocks[2],
                &[(":status", "200"), PRIVATE, SECOND_DATE, LOCATION, ENCODING, COOKIE],
                &[COOKIE, ENCODING, SECOND_DATE],
            ),
        ],
    );
}

#[test]
fn c_5_responses_without_huffman_coding() {
    check_responses([
        "4803 3330 3258 0770 7269 7661 7465 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3120 474d \
         546e 1768 7474 7073 3a2f 2f77 7777 2e65 7861 6d70 6c65 2e63 6f6d",
        "4803 3330 37c1 c0bf",
        "88c1 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3220 474d 54c0 5a04 677a 6970 7738 666f \
         6f3d 4153 444a 4b48 514b 425a 584f 5157 454f 5049 5541 5851 5745 4f49 553b 206d 6178 2d61 6765 3d33 3630 303b \
         2076 6572 7369 6f6e 3d31",
    ]);
}

#[test]
fn c_6_responses_with_huffman_coding() {
    check_responses([
        "4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6 2d1b ff6e 919d 29ad 1718 63c7 \
         8f0b 97c8 e9ae 82ae 43d3",
        "4883 640e ffc1 c0bf",
        "88c1 6196 d07a be94 1054 d444 a820 0595 040b 8166 e084 a62d 1bff c05a 839b d9ab 77ad 94e7 821d d7f2 e6c7 b335 \
         dfdf cd5b 3960 d5af 2708 7f36 72c1 ab27 0fb5 291f 9587 3160 65c0 03ed 4ee5 b106 3d50 07",
    ]);
}
