//! Heads of HTTP/2: one byte chooses limits, one the kind of message and how the block is given, the rest is the block, or lines of
//! fields from which one is made.

use wire::h1::{Edits, Parsed, ResponseFraming, parse_request, parse_response};
use wire::h2::{Asked, HeadDecoder, HeadEncoder, HeadError};
use wire::{BodyLength, Field, FieldName, Limits, Method, RequestHead, ResponseHead, Scheme, Trailers, Version};

/// Panics if a property does not hold for `input`.
pub fn check(input: &[u8]) {
    let [choice, kind, rest @ ..] = input else { return };
    let limits = crate::limits(*choice);
    let end_stream = kind & 4 != 0;
    let block = if kind & 8 != 0 { rest.to_vec() } else { block(rest) };
    let outcome = match kind & 3 {
        0 | 1 => request(&block, &limits, end_stream),
        2 => {
            let protocol: &[u8] = if kind & 16 != 0 { b"websocket" } else { b"" };
            let method = if kind & 32 != 0 { Method::Head } else { Method::Get };
            response(&block, &limits, end_stream, Asked { method, protocol })
        }
        _ => trailers(&block, &limits),
    };
    // Whatever is wrong with a message, the tables stay in step, or the connection ends.
    let discarded = HeadDecoder::new(4096).discard(&block, &limits);
    match outcome {
        Err(error) if error.is_connection_error() => assert_eq!(discarded, Err(error)),
        _ => assert_eq!(discarded, Ok(())),
    }
}

fn request(block: &[u8], limits: &Limits, end_stream: bool) -> Result<(), HeadError> {
    let (mut head, mut bytes) = (RequestHead::new(), Vec::new());
    HeadDecoder::new(4096).decode_request(block, limits, end_stream, &mut head, &mut bytes)?;
    assert_eq!((head.version(), head.len()), (Version::Http2, bytes.len()));
    assert!(head.fields().len() <= usize::from(limits.fields_max));
    lines_are_sound(head.fields(), &bytes);
    // HTTP/1 reads the same in the text.
    let mut again = RequestHead::new();
    assert_eq!(parse_request(&bytes, &crate::ROOMY, &mut again), Ok(Parsed::Complete(bytes.len())));
    assert_eq!(unmarked(head.fields()), again.fields());
    assert_eq!(
        (head.method(), head.target(), head.target_span()),
        (again.method(), again.target(), again.target_span())
    );
    assert_eq!((head.authority(), head.port(), head.query()), (again.authority(), again.port(), again.query()));
    assert_eq!((head.path(&bytes), head.upgrade()), (again.path(&bytes), again.upgrade()));
    let is_tunnel = head.upgrade() || head.method() == Method::Connect;
    match (head.body(), again.body()) {
        (BodyLength::Chunked, BodyLength::None) => assert!(!end_stream && !is_tunnel),
        (ours, theirs) => assert_eq!(ours, theirs),
    }
    assert!(!end_stream || matches!(head.body(), BodyLength::None | BodyLength::Exact(0)));
    comes_back(&head, &bytes, end_stream);
    Ok(())
}

/// Written and read again, a request is the same, but for what concerned one connection.
fn comes_back(head: &RequestHead, bytes: &[u8], end_stream: bool) {
    let mut edits = Edits::new();
    if let Some(protocol) = head.protocols(bytes).next() {
        edits.offer(protocol).expect("the gate lets tokens pass");
    }
    let (mut block, mut text, mut again) = (Vec::new(), Vec::new(), RequestHead::new());
    HeadEncoder::new(4096).write_request(&mut block, head, bytes, &edits, Scheme::Https, b"fallback");
    let read = HeadDecoder::new(4096).decode_request(&block, &crate::ROOMY, end_stream, &mut again, &mut text);
    assert_eq!(read, Ok(()), "{}", bytes.escape_ascii());
    assert_eq!((head.method(), head.body(), head.upgrade()), (again.method(), again.body(), again.upgrade()));
    assert_eq!(head.method_name(bytes), again.method_name(&text));
    assert_eq!((head.host(bytes), head.port()), (again.host(&text), again.port()));
    assert_eq!(head.path_and_query(bytes), again.path_and_query(&text));
    let is_own = |field: &&Field, bytes: &[u8]| {
        let name = field.name.of(bytes);
        let handshake = head.upgrade() && name.starts_with(b"sec-websocket-");
        !handshake && !matches!(field.token, FieldName::Host | FieldName::Te | FieldName::Http2Settings)
    };
    let pairs = |head: &RequestHead, bytes: &[u8]| -> Vec<(Vec<u8>, Vec<u8>)> {
        let fields = head.fields().iter().filter(|field| is_own(field, bytes));
        fields.map(|field| (field.name.of(bytes).to_vec(), field.value.of(bytes).to_vec())).collect()
    };
    assert_eq!(pairs(head, bytes), pairs(&again, &text));
    assert_eq!(head.names().contains(FieldName::Te), again.names().contains(FieldName::Te));
}

