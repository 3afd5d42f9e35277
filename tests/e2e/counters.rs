//! What is counted, seen from outside: by the line that a shard writes when it has drained.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use engine::Counters;
use kit::{Config, DnsServer, Gate, Origin, Peer, Port, Process, Ringway, eventually, standard};

use crate::start;

/// Counters that no test from outside can bring about, and why.
const NOT_FROM_OUTSIDE: [&str; 6] = [
    "ring_panics: a panic is a mistake of ours, and none is known",
    "ring_receives_starved: depends on the pace of thousands; the scripted kernel of shards/ring starves at every seed",
    "ring_bytes_copied_out: as above",
    "ring_overflows: as above; shards/ring overflows a queue of sixteen",
    "tls_handshakes_failed{renegotiation}: it is refused after a handshake; tests/e2e/tls.rs has it",
    "tls_handshakes_failed{internal}: a mistake of ours, and none is known",
];

/// A counter that no test asserts may count anything.
#[test]
fn every_counter_is_asserted_by_some_test() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/e2e");
    let of = |folder: &Path| fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect::<Vec<_>>();
    let files = of(&folder).into_iter().flat_map(|path| if path.is_dir() { of(&path) } else { vec![path] });
    let files = files.filter(|path| path.extension().is_some_and(|extension| extension == "rs"));
    let sources: Vec<String> = files.map(|path| fs::read_to_string(path).unwrap()).collect();
    let mut wrong = Vec::new();
    for reading in Counters::default().readings() {
        let reading = reading.to_string();
        let name = reading.strip_suffix("=0").expect("nothing has been counted");
        // As a key of what was counted, or within the line itself.
        let written = [format!("\"{name}\""), format!("\"{name}=")];
        let asserted = sources.iter().any(|text| written.iter().any(|name| text.contains(name)));
        let excused = NOT_FROM_OUTSIDE.iter().any(|line| line.split(':').next() == Some(name));
        if asserted == excused {
            wrong.push(format!("{name}: asserted by a test: {asserted}; excused: {excused}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[track_caller]
fn assert_counts(counts: &BTreeMap<String, u64>, expected: &[(&str, u64)]) {
    for (name, count) in expected {
        assert_eq!(counts.get(*name).copied().unwrap_or(0), *count, "{name}: {counts:?}");
    }
}

/// The status of the answer to `request` on a connection of its own.
fn status(ringway: &Ringway, request: &str) -> u16 {
    let mut client = ringway.connect();
    client.send(request.as_bytes()).unwrap();
    client.read_response(request.split(' ').next().unwrap()).unwrap().status()
}

#[test]
fn refused_requests_are_counted_by_their_outcome_and_their_limit() {
    let origin = standard::start();
    let config = Config::new().upstream("app", &[origin.address()]).route(Some("known"), "/", "app");
    let config = config.limit("head_bytes", "\"1KiB\"").limit("fields", 20).limit("body_bytes", "\"1KiB\"");
    let ringway = start(config);
    let host = "HTTP/1.1\r\nHost: known\r\n";
    let via = ["1.1 ringway"; 8].join(", ");
    for (expected, request) in [
        (431, format!("GET / {host}X: {}\r\n\r\n", "x".repeat(2_000))),
        (431, format!("GET / {host}{}\r\n", "X: y\r\n".repeat(20))),
        (413, format!("POST / {host}Content-Length: 1025\r\n\r\n")),
        (413, format!("POST / {host}Transfer-Encoding: chunked\r\n\r\n401\r\n")),
        (400, "NONSENSE\r\n\r\n".to_owned()),
        (404, "GET / HTTP/1.1\r\nHost: unknown\r\n\r\n".to_owned()),
        (405, format!("TRACE / {host}\r\n")),
        (508, format!("GET / {host}Via: {via}\r\n\r\n")),
    ] {
        assert_eq!(status(&ringway, &request), expected, "{request}");
    }
    let mut client = ringway.connect();
    for _ in 0..3 {
        assert_eq!(client.exchange("GET", b"GET /length/5 HTTP/1.1\r\nHost: known\r\n\r\n").unwrap().status(), 200);
    }
    drop(client);
    let counts = ringway.stop_and_count();
    assert_counts(
        &counts,
        &[
            ("limits{limits.head_bytes}", 1),
            ("limits{limits.fields}", 1),
            ("limits{limits.body_bytes}", 2),
            ("exchanges{client_too_large}", 4),
            ("exchanges{client_malformed}", 1),
            ("exchanges{no_route}", 1),
            ("exchanges{client_unsupported}", 1),
            ("exchanges{loop_detected}", 1),
            ("exchanges{completed}", 3),
            // One for the chunk that was too large, and one for the three that were not.
            ("upstream_connects", 2),
            ("upstream_reuses", 2),
            ("connections_open", 0),
        ],
    );
    assert!(counts["connections_accepted"] >= 9, "{counts:?}");
    assert!(counts["ring_enters"] > 0 && counts["ring_entries"] >= counts["ring_enters"] / 2, "{counts:?}");
    assert!(counts["ring_completions"] > 9, "{counts:?}");
    assert!(counts["ring_bytes_received"] > 3_000 && counts["ring_bytes_sent"] > 1_000, "{counts:?}");
}

#[test]
fn what_takes_too_long_is_counted_by_whom_it_waited_for() {
    let gate = Gate::new();
    let origin = Origin::start({
        let gate = gate.clone();
        move |peer, _| {
            while let Some(head) = peer.read_head()? {
                match head.target() {
                    "/half" => peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")?,
                    "/whole" => peer.send(crate::OK.as_bytes())?,
                    _ => gate.wait(),
                }
            }
            Ok(())
        }
    });
    let config = ["head", "body_idle", "keep_alive"]
        .iter()
        .fold(Config::to(origin.address()), |config, key| config.timeout(key, "300ms"));
    let config = config.upstream_timeout("head_timeout", "300ms").upstream_timeout("body_idle_timeout", "300ms");
    let ringway = start(config);
    assert_eq!(status(&ringway, "GET / HTTP/1.1\r\nHost: te"), 408, "a head");
    assert_eq!(status(&ringway, "POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 9\r\n\r\n12345"), 408, "a body");
    assert_eq!(status(&ringway, "GET / HTTP/1.1\r\nHost: t\r\n\r\n"), 504, "an answer's head");
    let mut client = ringway.connect();
    client.exchange("GET", &standard::get("/half")).expect_err("half an answer");
    let mut client = ringway.connect();
    assert_eq!(client.exchange("GET", &standard::get("/whole")).unwrap().text(), "ok");
    client.assert_ends();
    gate.open();
    let counts = ringway.stop_and_count();
    // The harness's own connections said nothing, and may have been closed for it.
    assert!(counts["limits{timeouts.head}"] >= 1, "{counts:?}");
    assert_counts(
        &counts,
        &[
            ("limits{timeouts.body_idle}", 1),
            ("limits{timeouts.keep_alive}", 1),
            ("limits{upstreams.head_timeout}", 1),
            ("limits{upstreams.body_idle_timeout}", 1),
            ("exchanges{client_timeout}", 2),
            ("exchanges{upstream_timeout}", 2),
            ("exchanges{completed}", 1),
        ],
    );
}

#[test]
fn failures_of_each_side_are_counted_as_its_own() {
    let gate = Gate::new();
    let origin = Origin::start({
        let gate = gate.clone();
        move |peer, _| {
            let Some(head) = peer.read_head()? else { return Ok(()) };
            match head.target() {
                "/gone" => Ok(()),
                "/garbage" => peer.send(b"GARBAGE\r\n\r\n"),
                _ => {
                    gate.wait();
                    Ok(())
                }
            }
        }
    });
    let (refused, dns) = (Port::take(), DnsServer::start());
    let config = Config::to(origin.address())
        .upstream("refused", &[&refused.address()])
        .upstream("named", &[&"absent.test:80"])
        .route(Some("refused"), "/", "refused")
        .route(Some("named"), "/", "named")
        .set("dns", "servers", format!("[\"{}\"]", dns.address()));
    let ringway = start(config);
    let get = |path: &str, host: &str| format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n");
    assert_eq!(status(&ringway, &get("/gone", "t")), 502);
    assert_eq!(status(&ringway, &get("/garbage", "t")), 502);
    assert_eq!(status(&ringway, &get("/", "refused")), 502);
    assert_eq!(status(&ringway, &get("/", "named")), 503);
    let mut leaving = ringway.connect();
    leaving.send(get("/left", "t").as_bytes()).unwrap();
    eventually("the request is at the upstream", || origin.accepted() == 3);
    leaving.reset().unwrap();
    ringway.assert_outcome("/left", &["client_gone"]);
    gate.open();
    assert_counts(
        &ringway.stop_and_count(),
        &[
            ("exchanges{upstream_gone}", 1),
            ("exchanges{upstream_malformed}", 1),
            ("exchanges{upstream_refused}", 1),
            ("exchanges{no_server}", 1),
            ("exchanges{client_gone}", 1),
        ],
    );
}

/// The log's writer hangs in a pipe that nobody reads: the shards go on, and count what they cannot write.
#[test]
fn records_that_nobody_takes_are_counted() {
    let origin = standard::start();
    let (port, folder) = (Port::take(), tempfile::tempdir().unwrap());
    let (file, fifo) = (folder.path().join("ringway.toml"), folder.path().join("fifo"));
    fs::write(&file, Config::to(origin.address()).listen(port.address()).to_toml()).unwrap();
    // Opened for both, so that opening does not wait for a reader, and a writer is not told that there is none.
    let script = "mkfifo \"$2\" && exec 3<>\"$2\" && exec \"$0\" serve --config \"$1\" >&3";
    let mut command = std::process::Command::new("sh");
    command.args(["-c", script, crate::BINARY]).arg(&file).arg(&fifo);
    let mut process = Process::spawn("ringway", &mut command);
    process.wait_until_listening(&port.address());
    let mut client = Peer::connect(&port.address());
    // Enough for the pipe and for what a shard holds back: a record's path is as long as the limit on targets lets it be.
    let request = standard::get(&format!("/length/1?{}", "x".repeat(7_000)));
    for _ in 0..1_000 {
        assert_eq!(client.exchange("GET", &request).unwrap().status(), 200);
    }
    drop(client);
    process.terminate();
    // It cannot end while its last records wait for a reader: the test ends it.
    eventually("the shard says what it counted", || process.stderr().contains("counters="));
    let log = process.stderr();
    assert!(log.contains("records_dropped="), "{log}");
}
