//! RFC 9112 §3: the request line and the four forms of its target.

use crate::judge::Judge;

fn line(line: &str) -> Vec<u8> {
    format!("{line}\r\nHost: test\r\n\r\n").into_bytes()
}

#[test]
fn a_request_line_is_three_words_with_one_space_between() {
    let judge = Judge::start();
    for request in [
        "GET  / HTTP/1.1",
        "GET /  HTTP/1.1",
        "GET\t/ HTTP/1.1",
        "GET /\tHTTP/1.1",
        " GET / HTTP/1.1",
        "GET / HTTP/1.1 ",
        "GET / HTTP/1.1 extra",
        "GET /a b HTTP/1.1",
        "GET",
        "GET ",
        "/ HTTP/1.1",
        " / HTTP/1.1",
        "GET  HTTP/1.1",
        "GET HTTP/1.1",
    ] {
        judge.refuses_with(request, &line(request), &[400, 505]);
    }
}

#[test]
fn a_method_is_a_token() {
    // RFC 9110 §9.1.
    let judge = Judge::start();
    for method in ["G(T", "G@T", "G\u{e9}T", "\"GET\"", "GET:", "G[T]", "GET,POST", "{GET}", "G/T", "G\\T"] {
        judge.refuses_with(method, &line(&format!("{method} / HTTP/1.1")), &[400, 501]);
    }
    for method in ["GET", "get", "X-OWN", "M-SEARCH", "A!#$%&'*+-.^_`|~1"] {
        let received = judge.forwards(method, &line(&format!("{method} /judged HTTP/1.1")));
        assert_eq!(received.head.method(), method, "a method is forwarded in its own case");
    }
}

#[test]
fn a_target_is_one_of_four_forms() {
    let judge = Judge::start();
    for request in [
        "GET judged HTTP/1.1",
        "GET test:80 HTTP/1.1",
        "GET * HTTP/1.1",
        "POST * HTTP/1.1",
        "GET ?query HTTP/1.1",
        "GET #fragment HTTP/1.1",
        "GET /judged#fragment HTTP/1.1",
        "GET http:// HTTP/1.1",
        "GET http:///judged HTTP/1.1",
        "GET http:/judged HTTP/1.1",
        "GET http://user@test/ HTTP/1.1",
        "GET http://user:word@test/ HTTP/1.1",
        "GET http://te st/ HTTP/1.1",
        "GET http://test:port/ HTTP/1.1",
        "GET http://[::1/ HTTP/1.1",
        "GET ftp://test/ HTTP/1.1",
        "GET gopher://test/ HTTP/1.1",
        "GET ://test/ HTTP/1.1",
    ] {
        judge.refuses_with(request, &line(request), &[400]);
    }
}

#[test]
fn a_target_has_no_controls_and_no_bytes_outside_ascii() {
    let judge = Judge::start();
    for byte in [0x01_u8, 0x09, 0x0b, 0x0c, 0x1f, 0x7f, 0x80, 0xc3, 0xff] {
        let request = [b"GET /judged".as_slice(), &[byte], b" HTTP/1.1\r\nHost: test\r\n\r\n"].concat();
        judge.refuses_with(&format!("byte {byte:#04x}"), &request, &[400]);
    }
}

#[test]
fn connect_is_not_for_a_reverse_proxy() {
    // RFC 9110 §9.3.6: a tunnel would lead anywhere.
    let judge = Judge::start();
    let statuses = [400, 405, 501];
    judge.refuses_with("CONNECT", b"CONNECT test:443 HTTP/1.1\r\nHost: test:443\r\n\r\n", &statuses);
    judge.refuses_with("CONNECT of a path", b"CONNECT / HTTP/1.1\r\nHost: test\r\n\r\n", &statuses);
}

#[test]
fn an_absolute_target_is_forwarded_in_origin_form() {
    // RFC 9112 §3.2.1 and §3.2.2.
    let judge = Judge::start();
    for (target, forwarded, host) in [
        ("http://Example.Test/judged?x=y", "/judged?x=y", "example.test"),
        ("http://example.test:8080/judged", "/judged", "example.test:8080"),
        ("http://example.test", "/", "example.test"),
        ("http://example.test?x=y", "/?x=y", "example.test"),
        ("HTTP://example.test/judged", "/judged", "example.test"),
    ] {
        let received = judge.forwards(target, format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n").as_bytes());
        assert_eq!(received.head.target(), forwarded, "{target}");
        let hosts = received.head.values("host");
        assert!(hosts.len() == 1 && hosts[0].eq_ignore_ascii_case(host), "{target}: {hosts:?}");
    }
}

#[test]
fn a_host_that_disagrees_with_an_absolute_target_decides_nothing() {
    // RFC 9112 §3.2.2 has the field ignored; refusing the request is stricter, and as safe. Believing the field is neither.
    let judge = Judge::start();
    let request = b"GET http://example.test/judged HTTP/1.1\r\nHost: other.test\r\n\r\n";
    let status = judge.connect().exchange("GET", request).unwrap().status();
    assert!([200, 400].contains(&status), "{status}");
    let received = String::from_utf8(judge.received()).unwrap();
    assert!(!received.contains("other.test"), "{received}");
    assert_eq!(received.contains("example.test"), status == 200, "{received}");
}

#[test]
fn options_of_the_server_goes_through_in_asterisk_form() {
    // RFC 9112 §3.2.4.
    let judge = Judge::start();
    let received = judge.forwards("OPTIONS *", b"OPTIONS * HTTP/1.1\r\nHost: test\r\n\r\n");
    assert_eq!(received.head.target(), "*");
}
