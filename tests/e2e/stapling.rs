//! What issuers say of certificates, shown to clients along with them (OCSP stapling).

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use kit::process::run;
use kit::{
    Address, Authority, Config, Ocsp, OcspStatus, Origin, Peer, Port, Process, Ringway, Scrape, eventually, standard,
};

use crate::{BINARY, start};

const LIMIT: Duration = Duration::from_secs(20);
const NAME: &str = "a.example";
const LONG: Duration = Duration::from_secs(3600);

/// A proxy that shows `certificate`, with `ocsp` as it stands in the configuration.
fn stapling(origin: &Origin, certificate: &Path, ocsp: &str) -> Ringway {
    start(Config::to(origin.address()).tls(&[certificate]).set("tls", "ocsp", ocsp))
}

/// What `openssl s_client` says of the answer that comes with the certificate, if one does.
fn stapled(ringway: &Ringway) -> Option<String> {
    let mut command = Command::new("openssl");
    command.args(["s_client", "-connect", &ringway.address().to_string(), "-servername", NAME, "-status"]);
    command.stdin(std::process::Stdio::null());
    let told = String::from_utf8_lossy(&command.output().unwrap().stdout).into_owned();
    assert!(told.contains("OCSP response:"), "{told}");
    (!told.contains("OCSP response: no response sent")).then_some(told)
}

fn is_good(ringway: &Ringway) -> bool {
    stapled(ringway).is_some_and(|told| told.contains("Cert Status: good"))
}

/// Has curl insist on an answer and verify it: its signature, its certificate, its time.
fn verify(ringway: &Ringway, authority: &Authority) {
    let mut command = Command::new("curl");
    command.args(["--silent", "--show-error", "--max-time", "20", "--noproxy", "*", "--cert-status", "--cacert"]);
    command.arg(authority.path()).args(["--connect-to", &format!("{NAME}:443:{}", ringway.address())]);
    command.args(["--output", "/dev/null", "--write-out", "%{http_code}"]);
    assert_eq!(run("curl", command.arg(format!("https://{NAME}/length/1")), LIMIT), "200");
}

fn metrics(ringway: &Ringway) -> Scrape {
    let request = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    let admin = Address::Unix(ringway.admin_socket());
    Scrape::parse(&Peer::connect(&admin).exchange("GET", request).unwrap().text())
}

/// How often a question or a file came to `outcome`.
fn outcomes(ringway: &Ringway, outcome: &str) -> f64 {
    metrics(ringway).sum("ringway_ocsp_answers_total", &[("outcome", outcome)]).unwrap_or(0.0)
}

fn until(ringway: &Ringway) -> Option<f64> {
    metrics(ringway).sum("ringway_ocsp_next_update_timestamp_seconds", &[])
}

/// The question that OpenSSL asks of `certificate`.
fn question(authority: &Authority, certificate: &Path) -> Vec<u8> {
    let path = authority.folder().join("question.der");
    let mut command = Command::new("openssl");
    command.args(["ocsp", "-no_nonce", "-issuer"]).arg(authority.path()).arg("-cert").arg(certificate);
    let _ = run("openssl", command.arg("-reqout").arg(&path), LIMIT);
    fs::read(path).unwrap()
}

/// OpenSSL's own responder, for one certificate.
struct Responder {
    port: Port,
    index: PathBuf,
    process: Option<Process>,
}

impl Responder {
    fn new(authority: &Authority) -> Responder {
        Responder { port: Port::take(), index: authority.folder().join("index.txt"), process: None }
    }

    fn address(&self) -> String {
        format!("http://127.0.0.1:{}/ocsp", self.port.number())
    }

    /// Answers from now on that `certificate` is `V`alid or `R`evoked.
    fn start(&mut self, authority: &Authority, certificate: &Path, status: &str) {
        let mut command = Command::new("openssl");
        command.args(["x509", "-noout", "-serial", "-in"]).arg(certificate);
        let serial = run("openssl", &mut command, LIMIT);
        let serial = serial.trim().strip_prefix("serial=").unwrap();
        let revoked = if status == "R" { "250101000000Z" } else { "" };
        let line = format!("{status}\t350101000000Z\t{revoked}\t{serial}\tunknown\t/CN={NAME}\n");
        fs::write(&self.index, line).unwrap();
        let mut command = Command::new("openssl");
        command.args(["ocsp", "-port", &self.port.number().to_string(), "-ignore_err", "-nmin", "5", "-index"]);
        command.arg(&self.index).arg("-CA").arg(authority.path()).arg("-rsigner").arg(authority.path());
        command.arg("-rkey").arg(authority.key_path());
        let process = self.process.insert(Process::spawn("openssl ocsp", &mut command));
        // It waits for a question on a connection that is only a probe, and answers nobody else meanwhile.
        let is_ready = || (process.stdout() + &process.stderr()).contains("waiting for OCSP client connections");
        eventually("the responder listens", is_ready);
    }

    fn stop(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.terminate();
            process.wait();
        }
    }
}

