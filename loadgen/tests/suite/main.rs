//! The load generator against servers: some that we did not write, and some of the tests' own that do what they are told.

mod errors;
mod http2;
mod idle;
mod peers;
mod scenarios;
mod server;
mod shape;
mod truth;
