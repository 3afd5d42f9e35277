//! Each kind of error is counted as what it is.

use std::{io::Write, net::TcpListener, thread, time::Duration};

use kit::DEADLINE;
use loadgen::{
    load::Outcome,
    record::ErrorKind,
    scenario::{Expect, Extent, Rate, Scenario, StatusRange, Step, Timeouts},
};

use crate::server::{Server, read_head, run, scenario};

fn for_a_while(url: &str) -> Scenario {
    Scenario { extent: Extent::Duration(Duration::from_millis(300)), ..scenario(url) }
}

/// All errors were of this kind, and there were some.
#[track_caller]
fn assert_only(outcome: &Outcome, kind: ErrorKind) {
    let errors = &outcome.recording.errors;
    assert!(errors.of(kind) > 0 && errors.of(kind) == errors.total(), "{errors:?} {:?}", outcome.examples);
}

#[test]
fn nobody_listens() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    drop(listener);
    assert_only(&run(&for_a_while(&url)), ErrorKind::ConnectRefused);
    // A number of requests comes to an end, too.
    let counted = run(&Scenario { extent: Extent::Requests(4), ..scenario(&url) });
    assert_eq!(counted.recording.errors.of(ErrorKind::ConnectRefused), 4);
}

#[test]
fn nobody_accepts_and_the_queue_is_full() {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.bind(&"127.0.0.1:0".parse::<std::net::SocketAddr>().unwrap().into()).unwrap();
    socket.listen(1).unwrap();
    let listener = TcpListener::from(socket);
    let timeouts = Timeouts {
        connect: Duration::from_millis(200),
        request: Duration::from_millis(200),
        drain: Duration::from_millis(100),
    };
    let scenario = Scenario {
        connections: 8,
        extent: Extent::Duration(Duration::from_secs(1)),
        timeouts,
        ..scenario(&format!("http://{}/", listener.local_addr().unwrap()))
    };
    let outcome = run(&scenario);
    // The first two connections are made by the kernel, and get no answer.
    let errors = &outcome.recording.errors;
    assert!(errors.of(ErrorKind::ConnectTimedOut) > 0 && errors.of(ErrorKind::TimedOut) > 0, "{errors:?}");
    assert_eq!(errors.total(), errors.of(ErrorKind::ConnectTimedOut) + errors.of(ErrorKind::TimedOut), "{errors:?}");
}

#[test]
fn the_peer_closes_before_the_answer() {
    let server = Server::start(|mut stream, _| drop(read_head(&mut stream)));
    assert_only(&run(&for_a_while(&server.url())), ErrorKind::ClosedEarly);
}

#[test]
fn the_peer_closes_within_the_answer() {
    let server = Server::start(|mut stream, _| {
        read_head(&mut stream);
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf");
    });
    assert_only(&run(&for_a_while(&server.url())), ErrorKind::ClosedEarly);
}

#[test]
fn the_peer_resets() {
    let server = Server::start(|mut stream, _| {
        read_head(&mut stream);
        // Closing with a linger of zero is a reset.
        socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
    });
    assert_only(&run(&for_a_while(&server.url())), ErrorKind::Reset);
}

#[test]
fn the_answer_is_no_http() {
    let server = Server::answering("SSH-2.0-OpenSSH_9.2\r\n");
    let outcome = run(&for_a_while(&server.url()));
    assert_only(&outcome, ErrorKind::Malformed);
    assert!(outcome.examples[0].1.contains("status line"), "{:?}", outcome.examples);
}

#[test]
fn there_are_more_answers_than_requests() {
    let server = Server::answering("HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n");
    let outcome = run(&for_a_while(&server.url()));
    assert!(outcome.recording.errors.of(ErrorKind::Malformed) > 0, "{:?}", outcome.recording.errors);
}

#[test]
fn the_answer_does_not_come_in_time() {
    let server = Server::start(|mut stream, _| while read_head(&mut stream).is_some() {});
    let scenario = Scenario {
        timeouts: Timeouts { request: Duration::from_millis(100), ..Timeouts::default() },
        ..for_a_while(&server.url())
    };
    assert_only(&run(&scenario), ErrorKind::TimedOut);
}

#[test]
fn what_is_under_way_at_the_end_is_told() {
    let server = Server::start(|mut stream, _| while read_head(&mut stream).is_some() {});
    let scenario = Scenario {
        timeouts: Timeouts { drain: Duration::from_millis(50), ..Timeouts::default() },
        ..for_a_while(&server.url())
    };
    let outcome = run(&scenario);
    assert_eq!((outcome.unanswered, outcome.recording.errors.total()), (2, 0));
}

#[test]
fn status_length_and_hash_are_verified_each() {
    let server = Server::answering("HTTP/1.1 404 Not Found\r\nContent-Length: 5\r\n\r\nhello");
    let expecting = |expect: Expect| {
        let mut scenario = scenario(&server.url());
        scenario.requests[0].expect = expect;
        run(&scenario)
    };
    let statuses = vec![StatusRange { first: 404, last: 404 }];
    let as_expected = Expect { statuses: statuses.clone(), body_bytes: Some(5), body_sha256: Some(HELLO) };
    assert_eq!(expecting(as_expected.clone()).recording.requests(), 10);
    assert_only(&expecting(Expect { statuses: vec![], ..as_expected.clone() }), ErrorKind::UnexpectedStatus);
    assert_only(&expecting(Expect { body_bytes: Some(4), ..as_expected.clone() }), ErrorKind::UnexpectedLength);
    let outcome = expecting(Expect { body_sha256: Some([0; 32]), ..as_expected });
    assert_only(&outcome, ErrorKind::UnexpectedHash);
    assert_eq!(outcome.recording.statuses.iter().collect::<Vec<_>>(), [(404, 10)]);
}

/// The SHA-256 of `hello`.
const HELLO: [u8; 32] = [
    0x2c, 0xf2, 0x4d, 0xba, 0x5f, 0xb0, 0xa3, 0x0e, 0x26, 0xe8, 0x3b, 0x2a, 0xc5, 0xb9, 0xe2, 0x9e, 0x1b, 0x16, 0x1e,
    0x5c, 0x1f, 0xa7, 0x42, 0x5e, 0x73, 0x04, 0x33, 0x62, 0x93, 0x8b, 0x98, 0x24,
];

#[test]
fn a_schedule_beyond_what_may_be_outstanding_drops_and_counts() {
    let server = Server::start(|mut stream, _| while read_head(&mut stream).is_some() {});
    let rate = Rate {
        steps: vec![Step { per_second: 100.0, duration: Duration::ZERO }],
        outstanding_max: 10,
        ..Rate::default()
    };
    let timeouts = Timeouts { drain: Duration::from_millis(50), ..Timeouts::default() };
    let scenario = Scenario {
        extent: Extent::Duration(Duration::from_millis(500)),
        rate: Some(rate),
        timeouts,
        ..scenario(&server.url())
    };
    let outcome = run(&scenario);
    // 50 are due: 2 are sent and 8 wait for a connection.
    assert_only(&outcome, ErrorKind::Dropped);
    assert_eq!((outcome.recording.errors.total(), outcome.unanswered, outcome.unsent), (40, 2, 8));
}

#[test]
fn tls_to_a_server_without() {
    let server = Server::start(|mut stream, _| {
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
        thread::sleep(Duration::from_millis(10).min(DEADLINE));
    });
    let mut scenario = for_a_while(&server.url().replace("http", "https"));
    scenario.tls.insecure = true;
    assert_only(&run(&scenario), ErrorKind::Tls);
}
