//! What is refused, and how the peer learns of it.

use rustls::{AlertDescription, CipherSuite};

use super::peer::{Ours, Theirs, configs, suites, talk};
use crate::error::{Error, Reason};

fn connected(suite: CipherSuite) -> (Ours, Theirs) {
    let configs = configs(Some(suite));
    let (mut ours, mut theirs) = (Ours::server(&configs), Theirs::client(&configs));
    talk(&mut ours, &mut theirs);
    (ours, theirs)
}

/// What the peer makes of what is left to be sent to it.
fn alert_heard(ours: &mut Ours, theirs: &mut Theirs) -> AlertDescription {
    match theirs.read(&std::mem::take(&mut ours.outgoing)) {
        Err(rustls::Error::AlertReceived(alert)) => alert,
        other => panic!("no alert, but {other:?}"),
    }
}

#[test]
fn a_changed_bit_ends_the_connection() {
    for suite in suites() {
        let (mut ours, mut theirs) = connected(suite);
        let mut bytes = theirs.write(b"to be changed on its way");
        *bytes.last_mut().unwrap() ^= 1;
        let more = theirs.write(b"more");
        assert_eq!(ours.read(&bytes), Err(Error::BadRecord), "{suite:?}");
        assert!(ours.plaintext.is_empty());
        assert_eq!(alert_heard(&mut ours, &mut theirs), AlertDescription::BadRecordMac);
        assert_eq!(ours.read(&more), Err(Error::BadRecord), "it stays failed");
        for bytes in [&b""[..], b"\x17\x03", b"no TLS"] {
            let again = ours.session.handle_bytes(bytes, &mut ours.plaintext, &mut ours.outgoing);
            assert_eq!(again.unwrap_err(), Error::BadRecord, "whatever comes: {}", bytes.escape_ascii());
        }
    }
}

#[test]
fn a_record_sent_twice_ends_the_connection() {
    let (mut ours, mut theirs) = connected(CipherSuite::TLS13_AES_128_GCM_SHA256);
    let bytes = theirs.write(b"once");
    ours.read(&bytes).unwrap();
    assert_eq!(ours.read(&bytes), Err(Error::BadRecord));
}

#[test]
fn what_is_not_tls_is_refused_at_its_first_byte() {
    let configs = configs(None);
    let mut ours = Ours::server(&configs);
    assert_eq!(ours.read(b"G"), Err(Error::Malformed));
}

/// CVE-2026-1642: bytes that were put before or into the handshake never become a request.
#[test]
fn plaintext_before_the_end_of_the_handshake_is_refused() {
    let configs = configs(None);
    let (mut ours, mut theirs) = (Ours::server(&configs), Theirs::client(&configs));
    ours.read(&theirs.take()).unwrap();
    let mut injected = vec![23, 3, 3, 0, 18];
    injected.extend_from_slice(b"GET /admin HTTP/1.");
    assert!(ours.read(&injected).is_err());
    assert!(ours.plaintext.is_empty() && ours.negotiated.is_none());
}

#[test]
fn plaintext_after_the_handshake_is_refused() {
    let (mut ours, _) = connected(CipherSuite::TLS13_AES_128_GCM_SHA256);
    assert_eq!(
        ours.read(&[21, 3, 3, 0, 2, 1, 0]),
        Err(Error::UnexpectedMessage),
        "an end that anybody may have put there"
    );
    assert!(!ours.session.has_ended());
}

#[test]
fn renegotiation_is_refused() {
    let (mut ours, mut theirs) = connected(CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256);
    // The peer's key is ours to inspect only on our side: a ClientHello is sealed by a session of ours.
    let configs = configs(Some(CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256));
    let (mut client, mut server) = (Ours::client(&configs), Ours::server(&configs));
    while !(client.outgoing.is_empty() && server.outgoing.is_empty()) {
        server.read(&std::mem::take(&mut client.outgoing)).unwrap();
        client.read(&std::mem::take(&mut server.outgoing)).unwrap();
    }
    client.session.seal_handshake(&[1, 0, 0, 2, 3, 3], &mut client.outgoing);
    assert_eq!(server.read(&client.outgoing), Err(Error::Renegotiation));
    client.outgoing.clear();
    assert_eq!(client.read(&server.outgoing), Err(Error::Alert(AlertDescription::HandshakeFailure)));
    // The other way round, by a HelloRequest.
    ours.session.seal_handshake(&[0, 0, 0, 0], &mut ours.outgoing);
    // rustls answers it with a warning and goes on.
    theirs.read(&std::mem::take(&mut ours.outgoing)).unwrap();
    ours.read(&theirs.take()).unwrap();
}

#[test]
fn messages_that_carry_nothing_are_bounded() {
    let (mut ours, mut theirs) = connected(CipherSuite::TLS13_AES_128_GCM_SHA256);
    let mut refreshed = 0;
    let error = loop {
        theirs.connection.refresh_traffic_keys().unwrap();
        refreshed += 1;
        if let Err(error) = ours.read(&theirs.take()) {
            break error;
        }
    };
    assert_eq!((error, refreshed), (Error::Busywork, 33));
}

#[test]
fn an_alert_of_the_peer_ends_the_connection() {
    let configs = configs(None);
    let other = super::peer::configs(None);
    // A client that does not trust the certificate says so.
    let (mut ours, mut theirs) = (Ours::server(&configs), Theirs::client(&other));
    ours.read(&theirs.take()).unwrap();
    assert!(theirs.read(&std::mem::take(&mut ours.outgoing)).is_err());
    let error = ours.read(&theirs.take()).unwrap_err();
    assert_eq!(error.reason(), Reason::Alert, "{error}");
}

#[test]
fn a_failed_handshake_tells_the_peer() {
    let (tls13, tls12) = (
        configs(Some(CipherSuite::TLS13_AES_128_GCM_SHA256)),
        configs(Some(CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256)),
    );
    let (mut ours, mut theirs) = (Ours::server(&tls13), Theirs::client(&tls12));
    let error = ours.read(&theirs.take()).unwrap_err();
    assert_eq!(error.reason(), Reason::Version, "{error:?}");
    assert_eq!(alert_heard(&mut ours, &mut theirs), AlertDescription::ProtocolVersion);
}

#[test]
fn nothing_is_sealed_behind_the_end() {
    let (mut ours, _) = connected(CipherSuite::TLS13_AES_128_GCM_SHA256);
    ours.session.close(&mut ours.outgoing);
    let end = ours.outgoing.len();
    assert!(ours.session.seal(b"late", std::time::Duration::ZERO, &mut ours.outgoing).is_err());
    assert_eq!(ours.outgoing.len(), end);
}
