//! Strings in the Huffman code of RFC 7541, Appendix B.
//!
//! The code is canonical: with the length of each symbol's code all codes are known, in the order of length and symbol. The
//! tables are computed from these lengths when this is compiled.
//!
//! The decoder looks at [`LOOK_BITS`] bits at once, which nearly always hold two whole symbols: letters and digits take five
//! to seven bits. Codes longer than that, of symbols that hardly occur in fields, are found by comparing with the first code
//! of each length.

/// Bits of a code by symbol; the last is EOS. RFC 7541, Appendix B
const LENGTHS: [u8; SYMBOLS] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, //
    28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28, //
    6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, //
    5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10, //
    13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, //
    7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6, //
    15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, //
    6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28, //
    20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23, //
    24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24, //
    22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, //
    21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23, //
    26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, //
    19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27, //
    20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23, //
    26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26, //
    30,
];

const SYMBOLS: usize = 257;
const EOS: u16 = 256;
const LENGTH_MAX: usize = 30;
/// Bits that the decoder looks at in one step.
const LOOK_BITS: u32 = 12;

/// The code of each byte and its length in bits.
const CODES: [(u32, u32); 256] = {
    let canonical = canonical();
    let mut codes = [(0, 0); 256];
    let mut symbol = 0;
    while symbol < 256 {
        codes[symbol] = (canonical.codes[symbol], LENGTHS[symbol] as u32);
        symbol += 1;
    }
    codes
};

/// Where the codes of each length begin.
const RANGES: [Range; LENGTH_MAX + 1] = canonical().ranges;
/// All symbols in the order of their codes.
const ORDER: [u16; SYMBOLS] = canonical().order;

/// What the next bits begin with.
const STEPS: [Step; 1 << LOOK_BITS] = steps();

/// The symbols that some bits begin with. Of two bytes and two numbers, so that it is loaded as one word.
#[derive(Clone, Copy)]
struct Step {
    symbols: [u8; 2],
    /// Bits of all of them.
    bits: u8,
    /// How many: 0 if the first code is longer than the bits.
    count: u8,
}

/// The codes of one length.
#[derive(Clone, Copy)]
struct Range {
    /// The first of them.
    code: u32,
    /// Place of its symbol in [`ORDER`].
    place: usize,
    count: u32,
}

struct Canonical {
    codes: [u32; SYMBOLS],
    ranges: [Range; LENGTH_MAX + 1],
    order: [u16; SYMBOLS],
}

const fn canonical() -> Canonical {
    let mut codes = [0; SYMBOLS];
    let mut ranges = [Range { code: 0, place: 0, count: 0 }; LENGTH_MAX + 1];
    let mut order = [0; SYMBOLS];
    let (mut code, mut place, mut length) = (0, 0, 1);
    while length <= LENGTH_MAX {
        code <<= 1;
        ranges[length] = Range { code, place, count: 0 };
        let mut symbol = 0;
        while symbol < SYMBOLS {
            if LENGTHS[symbol] as usize == length {
                codes[symbol] = code;
                order[place] = symbol as u16;
                ranges[length].count += 1;
                code += 1;
                place += 1;
            }
            symbol += 1;
        }
        length += 1;
    }
    // A code is complete if the last is all ones: no bits are without a meaning then, and EOS is the last.
    assert!(code == 1 << LENGTH_MAX && order[SYMBOLS - 1] == EOS, "a length is wrong");
    Canonical { codes, ranges, order }
}

const fn steps() -> [Step; 1 << LOOK_BITS] {
    let mut steps = [Step { symbols: [0; 2], bits: 0, count: 0 }; 1 << LOOK_BITS];
    let mut symbol = 0;
    while symbol < 256 {
        let (code, length) = CODES[symbol];
        if length <= LOOK_BITS {
            let rest = LOOK_BITS - length;
            let mut bits = 0;
            while bits < 1 << rest {
                let step = &mut steps[(code << rest | bits) as usize];
                *step = Step { symbols: [symbol as u8, 0], bits: length as u8, count: 1 };
                bits += 1;
            }
        }
        symbol += 1;
    }
    let firsts = steps;
    let mut bits = 0;
    while bits < firsts.len() {
        let first = firsts[bits];
        if first.count == 1 {
            let second = firsts[bits << first.bits & ((1 << LOOK_BITS) - 1)];
            if second.count == 1 && (first.bits + second.bits) as u32 <= LOOK_BITS {
                steps[bits].symbols[1] = second.symbols[0];
                steps[bits].bits += second.bits;
                steps[bits].count = 2;
            }
        }
        bits += 1;
    }
    steps
}

