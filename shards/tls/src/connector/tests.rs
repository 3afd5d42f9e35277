//! Handshakes with an [`Acceptor`], in memory.

use std::io::Read;

use plan::HostPattern;
use plan::tls::{
    Certificate, ClientAuth, Der, Host, KeyForm, Policy, PolicyId, PrivateKey, Profile, Stapling, Tickets, Version,
};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::{ClientConnection, HandshakeKind, ServerConnection};

use super::*;
use crate::{Acceptor, TicketKeys};

type Authority = CertifiedIssuer<'static, KeyPair>;

#[test]
fn a_server_has_to_prove_its_name_to_a_root_that_is_believed() {
    let (ours, others) = (authority(), authority());
    let acceptor = server(&signed(&ours, &["app.internal", "192.0.2.1"]), None);
    let connects = |change: &dyn Fn(&mut UpstreamTls), address: Option<IpAddr>| {
        let mut policy = policy(&ours);
        change(&mut policy);
        let connector = Connector::new(&policy).unwrap().of_shard();
        handshake(&acceptor, &connector, connector.name(None, address).unwrap()).is_some()
    };
    assert!(connects(&|_| {}, None));
    assert!(connects(&|policy| policy.server_name = None, Some([192, 0, 2, 1].into())));
    assert!(!connects(&|policy| policy.server_name = None, Some([192, 0, 2, 2].into())));
    assert!(!connects(&|policy| policy.server_name = Some("other.internal".into()), None));
    assert!(!connects(&|policy| policy.roots = roots(&others), None));
    assert!(connects(&|policy| policy.version_min = Version::Tls13, None));
    let found = Connector::new(&UpstreamTls { server_name: None, ..policy(&ours) }).unwrap().of_shard();
    let address = Some([192, 0, 2, 1].into());
    assert!(handshake(&acceptor, &found, found.name(Some("app.internal."), address).unwrap()).is_some());
    assert!(handshake(&acceptor, &found, found.name(Some("b.internal"), address).unwrap()).is_none());
}

#[test]
fn a_pinned_key_is_asked_for_beside_the_roots_or_in_their_place() {
    let ours = authority();
    let certificate = signed(&ours, &["app.internal"]);
    let acceptor = server(&certificate, None);
    let pin = {
        let (_, read) = X509Certificate::from_der(&certificate.chain[0].0).unwrap();
        <[u8; 32]>::try_from(digest(&SHA256, read.public_key().raw).as_ref()).unwrap()
    };
    let connects = |roots: Vec<Arc<Der>>, pins: Vec<[u8; 32]>| {
        let connector = Connector::new(&UpstreamTls { roots, pins, ..policy(&ours) }).unwrap();
        handshake(&acceptor, &connector, connector.name(None, None).unwrap()).is_some()
    };
    assert!(connects(roots(&ours), vec![[0; 32], pin]));
    assert!(connects(Vec::new(), vec![pin]));
    assert!(!connects(roots(&ours), vec![[0; 32]]));
    assert!(!connects(roots(&authority()), vec![pin]), "the pin adds to what the roots ask for");
    let nothing = Connector::new(&UpstreamTls { roots: Vec::new(), ..policy(&ours) });
    assert!(matches!(nothing, Err(ConnectorError::Unverified)));
}

#[test]
fn a_server_that_asks_is_shown_the_certificate() {
    let (ours, clients) = (authority(), authority());
    let auth = ClientAuth { required: true, roots: roots(&clients), crls: Vec::new() };
    let acceptor = server(&signed(&ours, &["app.internal"]), Some(auth));
    let connects = |certificate| {
        let connector = Connector::new(&UpstreamTls { certificate, ..policy(&ours) }).unwrap();
        handshake(&acceptor, &connector, connector.name(None, None).unwrap()).is_some()
    };
    assert!(connects(Some(signed(&clients, &["proxy.internal"]))));
    assert!(!connects(Some(signed(&ours, &["proxy.internal"]))));
    assert!(!connects(None));
}

