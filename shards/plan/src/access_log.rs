//! What is written down of each exchange, how, and where it goes.
//!
//! A route names one [`AccessLog`] or none: its [`Format`] is compiled into a flat list of pieces, its [`Condition`]s into
//! sets of bits, so that a shard looks nothing up by name. Several logs may share a [`LogTarget`]; their lines then keep the
//! order in which a shard wrote them.

mod format;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

pub use format::{Escape, Field, Format, Piece, TemplateError};

/// Index of a log in [`crate::Plan::access_logs`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct AccessLogId(pub u16);

/// Index of a target in [`AccessLogs::targets`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct LogTargetId(pub u16);

/// All logs of a Plan.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AccessLogs {
    /// The logs, indexed by [`AccessLogId`].
    pub logs: Vec<AccessLog>,
    /// Where they go, indexed by [`LogTargetId`]. No two are of the same place.
    pub targets: Vec<LogTarget>,
    /// The log of exchanges that found no route. Routes name theirs themselves.
    pub default: Option<AccessLogId>,
}

impl AccessLogs {
    /// The log of that index.
    ///
    /// # Panics
    /// If it is of another Plan.
    #[must_use]
    pub fn log(&self, id: AccessLogId) -> &AccessLog {
        &self.logs[usize::from(id.0)]
    }

    /// Whether standard output carries records, and is therefore for nothing else.
    #[must_use]
    pub fn use_stdout(&self) -> bool {
        self.targets.iter().any(|target| target.place == Place::Stdout)
    }
}

/// Which exchanges are written down, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessLog {
    /// Where the lines go.
    pub target: LogTargetId,
    /// What a line says.
    pub format: Format,
    /// Only exchanges that meet it are written down at all.
    pub only: Option<Condition>,
    /// The share of them that is.
    pub share: Share,
    /// Exchanges that are written down whatever the share.
    pub always: Option<Condition>,
}

/// A share of all exchanges, taken at random.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share(
    /// Out of [`Share::ALL`]`.0`.
    pub u32,
);

impl Share {
    /// Every one.
    pub const ALL: Share = Share(1_000_000);
}

/// What an exchange may be picked by: it meets the condition if it meets any part of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Condition {
    /// Bit *n* stands for the statuses *n*00 to *n*99.
    pub status_classes: u16,
    /// Bit *n* stands for the *n*-th of the engine's outcomes.
    pub outcomes: u32,
    /// Those that took longer.
    pub slower_than: Option<Duration>,
}

impl Condition {
    /// Whether an exchange meets it. `outcome` is the place among the engine's outcomes.
    #[inline]
    #[must_use]
    pub fn is_met(&self, status: u16, outcome: usize, duration: Duration) -> bool {
        self.status_classes & 1_u16.checked_shl(u32::from(status / 100)).unwrap_or(0) != 0
            || self.outcomes & 1_u32.checked_shl(outcome as u32).unwrap_or(0) != 0
            || self.slower_than.is_some_and(|bound| duration > bound)
    }
}

/// Where lines go, by a writer of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogTarget {
    /// The place.
    pub place: Place,
    /// Bytes of lines of each shard that may wait for the writer; lines beyond it are dropped. 64 KiB to 64 MiB.
    pub waiting_bytes_max: u32,
}

/// The place where lines go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// Standard output.
    Stdout,
    /// A file, to which lines are appended, or a named pipe.
    File {
        /// Its absolute path.
        path: PathBuf,
        /// Whether Ringway itself puts full files aside.
        rotation: Option<Rotation>,
    },
    /// The system's log.
    Syslog(Syslog),
}

/// When a file is put aside and a new one begun, and what becomes of the old ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rotation {
    /// From this size on.
    pub bytes_max: Option<u64>,
    /// At this age, unless it is empty.
    pub age_max: Option<Duration>,
    /// Old files that are kept; the oldest beyond that are removed. 1 to 10,000.
    pub kept_max: u16,
    /// Whether they are compressed (gzip).
    pub compress: bool,
}

/// How lines become messages of syslog.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Syslog {
    /// Who takes them.
    pub address: SyslogAddress,
    /// The form of a message.
    pub protocol: SyslogProtocol,
    /// Facility and severity: `facility * 8 + severity`. RFC 5424 §6.2.1
    pub priority: u8,
    /// The name under which the messages come; 1 to 48 printable ASCII characters.
    pub tag: String,
}

/// Who takes messages of syslog.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SyslogAddress {
    /// A datagram socket of this machine, such as `/dev/log`.
    Unix(PathBuf),
    /// A collector, by UDP (RFC 5426).
    Udp(SocketAddr),
}

/// The form of a message of syslog.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SyslogProtocol {
    /// The form that BSD's daemon made customary (RFC 3164); what `/dev/log` expects.
    Rfc3164,
    /// The standard's form.
    Rfc5424,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_condition_is_met_by_any_of_its_parts() {
        let condition =
            Condition { status_classes: 1 << 5, outcomes: 1 << 2, slower_than: Some(Duration::from_secs(1)) };
        let met = |status, outcome, millis| condition.is_met(status, outcome, Duration::from_millis(millis));
        assert!(met(503, 0, 0) && met(200, 2, 0) && met(200, 0, 1001));
        assert!(!met(404, 1, 1000) && !met(0, 0, 0));
        assert!(!Condition::default().is_met(500, 3, Duration::MAX));
    }
}
