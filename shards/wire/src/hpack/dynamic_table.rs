//! The table of recent fields, which both ends of a direction keep in step. RFC 7541 §2.3.2 and §4
//!
//! Names and values lie one behind the other in one run of bytes, oldest first. New ones are appended, old ones are forgotten
//! at the front, and when the run has become twice as long as the table may be, what still counts is moved to its start: each
//! byte is moved at most once for each time that the table is filled, and no entry ever lies in two pieces.

use std::collections::VecDeque;

use super::name::Name;

/// What an entry counts for besides its bytes. RFC 7541 §4.1
pub(super) const ENTRY_BYTES: usize = 32;

#[derive(Debug, Clone)]
pub(super) struct DynamicTable {
    /// Invariant: the bytes of `entries`, in order and without gaps, behind what was forgotten.
    bytes: Vec<u8>,
    /// Oldest first.
    entries: VecDeque<Entry>,
    /// Invariant: what all entries count for, at most `bytes_max`.
    size_bytes: usize,
    bytes_max: usize,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    /// Place of the name in `bytes`; the value follows it.
    start: u32,
    name_len: u32,
    value_len: u32,
    key: Name,
    clean: bool,
}

/// A field as the table keeps it.
#[derive(Debug, Clone, Copy)]
pub(super) struct TableField<'a> {
    pub(super) name: &'a [u8],
    pub(super) value: &'a [u8],
    /// The name, judged when it was spelt out.
    pub(super) key: Name,
    /// Whether the value was found to be free of what no value may have.
    pub(super) clean: bool,
}

/// The name of a new entry.
#[derive(Debug, Clone, Copy)]
pub(super) enum NewName<'a> {
    Spelt(&'a [u8]),
    /// That of the entry of this place, the newest being 0.
    OfEntry(usize),
}

impl DynamicTable {
    pub(super) fn new(bytes_max: u32) -> DynamicTable {
        DynamicTable { bytes: Vec::new(), entries: VecDeque::new(), size_bytes: 0, bytes_max: bytes_max as usize }
    }

    #[inline]
    pub(super) fn bytes_max(&self) -> usize {
        self.bytes_max
    }

    /// The entry of that place, the newest being 0.
    #[inline]
    pub(super) fn field(&self, place: usize) -> Option<TableField<'_>> {
        let entry = self.entry(place)?;
        let value_start = entry.start + entry.name_len;
        let name = &self.bytes[entry.start as usize..value_start as usize];
        let value = &self.bytes[value_start as usize..(value_start + entry.value_len) as usize];
        Some(TableField { name, value, key: entry.key, clean: entry.clean })
    }

    /// Changes the size that the table may have, and forgets what is too much. RFC 7541 §4.3
    pub(super) fn resize(&mut self, bytes_max: u32) {
        self.bytes_max = bytes_max as usize;
        self.evict(0);
        if self.entries.is_empty() {
            // Nothing is kept for a peer that wants no table.
            *self = DynamicTable::new(bytes_max);
        }
    }

    /// Adds a field, and forgets the oldest for which there is no room then. One that is larger than the table empties it, which
    /// is no error. RFC 7541 §4.4. Tells whether it was added.
    pub(super) fn insert(&mut self, name: NewName<'_>, value: &[u8], key: Name, clean: bool) -> bool {
        let name_len = match name {
            NewName::Spelt(name) => name.len(),
            NewName::OfEntry(place) => self.entry(place).map_or(0, |entry| entry.name_len as usize),
        };
        let field_bytes = name_len + value.len() + ENTRY_BYTES;
        if field_bytes > self.bytes_max {
            self.entries.clear();
            self.bytes.clear();
            self.size_bytes = 0;
            return false;
        }
        if self.bytes.len() + field_bytes > 2 * self.bytes_max {
            self.compact();
        }
        let start = self.bytes.len() as u32;
        match name {
            NewName::Spelt(name) => self.bytes.extend_from_slice(name),
            // Before anything is forgotten: the entry that lends its name may be the first to go.
            NewName::OfEntry(place) => {
                let from = self.entry(place).map_or(0, |entry| entry.start as usize);
                self.bytes.extend_from_within(from..from + name_len);
            }
        }
        self.bytes.extend_from_slice(value);
        self.evict(field_bytes);
        self.size_bytes += field_bytes;
        self.entries.push_back(Entry { start, name_len: name_len as u32, value_len: value.len() as u32, key, clean });
        true
    }

    #[inline]
    fn entry(&self, place: usize) -> Option<&Entry> {
        self.entries.len().checked_sub(place + 1).and_then(|at| self.entries.get(at))
    }

    /// Forgets the oldest entries until there is room for so many bytes.
    fn evict(&mut self, wanted_bytes: usize) {
        while self.size_bytes + wanted_bytes > self.bytes_max {
            let oldest = self.entries.pop_front().expect("an empty table has room for what fits at all");
            self.size_bytes -= (oldest.name_len + oldest.value_len) as usize + ENTRY_BYTES;
        }
    }

    /// Moves the bytes that still count to the start.
    fn compact(&mut self) {
        let forgotten = self.entries.front().map_or(self.bytes.len(), |oldest| oldest.start as usize);
        self.bytes.drain(..forgotten);
        for entry in &mut self.entries {
            entry.start -= forgotten as u32;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::FieldName;

    const KEY: Name = Name::Field(FieldName::Other);

    fn texts(table: &DynamicTable) -> Vec<(String, String)> {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let field = |place| table.field(place).map(|field| (text(field.name), text(field.value)));
        (0..).map_while(field).collect()
    }

    #[test]
    fn the_newest_comes_first_and_the_oldest_goes_first() {
        let mut table = DynamicTable::new(3 * 34);
        for name in ["a", "b", "c", "d"] {
            assert!(table.insert(NewName::Spelt(name.as_bytes()), b"1", KEY, true));
        }
        let pair = |name: &str| (name.to_owned(), "1".to_owned());
        assert_eq!(texts(&table), [pair("d"), pair("c"), pair("b")]);
        assert!(table.field(3).is_none());
        table.resize(2 * 34 + 33);
        assert_eq!(texts(&table), [pair("d"), pair("c")]);
        table.resize(0);
        assert_eq!((table.entries.len(), table.size_bytes), (0, 0));
        assert!(!table.insert(NewName::Spelt(b""), b"", KEY, true));
    }

    /// RFC 7541 §4.4
    #[test]
    fn an_entry_may_lend_its_name_and_go() {
        let mut table = DynamicTable::new(60);
        table.insert(NewName::Spelt(b"name"), b"first", KEY, true);
        table.insert(NewName::OfEntry(0), b"second", KEY, true);
        assert_eq!(texts(&table), [("name".to_owned(), "second".to_owned())]);
        assert!(!table.insert(NewName::OfEntry(0), &[b'x'; 25], KEY, true));
        assert_eq!(texts(&table), []);
    }

    #[test]
    fn memory_stays_within_a_few_tables() {
        let mut table = DynamicTable::new(200);
        for round in 0..10_000 {
            let value = vec![b'v'; round % 160];
            table.insert(NewName::Spelt(b"name"), &value, KEY, true);
            assert_eq!(table.field(0).unwrap().value, value);
            assert!(table.bytes.len() <= 2 * 200 && table.size_bytes <= 200);
            let counted: usize = texts(&table).iter().map(|(name, value)| name.len() + value.len() + 32).sum();
            assert_eq!(counted, table.size_bytes);
        }
        assert!(table.bytes.capacity() <= 4 * 200);
    }
}
