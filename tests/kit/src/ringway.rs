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
/// How the program is called that serves in one process.
const ALONE: [&str; 2] = ["serve", "--no-supervisor"];

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

    /// Like [`Ringway::start`], under a supervisor. Most tests do without: the shards are the same, and there is one process
    /// less to wait for.
    ///
    /// # Panics
    /// If it does not come to listen; the message has what it wrote.
    #[must_use]
    pub fn start_supervised(binary: impl AsRef<Path>, config: Config) -> Ringway {
        Ringway::start_supervised_by(&[], binary, config)
    }

    /// As [`Ringway::start_supervised`], by a command as in [`Ringway::start_by`].
    ///
    /// # Panics
    /// If it does not come to listen; the message has what it wrote.
    #[must_use]
    pub fn start_supervised_by(command: &[&str], binary: impl AsRef<Path>, config: Config) -> Ringway {
        let turn = Turn::shared();
        Ringway::begin(command, binary.as_ref(), config, Some(turn), &["serve"])
    }

    /// Like [`Ringway::start_supervised`], for a test that holds a [`Turn`] of its own.
    ///
    /// # Panics
    /// If it does not come to listen; the message has what it wrote.
    #[must_use]
    pub fn start_supervised_in_turn(binary: impl AsRef<Path>, config: Config) -> Ringway {
        Ringway::begin(&[], binary.as_ref(), config, None, &["serve"])
    }

    fn launch(command: &[&str], binary: &Path, config: Config, turn: Option<Turn>) -> Ringway {
        Ringway::begin(command, binary, config, turn, &ALONE)
    }

    fn begin(command: &[&str], binary: &Path, config: Config, turn: Option<Turn>, arguments: &[&str]) -> Ringway {
        let port = Port::take();
        let address = port.address();
        let folder = tempfile::tempdir().expect("a folder for the configuration");
        let config = config.listen(&address);
        let mut process = Ringway::spawn_with(command, binary, &config, folder.path(), arguments);
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
        Ringway::spawn_with(command, binary.as_ref(), config, folder, &ALONE)
    }

    fn spawn_with(command: &[&str], binary: &Path, config: &Config, folder: &Path, arguments: &[&str]) -> Process {
        let file = folder.join("ringway.toml");
        fs::write(&file, with_admin_socket(config.clone(), folder).to_toml()).expect("a configuration file");
        let binary = std::env::var_os("RINGWAY_BINARY").unwrap_or_else(|| OsString::from(binary));
        let mut words = command.iter().map(OsStr::new).chain([binary.as_os_str()]);
        let mut command = Command::new(words.next().expect("at least the program itself"));
        Process::spawn("ringway", command.args(words).args(arguments).arg("--config").arg(&file))
    }

    /// Writes another configuration in place of the one it was started with, for the next reload. It keeps the listener that
    /// the harness chose.
    ///
    /// # Panics
    /// If it cannot be written.
    pub fn rewrite(&self, config: Config) {
        self.rewrite_as(&with_admin_socket(config.listen(&self.address), self.folder()).to_toml());
    }

    /// As [`Ringway::rewrite`], with a text that need not be valid.
    ///
    /// # Panics
    /// If it cannot be written.
    pub fn rewrite_as(&self, text: &str) {
        // Renamed into its place: a reload that comes too early finds the old one whole.
        let next = self.folder.path().join("next");
        fs::write(&next, text).expect("a configuration file");
        fs::rename(&next, self.folder.path().join("ringway.toml")).expect("a configuration file");
    }

    /// Writes another configuration, which is not the same in other words, orders a reload, and waits until the log says that it is in
    /// force.
    ///
    /// # Panics
    /// If the log says nothing of it, or that the reload was refused.
    #[track_caller]
    pub fn reload(&self, config: Config) {
        self.rewrite(config);
        // Files with certificates are read again unasked, and then nothing has changed.
        let told = self.order_reload(|line| !line.ends_with("nothing has changed"));
        assert!(!told.contains("not reloaded"), "{told}");
    }

    /// Orders a reload and waits until its outcome is in the log, which it returns.
    ///
    /// # Panics
    /// If that says nothing of it.
    #[track_caller]
    pub fn reload_as_written(&self) -> String {
        self.order_reload(|_| true)
    }

    /// Orders a reload and waits for an outcome that is meant, all of which is returned.
    #[track_caller]
    fn order_reload(&self, is_meant: impl Fn(&str) -> bool) -> String {
        let begin = self.process.stderr().len();
        self.process.signal("HUP");
        let mut told = String::new();
        eventually("the log tells how the reload went", || {
            told = self.process.stderr()[begin..].to_owned();
            told.ends_with('\n') && told.lines().any(|line| line.contains("reloaded") && is_meant(line))
        });
        told
    }

    /// The process that serves, where a supervisor has started it.
    ///
    /// # Panics
    /// If there is none.
    #[must_use]
    pub fn worker(&self) -> u32 {
        *self.process.children().last().expect("a worker")
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

/// `config` with an admin socket in `folder`, unless it says where that is to be: at the default place the proxies of all tests
/// would be in each other's way.
fn with_admin_socket(config: Config, folder: &Path) -> Config {
    if config.sets("admin", "address") {
        return config;
    }
    config.set("admin", "address", format!("\"unix:{}\"", folder.join(ADMIN_SOCKET).display()))
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
