//! What an issuer says of a certificate: whatever the bytes are, nothing is believed but what was signed.

use tls::ocsp::{Subject, is_answer};

/// The certificate, and who issued it.
const CERTIFICATE: &[u8] = include_bytes!("../../../shards/tls/src/ocsp/certificate.der");
const ISSUER: &[u8] = include_bytes!("../../../shards/tls/src/ocsp/issuer.der");
/// Answers that are good.
const GOOD: [&[u8]; 2] = [include_bytes!("../seeds/ocsp/good"), include_bytes!("../seeds/ocsp/delegated")];
/// While they are.
const NOW_UNIX_S: i64 = 1_800_000_000;

/// An answer that is believed contains what was signed in one of those that are good.
pub fn check(input: &[u8]) {
    let subject = Subject::new(CERTIFICATE, ISSUER).expect("a certificate and its issuer");
    if subject.judge(input, NOW_UNIX_S).is_ok() {
        assert!(is_answer(input));
        let holds = |signed: &[u8]| input.windows(signed.len()).any(|window| window == signed);
        assert!(GOOD.iter().any(|good| holds(signed(good))), "something else is believed");
    }
    // The certificate itself is anybody's too, before it is served.
    let _ = tls::ocsp::responder(input);
    let _ = Subject::new(input, ISSUER).map(|subject| subject.question());
}

/// The signed part of an answer: the first element of the BasicOCSPResponse. Lengths are as OpenSSL has written them.
fn signed(answer: &[u8]) -> &[u8] {
    let tag = answer.windows(2).position(|two| two == [0x18, 0x0f]).expect("producedAt");
    // The last sequence with a long length that begins before it is what is signed.
    let start = (0..tag).rev().find(|at| answer[*at] == 0x30 && answer[at + 1] == 0x81).expect("a sequence");
    &answer[start..start + 3 + usize::from(answer[start + 2])]
}
