//! Payloads of text: unmasked piece by piece, and looked at for UTF-8. RFC 6455 §5.3, §8.1

/// Bytes that are unmasked at once.
const UNMASKED_BYTES: usize = 512;

/// Unmasks a payload that begins with the key's first byte, or masks it: both are the same. §5.3
pub(super) fn unmask(payload: &mut [u8], key: [u8; 4]) {
    let word = u64::from_ne_bytes([key[0], key[1], key[2], key[3], key[0], key[1], key[2], key[3]]);
    let (words, rest) = payload.as_chunks_mut::<8>();
    for bytes in words {
        *bytes = (u64::from_ne_bytes(*bytes) ^ word).to_ne_bytes();
    }
    rest.iter_mut().zip(key.iter().cycle()).for_each(|(byte, key)| *byte ^= key);
}

/// A text that comes in pieces, which may end inside of a character.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Text {
    /// The beginning of a character whose rest has not come yet.
    begun: [u8; 4],
    begun_len: usize,
}

impl Text {
    /// Takes the next piece, masked by `key` if it is. Tells whether the text can still be UTF-8.
    #[must_use]
    pub(super) fn take(&mut self, piece: &[u8], key: Option<[u8; 4]>) -> bool {
        let Some(key) = key else { return self.take_plain(piece) };
        // A multiple of the key's length, so that each run begins with its first byte.
        let mut unmasked = [0; UNMASKED_BYTES];
        piece.chunks(UNMASKED_BYTES).all(|run| {
            let unmasked = &mut unmasked[..run.len()];
            unmasked.copy_from_slice(run);
            unmask(unmasked, key);
            self.take_plain(unmasked)
        })
    }

    /// Whether no character is begun.
    pub(super) fn is_whole(&self) -> bool {
        self.begun_len == 0
    }

    fn take_plain(&mut self, mut piece: &[u8]) -> bool {
        while self.begun_len > 0
            && let [first, rest @ ..] = piece
        {
            self.begun[self.begun_len] = *first;
            self.begun_len += 1;
            piece = rest;
            match std::str::from_utf8(&self.begun[..self.begun_len]) {
                Ok(_) => self.begun_len = 0,
                // It is at most three bytes that begin a character without ending it, so that there is room for one more.
                Err(error) if error.error_len().is_none() => {}
                Err(_) => return false,
            }
        }
        let Err(error) = std::str::from_utf8(piece) else { return true };
        let rest = &piece[error.valid_up_to()..];
        if error.error_len().is_some() {
            return false;
        }
        self.begun[..rest.len()].copy_from_slice(rest);
        self.begun_len = rest.len();
        true
    }
}
