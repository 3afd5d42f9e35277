//! Origins that we did not write.

use std::hash::{DefaultHasher, Hash, Hasher};

use kit::{Address, Config, Head, Nginx, Peer, PythonServer, pattern, standard};

use crate::start;

/// What a client can tell apart: status, end-to-end fields with the length last (a proxy may write it where it likes), and the
/// body, which is too long to be shown.
#[derive(Debug, PartialEq)]
struct Seen {
    status: u16,
    fields: Vec<(String, String)>,
    body: Digest,
}

/// A body's length and hash.
#[derive(Debug, PartialEq)]
struct Digest(usize, u64);

impl Digest {
    fn of(body: &[u8]) -> Digest {
        let mut hasher = DefaultHasher::new();
        body.hash(&mut hasher);
        Digest(body.len(), hasher.finish())
    }
}

fn ask(address: &Address, method: &str, target: &str, fields: &str) -> Seen {
    let request = format!("{method} {target} HTTP/1.1\r\nHost: test\r\n{fields}\r\n");
    let response = Peer::connect(address).exchange(method, request.as_bytes()).unwrap();
    // Each fetch has its own date, and Via says that a proxy was passed.
    let mut fields = response.head.end_to_end(&["date", "via"]);
    fields.sort_by_key(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    Seen { status: response.status(), fields, body: Digest::of(&response.body) }
}

#[test]
fn files_of_nginx_arrive_as_over_a_direct_connection() {
    let nginx = Nginx::start(None);
    let ringway = start(Config::to(nginx.address()));
    for size in [0, 1, 4_096, 65_537, 5_000_000] {
        nginx.put("file", &pattern::bytes(size));
        for method in ["GET", "HEAD"] {
            let direct = ask(nginx.address(), method, "/file", "");
            assert_eq!(direct.status, 200);
            assert_eq!(ask(ringway.address(), method, "/file", ""), direct, "{method} of {size} bytes");
        }
    }
}

#[test]
fn ranges_conditions_and_errors_of_nginx_arrive_as_over_a_direct_connection() {
    let nginx = Nginx::start(None);
    nginx.put("file", &pattern::bytes(100_000));
    let ringway = start(Config::to(nginx.address()));
    for (target, fields, status) in [
        ("/file", "Range: bytes=1000-1999\r\n", 206),
        ("/file", "Range: bytes=1-2,50-60\r\n", 206),
        ("/file", "Range: bytes=900000-\r\n", 416),
        ("/file", "If-None-Match: *\r\n", 304),
        ("/file", "If-Match: \"never\"\r\n", 412),
        ("/absent", "", 404),
    ] {
        let direct = ask(nginx.address(), "GET", target, fields);
        let proxied = ask(ringway.address(), "GET", target, fields);
        assert_eq!(direct.status, status, "{target} {fields}");
        if direct.fields.iter().any(|(_, value)| value.starts_with("multipart/")) {
            // The boundary between the parts is different each time, and in the body too.
            assert_eq!(proxied.body.0, direct.body.0);
            assert!(proxied.fields.iter().any(|(_, value)| value.starts_with("multipart/")));
            assert_eq!(proxied.status, direct.status);
            continue;
        }
        assert_eq!(proxied, direct, "{target} {fields}");
    }
}

#[test]
fn nginx_stores_what_is_put_through_the_proxy() {
    let nginx = Nginx::start(None);
    let ringway = start(Config::to(nginx.address()));
    let body = pattern::bytes(2_000_000);
    let mut client = ringway.connect();
    client.send(b"PUT /length HTTP/1.1\r\nHost: test\r\nContent-Length: 2000000\r\n\r\n").unwrap();
    client.send(&body).unwrap();
    assert_eq!(client.read_response("PUT").unwrap().status(), 201);
    client.send(b"PUT /chunked HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n").unwrap();
    client.send_pattern_chunked(2_000_000, 7_777).unwrap();
    assert_eq!(client.read_response("PUT").unwrap().status(), 201);
    assert!(nginx.file("length").unwrap() == body, "the upload with a length differs");
    assert!(nginx.file("chunked").unwrap() == body, "the chunked upload differs");
}

#[test]
fn nginx_is_reached_over_a_unix_socket() {
    let folder = tempfile::tempdir().unwrap();
    let nginx = Nginx::start(Some(&folder.path().join("nginx.sock")));
    nginx.put("file", &pattern::bytes(300_000));
    let ringway = start(Config::to(nginx.address()));
    for _ in 0..3 {
        let seen = ask(ringway.address(), "GET", "/file", "");
        assert_eq!((seen.status, seen.body), (200, Digest::of(&pattern::bytes(300_000))));
    }
}

#[test]
fn files_of_pythons_server_arrive_in_both_versions() {
    for protocol in ["HTTP/1.0", "HTTP/1.1"] {
        let python = PythonServer::start(protocol);
        python.put("file", &pattern::bytes(200_000));
        let ringway = start(Config::to(python.address()));
        for (method, target, status) in
            [("GET", "/file", 200), ("HEAD", "/file", 200), ("GET", "/", 200), ("GET", "/x", 404)]
        {
            let direct = ask(python.address(), method, target, "");
            assert_eq!(direct.status, status);
            assert_eq!(ask(ringway.address(), method, target, ""), direct, "{method} {target} from {protocol}");
        }
    }
}

#[test]
fn a_client_keeps_its_connection_though_the_origin_closes_each() {
    let python = PythonServer::start("HTTP/1.0");
    python.put("file", b"content");
    let ringway = start(Config::to(python.address()));
    let mut client = ringway.connect();
    for _ in 0..5 {
        let response = client.exchange("GET", &standard::get("/file")).unwrap();
        assert_eq!((response.status(), response.text()), (200, "content".to_owned()));
        assert!(!closes(&response.head), "{:?}", response.head);
    }
}

fn closes(head: &Head) -> bool {
    head.lists("connection", "close")
}
