//! One canonical path: what is matched is what is forwarded (CVE-2026-40912, CVE-2025-66490).

use kit::{Config, Head, standard};

use crate::{before, start};

#[test]
fn a_path_is_forwarded_in_its_canonical_form() {
    let origin = standard::start();
    let ringway = before(&origin);
    for (sent, forwarded) in [
        ("/length/1/%7Euser/%61", "/length/1/~user/a"),
        ("/length/1/%c3%a9%2f", "/length/1/%C3%A9%2F"),
        ("//length///1", "/length/1"),
        ("/x/../length/./1/y/..", "/length/1/"),
        ("/x/%2e%2E/length/1", "/length/1"),
        ("/length/1/{a}|\"", "/length/1/%7Ba%7D%7C%22"),
        ("/length/1/%252e%252e/", "/length/1/%252e%252e/"),
        ("/length/1?a=/../%41//%00\\", "/length/1?a=/../%41//%00\\"),
        ("http://test//length/%31?b", "/length/1?b"),
        ("http://test?b", "/?b"),
    ] {
        let before = origin.received_all().len();
        let request = format!("GET {sent} HTTP/1.1\r\nHost: test\r\n\r\n");
        assert_eq!(ringway.connect().exchange("GET", request.as_bytes()).unwrap().status(), 200, "{sent}");
        assert_eq!(Head::parse(&origin.received_all()[before..]).target(), forwarded, "{sent}");
    }
}

#[test]
fn a_path_with_two_readings_is_refused() {
    let origin = standard::start();
    let ringway = before(&origin);
    for path in [
        "/..",
        "/a/../../b",
        "/%2e%2e/a",
        "/a%00",
        "/a%0d%0ab",
        "/a%7f",
        "/a\\b",
        "/a%5Cb",
        "/a%5cb",
        "/%",
        "/%2",
        "/%zz",
        "/a/..%2fb",
        "/a/%2e%2e%2fb",
        "/a%2f..",
        "/a/..;/b",
        "/a/..%3b/b",
    ] {
        let mut client = ringway.connect();
        let request = format!("GET {path} HTTP/1.1\r\nHost: test\r\n\r\n");
        assert_eq!(client.exchange("GET", request.as_bytes()).unwrap().status(), 400, "{path}");
        client.assert_ends();
    }
    assert_eq!(origin.accepted(), 0, "none of them was passed on");
}

#[test]
fn no_spelling_of_a_path_gets_around_its_route() {
    let (public, admin) = (standard::start(), standard::start());
    let config = Config::to(public.address()).upstream("admin", &[admin.address()]);
    let ringway = start(config.route(None, "/admin", "admin"));
    let spellings = [
        "/admin",
        "/admin/x",
        "//admin",
        "/./admin",
        "/x/../admin/",
        "/%61dmin",
        "/%61%64%6D%69%6e/x",
        "/x//../admin",
        "/public/%2e%2e/admin",
        "/admin?x=/public",
        "http://test/x/../admin",
        "/admin/../admin",
    ];
    for path in spellings {
        let request = format!("GET {path} HTTP/1.1\r\nHost: test\r\n\r\n");
        assert_eq!(ringway.connect().exchange("GET", request.as_bytes()).unwrap().status(), 200, "{path}");
    }
    assert!(public.received_all().is_empty(), "{}", public.received_all().escape_ascii());
    // An encoded slash is a character of a name, here and behind us.
    let response = ringway.connect().exchange("GET", &standard::get("/admin%2Fx")).unwrap();
    assert_eq!((response.status(), public.accepted()), (200, 1));
}

#[test]
fn the_record_tells_the_path_that_was_matched() {
    let origin = standard::start();
    let ringway = before(&origin);
    assert_eq!(ringway.connect().exchange("GET", &standard::get("/x/../y%2f?q=%41")).unwrap().status(), 200);
    assert_eq!(ringway.record_of("/y%2F?q=%41")["status"], 200);
}
