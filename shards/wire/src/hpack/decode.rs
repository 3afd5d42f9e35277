//! The receiving end: blocks become fields. RFC 7541 §3 and §6

use std::ops::ControlFlow;

use super::dynamic_table::{DynamicTable, NewName, TableField};
use super::integer::Input;
use super::name::Name;
use super::static_table::StaticField;
use super::{HpackError, huffman, static_table};
use crate::octet::{is_value, is_white_space};

/// Bytes of decoded strings for which memory is kept from one block to the next.
const SCRATCH_BYTES_KEPT: usize = 8 << 10;

/// A field of a block, in the order in which it stands there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeaderField<'a> {
    /// The name as it was sent.
    pub name: &'a [u8],
    /// The value as it was sent.
    pub value: &'a [u8],
    /// What the name is.
    pub key: Name,
    /// Whether the value has no control character, and no white space around it. RFC 9113 §8.2.1
    pub clean: bool,
    /// Whether the sender wants it in no table, here or further on. RFC 7541 §6.2.3
    pub never_indexed: bool,
}

impl HeaderField<'_> {
    /// What the field counts for in a list of fields. RFC 9113 §6.5.2
    #[inline]
    #[must_use]
    pub fn list_bytes(&self) -> u64 {
        (self.name.len() + self.value.len() + 32) as u64
    }
}

/// Where the fields of a block go.
pub trait FieldSink {
    /// Takes a field. `Break` ends the decoding, and with it the connection: the rest of the block is never read.
    fn field(&mut self, field: HeaderField<'_>) -> ControlFlow<()>;
}

impl<F: FnMut(HeaderField<'_>) -> ControlFlow<()>> FieldSink for F {
    fn field(&mut self, field: HeaderField<'_>) -> ControlFlow<()> {
        self(field)
    }
}

/// The receiving end of one direction of a connection.
#[derive(Debug, Clone)]
pub struct Decoder {
    table: DynamicTable,
    /// What the peer may make of the table: our SETTINGS_HEADER_TABLE_SIZE, once it was acknowledged.
    table_bytes_max: u32,
    /// The limit was lowered below what the table may have: the next block begins with a size update.
    update_due: bool,
    /// Strings that were in the Huffman code. Its length is memory that is there, and says nothing.
    scratch: Vec<u8>,
}

/// A string of a literal field: in the block, or decoded into so many bytes of the scratch behind the place.
#[derive(Clone, Copy)]
enum Text<'a> {
    Plain(&'a [u8]),
    Decoded { start: usize, len: usize },
}

impl<'a> Text<'a> {
    #[inline]
    fn of(self, scratch: &'a [u8]) -> &'a [u8] {
        match self {
            Text::Plain(text) => text,
            Text::Decoded { start, len } => &scratch[start..start + len],
        }
    }
}

impl Decoder {
    /// A decoder whose table has at most so many bytes, as the peer may take for granted (4096), or as was said to it before
    /// its first block.
    #[must_use]
    pub fn new(table_bytes_max: u32) -> Decoder {
        Decoder { table: DynamicTable::new(table_bytes_max), table_bytes_max, update_due: false, scratch: Vec::new() }
    }

    /// The peer has acknowledged another limit of the table. RFC 9113 §4.3.1
    pub fn set_table_bytes_max(&mut self, table_bytes_max: u32) {
        self.table_bytes_max = table_bytes_max;
        self.update_due = self.table.bytes_max() > table_bytes_max as usize;
    }

    /// Decodes a whole block. Each field is given to `sink`; what the fields mean is not judged here, so that a message which is
    /// refused leaves the tables in step.
    ///
    /// # Errors
    /// If the block is malformed, or `sink` breaks off. The connection has to be closed.
    pub fn decode(&mut self, block: &[u8], sink: &mut impl FieldSink) -> Result<(), HpackError> {
        let mut input = Input(block);
        self.update_size(&mut input)?;
        while let Some(first) = input.peek() {
            let flow = match first {
                0x80.. => self.indexed(&mut input, sink)?,
                0x40.. => self.literal::<6>(&mut input, false, sink)?,
                0x20.. => return Err(HpackError::TableSizeLate),
                _ => self.literal::<4>(&mut input, first & 0x10 != 0, sink)?,
            };
            if flow.is_break() {
                return Err(HpackError::Abandoned);
            }
        }
        if self.scratch.len() > SCRATCH_BYTES_KEPT {
            self.scratch = Vec::new();
        }
        Ok(())
    }

