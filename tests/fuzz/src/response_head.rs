//! Response heads: one byte chooses limits, one the place of a cut and how the head is written, the rest is the head.

use wire::h1::write::write_response;
use wire::h1::{ConnectionOption, Edits, Parsed, ResponseFraming, parse_response};
use wire::{BodyLength, FieldName, Limits, Method, ResponseError, ResponseHead, Version};

/// Panics if a property does not hold for `input`.
pub fn check(input: &[u8]) {
    let [choice, cut, bytes @ ..] = input else { return };
    let limits = crate::limits(*choice);
    let mut head = ResponseHead::new();
    let parsed = parse_response(bytes, &limits, &mut head);
    let part = &bytes[..usize::from(*cut).min(bytes.len())];
    let early = parse_response(part, &limits, &mut ResponseHead::new());
    assert!(early == Ok(Parsed::Partial) || early == parsed);
    match parsed {
        Ok(Parsed::Complete(len)) => {
            let bytes = &bytes[..len];
            is_whole(bytes, &head);
            agrees_with_httparse(bytes, &head);
            body_follows_the_rules(&head);
            survives_being_written(bytes, &head, *cut);
        }
        Ok(Parsed::Partial) => assert!(bytes.len() < limits.head_bytes_max as usize),
        Err(error) => is_justified(bytes, &limits, error),
    }
}

fn is_whole(bytes: &[u8], head: &ResponseHead) {
    assert_eq!(bytes.len(), head.len());
    assert!((100..1000).contains(&head.status()));
    let mut at = head.reason().range().end + 2;
    for field in head.fields() {
        assert_eq!(field.line.range().start, at);
        assert!(field.line.of(bytes).ends_with(b"\r\n"));
        assert_eq!(field.token, FieldName::of(field.name.of(bytes)));
        at = field.line.range().end;
    }
    assert_eq!(&bytes[at..], b"\r\n");
    // No line feed but at the end of a line.
    let lines = bytes.iter().filter(|&&byte| byte == b'\n').count();
    assert_eq!(lines, head.fields().len() + 2);
}

fn agrees_with_httparse(bytes: &[u8], head: &ResponseHead) {
    let mut table = [httparse::EMPTY_HEADER; 300];
    let mut other = httparse::Response::new(&mut table);
    let status = match other.parse(bytes) {
        Err(httparse::Error::Version) if head.version() == Version::Http11 => return,
        status => status,
    };
    assert_eq!(status, Ok(httparse::Status::Complete(bytes.len())));
    assert_eq!(other.code, Some(head.status()));
    let reason = head.reason().of(bytes);
    assert_eq!(other.reason.map(str::as_bytes), Some(if reason.is_ascii() { reason } else { b"" }));
    assert_eq!(other.headers.len(), head.fields().len());
    for (header, field) in other.headers.iter().zip(head.fields()) {
        assert_eq!((header.name.as_bytes(), header.value), (field.name.of(bytes), field.value.of(bytes)));
    }
}

/// RFC 9112 §6.3
fn body_follows_the_rules(head: &ResponseHead) {
    let bodyless = head.is_informational() || matches!(head.status(), 204 | 304);
    assert_eq!(head.body_for(Method::Head), BodyLength::None);
    assert_eq!(head.body_for(Method::Get), if bodyless { BodyLength::None } else { head.framing() });
    let names = head.names();
    match head.framing() {
        BodyLength::Exact(_) => assert!(!names.contains(FieldName::TransferEncoding)),
        BodyLength::Chunked => assert!(!names.contains(FieldName::ContentLength) && head.version() == Version::Http11),
        _ => assert!(!names.contains(FieldName::TransferEncoding) && !names.contains(FieldName::ContentLength)),
    }
}

/// Written in any framing it parses, and says what it was told to say.
fn survives_being_written(bytes: &[u8], head: &ResponseHead, choice: u8) {
    let limits = crate::ROOMY;
    let (framing, expected) = match choice % 5 {
        0 => (ResponseFraming::None, BodyLength::UntilClose),
        1 => (ResponseFraming::Described, head.framing()),
        2 => (ResponseFraming::Exact(u64::from(choice)), BodyLength::Exact(u64::from(choice))),
        3 => (ResponseFraming::Chunked, BodyLength::Chunked),
        _ => (ResponseFraming::UntilClose, BodyLength::UntilClose),
    };
    let expected = match (framing, expected) {
        (ResponseFraming::Described, BodyLength::Chunked) => BodyLength::UntilClose,
        (_, expected) => expected,
    };
    let close = choice & 0x80 != 0;
    let connection = if close { ConnectionOption::Close } else { ConnectionOption::None };
    let mut out = Vec::new();
    write_response(&mut out, head, bytes, &Edits::new(), framing, connection);
    let mut again = ResponseHead::new();
    assert_eq!(parse_response(&out, &limits, &mut again), Ok(Parsed::Complete(out.len())));
    assert_eq!((again.status(), again.reason().of(&out)), (head.status(), head.reason().of(bytes)));
    assert_eq!(again.framing(), expected);
    assert_eq!(again.persistent(), !close);
    assert!(again.nominated().is_empty() && again.field(FieldName::KeepAlive).is_none());
}

/// A refused head is one that httparse refuses too, or one of the known cases in which we are stricter.
fn is_justified(bytes: &[u8], limits: &Limits, error: ResponseError) {
    assert!(!error.to_string().is_empty());
    if let ResponseError::HeadTooLarge { max } = error {
        assert!(max == limits.head_bytes_max && bytes.len() >= max as usize);
    }
    if let ResponseError::StartLineTooLong { max } = error {
        assert!(max == limits.start_line_bytes_max && !bytes[..max as usize].contains(&b'\n'));
    }
    assert!(!matches!(error, ResponseError::Unsolicited | ResponseError::SwitchUnasked));
}
