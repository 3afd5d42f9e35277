//! The storm: clients at work while everything that an operator may do is done to the proxy, and then what must not happen does.
//!
//! The first minute has a reload every 100 ms, each with another Plan, and three upgrades; nothing may be lost. In the second
//! minute the worker is killed five times; what it held is lost and nothing else. The figures are printed.

use std::fmt::{self, Display};
use std::fs;
use std::io;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use kit::process::{run, signal};
use kit::{Address, Config, Nginx, Peer, Ringway, Turn, WebSocketClients, WebSocketServer, eventually, standard};

const MINUTE: Duration = Duration::from_secs(60);
const RELOADS: u32 = 600;
const RELOAD_EVERY: Duration = Duration::from_millis(100);
/// The reloads beside which an upgrade begins.
const UPGRADES: [u32; 3] = [150, 300, 450];
const KILLS: usize = 5;
/// So long that a fall is not the next one of a row, after which the supervisor would pause.
const KILL_EVERY: Duration = Duration::from_secs(10);
/// From a kill to the first answer on a new connection.
const BACK_MAX: Duration = Duration::from_millis(300);
const KEPT_CONNECTIONS: usize = 64;
const NEW_CONNECTION_CLIENTS: usize = 4;
/// WebSockets that are open all the time.
const SOCKETS: usize = 8;
/// What `ringway upgrade` may take on a machine that is full.
const UPGRADE_MAX: Duration = Duration::from_secs(60);

#[test]
fn a_storm_of_reloads_upgrades_and_kills_loses_what_a_killed_worker_held_and_nothing_else() {
    let _turn = Turn::alone();
    let folder = tempfile::tempdir().unwrap();
    install(folder.path());
    let (nginx, echo) = (Nginx::start(None), WebSocketServer::start());
    nginx.put("small", b"small");
    let config = |number| config(nginx.address(), &echo.address(), number);
    let ringway = Ringway::start_supervised_in_turn(folder.path().join("ringway"), config(0));

    let mut sockets = WebSocketClients::open(&ringway.url("/echo"), SOCKETS);
    let load = Load::start(&ringway);
    let (reloads, upgrades) = thread::scope(|scope| {
        let upgrades = scope.spawn(|| upgrade_in_time(&ringway, folder.path()));
        (reload_all(&ringway, config, &mut sockets), upgrades.join().expect("the upgrades"))
    });
    let lived = load.end();
    println!("reloads and upgrades, {} s\n{lived}  reloads   {reloads}\n  upgrades  {upgrades}", MINUTE.as_secs());
    eventually("the last configuration is in force", || number(&ringway) == RELOADS.to_string());
    sockets.assert_echo();
    sockets.close();
    println!("  sockets   {SOCKETS} WebSockets opened before it echo after it, and are closed in order");
    eventually("the old generations end", || ringway.process().children().len() == 1);

    let load = Load::start(&ringway);
    let back = kill_in_time(&ringway);
    let fell = load.end();
    println!("{KILLS} kills, {} s\n{fell}  back after {back}", MINUTE.as_secs());

    assert_eq!((lived.wrk.errors(), lived.failures.as_slice()), (0, [].as_slice()), "nothing is lost");
    assert_eq!((fell.refused, fell.wrk.connect), (0, 0), "no connection attempt is refused");
    let held = (KILLS * NEW_CONNECTION_CLIENTS, (KILLS * KEPT_CONNECTIONS) as u64);
    assert!(fell.failures.len() <= held.0 && fell.wrk.errors() <= held.1, "only what a worker held is lost: {fell}");
    assert!(back.0.iter().all(|back| *back <= BACK_MAX), "back after {back}");
}

fn config(plain: &Address, echo: &Address, number: u32) -> Config {
    let config = Config::new().upstream("plain", &[plain]).upstream("echo", &[echo]);
    let config = config.route(None, "/", "plain");
    let config = config.route_option("response_headers", format!("{{ set = {{ \"X-Number\" = \"{number}\" }} }}"));
    let config = config.route(None, "/echo", "echo").shards(2).set("log", "access", "\"off\"");
    // WebSockets of replaced generations live no longer than that.
    config.timeout("drain", "120s")
}

/// Puts a copy of the program into `folder`, as a package manager does: by renaming it into its place.
fn install(folder: &Path) {
    fs::copy(env!("CARGO_BIN_EXE_ringway"), folder.join("new")).unwrap();
    fs::rename(folder.join("new"), folder.join("ringway")).unwrap();
}

