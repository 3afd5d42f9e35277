//! From the structs of [`raw`] to a Plan, section by section: each file here has its counterpart in the `plan` crate.
//!
//! A value that is wrong is recorded and replaced by its default, so that lowering always runs to the end and one run
//! tells all errors. What was not understood is not there at all: who finds that something is lacking asks whether it concerns
//! what was omitted. The Plan is given out only if there were no errors.

mod access_log;
mod admin;
mod dns;
mod filter;
mod http2;
mod limits;
mod listener;
mod metrics;
mod passthrough;
mod process;
mod route;
mod tls;
mod trust;
mod upstream;
mod websocket;

use std::ops::RangeInclusive;
use std::time::Duration;

use crate::config::spanned::Spanned;
use plan::{Forwarding, Io, Plan, Shards};

use super::diagnostic::{Problem, Problems, quoted};
use super::raw::{self, Quantity};
use super::units::{self, ShowDuration, ShowSize};
use super::{Loaded, diagnostic};
pub(super) use tls::Files;

/// The largest number of shards.
pub(super) const SHARDS_MAX: u16 = 1024;

/// The times that a time-out may be set to, unless its section says otherwise.
const TIMEOUT_RANGE: RangeInclusive<Duration> = Duration::from_millis(1)..=Duration::from_secs(24 * 60 * 60);

/// Checks what `file` means and gives it out as a Plan. `cores` is the number of shards where the file names none; `files` are
/// those that it names beside the configuration.
pub(super) fn lower(file: &raw::File, cores: u16, files: &mut Files<'_>, problems: &mut Problems) -> Option<Loaded> {
    let names = upstream::Names::of(file);
    let mut discovery = dns::lower(&file.dns, problems);
    let (access_logs, logs) = access_log::lower(file, problems);
    let trust = trust::lower(&file.trust, problems);
    let listeners = listener::lower(file, &trust, problems);
    let passthrough = passthrough::lower(file, &listeners, &names, &logs, problems);
    // Where all is passed through, no request is ever seen.
    let takes =
        |listener: &plan::Listener| listener.protocols.http1 || listener.protocols.http2 || listener.tls.is_some();
    let takes_requests = listeners.is_empty() || listeners.iter().any(takes);
    let plan = Plan {
        listeners,
        passthrough,
        upstreams: upstream::lower(file, &names, (&mut discovery.names, files), problems),
        routes: route::lower(file, &names, &logs, takes_requests, problems),
        limits: limits::limits(&file.limits, problems),
        timeouts: limits::timeouts(&file.timeouts, problems),
        overload: limits::overload(&file.overload, problems),
        http2: http2::lower(&file.http2, problems),
        tls: tls::lower(file, files, problems),
        trust,
        forwarding: Forwarding {
            request_id: file.forwarding.request_id,
            return_request_id: file.forwarding.return_request_id,
            forwarded: file.forwarding.forwarded,
        },
        shards: shards(&file.shards, cores, problems),
        access_logs,
        metrics: metrics::lower(&file.metrics, problems),
    };
    let log_level = log_level(&file.log, problems);
    let process = process::lower(&file.process, problems);
    let admin = admin::lower(&file.admin, problems);
    let (written, certs) = (super::Written::default(), super::Certs::default());
    problems.is_empty().then_some(Loaded { plan, log_level, discovery, process, admin, certs, written })
}

fn shards(section: &raw::Shards, cores: u16, problems: &mut Problems) -> Shards {
    let count = integer(section.count.as_ref(), 1..=SHARDS_MAX, cores.clamp(1, SHARDS_MAX), problems);
    let known = [("auto", Io::Auto), ("io_uring", Io::IoUring), ("epoll", Io::Epoll)];
    let io = word(section.io.as_ref(), "an I/O interface", &known, Io::default(), problems);
    let splice = section.splice_bytes_min.as_ref();
    let splice_bytes_min = size(splice, 4 << 10..=1 << 40, Shards::SPLICE_BYTES_MIN, problems);
    Shards { count, pin: section.pin.unwrap_or(true), io, splice_bytes_min }
}

fn log_level(section: &raw::Log, problems: &mut Problems) -> tracing::Level {
    use tracing::Level;
    let known = [
        ("error", Level::ERROR),
        ("warn", Level::WARN),
        ("info", Level::INFO),
        ("debug", Level::DEBUG),
        ("trace", Level::TRACE),
    ];
    word(section.level.as_ref(), "a log level", &known, Level::INFO, problems)
}

/// One of a fixed set of words.
fn word<T: Copy>(
    written: Option<&Spanned<String>>,
    kind: &str,
    known: &[(&str, T)],
    default: T,
    problems: &mut Problems,
) -> T {
    let Some(written) = written else { return default };
    let word = written.get_ref();
    if let Some((_, value)) = known.iter().find(|(name, _)| name == word) {
        return *value;
    }
    let problem = Problem::new(format!("{} is not {kind}", quoted(word)));
    problems.at(written.span(), problem.expected_one_of(word, known.iter().map(|(name, _)| *name)));
    default
}

/// A whole number within `range`.
fn integer<T>(written: Option<&Spanned<i64>>, range: RangeInclusive<T>, default: T, problems: &mut Problems) -> T
where
    T: Copy + PartialOrd + std::fmt::Display + TryFrom<i64>,
{
    let Some(written) = written else { return default };
    let number = *written.get_ref();
    if let Some(value) = T::try_from(number).ok().filter(|value| range.contains(value)) {
        return value;
    }
    let problem = Problem::new(format!("{number} is out of range"));
    problems.at(written.span(), problem.expected(format!("{} to {}", range.start(), range.end())));
    default
}

/// A duration within `range`.
fn duration(
    written: Option<&Spanned<raw::Duration>>,
    range: RangeInclusive<Duration>,
    default: Duration,
    problems: &mut Problems,
) -> Duration {
    let shown = |value: Duration| ShowDuration(value).to_string();
    let written = written.map(|written| (&written.get_ref().0, written.span()));
    quantity(written, units::duration, range, shown, default, problems)
}

/// A size in bytes, within `range`.
fn size(
    written: Option<&Spanned<raw::Size>>,
    range: RangeInclusive<u64>,
    default: u64,
    problems: &mut Problems,
) -> u64 {
    let written = written.map(|written| (&written.get_ref().0, written.span()));
    quantity(written, units::size, range, |value| ShowSize(value).to_string(), default, problems)
}

fn quantity<T: Copy + PartialOrd>(
    written: Option<(&Quantity, diagnostic::Span)>,
    read: impl Fn(&str) -> Result<T, Problem>,
    range: RangeInclusive<T>,
    shown: impl Fn(T) -> String,
    default: T,
    problems: &mut Problems,
) -> T {
    let Some((written, span)) = written else { return default };
    // A number without a unit goes the same way as a text without one, and gets the same advice.
    let text = match written {
        Quantity::Text(text) => text.clone(),
        Quantity::Integer(number) => number.to_string(),
        Quantity::Float(number) => number.to_string(),
    };
    let problem = match read(&text) {
        Ok(value) if range.contains(&value) => return value,
        Ok(_) => {
            let limits = format!("{} to {}", shown(*range.start()), shown(*range.end()));
            Problem::new(format!("{} is out of range", quoted(&text))).expected(limits)
        }
        Err(problem) => problem,
    };
    problems.at(span, problem);
    default
}

/// Records that more `things` stand in the file than a Plan holds.
fn too_many(things: &str, count: usize, count_max: usize, span: diagnostic::Span, problems: &mut Problems) {
    problems.at(span, Problem::new(format!("{count} {things} are too many")).expected(format!("at most {count_max}")));
}
