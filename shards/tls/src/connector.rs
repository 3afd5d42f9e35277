//! How servers prove who they are, and what they are shown.

#[cfg(test)]
mod tests;

use std::net::IpAddr;
use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use plan::tls::{CipherSuite, Group, UpstreamTls};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::sign::SingleCertAndKey;
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, OtherError, RootCertStore, SignatureScheme};
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::acceptor::certify;
use crate::provider::{provider, versions};

/// Sessions that one shard keeps to resume with the servers of one upstream.
const SESSIONS_MAX: usize = 256;

/// What TLS with the servers of an upstream goes by. Made on the control thread; each shard has [its own](Connector::of_shard).
#[derive(Debug, Clone)]
pub struct Connector {
    config: Arc<ClientConfig>,
    name: Option<ServerName<'static>>,
    resumes: bool,
}

/// Why there is no connector.
#[derive(Debug, thiserror::Error)]
pub enum ConnectorError {
    /// There is nothing to know a server by.
    #[error("neither roots nor pinned keys say who a server is")]
    Unverified,
    /// The name is none that a certificate can have.
    #[error("`{0}` is not a name that a server can prove")]
    Name(String),
    /// A certificate that servers are judged by, or shown, cannot be used.
    #[error("{0}")]
    Certificate(rustls::Error),
}

impl Connector {
    /// The connector for `policy`. Nobody is believed that it does not say to believe.
    ///
    /// # Errors
    /// When the policy does not say who servers are, or has a certificate that cannot be used.
    pub fn new(policy: &UpstreamTls) -> Result<Connector, ConnectorError> {
        let name = policy
            .server_name
            .as_ref()
            .map(|name| ServerName::try_from(name.clone()).map_err(|_| ConnectorError::Name(name.clone())));
        let provider = provider(&CipherSuite::ALL, &Group::PREFERRED);
        let verifier = Arc::new(Verifier::new(policy, &provider)?);
        let builder = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(versions(policy.version_min))
            .map_err(ConnectorError::Certificate)?
            .dangerous()
            .with_custom_certificate_verifier(verifier);
        let mut config = match &policy.certificate {
            None => builder.with_no_client_auth(),
            Some(certificate) => {
                let certified = certify(certificate).map_err(ConnectorError::Certificate)?;
                builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(certified)))
            }
        };
        config.alpn_protocols = policy.alpn.iter().map(|name| name.clone().into_bytes()).collect();
        config.resumption = Resumption::disabled();
        config.enable_secret_extraction = true;
        Ok(Connector { config: Arc::new(config), name: name.transpose()?, resumes: policy.resumes })
    }

    /// The same for one shard, with sessions to resume that no other shard waits for.
    #[must_use]
    pub fn of_shard(&self) -> Connector {
        let mut config = ClientConfig::clone(&self.config);
        if self.resumes {
            config.resumption = Resumption::in_memory_sessions(SESSIONS_MAX);
        }
        Connector { config: Arc::new(config), ..self.clone() }
    }

    /// What a handshake is conducted by.
    #[must_use]
    pub fn config(&self) -> &Arc<ClientConfig> {
        &self.config
    }

    /// The name that a server has to prove: the one that is configured, else `host`, by which it was found, else its
    /// `address`. `None` for a server that has none of them, or is found by a name that no certificate can have.
    #[must_use]
    pub fn name(&self, host: Option<&str>, address: Option<IpAddr>) -> Option<ServerName<'static>> {
        match (&self.name, host) {
            (Some(name), _) => Some(name.clone()),
            (None, Some(host)) => ServerName::try_from(host.trim_end_matches('.').to_owned()).ok(),
            (None, None) => address.map(|address| ServerName::IpAddress(address.into())),
        }
    }
}

/// What is wrong with a key that is none of the pinned.
#[derive(Debug, thiserror::Error)]
#[error("its key is none of those that are pinned")]
struct Unpinned;

/// Judges servers by roots, by pinned keys, or by both.
#[derive(Debug)]
struct Verifier {
    /// None where pins alone say who a server is.
    roots: Option<Arc<WebPkiServerVerifier>>,
    pins: Vec<[u8; 32]>,
    provider: Arc<CryptoProvider>,
}

impl Verifier {
    fn new(policy: &UpstreamTls, provider: &Arc<CryptoProvider>) -> Result<Verifier, ConnectorError> {
        if policy.roots.is_empty() && policy.pins.is_empty() {
            return Err(ConnectorError::Unverified);
        }
        let mut roots = RootCertStore::empty();
        for root in &policy.roots {
            roots.add(CertificateDer::from(root.0.to_vec())).map_err(ConnectorError::Certificate)?;
        }
        let roots = match policy.roots.is_empty() {
            true => None,
            false => {
                let verifier =
                    WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider)).build();
                let failed = |error| ConnectorError::Certificate(rustls::Error::General(format!("{error}")));
                Some(verifier.map_err(failed)?)
            }
        };
        Ok(Verifier { roots, pins: policy.pins.clone(), provider: Arc::clone(provider) })
    }

    /// Whether the server's own key is pinned. Those that lead to it are sent by the server, and prove nothing by themselves.
    fn is_pinned(&self, certificate: &CertificateDer<'_>) -> bool {
        let Ok((_, read)) = X509Certificate::from_der(certificate) else { return false };
        let public = digest(&SHA256, read.public_key().raw);
        self.pins.iter().any(|pin| pin == public.as_ref())
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if let Some(roots) = &self.roots {
            roots.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)?;
        }
        if !self.pins.is_empty() && !self.is_pinned(end_entity) {
            return Err(CertificateError::Other(OtherError(Arc::new(Unpinned))).into());
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
