//! What of TLS outlives a worker: the sessions of clients, and certificates whose files have become wrong.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use kit::process::signal;
use kit::{Address, Authority, Config, Peer, Ringway, Scrape, eventually, standard};

use crate::BINARY;
use crate::binary_upgrade::{install, upgrade};
use crate::supervisor::{await_heritage, telling};

/// What `openssl s_client` says that asks for `name`.
fn s_client(ringway: &Ringway, authority: &Authority, name: &str, arguments: &[&str]) -> String {
    let mut command = Command::new("sh");
    let request = format!("GET /length/1 HTTP/1.1\\r\\nHost: {name}\\r\\nConnection: close\\r\\n\\r\\n");
    let line = format!(
        "printf '{request}' | timeout 20 openssl s_client -ign_eof -verify_return_error -connect {} -servername {name} -CAfile {} {} 2>&1",
        ringway.address(),
        authority.path().display(),
        arguments.join(" "),
    );
    let output = command.args(["-c", &line]).stdin(Stdio::null()).output().unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// That a client gets a session, which the proxy resumes after `meanwhile`, in both versions.
#[track_caller]
fn assert_resumes_after(ringway: &Ringway, authority: &Authority, meanwhile: impl FnOnce()) {
    let folder = tempfile::tempdir().unwrap();
    let versions = ["-tls1_2", "-tls1_3"];
    let session = |version: &str| folder.path().join(version).display().to_string();
    for version in versions {
        let first = s_client(ringway, authority, "a.example", &[version, "-sess_out", &session(version)]);
        assert!(first.contains("New, TLSv1") && first.contains("HTTP/1.1 200 "), "{first}");
    }
    meanwhile();
    for version in versions {
        let again = s_client(ringway, authority, "a.example", &[version, "-sess_in", &session(version)]);
        assert!(again.contains("Reused, TLSv1") && again.contains("HTTP/1.1 200 "), "{again}");
    }
}

#[test]
fn a_session_is_resumed_after_an_upgrade_a_fall_and_a_new_generation() {
    let folder = tempfile::tempdir().unwrap();
    install(folder.path());
    let (origin, authority) = (standard::start(), Authority::new());
    let config = |fields: u32, shards: u16| {
        let config = Config::to(origin.address()).tls(&[&authority.sign(&["a.example"])]).shards(shards);
        telling(config.limit("fields", fields))
    };
    let ringway = Ringway::start_supervised(folder.path().join("ringway"), config(50, 1));
    assert_resumes_after(&ringway, &authority, || {
        await_heritage(&ringway);
        upgrade(&ringway, folder.path());
    });
    assert_resumes_after(&ringway, &authority, || {
        await_heritage(&ringway);
        let old = ringway.worker();
        signal(old, "KILL");
        eventually("another worker serves", || ringway.process().children().iter().any(|worker| *worker != old));
    });
    assert_resumes_after(&ringway, &authority, || {
        await_heritage(&ringway);
        let old = ringway.worker();
        ringway.rewrite(config(51, 2));
        ringway.reload_as_written();
        eventually("the old generation ends", || ringway.process().children().iter().all(|worker| *worker != old));
    });
    // The keys are on no disk and in no log.
    assert!(!ringway.process().stderr().contains("\"keys\""));
}

fn broken_files(ringway: &Ringway) -> Option<f64> {
    let request = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    let mut peer = Peer::try_connect(&Address::Unix(ringway.admin_socket())).ok()?;
    Scrape::parse(&peer.exchange("GET", request).ok()?.text()).sum("ringway_certificate_files_broken", &[])
}

/// Puts `text` in the place of a file.
fn replace(path: &Path, text: &str) {
    fs::write(path.with_extension("next"), text).unwrap();
    fs::rename(path.with_extension("next"), path).unwrap();
}

#[test]
fn a_worker_that_takes_the_place_of_another_shows_the_certificates_that_it_had() {
    let (origin, authority, folder) = (standard::start(), Authority::new(), tempfile::tempdir().unwrap());
    let [a, b, clients] = ["a.pem", "b.pem", "clients.crt"].map(|name| folder.path().join(name));
    fs::copy(authority.sign(&["a.example"]), &a).unwrap();
    fs::copy(authority.sign(&["b.example"]), &b).unwrap();
    fs::copy(authority.path(), &clients).unwrap();
    let alice = authority.sign(&["alice.example"]);
    let hosts = format!("[{{ host = \"b.example\", client_auth = {{ ca = {clients:?} }} }}]");
    let config = Config::to(origin.address()).listener_option("tls", true);
    let config = config.set("tls", "certificates", format!("{:?}", folder.path())).set("tls", "hosts", hosts);
    let ringway = Ringway::start_supervised(BINARY, config);
    let shows =
        |name: &str, arguments: &[&str]| s_client(&ringway, &authority, name, arguments).contains("HTTP/1.1 200 ");
    let alice = alice.display().to_string();
    let serves_all = || {
        shows("a.example", &["-verify_hostname", "a.example"])
            && shows("b.example", &["-verify_hostname", "b.example", "-cert", &alice, "-key", &alice])
    };
    assert!(serves_all() && !shows("b.example", &[]));
    // All of it is renewed badly.
    let (good, renewed) = (fs::read_to_string(&a).unwrap(), authority.sign(&["a.example"]));
    replace(&a, "-----BEGIN CERTIFICATE-----\n");
    eventually("the log says so", || ringway.process().stderr().contains("what was read before is shown on"));
    replace(&b, "");
    replace(&clients, "nothing");
    for _ in 0..2 {
        let old = ringway.worker();
        signal(old, "KILL");
        eventually("another worker serves", || ringway.process().children().iter().any(|worker| *worker != old));
        eventually("as before", serves_all);
        assert!(!shows("b.example", &[]), "clients are still asked who they are");
    }
    eventually("the metric tells how many files are wrong", || broken_files(&ringway) >= Some(2.0));
    assert!(ringway.process().stderr().contains("clients.crt"), "{}", ringway.process().stderr());
    // What is right again is taken.
    fs::copy(authority.sign(&["b.example"]), &b).unwrap();
    fs::copy(authority.path(), &clients).unwrap();
    replace(&a, &fs::read_to_string(&renewed).unwrap());
    assert_ne!(good, fs::read_to_string(&a).unwrap());
    eventually("nothing is wrong any more", || broken_files(&ringway) == Some(0.0));
}
