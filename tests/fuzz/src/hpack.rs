//! HPACK over a connection: one byte chooses the table's size, then come blocks, each behind a byte that says how long it is, and
//! changes of the limit. A decoder that is written down as the RFC reads, bit by bit and with a table of lists, says what each
//! block means; and what was decoded is encoded and decoded again.

use std::collections::{HashMap, VecDeque};
use std::ops::ControlFlow;
use std::sync::LazyLock;

use wire::FieldName;
use wire::hpack::{Decoder, Encoder, HeaderField, Name};

/// From this byte on a length is a change of the limit.
const RESIZE: u8 = 240;
const SIZES: [u32; 4] = [0, 64, 200, 4096];

type Pair = (Vec<u8>, Vec<u8>);

/// Panics if a property does not hold for `input`.
pub fn check(input: &[u8]) {
    let [choice, rest @ ..] = input else { return };
    let bytes_max = SIZES[usize::from(choice % 4)];
    let mut decoder = Decoder::new(bytes_max);
    let mut plain = Plain { bytes_max, size_max: bytes_max, due: false, table: VecDeque::new() };
    let (mut encoder, mut second) = (Encoder::new(SIZES[usize::from(choice / 4 % 4)]), Decoder::new(4096));
    let mut rest = rest;
    while let [len, behind @ ..] = rest {
        rest = behind;
        if *len >= RESIZE {
            let bytes_max = SIZES[usize::from(len % 4)];
            decoder.set_table_bytes_max(bytes_max);
            plain.due = plain.size_max > bytes_max;
            plain.bytes_max = bytes_max;
            encoder.set_table_bytes_max(bytes_max);
            second.set_table_bytes_max(bytes_max);
            continue;
        }
        let (block, behind) = rest.split_at(usize::from(*len).min(rest.len()));
        rest = behind;
        let mut fields = Vec::new();
        let decoded = decoder.decode(block, &mut |field: HeaderField<'_>| {
            assert_eq!(field.key, Name::of(field.name));
            let is_clean = field.value.iter().all(|&byte| byte == b'\t' || (byte >= b' ' && byte != 0x7f))
                && !field.value.starts_with(b" ")
                && !field.value.starts_with(b"\t")
                && !field.value.ends_with(b" ")
                && !field.value.ends_with(b"\t");
            assert_eq!(field.clean, is_clean);
            fields.push((field.name.to_vec(), field.value.to_vec(), field.never_indexed));
            ControlFlow::Continue(())
        });
        let expected = plain.decode(block);
        assert_eq!(decoded.is_ok(), expected.is_some(), "{decoded:?}");
        let Some(expected) = expected else { return };
        assert_eq!(fields, expected);
        comes_back(&fields, &mut encoder, &mut second);
    }
}

/// What can be encoded is, three times, so that it passes through the table.
fn comes_back(fields: &[(Vec<u8>, Vec<u8>, bool)], encoder: &mut Encoder, second: &mut Decoder) {
    for _ in 0..3 {
        let mut block = Vec::new();
        encoder.begin(&mut block);
        let mut sent: VecDeque<&(Vec<u8>, Vec<u8>, bool)> = VecDeque::new();
        for field in fields {
            let (name, value, never_indexed) = field;
            match Name::of(name) {
                Name::Pseudo(pseudo) => encoder.pseudo(pseudo, value, &mut block),
                Name::Field(FieldName::Other) => encoder.field_named(name, value, *never_indexed, &mut block),
                Name::Field(name) => encoder.field(name, value, *never_indexed, &mut block),
                Name::Invalid => continue,
            }
            sent.push_back(field);
        }
        let decoded = second.decode(&block, &mut |field: HeaderField<'_>| {
            let (name, value, never_indexed) = sent.pop_front().expect("no more than was sent");
            assert_eq!((field.name, field.value), (&name[..], &value[..]));
            assert!(field.never_indexed || !never_indexed || matches!(field.key, Name::Pseudo(_)));
            ControlFlow::Continue(())
        });
        assert!(decoded.is_ok() && sent.is_empty());
    }
}

/// A decoder as the RFC reads.
struct Plain {
    bytes_max: u32,
    size_max: u32,
    due: bool,
    /// Newest first.
    table: VecDeque<Pair>,
}

impl Plain {
    /// The fields of a block, each with whether it is never to be indexed, unless it is malformed.
    fn decode(&mut self, block: &[u8]) -> Option<Vec<(Vec<u8>, Vec<u8>, bool)>> {
        let mut rest = block;
        let mut fields = Vec::new();
        let mut begun = false;
        while let Some(&first) = rest.first() {
            let is_update = first & 0xe0 == 0x20;
            if is_update {
                let size = integer(&mut rest, 5)?;
                if begun || size > self.bytes_max {
                    return None;
                }
                self.size_max = size;
                self.due = false;
                self.shrink();
                continue;
            }
            if self.due {
                return None;
            }
            begun = true;
            if first & 0x80 != 0 {
                let (name, value) = self.pair(integer(&mut rest, 7)?)?;
                fields.push((name, value, false));
                continue;
            }
            let (prefix_bits, adds) = if first & 0x40 != 0 { (6, true) } else { (4, false) };
            let name = match integer(&mut rest, prefix_bits)? {
                0 => string(&mut rest)?,
                index => self.pair(index)?.0,
            };
            let value = string(&mut rest)?;
            if adds {
                self.table.push_front((name.clone(), value.clone()));
                self.shrink();
            }
            fields.push((name, value, !adds && first & 0x10 != 0));
        }
        if self.due { None } else { Some(fields) }
    }

