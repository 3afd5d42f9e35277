//! RFC 9113 §8.1 to §8.5, requests: what becomes of a block, and which are refused.

use wire::h1::{ConnectionOption, Edits, Parsed, parse_request, write::write_request};
use wire::h2::{Excess, HeadDecoder, HeadError, MalformedHead};
use wire::hpack::{HpackError, Pseudo};
use wire::{BodyLength, FieldName, Limits, Method, RequestError, RequestHead, Target, Trailers, Version};

use crate::hpack::{added, block, indexed, literal, never_indexed};

/// A head and its text.
type Read = (RequestHead, String);

fn read_block(block: &[u8], end_stream: bool) -> Result<Read, HeadError> {
    let (mut head, mut bytes) = (RequestHead::new(), b"what was there before".to_vec());
    HeadDecoder::new(4096).decode_request(block, &Limits::default(), end_stream, &mut head, &mut bytes)?;
    assert_eq!(head.len(), bytes.len());
    Ok((head, bytes.iter().map(|&byte| char::from(byte)).collect()))
}

fn read(fields: &[(&str, &str)]) -> Result<Read, HeadError> {
    read_block(&block(fields), true)
}

const GET: [(&str, &str); 4] =
    [(":method", "GET"), (":scheme", "https"), (":authority", "a.example"), (":path", "/p?q")];

fn get_with(more: &[(&str, &str)]) -> Vec<(&'static str, String)> {
    let leak = |text: &str| -> &'static str { Box::leak(text.to_owned().into_boxed_str()) };
    GET.iter().chain(more).map(|(name, value)| (leak(name), (*value).to_owned())).collect()
}

/// Rows of fields behind a GET, and what is wrong with them.
#[track_caller]
fn refuse_fields(rows: &[(&[(&str, &str)], HeadError)]) {
    for (more, error) in rows {
        let fields = get_with(more);
        let fields: Vec<_> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
        assert_eq!(read(&fields).map(|(_, text)| text), Err(*error), "{more:?}");
    }
}

/// Rows of whole lists of fields, and what is wrong with them.
#[track_caller]
fn refuse(rows: &[(&[(&str, &str)], HeadError)]) {
    for (fields, error) in rows {
        assert_eq!(read(fields).map(|(_, text)| text), Err(*error), "{fields:?}");
        assert!(!error.is_connection_error());
    }
}

fn malformed(error: MalformedHead) -> HeadError {
    HeadError::Malformed(error)
}

#[test]
fn a_request_becomes_the_text_of_one_of_http_1() {
    let fields = [
        (":method", "POST"),
        (":path", "/a/b?c=d"),
        (":authority", "A.example:8443"),
        (":scheme", "https"),
        ("user-agent", "t"),
        ("x-odd", "\u{e4}\t!"),
        ("content-length", "12"),
    ];
    let (head, text) = read_block(&block(&fields), false).unwrap();
    let expected = "POST /a/b?c=d HTTP/1.1\r\nhost: A.example:8443\r\nuser-agent: t\r\nx-odd: \u{e4}\t!\r\ncontent-length: 12\r\n\r\n";
    assert_eq!(text, expected);
    let bytes: Vec<u8> = text.chars().map(|char| char as u8).collect();
    assert_eq!((head.version(), head.method(), head.target()), (Version::Http2, Method::Post, Target::Origin));
    assert_eq!((head.host(&bytes), head.port()), (&b"A.example"[..], Some(8443)));
    assert_eq!((head.path(&bytes), head.path_and_query(&bytes)), (&b"/a/b"[..], &b"/a/b?c=d"[..]));
    assert_eq!((head.body(), head.persistent(), head.upgrade()), (BodyLength::Exact(12), true, false));
    // The reader of HTTP/1 finds the same in it.
    let mut again = RequestHead::new();
    assert_eq!(parse_request(&bytes, &Limits::default(), &mut again), Ok(Parsed::Complete(bytes.len())));
    assert_eq!(again.fields(), head.fields());
    assert_eq!(
        (again.authority(), again.target_span(), again.query()),
        (head.authority(), head.target_span(), head.query())
    );
}

