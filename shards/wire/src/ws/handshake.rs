//! The opening handshake of WebSocket, as far as a proxy has a part in it. RFC 6455 §1.3, §4
//!
//! A client of HTTP/1 sends a key, and the server shows by its hash that it has understood what it was asked. A client of HTTP/2 sends
//! none (RFC 8441 §5): towards a server of HTTP/1 the key is ours, and so is the check.

/// What is hashed behind the key. RFC 6455 §1.3
const GUID: &[u8; 36] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// The value of `Sec-WebSocket-Key`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key([u8; 24]);

impl Key {
    /// The key of these bytes, which are to be random.
    #[must_use]
    pub fn of(random: [u8; 16]) -> Key {
        let mut key = [0; 24];
        base64(&random, &mut key);
        Key(key)
    }

    /// As it is sent.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Whether `accept`, the value of `Sec-WebSocket-Accept`, answers this key. RFC 6455 §4.1
    #[must_use]
    pub fn is_answered_by(&self, accept: &[u8]) -> bool {
        let mut hashed = [0; 24 + GUID.len()];
        hashed[..24].copy_from_slice(&self.0);
        hashed[24..].copy_from_slice(GUID);
        let mut expected = [0; 28];
        base64(&sha1(&hashed), &mut expected);
        accept == expected
    }
}

/// RFC 4648 §4
fn base64(bytes: &[u8], out: &mut [u8]) {
    for (group, digits) in bytes.chunks(3).zip(out.chunks_exact_mut(4)) {
        let word = group.iter().fold(0_u32, |word, &byte| word << 8 | u32::from(byte)) << (8 * (3 - group.len()));
        for (place, digit) in digits.iter_mut().enumerate() {
            *digit = if place <= group.len() { BASE64[(word >> (18 - 6 * place)) as usize & 63] } else { b'=' };
        }
    }
}

/// SHA-1 (RFC 3174) of fewer than 120 bytes. It is no protection here: it shows that somebody has read the specification.
fn sha1(bytes: &[u8]) -> [u8; 20] {
    let mut message = [0; 128];
    message[..bytes.len()].copy_from_slice(bytes);
    message[bytes.len()] = 0x80;
    let blocks = if bytes.len() < 56 { 1 } else { 2 };
    message[64 * blocks - 8..64 * blocks].copy_from_slice(&(8 * bytes.len() as u64).to_be_bytes());
    let mut state = [0x6745_2301_u32, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476, 0xc3d2_e1f0];
    for block in message[..64 * blocks].as_chunks::<64>().0 {
        let mut words = [0_u32; 80];
        for (word, bytes) in words.iter_mut().zip(block.as_chunks::<4>().0) {
            *word = u32::from_be_bytes(*bytes);
        }
        for t in 16..80 {
            words[t] = (words[t - 3] ^ words[t - 8] ^ words[t - 14] ^ words[t - 16]).rotate_left(1);
        }
        let [mut a, mut b, mut c, mut d, mut e] = state;
        for (t, word) in words.into_iter().enumerate() {
            let (f, k) = match t {
                0..20 => ((b & c) | (!b & d), 0x5a82_7999),
                20..40 => (b ^ c ^ d, 0x6ed9_eba1),
                40..60 => ((b & c) | (b & d) | (c & d), 0x8f1b_bcdc),
                _ => (b ^ c ^ d, 0xca62_c1d6_u32),
            };
            let next = a.rotate_left(5).wrapping_add(f).wrapping_add(e).wrapping_add(k).wrapping_add(word);
            (e, d, c, b, a) = (d, c, b.rotate_left(30), a, next);
        }
        for (sum, word) in state.iter_mut().zip([a, b, c, d, e]) {
            *sum = sum.wrapping_add(word);
        }
    }
    let mut digest = [0; 20];
    for (bytes, word) in digest.as_chunks_mut::<4>().0.iter_mut().zip(state) {
        *bytes = word.to_be_bytes();
    }
    digest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_the_specification_is_accepted_and_nothing_else() {
        let key = Key::of(*b"the sample nonce");
        assert_eq!(key.as_bytes(), b"dGhlIHNhbXBsZSBub25jZQ==");
        assert!(key.is_answered_by(b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
        for wrong in [&b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo"[..], b"s3pPLMBiTxaQ9kYGzzhZRbK+xOp=", b""] {
            assert!(!key.is_answered_by(wrong));
        }
    }

    #[test]
    fn short_and_long_messages_are_hashed_as_the_standard_has_it() {
        let hexadecimal = |bytes: &[u8]| sha1(bytes).map(|byte| format!("{byte:02x}")).concat();
        assert_eq!(hexadecimal(b"abc"), "a9993e364706816aba3e25717850c26c9cd0d89d");
        let long = b"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq";
        assert_eq!(hexadecimal(long), "84983e441c3bd26ebaae4aa1f95129e5e54670f1");
    }
}
