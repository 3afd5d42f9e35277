//! TLS with clients: OpenSSL's, by curl, by Python and by its own tool; and Chromium.

use std::io::Write;
use std::process::Command;
use std::time::Duration;

use kit::process::run;
use kit::{
    Address, Authority, Config, Framing, Origin, Peer, Process, Ringway, Scrape, TlsFront, eventually, pattern,
    standard,
};

use crate::bodies::{cells, compare};
use crate::{OK, answering, start};

const LIMIT: Duration = Duration::from_secs(30);
const NAME: &str = "a.example";

/// A proxy that speaks TLS, and the authority that its certificate is signed by.
struct Secured {
    authority: Authority,
    ringway: Ringway,
}

impl Secured {
    fn before(origin: &Origin) -> Secured {
        Secured::start(Config::to(origin.address()))
    }

    fn start(config: Config) -> Secured {
        let authority = Authority::new();
        let certificate = authority.sign(&[NAME, "b.example"]);
        Secured { ringway: start(config.tls(&[&certificate])), authority }
    }

    /// What Python's client prints that does `what`.
    fn python(&self, what: &[&str]) -> String {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/e2e/tls_client.py");
        let address = self.ringway.address().to_string();
        let (host, port) = address.split_once(':').unwrap();
        let mut command = Command::new("python3");
        command.args([script, host, port]).arg(self.authority.path()).arg(NAME).args(what);
        run("python3", &mut command, LIMIT).trim_end().to_owned()
    }

    /// What curl gets from `https://a.example` and prints by `--write-out`.
    fn curl(&self, path: &str, arguments: &[&str]) -> String {
        let mut command = Command::new("curl");
        command.args(["--silent", "--show-error", "--max-time", "20", "--noproxy", "*", "--cacert"]);
        command.arg(self.authority.path()).args(["--connect-to", &format!("{NAME}:443:{}", self.ringway.address())]);
        run("curl", command.args(arguments).arg(format!("https://{NAME}{path}")), LIMIT)
    }

    /// The document that Chromium makes of `https://a.example`, as HTML. It knows no authority of ours.
    fn chromium(&self, path: &str) -> String {
        let profile = tempfile::tempdir().unwrap();
        let mut command = Command::new("chromium");
        command.args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--no-proxy-server",
            "--ignore-certificate-errors",
        ]);
        command.arg(format!("--user-data-dir={}", profile.path().display()));
        command.arg(format!("--host-resolver-rules=MAP {NAME}:443 {}", self.ringway.address()));
        run("chromium", command.arg("--dump-dom").arg(format!("https://{NAME}{path}")), LIMIT)
    }

    fn metrics(&self) -> Scrape {
        let admin = Address::Unix(self.ringway.admin_socket());
        let request = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        Scrape::parse(&Peer::connect(&admin).exchange("GET", request).unwrap().text())
    }

    /// What `openssl s_client` says that gets `input`, which it is left with until it has said `last`.
    fn s_client(&self, input: &str, arguments: &[&str], last: &str) -> String {
        let address = self.ringway.address().to_string();
        let mut command = Command::new("openssl");
        command.args(["s_client", "-connect", &address, "-servername", NAME, "-CAfile"]).arg(self.authority.path());
        let (mut process, mut stdin) = Process::spawn_with_input("openssl", command.args(arguments));
        stdin.write_all(input.as_bytes()).unwrap();
        eventually(&format!("OpenSSL says {last:?}"), || (process.stdout() + &process.stderr()).contains(last));
        drop(stdin);
        let _ = process.wait();
        process.stdout() + &process.stderr()
    }
}

fn bodies_arrive_whole_over(version: &str) {
    let origin = standard::start();
    let secured = Secured::start(Config::to(origin.address()).shards(2));
    let front = TlsFront::start(secured.ringway.address(), NAME, &secured.authority.path(), version);
    let sizes = [0, 1, 1_399, 1_401, 4_097, 16 << 10, (16 << 10) + 1, 65_537];
    for (method, request) in [("GET", None), ("POST", Some(Framing::Length(0))), ("PUT", Some(Framing::Chunked))] {
        compare(|| front.connect(), origin.address(), &cells(method, request, &sizes));
    }
    compare(|| front.connect(), origin.address(), &cells("POST", Some(Framing::Length(0)), &[1 << 20]));
    assert_eq!(front.complaints(), "");
}

