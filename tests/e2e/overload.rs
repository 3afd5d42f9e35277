//! More to do than can be done.

use kit::{Config, Origin, Peer, Ringway, eventually, standard};

use crate::start;

/// A flood that nobody but the shard can hold up: pipelined requests that need no upstream, and whose answers fit the
/// kernel's buffers, so that no client has to read while they are written.
fn flood(ringway: &Ringway) -> Vec<Peer> {
    const CLIENTS: usize = 32;
    const REQUESTS: usize = 2_000;
    let mut requests = standard::get("/").repeat(REQUESTS);
    requests.extend_from_slice(b"GET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n");
    let flood_by = |_| {
        let mut client = ringway.connect();
        client.send(&requests).unwrap();
        client
    };
    (0..CLIENTS).map(flood_by).collect()
}

/// Requests for this host alone have a route.
const HOST: &str = "served.example";

fn with_queue_time(origin: &Origin, queue_time: &str) -> Ringway {
    let config = Config::new().upstream("app", &[origin.address()]).route(Some(HOST), "/", "app");
    let config = config.set("overload", "queue_time", format!("{queue_time:?}"));
    start(config.set("overload", "interval", "\"10ms\"").set("log", "access", "\"off\""))
}

#[test]
fn a_shard_with_too_long_a_queue_refuses_new_requests_until_it_is_shorter() {
    let origin = standard::start();
    let ringway = with_queue_time(&origin, "2ms");
    let mut upload = ringway.connect();
    upload.send(format!("POST /length/1 HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 10\r\n\r\n").as_bytes()).unwrap();
    upload.send_pattern(0, 5).unwrap();
    eventually("an exchange is under way", || origin.accepted() == 1);

    let mut refused = 0;
    for mut client in flood(&ringway) {
        let answers = String::from_utf8(client.read_to_end().unwrap()).unwrap();
        let sheds = answers.matches("HTTP/1.1 503 Service Unavailable\r\n").count();
        assert_eq!(answers.matches("Retry-After: 1\r\n").count(), sheds);
        assert_eq!(answers.matches("HTTP/1.1 404 Not Found\r\n").count() + sheds, answers.matches("HTTP/1.1 ").count());
        refused += sheds as u64;
    }
    assert!(refused > 0, "nothing was refused");

    upload.send_pattern(5, 10).unwrap();
    assert_eq!(upload.read_response("POST").unwrap().status(), 200, "what is under way is not touched");
    let request = format!("GET /length/1 HTTP/1.1\r\nHost: {HOST}\r\n\r\n");
    eventually("requests are served again", || {
        ringway.connect().exchange("GET", request.as_bytes()).unwrap().status() == 200
    });
    assert!(ringway.process().stderr().contains("overload: new requests"));
    let counts = ringway.stop_and_count();
    assert!(counts["exchanges{overloaded}"] >= refused, "{counts:?}");
    assert_eq!(counts["limits{overload.queue_time}"], counts["exchanges{overloaded}"]);
}

#[test]
fn no_queue_is_too_long_where_none_shall_be() {
    let origin = standard::start();
    let ringway = with_queue_time(&origin, "0s");
    for mut client in flood(&ringway) {
        let answers = String::from_utf8(client.read_to_end().unwrap()).unwrap();
        assert_eq!(answers.matches("HTTP/1.1 404 Not Found\r\n").count(), 2_001);
    }
}
