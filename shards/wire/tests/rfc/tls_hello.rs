//! The first message of a TLS client, by sections of RFC 8446, RFC 6066 and RFC 7301, and in every division into records.

use proptest::prelude::*;
use wire::tls_hello::{Alert, ClientHello, HELLO_BYTES_MAX, HelloError, HelloReader, Progress};

fn vector8(bytes: &[u8]) -> Vec<u8> {
    [&[u8::try_from(bytes.len()).unwrap()], bytes].concat()
}

fn vector16(bytes: &[u8]) -> Vec<u8> {
    [&u16::try_from(bytes.len()).unwrap().to_be_bytes(), bytes].concat()
}

fn extension(kind: u16, value: &[u8]) -> Vec<u8> {
    [kind.to_be_bytes().to_vec(), vector16(value)].concat()
}

fn server_name(name: &str) -> Vec<u8> {
    extension(0, &vector16(&[&[0][..], &vector16(name.as_bytes())].concat()))
}

fn alpn(protocols: &[&str]) -> Vec<u8> {
    let list: Vec<u8> = protocols.iter().flat_map(|protocol| vector8(protocol.as_bytes())).collect();
    extension(16, &vector16(&list))
}

/// The body of a ClientHello up to the extensions.
fn fixed() -> Vec<u8> {
    [&[3, 3][..], &[7; 32], &vector8(&[9; 32]), &vector16(&[0x13, 0x01, 0x13, 0x02]), &vector8(&[0])].concat()
}

fn message(body: &[u8]) -> Vec<u8> {
    let len = u32::try_from(body.len()).unwrap().to_be_bytes();
    [&[1], &len[1..], body].concat()
}

fn hello(extensions: &[Vec<u8>]) -> Vec<u8> {
    message(&[fixed(), vector16(&extensions.concat())].concat())
}

fn record(data: &[u8]) -> Vec<u8> {
    [&[22, 3, 1][..], &vector16(data)].concat()
}

/// Reads bytes that come one after the other.
fn trickle(bytes: &[u8]) -> Result<Progress, HelloError> {
    let mut reader = HelloReader::default();
    for end in 0..bytes.len() {
        match reader.read(&bytes[..end]) {
            Ok(Progress::Partial) => {}
            early => return early,
        }
    }
    reader.read(bytes)
}

#[track_caller]
fn accepted(message: &[u8]) -> ClientHello {
    let bytes = record(message);
    let Ok(Progress::Complete(hello)) = HelloReader::default().read(&bytes) else {
        panic!("{:?}", HelloReader::default().read(&bytes))
    };
    assert_eq!(hello.len(), bytes.len());
    assert_eq!(trickle(&bytes), Ok(Progress::Complete(hello.clone())));
    let followed = [&bytes[..], b"\x14\x03\x03\0\x01\x01"].concat();
    assert_eq!(HelloReader::default().read(&followed), Ok(Progress::Complete(hello.clone())));
    hello
}

#[track_caller]
fn refused(bytes: &[u8], error: HelloError) {
    assert_eq!(HelloReader::default().read(bytes), Err(error), "{}", bytes.escape_ascii());
    assert_eq!(trickle(bytes), Err(error), "{}", bytes.escape_ascii());
}

#[test]
fn rfc6066_3_the_name_is_told_in_lower_case() {
    let hello =
        accepted(&hello(&[extension(43, &[2, 3, 4]), server_name("WWW.Example.com"), alpn(&["h2", "http/1.1"])]));
    assert_eq!(hello.server_name(), Some("www.example.com"));
    assert_eq!(hello.protocols().collect::<Vec<_>>(), [&b"h2"[..], b"http/1.1"]);
}

#[test]
fn rfc8446_4_1_2_extensions_may_be_absent() {
    for message in [hello(&[]), message(&fixed()), hello(&[extension(0x0a0a, &[])])] {
        let hello = accepted(&message);
        assert_eq!((hello.server_name(), hello.protocols().count()), (None, 0));
    }
}

