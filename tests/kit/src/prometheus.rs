//! A Prometheus that scrapes the proxy under test.

use std::fmt::Display;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use crate::{Address, Peer, Port, Process, eventually, process};

/// How long promtool may take.
const LIMIT: Duration = Duration::from_secs(60);

/// Prometheus as Debian packages it, scraping twice a second.
#[derive(Debug)]
pub struct Prometheus {
    process: Process,
    address: Address,
    _port: Port,
    _folder: TempDir,
}

impl Prometheus {
    /// Starts it. It scrapes `/metrics` at `target` with the token in the file at `token`, and loads the rules of the file at
    /// `rules`.
    ///
    /// # Panics
    /// If it does not come to listen.
    #[must_use]
    pub fn start(target: impl Display, token: &Path, rules: &Path) -> Prometheus {
        let port = Port::take();
        let folder = tempfile::tempdir().expect("a folder for Prometheus");
        let (token, rules) = (token.display(), rules.display());
        let configuration = format!(
            "global: {{ scrape_interval: 500ms, scrape_timeout: 500ms, evaluation_interval: 1s }}\n\
             rule_files: [{rules}]\n\
             scrape_configs:\n\
             \x20 - job_name: ringway\n\
             \x20   authorization: {{ credentials_file: {token} }}\n\
             \x20   static_configs: [{{ targets: [\"{target}\"] }}]\n"
        );
        let file = folder.path().join("prometheus.yml");
        fs::write(&file, configuration).expect("Prometheus' configuration");
        let mut command = Command::new("prometheus");
        command.arg(format!("--config.file={}", file.display()));
        command.arg(format!("--storage.tsdb.path={}", folder.path().join("data").display()));
        command.arg(format!("--web.listen-address={}", port.address())).arg("--log.level=warn");
        let mut process = Process::spawn("prometheus", &mut command);
        process.wait_until_listening(&port.address());
        eventually("Prometheus is ready", || {
            let ready =
                Peer::connect(&port.address()).exchange("GET", b"GET /-/ready HTTP/1.1\r\nHost: prometheus\r\n\r\n");
            ready.is_ok_and(|answer| answer.status() == 200)
        });
        Prometheus { process, address: port.address(), _port: port, _folder: folder }
    }

    /// The answer to an API request for `path`: what it calls `data`.
    ///
    /// # Panics
    /// If it is refused.
    #[must_use]
    #[track_caller]
    pub fn api(&self, path: &str) -> Value {
        let request = format!("GET /api/v1/{path} HTTP/1.1\r\nHost: prometheus\r\n\r\n");
        let answer = Peer::connect(&self.address).exchange("GET", request.as_bytes()).expect("an answer");
        let mut answer: Value = serde_json::from_str(&answer.text()).expect("JSON");
        assert_eq!(answer["status"], "success", "{path}: {answer}");
        answer["data"].take()
    }

    /// What a query gives now: the samples of a vector.
    ///
    /// # Panics
    /// If the query is refused.
    #[must_use]
    #[track_caller]
    pub fn query(&self, query: &str) -> Vec<Value> {
        let answer = self.api(&format!("query?query={}", percent_encoded(query)));
        answer["result"].as_array().cloned().unwrap_or_default()
    }

    /// What it has written to its log.
    #[must_use]
    pub fn log(&self) -> String {
        self.process.stderr()
    }
}

/// Runs promtool, Prometheus' tool for its files, in `folder` with `input`, and returns what it says.
///
/// # Panics
/// If it finds something wrong; the message has what it said.
#[track_caller]
#[must_use]
pub fn promtool(folder: &Path, arguments: &[&str], input: &str) -> String {
    let scratch = tempfile::tempdir().expect("a folder for the input");
    let file = scratch.path().join("input");
    fs::write(&file, input).expect("a file for the input");
    let mut command = Command::new("sh");
    // What is wrong it says on standard error.
    command.args(["-c", "promtool \"$@\" <\"$INPUT\" 2>&1", "promtool"]).args(arguments);
    process::run("promtool", command.env("INPUT", &file).current_dir(folder), LIMIT)
}

fn percent_encoded(text: &str) -> String {
    let encode = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => char::from(byte).to_string(),
        byte => format!("%{byte:02X}"),
    };
    text.bytes().map(encode).collect()
}
