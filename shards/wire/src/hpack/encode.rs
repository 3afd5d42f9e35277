//! The sending end: fields become blocks. RFC 7541 §3 and §6
//!
//! What is put into the table, and so costs the memory of two ends and pushes something else out, is decided by what a field
//! has shown: a field is added **when it is sent for the second time** within the memory of some dozens. Values that repeat
//! (who the server is, what it sends, which browser asks) pass through as literals once and cost a byte from the third time
//! on; values that never repeat leave no trace, whatever their names; and a `Date`, which under load repeats for a second, pays
//! for itself there and stays out where it would not.
//!
//! Besides, some are never asked: fields that mark or move what is known to differ (lengths, validators, ranges, ids, targets with
//! a query) stay literals, and credentials and cookies are literals that nobody further on may index either: requests of many
//! clients share a connection to an upstream, and the table must not let one guess at another's (RFC 7541 §7.1.3).

use super::dynamic_table::{DynamicTable, ENTRY_BYTES, NewName};
use super::name::{Name, Pseudo};
use super::{huffman, integer, static_table};
use crate::{FieldName, FieldNames};

/// Fields that stand alone in whatever table they would be in: lengths, validators, ranges, places, ids.
const LITERAL: FieldNames = FieldNames::of(&[
    FieldName::Age,
    FieldName::ContentLength,
    FieldName::ContentRange,
    FieldName::Etag,
    FieldName::Forwarded,
    FieldName::IfMatch,
    FieldName::IfModifiedSince,
    FieldName::IfNoneMatch,
    FieldName::IfRange,
    FieldName::IfUnmodifiedSince,
    FieldName::LastModified,
    FieldName::Location,
    FieldName::Range,
    FieldName::Traceparent,
    FieldName::XRequestId,
]);

/// Fields that open doors. RFC 7541 §7.1.3
const SECRET: FieldNames =
    FieldNames::of(&[FieldName::Authorization, FieldName::Cookie, FieldName::ProxyAuthorization, FieldName::SetCookie]);

/// The sending end of one direction of a connection.
#[derive(Debug)]
pub struct Encoder {
    table: DynamicTable,
    /// What the table may have at most, whatever the peer would allow.
    table_bytes_max: u32,
    /// The table's sizes that the next block has to begin with: the lowest since the last block, and the last.
    update: Option<(u32, u32)>,
    /// Insertions so far. The newest entry has this number, the one before it the number below.
    inserted: u32,
    /// Made when the first field asks for it.
    memory: Option<Box<Memory>>,
    spelling: Spelling,
}

/// How strings are spelt out. RFC 7541 §5.2 leaves it to the encoder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Spelling {
    /// In the Huffman code where that is shorter: a fifth to a quarter less to send, and a few instructions a byte at either end.
    #[default]
    Shortest,
    /// As they are.
    Plain,
}

/// How many fields are remembered. What falls out is only sent in full once more.
const SEATS: usize = 128;

/// Fields that were sent of late, by their hashes.
type Memory = [Seat; SEATS];

#[derive(Debug, Clone, Copy, Default)]
struct Seat {
    hash: u32,
    /// The number of its insertion; 0 if the field was only seen. An entry of that number may be gone, or another by now.
    entry: u32,
}

/// How a field stands in the block. RFC 7541 §6
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Added,
    Literal,
    NeverIndexed,
}

impl Encoder {
    /// An encoder whose table has at most so many bytes, and at most 4096 until the peer allows more.
    #[must_use]
    pub fn new(table_bytes_max: u32) -> Encoder {
        let initial = table_bytes_max.min(super::TABLE_BYTES_DEFAULT);
        Encoder {
            table: DynamicTable::new(initial),
            table_bytes_max,
            // The peer takes the default for granted.
            update: (initial < super::TABLE_BYTES_DEFAULT).then_some((initial, initial)),
            inserted: 0,
            memory: None,
            spelling: Spelling::Shortest,
        }
    }

    /// Changes how strings are spelt out from now on.
    pub fn set_spelling(&mut self, spelling: Spelling) {
        self.spelling = spelling;
    }

    /// The peer's SETTINGS_HEADER_TABLE_SIZE. The next block says what was made of it. RFC 9113 §4.3.1
    pub fn set_table_bytes_max(&mut self, peer_bytes_max: u32) {
        let bytes = peer_bytes_max.min(self.table_bytes_max);
        let lowest = self.update.map_or(bytes, |(lowest, _)| lowest.min(bytes));
        if self.update.is_some() || bytes as usize != self.table.bytes_max() {
            self.update = Some((lowest, bytes));
        }
    }

    /// Begins a block. Blocks are sent in the order in which they are encoded.
    #[inline]
    pub fn begin(&mut self, out: &mut Vec<u8>) {
        if let Some((lowest, bytes)) = self.update.take() {
            // RFC 7541 §4.2: the lowest size in between is said too, since it is what the peer has to see kept.
            if lowest < bytes {
                self.table.resize(lowest);
                integer::encode(lowest, 5, 0x20, out);
            }
            self.table.resize(bytes);
            integer::encode(bytes, 5, 0x20, out);
        }
    }

    /// Appends a pseudo-header field.
    #[inline]
    pub fn pseudo(&mut self, pseudo: Pseudo, value: &[u8], out: &mut Vec<u8>) {
        let form = match pseudo {
            // A query may be anything.
            Pseudo::Path if memchr::memchr(b'?', value).is_some() => Form::Literal,
            _ => Form::Added,
        };
        self.encode(Name::Pseudo(pseudo), pseudo.as_str().as_bytes(), value, form, out);
    }