#[test]
fn s8_1_the_end_of_the_stream_and_the_length_tell_of_the_body() {
    type Row<'a> = (&'a [(&'a str, &'a str)], bool, Result<BodyLength, HeadError>);
    let rows: [Row<'_>; 6] = [
        (&[], true, Ok(BodyLength::None)),
        (&[], false, Ok(BodyLength::Chunked)),
        (&[("content-length", "0")], true, Ok(BodyLength::Exact(0))),
        (&[("content-length", "0")], false, Ok(BodyLength::Exact(0))),
        (&[("content-length", "5")], false, Ok(BodyLength::Exact(5))),
        (&[("content-length", "5")], true, Err(malformed(MalformedHead::LengthUnkept))),
    ];
    for (more, end_stream, expected) in rows {
        let block = [block(&GET), block(more)].concat();
        assert_eq!(read_block(&block, end_stream).map(|(head, _)| head.body()), expected, "{more:?} {end_stream}");
    }
    for value in ["", "+5", "5, 5", "18446744073709551616"] {
        let block = [block(&GET), literal("content-length", value)].concat();
        assert!(matches!(read_block(&block, false), Err(HeadError::Request(RequestError::Framing(_)))), "{value}");
    }
}

#[test]
fn expectations_are_those_of_http_1() {
    let expecting = |value, end| read_block(&[block(&GET), literal("expect", value)].concat(), end);
    assert!(expecting("100-continue", false).unwrap().0.expect_continue());
    assert!(!expecting("100-continue", true).unwrap().0.expect_continue());
    assert_eq!(expecting("200-ok", false).unwrap_err().status(), 417);
}

#[test]
fn s8_2_1_names_and_values_are_clean() {
    let name = malformed(MalformedHead::NameInvalid);
    let value = malformed(MalformedHead::ValueInvalid);
    refuse_fields(&[
        (&[("X-Capital", "")], name),
        (&[("hosT", "")], name),
        (&[("", "")], name),
        (&[("a b", "")], name),
        (&[("a:b", "")], name),
        (&[("a\r\nb", "")], name),
        (&[("a\0", "")], name),
        (&[("\u{e4}", "")], name),
        (&[("a\u{7f}", "")], name),
        (&[("a", "b\r\nc: d")], value),
        (&[("a", "b\nc")], value),
        (&[("a", "b\rc")], value),
        (&[("a", "b\0")], value),
        (&[("a", "b\u{1}")], value),
        (&[("a", "b\u{7f}")], value),
        (&[("a", " b")], value),
        (&[("a", "b\t")], value),
        (&[("a", " ")], value),
        (&[("content-length", " 0")], value),
        (&[("cookie", "a\0")], value),
    ]);
    assert!(read(&[&GET[..], &[("a", ""), ("b", "c\td \u{ff}")]].concat()).is_ok());
}

#[test]
fn s8_2_2_nothing_speaks_of_a_connection_of_http_1() {
    let of = |name| malformed(MalformedHead::ConnectionField(name));
    let te = malformed(MalformedHead::Te);
    refuse_fields(&[
        (&[("connection", "close")], of(FieldName::Connection)),
        (&[("connection", "")], of(FieldName::Connection)),
        (&[("keep-alive", "timeout=5")], of(FieldName::KeepAlive)),
        (&[("proxy-connection", "keep-alive")], of(FieldName::ProxyConnection)),
        (&[("transfer-encoding", "chunked")], of(FieldName::TransferEncoding)),
        (&[("upgrade", "websocket")], of(FieldName::Upgrade)),
        (&[("te", "gzip")], te),
        (&[("te", "trailers, gzip")], te),
        (&[("te", "")], te),
    ]);
    for te in ["trailers", "Trailers"] {
        assert!(read(&[&GET[..], &[("te", te)]].concat()).is_ok());
    }
}

