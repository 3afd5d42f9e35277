//! RFC 9112 §3: the request line, the forms of its target, and the authority.

use wire::error::StartLinePart::{Method as MethodPart, Target as TargetPart, Version as VersionPart};
use wire::{Method, RequestError, Scheme, SyntaxError, Target};

use crate::{refuse_requests, request};

fn start_line(part: wire::error::StartLinePart, at: u32, byte: u8) -> RequestError {
    SyntaxError::StartLine { part, at, byte }.into()
}

#[test]
fn methods_are_tokens_in_their_own_case() {
    let methods = [
        (Method::Get, "GET"),
        (Method::Head, "HEAD"),
        (Method::Post, "POST"),
        (Method::Put, "PUT"),
        (Method::Delete, "DELETE"),
        (Method::Options, "OPTIONS"),
        (Method::Trace, "TRACE"),
        (Method::Patch, "PATCH"),
        (Method::Other, "get"),
        (Method::Other, "PROPFIND"),
        (Method::Other, "!#$%&'*+-.^_`|~"),
    ];
    for (method, name) in methods {
        let bytes = format!("{name} / HTTP/1.1\r\nHost: x\r\n\r\n");
        let head = request(bytes.as_bytes());
        assert_eq!(head.method(), method);
        assert_eq!(head.method_name(bytes.as_bytes()), name.as_bytes());
        assert!(method == Method::Other || method.as_str() == name);
    }
}

#[test]
fn safety_and_idempotence_are_those_of_rfc_9110() {
    use Method::{Connect, Delete, Get, Head, Options, Other, Patch, Post, Put, Trace};
    assert!([Get, Head, Options, Trace].iter().all(|method| method.is_safe() && method.is_idempotent()));
    assert!([Put, Delete].iter().all(|method| !method.is_safe() && method.is_idempotent()));
    assert!([Post, Patch, Connect, Other].iter().all(|method| !method.is_safe() && !method.is_idempotent()));
}

#[test]
fn malformed_request_lines_are_refused() {
    refuse_requests(&[
        (b" GET / HTTP/1.1\r\nHost: x\r\n\r\n", start_line(MethodPart, 0, b' '), 400),
        (b"\tGET / HTTP/1.1\r\nHost: x\r\n\r\n", start_line(MethodPart, 0, b'\t'), 400),
        (b"G\0T / HTTP/1.1\r\nHost: x\r\n\r\n", start_line(MethodPart, 1, 0), 400),
        (b"GE\xc3\xa4T / HTTP/1.1\r\nHost: x\r\n\r\n", start_line(MethodPart, 2, 0xc3), 400),
        (b"GE(T / HTTP/1.1\r\nHost: x\r\n\r\n", start_line(MethodPart, 2, b'('), 400),
        (b"GET\t/ HTTP/1.1\r\nHost: x\r\n\r\n", start_line(MethodPart, 3, b'\t'), 400),
        (b"GET\r\nHost: x\r\n\r\n", start_line(MethodPart, 3, b'\r'), 400),
        (b"GET  / HTTP/1.1\r\nHost: x\r\n\r\n", start_line(TargetPart, 4, b' '), 400),
        (b"GET  HTTP/1.1\r\nHost: x\r\n\r\n", start_line(TargetPart, 4, b' '), 400),
        (b"GET \t/ HTTP/1.1\r\nHost: x\r\n\r\n", start_line(TargetPart, 4, b'\t'), 400),
        (b"GET /a\tb HTTP/1.1\r\nHost: x\r\n\r\n", start_line(TargetPart, 6, b'\t'), 400),
        (b"GET /a\0b HTTP/1.1\r\nHost: x\r\n\r\n", start_line(TargetPart, 6, 0), 400),
        (b"GET /a\x7fb HTTP/1.1\r\nHost: x\r\n\r\n", start_line(TargetPart, 6, 0x7f), 400),
        (b"GET /\xc3\xa4 HTTP/1.1\r\nHost: x\r\n\r\n", start_line(TargetPart, 5, 0xc3), 400),
        (b"GET /\xff HTTP/1.1\r\nHost: x\r\n\r\n", start_line(TargetPart, 5, 0xff), 400),
        (b"GET /a#b HTTP/1.1\r\nHost: x\r\n\r\n", start_line(TargetPart, 6, b'#'), 400),
        (b"GET # HTTP/1.1\r\nHost: x\r\n\r\n", start_line(TargetPart, 4, b'#'), 400),
        (b"GET /a b HTTP/1.1\r\nHost: x\r\n\r\n", start_line(VersionPart, 7, b'b'), 400),
        (b"GET /  HTTP/1.1\r\nHost: x\r\n\r\n", start_line(VersionPart, 6, b' '), 400),
        // The form of HTTP/0.9, and what is left of a version.
        (b"GET /\r\n\r\n", start_line(TargetPart, 5, b'\r'), 400),
        (b"GET / \r\nHost: x\r\n\r\n", start_line(VersionPart, 6, b'\r'), 400),
        (b"GET / http/1.1\r\nHost: x\r\n\r\n", start_line(VersionPart, 6, b'h'), 400),
        (b"GET / HTTP1.1\r\nHost: x\r\n\r\n", start_line(VersionPart, 10, b'1'), 400),
        (b"GET / HTTP/1\r\nHost: x\r\n\r\n", start_line(VersionPart, 12, b'\r'), 400),
        (b"GET / HTTP/1,1\r\nHost: x\r\n\r\n", start_line(VersionPart, 12, b','), 400),
        (b"GET / HTTP/11.1\r\nHost: x\r\n\r\n", start_line(VersionPart, 12, b'1'), 400),
        (b"GET / HTTP/1.10\r\nHost: x\r\n\r\n", start_line(VersionPart, 14, b'0'), 400),
        (b"GET / HTTP/1.1 \r\nHost: x\r\n\r\n", start_line(VersionPart, 14, b' '), 400),
        (b"GET / HTTP/ 1.1\r\nHost: x\r\n\r\n", start_line(VersionPart, 11, b' '), 400),
        (b"GET / HTTP/+1.1\r\nHost: x\r\n\r\n", start_line(VersionPart, 11, b'+'), 400),
        (b"GET / HTTPS/1.1\r\nHost: x\r\n\r\n", start_line(VersionPart, 10, b'S'), 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", start_line(MethodPart, 0, 0x16), 400),
    ]);
}

/// A row: target, form, path, query, path and query together.
type Row<'a> = (&'a str, &'a str, Target, &'a str, Option<&'a str>, &'a str);

