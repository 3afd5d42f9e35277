//! A load generator for HTTP and WebSocket that shares no protocol code with the proxy, so that it cannot share its bugs.
//!
//! The crate has two halves that meet in [`record`]: what makes load fills a [`record::Recorder`] in each thread, and what
//! tells of it starts from the [`record::Recording`] that the threads' recorders become.
//!
//! The path of a request: [`scenario`] (what is to be asked, from a file or the command line) → [`load`] (written out
//! beforehand; due by a schedule or as soon as the answer before has come; sent on a connection of a thread with an io_uring
//! of its own) → [`client`] (the protocol and TLS, without sockets) → [`record`]. [`idle`] holds connections that say
//! nothing, by the hundred thousand.
//!
//! What came of it goes from [`record`] through [`report`] to readers and programs; [`compare`] lets targets take turns, and
//! [`process`] reads what they spend.

#![forbid(unsafe_code)]

pub mod client;
pub mod compare;
pub mod idle;
pub mod load;
pub mod process;
pub mod record;
pub mod report;
pub mod scenario;
