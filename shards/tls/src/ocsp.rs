//! Whether a certificate is revoked, as its issuer says (OCSP, RFC 6960): the question, and what an answer is worth.
//!
//! An answer is judged before clients are shown it: one that is shown none goes on, and one that is shown a wrong one ends the
//! connection. Signatures are verified by what rustls verifies those of certificates by.

#[cfg(test)]
mod tests;

use aws_lc_rs::digest::{self, SHA1_FOR_LEGACY_USE_ONLY, SHA256, SHA384, SHA512};
use rustls::crypto::aws_lc_rs::default_provider;
use x509_parser::asn1_rs::Any;
use x509_parser::extensions::GeneralName;
use x509_parser::oid_registry::OID_PKIX_ACCESS_DESCRIPTOR_OCSP;
use x509_parser::prelude::{ASN1Time, FromDer, ParsedExtension, X509Certificate};

/// Bytes of an answer, which every client is shown.
pub const ANSWER_BYTES_MAX: usize = 16 << 10;
/// How far an issuer's clock may be ahead of ours.
const CLOCK_SLACK_S: i64 = 300;
/// Certificates of responders that come with an answer and are looked at.
const SIGNERS_MAX: usize = 8;

/// A certificate and the one that issued it.
#[derive(Debug)]
pub struct Subject<'c> {
    serial: &'c [u8],
    issuer: Issuer<'c>,
}

#[derive(Debug)]
struct Issuer<'c> {
    /// In DER.
    name: &'c [u8],
    /// Its public key, as certificate identifiers are made of it.
    key_bits: &'c [u8],
    /// The same with its kind (SubjectPublicKeyInfo), in DER.
    key: &'c [u8],
}

/// When an answer is good, in seconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validity {
    /// From then on.
    pub this_update_unix_s: i64,
    /// Until then.
    pub next_update_unix_s: i64,
}

/// Why an answer is not shown to anybody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It is not an answer, or larger than [`ANSWER_BYTES_MAX`].
    #[error("it is no answer of OCSP")]
    Malformed,
    /// The responder does not answer: it is told `try_later`, for instance.
    #[error("the responder gives no answer")]
    Unsuccessful,
    /// It says nothing of the certificate.
    #[error("it is about another certificate")]
    Foreign,
    /// It is not signed by the issuer, or by whom the issuer lets answer.
    #[error("it is not signed by the issuer of the certificate, nor by whom that lets answer")]
    Unsigned,
    /// Its time has not come.
    #[error("it is not good yet")]
    Early,
    /// Its time has passed.
    #[error("it is good no more")]
    Stale,
    /// It does not say until when it is good.
    #[error("it does not say until when it is good (nextUpdate)")]
    Undated,
    /// The certificate is revoked.
    #[error("the certificate is revoked")]
    Revoked,
    /// The responder does not know the certificate.
    #[error("the responder does not know the certificate")]
    Unknown,
}

impl Refusal {
    /// In one word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Refusal::Malformed => "malformed",
            Refusal::Unsuccessful => "unsuccessful",
            Refusal::Foreign => "foreign",
            Refusal::Unsigned => "unsigned",
            Refusal::Early => "early",
            Refusal::Stale => "stale",
            Refusal::Undated => "undated",
            Refusal::Revoked => "revoked",
            Refusal::Unknown => "unknown",
        }
    }
}

/// Where the issuer of a certificate answers by HTTP, if the certificate says so (RFC 5280 §4.2.2.1).
#[must_use]
pub fn responder(certificate: &[u8]) -> Option<String> {
    let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
    certificate.extensions().iter().find_map(|extension| {
        let ParsedExtension::AuthorityInfoAccess(access) = extension.parsed_extension() else { return None };
        access.iter().find_map(|described| match &described.access_location {
            GeneralName::URI(address) if described.access_method == OID_PKIX_ACCESS_DESCRIPTOR_OCSP => {
                address.get(..7).filter(|scheme| scheme.eq_ignore_ascii_case("http://"))?;
                Some((*address).to_owned())
            }
            _ => None,
        })
    })
}

/// Whether these are an answer, of whatever it is about and whatever it is worth.
#[must_use]
pub fn is_answer(bytes: &[u8]) -> bool {
    basic_response(bytes).is_ok()
}

