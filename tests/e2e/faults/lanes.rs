//! Lanes: one proxy under test, and side by side in front of it and behind it clients, fault proxies and origins.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use kit::fault::{Fault, FaultProxy, Kind, Way};
use kit::scripted::{self, Report, Shape, Verdict, Witness};
use kit::{Config, Origin, Peer, Random, Ringway};

use super::EXCHANGES;

/// Failures after which a run gives up.
const FAILURES_MAX: usize = 5;
/// Descriptors that the proxy may keep for what all exchanges share: pooled pipes.
const POOLED_DESCRIPTORS_MAX: usize = 64;

/// On which side of the proxy the fault is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Client,
    Upstream,
}

/// One exchange, and what goes wrong in it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Case {
    name: &'static str,
    pub(super) shape: Shape,
    pub(super) side: Side,
    pub(super) fault: Fault,
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let side = if self.side == Side::Client { "client" } else { "upstream" };
        write!(f, "{}/{side}/{}", self.name, self.fault)
    }
}

impl Case {
    pub(super) fn parse(text: &str) -> Result<Case, String> {
        let mut words = text.splitn(3, '/');
        let name = words.next().unwrap_or_default();
        let (name, shape) = EXCHANGES.into_iter().find(|(n, _)| *n == name).ok_or(format!("no exchange {name:?}"))?;
        let side = match words.next() {
            Some("client") => Side::Client,
            Some("upstream") => Side::Upstream,
            side => return Err(format!("no side {side:?}")),
        };
        Ok(Case { name, shape, side, fault: words.next().unwrap_or_default().parse()? })
    }

    /// A case at a position of `range`.
    pub(super) fn draw(
        random: &mut Random,
        name: &'static str,
        side: Side,
        way: Way,
        kind: Kind,
        range: std::ops::Range<u64>,
    ) -> Case {
        let at = range.start + random.below(range.end - range.start);
        let kind = match kind {
            // Mostly one bit, as memory and lines do it; sometimes what makes a digit or a space of something.
            Kind::Garble(_) => Kind::Garble(random.pick(&[0x01, 0x02, 0x04, 0x08, 0x10, 0x20, 0x40, 0x80, 0x0d, 0xff])),
            kind => kind,
        };
        let shape = EXCHANGES.iter().find(|(n, _)| *n == name).expect("an exchange of that name").1;
        Case { name, shape, side, fault: Fault { way, kind, at } }
    }
}

/// What one case after the other goes through: a host of the proxy's own, with fault proxies on both sides.
#[derive(Debug)]
pub(super) struct Lane {
    host: String,
    pub(super) before: FaultProxy,
    pub(super) behind: FaultProxy,
    pub(super) witness: Arc<Witness>,
    /// Kept from case to case where the client's side is sound, so that an answer too many is found by the next request.
    client: Mutex<Option<Peer>>,
    _origin: Origin,
}

/// Many lanes through one proxy.
#[derive(Debug)]
pub(super) struct Lanes {
    lanes: Vec<Lane>,
    ringway: Ringway,
    descriptors: usize,
}

impl Lanes {
    /// `upstream_timeout` is what the proxy waits for an origin.
    pub(super) fn start(count: usize, config: Config, upstream_timeout: &str) -> Lanes {
        let mut config = config;
        let origins: Vec<_> = (0..count)
            .map(|number| {
                let (origin, witness) = scripted::start();
                let behind = FaultProxy::start(origin.address());
                (format!("lane{number}"), origin, witness, behind)
            })
            .collect();
        for (host, _, _, behind) in &origins {
            config = config.upstream(host, &[&behind.address()]);
            config = config.upstream_timeout("head_timeout", upstream_timeout);
            config = config.upstream_timeout("body_idle_timeout", upstream_timeout).route(Some(host), "/", host);
        }
        let ringway = crate::start(config);
        let lanes = origins.into_iter().map(|(host, origin, witness, behind)| {
            let before = FaultProxy::start(ringway.address());
            Lane { host, before, behind, witness, client: Mutex::new(None), _origin: origin }
        });
        let descriptors = ringway.process().descriptors();
        Lanes { lanes: lanes.collect(), descriptors, ringway }
    }

    /// How many bytes go `way` on `side` when nothing goes wrong.
    pub(super) fn bytes(&self, shape: &Shape, side: Side, way: Way) -> u64 {
        let lane = &self.lanes[0];
        lane.before.arm(None);
        lane.behind.arm(None);
        let mut client = Peer::connect(lane.before.address());
        let report = shape.perform(&mut client, &lane.host, "000000");
        assert_eq!(report.judge(shape, "000000"), Ok(Verdict::Right), "{report:?}");
        lane.witness.clear();
        if side == Side::Client { lane.before.passed(way) } else { lane.behind.passed(way) }
    }

