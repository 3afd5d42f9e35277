//! `[limits]` and `[timeouts]`

use std::time::Duration;

use plan::{Limits, Timeouts};

use super::{TIMEOUT_RANGE, duration, integer, size};
use crate::config::diagnostic::Problems;
use crate::config::raw;

/// Client connections of a shard. An upper bound against slips of the keyboard; descriptors end sooner.
const CONNECTIONS_MAX: u32 = 10_000_000;

pub(super) fn limits(section: &raw::Limits, problems: &mut Problems) -> Limits {
    let default = Limits::default();
    let head_bytes = size(section.head_bytes.as_ref(), 1 << 10..=1 << 20, default.head_bytes_max.into(), problems);
    Limits {
        head_bytes_max: u32::try_from(head_bytes).unwrap_or(default.head_bytes_max),
        fields_max: integer(section.fields.as_ref(), 1..=1000, default.fields_max, problems),
        body_bytes_max: size(section.body_bytes.as_ref(), 0..=1 << 60, default.body_bytes_max, problems),
        connections_max: integer(section.connections.as_ref(), 1..=CONNECTIONS_MAX, default.connections_max, problems),
    }
}

pub(super) fn timeouts(section: &raw::Timeouts, problems: &mut Problems) -> Timeouts {
    let default = Timeouts::default();
    Timeouts {
        head: duration(section.head.as_ref(), TIMEOUT_RANGE, default.head, problems),
        body_idle: duration(section.body_idle.as_ref(), TIMEOUT_RANGE, default.body_idle, problems),
        keep_alive: duration(section.keep_alive.as_ref(), TIMEOUT_RANGE, default.keep_alive, problems),
        // Not to wait at all is a choice that an operator may make here, and only here.
        drain: duration(section.drain.as_ref(), Duration::ZERO..=*TIMEOUT_RANGE.end(), default.drain, problems),
        tunnel_idle: duration(section.tunnel_idle.as_ref(), TIMEOUT_RANGE, default.tunnel_idle, problems),
    }
}
