//! The certificate that all targets show to clients that speak TLS: P-256, signed by itself, for one run.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, ensure};

/// The name that it is for.
pub(crate) const NAME: &str = "localhost";

/// Where its files are, in PEM.
#[derive(Debug, Clone)]
pub(crate) struct Certificate {
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
    /// Both in one file.
    pub(crate) both: PathBuf,
}

impl Certificate {
    /// Makes it in `directory`, or finds it there.
    pub(crate) fn in_directory(directory: &Path) -> anyhow::Result<Self> {
        let file = |name: &str| directory.join(name);
        let made =
            Self { certificate: file("certificate.pem"), key: file("key.pem"), both: file("certificate-and-key.pem") };
        if !made.both.exists() {
            made.make()?;
        }
        Ok(made)
    }

    fn make(&self) -> anyhow::Result<()> {
        let mut openssl = Command::new("openssl");
        openssl
            .args("req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 30".split(' '))
            .args(["-subj", &format!("/CN={NAME}"), "-addext", &format!("subjectAltName=DNS:{NAME}")])
            .args(["-addext", "basicConstraints=critical,CA:FALSE"])
            .arg("-keyout")
            .arg(&self.key)
            .arg("-out")
            .arg(&self.certificate);
        let output = openssl.output().context("cannot start openssl")?;
        ensure!(output.status.success(), "openssl: {}", String::from_utf8_lossy(&output.stderr));
        let mut both = fs::read(&self.certificate)?;
        both.extend(fs::read(&self.key)?);
        fs::write(&self.both, both).context("cannot write the certificate and its key")
    }
}
