//! Processes: a worker that falls, generations that follow each other, and whose privileges they have.

use std::fs;
use std::time::{Duration, Instant};

use kit::process::signal;
use kit::{Config, Origin, Peer, Port, Ringway, eventually, standard};

use crate::reload::{assert_echoes, echo, tunnel};
use crate::under_load::Load;
use crate::{BINARY, OK, answering};

fn supervised(config: Config) -> Ringway {
    Ringway::start_supervised(BINARY, config)
}

fn before(origin: &Origin) -> Ringway {
    supervised(Config::to(origin.address()))
}

#[track_caller]
fn assert_serves(ringway: &Ringway) {
    assert_eq!(ringway.connect().exchange("GET", &standard::get("/length/1")).unwrap().status(), 200);
}

fn is_gone(pid: u32) -> bool {
    !fs::exists(format!("/proc/{pid}")).unwrap()
}

/// Waits until the reload that was ordered has led to a new generation, and the old one has ended.
#[track_caller]
fn renew(ringway: &Ringway, config: Config) {
    let old = ringway.worker();
    ringway.rewrite(config);
    let told = ringway.reload_as_written();
    assert!(told.contains("a new generation serves"), "{told}");
    eventually("the old generation ends", || is_gone(old));
}

#[test]
fn a_worker_that_is_killed_is_replaced_and_connections_wait_for_it() {
    let origin = standard::start();
    let ringway = before(&origin);
    for round in 0..3 {
        let old = ringway.worker();
        signal(old, "KILL");
        eventually("the worker is gone", || is_gone(old));
        let begun = Instant::now();
        assert_serves(&ringway);
        // The first comes back at once, the others after 0.1 s and 0.2 s. Builds for debugging take their time, too.
        assert!(begun.elapsed() < Duration::from_secs(2), "back after {:?} in round {round}", begun.elapsed());
    }
    assert!(ringway.process().stderr().contains("crash loop: 3 workers fell in a row"));
    let mut ringway = ringway;
    ringway.terminate();
    assert_eq!(ringway.wait().code(), Some(0));
}

#[test]
fn an_ejection_survives_the_worker_that_found_it_out() {
    let good = answering(OK);
    let bad = answering("HTTP/1.1 503 Bad\r\nContent-Length: 0\r\n\r\n");
    let config = Config::new().upstream("app", &[good.address(), bad.address()]).route(None, "/", "app");
    let ringway = supervised(config.upstream_option("health", "{ failures = 1, ejection_base = '60s' }"));
    let get = || ringway.connect().exchange("GET", &standard::get("/")).unwrap().status();
    eventually("the server is ejected", || get() == 503);
    // What a worker knows is handed on once a second.
    std::thread::sleep(Duration::from_millis(2_500));
    let old = ringway.worker();
    signal(old, "KILL");
    eventually("the worker is gone", || is_gone(old));
    assert!((0..8).all(|_| get() == 200), "the next worker knows what the last one knew");
}

#[test]
fn listeners_come_and_go_and_what_is_under_way_stays() {
    let origin = echo();
    let plain = standard::start();
    let config = || Config::to(plain.address()).upstream("echo", &[origin.address()]).route(Some("test"), "/", "echo");
    let ringway = supervised(config());
    let mut client = tunnel(&ringway);
    let port = Port::take();
    let old = ringway.worker();
    ringway.rewrite(config().listen(port.address()));
    assert!(ringway.reload_as_written().contains("a new generation serves"));
    assert_ne!(ringway.worker(), old);
    let get = || b"GET /length/1 HTTP/1.1\r\nHost: other\r\n\r\n".to_vec();
    assert_eq!(Peer::connect(&port.address()).exchange("GET", &get()).unwrap().status(), 200);
    assert_echoes(&mut client, "through the generations");
    drop(client);
    eventually("the old generation ends", || is_gone(old));
    renew(&ringway, config());
    eventually("the listener is gone", || Peer::try_connect(&port.address()).is_err());
}

#[test]
fn an_address_that_is_taken_changes_nothing() {
    let origin = standard::start();
    let ringway = before(&origin);
    let taken = answering(OK);
    ringway.rewrite(Config::to(origin.address()).listen(taken.address()));
    let told = ringway.reload_as_written();
    assert!(told.contains("not reloaded") && told.contains("another process listens there"), "{told}");
    assert_serves(&ringway);
}

#[test]
fn no_request_is_lost_while_shards_come_and_go() {
    let origin = standard::start();
    let config = |shards| Config::to(origin.address()).shards(shards).timeout("drain", "5s");
    let ringway = supervised(config(2));
    let load = Load::start(ringway.address());
    for shards in [3, 1, 2, 1] {
        renew(&ringway, config(shards));
        load.go_on();
    }
    load.assert_lossless();
}

#[test]
fn a_fallen_supervisor_takes_its_worker_along() {
    let origin = standard::start();
    let mut ringway = before(&origin);
    let worker = ringway.worker();
    ringway.process().signal("KILL");
    ringway.wait();
    eventually("the worker ends", || is_gone(worker));
}

#[test]
fn a_worker_gives_up_the_privileges_of_its_supervisor() {
    let of_process = |pid: u32, field: &str| -> String {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let line = status.lines().find(|line| line.starts_with(field)).unwrap_or_default();
        line.trim_start_matches(field).split_whitespace().collect::<Vec<_>>().join(" ")
    };
    let me = std::process::id();
    if !of_process(me, "Uid:").starts_with("0 ") {
        eprintln!("skipped: only root has privileges to give up");
        return;
    }
    let origin = standard::start();
    // The executable and the configuration have to be within reach of everybody.
    let config = Config::to(origin.address()).set("process", "user", "\"nobody\"");
    // The folder of the test is not the worker's: it could not have its socket there.
    let ringway = supervised(config.set("admin", "address", "\"off\""));
    let worker = ringway.worker();
    assert!(of_process(ringway.process().id(), "Uid:").starts_with("0 "));
    let ids = of_process(worker, "Uid:");
    assert!(!ids.split(' ').any(|id| id == "0"), "{ids}");
    assert_eq!(of_process(worker, "Groups:"), "");
    assert_serves(&ringway);
}