#[test]
fn what_openssls_responder_answers_is_fetched_and_stapled() {
    let (origin, authority) = (standard::start(), Authority::new());
    let mut responder = Responder::new(&authority);
    let certificate = authority.sign_with_responder(&[NAME], &responder.address());
    // It is down when the proxy starts, which serves without.
    let ringway = stapling(&origin, &certificate, "\"fetch\"");
    assert_eq!(stapled(&ringway), None);
    eventually("the failure is counted", || outcomes(&ringway, "unreachable") >= 1.0);
    assert_eq!(until(&ringway), None);
    responder.start(&authority, &certificate, "V");
    eventually("the answer is shown", || is_good(&ringway));
    verify(&ringway, &authority);
    assert!(outcomes(&ringway, "good") >= 1.0);
    let left =
        until(&ringway).unwrap() - SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs_f64();
    assert!((0.0..=300.0).contains(&left), "{left}");
    assert!(ringway.process().stderr().contains("no good answer of OCSP: http://127.0.0.1:"));
    let status = Command::new(BINARY)
        .args(["status", "--admin", &format!("unix:{}", ringway.admin_socket().display())])
        .output()
        .unwrap();
    let status = String::from_utf8_lossy(&status.stdout).into_owned();
    assert!(status.contains("certificates 1, 1 of 1 stapled"), "{status}");
}

#[test]
fn a_certificate_that_is_revoked_is_shown_without_an_answer() {
    let (origin, authority) = (standard::start(), Authority::new());
    let mut responder = Responder::new(&authority);
    let certificate = authority.sign_with_responder(&[NAME], &responder.address());
    responder.start(&authority, &certificate, "R");
    let ringway = stapling(&origin, &certificate, "\"fetch\"");
    eventually("it is counted", || outcomes(&ringway, "revoked") >= 1.0);
    assert_eq!(stapled(&ringway), None);
    assert!(ringway.process().stderr().contains("the certificate is revoked"));
    // The next question tells otherwise.
    responder.stop();
    responder.start(&authority, &certificate, "V");
    eventually("the answer is shown", || is_good(&ringway));
}

/// A responder that says what it is told to.
fn scripted(authority: &Arc<Authority>, says: impl Fn(usize) -> Option<Ocsp> + Send + Sync + 'static) -> Origin {
    let authority = Arc::clone(authority);
    Origin::start(move |peer, number| {
        let Some(request) = peer.read_request()? else { return Ok(()) };
        assert_eq!(request.head.values("content-type"), ["application/ocsp-request"]);
        let Some(says) = says(number) else {
            return peer.send(b"HTTP/1.1 500 Out of order\r\nContent-Length: 0\r\n\r\n");
        };
        let answer = authority.answer(&request.body, says);
        peer.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", answer.len()).as_bytes())?;
        peer.send(&answer)
    })
}

#[test]
fn an_answer_is_renewed_in_time_and_dropped_when_it_is_good_no_more() {
    let (origin, authority) = (standard::start(), Arc::new(Authority::new()));
    let is_down = Arc::new(AtomicUsize::new(0));
    let responder = scripted(&authority, {
        let is_down = Arc::clone(&is_down);
        move |_| (is_down.load(Ordering::SeqCst) == 0).then(|| Ocsp::good_for(Duration::from_secs(6)))
    });
    let certificate = authority.sign_with_responder(&[NAME], &format!("http://{}", responder.address()));
    let ringway = stapling(&origin, &certificate, "\"fetch\"");
    eventually("an answer is shown", || is_good(&ringway));
    let first = until(&ringway).unwrap();
    eventually("another one is shown before that is stale", || until(&ringway).is_some_and(|next| next > first));
    assert!(is_good(&ringway));
    is_down.store(1, Ordering::SeqCst);
    eventually("the failure is told", || ringway.process().stderr().contains("it answers with status 500"));
    // What was good is good on, until it is not.
    eventually("nothing is shown", || stapled(&ringway).is_none());
    assert!(ringway.process().stderr().contains("its answer of OCSP is good no more"));
    assert_eq!((until(&ringway), outcomes(&ringway, "stale")), (None, 1.0));
    is_down.store(0, Ordering::SeqCst);
    eventually("an answer is shown again", || is_good(&ringway));
}

#[test]
fn answers_that_are_none_for_the_certificate_are_dropped() {
    let (origin, authority, stranger) = (standard::start(), Arc::new(Authority::new()), Arc::new(Authority::new()));
    let good = Ocsp::good_for(LONG);
    let old = SystemTime::now() - LONG;
    for (signer, says, outcome) in [
        (&stranger, good, "unsigned"),
        (&authority, Ocsp { status: OcspStatus::Unknown, ..good }, "unknown"),
        (&authority, Ocsp { until: Some(old), from: old - LONG, ..good }, "stale"),
        (&authority, Ocsp { until: None, ..good }, "undated"),
    ] {
        let responder = scripted(signer, move |_| Some(says));
        let certificate = authority.sign_with_responder(&[NAME], &format!("http://{}", responder.address()));
        let ringway = stapling(&origin, &certificate, "\"fetch\"");
        eventually("it is counted", || outcomes(&ringway, outcome) >= 1.0);
        assert_eq!(stapled(&ringway), None, "{outcome}");
        assert!(ringway.process().stderr().contains("no good answer of OCSP: "), "{outcome}");
    }
}

