//! Header fields that a route sets, adds and removes.

use kit::{Config, Head, Origin, Port, Ringway, standard};

use crate::{answering, start};

/// One route below `/edited` with these options, and one for the rest without any.
fn edited(origin: &Origin, options: &[(&str, &str)]) -> Config {
    let config = Config::to(origin.address()).route(None, "/edited", "app");
    options.iter().fold(config, |config, (key, value)| config.route_option(key, value))
}

/// The head that the origin receives of a request for `target` with `fields`.
fn received(ringway: &Ringway, origin: &Origin, target: &str, fields: &str) -> Head {
    let before = origin.received_all().len();
    let request = format!("GET {target} HTTP/1.1\r\nHost: test.example\r\n{fields}\r\n");
    assert_eq!(ringway.connect().exchange("GET", request.as_bytes()).unwrap().status(), 200);
    Head::parse(&origin.received_all()[before..])
}

#[test]
fn a_request_field_that_is_set_replaces_every_spelling_of_the_clients() {
    let origin = answering(crate::OK);
    let edits = "{ set = { X-User-Role = \"guest\", Authorization = \"Basic eDp5\", X_Old_Style = \"1\" } }";
    let ringway = start(edited(&origin, &[("request_headers", edits)]));
    let forged = "X-User-Role: admin\r\nx-user-role: admin\r\nX_User_Role: admin\r\nX-USER_ROLE: admin\r\n\
                  Authorization: forged\r\nX-Old-Style: forged\r\nX-Other: kept\r\n";
    let head = received(&ringway, &origin, "/edited", forged);
    assert_eq!(head.values("x-user-role"), ["guest"]);
    assert_eq!(head.values("authorization"), ["Basic eDp5"]);
    assert_eq!(head.values("x_old_style"), ["1"]);
    assert_eq!(head.values("x-other"), ["kept"]);
    let text = format!("{head:?}");
    assert!(!text.contains("admin") && !text.contains("forged"), "{text}");

    let head = received(&ringway, &origin, "/other", forged);
    assert_eq!(head.values("x-user-role"), ["admin", "admin"], "a route without edits changes nothing");
    assert_eq!(head.field("x_user_role"), Some("admin"));
}

#[test]
fn connection_cannot_name_away_what_a_route_sets() {
    // CVE-2025-48865.
    let origin = answering(crate::OK);
    let edits = "{ set = { X-Role = \"guest\" }, add = { X-Tag = \"edge\" } }";
    let ringway = start(edited(&origin, &[("request_headers", edits)]));
    let head = received(&ringway, &origin, "/edited", "Connection: X-Role, X-Tag, X_Role\r\nX-Role: admin\r\n");
    assert_eq!((head.values("x-role"), head.values("x-tag")), (vec!["guest"], vec!["edge"]));
}

#[test]
fn trailers_cannot_bring_back_what_a_route_sets() {
    let origin = standard::start();
    let edits = "{ set = { X-Role = \"guest\" } }";
    let config = Config::to(origin.address()).route_option("request_headers", edits);
    let ringway = start(config);
    for (trailer, passes) in [("X-Role: admin", false), ("x_role: admin", false), ("X-Checksum: 1", true)] {
        let before = origin.received_all().len();
        let head = "POST /length/1 HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n";
        let request = format!("{head}2\r\nok\r\n0\r\n{trailer}\r\n\r\n");
        assert_eq!(ringway.connect().exchange("POST", request.as_bytes()).unwrap().status(), 200);
        let received = String::from_utf8(origin.received_all().split_off(before)).unwrap();
        assert_eq!(received.contains(trailer), passes, "{received}");
        assert!(received.contains("X-Role: guest\r\n") && received.ends_with("\r\n\r\n"), "{received}");
    }
}

