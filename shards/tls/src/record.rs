//! One record sealed or opened. RFC 8446 §5.2, RFC 5246 §6.2.3, RFC 5288 §3, RFC 7905 §2

use aws_lc_rs::aead::{self, Aad, LessSafeKey, Nonce, UnboundKey};
use rustls::ConnectionTrafficSecrets;

use crate::error::Error;
use crate::negotiated::Version;

/// Bytes of a record's header: type, version, length.
pub(crate) const HEADER_BYTES: usize = 5;
/// Bytes of data that a record holds at most. RFC 8446 §5.1
pub(crate) const DATA_BYTES_MAX: usize = 1 << 14;
/// Bytes behind the header of the largest record that anybody sends. RFC 5246 §6.2.3
const PAYLOAD_BYTES_MAX: usize = DATA_BYTES_MAX + 2048;
/// All suites here end a record with a tag of this length.
const TAG_BYTES: usize = 16;
/// What RFC 5288 §3 has each record carry of its nonce.
const EXPLICIT_BYTES: usize = 8;
/// Bytes that sealing adds to data, at most.
pub(crate) const OVERHEAD_BYTES_MAX: usize = HEADER_BYTES + EXPLICIT_BYTES + TAG_BYTES;

/// What a record holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Content {
    Alert = 21,
    Handshake = 22,
    Data = 23,
}

impl Content {
    fn from_byte(byte: u8) -> Result<Content, Error> {
        match byte {
            21 => Ok(Content::Alert),
            22 => Ok(Content::Handshake),
            23 => Ok(Content::Data),
            // A change of the cipher, which nobody may ask for once it is in force.
            _ => Err(Error::UnexpectedMessage),
        }
    }
}

/// The length of the record that `bytes` begin with, header included; `None` while the header is not whole.
///
/// # Errors
/// When no record begins like that, or is that long.
pub(crate) fn record_len(bytes: &[u8]) -> Result<Option<usize>, Error> {
    // Whoever does not speak TLS is not to be waited for.
    if bytes.first().is_some_and(|kind| !(20..=23).contains(kind)) || bytes.get(1).is_some_and(|major| *major != 3) {
        return Err(Error::Malformed);
    }
    let [_, _, _, high, low, ..] = *bytes else { return Ok(None) };
    let payload = usize::from(u16::from_be_bytes([high, low]));
    if payload > PAYLOAD_BYTES_MAX { Err(Error::TooLarge) } else { Ok(Some(HEADER_BYTES + payload)) }
}

/// One direction's key, and how records are made with it.
pub(crate) struct RecordKey {
    key: LessSafeKey,
    iv: [u8; aead::NONCE_LEN],
    shape: Shape,
    /// Of the next record. A nonce is made of it, so that it never repeats under one key.
    sequence: u64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Shape {
    /// TLS 1.3: the type is encrypted behind the data. RFC 8446 §5.2
    Hidden,
    /// TLS 1.2 with GCM: half of the nonce goes before the data. RFC 5288 §3
    Explicit,
    /// TLS 1.2 with ChaCha20-Poly1305. RFC 7905 §2
    Implicit,
}

impl RecordKey {
    /// The key for records from `sequence` on.
    ///
    /// # Errors
    /// When rustls has agreed on a suite that this crate does not know.
    pub(crate) fn new(
        version: Version,
        (sequence, secrets): (u64, ConnectionTrafficSecrets),
    ) -> Result<RecordKey, Error> {
        let (algorithm, key, iv, has_explicit) = match secrets {
            ConnectionTrafficSecrets::Aes128Gcm { key, iv } => (&aead::AES_128_GCM, key, iv, true),
            ConnectionTrafficSecrets::Aes256Gcm { key, iv } => (&aead::AES_256_GCM, key, iv, true),
            ConnectionTrafficSecrets::Chacha20Poly1305 { key, iv } => (&aead::CHACHA20_POLY1305, key, iv, false),
            _ => return Err(Error::Internal),
        };
        let shape = match version {
            Version::Tls13 => Shape::Hidden,
            Version::Tls12 if has_explicit => Shape::Explicit,
            Version::Tls12 => Shape::Implicit,
        };
        let key = UnboundKey::new(algorithm, key.as_ref()).map_err(|_| Error::Internal)?;
        let iv = iv.as_ref().try_into().map_err(|_| Error::Internal)?;
        Ok(RecordKey { key: LessSafeKey::new(key), iv, shape, sequence })
    }

    /// Records that were sealed or opened so far.
    pub(crate) fn sequence(&self) -> u64 {
        self.sequence
    }