impl<'c> Subject<'c> {
    /// The certificate in `certificate`, issued by the one in `issuer`. `None` if it is not, or one of them cannot be read.
    #[must_use]
    pub fn new(certificate: &'c [u8], issuer: &'c [u8]) -> Option<Subject<'c>> {
        let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
        let (_, issuer) = X509Certificate::from_der(issuer).ok()?;
        // The slices are of what was given, and not of what was parsed.
        let (serial, name) = (certificate.tbs_certificate.raw_serial(), issuer.tbs_certificate.subject.as_raw());
        let key_info = &issuer.tbs_certificate.subject_pki;
        if certificate.tbs_certificate.issuer.as_raw() != name {
            return None;
        }
        let (_, key_bits) = split_key(key_info.raw)?;
        Some(Subject { serial, issuer: Issuer { name, key_bits, key: key_info.raw } })
    }

    /// What its issuer's responder is asked (RFC 6960 §4.1.1). Without a nonce, so that it need not sign an answer for each
    /// (RFC 5019 §2.1.1), and by SHA-1, which identifies here and protects nothing: many responders know no other.
    #[must_use]
    pub fn question(&self) -> Vec<u8> {
        const SHA1_IDENTIFIER: &[u8] = &[0x30, 9, 6, 5, 0x2b, 0x0e, 3, 2, 0x1a, 5, 0];
        let hashed = |bytes| element(OCTET_STRING, &[digest::digest(&SHA1_FOR_LEGACY_USE_ONLY, bytes).as_ref()]);
        let (name, key) = (hashed(self.issuer.name), hashed(self.issuer.key_bits));
        let id = element(SEQUENCE, &[SHA1_IDENTIFIER, &name, &key, &element(INTEGER, &[self.serial])]);
        let list = element(SEQUENCE, &[&element(SEQUENCE, &[&id])]);
        element(SEQUENCE, &[&element(SEQUENCE, &[&list])])
    }

    /// When `answer` says that the certificate is good, if it is to be believed at this time.
    ///
    /// # Errors
    /// Why it is not shown to anybody.
    pub fn judge(&self, answer: &[u8], now_unix_s: i64) -> Result<Validity, Refusal> {
        let signed = Signed::read(&mut basic_response(answer)?).ok_or(Refusal::Malformed)?;
        let response = self.response(signed.contents)?;
        if !self.is_signer_of(&signed, now_unix_s) {
            return Err(Refusal::Unsigned);
        }
        response.judge(now_unix_s)
    }

    /// What is said of the certificate in a ResponseData.
    fn response<'d>(&self, data: &'d [u8]) -> Result<SingleResponse<'d>, Refusal> {
        let responses = || {
            let mut data = Elements(data);
            data.skip(context(0));
            // Who answers, by name or by key: the signature proves it.
            if !data.skip(context(1)) {
                data.take(context(2))?;
            }
            data.take(GENERALIZED_TIME)?;
            data.take(SEQUENCE)
        };
        let mut responses = Elements(responses().ok_or(Refusal::Malformed)?);
        while !responses.0.is_empty() {
            let mut response = Elements(responses.take(SEQUENCE).ok_or(Refusal::Malformed)?);
            let id = response.take(SEQUENCE).ok_or(Refusal::Malformed)?;
            if self.is(id).ok_or(Refusal::Malformed)? {
                return SingleResponse::read(response).ok_or(Refusal::Malformed);
            }
        }
        Err(Refusal::Foreign)
    }

    /// Whether a CertID is that of the certificate.
    fn is(&self, id: &[u8]) -> Option<bool> {
        let mut id = Elements(id);
        let algorithm = match Elements(id.take(SEQUENCE)?).take(OBJECT_IDENTIFIER)? {
            [0x2b, 0x0e, 3, 2, 0x1a] => &SHA1_FOR_LEGACY_USE_ONLY,
            [0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 1] => &SHA256,
            [0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 2] => &SHA384,
            [0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 3] => &SHA512,
            _ => return Some(false),
        };
        let (name, key, serial) = (id.take(OCTET_STRING)?, id.take(OCTET_STRING)?, id.take(INTEGER)?);
        let is_issuer = name == digest::digest(algorithm, self.issuer.name).as_ref()
            && key == digest::digest(algorithm, self.issuer.key_bits).as_ref();
        Some(is_issuer && serial == self.serial)
    }

    /// Whether the issuer has signed, or somebody whom the issuer lets answer (RFC 6960 §4.2.2.2).
    fn is_signer_of(&self, answer: &Signed<'_>, now_unix_s: i64) -> bool {
        if answer.is_by(self.issuer.key) {
            return true;
        }
        let mut behind = answer.behind;
        let certificates = behind.take(context(0)).and_then(|certificates| Elements(certificates).take(SEQUENCE));
        let mut certificates = Elements(certificates.unwrap_or_default());
        let signers = std::iter::from_fn(|| certificates.take_whole(SEQUENCE)).take(SIGNERS_MAX);
        signers.into_iter().any(|signer| self.delegates(signer, now_unix_s).is_some_and(|key| answer.is_by(key)))
    }

    /// The public key in a certificate by which the issuer lets somebody answer.
    fn delegates<'d>(&self, certificate: &'d [u8], now_unix_s: i64) -> Option<&'d [u8]> {
        let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
        let validity = parsed.validity();
        let is_valid = validity.not_before.timestamp() <= now_unix_s && now_unix_s <= validity.not_after.timestamp();
        let may_answer = parsed.extended_key_usage().ok()??.value.ocsp_signing;
        let is_issued = parsed.tbs_certificate.issuer.as_raw() == self.issuer.name;
        let signed = Signed::read(&mut Elements(Elements(certificate).take(SEQUENCE)?))?;
        let key = parsed.tbs_certificate.subject_pki.raw;
        (is_valid && may_answer && is_issued && signed.is_by(self.issuer.key)).then_some(key)
    }
}

