//! Values as text that cannot break its line: numbers without `core::fmt`, and bytes of peers, escaped.

/// All numbers of two digits.
const PAIRS: [[u8; 2]; 100] = {
    let mut pairs = [[0; 2]; 100];
    let mut number = 0;
    while number < 100 {
        pairs[number] = [b'0' + (number / 10) as u8, b'0' + (number % 10) as u8];
        number += 1;
    }
    pairs
};

const HEXADECIMAL: &[u8; 16] = b"0123456789abcdef";

/// Writes a whole number.
pub(super) fn write_number(out: &mut Vec<u8>, mut number: u64) {
    let mut digits = [0; 20];
    let mut start = digits.len();
    while number >= 100 {
        start -= 2;
        digits[start..start + 2].copy_from_slice(&PAIRS[(number % 100) as usize]);
        number /= 100;
    }
    if number >= 10 {
        start -= 2;
        digits[start..start + 2].copy_from_slice(&PAIRS[number as usize]);
    } else {
        start -= 1;
        digits[start] = b'0' + number as u8;
    }
    out.extend_from_slice(&digits[start..]);
}

/// The digits of a number that has at most `WIDTH`, with zeros before them.
pub(super) fn padded<const WIDTH: usize>(mut number: u64) -> [u8; WIDTH] {
    let mut digits = [b'0'; WIDTH];
    let mut pairs = digits.rchunks_exact_mut(2);
    for pair in &mut pairs {
        pair.copy_from_slice(&PAIRS[(number % 100) as usize]);
        number /= 100;
    }
    if let [digit] = pairs.into_remainder() {
        *digit = b'0' + (number % 10) as u8;
    }
    digits
}

/// Writes a number of microseconds with so many of its digits behind the point: 3 for milliseconds, 6 for seconds.
pub(super) fn write_decimals<const DECIMALS: usize>(out: &mut Vec<u8>, micros: u64) {
    let unit = 10_u64.pow(DECIMALS as u32);
    write_number(out, micros / unit);
    out.push(b'.');
    out.extend_from_slice(&padded::<DECIMALS>(micros % unit));
}

/// Writes bytes as the inside of a JSON string: what is not printable ASCII becomes `\u00XX`, byte by byte, so that a log
/// reader sees exactly which bytes came.
pub(super) fn write_json(out: &mut Vec<u8>, bytes: &[u8]) {
    if is_plain(bytes) {
        return out.extend_from_slice(bytes);
    }
    for &byte in bytes {
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
            0x20..0x7f => out.push(byte),
            _ => write_hexadecimal(out, b"\\u00", byte),
        }
    }
}

/// Writes bytes as Apache's httpd does (`ap_escape_logitem`).
pub(super) fn write_apache(out: &mut Vec<u8>, bytes: &[u8]) {
    if is_plain(bytes) {
        return out.extend_from_slice(bytes);
    }
    for &byte in bytes {
        let letter = match byte {
            b'"' | b'\\' => byte,
            0x08 => b'b',
            b'\n' => b'n',
            b'\r' => b'r',
            b'\t' => b't',
            0x0b => b'v',
            0x20..0x7f => {
                out.push(byte);
                continue;
            }
            _ => {
                write_hexadecimal(out, b"\\x", byte);
                continue;
            }
        };
        out.extend_from_slice(&[b'\\', letter]);
    }
}

fn write_hexadecimal(out: &mut Vec<u8>, before: &[u8], byte: u8) {
    out.extend_from_slice(before);
    out.extend_from_slice(&[HEXADECIMAL[usize::from(byte >> 4)], HEXADECIMAL[usize::from(byte & 15)]]);
}

/// Whether all bytes are printable ASCII without quotes and backslashes, as nearly all values are. Eight bytes at a time: adding
/// to seven bits cannot carry into the neighbour, and the eighth bit then tells on which side of a bound a byte lies.
fn is_plain(bytes: &[u8]) -> bool {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x80 * ONES;
    /// Spaces above a byte.
    const SPACES: u64 = 0x2020_2020_2020_2000;
    const fn odd(word: u64) -> u64 {
        let seven_bits = word & !HIGH;
        let below_space = !(seven_bits + 0x60 * ONES);
        let delete = seven_bits + ONES;
        let quote = !((seven_bits ^ (b'"' as u64 * ONES)) + 0x7f * ONES);
        let backslash = !((seven_bits ^ (b'\\' as u64 * ONES)) + 0x7f * ONES);
        (word | below_space | delete | quote | backslash) & HIGH
    }
    // The last word overlaps the one before it. Values that are shorter than a word are taken byte by byte, with spaces.
    let Some(last) = bytes.last_chunk::<8>() else {
        return bytes.iter().fold(0, |found, byte| found | odd(u64::from(*byte) | SPACES)) == 0;
    };
    let (words, _) = bytes.as_chunks::<8>();
    words.iter().chain([last]).fold(0, |found, word| found | odd(u64::from_le_bytes(*word))) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn numbers_are_written_as_everywhere() {
        for number in (0..20).flat_map(|shift| [10_u64.pow(shift) - 1, 10_u64.pow(shift), 10_u64.pow(shift) / 7]) {
            assert_eq!(text(|out| write_number(out, number)), number.to_string());
        }
        assert_eq!(text(|out| write_number(out, u64::MAX)), u64::MAX.to_string());
        assert_eq!(&padded::<6>(1_203), b"001203");
        assert_eq!(text(|out| write_decimals::<3>(out, 1_203)), "1.203");
        assert_eq!(text(|out| write_decimals::<6>(out, 12_000_003)), "12.000003");
    }

    #[test]
    fn plain_is_what_needs_no_escape_at_any_place() {
        for byte in 0..=255 {
            let plain = (0x20..0x7f).contains(&byte) && byte != b'"' && byte != b'\\';
            for (length, place) in [(1, 0), (7, 6), (8, 0), (8, 7), (13, 3), (13, 12), (24, 16)] {
                let mut bytes = vec![b'x'; length];
                bytes[place] = byte;
                assert_eq!(is_plain(&bytes), plain, "{byte:#x} at {place} of {length}");
            }
        }
        assert!(is_plain(b""));
    }

    #[test]
    fn no_byte_gets_out_of_its_value() {
        let all: Vec<u8> = (0..=255).collect();
        let (json, apache) = (text(|out| write_json(out, &all)), text(|out| write_apache(out, &all)));
        for escaped in [&json, &apache] {
            assert!(escaped.bytes().all(|byte| (0x20..0x7f).contains(&byte)), "{escaped}");
            assert_eq!(escaped.match_indices('"').filter(|(at, _)| !escaped[..*at].ends_with('\\')).count(), 0);
        }
        assert!(
            json.starts_with(r"\u0000\u0001") && json.contains("!\\\"#") && json.ends_with(r"\u00fe\u00ff"),
            "{json}"
        );
        assert!(apache.starts_with(r"\x00\x01") && apache.contains(r"\b\t\n\v\x0c\r\x0e"), "{apache}");
        assert!(apache.contains("!\\\"#") && apache.contains(r"[\\]") && apache.ends_with(r"\xfe\xff"), "{apache}");
    }
}
