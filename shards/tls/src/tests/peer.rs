//! Configurations, and the other side: rustls's buffered connection, which shares no line of what protects records here.

use std::io::{Read, Write};
use std::sync::Arc;
use std::time::Duration;

use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::{PrivateKeyDer, ServerName};
use rustls::{
    CipherSuite, ClientConfig, ClientConnection, Connection, RootCertStore, ServerConfig, ServerConnection, version,
};

use crate::{Error, Negotiated, Session};

/// Both sides' configurations, which trust each other.
pub(super) struct Configs {
    pub(super) server: Arc<ServerConfig>,
    pub(super) client: Arc<ClientConfig>,
}

/// All suites that rustls offers.
pub(super) fn suites() -> Vec<CipherSuite> {
    aws_lc_rs::ALL_CIPHER_SUITES.iter().map(rustls::SupportedCipherSuite::suite).collect()
}

/// Configurations for `suite` alone, or for all of them.
pub(super) fn configs(suite: Option<CipherSuite>) -> Configs {
    let mut provider = aws_lc_rs::default_provider();
    provider.cipher_suites.retain(|offered| suite.is_none_or(|suite| offered.suite() == suite));
    let has_tls13 = provider.cipher_suites.iter().any(|suite| suite.tls13().is_some());
    let has_tls12 = provider.cipher_suites.iter().any(|suite| suite.tls13().is_none());
    let versions: &[_] = match (has_tls12, has_tls13) {
        (true, true) => &[&version::TLS12, &version::TLS13],
        (true, false) => &[&version::TLS12],
        _ => &[&version::TLS13],
    };
    let is_rsa = suite.is_some_and(|suite| format!("{suite:?}").contains("_RSA_"));
    let algorithm = if is_rsa { &rcgen::PKCS_RSA_SHA256 } else { &rcgen::PKCS_ECDSA_P256_SHA256 };
    let key = rcgen::KeyPair::generate_for(algorithm).unwrap();
    let params = rcgen::CertificateParams::new(vec!["a.example".to_owned()]).unwrap();
    let certificate = params.self_signed(&key).unwrap().der().clone();
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(certificate.clone()).unwrap();
    build(Arc::new(provider), versions, certificate, key, roots)
}

fn build(
    provider: Arc<CryptoProvider>,
    versions: &[&'static rustls::SupportedProtocolVersion],
    certificate: rustls::pki_types::CertificateDer<'static>,
    key: PrivateKeyDer<'static>,
    roots: RootCertStore,
) -> Configs {
    let server = ServerConfig::builder_with_provider(Arc::clone(&provider)).with_protocol_versions(versions).unwrap();
    let mut server = server.with_no_client_auth().with_single_cert(vec![certificate], key).unwrap();
    server.enable_secret_extraction = true;
    server.ticketer = aws_lc_rs::Ticketer::new().unwrap();
    server.alpn_protocols = vec![b"http/1.1".to_vec()];
    let client = ClientConfig::builder_with_provider(provider).with_protocol_versions(versions).unwrap();
    let mut client = client.with_root_certificates(roots).with_no_client_auth();
    client.enable_secret_extraction = true;
    client.alpn_protocols = vec![b"http/1.1".to_vec()];
    Configs { server: Arc::new(server), client: Arc::new(client) }
}

pub(super) fn name() -> ServerName<'static> {
    "a.example".try_into().unwrap()
}

/// A session of ours, and what it has read.
pub(super) struct Ours {
    pub(super) session: Session,
    pub(super) negotiated: Option<Box<Negotiated>>,
    pub(super) plaintext: Vec<u8>,
    pub(super) outgoing: Vec<u8>,
    partial: Vec<u8>,
}

impl Ours {
    pub(super) fn server(configs: &Configs) -> Ours {
        Ours::of(Session::server(Arc::clone(&configs.server)).unwrap(), Vec::new())
    }

    pub(super) fn client(configs: &Configs) -> Ours {
        let mut outgoing = Vec::new();
        let session = Session::client(Arc::clone(&configs.client), name(), &mut outgoing).unwrap();
        Ours::of(session, outgoing)
    }

    fn of(session: Session, outgoing: Vec<u8>) -> Ours {
        Ours { session, negotiated: None, plaintext: Vec::new(), outgoing, partial: Vec::new() }
    }

    /// Shows it bytes, as they come.
    pub(super) fn read(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.partial.extend_from_slice(bytes);
        loop {
            let progress = self.session.handle_bytes(&self.partial, &mut self.plaintext, &mut self.outgoing)?;
            self.partial.drain(..progress.consumed);
            if progress.negotiated.is_some() {
                self.negotiated = progress.negotiated;
            } else {
                return Ok(());
            }
        }
    }

    pub(super) fn write(&mut self, data: &[u8]) {
        self.session.seal(data, Duration::ZERO, &mut self.outgoing).unwrap();
    }
}

/// rustls's side, and what it has read.
pub(super) struct Theirs {
    pub(super) connection: Connection,
    pub(super) plaintext: Vec<u8>,
}

impl Theirs {
    pub(super) fn server(configs: &Configs) -> Theirs {
        let connection = ServerConnection::new(Arc::clone(&configs.server)).unwrap().into();
        Theirs { connection, plaintext: Vec::new() }
    }

    pub(super) fn client(configs: &Configs) -> Theirs {
        let connection = ClientConnection::new(Arc::clone(&configs.client), name()).unwrap().into();
        Theirs { connection, plaintext: Vec::new() }
    }

    pub(super) fn read(&mut self, mut bytes: &[u8]) -> Result<(), rustls::Error> {
        while !bytes.is_empty() {
            self.connection.read_tls(&mut bytes).unwrap();
            let state = self.connection.process_new_packets()?;
            let start = self.plaintext.len();
            self.plaintext.resize(start + state.plaintext_bytes_to_read(), 0);
            self.connection.reader().read_exact(&mut self.plaintext[start..]).unwrap();
        }
        Ok(())
    }

    pub(super) fn write(&mut self, data: &[u8]) -> Vec<u8> {
        self.connection.set_buffer_limit(None);
        self.connection.writer().write_all(data).unwrap();
        self.take()
    }

    pub(super) fn take(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        while self.connection.wants_write() {
            self.connection.write_tls(&mut bytes).unwrap();
        }
        bytes
    }
}

/// Lets the two talk until neither has anything more to say.
pub(super) fn talk(ours: &mut Ours, theirs: &mut Theirs) {
    loop {
        let (to_them, to_us) = (std::mem::take(&mut ours.outgoing), theirs.take());
        if to_them.is_empty() && to_us.is_empty() {
            return;
        }
        theirs.read(&to_them).unwrap();
        // A byte at a time and all at once are the same.
        let (first, rest) = to_us.split_at(to_us.len().min(7));
        first.iter().for_each(|byte| ours.read(&[*byte]).unwrap());
        ours.read(rest).unwrap();
    }
}