#[test]
fn targets_are_taken_apart() {
    let http = Target::Absolute(Scheme::Http);
    let rows: &[Row<'_>] = &[
        ("GET", "/", Target::Origin, "/", None, "/"),
        ("GET", "/a/b;c=d%20e", Target::Origin, "/a/b;c=d%20e", None, "/a/b;c=d%20e"),
        ("GET", "/a?", Target::Origin, "/a", Some(""), "/a?"),
        ("GET", "/a?b=c?d&e=/f", Target::Origin, "/a", Some("b=c?d&e=/f"), "/a?b=c?d&e=/f"),
        // The path in its canonical form, the query as it was sent.
        ("GET", "//x/../%2e", Target::Origin, "/", None, "/"),
        ("GET", "/%61//b?%61//../b", Target::Origin, "/a/b", Some("%61//../b"), "/a/b?%61//../b"),
        ("GET", "http://x/%61/?%62", http, "/a/", Some("%62"), "/a/?%62"),
        ("GET", "/\"<>^`{|}", Target::Origin, "/%22%3C%3E%5E%60%7B%7C%7D", None, "/%22%3C%3E%5E%60%7B%7C%7D"),
        ("GET", "http://x", http, "/", None, "/"),
        ("GET", "http://x/", http, "/", None, "/"),
        ("GET", "HTTP://X/a?b", http, "/a", Some("b"), "/a?b"),
        ("GET", "http://x?b/c", http, "/", Some("b/c"), "?b/c"),
        ("GET", "https://x:443/a", Target::Absolute(Scheme::Https), "/a", None, "/a"),
        ("OPTIONS", "*", Target::Asterisk, "*", None, "*"),
        // RFC 9112 §3.2.4
        ("OPTIONS", "http://x", http, "*", None, "*"),
        ("OPTIONS", "http://x/", http, "/", None, "/"),
        ("OPTIONS", "http://x?a", http, "/", Some("a"), "?a"),
        ("CONNECT", "x:443", Target::Authority, "", None, ""),
    ];
    for &(method, target, form, path, query, both) in rows {
        let host = if target.starts_with("https") || method == "CONNECT" { "x:443" } else { "x" };
        let bytes = format!("{method} {target} HTTP/1.1\r\nHost: {host}\r\n\r\n").into_bytes();
        let head = request(&bytes);
        assert_eq!(head.target(), form, "{target}");
        assert_eq!(head.target_span().of(&bytes), target.as_bytes());
        assert_eq!(head.path(&bytes), path.as_bytes(), "{target}");
        assert_eq!(head.query().map(|query| query.of(&bytes)), query.map(str::as_bytes), "{target}");
        assert_eq!(head.path_and_query(&bytes), both.as_bytes(), "{target}");
        assert_eq!(head.host(&bytes).to_ascii_lowercase(), b"x");
    }
}

