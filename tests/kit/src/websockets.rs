//! WebSockets (RFC 6455) by Python's `websockets`, which we did not write: keys and their answers, masks, frames of every
//! length, pings and the closing handshake are its own, and it judges the other end's.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use crate::process::run;
use crate::{Address, Port, Process};

/// A server whose connections send back whatever message comes.
#[derive(Debug)]
pub struct WebSocketServer {
    _process: Process,
    port: Port,
}

impl WebSocketServer {
    /// Starts it on a free port.
    ///
    /// # Panics
    /// If it does not come to listen.
    #[must_use]
    pub fn start() -> WebSocketServer {
        let port = Port::take();
        let mut process = Process::spawn("websockets", python().args(["serve", &port.number().to_string()]));
        process.wait_until_listening(&port.address());
        WebSocketServer { _process: process, port }
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> Address {
        self.port.address()
    }
}

/// Clients that are connected and stay so.
#[derive(Debug)]
pub struct WebSocketClients {
    child: Child,
    orders: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl WebSocketClients {
    /// Opens `count` connections to `url` (`http://…`).
    ///
    /// # Panics
    /// If one of them is not opened as RFC 6455 says.
    #[must_use]
    pub fn open(url: &str, count: usize) -> WebSocketClients {
        let mut command = python();
        command.args(["hold", &socket_url(url), &count.to_string()]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("Python's websockets (tests/install.sh installs what the tests need)");
        let answers = BufReader::new(child.stdout.take().expect("a pipe"));
        let orders = child.stdin.take();
        let mut clients = WebSocketClients { child, orders, answers };
        clients.expect("open");
        clients
    }

    /// Has each of them send messages, small and large, and receive the same.
    ///
    /// # Panics
    /// If one of them gets something else, or nothing within 20 s.
    #[track_caller]
    pub fn assert_echo(&mut self) {
        let told = self.orders.as_mut().expect("they are open").write_all(b"echo\n");
        told.expect("the clients' process lives");
        self.expect("echoed");
    }

    /// Closes them by the closing handshake.
    ///
    /// # Panics
    /// If the other end does not take part in it.
    #[track_caller]
    pub fn close(mut self) {
        self.orders = None;
        self.expect("closed");
    }

    /// Waits until all of them have been closed by the closing handshake, with this code.
    ///
    /// # Panics
    /// If one of them is not.
    #[track_caller]
    pub fn assert_closed_with(mut self, code: u16) {
        let told = self.orders.as_mut().expect("they are open").write_all(b"wait\n");
        told.expect("the clients' process lives");
        self.expect(&format!("closed with [{code}]"));
    }

    /// What went wrong stands on standard error.
    #[track_caller]
    fn expect(&mut self, expected: &str) {
        let mut line = String::new();
        self.answers.read_line(&mut line).expect("text");
        assert_eq!(line.trim_end(), expected, "what the clients say");
    }
}

impl Drop for WebSocketClients {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Whether messages are compressed (permessage-deflate, RFC 7692).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Messages {
    /// If the server agrees, which it does.
    Compressed,
    /// The client does not offer it.
    Plain,
}

/// Says many things to `url` (`http://…`) on several connections, and checks what comes back.
///
/// # Panics
/// If something else comes back.
pub fn speak(url: &str, messages: Messages) {
    let compression = if messages == Messages::Compressed { "deflate" } else { "none" };
    let said = run("websockets", python().args(["speak", &socket_url(url), compression]), Duration::from_secs(40));
    assert_eq!(said, "done\n");
}

fn socket_url(url: &str) -> String {
    url.replacen("http", "ws", 1)
}

fn python() -> Command {
    // Debian's interpreter, which has Debian's packages.
    let python = if Path::new("/usr/bin/python3").exists() { "/usr/bin/python3" } else { "python3" };
    let mut command = Command::new(python);
    command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/src/websockets_peers.py"));
    command
}
