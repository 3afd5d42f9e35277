//! Ringway: a reverse proxy, web server and API gateway. One shard per core, one io_uring per shard.
//!
//! This package is the binary and the control plane: the only place that knows TOML, signals, the command line and tokio.
//! Its files in the order in which a start passes them: [`cli`] (what was asked for), [`asked`] and [`config`] (what the file
//! means, as a [`plan::Plan`]), `demo` (an upstream to look at where there is no file), `supervisor` (the process that holds
//! the listening sockets of `listen`, and sees to it that a worker serves), `telemetry` (what is said while running),
//! `discovery` (addresses of servers that are known by name), `control` (in the worker: shards started, watched and stopped),
//! `systemd` (what a service manager is told), `profile` (where the time goes, when it is asked for). Requests never pass here: they live in the crates under `shards/`.

mod admin;
mod asked;
mod certs;
pub mod cli;
pub mod config;
mod control;
mod demo;
mod discovery;
mod listen;
mod profile;
mod supervisor;
mod systemd;
mod telemetry;
