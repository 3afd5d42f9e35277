//! Certificates of both sides: shown, renewed, and told to upstreams.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use kit::process::run;
use kit::{Address, Authority, Config, Head, Origin, Ringway, eventually, standard};
use tls::rustls::pki_types::pem::PemObject;
use tls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tls::rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::start;

/// A client that believes `authority`, and shows the certificate in `identity`.
fn client(authority: &Authority, identity: Option<&Path>) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(authority.path()).unwrap()).unwrap();
    let provider = Arc::new(tls::rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let builder = builder.with_root_certificates(roots);
    let mut config = match identity {
        None => builder.with_no_client_auth(),
        Some(path) => {
            let chain = vec![CertificateDer::from_pem_file(path).unwrap()];
            builder.with_client_auth_cert(chain, PrivateKeyDer::from_pem_file(path).unwrap()).unwrap()
        }
    };
    config.resumption = tls::rustls::client::Resumption::disabled();
    Arc::new(config)
}

/// Sends a `GET` by a connection of its own, and returns the certificate that was shown and the status.
fn get(
    ringway: &Ringway,
    client: &Arc<ClientConfig>,
    host: &str,
    fields: &str,
) -> std::io::Result<(CertificateDer<'static>, String)> {
    let Address::Tcp(address) = ringway.address() else { panic!("a TCP address") };
    let name = ServerName::try_from(host.to_owned()).unwrap();
    let connection = ClientConnection::new(Arc::clone(client), name).unwrap();
    let mut stream = StreamOwned::new(connection, TcpStream::connect(address)?);
    let request = format!("GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{fields}\r\n");
    stream.write_all(request.as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let shown = stream.conn.peer_certificates().unwrap()[0].clone().into_owned();
    Ok((shown, answer.lines().next().unwrap_or_default().to_owned()))
}

fn certificate_in(path: &Path) -> CertificateDer<'static> {
    CertificateDer::from_pem_file(path).unwrap()
}

fn folder(origin: &Origin, certificates: &Path) -> Config {
    Config::to(origin.address()).listener_option("tls", true).set("tls", "certificates", format!("{certificates:?}"))
}

/// Puts the certificate in `from` in the place of that in `to`.
fn replace(from: &Path, to: &Path) {
    let next = to.with_extension("next");
    fs::copy(from, &next).unwrap();
    fs::rename(next, to).unwrap();
}

#[test]
fn a_renewed_certificate_is_shown_and_a_broken_one_leaves_the_old() {
    let (origin, authority, certificates) = (standard::start(), Authority::new(), tempfile::tempdir().unwrap());
    let (a, b) = (certificates.path().join("a.pem"), certificates.path().join("b.pem"));
    replace(&authority.sign(&["a.example"]), &a);
    replace(&authority.sign(&["b.example"]), &b);
    let ringway = start(folder(&origin, certificates.path()));
    let client = client(&authority, None);
    let shown = |host: &str| get(&ringway, &client, host, "").unwrap().0;
    assert_eq!(shown("a.example"), certificate_in(&a));
    assert!(get(&ringway, &client, "c.example", "").is_err(), "nobody answers to that");
    // One is renewed, another broken, a third added.
    let old = certificate_in(&b);
    replace(&authority.sign(&["a.example"]), &a);
    fs::write(&b, "-----BEGIN CERTIFICATE-----\n").unwrap();
    replace(&authority.sign(&["c.example"]), &certificates.path().join("c.pem"));
    eventually("the new certificate is shown", || shown("a.example") == certificate_in(&a));
    assert_eq!(shown("b.example"), old);
    assert_eq!(shown("c.example"), certificate_in(&certificates.path().join("c.pem")));
    assert!(ringway.process().stderr().contains("b.pem: it is no PEM file"), "{}", ringway.process().stderr());
}

