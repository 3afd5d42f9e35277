//! Processes: a worker that falls, generations that follow each other, and whose privileges they have.

use std::fs;
use std::net::UdpSocket;
use std::process::Command;
use std::time::{Duration, Instant};

use kit::process::{children, signal};
use kit::{Address, Config, Origin, Peer, Port, Ringway, Scrape, eventually, standard};

use crate::reload::{assert_echoes, echo, tunnel};
use crate::under_load::Load;
use crate::{BINARY, OK, answering};

fn supervised(config: Config) -> Ringway {
    Ringway::start_supervised(BINARY, config)
}

fn before(origin: &Origin) -> Ringway {
    supervised(Config::to(origin.address()))
}

/// Waits until the worker has handed to the supervisor what it knows now, which it does once a second. Debugging has to be
/// logged ([`telling`]).
pub(crate) fn await_heritage(ringway: &Ringway) {
    let told = || ringway.process().stderr().matches("what the next one is to know").count();
    // The next word may have been written before what it is to contain.
    let enough = told() + 2;
    eventually("the worker has told what it knows", || told() >= enough);
}

/// Logs what happens between supervisor and worker.
pub(crate) fn telling(config: Config) -> Config {
    config.set("log", "level", "\"debug\"")
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
    let config = config.upstream_option("health", "{ failures = 1, ejection_base = '60s' }");
    let ringway = supervised(telling(config));
    let get = || ringway.connect().exchange("GET", &standard::get("/")).unwrap().status();
    eventually("the server is ejected", || get() == 503);
    await_heritage(&ringway);
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
    eventually("the reload is counted by the worker that it has made", || {
        let mut admin = Peer::connect(&Address::Unix(ringway.admin_socket()));
        let page = admin.exchange("GET", b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap().text();
        Scrape::parse(&page).sum("ringway_reloads_total", &[("outcome", "done")]) == Some(1.0)
    });
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

#[test]
fn a_worker_that_falls_while_the_file_is_wrong_comes_back_as_it_was() {
    let origin = standard::start();
    let config = |bytes: u32| Config::to(origin.address()).limit("uri_bytes", format!("\"{bytes}B\""));
    let ringway = supervised(config(100));
    // Not the one that it was started with, but the last good one.
    ringway.reload(config(16));
    ringway.rewrite_as("[[listeners]]\nadress = '127.0.0.1:1'\n");
    assert!(ringway.reload_as_written().contains("not reloaded, nothing has changed"));
    let get = || ringway.connect().exchange("GET", &standard::get("/length/1?longer-than-allowed")).unwrap().status();
    for _ in 0..2 {
        let old = ringway.worker();
        signal(old, "KILL");
        eventually("the worker is gone", || is_gone(old));
        assert_eq!(get(), 414);
    }
    // Once the file is right again it counts.
    ringway.reload(config(100));
    assert_eq!(get(), 200);
}

#[test]
fn what_the_disk_has_comes_into_force_by_a_reload_and_not_by_a_fall() {
    let origin = standard::start();
    let config = |bytes: u32| Config::to(origin.address()).limit("uri_bytes", format!("\"{bytes}B\""));
    let ringway = supervised(config(16));
    ringway.rewrite(config(100));
    let old = ringway.worker();
    signal(old, "KILL");
    eventually("the worker is gone", || is_gone(old));
    let get = || ringway.connect().exchange("GET", &standard::get("/length/1?longer-than-allowed")).unwrap().status();
    assert_eq!(get(), 414);
    ringway.reload(config(100));
    assert_eq!(get(), 200);
}

/// A supervisor that is the first process of a namespace of its own; `None` where this user may have none.
fn first_process(origin: &Origin) -> Option<Ringway> {
    const APART: [&str; 4] = ["unshare", "--pid", "--fork", "--kill-child"];
    if !Command::new(APART[0]).args(&APART[1..]).arg("true").output().is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: this user may have no process namespace of its own");
        return None;
    }
    Some(Ringway::start_supervised_by(&APART, BINARY, Config::to(origin.address())))
}

/// Has a shell in the namespace of `pid` do something.
fn inside(pid: u32, script: &str) {
    let mut command = Command::new("nsenter");
    command.args(["--pid", "--target", &pid.to_string(), "sh", "-c", script]);
    let _ = kit::process::run("nsenter", &mut command, kit::DEADLINE);
}

#[test]
fn as_the_first_process_it_buries_what_others_leave_behind_and_obeys() {
    let origin = standard::start();
    let Some(mut ringway) = first_process(&origin) else { return };
    let pid = ringway.process().children()[0];
    let workers = children(pid);
    let fifo = ringway.folder().join("fifo");
    // The shell ends before what it has started, which ends when the pipe is opened.
    inside(pid, &format!("mkfifo {0} && (read line <{0}) >/dev/null 2>&1 &", fifo.display()));
    eventually("an orphan is adopted", || children(pid).len() == workers.len() + 1);
    eventually("the pipe is there", || fifo.exists());
    fs::write(&fifo, "end\n").unwrap();
    eventually("it is buried", || children(pid) == workers);

    signal(workers[0], "KILL");
    eventually("the worker is gone", || is_gone(workers[0]));
    assert_serves(&ringway);
    // Signals from within reach a first process only if it has asked for them.
    inside(pid, "kill -TERM 1");
    assert_eq!(ringway.wait().code(), Some(0));
}

#[test]
fn no_count_falls_from_one_generation_to_the_next() {
    let origin = standard::start();
    let config = |shards| Config::to(origin.address()).shards(shards).timeout("drain", "20s");
    let ringway = supervised(config(1));
    // Nobody waits for a generation that this one keeps.
    let mut kept = ringway.connect();
    let get = |peer: &mut Peer| assert_eq!(peer.exchange("GET", &standard::get("/length/1")).unwrap().status(), 200);
    let mut counts = Counts::of(&ringway);
    for round in 1_u32..=6 {
        for _ in 0..50 {
            get(&mut ringway.connect());
        }
        get(&mut kept);
        eventually("all are counted", || Counts::of(&ringway).requests >= f64::from(51 * round));
        counts = counts.next(&ringway);
        // At once, so that the latest has not been written down for the next one in the meantime.
        ringway.rewrite(config(1 + (round % 2) as u16));
        assert!(ringway.reload_as_written().contains("a new generation serves"));
        counts = counts.next(&ringway);
        kept = ringway.connect();
    }
    assert_eq!(counts.requests, 306.0);
}

#[test]
fn a_worker_that_falls_while_its_successor_starts_is_counted_to_its_last_word() {
    let origin = standard::start();
    let ringway = supervised(telling(Config::to(origin.address()).shards(1)));
    // The successor waits for the address of a name, from a server that says nothing.
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    silent.set_read_timeout(Some(kit::DEADLINE)).unwrap();
    let config = telling(Config::to(origin.address())).shards(2).upstream("named", &[&"name.test:80"]);
    let config = config.set("dns", "servers", format!("[\"{}\"]", silent.local_addr().unwrap()));
    ringway.rewrite(config.set("dns", "timeout", "\"3s\""));
    let old = ringway.worker();
    ringway.process().signal("HUP");
    silent.recv(&mut [0; 512]).expect("a question");
    for _ in 0..50 {
        assert_serves(&ringway);
    }
    await_heritage(&ringway);
    signal(old, "KILL");
    eventually("the worker is gone", || is_gone(old));
    assert_serves(&ringway);
    eventually("what it counted is counted on", || Counts::of(&ringway).requests >= 51.0);
}

/// What the two ways to ask tell.
#[derive(Debug, Clone, Copy)]
struct Counts {
    requests: f64,
    exchanges: u64,
}

impl Counts {
    fn of(ringway: &Ringway) -> Counts {
        let ask = |path: &str| {
            let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
            let admin = Address::Unix(ringway.admin_socket());
            Peer::connect(&admin).exchange("GET", request.as_bytes()).unwrap().text()
        };
        let requests = Scrape::parse(&ask("/metrics")).sum("ringway_requests_total", &[]).unwrap_or_default();
        let socket = format!("unix:{}", ringway.admin_socket().display());
        let output = Command::new(BINARY).args(["status", "--json", "--admin", &socket]).output().unwrap();
        let status: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
        let counters = status["counters"].as_object().expect("counters");
        let of_exchanges = counters.iter().filter(|(name, _)| name.starts_with("exchanges{"));
        Counts { requests, exchanges: of_exchanges.filter_map(|(_, value)| value.as_u64()).sum() }
    }

    /// The present ones, which are no less than these.
    #[track_caller]
    fn next(self, ringway: &Ringway) -> Counts {
        let now = Counts::of(ringway);
        assert!(now.requests >= self.requests && now.exchanges >= self.exchanges, "{now:?} after {self:?}");
        now
    }
}
