//! Header and trailer fields, and their names as small tokens.
//!
//! A name is compared once, when the field is parsed, and is a token afterwards: the rest of the proxy asks for
//! `FieldName::Host`, never for six strings in any case. Names that no code of ours treats specially are
//! [`FieldName::Other`] and keep their bytes.

use crate::Span;

/// One field line: where its name, its value and the whole line lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field {
    /// The name as it was sent, in its own case.
    pub name: Span,
    /// The value without the white space around it. May be empty.
    pub value: Span,
    /// The whole line with its CRLF, so that neighbours which nobody touched are copied in one run.
    pub line: Span,
    /// The name as a token.
    pub token: FieldName,
    /// Whether its sender wants it in no compression table, here or further on. RFC 7541 §7.1.3
    pub never_indexed: bool,
}

/// Fields in the order in which they were sent, with the set of names among them.
#[derive(Debug, Clone, Default)]
pub(crate) struct FieldLines {
    pub(crate) lines: Vec<Field>,
    /// Names that occur. Invariant: exactly the tokens in `lines`.
    pub(crate) present: FieldNames,
    /// Names that occur more than once.
    pub(crate) repeated: FieldNames,
}

impl FieldLines {
    pub(crate) fn clear(&mut self) {
        self.lines.clear();
        self.present = FieldNames::EMPTY;
        self.repeated = FieldNames::EMPTY;
    }

    #[inline]
    pub(crate) fn push(&mut self, field: Field) {
        let name = FieldNames::EMPTY.with(field.token);
        self.repeated = self.repeated.union(self.present.intersection(name));
        self.present = self.present.union(name);
        self.lines.push(field);
    }

    /// The first field of that name; asks the set first, since most names that are asked for are absent.
    #[inline]
    pub(crate) fn first(&self, name: FieldName) -> Option<&Field> {
        if !self.present.contains(name) {
            return None;
        }
        self.lines.iter().find(|field| field.token == name)
    }
}

/// A set of interned names: one bit for each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FieldNames(u64);

impl FieldNames {
    /// The set of no names.
    pub const EMPTY: FieldNames = FieldNames(0);

    /// The set of these names, for constants.
    #[must_use]
    pub const fn of(names: &[FieldName]) -> FieldNames {
        let mut set = FieldNames::EMPTY;
        let mut index = 0;
        while index < names.len() {
            set = set.with(names[index]);
            index += 1;
        }
        set
    }

    /// The set with `name` in it.
    #[inline]
    #[must_use]
    pub const fn with(self, name: FieldName) -> FieldNames {
        FieldNames(self.0 | 1 << name as u8)
    }

    /// Puts `name` into the set.
    #[inline]
    pub const fn insert(&mut self, name: FieldName) {
        *self = self.with(name);
    }

    /// Whether `name` is in the set.
    #[inline]
    #[must_use]
    pub const fn contains(self, name: FieldName) -> bool {
        self.0 & 1 << name as u8 != 0
    }

    /// Names in either set.
    #[inline]
    #[must_use]
    pub const fn union(self, other: FieldNames) -> FieldNames {
        FieldNames(self.0 | other.0)
    }

    /// Names in both sets.
    #[inline]
    #[must_use]
    pub const fn intersection(self, other: FieldNames) -> FieldNames {
        FieldNames(self.0 & other.0)
    }

    /// Names in this set and not in the other.
    #[inline]
    #[must_use]
    pub const fn difference(self, other: FieldNames) -> FieldNames {
        FieldNames(self.0 & !other.0)
    }

    /// Whether the set holds no name.
    #[inline]
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

/// Declares the tokens, grouped by the length of their names: the length is the first and cheapest distinction, and
/// with it fixed a comparison is one or two wide loads.
macro_rules! field_names {
    ($( $length:literal { $( $token:ident = $lower:literal, $name:literal; )* } )*) => {
        /// A field name as a token.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub enum FieldName {
            $($( #[doc = concat!("`", $name, "`")] $token, )*)*
            /// Any name without a token of its own.
            Other,
        }

        impl FieldName {
            /// Every token except `Other`.
            pub const KNOWN: &'static [FieldName] = &[ $($( FieldName::$token, )*)* ];

            /// The token of a name in any case.
            #[inline]
            #[must_use]
            pub fn of(name: &[u8]) -> FieldName {
                match name.len() {
                    $( $length => {
                        let key = Key::of::<$length>(name);
                        $( if key.is(const { Key::of::<$length>($lower) }) { return FieldName::$token; } )*
                        FieldName::Other
                    } )*
                    _ => FieldName::Other,
                }
            }

            /// The name in its customary case; empty for `Other`, whose name is its own bytes.
            #[inline]
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $($( FieldName::$token => $name, )*)*
                    FieldName::Other => "",
                }
            }

            /// The name in lower case, as HTTP/2 has it; empty for `Other`.
            #[inline]
            #[must_use]
            pub const fn as_lower_str(self) -> &'static str {
                match self {
                    $($( FieldName::$token => const { lower_str($lower) }, )*)*
                    FieldName::Other => "",
                }
            }
        }
    };
}

