//! Header fields of a response that its record will show: kept while the response passes, since its head does not stay.

use std::ops::Range;

use wire::ResponseHead;

use super::TEXT_BYTES_MAX;

/// The values of the fields that a log asks for, by their place in its list. Kept and filled again; a pointer's size where none
/// was ever asked for.
#[derive(Debug, Default)]
pub struct KeptFields(Option<Box<Values>>);

#[derive(Debug, Default)]
struct Values {
    bytes: Vec<u8>,
    ranges: Vec<Option<Range<usize>>>,
}

impl KeptFields {
    /// The value at that place of the list, if the response had the field.
    #[must_use]
    pub fn value(&self, place: u8) -> Option<&[u8]> {
        let Values { bytes, ranges } = self.0.as_deref()?;
        Some(&bytes[ranges.get(usize::from(place))?.clone()?])
    }

    pub(crate) fn clear(&mut self) {
        if let Some(values) = &mut self.0 {
            values.bytes.clear();
            values.ranges.clear();
        }
    }

    /// Takes note of a response's head. `names` are in lower case.
    pub(crate) fn fill(&mut self, names: &[String], head: &ResponseHead, bytes: &[u8]) {
        self.clear();
        let values = self.0.get_or_insert_default();
        for name in names {
            let value = head.field_named(name.as_bytes(), bytes).map(|field| field.value.of(bytes));
            let range = value.map(|value| {
                let start = values.bytes.len();
                values.bytes.extend_from_slice(&value[..value.len().min(TEXT_BYTES_MAX)]);
                start..values.bytes.len()
            });
            values.ranges.push(range);
        }
    }
}
