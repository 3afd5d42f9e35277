//! What is said about clients beyond what is always said.

/// Fields that requests to upstreams may carry besides `X-Forwarded-*`, `X-Real-IP` and `Via`. Each costs its bytes with
/// every request, and is off by default.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Forwarding {
    /// `X-Request-Id`: 128 random bits, or what a trusted peer sent. The access record carries it too.
    pub request_id: bool,
    /// `Forwarded` (RFC 7239).
    pub forwarded: bool,
}
