//! Clients that we did not write.

use std::fs;
use std::process::Command;
use std::time::Duration;

use kit::process::run;
use kit::{Config, Nginx, pattern, standard};

use crate::{before, start};

const LIMIT: Duration = Duration::from_secs(30);

/// Runs curl with `arguments`; it fails on any status of 400 and above, and on a body that ends early.
fn curl(arguments: &[&str]) -> Vec<u8> {
    let folder = tempfile::tempdir().expect("a folder");
    let output = folder.path().join("body");
    let mut command = Command::new("curl");
    command.args(["--silent", "--show-error", "--fail", "--max-time", "20", "--noproxy", "*"]);
    let _ = run("curl", command.arg("--output").arg(&output).args(arguments), LIMIT);
    fs::read(output).unwrap_or_default()
}

#[test]
fn curl_gets_a_body_of_each_framing() {
    let origin = standard::start();
    let ringway = before(&origin);
    for target in ["/length/100000", "/chunked/100000", "/close/100000"] {
        assert_eq!(curl(&[&ringway.url(target)]), pattern::bytes(100_000), "{target}");
        assert_eq!(curl(&["--http1.0", &ringway.url(target)]), pattern::bytes(100_000), "{target} with HTTP/1.0");
    }
}

#[test]
fn curl_posts_a_form_and_uploads_a_file() {
    let origin = standard::start();
    let ringway = before(&origin);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("upload");
    fs::write(&file, pattern::bytes(3_000_000)).unwrap();
    let file = file.to_str().unwrap();
    let url = ringway.url("/length/5");

    for arguments in [
        vec!["--data-binary", "a=1&b=2"],
        vec!["--upload-file", file],
        vec!["--upload-file", file, "--http1.0"],
        vec!["--upload-file", file, "--header", "Transfer-Encoding: chunked"],
        vec!["--upload-file", file, "--header", "Expect: 100-continue"],
    ] {
        let headers = folder.path().join("headers");
        let dump = ["--dump-header", headers.to_str().unwrap(), &url];
        assert_eq!(curl(&[arguments.as_slice(), &dump].concat()), pattern::bytes(5));
        let head = fs::read_to_string(headers).unwrap();
        let received = head.lines().find_map(|line| line.strip_prefix("X-Body: ")).expect("the origin's judgement");
        let expected = if arguments[0] == "--upload-file" { "3000000" } else { "7 wrong at 0" };
        assert_eq!(received, expected, "{arguments:?}");
    }
}

#[test]
fn curl_asks_for_a_head_alone() {
    let origin = standard::start();
    let ringway = before(&origin);
    let head = String::from_utf8(curl(&["--head", &ringway.url("/length/12345")])).unwrap();
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    assert!(head.to_ascii_lowercase().contains("content-length: 12345\r\n"), "{head}");
}

#[test]
fn curl_keeps_one_connection_for_two_urls() {
    let origin = standard::start();
    let ringway = before(&origin);
    let mut command = Command::new("curl");
    command.args(["--silent", "--noproxy", "*", "--write-out", "%{num_connects},", "--output", "/dev/null"]);
    command.arg(ringway.url("/length/10")).args(["--output", "/dev/null"]).arg(ringway.url("/chunked/10"));
    assert_eq!(run("curl", &mut command, LIMIT), "1,0,");
    assert_eq!(origin.accepted(), 1);
}

#[test]
fn wrk_runs_clean() {
    let nginx = Nginx::start(None);
    let ringway = start(Config::to(nginx.address()).shards(2));
    let mut command = Command::new("wrk");
    let report = run("wrk", command.args(["-t1", "-c50", "-d1s", "--timeout", "10s", &ringway.url("/echo")]), LIMIT);
    assert!(!report.contains("Socket errors") && !report.contains("Non-2xx"), "{report}");
    let requests = report.lines().find_map(|line| line.trim().split_once(" requests in ")).expect("a count").0;
    assert!(requests.parse::<u64>().unwrap() > 500, "{report}");
}

#[test]
fn h2load_runs_clean_over_http1() {
    let nginx = Nginx::start(None);
    nginx.put("file", &pattern::bytes(20_000));
    let ringway = start(Config::to(nginx.address()).shards(2));
    let mut command = Command::new("h2load");
    let report = run("h2load", command.args(["--h1", "-n5000", "-c25", "-m1", &ringway.url("/file")]), LIMIT);
    assert!(report.contains("5000 succeeded, 0 failed, 0 errored, 0 timeout"), "{report}");
    assert!(report.contains("status codes: 5000 2xx"), "{report}");
}

#[test]
fn pythons_http_client_keeps_one_connection_for_everything() {
    let origin = standard::start();
    let ringway = before(&origin);
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/e2e/http_client.py");
    let address = ringway.address().to_string();
    let (host, port) = address.split_once(':').unwrap();
    assert_eq!(run("python3", Command::new("python3").args([script, host, port]), LIMIT), "done\n");
}
