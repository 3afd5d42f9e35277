//! Numbers that were measured, and the one decision that they feed.

use std::task::{Context, Poll, ready};

use plan::Plan;
use ring::ReadMode;
use wire::BodyLength;
use wire::h2::{self, Budget, BudgetKind};

use crate::inbox::Inbox;
use crate::transport::Transport;

/// Bytes that may wait to be sent on a connection before no more are read for it.
pub(crate) const WAITING_BYTES_MAX: usize = 128 << 10;

/// Bytes still to come, or of unknown length already come, from which a body is read by large one-shot receives.
const LARGE_BODY_BYTES: u64 = 8 << 10;

/// How to read on in a body of which `received` bytes have come.
pub(crate) fn read_mode(length: BodyLength, received: u64) -> ReadMode {
    let large = match length {
        BodyLength::None => false,
        BodyLength::Exact(length) => length.saturating_sub(received) > LARGE_BODY_BYTES,
        BodyLength::Chunked | BodyLength::UntilClose => received > LARGE_BODY_BYTES,
    };
    if large { ReadMode::Body } else { ReadMode::Head }
}

/// How to read an answer if it is like the last one, whose body had `received` bytes.
pub(crate) fn expected_mode(received: u64, plan: &Plan) -> ReadMode {
    match received {
        // The head with what fits beside it, and the rest past us.
        received if received >= plan.shards.splice_bytes_min => ReadMode::Once,
        received if received > LARGE_BODY_BYTES => ReadMode::Body,
        _ => ReadMode::Head,
    }
}

/// Ready with the length of the run that may be taken straight from the socket, of which `run` bytes follow; 0 if some of it has
/// been received already.
pub(crate) fn poll_run(transport: &mut Transport, inbox: &Inbox, run: u64, cx: &Context<'_>) -> Poll<u64> {
    if !inbox.is_empty() {
        return Poll::Ready(0);
    }
    let Some(stream) = transport.plain() else { return Poll::Ready(0) };
    ready!(stream.poll_quiet(cx));
    Poll::Ready(if stream.is_fresh() { run } else { 0 })
}

/// The Plan's bounds on heads, as the parsers take them.
pub(crate) fn wire_limits(plan: &Plan) -> wire::Limits {
    wire::Limits {
        head_bytes_max: plan.limits.head_bytes_max,
        // A start line may take the whole head; where it alone exceeds that, the answer says so (414).
        start_line_bytes_max: plan.limits.head_bytes_max,
        fields_max: plan.limits.fields_max,
        target_bytes_max: plan.limits.uri_bytes_max,
        field_bytes_max: plan.limits.field_bytes_max,
    }
}

/// The Plan's bounds on connections of HTTP/2, as those take them.
pub(crate) fn http2_config(plan: &Plan) -> h2::Config {
    let plan::Http2 { streams_max, window_bytes, window_bytes_max, held_bytes_max, frame_bytes_max, budgets } =
        plan.http2;
    let mut config = h2::Config {
        heads: wire_limits(plan),
        streams_max,
        stream_window_bytes: window_bytes,
        stream_window_bytes_max: window_bytes_max,
        held_bytes_max,
        frame_bytes_max,
        extended_connect: true,
        ..h2::Config::server()
    };
    for (kind, calm) in [
        (BudgetKind::Settings, budgets.settings),
        (BudgetKind::Pings, budgets.pings),
        (BudgetKind::Resets, budgets.resets),
        (BudgetKind::Faults, budgets.faults),
        (BudgetKind::Refusals, budgets.refusals),
        (BudgetKind::EmptyFrames, budgets.empty_frames),
        (BudgetKind::Priorities, budgets.priorities),
        (BudgetKind::WindowUpdates, budgets.window_updates),
        (BudgetKind::Continuations, budgets.continuations),
        (BudgetKind::LateFrames, budgets.late_frames),
        (BudgetKind::UnknownFrames, budgets.unknown_frames),
    ] {
        config.budgets.set(kind, Budget { calm, close: 2 * calm, per_second: (calm / 10).max(1) });
    }
    config
}
