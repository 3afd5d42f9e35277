//! Both sides' configurations.

use std::sync::{Arc, LazyLock};

use tls::rustls::client::Resumption;
use tls::rustls::crypto::aws_lc_rs::{self, kx_group};
use tls::rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use tls::rustls::{CipherSuite, ClientConfig, RootCertStore, ServerConfig, version};

use super::deliver;
use super::end::End;

/// Two sides that trust each other.
pub(super) struct Configs {
    pub(super) server: Arc<ServerConfig>,
    pub(super) client: Arc<ClientConfig>,
}

/// One for each way of making records, and one for all suites of both versions.
static ALL: LazyLock<[Configs; 4]> = LazyLock::new(|| {
    [
        Configs::new(&[]),
        Configs::new(&[CipherSuite::TLS13_CHACHA20_POLY1305_SHA256]),
        Configs::new(&[CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256]),
        Configs::new(&[CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256]),
    ]
});

impl Configs {
    pub(super) fn chosen(choice: u8) -> &'static Configs {
        &ALL[usize::from(choice & 3)]
    }

    /// For these suites, or for all if there are none.
    fn new(suites: &[CipherSuite]) -> Configs {
        let mut provider = aws_lc_rs::default_provider();
        provider.cipher_suites.retain(|suite| suites.is_empty() || suites.contains(&suite.suite()));
        // The cheapest: how keys are agreed on is for others to test.
        provider.kx_groups = vec![kx_group::X25519];
        let has_tls13 = provider.cipher_suites.iter().any(|suite| suite.tls13().is_some());
        let has_tls12 = provider.cipher_suites.iter().any(|suite| suite.tls13().is_none());
        let versions: &[_] = match (has_tls12, has_tls13) {
            (true, true) => &[&version::TLS12, &version::TLS13],
            (true, false) => &[&version::TLS12],
            _ => &[&version::TLS13],
        };
        let (certificate, key) = certificate();
        let mut roots = RootCertStore::empty();
        roots.add(certificate.clone()).expect("a certificate");

        let provider = Arc::new(provider);
        let server = ServerConfig::builder_with_provider(provider.clone()).with_protocol_versions(versions);
        let server = server.expect("versions").with_no_client_auth();
        let mut server = server.with_single_cert(vec![certificate], key).expect("a key that fits");
        server.enable_secret_extraction = true;
        server.ticketer = aws_lc_rs::Ticketer::new().expect("keys for tickets");
        server.alpn_protocols = vec![b"http/1.1".to_vec()];
        let client = ClientConfig::builder_with_provider(provider).with_protocol_versions(versions);
        let mut client = client.expect("versions").with_root_certificates(roots).with_no_client_auth();
        client.enable_secret_extraction = true;
        client.alpn_protocols = vec![b"http/1.1".to_vec()];
        // No run is to know of those before it.
        client.resumption = Resumption::disabled();
        Configs { server: Arc::new(server), client: Arc::new(client) }
    }

    /// A client that was connected before, and comes back with a ticket.
    pub(super) fn with_ticket(&self) -> Arc<ClientConfig> {
        let mut client = (*self.client).clone();
        client.resumption = Resumption::in_memory_sessions(8);
        let client = Arc::new(client);
        let (mut first, mut server) = (End::rustls_client(client.clone()), End::server(self));
        while !(first.outgoing.is_empty() && server.outgoing.is_empty()) {
            deliver(&mut first, &mut server, usize::MAX);
            deliver(&mut server, &mut first, usize::MAX);
        }
        client
    }
}

pub(super) fn name() -> ServerName<'static> {
    "a.example".try_into().expect("a name")
}

fn certificate() -> (CertificateDer<'static>, PrivateKeyDer<'static>) {
    let key = rcgen::KeyPair::generate().expect("a key");
    let params = rcgen::CertificateParams::new(vec!["a.example".to_owned()]).expect("a name");
    let certificate = params.self_signed(&key).expect("a certificate").der().clone();
    (certificate, PrivatePkcs8KeyDer::from(key.serialize_der()).into())
}
