//! What single bytes may stand for, in every version of HTTP.

use crate::word::{Word, find};

/// A token character. RFC 9110 §5.6.2
#[inline]
pub(crate) fn is_token_byte(byte: u8) -> bool {
    TOKEN_BYTES[byte as usize]
}

const TOKEN_BYTES: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = (byte as u8).is_ascii_alphanumeric();
        byte += 1;
    }
    let others = b"!#$%&'*+-.^_`|~";
    let mut index = 0;
    while index < others.len() {
        table[others[index] as usize] = true;
        index += 1;
    }
    table
};

/// A byte of a request target: visible and in ASCII. A fragment is never sent (RFC 9110 §7.1), and servers differ in
/// whether they cut it off.
#[inline]
pub(crate) fn is_target_byte(byte: u8) -> bool {
    byte.is_ascii_graphic() && byte != b'#'
}

/// A byte of a field value or a reason phrase: visible, SP, HTAB or obs-text. RFC 9110 §5.5
#[inline]
pub(crate) const fn is_value_byte(byte: u8) -> bool {
    byte == b'\t' || (byte >= b' ' && byte != 0x7f)
}

/// SP or HTAB.
#[inline]
pub(crate) fn is_white_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

/// Whether all bytes may stand in a value. Most values are short, and nearly all are plain ASCII: in those no byte is looked at
/// alone.
#[inline]
pub(crate) fn is_value(text: &[u8]) -> bool {
    find(text, 0, Word::unusual).is_none_or(|at| text[at..].iter().all(|&byte| is_value_byte(byte)))
}

/// Whether the text is a token.
#[inline]
pub(crate) fn is_token(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().all(|&byte| is_token_byte(byte))
}

/// Whether all bytes may stand in a target.
#[inline]
pub(crate) fn is_target(text: &[u8]) -> bool {
    find(text, 0, |word| word.unusual().or(word.equal(b' ')).or(word.equal(b'#'))).is_none()
}
