//! A client of HTTP/2, driven frame by frame from a test, and right or wrong as the test says. It is Python's hyperframe and hpack, which
//! share nothing with the proxy; `http2_peer.py` says what it can be told.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::{Value, json};

use crate::Address;

/// One connection, whose preface and settings have been exchanged.
#[derive(Debug)]
pub struct Http2Client {
    child: Child,
    orders: ChildStdin,
    results: BufReader<ChildStdout>,
    /// The server's settings, by their numbers.
    pub settings: Value,
    /// What was agreed on by ALPN.
    pub protocol: Option<String>,
}

/// What has come on a stream.
#[derive(Debug)]
pub struct Answer(Value);

/// Fields of a head, in their order.
pub type Fields<'a> = &'a [(&'a str, &'a str)];

impl Http2Client {
    /// A connection by prior knowledge.
    ///
    /// # Panics
    /// If the server does not greet as one of HTTP/2 does.
    #[must_use]
    pub fn connect(address: &Address) -> Http2Client {
        Http2Client::start(python().arg(address.to_string()), &json!({}))
    }

    /// The same, with these settings.
    ///
    /// # Panics
    /// As there.
    #[must_use]
    pub fn connect_with(address: &Address, settings: &Value) -> Http2Client {
        Http2Client::start(python().arg(address.to_string()), settings)
    }

    /// A connection over TLS to the host `name`, whose certificate `authority` has signed, that offers `protocols`.
    ///
    /// # Panics
    /// As there.
    #[must_use]
    pub fn connect_tls(address: &Address, authority: &Path, name: &str, protocols: &str) -> Http2Client {
        let mut command = python();
        Http2Client::start(command.arg(address.to_string()).arg(authority).args([name, protocols]), &json!({}))
    }

    fn start(command: &mut Command, settings: &Value) -> Http2Client {
        let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut child = child.expect("Python (tests/install.sh installs what the tests need)");
        let orders = child.stdin.take().expect("a pipe");
        let results = BufReader::new(child.stdout.take().expect("a pipe"));
        let mut client = Http2Client { child, orders, results, settings: Value::Null, protocol: None };
        let greeted = client.order(&json!({ "do": "greet", "settings": settings }));
        client.protocol = greeted["protocol"].as_str().map(str::to_owned);
        client.settings = greeted["settings"].clone();
        client
    }

    /// Has it do something that has no verb of its own here.
    ///
    /// # Panics
    /// If it cannot be done.
    #[track_caller]
    pub fn order(&mut self, order: &Value) -> Value {
        writeln!(self.orders, "{order}").expect("the client lives");
        let mut line = String::new();
        self.results.read_line(&mut line).expect("text");
        let result: Value = serde_json::from_str(&line).unwrap_or_else(|_| panic!("{order}: no result, but {line:?}"));
        assert!(result["error"].is_null(), "{order}: {result}");
        result
    }

    /// Begins a request with these fields, pseudo-header fields included, which may have a body if it does not `end`.
    #[track_caller]
    pub fn open(&mut self, fields: Fields<'_>, end: bool) -> u32 {
        self.order(&json!({ "do": "open", "fields": fields, "end": end }))["stream"].as_u64().expect("a number") as u32
    }

    /// Begins a request for `path` of the host `test`, with further fields.
    #[track_caller]
    pub fn request(&mut self, method: &str, path: &str, more: Fields<'_>, end: bool) -> u32 {
        let scheme = if self.protocol.is_some() { "https" } else { "http" };
        let pseudo = [(":method", method), (":scheme", scheme), (":authority", "test"), (":path", path)];
        self.open(&[&pseudo, more].concat(), end)
    }

    /// Asks for `path` and gives out the answer when it is whole.
    #[track_caller]
    pub fn get(&mut self, path: &str) -> Answer {
        let stream = self.request("GET", path, &[], true);
        self.wait(stream)
    }

    /// Begins to ask for `path`, and takes of the answer no more than a window.
    #[track_caller]
    pub fn hold(&mut self, path: &str) -> u32 {
        let fields = [(":method", "GET"), (":scheme", "http"), (":authority", "test"), (":path", path)];
        self.order(&json!({ "do": "open", "fields": fields, "hold": true }))["stream"].as_u64().expect("a number")
            as u32
    }

    /// Sends `length` bytes of the pattern from `start` on, as the windows let it. Returns how many went.
    #[track_caller]
    pub fn send(&mut self, stream: u32, start: u64, length: u64, end: bool) -> u64 {
        let order = json!({ "do": "data", "stream": stream, "start": start, "length": length, "end": end });
        self.order(&order)["sent"].as_u64().expect("a number")
    }

    /// Sends a text.
    #[track_caller]
    pub fn send_text(&mut self, stream: u32, text: &str, end: bool) {
        self.order(&json!({ "do": "data", "stream": stream, "text": text, "end": end }));
    }

