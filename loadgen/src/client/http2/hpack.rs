//! HPACK: header blocks of the server's are read in full, requests are written from a few fields that never change. RFC 7541

mod decoder;
mod encoder;
mod huffman;
mod table;

pub(super) use decoder::Decoder;
pub(super) use encoder::Encoder;

/// Bytes of a dynamic table where nobody has said another number. RFC 9113 §6.5.2
const TABLE_BYTES: usize = 4096;

/// What an entry takes in the table besides its strings. RFC 7541 §4.1
const ENTRY_OVERHEAD_BYTES: usize = 32;

/// What is wrong with a header block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BadBlock {
    /// It ends within a field.
    Short,
    /// A number beyond what any may be.
    Number,
    /// An index of no entry.
    Index,
    /// A string that is no Huffman code.
    Huffman,
    /// A size of the table above what was allowed, or not at the beginning.
    TableSize,
    /// More than a head may have.
    TooLarge,
}

impl BadBlock {
    pub(super) fn words(self) -> &'static str {
        match self {
            Self::Short => "a header block that ends within a field",
            Self::Number => "a number in a header block beyond its bounds",
            Self::Index => "an index of no field in a header block",
            Self::Huffman => "a string in a header block that is no Huffman code",
            Self::TableSize => "a size of the header table that was not allowed",
            Self::TooLarge => "a header block too large",
        }
    }
}

#[cfg(test)]
mod tests;