#[test]
fn request_fields_are_added_after_the_clients_and_removed() {
    let origin = answering(crate::OK);
    let edits = "{ add = { X-Tag = [\"b\", \"c\"], Accept-Language = \"en\" }, remove = [\"Cookie\", \"X-Debug\"] }";
    let ringway = start(edited(&origin, &[("request_headers", edits)]));
    let fields = "X-Tag: a\r\nCookie: a=b\r\ncookie: c=d\r\nX-Debug: 1\r\nX_Debug: 2\r\nX-Debugger: 3\r\n";
    let head = received(&ringway, &origin, "/edited", fields);
    assert_eq!(head.values("x-tag"), ["a", "b", "c"]);
    assert_eq!(head.values("accept-language"), ["en"]);
    for name in ["cookie", "x-debug", "x_debug"] {
        assert_eq!(head.field(name), None, "{head:?}");
    }
    assert_eq!(head.field("x-debugger"), Some("3"));
    assert_eq!(head.values("x-forwarded-for"), ["127.0.0.1"], "what Ringway says itself stays");
}

#[test]
fn the_edits_of_one_request_are_not_those_of_the_next() {
    let origin = answering(crate::OK);
    let ringway = start(edited(
        &origin,
        &[
            ("request_headers", "{ set = { X-A = \"1\" }, remove = [\"X-B\"] }"),
            ("response_headers", "{ set = { X-C = \"1\" } }"),
        ],
    ));
    let mut client = ringway.connect();
    for (index, (target, is_edited)) in [("/edited", true), ("/", false), ("/edited", true)].into_iter().enumerate() {
        let request = format!("GET {target} HTTP/1.1\r\nHost: test\r\nX-B: 2\r\n\r\n");
        let response = client.exchange("GET", request.as_bytes()).unwrap();
        assert_eq!(response.head.values("x-c").len(), usize::from(is_edited), "{target}");
        let received = origin.received_all();
        let heads: Vec<_> = received.split(|byte| *byte == b'G').filter(|head| head.starts_with(b"ET ")).collect();
        let head = Head::parse(heads[index]);
        assert_eq!((head.field("x-a").is_some(), head.field("x-b").is_none()), (is_edited, is_edited), "{head:?}");
    }
}

const RESPONSE_EDITS: &str = "{ set = { Cache-Control = \"no-store\", X-Frame-Options = \"DENY\" }, \
                              add = { Set-Cookie = [\"b=2\", \"c=3\"] }, remove = [\"Server\", \"X-Powered-By\"] }";

#[test]
fn response_fields_are_set_added_and_removed() {
    let origin = answering(
        "HTTP/1.1 200 OK\r\nServer: old\r\nX-Powered-By: y\r\nX_Frame_Options: kept\r\nX-Frame-Options: ALLOW\r\n\
         Set-Cookie: a=1\r\nCache-Control: public\r\nContent-Length: 2\r\n\r\nok",
    );
    let ringway = start(edited(&origin, &[("response_headers", RESPONSE_EDITS)]));
    let response = ringway.connect().exchange("GET", &standard::get("/edited")).unwrap();
    let head = &response.head;
    assert_eq!(response.text(), "ok");
    assert_eq!(head.values("cache-control"), ["no-store"]);
    assert_eq!(head.values("x-frame-options"), ["DENY"]);
    assert_eq!(head.values("set-cookie"), ["a=1", "b=2", "c=3"]);
    assert_eq!((head.field("server"), head.field("x-powered-by")), (None, None));
    assert_eq!(head.values("x_frame_options"), ["kept"], "only servers take one name for the other");
    assert_eq!(head.values("via"), ["1.1 ringway"]);
    let plain = ringway.connect().exchange("GET", &standard::get("/other")).unwrap().head;
    assert_eq!((plain.field("server"), plain.values("set-cookie")), (Some("old"), vec!["a=1"]));
}

