//! What only curl can see served here: bodies over TLS, whose certificate it verifies, and over HTTP/2.

use std::{net::SocketAddr, process::Command};

use anyhow::{Context, ensure};
use bench_common::body::Body;

use crate::certificate::{Certificate, NAME};

/// Fetches `body` from `address`, over TLS 1.3 where there is a certificate, and compares it with what it must be.
pub(crate) fn check(
    address: SocketAddr,
    body: Body,
    certificate: Option<&Certificate>,
    is_http2: bool,
) -> anyhow::Result<()> {
    let mut curl = Command::new("curl");
    curl.args(["--silent", "--show-error", "--fail", "--max-time", "5", "--write-out", "%{stderr}%{http_version}"]);
    curl.args(["--resolve", &format!("{NAME}:{}:{}", address.port(), address.ip())]);
    curl.arg(match (is_http2, certificate) {
        (false, _) => "--http1.1",
        (true, Some(_)) => "--http2",
        (true, None) => "--http2-prior-knowledge",
    });
    let scheme = match certificate {
        Some(certificate) => {
            curl.args(["--tlsv1.3", "--cacert"]).arg(&certificate.certificate);
            "https"
        }
        None => "http",
    };
    curl.arg(format!("{scheme}://{NAME}:{}{}", address.port(), body.path()));
    let output = curl.output().context("cannot start curl")?;
    let told = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "curl: {told}");
    let version = if is_http2 { "2" } else { "1.1" };
    ensure!(told == version, "it answered in HTTP/{told}, and was asked in HTTP/{version}");
    ensure!(output.stdout == body.content(), "the body is not what the upstream offers");
    Ok(())
}
