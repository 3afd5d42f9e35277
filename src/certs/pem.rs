//! What lies in a PEM file.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use plan::tls::{KeyForm, PrivateKey};
use tls::rustls::pki_types::pem::{self, PemObject, SectionKind};

use super::{Trouble, trouble};

/// Bytes of a file: a bundle of all roots there are has a quarter of it.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// The sections of a file, each kind in the order in which they stand.
#[derive(Debug, Default)]
pub(super) struct Contents {
    pub(super) certificates: Vec<Vec<u8>>,
    pub(super) keys: Vec<PrivateKey>,
    pub(super) revocations: Vec<Vec<u8>>,
}

impl Contents {
    pub(super) fn read(path: &Path) -> Result<Contents, Trouble> {
        let text = contents(path)?;
        if holds(&text, b"-----BEGIN ENCRYPTED PRIVATE KEY-----") || holds(&text, b"Proc-Type: 4,ENCRYPTED") {
            let encrypted = trouble(path, "its key is encrypted, and there is nobody to ask for the password");
            return Err(encrypted
                .because("`openssl pkey -in FILE -out FILE.key` writes it without; keep others from reading it"));
        }
        let mut contents = Contents::default();
        for section in <(SectionKind, Vec<u8>)>::pem_slice_iter(&text) {
            let (kind, der) = section.map_err(|error| trouble(path, format!("it is no PEM file: {}", told(&error))))?;
            match kind {
                SectionKind::Certificate => contents.certificates.push(der),
                SectionKind::PrivateKey => contents.keys.push(PrivateKey::new(KeyForm::Pkcs8, der)),
                SectionKind::RsaPrivateKey => contents.keys.push(PrivateKey::new(KeyForm::Pkcs1, der)),
                SectionKind::EcPrivateKey => contents.keys.push(PrivateKey::new(KeyForm::Sec1, der)),
                SectionKind::Crl => contents.revocations.push(der),
                // Parameters of curves, requests for certificates, remarks: nothing that is needed.
                _ => {}
            }
        }
        Ok(contents)
    }
}

pub(super) fn contents(path: &Path) -> Result<Vec<u8>, Trouble> {
    let unreadable = |error: std::io::Error| trouble(path, format!("cannot be read: {error}"));
    let mut text = Vec::new();
    File::open(path).map_err(unreadable)?.take(FILE_BYTES_MAX + 1).read_to_end(&mut text).map_err(unreadable)?;
    if text.len() as u64 > FILE_BYTES_MAX {
        return Err(trouble(path, "it is longer than 1 MiB"));
    }
    Ok(text)
}

fn holds(text: &[u8], line: &[u8]) -> bool {
    memchr::memmem::find(text, line).is_some()
}

/// The crate's own words show bytes as lists of numbers.
fn told(error: &pem::Error) -> String {
    match error {
        pem::Error::MissingSectionEnd { .. } => "a section does not end".to_owned(),
        pem::Error::IllegalSectionStart { .. } => "a section does not begin as it should".to_owned(),
        pem::Error::Base64Decode(_) => "a section is not base64".to_owned(),
        error => error.to_string(),
    }
}