#[test]
fn s8_2_3_crumbs_of_a_cookie_are_joined() {
    let fields =
        [&GET[..], &[("cookie", "a=1"), ("accept", "*/*"), ("cookie", "b=2"), ("cookie", "c=3; d=4")]].concat();
    let (head, text) = read(&fields).unwrap();
    assert!(text.ends_with("accept: */*\r\ncookie: a=1; b=2; c=3; d=4\r\n\r\n"), "{text}");
    assert_eq!(head.fields().iter().filter(|field| field.token == FieldName::Cookie).count(), 1);
    // Empty ones leave nothing behind.
    for (crumbs, line) in [(["", "a", ""], "a"), (["a", "", "b"], "a; b"), (["", "", ""], "")] {
        let fields = crumbs.map(|crumb| ("cookie", crumb));
        let (head, text) = read(&[&GET[..], &fields].concat()).unwrap();
        assert_eq!(head.value(FieldName::Cookie, text.as_bytes()), Some(line.as_bytes()));
    }
    // What one crumb asks for, the line gets.
    let block = [block(&GET), literal("cookie", "a=1"), never_indexed("cookie", "b=2")].concat();
    let (head, _) = read_block(&block, true).unwrap();
    assert!(head.field(FieldName::Cookie).unwrap().never_indexed);
}

#[test]
fn what_is_never_indexed_stays_so() {
    let block = [block(&GET), never_indexed("x-a", "1"), literal("x-b", "2")].concat();
    let marks: Vec<bool> =
        read_block(&block, true).unwrap().0.fields().iter().map(|field| field.never_indexed).collect();
    assert_eq!(marks, [false, true, false]);
}

#[test]
fn s8_3_pseudo_header_fields_come_first_once_and_are_known() {
    refuse_fields(&[
        (&[("a", "b"), (":protocol", "x")], malformed(MalformedHead::PseudoLate(Pseudo::Protocol))),
        (&[("a", "b"), (":path", "/")], malformed(MalformedHead::PseudoLate(Pseudo::Path))),
        (&[(":path", "/p?q")], malformed(MalformedHead::PseudoRepeated(Pseudo::Path))),
        (&[(":method", "GET")], malformed(MalformedHead::PseudoRepeated(Pseudo::Method))),
        (&[(":scheme", "https")], malformed(MalformedHead::PseudoRepeated(Pseudo::Scheme))),
        (&[(":authority", "a.example")], malformed(MalformedHead::PseudoRepeated(Pseudo::Authority))),
        (&[(":status", "200")], malformed(MalformedHead::PseudoMisplaced(Pseudo::Status))),
        (&[(":protocol", "websocket")], malformed(MalformedHead::PseudoMisplaced(Pseudo::Protocol))),
        (&[(":unknown", "a")], malformed(MalformedHead::PseudoUnknown)),
        (&[(":Path", "a")], malformed(MalformedHead::PseudoUnknown)),
        (&[(":", "a")], malformed(MalformedHead::PseudoUnknown)),
    ]);
}

#[test]
fn s8_3_1_method_scheme_and_path_are_there_and_sound() {
    let without = |name: &str| GET.iter().copied().filter(|field| field.0 != name).collect::<Vec<_>>();
    let missing = |pseudo| malformed(MalformedHead::PseudoMissing(pseudo));
    refuse(&[
        (&without(":method"), missing(Pseudo::Method)),
        (&without(":scheme"), missing(Pseudo::Scheme)),
        (&without(":path"), missing(Pseudo::Path)),
        (&[], missing(Pseudo::Method)),
        (&[("a", "b")], missing(Pseudo::Method)),
        (&without(":authority"), HeadError::Request(RequestError::HostMissing)),
    ]);
    let with = |name: &str, value: &'static str| {
        GET.iter().map(|&(own, old)| (own, if own == name { value } else { old })).collect::<Vec<_>>()
    };
    let invalid = |pseudo| malformed(MalformedHead::PseudoInvalid(pseudo));
    refuse(&[
        (&with(":method", ""), invalid(Pseudo::Method)),
        (&with(":method", "GET /x"), invalid(Pseudo::Method)),
        (&with(":method", "GET\r\n"), invalid(Pseudo::Method)),
        (&with(":scheme", "ftp"), invalid(Pseudo::Scheme)),
        (&with(":scheme", ""), invalid(Pseudo::Scheme)),
        (&with(":path", ""), invalid(Pseudo::Path)),
        (&with(":path", "*"), invalid(Pseudo::Path)),
        (&with(":path", "a"), invalid(Pseudo::Path)),
        (&with(":path", "http://b.example/"), invalid(Pseudo::Path)),
        (&with(":path", "/a b"), invalid(Pseudo::Path)),
        (&with(":path", "/ HTTP/1.1\r\na: b"), invalid(Pseudo::Path)),
        (&with(":path", "/a#b"), invalid(Pseudo::Path)),
        (&with(":path", "/\u{e4}"), invalid(Pseudo::Path)),
        (&with(":authority", "a\r\nb"), invalid(Pseudo::Authority)),
    ]);
    for authority in ["", "user@a.example", "a.example:99999", "a b", "a.example/"] {
        let error = read(&with(":authority", authority)).unwrap_err();
        assert!(matches!(error, HeadError::Request(RequestError::HostInvalid { .. })), "{authority}: {error}");
    }
    assert!(matches!(read(&with(":path", "/../x")), Err(HeadError::Request(RequestError::Path(_)))));
    // OPTIONS asks about the server as a whole.
    let fields = [(":method", "OPTIONS"), (":scheme", "http"), (":authority", "a.example"), (":path", "*")];
    let (head, text) = read(&fields).unwrap();
    assert_eq!((head.target(), text.as_str()), (Target::Asterisk, "OPTIONS * HTTP/1.1\r\nhost: a.example\r\n\r\n"));
    // Names are the field's own, and the path has its canonical form.
    let (head, text) = read(&with(":path", "/a/./%62")).unwrap();
    assert_eq!(head.path(text.as_bytes()), b"/a/b");
    assert_eq!(read(&with(":method", "PURGE")).unwrap().0.method(), Method::Other);
}

