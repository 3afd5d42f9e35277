//! Certificates for tests: an authority that nobody else knows, and what it signs.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};
use std::{fmt, fs};

use rcgen::{BasicConstraints, CertificateParams, CustomExtension, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use tempfile::TempDir;

use crate::ocsp::element;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// An authority, and a folder with its certificate and those that it has signed.
pub struct Authority {
    folder: TempDir,
    pub(crate) issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    /// A new one.
    ///
    /// # Panics
    /// If there is no folder for it.
    #[must_use]
    pub fn new() -> Authority {
        let folder = tempfile::tempdir().expect("a folder for certificates");
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(Vec::new()).expect("parameters without names");
        params.distinguished_name.push(DnType::CommonName, "an authority for tests");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages =
            vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign, KeyUsagePurpose::DigitalSignature];
        let certificate = params.self_signed(&key).expect("a certificate");
        fs::write(folder.path().join("ca.pem"), certificate.pem()).expect("a file");
        fs::write(folder.path().join("ca.key"), key.serialize_pem()).expect("a file");
        Authority { folder, issuer: Issuer::new(params, key) }
    }

    /// Its own certificate, by which clients verify those that it has signed.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// A certificate with its key (P-256) in one file, for these names.
    ///
    /// # Panics
    /// If a name is none.
    #[must_use]
    pub fn sign(&self, names: &[&str]) -> PathBuf {
        let key = KeyPair::generate().expect("a key");
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let path = self.folder.path().join(format!("{}.pem", names[0].replace('*', "any")));
        // Not the issuer's: whoever has that would have signed for itself.
        let common_name = names[0].clone();
        let mut params = CertificateParams::new(names).expect("names");
        params.distinguished_name.push(DnType::CommonName, common_name);
        params.use_authority_key_identifier_extension = true;
        // As long as those of the web, and long enough not to be warned of.
        let now = SystemTime::now();
        (params.not_before, params.not_after) = ((now - DAY).into(), (now + 80 * DAY).into());
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        fs::write(&path, certificate.pem() + &key.serialize_pem()).expect("a file");
        path
    }

    /// The same, with the authority's certificate behind it, and saying that `responder` (`http://host:port/`) answers whether it
    /// is revoked.
    ///
    /// # Panics
    /// If a name is none.
    #[must_use]
    pub fn sign_with_responder(&self, names: &[&str], responder: &str) -> PathBuf {
        let key = KeyPair::generate().expect("a key");
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let path = self.folder.path().join(format!("{}.pem", names[0]));
        let mut params = CertificateParams::new(names.clone()).expect("names");
        params.distinguished_name.push(DnType::CommonName, names[0].clone());
        // RFC 5280 §4.2.2.1: id-ad-ocsp, and where.
        let method = element(6, &[&[0x2b, 6, 1, 5, 5, 7, 0x30, 1]]);
        let access = element(0x30, &[&element(0x30, &[&method, &element(0x86, &[responder.as_bytes()])])]);
        let access = CustomExtension::from_oid_content(&[1, 3, 6, 1, 5, 5, 7, 1, 1], access);
        params.custom_extensions.push(access);
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        let chain = certificate.pem() + &fs::read_to_string(self.path()).expect("the authority's");
        fs::write(&path, chain + &key.serialize_pem()).expect("a file");
        path
    }

    /// The key of its own certificate.
    #[must_use]
    pub fn key_path(&self) -> PathBuf {
        self.folder.path().join("ca.key")
    }

    /// The folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }
}

impl Default for Authority {
    fn default() -> Authority {
        Authority::new()
    }
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Authority").field(&self.folder).finish()
    }
}
