//! Properties of generated messages.

use proptest::prelude::*;
use wire::h1::write::{write_request, write_response, write_trailers};
use wire::h1::{ChunkSize, ConnectionOption, Decoder, Edits, Parsed, ResponseFraming, ServerConnection};
use wire::h1::{parse_request, parse_request_by_grammar, parse_response};
use wire::{BodyLength, Field, FieldName, Limits, RequestHead, ResponseHead, Version};

use crate::rfc9112_7_chunked::decode;

/// Fields that are passed on as they are.
fn end_to_end_fields() -> impl Strategy<Value = Vec<(String, Vec<u8>)>> {
    let name = prop_oneof![
        "X-[a-zA-Z0-9!#$%&'*+.^_`|~-]{0,12}",
        Just("Cookie".to_owned()),
        Just("aCCept".to_owned()),
        Just("User-Agent".to_owned()),
        Just("Via".to_owned()),
    ];
    let byte = prop_oneof![0x20u8..0x7f, 0x80u8..=0xff, Just(b'\t')];
    prop::collection::vec((name, prop::collection::vec(byte, 0..20)), 0..12)
}

fn push_fields(bytes: &mut Vec<u8>, fields: &[(String, Vec<u8>)]) {
    for (name, value) in fields {
        bytes.extend_from_slice(format!("{name}: ").as_bytes());
        bytes.extend_from_slice(value);
        bytes.extend_from_slice(b"\r\n");
    }
}

fn trimmed(value: &[u8]) -> &[u8] {
    let is_white_space = |byte: &u8| matches!(byte, b' ' | b'\t');
    let start = value.iter().position(|byte| !is_white_space(byte)).unwrap_or(value.len());
    let end = value.iter().rposition(|byte| !is_white_space(byte)).map_or(start, |last| last + 1);
    &value[start..end]
}

/// A valid request head with that framing line.
fn request_bytes() -> impl Strategy<Value = Vec<u8>> {
    let method = prop_oneof![Just("GET"), Just("POST"), Just("HEAD"), Just("OPTIONS"), Just("M-SEARCH")];
    // Dots only where they climb nowhere, and no backslash.
    let target = prop_oneof![
        "/([!-\"$&--/->@-\\[\\]-~]|%20|%6[1-9]|%2f|/[.]/){0,20}(\\?[!-\"$-~]{0,10})?",
        "http://a[.]example(/[a-z]{0,5})?(\\?[a-z]{0,5})?"
    ];
    let version = prop_oneof![Just("1.1"), Just("1.0"), Just("1.5")];
    let framing = prop_oneof![
        Just(""),
        Just("Content-Length: 17\r\n"),
        Just("Connection: close, x-a\r\nExpect: 100-continue\r\n")
    ];
    (method, target, version, framing, end_to_end_fields(), end_to_end_fields()).prop_map(
        |(method, target, version, framing, before, after)| {
            let mut bytes = format!("{method} {target} HTTP/{version}\r\n").into_bytes();
            push_fields(&mut bytes, &before);
            bytes.extend_from_slice(b"hOST: a.example\r\n");
            bytes.extend_from_slice(framing.as_bytes());
            push_fields(&mut bytes, &after);
            bytes.extend_from_slice(b"\r\n");
            bytes
        },
    )
}

/// Bytes that are close to a request, so that mutations reach deep.
fn damaged_request_bytes() -> impl Strategy<Value = Vec<u8>> {
    let soup: &[u8] = b"\r\n\r\n\r\n  \t:,;/?#*\0\x7f\xff0159aAhHGET/HTTP.:chunked";
    let damage = prop::collection::vec((any::<prop::sample::Index>(), prop::sample::select(soup), 0u8..3), 0..4);
    (request_bytes(), damage).prop_map(|(mut bytes, damage)| {
        for (place, byte, kind) in damage {
            let at = place.index(bytes.len());
            match kind {
                0 => bytes[at] = byte,
                1 => bytes.insert(at, byte),
                _ => drop(bytes.remove(at)),
            }
        }
        bytes
    })
}

/// Names and values of all fields except those.
fn fields_but(head: &RequestHead, bytes: &[u8], left_out: &[FieldName]) -> Vec<(Vec<u8>, Vec<u8>)> {
    let kept = head.fields().iter().filter(|field| !left_out.contains(&field.token));
    kept.map(|field| (field.name.of(bytes).to_vec(), field.value.of(bytes).to_vec())).collect()
}