    /// Appends a field of a name that has a token.
    #[inline]
    pub fn field(&mut self, name: FieldName, value: &[u8], never_indexed: bool, out: &mut Vec<u8>) {
        debug_assert!(name != FieldName::Other, "this name is its own bytes");
        let form = match name {
            _ if never_indexed || SECRET.contains(name) => Form::NeverIndexed,
            _ if LITERAL.contains(name) => Form::Literal,
            _ => Form::Added,
        };
        self.encode(Name::Field(name), name.as_lower_str().as_bytes(), value, form, out);
    }

    /// Appends a field of another name, which is a token without capitals.
    #[inline]
    pub fn field_named(&mut self, name: &[u8], value: &[u8], never_indexed: bool, out: &mut Vec<u8>) {
        debug_assert!(Name::of(name) == Name::Field(FieldName::Other), "a name without a token, in lower case");
        let form = if never_indexed { Form::NeverIndexed } else { Form::Added };
        self.encode(Name::Field(FieldName::Other), name, value, form, out);
    }

    #[inline]
    fn encode(&mut self, key: Name, name: &[u8], value: &[u8], form: Form, out: &mut Vec<u8>) {
        let name_index = static_table::index_of(key);
        if form == Form::Added {
            if let Some(index) = static_table::index_of_value(name_index, value) {
                return integer::encode(index, 7, 0x80, out);
            }
            // An entry that takes a quarter of the table pushes out what serves more.
            if name.len() + value.len() + ENTRY_BYTES <= self.table.bytes_max() / 4 {
                return self.encode_remembered(key, name, value, name_index, out);
            }
        }
        let pattern = if form == Form::NeverIndexed { 0x10 } else { 0 };
        self.literal(4, pattern, name_index, name, value, out);
    }

    /// By its index if it is in the table; into the table if it was seen before; else as a literal that is remembered.
    fn encode_remembered(&mut self, key: Name, name: &[u8], value: &[u8], name_index: u32, out: &mut Vec<u8>) {
        let hash = hash(key, name, value);
        let first = hash as usize % SEATS;
        let memory = self.memory.get_or_insert_with(|| Box::new([Seat::default(); SEATS]));
        // Two seats for each hash, so that two fields which are both sent all the time do not push each other out.
        let Some(at) = [first, first ^ 1].into_iter().find(|&at| memory[at].hash == hash) else {
            // The neighbour keeps the field that was there before.
            memory[first ^ 1] = memory[first];
            memory[first] = Seat { hash, entry: 0 };
            return self.literal(4, 0, name_index, name, value, out);
        };
        let entry = memory[at].entry;
        let place = self.inserted.wrapping_sub(entry) as usize;
        if entry != 0
            && let Some(field) = self.table.field(place)
            && field.key == key
            && field.value == value
            && field.name == name
        {
            return integer::encode(static_table::LEN + 1 + place as u32, 7, 0x80, out);
        }
        self.literal(6, 0x40, name_index, name, value, out);
        let added = self.table.insert(NewName::Spelt(name), value, key, true);
        debug_assert!(added, "a quarter of the table fits into it");
        // Zero is no number of an entry.
        self.inserted = self.inserted.wrapping_add(1).max(1);
        if let Some(memory) = &mut self.memory {
            memory[at].entry = self.inserted;
        }
    }

    /// A literal field, its name by the index if it has one. RFC 7541 §6.2
    fn literal(&self, prefix_bits: u32, pattern: u8, name_index: u32, name: &[u8], value: &[u8], out: &mut Vec<u8>) {
        integer::encode(name_index, prefix_bits, pattern, out);
        if name_index == 0 {
            self.text(name, out);
        }
        self.text(value, out);
    }

    /// A string. RFC 7541 §5.2
    fn text(&self, text: &[u8], out: &mut Vec<u8>) {
        if self.spelling == Spelling::Shortest {
            let encoded_len = huffman::encoded_len(text);
            if encoded_len < text.len() {
                integer::encode(encoded_len as u32, 7, 0x80, out);
                return huffman::encode(text, out);
            }
        }
        integer::encode(text.len() as u32, 7, 0, out);
        out.extend_from_slice(text);
    }
}

/// A hash of the field, eight bytes at a time. Whoever makes two fields collide only has them sent in full. The multiplier is the
/// golden ratio's, as in Fibonacci hashing (Knuth, The Art of Computer Programming, volume 3, §6.4).
#[inline]
fn hash(key: Name, name: &[u8], value: &[u8]) -> u32 {
    const MULTIPLIER: u64 = 0x9e37_79b9_7f4a_7c15;
    let mix = |state: u64, word: u64| (state.rotate_left(5) ^ word).wrapping_mul(MULTIPLIER);
    let mut state = mix(key.number() as u64, value.len() as u64);
    if key == Name::Field(FieldName::Other) {
        state = words(name).fold(state, mix);
    }
    state = words(value).fold(state, mix);
    // The high bits are mixed best. Zero is what an empty seat has.
    ((state >> 32) as u32).max(1)
}

/// The text as words, the last of them overlapping the one before.
#[inline]
fn words(text: &[u8]) -> impl Iterator<Item = u64> {
    let last = match text.last_chunk() {
        Some(last) => u64::from_le_bytes(*last),
        None => text.iter().fold(0, |word, &byte| word << 8 | u64::from(byte)),
    };
    text.chunks_exact(8).map(|word| u64::from_le_bytes(word.try_into().expect("eight bytes"))).chain([last])
}
