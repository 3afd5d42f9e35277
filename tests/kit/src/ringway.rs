//! The proxy under test.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use crate::{Address, Config, DEADLINE, Peer, Port, Process, Turn, eventually};

/// Name of the socket of the admin API, in the folder of the configuration.
const ADMIN_SOCKET: &str = "admin.sock";

/// A running proxy. When it is dropped it is killed; it must run until then, unless the test has seen it end
/// ([`Ringway::wait`]), and its log must not tell of a panic.
#[derive(Debug)]
pub struct Ringway {
    process: Process,
    /// Whether the test has seen it end.
    ended: bool,
    address: Address,
    _port: Port,
    folder: TempDir,
    _turn: Option<Turn>,
}

impl Ringway {
    /// Starts `binary` with `config` and waits until it listens and says so. It listens on a free port, and wherever `config` says.
    /// The environment variable `RINGWAY_BINARY` names another binary, a release build for instance.
    ///
    /// # Panics
    /// If it does not come to listen; the message has what it wrote.
    #[must_use]
    pub fn start(binary: impl AsRef<Path>, config: Config) -> Ringway {
        Ringway::start_by(&[], binary, config)
    }

    /// Like [`Ringway::start`], by a command that confines its process and then becomes the program that follows it.
    ///
    /// # Panics
    /// If it does not come to listen; the message has what it wrote.
    #[must_use]
    pub fn start_by(command: &[&str], binary: impl AsRef<Path>, config: Config) -> Ringway {
        let turn = Turn::shared();
        Ringway::launch(command, binary.as_ref(), config, Some(turn))
    }

    /// Like [`Ringway::start`], for a test that holds a [`Turn`] of its own.
    ///
    /// # Panics
    /// If it does not come to listen; the message has what it wrote.
    #[must_use]
    pub fn start_in_turn(binary: impl AsRef<Path>, config: Config) -> Ringway {
        Ringway::launch(&[], binary.as_ref(), config, None)
    }

    fn launch(command: &[&str], binary: &Path, config: Config, turn: Option<Turn>) -> Ringway {
        let port = Port::take();
        let address = port.address();
        let folder = tempfile::tempdir().expect("a folder for the configuration");
        let mut process = Ringway::spawn_by(command, binary, &config.listen(&address), folder.path());
        process.wait_until_listening(&address);
        // The kernel accepts before the shards do: the proxy is ready when it says where it listens.
        let said = address.to_string();
        eventually("the proxy says that it listens", || (process.stderr() + &process.stdout()).contains(&said));
        Ringway { process, ended: false, address, _port: port, folder, _turn: turn }
    }

    /// Starts `binary` and waits for nothing, for a test of a start that fails. The configuration is written to `folder`; the
    /// proxy listens only where it says.
    ///
    /// # Panics
    /// If the program cannot be started.
    #[must_use]
    pub fn spawn(binary: impl AsRef<Path>, config: &Config, folder: &Path) -> Process {
        Ringway::spawn_by(&[], binary, config, folder)
    }

    /// Like [`Ringway::spawn`], by a command as in [`Ringway::start_by`].
    ///
    /// # Panics
    /// If the command cannot be started.
    #[must_use]
    pub fn spawn_by(command: &[&str], binary: impl AsRef<Path>, config: &Config, folder: &Path) -> Process {
        let file = folder.join("ringway.toml");
        // At the default place the proxies of all tests would be in each other's way.
        let admin = folder.join(ADMIN_SOCKET);
        let config = match config.sets("admin", "address") {
            true => config.clone(),
            false => config.clone().set("admin", "address", format!("\"unix:{}\"", admin.display())),
        };
        fs::write(&file, config.to_toml()).expect("a configuration file");
        let binary = std::env::var_os("RINGWAY_BINARY").unwrap_or_else(|| OsString::from(binary.as_ref()));
        let mut words = command.iter().map(OsStr::new).chain([binary.as_os_str()]);
        let mut command = Command::new(words.next().expect("at least the program itself"));
        Process::spawn("ringway", command.args(words).args(["serve", "--no-supervisor", "--config"]).arg(&file))
    }