#[test]
fn the_answer_to_head_has_the_fields_of_the_answer_to_get() {
    let origin = Origin::start(|peer, _| {
        while let Some(request) = peer.read_request()? {
            let body = if request.head.method() == "HEAD" { "" } else { "ok" };
            peer.send(format!("HTTP/1.1 200 OK\r\nServer: old\r\nContent-Length: 2\r\n\r\n{body}").as_bytes())?;
        }
        Ok(())
    });
    let ringway = start(edited(&origin, &[("response_headers", RESPONSE_EDITS)]));
    let mut client = ringway.connect();
    let get = client.exchange("GET", b"GET /edited HTTP/1.1\r\nHost: test\r\n\r\n").unwrap();
    let head = client.exchange("HEAD", b"HEAD /edited HTTP/1.1\r\nHost: test\r\n\r\n").unwrap();
    assert_eq!(get.head.fields, head.head.fields);
    assert_eq!(head.head.field("content-length"), Some("2"));
    assert!(client.is_idle());
}

#[test]
fn informational_answers_pass_as_they_are_and_the_switch_is_a_final_answer() {
    let origin = Origin::start(|peer, _| {
        while let Some(request) = peer.read_request()? {
            if request.head.field("upgrade").is_some() {
                peer.send(
                    b"HTTP/1.1 101 Switching\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nServer: old\r\n\r\n",
                )?;
                return Ok(());
            }
            peer.send(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\nServer: old\r\n\r\n")?;
            peer.send(b"HTTP/1.1 200 OK\r\nServer: old\r\nContent-Length: 0\r\n\r\n")?;
        }
        Ok(())
    });
    let ringway = start(edited(&origin, &[("response_headers", RESPONSE_EDITS)]));
    let mut client = ringway.connect();
    client.send(b"GET /edited HTTP/1.1\r\nHost: test\r\n\r\n").unwrap();
    let (head, informational) = client.read_final_head().unwrap();
    assert_eq!(informational.len(), 1);
    assert_eq!((informational[0].field("server"), informational[0].field("set-cookie")), (Some("old"), None));
    assert_eq!((head.field("server"), head.values("set-cookie")), (None, vec!["b=2", "c=3"]));

    let mut client = ringway.connect();
    let upgrade = b"GET /edited HTTP/1.1\r\nHost: test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
    client.send(upgrade).unwrap();
    let head = client.read_head().unwrap().unwrap();
    assert_eq!((head.status(), head.field("server"), head.field("x-frame-options")), (101, None, Some("DENY")));
    assert!(head.lists("connection", "upgrade") && head.lists("upgrade", "websocket"), "{head:?}");
}

#[test]
fn an_answer_of_ringways_own_has_the_routes_fields_except_those_about_content() {
    let port = Port::take();
    let config = Config::new().upstream("app", &[&port.address()]).limit("body_bytes", "\"10B\"");
    let edits = "{ set = { Strict-Transport-Security = \"max-age=60\", Cache-Control = \"max-age=60\", \
                 Content-Type = \"text/html\" }, add = { X-Tag = \"a\" } }";
    let config = config.route(None, "/edited", "app").route_option("response_headers", edits);
    let ringway = start(config);
    for (request, status) in [
        ("GET /edited HTTP/1.1\r\nHost: test\r\n\r\n", 502),
        ("POST /edited HTTP/1.1\r\nHost: test\r\nContent-Length: 11\r\n\r\nhello world", 413),
    ] {
        let response = ringway.connect().exchange("GET", request.as_bytes()).unwrap();
        let head = &response.head;
        assert_eq!(response.status(), status);
        assert_eq!(head.values("strict-transport-security"), ["max-age=60"], "{head:?}");
        assert_eq!(head.values("x-tag"), ["a"]);
        assert_eq!(head.values("content-type"), ["text/plain; charset=utf-8"]);
        assert_eq!(head.field("cache-control"), None, "an error is not for caches to keep");
    }
    let elsewhere = ringway.connect().exchange("GET", &standard::get("/other")).unwrap();
    assert_eq!((elsewhere.status(), elsewhere.head.field("x-tag")), (404, None), "no route, no edits");
}
