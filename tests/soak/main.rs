//! The soak: random exchanges and random faults, for an hour or as long as wanted (`tests/run.sh --soak MINUTES`).
//!
//! Lanes of clients go through fault proxies on both sides of one proxy under test, each with a seed of its own. Each exchange is
//! judged byte for byte ([`kit::scripted`]) and watched by a deadline; each minute the proxy's descriptors and memory are looked
//! at, at rest. It fails if an exchange is wrong or stuck, if the proxy panics or ends, if descriptors stay, or if memory rises
//! steadily. `RINGWAY_SEED` repeats the draws of a run, though not what the machine made of them; a failure names its exchange.

use std::fmt;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use kit::fault::{Fault, FaultProxy, Kind, Way};
use kit::scripted::{self, Shape, Verdict, Witness};
use kit::{Config, Peer, Random, Ringway};

const LANES: usize = 12;
/// The largest body of an exchange.
const BODY_BYTES_MAX: u64 = 2 << 20;
/// No time-out of the proxy's that a fault can bring is as long as this.
const EXCHANGE_MAX: Duration = Duration::from_secs(15);
/// Descriptors that the proxy may keep at rest for what all exchanges share: pooled pipes.
const POOLED_DESCRIPTORS_MAX: usize = 64;
/// How much memory at rest may rise from the first third of the run to the last. What rises for ever passes any bound in an hour.
const RISE_BYTES_MAX: u64 = 8 << 20;
const MINUTE: Duration = Duration::from_secs(60);

fn main() -> ExitCode {
    let minutes = std::env::args().nth(1).map_or(60, |text| text.parse().expect("how many minutes"));
    let seed = std::env::var("RINGWAY_SEED").map_or(1, |text| text.parse().expect("RINGWAY_SEED is a number"));
    println!("soaking for {minutes} minutes, RINGWAY_SEED={seed}");
    let soak = Soak::start(seed);
    let rests = (1..=minutes).map_while(|minute| soak.minute(minute)).collect::<Vec<_>>();
    soak.verdict(&rests)
}

/// Everything that runs from the first minute to the last.
struct Soak {
    lanes: Vec<Lane>,
    ringway: Ringway,
    descriptors: usize,
    counts: Counts,
    failures: Mutex<Vec<String>>,
}

/// One client after the other, and the way that each goes.
struct Lane {
    number: usize,
    host: String,
    random: Mutex<Random>,
    before: FaultProxy,
    behind: FaultProxy,
    witness: std::sync::Arc<Witness>,
    _origin: kit::Origin,
}

/// What came of all exchanges so far.
#[derive(Debug, Default)]
struct Counts {
    right: AtomicU64,
    refused: AtomicU64,
    short: AtomicU64,
    struck: AtomicU64,
    bytes: AtomicU64,
}

/// The proxy when nothing was under way.
#[derive(Debug, Clone, Copy)]
struct Rest {
    memory_bytes: u64,
    descriptors: usize,
}

impl Soak {
    fn start(seed: u64) -> Soak {
        let mut config = Config::new().shards(2).set("log", "access", "\"off\"");
        config = config.timeout("head", "2s").timeout("body_idle", "2s").timeout("keep_alive", "2s");
        let mut servers = Vec::new();
        for number in 0..LANES {
            let (origin, witness) = scripted::start();
            let (host, behind) = (format!("lane{number}"), FaultProxy::start(origin.address()));
            config = config.upstream(&host, &[behind.address()]).route(Some(&host), "/", &host);
            config = config.upstream_timeout("head_timeout", "2s").upstream_timeout("body_idle_timeout", "2s");
            servers.push((number, host, origin, witness, behind));
        }
        let ringway = Ringway::start(env!("CARGO_BIN_EXE_ringway"), config);
        let lanes = servers.into_iter().map(|(number, host, origin, witness, behind)| {
            let before = FaultProxy::start(ringway.address());
            let random = Mutex::new(Random::new(seed.wrapping_mul(1_000).wrapping_add(number as u64)));
            Lane { number, host, random, before, behind, witness, _origin: origin }
        });
        let (lanes, descriptors) = (lanes.collect(), ringway.process().descriptors());
        Soak { lanes, ringway, descriptors, counts: Counts::default(), failures: Mutex::default() }
    }

    /// Soaks for a minute, then lets everything come to rest and looks. `None` once something has failed.
    fn minute(&self, minute: u64) -> Option<Rest> {
        let (end, done) = (Instant::now() + MINUTE, AtomicBool::new(false));
        thread::scope(|scope| {
            for lane in &self.lanes {
                let done = &done;
                scope.spawn(move || {
                    while Instant::now() < end && !done.load(Ordering::Relaxed) {
                        if let Err(failure) = lane.exchange(minute, &self.counts) {
                            println!("FAILED {failure}");
                            self.failures.lock().expect("no thread panics holding the failures").push(failure);
                            done.store(true, Ordering::Relaxed);
                        }
                    }
                });
            }
        });
        for lane in &self.lanes {
            lane.before.hang_up();
            lane.behind.hang_up();
            lane.witness.clear();
        }
        self.ringway.wait_for_descriptors(self.descriptors + POOLED_DESCRIPTORS_MAX);
        let process = self.ringway.process();
        let rest = Rest { memory_bytes: process.memory_bytes(), descriptors: process.descriptors() };
        println!("minute {minute}: {}; at rest {rest}", self.counts);
        self.failures.lock().expect("no thread panics holding the failures").is_empty().then_some(rest)
    }

