//! The opening handshake. RFC 6455 §4

use ring_crypto::digest;

use super::malformed;
use crate::{
    client::{
        http1::{Lines, Malformed, name_and_value, reader::HEAD_BYTES_MAX},
        protocol::Failure,
    },
    record::ErrorKind,
};

/// What is appended to the key before it is hashed. RFC 6455 §1.3
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// Writes the request, and reads the answer strictly.
#[derive(Debug)]
pub(super) struct Handshake {
    /// The request up to the key, which is the same for every connection.
    head: &'static [u8],
    key: Vec<u8>,
    lines: Lines,
    bytes: usize,
    stage: Stage,
    upgrades: bool,
    connects: bool,
    accepts: bool,
}

#[derive(Debug, PartialEq, Eq)]
enum Stage {
    StatusLine,
    Fields,
    Complete,
}

impl Handshake {
    pub(super) fn new(head: &'static [u8], nonce: [u64; 2]) -> Self {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&nonce[0].to_ne_bytes());
        bytes[8..].copy_from_slice(&nonce[1].to_ne_bytes());
        Self {
            head,
            key: base64(&bytes),
            lines: Lines::default(),
            bytes: 0,
            stage: Stage::StatusLine,
            upgrades: false,
            connects: false,
            accepts: false,
        }
    }

    pub(super) fn write(&self, output: &mut Vec<u8>) {
        output.extend_from_slice(self.head);
        output.extend_from_slice(b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n");
        output.extend_from_slice(b"Sec-WebSocket-Key: ");
        output.extend_from_slice(&self.key);
        output.extend_from_slice(b"\r\n\r\n");
    }

    pub(super) fn is_complete(&self) -> bool {
        self.stage == Stage::Complete
    }

    /// Reads until the end of the head, or the input is used up; returns how many bytes were used.
    pub(super) fn read(&mut self, input: &[u8]) -> Result<usize, Failure> {
        let mut consumed = 0;
        let mut lines = std::mem::take(&mut self.lines);
        while self.stage != Stage::Complete {
            let taken = lines.take(&input[consumed..], HEAD_BYTES_MAX - self.bytes, Malformed::HeadTooLarge)?;
            let Some((line, used)) = taken else {
                consumed = input.len();
                break;
            };
            self.bytes += line.len() + 2;
            self.handle_line(line)?;
            consumed += used;
        }
        self.lines = lines;
        Ok(consumed)
    }

    fn handle_line(&mut self, line: &[u8]) -> Result<(), Failure> {
        match self.stage {
            Stage::StatusLine => {
                let (_, status) = crate::client::http1::status_line(line)?;
                if status != 101 {
                    return Err(Failure::new(ErrorKind::UnexpectedStatus, format!("{status} instead of an upgrade")));
                }
                self.stage = Stage::Fields;
            }
            Stage::Fields if line.is_empty() => {
                if !(self.upgrades && self.connects && self.accepts) {
                    return Err(malformed("an upgrade without Upgrade, Connection or Sec-WebSocket-Accept"));
                }
                self.stage = Stage::Complete;
            }
            Stage::Fields => self.handle_field(line)?,
            Stage::Complete => unreachable!("no line is read after the head"),
        }
        Ok(())
    }

    fn handle_field(&mut self, line: &[u8]) -> Result<(), Failure> {
        let (name, value) = name_and_value(line)?;
        if name.eq_ignore_ascii_case(b"upgrade") {
            self.upgrades = value.eq_ignore_ascii_case(b"websocket");
        } else if name.eq_ignore_ascii_case(b"connection") {
            let mut options = value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
            self.connects |= options.any(|option| option.eq_ignore_ascii_case(b"upgrade"));
        } else if name.eq_ignore_ascii_case(b"sec-websocket-accept") {
            if value != accept(&self.key) {
                return Err(malformed("a Sec-WebSocket-Accept that is not of this key"));
            }
            self.accepts = true;
        } else if name.eq_ignore_ascii_case(b"sec-websocket-extensions")
            || name.eq_ignore_ascii_case(b"sec-websocket-protocol")
        {
            return Err(malformed("an extension or a subprotocol that was not offered"));
        }
        Ok(())
    }
}

/// What the server has to answer to a key. RFC 6455 §4.2.2
pub(super) fn accept(key: &[u8]) -> Vec<u8> {
    let mut hash = digest::Context::new(&digest::SHA1_FOR_LEGACY_USE_ONLY);
    hash.update(key);
    hash.update(GUID);
    base64(hash.finish().as_ref())
}

/// Base64 with padding. RFC 4648 §4
fn base64(bytes: &[u8]) -> Vec<u8> {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = Vec::with_capacity(bytes.len().div_ceil(3) * 4);
    for three in bytes.chunks(3) {
        let at = |at: usize| u32::from(three.get(at).copied().unwrap_or(0));
        let bits = at(0) << 16 | at(1) << 8 | at(2);
        for sextet in 0..4 {
            let letter = ALPHABET[(bits >> (18 - 6 * sextet) & 63) as usize];
            text.push(if sextet > three.len() { b'=' } else { letter });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_accept_of_the_rfc() {
        // RFC 6455 §1.3
        assert_eq!(accept(b"dGhlIHNhbXBsZSBub25jZQ=="), b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    #[test]
    fn base64_of_the_rfc() {
        // RFC 4648 §10
        for (plain, coded) in [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")] {
            assert_eq!(base64(plain.as_bytes()), coded.as_bytes());
        }
    }
}
