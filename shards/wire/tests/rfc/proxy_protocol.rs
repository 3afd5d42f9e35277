//! The PROXY protocol, section by section of its specification, and as properties of generated headers.

use std::net::{IpAddr, SocketAddr};

use proptest::prelude::*;
use wire::proxy_protocol::{
    Announced, Header, HeaderError, Origin, Parsed, V1_BYTES_MAX, V2_BYTES_MAX, V2_SIGNATURE, Version, encode_v1,
    encode_v2, parse,
};

fn tcp(source: &str, destination: &str) -> Origin {
    Origin::Tcp { source: source.parse().unwrap(), destination: destination.parse().unwrap() }
}

/// A header of version 2: command, family and transport, and what stands behind the length.
fn v2(command: u8, family: u8, block: &[u8]) -> Vec<u8> {
    let mut bytes = V2_SIGNATURE.to_vec();
    bytes.extend([command, family]);
    bytes.extend(u16::try_from(block.len()).unwrap().to_be_bytes());
    bytes.extend(block);
    bytes
}

/// 192.0.2.1:1000 to 192.0.2.2:443.
const INET: [u8; 12] = [192, 0, 2, 1, 192, 0, 2, 2, 0x03, 0xe8, 0x01, 0xbb];

fn tlv(kind: u8, value: &[u8]) -> Vec<u8> {
    let mut bytes = vec![kind];
    bytes.extend(u16::try_from(value.len()).unwrap().to_be_bytes());
    bytes.extend(value);
    bytes
}

/// Parses a header that takes all of the bytes, and must be told by no less.
#[track_caller]
fn accepted(bytes: &[u8]) -> Origin {
    for end in 0..bytes.len() {
        assert_eq!(parse(&bytes[..end]), Ok(Parsed::Partial), "{} of {}", end, bytes.escape_ascii());
    }
    let mut followed = bytes.to_vec();
    followed.extend_from_slice(b"GET / HTTP/1.1\r\n");
    for bytes_and_more in [bytes, &followed] {
        match parse(bytes_and_more) {
            Ok(Parsed::Complete(Header { origin, .. }, len)) if len == bytes.len() => {
                if bytes_and_more.len() > len {
                    return origin;
                }
            }
            other => panic!("{}: {other:?}", bytes.escape_ascii()),
        }
    }
    unreachable!("the second is longer")
}

/// Asserts that the bytes are refused, and that no beginning of them was accepted.
#[track_caller]
fn refused(bytes: &[u8], error: HeaderError) {
    assert_eq!(parse(bytes), Err(error), "{}", bytes.escape_ascii());
    for end in 0..bytes.len() {
        match parse(&bytes[..end]) {
            Ok(Parsed::Partial) => {}
            early => assert_eq!(early, Err(error), "{}", bytes[..end].escape_ascii()),
        }
    }
}

#[test]
fn s2_1_lines_of_both_families() {
    let line = b"PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\r\n";
    assert_eq!(accepted(line), tcp("192.168.0.1:56324", "192.168.0.11:443"));
    let longest =
        b"PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe 65535 65535\r\n";
    let (source, destination) =
        ("[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535", "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe]:65535");
    assert_eq!(accepted(longest), tcp(source, destination));
    assert_eq!(accepted(b"PROXY TCP6 2001:DB8::1 :: 0 1\r\n"), tcp("[2001:db8::1]:0", "[::]:1"));
}

#[test]
fn s2_1_unknown_ignores_the_rest_of_the_line() {
    assert_eq!(accepted(b"PROXY UNKNOWN\r\n"), Origin::Unknown);
    assert_eq!(accepted(b"PROXY UNKNOWN ffff::1 ffff::2 65535 65535\r\n"), Origin::Unknown);
    let mut longest = b"PROXY UNKNOWN ".to_vec();
    longest.resize(V1_BYTES_MAX - 2, 0xff);
    longest.extend(b"\r\n");
    assert_eq!(accepted(&longest), Origin::Unknown);
}

#[test]
fn s2_1_any_other_line_is_refused() {
    for line in [
        "PROXY TCP4 192.0.2.1 192.0.2.2 1 2 \r\n",
        "PROXY TCP4  192.0.2.1 192.0.2.2 1 2\r\n",
        "PROXY  TCP4 192.0.2.1 192.0.2.2 1 2\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 1 2 3\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 1\r\n",
        "PROXY TCP4\r\n",
        "PROXY TCP4 192.0.2.1\t192.0.2.2 1 2\r\n",
        "PROXY TCP4 192.0.2.01 192.0.2.2 1 2\r\n",
        "PROXY TCP4 192.0.2.256 192.0.2.2 1 2\r\n",
        "PROXY TCP4 192.0.2 192.0.2.2 1 2\r\n",
        "PROXY TCP4 ::1 ::1 1 2\r\n",
        "PROXY TCP6 192.0.2.1 192.0.2.2 1 2\r\n",
        "PROXY TCP6 ::ffff:192.0.2.1 ::1 1 2\r\n",
        "PROXY TCP6 fe80::1%eth0 ::1 1 2\r\n",
        "PROXY TCP6 [::1] ::1 1 2\r\n",
        "PROXY TCP6 1::2::3 ::1 1 2\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 01 2\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 +1 2\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 1 65536\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 1 \r\n",
        "PROXY tcp4 192.0.2.1 192.0.2.2 1 2\r\n",
        "PROXY UDP4 192.0.2.1 192.0.2.2 1 2\r\n",
        "PROXY UNKNOWNS\r\n",
        "PROXY \r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 1 2\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\r\n",
        "PROXY UNKNOWN \n\r\n",
    ] {
        refused(line.as_bytes(), HeaderError::Line);
    }
}