    /// Ends a request with trailers.
    #[track_caller]
    pub fn trail(&mut self, stream: u32, fields: Fields<'_>) {
        self.order(&json!({ "do": "trail", "stream": stream, "fields": fields }));
    }

    /// Waits for the end of an answer.
    #[track_caller]
    pub fn wait(&mut self, stream: u32) -> Answer {
        self.wait_till(stream, "end", 0)
    }

    /// Waits for the `end`, the `head`, the `reset`, so many `bytes`, or more than so many `informational` heads of an answer; the stream's
    /// or the connection's end ends the waiting too.
    #[track_caller]
    pub fn wait_till(&mut self, stream: u32, till: &str, length: u64) -> Answer {
        Answer(self.order(&json!({ "do": "wait", "stream": stream, "till": till, "length": length })))
    }

    /// Takes a request back.
    #[track_caller]
    pub fn reset(&mut self, stream: u32) {
        self.order(&json!({ "do": "reset", "stream": stream }));
    }

    /// Lets the server send so many bytes more on the stream.
    #[track_caller]
    pub fn grant(&mut self, stream: u32, bytes: u32) {
        self.order(&json!({ "do": "grant", "stream": stream, "length": bytes }));
    }

    /// Sends bytes as they are, so many times.
    #[track_caller]
    pub fn raw(&mut self, bytes: &[u8], times: u32) {
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        self.order(&json!({ "do": "frames", "hex": hex, "times": times }));
    }

    /// Whether a ping behind all that was sent is answered: then it was read, and the connection stands.
    #[track_caller]
    pub fn is_answered(&mut self) -> bool {
        self.order(&json!({ "do": "ping" }))["pong"].as_bool().expect("a truth")
    }

    /// The error codes of the GOAWAYs that have come; waits for the end of the connection.
    #[track_caller]
    pub fn wait_for_end(&mut self) -> Vec<u64> {
        let ended = self.order(&json!({ "do": "end" }));
        assert_eq!(ended["closed"], true);
        codes(&ended)
    }

    /// The error codes of the GOAWAYs that have come; waits for one more.
    #[track_caller]
    pub fn wait_for_goaway(&mut self) -> Vec<u64> {
        codes(&self.order(&json!({ "do": "told", "seconds": 1 })))
    }
}

impl Drop for Http2Client {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Answer {
    /// The status; 0 if none has come.
    #[must_use]
    pub fn status(&self) -> u64 {
        self.0["status"].as_u64().unwrap_or(0)
    }

    /// The first field of that name.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&str> {
        self.values(name).first().copied()
    }

    /// All fields of that name.
    #[must_use]
    pub fn values(&self, name: &str) -> Vec<&str> {
        values(&self.0["headers"], name)
    }

    /// All trailers of that name.
    #[must_use]
    pub fn trailers(&self, name: &str) -> Vec<&str> {
        values(&self.0["trailers"], name)
    }

    /// The statuses of the answers before the answer.
    #[must_use]
    pub fn informational(&self) -> Vec<u64> {
        let heads = self.0["informational"].as_array().into_iter().flatten();
        heads.filter_map(|head| head[0].as_u64()).collect()
    }

    /// The first bytes of the body as text.
    #[must_use]
    pub fn text(&self) -> &str {
        self.0["text"].as_str().unwrap_or_default()
    }

    /// Bytes of the body.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.0["bytes"].as_u64().unwrap_or(0)
    }

    /// Whether the answer is whole.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.0["ended"] == true
    }

    /// The code with which the stream was reset, if it was.
    #[must_use]
    pub fn reset(&self) -> Option<u64> {
        self.0["reset"].as_u64()
    }

    /// Demands 200 and the first `length` bytes of the pattern.
    ///
    /// # Panics
    /// If anything else came.
    #[track_caller]
    pub fn assert_pattern(&self, length: u64) {
        let came = (self.status(), self.bytes(), self.is_whole(), self.0["is_pattern"].as_bool());
        assert_eq!(came, (200, length, true, Some(true)), "{:?}", self.0);
    }
}

fn values<'a>(fields: &'a Value, name: &str) -> Vec<&'a str> {
    let fields = fields.as_array().into_iter().flatten();
    fields.filter(|field| field[0] == name).filter_map(|field| field[1].as_str()).collect()
}

fn codes(told: &Value) -> Vec<u64> {
    let goaways = told["goaways"].as_array().into_iter().flatten();
    goaways.filter_map(|goaway| goaway[0].as_u64()).collect()
}

fn python() -> Command {
    // Debian's interpreter, which has Debian's packages.
    let python = if Path::new("/usr/bin/python3").exists() { "/usr/bin/python3" } else { "python3" };
    let mut command = Command::new(python);
    command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/src/http2_peer.py"));
    command
}
