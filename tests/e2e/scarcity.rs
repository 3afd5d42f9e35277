//! A system that has nothing more to give: descriptors, and room on the disk.

use std::collections::VecDeque;
use std::process::Command;

use kit::{Address, Config, Peer, Port, Process, Ringway, eventually, standard};

use tempfile::TempDir;

use crate::{BINARY, start};

const ACCEPTING_PAUSES: &str = "accepting pauses";

/// Runs the proxy by a shell, with `config`: `prepare` goes before its command line, `redirect` behind it.
fn by_shell(config: Config, prepare: &str, redirect: &str) -> (Process, Port, TempDir) {
    let (port, folder) = (Port::take(), tempfile::tempdir().unwrap());
    let file = folder.path().join("ringway.toml");
    // Several of these would be in each other's way at the default place.
    let config = config.listen(port.address()).set("admin", "address", "\"off\"");
    std::fs::write(&file, config.to_toml()).unwrap();
    let script = format!("{prepare} exec \"$0\" serve --config \"$1\" {redirect}");
    let mut process = Process::spawn("ringway", Command::new("sh").args(["-c", &script, BINARY]).arg(&file));
    process.wait_until_listening(&port.address());
    (process, port, folder)
}

#[test]
fn without_descriptors_accepting_waits_and_goes_on() {
    const DESCRIPTORS: usize = 64;
    let origin = standard::start();
    // From the start: a standing accept goes by the limit under which it was begun.
    let (mut process, port, _folder) =
        by_shell(Config::to(origin.address()), &format!("ulimit -Sn {DESCRIPTORS};"), "");
    let mut first = Peer::connect(&port.address());
    assert_eq!(first.exchange("GET", &standard::get("/length/1")).unwrap().status(), 200);
    let mut clients: VecDeque<Peer> = (0..2 * DESCRIPTORS).map(|_| Peer::connect(&port.address())).collect();
    eventually("the proxy says so", || process.stderr().contains(ACCEPTING_PAUSES));
    assert_eq!(first.exchange("GET", &standard::get("/length/1")).unwrap().status(), 200, "who is in is served");
    // Those that are served make room for those that wait, until all were.
    while let Some(mut client) = clients.pop_front() {
        let response = client.exchange("GET", &standard::get("/length/1")).unwrap();
        assert!(matches!(response.status(), 200 | 503), "{:?}", response.head);
    }
    process.terminate();
    assert!(process.wait().success());
    let log = process.stderr();
    assert!(log.contains("limits{system}=") && log.contains("ring_accept_pauses="), "{log}");
    assert!(log.matches(ACCEPTING_PAUSES).count() <= 3, "a line a second at most:\n{log}");
}

#[test]
fn without_descriptors_for_upstreams_requests_are_503_until_there_are() {
    let origin = standard::start();
    // No connection is kept, so that each request needs a descriptor.
    let ringway = start(Config::to(origin.address()).upstream_option("idle_connections", 0));
    let mut client = ringway.connect();
    assert_eq!(client.exchange("GET", &standard::get("/length/1")).unwrap().status(), 200);
    let descriptors = ringway.process().descriptors();
    ringway.process().limit_descriptors(3);
    for _ in 0..20 {
        let response = client.exchange("GET", &standard::get("/starved")).unwrap();
        assert_eq!((response.status(), response.text().contains("no_capacity")), (503, true));
    }
    let record = ringway.record_of("/starved");
    assert_eq!((&record["outcome"], &record["limit"]), (&"no_capacity".into(), &"system".into()));
    let log = ringway.process().stderr();
    let lines = log.matches("no connection to an upstream").count();
    assert!((1..=2).contains(&lines), "a line a second at most:\n{log}");
    ringway.process().limit_descriptors(descriptors + 10);
    assert_eq!(client.exchange("GET", &standard::get("/length/1")).unwrap().status(), 200, "it recovers");
    let counts = ringway.stop_and_count();
    assert_eq!((counts["exchanges{no_capacity}"], counts["limits{system}"]), (20, 20));
}

/// `/dev/full` fails every write with ENOSPC, as a full disk does.
#[test]
fn a_full_disk_costs_the_logs_and_nothing_else() {
    let origin = standard::start();
    for redirect in [">/dev/full", ">/dev/full 2>/dev/full"] {
        let (mut process, port, _folder) = by_shell(Config::to(origin.address()), "", redirect);
        let address = port.address();
        let mut client = Peer::connect(&address);
        for _ in 0..200 {
            assert_eq!(client.exchange("GET", &standard::get("/length/1")).unwrap().status(), 200);
        }
        assert_eq!(Peer::connect(&address).exchange("GET", b"NONSENSE\r\n\r\n").unwrap().status(), 400);
        if !redirect.contains("2>") {
            eventually("the log tells", || process.stderr().contains("access records are lost"));
        }
        process.terminate();
        assert!(process.wait().success(), "{}", process.stderr());
        let told = process.stderr().matches("access records are lost").count();
        assert!(told <= 3, "a line a second at most:\n{}", process.stderr());
    }
}

#[test]
fn two_thousand_slow_heads_take_little_memory() {
    const CLIENTS: usize = 2_000;
    /// User memory of a connection in the middle of a head of 300 bytes.
    const BYTES_MAX: u64 = 8 << 10;
    let origin = standard::start();
    let ringway: Ringway = start(Config::to(origin.address()));
    let Address::Tcp(address) = ringway.address() else { panic!("it listens on TCP") };
    let port = address.port();
    let head = format!("GET / HTTP/1.1\r\nHost: test\r\nX: {}\r\nY", "y".repeat(260));
    let warm = |clients: &mut Vec<Peer>, count: usize| {
        // Just after its start the proxy may hold a descriptor that it closes next.
        const PASSING: usize = 4;
        let before = ringway.process().descriptors() - PASSING;
        for _ in 0..count {
            let mut client = ringway.connect();
            client.send(head.as_bytes()).unwrap();
            clients.push(client);
        }
        eventually("all are accepted", || ringway.process().descriptors() >= before + count);
        // A connection takes its memory when bytes come: those that it has not received yet would be put down to the next ones.
        eventually("all heads are received", || ringway.process().unreceived_bytes(port) == 0);
    };
    let mut clients = Vec::new();
    // Buffers that the shard has in any case become resident when they are used for the first time.
    warm(&mut clients, 1_100);
    let memory = ringway.process().memory_bytes();
    let first = clients.len();
    warm(&mut clients, CLIENTS - first);
    let each = ringway.process().memory_bytes().saturating_sub(memory) / (CLIENTS - first) as u64;
    println!("{each} bytes of user memory for each slow head");
    assert!(each <= BYTES_MAX, "{each} bytes for each slow head");
}
