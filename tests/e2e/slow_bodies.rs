//! Bodies that crawl: held to a least rate, on both sides and in both directions.

use std::thread;
use std::time::{Duration, Instant};

use kit::{Config, Origin, Peer, standard};

use crate::start;

/// A rate that a peer with a byte now and then does not keep, and one that sends at once does.
fn strict(config: Config) -> Config {
    config.limit("body_rate_min", "\"10KiB\"").timeout("body_rate_grace", "300ms")
}

/// Sends a byte every 20 ms, which no limit on idleness minds, until the connection fails or `limit` has passed.
fn crawl(peer: &mut Peer, limit: Duration) -> std::io::Result<()> {
    let begun = Instant::now();
    while begun.elapsed() < limit {
        peer.send(b"x")?;
        thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

const LONG: Duration = Duration::from_secs(10);

#[test]
fn a_client_that_sends_its_body_too_slowly_is_408() {
    let origin = standard::start();
    let ringway = start(strict(Config::to(origin.address())));
    let mut client = ringway.connect();
    client.send(b"POST /length/1 HTTP/1.1\r\nHost: test\r\nContent-Length: 100000\r\n\r\n").unwrap();
    let begun = Instant::now();
    let mut sender = client.second();
    let crawling = thread::spawn(move || crawl(&mut sender, LONG));
    let response = client.read_response("POST").unwrap();
    assert_eq!(response.status(), 408);
    let took = begun.elapsed();
    assert!(took >= Duration::from_millis(290), "the grace is not shorter than configured: {took:?}");
    assert!(took < Duration::from_secs(5), "cut off only after {took:?}");
    assert!(response.head.lists("connection", "close"));
    drop(client);
    // It ends when the proxy has closed.
    let _ = crawling.join().unwrap();
    let record = ringway.record_of("/length/1");
    assert_eq!((&record["outcome"], &record["limit"]), (&"client_timeout".into(), &"limits.body_rate_min".into()));
    assert_eq!(ringway.stop_and_count()["limits{limits.body_rate_min}"], 1);
}

#[test]
fn a_client_that_keeps_the_rate_may_take_longer_than_the_grace() {
    let origin = standard::start();
    let ringway = start(strict(Config::to(origin.address())));
    let mut client = ringway.connect();
    client.send(b"POST /length/1 HTTP/1.1\r\nHost: test\r\nContent-Length: 100000\r\n\r\n").unwrap();
    for piece in 0..20 {
        client.send_pattern(piece * 5_000, (piece + 1) * 5_000).unwrap();
        // The client's own pace: ten times the rate, for three times the grace.
        thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(client.read_response("POST").unwrap().status(), 200);
}

#[test]
fn a_client_that_takes_its_answer_too_slowly_is_cut_off() {
    let origin = standard::start();
    // So much that no socket's buffer makes up for what the client does not read.
    let ringway =
        start(Config::to(origin.address()).limit("body_rate_min", "\"1GiB\"").timeout("body_rate_grace", "300ms"));
    let mut client = ringway.connect();
    client.send(&standard::get("/length/100000000")).unwrap();
    let (head, _) = client.read_final_head().unwrap();
    assert_eq!(head.status(), 200);
    let record = ringway.record_of("/length/100000000");
    assert_eq!((&record["outcome"], &record["limit"]), (&"client_timeout".into(), &"limits.body_rate_min".into()));
    assert!(record["bytes_out"].as_u64().unwrap() < 100_000_000);
    client.read_body(head.response_framing("GET"), &mut |_| {}).expect_err("the answer is cut short");
}

#[test]
fn an_upstream_that_answers_too_slowly_is_cut_off_if_asked_for() {
    let origin = Origin::start(|peer, _| {
        peer.read_head()?;
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")?;
        crawl(peer, LONG)
    });
    let config = strict(Config::to(origin.address())).upstream_option("body_rate_min", "\"10KiB\"");
    let ringway = start(config);
    let mut client = ringway.connect();
    let begun = Instant::now();
    client.exchange("GET", &standard::get("/crawl")).expect_err("the answer is cut short");
    assert!(begun.elapsed() < Duration::from_secs(5), "cut off only after {:?}", begun.elapsed());
    let record = ringway.record_of("/crawl");
    assert_eq!((&record["outcome"], &record["limit"]), (&"upstream_timeout".into(), &"upstreams.body_rate_min".into()));
    assert_eq!(ringway.stop_and_count()["limits{upstreams.body_rate_min}"], 1);
}

#[test]
fn an_upstream_that_takes_a_body_too_slowly_is_504_if_asked_for() {
    let origin = Origin::start(|peer, _| {
        peer.read_head()?;
        // Less than was sent, now and then: no limit on idleness minds.
        let begun = Instant::now();
        while begun.elapsed() < LONG {
            peer.read_bytes(100_000)?;
            thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    });
    let config = Config::to(origin.address()).timeout("body_rate_grace", "300ms");
    let ringway = start(config.upstream_option("body_rate_min", "\"1GiB\""));
    let mut client = ringway.connect();
    client.send(b"PUT /upload HTTP/1.1\r\nHost: test\r\nContent-Length: 268435456\r\n\r\n").unwrap();
    let mut sender = client.second();
    thread::scope(|scope| {
        // More than all sockets on the way hold; the proxy closes before it is sent.
        scope.spawn(move || sender.send_pattern(0, 256 << 20));
        let (head, _) = client.read_final_head().unwrap();
        assert_eq!(head.status(), 504);
    });
    let record = ringway.record_of("/upload");
    assert_eq!((&record["outcome"], &record["limit"]), (&"upstream_timeout".into(), &"upstreams.body_rate_min".into()));
}

#[test]
fn a_stream_of_events_may_trickle() {
    let origin = Origin::start(|peer, _| {
        peer.read_head()?;
        peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")?;
        for _ in 0..10 {
            peer.send(b"1\r\nx\r\n")?;
            thread::sleep(Duration::from_millis(100));
        }
        peer.send(b"0\r\n\r\n")
    });
    let ringway = start(strict(Config::to(origin.address())));
    let response = ringway.connect().exchange("GET", &standard::get("/events")).unwrap();
    assert_eq!(response.body.len(), 10, "the limits on clients do not concern it");
}

#[test]
fn a_client_that_waits_for_a_slow_upstream_is_not_blamed() {
    let origin = Origin::start(|peer, _| {
        peer.read_head()?;
        // Longer than the grace, in which the upstream takes nothing.
        thread::sleep(Duration::from_millis(800));
        let mut received = 0;
        peer.read_body(kit::Framing::Length(20_000_000), &mut |piece| received += piece.len())?;
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    });
    let ringway = start(strict(Config::to(origin.address())));
    let mut client = ringway.connect();
    client.send(b"POST /slow HTTP/1.1\r\nHost: test\r\nContent-Length: 20000000\r\n\r\n").unwrap();
    client.send_pattern(0, 20_000_000).unwrap();
    assert_eq!(client.read_response("POST").unwrap().status(), 200);
}