#[test]
fn rfc6066_3_exactly_one_name_of_the_dns() {
    let entry = |kind: u8, name: &[u8]| [&[kind][..], &vector16(name)].concat();
    let longest = format!("{}.{}", "a".repeat(63), "b.".repeat(94) + "c");
    assert_eq!(longest.len(), 253);
    assert_eq!(accepted(&hello(&[server_name(&longest)])).server_name(), Some(longest.as_str()));
    let label = format!("{}.example", "a".repeat(64));
    for list in [
        vec![],
        entry(0, b""),
        entry(1, b"example.com"),
        [entry(0, b"a.example"), entry(0, b"b.example")].concat(),
        [entry(0, b"a.example"), entry(1, b"x")].concat(),
        entry(0, b"example.com."),
        entry(0, b".example.com"),
        entry(0, b"a..example"),
        entry(0, b"a example"),
        entry(0, b"a\0.example"),
        entry(0, "\u{e9}.example".as_bytes()),
        entry(0, b"[::1]"),
        entry(0, b"*.example"),
        entry(0, label.as_bytes()),
        entry(0, format!("{longest}d").as_bytes()),
        entry(0, b"a.example")[..8].to_vec(),
        [entry(0, b"a.example"), vec![0]].concat(),
    ] {
        refused(&record(&hello(&[extension(0, &vector16(&list))])), HelloError::ServerName);
    }
    // The list does not fill its extension.
    let value = [vector16(&entry(0, b"a.example")), vec![0]].concat();
    refused(&record(&hello(&[extension(0, &value)])), HelloError::ServerName);
    refused(&record(&hello(&[extension(0, &[])])), HelloError::ServerName);
}

#[test]
fn rfc8446_4_2_no_extension_twice() {
    refused(&record(&hello(&[server_name("a.example"), server_name("a.example")])), HelloError::Repeated);
    refused(&record(&hello(&[alpn(&["h2"]), extension(43, &[]), alpn(&["h2"])])), HelloError::Repeated);
}

#[test]
fn rfc7301_3_1_protocols_have_names() {
    for list in [&[][..], &[0], &[2, b'h'], &[1, b'h', 0], &[1, b'h', 1]] {
        refused(&record(&hello(&[extension(16, &vector16(list))])), HelloError::Alpn);
    }
    refused(&record(&hello(&[extension(16, &[0, 2, 1, b'h', 9])])), HelloError::Alpn);
}

#[test]
fn rfc8446_4_1_2_lengths_add_up() {
    let whole = hello(&[server_name("a.example")]);
    // Each length inside of the message, one more and one less: behind the random bytes, and at the end.
    for at in [4 + 2 + 32, 4 + 2 + 32 + 33, 4 + 2 + 32 + 33 + 1, 4 + 2 + 32 + 33 + 2 + 4, 4 + fixed().len() + 1] {
        for wrong in [whole[at].wrapping_add(1), whole[at].wrapping_sub(1)] {
            let mut changed = whole.clone();
            changed[at] = wrong;
            let read = HelloReader::default().read(&record(&changed));
            assert!(matches!(read, Err(HelloError::Lengths)), "{at}: {read:?}");
        }
    }
    for cut in 1..whole.len() - 4 {
        let body = &whole[4..whole.len() - cut];
        let read = HelloReader::default().read(&record(&message(body)));
        match read {
            // A message of TLS 1.2 without extensions.
            Ok(Progress::Complete(hello)) => assert_eq!((body.len(), hello.server_name()), (fixed().len(), None)),
            other => assert!(other.is_err(), "{cut}: {other:?}"),
        }
    }
    refused(&record(&message(&[&whole[4..], &[0]].concat())), HelloError::Lengths);
    let mut suites = fixed();
    suites.splice(2 + 32 + 33.., [vector16(&[]), vector8(&[0])].concat());
    refused(&record(&message(&suites)), HelloError::Lengths);
}

