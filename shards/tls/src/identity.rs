//! Who a client has proved to be, in words that go into a header.

use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::digest::{SHA256, digest};
use rustls::pki_types::CertificateDer;
use x509_parser::extensions::GeneralName;
use x509_parser::objects::{oid_registry, oid2abbrev};
use x509_parser::prelude::{FromDer, X509Certificate, X509Name};

/// Bytes of one of the texts. Who has a longer name is refused: half a name is another's.
const TEXT_BYTES_MAX: usize = 4096;

/// What a client's certificate says of it. All texts are visible ASCII and spaces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The subject, by RFC 4514: `CN=alice,O=Example`. Empty if it has none.
    pub subject: Box<str>,
    /// The issuer, in the same way.
    pub issuer: Box<str>,
    /// The serial number, in hexadecimal.
    pub serial: Box<str>,
    /// The SHA-256 of the certificate, in hexadecimal.
    pub fingerprint: Box<str>,
    /// Its other names: `DNS:a.example,URI:spiffe://example/alice`. What is not a letter, a digit or one of `-._~:/@*` is
    /// escaped as in a URI, so that no name can look like two. Empty if it has none.
    pub names: Box<str>,
}

/// Why a certificate, although it was verified, identifies nobody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum IdentityError {
    /// It cannot be read.
    #[error("the certificate cannot be read")]
    Malformed,
    /// It has expired since it was verified: a session is resumed by a ticket without another look at it.
    #[error("the certificate has expired")]
    Expired,
    /// A name is longer than headers are.
    #[error("a name in the certificate is too long")]
    TooLong,
}

impl Identity {
    /// Who has shown `certificate`, which was verified, and is valid `now` still.
    ///
    /// # Errors
    /// When that cannot be told with certainty.
    pub fn of(certificate: &CertificateDer<'_>, now: SystemTime) -> Result<Identity, IdentityError> {
        let (_, read) = X509Certificate::from_der(certificate).map_err(|_| IdentityError::Malformed)?;
        let now_unix_s = now.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        if read.validity().not_after.timestamp() < i64::try_from(now_unix_s).unwrap_or(i64::MAX) {
            return Err(IdentityError::Expired);
        }
        let names = read.subject_alternative_name().map_err(|_| IdentityError::Malformed)?;
        let names = names.iter().flat_map(|names| &names.value.general_names).filter_map(other_name);
        Ok(Identity {
            subject: distinguished(read.subject())?,
            issuer: distinguished(read.issuer())?,
            serial: bounded(hexadecimal(read.raw_serial()))?,
            fingerprint: bounded(hexadecimal(digest(&SHA256, certificate).as_ref()))?,
            names: bounded(names.collect::<Vec<_>>().join(","))?,
        })
    }
}

fn bounded(text: String) -> Result<Box<str>, IdentityError> {
    if text.len() > TEXT_BYTES_MAX { Err(IdentityError::TooLong) } else { Ok(text.into()) }
}

/// RFC 4514 §2: the last part first, and what is not plain escaped.
fn distinguished(name: &X509Name<'_>) -> Result<Box<str>, IdentityError> {
    let mut text = String::new();
    let parts: Vec<_> = name.iter_rdn().collect();
    for (index, part) in parts.into_iter().rev().enumerate() {
        for (inner, attribute) in part.iter().enumerate() {
            if inner > 0 {
                text.push('+');
            } else if index > 0 {
                text.push(',');
            }
            let kind = attribute.attr_type();
            match oid2abbrev(kind, oid_registry()) {
                Ok(abbreviation) => text.push_str(abbreviation),
                Err(_) => text.push_str(&kind.to_id_string()),
            }
            text.push('=');
            // A value of a kind that is not text stands as its bytes.
            match attribute.as_str() {
                Ok(value) => escaped(value, &mut text),
                Err(_) => text.push_str(&format!("#{}", hexadecimal(attribute.as_slice()))),
            }
        }
    }
    bounded(text)
}

