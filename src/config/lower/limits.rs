//! `[limits]`, `[timeouts]` and `[overload]`

use std::ops::RangeInclusive;
use std::time::Duration;

use crate::config::spanned::Spanned;
use plan::{Limits, Overload, Timeouts};

use super::{TIMEOUT_RANGE, duration, integer, size};
use crate::config::diagnostic::Problems;
use crate::config::raw;

/// Client connections of a shard. An upper bound against slips of the keyboard; descriptors end sooner.
const CONNECTIONS_MAX: u32 = 10_000_000;
/// Breaches of the protocol in a minute; more would be counted as if there were no bound.
const GLITCHES_MAX: u32 = 1_000_000;
/// The rates that a peer may be held to, in bytes a second.
pub(super) const RATE_RANGE: RangeInclusive<u32> = 0..=1 << 30;

pub(super) fn limits(section: &raw::Limits, problems: &mut Problems) -> Limits {
    let default = Limits::default();
    let count = |written: &Option<_>, range, default, problems: &mut Problems| {
        integer::<u32>(written.as_ref(), range, default, problems)
    };
    Limits {
        head_bytes_max: bytes(section.head_bytes.as_ref(), 1 << 10..=1 << 20, default.head_bytes_max, problems),
        uri_bytes_max: bytes(section.uri_bytes.as_ref(), 16..=1 << 20, default.uri_bytes_max, problems),
        fields_max: integer(section.fields.as_ref(), 1..=1000, default.fields_max, problems),
        field_bytes_max: bytes(section.field_bytes.as_ref(), 64..=1 << 20, default.field_bytes_max, problems),
        body_bytes_max: size(section.body_bytes.as_ref(), 0..=1 << 60, default.body_bytes_max, problems),
        body_rate_min: bytes(section.body_rate_min.as_ref(), RATE_RANGE, default.body_rate_min, problems),
        connections_max: count(&section.connections, 1..=CONNECTIONS_MAX, default.connections_max, problems),
        connections_per_client_max: count(
            &section.connections_per_client,
            0..=CONNECTIONS_MAX,
            default.connections_per_client_max,
            problems,
        ),
        requests_per_connection_max: count(
            &section.requests_per_connection,
            0..=u32::MAX,
            default.requests_per_connection_max,
            problems,
        ),
        glitches_per_client_max: count(
            &section.glitches_per_client,
            0..=GLITCHES_MAX,
            default.glitches_per_client_max,
            problems,
        ),
    }
}

pub(super) fn timeouts(section: &raw::Timeouts, problems: &mut Problems) -> Timeouts {
    let default = Timeouts::default();
    let from_zero = Duration::ZERO..=*TIMEOUT_RANGE.end();
    Timeouts {
        head: duration(section.head.as_ref(), TIMEOUT_RANGE, default.head, problems),
        body_idle: duration(section.body_idle.as_ref(), TIMEOUT_RANGE, default.body_idle, problems),
        body_rate_grace: duration(section.body_rate_grace.as_ref(), TIMEOUT_RANGE, default.body_rate_grace, problems),
        // Zero: none.
        request: duration(section.request.as_ref(), from_zero.clone(), default.request, problems),
        keep_alive: duration(section.keep_alive.as_ref(), TIMEOUT_RANGE, default.keep_alive, problems),
        // Zero: not to wait at all is a choice that an operator may make.
        drain: duration(section.drain.as_ref(), from_zero, default.drain, problems),
        tunnel_idle: duration(section.tunnel_idle.as_ref(), TIMEOUT_RANGE, default.tunnel_idle, problems),
    }
}

pub(super) fn overload(section: &raw::Overload, problems: &mut Problems) -> Overload {
    let default = Overload::default();
    let minute = Duration::from_secs(60);
    let interval = Duration::from_millis(10)..=minute;
    Overload {
        queue_time: duration(section.queue_time.as_ref(), Duration::ZERO..=minute, default.queue_time, problems),
        interval: duration(section.interval.as_ref(), interval, default.interval, problems),
    }
}

/// A size that is small enough for 32 bits.
pub(super) fn bytes(
    written: Option<&Spanned<raw::Size>>,
    range: RangeInclusive<u32>,
    default: u32,
    problems: &mut Problems,
) -> u32 {
    let range = u64::from(*range.start())..=u64::from(*range.end());
    u32::try_from(size(written, range, default.into(), problems)).unwrap_or(default)
}
