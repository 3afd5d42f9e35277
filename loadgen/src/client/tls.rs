//! TLS as a filter: bytes of the socket on one side, bytes of the protocol on the other. rustls does the work.

use std::{
    fs,
    io::{self, BufRead, Write},
    path::Path,
    sync::Arc,
};

use anyhow::Context;
use monoio::{
    io::{AsyncReadRent, AsyncWriteRentExt},
    net::TcpStream,
};
use rustls::{
    AlertDescription, ClientConfig, ClientConnection, DigitallySignedStruct, HandshakeKind, RootCertStore,
    SignatureScheme,
    client::{
        Resumption,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject},
    version::{TLS12, TLS13},
};

use super::{protocol::Failure, socket::transfer_failure};
use crate::{
    record::{ErrorKind, Handshake},
    scenario::{Tls, TlsVersions},
};

/// The protocols that are offered (ALPN), one at a time. RFC 7301, RFC 9113 §3.2
pub const HTTP1: &[u8] = b"http/1.1";
/// Likewise.
pub const HTTP2: &[u8] = b"h2";

/// What the sessions of a thread have in common: trust, versions, and the tickets of earlier sessions.
#[derive(Debug, Clone)]
pub struct Client {
    config: Arc<ClientConfig>,
}

impl Client {
    /// Reads the certificates to trust. `protocol` is what servers are offered.
    ///
    /// # Errors
    /// If there are none.
    pub fn new(tls: &Tls, protocol: &[u8]) -> anyhow::Result<Self> {
        let provider = Arc::new(ring::default_provider());
        let versions: &[_] = match tls.versions {
            TlsVersions::Both => &[&TLS13, &TLS12],
            TlsVersions::Tls12 => &[&TLS12],
            TlsVersions::Tls13 => &[&TLS13],
        };
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider)).with_protocol_versions(versions)?;
        let mut config = if tls.insecure {
            let verifier = Arc::new(AnyCertificate(provider));
            builder.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth()
        } else {
            builder.with_root_certificates(roots(tls.ca_file.as_deref())?).with_no_client_auth()
        };
        config.alpn_protocols = vec![protocol.to_vec()];
        if !tls.resumption {
            config.resumption = Resumption::disabled();
        }
        Ok(Self { config: Arc::new(config) })
    }

    /// The same, with tickets of its own.
    #[must_use]
    pub fn for_thread(&self, resumption: bool) -> Self {
        let mut config = (*self.config).clone();
        if resumption {
            config.resumption = Resumption::in_memory_sessions(256);
        }
        Self { config: Arc::new(config) }
    }

    /// A session with the server of this name.
    ///
    /// # Errors
    /// If rustls refuses the settings.
    pub fn session(&self, name: &ServerName<'static>) -> Result<Session, Failure> {
        let mut connection = ClientConnection::new(Arc::clone(&self.config), name.clone()).map_err(failure)?;
        // The writer hands over what is written at once.
        connection.set_buffer_limit(None);
        Ok(Session { tls: connection, early: Vec::new() })
    }
}

/// Bytes of a handshake, one way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// To the server.
    Sent(u64),
    /// From the server.
    Received(u64),
}

/// One connection's TLS.
#[derive(Debug)]
pub struct Session {
    tls: ClientConnection,
    /// What the server has said within the handshake, before it was asked anything.
    early: Vec<u8>,
}

/// Bytes that a server may say within the handshake.
const EARLY_BYTES_MAX: usize = 64 << 10;

impl Session {
    /// Whether the handshake goes on.
    #[must_use]
    pub fn is_handshaking(&self) -> bool {
        self.tls.is_handshaking()
    }

    /// Conducts the handshake over `stream`; `count` is told of the bytes each way.
    ///
    /// # Errors
    /// If it fails, or the server says more than [`EARLY_BYTES_MAX`] before its end.
    pub async fn shake_hands(&mut self, stream: &mut TcpStream, mut count: impl FnMut(Way)) -> Result<(), Failure> {
        let mut input = Vec::with_capacity(16 << 10);
        let mut output = Vec::new();
        loop {
            self.flush(&mut output);
            if !output.is_empty() {
                let (result, written) = stream.write_all(output).await;
                count(Way::Sent(result.map_err(|error| transfer_failure(&error))? as u64));
                output = written;
                output.clear();
            }
            if !self.is_handshaking() {
                return Ok(());
            }
            let (result, read) = stream.read(input).await;
            input = read;
            match result.map_err(|error| transfer_failure(&error))? {
                0 => return Err(Failure::new(ErrorKind::Tls, "closed within the handshake")),
                bytes => count(Way::Received(bytes as u64)),
            }
            let mut early = std::mem::take(&mut self.early);
            let kept = self.receive(&input, |bytes| {
                early.extend_from_slice(bytes);
                Ok(())
            });
            self.early = early;
            kept?;
            if self.early.len() > EARLY_BYTES_MAX {
                return Err(Failure::new(ErrorKind::Malformed, "a flood of bytes before any request"));
            }
        }
    }