#[test]
fn s8_3_1_host_says_what_authority_says() {
    let agrees = |authority: &str, host: &str| {
        let fields =
            [(":method", "GET"), (":scheme", "https"), (":path", "/"), (":authority", authority), ("host", host)];
        read(&fields).map(|(_, text)| text)
    };
    for (authority, host) in [("a.example", "a.example"), ("a.example", "A.EXAMPLE"), ("a.example", "a.example:443")] {
        assert_eq!(agrees(authority, host).as_deref(), Ok("GET / HTTP/1.1\r\nhost: a.example\r\n\r\n"), "{host}");
    }
    for (authority, host) in [("a.example", "b.example"), ("a.example", "a.example:80"), ("a.example:1", "a.example")] {
        let error = agrees(authority, host).unwrap_err();
        assert!(matches!(error, HeadError::Request(RequestError::HostDisagrees { .. })), "{host}");
    }
    assert!(matches!(agrees("a.example", ""), Err(HeadError::Request(RequestError::HostInvalid { .. }))));
    // Host alone will do: a request that came from HTTP/1 may have no more.
    let alone = |hosts: &[(&str, &str)]| {
        read(&[&[(":method", "GET"), (":scheme", "http"), (":path", "/"), ("a", "b")], hosts].concat())
    };
    let (head, text) = alone(&[("host", "a.example:1")]).unwrap();
    assert_eq!((text.as_str(), head.port()), ("GET / HTTP/1.1\r\na: b\r\nhost: a.example:1\r\n\r\n", Some(1)));
    assert!(matches!(alone(&[("host", "")]), Err(HeadError::Request(RequestError::HostInvalid { .. }))));
    let twice = [("host", "a.example"), ("host", "a.example")];
    assert!(matches!(alone(&twice), Err(HeadError::Request(RequestError::HostRepeated { .. }))));
    let fields = [&GET[..], &twice].concat();
    assert!(matches!(read(&fields), Err(HeadError::Request(RequestError::HostRepeated { .. }))));
}

#[test]
fn s8_5_connect_has_an_authority_alone() {
    let connect = [(":method", "CONNECT"), (":authority", "a.example:443")];
    let (head, text) = read_block(&block(&connect), false).unwrap();
    assert_eq!(text, "CONNECT a.example:443 HTTP/1.1\r\nhost: a.example:443\r\n\r\n");
    assert_eq!((head.method(), head.target(), head.body()), (Method::Connect, Target::Authority, BodyLength::None));
    let with = |more: (&'static str, &'static str)| [&connect[..], &[more]].concat();
    refuse(&[
        (&with((":scheme", "https")), malformed(MalformedHead::PseudoMisplaced(Pseudo::Scheme))),
        (&with((":path", "/")), malformed(MalformedHead::PseudoMisplaced(Pseudo::Path))),
        (&connect[..1], malformed(MalformedHead::PseudoMissing(Pseudo::Authority))),
        (&with(("content-length", "1")), malformed(MalformedHead::LengthOfTunnel)),
        (&[connect[0], (":authority", "a b:443")], malformed(MalformedHead::PseudoInvalid(Pseudo::Authority))),
        (&[connect[0], (":authority", "a.example")], RequestError::AuthorityInvalid { at: 8 }.into()),
        (&[connect[0], (":authority", "/")], RequestError::TargetForm { at: 8 }.into()),
    ]);
}

