//! The shape of the load: how many connections, how many requests, in which proportion, when.

use std::{
    collections::HashMap,
    io::Write,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use loadgen::scenario::{Arrivals, Body, Extent, Rate, Request, Scenario, Step, Url};

use crate::server::{Server, read_head, run, scenario};

const ANSWER: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

#[test]
fn a_number_of_requests_is_exact_over_threads_and_connections() {
    let server = Server::answering(ANSWER);
    let scenario = Scenario {
        connections: 7,
        threads: Some(3),
        extent: Extent::Requests(1001),
        pipeline: 4,
        ..scenario(&server.url())
    };
    let outcome = run(&scenario);
    assert_eq!((outcome.recording.requests(), outcome.recording.errors.total()), (1001, 0));
    assert_eq!((server.accepted(), outcome.recording.connections_max), (7, 7));
    assert_eq!(outcome.recording.bytes_in, 1001 * ANSWER.len() as u64);
}

#[test]
fn a_connection_serves_as_many_requests_as_it_may() {
    let server = Server::start(|mut stream, _| {
        while let Some(head) = read_head(&mut stream) {
            stream.write_all(ANSWER.as_bytes()).unwrap();
            if String::from_utf8(head).unwrap().contains("Connection: close") {
                break;
            }
        }
    });
    for (requests_per_connection, connections) in [(1, 10), (5, 2), (4, 3)] {
        let before = server.accepted();
        let scenario = Scenario { requests_per_connection: Some(requests_per_connection), ..scenario(&server.url()) };
        let outcome = run(&scenario);
        assert_eq!((outcome.recording.requests(), outcome.recording.errors.total()), (10, 0));
        // Each of the two may be made once more for nothing, when the other takes the last request.
        let made = server.accepted() - before;
        assert!((connections..=connections + 2).contains(&made), "{made} of {requests_per_connection} each");
    }
}

#[test]
fn what_a_closing_server_leaves_unanswered_is_asked_again_and_is_no_error() {
    let server = Server::start(|mut stream, _| {
        for number in 0..3 {
            read_head(&mut stream);
            let close = if number == 2 { "Connection: close\r\n" } else { "" };
            let _ = write!(stream, "HTTP/1.1 200 OK\r\n{close}Content-Length: 0\r\n\r\n");
        }
    });
    let scenario = Scenario { connections: 1, pipeline: 8, extent: Extent::Requests(30), ..scenario(&server.url()) };
    let outcome = run(&scenario);
    assert_eq!((outcome.recording.requests(), outcome.recording.errors.total()), (30, 0), "{:?}", outcome.examples);
    assert_eq!(server.accepted(), 10);
}

#[test]
fn targets_come_by_weight_with_their_methods_fields_and_bodies() {
    let seen: Arc<Mutex<HashMap<String, usize>>> = Arc::default();
    let counts = Arc::clone(&seen);
    let server = Server::start(move |mut stream, _| {
        while let Some(head) = read_head(&mut stream) {
            let head = String::from_utf8(head).unwrap();
            let body_bytes =
                head.lines().find_map(|line| line.strip_prefix("Content-Length: ")).map_or(0, |n| n.parse().unwrap());
            let mut body = vec![0; body_bytes];
            std::io::Read::read_exact(&mut stream, &mut body).unwrap();
            let line = head.lines().next().unwrap().to_owned();
            let fields = head.contains("\r\nX-All: 1\r\n") && head.contains("\r\nHost: 127.0.0.1:");
            *counts.lock().unwrap().entry(format!("{line} {fields} {}", body.len())).or_default() += 1;
            stream.write_all(ANSWER.as_bytes()).unwrap();
        }
    });
    let to =
        |path: &str, weight| Request { weight, ..Request::to(Url::parse(&format!("{}{path}", server.url())).unwrap()) };
    let put = Request { method: "PUT".to_owned(), body: Some(Body::Size(100_000)), ..to("b", 1) };
    let scenario = Scenario {
        extent: Extent::Requests(4000),
        headers: vec![("X-All".to_owned(), "1".to_owned())],
        requests: vec![to("a", 3), put, to("never", 0)],
        ..scenario(&server.url())
    };
    assert_eq!(run(&scenario).recording.requests(), 4000);
    let seen = seen.lock().unwrap();
    let (a, b) = (seen["GET /a HTTP/1.1 true 0"], seen["PUT /b HTTP/1.1 true 100000"]);
    assert_eq!((a + b, seen.len()), (4000, 2), "{seen:?}");
    assert!(a.abs_diff(3000) < 150, "{a}");
}

#[test]
fn a_schedule_is_kept_with_steps_and_with_poisson_arrivals() {
    let server = Server::answering(ANSWER);
    let step = |per_second, seconds| Step { per_second, duration: Duration::from_secs(seconds) };
    let with = |rate: Rate| Scenario {
        connections: 8,
        extent: Extent::Duration(Duration::from_secs(2)),
        rate: Some(rate),
        ..scenario(&server.url())
    };
    let steps = run(&with(Rate { steps: vec![step(100.0, 1), step(300.0, 1)], ..Rate::default() })).recording;
    assert_eq!((steps.requests(), steps.errors.total()), (400, 0));
    let per_second: Vec<u64> = steps.series.points.iter().map(|point| point.requests).collect();
    assert!(per_second[0].abs_diff(100) <= 2 && per_second[1].abs_diff(300) <= 30, "{per_second:?}");
    let rate = Rate { arrivals: Arrivals::Poisson, steps: vec![step(1000.0, 1)], ..Rate::default() };
    let poisson = run(&with(rate)).recording;
    assert!(poisson.requests().abs_diff(2000) < 250, "{}", poisson.requests());
    assert!(poisson.service.is_some());
}

#[test]
fn the_warm_up_s_samples_are_dropped() {
    let server = Server::answering(ANSWER);
    let rate = Rate { steps: vec![Step { per_second: 100.0, duration: Duration::ZERO }], ..Rate::default() };
    let scenario = Scenario {
        extent: Extent::Duration(Duration::from_secs(1)),
        warm_up: Duration::from_millis(500),
        rate: Some(rate),
        ..scenario(&server.url())
    };
    let outcome = run(&scenario);
    assert_eq!(outcome.recording.requests(), 100);
    assert_eq!(outcome.recording.elapsed_ns, 1_000_000_000);
}

#[test]
fn a_ramp_opens_the_connections_one_after_the_other() {
    let server = Server::answering(ANSWER);
    let start = Instant::now();
    let scenario = Scenario {
        connections: 20,
        extent: Extent::Duration(Duration::from_secs(2)),
        ramp_up: Duration::from_secs(2),
        ..scenario(&server.url())
    };
    let outcome = run(&scenario);
    assert!(start.elapsed() >= Duration::from_secs(2));
    let connections: Vec<u64> = outcome.recording.series.points.iter().map(|point| point.connections).collect();
    assert!((9..=12).contains(&connections[0]), "{connections:?}");
    assert_eq!(server.accepted(), 20);
}
