//! RFC 9113 §8.1 to §8.6, responses and trailers.

use wire::h2::{Asked, HeadDecoder, HeadError, MalformedHead};
use wire::hpack::Pseudo;
use wire::{BodyLength, FieldName, FramingError, Limits, Method, ResponseError, ResponseHead, Trailers, Version};

use crate::hpack::{block, never_indexed};

fn read_for(fields: &[(&str, &str)], end_stream: bool, asked: Asked<'_>) -> Result<(ResponseHead, String), HeadError> {
    let (mut head, mut bytes) = (ResponseHead::new(), b"what was there before".to_vec());
    let block = block(fields);
    HeadDecoder::new(4096).decode_response(&block, &Limits::default(), end_stream, asked, &mut head, &mut bytes)?;
    assert_eq!(head.len(), bytes.len());
    Ok((head, bytes.iter().map(|&byte| char::from(byte)).collect()))
}

fn read(fields: &[(&str, &str)]) -> Result<(ResponseHead, String), HeadError> {
    read_for(fields, false, Asked::default())
}

fn malformed(error: MalformedHead) -> HeadError {
    HeadError::Malformed(error)
}

#[test]
fn a_response_becomes_the_text_of_one_of_http_1() {
    let (head, text) = read(&[(":status", "200"), ("server", "s"), ("set-cookie", "a"), ("set-cookie", "b")]).unwrap();
    assert_eq!(text, "HTTP/1.1 200 OK\r\nserver: s\r\nset-cookie: a\r\nset-cookie: b\r\n\r\n");
    assert_eq!((head.version(), head.status(), head.persistent()), (Version::Http2, 200, true));
    assert_eq!((head.reason().of(text.as_bytes()), head.framing()), (&b"OK"[..], BodyLength::Chunked));
    assert_eq!(head.value(FieldName::Server, text.as_bytes()), Some(&b"s"[..]));
    // A code without a phrase of ours is passed on without one.
    assert_eq!(read(&[(":status", "299")]).unwrap().1, "HTTP/1.1 299 \r\n\r\n");
    assert!(read(&[(":status", "103"), ("link", "</a>")]).unwrap().0.is_informational());
}

#[test]
fn s8_1_the_end_of_the_stream_and_the_length_tell_of_the_body() {
    type Row<'a> = (Method, &'a [(&'a str, &'a str)], bool, Result<BodyLength, HeadError>);
    let rows: [Row<'_>; 12] = [
        (Method::Get, &[(":status", "200")], false, Ok(BodyLength::Chunked)),
        (Method::Get, &[(":status", "200")], true, Ok(BodyLength::Exact(0))),
        (Method::Get, &[(":status", "200"), ("content-length", "7")], false, Ok(BodyLength::Exact(7))),
        (Method::Get, &[(":status", "200"), ("content-length", "0")], true, Ok(BodyLength::Exact(0))),
        (
            Method::Get,
            &[(":status", "200"), ("content-length", "7")],
            true,
            Err(malformed(MalformedHead::LengthUnkept)),
        ),
        // Where there is no content, a length is that of what a GET would have got.
        (Method::Head, &[(":status", "200"), ("content-length", "7")], true, Ok(BodyLength::Exact(7))),
        (Method::Head, &[(":status", "200")], true, Ok(BodyLength::Chunked)),
        (Method::Get, &[(":status", "304"), ("content-length", "7")], true, Ok(BodyLength::Exact(7))),
        (Method::Get, &[(":status", "204")], true, Ok(BodyLength::Chunked)),
        (Method::Get, &[(":status", "100")], true, Err(malformed(MalformedHead::InformationalLast))),
        (Method::Get, &[(":status", "103")], true, Err(malformed(MalformedHead::InformationalLast))),
        (
            Method::Get,
            &[(":status", "200"), ("content-length", "7"), ("content-length", "7")],
            false,
            Err(ResponseError::Framing(FramingError::LengthRepeated { at: 36 }).into()),
        ),
    ];
    for (method, fields, end_stream, expected) in rows {
        let asked = Asked { method, protocol: b"" };
        let framing = read_for(fields, end_stream, asked).map(|(head, _)| head.framing());
        assert_eq!(framing, expected, "{fields:?} {end_stream}");
    }
}