const fn lower_str(name: &'static [u8]) -> &'static str {
    match std::str::from_utf8(name) {
        Ok(name) => name,
        Err(_) => panic!("names are ASCII"),
    }
}

/// The bytes of a name as up to four words, which overlap where the length is no multiple of eight. With the length a
/// constant, making and comparing keys is a few instructions a word.
#[derive(Clone, Copy)]
struct Key([u64; 4]);

impl Key {
    /// Whether this is `name`, a constant in lower case, but for the case of letters.
    #[inline]
    const fn is(self, name: Key) -> bool {
        // Word by word: the derived comparison goes through memory, and that costs more than all the rest.
        let (Key(these), Key(those)) = (self, name);
        is_word(these[0], those[0])
            && is_word(these[1], those[1])
            && is_word(these[2], those[2])
            && is_word(these[3], those[3])
    }

    /// The key of a name of `N` bytes, 2 to 32.
    #[inline]
    const fn of<const N: usize>(name: &[u8]) -> Key {
        const { assert!(2 <= N && N <= 32) };
        let Some(name) = name.first_chunk::<N>() else { panic!("the caller matched the length") };
        let mut words = [0; 4];
        match N {
            2..4 => words[0] = u64::from_le_bytes([name[0], name[N / 2], name[N - 1], 0, 0, 0, 0, 0]),
            4..8 => {
                let (first, last) = (name.first_chunk::<4>().unwrap(), name.last_chunk::<4>().unwrap());
                words[0] = u32::from_le_bytes(*first) as u64 | (u32::from_le_bytes(*last) as u64) << 32;
            }
            _ => {
                let mut index = 0;
                while index < N.div_ceil(8) {
                    let at = if 8 * index + 8 <= N { 8 * index } else { N - 8 };
                    words[index] = u64::from_le_bytes(*name.split_at(at).1.first_chunk::<8>().unwrap());
                    index += 1;
                }
            }
        }
        Key(words)
    }
}

/// Whether eight bytes are those of `name`, but for the case of letters: capitals differ from small letters in one bit, which
/// is set here where a letter is wanted, and nowhere else.
#[inline]
const fn is_word(word: u64, name: u64) -> bool {
    // Of the bytes of our names, letters alone have this bit; the one below it tells their case.
    const LETTERS: u64 = 0x4040_4040_4040_4040;
    word | (name & LETTERS) >> 1 == name
}

field_names! {
    2 { Te = b"te", "TE"; }
    3 {
        Via = b"via", "Via";
        Age = b"age", "Age";
    }
    4 {
        Host = b"host", "Host";
        Date = b"date", "Date";
        Etag = b"etag", "ETag";
        Vary = b"vary", "Vary";
        Link = b"link", "Link";
    }
    5 {
        Range = b"range", "Range";
        Allow = b"allow", "Allow";
    }
    6 {
        Accept = b"accept", "Accept";
        Cookie = b"cookie", "Cookie";
        Server = b"server", "Server";
        Origin = b"origin", "Origin";
        Expect = b"expect", "Expect";
    }
    7 {
        Upgrade = b"upgrade", "Upgrade";
        Referer = b"referer", "Referer";
        Expires = b"expires", "Expires";
        Trailer = b"trailer", "Trailer";
    }
    8 {
        Location = b"location", "Location";
        IfMatch = b"if-match", "If-Match";
        IfRange = b"if-range", "If-Range";
    }
    9 {
        Forwarded = b"forwarded", "Forwarded";
        XRealIp = b"x-real-ip", "X-Real-IP";
    }
    10 {
        Connection = b"connection", "Connection";
        UserAgent = b"user-agent", "User-Agent";
        KeepAlive = b"keep-alive", "Keep-Alive";
        SetCookie = b"set-cookie", "Set-Cookie";
    }
    11 {
        RetryAfter = b"retry-after", "Retry-After";
        Traceparent = b"traceparent", "traceparent";
    }
    12 {
        ContentType = b"content-type", "Content-Type";
        XRequestId = b"x-request-id", "X-Request-Id";
        MaxForwards = b"max-forwards", "Max-Forwards";
    }
    13 {
        CacheControl = b"cache-control", "Cache-Control";
        Authorization = b"authorization", "Authorization";
        LastModified = b"last-modified", "Last-Modified";
        IfNoneMatch = b"if-none-match", "If-None-Match";
        AcceptRanges = b"accept-ranges", "Accept-Ranges";
        ContentRange = b"content-range", "Content-Range";
    }
    14 {
        ContentLength = b"content-length", "Content-Length";
        Http2Settings = b"http2-settings", "HTTP2-Settings";
    }
    15 {
        AcceptEncoding = b"accept-encoding", "Accept-Encoding";
        AcceptLanguage = b"accept-language", "Accept-Language";
        XForwardedFor = b"x-forwarded-for", "X-Forwarded-For";
    }
    16 {
        ContentEncoding = b"content-encoding", "Content-Encoding";
        ContentLanguage = b"content-language", "Content-Language";
        ContentLocation = b"content-location", "Content-Location";
        XForwardedHost = b"x-forwarded-host", "X-Forwarded-Host";
        XForwardedPort = b"x-forwarded-port", "X-Forwarded-Port";
        ProxyConnection = b"proxy-connection", "Proxy-Connection";
        WwwAuthenticate = b"www-authenticate", "WWW-Authenticate";
    }
    17 {
        TransferEncoding = b"transfer-encoding", "Transfer-Encoding";
        IfModifiedSince = b"if-modified-since", "If-Modified-Since";
        XForwardedProto = b"x-forwarded-proto", "X-Forwarded-Proto";
    }
    18 {
        ProxyAuthenticate = b"proxy-authenticate", "Proxy-Authenticate";
        XForwardedServer = b"x-forwarded-server", "X-Forwarded-Server";
        XForwardedPrefix = b"x-forwarded-prefix", "X-Forwarded-Prefix";
    }
    19 {
        ProxyAuthorization = b"proxy-authorization", "Proxy-Authorization";
        IfUnmodifiedSince = b"if-unmodified-since", "If-Unmodified-Since";
        ContentDisposition = b"content-disposition", "Content-Disposition";
    }
    25 {
        ProxyAuthenticationInfo = b"proxy-authentication-info", "Proxy-Authentication-Info";
    }
}

// The set is a 64-bit word, `Other` included.
const _: () = assert!((FieldName::Other as u8) < 64);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_found_in_every_case() {
        for &token in FieldName::KNOWN {
            let name = token.as_str();
            assert_eq!(FieldName::of(name.as_bytes()), token, "{name}");
            assert_eq!(FieldName::of(name.to_ascii_lowercase().as_bytes()), token, "{name}");
            assert_eq!(name.to_ascii_lowercase(), token.as_lower_str());
            assert_eq!(FieldName::of(name.to_ascii_uppercase().as_bytes()), token, "{name}");
        }
    }

    #[test]
    fn a_name_that_differs_in_one_byte_is_another_name() {
        for &token in FieldName::KNOWN {
            let name = token.as_str().as_bytes();
            for place in 0..name.len() {
                for byte in [name[place] ^ 0x80, name[place] ^ 1, b'\r', b'_', 0] {
                    let mut other = name.to_vec();
                    other[place] = byte;
                    assert_ne!(FieldName::of(&other), token, "{other:?}");
                }
            }
        }
    }

    #[test]
    fn a_set_holds_what_was_put_into_it() {
        const PAIR: FieldNames = FieldNames::of(&[FieldName::Te, FieldName::Other]);
        assert!(PAIR.contains(FieldName::Te) && PAIR.contains(FieldName::Other) && !PAIR.contains(FieldName::Host));
        let mut set = FieldNames::EMPTY;
        assert!(set.is_empty());
        set.insert(FieldName::Host);
        assert_eq!(set.union(PAIR).difference(PAIR), set);
        assert_eq!(set.union(PAIR).intersection(PAIR), PAIR);
    }
}