/// The contents of the BasicOCSPResponse in an OCSPResponse. RFC 6960 §4.2.1
fn basic_response(answer: &[u8]) -> Result<Elements<'_>, Refusal> {
    const SUCCESSFUL: &[u8] = &[0];
    const BASIC: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 0x30, 1, 1];
    if answer.len() > ANSWER_BYTES_MAX {
        return Err(Refusal::Malformed);
    }
    let mut all = Elements(answer);
    let mut response = Elements(all.take(SEQUENCE).filter(|_| all.0.is_empty()).ok_or(Refusal::Malformed)?);
    if response.take(ENUMERATED).ok_or(Refusal::Malformed)? != SUCCESSFUL {
        return Err(Refusal::Unsuccessful);
    }
    let mut basic = || {
        let mut bytes = Elements(Elements(response.take(context(0))?).take(SEQUENCE)?);
        bytes.take(OBJECT_IDENTIFIER).filter(|kind| *kind == BASIC)?;
        let mut basic = Elements(bytes.take(OCTET_STRING)?);
        basic.take(SEQUENCE).filter(|_| basic.0.is_empty())
    };
    basic().map(Elements).ok_or(Refusal::Malformed)
}

/// What is said of one certificate.
struct SingleResponse<'d> {
    /// The tag tells which it is.
    status: u8,
    this_update: &'d [u8],
    next_update: Option<&'d [u8]>,
}

impl<'d> SingleResponse<'d> {
    /// What is behind the certificate's identifier.
    fn read(mut response: Elements<'d>) -> Option<SingleResponse<'d>> {
        let status = *response.0.first()?;
        response.take(status)?;
        let this_update = response.take_whole(GENERALIZED_TIME)?;
        let next_update = match response.0.first() {
            Some(tag) if *tag == context(0) => Some(Elements(response.take(context(0))?).take_whole(GENERALIZED_TIME)?),
            _ => None,
        };
        Some(SingleResponse { status, this_update, next_update })
    }

    fn judge(&self, now_unix_s: i64) -> Result<Validity, Refusal> {
        // GOOD is an implicit NULL, REVOKED an implicit sequence.
        const GOOD: u8 = 0x80;
        const REVOKED: u8 = 0xa1;
        match self.status {
            GOOD => {}
            REVOKED => return Err(Refusal::Revoked),
            _ => return Err(Refusal::Unknown),
        }
        let unix_s = |time| ASN1Time::from_der(time).map(|(_, time)| time.timestamp()).map_err(|_| Refusal::Malformed);
        let this_update_unix_s = unix_s(self.this_update)?;
        let next_update_unix_s = unix_s(self.next_update.ok_or(Refusal::Undated)?)?;
        if this_update_unix_s > now_unix_s.saturating_add(CLOCK_SLACK_S) {
            Err(Refusal::Early)
        } else if next_update_unix_s <= now_unix_s {
            Err(Refusal::Stale)
        } else {
            Ok(Validity { this_update_unix_s, next_update_unix_s })
        }
    }
}

/// Something that is signed, be it an answer or a certificate: `SEQUENCE { what, algorithm, signature, … }`.
struct Signed<'d> {
    /// What is signed.
    message: &'d [u8],
    /// The same without its tag and length.
    contents: &'d [u8],
    algorithm: &'d [u8],
    signature: &'d [u8],
    behind: Elements<'d>,
}

