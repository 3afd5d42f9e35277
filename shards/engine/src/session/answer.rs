//! What clients are told in Ringway's own name, and what is written down of requests whose heads were refused.

use std::fmt::Display;

use ring::Instant;
use wire::FieldName;
use wire::h1::{Edits, Line, write};

use crate::client::Client;
use crate::forward;
use crate::outcome::{Error, Kind, Outcome};
use crate::record::{KeptFields, Record};
use crate::shard::Membership;

/// The type of [`text`].
pub(super) const TEXT_PLAIN: &str = "text/plain; charset=utf-8";

/// `502 Bad Gateway: upstream_refused`, and for a refused head what was wrong with it.
pub(super) fn text(error: &Error, detail: Option<&dyn Display>) -> String {
    let (status, reason) = (error.status, write::reason_phrase(error.status));
    match detail {
        Some(detail) => format!("{status} {reason}: {detail}\n"),
        None => format!("{status} {reason}: {}\n", Outcome::Failed(*error).as_str()),
    }
}

/// The fields that go with it; `extra` is what the route says besides.
pub(super) fn edits(error: &Error, extra: &Edits) -> Edits {
    let mut edits = forward::own_edits(error.status);
    if error.kind == Kind::Overloaded {
        // RFC 9110 §10.2.3
        edits.add_line(const { Line::new(FieldName::RetryAfter, "Retry-After: 1\r\n") });
    }
    edits.extend(extra);
    edits
}

/// Takes note of a request whose head was refused, or did not come, since `began`.
pub(super) fn record_refusal(shard: &Membership, client: &Client, error: Error, began: Instant) {
    let outcome = Outcome::Failed(error);
    shard.note(client, outcome);
    shard.count_request();
    let now = ring::now();
    let serving = shard.serving();
    if let Some(tally) = serving.tallies.route(None) {
        tally.note(error.status, outcome, (0, 0), now.saturating_duration_since(began));
    }
    let response = KeptFields::default();
    shard.record(&serving, serving.plan.access_logs.default, now, || Record {
        client: client.text(),
        server_name: client.secure().and_then(|secure| secure.server_name.as_deref()),
        tls: client.secure().map(|secure| &secure.negotiated),
        request: None,
        response: &response,
        status: error.status,
        outcome,
        route: None,
        upstream: None,
        request_id: b"",
        bytes_in: 0,
        bytes_out: 0,
        duration: now.saturating_duration_since(began),
    });
}