/// Bytes that [`decode`] wants room for: the shortest code has five bits, and it writes two bytes at a time.
#[inline]
pub(super) const fn decoded_len_max(encoded_len: usize) -> usize {
    encoded_len * 8 / 5 + 2
}

/// Decodes `encoded` to the start of `out`, which has room for [`decoded_len_max`]. Tells how many bytes came out, or `None`
/// for what is not in the code: an EOS, or an end that is not less than eight bits of EOS. RFC 7541 §5.2
pub(super) fn decode(encoded: &[u8], out: &mut [u8]) -> Option<usize> {
    let mut rest = encoded;
    let mut at = 0;
    // The bits that come next stand highest; below them are bits that will come, or zeros.
    let mut window = 0u64;
    let mut bits = 0u32;
    loop {
        if let Some(word) = rest.first_chunk() {
            window |= u64::from_be_bytes(*word) >> bits;
            let bytes = (63 - bits) / 8;
            rest = &rest[bytes as usize..];
            bits += 8 * bytes;
        } else {
            while let Some((&byte, behind)) = rest.split_first().filter(|_| bits <= 56) {
                window |= u64::from(byte) << (56 - bits);
                bits += 8;
                rest = behind;
            }
        }
        if bits < LOOK_BITS {
            break;
        }
        loop {
            let step = STEPS[(window >> (64 - LOOK_BITS)) as usize];
            let taken = if step.count == 0 {
                let (symbol, length) = long_code(window)?;
                out[at] = symbol;
                at += 1;
                length
            } else {
                *out[at..].first_chunk_mut()? = step.symbols;
                at += usize::from(step.count);
                u32::from(step.bits)
            };
            bits = bits.checked_sub(taken)?;
            window <<= taken;
            if bits < LENGTH_MAX as u32 {
                break;
            }
        }
    }
    // Behind the last bits stand ones, so that they are a code only if one is complete.
    window &= !(u64::MAX >> bits);
    loop {
        let step = STEPS[((window | u64::MAX >> bits) >> (64 - LOOK_BITS)) as usize];
        let symbol = step.symbols[0];
        let length = u32::from(LENGTHS[usize::from(symbol)]);
        if step.count == 0 || length > bits {
            break;
        }
        out[at] = symbol;
        at += 1;
        window <<= length;
        bits -= length;
    }
    let is_padding = bits < 8 && window | u64::MAX >> bits == u64::MAX;
    is_padding.then_some(at)
}

/// The first code of `window`, which has more than [`LOOK_BITS`] bits.
#[cold]
fn long_code(window: u64) -> Option<(u8, u32)> {
    for length in LOOK_BITS + 1..=LENGTH_MAX as u32 {
        let range = RANGES[length as usize];
        let behind = ((window >> (64 - length)) as u32).wrapping_sub(range.code);
        if behind < range.count {
            let symbol = ORDER[range.place + behind as usize];
            return u8::try_from(symbol).ok().map(|symbol| (symbol, length));
        }
    }
    unreachable!("the code is complete")
}

/// Bytes that `text` takes when it is encoded.
#[inline]
pub(super) fn encoded_len(text: &[u8]) -> usize {
    let bits: usize = text.iter().map(|&byte| usize::from(LENGTHS[usize::from(byte)])).sum();
    bits.div_ceil(8)
}

