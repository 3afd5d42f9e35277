//! What a listener shows to its clients: which certificate and which policy stand behind each name.

use std::sync::Arc;

use rustls::ServerConfig;

/// The TLS policy of one listener: for each name that a client may ask for, a [`Host`].
///
/// It is built on the control thread and never changed; shards share it, and a reload replaces it as a whole.
#[derive(Debug)]
pub struct Acceptor {
    default: Host,
}

impl Acceptor {
    /// An acceptor that serves every name alike.
    #[must_use]
    pub fn single(host: Host) -> Acceptor {
        Acceptor { default: host }
    }

    /// The host for the name that a client asks for (SNI), in lower case; `None` if it names none.
    #[must_use]
    pub fn choose(&self, _sni: Option<&str>) -> &Host {
        &self.default
    }
}

/// One policy and its certificates.
#[derive(Debug, Clone)]
pub struct Host {
    /// How its handshakes are conducted. Extraction of secrets is enabled: records are protected by this crate.
    pub config: Arc<ServerConfig>,
    /// Which policy it is, the same as long as names, authentication of clients and trust in them are. Two names with the same
    /// identity may share a connection; two with different ones never do.
    pub identity: u64,
}