fn response(block: &[u8], limits: &Limits, end_stream: bool, asked: Asked<'_>) -> Result<(), HeadError> {
    let (mut head, mut bytes) = (ResponseHead::new(), Vec::new());
    HeadDecoder::new(4096).decode_response(block, limits, end_stream, asked, &mut head, &mut bytes)?;
    assert_eq!((head.version(), head.len()), (Version::Http2, bytes.len()));
    lines_are_sound(head.fields(), &bytes);
    let mut again = ResponseHead::new();
    assert_eq!(parse_response(&bytes, &crate::ROOMY, &mut again), Ok(Parsed::Complete(bytes.len())));
    assert_eq!(unmarked(head.fields()), again.fields());
    assert_eq!((head.status(), head.reason()), (again.status(), again.reason()));
    assert!(head.status() != 101 || !asked.protocol.is_empty());
    assert!(!head.is_informational() || !end_stream || head.status() == 101);
    match (head.framing(), again.framing()) {
        (BodyLength::Exact(0) | BodyLength::Chunked, BodyLength::UntilClose) => {}
        (ours, theirs) => assert_eq!(ours, theirs),
    }
    let body = head.body_for(asked.method);
    assert!(!end_stream || matches!(body, BodyLength::None | BodyLength::Exact(0)));
    let (mut block, mut text) = (Vec::new(), Vec::new());
    let mut encoder = HeadEncoder::new(4096);
    let framing = ResponseFraming::of(asked.method, Version::Http2, head.status(), body);
    match head.status() {
        101 => encoder.write_switch(&mut block, &head, &bytes, &Edits::new()),
        _ => encoder.write_response(&mut block, &head, &bytes, &Edits::new(), framing),
    }
    let read = HeadDecoder::new(4096).decode_response(&block, &crate::ROOMY, end_stream, asked, &mut again, &mut text);
    assert_eq!(read, Ok(()), "{}", bytes.escape_ascii());
    assert_eq!((head.status(), body), (again.status(), again.body_for(asked.method)));
    Ok(())
}

fn trailers(block: &[u8], limits: &Limits) -> Result<(), HeadError> {
    let mut trailers = Trailers::default();
    HeadDecoder::new(4096).decode_trailers(block, limits, &mut trailers)?;
    for (name, value) in trailers.iter() {
        assert!(!name.is_empty() && !name.starts_with(b":") && !name.iter().any(u8::is_ascii_uppercase));
        assert!(!value.iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0)));
    }
    let (mut block, mut again) = (Vec::new(), Trailers::default());
    HeadEncoder::new(4096).write_trailers(&mut block, &trailers);
    assert_eq!(HeadDecoder::new(4096).decode_trailers(&block, &crate::ROOMY, &mut again), Ok(()));
    assert!(trailers.iter().eq(again.iter()));
    Ok(())
}

/// Lines tile the head behind its start line, and their names are in lower case.
fn lines_are_sound(fields: &[Field], bytes: &[u8]) {
    let mut at = bytes.iter().position(|&byte| byte == b'\n').expect("a start line") + 1;
    for field in fields {
        assert_eq!(field.line.range().start, at);
        assert!(!field.name.of(bytes).iter().any(u8::is_ascii_uppercase));
        assert_eq!(field.token, FieldName::of(field.name.of(bytes)));
        at = field.line.range().end;
    }
    assert_eq!(&bytes[at..], b"\r\n");
}

/// HTTP/1 knows no mark.
fn unmarked(fields: &[Field]) -> Vec<Field> {
    fields.iter().map(|field| Field { never_indexed: false, ..*field }).collect()
}

/// Lines `name: value`, with a colon before the name of a pseudo-header field, as a block of literals.
fn block(lines: &[u8]) -> Vec<u8> {
    let mut block = Vec::new();
    for line in lines.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()) {
        let colon = line.iter().skip(1).position(|&byte| byte == b':').map_or(line.len(), |at| at + 1);
        let (name, value) = (&line[..colon], line.get(colon + 2..).unwrap_or_default());
        block.push(0);
        for text in [name, value] {
            let mut rest = text.len().saturating_sub(127);
            block.push(text.len().min(127) as u8);
            if text.len() >= 127 {
                while rest >= 128 {
                    block.push((rest % 128 + 128) as u8);
                    rest /= 128;
                }
                block.push(rest as u8);
            }
            block.extend_from_slice(text);
        }
    }
    block
}
