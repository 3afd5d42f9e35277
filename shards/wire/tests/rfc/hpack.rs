//! What the tests of HPACK and of HTTP/2's heads share: blocks made and taken apart by hand.

use std::ops::ControlFlow;

use wire::hpack::{Decoder, HeaderField, HpackError};

/// A name and a value.
pub(crate) type Pair = (String, String);

/// The fields of a block.
pub(crate) fn decode_all(decoder: &mut Decoder, block: &[u8]) -> Result<Vec<Pair>, HpackError> {
    let mut fields = Vec::new();
    let text = |bytes: &[u8]| bytes.iter().map(|&byte| char::from(byte)).collect();
    decoder.decode(block, &mut |field: HeaderField<'_>| {
        fields.push((text(field.name), text(field.value)));
        ControlFlow::Continue(())
    })?;
    Ok(fields)
}

/// The decoder's table, newest first: what the indexes behind the static table name.
pub(crate) fn probe(decoder: &Decoder) -> Vec<Pair> {
    let entry = |index| decode_all(&mut decoder.clone(), &indexed(index)).ok();
    (62..).map_while(entry).flatten().collect()
}

/// A field by its index. RFC 7541 §6.1
pub(crate) fn indexed(index: u32) -> Vec<u8> {
    integer(index, 7, 0x80)
}

/// A literal that is not added to the table, in plain text. RFC 7541 §6.2.2
pub(crate) fn literal(name: &str, value: &str) -> Vec<u8> {
    [vec![0], string(name), string(value)].concat()
}

/// A literal that is added to the table. RFC 7541 §6.2.1
pub(crate) fn added(name: &str, value: &str) -> Vec<u8> {
    [vec![0x40], string(name), string(value)].concat()
}

/// A literal that nobody may index. RFC 7541 §6.2.3
pub(crate) fn never_indexed(name: &str, value: &str) -> Vec<u8> {
    [vec![0x10], string(name), string(value)].concat()
}

/// A size update. RFC 7541 §6.3
pub(crate) fn size_update(bytes: u32) -> Vec<u8> {
    integer(bytes, 5, 0x20)
}

/// Literals one behind the other.
pub(crate) fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    fields.iter().flat_map(|(name, value)| literal(name, value)).collect()
}

fn string(text: &str) -> Vec<u8> {
    // Each character below 256 is a byte, so that tables can say what is no UTF-8.
    let bytes: Vec<u8> = text.chars().map(|char| u8::try_from(char).unwrap()).collect();
    [integer(bytes.len() as u32, 7, 0), bytes].concat()
}

/// RFC 7541 §5.1, as the RFC writes it down.
pub(crate) fn integer(value: u32, prefix_bits: u32, pattern: u8) -> Vec<u8> {
    let max = (1 << prefix_bits) - 1;
    if value < max {
        return vec![pattern | value as u8];
    }
    let mut bytes = vec![pattern | max as u8];
    let mut rest = value - max;
    while rest >= 128 {
        bytes.push((rest % 128 + 128) as u8);
        rest /= 128;
    }
    bytes.push(rest as u8);
    bytes
}
