//! Who Ringway is to its clients, who they have to be, and how both prove it.
//!
//! A client that speaks TLS names the host that it wants (SNI, RFC 6066 §3). [`Tls`] finds a [`Host`] by that name, and with
//! it the certificates to show and the [`Policy`] to insist on. Everything is read and checked already: certificates are DER,
//! their keys fit them, and what a client's certificate is judged by is complete. Keys are never shown by `Debug`.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::HostPattern;

/// What is spoken with clients on the listeners with TLS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tls {
    /// The hosts, each with names that no other has.
    pub hosts: Vec<Host>,
    /// Who answers a client that names no host, or one that nobody has: the index of a host. Without one such a client is
    /// refused.
    pub default: Option<usize>,
    /// What is insisted on, each different from the others; at most 65,536.
    pub policies: Vec<Policy>,
    /// How sessions are resumed; `None` resumes none.
    pub tickets: Option<Tickets>,
}

/// Index of a policy in [`Tls::policies`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PolicyId(pub u16);

/// Who Ringway is under some names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host {
    /// The names that clients ask for; none where it is only the default. They match as those of routes do, wildcards over
    /// any number of labels, so that no name is served by a route and judged by the policy of another. Never
    /// [`HostPattern::Prefix`].
    pub names: Vec<HostPattern>,
    /// Of which the first is shown whose key the client can verify. At least one.
    pub certificates: Vec<Arc<Certificate>>,
    /// What is insisted on.
    pub policy: PolicyId,
}

/// A certificate with its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// Where it was read; what logs and metrics call it.
    pub name: String,
    /// The certificate and then those that lead towards a root, in DER, in the order in which they are sent. At least one.
    pub chain: Vec<Der>,
    /// The key of the first of them.
    pub key: PrivateKey,
    /// Whether clients are shown along with it what its issuer says of it.
    pub stapling: Stapling,
    /// Until when it is valid, in seconds since 1970.
    pub not_after_unix_s: i64,
}

/// Whether clients are told by Ringway, and need not ask, what an issuer says of whether a certificate is revoked (OCSP, RFC 6960).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Stapling {
    /// They are not.
    #[default]
    Off,
    /// By this answer, for as long as it is good.
    Given(Staple),
    /// By the answer of the responder that the certificate names. The control thread asks it.
    Fetched,
}

/// An answer of a certificate's issuer that says it is not revoked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Staple {
    /// The answer as clients are shown it (OCSPResponse).
    pub answer: Arc<Der>,
    /// From when on it is good, in seconds since 1970.
    pub this_update_unix_s: i64,
    /// Until when it is good. Later it is not shown.
    pub next_update_unix_s: i64,
}

/// Something in DER. Only its length is shown.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Der(pub Box<[u8]>);

impl fmt::Debug for Der {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Der({} bytes)", self.0.len())
    }
}

/// A private key in DER. It is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct PrivateKey {
    /// How it is put.
    pub form: KeyForm,
    der: Box<[u8]>,
}

/// How a private key is put.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyForm {
    /// RFC 5208, `BEGIN PRIVATE KEY`.
    Pkcs8,
    /// RFC 8017, `BEGIN RSA PRIVATE KEY`.
    Pkcs1,
    /// RFC 5915, `BEGIN EC PRIVATE KEY`.
    Sec1,
}

impl PrivateKey {
    /// The key that `der` is.
    #[must_use]
    pub fn new(form: KeyForm, der: impl Into<Box<[u8]>>) -> PrivateKey {
        PrivateKey { form, der: der.into() }
    }

    /// The key, for who signs with it.
    #[must_use]
    pub fn secret_der(&self) -> &[u8] {
        &self.der
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PrivateKey(…)")
    }
}

/// What is insisted on in a handshake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// The oldest version that is spoken.
    pub version_min: Version,
    /// The cipher suites; the client's order decides. At least one of TLS 1.3, and one of TLS 1.2 if that is spoken.
    pub suites: Vec<CipherSuite>,
    /// The groups for the exchange of keys, best first. At least one.
    pub groups: Vec<Group>,
    /// Who clients have to be; `None` asks nobody.
    pub client_auth: Option<ClientAuth>,
    /// The protocols that may be agreed on (ALPN, RFC 7301), best first. A client that names none of them is refused; one that
    /// says nothing speaks HTTP/1.1.
    pub alpn: Vec<String>,
}

impl Policy {
    /// That of Mozilla's guidelines (Server Side TLS 5.7), but for two things: X25519MLKEM768 comes before the groups that they
    /// name, and the finite-field suites (`DHE`) are not there, which no client needs that is younger than 2014.
    #[must_use]
    pub fn of(profile: Profile) -> Policy {
        let (version_min, suites) = match profile {
            Profile::Modern => (Version::Tls13, CipherSuite::ALL[..3].to_vec()),
            Profile::Intermediate => (Version::Tls12, CipherSuite::ALL.to_vec()),
        };
        Policy {
            version_min,
            suites,
            groups: Group::PREFERRED.to_vec(),
            client_auth: None,
            alpn: vec!["h2".into(), "http/1.1".into()],
        }
    }
}

/// A policy in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Profile {
    /// TLS 1.3 only.
    Modern,
    /// TLS 1.2 with forward secrecy and authenticated encryption, and TLS 1.3.
    #[default]
    Intermediate,
}

/// A version of the protocol. Older ones are not spoken at all (RFC 8996).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    /// RFC 5246.
    Tls12,
    /// RFC 8446.
    Tls13,
}

impl Version {
    /// As it is written.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Version::Tls12 => "1.2",
            Version::Tls13 => "1.3",
        }
    }
}

