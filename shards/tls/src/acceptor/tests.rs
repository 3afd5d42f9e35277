//! Handshakes with rustls's own client, in memory.

use std::io::{Read, Write};
use std::sync::Arc;

use plan::HostPattern;
use plan::tls::{Certificate, CipherSuite, Der, Host, KeyForm, PrivateKey, Profile, Stapling, Version};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, IsCa, Issuer, KeyIdMethod,
    KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, PKCS_ED25519, PKCS_RSA_SHA256, RevokedCertParams, SerialNumber,
    SignatureAlgorithm as Algorithm, date_time_ymd,
};
use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, HandshakeKind, ServerConnection};

use super::*;

#[test]
fn the_name_that_a_client_asks_for_chooses_the_certificate() {
    let hosts = ["a.example", "*.example", "*.deep.example"].map(|name| host(name, &PKCS_ECDSA_P256_SHA256, 0));
    let acceptor =
        acceptor(Tls { hosts: hosts.to_vec(), default: None, policies: vec![intermediate()], tickets: None });
    let shown = |name| handshake(&acceptor, client(None), name).map(|session| session.certificate);
    let expected = |index: usize| Some(hosts[index].certificates[0].chain[0].0.to_vec());
    assert_eq!(shown("a.example"), expected(0));
    assert_eq!(shown("A.Example"), expected(0));
    assert_eq!(shown("b.example"), expected(1));
    assert_eq!(shown("x.b.example"), expected(1), "a wildcard is any number of labels, as it is for routes");
    assert_eq!(shown("x.deep.example"), expected(2));
    assert_eq!(acceptor.choose(Some("example")).map(|host| host.identity), None);
    assert_eq!(acceptor.choose(None).map(|host| host.identity), None);
    assert!(acceptor.sole().is_none(), "a client may ask for a name that nobody has");
}

#[test]
fn the_default_answers_who_asks_for_nobody() {
    let hosts = vec![host("a.example", &PKCS_ECDSA_P256_SHA256, 0), host("", &PKCS_ECDSA_P256_SHA256, 0)];
    let default = hosts[1].certificates[0].chain[0].0.to_vec();
    let acceptor = acceptor(Tls { hosts, default: Some(1), policies: vec![intermediate()], tickets: None });
    assert_eq!(handshake(&acceptor, client(None), "other.example").unwrap().certificate, default);
    assert_eq!(handshake(&acceptor, client(None), "192.0.2.1").unwrap().certificate, default);
    assert!(acceptor.sole().is_some());
}

#[test]
fn a_client_is_shown_what_it_can_verify() {
    let (rsa, ecdsa) = (host("a", &PKCS_RSA_SHA256, 0), host("a", &PKCS_ECDSA_P256_SHA256, 0));
    let certificates = [&rsa, &ecdsa].map(|host| Arc::clone(&host.certificates[0]));
    let names = vec![HostPattern::Exact("a.example".into())];
    let hosts = vec![Host { names, certificates: certificates.to_vec(), policy: PolicyId(0) }];
    let acceptor = acceptor(Tls { hosts, default: None, policies: vec![intermediate()], tickets: None });
    let shown = |schemes: &[SignatureScheme]| {
        let mut client = client(None);
        client.dangerous().set_certificate_verifier(Anybody::who_verifies(schemes));
        handshake(&acceptor, client, "a.example").map(|session| session.certificate)
    };
    use SignatureScheme as Scheme;
    assert_eq!(shown(&[Scheme::RSA_PSS_SHA256, Scheme::ECDSA_NISTP256_SHA256]).unwrap(), *certificates[1].chain[0].0);
    assert_eq!(shown(&[Scheme::RSA_PSS_SHA256]).unwrap(), *certificates[0].chain[0].0);
    assert_eq!(shown(&[Scheme::ED25519]), None);
}

#[test]
fn the_stapled_answer_goes_along_with_its_certificate() {
    let hosts = vec![host("a.example", &PKCS_ECDSA_P256_SHA256, 0)];
    let tls = Tls { hosts, default: None, policies: vec![intermediate()], tickets: None };
    let staples = |_: &Certificate| Some(Arc::new(Der(b"not looked into".as_slice().into())));
    let before = Acceptor::new(&tls, None, None).unwrap();
    let acceptor = Acceptor::stapling(&tls, None, &staples, Some(&before)).unwrap();
    let (mut client, anybody) = (client(None), Anybody::of_any_kind());
    client.dangerous().set_certificate_verifier(Arc::clone(&anybody) as Arc<dyn ServerCertVerifier>);
    handshake(&acceptor, client, "a.example").unwrap();
    assert_eq!(*anybody.stapled.lock().unwrap(), b"not looked into");
}

