//! Header fields of a response that its record will show: kept while the response passes, since its head does not stay.

use std::cell::RefCell;
use std::ops::Range;

use wire::ResponseHead;

use super::TEXT_BYTES_MAX;

/// The values of the fields that a log asks for, by their place in its list. Kept and filled again.
#[derive(Debug, Default)]
pub struct KeptFields {
    bytes: Vec<u8>,
    values: Vec<Option<Range<usize>>>,
}

impl KeptFields {
    /// The value at that place of the list, if the response had the field.
    #[must_use]
    pub fn value(&self, place: u8) -> Option<&[u8]> {
        let range = self.values.get(usize::from(place))?.clone()?;
        Some(&self.bytes[range])
    }

    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.values.clear();
    }

    fn fill(&mut self, names: &[String], head: &ResponseHead, bytes: &[u8]) {
        self.clear();
        for name in names {
            let value = head.field_named(name.as_bytes(), bytes).map(|field| field.value.of(bytes));
            let range = value.map(|value| {
                let start = self.bytes.len();
                self.bytes.extend_from_slice(&value[..value.len().min(TEXT_BYTES_MAX)]);
                start..self.bytes.len()
            });
            self.values.push(range);
        }
    }
}

/// Keeps what an exchange's log asks for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Keeper<'a> {
    /// In lower case; none for most logs.
    pub(crate) names: &'a [String],
    pub(crate) kept: &'a RefCell<KeptFields>,
}

impl Keeper<'_> {
    /// Takes note of a response's head.
    pub(crate) fn keep(&self, head: &ResponseHead, bytes: &[u8]) {
        if !self.names.is_empty() {
            self.kept.borrow_mut().fill(self.names, head, bytes);
        }
    }
}