/// Which configuration a new connection meets.
fn number(ringway: &Ringway) -> String {
    let answer = ringway.connect().exchange("GET", &standard::get("/small")).unwrap();
    answer.head.field("x-number").unwrap_or_default().to_owned()
}

/// Reloads in time, and has each WebSocket echo once a second. Returns how long each reload took, until it was answered.
fn reload_all(ringway: &Ringway, config: impl Fn(u32) -> Config, sockets: &mut WebSocketClients) -> Times {
    let begun = Instant::now();
    let mut times = Vec::new();
    for reload in 1..=RELOADS {
        ringway.rewrite(config(reload));
        let ordered = Instant::now();
        let outcome = order_reload(&Address::Unix(ringway.admin_socket()));
        assert!(outcome.as_ref().is_ok_and(|text| text.contains("swapped")), "reload {reload}: {outcome:?}");
        times.push(ordered.elapsed());
        if reload % 10 == 0 {
            sockets.assert_echo();
        }
        // The rate is what is tested, not a wait for anything.
        thread::sleep((begun + RELOAD_EVERY * reload).saturating_duration_since(Instant::now()));
    }
    Times(times)
}

fn order_reload(admin: &Address) -> io::Result<String> {
    let request = b"POST /v1/reload HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    Ok(Peer::try_connect(admin)?.exchange("POST", request)?.text())
}

/// Upgrades by the command line. Returns how long each took.
fn upgrade_in_time(ringway: &Ringway, folder: &Path) -> Times {
    let begun = Instant::now();
    let upgrade = |after: u32| {
        thread::sleep((begun + RELOAD_EVERY * after).saturating_duration_since(Instant::now()));
        install(folder);
        let admin = format!("unix:{}", ringway.admin_socket().display());
        let ordered = Instant::now();
        let mut command = Command::new(folder.join("ringway"));
        let _ = run("ringway upgrade", command.args(["upgrade", "--admin", &admin]), UPGRADE_MAX);
        ordered.elapsed()
    };
    Times(UPGRADES.map(upgrade).to_vec())
}

/// Kills the worker again and again. Returns how long it took each time until a new connection was answered.
fn kill_in_time(ringway: &Ringway) -> Times {
    let begun = Instant::now();
    let kill = |kill: usize| {
        thread::sleep((begun + KILL_EVERY * (kill as u32 + 1)).saturating_duration_since(Instant::now()));
        let old = ringway.worker();
        let killed = Instant::now();
        signal(old, "KILL");
        // A connection that the kernel gives to the dead worker in its last moment is one that it held.
        eventually("the worker is gone", || !ringway.process().children().contains(&old));
        assert_eq!(ringway.connect().exchange("GET", &standard::get("/small")).unwrap().status(), 200);
        killed.elapsed()
    };
    Times((0..KILLS).map(kill).collect())
}

/// Clients that keep their connections (wrk), and clients that open one for each request.
struct Load {
    wrk: JoinHandle<String>,
    shared: Arc<Shared>,
    clients: Vec<JoinHandle<()>>,
}

struct Shared {
    address: Address,
    is_over: AtomicBool,
    answered: AtomicU64,
    refused: AtomicU64,
    longest_us: AtomicU64,
    failures: Mutex<Vec<String>>,
}

/// What came of it.
#[derive(Debug)]
struct Outcome {
    wrk: Wrk,
    answered: u64,
    refused: u64,
    longest: Duration,
    failures: Vec<String>,
}

impl Load {
    fn start(ringway: &Ringway) -> Load {
        let (connections, url) = (format!("-c{KEPT_CONNECTIONS}"), ringway.url("/small"));
        let wrk = thread::spawn(move || {
            let duration = format!("-d{}s", MINUTE.as_secs());
            let mut command = Command::new("wrk");
            command.args(["-t1", &connections, &duration, "--timeout", "20s", "--latency", &url]);
            run("wrk", &mut command, MINUTE * 2)
        });
        let shared = Arc::new(Shared {
            address: ringway.address().clone(),
            is_over: AtomicBool::new(false),
            answered: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            longest_us: AtomicU64::new(0),
            failures: Mutex::default(),
        });
        let client = |_| {
            let shared = Arc::clone(&shared);
            thread::spawn(move || shared.run())
        };
        let clients = (0..NEW_CONNECTION_CLIENTS).map(client).collect();
        Load { wrk, shared, clients }
    }

