//! Bodies: one byte chooses limits and length, one the size of the pieces, the rest is the body.

use wire::h1::write::write_trailers;
use wire::h1::{ChunkSize, Decoder};
use wire::{BodyError, BodyLength, Limits};

/// Panics if a property does not hold for `input`.
pub fn check(input: &[u8]) {
    let [choice, piece, bytes @ ..] = input else { return };
    let limits = crate::limits(*choice);
    let length = match choice >> 4 {
        0 => BodyLength::None,
        1 => BodyLength::Exact(u64::from(*piece) * 3),
        2 => BodyLength::UntilClose,
        _ => BodyLength::Chunked,
    };
    let mut whole = Decoder::new(length, &limits);
    let outcome = decode(&mut whole, bytes, bytes.len());
    let mut pieces = Decoder::new(length, &limits);
    assert_eq!(decode(&mut pieces, bytes, usize::from(*piece) + 1), outcome, "pieces change nothing");
    ends_only_when_complete(&mut pieces, length, &outcome);
    if length == BodyLength::Chunked {
        agrees_with_a_naive_decoder(bytes, &outcome);
        if let Ok(Outcome { data, taken: Some(_) }) = &outcome {
            survives_being_encoded(&whole, data, &limits, usize::from(*piece) + 1);
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
struct Outcome {
    data: Vec<u8>,
    /// Bytes that the body took, if it ended.
    taken: Option<usize>,
}

fn decode(decoder: &mut Decoder, bytes: &[u8], piece: usize) -> Result<Outcome, BodyError> {
    let mut data = Vec::new();
    let mut at = 0;
    while !decoder.is_complete() && at < bytes.len() {
        let input = &bytes[at..(at + piece).min(bytes.len())];
        let decoded = decoder.decode(input)?;
        assert!(decoded.consumed > 0 && decoded.consumed <= input.len() && decoded.data.end <= decoded.consumed);
        assert_eq!(decoded.complete, decoder.is_complete());
        data.extend_from_slice(&input[decoded.data]);
        assert_eq!(decoder.received(), data.len() as u64);
        at += decoded.consumed;
    }
    Ok(Outcome { data, taken: decoder.is_complete().then_some(at) })
}

fn ends_only_when_complete(decoder: &mut Decoder, length: BodyLength, outcome: &Result<Outcome, BodyError>) {
    let ended = decoder.handle_eof();
    match outcome {
        Ok(Outcome { taken: Some(_), .. }) => assert_eq!(ended, Ok(())),
        Ok(_) if length == BodyLength::UntilClose => assert_eq!(ended, Ok(())),
        Ok(_) => assert_eq!(ended, Err(BodyError::Truncated)),
        Err(error) => assert_eq!(ended, Err(*error)),
    }
}

/// Decodes with the whole body at hand, line by line. `Err` for what is malformed, `Ok(None)` for what is cut short.
fn naive(bytes: &[u8]) -> Result<Option<(Vec<u8>, usize)>, ()> {
    let mut data = Vec::new();
    let mut at = 0;
    loop {
        let Some(line_len) = bytes[at..].windows(2).position(|two| two == b"\r\n") else { return Ok(None) };
        let line = &bytes[at..at + line_len];
        let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
        let size = std::str::from_utf8(&line[..digits]).ok().and_then(|digits| u64::from_str_radix(digits, 16).ok());
        let extension = line[digits..].trim_ascii_start();
        if digits > 16 || !(line.len() == digits || extension.starts_with(b";")) {
            return Err(());
        }
        at += line_len + 2;
        let size = usize::try_from(size.ok_or(())?).unwrap_or(usize::MAX);
        if size == 0 {
            break;
        }
        let Some(rest) = bytes[at..].get(size..) else { return Ok(None) };
        data.extend_from_slice(&bytes[at..at + size]);
        match rest {
            [b'\r', b'\n', ..] => at += size + 2,
            [] | [b'\r'] => return Ok(None),
            _ => return Err(()),
        }
    }
    loop {
        let Some(line_len) = bytes[at..].windows(2).position(|two| two == b"\r\n") else { return Ok(None) };
        at += line_len + 2;
        if line_len == 0 {
            return Ok(Some((data, at)));
        }
    }
}

/// The naive decoder knows neither limits nor which bytes an extension or a trailer may have, so it may accept more. It
/// may not understand anything differently.
fn agrees_with_a_naive_decoder(bytes: &[u8], outcome: &Result<Outcome, BodyError>) {
    match (outcome, naive(bytes)) {
        (Ok(Outcome { data, taken: Some(taken) }), reference) => {
            assert_eq!(reference, Ok(Some((data.clone(), *taken))));
        }
        (Ok(Outcome { taken: None, .. }), reference) => assert_eq!(reference, Ok(None)),
        (Err(_), _) => {}
    }
}

fn survives_being_encoded(decoder: &Decoder, data: &[u8], limits: &Limits, piece: usize) {
    let mut encoded = Vec::new();
    for run in data.chunks(piece) {
        encoded.extend_from_slice(ChunkSize::new(run.len()).as_bytes());
        encoded.extend_from_slice(run);
        encoded.extend_from_slice(b"\r\n");
    }
    write_trailers(&mut encoded, decoder.trailers());
    let mut again = Decoder::new(BodyLength::Chunked, limits);
    let outcome = decode(&mut again, &encoded, 7);
    assert_eq!(outcome, Ok(Outcome { data: data.to_vec(), taken: Some(encoded.len()) }));
    let fields = |decoder: &Decoder| -> Vec<(Vec<u8>, Vec<u8>)> {
        let trailers = decoder.trailers().into_iter().flat_map(|trailers| trailers.iter());
        trailers.map(|(name, value)| (name.to_vec(), value.to_vec())).collect()
    };
    assert_eq!(fields(&again), fields(decoder));
}
