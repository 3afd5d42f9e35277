//! What stands around a proxy that is measured: the programs, the scenarios, how each proxy is set, its upstream and its load.
//!
//! `versus` compares by it, and `bench/flame` looks into one target under one scenario: [`programs`] → [`stage`] (the upstream,
//! for coalescing that of `batching`, and the load: wrk's, or that of [`generator`], or that of [`websocket`]) with [`targets`] (the proxies) and [`scenario`] (the work).
//! Who speaks TLS does so by the one `certificate` of a run; that it is spoken, and HTTP/2, is seen by `served`.
//! The load generator, the clocks and the runs that are kept are those of all benches, in [`bench_common`].

#![forbid(unsafe_code)]

mod batching;
mod certificate;
pub mod generator;
pub mod programs;
pub mod scenario;
mod served;
pub mod stage;
pub mod targets;
pub mod websocket;
