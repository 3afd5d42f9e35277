//! The demo upstream, asked over its real socket.

use std::io::{Read, Write};
use std::net::TcpStream;

/// The head and the body of the answer to `request`, on a connection of its own.
fn ask(request: &str) -> (String, Vec<u8>) {
    let mut stream = TcpStream::connect(super::start().unwrap()).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n").expect("a whole head") + 4;
    (String::from_utf8(answer[..end].to_vec()).unwrap(), answer[end..].to_vec())
}

fn get(path: &str, fields: &str) -> (String, String) {
    let (head, body) = ask(&format!("GET {path} HTTP/1.1\r\nhost: demo.example\r\n{fields}connection: close\r\n\r\n"));
    (head, String::from_utf8(body).unwrap())
}

#[test]
fn the_page_tells_what_arrived() {
    let (head, body) = get("/", "x-forwarded-for: 192.0.2.1, 198.51.100.7\r\nvia: 1.1 ringway\r\nx-mine: yes\r\n");
    assert!(head.starts_with("HTTP/1.1 200 ") && head.contains("content-type: text/plain"), "{head}");
    let (sent, added) = body.split_once("Added on the way").unwrap();
    assert!(
        sent.contains("  GET / HTTP/1.1\n") && sent.contains("  x-mine: yes\n") && !sent.contains("via:"),
        "{body}"
    );
    assert!(added.contains("  via: 1.1 ringway\n") && added.contains("You are 198.51.100.7,"), "{body}");
    assert!(body.lines().all(|line| line.chars().count() <= 80), "{body}");
}

#[test]
fn browsers_get_html_in_which_nothing_of_the_request_is_markup() {
    let (head, body) = get("/", "accept: text/html,*/*\r\nx-mine: <script>&\r\n");
    assert!(head.contains("content-type: text/html"), "{head}");
    assert!(body.contains("x-mine: &lt;script&gt;&amp;") && !body.contains("<script>"), "{body}");
}

#[test]
fn bytes_are_counted() {
    for count in [0usize, 1, 16_384, 16_385, 1_000_000] {
        let (head, body) = get(&format!("/bytes/{count}"), "");
        assert!(head.contains(&format!("content-length: {count}\r\n")), "{head}");
        assert_eq!(body.len(), count);
    }
    assert!(get("/bytes/1073741825", "").0.starts_with("HTTP/1.1 400 "));
}

#[test]
fn a_body_is_echoed() {
    let chunked = "POST /echo HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: text/x\r\n\
                   transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
    let (head, body) = ask(chunked);
    assert!(head.contains("content-type: text/x\r\n"), "{head}");
    assert_eq!(body, b"3\r\nabc\r\n0\r\n\r\n");
    let (head, body) = ask("POST /echo HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 2\r\n\r\nhi");
    assert!(head.contains("content-length: 2\r\n"), "{head}");
    assert_eq!(body, b"hi");
}

#[test]
fn statuses_and_unknown_paths() {
    assert!(get("/status/418", "").0.starts_with("HTTP/1.1 418 "));
    let (head, body) = get("/status/204", "");
    assert!(head.starts_with("HTTP/1.1 204 ") && body.is_empty(), "{head}{body}");
    for refused in ["/status/101", "/status/600", "/status/x", "/slow?ms=x", "/bytes/x"] {
        assert!(get(refused, "").0.starts_with("HTTP/1.1 400 "), "{refused}");
    }
    let (head, body) = get("/absent", "");
    assert!(head.starts_with("HTTP/1.1 404 ") && body.starts_with("There is nothing at /absent here."), "{head}{body}");
}

#[test]
fn slow_takes_its_time() {
    let before = std::time::Instant::now();
    let (_, body) = get("/slow?ms=30", "");
    assert!(before.elapsed().as_millis() >= 30 && body == "30 ms later\n", "{body}");
}
