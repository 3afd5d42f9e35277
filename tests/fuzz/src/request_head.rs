//! Request heads: one byte chooses limits, one the place of a cut, the rest is the head.

use wire::h1::write::write_request;
use wire::h1::{ConnectionOption, Edits, Parsed, ServerConnection, parse_request, parse_request_by_grammar};
use wire::{BodyLength, FieldName, FramingError, Limits, RequestError, RequestHead, Version};

/// Panics if a property does not hold for `input`.
pub fn check(input: &[u8]) {
    let [choice, cut, bytes @ ..] = input else { return };
    let limits = crate::limits(*choice);
    let mut head = RequestHead::new();
    let parsed = parse_request(bytes, &limits, &mut head);
    agrees_with_the_grammar(bytes, &limits, parsed, &head);
    agrees_when_cut(bytes, &limits, parsed, usize::from(*cut));
    if let Ok(Parsed::Complete(len)) = parsed {
        assert_eq!(len, head.len());
        let bytes = &bytes[..len];
        is_whole(bytes, &head);
        agrees_with_httparse(bytes, &head);
        agrees_with_a_naive_framing(bytes, &head);
        survives_being_written(bytes, &head);
    }
    if let Err(error) = parsed {
        assert!(matches!(error.status(), 400 | 414 | 417 | 431 | 501 | 505));
        assert!(!error.to_string().is_empty());
    }
}

fn agrees_with_the_grammar(bytes: &[u8], limits: &Limits, parsed: Result<Parsed, RequestError>, head: &RequestHead) {
    let mut exact = RequestHead::new();
    match parse_request_by_grammar(bytes, limits, &mut exact) {
        Ok(Parsed::Complete(len)) => {
            assert!(parsed == Ok(Parsed::Complete(len)) || is_gate_error(parsed));
            assert_eq!(head.fields(), exact.fields());
            assert_eq!(head.target_span(), exact.target_span());
        }
        Ok(Parsed::Partial) => assert_eq!(parsed, Ok(Parsed::Partial)),
        // The fast reader may leave a fault until the head is complete.
        Err(fault) => assert!(parsed == Err(fault) || parsed == Ok(Parsed::Partial)),
    }
}

/// Whether the head obeys the grammar and was refused for what it means.
fn is_gate_error(parsed: Result<Parsed, RequestError>) -> bool {
    use RequestError::{FieldsTooMany, HeadTooLarge, StartLineTooLong, Syntax, VersionUnsupported};
    !matches!(
        parsed,
        Ok(_)
            | Err(Syntax(_) | FieldsTooMany { .. } | HeadTooLarge { .. } | StartLineTooLong { .. })
            | Err(VersionUnsupported { .. })
    )
}

/// A part of the bytes is partial or has the outcome of all; so has a connection that gets them in two parts, except
/// that it may leave a fault in an unfinished line until the line is finished.
fn agrees_when_cut(bytes: &[u8], limits: &Limits, whole: Result<Parsed, RequestError>, cut: usize) {
    let part = &bytes[..cut.min(bytes.len())];
    let mut head = RequestHead::new();
    let early = parse_request(part, limits, &mut head);
    assert!(early == Ok(Parsed::Partial) || early == whole);
    let mut server = ServerConnection::new();
    let mut outcome = server.parse_head(part, limits, &mut head);
    if outcome == Ok(Parsed::Partial) {
        outcome = server.parse_head(bytes, limits, &mut head);
    }
    let unfinished = !bytes[part.len()..].contains(&b'\n');
    assert!(outcome == whole || (outcome == Ok(Parsed::Partial) && whole.is_err() && unfinished));
}

