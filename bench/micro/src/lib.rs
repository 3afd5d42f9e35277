//! What single parts of Ringway cost, file by file as they stand under `shards/`.
//!
//! A part has its work here ([`plan::route`] has the tables and requests for `shards/plan/src/route.rs`), its curves in
//! `benches/` (Criterion: `cargo bench -p ringway-bench-micro`), and its bars, where it has any, in the program: that measures
//! what is compared in turns, so that a machine which changes from minute to minute changes both sides, and keeps the run. The
//! hot parts are counted in instructions as well (`cargo run --release -p ringway-bench-micro -- instructions`).

#![forbid(unsafe_code)]

pub mod engine;
pub mod plan;
pub mod ring;
pub mod tls;
pub mod wire;
