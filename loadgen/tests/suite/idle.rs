//! The program itself: held connections, exit statuses, and Ctrl-C.

use std::process::{Command, Output};

use kit::{Nginx, Process, eventually};
use serde_json::Value;

use crate::{
    peers::NginxTls,
    server::{Server, read_head},
};

fn loadgen(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_loadgen")).args(arguments).output().expect("the program")
}

#[test]
fn connections_are_held_from_many_addresses_over_several_processes() {
    let nginx = Nginx::start(None);
    nginx.put("small", b"hello");
    let url = format!("http://{}/small", nginx.address());
    let pid = nginx.process().id().to_string();
    let output = loadgen(&[
        "idle",
        &url,
        "-c",
        "600",
        "--per-address",
        "100",
        "--processes",
        "3",
        "-d",
        "300ms",
        "--request",
        "--keep-alive",
        "100ms",
        "--pid",
        &pid,
        "--active-connections",
        "2",
        "--active-rate",
        "100",
        "--active-duration",
        "300ms",
        "--json",
    ]);
    assert!(output.status.success(), "{output:?}");
    let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!((&report["processes"], &report["state"]["open"]), (&3.into(), &600.into()), "{report}");
    // One answer at first, and one every tenth of a second.
    assert!(report["state"]["answers"].as_u64() > Some(1200), "{report}");
    assert!(report["memory"]["end"]["target"]["resident_bytes"].as_u64() > Some(1 << 20), "{report}");
    assert!(report["load"]["beside"]["p99_ns"].as_u64() > Some(0), "{report}");
}

#[test]
fn connections_are_held_over_tls() {
    let nginx = NginxTls::start();
    let (url, certificate) = (format!("https://{}/", nginx.address()), nginx.certificate());
    let certificate = certificate.to_str().expect("a path in ASCII");
    let hold = |trust: &[&str]| {
        let usual = ["idle", &url, "-c", "50", "-d", "300ms", "--request", "--keep-alive", "100ms", "--json"];
        loadgen(&[&usual[..], trust].concat())
    };
    let output = hold(&["--ca-file", certificate, "--sni", "localhost"]);
    assert!(output.status.success(), "{output:?}");
    let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(report["state"]["open"], 50, "{report}");
    assert!(report["state"]["answers"].as_u64() > Some(100), "{report}");
    assert!(hold(&["--insecure"]).status.success());
    let untrusted = hold(&["--sni", "localhost"]);
    assert!(!untrusted.status.success(), "nobody vouches for this certificate");
    let report: Value = serde_json::from_slice(&untrusted.stdout).expect("JSON");
    assert_eq!((&report["state"]["open"], &report["state"]["errors"]["tls"]), (&0.into(), &50.into()), "{report}");
}

#[test]
fn each_address_has_as_many_connections_as_was_said() {
    let addresses = std::sync::Arc::new(std::sync::Mutex::new(std::collections::BTreeMap::<_, u32>::new()));
    let seen = addresses.clone();
    let server = Server::start(move |mut stream, _| {
        *seen.lock().unwrap().entry(stream.peer_addr().unwrap().ip().to_string()).or_default() += 1;
        read_head(&mut stream);
    });
    let output =
        loadgen(&["idle", &server.url(), "-c", "25", "--per-address", "10", "--processes", "2", "-d", "100ms"]);
    assert!(output.status.success(), "{output:?}");
    let seen: Vec<(String, u32)> = addresses.lock().unwrap().clone().into_iter().collect();
    let expected = [("127.1.0.1", 10), ("127.1.0.2", 10), ("127.1.0.3", 5)];
    assert_eq!(seen, expected.map(|(address, count)| (address.to_owned(), count)));
}

#[test]
fn connections_that_the_target_closes_are_counted_and_told_by_the_status() {
    let server = Server::start(|mut stream, number| {
        if number.is_multiple_of(2) {
            read_head(&mut stream);
        }
    });
    let output = loadgen(&["idle", &server.url(), "-c", "10", "-d", "200ms", "--json"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!((&report["state"]["open"], &report["state"]["closed"]), (&5.into(), &5.into()), "{report}");
}

#[test]
fn the_status_tells_errors_from_misuse() {
    let server = Server::answering("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    let good = loadgen(&[&server.url(), "-q", "-c", "1", "-n", "5", "--json", "-"]);
    assert_eq!(good.status.code(), Some(0), "{good:?}");
    assert!(serde_json::from_slice::<Value>(&good.stdout).is_ok());
    let unexpected = loadgen(&[&server.url(), "-q", "-c", "1", "-n", "5", "--expect-status", "201"]);
    assert_eq!(unexpected.status.code(), Some(1), "{unexpected:?}");
    for misuse in [
        &["http://x:y/"][..],
        &["--rate", "5"],
        &["http://127.0.0.1/", "-d", "10"],
        &["http://127.0.0.1/", "--seed", "1"],
        &["http://127.0.0.1/", "-c", "0"],
        &["http://127.0.0.1/", "ws://127.0.0.1/"],
        &["--scenario", "/does/not/exist"],
        &[],
    ] {
        assert_eq!(loadgen(misuse).status.code(), Some(2), "{misuse:?}");
    }
}

#[test]
fn ctrl_c_ends_the_run_with_the_report_of_what_was_measured() {
    let server = Server::answering("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    let mut command = Command::new(env!("CARGO_BIN_EXE_loadgen"));
    let mut process = Process::spawn("loadgen", command.args([&server.url(), "-c", "2", "-d", "1h", "--json", "-"]));
    eventually("the load runs", || server.accepted() == 2);
    process.signal("INT");
    assert_eq!(process.wait().code(), Some(0), "{}", process.stderr());
    let report: Value = serde_json::from_str(&process.stdout()).expect("JSON");
    assert!(report.to_string().contains("interrupted"), "{report}");
}