/// RFC 4514 §2.4
fn escaped(value: &str, text: &mut String) {
    for (at, byte) in value.bytes().enumerate() {
        let is_edge = at == 0 || at + 1 == value.len();
        match byte {
            b'"' | b'+' | b',' | b';' | b'<' | b'>' | b'\\' | b'=' => text.extend(['\\', char::from(byte)]),
            b' ' if is_edge => text.push_str("\\ "),
            b'#' if at == 0 => text.push_str("\\#"),
            b' '..=b'~' => text.push(char::from(byte)),
            _ => text.push_str(&format!("\\{byte:02X}")),
        }
    }
}

fn other_name(name: &GeneralName<'_>) -> Option<String> {
    Some(match name {
        GeneralName::DNSName(name) => format!("DNS:{}", plain(name)),
        GeneralName::URI(uri) => format!("URI:{}", plain(uri)),
        GeneralName::RFC822Name(address) => format!("email:{}", plain(address)),
        GeneralName::IPAddress(bytes) => match (<[u8; 4]>::try_from(*bytes), <[u8; 16]>::try_from(*bytes)) {
            (Ok(bytes), _) => format!("IP:{}", std::net::Ipv4Addr::from(bytes)),
            (_, Ok(bytes)) => format!("IP:{}", std::net::Ipv6Addr::from(bytes)),
            _ => return None,
        },
        _ => return None,
    })
}

fn plain(text: &str) -> String {
    let mut plain = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~:/@*".contains(&byte) {
            plain.push(char::from(byte));
        } else {
            plain.push_str(&format!("%{byte:02X}"));
        }
    }
    plain
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair, SanType, SerialNumber, date_time_ymd};

    use super::*;

    fn certificate(change: impl FnOnce(&mut CertificateParams)) -> CertificateDer<'static> {
        let mut params = CertificateParams::default();
        params.serial_number = Some(SerialNumber::from(0x1234));
        params.distinguished_name = DistinguishedName::new();
        change(&mut params);
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().clone()
    }

    #[test]
    fn a_name_cannot_be_made_to_look_like_another() {
        let der = certificate(|params| {
            params.distinguished_name.push(DnType::OrganizationName, "Example, Inc.");
            params.distinguished_name.push(DnType::CommonName, " alice,CN=root\r\nX-Admin: 1é");
            let names = ["a.example,DNS:b.example", "spiffe://example/alice, x"];
            params.subject_alt_names = vec![
                SanType::DnsName(names[0].try_into().unwrap()),
                SanType::URI(names[1].try_into().unwrap()),
                SanType::IpAddress([192, 0, 2, 1].into()),
            ];
        });
        let identity = Identity::of(&der, SystemTime::now()).unwrap();
        assert_eq!(&*identity.subject, r"CN=\ alice\,CN\=root\0D\0AX-Admin: 1\C3\A9,O=Example\, Inc.");
        let names = "DNS:a.example%2CDNS:b.example,URI:spiffe://example/alice%2C%20x,IP:192.0.2.1";
        assert_eq!(&*identity.names, names);
        assert_eq!((&*identity.serial, identity.fingerprint.len()), ("1234", 64));
        assert_eq!(identity.issuer, identity.subject);
    }

    #[test]
    fn who_cannot_be_told_with_certainty_is_nobody() {
        let expires = date_time_ymd(2030, 1, 1);
        let der = certificate(|params| params.not_after = expires);
        let after = UNIX_EPOCH + Duration::from_secs(4_000_000_000);
        assert_eq!(Identity::of(&der, after), Err(IdentityError::Expired));
        let long = certificate(|params| params.distinguished_name.push(DnType::CommonName, "x".repeat(5000)));
        assert_eq!(Identity::of(&long, SystemTime::now()), Err(IdentityError::TooLong));
        assert_eq!(Identity::of(&CertificateDer::from(vec![0]), SystemTime::now()), Err(IdentityError::Malformed));
    }
}
