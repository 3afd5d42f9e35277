//! A load generator for HTTP that shares no protocol code with the proxy, so that it cannot share its bugs.
//!
//! The crate has two halves that meet in [`record`]: what makes load fills a [`record::Recorder`] in each thread, and what
//! tells of it starts from the [`record::Recording`] that the threads' recorders become.

#![forbid(unsafe_code)]

pub mod compare;
pub mod process;
pub mod record;
pub mod report;
