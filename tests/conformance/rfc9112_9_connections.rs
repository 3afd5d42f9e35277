//! RFC 9112 §9: how long a connection lives.

use crate::judge::{ANSWER, Judge};

fn get(version: &str, fields: &str) -> Vec<u8> {
    format!("GET /judged HTTP/{version}\r\nHost: test\r\n{fields}\r\n").into_bytes()
}

#[test]
fn a_connection_of_http_1_1_persists_until_someone_says_close() {
    // RFC 9112 §9.3.
    let judge = Judge::start();
    let mut client = judge.connect();
    for _ in 0..3 {
        let response = client.exchange("GET", &get("1.1", "")).unwrap();
        assert!(response.text() == ANSWER && !response.head.lists("connection", "close"));
    }
    for fields in [
        "Connection: close\r\n",
        "Connection: CLOSE\r\n",
        "Connection: x, close\r\n",
        "Connection: x\r\nConnection: close\r\n",
    ] {
        let mut client = judge.connect();
        let response = client.exchange("GET", &get("1.1", fields)).unwrap();
        assert!(response.head.lists("connection", "close"), "{fields}: {:?}", response.head);
        client.assert_ends();
    }
}

#[test]
fn a_connection_of_http_1_0_persists_only_when_asked_for() {
    let judge = Judge::start();
    let mut client = judge.connect();
    assert_eq!(client.exchange("GET", &get("1.0", "")).unwrap().text(), ANSWER);
    client.assert_ends();
    let mut client = judge.connect();
    let response = client.exchange("GET", &get("1.0", "Connection: keep-alive\r\n")).unwrap();
    assert_eq!(response.text(), ANSWER);
    if response.head.lists("connection", "keep-alive") {
        assert_eq!(client.exchange("GET", &get("1.0", "")).unwrap().text(), ANSWER);
    }
    client.assert_ends();
}

#[test]
fn close_outweighs_keep_alive() {
    let judge = Judge::start();
    let mut client = judge.connect();
    let response = client.exchange("GET", &get("1.1", "Connection: keep-alive, close\r\n")).unwrap();
    assert!(response.head.lists("connection", "close"), "{:?}", response.head);
    client.assert_ends();
}

#[test]
fn what_was_answered_before_a_malformed_request_stays_answered() {
    let judge = Judge::start();
    let mut client = judge.connect();
    client
        .send(&[get("1.1", ""), get("1.1", ""), b"GET / HTTP/1.1\r\nBad : x\r\n\r\n".to_vec(), get("1.1", "")].concat())
        .unwrap();
    for _ in 0..2 {
        assert_eq!(client.read_response("GET").unwrap().text(), ANSWER);
    }
    assert_eq!(client.read_response("GET").unwrap().status(), 400);
    client.assert_ends();
    assert_eq!(judge.count(), 2, "nothing after the malformed request is processed");
}

#[test]
fn the_clients_wish_to_close_is_not_the_upstreams() {
    // RFC 9110 §7.6.1: Connection is of one connection.
    let judge = Judge::start();
    let before = judge.received().len();
    for _ in 0..3 {
        let mut client = judge.connect();
        assert_eq!(client.exchange("GET", &get("1.1", "Connection: close\r\n")).unwrap().text(), ANSWER);
    }
    let received = String::from_utf8(judge.received().split_off(before)).unwrap().to_ascii_lowercase();
    assert!(!received.contains("connection: close"), "{received}");
}

#[test]
fn a_refusal_is_read_even_by_a_client_that_is_still_sending() {
    // RFC 9112 §9.6: closing at once would reset the connection and destroy the answer on its way.
    let judge = Judge::start();
    for _ in 0..20 {
        let mut client = judge.connect();
        client.send(b"GET / HTTP/1.1\r\nBad : x\r\n\r\n").unwrap();
        for _ in 0..20 {
            let _ = client.send(&[b'x'; 10_000]);
        }
        assert_eq!(client.read_response("GET").unwrap().status(), 400);
    }
}
