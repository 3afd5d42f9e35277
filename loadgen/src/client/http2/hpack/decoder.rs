//! Header blocks of the server's.

use super::{BadBlock, TABLE_BYTES, huffman, table::Dynamic};

/// Bytes of a head, each field's name and value and 32 more. RFC 9113 §6.5.2
const LIST_BYTES_MAX: usize = 256 << 10;

/// One connection's memory of the server's fields.
#[derive(Debug)]
pub(in crate::client::http2) struct Decoder {
    table: Dynamic,
    name: Vec<u8>,
    value: Vec<u8>,
    /// Whether the last block has changed the table: only one that has not means the same when it comes again.
    has_changed: bool,
}

impl Decoder {
    pub(in crate::client::http2) fn new() -> Self {
        Self { table: Dynamic::new(), name: Vec::new(), value: Vec::new(), has_changed: false }
    }

    /// Whether the block that was decoded last left the table as it was.
    pub(in crate::client::http2) fn is_unchanged(&self) -> bool {
        !self.has_changed
    }

    /// Hands the fields of a block to `field`, in order.
    pub(in crate::client::http2) fn decode(
        &mut self,
        block: &[u8],
        mut field: impl FnMut(&[u8], &[u8]),
    ) -> Result<(), BadBlock> {
        let mut input = Input(block);
        let mut list_bytes = 0;
        let mut may_resize = true;
        self.has_changed = false;
        while let Some(first) = input.0.first().copied() {
            // RFC 7541 §6
            if first & 0x80 != 0 {
                let (name, value) = self.table.field(input.number(7)?).ok_or(BadBlock::Index)?;
                list_bytes += name.len() + value.len() + 32;
                field(name, value);
            } else if first & 0xe0 == 0x20 {
                let bytes = input.number(5)?;
                // Only before the first field. RFC 7541 §4.2
                if bytes > TABLE_BYTES || !may_resize {
                    return Err(BadBlock::TableSize);
                }
                self.table.resize(bytes);
                self.has_changed = true;
                continue;
            } else {
                let is_kept = first & 0x40 != 0;
                let index = input.number(if is_kept { 6 } else { 4 })?;
                self.name.clear();
                if index == 0 {
                    input.string(&mut self.name)?;
                } else {
                    let (name, _) = self.table.field(index).ok_or(BadBlock::Index)?;
                    self.name.extend_from_slice(name);
                }
                self.value.clear();
                input.string(&mut self.value)?;
                if is_kept {
                    self.table.insert(&self.name, &self.value);
                    self.has_changed = true;
                }
                list_bytes += self.name.len() + self.value.len() + 32;
                field(&self.name, &self.value);
            }
            may_resize = false;
            if list_bytes > LIST_BYTES_MAX {
                return Err(BadBlock::TooLarge);
            }
        }
        Ok(())
    }
}

/// What is left of a block.
struct Input<'a>(&'a [u8]);

impl Input<'_> {
    /// A number whose first `bits` bits stand in the first byte. RFC 7541 §5.1
    fn number(&mut self, bits: u32) -> Result<usize, BadBlock> {
        let mask = (1_usize << bits) - 1;
        let mut number = usize::from(self.byte()?) & mask;
        if number < mask {
            return Ok(number);
        }
        for shift in [0, 7, 14, 21] {
            let byte = usize::from(self.byte()?);
            number += (byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err(BadBlock::Number)
    }

    /// RFC 7541 §5.2
    fn string(&mut self, output: &mut Vec<u8>) -> Result<(), BadBlock> {
        let is_huffman = self.0.first().is_some_and(|first| first & 0x80 != 0);
        let length = self.number(7)?;
        let (string, rest) = self.0.split_at_checked(length).ok_or(BadBlock::Short)?;
        self.0 = rest;
        if is_huffman {
            return huffman::decode(string, output).ok_or(BadBlock::Huffman);
        }
        output.extend_from_slice(string);
        Ok(())
    }

    fn byte(&mut self) -> Result<u8, BadBlock> {
        let (first, rest) = self.0.split_first().ok_or(BadBlock::Short)?;
        self.0 = rest;
        Ok(*first)
    }
}
