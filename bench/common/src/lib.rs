//! What the benches share: an upstream, a load generator, clocks, and runs that are kept.
//!
//! A bench starts [`upstream`] (nginx, with its settings from [`nginx`]) on one core, drives what it measures by [`wrk`],
//! describes the machine by [`host`] and leaves its figures in a folder by [`keep`]. [`programs`] finds what is installed,
//! [`process`] makes sure that whatever is started also ends, [`affinity`] says on which core, and [`cpu`] what it spent.
//! [`statistics`] says how sure the figures of a few rounds are, and [`budget`] has the bounds that figures are held against.
//! [`arguments`] is what their command lines have in common, [`body`] is what is asked for, and [`fetch`] sees that it is served.
//!
//! The crate measures nothing itself, and knows no proxy.

#![forbid(unsafe_code)]

pub mod affinity;
pub mod arguments;
pub mod body;
pub mod budget;
pub mod cpu;
pub mod fetch;
pub mod host;
pub mod interrupt;
pub mod keep;
pub mod nginx;
pub mod process;
pub mod programs;
pub mod statistics;
pub mod upstream;
pub mod wrk;
