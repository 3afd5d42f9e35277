//! What is known of a client's connection by TLS.

use std::time::SystemTime;

use tls::{Identity, IdentityError, Negotiated};

/// What was agreed on with a client, and what it had asked for. A connection holds it for as long as it lasts.
#[derive(Debug)]
pub(crate) struct Secure {
    /// The name that the client asked for (SNI), in lower case. Requests for hosts under another policy are not answered here.
    pub(crate) server_name: Option<Box<str>>,
    /// What was agreed on.
    pub(crate) negotiated: Negotiated,
    /// Who it has proved to be, if it was asked.
    pub(crate) identified: Option<Identified>,
}

/// What came of asking a client who it is.
#[derive(Debug)]
pub(crate) enum Identified {
    /// It has shown no certificate, and the policy takes that.
    Nobody,
    /// It has shown one that was verified, and holds.
    Client(Box<Identity>),
}

impl Identified {
    /// Who the client is by `negotiated`, if the policy asks.
    pub(crate) fn of(asks_clients: bool, negotiated: &Negotiated) -> Result<Option<Identified>, IdentityError> {
        if !asks_clients {
            return Ok(None);
        }
        // By the clock of the wall: a session that is resumed brings a certificate that was verified some time ago.
        match negotiated.peer_certificates.as_deref().and_then(|chain| chain.first()) {
            None => Ok(Some(Identified::Nobody)),
            Some(certificate) => {
                let identity = Identity::of(certificate, SystemTime::now())?;
                Ok(Some(Identified::Client(Box::new(identity))))
            }
        }
    }
}

impl Secure {
    /// Whether a request for `host`, as it stands in the request, may come over this connection (CVE-2025-23419): not if a
    /// handshake for it would have met another policy than this one's has.
    pub(crate) fn admits(&self, host: &[u8], acceptor: Option<&tls::Acceptor>) -> bool {
        acceptor.is_some_and(|acceptor| acceptor.fits(self.server_name.as_deref(), host))
    }
}
