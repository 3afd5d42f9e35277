//! What is said about clients beyond what is always said.

/// Fields that requests to upstreams may carry besides `X-Forwarded-*`, `X-Real-IP` and `Via`. Each costs its bytes with
/// every request, and is off by default.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Forwarding {
    /// `X-Request-Id`: 128 random bits, or what a trusted peer sent. The access record carries it too.
    pub request_id: bool,
    /// Whether the client is told that name as well, by a field of the same name in the response.
    pub return_request_id: bool,
    /// `Forwarded` (RFC 7239).
    pub forwarded: bool,
}

impl Forwarding {
    /// Whether requests have names at all.
    #[must_use]
    pub fn names_requests(&self) -> bool {
        self.request_id || self.return_request_id
    }
}
