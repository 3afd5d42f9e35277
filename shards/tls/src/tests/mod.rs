//! Sessions of ours against rustls's own connections, and against each other.

mod failures;
mod garbled;
mod peer;
mod transfer;