/// Appends `text`, encoded.
pub(super) fn encode(text: &[u8], out: &mut Vec<u8>) {
    // The bits that were not written yet stand lowest.
    let mut window = 0u64;
    let mut bits = 0;
    for &byte in text {
        let (code, length) = CODES[usize::from(byte)];
        window = window << length | u64::from(code);
        bits += length;
        if bits >= 32 {
            bits -= 32;
            out.extend_from_slice(&((window >> bits) as u32).to_be_bytes());
        }
    }
    while bits >= 8 {
        bits -= 8;
        out.push((window >> bits) as u8);
    }
    if bits > 0 {
        // RFC 7541 §5.2: the last byte ends in the first bits of EOS.
        out.push((window << (8 - bits)) as u8 | 0xff >> bits);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(encoded: &[u8]) -> Option<Vec<u8>> {
        let mut out = vec![0; decoded_len_max(encoded.len())];
        let len = decode(encoded, &mut out)?;
        out.truncate(len);
        Some(out)
    }

    /// Appends the low `length` bits of `code`.
    fn push_bits(bits: &mut Vec<bool>, code: u32, length: u32) {
        bits.extend((0..length).rev().map(|at| code >> at & 1 == 1));
    }

    fn bytes(bits: &[bool]) -> Vec<u8> {
        let byte = |eight: &[bool]| (0..8).fold(0, |byte, at| byte << 1 | u8::from(*eight.get(at).unwrap_or(&true)));
        bits.chunks(8).map(byte).collect()
    }

    /// Some codes as the RFC lists them, of every part of the table.
    #[test]
    fn codes_are_those_of_appendix_b() {
        let rows: [(u8, u32, u32); 12] = [
            (0, 0x1ff8, 13),
            (1, 0x7fffd8, 23),
            (b'\n', 0x3ffffffc, 30),
            (b' ', 0x14, 6),
            (b'0', 0x0, 5),
            (b'a', 0x3, 5),
            (b'Z', 0xfd, 8),
            (b'\\', 0x7fff0, 19),
            (b'|', 0x7fc, 11),
            (128, 0xfffe6, 20),
            (199, 0x1ffffec, 25),
            (255, 0x3ffffee, 26),
        ];
        for (symbol, code, length) in rows {
            assert_eq!(CODES[usize::from(symbol)], (code, length), "{symbol}");
        }
    }

    #[test]
    fn every_pair_of_bytes_comes_back_behind_every_offset() {
        for first in 0..=255 {
            for second in 0..=255 {
                for lead in 0..4 {
                    let text = [&b"e0:Z"[..lead], &[first, second]].concat();
                    let mut encoded = Vec::new();
                    encode(&text, &mut encoded);
                    assert_eq!(encoded.len(), encoded_len(&text));
                    assert_eq!(decoded(&encoded), Some(text));
                }
            }
        }
    }

    #[test]
    fn padding_is_less_than_a_byte_of_ones() {
        for text in ["", "a", "aa", "aaa", "aaaa", "0Z", "|", "~\n"] {
            let mut bits = Vec::new();
            for byte in text.bytes() {
                let (code, length) = CODES[usize::from(byte)];
                push_bits(&mut bits, code, length);
            }
            let whole = bytes(&bits);
            assert_eq!(decoded(&whole).as_deref(), Some(text.as_bytes()), "{text:?}");
            for ones in 1..=4 {
                assert_eq!(decoded(&[&whole[..], &vec![0xff; ones]].concat()), None, "{text:?}: a byte too many");
            }
            for at in bits.len()..8 * whole.len() {
                let mut other = bits.clone();
                other.resize(8 * whole.len(), true);
                other[at] = false;
                // The zero may begin a symbol of its own, but it is never overlooked.
                assert_ne!(decoded(&bytes(&other)).as_deref(), Some(text.as_bytes()), "{text:?}: bit {at}");
            }
        }
    }

    #[test]
    fn eos_is_refused_wherever_it_stands() {
        for before in 0..8 {
            for after in 0..8 {
                let mut bits = Vec::new();
                for _ in 0..before {
                    push_bits(&mut bits, CODES[usize::from(b'a')].0, 5);
                }
                push_bits(&mut bits, 0x3fff_ffff, 30);
                for _ in 0..after {
                    push_bits(&mut bits, CODES[usize::from(b'a')].0, 5);
                }
                assert_eq!(decoded(&bytes(&bits)), None);
            }
        }
    }
}