/// The lines tile the head, and the values have no white space around them.
fn is_whole(bytes: &[u8], head: &RequestHead) {
    let mut at = head.target_span().range().end + " HTTP/1.1\r\n".len();
    for field in head.fields() {
        assert_eq!(field.line.range().start, at);
        assert!(field.line.of(bytes).ends_with(b"\r\n"));
        assert_eq!(field.token, FieldName::of(field.name.of(bytes)));
        let value = field.value.of(bytes);
        assert!(![value.first(), value.last()].iter().any(|end| matches!(end, Some(b' ' | b'\t'))));
        assert!(value.iter().all(|&byte| byte == b'\t' || (byte >= 0x20 && byte != 0x7f)));
        at = field.line.range().end;
    }
    assert_eq!(&bytes[at..], b"\r\n");
}

fn agrees_with_httparse(bytes: &[u8], head: &RequestHead) {
    let mut table = [httparse::EMPTY_HEADER; 300];
    let mut other = httparse::Request::new(&mut table);
    let status = match other.parse(bytes) {
        // httparse knows two versions only.
        Err(httparse::Error::Version) if head.version() == Version::Http11 => return,
        status => status,
    };
    assert_eq!(status, Ok(httparse::Status::Complete(bytes.len())));
    assert_eq!(other.method.map(str::as_bytes), Some(head.method_name(bytes)));
    assert_eq!(other.path.map(str::as_bytes), Some(head.target_span().of(bytes)));
    assert_eq!(other.headers.len(), head.fields().len());
    for (header, field) in other.headers.iter().zip(head.fields()) {
        assert_eq!((header.name.as_bytes(), header.value), (field.name.of(bytes), field.value.of(bytes)));
    }
}

/// What a reader would conclude that lowers all names and looks at all values: an accepted head leaves no other
/// reading.
fn agrees_with_a_naive_framing(bytes: &[u8], head: &RequestHead) {
    let values = |wanted: &str| -> Vec<String> {
        let named = head.fields().iter().filter(|field| {
            let name = String::from_utf8_lossy(field.name.of(bytes)).to_lowercase();
            name.trim() == wanted
        });
        named.map(|field| String::from_utf8_lossy(field.value.of(bytes)).to_lowercase()).collect()
    };
    let (lengths, codings) = (values("content-length"), values("transfer-encoding"));
    match head.body() {
        BodyLength::None => assert!(lengths.is_empty() && codings.is_empty()),
        BodyLength::Exact(length) => {
            assert!(codings.is_empty() && lengths.len() == 1);
            assert_eq!(lengths[0].parse(), Ok(length));
        }
        BodyLength::Chunked => assert!(lengths.is_empty() && codings == ["chunked"]),
        BodyLength::UntilClose => panic!("{}", FramingError::ChunkedNotLast { at: 0 }),
    }
    assert!(values("host").len() <= 1);
    assert!(head.version() == Version::Http10 || head.authority().is_some());
}

/// Written anew it parses, means the same, has nothing of the old connection, and does not change any more.
fn survives_being_written(bytes: &[u8], head: &RequestHead) {
    // Room for what the writer adds.
    let limits = crate::ROOMY;
    let write = |head: &RequestHead, bytes: &[u8]| {
        let mut out = Vec::new();
        write_request(&mut out, head, bytes, &Edits::new(), b"fallback.example:80", ConnectionOption::None);
        out
    };
    let out = write(head, bytes);
    let mut again = RequestHead::new();
    assert_eq!(parse_request(&out, &limits, &mut again), Ok(Parsed::Complete(out.len())));
    assert_eq!(again.method_name(&out), head.method_name(bytes));
    assert_eq!(again.path(&out), head.path(bytes));
    assert_eq!(again.query().map(|query| query.of(&out)), head.query().map(|query| query.of(bytes)));
    assert_eq!(again.body(), head.body());
    match head.authority() {
        Some(authority) => assert_eq!(again.authority().unwrap().of(&out), authority.of(bytes)),
        None => assert_eq!(again.host(&out), b"fallback.example"),
    }
    assert!(again.persistent() && again.nominated().is_empty() && !again.upgrade());
    for name in [FieldName::Connection, FieldName::KeepAlive, FieldName::Te, FieldName::Upgrade] {
        assert!(again.field(name).is_none());
    }
    assert_eq!(write(&again, &out), out);
}
