//! What is asked of servers, and what they are shown, changes while requests are on their way.

use std::fs;

use kit::{Authority, Config, Haproxy, Nginx, Ringway, eventually, standard};

use crate::start;
use crate::upstream_tls::{assert_refused, get, pin, to};

const NAME: &str = "app.internal";

/// An nginx that tells the number of its connection, and whose certificate it was shown there, if any.
fn telling(authority: &Authority) -> Nginx {
    let (shown, ca) = (authority.sign(&[NAME]), authority.path());
    let server = format!(
        "server {{ listen PORT ssl; ssl_certificate {shown}; ssl_certificate_key {shown};
                   ssl_verify_client optional; ssl_client_certificate {ca};
                   location / {{ return 200 \"$connection $ssl_client_s_dn\"; }} }}",
        shown = shown.display(),
        ca = ca.display()
    );
    Nginx::start_with(&server, &[])
}

/// The number of the connection to the server, and whose certificate was shown there.
#[track_caller]
fn told(ringway: &Ringway) -> (String, String) {
    let (status, text) = get(ringway, "/session");
    assert_eq!(status, 200, "{text}");
    let (connection, name) = text.split_once(' ').unwrap();
    (connection.to_owned(), name.to_owned())
}

#[test]
fn another_certificate_is_shown_on_new_connections_alone() {
    let authority = Authority::new();
    let nginx = telling(&authority);
    let (first, second) = (authority.sign(&["first.proxy"]), authority.sign(&["second.proxy"]));
    let showing =
        |certificate: &std::path::Path| to(nginx.address(), &authority, &format!(", certificate = {certificate:?}"));
    let ringway = start(showing(&first));
    let before = told(&ringway);
    assert_eq!((before.1.as_str(), &told(&ringway)), ("CN=first.proxy", &before), "the connection is kept");
    // A reload that changes nothing leaves it, and so does one that changes what is no concern of TLS.
    ringway.reload(showing(&first).timeout("keep_alive", "61s"));
    assert_eq!(told(&ringway), before);
    ringway.reload(showing(&second));
    let after = told(&ringway);
    assert_eq!(after.1, "CN=second.proxy");
    assert_ne!(after.0, before.0);
    assert_eq!(told(&ringway), after, "and kept again");
    // None at all.
    ringway.reload(to(nginx.address(), &authority, ""));
    assert_eq!(told(&ringway).1, "");
}

#[test]
fn a_certificate_that_is_renewed_in_its_file_is_shown_without_a_reload() {
    let authority = Authority::new();
    let nginx = telling(&authority);
    let shown = authority.folder().join("shown.pem");
    fs::copy(authority.sign(&["first.proxy"]), &shown).unwrap();
    let ringway = start(to(nginx.address(), &authority, &format!(", certificate = {shown:?}")));
    assert_eq!(told(&ringway).1, "CN=first.proxy");
    let next = authority.folder().join("next");
    fs::copy(authority.sign(&["second.proxy"]), &next).unwrap();
    fs::rename(next, &shown).unwrap();
    eventually("the next certificate is shown", || told(&ringway).1 == "CN=second.proxy");
}

#[test]
fn other_roots_and_other_pins_are_asked_for_on_new_connections() {
    let (authority, other) = (Authority::new(), Authority::new());
    let certificate = authority.sign(&[NAME]);
    let nginx = Nginx::start_with_tls(&certificate, None);
    let right = to(nginx.address(), &authority, "");
    let ringway = start(right.clone());
    assert_eq!(get(&ringway, "/session").0, 200);
    ringway.reload(to(nginx.address(), &other, ""));
    assert_refused(&ringway, "certificate");
    ringway.reload(right.clone());
    assert_eq!(get(&ringway, "/session").0, 200);
    ringway.reload(to(nginx.address(), &authority, &format!(", pins = [{:?}]", pin(&other.path()))));
    assert_refused(&ringway, "pinned");
    ringway.reload(to(nginx.address(), &authority, &format!(", pins = [{:?}]", pin(&certificate))));
    assert_eq!(get(&ringway, "/session").0, 200);
}

#[test]
fn a_request_on_its_way_is_answered_over_the_connection_that_it_took() {
    let (authority, other) = (Authority::new(), Authority::new());
    let (origin, gate) = standard::held("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    let front = Haproxy::start_with_tls(origin.address(), &format!("crt {}", authority.sign(&[NAME]).display()));
    let ringway = start(to(front.address(), &authority, ""));
    let mut client = ringway.connect();
    client.send(&standard::get("/slow")).unwrap();
    eventually("the request is at the upstream", || !origin.received(0).is_empty());
    // From now on nobody there is believed.
    ringway.reload(to(front.address(), &other, ""));
    assert_refused(&ringway, "certificate");
    gate.open();
    assert_eq!(client.read_response("GET").unwrap().text(), "ok");
    // Its connection is not kept for a request that would have to believe.
    origin.wait_until_closed();
    assert_eq!(client.exchange("GET", &standard::get("/next")).unwrap().status(), 502);
    assert_eq!(origin.accepted(), 1);
}

#[test]
fn tls_is_turned_on_and_off() {
    let authority = Authority::new();
    let origin = standard::start();
    let front = Haproxy::start_with_tls(origin.address(), &format!("crt {}", authority.sign(&[NAME]).display()));
    let ringway = start(Config::to(origin.address()));
    let mut client = ringway.connect();
    for config in
        [to(front.address(), &authority, ""), Config::to(origin.address()), to(front.address(), &authority, "")]
    {
        ringway.reload(config);
        client.send(&standard::get("/length/1000")).unwrap();
        client.read_pattern_response("GET", 1000).unwrap();
    }
    // The same address, which speaks TLS and nothing else.
    ringway.reload(Config::to(front.address()));
    assert_eq!(client.exchange("GET", &standard::get("/length/1000")).unwrap().status(), 502);
}