#[test]
fn a_policy_bounds_versions_suites_and_groups() {
    let modern = Policy::of(Profile::Modern);
    let narrow = Policy { suites: vec![CipherSuite::Tls13Chacha20Poly1305Sha256], ..modern.clone() };
    let hosts = ["modern", "narrow", "intermediate"].iter().zip(0..);
    let hosts = hosts.map(|(name, policy)| host(name, &PKCS_ECDSA_P256_SHA256, policy)).collect();
    let policies = vec![modern, narrow, intermediate()];
    let acceptor = acceptor(Tls { hosts, default: None, policies, tickets: None });
    let tls12 = || client(Some(Version::Tls12));
    assert!(handshake(&acceptor, tls12(), "modern").is_none());
    assert_eq!(handshake(&acceptor, tls12(), "intermediate").unwrap().version, rustls::ProtocolVersion::TLSv1_2);
    let session = handshake(&acceptor, client(None), "narrow").unwrap();
    assert_eq!(session.suite, rustls::CipherSuite::TLS13_CHACHA20_POLY1305_SHA256);
    assert_eq!(session.group, rustls::NamedGroup::X25519MLKEM768);
}

#[test]
fn a_session_is_resumed_at_its_host_and_under_its_policy_alone() {
    for version in [None, Some(Version::Tls12)] {
        let stricter =
            Policy { client_auth: Some(ClientAuth { required: false, ..authority().auth }), ..intermediate() };
        let hosts = vec![
            host("a.example", &PKCS_ECDSA_P256_SHA256, 0),
            host("b.example", &PKCS_ECDSA_P256_SHA256, 0),
            host("private.example", &PKCS_ECDSA_P256_SHA256, 1),
        ];
        let tickets = Some(Tickets { rotation: Tickets::ROTATION, keys: Vec::new() });
        let mut tls = Tls { hosts, default: None, policies: vec![intermediate(), stricter], tickets };
        let keys = TicketKeys::random();
        let first = Acceptor::new(&tls, Some(&keys), None).unwrap();
        let client = client(version);
        let kind = |acceptor: &Acceptor, name| handshake(acceptor, client.clone(), name).unwrap().kind;
        assert_eq!(kind(&first, "a.example"), HandshakeKind::Full);
        assert_eq!(kind(&first, "a.example"), HandshakeKind::Resumed);
        // Another shard, another machine, the next period.
        let rotated = Acceptor::new(&tls, Some(&keys.rotated()), Some(&first)).unwrap();
        assert_eq!(kind(&rotated, "a.example"), HandshakeKind::Resumed);
        let forgotten = Acceptor::new(&tls, Some(&keys.rotated().rotated()), None).unwrap();
        assert_eq!(kind(&forgotten, "a.example"), HandshakeKind::Full);
        // The same host under another policy: as it is after a reload that asks clients for certificates.
        assert_eq!(kind(&first, "a.example"), HandshakeKind::Full, "that ticket was made with the newest key");
        assert_eq!(kind(&first, "a.example"), HandshakeKind::Resumed);
        tls.hosts[0].policy = PolicyId(1);
        let stricter = Acceptor::new(&tls, Some(&keys), Some(&first)).unwrap();
        assert_eq!(kind(&stricter, "a.example"), HandshakeKind::Full);
    }
}

#[test]
fn a_ticket_of_one_host_is_none_at_another() {
    let hosts = ["a.example", "b.example"].map(|name| host(name, &PKCS_ECDSA_P256_SHA256, 0)).to_vec();
    let tickets = Some(Tickets { rotation: Tickets::ROTATION, keys: Vec::new() });
    let tls = Tls { hosts, default: None, policies: vec![intermediate()], tickets };
    let acceptor = Acceptor::new(&tls, Some(&TicketKeys::random()), None).unwrap();
    for version in [None, Some(Version::Tls12)] {
        let mut client = client(version);
        client.resumption = Resumption::store(Arc::new(OneForAll::default()));
        let kind = |name| handshake(&acceptor, client.clone(), name).unwrap().kind;
        assert_eq!(kind("a.example"), HandshakeKind::Full);
        assert_eq!(kind("a.example"), HandshakeKind::Resumed, "the client does offer what it has");
        assert_eq!(kind("b.example"), HandshakeKind::Full);
    }
}

