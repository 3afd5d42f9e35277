//! The load generator against servers: some that we did not write, and some of the tests' own that do what they are told.

mod errors;
mod idle;
mod peers;
mod scenarios;
mod server;
mod shape;
mod truth;
