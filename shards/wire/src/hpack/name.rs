//! Names of header fields as HTTP/2 has them.

use crate::FieldName;
use crate::octet::is_token_byte;

/// A name, judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Name {
    /// A pseudo-header field.
    Pseudo(Pseudo),
    /// The name of a field: a token without capitals.
    Field(FieldName),
    /// Neither: it has a capital or another byte that no name has, is empty, or is a pseudo-header field that nobody knows.
    Invalid,
}

/// A pseudo-header field: what stands in the start line of HTTP/1. RFC 9113 §8.3
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Pseudo {
    /// `:authority`
    Authority,
    /// `:method`
    Method,
    /// `:path`
    Path,
    /// `:protocol`. RFC 8441 §4
    Protocol,
    /// `:scheme`
    Scheme,
    /// `:status`
    Status,
}

impl Pseudo {
    /// How many there are.
    pub(crate) const COUNT: usize = 6;

    /// The name, its colon included.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Pseudo::Authority => ":authority",
            Pseudo::Method => ":method",
            Pseudo::Path => ":path",
            Pseudo::Protocol => ":protocol",
            Pseudo::Scheme => ":scheme",
            Pseudo::Status => ":status",
        }
    }
}

impl Name {
    /// Judges a name that was spelt out. RFC 9113 §8.2.1
    #[must_use]
    pub fn of(name: &[u8]) -> Name {
        match name {
            b":authority" => Name::Pseudo(Pseudo::Authority),
            b":method" => Name::Pseudo(Pseudo::Method),
            b":path" => Name::Pseudo(Pseudo::Path),
            b":protocol" => Name::Pseudo(Pseudo::Protocol),
            b":scheme" => Name::Pseudo(Pseudo::Scheme),
            b":status" => Name::Pseudo(Pseudo::Status),
            [] => Name::Invalid,
            _ if name.iter().all(|&byte| is_token_byte(byte) && !byte.is_ascii_uppercase()) => {
                Name::Field(FieldName::of(name))
            }
            _ => Name::Invalid,
        }
    }

    /// A number for each name that is known, for tables.
    #[inline]
    pub(super) const fn number(self) -> usize {
        match self {
            Name::Field(name) => name as usize,
            Name::Pseudo(pseudo) => FieldName::Other as usize + 1 + pseudo as usize,
            Name::Invalid => Name::NUMBERS - 1,
        }
    }

    /// How many numbers there are.
    pub(super) const NUMBERS: usize = FieldName::Other as usize + 2 + Pseudo::COUNT;
}
