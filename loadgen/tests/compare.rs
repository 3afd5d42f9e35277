//! `loadgen compare`, from the command line to what it writes.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    process::{Command, Output},
    thread,
};

/// A server that answers each request without a body with `status`. It ends with the test's process.
fn serve(status: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let stream = stream.unwrap();
            thread::spawn(move || answer(&stream, status));
        }
    });
    address
}

fn answer(mut stream: &TcpStream, status: &str) {
    stream.set_nodelay(true).unwrap();
    for line in BufReader::new(stream).lines() {
        match line {
            Ok(line) if line.is_empty() => {
                let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 5\r\n\r\nhello");
                if stream.write_all(answer.as_bytes()).is_err() {
                    return;
                }
            }
            Ok(_) => {}
            Err(_) => return,
        }
    }
}

fn loadgen(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_loadgen")).args(arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn targets_are_compared_and_metered() {
    let (one, other) = (serve("200 OK"), serve("200 OK"));
    let folder = tempfile::tempdir().unwrap();
    let (json, html) = (folder.path().join("compare.json"), folder.path().join("compare.html"));
    let output = loadgen(&[
        "compare",
        &format!("one=http://{one}/"),
        &format!("other=http://{other}/"),
        &format!("--pid=other={}", std::process::id()),
        "--rounds=6",
        "--requests=200",
        "--connections=4",
        "--threads=1",
        "--quiet",
        &format!("--json={}", json.display()),
        &format!("--html={}", html.display()),
    ]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let table = text(&output.stdout);
    for words in ["6 rounds", "requests a second", "CPU a request", "memory"] {
        assert!(table.contains(words), "{words}:\n{table}");
    }
    let told: serde_json::Value = serde_json::from_str(&fs::read_to_string(&json).unwrap()).unwrap();
    let rounds = told["targets"][1]["rounds"].as_array().unwrap();
    assert_eq!(rounds.len(), 6);
    assert!(
        rounds.iter().all(|round| round["requests"] == 200 && round["memory"]["resident_bytes"].as_u64() > Some(0))
    );
    assert!(told["targets"][0]["rounds"][0].get("memory").is_none());
    assert!(fs::read_to_string(&html).unwrap().contains("Ratios to one"));
}

#[test]
fn a_target_that_only_fails_ends_the_comparison() {
    let (one, other) = (serve("200 OK"), serve("503 Service Unavailable"));
    let target = |address| format!("http://{address}/");
    let output = loadgen(&["compare", &target(one), &target(other), "--duration=100ms", "--threads=1", "--quiet"]);
    assert_eq!(output.status.code(), Some(1));
    let error = text(&output.stderr);
    assert!(
        error.contains(&format!("{other}/ answered nothing as expected in the warm-up (unexpected status: ")),
        "{error}"
    );
}

#[test]
fn what_a_run_kept_is_drawn_again() {
    let folder = tempfile::tempdir().unwrap();
    let (json, html) = (folder.path().join("run.json"), folder.path().join("runs.html"));
    let url = format!("http://{}/", serve("200 OK"));
    let run = loadgen(&[&url, "-n", "100", "-t", "1", "-c", "2", "-q", "--json", json.to_str().unwrap()]);
    assert!(run.status.success(), "{}", text(&run.stderr));
    let (before, after) = (format!("before={}", json.display()), format!("after={}", json.display()));
    let drawn = loadgen(&["report", &before, &after, "--html", html.to_str().unwrap()]);
    assert!(drawn.status.success(), "{}", text(&drawn.stderr));
    assert!(fs::read_to_string(&html).unwrap().contains("<h1>before, after</h1>"));
    let told = loadgen(&["report", json.to_str().unwrap()]);
    assert_eq!(text(&told.stdout), text(&run.stdout));
}
