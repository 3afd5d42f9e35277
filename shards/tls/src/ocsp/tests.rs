use std::time::{Duration, SystemTime};

use kit::{Authority, Ocsp, OcspStatus};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use super::*;

/// A certificate and the one that issued it.
struct Pair {
    authority: Authority,
    chain: Vec<CertificateDer<'static>>,
}

impl Pair {
    fn new(name: &str) -> Pair {
        let authority = Authority::new();
        let path = authority.sign_with_responder(&[name], "http://127.0.0.1:8888/ocsp");
        let chain = CertificateDer::pem_file_iter(path).unwrap().map(Result::unwrap).collect();
        Pair { authority, chain }
    }

    fn subject(&self) -> Subject<'_> {
        Subject::new(&self.chain[0], &self.chain[1]).unwrap()
    }
}

fn now_unix_s() -> i64 {
    unix_s(SystemTime::now())
}

fn unix_s(time: SystemTime) -> i64 {
    time.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs() as i64
}

#[test]
fn a_good_answer_is_good_for_as_long_as_it_says() {
    let pair = Pair::new("a.example");
    assert_eq!(responder(&pair.chain[0]).unwrap(), "http://127.0.0.1:8888/ocsp");
    assert_eq!(responder(&pair.chain[1]), None);
    let subject = pair.subject();
    let says = Ocsp::good_for(Duration::from_secs(60));
    let (from, until) = (unix_s(says.from), unix_s(says.until.unwrap()));
    let answer = pair.authority.answer(&subject.question(), says);
    let judged = subject.judge(&answer, now_unix_s());
    assert_eq!(judged, Ok(Validity { this_update_unix_s: from, next_update_unix_s: until }));
    assert_eq!(subject.judge(&answer, until), Err(Refusal::Stale));
    assert_eq!(subject.judge(&answer, from - CLOCK_SLACK_S - 1), Err(Refusal::Early));
    assert!(subject.judge(&answer, from - CLOCK_SLACK_S).is_ok());
}

#[test]
fn what_is_not_good_or_not_dated_is_refused() {
    let pair = Pair::new("a.example");
    let subject = pair.subject();
    let good = Ocsp::good_for(Duration::from_secs(60));
    for (says, why) in [
        (Ocsp { status: OcspStatus::Revoked, ..good }, Refusal::Revoked),
        (Ocsp { status: OcspStatus::Unknown, ..good }, Refusal::Unknown),
        (Ocsp { until: None, ..good }, Refusal::Undated),
    ] {
        let answer = pair.authority.answer(&subject.question(), says);
        assert_eq!(subject.judge(&answer, now_unix_s()), Err(why));
    }
}

#[test]
fn an_answer_of_another_certificate_or_another_issuer_is_refused() {
    let (pair, other) = (Pair::new("a.example"), Pair::new("b.example"));
    let subject = pair.subject();
    let good = Ocsp::good_for(Duration::from_secs(60));
    let of_other = other.authority.answer(&other.subject().question(), good);
    assert_eq!(subject.judge(&of_other, now_unix_s()), Err(Refusal::Foreign));
    let by_other = other.authority.answer(&subject.question(), good);
    assert_eq!(subject.judge(&by_other, now_unix_s()), Err(Refusal::Unsigned));
    assert!(Subject::new(&pair.chain[0], &other.chain[1]).is_some(), "both authorities have the same name");
    assert!(Subject::new(&pair.chain[0], &pair.chain[0]).is_none());
}

#[test]
fn whatever_is_changed_in_an_answer_it_is_not_believed() {
    let pair = Pair::new("a.example");
    let subject = pair.subject();
    let answer = pair.authority.answer(&subject.question(), Ocsp::good_for(Duration::from_secs(60)));
    for at in 0..answer.len() {
        let mut changed = answer.clone();
        changed[at] ^= 1;
        assert!(subject.judge(&changed, now_unix_s()).is_err(), "byte {at}");
        assert!(subject.judge(&answer[..at], now_unix_s()).is_err(), "{at} bytes");
    }
    let try_later = element(SEQUENCE, &[&element(ENUMERATED, &[&[3]])]);
    assert_eq!(subject.judge(&try_later, now_unix_s()), Err(Refusal::Unsuccessful));
    assert_eq!(subject.judge(&[answer, vec![0]].concat(), now_unix_s()), Err(Refusal::Malformed));
}

/// Made by OpenSSL, good for a hundred years: a certificate, its issuer, and an answer that somebody else has signed, once with
/// the issuer's leave (`extendedKeyUsage=OCSPSigning`) and once without.
#[test]
fn whom_the_issuer_lets_answer_is_believed_and_nobody_else() {
    let (certificate, issuer) = (include_bytes!("certificate.der"), include_bytes!("issuer.der"));
    let subject = Subject::new(certificate, issuer).unwrap();
    assert_eq!(responder(certificate).unwrap(), "http://ocsp.example/");
    let within = 1_800_000_000;
    let validity = subject.judge(include_bytes!("delegated.der"), within).unwrap();
    assert!(validity.this_update_unix_s < within && within < validity.next_update_unix_s);
    assert_eq!(subject.judge(include_bytes!("undelegated.der"), within), Err(Refusal::Unsigned));
}