fn lines<'a>(fields: &[Field], bytes: &'a [u8]) -> Vec<(&'a [u8], &'a [u8])> {
    fields.iter().map(|field| (field.name.of(bytes), field.value.of(bytes))).collect()
}

fn headers<'a>(headers: &[httparse::Header<'a>]) -> Vec<(&'a [u8], &'a [u8])> {
    headers.iter().map(|header| (header.name.as_bytes(), header.value)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(512) })]

    /// A valid request means the same after it was passed on.
    #[test]
    fn a_request_survives_being_passed_on(bytes in request_bytes()) {
        let limits = Limits::default();
        let (mut head, mut again) = (RequestHead::new(), RequestHead::new());
        prop_assert_eq!(parse_request(&bytes, &limits, &mut head), Ok(Parsed::Complete(bytes.len())));
        let mut out = Vec::new();
        write_request(&mut out, &head, &bytes, &Edits::new(), b"", ConnectionOption::None);
        prop_assert_eq!(parse_request(&out, &limits, &mut again), Ok(Parsed::Complete(out.len())));
        prop_assert_eq!(again.method_name(&out), head.method_name(&bytes));
        prop_assert_eq!(again.path(&out), head.path(&bytes));
        prop_assert_eq!(again.query().map(|query| query.of(&out)), head.query().map(|query| query.of(&bytes)));
        prop_assert_eq!(again.host(&out), head.host(&bytes));
        prop_assert_eq!(again.body(), head.body());
        prop_assert!(again.persistent());
        let removed = [FieldName::Host, FieldName::Connection, FieldName::Expect];
        let mut kept = fields_but(&head, &bytes, &removed);
        if !head.nominated().is_empty() {
            kept.retain(|(name, _)| !name.eq_ignore_ascii_case(b"x-a"));
        }
        prop_assert_eq!(fields_but(&again, &out, &removed), kept);
    }

    /// A valid response means the same after it was passed on.
    #[test]
    fn a_response_survives_being_passed_on(status in 200u16..1000, reason in "[ -~\t]{0,12}", fields in end_to_end_fields()) {
        let mut bytes = format!("HTTP/1.1 {status} {reason}\r\nContent-Length: 3\r\n").into_bytes();
        push_fields(&mut bytes, &fields);
        bytes.extend_from_slice(b"\r\n");
        let (mut head, mut again) = (ResponseHead::new(), ResponseHead::new());
        prop_assert_eq!(parse_response(&bytes, &Limits::default(), &mut head), Ok(Parsed::Complete(bytes.len())));
        for ((name, value), field) in fields.iter().zip(&head.fields()[1..]) {
            prop_assert_eq!((name.as_bytes(), trimmed(value)), (field.name.of(&bytes), field.value.of(&bytes)));
        }
        let mut out = Vec::new();
        write_response(&mut out, &head, &bytes, &Edits::new(), ResponseFraming::Exact(3), ConnectionOption::None);
        prop_assert_eq!(&out, &bytes);
        prop_assert_eq!(parse_response(&out, &Limits::default(), &mut again), Ok(Parsed::Complete(out.len())));
    }

    /// Cut anywhere, whole or damaged, a head is judged as it is in one piece; the fast reader agrees with the grammar.
    #[test]
    fn a_head_in_pieces_is_judged_as_a_whole(bytes in damaged_request_bytes(), cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..4)) {
        let limits = Limits { head_bytes_max: 400, start_line_bytes_max: 60, fields_max: 20, ..Limits::default() };
        let (mut head, mut scratch) = (RequestHead::new(), RequestHead::new());
        let whole = parse_request(&bytes, &limits, &mut head);
        match parse_request_by_grammar(&bytes, &limits, &mut scratch) {
            Ok(Parsed::Complete(len)) => {
                prop_assert!(whole.is_err() || whole == Ok(Parsed::Complete(len)));
                prop_assert_eq!(head.fields(), scratch.fields());
            }
            Ok(Parsed::Partial) => prop_assert_eq!(whole, Ok(Parsed::Partial)),
            // The fast reader may leave a fault until the head is complete.
            Err(fault) => prop_assert!(whole == Err(fault) || whole == Ok(Parsed::Partial)),
        }
        let mut ends: Vec<_> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).chain([bytes.len()]).collect();
        ends.sort_unstable();
        let last_piece_start = ends.len().checked_sub(2).map_or(0, |before| ends[before]);
        let mut server = ServerConnection::new();
        let mut outcome = Ok(Parsed::Partial);
        for end in ends {
            if outcome == Ok(Parsed::Partial) {
                outcome = server.parse_head(&bytes[..end], &limits, &mut scratch);
            }
        }
        // A connection may leave a fault in an unfinished line until the line is finished.
        let unfinished = last_piece_start > 0 && !bytes[last_piece_start..].contains(&b'\n');
        if !(unfinished && whole.is_err() && outcome == Ok(Parsed::Partial)) {
            prop_assert_eq!(outcome, whole);
        }
        if whole.is_ok_and(|parsed| parsed != Parsed::Partial) {
            prop_assert_eq!(head.fields(), scratch.fields());
        }
    }

    /// Whatever is accepted, a parser that others wrote accepts as well, and finds the same in it.
    #[test]
    fn httparse_reads_what_is_accepted_alike(request in damaged_request_bytes(), status in "HTTP/1[.][01] [1-9][0-9]{2} [ -~]{0,9}\r") {
        let mut head = RequestHead::new();
        let mut table = [httparse::EMPTY_HEADER; 100];
        if let Ok(Parsed::Complete(len)) = parse_request(&request, &Limits::default(), &mut head) {
            let mut other = httparse::Request::new(&mut table);
            match other.parse(&request) {
                // It knows two versions only.
                Err(httparse::Error::Version) => prop_assert_eq!(head.version(), Version::Http11),
                status => {
                    prop_assert_eq!(status, Ok(httparse::Status::Complete(len)));
                    prop_assert_eq!(other.method.map(str::as_bytes), Some(head.method_name(&request)));
                    prop_assert_eq!(other.path.map(str::as_bytes), Some(head.target_span().of(&request)));
                    prop_assert_eq!(lines(head.fields(), &request), headers(other.headers));
                }
            }
        }
        // The same fields behind a status line.
        let fields = request.iter().position(|&byte| byte == b'\n').unwrap_or(request.len());
        let response = [status.as_bytes(), &request[fields..]].concat();
        let mut head = ResponseHead::new();
        if let Ok(Parsed::Complete(len)) = parse_response(&response, &Limits::default(), &mut head) {
            let mut other = httparse::Response::new(&mut table);
            prop_assert_eq!(other.parse(&response), Ok(httparse::Status::Complete(len)));
            prop_assert_eq!(other.code, Some(head.status()));
            prop_assert_eq!(other.reason.map(str::as_bytes), Some(head.reason().of(&response)));
            prop_assert_eq!(lines(head.fields(), &response), headers(other.headers));
        }
    }

    /// Any body in any chunks, cut anywhere, comes out as it went in, trailers included.
    #[test]
    fn a_body_survives_the_chunked_coding(
        chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..70), 0..12),
        trailers in end_to_end_fields(),
        piece in 1usize..200,
    ) {
        let mut bytes = Vec::new();
        for chunk in &chunks {
            bytes.extend_from_slice(ChunkSize::new(chunk.len()).as_bytes());
            bytes.extend_from_slice(chunk);
            bytes.extend_from_slice(b"\r\n");
        }
        bytes.extend_from_slice(b"0\r\n");
        push_fields(&mut bytes, &trailers);
        bytes.extend_from_slice(b"\r\nnext");
        let mut decoder = Decoder::new(BodyLength::Chunked, &Limits::default());
        let decoded = decode(&mut decoder, &bytes, piece);
        prop_assert_eq!(decoded, Ok((chunks.concat(), Some(bytes.len() - 4))));

        let mut section = Vec::new();
        write_trailers(&mut section, decoder.trailers());
        let mut again = Decoder::new(BodyLength::Chunked, &Limits::default());
        prop_assert_eq!(decode(&mut again, &section, piece), Ok((Vec::new(), Some(section.len()))));
        let kept: Vec<_> = decoder.trailers().iter().flat_map(|trailers| trailers.iter()).collect();
        let kept_again: Vec<_> = again.trailers().iter().flat_map(|trailers| trailers.iter()).collect();
        prop_assert_eq!(&kept, &kept_again);
        let allowed = |name: &str| !matches!(FieldName::of(name.as_bytes()), FieldName::Cookie | FieldName::Via);
        let sent: Vec<_> = trailers.iter().filter(|(name, _)| allowed(name)).collect();
        prop_assert_eq!(kept.len(), sent.len());
        for ((name, value), (sent_name, sent_value)) in kept.into_iter().zip(sent) {
            prop_assert_eq!((name, value), (sent_name.as_bytes(), trimmed(sent_value)));
        }
    }
}
