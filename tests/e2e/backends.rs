//! What the shards run on, and what is said of it.

use kit::{Config, Ringway, eventually, standard};

use crate::BINARY;

/// Has io_uring refused to the program that follows.
const REFUSING: [&str; 3] = ["python3", concat!(env!("CARGO_MANIFEST_DIR"), "/tests/e2e/refuse.py"), "io_uring_setup"];

fn config(origin: &kit::Origin, io: &str) -> Config {
    Config::to(origin.address()).shards(2).set("shards", "io", format!("{io:?}"))
}

#[test]
fn where_io_uring_is_refused_epoll_serves_and_the_log_says_why() {
    let origin = standard::start();
    let ringway = Ringway::start_by(&REFUSING, BINARY, config(&origin, "auto"));
    let mut client = ringway.connect();
    for size in [0, 1, 100_000, 5_000_000] {
        client.send(&standard::get(&format!("/length/{size}"))).unwrap();
        client.read_pattern_response("GET", size).unwrap();
    }
    client.send(b"PUT /length/10 HTTP/1.1\r\nHost: test\r\nContent-Length: 3000000\r\n\r\n").unwrap();
    client.send_pattern(0, 3_000_000).unwrap();
    let head = client.read_pattern_response("PUT", 10).unwrap();
    assert_eq!(head.field("x-body"), Some("3000000"));
    let log = ringway.process().stderr();
    assert_eq!(log.matches("serving by epoll").count(), 1, "{log}");
    assert!(log.contains("Operation not permitted") && log.contains("kernel.io_uring_disabled=0"), "{log}");
    assert!(log.contains("on epoll"), "{log}");
}

#[test]
fn a_start_that_insists_on_io_uring_fails_where_it_is_refused() {
    let origin = standard::start();
    let folder = tempfile::tempdir().unwrap();
    let config = config(&origin, "io_uring").listen("127.0.0.1:0");
    let mut process = Ringway::spawn_by(&REFUSING, BINARY, &config, folder.path());
    assert_eq!(process.wait().code(), Some(1));
    let log = process.stderr();
    assert!(log.contains("the kernel refuses io_uring") && !log.contains("epoll"), "{log}");
}

#[test]
fn the_backend_that_was_asked_for_is_in_use() {
    let origin = standard::start();
    for (io, rings) in [("epoll", 0), ("io_uring", 2)] {
        let ringway = Ringway::start(BINARY, config(&origin, io));
        ringway.connect().exchange("GET", &standard::get("/length/1")).unwrap();
        eventually("it says what it runs on", || ringway.process().stderr().contains(&format!("on {io}")));
        let folder = format!("/proc/{}/fd", ringway.process().id());
        let links =
            std::fs::read_dir(folder).unwrap().filter_map(|entry| std::fs::read_link(entry.unwrap().path()).ok());
        let links: Vec<String> = links.map(|link| link.display().to_string()).collect();
        assert_eq!(links.iter().filter(|link| link.contains("[io_uring]")).count(), rings, "{links:?}");
    }
}