/// A cipher suite, by its name in the registry of the IANA.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are those of the registry")]
pub enum CipherSuite {
    Tls13Aes128GcmSha256,
    Tls13Aes256GcmSha384,
    Tls13Chacha20Poly1305Sha256,
    EcdheEcdsaAes128GcmSha256,
    EcdheRsaAes128GcmSha256,
    EcdheEcdsaAes256GcmSha384,
    EcdheRsaAes256GcmSha384,
    EcdheEcdsaChacha20Poly1305Sha256,
    EcdheRsaChacha20Poly1305Sha256,
}

impl CipherSuite {
    /// All that there are, in Mozilla's order: those of TLS 1.3 first.
    pub const ALL: [CipherSuite; 9] = [
        CipherSuite::Tls13Aes128GcmSha256,
        CipherSuite::Tls13Aes256GcmSha384,
        CipherSuite::Tls13Chacha20Poly1305Sha256,
        CipherSuite::EcdheEcdsaAes128GcmSha256,
        CipherSuite::EcdheRsaAes128GcmSha256,
        CipherSuite::EcdheEcdsaAes256GcmSha384,
        CipherSuite::EcdheRsaAes256GcmSha384,
        CipherSuite::EcdheEcdsaChacha20Poly1305Sha256,
        CipherSuite::EcdheRsaChacha20Poly1305Sha256,
    ];

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            CipherSuite::Tls13Aes128GcmSha256 => "TLS_AES_128_GCM_SHA256",
            CipherSuite::Tls13Aes256GcmSha384 => "TLS_AES_256_GCM_SHA384",
            CipherSuite::Tls13Chacha20Poly1305Sha256 => "TLS_CHACHA20_POLY1305_SHA256",
            CipherSuite::EcdheEcdsaAes128GcmSha256 => "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
            CipherSuite::EcdheRsaAes128GcmSha256 => "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
            CipherSuite::EcdheEcdsaAes256GcmSha384 => "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
            CipherSuite::EcdheRsaAes256GcmSha384 => "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
            CipherSuite::EcdheEcdsaChacha20Poly1305Sha256 => "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
            CipherSuite::EcdheRsaChacha20Poly1305Sha256 => "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
        }
    }

    /// The version that it belongs to.
    #[must_use]
    pub const fn version(self) -> Version {
        match self {
            CipherSuite::Tls13Aes128GcmSha256
            | CipherSuite::Tls13Aes256GcmSha384
            | CipherSuite::Tls13Chacha20Poly1305Sha256 => Version::Tls13,
            _ => Version::Tls12,
        }
    }
}

/// A group in which keys are exchanged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Group {
    /// ML-KEM-768 together with X25519 (draft-ietf-tls-ecdhe-mlkem): holds if either holds.
    X25519MlKem768,
    /// RFC 7748.
    X25519,
    /// NIST P-256, `prime256v1`.
    Secp256r1,
    /// NIST P-384.
    Secp384r1,
}

impl Group {
    /// All of them, best first.
    pub const PREFERRED: [Group; 4] = [Group::X25519MlKem768, Group::X25519, Group::Secp256r1, Group::Secp384r1];

    /// Its name in the registry of the IANA.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Group::X25519MlKem768 => "X25519MLKEM768",
            Group::X25519 => "x25519",
            Group::Secp256r1 => "secp256r1",
            Group::Secp384r1 => "secp384r1",
        }
    }
}

/// How clients prove who they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientAuth {
    /// Whether a client without a certificate is refused. One with a wrong certificate is in any case.
    pub required: bool,
    /// The certificates that a client's must lead to. At least one.
    pub roots: Vec<Arc<Der>>,
    /// What has been revoked. Where there are any lists, every certificate of a client's chain but the root must be covered by
    /// one that has not expired: else it is refused.
    pub crls: Vec<Arc<Der>>,
}

/// How a session is resumed without a certificate: by tickets that the client keeps (RFC 8446 §4.6.1, RFC 5077). What they
/// resume is bound to the host's name and to the [`Policy`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tickets {
    /// How long tickets are made with one key; 1 minute to 7 days, in whole seconds. They are accepted for as long again.
    pub rotation: Duration,
    /// Keys that were given, for several machines: the first makes tickets, all accept them. Where there are none, keys are
    /// drawn at random and changed after [`Tickets::rotation`].
    pub keys: Vec<TicketKey>,
}

impl Tickets {
    /// How long a key is used unless told otherwise.
    pub const ROTATION: Duration = Duration::from_secs(12 * 60 * 60);
}

/// What tickets are sealed with, in the end. It is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct TicketKey(pub [u8; 32]);

impl fmt::Debug for TicketKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TicketKey(…)")
    }
}

/// How TLS is spoken with the servers of an upstream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpstreamTls {
    /// The name that servers are asked for, and have to prove; `None` goes by the address of each.
    pub server_name: Option<String>,
    /// The certificates that theirs must lead to. Where there are none, [`UpstreamTls::pins`] alone say who they are.
    pub roots: Vec<Arc<Der>>,
    /// The SHA-256 of the public keys (SubjectPublicKeyInfo) of which a server must have one; none takes any that the roots do.
    pub pins: Vec<[u8; 32]>,
    /// The certificate that servers are shown if they ask.
    pub certificate: Option<Arc<Certificate>>,
    /// The oldest version that is spoken.
    pub version_min: Version,
    /// The protocols that are offered, best first.
    pub alpn: Vec<String>,
    /// Whether sessions are resumed.
    pub resumes: bool,
}
