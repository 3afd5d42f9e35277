//! What stands around a proxy that is measured: the programs, the scenarios, how each proxy is set, its upstream and its load.
//!
//! `versus` compares by it, and `bench/flame` looks into one target under one scenario: [`programs`] → [`stage`] (the upstream,
//! and the load, which WebSockets have of their own: [`websocket`]) with [`targets`] (the proxies) and [`scenario`] (the work).
//! The load generator, the clocks and the runs that are kept are those of all benches, in [`bench_common`].

#![forbid(unsafe_code)]

pub mod programs;
pub mod scenario;
pub mod stage;
pub mod targets;
pub mod websocket;
