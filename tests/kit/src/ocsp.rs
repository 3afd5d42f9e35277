//! What an authority says of its certificates (OCSP, RFC 6960), as the test wants it.

use std::time::{Duration, SystemTime};

use rcgen::SigningKey;

use crate::Authority;

/// An answer that is to be given.
#[derive(Debug, Clone, Copy)]
pub struct Ocsp {
    /// What it says.
    pub status: OcspStatus,
    /// From when on it is good.
    pub from: SystemTime,
    /// Until when, if it says so.
    pub until: Option<SystemTime>,
}

/// What is said of a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OcspStatus {
    /// Nothing is wrong with it.
    Good,
    /// It was revoked in 2020.
    Revoked,
    /// Nobody knows it.
    Unknown,
}

impl Ocsp {
    /// Good from an hour ago, for so long from now on.
    #[must_use]
    pub fn good_for(left: Duration) -> Ocsp {
        let now = SystemTime::now();
        Ocsp { status: OcspStatus::Good, from: now - Duration::from_secs(3600), until: Some(now + left) }
    }
}

impl Authority {
    /// Its answer to `question` (OCSPRequest), of whatever certificate that is about.
    ///
    /// # Panics
    /// If that is no question.
    #[must_use]
    pub fn answer(&self, question: &[u8], says: Ocsp) -> Vec<u8> {
        // OCSPRequest, TBSRequest, requestList, Request, CertID
        let id = (0..4).fold(question, |outer, _| contents(outer));
        let status = match says.status {
            OcspStatus::Good => element(0x80, &[]),
            OcspStatus::Revoked => element(0xa1, &[&element(0x18, &[b"20200101000000Z"])]),
            OcspStatus::Unknown => element(0x82, &[]),
        };
        let until = says.until.map(|until| element(0xa0, &[&time(until)])).unwrap_or_default();
        let single = element(0x30, &[id, &status, &time(says.from), &until]);
        // By the hash of its key, which is the third of the identifier.
        let key_hash = (0..2).fold(contents(id), |elements, _| behind(elements));
        let responder = element(0xa2, &[&key_hash[..key_hash.len() - behind(key_hash).len()]]);
        let data = element(0x30, &[&responder, &time(says.from), &element(0x30, &[&single])]);
        // ecdsa-with-SHA256
        let algorithm = element(0x30, &[&element(6, &[&[0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2]])]);
        let signature = self.issuer.key().sign(&data).expect("a signature");
        let basic = element(0x30, &[&data, &algorithm, &element(3, &[&[0], &signature])]);
        let kind = element(6, &[&[0x2b, 6, 1, 5, 5, 7, 0x30, 1, 1]]);
        let bytes = element(0x30, &[&kind, &element(4, &[&basic])]);
        element(0x30, &[&element(10, &[&[0]]), &element(0xa0, &[&bytes])])
    }
}

/// An element of DER, of less than 64 KiB.
pub(crate) fn element(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let contents = parts.concat();
    let [high, low] = u16::try_from(contents.len()).expect("a short element").to_be_bytes();
    let length: &[u8] = match contents.len() {
        0..0x80 => &[low],
        0x80..0x100 => &[0x81, low],
        _ => &[0x82, high, low],
    };
    [&[tag], length, &contents].concat()
}

/// What is in an element of DER, and behind it.
fn contents(element: &[u8]) -> &[u8] {
    match element[1] {
        0..0x80 => &element[2..],
        long => &element[2 + usize::from(long & 0x7f)..],
    }
}

/// What is behind an element of DER that is shorter than 128 bytes.
fn behind(elements: &[u8]) -> &[u8] {
    &elements[2 + usize::from(elements[1])..]
}

/// A GeneralizedTime.
fn time(at: SystemTime) -> Vec<u8> {
    let unix_s = at.duration_since(SystemTime::UNIX_EPOCH).expect("a time after 1970").as_secs();
    let (days, second) = (unix_s / 86_400, unix_s % 86_400);
    // The civil calendar from days, by Howard Hinnant's algorithm.
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_shifted + 2) / 5 + 1;
    let month = if month_shifted < 10 { month_shifted + 3 } else { month_shifted - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    let text = format!("{year:04}{month:02}{day:02}{hour:02}{minute:02}{second:02}Z");
    element(0x18, &[text.as_bytes()])
}
