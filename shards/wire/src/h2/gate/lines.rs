//! Fields as lines of text, and what HTTP/2 demands of each.

use super::{Excess, HeadError, MalformedHead};
use crate::field::FieldLines;
use crate::hpack::HeaderField;
use crate::{Field, FieldName, FieldNames, Limits, Span};

/// What a connection of HTTP/1 needs and one of HTTP/2 must not have. RFC 9113 §8.2.2
const CONNECTION_SPECIFIC: FieldNames = FieldNames::of(&[
    FieldName::Connection,
    FieldName::KeepAlive,
    FieldName::ProxyConnection,
    FieldName::TransferEncoding,
    FieldName::Upgrade,
]);

/// Checks a field that is no pseudo-header field. RFC 9113 §8.2
#[inline]
pub(super) fn check(name: FieldName, field: &HeaderField<'_>) -> Result<(), HeadError> {
    if !field.clean {
        return Err(MalformedHead::ValueInvalid.into());
    }
    if CONNECTION_SPECIFIC.contains(name) {
        return Err(MalformedHead::ConnectionField(name).into());
    }
    if name == FieldName::Te && !field.value.eq_ignore_ascii_case(b"trailers") {
        return Err(MalformedHead::Te.into());
    }
    Ok(())
}

/// What is wrong with a field whose name is invalid.
pub(super) fn invalid_name(field: &HeaderField<'_>) -> HeadError {
    let is_pseudo = field.name.first() == Some(&b':');
    if is_pseudo { MalformedHead::PseudoUnknown } else { MalformedHead::NameInvalid }.into()
}

/// Appends the line of a field.
#[inline]
pub(super) fn push(
    bytes: &mut Vec<u8>,
    fields: &mut FieldLines,
    limits: &Limits,
    name: FieldName,
    field: &HeaderField<'_>,
) -> Result<(), HeadError> {
    push_parts(bytes, fields, limits, name, field.name, field.value, field.never_indexed)
}

/// Appends the line of a field of a known name.
#[inline]
pub(super) fn push_known(
    bytes: &mut Vec<u8>,
    fields: &mut FieldLines,
    limits: &Limits,
    name: FieldName,
    value: &[u8],
    never_indexed: bool,
) -> Result<(), HeadError> {
    push_parts(bytes, fields, limits, name, name.as_lower_str().as_bytes(), value, never_indexed)
}

#[inline]
fn push_parts(
    bytes: &mut Vec<u8>,
    fields: &mut FieldLines,
    limits: &Limits,
    token: FieldName,
    name: &[u8],
    value: &[u8],
    never_indexed: bool,
) -> Result<(), HeadError> {
    let line_len = name.len() + value.len() + 4;
    if fields.lines.len() >= usize::from(limits.fields_max) {
        return Err(Excess::Fields { max: limits.fields_max }.into());
    }
    if line_len > limits.field_bytes_max as usize {
        return Err(Excess::Field { max: limits.field_bytes_max }.into());
    }
    let start = bytes.len();
    bytes.reserve(line_len);
    for part in [name, b": ", value, b"\r\n"] {
        bytes.extend_from_slice(part);
    }
    let value_start = start + name.len() + 2;
    fields.push(Field {
        name: Span::new(start, start + name.len()),
        value: Span::new(value_start, value_start + value.len()),
        line: Span::new(start, start + line_len),
        token,
        never_indexed,
    });
    Ok(())
}