    /// What the server has said within the handshake: in HTTP/2 it may be the first to speak.
    pub fn take_early(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.early)
    }

    /// How the session began; known once the handshake is over.
    #[must_use]
    pub fn handshake(&self) -> Handshake {
        match self.tls.handshake_kind() {
            Some(HandshakeKind::Resumed) => Handshake::Resumed,
            _ => Handshake::Full,
        }
    }

    /// What the server has chosen of the protocols; none if it knows nothing of choosing.
    #[must_use]
    pub fn protocol(&self) -> Option<&[u8]> {
        self.tls.alpn_protocol()
    }

    /// Takes bytes from the socket, and hands what they meant to `handle`, in order.
    ///
    /// # Errors
    /// If they are no TLS, or not to be trusted; and those of `handle`.
    pub fn receive(
        &mut self,
        mut input: &[u8],
        mut handle: impl FnMut(&[u8]) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        while !input.is_empty() {
            // rustls takes a bounded amount at a time.
            let taken =
                self.tls.read_tls(&mut input).map_err(|error| Failure::new(ErrorKind::Tls, error.to_string()))?;
            self.tls.process_new_packets().map_err(failure)?;
            loop {
                let mut reader = self.tls.reader();
                let plaintext = match reader.fill_buf() {
                    Ok([]) => break,
                    Ok(plaintext) => plaintext,
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                    Err(error) => return Err(Failure::new(ErrorKind::ClosedEarly, error.to_string())),
                };
                handle(plaintext)?;
                let bytes = plaintext.len();
                reader.consume(bytes);
            }
            if taken == 0 {
                break;
            }
        }
        Ok(())
    }

    /// Whether the peer said that its end of the stream is here (close_notify), so that the end of the connection cuts
    /// nothing off. RFC 8446 §6.1
    pub fn has_ended(&mut self) -> bool {
        matches!(self.tls.process_new_packets(), Ok(state) if state.peer_has_closed())
    }

    /// Enciphers `plaintext` for the socket, behind what TLS itself has to say.
    pub fn write(&mut self, plaintext: &[u8], output: &mut Vec<u8>) {
        // Both write to memory without a limit.
        self.tls.writer().write_all(plaintext).expect("the buffer has no limit");
        self.flush(output);
    }

    /// Whether TLS itself has something to say.
    #[must_use]
    pub fn wants_write(&self) -> bool {
        self.tls.wants_write()
    }

    /// Writes what TLS itself has to say.
    pub fn flush(&mut self, output: &mut Vec<u8>) {
        while self.tls.wants_write() {
            self.tls.write_tls(output).expect("writing to memory");
        }
    }
}

fn roots(ca_file: Option<&Path>) -> anyhow::Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    let Some(path) = ca_file else {
        let system = rustls_native_certs::load_native_certs();
        roots.add_parsable_certificates(system.certs);
        anyhow::ensure!(!roots.is_empty(), "the system trusts no certificates: name a CA file, or verify none");
        return Ok(roots);
    };
    let pem = fs::read(path).with_context(|| format!("reading {}", path.display()))?;
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        roots.add(certificate.with_context(|| format!("a certificate of {}", path.display()))?)?;
    }
    anyhow::ensure!(!roots.is_empty(), "{} has no certificate", path.display());
    Ok(roots)
}

fn failure(error: rustls::Error) -> Failure {
    let kind = match error {
        rustls::Error::AlertReceived(AlertDescription::NoApplicationProtocol) => ErrorKind::ProtocolRefused,
        _ => ErrorKind::Tls,
    };
    Failure::new(kind, error.to_string())
}

/// Trusts any certificate, and still verifies that the peer has its key.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