#[test]
fn rfc8446_5_1_records_of_the_handshake_only() {
    let whole = hello(&[server_name("a.example")]);
    let (first, second) = whole.split_at(20);
    let split = [record(first), record(second)].concat();
    let Ok(Progress::Complete(found)) = trickle(&split) else { panic!("{:?}", trickle(&split)) };
    assert_eq!((found.server_name(), found.len()), (Some("a.example"), split.len()));
    for between in
        [&b"\x14\x03\x03\0\x01\x01"[..], b"\x17\x03\x03\0\x01\0", b"\x16\x03\x03\0\0", b"\x16\x02\x03\0\x01\0"]
    {
        refused(&[&record(first), between, &record(second)].concat(), HelloError::Record);
    }
    // Another message in the same record.
    refused(&record(&[&whole[..], &[1, 0, 0, 0]].concat()), HelloError::Lengths);
    refused(&record(&[2, 0, 0, 1, 0]), HelloError::Message);
    let mut ssl2 = fixed();
    ssl2[0] = 2;
    refused(&record(&message(&ssl2)), HelloError::Message);
    refused(b"\x16\x03\x01\x40\x01", HelloError::Record);
}

#[test]
fn a_message_is_bounded_before_it_comes() {
    refused(&record(&[1, 0, 0x40, 0]), HelloError::TooLong);
    refused(&record(&[1, 0xff, 0xff, 0xff]), HelloError::TooLong);
    // So are the heads of its records: one byte of data each.
    let padded = hello(&[extension(21, &vec![0; 4000])]);
    let bytes: Vec<u8> = padded.iter().flat_map(|byte| record(&[*byte])).collect();
    assert!(bytes.len() > HELLO_BYTES_MAX);
    refused(&bytes, HelloError::TooLong);
    let padding = HELLO_BYTES_MAX - 5 - hello(&[extension(21, &[])]).len();
    let largest = hello(&[extension(21, &vec![0; padding])]);
    assert_eq!(accepted(&largest).len(), HELLO_BYTES_MAX);
}

#[test]
fn what_is_not_tls_is_told_with_the_first_byte_that_shows_it() {
    for bytes in [&b"GET / HTTP/1.1\r\n"[..], b"\x80\x2e\x01\0\x02", b"\x16\x02", b"\x15\x03\x01"] {
        assert_eq!(trickle(bytes), Ok(Progress::NotTls), "{}", bytes.escape_ascii());
    }
    assert_eq!(HelloReader::default().read(b""), Ok(Progress::Partial));
}

#[test]
fn rfc8446_6_alerts_are_records() {
    assert_eq!(Alert::UnrecognizedName.record(), [21, 3, 1, 0, 2, 2, 112]);
    assert_eq!(HelloError::Lengths.alert().record()[6], 50);
    assert_eq!(HelloError::ServerName.alert(), Alert::IllegalParameter);
}

proptest! {
    /// The division into records and segments changes nothing.
    #[test]
    fn records_change_nothing(
        name in "[a-zA-Z0-9]{1,20}(\\.[a-z]{1,9}){0,3}",
        protocols in prop::collection::vec("[a-z0-9/.]{1,12}", 0..4),
        padding in 0usize..300,
        cuts in prop::collection::vec(1usize..60, 1..20),
    ) {
        let mut extensions = vec![extension(21, &vec![0; padding]), server_name(&name)];
        let protocols: Vec<&str> = protocols.iter().map(String::as_str).collect();
        if !protocols.is_empty() {
            extensions.push(alpn(&protocols));
        }
        let whole = hello(&extensions);
        let (mut bytes, mut rest, mut cuts) = (Vec::new(), &whole[..], cuts.into_iter().cycle());
        while !rest.is_empty() {
            let (data, after) = rest.split_at(cuts.next().unwrap().min(rest.len()));
            bytes.extend(record(data));
            rest = after;
        }
        let Ok(Progress::Complete(found)) = HelloReader::default().read(&bytes) else { panic!("refused") };
        let lower = name.to_ascii_lowercase();
        prop_assert_eq!(found.server_name(), Some(lower.as_str()));
        prop_assert_eq!(found.protocols().collect::<Vec<_>>(), protocols.iter().map(|one| one.as_bytes()).collect::<Vec<_>>());
        prop_assert_eq!(found.len(), bytes.len());
        prop_assert_eq!(trickle(&bytes), Ok(Progress::Complete(found)));
    }
}
