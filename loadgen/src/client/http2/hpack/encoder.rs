//! Header blocks of requests that are the same again and again.
//!
//! A field goes into the server's table with the first request that has it, and is a number of one or two bytes from then on, as
//! with any good client. The fields of a run are few and known: none is ever put out of the table again, and a request's block is
//! written only when the table has grown since it was last written.

use super::{ENTRY_OVERHEAD_BYTES, TABLE_BYTES, table::STATIC};

/// A request's fields, pseudo-header fields first.
pub(in crate::client::http2) type Fields = [(Vec<u8>, Vec<u8>)];

/// One connection's memory of what the server's table has.
#[derive(Debug)]
pub(in crate::client::http2) struct Encoder {
    /// The fields in the table, the oldest first.
    entries: Vec<&'static (Vec<u8>, Vec<u8>)>,
    bytes: usize,
    /// None if the server keeps less than everybody may expect: nothing is put into its table then.
    bytes_max: Option<usize>,
    must_tell_size: bool,
    /// Blocks by their fields, and how many entries the table had: with more, indices are others.
    blocks: Vec<(&'static Fields, usize, Vec<u8>)>,
}

impl Encoder {
    pub(in crate::client::http2) fn new() -> Self {
        Self { entries: Vec::new(), bytes: 0, bytes_max: Some(TABLE_BYTES), must_tell_size: false, blocks: Vec::new() }
    }

    /// The server has said how large a table it keeps. RFC 9113 §6.5.2
    pub(in crate::client::http2) fn limit(&mut self, bytes_max: u32) {
        if (bytes_max as usize) < TABLE_BYTES && self.bytes_max.is_some() {
            self.bytes_max = None;
            self.entries.clear();
            self.blocks.clear();
            self.must_tell_size = true;
        }
    }

    /// Appends the block of a request's fields.
    pub(in crate::client::http2) fn encode(&mut self, fields: &'static Fields, output: &mut Vec<u8>) {
        if std::mem::take(&mut self.must_tell_size) {
            // The table is given up: its size is 0 from here on. RFC 7541 §4.2, §6.3
            output.push(0x20);
        }
        let known = self.blocks.iter().position(|(of, ..)| std::ptr::eq(*of, fields));
        if let Some((_, entries, block)) = known.map(|at| &self.blocks[at])
            && *entries == self.entries.len()
        {
            return output.extend_from_slice(block);
        }
        let (begin, entries) = (output.len(), self.entries.len());
        fields.iter().for_each(|field| self.encode_field(field, output));
        if entries != self.entries.len() {
            // The next one will have indices for what this one has put into the table.
            return;
        }
        let block = output[begin..].to_vec();
        match known {
            Some(at) => self.blocks[at] = (fields, entries, block),
            None => self.blocks.push((fields, entries, block)),
        }
    }

    fn encode_field(&mut self, field: &'static (Vec<u8>, Vec<u8>), output: &mut Vec<u8>) {
        let (name, value) = field;
        let same = |(a, b): &(&str, &str)| a.as_bytes() == name && b.as_bytes() == value;
        if let Some(at) = STATIC.iter().position(same) {
            return write_number(output, 0x80, 7, at + 1);
        }
        if let Some(at) = self.entries.iter().rposition(|entry| *entry == field) {
            return write_number(output, 0x80, 7, STATIC.len() + self.entries.len() - at);
        }
        let name_at = STATIC.iter().position(|(known, _)| known.as_bytes() == name).map_or(0, |at| at + 1);
        let bytes = name.len() + value.len() + ENTRY_OVERHEAD_BYTES;
        // What a proxy or cache shall not keep is not put into its table. RFC 7541 §7.1.3
        let is_secret = matches!(name.as_slice(), b"authorization" | b"proxy-authorization" | b"cookie");
        if self.bytes_max.is_some_and(|max| self.bytes + bytes <= max) && !is_secret {
            self.entries.push(field);
            self.bytes += bytes;
            write_number(output, 0x40, 6, name_at);
        } else {
            write_number(output, if is_secret { 0x10 } else { 0 }, 4, name_at);
        }
        if name_at == 0 {
            write_string(output, name);
        }
        write_string(output, value);
    }
}

/// RFC 7541 §5.1
fn write_number(output: &mut Vec<u8>, pattern: u8, bits: u32, number: usize) {
    let mask = (1_usize << bits) - 1;
    if number < mask {
        return output.push(pattern | number as u8);
    }
    output.push(pattern | mask as u8);
    let mut rest = number - mask;
    while rest >= 0x80 {
        output.push(0x80 | rest as u8);
        rest >>= 7;
    }
    output.push(rest as u8);
}

/// As it is: it is sent once a connection.
fn write_string(output: &mut Vec<u8>, string: &[u8]) {
    write_number(output, 0, 7, string.len());
    output.extend_from_slice(string);
}