#[test]
fn clients_have_to_be_whom_the_policy_asks_for() {
    let (authority, strangers) = (authority(), authority());
    let required = Policy { client_auth: Some(authority.auth.clone()), ..intermediate() };
    let optional =
        Policy { client_auth: Some(ClientAuth { required: false, ..authority.auth.clone() }), ..intermediate() };
    let hosts = ["required", "optional"].iter().zip(0..);
    let hosts = hosts.map(|(name, policy)| host(name, &PKCS_ECDSA_P256_SHA256, policy)).collect();
    let acceptor = acceptor(Tls { hosts, default: None, policies: vec![required, optional], tickets: None });
    let good = authority.client("good", 1, 2099);
    let revoked = authority.client("revoked", 2, 2099);
    let expired = authority.client("expired", 3, 2020);
    let stranger = strangers.client("stranger", 1, 2099);
    let peer = |name, identity: Option<&Identity>| {
        handshake(&acceptor, certified_client(identity), name).map(|session| session.peer.is_some())
    };
    for name in ["required", "optional"] {
        assert_eq!(peer(name, Some(&good)), Some(true), "{name}");
        for bad in [&revoked, &expired, &stranger] {
            assert_eq!(peer(name, Some(bad)), None, "{name}");
        }
    }
    assert_eq!(peer("required", None), None);
    assert_eq!(peer("optional", None), Some(false));
}

#[test]
fn a_list_of_revocations_that_has_expired_vouches_for_nobody() {
    let mut authority = authority();
    let good = authority.client("good", 1, 2099);
    authority.auth.crls = vec![authority.crl(2001)];
    let policy = Policy { client_auth: Some(authority.auth.clone()), ..intermediate() };
    let hosts = vec![host("a", &PKCS_ECDSA_P256_SHA256, 0)];
    let acceptor = acceptor(Tls { hosts, default: None, policies: vec![policy], tickets: None });
    assert!(handshake(&acceptor, certified_client(Some(&good)), "a").is_none());
}

#[test]
fn who_asks_for_one_host_gets_no_other_with_another_policy() {
    let private = Policy { client_auth: Some(authority().auth), ..intermediate() };
    let hosts = vec![
        host("a.example", &PKCS_ECDSA_P256_SHA256, 0),
        host("b.example", &PKCS_ECDSA_P256_SHA256, 0),
        host("*.private.example", &PKCS_ECDSA_P256_SHA256, 1),
    ];
    let policies = vec![intermediate(), private];
    let acceptor = acceptor(Tls { hosts, default: None, policies, tickets: None });
    let fits = |name: &str, authority: &str| acceptor.fits(Some(name), authority.as_bytes());
    assert!(fits("a.example", "a.example") && fits("a.example", "A.EXAMPLE") && fits("a.example", "b.example"));
    assert!(!fits("a.example", "x.private.example") && !fits("x.private.example", "a.example"));
    assert!(fits("x.private.example", "y.z.private.example"));
    assert!(!fits("a.example", "unknown.example") && !fits("a.example", ""), "nobody is the default");
}

#[test]
fn a_key_that_is_not_the_certificates_makes_no_acceptor() {
    let mut wrong = host("a.example", &PKCS_ECDSA_P256_SHA256, 0);
    let key = KeyPair::generate_for(&PKCS_ED25519).unwrap();
    Arc::make_mut(&mut wrong.certificates[0]).key = PrivateKey::new(KeyForm::Pkcs8, key.serialize_der());
    let tls = Tls { hosts: vec![wrong], default: None, policies: vec![intermediate()], tickets: None };
    let error = Acceptor::new(&tls, None, None).unwrap_err();
    assert!(matches!(error, AcceptorError::Certificate { .. }), "{error}");
}

/// Prints what a lookup and the memory of many certificates come to, for the documentation.
#[test]
#[ignore = "takes a minute without optimization: cargo test --release -p ringway-tls -- --ignored --nocapture"]
fn ten_thousand_certificates() {
    const COUNT: usize = 10_000;
    let memory = || {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap()
    };
    let before = memory();
    let hosts =
        (0..COUNT).map(|index| host(&format!("host-{index}.example.com"), &PKCS_ECDSA_P256_SHA256, 0)).collect();
    let tls = Tls { hosts, default: None, policies: vec![intermediate()], tickets: None };
    let planned = memory();
    let began = std::time::Instant::now();
    let acceptor = Acceptor::new(&tls, None, None).unwrap();
    let made = began.elapsed();
    let ready = memory();
    let names: Vec<String> = (0..COUNT).map(|index| format!("host-{}.example.com", index * 7919 % COUNT)).collect();
    let began = std::time::Instant::now();
    let found = names.iter().filter(|name| acceptor.choose(Some(name)).is_some()).count();
    let lookup = began.elapsed() / COUNT as u32;
    assert_eq!(found, COUNT);
    let again = std::time::Instant::now();
    Acceptor::new(&tls, None, Some(&acceptor)).unwrap();
    println!(
        "{COUNT} certificates: plan {} KiB, acceptor {} KiB more, made in {made:?}, again in {:?}; a lookup {lookup:?}",
        planned - before,
        ready - planned,
        again.elapsed(),
    );
}

