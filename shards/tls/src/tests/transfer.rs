//! What passes where nothing goes wrong.

use super::peer::{Configs, Ours, Theirs, configs, suites, talk};
use crate::Version;
use crate::negotiated::Group;

/// Both ways, in pieces of many sizes.
fn exchange(ours: &mut Ours, theirs: &mut Theirs) {
    let data: Vec<u8> = (0..200_000_u32).map(|n| ((n * 31) >> 3) as u8).collect();
    let (mut sent, mut len) = (0, 1);
    while sent < data.len() {
        let part = &data[sent..data.len().min(sent + len)];
        ours.write(part);
        let to_us = theirs.write(part);
        ours.read(&to_us).unwrap();
        (sent, len) = (sent + part.len(), len * 3);
    }
    theirs.read(&std::mem::take(&mut ours.outgoing)).unwrap();
    assert!(ours.plaintext == data && theirs.plaintext == data);
    (ours.plaintext, theirs.plaintext) = Default::default();
}

/// Each side says its end, and hears the other's.
fn close(ours: &mut Ours, theirs: &mut Theirs) {
    assert!(!ours.session.has_ended());
    theirs.connection.send_close_notify();
    ours.read(&theirs.take()).unwrap();
    assert!(ours.session.has_ended() && ours.outgoing.is_empty());
    ours.session.close(&mut ours.outgoing);
    ours.session.close(&mut ours.outgoing);
    let (bytes, mut rest) = (std::mem::take(&mut ours.outgoing), &[0_u8][..0]);
    theirs.connection.read_tls(&mut &bytes[..]).unwrap();
    assert!(theirs.connection.process_new_packets().unwrap().peer_has_closed());
    assert_eq!(theirs.connection.read_tls(&mut rest).unwrap(), 0);
}

#[test]
fn every_suite_in_both_roles() {
    for suite in suites() {
        let configs = configs(Some(suite));
        for (mut ours, mut theirs) in
            [(Ours::server(&configs), Theirs::client(&configs)), (Ours::client(&configs), Theirs::server(&configs))]
        {
            talk(&mut ours, &mut theirs);
            let negotiated = ours.negotiated.as_ref().unwrap();
            assert_eq!(&*negotiated.protocol, b"http/1.1", "{suite:?}");
            assert!(!negotiated.resumed);
            exchange(&mut ours, &mut theirs);
            close(&mut ours, &mut theirs);
        }
    }
}

#[test]
fn what_was_agreed_on_is_told() {
    let configs = configs(None);
    let (mut ours, mut theirs) = (Ours::server(&configs), Theirs::client(&configs));
    talk(&mut ours, &mut theirs);
    let first = ours.negotiated.unwrap();
    assert_eq!((first.version, first.group), (Version::Tls13, Group::X25519MlKem768));
    assert!(first.cipher.starts_with("TLS_AES_"), "{}", first.cipher);
    assert!(!first.resumed && first.peer_certificates.is_none());
}

fn resumes(configs: &Configs, ours_is_server: bool) -> [bool; 2] {
    [(); 2].map(|()| {
        let (mut ours, mut theirs) = match ours_is_server {
            true => (Ours::server(configs), Theirs::client(configs)),
            false => (Ours::client(configs), Theirs::server(configs)),
        };
        talk(&mut ours, &mut theirs);
        exchange(&mut ours, &mut theirs);
        ours.negotiated.unwrap().resumed
    })
}

#[test]
fn sessions_are_resumed_in_both_roles() {
    for suite in suites() {
        let configs = configs(Some(suite));
        assert_eq!(resumes(&configs, true), [false, true], "{suite:?}");
        // The tickets that the first one stored are good for this one.
        assert!(resumes(&configs, false)[1], "{suite:?}");
    }
}

#[test]
fn keys_are_updated_when_the_peer_asks() {
    let configs = configs(Some(rustls::CipherSuite::TLS13_AES_128_GCM_SHA256));
    let (mut ours, mut theirs) = (Ours::server(&configs), Theirs::client(&configs));
    talk(&mut ours, &mut theirs);
    for _ in 0..100 {
        theirs.connection.refresh_traffic_keys().unwrap();
        let bytes = theirs.take();
        ours.read(&bytes).unwrap();
        exchange(&mut ours, &mut theirs);
    }
}

#[test]
fn data_that_comes_with_the_end_of_the_handshake_waits_for_it() {
    let configs = configs(None);
    let (mut ours, mut theirs) = (Ours::server(&configs), Theirs::client(&configs));
    ours.read(&theirs.take()).unwrap();
    theirs.read(&std::mem::take(&mut ours.outgoing)).unwrap();
    let mut last = theirs.take();
    last.extend(theirs.write(b"GET / HTTP/1.1\r\n"));
    let mut plaintext = Vec::new();
    let progress = ours.session.handle_bytes(&last, &mut plaintext, &mut ours.outgoing).unwrap();
    assert!(progress.negotiated.is_some() && plaintext.is_empty() && progress.consumed < last.len());
    ours.session.handle_bytes(&last[progress.consumed..], &mut plaintext, &mut ours.outgoing).unwrap();
    assert_eq!(plaintext, b"GET / HTTP/1.1\r\n");
}