    /// Appends a record with `data`, of which it takes at most [`DATA_BYTES_MAX`], to `outgoing`.
    ///
    /// # Errors
    /// None that a peer can cause.
    pub(crate) fn seal(&mut self, content: Content, data: &[u8], outgoing: &mut Vec<u8>) -> Result<(), Error> {
        debug_assert!(data.len() <= DATA_BYTES_MAX);
        let nonce = self.nonce();
        let (explicit, hidden) = match self.shape {
            Shape::Hidden => (&[][..], &[content as u8][..]),
            Shape::Explicit => (&nonce[4..], &[][..]),
            Shape::Implicit => (&[][..], &[][..]),
        };
        let payload = explicit.len() + data.len() + hidden.len() + TAG_BYTES;
        let outer = if self.shape == Shape::Hidden { Content::Data } else { content };
        // RFC 8446 §5.1: the version of records is that of TLS 1.2 for ever.
        let [high, low] = (payload as u16).to_be_bytes();
        let header = [outer as u8, 3, 3, high, low];
        outgoing.reserve(HEADER_BYTES + payload);
        outgoing.extend_from_slice(&header);
        outgoing.extend_from_slice(explicit);
        let start = outgoing.len();
        outgoing.resize(start + data.len() + hidden.len() + TAG_BYTES, 0);
        let (sealed, hidden_and_tag) = outgoing[start..].split_at_mut(data.len());
        let nonce = Nonce::assume_unique_for_key(nonce);
        let done = match self.shape {
            Shape::Hidden => {
                self.key.seal_out_of_place_scatter(nonce, Aad::from(header), data, sealed, hidden, hidden_and_tag)
            }
            Shape::Explicit | Shape::Implicit => {
                let aad = Aad::from(self.plain_header(content as u8, data.len()));
                self.key.seal_out_of_place_scatter(nonce, aad, data, sealed, hidden, hidden_and_tag)
            }
        };
        done.map_err(|_| Error::Internal)?;
        self.sequence += 1;
        Ok(())
    }

    /// Opens a record, which is there whole with its header, and appends what it holds to `plaintext`.
    ///
    /// # Errors
    /// When it was not sealed by the peer, or holds what no record may. Nothing was appended then.
    pub(crate) fn open(&mut self, record: &[u8], plaintext: &mut Vec<u8>) -> Result<Content, Error> {
        let start = plaintext.len();
        let opened = self.try_open(record, plaintext);
        if opened.is_err() {
            plaintext.truncate(start);
        }
        opened
    }

    fn try_open(&mut self, record: &[u8], plaintext: &mut Vec<u8>) -> Result<Content, Error> {
        let start = plaintext.len();
        let (header, payload) = record.split_first_chunk::<HEADER_BYTES>().ok_or(Error::Internal)?;
        // RFC 8446 §5.2: from outside, all of them are records of data.
        if self.shape == Shape::Hidden && header[0] != Content::Data as u8 {
            return Err(Error::UnexpectedMessage);
        }
        let mut nonce = self.nonce();
        let explicit_len = if self.shape == Shape::Explicit { EXPLICIT_BYTES } else { 0 };
        let (explicit, sealed) = payload.split_at_checked(explicit_len).ok_or(Error::BadRecord)?;
        // RFC 5288 §3: the peer makes its half of the nonce as it likes.
        nonce[aead::NONCE_LEN - explicit_len..].copy_from_slice(explicit);
        let len = sealed.len().checked_sub(TAG_BYTES).ok_or(Error::BadRecord)?;
        let (sealed, tag) = sealed.split_at(len);
        plaintext.resize(start + len, 0);
        let (nonce, opened) = (Nonce::assume_unique_for_key(nonce), &mut plaintext[start..]);
        let (content, done) = match self.shape {
            Shape::Hidden => (None, self.key.open_separate_gather(nonce, Aad::from(*header), sealed, tag, opened)),
            Shape::Explicit | Shape::Implicit => {
                let aad = Aad::from(self.plain_header(header[0], len));
                let content = Content::from_byte(header[0])?;
                (Some(content), self.key.open_separate_gather(nonce, aad, sealed, tag, opened))
            }
        };
        done.map_err(|_| Error::BadRecord)?;
        self.sequence += 1;
        let content = match content {
            Some(content) => content,
            None => {
                // RFC 8446 §5.4: zeros behind the type are padding.
                let last = plaintext[start..].iter().rposition(|byte| *byte != 0).ok_or(Error::UnexpectedMessage)?;
                let content = Content::from_byte(plaintext[start + last])?;
                plaintext.truncate(start + last);
                content
            }
        };
        if plaintext.len() - start > DATA_BYTES_MAX {
            return Err(Error::TooLarge);
        }
        Ok(content)
    }

    /// RFC 8446 §5.3; rustls makes the explicit nonces of TLS 1.2 in the same way.
    fn nonce(&self) -> [u8; aead::NONCE_LEN] {
        let mut nonce = self.iv;
        for (byte, of_sequence) in nonce[4..].iter_mut().zip(self.sequence.to_be_bytes()) {
            *byte ^= of_sequence;
        }
        nonce
    }

    /// What TLS 1.2 authenticates besides the data. RFC 5246 §6.2.3.3
    fn plain_header(&self, content: u8, data_len: usize) -> [u8; 13] {
        let mut header = [0; 13];
        header[..8].copy_from_slice(&self.sequence.to_be_bytes());
        let [high, low] = (data_len as u16).to_be_bytes();
        header[8..].copy_from_slice(&[content, 3, 3, high, low]);
        header
    }
}
