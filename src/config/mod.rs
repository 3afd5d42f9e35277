//! From what the user writes to what the shards obey: TOML in, a [`plan::Plan`] out, or every error at once.
//!
//! The way of a file, in order: [`load`] reads it; `shape` turns its text into the structs of `raw`, which mirror the
//! file key by key; `lower` turns those into a Plan, section by section, reading single values with `address` and
//! `units`. Whatever is wrong becomes a `diagnostic`: file, line, column, the line itself, what was expected, and the
//! nearest name that would have been right.
//!
//! Errors come in two rounds. Those of shape (syntax, unknown keys, wrong types) are reported alone, because a section
//! that was not understood would make the others look wrong as well; those of meaning are then reported all together.

mod address;
mod diagnostic;
mod lower;
mod raw;
mod shape;
#[cfg(test)]
mod tests;
mod units;

use std::fs::File;
use std::io::{self, Read};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use plan::{
    AccessLogs, Address, Forwarding, Io, Limits, Listener, Overload, Plan, Route, RouteTable, Server, Shards, Timeouts,
    TrustPolicy,
};
use plan::{Upstream, UpstreamId};

pub use crate::discovery::{Discovery, Name};
pub use diagnostic::Report;
pub(crate) use units::ShowDuration;

/// A configuration file longer than this is refused: nobody writes it by hand, and it is read whole.
const FILE_BYTES_MAX: u64 = 16 << 20;

/// A configuration that was read and found valid.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// What the shards obey.
    pub plan: Plan,
    /// How much the program's own log says.
    pub log_level: tracing::Level,
    /// The servers that are known by name, and who is asked for their addresses.
    pub discovery: Discovery,
}

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Errors {
    /// The file could not be read.
    #[error("cannot read {}: {reason}", path.display())]
    Unreadable {
        /// The file that was asked for.
        path: PathBuf,
        /// What the kernel said.
        reason: io::Error,
    },
    /// The file was read and is wrong in one or more places.
    #[error("{0}")]
    Invalid(Report),
}

/// Reads and checks the file at `path`.
///
/// # Errors
/// When the file cannot be read, is longer than 16 MiB, or does not describe a valid configuration.
pub fn load(path: &Path) -> Result<Loaded, Errors> {
    let unreadable = |reason| Errors::Unreadable { path: path.to_owned(), reason };
    let mut bytes = Vec::new();
    File::open(path).and_then(|file| file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes)).map_err(unreadable)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(unreadable(io::Error::new(io::ErrorKind::FileTooLarge, "it is longer than 16 MiB")));
    }
    let text = String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        let line = 1 + error.as_bytes()[..at].iter().filter(|byte| **byte == b'\n').count();
        unreadable(io::Error::new(io::ErrorKind::InvalidData, format!("line {line} is not UTF-8 text")))
    })?;
    parse(&path.display().to_string(), &text, cores_available())
}

/// Checks `text`, which errors call `name`. `cores` is the number of shards where the text names none.
///
/// # Errors
/// When the text does not describe a valid configuration.
pub fn parse(name: &str, text: &str, cores: u16) -> Result<Loaded, Errors> {
    shape::read(text)
        .and_then(|file| lower::lower(&file, cores))
        .map_err(|problems| Errors::Invalid(problems.into_report(name, text)))
}

/// The configuration that serves where there is no file: one listener on the loopback interface, one shard per core, and
/// everything proxied to the demo upstream at `demo`.
#[must_use]
pub fn embedded(demo: SocketAddr) -> Plan {
    let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 8080));
    let route = Route::new(None, "/", UpstreamId(0));
    Plan {
        listeners: vec![Listener::new(Address::Tcp(listen))],
        upstreams: vec![Upstream::new("demo", vec![Server::new(Address::Tcp(demo))])],
        routes: RouteTable::new(vec![route]),
        limits: Limits::default(),
        timeouts: Timeouts::default(),
        overload: Overload::default(),
        trust: TrustPolicy::default(),
        forwarding: Forwarding::default(),
        shards: Shards { count: cores_available(), pin: true, io: Io::Auto },
        access_logs: AccessLogs::default(),
    }
}

/// Reads an address as it is written in the configuration, for the command line.
///
/// # Errors
/// What is wrong with it, and what was expected, in one line.
pub fn parse_listen_address(text: &str) -> Result<Address, String> {
    address::listen(text).map_err(|problem| problem.in_one_line())
}

/// Number of cores that this process may use, within what a Plan allows; 1 where the kernel does not tell.
fn cores_available() -> u16 {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    u16::try_from(cores).unwrap_or(u16::MAX).min(lower::SHARDS_MAX)
}
