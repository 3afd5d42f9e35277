//! RFC 9112 §7: the chunked coding, trailers, and the other ways in which a body ends.

use wire::h1::Decoder;
use wire::{BodyError, BodyLength, Limits, SyntaxError};

/// Decodes a body that is cut into pieces of `piece` bytes. Returns the data and how many bytes the body took, or
/// `None` if it did not end.
pub(crate) fn decode(decoder: &mut Decoder, bytes: &[u8], piece: usize) -> Result<(Vec<u8>, Option<usize>), BodyError> {
    let mut data = Vec::new();
    let mut at = 0;
    for input in bytes.chunks(piece.max(1)) {
        let mut input_at = 0;
        loop {
            let decoded = decoder.decode(&input[input_at..])?;
            assert!(decoded.data.end <= decoded.consumed && decoded.consumed <= input.len() - input_at);
            data.extend_from_slice(&input[input_at..][decoded.data.clone()]);
            assert_eq!(decoder.received(), data.len() as u64);
            assert_eq!(decoded.complete, decoder.is_complete());
            input_at += decoded.consumed;
            at += decoded.consumed;
            if decoded.complete {
                return Ok((data, Some(at)));
            }
            if input_at == input.len() {
                break;
            }
            assert!(decoded.consumed > 0, "every call makes progress");
        }
    }
    Ok((data, None))
}

fn chunked() -> Decoder {
    Decoder::new(BodyLength::Chunked, &Limits::default())
}

#[test]
fn chunks_are_joined_however_they_arrive() {
    let rows: &[(&[u8], &[u8])] = &[
        (b"0\r\n\r\n", b""),
        (b"000\r\n\r\n", b""),
        (b"5\r\nhello\r\n0\r\n\r\n", b"hello"),
        (b"1\r\na\r\n2\r\nbc\r\n00000000000000Ff\r\n", b"abc"),
        (b"a\r\n0123456789\r\nA\r\n0123456789\r\n0\r\n\r\n", b"01234567890123456789"),
        (b"5;name\r\nhello\r\n0;last=\"a;b\"\r\n\r\n", b"hello"),
        (b"5 \t;a\tb\xff\r\nhello\r\n0 ; x\r\n\r\n", b"hello"),
        (b"2\r\n\r\n\r\n0\r\n\r\n", b"\r\n"),
        (b"3\r\nabc\r\n0\r\nDigest: x\r\n\r\n", b"abc"),
    ];
    for &(bytes, data) in rows {
        for piece in 1..=bytes.len() {
            let (decoded, taken) = decode(&mut chunked(), bytes, piece).unwrap();
            assert_eq!(decoded, data, "{} by {piece}", bytes.escape_ascii());
            assert!(taken.is_none_or(|taken| taken == bytes.len()), "{}", bytes.escape_ascii());
        }
    }
}

#[test]
fn what_follows_a_body_is_not_consumed() {
    let bytes = b"3\r\nabc\r\n0\r\n\r\nGET / HTTP/1.1\r\n";
    assert_eq!(decode(&mut chunked(), bytes, bytes.len()), Ok((b"abc".to_vec(), Some(13))));
    let decoded = chunked().decode(bytes).unwrap();
    assert_eq!((decoded.consumed, decoded.data, decoded.complete), (13, 3..6, true), "one call is enough");
    let mut exact = Decoder::new(BodyLength::Exact(3), &Limits::default());
    assert_eq!(exact.remaining(), Some(3));
    assert_eq!(decode(&mut exact, b"abcGET", 2), Ok((b"abc".to_vec(), Some(3))));
    assert_eq!(exact.remaining(), Some(0));
}

#[test]
fn a_call_returns_at_most_one_run_of_data() {
    let mut decoder = chunked();
    let bytes = b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n";
    let first = decoder.decode(bytes).unwrap();
    assert_eq!((first.consumed, first.data, first.complete), (11, 3..6, false));
    let second = decoder.decode(&bytes[11..]).unwrap();
    assert_eq!((second.consumed, second.data, second.complete), (bytes.len() - 11, 0..2, true));
}

