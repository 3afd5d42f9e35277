//! Handshakes that fail, each for a reason of its own, by OpenSSL's tool and by bytes that no tool sends.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::process::{Command, Stdio};

use kit::{Address, Authority, Config, Ringway};

use crate::{OK, answering, start};

const NAME: &str = "a.example";

/// What `openssl s_client` is refused, if it is. It says nothing itself.
fn s_client(ringway: &Ringway, name: &str, arguments: &str) -> String {
    let mut command = Command::new("openssl");
    command.args(["s_client", "-connect", &ringway.address().to_string(), "-servername", name]);
    let output = command.args(arguments.split_whitespace()).stdin(Stdio::null()).output().expect("openssl");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Sends these bytes and reads to the end of the connection, which the proxy brings about unless `ends`.
fn send(ringway: &Ringway, parts: &[&[u8]], ends: bool) {
    let Address::Tcp(address) = ringway.address() else { panic!("a TCP address") };
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(kit::DEADLINE)).unwrap();
    for part in parts {
        stream.write_all(part).unwrap();
    }
    if ends {
        stream.shutdown(Shutdown::Write).unwrap();
    }
    // The proxy may have reset what it had not read.
    let _ = stream.read_to_end(&mut Vec::new());
}

/// The ClientHello of a client that speaks `version`, as rustls writes it.
fn hello(version: &'static tls::rustls::SupportedProtocolVersion) -> Vec<u8> {
    let provider = tls::rustls::crypto::aws_lc_rs::default_provider();
    let builder = tls::rustls::ClientConfig::builder_with_provider(provider.into());
    let builder = builder.with_protocol_versions(&[version]).unwrap();
    let config = builder.with_root_certificates(tls::rustls::RootCertStore::empty()).with_no_client_auth();
    let name = tls::rustls::pki_types::ServerName::try_from(NAME).unwrap();
    let mut client = tls::rustls::ClientConnection::new(config.into(), name).unwrap();
    let mut hello = Vec::new();
    client.write_tls(&mut hello).unwrap();
    hello
}

#[test]
fn handshakes_that_fail_are_counted_by_their_reasons() {
    let (origin, authority) = (answering(OK), Authority::new());
    let site = authority.sign(&[NAME]);
    let strict = authority.sign(&["strict.example"]);
    let hosts = format!(
        "[{{ host = \"{NAME}\", certificate = {site:?} }}, {{ host = \"strict.example\", certificate = {strict:?}, \
         profile = \"modern\", client_auth = {{ ca = {:?} }} }}]",
        authority.path()
    );
    let config = Config::to(origin.address()).listener_option("tls", true).set("tls", "hosts", hosts);
    let ringway = start(config.timeout("head", "1s"));
    let other = Authority::new();
    let distrust = format!("-verify_return_error -CAfile {}", other.path().display());
    for (name, arguments, said) in [
        (NAME, distrust.as_str(), "verify failed"),
        ("strict.example", "-tls1_2", "alert protocol version"),
        (NAME, "-tls1_2 -cipher AES128-SHA", "alert handshake failure"),
        (NAME, "-alpn imap", "alert no application protocol"),
        ("other.example", "", "unrecognized name"),
    ] {
        let output = s_client(&ringway, name, arguments);
        assert!(output.contains(said), "{arguments}: {output}");
    }
    // TLS 1.3 tells of it after what the client takes for the handshake's end.
    s_client(&ringway, "strict.example", "-ign_eof");
    let (old, new) = (hello(&tls::rustls::version::TLS12), hello(&tls::rustls::version::TLS13));
    // A key of no bytes, RFC 8422 §5.7.
    send(&ringway, &[&old, &[22, 3, 3, 0, 4, 16, 0, 0, 0]], false);
    // Plaintext in place of an answer to the server's part, RFC 5246 §7.4.
    send(&ringway, &[&old, &[23, 3, 3, 0, 1, 0]], false);
    // A record that was sealed with no key, RFC 8446 §5.2.
    send(&ringway, &[&new, &[23, 3, 3, 0, 32], &[7; 32]], false);
    send(&ringway, &[&new], true);
    send(&ringway, &[&new], false);
    let counts = ringway.stop_and_count();
    let failed: Vec<(&str, u64)> = counts
        .iter()
        .filter(|(name, _)| name.starts_with("tls_handshakes_failed"))
        .map(|(name, n)| (&name[..], *n))
        .collect();
    let expected = [
        ("tls_handshakes_failed{alert}", 1),
        ("tls_handshakes_failed{certificate}", 1),
        ("tls_handshakes_failed{ended}", 1),
        ("tls_handshakes_failed{incompatible}", 1),
        ("tls_handshakes_failed{malformed}", 1),
        ("tls_handshakes_failed{misbehaved}", 1),
        ("tls_handshakes_failed{name}", 1),
        ("tls_handshakes_failed{protocol}", 1),
        ("tls_handshakes_failed{timed_out}", 1),
        ("tls_handshakes_failed{unexpected}", 1),
        ("tls_handshakes_failed{version}", 1),
    ];
    assert_eq!(failed, expected, "{counts:?}");
}