#[test]
fn a_target_has_to_fit_its_method() {
    let form = RequestError::TargetForm { at: 4 };
    let authority = |at| RequestError::AuthorityInvalid { at };
    refuse_requests(&[
        (b"GET * HTTP/1.1\r\nHost: x\r\n\r\n", form, 400),
        (b"GET x HTTP/1.1\r\nHost: x\r\n\r\n", form, 400),
        (b"GET x:80 HTTP/1.1\r\nHost: x\r\n\r\n", form, 400),
        (b"GET http:/x HTTP/1.1\r\nHost: x\r\n\r\n", form, 400),
        (b"GET ?a HTTP/1.1\r\nHost: x\r\n\r\n", form, 400),
        (b"GET \\a HTTP/1.1\r\nHost: x\r\n\r\n", form, 400),
        (b"OPTIONS ** HTTP/1.1\r\nHost: x\r\n\r\n", RequestError::TargetForm { at: 8 }, 400),
        (b"GET ftp://x/ HTTP/1.1\r\nHost: x\r\n\r\n", RequestError::SchemeUnknown { at: 4 }, 400),
        (b"GET ws://x/ HTTP/1.1\r\nHost: x\r\n\r\n", RequestError::SchemeUnknown { at: 4 }, 400),
        (b"GET httpx://x/ HTTP/1.1\r\nHost: x\r\n\r\n", RequestError::SchemeUnknown { at: 4 }, 400),
        (b"GET http:// HTTP/1.1\r\nHost: x\r\n\r\n", authority(11), 400),
        (b"GET http:///a HTTP/1.1\r\nHost: x\r\n\r\n", authority(11), 400),
        (b"GET http://:80/ HTTP/1.1\r\nHost: x\r\n\r\n", authority(11), 400),
        (b"GET http://user@x/ HTTP/1.1\r\nHost: x\r\n\r\n", authority(11), 400),
        (b"GET http://user:pass@x/ HTTP/1.1\r\nHost: x\r\n\r\n", authority(11), 400),
        (b"GET http://x:80a/ HTTP/1.1\r\nHost: x\r\n\r\n", authority(11), 400),
        (b"GET http://x:65536/ HTTP/1.1\r\nHost: x\r\n\r\n", authority(11), 400),
        (b"GET http://[::1/ HTTP/1.1\r\nHost: x\r\n\r\n", authority(11), 400),
        (b"GET http://x\\y/ HTTP/1.1\r\nHost: x\r\n\r\n", authority(11), 400),
        (b"CONNECT /x HTTP/1.1\r\nHost: x\r\n\r\n", RequestError::TargetForm { at: 8 }, 400),
        (b"CONNECT x HTTP/1.1\r\nHost: x\r\n\r\n", authority(8), 400),
        (b"CONNECT x: HTTP/1.1\r\nHost: x\r\n\r\n", authority(8), 400),
        (b"CONNECT http://x:1/ HTTP/1.1\r\nHost: x\r\n\r\n", authority(8), 400),
        (b"CONNECT u@x:1 HTTP/1.1\r\nHost: x\r\n\r\n", authority(8), 400),
    ]);
}