#[test]
fn a_shard_resumes_its_own_sessions() {
    let ours = authority();
    let acceptor = server(&signed(&ours, &["app.internal"]), None);
    let connector = Connector::new(&policy(&ours)).unwrap();
    let (one, other) = (connector.of_shard(), connector.of_shard());
    let kind = |connector: &Connector| handshake(&acceptor, connector, connector.name(None, None).unwrap()).unwrap();
    assert_eq!(kind(&one), HandshakeKind::Full);
    assert_eq!(kind(&one), HandshakeKind::Resumed);
    assert_eq!(kind(&other), HandshakeKind::Full);
    let never = Connector::new(&UpstreamTls { resumes: false, ..policy(&ours) }).unwrap().of_shard();
    assert_eq!(kind(&never), HandshakeKind::Full);
    assert_eq!(kind(&never), HandshakeKind::Full);
}

fn authority() -> Authority {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

fn roots(authority: &Authority) -> Vec<Arc<Der>> {
    vec![Arc::new(Der(authority.der().to_vec().into()))]
}

fn signed(authority: &Authority, names: &[&str]) -> Arc<Certificate> {
    let key = KeyPair::generate().unwrap();
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let certificate = CertificateParams::new(names).unwrap().signed_by(&key, authority).unwrap();
    Arc::new(Certificate {
        name: "test".to_owned(),
        chain: vec![Der(certificate.der().to_vec().into())],
        key: PrivateKey::new(KeyForm::Pkcs8, key.serialize_der()),
        stapling: Stapling::Off,
        not_after_unix_s: i64::MAX,
    })
}

fn policy(authority: &Authority) -> UpstreamTls {
    UpstreamTls {
        server_name: Some("app.internal".to_owned()),
        roots: roots(authority),
        pins: Vec::new(),
        certificate: None,
        version_min: Version::Tls12,
        alpn: vec!["http/1.1".to_owned()],
        resumes: true,
    }
}

fn server(certificate: &Arc<Certificate>, client_auth: Option<ClientAuth>) -> Acceptor {
    let names = vec![HostPattern::Exact("app.internal".to_owned())];
    let hosts = vec![Host { names, certificates: vec![Arc::clone(certificate)], policy: PolicyId(0) }];
    let policies = vec![Policy { client_auth, ..Policy::of(Profile::Intermediate) }];
    let tickets = Some(Tickets { rotation: Tickets::ROTATION, keys: Vec::new() });
    let tls = plan::Tls { hosts, default: Some(0), policies, tickets };
    Acceptor::new(&tls, Some(&TicketKeys::random()), None).unwrap()
}

/// Shakes hands until both are done and the client has read what came right after. `None` if either refuses.
fn handshake(acceptor: &Acceptor, connector: &Connector, name: ServerName<'static>) -> Option<HandshakeKind> {
    let mut server = ServerConnection::new(Arc::clone(&acceptor.sole().unwrap().config)).unwrap();
    let mut client = ClientConnection::new(Arc::clone(connector.config()), name).unwrap();
    let mut wire = Vec::new();
    while client.wants_write() || server.wants_write() {
        client.write_tls(&mut wire).unwrap();
        fed(&mut wire, |bytes| server.read_tls(bytes));
        server.process_new_packets().ok()?;
        server.write_tls(&mut wire).unwrap();
        fed(&mut wire, |bytes| client.read_tls(bytes));
        client.process_new_packets().ok()?;
    }
    (!client.is_handshaking() && !server.is_handshaking()).then(|| client.handshake_kind())?
}

fn fed(wire: &mut Vec<u8>, mut read: impl FnMut(&mut dyn Read) -> std::io::Result<usize>) {
    let mut rest = &wire[..];
    while !rest.is_empty() {
        read(&mut rest).unwrap();
    }
    wire.clear();
}
