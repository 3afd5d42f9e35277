//! A browser's fields as blocks: for `shards/wire/src/hpack`.

use std::hint::black_box;
use std::ops::ControlFlow;

use wire::FieldName;
use wire::hpack::{Decoder, Encoder, HeaderField, Name, TABLE_BYTES_DEFAULT};

/// The request of [`h1`](super::h1::REQUEST) as HTTP/2 has it.
pub const REQUEST: [(&str, &str); 11] = [
    (":method", "GET"),
    (":scheme", "https"),
    (":authority", "www.example.com"),
    (":path", "/articles/2026/11/on-measuring?page=2"),
    ("user-agent", "Mozilla/5.0 (X11; Linux x86_64; rv:142.0) Gecko/20100101 Firefox/142.0"),
    ("accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"),
    ("accept-language", "en-GB,en;q=0.5"),
    ("accept-encoding", "gzip, deflate, br, zstd"),
    ("referer", "https://www.example.com/articles"),
    ("cookie", "session=0123456789abcdef0123456789abcdef"),
    ("cookie", "theme=dark"),
];

/// How often a block has been sent before what repeats of it is in the tables.
const WARM_UP: usize = 3;

/// One direction of a connection on which the same fields are sent again and again.
pub struct Blocks {
    encoder: Encoder,
    decoder: Decoder,
    names: Vec<Name>,
    /// The first block, in which all is spelt out.
    first: Vec<u8>,
    /// A later one.
    later: Vec<u8>,
    out: Vec<u8>,
}

impl Default for Blocks {
    fn default() -> Blocks {
        let mut blocks = Blocks {
            encoder: Encoder::new(TABLE_BYTES_DEFAULT),
            decoder: Decoder::new(TABLE_BYTES_DEFAULT),
            names: REQUEST.iter().map(|(name, _)| Name::of(name.as_bytes())).collect(),
            first: Vec::new(),
            later: Vec::new(),
            out: Vec::with_capacity(4096),
        };
        blocks.encode();
        blocks.first = blocks.out.clone();
        for _ in 0..WARM_UP {
            blocks.later = blocks.out.clone();
            blocks.decode_later();
            blocks.encode();
        }
        blocks.later = blocks.out.clone();
        blocks
    }
}

impl Blocks {
    /// Encodes the fields, most of which are in the table.
    pub fn encode(&mut self) {
        self.out.clear();
        self.encoder.begin(&mut self.out);
        for (&name, (spelt, value)) in self.names.iter().zip(black_box(&REQUEST)) {
            match name {
                Name::Pseudo(pseudo) => self.encoder.pseudo(pseudo, value.as_bytes(), &mut self.out),
                Name::Field(FieldName::Other) => {
                    self.encoder.field_named(spelt.as_bytes(), value.as_bytes(), false, &mut self.out);
                }
                Name::Field(name) => self.encoder.field(name, value.as_bytes(), false, &mut self.out),
                Name::Invalid => unreachable!("the names are known"),
            }
        }
        black_box(&self.out);
    }

    /// Decodes a block most of whose fields are in the table.
    pub fn decode_later(&mut self) {
        count(&mut self.decoder, &self.later);
    }

    /// Decodes a block in which all is spelt out, in Huffman's code mostly.
    pub fn decode_first(&mut self) {
        count(&mut self.decoder, &self.first);
    }
}

fn count(decoder: &mut Decoder, block: &[u8]) {
    let mut bytes = 0;
    let decoded = decoder.decode(black_box(block), &mut |field: HeaderField<'_>| {
        bytes += field.name.len() + field.value.len();
        ControlFlow::Continue(())
    });
    assert!(decoded.is_ok() && bytes > 300);
}