/// RFC 8441 §4
#[test]
fn an_extended_connect_is_an_upgrade() {
    let connect = [
        (":method", "CONNECT"),
        (":protocol", "websocket"),
        (":scheme", "https"),
        (":path", "/chat?x"),
        (":authority", "a.example"),
        ("sec-websocket-version", "13"),
    ];
    let (head, text) = read_block(&block(&connect), false).unwrap();
    let expected = "GET /chat?x HTTP/1.1\r\nhost: a.example\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
                    sec-websocket-version: 13\r\n\r\n";
    assert_eq!(text, expected);
    assert!(head.upgrade());
    assert_eq!((head.method(), head.body(), head.persistent()), (Method::Get, BodyLength::None, true));
    assert_eq!(head.protocols(text.as_bytes()).collect::<Vec<_>>(), [b"websocket"]);
    // It goes on to HTTP/1 as every upgrade does: only if it is offered.
    let mut out = Vec::new();
    write_request(&mut out, &head, text.as_bytes(), &Edits::new(), b"", ConnectionOption::None);
    assert!(!String::from_utf8(out).unwrap().to_ascii_lowercase().contains("upgrade"));
    let without = |name: &str| connect.iter().copied().filter(|field| field.0 != name).collect::<Vec<_>>();
    let with = |name: &str, value: &'static str| {
        connect.iter().map(|&(own, old)| (own, if own == name { value } else { old })).collect::<Vec<_>>()
    };
    refuse(&[
        (&without(":scheme"), malformed(MalformedHead::PseudoMissing(Pseudo::Scheme))),
        (&without(":path"), malformed(MalformedHead::PseudoMissing(Pseudo::Path))),
        (&without(":authority"), malformed(MalformedHead::PseudoMissing(Pseudo::Authority))),
        (&with(":method", "GET"), malformed(MalformedHead::PseudoMisplaced(Pseudo::Protocol))),
        (&with(":protocol", ""), malformed(MalformedHead::PseudoInvalid(Pseudo::Protocol))),
        (&with(":protocol", "a, b"), malformed(MalformedHead::PseudoInvalid(Pseudo::Protocol))),
        (&[&connect[..], &[("content-length", "0")]].concat(), malformed(MalformedHead::LengthOfTunnel)),
        (&[&connect[..], &[("upgrade", "x")]].concat(), malformed(MalformedHead::ConnectionField(FieldName::Upgrade))),
    ]);
}

fn limited(fields: &[(&str, &str)], limits: &Limits) -> Result<(), HeadError> {
    let (mut head, mut bytes) = (RequestHead::new(), Vec::new());
    HeadDecoder::new(4096).decode_request(&block(fields), limits, true, &mut head, &mut bytes)
}

