//! What is known of a client's connection by TLS.

use tls::Negotiated;

/// What was agreed on with a client, and what it had asked for. A connection holds it for as long as it lasts.
#[derive(Debug)]
pub(crate) struct Secure {
    /// The name that the client asked for (SNI), in lower case. Requests for hosts under another policy are not answered here.
    pub(crate) server_name: Option<Box<str>>,
    /// What was agreed on.
    pub(crate) negotiated: Negotiated,
}

impl Secure {
    /// Whether a request for `host`, as it stands in the request, may come over this connection (CVE-2025-23419): not if a
    /// handshake for it would have met another policy than this one's has.
    pub(crate) fn admits(&self, host: &[u8], acceptor: Option<&tls::Acceptor>) -> bool {
        acceptor.is_some_and(|acceptor| acceptor.fits(self.server_name.as_deref(), host))
    }
}
