//! The first message of a TLS client: the first byte says into what pieces it is divided again, the rest are its records.

use wire::tls_hello::{ClientHello, HELLO_BYTES_MAX, HelloError, HelloReader, Progress};

/// Panics if a property does not hold for `input`.
pub fn check(input: &[u8]) {
    let [piece, bytes @ ..] = input else { return };
    let whole = HelloReader::default().read(bytes);
    segments_change_nothing(bytes, &whole);
    let Ok(Progress::Complete(hello)) = whole else { return };
    assert!(hello.len() <= HELLO_BYTES_MAX && hello.len() <= bytes.len());
    assert!(hello.protocols().all(|protocol| !protocol.is_empty()));
    if let Some(name) = hello.server_name() {
        assert!(!name.is_empty() && name.len() <= 253 && !name.bytes().any(|byte| byte.is_ascii_uppercase()));
        let is_there = |window: &[u8]| window.eq_ignore_ascii_case(name.as_bytes());
        let data: Vec<u8> = records(&bytes[..hello.len()]).concat();
        assert!(data.windows(name.len()).any(is_there), "a name that nobody sent");
    }
    records_change_nothing(&bytes[..hello.len()], usize::from(*piece) + 1, &hello);
}

fn segments_change_nothing(bytes: &[u8], whole: &Result<Progress, HelloError>) {
    let mut reader = HelloReader::default();
    for end in 0..=bytes.len() {
        match reader.read(&bytes[..end]) {
            Ok(Progress::Partial) if end < bytes.len() => {}
            told => return assert_eq!(told, *whole, "told by {end} bytes"),
        }
    }
}

fn records_change_nothing(bytes: &[u8], piece: usize, hello: &ClientHello) {
    let message = records(bytes).concat();
    let mut again = Vec::new();
    for data in message.chunks(piece) {
        again.extend_from_slice(&[22, 3, 3, (data.len() >> 8) as u8, data.len() as u8]);
        again.extend_from_slice(data);
    }
    match HelloReader::default().read(&again) {
        Ok(Progress::Complete(read)) => {
            assert_eq!(read.server_name(), hello.server_name());
            assert!(read.protocols().eq(hello.protocols()));
        }
        Err(HelloError::TooLong) => assert!(again.len() > HELLO_BYTES_MAX),
        other => panic!("{other:?}"),
    }
}

/// The data of whole records.
fn records(mut bytes: &[u8]) -> Vec<&[u8]> {
    let mut records = Vec::new();
    while let [_, _, _, high, low, rest @ ..] = bytes {
        let (data, rest) = rest.split_at(usize::from(*high) << 8 | usize::from(*low));
        records.push(data);
        bytes = rest;
    }
    records
}
