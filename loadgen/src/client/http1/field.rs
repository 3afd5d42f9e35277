//! The grammar of single lines: status lines, fields, sizes of chunks.

use super::reader::Malformed;

/// What a Connection field says. RFC 9110 §7.6.1
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Connection {
    pub(super) close: bool,
    pub(super) keep_alive: bool,
}

/// What Transfer-Encoding fields say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TransferEncoding {
    None,
    Chunked,
}

impl Connection {
    pub(super) fn add(&mut self, value: &[u8]) {
        for option in value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
            self.close |= option.eq_ignore_ascii_case(b"close");
            self.keep_alive |= option.eq_ignore_ascii_case(b"keep-alive");
        }
    }
}

impl TransferEncoding {
    /// Only `chunked`, once: no request offered another coding (TE), so that no response may have one. RFC 9112 §7.4
    pub(super) fn add(&mut self, value: &[u8]) -> Result<(), Malformed> {
        if *self != Self::None || !value.eq_ignore_ascii_case(b"chunked") {
            return Err(Malformed::TransferEncoding);
        }
        *self = Self::Chunked;
        Ok(())
    }
}

/// The minor version and the status. RFC 9112 §4: the reason may be empty, the blank before it not missing.
pub(in crate::client) fn status_line(line: &[u8]) -> Result<(u8, u16), Malformed> {
    let rest = line.strip_prefix(b"HTTP/1.").ok_or(Malformed::StatusLine)?;
    let [minor @ (b'0' | b'1'), b' ', hundreds, tens, ones, b' ', reason @ ..] = rest else {
        return Err(Malformed::StatusLine);
    };
    if ![hundreds, tens, ones].iter().all(|digit| digit.is_ascii_digit()) || !reason.iter().all(|byte| is_text(*byte)) {
        return Err(Malformed::StatusLine);
    }
    let status = [hundreds, tens, ones].iter().fold(0, |sum, digit| sum * 10 + u16::from(**digit - b'0'));
    // RFC 9110 §15
    if !(100..600).contains(&status) {
        return Err(Malformed::Status);
    }
    Ok((minor - b'0', status))
}

/// The name and the value of a field, the value without blanks around it. RFC 9112 §5
#[inline]
pub(in crate::client) fn name_and_value(line: &[u8]) -> Result<(&[u8], &[u8]), Malformed> {
    // A line that begins with a blank continues the one before, which a server may no longer do. RFC 9112 §5.2
    if let Some(b' ' | b'\t') = line.first() {
        return Err(Malformed::Folded);
    }
    let name_bytes = line.iter().position(|byte| !TOKEN[usize::from(*byte)]).ok_or(Malformed::Field)?;
    // No blank between name and colon. RFC 9112 §5.1
    if name_bytes == 0 || line[name_bytes] != b':' {
        return Err(Malformed::Field);
    }
    let (name, value) = (&line[..name_bytes], &line[name_bytes + 1..]);
    if !value.iter().all(|byte| is_text(*byte)) {
        return Err(Malformed::Field);
    }
    Ok((name, trim(value)))
}

/// Digits only, in 64 bits. RFC 9110 §8.6
pub(super) fn content_length(value: &[u8]) -> Option<u64> {
    if value.is_empty() {
        return None;
    }
    value.iter().try_fold(0_u64, |length, byte| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        length.checked_mul(10)?.checked_add(digit)
    })
}

/// The size of a chunk, whose extensions are skipped. RFC 9112 §7.1
pub(super) fn chunk_size(line: &[u8]) -> Result<u64, Malformed> {
    let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
    let extensions = &line[digits..];
    // Blanks may stand before the semicolon of an extension ("bad whitespace"), and nowhere else. RFC 9112 §7.1.1
    let is_extension = extensions.is_empty() || trim(extensions).starts_with(b";");
    if digits == 0 || digits > 16 || !is_extension || !extensions.iter().all(|byte| is_text(*byte)) {
        return Err(Malformed::ChunkSize);
    }
    let nibble = |byte: u8| u64::from((byte as char).to_digit(16).unwrap_or_default());
    Ok(line[..digits].iter().fold(0, |size, byte| size << 4 | nibble(*byte)))
}

/// Without the blanks and tabs around it.
fn trim(mut value: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}

/// Blank, tab, what is visible, and the upper half. RFC 9110 §5.5
fn is_text(byte: u8) -> bool {
    byte >= b' ' && byte != 0x7f || byte == b'\t'
}

/// The bytes of a token. RFC 9110 §5.6.2
const TOKEN: [bool; 256] = {
    let mut token = [false; 256];
    let mut byte = 0;
    while byte < 128 {
        let character = byte as u8;
        token[byte] = character.is_ascii_alphanumeric()
            || matches!(
                character,
                b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*' | b'+' | b'-' | b'.' | b'^' | b'_' | b'`' | b'|' | b'~'
            );
        byte += 1;
    }
    token
};
