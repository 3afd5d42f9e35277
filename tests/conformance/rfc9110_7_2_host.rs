//! RFC 9110 §7.2 and RFC 9112 §3.2: the `Host` field.

use crate::judge::Judge;

#[test]
fn a_request_of_http_1_1_names_its_host_once() {
    Judge::start().refuses(&[
        ("no Host", b"GET / HTTP/1.1\r\nX: y\r\n\r\n"),
        ("no field at all", b"GET / HTTP/1.1\r\n\r\n"),
        ("two Hosts", b"GET / HTTP/1.1\r\nHost: one\r\nHost: two\r\n\r\n"),
        ("the same Host twice", b"GET / HTTP/1.1\r\nHost: test\r\nHost: test\r\n\r\n"),
        ("two Hosts in two cases", b"GET / HTTP/1.1\r\nHost: test\r\nhOST: test\r\n\r\n"),
        ("two Hosts beside an absolute target", b"GET http://test/ HTTP/1.1\r\nHost: one\r\nHost: two\r\n\r\n"),
        ("two Hosts in HTTP/1.0", b"GET / HTTP/1.0\r\nHost: one\r\nHost: two\r\n\r\n"),
        ("no Host beside an absolute target", b"GET http://test/ HTTP/1.1\r\nX: y\r\n\r\n"),
    ]);
}

#[test]
fn a_host_is_a_name_or_an_address_with_an_optional_port() {
    let judge = Judge::start();
    for host in [
        "a b", "a/b", "a?b", "a#b", "user@a", "a, b", "a:port", "a:1:2", "[::1", "::1", "[::1]x", "a\\b", "http://a",
        "a:65536", "a:-1", "a<b", "a\"b", "a|b", "a^b", "[a]",
    ] {
        let request = format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n");
        judge.refuses_with(host, request.as_bytes(), &[400]);
    }
    for host in [
        "a",
        "a.example",
        "A.Example:80",
        "192.0.2.1",
        "192.0.2.1:8080",
        "[2001:db8::1]",
        "[::1]:8080",
        "xn--bcher-kva.example",
        "a_b",
    ] {
        let received = judge.forwards(host, format!("GET /judged HTTP/1.1\r\nHost: {host}\r\n\r\n").as_bytes());
        assert_eq!(received.head.values("host"), [host]);
    }
}

#[test]
fn an_empty_host_and_none_in_http_1_0_are_no_crash() {
    // CVE-2026-47220. RFC 9112 §3.2 allows an empty value where the target has no authority.
    let judge = Judge::start();
    for request in
        [b"GET / HTTP/1.1\r\nHost:\r\n\r\n".as_slice(), b"GET / HTTP/1.0\r\n\r\n", b"GET / HTTP/1.0\r\nHost: \r\n\r\n"]
    {
        let mut client = judge.connect();
        let status = client.exchange("GET", request).unwrap().status();
        assert!([200, 400].contains(&status), "{status}");
    }
}
