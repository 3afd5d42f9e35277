//! Connections that say nothing, by the hundred thousand, and what memory they cost.
//!
//! A process has only so many descriptors, and an address only so many ports. So the connections are held by several
//! processes ([`holder`]), each with a share below its limit, and come from as many addresses of 127.0.0.0/8 as it takes. This
//! process tells them what to hold, reads what memory they and the target use, and may make ordinary load beside them, to see
//! whether its latencies suffer.

mod holder;
mod kernel;
mod report;

use std::{
    io::{BufRead, BufReader, Write},
    path::PathBuf,
    process::{Child, ChildStdin, Command, Stdio},
    sync::{Arc, Mutex},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use clap::Args;
use nix::sys::resource::{Resource, getrlimit, setrlimit};

use self::{
    holder::{Orders, State, Trust},
    kernel::KernelMemory,
    report::{Active, Idle, Moment},
};
use crate::{
    load::{Load, Plan},
    process::Meter,
    scenario::{Extent, Rate, Request, Scenario, Step, Tls, Url, units},
};

pub use holder::hold;

/// Descriptors of a process that are not for connections: its ring, its pipes, its libraries' files.
const OTHER_DESCRIPTORS: u64 = 200;
/// Connections from one address at most, below the ports that the system gives out by default.
const PER_ADDRESS_MAX: u64 = 28_000;
/// How often the processes are asked where they stand.
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// Which connections to hold.
#[derive(Debug, Clone, Args)]
pub struct IdleArguments {
    /// Where to connect to: an http or https URL
    #[arg(value_name = "URL")]
    url: String,
    /// Connections to hold
    #[arg(short, long, value_name = "N", default_value = "10k", value_parser = units::count)]
    connections: u64,
    /// Connections from one address of 127.0.0.0/8, where the target is in it
    #[arg(long, value_name = "N", default_value = "10k", value_parser = units::count)]
    per_address: u64,
    /// Processes to hold them [default: as many as their limits of descriptors ask for]
    #[arg(long, value_name = "N", value_parser = units::count)]
    processes: Option<u64>,
    /// Connections to open a second
    #[arg(long, value_name = "N", default_value = "10k", value_parser = units::count)]
    open_rate: u64,
    /// How long to hold them once all are open
    #[arg(short, long, value_name = "TIME", default_value = "10s", value_parser = units::duration)]
    duration: Duration,
    /// How long opening may take
    #[arg(long, value_name = "TIME", default_value = "2m", value_parser = units::duration)]
    open_timeout: Duration,
    /// Send one request on each connection when it is open, and wait for its answer
    #[arg(long)]
    request: bool,
    /// Send a request on each connection again and again, so far apart
    #[arg(long, value_name = "TIME", value_parser = units::duration)]
    keep_alive: Option<Duration>,
    /// Tell the memory of this process, the target
    #[arg(long, value_name = "PID")]
    pid: Option<i32>,
    /// With --pid: and of the processes that it started
    #[arg(long, requires = "pid")]
    children: bool,
    /// Make load on so many connections beside them, and before them for comparison
    #[arg(long, value_name = "N", value_parser = units::count)]
    active_connections: Option<u64>,
    /// The load beside them: so many requests a second [default: as many as answers come]
    #[arg(long, value_name = "N", value_parser = units::count, requires = "active_connections")]
    active_rate: Option<u64>,
    /// How long the load before them lasts; beside them it lasts as long as they are held
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = units::duration)]
    active_duration: Duration,
    /// Accept any certificate
    #[arg(short = 'k', long)]
    insecure: bool,
    /// Trust the certificates (PEM) of this file instead of the system's
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// The server name to ask for and to verify, instead of the URL's host
    #[arg(long, value_name = "NAME")]
    sni: Option<String>,
    /// Print the report as JSON
    #[arg(long)]
    json: bool,
}

impl IdleArguments {
    /// Holds the connections and prints what was seen. Returns whether all of them were held to the end.
    ///
    /// # Errors
    /// If the target's process is not there, or the processes for the connections cannot be started.
    pub fn run(&self, is_interrupted: &dyn Fn() -> bool) -> anyhow::Result<bool> {
        let url = Url::parse(&self.url).map_err(anyhow::Error::msg).context("the URL")?;
        ensure!(!url.origin.websocket, "idle connections speak HTTP: an http or https URL");
        ensure!((1..=PER_ADDRESS_MAX).contains(&self.per_address), "--per-address: expected 1 to {PER_ADDRESS_MAX}");
        ensure!(self.connections > 0 && self.open_rate > 0, "nothing to hold");
        let meter = self.pid.map(|pid| Meter::process(pid, self.children)).transpose()?;
        let shares = self.shares()?;
        let mut active = Active::default();
        if !is_interrupted() {
            active.before = self.load(&url, self.active_duration, is_interrupted)?;
        }
        let before = Moment::now(&[], meter.as_ref())?;
        let started = Instant::now();
        let holders = self.start(&url, &shares)?;
        let opened = self.wait_until_open(&holders, started, is_interrupted);
        let during = Moment::now(&holders.iter().map(Holder::pid).collect::<Vec<_>>(), meter.as_ref())?;
        let open_s = opened.as_secs_f64();
        if self.active_connections.is_some() {
            active.beside = self.load(&url, self.duration, is_interrupted)?;
        } else {
            wait(self.duration, is_interrupted);
        }
        let after = Moment::now(&holders.iter().map(Holder::pid).collect::<Vec<_>>(), meter.as_ref())?;
        let state = State::sum(holders.iter().map(Holder::state));
        holders.into_iter().try_for_each(Holder::end)?;
        let idle = Idle {
            target: url.to_string(),
            wanted: self.connections,
            processes: shares.len(),
            open_s,
            state,
            before,
            during,
            after,
            active,
        };
        print!("{}", if self.json { idle.json()? } else { idle.text() });
        Ok(idle.is_whole())
    }