    /// Lets wrk have its minute, and ends it.
    fn end(self) -> Outcome {
        let wrk = Wrk::parse(&self.wrk.join().expect("wrk"));
        self.shared.is_over.store(true, Ordering::Relaxed);
        self.clients.into_iter().for_each(|client| client.join().expect("a client"));
        let failures = std::mem::take(&mut *self.shared.failures.lock().expect("the failures"));
        Outcome {
            wrk,
            answered: self.shared.answered.load(Ordering::Relaxed),
            refused: self.shared.refused.load(Ordering::Relaxed),
            longest: Duration::from_micros(self.shared.longest_us.load(Ordering::Relaxed)),
            failures,
        }
    }
}

impl Shared {
    fn run(&self) {
        while !self.is_over.load(Ordering::Relaxed) {
            let begun = Instant::now();
            match self.request() {
                Ok(()) => _ = self.answered.fetch_add(1, Ordering::Relaxed),
                Err(error) => self.failures.lock().expect("the failures").push(error.to_string()),
            }
            self.longest_us.fetch_max(begun.elapsed().as_micros() as u64, Ordering::Relaxed);
        }
    }

    fn request(&self) -> io::Result<()> {
        let connected = Peer::try_connect(&self.address);
        let mut peer = connected.inspect_err(|_| _ = self.refused.fetch_add(1, Ordering::Relaxed))?;
        let request = b"GET /small HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n";
        match peer.exchange("GET", request)?.status() {
            200 => Ok(()),
            status => Err(io::Error::other(format!("status {status}"))),
        }
    }
}

/// What wrk tells.
#[derive(Debug, Default)]
struct Wrk {
    requests: u64,
    latencies: String,
    connect: u64,
    others: u64,
    statuses: u64,
}

impl Wrk {
    fn parse(report: &str) -> Wrk {
        let mut wrk = Wrk::default();
        let numbers = |line: &str| -> Vec<u64> {
            line.split(|char: char| !char.is_ascii_digit()).filter_map(|number| number.parse().ok()).collect()
        };
        for line in report.lines().map(str::trim) {
            if line.contains("requests in") {
                wrk.requests = numbers(line)[0];
            } else if line.starts_with("Socket errors") {
                let errors = numbers(line);
                (wrk.connect, wrk.others) = (errors[0], errors[1..].iter().sum());
            } else if line.starts_with("Non-2xx") {
                wrk.statuses = *numbers(line).last().expect("how many");
            } else if line.starts_with("99%") || line.starts_with("50%") {
                wrk.latencies += &format!(" {}", line.split_whitespace().collect::<Vec<_>>().join(" "));
            }
        }
        assert!(wrk.requests > 0, "wrk did something: {report}");
        wrk
    }

    fn errors(&self) -> u64 {
        self.connect + self.others + self.statuses
    }
}

impl Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Wrk { requests, latencies, connect, others, statuses } = &self.wrk;
        write!(f, "  kept      {requests} requests on {KEPT_CONNECTIONS} connections,{latencies}; ")?;
        writeln!(f, "{connect} refused connections, {others} socket errors, {statuses} statuses but 200")?;
        let (answered, refused, failed) = (self.answered, self.refused, self.failures.len());
        write!(f, "  new       {answered} requests with a connection each, the longest {:?}; ", self.longest)?;
        writeln!(f, "{refused} refused connections, {failed} failures in all")?;
        self.failures.iter().take(20).try_for_each(|failure| writeln!(f, "            {failure}"))
    }
}

/// How long something took each time.
struct Times(Vec<Duration>);

impl Display for Times {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = |time: Duration| time.as_micros() as f64 / 1000.0;
        let mut sorted = self.0.clone();
        sorted.sort();
        if let [few @ ..] = self.0.as_slice()
            && few.len() <= 5
        {
            let each: Vec<String> = few.iter().map(|time| format!("{:.0} ms", ms(*time))).collect();
            return write!(f, "{}", each.join(", "));
        }
        let at = |share: usize| ms(sorted[(sorted.len() - 1) * share / 100]);
        write!(f, "{}: median {:.1} ms, 99 % {:.1} ms, max {:.1} ms", sorted.len(), at(50), at(99), at(100))
    }
}
