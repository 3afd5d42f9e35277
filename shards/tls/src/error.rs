//! Why a connection has failed.

use rustls::{AlertDescription, PeerIncompatible};

/// What went wrong. Nothing more is to be read from the connection; an alert that tells the peer is in what is to be sent.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Error {
    /// The handshake has failed.
    #[error("{0}")]
    Handshake(rustls::Error),
    /// A record was not sealed by the peer, or was changed on its way.
    #[error("a record that the peer has not sealed")]
    BadRecord,
    /// A record is larger than TLS allows.
    #[error("a record that is too large")]
    TooLarge,
    /// A message that cannot be read.
    #[error("a malformed message")]
    Malformed,
    /// A message that is out of place.
    #[error("an unexpected message")]
    UnexpectedMessage,
    /// The peer wants to negotiate anew, which is not done.
    #[error("renegotiation")]
    Renegotiation,
    /// The peer keeps us busy with messages that carry nothing.
    #[error("too many messages that carry nothing")]
    Busywork,
    /// The peer has sent a fatal alert.
    #[error("the peer has sent an alert: {0:?}")]
    Alert(AlertDescription),
    /// The peer has ended the connection in the middle of the handshake.
    #[error("ended during the handshake")]
    Ended,
    /// The key has protected as much as it may, and the protocol knows of no other.
    #[error("the key is used up")]
    Exhausted,
    /// A mistake of our own.
    #[error("internal error")]
    Internal,
}

impl Error {
    /// The alert that tells the peer; `None` if rustls has made it or none is due.
    pub(crate) fn alert(&self) -> Option<AlertDescription> {
        Some(match self {
            Error::Handshake(_) | Error::Alert(_) | Error::Ended => return None,
            Error::BadRecord => AlertDescription::BadRecordMac,
            Error::TooLarge => AlertDescription::RecordOverflow,
            Error::Malformed => AlertDescription::DecodeError,
            Error::UnexpectedMessage | Error::Busywork => AlertDescription::UnexpectedMessage,
            Error::Renegotiation => AlertDescription::HandshakeFailure,
            Error::Exhausted => AlertDescription::CloseNotify,
            Error::Internal => AlertDescription::InternalError,
        })
    }

    /// Under what it is counted.
    #[must_use]
    pub fn reason(&self) -> Reason {
        use rustls::Error as Tls;
        match self {
            Error::Handshake(error) => match error {
                Tls::AlertReceived(_) => Reason::Alert,
                Tls::PeerIncompatible(
                    PeerIncompatible::SupportedVersionsExtensionRequired
                    | PeerIncompatible::Tls12NotOffered
                    | PeerIncompatible::Tls12NotOfferedOrEnabled
                    | PeerIncompatible::Tls13RequiredForQuic
                    | PeerIncompatible::ServerDoesNotSupportTls12Or13
                    | PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig,
                ) => Reason::Version,
                Tls::PeerIncompatible(_) => Reason::Incompatible,
                Tls::NoApplicationProtocol => Reason::Protocol,
                Tls::NoCertificatesPresented | Tls::InvalidCertificate(_) | Tls::InvalidCertRevocationList(_) => {
                    Reason::Certificate
                }
                Tls::InvalidMessage(_) | Tls::PeerSentOversizedRecord => Reason::Malformed,
                Tls::InappropriateMessage { .. } | Tls::InappropriateHandshakeMessage { .. } => Reason::Unexpected,
                Tls::PeerMisbehaved(_) | Tls::DecryptError => Reason::Misbehaved,
                // What is left of rustls's errors during a handshake is that no certificate of this host suits.
                Tls::General(_) => Reason::Name,
                _ => Reason::Internal,
            },
            Error::BadRecord | Error::Busywork => Reason::Misbehaved,
            Error::TooLarge | Error::Malformed => Reason::Malformed,
            Error::UnexpectedMessage => Reason::Unexpected,
            Error::Renegotiation => Reason::Renegotiation,
            Error::Alert(_) => Reason::Alert,
            Error::Ended => Reason::Ended,
            Error::Exhausted | Error::Internal => Reason::Internal,
        }
    }
}

impl From<rustls::Error> for Error {
    fn from(error: rustls::Error) -> Error {
        Error::Handshake(error)
    }
}

/// Kinds of failures, under which they are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Reason {
    /// The peer has sent an alert.
    Alert,
    /// No version in common.
    Version,
    /// No suite, group or signature in common.
    Incompatible,
    /// No application protocol in common.
    Protocol,
    /// No certificate for the name that was asked for.
    Name,
    /// The client's certificate is missing or not accepted.
    Certificate,
    /// Bytes that are not TLS, or messages that cannot be read.
    Malformed,
    /// A message that is out of place.
    Unexpected,
    /// The peer has broken the protocol otherwise.
    Misbehaved,
    /// The peer wanted to negotiate anew.
    Renegotiation,
    /// The connection ended before the handshake did.
    Ended,
    /// The handshake took too long.
    TimedOut,
    /// A mistake of our own.
    Internal,
}

impl Reason {
    /// All names, in the order of the reasons.
    pub const NAMES: [&'static str; 13] = [
        "alert",
        "version",
        "incompatible",
        "protocol",
        "name",
        "certificate",
        "malformed",
        "unexpected",
        "misbehaved",
        "renegotiation",
        "ended",
        "timed_out",
        "internal",
    ];

    /// Its place in [`Reason::NAMES`].
    #[must_use]
    pub fn index(self) -> usize {
        usize::from(self as u8)
    }

    /// Its name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        Reason::NAMES[self.index()]
    }
}
