//! `/metrics`: what the worker has counted, in the text format of Prometheus.

use std::fmt::Write;

use crate::control::Status;

/// The format that this text is in.
const KIND: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The counts of `status`: their type, and the text.
pub(crate) fn text(status: &Status) -> (&'static str, String) {
    let totals = &status.totals;
    let mut text = String::new();
    let mut single = |name: &str, kind: &str, help: &str, value: u64| {
        let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}");
    };
    single(
        "ringway_connections_accepted_total",
        "counter",
        "Client connections accepted.",
        totals.connections_accepted,
    );
    single("ringway_connections_open", "gauge", "Client connections open.", totals.connections_open);
    single("ringway_upstream_connects_total", "counter", "Connections opened to upstreams.", totals.upstream_connects);
    single("ringway_upstream_retries_total", "counter", "Requests that were sent again.", totals.upstream_retries);
    single("ringway_upstream_ejections_total", "counter", "Servers left out for a time.", totals.upstream_ejections);
    let name = "ringway_exchanges_total";
    let _ = writeln!(text, "# HELP {name} Exchanges that have ended, by how they did.\n# TYPE {name} counter");
    for (outcome, count) in &totals.outcomes {
        let _ = writeln!(text, "{name}{{outcome=\"{outcome}\"}} {count}");
    }
    (KIND, text)
}