#[test]
fn bodies_arrive_whole_over_tls_1_2() {
    bodies_arrive_whole_over("1.2");
}

#[test]
fn bodies_arrive_whole_over_tls_1_3() {
    bodies_arrive_whole_over("1.3");
}

#[test]
fn sixteen_mebibytes_each_way() {
    let origin = standard::start();
    let secured = Secured::before(&origin);
    let front = TlsFront::start(secured.ringway.address(), NAME, &secured.authority.path(), "1.3");
    let mut peer = front.connect();
    peer.send(b"PUT /length/16777216 HTTP/1.1\r\nHost: a.example\r\nContent-Length: 16777216\r\n\r\n").unwrap();
    peer.send_pattern(0, 16 << 20).unwrap();
    let head = peer.read_pattern_response("PUT", 16 << 20).unwrap();
    assert_eq!(head.field("x-body"), Some("16777216"));
}

#[test]
fn curl_speaks_both_versions_and_the_record_tells_which() {
    let origin = standard::start();
    let format = "\"{sni} {tls_version} {tls_cipher} {tls_group} {tls_resumed} {path}\"";
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("access.log");
    let config = Config::to(origin.address()).set("access_log", "format", format);
    let config = config.set("access_log", "path", format!("{log:?}"));
    let secured = Secured::start(config);
    for (version, named) in [("1.2", "TLSv1.2"), ("1.3", "TLSv1.3")] {
        let path = format!("/length/100000?{version}");
        let body = secured.curl(&path, &["--tls-max", version]);
        assert_eq!(body.as_bytes(), String::from_utf8_lossy(&pattern::bytes(100_000)).as_bytes());
        let read = || std::fs::read_to_string(&log).unwrap_or_default();
        eventually("the record", || read().contains(&path));
        let records = read();
        let record = records.lines().find(|line| line.contains(&path)).unwrap();
        let words: Vec<&str> = record.split(' ').collect();
        assert_eq!((words[0], words[1], words[4]), (NAME, named, "no"), "{record}");
        assert!(words[2].starts_with("TLS_") && words[3] == "X25519", "{record}");
    }
}

/// The group that no quantum computer undoes. OpenSSL has it from 3.5 on; browsers have had it for longer.
#[test]
fn chromium_agrees_on_x25519mlkem768_and_the_record_and_the_metrics_tell_so() {
    if !is_installed("chromium") {
        eprintln!("skipped: chromium is not installed (tests/install.sh installs it)");
        return;
    }
    let origin = answering("HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 11\r\n\r\n<p>seen</p>");
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("access.log");
    let format = "\"{sni} {tls_version} {tls_group} {path}\"";
    let config = Config::to(origin.address()).set("access_log", "format", format);
    let secured = Secured::start(config.set("access_log", "path", format!("{log:?}")));
    let document = secured.chromium("/page");
    assert!(document.contains("<p>seen</p>"), "{document}");
    let read = || std::fs::read_to_string(&log).unwrap_or_default();
    eventually("the record", || read().contains("/page"));
    let records = read();
    assert!(records.lines().any(|record| record == "a.example TLSv1.3 X25519MLKEM768 /page"), "{records}");
    let metrics = secured.metrics();
    let handshakes = |labels: &[(&str, &str)]| metrics.sum("ringway_tls_handshakes_total", labels);
    let with_the_group = handshakes(&[("version", "TLSv1.3"), ("group", "X25519MLKEM768")]);
    assert!(with_the_group >= Some(1.0), "{with_the_group:?}");
    assert_eq!(with_the_group, handshakes(&[]), "all of them");
}

fn is_installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

#[test]
fn openssl_resumes_sessions_of_both_versions() {
    let origin = answering(OK);
    let secured = Secured::before(&origin);
    let folder = tempfile::tempdir().unwrap();
    for version in ["-tls1_2", "-tls1_3"] {
        let session = folder.path().join(version).display().to_string();
        let request = "GET / HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n";
        let first = secured.s_client(request, &[version, "-ign_eof", "-sess_out", &session], "200 OK");
        assert!(first.contains("New, TLSv1") && first.contains("200 OK"), "{first}");
        let again = secured.s_client(request, &[version, "-ign_eof", "-sess_in", &session], "200 OK");
        assert!(again.contains("Reused, TLSv1") && again.contains("200 OK"), "{again}");
    }
}