#[test]
fn malformed_chunks_are_refused_wherever_they_are_cut() {
    use BodyError::{ChunkExtension, ChunkSize, ChunkSizeTooLong, LineEnd, Trailer};
    let rows: &[(&[u8], BodyError)] = &[
        (b"\r\n", ChunkSize { byte: b'\r' }),
        (b"\n", ChunkSize { byte: b'\n' }),
        (b" 5\r\nhello\r\n", ChunkSize { byte: b' ' }),
        (b";a\r\n", ChunkSize { byte: b';' }),
        (b"g\r\n", ChunkSize { byte: b'g' }),
        (b"+5\r\nhello\r\n", ChunkSize { byte: b'+' }),
        (b"-5\r\nhello\r\n", ChunkSize { byte: b'-' }),
        (b"0x5\r\nhello\r\n", ChunkSize { byte: b'x' }),
        (b"5_0\r\n", ChunkSize { byte: b'_' }),
        (b"5,\r\n", ChunkSize { byte: b',' }),
        (b"5\0\r\n", ChunkSize { byte: 0 }),
        (b"5 \r\nhello\r\n", ChunkSize { byte: b'\r' }),
        (b"5 \nhello\r\n", ChunkSize { byte: b'\n' }),
        (b"5 5\r\n", ChunkSize { byte: b'5' }),
        (b"00000000000000005\r\n", ChunkSizeTooLong),
        (b"10000000000000000\r\n", ChunkSizeTooLong),
        (b"5\nhello\r\n", LineEnd { byte: b'\n' }),
        (b"5\rhello\r\n", LineEnd { byte: b'h' }),
        (b"5\r\rhello\r\n", LineEnd { byte: b'\r' }),
        (b"5;a\nhello\r\n", LineEnd { byte: b'\n' }),
        (b"5;a\rb\r\nhello\r\n", LineEnd { byte: b'b' }),
        (b"5;a\0\r\nhello\r\n", ChunkExtension { byte: 0 }),
        (b"5;a\x7f\r\nhello\r\n", ChunkExtension { byte: 0x7f }),
        (b"5\r\nhello5\r\n", LineEnd { byte: b'5' }),
        (b"5\r\nhello\n0\r\n\r\n", LineEnd { byte: b'\n' }),
        (b"5\r\nhello\r0\r\n\r\n", LineEnd { byte: b'0' }),
        (b"5\r\nhello\rX", LineEnd { byte: b'X' }),
        (b"4\r\nhello\r\n", LineEnd { byte: b'o' }),
        (b"6\r\nhello\r\n0\r\n\r\n", LineEnd { byte: b'\n' }),
        (b"0\n\r\n", LineEnd { byte: b'\n' }),
        (b"0\r\n\n", Trailer(SyntaxError::BareLf { at: 0 })),
        (b"0\r\nA: b\n\r\n", Trailer(SyntaxError::BareLf { at: 4 })),
        (b"0\r\nA: b\r\n\n", Trailer(SyntaxError::BareLf { at: 6 })),
        (b"0\r\n\rX\r\n\r\n", Trailer(SyntaxError::BareCr { at: 0 })),
        (b"0\r\nA : b\r\n\r\n", Trailer(SyntaxError::SpaceBeforeColon { at: 1 })),
        (b"0\r\n A: b\r\n\r\n", Trailer(SyntaxError::FoldedLine { at: 0 })),
        (b"0\r\nA: b\r\n c\r\n\r\n", Trailer(SyntaxError::FoldedLine { at: 6 })),
        (b"0\r\n: b\r\n\r\n", Trailer(SyntaxError::NameEmpty { at: 0 })),
        (b"0\r\nA: \0\r\n\r\n", Trailer(SyntaxError::ValueByte { at: 3, byte: 0 })),
        (b"0\r\nGET / HTTP/1.1\r\n\r\n", Trailer(SyntaxError::SpaceBeforeColon { at: 3 })),
    ];
    for &(bytes, fault) in rows {
        for piece in 1..=bytes.len() {
            let mut decoder = chunked();
            assert_eq!(decode(&mut decoder, bytes, piece), Err(fault), "{} by {piece}", bytes.escape_ascii());
            assert_eq!(decoder.decode(b"0\r\n\r\n"), Err(fault), "a fault is final");
            assert_eq!(decoder.handle_eof(), Err(fault));
        }
    }
}

