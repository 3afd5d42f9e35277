//! The shard: accept, session, exchange, route, upstream, record.
//!
//! The engine joins what the floors below do not know of each other: the bytes of `ring`, the messages of `wire`, the
//! policy of `plan`. It knows no configuration format, no other shard, and no thread but its own; what it shares with the
//! control thread are counters that it alone writes, a mailbox, and a ring of access records.
//!
//! # The path of a request
//! [`shard`] (what a shard's sessions share, its life; told by [`command`]) → [`accept`] → [`session`] (a client's connection; `detect.rs`, `secure.rs`, `http1.rs`, `http2.rs`) →
//! [`exchange`] (THE file: one request and its response, from head to record) → [`route`] → [`forward`] (headers about the
//! client) → [`filter`] (what the route changes) → [`handler`] (`proxy.rs`: attempts; `relay.rs`: both bodies at once; `tunnel.rs`: after an upgrade, `websocket.rs`: frame by frame; `passthrough.rs`: without any request) → [`upstream`]
//! (`pool.rs`, `balance/`, `connect.rs`, `http1.rs`; `coalesce/` where requests share connections) →
//! back through the session → [`record`].
//!
//! An exchange sees its two sides through the traits of [`streams`], never a socket: a session may carry one exchange at a
//! time or many. [`outcome`] names every way in which an exchange ends, [`limit`] every limit that it may have met; [`refusal`] why a connection never came
//! to one.
//! Who is let in is decided by [`admission`] (clients) and [`overload`] (requests). What passed is counted in [`counters`] (the
//! shard as a whole) and [`tally`] (by listener, route, upstream and server).

#![forbid(unsafe_code)]

mod accept;
mod admission;
mod client;
mod command;
mod complaint;
mod counters;
mod deadline;
mod exchange;
mod filter;
mod forward;
mod handler;
mod inbox;
mod limit;
mod outbox;
mod outcome;
mod overload;
mod plain;
mod random;
mod record;
mod refusal;
mod request_id;
mod route;
mod secure;
mod session;
mod shard;
mod snapshot;
mod streams;
mod tally;
#[cfg(test)]
mod tests;
mod transport;
mod tuning;
mod turns;
mod upstream;
mod wakers;

pub use command::{Accepting, Command, Condition, Drain, NextPlan, Origin, Reply, Report, ServerHealth};
pub use complaint::Complaint;
pub use counters::{Counters, Reading};
pub use handler::Breach;
pub use outcome::{Error, Kind, Limit, Outcome, Side};
pub use record::{KeptFields, NextOutlet, Outlet, Outlets, Record, Recorder, Records, Utc, outlet};
pub use refusal::Refusal;
pub use ring::{
    Backend, Config as RingConfig, Count, Histogram, Instant, Sender, StartError, bind_tcp, listen, listen_tcp,
    listen_unix, probe, steer,
};
pub use shard::{Connectors, Spec, run};
pub use snapshot::{ServerSnapshot, Snapshot, Standing, UpstreamSnapshot};
pub use tally::{ListenerTally, RouteTally, ServerTally, Tallies, UpstreamTallies, UpstreamTally};
pub use wire::h2::BudgetKind;
