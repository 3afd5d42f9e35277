//! The certificate that all targets show to clients that speak TLS: P-256, signed by itself, for one run.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, ensure};
use bench_common::body::Body;

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

    /// Fetches `body` over TLS 1.3 from `address`, by curl, which verifies the certificate, and compares it with what it must be.
    pub(crate) fn check(&self, address: SocketAddr, body: Body) -> anyhow::Result<()> {
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--show-error", "--fail", "--http1.1", "--tlsv1.3", "--max-time", "5", "--cacert"])
            .arg(&self.certificate)
            .args(["--resolve", &format!("{NAME}:{}:{}", address.port(), address.ip())])
            .arg(format!("https://{NAME}:{}{}", address.port(), body.path()));
        let output = curl.output().context("cannot start curl")?;
        ensure!(output.status.success(), "curl: {}", String::from_utf8_lossy(&output.stderr));
        ensure!(output.stdout == body.content(), "the body is not what the upstream offers");
        Ok(())
    }
}