#[test]
fn the_largest_size_is_accepted_and_does_not_overflow() {
    let mut decoder = chunked();
    let decoded = decoder.decode(b"FFFFFFFFFFFFFFFF\r\nabc").unwrap();
    assert_eq!((decoded.consumed, decoded.data, decoded.complete), (21, 18..21, false));
}

#[test]
fn extensions_are_bounded_by_chunk_and_by_body() {
    let chunk = |extension: usize| format!("1;{}\r\na\r\n", "x".repeat(extension - 1));
    assert!(decode(&mut chunked(), chunk(1024).as_bytes(), 7).is_ok());
    let too_long = Err(BodyError::ChunkExtensionsTooLong);
    assert_eq!(decode(&mut chunked(), chunk(1025).as_bytes(), 7), too_long);
    assert!(decode(&mut chunked(), chunk(1024).repeat(16).as_bytes(), 1000).is_ok());
    assert_eq!(decode(&mut chunked(), (chunk(1024).repeat(16) + &chunk(1)).as_bytes(), 1000), too_long);
}

#[test]
fn trailers_are_kept_but_for_those_that_deceive() {
    let bytes = b"0\r\nDigest: abc\r\nHost: evil\r\ncontent-length: 5\r\nTransfer-Encoding: chunked\r\n\
        Authorization: x\r\nX-Forwarded-For: 1\r\nContent-Type: a/b\r\nX-Sum:  1 \r\nConnection: close\r\n\r\n";
    for piece in [1, 2, 3, bytes.len()] {
        let mut decoder = chunked();
        decode(&mut decoder, bytes, piece).unwrap();
        let trailers = decoder.trailers().unwrap();
        let kept: Vec<_> = trailers.iter().collect();
        assert_eq!(kept, [(&b"Digest"[..], &b"abc"[..]), (&b"X-Sum"[..], &b"1"[..])]);
        decoder.reset(BodyLength::Chunked, &Limits::default());
        decode(&mut decoder, b"0\r\n\r\n", piece).unwrap();
        assert!(decoder.trailers().is_none(), "nothing is left of the body before");
    }
    let mut decoder = chunked();
    decode(&mut decoder, b"0\r\nCookie: a\r\n\r\n", 99).unwrap();
    assert!(decoder.trailers().is_none());
}

#[test]
fn trailers_are_held_to_the_bounds_of_a_head() {
    let limits = Limits { head_bytes_max: 32, fields_max: 2, ..Limits::default() };
    let mut decoder = Decoder::new(BodyLength::Chunked, &limits);
    let long = format!("0\r\nA: {}\r\n\r\n", "a".repeat(40));
    assert_eq!(decode(&mut decoder, long.as_bytes(), 5), Err(BodyError::TrailersTooLarge { max: 32 }));
    decoder.reset(BodyLength::Chunked, &limits);
    let many = b"0\r\nA: b\r\nC: d\r\nE: f\r\n\r\n";
    assert_eq!(decode(&mut decoder, many, 5), Err(BodyError::TrailersTooMany { max: 2 }));
}

#[test]
fn the_end_of_the_connection_ends_only_bodies_without_another_end() {
    let limits = Limits::default();
    let mut until_close = Decoder::new(BodyLength::UntilClose, &limits);
    assert_eq!(decode(&mut until_close, b"abc", 2), Ok((b"abc".to_vec(), None)));
    assert_eq!((until_close.remaining(), until_close.handle_eof()), (None, Ok(())));
    assert!(until_close.is_complete());

    let mut exact = Decoder::new(BodyLength::Exact(3), &limits);
    decode(&mut exact, b"ab", 2).unwrap();
    assert_eq!(exact.handle_eof(), Err(BodyError::Truncated));
    for cut in 0..b"3\r\nabc\r\n0\r\nA: b\r\n\r\n".len() {
        let mut decoder = chunked();
        decode(&mut decoder, &b"3\r\nabc\r\n0\r\nA: b\r\n\r\n"[..cut], 99).unwrap();
        assert_eq!(decoder.handle_eof(), Err(BodyError::Truncated), "{cut}");
        assert!(!decoder.is_complete());
    }
    for length in [BodyLength::None, BodyLength::Exact(0)] {
        let mut none = Decoder::new(length, &limits);
        assert!(none.is_complete());
        assert_eq!(none.handle_eof(), Ok(()));
        assert_eq!(none.decode(b"GET").map(|decoded| decoded.consumed), Ok(0));
    }
}