fn intermediate() -> Policy {
    Policy::of(Profile::Intermediate)
}

fn acceptor(tls: Tls) -> Acceptor {
    Acceptor::new(&tls, None, None).unwrap()
}

/// A host with a certificate of its own making; no name is that of nobody.
fn host(name: &str, algorithm: &'static Algorithm, policy: u16) -> Host {
    let key = KeyPair::generate_for(algorithm).unwrap();
    let certificate = CertificateParams::new(vec![format!("x{name}")]).unwrap().self_signed(&key).unwrap();
    let certificate = Certificate {
        name: name.to_owned(),
        chain: vec![Der(certificate.der().to_vec().into())],
        key: PrivateKey::new(KeyForm::Pkcs8, key.serialize_der()),
        stapling: Stapling::Off,
        not_after_unix_s: i64::MAX,
    };
    let names = match name.strip_prefix("*.") {
        _ if name.is_empty() => Vec::new(),
        Some(suffix) => vec![HostPattern::Suffix(suffix.to_owned())],
        None => vec![HostPattern::Exact(name.to_owned())],
    };
    Host { names, certificates: vec![Arc::new(certificate)], policy: PolicyId(policy) }
}

/// Whom clients' certificates are from.
struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    auth: ClientAuth,
}

struct Identity {
    certificate: CertificateDer<'static>,
    key: PrivateKeyDer<'static>,
}

/// It has revoked the certificate with the serial number 2.
fn authority() -> Authority {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let roots = vec![Arc::new(Der(issuer.der().to_vec().into()))];
    let mut authority = Authority { issuer, auth: ClientAuth { required: true, roots, crls: Vec::new() } };
    authority.auth.crls = vec![authority.crl(2099)];
    authority
}

impl Authority {
    fn client(&self, name: &str, serial: u64, until_year: i32) -> Identity {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.serial_number = Some(SerialNumber::from(serial));
        params.not_after = date_time_ymd(until_year, 1, 1);
        params.not_before = date_time_ymd(2000, 1, 1);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap().der().clone();
        Identity { certificate, key: PrivateKeyDer::Pkcs8(key.serialize_der().into()) }
    }

    fn crl(&self, until_year: i32) -> Arc<Der> {
        let revoked = RevokedCertParams {
            serial_number: SerialNumber::from(2),
            revocation_time: date_time_ymd(2000, 1, 2),
            reason_code: None,
            invalidity_date: None,
        };
        let params = CertificateRevocationListParams {
            this_update: date_time_ymd(2000, 1, 1),
            next_update: date_time_ymd(until_year, 1, 1),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: vec![revoked],
            key_identifier_method: KeyIdMethod::Sha256,
        };
        let issuer: &Issuer<'_, KeyPair> = &self.issuer;
        Arc::new(Der(params.signed_by(issuer).unwrap().der().to_vec().into()))
    }
}

/// What a handshake came to.
#[derive(Debug)]
struct Session {
    certificate: Vec<u8>,
    peer: Option<Vec<CertificateDer<'static>>>,
    kind: HandshakeKind,
    version: rustls::ProtocolVersion,
    suite: rustls::CipherSuite,
    group: rustls::NamedGroup,
}

fn client(version: Option<Version>) -> ClientConfig {
    let versions = match version {
        None => versions(Version::Tls12),
        Some(Version::Tls12) => &[&rustls::version::TLS12],
        Some(Version::Tls13) => &[&rustls::version::TLS13],
    };
    builder(versions).with_custom_certificate_verifier(Anybody::of_any_kind()).with_no_client_auth()
}

fn certified_client(identity: Option<&Identity>) -> ClientConfig {
    let Some(identity) = identity else { return client(None) };
    builder(versions(Version::Tls12))
        .with_custom_certificate_verifier(Anybody::of_any_kind())
        .with_client_auth_cert(vec![identity.certificate.clone()], identity.key.clone_key())
        .unwrap()
}

