//! `[dns]`

use std::ops::RangeInclusive;
use std::time::Duration;

use super::{duration, too_many};
use crate::config::address;
use crate::config::diagnostic::Problems;
use crate::config::raw;
use crate::discovery::Discovery;

/// Servers that are asked in turn.
const SERVERS_MAX: usize = 16;
/// The times that an answer may take.
const TIMEOUT_RANGE: RangeInclusive<Duration> = Duration::from_millis(10)..=Duration::from_secs(60);

/// Whom to ask. The names are added by the upstreams that have them.
pub(super) fn lower(section: &raw::Dns, problems: &mut Problems) -> Discovery {
    if let Some(first_beyond) = section.servers.get(SERVERS_MAX) {
        too_many("servers", section.servers.len(), SERVERS_MAX, first_beyond.span(), problems);
    }
    let mut discovery = Discovery::default();
    for server in &section.servers {
        match address::resolver(server.get_ref()) {
            Ok(address) => discovery.servers.push(address),
            Err(problem) => problems.at(server.span(), problem),
        }
    }
    discovery.timeout = duration(section.timeout.as_ref(), TIMEOUT_RANGE, discovery.timeout, problems);
    discovery
}