impl<'d> Signed<'d> {
    fn read(elements: &mut Elements<'d>) -> Option<Signed<'d>> {
        let message = elements.take_whole(SEQUENCE)?;
        let contents = Elements(message).take(SEQUENCE)?;
        let (algorithm, signature) = (elements.take(SEQUENCE)?, bits(elements.take(BIT_STRING)?)?);
        Some(Signed { message, contents, algorithm, signature, behind: *elements })
    }

    /// Whether the signature is one of this key (SubjectPublicKeyInfo).
    fn is_by(&self, key: &[u8]) -> bool {
        let Some((kind, key)) = split_key(key) else { return false };
        let known = default_provider().signature_verification_algorithms.all;
        let mut fitting = known.iter().filter(|known| {
            known.public_key_alg_id().as_ref() == kind && known.signature_alg_id().as_ref() == self.algorithm
        });
        fitting.any(|known| known.verify_signature(key, self.message, self.signature).is_ok())
    }
}

/// The kind of a key (SubjectPublicKeyInfo), and the key.
fn split_key(info: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut info = Elements(Elements(info).take(SEQUENCE)?);
    Some((info.take(SEQUENCE)?, bits(info.take(BIT_STRING)?)?))
}

/// The bytes of a BIT STRING that consists of whole ones.
fn bits(contents: &[u8]) -> Option<&[u8]> {
    contents.split_first().filter(|(unused, _)| **unused == 0).map(|(_, bytes)| bytes)
}

const INTEGER: u8 = 2;
const BIT_STRING: u8 = 3;
const OCTET_STRING: u8 = 4;
const OBJECT_IDENTIFIER: u8 = 6;
const ENUMERATED: u8 = 10;
const GENERALIZED_TIME: u8 = 0x18;
const SEQUENCE: u8 = 0x30;

/// The tag of a constructed element whose meaning its context gives.
const fn context(number: u8) -> u8 {
    0xa0 | number
}

/// Elements of DER, one after the other.
#[derive(Clone, Copy)]
struct Elements<'d>(&'d [u8]);

impl<'d> Elements<'d> {
    /// The contents of the first one, if it has this tag.
    fn take(&mut self, tag: u8) -> Option<&'d [u8]> {
        let (whole, contents) = self.split(tag)?;
        self.0 = &self.0[whole.len()..];
        Some(contents)
    }

    /// The same with its tag and length.
    fn take_whole(&mut self, tag: u8) -> Option<&'d [u8]> {
        let (whole, _) = self.split(tag)?;
        self.0 = &self.0[whole.len()..];
        Some(whole)
    }

    /// Passes over the first one, if it has this tag.
    fn skip(&mut self, tag: u8) -> bool {
        self.take(tag).is_some()
    }

    fn split(&self, tag: u8) -> Option<(&'d [u8], &'d [u8])> {
        self.0.first().filter(|first| **first == tag)?;
        let (rest, first) = Any::from_der(self.0).ok()?;
        Some((&self.0[..self.0.len() - rest.len()], first.as_bytes()))
    }
}

/// An element of DER.
fn element(tag: u8, contents: &[&[u8]]) -> Vec<u8> {
    let length: usize = contents.iter().map(|part| part.len()).sum();
    let mut element = vec![tag];
    match length {
        0..0x80 => element.push(length as u8),
        _ => {
            let bytes: Vec<u8> = length.to_be_bytes().into_iter().skip_while(|byte| *byte == 0).collect();
            element.push(0x80 | bytes.len() as u8);
            element.extend(bytes);
        }
    }
    contents.iter().for_each(|part| element.extend_from_slice(part));
    element
}