#[test]
fn one_host_in_1_1_and_at_most_one_in_1_0() {
    let repeated = |at| RequestError::HostRepeated { at };
    let invalid = |at| RequestError::HostInvalid { at };
    refuse_requests(&[
        (b"GET / HTTP/1.1\r\n\r\n", RequestError::HostMissing, 400),
        (b"GET / HTTP/1.1\r\nX-Host: x\r\n\r\n", RequestError::HostMissing, 400),
        (b"GET http://x/ HTTP/1.1\r\n\r\n", RequestError::HostMissing, 400),
        (b"GET / HTTP/1.1\r\nHost: x\r\nHost: x\r\n\r\n", repeated(25), 400),
        (b"GET / HTTP/1.1\r\nHost: x\r\nA: b\r\nhOST: y\r\n\r\n", repeated(31), 400),
        (b"GET / HTTP/1.0\r\nHost: x\r\nHost: y\r\n\r\n", repeated(25), 400),
        (b"GET / HTTP/1.1\r\nHost:\r\nHost: y\r\n\r\n", repeated(23), 400),
        (b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n", invalid(22), 400),
        (b"GET / HTTP/1.1\r\nHost: a, b\r\n\r\n", invalid(22), 400),
        (b"GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", invalid(22), 400),
        (b"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", invalid(22), 400),
        (b"GET / HTTP/1.1\r\nHost: http://a\r\n\r\n", invalid(22), 400),
        (b"GET / HTTP/1.1\r\nHost: a:b\r\n\r\n", invalid(22), 400),
        (b"GET / HTTP/1.1\r\nHost: a:99999\r\n\r\n", invalid(22), 400),
        (b"GET / HTTP/1.1\r\nHost: :80\r\n\r\n", invalid(22), 400),
        (b"GET / HTTP/1.1\r\nHost: [::1\r\n\r\n", invalid(22), 400),
        (b"GET / HTTP/1.1\r\nHost: a\tb\r\n\r\n", invalid(22), 400),
        (b"GET / HTTP/1.1\r\nHost: \xc3\xa4\r\n\r\n", invalid(22), 400),
        (b"GET / HTTP/1.1\r\nHost: a%0\r\n\r\n", invalid(22), 400),
        (b"GET / HTTP/1.1\r\nHost: a\\b\r\n\r\n", invalid(22), 400),
        (b"GET / HTTP/1.1\r\nHost: a?b\r\n\r\n", invalid(22), 400),
        (b"GET / HTTP/1.1\r\nHost: a#b\r\n\r\n", invalid(22), 400),
        (b"GET / HTTP/1.0\r\nHost: a b\r\n\r\n", invalid(22), 400),
    ]);
    assert_eq!(request(b"GET / HTTP/1.0\r\n\r\n").authority(), None);
}

#[test]
fn the_effective_authority_is_the_targets_before_hosts() {
    let rows: &[(&str, &str, &str, Option<u16>)] = &[
        ("GET / HTTP/1.1\r\nHost: a.example\r\n\r\n", "a.example", "a.example", None),
        ("GET / HTTP/1.1\r\nHost: \t a.example:8080 \r\n\r\n", "a.example:8080", "a.example", Some(8080)),
        ("GET / HTTP/1.1\r\nHost: [2001:db8::1]:8080\r\n\r\n", "[2001:db8::1]:8080", "[2001:db8::1]", Some(8080)),
        ("GET / HTTP/1.1\r\nHost:\r\n\r\n", "", "", None),
        ("GET / HTTP/1.1\r\nHost: \r\n\r\n", "", "", None),
        ("GET http://A.example/ HTTP/1.1\r\nHost: a.EXAMPLE\r\n\r\n", "A.example", "A.example", None),
        ("GET http://a:80/ HTTP/1.1\r\nHost: a\r\n\r\n", "a:80", "a", Some(80)),
        ("GET https://a/ HTTP/1.1\r\nHost: a:443\r\n\r\n", "a", "a", None),
        ("GET http://a:8080?q HTTP/1.0\r\n\r\n", "a:8080", "a", Some(8080)),
        ("CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n", "a:443", "a", Some(443)),
    ];
    for &(bytes, authority, host, port) in rows {
        let bytes = bytes.as_bytes();
        let head = request(bytes);
        assert_eq!(head.authority().unwrap().of(bytes), authority.as_bytes(), "{}", bytes.escape_ascii());
        assert_eq!(head.host(bytes), host.as_bytes());
        assert_eq!(head.port(), port);
    }
}

#[test]
fn a_host_that_contradicts_the_target_is_refused() {
    let disagrees = |at| RequestError::HostDisagrees { at };
    refuse_requests(&[
        (b"GET http://a/ HTTP/1.1\r\nHost: b\r\n\r\n", disagrees(30), 400),
        (b"GET http://a/ HTTP/1.1\r\nHost: a:81\r\n\r\n", disagrees(30), 400),
        (b"GET http://a/ HTTP/1.1\r\nHost: a:443\r\n\r\n", disagrees(30), 400),
        (b"GET http://a/ HTTP/1.1\r\nHost:\r\n\r\n", disagrees(29), 400),
        (b"GET http://a/ HTTP/1.0\r\nHost: b\r\n\r\n", disagrees(30), 400),
        (b"CONNECT a:443 HTTP/1.1\r\nHost: b:443\r\n\r\n", disagrees(30), 400),
        (b"GET http://a/ HTTP/1.1\r\nHost: b@a\r\n\r\n", RequestError::HostInvalid { at: 30 }, 400),
    ]);
}
