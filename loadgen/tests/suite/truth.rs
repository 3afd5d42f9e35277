//! Whether percentiles are right: against a server whose delays are known.

use std::{
    io::Write,
    process::Command,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use loadgen::{
    record::Distribution,
    scenario::{Extent, Rate, Scenario, Step},
};

use crate::server::{Server, read_head, run, scenario};

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// How much a percentile may be off.
const TOLERANCE: f64 = 0.01;

fn open(url: &str, per_second: f64, seconds: u64, connections: u64) -> Scenario {
    let steps = vec![Step { per_second, duration: Duration::ZERO }];
    Scenario {
        connections,
        extent: Extent::Duration(Duration::from_secs(seconds)),
        rate: Some(Rate { steps, ..Rate::default() }),
        ..scenario(url)
    }
}

/// The value that `percent` of the sorted samples do not exceed.
fn percentile(sorted: &[Duration], percent: f64) -> Duration {
    let rank = ((sorted.len() as f64 * percent / 100.0).ceil() as usize).clamp(1, sorted.len());
    sorted[rank - 1]
}

#[track_caller]
fn assert_true(measured: &Distribution, truth: &[Duration], percents: &[f64]) {
    for percent in percents {
        let measured_s = measured.quantile_ns(percent / 100.0) as f64 / 1e9;
        let truth_s = percentile(truth, *percent).as_secs_f64();
        let off = (measured_s - truth_s).abs() / truth_s;
        assert!(
            off <= TOLERANCE,
            "p{percent}: measured {measured_s:.4} s, true {truth_s:.4} s, {:.2} % off",
            off * 100.0
        );
    }
}

/// Answers at once, but for the first second of every four. Keeps when it answered.
struct Stalling {
    server: Server,
    answered: Arc<Mutex<Vec<Instant>>>,
}

impl Stalling {
    const PERIOD: Duration = Duration::from_secs(4);
    const STALL: Duration = Duration::from_secs(1);

    fn start() -> Self {
        let answered = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&answered);
        let start = Instant::now();
        let server = Server::start(move |mut stream, _| {
            while read_head(&mut stream).is_some() {
                let phase = Duration::from_nanos((start.elapsed().as_nanos() % Self::PERIOD.as_nanos()) as u64);
                // This is the delay that is injected; nothing is waited for.
                thread::sleep(Self::STALL.saturating_sub(phase));
                if stream.write_all(ANSWER).is_err() {
                    break;
                }
                kept.lock().expect("no thread panics").push(Instant::now());
            }
        });
        Self { server, answered }
    }

    /// What clients saw that came every `1/per_second` since `first_due`: the k-th was due then, and had the k-th answer.
    fn truth(&self, first_due: Instant, per_second: f64) -> Vec<Duration> {
        let mut answered = self.answered.lock().expect("no thread panics").clone();
        answered.sort_unstable();
        let due = |index: usize| first_due + Duration::from_secs_f64(index as f64 / per_second);
        let mut truth: Vec<Duration> =
            answered.iter().enumerate().map(|(index, at)| at.saturating_duration_since(due(index))).collect();
        truth.sort_unstable();
        truth
    }
}

#[test]
fn an_open_loop_tells_what_a_stalling_server_does_to_its_clients() {
    const PER_SECOND: f64 = 250.0;
    let stalling = Stalling::start();
    let first_due = Instant::now();
    let outcome = run(&open(&stalling.server.url(), PER_SECOND, 8, 64));
    let truth = stalling.truth(first_due, PER_SECOND);
    assert_eq!(outcome.recording.requests(), 2000, "{:?}", outcome.recording.errors);
    assert_eq!((truth.len(), outcome.unsent, outcome.unanswered), (2000, 0, 0));
    // A quarter of the requests is due within a stall, and waits for half of it on average.
    assert_true(&outcome.recording.latency, &truth, &[90.0, 95.0, 99.0, 99.9]);
    let p90 = percentile(&truth, 90.0);
    assert!((Duration::from_millis(570)..Duration::from_millis(640)).contains(&p90), "the truth is {p90:?}");
}

#[test]
fn wrk_does_not() {
    let stalling = Stalling::start();
    let output = Command::new("wrk").args(["-t1", "-c8", "-d8s", "--latency", &stalling.server.url()]).output();
    let Ok(output) = output else {
        eprintln!("skipped: wrk is not installed; tests/install.sh installs it");
        return;
    };
    let text = String::from_utf8_lossy(&output.stdout);
    let p90 = text.lines().find_map(|line| line.trim().strip_prefix("90%")).map(str::trim).expect("wrk's p90");
    let p90_s = loadgen::scenario::units::duration(p90).expect("a time").as_secs_f64();
    // Of clients that come evenly, 1 in 10 waits for 600 ms and more. wrk sends nothing while it waits; it makes up the
    // samples that it has missed from the average distance between requests, in which the stalls are contained, and so
    // makes up too few: 500 ms is what it would come to.
    assert!((p90_s - 0.6).abs() / 0.6 > 5.0 * TOLERANCE, "wrk says {p90}");
}

#[test]
fn a_distribution_of_delays_comes_out_as_it_was_put_in() {
    // From 200 to 500 ms, a tenth of them a second more.
    let delay = |index: usize| {
        let spread = (index * 7919 % 1000) as f64 * 0.3;
        Duration::from_secs_f64((200.0 + spread + if index % 10 == 3 { 1000.0 } else { 0.0 }) / 1000.0)
    };
    let next = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&next);
    let server = Server::start(move |mut stream, _| {
        while read_head(&mut stream).is_some() {
            thread::sleep(delay(counter.fetch_add(1, Ordering::Relaxed)));
            if stream.write_all(ANSWER).is_err() {
                break;
            }
        }
    });
    let outcome = run(&open(&server.url(), 100.0, 5, 120));
    assert_eq!(outcome.recording.requests(), 500, "{:?}", outcome.recording.errors);
    let mut truth: Vec<Duration> = (0..next.load(Ordering::Relaxed)).map(delay).collect();
    truth.sort_unstable();
    assert_true(&outcome.recording.latency, &truth, &[50.0, 75.0, 95.0, 99.0]);
    assert_true(&outcome.recording.first_byte, &truth, &[50.0, 99.0]);
}

#[test]
fn the_time_to_the_first_byte_is_apart_from_the_total() {
    let server = Server::start(|mut stream, _| {
        while read_head(&mut stream).is_some() {
            thread::sleep(Duration::from_millis(100));
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nhalf"[..40].as_ref());
            thread::sleep(Duration::from_millis(200));
            let _ = stream.write_all(&b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nhalf"[40..]);
        }
    });
    let outcome = run(&scenario(&server.url()));
    let ms = |distribution: &Distribution| distribution.quantile_ns(0.5) / 1_000_000;
    assert!((100..150).contains(&ms(&outcome.recording.first_byte)), "{}", ms(&outcome.recording.first_byte));
    assert!((300..370).contains(&ms(&outcome.recording.latency)), "{}", ms(&outcome.recording.latency));
}
