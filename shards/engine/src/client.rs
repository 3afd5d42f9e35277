//! Who is at the other end of a session.

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use plan::Plan;
use wire::proxy_protocol::Announced;

use crate::admission::ClientKey;
use crate::secure::Secure;

/// Bytes of the longest IP address as text: IPv4 inside IPv6 is written in a shorter way.
const TEXT_BYTES_MAX: usize = 39;
/// The bit of [`Client::text_len`] that says whether the client is trusted. A connection that is idle holds its client: a
/// byte of its own would cost it eight.
const TRUSTED: u8 = 0x80;

/// A client as its connection shows it, or as a trusted proxy has told of it.
#[derive(Debug)]
pub(crate) struct Client {
    /// Whom its connections and breaches are put down to; nobody, if it speaks for many.
    pub(crate) key: Option<ClientKey>,
    /// What is known of its connection by TLS, if it speaks that.
    secure: Option<Box<Secure>>,
    /// Both ends of its connection, where servers are told of them.
    ends: Option<Box<Ends>>,
    text: [u8; TEXT_BYTES_MAX],
    /// Its length, and [`TRUSTED`].
    text_len: u8,
}

const _: () = assert!(size_of::<Client>() == 64);

/// Both ends of a client's connection, of one family.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ends {
    /// The client's address.
    pub(crate) source: SocketAddr,
    /// The address that it had connected to.
    pub(crate) destination: SocketAddr,
}

impl Client {
    /// The client at `address`; `None` is a peer on a Unix socket.
    pub(crate) fn new(address: Option<SocketAddr>, plan: &Plan) -> Client {
        let mut client = Client { key: None, secure: None, ends: None, text: [0; TEXT_BYTES_MAX], text_len: 0 };
        let is_trusted = match address {
            Some(address) => {
                write!(client, "{}", address.ip()).expect("an address without zone has at most 39 bytes");
                plan.trust.trusts(address.ip())
            }
            None => {
                client.write_str("unix:").expect("it fits");
                plan.trust.unix
            }
        };
        client.key = address.filter(|_| !is_trusted).map(|address| ClientKey::of(address.ip()));
        client.text_len |= if is_trusted { TRUSTED } else { 0 };
        client
    }

    /// A client whose address cannot be told any more.
    pub(crate) fn unknown() -> Client {
        let mut client = Client { key: None, secure: None, ends: None, text: [0; TEXT_BYTES_MAX], text_len: 0 };
        client.write_str("unknown").expect("it fits");
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

    /// The same client, of whose connection servers will be told.
    pub(crate) fn with_ends(mut self, ends: Option<Ends>) -> Client {
        self.ends = ends.map(Box::new);
        self
    }

    /// The same client, whose connection is put down to nobody yet: it is about to tell for whom it speaks.
    pub(crate) fn speaking_for_others(mut self) -> Client {
        self.key = None;
        self
    }

    /// Whether its word about the client behind it is believed.
    pub(crate) fn is_trusted(&self) -> bool {
        self.text_len & TRUSTED != 0
    }

    /// As [`Client::text`], for those who need bytes.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.text[..usize::from(self.text_len & !TRUSTED)]
    }

    /// Its address as text, as it appears in `X-Forwarded-For`; `unix:` for a peer on a Unix socket, as in nginx,
    /// and `unknown` for one that was gone before it could be asked for.
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(self.bytes()).expect("only text was written")
    }

    /// Who a connection is opened for, as a server is told. Of a connection that is older than the order to tell, the client's
    /// address is known and nothing else.
    pub(crate) fn announced(&self) -> Announced {
        if let Some(Ends { source, destination }) = self.ends.as_deref().copied() {
            return Announced::Tcp { source, destination };
        }
        match self.text().parse::<IpAddr>() {
            Ok(ip) => {
                let unspecified: IpAddr = match ip {
                    IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
                    IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
                };
                Announced::Tcp { source: SocketAddr::new(ip, 0), destination: SocketAddr::new(unspecified, 0) }
            }
            Err(_) => Announced::Unknown,
        }
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