#[test]
fn s8_3_2_the_status_comes_first_alone_and_sound() {
    let status = Pseudo::Status;
    let rows: [(&[(&str, &str)], HeadError); 13] = [
        (&[], malformed(MalformedHead::PseudoMissing(status))),
        (&[("a", "b")], malformed(MalformedHead::PseudoMissing(status))),
        (&[("a", "b"), (":status", "200")], malformed(MalformedHead::PseudoMissing(status))),
        (&[(":status", "200"), ("a", "b"), (":status", "200")], malformed(MalformedHead::PseudoLate(status))),
        (&[(":status", "200"), (":status", "200")], malformed(MalformedHead::PseudoRepeated(status))),
        (&[(":status", "")], malformed(MalformedHead::PseudoInvalid(status))),
        (&[(":status", "20")], malformed(MalformedHead::PseudoInvalid(status))),
        (&[(":status", "099")], malformed(MalformedHead::PseudoInvalid(status))),
        (&[(":status", "2000")], malformed(MalformedHead::PseudoInvalid(status))),
        (&[(":status", "20x")], malformed(MalformedHead::PseudoInvalid(status))),
        (&[(":status", "200"), (":path", "/")], malformed(MalformedHead::PseudoMisplaced(Pseudo::Path))),
        (&[(":status", "200"), (":other", "/")], malformed(MalformedHead::PseudoUnknown)),
        // RFC 9113 §8.6
        (&[(":status", "101")], ResponseError::SwitchUnasked.into()),
    ];
    for (fields, error) in rows {
        assert_eq!(read(fields).map(|(_, text)| text), Err(error), "{fields:?}");
        assert!(!error.is_connection_error());
    }
}

#[test]
fn s8_2_fields_are_held_to_the_rules_of_requests() {
    let rows: [(&str, &str, MalformedHead); 6] = [
        ("Server", "a", MalformedHead::NameInvalid),
        ("server", "a\r\nb: c", MalformedHead::ValueInvalid),
        ("server", " a", MalformedHead::ValueInvalid),
        ("connection", "close", MalformedHead::ConnectionField(FieldName::Connection)),
        ("transfer-encoding", "chunked", MalformedHead::ConnectionField(FieldName::TransferEncoding)),
        ("te", "gzip", MalformedHead::Te),
    ];
    for (name, value, error) in rows {
        let outcome = read(&[(":status", "200"), (name, value)]).map(|(_, text)| text);
        assert_eq!(outcome, Err(malformed(error)), "{name}: {value:?}");
    }
}

/// RFC 8441 §5: what HTTP/1 says with 101.
#[test]
fn an_accepted_extended_connect_is_a_switch() {
    let asked = Asked { method: Method::Get, protocol: b"websocket" };
    let (head, text) = read_for(&[(":status", "200"), ("sec-websocket-protocol", "chat")], false, asked).unwrap();
    let expected = "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
                    sec-websocket-protocol: chat\r\n\r\n";
    assert_eq!((head.status(), text.as_str()), (101, expected));
    assert_eq!(read_for(&[(":status", "403")], false, asked).unwrap().0.status(), 403);
    assert_eq!(read_for(&[(":status", "100")], false, asked).unwrap().0.status(), 100);
    assert!(matches!(
        read_for(&[(":status", "200"), (":status", "200")], false, asked),
        Err(HeadError::Malformed(MalformedHead::PseudoLate(Pseudo::Status)))
    ));
}

fn trailers(block: &[u8]) -> Result<Trailers, HeadError> {
    let mut trailers = Trailers::default();
    HeadDecoder::new(4096).decode_trailers(block, &Limits::default(), &mut trailers)?;
    Ok(trailers)
}

#[test]
fn s8_1_trailers_are_fields_that_may_stand_there() {
    let fields = [("grpc-status", "0"), ("content-length", "3"), ("host", "a"), ("grpc-message", ""), ("age", "1")];
    let read = trailers(&block(&fields)).unwrap();
    let pairs: Vec<_> = read.iter().collect();
    assert_eq!(pairs, [(&b"grpc-status"[..], &b"0"[..]), (b"grpc-message", b"")]);
    assert_eq!(read.fields()[0].line.of(read.bytes()), b"grpc-status: 0\r\n");
    assert!(trailers(&never_indexed("a", "b")).unwrap().fields()[0].never_indexed);
    assert!(trailers(&[]).unwrap().is_empty());
    let rows: [(&str, MalformedHead); 5] = [
        (":status", MalformedHead::PseudoMisplaced(Pseudo::Status)),
        (":path", MalformedHead::PseudoMisplaced(Pseudo::Path)),
        (":x", MalformedHead::PseudoUnknown),
        ("A", MalformedHead::NameInvalid),
        ("connection", MalformedHead::ConnectionField(FieldName::Connection)),
    ];
    for (name, error) in rows {
        assert_eq!(trailers(&block(&[(name, "a")])).map(|_| ()), Err(malformed(error)), "{name}");
    }
}
