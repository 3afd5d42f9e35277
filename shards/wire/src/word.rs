//! Eight bytes at a time: how runs of bytes are searched without looking at each.
//!
//! A word is eight bytes of a text, the first of them lowest. A question asked of all eight is answered by [`Marks`], the
//! high bit of each byte for which it holds ("SIMD within a register"; Mycroft's test for a zero byte, 1987, is the oldest).

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGHS: u64 = 0x80 * ONES;

/// Eight bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Word(u64);

/// Bytes of a word that were asked for. Whether there are any is exact, and so is the first; one behind it may be marked
/// without cause, because subtractions borrow from the bytes above and additions carry into them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Marks(u64);

impl Word {
    #[inline]
    pub(crate) const fn new(bytes: [u8; 8]) -> Word {
        Word(u64::from_le_bytes(bytes))
    }

    /// Fewer than eight bytes, and zeros behind them.
    #[cold]
    fn short(bytes: &[u8]) -> Word {
        Word(bytes.iter().rev().fold(0, |word, &byte| word << 8 | u64::from(byte)))
    }

    /// Bytes that are `byte`.
    #[inline]
    pub(crate) const fn equal(self, byte: u8) -> Marks {
        Word(self.0 ^ (ONES * byte as u64)).below(1)
    }

    /// Bytes below `bound`, which is at most 0x80.
    #[inline]
    pub(crate) const fn below(self, bound: u8) -> Marks {
        Marks(self.0.wrapping_sub(ONES * bound as u64) & !self.0 & HIGHS)
    }

    /// Bytes that are neither visible ASCII nor a space.
    #[inline]
    pub(crate) const fn unusual(self) -> Marks {
        // What is below the space borrows, what is above the tilde has the high bit or gets it.
        Marks((self.0.wrapping_sub(ONES * b' ' as u64) | self.0.wrapping_add(ONES) | self.0) & HIGHS)
    }
}

impl Marks {
    /// Bytes that are marked by either.
    #[inline]
    pub(crate) const fn or(self, other: Marks) -> Marks {
        Marks(self.0 | other.0)
    }

    /// Whether no byte is marked.
    #[inline]
    pub(crate) const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Place of the first byte that is marked; 8 if none is.
    #[inline]
    const fn first(self) -> usize {
        (self.0.trailing_zeros() / 8) as usize
    }
}

/// Place of the first byte of `bytes`, from `from` on, that `marks` marks.
#[inline(always)]
pub(crate) fn find(bytes: &[u8], from: usize, marks: impl Fn(Word) -> Marks) -> Option<usize> {
    let searched = bytes.get(from..)?;
    let mut rest = searched;
    while let Some((word, behind)) = rest.split_first_chunk() {
        let marks = marks(Word::new(*word));
        if !marks.is_empty() {
            return Some(bytes.len() - rest.len() + marks.first());
        }
        rest = behind;
    }
    if rest.is_empty() {
        return None;
    }
    let Some(last) = searched.last_chunk() else {
        // A zero behind the end may be marked as well.
        return Some(from + marks(Word::short(searched)).first()).filter(|&place| place < bytes.len());
    };
    // The last word overlaps the one before, none of whose bytes is marked.
    let marks = marks(Word::new(*last));
    (!marks.is_empty()).then(|| bytes.len() - 8 + marks.first())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every byte at every place of texts of every length, among bytes that are next to what is looked for.
    #[test]
    fn the_first_marked_byte_is_found_wherever_it_stands() {
        type Question = (fn(Word) -> Marks, fn(u8) -> bool);
        let questions: [Question; 3] = [
            (|word| word.equal(b':'), |byte| byte == b':'),
            (|word| word.below(b'!').or(word.equal(b'#')), |byte| byte < b'!' || byte == b'#'),
            (Word::unusual, |byte| !(b' '..=b'~').contains(&byte)),
        ];
        for (marks, holds) in questions {
            for len in 0..20 {
                for place in 0..len {
                    for byte in 0..=255 {
                        for neighbour in [b'a', b';', b' ', b'!', 0x7f, 0x80, 0, 0xff] {
                            let mut bytes = vec![b'a'; len];
                            bytes[place] = byte;
                            *bytes.last_mut().unwrap() = neighbour;
                            let expected = bytes.iter().position(|&byte| holds(byte));
                            assert_eq!(find(&bytes, 0, marks), expected, "{bytes:?}");
                            let behind = (place + 1..len).find(|&place| holds(bytes[place]));
                            assert_eq!(find(&bytes, place + 1, marks), behind, "{bytes:?} behind {place}");
                        }
                    }
                }
            }
        }
        assert_eq!(find(b"", 0, Word::unusual), None);
        assert_eq!(find(b"", 1, Word::unusual), None);
    }
}
