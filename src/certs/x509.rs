//! What certificates and lists of revocations say. Signatures are checked by rustls, when they matter.

use plan::HostPattern;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{ASN1Time, CertificateRevocationList, FromDer, X509Certificate};

/// Bytes of a name of the DNS. RFC 1035 §2.3.4
const NAME_BYTES_MAX: usize = 253;

/// What a certificate says.
#[derive(Debug, Clone)]
pub(super) struct Facts {
    /// The hosts that it is for, in lower case.
    pub(super) names: Vec<HostPattern>,
    /// In DER.
    pub(super) subject: Vec<u8>,
    pub(super) issuer: Vec<u8>,
    /// Its public key with its kind (SubjectPublicKeyInfo), in DER.
    pub(super) public: Vec<u8>,
    pub(super) not_before: String,
    pub(super) not_before_unix_s: i64,
    pub(super) not_after: String,
    pub(super) not_after_unix_s: i64,
    /// Whether it may issue others.
    pub(super) is_authority: bool,
}

impl Facts {
    pub(super) fn of(der: &[u8]) -> Result<Facts, String> {
        let (rest, certificate) = X509Certificate::from_der(der).map_err(|error| error.to_string())?;
        if !rest.is_empty() {
            return Err("there is more behind its end".to_owned());
        }
        let names = certificate.subject_alternative_name().map_err(|error| error.to_string())?;
        let names = names.iter().flat_map(|names| &names.value.general_names);
        let names = names.filter_map(|name| if let GeneralName::DNSName(name) = name { pattern(name) } else { None });
        let validity = certificate.validity();
        Ok(Facts {
            names: names.collect(),
            subject: certificate.subject().as_raw().to_vec(),
            issuer: certificate.issuer().as_raw().to_vec(),
            public: certificate.public_key().raw.to_vec(),
            not_before: shown(validity.not_before),
            not_before_unix_s: validity.not_before.timestamp(),
            not_after: shown(validity.not_after),
            not_after_unix_s: validity.not_after.timestamp(),
            is_authority: certificate.is_ca(),
        })
    }
}

/// What a list of revocations says.
#[derive(Debug)]
pub(super) struct Revocations {
    issuer: Vec<u8>,
    pub(super) next_update: String,
    pub(super) next_update_unix_s: Option<i64>,
}

impl Revocations {
    pub(super) fn of(der: &[u8]) -> Result<Revocations, String> {
        let (_, list) = CertificateRevocationList::from_der(der).map_err(|error| error.to_string())?;
        Ok(Revocations {
            issuer: list.issuer().as_raw().to_vec(),
            next_update: list.next_update().map(shown).unwrap_or_default(),
            next_update_unix_s: list.next_update().map(|time| time.timestamp()),
        })
    }

    /// Whether it was issued by who the certificate `der` is.
    pub(super) fn is_of(&self, der: &[u8]) -> bool {
        Facts::of(der).is_ok_and(|facts| facts.subject == self.issuer)
    }
}

/// `2026-11-20`.
fn shown(time: ASN1Time) -> String {
    let date = time.to_datetime();
    format!("{:04}-{:02}-{:02}", date.year(), u8::from(date.month()), date.day())
}

/// A name of a certificate, if it is one of the DNS.
fn pattern(name: &str) -> Option<HostPattern> {
    let lower = name.to_ascii_lowercase();
    let (host, pattern): (_, fn(String) -> HostPattern) = match lower.strip_prefix("*.") {
        Some(suffix) => (suffix, HostPattern::Suffix),
        None => (lower.as_str(), HostPattern::Exact),
    };
    let is_name = !host.is_empty()
        && host.len() <= NAME_BYTES_MAX
        && host.split('.').all(|label| !label.is_empty())
        && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
    is_name.then(|| pattern(host.to_owned()))
}
