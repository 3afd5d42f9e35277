//! Ringway: a reverse proxy, web server and API gateway. One shard per core, one io_uring per shard.
//!
//! This package is the binary and the control plane: the only place that knows TOML, signals, the command line and tokio.
//! Its files in the order in which a start passes them: [`cli`] (what was asked for), [`config`] (what the file means, as
//! a [`plan::Plan`]), `demo` (an upstream to look at where there is no file), `telemetry` (what is said while running),
//! `discovery` (addresses of servers that are known by name), `control` (shards started, watched and stopped). Requests never pass here: they live in the crates under `shards/`.

mod admin;
pub mod cli;
pub mod config;
mod control;
mod demo;
mod discovery;
mod telemetry;
