//! What is said while running.

pub(crate) mod access;
pub(crate) mod log;
pub(crate) mod metrics;
