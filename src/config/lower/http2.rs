//! `[http2]`

use std::ops::RangeInclusive;

use plan::{Http2, Http2Budgets};

use super::integer;
use super::limits::bytes;
use crate::config::diagnostic::{Problem, Problems};
use crate::config::raw::http2 as raw;

/// Streams of a connection. More would be the work of more than one client.
const STREAMS_MAX: u32 = 1000;
const WINDOW_RANGE: RangeInclusive<u32> = 64 << 10..=16 << 20;
const HELD_RANGE: RangeInclusive<u32> = 64 << 10..=256 << 20;
const FRAME_RANGE: RangeInclusive<u32> = 16 << 10..=1 << 20;
const BUDGET_RANGE: RangeInclusive<u32> = 1..=1_000_000;

pub(super) fn lower(section: &raw::Http2, problems: &mut Problems) -> Http2 {
    let default = Http2::default();
    let window_bytes = bytes(section.window.as_ref(), WINDOW_RANGE, default.window_bytes, problems);
    let window_default = default.window_bytes_max.max(window_bytes);
    let window_bytes_max = bytes(section.window_max.as_ref(), WINDOW_RANGE, window_default, problems);
    if let Some(written) = section.window_max.as_ref().filter(|_| window_bytes_max < window_bytes) {
        let problem = Problem::new("`window_max` is less than `window`, with which streams begin");
        problems.at(written.span(), problem.expected("as much at least"));
    }
    Http2 {
        streams_max: integer(section.streams.as_ref(), 1..=STREAMS_MAX, default.streams_max, problems),
        window_bytes,
        window_bytes_max,
        held_bytes_max: bytes(section.held_bytes.as_ref(), HELD_RANGE, default.held_bytes_max, problems),
        frame_bytes_max: bytes(section.frame_bytes.as_ref(), FRAME_RANGE, default.frame_bytes_max, problems),
        budgets: budgets(&section.budgets, problems),
    }
}

fn budgets(section: &raw::Http2Budgets, problems: &mut Problems) -> Http2Budgets {
    let default = Http2Budgets::default();
    let mut budget = |written: &Option<_>, default| integer(written.as_ref(), BUDGET_RANGE, default, problems);
    Http2Budgets {
        settings: budget(&section.settings, default.settings),
        pings: budget(&section.pings, default.pings),
        resets: budget(&section.resets, default.resets),
        faults: budget(&section.faults, default.faults),
        refusals: budget(&section.refusals, default.refusals),
        empty_frames: budget(&section.empty_frames, default.empty_frames),
        priorities: budget(&section.priorities, default.priorities),
        window_updates: budget(&section.window_updates, default.window_updates),
        continuations: budget(&section.continuations, default.continuations),
        late_frames: budget(&section.late_frames, default.late_frames),
        unknown_frames: budget(&section.unknown_frames, default.unknown_frames),
    }
}