#[test]
fn limits_are_kept_and_told_by_name() {
    let list_bytes: u32 = GET.iter().map(|(name, value)| (name.len() + value.len() + 32) as u32).sum();
    let limits = |change: fn(&mut Limits)| {
        let mut limits = Limits::default();
        change(&mut limits);
        limits
    };
    let exact = Limits { head_bytes_max: list_bytes, ..Limits::default() };
    assert_eq!(limited(&GET, &exact), Ok(()));
    let less = Limits { head_bytes_max: list_bytes - 1, ..Limits::default() };
    let excess = HeadError::TooLarge(Excess::Head { max: list_bytes - 1 });
    assert_eq!((limited(&GET, &less), excess.status()), (Err(excess), 431));
    // Host, which :authority becomes, is a field too.
    let many = |count: usize, name: &'static str| [&GET[..], &vec![(name, "b"); count]].concat();
    let few = limits(|limits| limits.fields_max = 5);
    assert_eq!(limited(&many(4, "a"), &few), Ok(()));
    assert_eq!(limited(&many(5, "a"), &few), Err(HeadError::TooLarge(Excess::Fields { max: 5 })));
    assert_eq!(limited(&many(5, "cookie"), &few), Ok(()));
    assert_eq!(limited(&many(6, "cookie"), &few), Err(HeadError::TooLarge(Excess::Crumbs { max: 5 })));
    let short = limits(|limits| limits.field_bytes_max = 20);
    assert_eq!(limited(&[&GET[..], &[("name", "0123456789ab")]].concat(), &short), Ok(()));
    let excess = HeadError::TooLarge(Excess::Field { max: 20 });
    assert_eq!(limited(&[&GET[..], &[("name", "0123456789abc")]].concat(), &short), Err(excess));
    assert_eq!(limited(&[&GET[..], &[("cookie", "0123456"), ("cookie", "89")]].concat(), &short), Err(excess));
    let target = limits(|limits| limits.target_bytes_max = 3);
    let excess = HeadError::TooLarge(Excess::Target { max: 3 });
    assert_eq!((limited(&GET, &target), excess.status()), (Err(excess), 414));
    assert_eq!(limited(&GET, &limits(|limits| limits.target_bytes_max = 4)), Ok(()));
}

#[test]
fn a_refused_request_leaves_the_tables_in_step() {
    let limits = Limits { fields_max: 3, ..Limits::default() };
    let mut decoder = HeadDecoder::new(4096);
    let (mut head, mut bytes) = (RequestHead::new(), Vec::new());
    let refused = [
        [block(&GET), literal("Bad", ""), added("x-first", "1")].concat(),
        [block(&GET), literal("a", ""), literal("a", ""), literal("a", ""), added("x-second", "2")].concat(),
    ];
    for block in &refused {
        decoder.decode_request(block, &limits, true, &mut head, &mut bytes).unwrap_err();
    }
    decoder.discard(&added("x-third", "3"), &limits).unwrap();
    decoder.decode_trailers(&added("x-fourth", "4"), &limits, &mut Trailers::default()).unwrap();
    for (index, line) in [(62, "x-fourth: 4"), (63, "x-third: 3"), (64, "x-second: 2"), (65, "x-first: 1")] {
        let block = [block(&GET), indexed(index)].concat();
        decoder.decode_request(&block, &limits, true, &mut head, &mut bytes).unwrap();
        assert!(String::from_utf8_lossy(&bytes).ends_with(&format!("{line}\r\n\r\n")));
    }
}

/// One byte that names four thousand, again and again: what is thrown away is not decoded without end either.
#[test]
fn a_bomb_is_not_followed_to_its_end() {
    let mut decoder = HeadDecoder::new(4096);
    let limits = Limits::default();
    let (mut head, mut bytes) = (RequestHead::new(), Vec::new());
    let large = "x".repeat(4000);
    decoder.decode_request(&[block(&GET), added("a", &large)].concat(), &limits, true, &mut head, &mut bytes).unwrap();
    let few = [block(&GET), indexed(62).repeat(10)].concat();
    let error = decoder.decode_request(&few, &limits, true, &mut head, &mut bytes).unwrap_err();
    assert_eq!((error, error.is_connection_error()), (HeadError::TooLarge(Excess::Head { max: 32 << 10 }), false));
    assert!(bytes.len() < 33 << 10);
    let many = [block(&GET), indexed(62).repeat(16_000)].concat();
    let error = decoder.decode_request(&many, &limits, true, &mut head, &mut bytes).unwrap_err();
    assert_eq!((error, error.is_connection_error()), (HeadError::Excessive, true));
    assert!(bytes.capacity() < 128 << 10);
    let error = decoder.discard(&indexed(62).repeat(16_000), &limits).unwrap_err();
    assert_eq!(error, HeadError::Excessive);
}

#[test]
fn a_broken_block_ends_the_connection() {
    let error = read_block(&[0x80], true).unwrap_err();
    assert_eq!(error, HeadError::Compression(HpackError::Index { index: 0 }));
    assert!(error.is_connection_error());
    // Behind a fault too.
    let error = read_block(&[literal("Bad", ""), vec![0x80]].concat(), true).unwrap_err();
    assert!(error.is_connection_error());
}