    /// Runs `check` for each case, on all lanes at once, each case with a tag of its own. Between the cases of a lane nothing is
    /// left: what follows a case shows what it left.
    pub(super) fn run(&self, cases: &[Case], check: impl Fn(&Lane, &Case, &str) -> Result<(), String> + Sync) {
        let (next, failures) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
        thread::scope(|scope| {
            let work = |lane| {
                while failures.lock().expect("no thread panics holding the failures").len() < FAILURES_MAX {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    let Some(case) = cases.get(number) else { return };
                    if let Err(error) = check(lane, case, &format!("{:06}", number + 1)) {
                        let failure = format!("RINGWAY_FAULT={case}: {error}");
                        failures.lock().expect("no thread panics holding the failures").push(failure);
                    }
                    lane.disarm();
                }
            };
            let lanes = if cases.len() <= 2 { &self.lanes[..1] } else { &self.lanes };
            let threads = lanes.iter().map(|lane| scope.spawn(move || work(lane))).collect();
            super::join_all(threads);
        });
        let failures = failures.into_inner().expect("no thread panics holding the failures");
        assert!(failures.is_empty(), "of {} cases these failed:\n{}", cases.len(), failures.join("\n"));
        println!("{} cases", cases.len());
        self.assert_sound();
    }

    /// Demands that every lane still serves, and that nothing is left of what it served.
    fn assert_sound(&self) {
        for lane in &self.lanes {
            let shape = EXCHANGES[0].1;
            let mut client = Peer::connect(self.ringway.address());
            let report = shape.perform(&mut client, &lane.host, "999999");
            assert_eq!(report.judge(&shape, "999999"), Ok(Verdict::Right), "{}: {report:?}", lane.host);
        }
        for lane in &self.lanes {
            *lane.client.lock().expect("no thread panics holding a client") = None;
            lane.before.hang_up();
            lane.behind.hang_up();
        }
        self.ringway.wait_for_descriptors(self.descriptors + POOLED_DESCRIPTORS_MAX);
    }
}

impl Lane {
    /// Performs the exchange of `case` with its fault armed.
    pub(super) fn perform(&self, case: &Case, tag: &str) -> Report {
        let mut kept = self.client.lock().expect("no thread panics holding a client");
        if case.side == Side::Client {
            self.before.arm(Some(case.fault));
            let mut client = Peer::connect(self.before.address());
            let mut report = case.shape.perform(&mut client, &self.host, tag);
            if report.end.is_none() {
                let last = report.answers.last();
                // Who never read the method answers a HEAD with a text.
                let unread = last.filter(|last| case.shape.method == "HEAD" && scripted::own_error(last).is_ok());
                report.end = end(&mut client, unread.map(|answer| answer.status()));
            }
            return report;
        }
        if tag.ends_with(['0', '2', '4', '6', '8']) {
            self.use_connection();
        }
        self.behind.arm(Some(case.fault));
        let mut client = kept.take().filter(Peer::is_idle).unwrap_or_else(|| Peer::connect(self.before.address()));
        let report = case.shape.perform(&mut client, &self.host, tag);
        if report.end.is_none() && report.answers.last().is_some_and(|last| !last.head.lists("connection", "close")) {
            *kept = Some(client);
        }
        report
    }

    /// Leaves the proxy with a used connection to the origin: one that may have died unnoticed, as far as it knows.
    fn use_connection(&self) {
        let mut client = Peer::connect(self.before.address());
        let report = EXCHANGES[0].1.perform(&mut client, &self.host, "used");
        assert!(report.judge(&EXCHANGES[0].1, "used").is_ok(), "{report:?}");
        self.witness.take("used.0");
    }

    fn disarm(&self) {
        self.before.arm(None);
        self.behind.arm(None);
    }
}

/// Ends a connection whose answers have all come, and says what came besides, unless it is the text of the error `unread`.
fn end(client: &mut Peer, unread: Option<u16>) -> Option<std::io::Error> {
    let _ = client.half_close();
    match client.read_to_end() {
        Ok(more) if unread.is_some_and(|status| more.starts_with(status.to_string().as_bytes())) => None,
        Ok(more) if !more.is_empty() => {
            let text = format!("an answer to nothing: {}", more.escape_ascii());
            Some(std::io::Error::new(std::io::ErrorKind::InvalidData, text))
        }
        // Every answer was there, so that a reset does no harm; one who keeps the connection for ever does.
        Err(error) if error.kind() == std::io::ErrorKind::TimedOut => Some(error),
        _ => None,
    }
}
