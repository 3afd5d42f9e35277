//! The first bytes of a connection: what they begin, and the header of the PROXY protocol if they begin one.

use std::net::{IpAddr, SocketAddr};

use wire::detect::{Opening, Wanted, opening};
use wire::proxy_protocol::{
    Announced, Header, HeaderError, Origin, Parsed, V1_BYTES_MAX, V2_BYTES_MAX, Version, encode_v1, encode_v2, parse,
};

/// Panics if a property does not hold for `input`.
pub fn check(input: &[u8]) {
    let whole = parse(input);
    pieces_change_nothing(input, &whole);
    is_what_was_detected(input, &whole);
    let Ok(Parsed::Complete(header, len)) = whole else { return };
    let len_max = if header.version == Version::V1 { V1_BYTES_MAX } else { V2_BYTES_MAX };
    assert!(len <= len_max && len <= input.len());
    assert_eq!(parse(&input[..len]), Ok(Parsed::Complete(header, len)), "what follows does not matter");
    if header.version == Version::V1 {
        agrees_with_a_naive_reader(&input[..len], &header);
    }
    survives_being_written(&header);
}

fn pieces_change_nothing(input: &[u8], whole: &Result<Parsed, HeaderError>) {
    for end in 0..input.len() {
        match parse(&input[..end]) {
            Ok(Parsed::Partial) => {}
            early => assert_eq!(early, *whole, "told by {end} bytes"),
        }
    }
}

fn is_what_was_detected(input: &[u8], whole: &Result<Parsed, HeaderError>) {
    match opening(input, Wanted::ALL) {
        Some(Opening::ProxyV1 | Opening::ProxyV2) => assert_ne!(*whole, Ok(Parsed::Absent)),
        Some(_) => assert_eq!(*whole, Ok(Parsed::Absent)),
        None => assert!(matches!(whole, Ok(Parsed::Partial | Parsed::Absent))),
    }
}

/// Word by word, as a script would do it.
fn agrees_with_a_naive_reader(line: &[u8], header: &Header) {
    let text = String::from_utf8_lossy(line);
    let words: Vec<&str> = text.trim_end().split(' ').collect();
    match (words[1], header.origin) {
        ("UNKNOWN", origin) => assert_eq!(origin, Origin::Unknown),
        (family, Origin::Tcp { source, destination }) => {
            let address = |ip: usize, port: usize| -> SocketAddr {
                let ip: IpAddr = words[ip].parse().expect("an address");
                SocketAddr::new(ip, words[port].parse().expect("a port"))
            };
            assert_eq!((address(2, 4), address(3, 5), words.len()), (source, destination, 6));
            assert_eq!(family == "TCP4", source.is_ipv4());
        }
        (family, origin) => panic!("{family} is no {origin:?}"),
    }
}

fn survives_being_written(header: &Header) {
    let Origin::Tcp { source, destination } = header.origin else { return };
    for encode in [encode_v1, encode_v2] {
        let mut bytes = Vec::new();
        encode(&mut bytes, Announced::Tcp { source, destination });
        let Ok(Parsed::Complete(again, len)) = parse(&bytes) else { panic!("{}", bytes.escape_ascii()) };
        let Origin::Tcp { source: from, destination: to } = again.origin else { panic!("{again:?}") };
        let canonical = |address: SocketAddr| (address.ip().to_canonical(), address.port());
        assert_eq!(len, bytes.len());
        assert_eq!((canonical(from), canonical(to)), (canonical(source), canonical(destination)));
    }
}
