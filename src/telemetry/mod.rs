//! What is said while running.

pub(crate) mod access;
pub(crate) mod exposition;
pub(crate) mod log;
