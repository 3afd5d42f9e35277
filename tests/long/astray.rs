//! Millions of answers over shared connections, none astray.

use std::sync::atomic::Ordering;

use kit::{Config, astray};

#[test]
fn of_four_million_answers_none_goes_astray() {
    const REQUESTS: u64 = 4_000_000;
    let crossed = astray::Crossed::default();
    let origin = astray::origin(4_000, &crossed);
    // Late answers are waited for: what they lead to is for the short test, and here as many as possible shall share.
    let config = Config::to(origin.address())
        .upstream_option("coalesce", "{ engage_at = 4, connections = 3, stall_timeout = \"5s\" }")
        .upstream_option("retry", "{ budget = 100, budget_min = 1000 }")
        .upstream_option("health", "{ failures = 0 }")
        .route_option("coalesce", true)
        .set("log", "access", "\"off\"");
    let ringway = super::start(config);
    let tally = astray::run(ringway.address(), &crossed, 64, REQUESTS);
    println!("{tally:?}");
    assert!(tally.right.load(Ordering::Relaxed) > REQUESTS * 9 / 10, "{tally:?}");
    let counts = ringway.stop_and_count();
    assert!(counts["coalesced_requests"] > REQUESTS / 4 && counts["coalesced_resent"] > 0, "{counts:?}");
}