#[test]
fn s2_1_a_line_ends_within_107_bytes() {
    let mut line = b"PROXY UNKNOWN ".to_vec();
    line.resize(V1_BYTES_MAX - 1, b'x');
    line.extend(b"\r\n");
    refused(&line[..V1_BYTES_MAX], HeaderError::LineTooLong);
    refused(&[b"PROXY UNKNOWN ".as_slice(), &[b'x'; 200]].concat(), HeaderError::LineTooLong);
}

#[test]
fn s2_2_addresses_of_every_family() {
    assert_eq!(accepted(&v2(0x21, 0x11, &INET)), tcp("192.0.2.1:1000", "192.0.2.2:443"));
    let mut inet6 = [0; 36];
    (inet6[0], inet6[1], inet6[15], inet6[31], inet6[33], inet6[35]) = (0x20, 0x01, 1, 2, 3, 4);
    assert_eq!(accepted(&v2(0x21, 0x21, &inet6)), tcp("[2001::1]:3", "[::2]:4"));
    assert_eq!(accepted(&v2(0x21, 0x31, &[b'/'; 216])), Origin::Unix);
    assert_eq!(accepted(&v2(0x21, 0x00, &[])), Origin::Unknown);
    // Valid, and nothing that a connection of ours could have come by.
    for (family, len) in [(0x12, 12), (0x22, 36), (0x32, 216), (0x10, 12), (0x01, 0)] {
        assert_eq!(accepted(&v2(0x21, family, &vec![0; len])), Origin::Unknown, "{family:#x}");
    }
}

#[test]
fn s2_2_local_passes_the_block_over() {
    assert_eq!(accepted(&v2(0x20, 0x00, &[])), Origin::Local);
    assert_eq!(accepted(&v2(0x20, 0x11, &INET)), Origin::Local);
    assert_eq!(accepted(&v2(0x20, 0x21, b"not the length of two addresses")), Origin::Local);
}

#[test]
fn s2_2_what_is_unassigned_is_refused() {
    for (command, family, error) in [
        (0x11, 0x11, HeaderError::Version),
        (0x31, 0x11, HeaderError::Version),
        (0x22, 0x11, HeaderError::Command),
        (0x2f, 0x11, HeaderError::Command),
        (0x21, 0x41, HeaderError::Family),
        (0x21, 0x13, HeaderError::Family),
        (0x20, 0xf0, HeaderError::Family),
    ] {
        refused(&v2(command, family, &INET), error);
    }
    refused(&v2(0x21, 0x11, &INET[..11]), HeaderError::Addresses);
    refused(&v2(0x21, 0x21, &INET), HeaderError::Addresses);
    refused(&v2(0x21, 0x31, &INET), HeaderError::Addresses);
}

#[test]
fn s2_2_the_length_is_bounded_before_the_bytes_come() {
    let mut block = INET.to_vec();
    block.extend(tlv(0x04, &vec![0; V2_BYTES_MAX - 16 - 12 - 3]));
    assert_eq!(accepted(&v2(0x21, 0x11, &block)), tcp("192.0.2.1:1000", "192.0.2.2:443"));
    block.extend(tlv(0x04, &[]));
    let header = v2(0x21, 0x11, &block);
    assert_eq!(parse(&header[..16]), Err(HeaderError::TooLong(V2_BYTES_MAX + 3)));
    refused(&header, HeaderError::TooLong(V2_BYTES_MAX + 3));
}

#[test]
fn s2_2_tlvs_fill_the_header_exactly() {
    let with = |tlvs: &[u8]| v2(0x21, 0x11, &[&INET, tlvs].concat());
    let several = [tlv(0x02, b"example.com"), tlv(0x04, &[]), tlv(0xe0, &[0; 300])].concat();
    assert_eq!(accepted(&with(&several)), tcp("192.0.2.1:1000", "192.0.2.2:443"));
    for tlvs in [&[0x04][..], &[0x04, 0], &[0x04, 0, 1], &[0x04, 0xff, 0xff, 0], &[0x04, 0, 0, 0x04]] {
        refused(&with(tlvs), HeaderError::Tlv);
    }
    refused(&v2(0x21, 0x00, &[1, 0, 9]), HeaderError::Tlv);
}

