//! HPACK, the compression of header fields in HTTP/2. RFC 7541
//!
//! Each direction of a connection has one [`Encoder`] and one [`Decoder`], which keep a table of recent fields in step with
//! each other, so that a field that came before is sent as a number of one byte or two. Inside, from the bottom up:
//!
//! - `integer`: numbers that begin within a byte, and the bytes that are read (§5.1);
//! - `huffman`: strings in the code of Appendix B (§5.2);
//! - `name`: names as the table keeps them, judged once when they are spelt out and never again;
//! - `static_table` and `dynamic_table`: what the numbers stand for (§2.3);
//! - `decode` and `encode`: the two ends (§3, §6).
//!
//! A peer can make a decoder do more work than it sends bytes: one byte names a field of four thousand. So nothing is copied
//! here on behalf of a field that is merely named; what becomes of it is for the [`FieldSink`] to decide, which also says when
//! it has had enough. Nothing is allocated for a field either, once the table has grown to its size.

mod decode;
mod dynamic_table;
mod encode;
mod huffman;
mod integer;
mod name;
mod static_table;

pub use decode::{Decoder, FieldSink, HeaderField};
pub use encode::{Encoder, Spelling};
pub use name::{Name, Pseudo};

use thiserror::Error;

/// Bytes of the dynamic table as long as nothing else was said: the initial value of SETTINGS_HEADER_TABLE_SIZE. RFC 9113 §6.5.2
pub const TABLE_BYTES_DEFAULT: u32 = 4096;

/// Why a block cannot be decoded. The tables of the two ends are no longer in step then, and the connection ends with
/// COMPRESSION_ERROR. RFC 9113 §4.3
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum HpackError {
    /// The block ends within a field.
    #[error("header block is cut short")]
    Truncated,
    /// A number above what any block can mean. RFC 7541 §5.1
    #[error("integer in a header block is too large")]
    IntegerTooLarge,
    /// A string that is not in the Huffman code, or that ends in more or other bits than its padding may have. RFC 7541 §5.2
    #[error("invalid Huffman code in a header block")]
    Huffman,
    /// Index 0, or one beyond both tables. RFC 7541 §2.3.3
    #[error("index {index} in a header block is in neither table")]
    Index {
        /// The index.
        index: u32,
    },
    /// A size of the dynamic table above the limit. RFC 7541 §6.3
    #[error("dynamic table of {bytes} bytes is above the limit")]
    TableSize {
        /// The size that was asked for.
        bytes: u32,
    },
    /// A size update behind the first field of a block. RFC 7541 §4.2
    #[error("size update within a header block")]
    TableSizeLate,
    /// The limit was lowered, and the block does not begin with the size update that has to answer this. RFC 9113 §4.3.1
    #[error("header block without the size update that is due")]
    TableSizeMissing,
    /// The sink wanted no more: this is not the peer's mistake in the compression, but more than anyone is served.
    #[error("header block is more work than is allowed")]
    Abandoned,
}
