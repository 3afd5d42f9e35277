use std::fs;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd};

use super::*;

/// Whom the tests' certificates are from.
fn authority() -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// A certificate and its key, in PEM.
fn pair(authority: &CertifiedIssuer<'static, KeyPair>, names: &[&str], until_year: i32) -> (String, String) {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = CertificateParams::new(names).unwrap();
    params.not_after = date_time_ymd(until_year, 1, 1);
    let key = KeyPair::generate().unwrap();
    (params.signed_by(&key, authority).unwrap().pem(), key.serialize_pem())
}

fn exact(name: &str) -> HostPattern {
    HostPattern::Exact(name.to_owned())
}

#[test]
fn a_folder_is_read_as_programs_leave_it() {
    let (folder, authority) = (tempfile::tempdir().unwrap(), authority());
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    // As certbot does,
    let (certificate, key) = pair(&authority, &["a.example", "www.a.example"], 2099);
    write("a/cert.pem", &certificate);
    write("a/chain.pem", &authority.pem());
    write("a/fullchain.pem", &format!("{certificate}{}", authority.pem()));
    write("a/privkey.pem", &key);
    // as HAProxy wants it, as nginx's users do, and what is none of ours.
    let (certificate, key) = pair(&authority, &["*.b.example"], 2099);
    write("b.pem", &format!("{certificate}{key}"));
    let (certificate, key) = pair(&authority, &["C.example"], 2099);
    write("c.crt", &certificate);
    write("private/of-c.key", &key);
    write("README", "nothing");
    write(".hidden.pem", "-----BEGIN");
    let mut reader = Reader::new();
    let found = reader.folder(folder.path()).unwrap();
    let mut names: Vec<_> = found.iter().map(|found| (found.names.clone(), found.certificate.chain.len())).collect();
    names.sort();
    let b = HostPattern::Suffix("b.example".into());
    let expected = [(vec![exact("a.example"), exact("www.a.example")], 2), (vec![exact("c.example")], 1), (vec![b], 1)];
    assert_eq!(names, expected);
    assert_eq!(reader.warnings, [""; 0]);
    assert!(reader.files.contains(&folder.path().join("a")) && reader.files.contains(&folder.path().join("b.pem")));
}

#[test]
fn a_certificate_is_for_the_names_in_it_and_a_wildcard_for_one_label() {
    let (folder, authority) = (tempfile::tempdir().unwrap(), authority());
    let (certificate, key) = pair(&authority, &["a.example", "*.b.example"], 2099);
    fs::write(folder.path().join("x.pem"), certificate + &key).unwrap();
    let found = Reader::new().certificate(&folder.path().join("x.pem"), &[]).unwrap();
    for (name, covered) in [("a.example", true), ("x.b.example", true), ("b.example", false), ("x.y.b.example", false)]
    {
        assert_eq!(found.covers(&exact(name)), covered, "{name}");
    }
    assert!(found.covers(&HostPattern::Suffix("b.example".into())));
    assert!(!found.covers(&HostPattern::Suffix("x.b.example".into())));
}

#[test]
fn what_has_expired_or_will_soon_is_told_and_used() {
    let (folder, authority) = (tempfile::tempdir().unwrap(), authority());
    let (certificate, key) = pair(&authority, &["a.example"], 2020);
    fs::write(folder.path().join("x.pem"), certificate + &key).unwrap();
    let mut reader = Reader::new();
    reader.folder(folder.path()).unwrap();
    assert!(reader.expiring[0].ends_with("x.pem: the certificate has expired on 2020-01-01"), "{:?}", reader.expiring);
}

