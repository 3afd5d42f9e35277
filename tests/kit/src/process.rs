//! A server in a process of its own, seen from outside.

use std::fs;
use std::io::Read;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::{Address, DEADLINE, Peer};

/// A running process, ended by its id when dropped. Its output is kept.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    stdout: Output,
    stderr: Output,
}

impl Process {
    /// Starts `command`.
    ///
    /// # Panics
    /// If it cannot be started; the message names it.
    #[must_use]
    pub fn spawn(name: &str, command: &mut Command) -> Process {
        Process::launch(name, command.stdin(Stdio::null()))
    }

    /// Starts `command`, with an input that lasts until it is dropped.
    ///
    /// # Panics
    /// If it cannot be started; the message names it.
    #[must_use]
    pub fn spawn_with_input(name: &str, command: &mut Command) -> (Process, ChildStdin) {
        let mut process = Process::launch(name, command.stdin(Stdio::piped()));
        let input = process.child.stdin.take().expect("a pipe");
        (process, input)
    }

    fn launch(name: &str, command: &mut Command) -> Process {
        let command = command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| {
            panic!("starting {name}: {error} (tests/install.sh installs what the tests need)");
        });
        let stdout = Output::keep(child.stdout.take().expect("a pipe"));
        let stderr = Output::keep(child.stderr.take().expect("a pipe"));
        Process { name: name.to_owned(), child, stdout, stderr }
    }

    /// Waits until `address` accepts connections.
    ///
    /// # Panics
    /// If the process exits before, at once and with what it wrote, or if nothing listens until the deadline.
    pub fn wait_until_listening(&mut self, address: &Address) {
        let start = Instant::now();
        while Peer::try_connect(address).is_err() {
            if let Some(status) = self.child.try_wait().expect("the state of a child") {
                panic!("{}", self.report(&format!("ended with {status} before it listened on {address}")));
            }
            assert!(start.elapsed() < DEADLINE, "{}", self.report(&format!("does not listen on {address}")));
            thread::sleep(Duration::from_millis(2));
        }
    }

    /// The process's id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it has written to standard output so far.
    #[must_use]
    pub fn stdout(&self) -> String {
        self.stdout.text()
    }

    /// What it has written to standard error so far.
    #[must_use]
    pub fn stderr(&self) -> String {
        self.stderr.text()
    }

    /// How many descriptors it has open.
    ///
    /// # Panics
    /// If it has ended.
    #[must_use]
    pub fn descriptors(&self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.id())).expect("the descriptors of a living process").count()
    }

    /// Bytes that have come on connections to `port` of this machine and were not received yet.
    ///
    /// # Panics
    /// If it has ended.
    #[must_use]
    pub fn unreceived_bytes(&self, port: u16) -> u64 {
        let sockets = fs::read_to_string(format!("/proc/{}/net/tcp", self.id())).expect("the sockets of a process");
        let local = format!(":{port:04X}");
        let queue = |line: &str| -> Option<u64> {
            let mut words = line.split_whitespace().skip(1);
            let is_ours = words.next()?.ends_with(&local);
            // The state of a listening socket is 0A, and what it counts is connections.
            let (state, queues) = (words.nth(1)?, words.next()?);
            let received = u64::from_str_radix(queues.split_once(':')?.1, 16).ok()?;
            (is_ours && state != "0A").then_some(received)
        };
        sockets.lines().filter_map(queue).sum()
    }

    /// Bytes of memory of its own that it uses in user space: anonymous pages, without files and shared pages.
    ///
    /// # Panics
    /// If it has ended.
    #[must_use]
    pub fn memory_bytes(&self) -> u64 {
        let rollup = fs::read_to_string(format!("/proc/{}/smaps_rollup", self.id())).expect("the memory of a process");
        let line = rollup.lines().find_map(|line| line.strip_prefix("Anonymous:")).expect("a line on anonymous memory");
        let kib = line.trim().strip_suffix(" kB").expect("a size in kB").trim();
        kib.parse::<u64>().expect("a number of kB") << 10
    }

    /// Sets the soft limit on its descriptors.
    ///
    /// # Panics
    /// If that cannot be done.
    pub fn limit_descriptors(&self, limit: usize) {
        let (pid, limit) = (self.id().to_string(), format!("--nofile={limit}:"));
        let status = Command::new("prlimit").args(["--pid", &pid, &limit]).status();
        assert!(status.expect("prlimit").success(), "limiting the descriptors of {}", self.name);
    }

    /// Asks it to stop (SIGTERM).
    ///
    /// # Panics
    /// If the signal cannot be sent.
    pub fn terminate(&self) {
        self.signal("TERM");
    }

    /// Sends it the signal of this name, such as `HUP`.
    ///
    /// # Panics
    /// If the signal cannot be sent.
    pub fn signal(&self, name: &str) {
        signal(self.id(), name);
    }

    /// The processes that it has started and that have not ended.
    #[must_use]
    pub fn children(&self) -> Vec<u32> {
        children(self.id())
    }

    /// Waits until it ends.
    ///
    /// # Panics
    /// If it does not end before the deadline.
    #[track_caller]
    pub fn wait(&mut self) -> ExitStatus {
        let start = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("the state of a child") {
                self.stdout.finish();
                self.stderr.finish();
                return status;
            }
            assert!(start.elapsed() < DEADLINE, "{}", self.report("does not end"));
            thread::sleep(Duration::from_millis(2));
        }
    }

    /// Whether it still runs.
    #[must_use]
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().is_ok_and(|status| status.is_none())
    }

    /// A failure in words: the process's name, what it did, and what it wrote.
    fn report(&mut self, what: &str) -> String {
        if !self.is_running() {
            self.stdout.finish();
            self.stderr.finish();
        }
        let (name, stdout, stderr) = (&self.name, self.stdout(), self.stderr());
        format!("{name} {what}\n--- its standard output\n{stdout}--- its standard error\n{stderr}")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs a command to its end, within `limit`, and returns its standard output.
///
/// # Panics
/// If it cannot be started, takes longer, or fails; the message has what it wrote.
#[track_caller]
#[must_use]
pub fn run(name: &str, command: &mut Command, limit: Duration) -> String {
    let mut process = Process::spawn(name, command);
    let start = Instant::now();
    while process.is_running() {
        assert!(start.elapsed() < limit, "{}", process.report(&format!("takes longer than {limit:?}")));
        thread::sleep(Duration::from_millis(5));
    }
    let status = process.wait();
    assert!(status.success(), "{}", process.report(&format!("ended with {status}")));
    process.stdout()
}

/// What a process writes to one of its outputs.
#[derive(Debug)]
struct Output {
    text: Arc<Mutex<Vec<u8>>>,
    reader: Option<JoinHandle<()>>,
}

impl Output {
    fn keep(mut pipe: impl Read + Send + 'static) -> Output {
        let text = Arc::new(Mutex::new(Vec::new()));
        let reader = thread::spawn({
            let text = text.clone();
            move || {
                let mut piece = [0; 16 << 10];
                while let Ok(count @ 1..) = pipe.read(&mut piece) {
                    text.lock().expect("no thread panics holding an output").extend_from_slice(&piece[..count]);
                }
            }
        });
        Output { text, reader: Some(reader) }
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.text.lock().expect("no thread panics holding an output")).into_owned()
    }

    /// Waits for the last words of a process that has ended.
    fn finish(&mut self) {
        if let Some(reader) = self.reader.take() {
            reader.join().expect("a reader of an output does not panic");
        }
    }
}

/// The processes that the process `pid` has started, or adopted, and that have not ended or of whose end it has not heard.
#[must_use]
pub fn children(pid: u32) -> Vec<u32> {
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    children.split_whitespace().filter_map(|pid| pid.parse().ok()).collect()
}

/// Sends the process `pid` the signal of this name, such as `KILL`.
///
/// # Panics
/// If the signal cannot be sent.
pub fn signal(pid: u32, name: &str) {
    let status = Command::new("kill").args([&format!("-{name}"), &pid.to_string()]).status();
    assert!(status.expect("kill").success(), "sending SIG{name} to {pid}");
}