/// Asks by a connection that is held open.
fn held(ringway: &Ringway, authority: &Authority) -> (kit::TlsFront, Peer) {
    let front = kit::TlsFront::start(ringway.address(), NAME, &authority.path(), "1.3");
    let peer = front.connect();
    (front, peer)
}

#[test]
fn an_answer_in_a_file_is_stapled_and_another_takes_its_place_without_touching_connections() {
    let (origin, authority) = (standard::start(), Authority::new());
    let certificate = authority.sign_with_responder(&[NAME], "http://192.0.2.1/");
    let question = question(&authority, &certificate);
    let file = authority.folder().join("answer.der");
    let put = |says: Ocsp| {
        fs::write(file.with_extension("next"), authority.answer(&question, says)).unwrap();
        fs::rename(file.with_extension("next"), &file).unwrap();
    };
    put(Ocsp::good_for(LONG));
    let ringway = stapling(&origin, &certificate, &format!("{file:?}"));
    assert!(is_good(&ringway), "from the first connection on");
    verify(&ringway, &authority);
    let (_front, mut peer) = held(&ringway, &authority);
    let ask = |peer: &mut Peer| peer.exchange("GET", &standard::get("/length/1")).unwrap().status();
    assert_eq!(ask(&mut peer), 200);
    let first = until(&ringway).unwrap();
    put(Ocsp::good_for(2 * LONG));
    eventually("the new one is shown", || until(&ringway).is_some_and(|next| next > first));
    verify(&ringway, &authority);
    assert_eq!(ask(&mut peer), 200);
    // One that is torn leaves the one before.
    fs::write(&file, "torn").unwrap();
    eventually("the log says so", || ringway.process().stderr().contains("answer.der: it is no answer of OCSP"));
    assert!(is_good(&ringway));
    put(Ocsp::good_for(Duration::from_secs(3)));
    eventually("it is taken", || until(&ringway).is_some_and(|next| next < first));
    eventually("a stale one is dropped", || stapled(&ringway).is_none());
    assert_eq!(ask(&mut peer), 200);
    put(Ocsp { status: OcspStatus::Revoked, ..Ocsp::good_for(LONG) });
    eventually("it is told", || ringway.process().stderr().contains("answer.der: the certificate is revoked"));
    assert_eq!(stapled(&ringway), None);
    assert!(outcomes(&ringway, "revoked") >= 1.0);
}

#[test]
fn a_file_that_is_stale_is_told_of_by_check_and_keeps_nobody_from_serving() {
    let (origin, authority) = (standard::start(), Authority::new());
    let certificate = authority.sign_with_responder(&[NAME], "http://192.0.2.1/");
    let old = SystemTime::now() - LONG;
    let stale = Ocsp { status: OcspStatus::Good, from: old - LONG, until: Some(old) };
    let file = authority.folder().join("answer.der");
    fs::write(&file, authority.answer(&question(&authority, &certificate), stale)).unwrap();
    let ringway = stapling(&origin, &certificate, &format!("{file:?}"));
    assert_eq!(stapled(&ringway), None);
    assert!(outcomes(&ringway, "stale") >= 1.0);
    let config = ringway.folder().join("ringway.toml");
    let check = Command::new(BINARY).args(["check", "--offline", "--config"]).arg(config).output().unwrap();
    let told =
        [ringway.process().stderr(), String::from_utf8_lossy(&[check.stdout, check.stderr].concat()).into_owned()];
    assert_eq!(check.status.code(), Some(0), "{}", told[1]);
    for told in told {
        assert!(told.contains("answer.der: it is good no more, and is not shown"), "{told}");
    }
}

/// Hosts of one proxy differ.
#[test]
fn a_host_may_staple_otherwise_than_the_rest() {
    let (origin, authority) = (standard::start(), Arc::new(Authority::new()));
    let asked = Arc::new(Mutex::new(0));
    let responder = scripted(&authority, {
        let asked = Arc::clone(&asked);
        move |_| {
            *asked.lock().unwrap() += 1;
            Some(Ocsp::good_for(LONG))
        }
    });
    let address = format!("http://{}", responder.address());
    let [own, other] = [NAME, "b.example"].map(|name| authority.sign_with_responder(&[name], &address));
    let hosts = format!("[{{ host = {NAME:?}, certificate = {own:?}, ocsp = \"fetch\" }}]");
    let ringway = start(Config::to(origin.address()).tls(&[&other]).set("tls", "hosts", hosts));
    eventually("the answer is shown", || is_good(&ringway));
    assert_eq!(*asked.lock().unwrap(), 1, "nobody asks of the other");
}
