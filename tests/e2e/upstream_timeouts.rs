//! An upstream that stands still, at each phase of an exchange.

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use kit::{Config, Gate, Origin, standard};
use socket2::{Domain, SockAddr, Socket, Type};

use crate::start;

const TIMED_OUT: &str = "upstream_timeout";

#[test]
fn a_connection_that_is_not_accepted_is_504() {
    // A queue of one that is full: the kernel drops every further attempt to connect.
    let listener = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    listener.bind(&SockAddr::from(std::net::SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))).unwrap();
    listener.listen(0).unwrap();
    let address = listener.local_addr().unwrap();
    let _filler: Vec<Socket> = (0..3)
        .map(|_| {
            let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
            socket.set_nonblocking(true).unwrap();
            let _ = socket.connect(&address);
            socket
        })
        .collect();
    let config = Config::to(address.as_socket().unwrap()).upstream_timeout("connect_timeout", "200ms");
    let ringway = start(config);
    let begun = Instant::now();
    let response = ringway.connect().exchange("GET", &standard::get("/connect")).unwrap();
    assert_eq!(response.status(), 504);
    assert!(begun.elapsed() >= Duration::from_millis(190), "the time-out is not shorter than configured");
    ringway.assert_outcome("/connect", &[TIMED_OUT]);
    assert_eq!(ringway.stop_and_count()["limits{upstreams.connect_timeout}"], 1);
}

#[test]
fn a_head_that_does_not_come_is_504() {
    for beginning in ["", "HTTP/1.1 200 OK\r\nContent-"] {
        let gate = Gate::new();
        let origin = Origin::start({
            let gate = gate.clone();
            move |peer, _| {
                peer.read_head()?;
                peer.send(beginning.as_bytes())?;
                gate.wait();
                Ok(())
            }
        });
        let ringway = start(Config::to(origin.address()).upstream_timeout("head_timeout", "200ms"));
        let begun = Instant::now();
        let response = ringway.connect().exchange("GET", &standard::get("/head")).unwrap();
        assert_eq!(response.status(), 504);
        assert!(begun.elapsed() >= Duration::from_millis(190), "the time-out is not shorter than configured");
        ringway.assert_outcome("/head", &[TIMED_OUT]);
        gate.open();
    }
}

#[test]
fn the_upstreams_connection_is_closed_when_its_time_is_over() {
    let origin = Origin::start(|peer, _| peer.read_to_end().map(drop));
    let ringway = start(Config::to(origin.address()).upstream_timeout("head_timeout", "200ms"));
    assert_eq!(ringway.connect().exchange("GET", &standard::get("/")).unwrap().status(), 504);
    origin.wait_until_closed();
}

#[test]
fn a_body_that_stands_still_is_truncated() {
    for (framing, beginning) in [("Content-Length: 100", "half"), ("Transfer-Encoding: chunked", "5\r\nhello\r\n")] {
        let origin = Origin::start(move |peer, _| {
            peer.read_head()?;
            peer.send(format!("HTTP/1.1 200 OK\r\n{framing}\r\n\r\n{beginning}").as_bytes())?;
            peer.read_to_end().map(drop)
        });
        let ringway = start(Config::to(origin.address()).upstream_timeout("body_idle_timeout", "200ms"));
        let mut client = ringway.connect();
        client.send(&standard::get("/body")).unwrap();
        let (head, _) = client.read_final_head().unwrap();
        client.read_body(head.response_framing("GET"), &mut |_| {}).expect_err("a body that breaks off");
        ringway.assert_outcome("/body", &[TIMED_OUT]);
        origin.wait_until_closed();
    }
}

#[test]
fn a_body_that_trickles_is_not_cut_short() {
    let origin = Origin::start(|peer, _| {
        peer.read_head()?;
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n")?;
        for byte in b"trickled" {
            // The upstream's own pace, well below the time-out but longer in sum.
            std::thread::sleep(Duration::from_millis(60));
            peer.send(&[*byte])?;
        }
        Ok(())
    });
    let ringway = start(Config::to(origin.address()).upstream_timeout("body_idle_timeout", "300ms"));
    assert_eq!(ringway.connect().exchange("GET", &standard::get("/")).unwrap().text(), "trickled");
}

#[test]
fn a_request_that_the_upstream_does_not_read_is_504() {
    let gate = Gate::new();
    let origin = Origin::start({
        let gate = gate.clone();
        move |peer, _| {
            peer.read_head()?;
            gate.wait();
            Ok(())
        }
    });
    let ringway = start(Config::to(origin.address()).upstream_timeout("body_idle_timeout", "200ms"));
    let mut client = ringway.connect();
    client.send(b"PUT /upload HTTP/1.1\r\nHost: test\r\nContent-Length: 268435456\r\n\r\n").unwrap();
    let mut sender = client.second();
    std::thread::scope(|scope| {
        // More than all sockets on the way hold; the proxy closes before it is sent.
        scope.spawn(move || sender.send_pattern(0, 256 << 20));
        let (head, _) = client.read_final_head().unwrap();
        assert_eq!(head.status(), 504);
        ringway.assert_outcome("/upload", &[TIMED_OUT]);
    });
    gate.open();
}