    fn pair(&self, index: u32) -> Option<Pair> {
        match index as usize {
            0 => None,
            index @ 1..=61 => Some(STATIC[index - 1].clone()),
            index => self.table.get(index - 62).cloned(),
        }
    }

    fn shrink(&mut self) {
        let size =
            |table: &VecDeque<Pair>| table.iter().map(|(name, value)| name.len() + value.len() + 32).sum::<usize>();
        while size(&self.table) > self.size_max as usize {
            self.table.pop_back();
        }
    }
}

fn integer(rest: &mut &[u8], prefix_bits: u32) -> Option<u32> {
    let max = (1u64 << prefix_bits) - 1;
    let mut take = || {
        let (&byte, behind) = rest.split_first()?;
        *rest = behind;
        Some(u64::from(byte))
    };
    let mut value = take()? & max;
    if value == max {
        // Four more bytes are as many as are accepted.
        let mut shift = 0;
        loop {
            let byte = take()?;
            value += (byte & 0x7f) << shift;
            shift += 7;
            if byte & 0x80 == 0 {
                break;
            }
            if shift == 28 {
                return None;
            }
        }
    }
    u32::try_from(value).ok()
}

fn string(rest: &mut &[u8]) -> Option<Vec<u8>> {
    let is_encoded = rest.first()? & 0x80 != 0;
    let len = integer(rest, 7)? as usize;
    if len > rest.len() {
        return None;
    }
    let (text, behind) = rest.split_at(len);
    *rest = behind;
    if !is_encoded {
        return Some(text.to_vec());
    }
    let (mut out, mut code, mut bits) = (Vec::new(), 0, 0);
    for bit in text.iter().flat_map(|byte| (0..8).rev().map(move |at| byte >> at & 1)) {
        code = code << 1 | u32::from(bit);
        bits += 1;
        if let Some(&symbol) = CODES.get(&(bits, code)) {
            // EOS is no byte.
            out.push(u8::try_from(symbol).ok()?);
            (code, bits) = (0, 0);
        }
    }
    (bits < 8 && code == (1 << bits) - 1).then_some(out)
}

/// The fields of RFC 7541, Appendix A.
static STATIC: LazyLock<Vec<Pair>> = LazyLock::new(|| {
    let line = |line: &str| {
        let (name, value) = line.split_once(' ').unwrap_or((line, ""));
        (name.as_bytes().to_vec(), value.as_bytes().to_vec())
    };
    STATIC_TABLE.lines().map(line).collect()
});

/// The symbol of each code of RFC 7541, Appendix B, by its length and bits.
static CODES: LazyLock<HashMap<(u32, u32), u16>> = LazyLock::new(|| {
    let lengths: Vec<u32> = LENGTHS.split_ascii_whitespace().map(|length| length.parse().expect("a number")).collect();
    let mut symbols: Vec<usize> = (0..lengths.len()).collect();
    symbols.sort_by_key(|&symbol| (lengths[symbol], symbol));
    let (mut code, mut length, mut codes) = (0, 0, HashMap::new());
    for symbol in symbols {
        code <<= lengths[symbol] - length;
        length = lengths[symbol];
        codes.insert((length, code), symbol as u16);
        code += 1;
    }
    codes
});

const STATIC_TABLE: &str = "\
:authority
:method GET
:method POST
:path /
:path /index.html
:scheme http
:scheme https
:status 200
:status 204
:status 206
:status 304
:status 400
:status 404
:status 500
accept-charset
accept-encoding gzip, deflate
accept-language
accept-ranges
accept
access-control-allow-origin
age
allow
authorization
cache-control
content-disposition
content-encoding
content-language
content-length
content-location
content-range
content-type
cookie
date
etag
expect
expires
from
host
if-match
if-modified-since
if-none-match
if-range
if-unmodified-since
last-modified
link
location
max-forwards
proxy-authenticate
proxy-authorization
range
referer
refresh
retry-after
server
set-cookie
strict-transport-security
transfer-encoding
user-agent
vary
via
www-authenticate";

const LENGTHS: &str = "\
    13 23 28 28 28 28 28 28 28 24 30 28 28 30 28 28 28 28 28 28 28 28 30 28 28 28 28 28 28 28 28 28 \
    6 10 10 12 13 6 8 11 10 10 8 11 8 6 6 6 5 5 5 6 6 6 6 6 6 6 7 8 15 6 12 10 \
    13 6 7 7 7 7 7 7 7 7 7 7 7 7 7 7 7 7 7 7 7 7 7 7 8 7 8 13 19 13 14 6 \
    15 5 6 5 6 5 6 6 6 5 7 7 6 6 6 5 6 7 6 5 5 6 7 7 7 7 7 15 11 14 13 28 \
    20 22 20 20 22 22 22 23 22 23 23 23 23 23 24 23 24 24 22 23 24 23 23 23 23 21 22 23 22 23 23 24 \
    22 21 20 22 22 23 23 21 23 22 22 24 21 22 23 23 21 21 22 21 23 22 23 23 20 22 22 22 23 22 22 23 \
    26 26 20 19 22 23 22 25 26 26 26 27 27 26 24 25 19 21 26 27 27 26 27 24 21 21 26 26 28 27 27 27 \
    20 24 20 21 22 21 21 23 22 22 25 25 24 24 26 23 26 27 26 26 27 27 27 27 27 28 27 27 27 27 27 26 \
    30";