fn builder(
    versions: &[&'static rustls::SupportedProtocolVersion],
) -> rustls::client::danger::DangerousClientConfigBuilder {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    ClientConfig::builder_with_provider(provider).with_protocol_versions(versions).unwrap().dangerous()
}

/// Shakes hands, and has the client read what comes right after it, tickets among it. `None` if either refuses.
fn handshake(acceptor: &Acceptor, config: ClientConfig, name: &str) -> Option<Session> {
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let asked_for = matches!(&name, ServerName::DnsName(_)).then(|| name.to_str().into_owned());
    let host = acceptor.choose(asked_for.as_deref())?;
    let mut server = ServerConnection::new(Arc::clone(&host.config)).unwrap();
    let mut client = ClientConnection::new(Arc::new(config), name).unwrap();
    let mut refused = false;
    let mut wire = Vec::new();
    while !refused && (client.wants_write() || server.wants_write()) {
        client.write_tls(&mut wire).unwrap();
        refused |= fed(&wire, |bytes| server.read_tls(bytes)) && server.process_new_packets().is_err();
        wire.clear();
        server.write_tls(&mut wire).unwrap();
        refused |= fed(&wire, |bytes| client.read_tls(bytes)) && client.process_new_packets().is_err();
        wire.clear();
    }
    if refused || client.is_handshaking() || server.is_handshaking() {
        return None;
    }
    // A client that was refused late hears of it only when it reads.
    server.writer().write_all(b"x").unwrap();
    server.write_tls(&mut wire).unwrap();
    client.read_tls(&mut &*wire).unwrap();
    client.process_new_packets().ok()?;
    client.reader().read_exact(&mut [0]).unwrap();
    Some(Session {
        certificate: client.peer_certificates().unwrap_or_default().first().map(|der| der.to_vec()).unwrap_or_default(),
        peer: server.peer_certificates().map(<[CertificateDer<'static>]>::to_vec),
        kind: server.handshake_kind()?,
        version: server.protocol_version()?,
        suite: server.negotiated_cipher_suite()?.suite(),
        group: server.negotiated_key_exchange_group().map_or(rustls::NamedGroup::X25519, |group| group.name()),
    })
}

fn fed(mut wire: &[u8], mut read: impl FnMut(&mut dyn Read) -> std::io::Result<usize>) -> bool {
    let any = !wire.is_empty();
    while !wire.is_empty() {
        read(&mut wire).unwrap();
    }
    any
}

/// A client that believes everybody, and keeps what was stapled.
#[derive(Debug)]
struct Anybody {
    schemes: Vec<SignatureScheme>,
    stapled: std::sync::Mutex<Vec<u8>>,
}

impl Anybody {
    fn who_verifies(schemes: &[SignatureScheme]) -> Arc<Anybody> {
        Arc::new(Anybody { schemes: schemes.to_vec(), stapled: std::sync::Mutex::default() })
    }

    fn of_any_kind() -> Arc<Anybody> {
        let provider = rustls::crypto::aws_lc_rs::default_provider();
        Anybody::who_verifies(&provider.signature_verification_algorithms.supported_schemes())
    }
}

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        stapled: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        *self.stapled.lock().unwrap() = stapled.to_vec();
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.schemes.clone()
    }
}

/// What a client keeps that offers every session to everybody, as no good one does.
#[derive(Debug, Default)]
struct OneForAll {
    tls12: std::sync::Mutex<Option<rustls::client::Tls12ClientSessionValue>>,
    tls13: std::sync::Mutex<Vec<rustls::client::Tls13ClientSessionValue>>,
}

impl rustls::client::ClientSessionStore for OneForAll {
    fn set_kx_hint(&self, _: ServerName<'static>, _: rustls::NamedGroup) {}

    fn kx_hint(&self, _: &ServerName<'_>) -> Option<rustls::NamedGroup> {
        None
    }

    fn set_tls12_session(&self, _: ServerName<'static>, session: rustls::client::Tls12ClientSessionValue) {
        *self.tls12.lock().unwrap() = Some(session);
    }

    fn tls12_session(&self, _: &ServerName<'_>) -> Option<rustls::client::Tls12ClientSessionValue> {
        self.tls12.lock().unwrap().clone()
    }

    fn remove_tls12_session(&self, _: &ServerName<'static>) {
        *self.tls12.lock().unwrap() = None;
    }

    fn insert_tls13_ticket(&self, _: ServerName<'static>, session: rustls::client::Tls13ClientSessionValue) {
        self.tls13.lock().unwrap().push(session);
    }

    fn take_tls13_ticket(&self, _: &ServerName<'static>) -> Option<rustls::client::Tls13ClientSessionValue> {
        self.tls13.lock().unwrap().pop()
    }
}
