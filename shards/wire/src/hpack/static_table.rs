//! The table that both ends know. RFC 7541, Appendix A

use super::name::{Name, Pseudo};
use crate::FieldName as F;

/// A field of the table.
#[derive(Debug, Clone, Copy)]
pub(super) struct StaticField {
    pub(super) name: &'static str,
    pub(super) value: &'static str,
    pub(super) key: Name,
}

/// Number of its fields; index 1 is the first.
pub(super) const LEN: u32 = FIELDS.len() as u32;

/// The field of that index, from 1 on.
#[inline]
pub(super) fn field(index: u32) -> Option<&'static StaticField> {
    FIELDS.get(index.wrapping_sub(1) as usize)
}

/// The first index of that name; 0 if it has none.
#[inline]
pub(super) const fn index_of(name: Name) -> u32 {
    FIRSTS[name.number()] as u32
}

/// The index of a field with that value, among those of the name that begin at `first`.
#[inline]
pub(super) fn index_of_value(first: u32, value: &[u8]) -> Option<u32> {
    let name = field(first)?.key;
    if !has_values(name) {
        return None;
    }
    let of_name = FIELDS[first as usize - 1..].iter().take_while(|field| field.key == name);
    of_name.zip(first..).find(|(field, _)| field.value.as_bytes() == value).map(|(_, index)| index)
}

/// Whether the table has values of that name.
const fn has_values(name: Name) -> bool {
    use Pseudo::{Method, Path, Scheme, Status};
    matches!(name, Name::Pseudo(Method | Path | Scheme | Status) | Name::Field(F::AcceptEncoding))
}

const FIRSTS: [u8; Name::NUMBERS] = {
    let mut firsts = [0; Name::NUMBERS];
    let mut at = FIELDS.len();
    while at > 0 {
        at -= 1;
        let key = FIELDS[at].key;
        // Names of the table that nothing of ours knows share a token, which stands for none of them.
        if !matches!(key, Name::Field(F::Other)) {
            firsts[key.number()] = at as u8 + 1;
        }
        assert!(FIELDS[at].value.is_empty() || has_values(key), "a value that would not be found");
    }
    firsts
};

const fn pseudo(pseudo: Pseudo, value: &'static str) -> StaticField {
    StaticField { name: pseudo.as_str(), value, key: Name::Pseudo(pseudo) }
}

const fn known(name: F, value: &'static str) -> StaticField {
    StaticField { name: name.as_lower_str(), value, key: Name::Field(name) }
}

const fn other(name: &'static str) -> StaticField {
    StaticField { name, value: "", key: Name::Field(F::Other) }
}

const FIELDS: [StaticField; 61] = [
    pseudo(Pseudo::Authority, ""),
    pseudo(Pseudo::Method, "GET"),
    pseudo(Pseudo::Method, "POST"),
    pseudo(Pseudo::Path, "/"),
    pseudo(Pseudo::Path, "/index.html"),
    pseudo(Pseudo::Scheme, "http"),
    pseudo(Pseudo::Scheme, "https"),
    pseudo(Pseudo::Status, "200"),
    pseudo(Pseudo::Status, "204"),
    pseudo(Pseudo::Status, "206"),
    pseudo(Pseudo::Status, "304"),
    pseudo(Pseudo::Status, "400"),
    pseudo(Pseudo::Status, "404"),
    pseudo(Pseudo::Status, "500"),
    other("accept-charset"),
    known(F::AcceptEncoding, "gzip, deflate"),
    known(F::AcceptLanguage, ""),
    known(F::AcceptRanges, ""),
    known(F::Accept, ""),
    other("access-control-allow-origin"),
    known(F::Age, ""),
    known(F::Allow, ""),
    known(F::Authorization, ""),
    known(F::CacheControl, ""),
    known(F::ContentDisposition, ""),
    known(F::ContentEncoding, ""),
    known(F::ContentLanguage, ""),
    known(F::ContentLength, ""),
    known(F::ContentLocation, ""),
    known(F::ContentRange, ""),
    known(F::ContentType, ""),
    known(F::Cookie, ""),
    known(F::Date, ""),
    known(F::Etag, ""),
    known(F::Expect, ""),
    known(F::Expires, ""),
    other("from"),
    known(F::Host, ""),
    known(F::IfMatch, ""),
    known(F::IfModifiedSince, ""),
    known(F::IfNoneMatch, ""),
    known(F::IfRange, ""),
    known(F::IfUnmodifiedSince, ""),
    known(F::LastModified, ""),
    known(F::Link, ""),
    known(F::Location, ""),
    known(F::MaxForwards, ""),
    known(F::ProxyAuthenticate, ""),
    known(F::ProxyAuthorization, ""),
    known(F::Range, ""),
    known(F::Referer, ""),
    other("refresh"),
    known(F::RetryAfter, ""),
    known(F::Server, ""),
    known(F::SetCookie, ""),
    other("strict-transport-security"),
    known(F::TransferEncoding, ""),
    known(F::UserAgent, ""),
    known(F::Vary, ""),
    known(F::Via, ""),
    known(F::WwwAuthenticate, ""),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_is_that_of_its_name() {
        for (field, index) in FIELDS.iter().zip(1..) {
            assert_eq!(Name::of(field.name.as_bytes()), field.key, "{}", field.name);
            let first = index_of(field.key);
            if field.key != Name::Field(F::Other) {
                assert!(first >= 1 && first <= index, "{}", field.name);
            }
            if !field.value.is_empty() {
                assert_eq!(index_of_value(first, field.value.as_bytes()), Some(index));
            }
            assert_eq!(index_of_value(first, b"no such value"), None);
        }
        assert_eq!((index_of(Name::Field(F::Other)), index_of(Name::Pseudo(Pseudo::Protocol))), (0, 0));
        assert!(field(0).is_none() && field(LEN + 1).is_none());
    }
}