    fn verdict(&self, rests: &[Rest]) -> ExitCode {
        let failures = self.failures.lock().expect("no thread panics holding the failures");
        let third = rests.len().div_ceil(3);
        let lowest = |rests: &[Rest]| rests.iter().map(|rest| rest.memory_bytes).min().unwrap_or(0);
        // The first minutes fill the pools; so do the first thirds of short runs.
        let rise = lowest(&rests[rests.len() - third..]).saturating_sub(lowest(&rests[..third]));
        println!("memory at rest rose by {} KiB from the first third to the last", rise >> 10);
        if failures.is_empty() && rise <= RISE_BYTES_MAX && self.counts.right.load(Ordering::Relaxed) > 0 {
            println!("SOUND: {}", self.counts);
            return ExitCode::SUCCESS;
        }
        println!("NOT SOUND: {} failures\n{}", failures.len(), failures.join("\n"));
        ExitCode::FAILURE
    }
}

impl Lane {
    /// One connection's worth of exchanges, with a fault in most of them.
    fn exchange(&self, minute: u64, counts: &Counts) -> Result<(), String> {
        let mut random = self.random.lock().expect("no thread panics holding the randomness");
        let mut client = Peer::connect(self.before.address());
        for _ in 0..=random.below(6) {
            let (shape, tag) =
                (Shape::random(&mut random, BODY_BYTES_MAX), format!("{minute}-{}-{:x}", self.number, random.draw()));
            let side = random.pick(&[None, Some(&self.before), Some(&self.behind)]);
            let fault = draw_fault(&mut random);
            self.before.arm(None);
            self.behind.arm(None);
            if let Some(side) = side {
                side.arm(Some(fault));
            }
            let begun = Instant::now();
            let report = shape.perform(&mut client, &self.host, &tag);
            let words = || {
                let at = side.map_or("no fault".to_owned(), |side| {
                    format!(
                        "{} {fault}",
                        if std::ptr::eq(side, &raw const self.before) { "client" } else { "upstream" }
                    )
                });
                format!("lane {} exchange {tag}, {at}, {shape:?}", self.number)
            };
            let verdict = report.judge(&shape, &tag).map_err(|error| format!("{}: {error}", words()))?;
            self.witness.judge(&shape, &tag).map_err(|error| format!("{}: {error}", words()))?;
            let (took, struck) = (begun.elapsed(), side.is_some_and(FaultProxy::has_struck));
            if took > EXCHANGE_MAX {
                return Err(format!("{} took {took:?}", words()));
            }
            let harmless = !struck || matches!(fault.kind, Kind::Delay | Kind::Shorten);
            counts.add(verdict, struck, &report);
            if verdict != Verdict::Right || !harmless {
                break;
            }
        }
        self.before.arm(None);
        self.behind.arm(None);
        Ok(())
    }
}

/// A fault at a byte that is mostly in or near a head. Stalls cost a time-out each and are rare. Nothing is garbled: whoever
/// changes bytes changes what is right; `tests/e2e/faults.rs` judges that.
fn draw_fault(random: &mut Random) -> Fault {
    let way = random.pick(&[Way::ToServer, Way::ToClient]);
    let often = [Kind::Delay, Kind::Shorten, Kind::Reset, Kind::End];
    let kind = if random.once_in(200) { Kind::Stall } else { random.pick(&often) };
    let scale = random.pick(&[50, 300, 300, 1_000, 40_000, BODY_BYTES_MAX]);
    Fault { way, kind, at: random.below(scale) }
}

impl Counts {
    fn add(&self, verdict: Verdict, struck: bool, report: &scripted::Report) {
        let count = match verdict {
            Verdict::Right => &self.right,
            Verdict::Refused(_) => &self.refused,
            Verdict::Short => &self.short,
        };
        count.fetch_add(1, Ordering::Relaxed);
        self.struck.fetch_add(u64::from(struck), Ordering::Relaxed);
        let bytes = report.answers.iter().map(|answer| answer.body.len() as u64).sum();
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let (right, refused, short) = (of(&self.right), of(&self.refused), of(&self.short));
        let (struck, mib) = (of(&self.struck), of(&self.bytes) >> 20);
        write!(f, "{right} right, {refused} refused, {short} short; {struck} faults struck; {mib} MiB received")
    }
}

impl fmt::Display for Rest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} KiB, {} descriptors", self.memory_bytes >> 10, self.descriptors)
    }
}