#[test]
fn python_resumes_sessions_and_the_metrics_count_them() {
    let origin = answering(OK);
    let secured = Secured::before(&origin);
    assert_eq!(secured.python(&["resume"]), "False True TLSv1.3");
    let metrics = secured.metrics();
    let count = |resumed: &str| {
        let labels = [("version", "TLSv1.3"), ("group", "X25519"), ("resumed", resumed)];
        metrics.sum("ringway_tls_handshakes_total", &labels)
    };
    assert_eq!((count("false"), count("true")), (Some(1.0), Some(1.0)));
}

#[test]
fn servers_learn_that_the_client_speaks_tls() {
    let origin = answering(OK);
    let config = Config::to(origin.address()).set("forwarding", "forwarded", true);
    let secured = Secured::start(config);
    assert_eq!(secured.python(&["ask", NAME]), "200 ok");
    let received = String::from_utf8(origin.received(0)).unwrap();
    assert!(received.contains("\r\nX-Forwarded-Proto: https\r\n"), "{received}");
    assert!(received.contains(";proto=https\r\n"), "{received}");
}

/// CVE-2025-23419
#[test]
fn a_request_for_a_host_under_another_policy_is_misdirected() {
    let origin = answering(OK);
    let authority = Authority::new();
    let certificate = authority.sign(&[NAME, "b.example", "strict.example"]);
    let strict = format!("[{{ host = \"strict.example\", certificate = {certificate:?}, min_version = \"1.3\" }}]");
    let config = Config::to(origin.address()).tls(&[&certificate]).set("tls", "hosts", strict);
    let secured = Secured { ringway: start(config), authority };
    let seen = secured.python(&["ask", NAME, "b.example", "B.example:443", "Strict.example"]);
    let statuses: Vec<&str> = seen.lines().map(|line| line.split(' ').next().unwrap()).collect();
    assert_eq!(statuses, ["200", "200", "200", "421"], "{seen}");
    assert_eq!(secured.ringway.stop_and_count().get("exchanges{client_misdirected}"), Some(&1));
}

#[test]
fn an_answer_that_is_cut_off_does_not_end() {
    let origin = Origin::start(|peer, _| {
        let Some(request) = peer.read_request()? else { return Ok(()) };
        let whole = request.head.target().contains("whole");
        // With a length the client sees for itself; one that ends with the connection depends on TLS.
        let head = if whole { "HTTP/1.1 200 OK\r\n\r\n" } else { "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n" };
        peer.send(head.as_bytes())?;
        peer.send(&[b'x'; 500])
    });
    let secured = Secured::before(&origin);
    let whole = secured.python(&["read", "/whole"]);
    assert!(whole.starts_with("end "), "{whole}");
    let half = secured.python(&["read", "/half"]);
    assert!(half.starts_with("cut off "), "{half}");
}

#[test]
fn a_body_that_is_cut_off_is_not_taken_for_whole() {
    let origin = answering(OK);
    let secured = Secured::before(&origin);
    assert_eq!(secured.python(&["cut"]), "cut");
    secured.ringway.assert_outcome("/cut", &["client_gone"]);
}

#[test]
fn each_side_announces_its_end() {
    let origin = answering(OK);
    let secured = Secured::start(Config::to(origin.address()).timeout("keep_alive", "200ms"));
    assert_eq!(secured.python(&["close"]), "closed");
    assert_eq!(secured.python(&["idle"]), "end");
}

#[test]
fn one_deadline_covers_the_handshake_however_it_progresses() {
    let origin = answering(OK);
    let secured = Secured::start(Config::to(origin.address()).timeout("head", "500ms"));
    let seen = secured.python(&["slow"]);
    let took: f64 = seen.strip_prefix("closed ").unwrap_or_else(|| panic!("{seen}")).parse().unwrap();
    assert!((0.4..5.0).contains(&took), "{seen}");
}

/// CVE-2026-1642
#[test]
fn a_request_put_into_the_handshake_is_not_served() {
    let origin = answering(OK);
    let secured = Secured::before(&origin);
    assert_eq!(secured.python(&["inject"]), "nothing");
    assert_eq!(origin.accepted(), 0);
}

#[test]
fn renegotiation_is_refused() {
    let origin = answering(OK);
    let secured = Secured::before(&origin);
    let seen = secured.s_client("R\n", &["-tls1_2"], "handshake failure");
    assert!(seen.contains("RENEGOTIATING") && seen.contains("handshake failure"), "{seen}");
    assert!(seen.contains("Secure Renegotiation IS supported"), "the extension is there: {seen}");
}
