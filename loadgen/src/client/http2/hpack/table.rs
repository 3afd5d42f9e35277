//! The tables of fields that a header block refers to. RFC 7541 §2.3

use std::collections::VecDeque;

use super::{ENTRY_OVERHEAD_BYTES, TABLE_BYTES};

/// The fields that have an index from the start: the first is 1. RFC 7541 Appendix A
pub(super) const STATIC: [(&str, &str); 61] = [
    (":authority", ""),
    (":method", "GET"),
    (":method", "POST"),
    (":path", "/"),
    (":path", "/index.html"),
    (":scheme", "http"),
    (":scheme", "https"),
    (":status", "200"),
    (":status", "204"),
    (":status", "206"),
    (":status", "304"),
    (":status", "400"),
    (":status", "404"),
    (":status", "500"),
    ("accept-charset", ""),
    ("accept-encoding", "gzip, deflate"),
    ("accept-language", ""),
    ("accept-ranges", ""),
    ("accept", ""),
    ("access-control-allow-origin", ""),
    ("age", ""),
    ("allow", ""),
    ("authorization", ""),
    ("cache-control", ""),
    ("content-disposition", ""),
    ("content-encoding", ""),
    ("content-language", ""),
    ("content-length", ""),
    ("content-location", ""),
    ("content-range", ""),
    ("content-type", ""),
    ("cookie", ""),
    ("date", ""),
    ("etag", ""),
    ("expect", ""),
    ("expires", ""),
    ("from", ""),
    ("host", ""),
    ("if-match", ""),
    ("if-modified-since", ""),
    ("if-none-match", ""),
    ("if-range", ""),
    ("if-unmodified-since", ""),
    ("last-modified", ""),
    ("link", ""),
    ("location", ""),
    ("max-forwards", ""),
    ("proxy-authenticate", ""),
    ("proxy-authorization", ""),
    ("range", ""),
    ("referer", ""),
    ("refresh", ""),
    ("retry-after", ""),
    ("server", ""),
    ("set-cookie", ""),
    ("strict-transport-security", ""),
    ("transfer-encoding", ""),
    ("user-agent", ""),
    ("vary", ""),
    ("via", ""),
    ("www-authenticate", ""),
];

/// The fields that the server has put into the table, the latest first.
#[derive(Debug)]
pub(super) struct Dynamic {
    entries: VecDeque<Entry>,
    bytes: usize,
    bytes_max: usize,
    /// The memory of an entry that has gone, for the next.
    spare: Vec<u8>,
}

#[derive(Debug)]
struct Entry {
    /// The name, and behind it the value.
    text: Vec<u8>,
    name_bytes: usize,
}

impl Dynamic {
    pub(super) fn new() -> Self {
        Self { entries: VecDeque::new(), bytes: 0, bytes_max: TABLE_BYTES, spare: Vec::new() }
    }

    /// The field of an index of both tables; `None` if there is none. RFC 7541 §2.3.3
    pub(super) fn field(&self, index: usize) -> Option<(&[u8], &[u8])> {
        if let Some((name, value)) = STATIC.get(index.checked_sub(1)?) {
            return Some((name.as_bytes(), value.as_bytes()));
        }
        let entry = self.entries.get(index - 1 - STATIC.len())?;
        Some(entry.text.split_at(entry.name_bytes))
    }

    /// Adds a field; one that is larger than the table empties it. RFC 7541 §4.4
    pub(super) fn insert(&mut self, name: &[u8], value: &[u8]) {
        let bytes = name.len() + value.len() + ENTRY_OVERHEAD_BYTES;
        // The name may be that of an entry which leaves: it was copied before it came here.
        self.evict(self.bytes_max.saturating_sub(bytes));
        if bytes > self.bytes_max {
            return;
        }
        let mut text = std::mem::take(&mut self.spare);
        text.clear();
        text.extend_from_slice(name);
        text.extend_from_slice(value);
        self.entries.push_front(Entry { text, name_bytes: name.len() });
        self.bytes += bytes;
    }

    /// RFC 7541 §4.3
    pub(super) fn resize(&mut self, bytes_max: usize) {
        self.bytes_max = bytes_max;
        self.evict(bytes_max);
    }

    /// Lets the oldest go until no more than `bytes` are left.
    fn evict(&mut self, bytes: usize) {
        while self.bytes > bytes {
            let entry = self.entries.pop_back().expect("bytes are of entries");
            self.bytes -= entry.text.len() + ENTRY_OVERHEAD_BYTES;
            self.spare = entry.text;
        }
    }
}
