//! What others' scanners think of TLS as it comes: sslscan and testssl.sh, of Debian's packages, and sslyze, Python's.
//!
//! They judge the certificate as well. sslyze is told whom to trust; testssl.sh misses what only certificates of the web have, and
//! what it says of ours is left out.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use kit::process::run;
use kit::{Authority, Config, Ringway, standard};
use serde_json::Value;

const NAME: &str = "localhost";
/// testssl.sh makes some thousand connections, and starts some thousand processes of its own.
const LIMIT: Duration = Duration::from_secs(900);
/// What testssl.sh says of the certificate and of its entries in the DNS.
const OF_CERTIFICATE: [&str; 4] = ["cert_", "DNS_CAArecord", "certificate_transparency", "OCSP_stapling"];

#[test]
fn scanners_find_nothing_weak() {
    let origin = standard::start();
    for profile in ["intermediate", "modern"] {
        let authority = Authority::new();
        let config = Config::to(origin.address()).tls(&[&authority.sign(&[NAME])]);
        let config = config.set("tls", "profile", format!("{profile:?}"));
        let ringway = Ringway::start(env!("CARGO_BIN_EXE_ringway"), config);
        let address = ringway.address().to_string();
        sslscan(&address, profile == "intermediate");
        sslyze(&address, &authority, profile);
        testssl(&address, &authority, profile == "intermediate");
    }
}

/// Which versions and suites are accepted.
fn sslscan(address: &str, has_tls_1_2: bool) {
    let said = run("sslscan", Command::new("sslscan").args(["--no-colour", "--sni-name", NAME, address]), LIMIT);
    let is_enabled = |version: &str| {
        let line = said.lines().find(|line| line.starts_with(version));
        line.unwrap_or_else(|| panic!("{version} is not told of: {said}")).ends_with("enabled")
    };
    let expected = [("SSLv2", false), ("SSLv3", false), ("TLSv1.0", false), ("TLSv1.1", false)];
    for (version, enabled) in expected.into_iter().chain([("TLSv1.2", has_tls_1_2), ("TLSv1.3", true)]) {
        assert_eq!(is_enabled(version), enabled, "{version}: {said}");
    }
    assert!(said.contains("Session renegotiation not supported"), "{said}");
    let mut suites = said.lines().filter(|line| line.starts_with("Preferred") || line.starts_with("Accepted"));
    let is_strong = |line: &str| line.contains("GCM") || line.contains("CHACHA20");
    assert!(said.contains("TLS_AES_256_GCM_SHA384") && suites.all(is_strong), "{said}");
}

/// Whether it is what Mozilla's profile of that name says, certificate and all, and has none of the holes that sslyze knows: it fails
/// where it is not.
fn sslyze(address: &str, authority: &Authority, profile: &str) {
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let cache = cache.unwrap_or_else(|| PathBuf::from(std::env::var_os("HOME").unwrap_or_default()).join(".cache"));
    let mut command = Command::new("python3");
    command.env("PYTHONPATH", cache.join("ringway-tests/sslyze"));
    command.args(["-W", "ignore", "-m", "sslyze", "--mozilla_config", profile, "--certinfo_ca_file"]);
    let port = address.rsplit(':').next().unwrap();
    let said = run("sslyze", command.arg(authority.path()).arg(format!("{NAME}:{port}")), LIMIT);
    assert!(said.contains(&format!("{NAME}:{port}: OK - Compliant.")), "{said}");
    assert!(!said.contains("VULNERABLE"), "{said}");
}

/// Everything that testssl.sh knows to be weak, or to be a hole.
fn testssl(address: &str, authority: &Authority, has_tls_1_2: bool) {
    let report = authority.folder().join("testssl.json");
    // It counts in its exit status what it could not try. That is whether tickets resume, as a rule: with TLS 1.3 its client is gone
    // before one comes. tests/e2e/tls.rs shows that they do.
    let mut command = Command::new("sh");
    command.args(["-c", "testssl \"$@\" || [ $? -eq 1 ]", "testssl"]);
    command.args(["--quiet", "--color", "0", "--warnings", "off", "--ip", "one", "--add-ca"]).arg(authority.path());
    // Protocols, kinds of suites, forward secrecy, what is said in the first answer, and the named holes.
    command.args(["-p", "-s", "-f", "-S", "-U", "--jsonfile"]).arg(&report);
    let port = address.rsplit(':').next().unwrap();
    let said = run("testssl", command.arg(format!("{NAME}:{port}")), LIMIT);
    let found: Vec<Value> = serde_json::from_str(&std::fs::read_to_string(report).unwrap()).unwrap();
    let text = |finding: &Value, key: &str| finding[key].as_str().unwrap_or_default().to_owned();
    let of = |id: &str| found.iter().find(|finding| finding["id"] == id).map(|finding| text(finding, "finding"));
    assert_eq!(of("TLS1_3").as_deref(), Some("offered with final"), "{said}");
    assert_eq!(of("TLS1_2").as_deref() == Some("offered"), has_tls_1_2, "{said}");
    let is_weak = |finding: &&Value| !matches!(text(finding, "severity").as_str(), "OK" | "INFO");
    let is_left_out = |finding: &Value| {
        let id = text(finding, "id");
        id == "sessionresumption_ticket" || OF_CERTIFICATE.iter().any(|prefix| id.starts_with(prefix))
    };
    let weak: Vec<&Value> = found.iter().filter(is_weak).filter(|finding| !is_left_out(finding)).collect();
    assert!(weak.is_empty(), "{weak:#?}\n{said}");
}