#[test]
fn what_will_expire_soon_is_told_as_time_goes_by() {
    let (folder, authority) = (tempfile::tempdir().unwrap(), authority());
    let path = folder.path().join("x.pem");
    let (certificate, key) = pair(&authority, &["a.example"], 2030);
    fs::write(&path, certificate + &key).unwrap();
    let certificates = vec![Reader::new().certificate(&path, &[]).unwrap().certificate];
    let host = plan::tls::Host { names: Vec::new(), certificates, policy: plan::tls::PolicyId(0) };
    let tls = plan::Tls { hosts: vec![host], default: Some(0), policies: Vec::new(), tickets: None };
    let until = SystemTime::UNIX_EPOCH + Duration::from_secs(1_893_456_000);
    let day = Duration::from_secs(24 * 60 * 60);
    assert_eq!(expiring(&tls, until - 15 * day), [""; 0]);
    assert!(expiring(&tls, until - 3 * day)[0].ends_with("x.pem: the certificate expires in 3 days"));
    assert!(expiring(&tls, until + day)[0].ends_with("x.pem: the certificate has expired"));
}

#[test]
fn a_file_that_has_become_wrong_leaves_its_certificate_as_it_was() {
    let (folder, authority) = (tempfile::tempdir().unwrap(), authority());
    let path = folder.path().join("x.pem");
    let (certificate, key) = pair(&authority, &["a.example"], 2099);
    fs::write(&path, certificate + &key).unwrap();
    let mut first = Reader::new();
    let found = first.certificate(&path, &[]).unwrap();
    fs::write(&path, "-----BEGIN CERTIFICATE-----\n").unwrap();
    assert!(Reader::new().certificate(&path, &[]).is_err());
    let mut reader = Reader::keeping(Keep::Certificates(&first.kept));
    assert_eq!(reader.certificate(&path, &[]).unwrap().certificate, found.certificate);
    assert!(reader.warnings[0].contains("x.pem: it is no PEM file"), "{:?}", reader.warnings);
    assert_eq!(reader.broken.len(), 1);
    let mut reader = Reader::keeping(Keep::Certificates(&reader.kept));
    assert_eq!(reader.folder(folder.path()).unwrap()[0].certificate, found.certificate);
    assert_eq!(reader.warnings.len(), 1);
}

#[test]
fn who_takes_the_place_of_a_fallen_worker_has_what_that_had() {
    let (folder, authority) = (tempfile::tempdir().unwrap(), authority());
    let [site, ca, ticket] = ["x.pem", "ca.crt", "ticket.key"].map(|name| folder.path().join(name));
    let (certificate, key) = pair(&authority, &["a.example"], 2099);
    fs::write(&site, certificate + &key).unwrap();
    fs::write(&ca, authority.pem()).unwrap();
    fs::write(&ticket, [7; 48]).unwrap();
    let read = |reader: &mut Reader| {
        let site = reader.certificate(&site, &[])?.certificate;
        Ok::<_, Trouble>((site, reader.authorities(&ca)?, reader.ticket_key(&ticket)?))
    };
    let mut first = Reader::new();
    let all = read(&mut first).unwrap();
    // Through the supervisor's hands.
    let kept: Kept = serde_json::from_str(&serde_json::to_string(&first.kept).unwrap()).unwrap();
    assert!(!format!("{kept:?}").contains("BEGIN"));
    for file in [&site, &ca, &ticket] {
        fs::write(file, "nothing").unwrap();
    }
    let mut heir = Reader::keeping(Keep::All(&kept));
    assert_eq!(read(&mut heir).unwrap(), all);
    assert_eq!(heir.broken.len(), 3);
    // While somebody serves, what clients are judged by has to be right.
    assert!(read(&mut Reader::keeping(Keep::Certificates(&kept))).unwrap_err().path == ca);
    fs::remove_dir_all(folder.path()).unwrap();
    let mut heir = Reader::keeping(Keep::All(&kept));
    assert_eq!(heir.folder(folder.path()).unwrap()[0].certificate, all.0);
}

#[test]
fn a_key_is_never_shown() {
    let (folder, authority) = (tempfile::tempdir().unwrap(), authority());
    let (certificate, key) = pair(&authority, &["a.example"], 2099);
    fs::write(folder.path().join("x.pem"), certificate + &key).unwrap();
    let found = Reader::new().certificate(&folder.path().join("x.pem"), &[]).unwrap();
    let shown = format!("{:?}", found.certificate);
    assert!(shown.contains("PrivateKey(…)") && shown.len() < 300, "{shown}");
}