    /// The address that the harness chose.
    #[must_use]
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// The socket of its admin API, unless the configuration has another.
    #[must_use]
    pub fn admin_socket(&self) -> PathBuf {
        self.folder.path().join(ADMIN_SOCKET)
    }

    /// The folder that its configuration is in, as `ringway.toml`.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The URL of `path` here.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// A new connection to it.
    ///
    /// # Panics
    /// If it is refused.
    #[must_use]
    #[track_caller]
    pub fn connect(&self) -> Peer {
        Peer::connect(&self.address)
    }

    /// The process.
    #[must_use]
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// Waits until it has as few descriptors as `start` again.
    ///
    /// # Panics
    /// If it keeps more until the deadline.
    #[track_caller]
    pub fn wait_for_descriptors(&self, start: usize) {
        let begun = Instant::now();
        loop {
            let now = self.process.descriptors();
            if now <= start {
                return;
            }
            assert!(begun.elapsed() < DEADLINE, "descriptors leak: {start} at the start, {now} in the end");
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// The access records written so far.
    #[must_use]
    pub fn records(&self) -> Vec<Value> {
        let text = self.process.stdout();
        // The last line may still be on its way.
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        whole.lines().filter(|line| line.starts_with('{')).filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// Waits for the access record of the exchange with this path.
    ///
    /// # Panics
    /// If none comes.
    #[must_use]
    #[track_caller]
    pub fn record_of(&self, path: &str) -> Value {
        let mut found = None;
        eventually(&format!("an access record of {path} is written"), || {
            found = self.records().into_iter().find(|record| record["path"] == path);
            found.is_some()
        });
        found.expect("it was found")
    }

    /// Waits for the access record of the exchange with this path and demands its outcome.
    ///
    /// # Panics
    /// If none comes, or the outcome is not one of `outcomes`.
    #[track_caller]
    pub fn assert_outcome(&self, path: &str, outcomes: &[&str]) {
        let record = self.record_of(path);
        let outcome = record["outcome"].as_str().unwrap_or_default();
        assert!(outcomes.contains(&outcome), "the outcome was to be one of {outcomes:?}: {record}");
    }

    /// Stops it and returns what its shards have counted, all together, by the names under which they log it
    /// (`limits{timeouts.head}`).
    ///
    /// # Panics
    /// If it does not stop.
    #[must_use]
    #[track_caller]
    pub fn stop_and_count(mut self) -> std::collections::BTreeMap<String, u64> {
        self.terminate();
        assert!(self.wait().success(), "the proxy stops as ordered");
        let log = self.process.stderr();
        let lines = log.lines().filter_map(|line| line.split_once("counters=")).map(|(_, counters)| counters);
        let mut counts = std::collections::BTreeMap::new();
        for (name, value) in lines.flat_map(str::split_whitespace).filter_map(|reading| reading.rsplit_once('=')) {
            *counts.entry(name.to_owned()).or_default() += value.parse::<u64>().expect("a count");
        }
        counts
    }

    /// Asks it to stop (SIGTERM).
    pub fn terminate(&self) {
        self.process.terminate();
    }

    /// Waits until it has ended.
    ///
    /// # Panics
    /// If it does not end before the deadline.
    #[track_caller]
    pub fn wait(&mut self) -> ExitStatus {
        self.ended = true;
        self.process.wait()
    }
}

impl Drop for Ringway {
    fn drop(&mut self) {
        let log = format!("{}{}", self.process.stdout(), self.process.stderr());
        if thread::panicking() {
            // The harness of the tests shows this beside the assertion that failed.
            eprintln!("--- the proxy's output\n{log}");
        } else {
            assert!(!log.contains("panicked"), "the proxy panicked:\n{log}");
            assert!(self.ended || self.process.is_running(), "the proxy ended unasked:\n{log}");
        }
    }
}