#[test]
fn s2_2_3_a_checksum_is_verified() {
    // Over the header with zeros in the checksum's place.
    let with = |checksum: &[u8]| v2(0x21, 0x11, &[&INET[..], &tlv(0x03, checksum)].concat());
    let right = checksum_of(&with(&[0; 4]));
    assert_eq!(accepted(&with(&right)), tcp("192.0.2.1:1000", "192.0.2.2:443"));
    for bit in 0..32 {
        let wrong = (u32::from_be_bytes(right) ^ 1 << bit).to_be_bytes();
        refused(&with(&wrong), HeaderError::Checksum);
    }
    refused(&with(&right[..3]), HeaderError::Checksum);
    let twice = [&INET[..], &tlv(0x03, &right), &tlv(0x03, &right)].concat();
    refused(&v2(0x21, 0x11, &twice), HeaderError::Checksum);
}

/// Bit by bit, as the polynomial division is taught.
fn checksum_of(bytes: &[u8]) -> [u8; 4] {
    let mut crc = !0u32;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ (0x82f6_3b78 * (crc & 1));
        }
    }
    (!crc).to_be_bytes()
}

#[test]
fn what_is_no_header_is_told_with_the_first_byte_that_shows_it() {
    for (bytes, len) in [("GET / HTTP/1.1\r\n", 1), ("PROXYTCP4", 6), ("PROPFIND / HTTP/1.1\r\n", 4), ("\r\nGET /", 3)]
    {
        for end in 1..bytes.len() {
            let expected = if end < len { Parsed::Partial } else { Parsed::Absent };
            assert_eq!(parse(&bytes.as_bytes()[..end]), Ok(expected), "{}", bytes[..end].escape_debug());
        }
    }
    assert_eq!(parse(b""), Ok(Parsed::Partial));
}

#[test]
fn s2_1_what_is_written_without_addresses() {
    let written = |encode: fn(&mut Vec<u8>, Announced), announced| {
        let mut bytes = Vec::new();
        encode(&mut bytes, announced);
        bytes
    };
    assert_eq!(written(encode_v1, Announced::Unknown), b"PROXY UNKNOWN\r\n");
    assert_eq!(written(encode_v1, Announced::Local), b"PROXY UNKNOWN\r\n");
    assert_eq!(accepted(&written(encode_v2, Announced::Unknown)), Origin::Unknown);
    assert_eq!(accepted(&written(encode_v2, Announced::Local)), Origin::Local);
}

#[test]
fn addresses_of_two_families_are_written_as_ipv6() {
    let announced =
        Announced::Tcp { source: "192.0.2.1:5".parse().unwrap(), destination: "[2001:db8::1]:443".parse().unwrap() };
    let mut line = Vec::new();
    encode_v1(&mut line, announced);
    assert_eq!(line, b"PROXY TCP6 ::ffff:c000:201 2001:db8::1 5 443\r\n");
    assert_eq!(accepted(&line), tcp("[::ffff:192.0.2.1]:5", "[2001:db8::1]:443"));
}

fn address() -> impl Strategy<Value = SocketAddr> {
    let ip = prop_oneof![
        any::<u32>().prop_map(|bits| IpAddr::from(bits.to_be_bytes())),
        any::<u128>().prop_map(|bits| IpAddr::from(bits.to_be_bytes())),
        (0u32..1 << 16).prop_map(|bits| IpAddr::from((u128::from(bits)).to_be_bytes())),
    ];
    (ip, any::<u16>()).prop_map(|(ip, port)| SocketAddr::new(ip, port))
}

proptest! {
    #[test]
    fn what_is_written_reads_as_it_was_meant(source in address(), destination in address()) {
        for (encode, version) in [(encode_v1 as fn(&mut Vec<u8>, Announced), Version::V1), (encode_v2, Version::V2)] {
            let mut bytes = Vec::new();
            encode(&mut bytes, Announced::Tcp { source, destination });
            for end in 0..bytes.len() {
                prop_assert_eq!(parse(&bytes[..end]), Ok(Parsed::Partial));
            }
            let Ok(Parsed::Complete(header, len)) = parse(&bytes) else { panic!("{}", bytes.escape_ascii()) };
            prop_assert_eq!((header.version, len), (version, bytes.len()));
            let Origin::Tcp { source: from, destination: to } = header.origin else { panic!("{header:?}") };
            let canonical = |address: SocketAddr| SocketAddr::new(address.ip().to_canonical(), address.port());
            prop_assert_eq!((canonical(from), canonical(to)), (canonical(source), canonical(destination)));
            prop_assert_eq!(from.is_ipv4(), to.is_ipv4());
        }
    }

    /// However the bytes are wrong: what is told of the whole is never contradicted by what was told of a part.
    #[test]
    fn a_changed_header_is_read_the_same_at_every_split(
        source in address(), destination in address(), at in 0usize..60, byte in any::<u8>(), is_v1 in any::<bool>(),
    ) {
        let mut bytes = Vec::new();
        let encode = if is_v1 { encode_v1 } else { encode_v2 };
        encode(&mut bytes, Announced::Tcp { source, destination });
        let at = at % bytes.len();
        bytes[at] = byte;
        let whole = parse(&bytes);
        for end in 0..bytes.len() {
            match parse(&bytes[..end]) {
                Ok(Parsed::Partial) => {}
                early => prop_assert_eq!(early, whole),
            }
        }
    }
}
