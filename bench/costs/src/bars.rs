//! What must not be exceeded.

/// Heap allocations a small request in steady state. The law is none; a thousandth leaves room for the buffers that grow
/// once when more happens at once than ever before, and for nothing that happens with every request.
pub(crate) const ALLOCATIONS_MAX: f64 = 0.001;

/// Bytes of user memory of an idle keep-alive connection.
pub(crate) const IDLE_BYTES_MAX: f64 = 2048.0;
