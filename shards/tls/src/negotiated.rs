//! What the two sides have agreed on.

use rustls::pki_types::CertificateDer;
use rustls::{CipherSuite, CommonState, HandshakeKind, NamedGroup, ProtocolVersion};

use crate::error::Error;

/// A version of TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Version {
    /// TLS 1.2, RFC 5246.
    Tls12,
    /// TLS 1.3, RFC 8446.
    Tls13,
}

impl Version {
    /// All names, in the order of the versions.
    pub const NAMES: [&'static str; 2] = ["TLSv1.2", "TLSv1.3"];

    /// Its name, as OpenSSL writes it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        Version::NAMES[self as usize]
    }
}

/// What a session's key was agreed on with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Group {
    /// None: a session of TLS 1.2 that was resumed goes on with the key that it had.
    None,
    /// ML-KEM-768 and X25519 together, which no quantum computer undoes. draft-ietf-tls-ecdhe-mlkem
    X25519MlKem768,
    /// ML-KEM-768 and P-256 together.
    Secp256r1MlKem768,
    /// X25519. RFC 7748
    X25519,
    /// P-256.
    Secp256r1,
    /// P-384.
    Secp384r1,
    /// Another one.
    Other,
}

impl Group {
    /// All names, in the order of the groups.
    pub const NAMES: [&'static str; 7] =
        ["none", "X25519MLKEM768", "SecP256r1MLKEM768", "X25519", "secp256r1", "secp384r1", "other"];

    /// Its name, as IANA writes it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        Group::NAMES[self as usize]
    }

    fn of(group: NamedGroup) -> Group {
        match group {
            NamedGroup::X25519MLKEM768 => Group::X25519MlKem768,
            NamedGroup::secp256r1MLKEM768 => Group::Secp256r1MlKem768,
            NamedGroup::X25519 => Group::X25519,
            NamedGroup::secp256r1 => Group::Secp256r1,
            NamedGroup::secp384r1 => Group::Secp384r1,
            _ => Group::Other,
        }
    }
}

/// The result of a handshake.
#[derive(Debug, Clone)]
pub struct Negotiated {
    /// The version.
    pub version: Version,
    /// The cipher suite, by the name that IANA gives it.
    pub cipher: &'static str,
    /// What the key was agreed on with.
    pub group: Group,
    /// Whether an earlier session was resumed.
    pub resumed: bool,
    /// The protocol that was agreed on by ALPN; empty if none was.
    pub protocol: Box<[u8]>,
    /// The peer's certificate and those that lead to it, verified; none if it has shown none.
    pub peer_certificates: Option<Vec<CertificateDer<'static>>>,
}

impl Negotiated {
    /// How many [kinds](Negotiated::kind) there are.
    pub const KINDS: usize = Version::NAMES.len() * Group::NAMES.len() * 2;

    /// A number for version, group and whether a session was resumed, to count by.
    #[must_use]
    pub fn kind(&self) -> usize {
        (self.version as usize * Group::NAMES.len() + self.group as usize) * 2 + usize::from(self.resumed)
    }

    /// The words for a kind: version, group, and `true` for a session that was resumed, else `false`.
    ///
    /// # Panics
    /// If there is no such kind.
    #[must_use]
    pub fn words_of(kind: usize) -> [&'static str; 3] {
        let (pair, resumed) = (kind / 2, ["false", "true"][kind % 2]);
        [Version::NAMES[pair / Group::NAMES.len()], Group::NAMES[pair % Group::NAMES.len()], resumed]
    }

    /// What `connection`, whose handshake is over, has agreed on.
    pub(crate) fn of(connection: &CommonState) -> Result<Negotiated, Error> {
        let version = match connection.protocol_version() {
            Some(ProtocolVersion::TLSv1_3) => Version::Tls13,
            Some(ProtocolVersion::TLSv1_2) => Version::Tls12,
            _ => return Err(Error::Internal),
        };
        let suite = connection.negotiated_cipher_suite().ok_or(Error::Internal)?;
        let group = connection.negotiated_key_exchange_group();
        Ok(Negotiated {
            version,
            cipher: cipher_name(suite.suite()),
            group: group.map_or(Group::None, |group| Group::of(group.name())),
            resumed: connection.handshake_kind() == Some(HandshakeKind::Resumed),
            protocol: connection.alpn_protocol().unwrap_or_default().into(),
            peer_certificates: connection.peer_certificates().map(<[_]>::to_vec),
        })
    }
}

/// The name that IANA gives a suite. rustls writes those of TLS 1.3 in a way of its own.
fn cipher_name(suite: CipherSuite) -> &'static str {
    match suite {
        CipherSuite::TLS13_AES_128_GCM_SHA256 => "TLS_AES_128_GCM_SHA256",
        CipherSuite::TLS13_AES_256_GCM_SHA384 => "TLS_AES_256_GCM_SHA384",
        CipherSuite::TLS13_CHACHA20_POLY1305_SHA256 => "TLS_CHACHA20_POLY1305_SHA256",
        other => other.as_str().unwrap_or("other"),
    }
}