    /// Size updates, which stand at the beginning only. RFC 7541 §4.2 and §6.3
    #[inline]
    fn update_size(&mut self, input: &mut Input<'_>) -> Result<(), HpackError> {
        while let Some(0x20..0x40) = input.peek() {
            let bytes = input.integer(5)?;
            if bytes > self.table_bytes_max {
                return Err(HpackError::TableSize { bytes });
            }
            self.table.resize(bytes);
            self.update_due = false;
        }
        if self.update_due { Err(HpackError::TableSizeMissing) } else { Ok(()) }
    }

    /// A field by its index. RFC 7541 §6.1
    #[inline]
    fn indexed(&mut self, input: &mut Input<'_>, sink: &mut impl FieldSink) -> Result<ControlFlow<()>, HpackError> {
        let index = input.integer(7)?;
        Ok(sink.field(self.field(index)?))
    }

    /// A field whose value is spelt out, and its name too if it has no index. With a prefix of six bits it is added to the table,
    /// with one of four it is not. RFC 7541 §6.2
    #[inline]
    fn literal<const PREFIX_BITS: u32>(
        &mut self,
        input: &mut Input<'_>,
        never_indexed: bool,
        sink: &mut impl FieldSink,
    ) -> Result<ControlFlow<()>, HpackError> {
        let index = input.integer(PREFIX_BITS)?;
        let mut used = 0;
        let spelt = match index {
            0 => Some(text(input, &mut self.scratch, &mut used)?),
            _ => None,
        };
        let value = text(input, &mut self.scratch, &mut used)?.of(&self.scratch);
        let clean = is_clean(value);
        let (name, key) = match spelt {
            Some(spelt) => {
                let name = spelt.of(&self.scratch);
                (name, Name::of(name))
            }
            None => named(&self.table, index)?,
        };
        let flow = sink.field(HeaderField { name, value, key, clean, never_indexed });
        if PREFIX_BITS == 6 {
            let name = match (spelt, entry_place(index)) {
                (Some(spelt), _) => NewName::Spelt(spelt.of(&self.scratch)),
                (None, Some(place)) => NewName::OfEntry(place),
                (None, None) => NewName::Spelt(static_field(index)?.name.as_bytes()),
            };
            self.table.insert(name, value, key, clean);
        }
        Ok(flow)
    }

    #[inline]
    fn field(&self, index: u32) -> Result<HeaderField<'_>, HpackError> {
        if let Some(place) = entry_place(index) {
            let field = self.table.field(place).ok_or(HpackError::Index { index })?;
            let TableField { name, value, key, clean } = field;
            return Ok(HeaderField { name, value, key, clean, never_indexed: false });
        }
        let field = static_field(index)?;
        let (name, value) = (field.name.as_bytes(), field.value.as_bytes());
        Ok(HeaderField { name, value, key: field.key, clean: true, never_indexed: false })
    }
}

#[inline]
fn static_field(index: u32) -> Result<&'static StaticField, HpackError> {
    static_table::field(index).ok_or(HpackError::Index { index })
}

/// The name of that index.
#[inline]
fn named(table: &DynamicTable, index: u32) -> Result<(&[u8], Name), HpackError> {
    if let Some(place) = entry_place(index) {
        let field = table.field(place).ok_or(HpackError::Index { index })?;
        return Ok((field.name, field.key));
    }
    let field = static_field(index)?;
    Ok((field.name.as_bytes(), field.key))
}

/// Where in the dynamic table an index points, the newest entry being 0; `None` if it points into the static one. RFC 7541 §2.3.3
#[inline]
fn entry_place(index: u32) -> Option<usize> {
    index.checked_sub(static_table::LEN + 1).map(|place| place as usize)
}

/// A string. RFC 7541 §5.2
#[inline]
fn text<'a>(input: &mut Input<'a>, scratch: &mut Vec<u8>, used: &mut usize) -> Result<Text<'a>, HpackError> {
    let is_encoded = input.peek().is_some_and(|byte| byte & 0x80 != 0);
    let len = input.integer(7)?;
    let bytes = input.take(len)?;
    if !is_encoded {
        return Ok(Text::Plain(bytes));
    }
    let start = *used;
    let end_max = start + huffman::decoded_len_max(bytes.len());
    if scratch.len() < end_max {
        scratch.resize(end_max, 0);
    }
    let len = huffman::decode(bytes, &mut scratch[start..]).ok_or(HpackError::Huffman)?;
    *used += len;
    Ok(Text::Decoded { start, len })
}

/// Whether a value is one that HTTP/2 allows. RFC 9113 §8.2.1 forbids less; RFC 9110 §5.5 forbids all control characters.
#[inline]
fn is_clean(value: &[u8]) -> bool {
    let bare = |byte: Option<&u8>| byte.is_none_or(|&byte| !is_white_space(byte));
    is_value(value) && bare(value.first()) && bare(value.last())
}