#[test]
fn certificates_change_under_load_and_no_handshake_fails() {
    let (origin, authority, certificates) = (standard::start(), Authority::new(), tempfile::tempdir().unwrap());
    let path = certificates.path().join("a.pem");
    let versions: Vec<PathBuf> = (0..6)
        .map(|version| {
            let kept = certificates.path().join(format!("kept-{version}"));
            fs::copy(authority.sign(&["a.example"]), &kept).unwrap();
            kept
        })
        .collect();
    replace(&versions[0], &path);
    let ringway = start(folder(&origin, certificates.path()).shards(2));
    let client = client(&authority, None);
    let (is_over, count) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..3)
            .map(|_| {
                scope.spawn(|| {
                    while !is_over.load(Ordering::Relaxed) {
                        // The signature is verified by the certificate that came along: a mixture would not pass.
                        let (_, status) = get(&ringway, &client, "a.example", "").expect("a handshake");
                        assert!(status.starts_with("HTTP/1.1 "), "{status}");
                        count.fetch_add(1, Ordering::Relaxed);
                    }
                })
            })
            .collect();
        // Another client's handshakes, which it counts itself: each connection carries one request.
        let h2load = scope.spawn(|| {
            let mut rounds = 0;
            while !is_over.load(Ordering::Relaxed) {
                let mut command = Command::new("h2load");
                command.args(["--h1", "-n100", "-c100", "--connect-to", &ringway.address().to_string()]);
                command.arg("https://a.example/");
                let report = run("h2load", &mut command, kit::DEADLINE);
                assert!(report.contains("100 succeeded, 0 failed, 0 errored, 0 timeout"), "{report}");
                rounds += 1;
            }
            rounds
        });
        for version in &versions[1..] {
            replace(version, &path);
            let new = certificate_in(version);
            eventually("the next certificate is shown", || {
                get(&ringway, &client, "a.example", "").expect("a handshake").0 == new
            });
        }
        is_over.store(true, Ordering::Relaxed);
        clients.into_iter().for_each(|client| client.join().unwrap());
        assert!(h2load.join().unwrap() > 0, "h2load was there");
    });
    assert!(count.load(Ordering::Relaxed) > versions.len(), "there was load");
}

#[test]
fn upstreams_are_told_who_the_client_has_proved_to_be() {
    let (origin, authority) = (standard::start(), Authority::new());
    let (site, alice) = (authority.sign(&["a.example", "public.example"]), authority.sign(&["alice.clients.example"]));
    let strangers = Authority::new();
    let stranger = strangers.sign(&["alice.clients.example"]);
    let config = Config::to(origin.address()).tls(&[&site]);
    let auth = format!("{{ ca = {:?} }}", authority.path());
    let hosts = format!("[{{ host = \"a.example\", client_auth = {auth} }}]");
    let ringway = start(config.set("tls", "hosts", hosts));
    let forged = "X-Client-Cert-Subject: CN=root\r\nx_client_cert_verify: SUCCESS\r\nClient-Cert: :Zm9yZ2Vk:\r\n";
    let told = |host: &str, identity: Option<&Path>| {
        let before = origin.received_all().len();
        let (_, status) = get(&ringway, &client(&authority, identity), host, forged)?;
        assert!(!status.contains(" 421 "), "{status}");
        std::io::Result::Ok(Head::parse(&origin.received_all()[before..]))
    };
    let head = told("a.example", Some(&alice)).unwrap();
    assert_eq!(head.values("x-client-cert-verify"), ["SUCCESS"]);
    assert_eq!(head.values("x-client-cert-san"), ["DNS:alice.clients.example"]);
    assert_eq!(head.values("x-client-cert-fingerprint")[0].len(), 64);
    let text = format!("{head:?}");
    assert!(!text.contains("root") && !text.contains("x_client") && !text.contains("Zm9yZ2Vk"), "{text}");
    let head = told("public.example", Some(&alice)).unwrap();
    let text = format!("{head:?}").to_lowercase();
    assert!(!text.contains("client-cert") && !text.contains("client_cert"), "{text}");
    for bad in [None, Some(&*stranger)] {
        assert!(told("a.example", bad).is_err(), "{bad:?}");
    }
    assert!(!ringway.process().stderr().contains("panicked"), "{}", ringway.process().stderr());
}

#[test]
fn a_host_that_asks_clients_is_not_reached_by_one_that_does_not() {
    let (origin, authority) = (standard::start(), Authority::new());
    let site = authority.sign(&["a.example", "public.example"]);
    let auth = format!("{{ ca = {:?} }}", authority.path());
    let hosts = format!("[{{ host = \"a.example\", client_auth = {auth} }}]");
    let ringway = start(Config::to(origin.address()).tls(&[&site]).set("tls", "hosts", hosts));
    let Address::Tcp(address) = ringway.address() else { panic!("a TCP address") };
    let name = ServerName::try_from("public.example").unwrap();
    let connection = ClientConnection::new(client(&authority, None), name).unwrap();
    let mut stream = StreamOwned::new(connection, TcpStream::connect(address).unwrap());
    stream.write_all(b"GET / HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 421 "), "{answer}");
    assert_eq!(origin.received_all(), b"");
}