    /// How many connections each process holds.
    fn shares(&self) -> anyhow::Result<Vec<u64>> {
        let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
        // The processes inherit the soft limit, which everybody may raise up to the hard one.
        setrlimit(Resource::RLIMIT_NOFILE, hard, hard).context("raising the limit of descriptors")?;
        let each_max = hard.saturating_sub(OTHER_DESCRIPTORS).max(1);
        let processes = self.processes.unwrap_or(0).max(self.connections.div_ceil(each_max));
        ensure!(processes <= 1000, "{processes} processes of {each_max} connections each are too many");
        Ok((0..processes)
            .map(|at| self.connections / processes + u64::from(at < self.connections % processes))
            .collect())
    }

    fn start(&self, url: &Url, shares: &[u64]) -> anyhow::Result<Vec<Holder>> {
        let address = url.origin.resolve().map_err(anyhow::Error::msg)?[0];
        let mut first = 0;
        let mut holders = Vec::with_capacity(shares.len());
        for connections in shares {
            let orders = Orders {
                address,
                authority: url.origin.authority(),
                target: url.target.clone(),
                first,
                connections: *connections,
                per_address: self.per_address,
                open_per_second: (self.open_rate / shares.len() as u64).max(1),
                request: self.request,
                tls: url.origin.tls.then(|| Trust {
                    server_name: self.sni.clone().unwrap_or_else(|| url.origin.host.clone()),
                    ca_file: self.ca_file.clone(),
                    insecure: self.insecure,
                }),
                keep_alive_ms: self.keep_alive.map(|interval| interval.as_millis().max(1) as u64),
            };
            holders.push(Holder::start(&orders)?);
            first += connections;
        }
        Ok(holders)
    }

    /// Waits until each connection is open or has failed; returns how long that took.
    fn wait_until_open(&self, holders: &[Holder], started: Instant, is_interrupted: &dyn Fn() -> bool) -> Duration {
        loop {
            let state = State::sum(holders.iter().map(Holder::state));
            let all_ended = holders.iter().all(Holder::has_ended);
            let took = started.elapsed();
            if state.ready + state.failed() >= self.connections
                || all_ended
                || took > self.open_timeout
                || is_interrupted()
            {
                return took;
            }
            thread::sleep(POLL_INTERVAL);
        }
    }

    /// Makes ordinary load, where it was asked for.
    fn load(
        &self,
        url: &Url,
        duration: Duration,
        is_interrupted: &dyn Fn() -> bool,
    ) -> anyhow::Result<Option<crate::record::Recording>> {
        let Some(connections) = self.active_connections else { return Ok(None) };
        let step = |per_second| Step { per_second, duration: Duration::ZERO };
        let scenario = Scenario {
            connections,
            extent: Extent::Duration(duration),
            rate: self.active_rate.map(|rate| Rate { steps: vec![step(rate as f64)], ..Rate::default() }),
            requests: vec![Request::to(url.clone())],
            tls: Tls {
                insecure: self.insecure,
                ca_file: self.ca_file.clone(),
                server_name: self.sni.clone(),
                ..Tls::default()
            },
            ..Scenario::default()
        };
        let load = Load::start(Plan::new(&scenario)?)?;
        while !load.is_finished() {
            if is_interrupted() {
                load.stop();
            }
            thread::sleep(POLL_INTERVAL);
        }
        Ok(Some(load.finish()?.recording))
    }
}

fn wait(duration: Duration, is_interrupted: &dyn Fn() -> bool) {
    let start = Instant::now();
    while start.elapsed() < duration && !is_interrupted() {
        thread::sleep(POLL_INTERVAL.min(duration));
    }
}

/// A process that holds a share of the connections.
#[derive(Debug)]
struct Holder {
    child: Child,
    /// The end of it ends the process.
    orders: ChildStdin,
    state: Arc<Mutex<State>>,
    reader: JoinHandle<()>,
}

impl Holder {
    fn start(orders: &Orders) -> anyhow::Result<Self> {
        let program = std::env::current_exe().context("finding the program itself")?;
        let mut command = Command::new(program);
        command.arg("idle-holder").stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().context("starting a process to hold connections")?;
        let mut stdin = child.stdin.take().context("its standard input")?;
        let stdout = child.stdout.take().context("its standard output")?;
        writeln!(stdin, "{}", serde_json::to_string(orders)?)?;
        let state = Arc::new(Mutex::new(State::default()));
        let shown = Arc::clone(&state);
        let reader = thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if let Ok(latest) = serde_json::from_str(&line) {
                    *shown.lock().expect("no thread panics holding it") = latest;
                }
            }
        });
        Ok(Self { child, orders: stdin, state, reader })
    }

    fn pid(&self) -> i32 {
        self.child.id() as i32
    }

    fn state(&self) -> State {
        self.state.lock().expect("no thread panics holding it").clone()
    }

    fn has_ended(&self) -> bool {
        self.reader.is_finished()
    }

    fn end(mut self) -> anyhow::Result<()> {
        drop(self.orders);
        let status = self.child.wait()?;
        let _ = self.reader.join();
        ensure!(status.success(), "a process that held connections ended with {status}");
        Ok(())
    }
}
