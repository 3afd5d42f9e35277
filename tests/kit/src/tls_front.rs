//! TLS for peers that have none: what they say without it reaches a server with it.

use std::path::Path;
use std::process::Command;

use crate::{Address, Peer, Process, eventually};

/// A process that takes connections without TLS and speaks it, by OpenSSL, with the server behind it.
#[derive(Debug)]
pub struct TlsFront {
    process: Process,
    address: Address,
}

impl TlsFront {
    /// Speaks TLS of `version`, `1.2` or `1.3`, with `server`, whom it asks for `name` and verifies by the certificate in
    /// `authority`.
    ///
    /// # Panics
    /// If it does not come to listen.
    #[must_use]
    pub fn start(server: &Address, name: &str, authority: &Path, version: &str) -> TlsFront {
        TlsFront::start_as(None, server, name, authority, version)
    }

    /// As [`TlsFront::start`], and shows the certificate in the file `identity`, which has its key as well, to servers that ask.
    ///
    /// # Panics
    /// If it does not come to listen.
    #[must_use]
    pub fn start_as(
        identity: Option<&Path>,
        server: &Address,
        name: &str,
        authority: &Path,
        version: &str,
    ) -> TlsFront {
        let server = server.to_string();
        let (host, port) = server.rsplit_once(':').expect("an address with a port");
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/src/tls_front.py");
        let mut command = Command::new("python3");
        command.args([script, host, port, name]).arg(authority).arg(version).args(identity);
        let process = Process::spawn("python3", &mut command);
        eventually("the front listens", || process.stdout().ends_with('\n'));
        let address = format!("127.0.0.1:{}", process.stdout().trim()).parse().expect("a port");
        TlsFront { process, address: Address::Tcp(address) }
    }

    /// The URL of `path` there.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// A new connection through it.
    ///
    /// # Panics
    /// If it is refused.
    #[must_use]
    #[track_caller]
    pub fn connect(&self) -> Peer {
        Peer::connect(&self.address)
    }

    /// What it has complained of.
    #[must_use]
    pub fn complaints(&self) -> String {
        self.process.stderr()
    }
}
