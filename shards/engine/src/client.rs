//! Who is at the other end of a session.

use std::fmt::Write as _;
use std::net::SocketAddr;

use plan::Plan;

use crate::admission::ClientKey;
use crate::secure::Secure;

/// Bytes of the longest IP address as text.
const TEXT_BYTES_MAX: usize = 45;

/// A client as its connection shows it.
#[derive(Debug)]
pub(crate) struct Client {
    text: [u8; TEXT_BYTES_MAX],
    text_len: u8,
    /// Whether its word about the client behind it is believed.
    pub(crate) trusted: bool,
    /// Whom its connections and breaches are put down to; nobody, if it speaks for many.
    pub(crate) key: Option<ClientKey>,
    /// What is known of its connection by TLS, if it speaks that.
    secure: Option<Box<Secure>>,
}

impl Client {
    /// The client at `address`; `None` is a peer on a Unix socket.
    pub(crate) fn new(address: Option<SocketAddr>, plan: &Plan) -> Client {
        let mut client =
            Client { text: [0; TEXT_BYTES_MAX], text_len: 0, trusted: plan.trust.unix, key: None, secure: None };
        if let Some(address) = address {
            client.trusted = plan.trust.trusts(address.ip());
            client.key = (!client.trusted).then(|| ClientKey::of(address.ip()));
            write!(client, "{}", address.ip()).expect("an address without zone has at most 45 bytes");
        } else {
            client.write_str("unix:").expect("it fits");
        }
        client
    }

    /// The same client, with whom TLS is spoken now.
    pub(crate) fn with_tls(mut self, secure: Secure) -> Client {
        self.secure = Some(Box::new(secure));
        self
    }

    /// What is known of its connection by TLS; `None` without.
    pub(crate) fn secure(&self) -> Option<&Secure> {
        self.secure.as_deref()
    }

    /// As [`Client::text`], for those who need bytes.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.text[..usize::from(self.text_len)]
    }

    /// Its address as text, as it appears in `X-Forwarded-For`; `unix:` for a peer on a Unix socket, as in nginx.
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(self.bytes()).expect("only text was written")
    }
}

impl std::fmt::Write for Client {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        let start = usize::from(self.text_len);
        let room = self.text.get_mut(start..start + text.len()).ok_or(std::fmt::Error)?;
        room.copy_from_slice(text.as_bytes());
        self.text_len += text.len() as u8;
        Ok(())
    }
}
