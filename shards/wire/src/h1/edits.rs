//! The short list of changes that are applied while a head is written.
//!
//! A head that is passed on is mostly copied. What changes is said here, once, before it is written: names to leave
//! out, and lines to add. Nothing that the list adds can break the message: names and values are checked, and the
//! fields that frame it belong to [`write`](super::write) alone.

use thiserror::Error;

use crate::head::HOP_BY_HOP;
use crate::octet::{is_token_byte, is_value, is_value_byte};
use crate::{Field, FieldName, FieldNames, Span};

/// Fields that no edit adds, changes or removes: this crate writes them from what it knows about the message.
pub(super) const RESERVED: FieldNames =
    HOP_BY_HOP.union(FieldNames::of(&[FieldName::Host, FieldName::ContentLength, FieldName::Trailer]));

/// Changes to the fields of a head. Kept and reused: [`clear`](Edits::clear) keeps the memory.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Edits {
    /// Invariant: neither `Other` nor a reserved name.
    removed: FieldNames,
    /// Names without a token that are left out: spans of `removed_bytes`.
    removed_others: Vec<Span>,
    removed_bytes: Vec<u8>,
    /// The protocol that the upstream is offered to switch to; empty for none. Invariant: a token, perhaps with a version.
    protocol: Vec<u8>,
    /// Whole lines. Invariant: each is `name ": " value CRLF`, with a token for a name and a clean value.
    appended: Vec<u8>,
}

/// A line whose name and value are known when this is compiled, and were checked then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Line {
    name: FieldName,
    text: &'static str,
}

impl Line {
    /// `text` is `name ": " value CRLF`, its name in the customary case.
    ///
    /// # Panics
    /// If it is not, or if the name is reserved or `Other`. In a constant that is an error of compilation.
    #[must_use]
    pub const fn new(name: FieldName, text: &'static str) -> Line {
        let (prefix, line) = (name.as_str().as_bytes(), text.as_bytes());
        assert!(!prefix.is_empty() && !RESERVED.contains(name), "this name is not for edits to add");
        let value = prefix.len() + 2;
        assert!(line.len() >= value + 2, "a line has a name, a colon, a space and CRLF");
        let end = line.len() - 2;
        assert!(line[end] == b'\r' && line[end + 1] == b'\n', "a line ends in CRLF");
        assert!(line[value - 2] == b':' && line[value - 1] == b' ', "a colon and a space follow the name");
        let mut at = 0;
        while at < end {
            let fits = if at < prefix.len() { line[at] == prefix[at] } else { is_value_byte(line[at]) };
            assert!(fits, "another name, or a control character in the value");
            at += 1;
        }
        Line { name, text }
    }

    /// The field's name.
    #[must_use]
    pub const fn name(self) -> FieldName {
        self.name
    }
}

/// Why a change is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum EditError {
    /// The name is empty or not a token.
    #[error("invalid field name")]
    NameInvalid,
    /// The value has a control character: CR, LF and NUL would break the message, the others are forbidden.
    #[error("control character in a field value")]
    ValueInvalid,
    /// The field frames the message or concerns one connection only.
    #[error("{} is not for edits to change", .0.as_str())]
    Reserved(FieldName),
}

impl Edits {
    /// No changes.
    #[must_use]
    pub fn new() -> Edits {
        Edits::default()
    }

    /// Forgets all changes.
    pub fn clear(&mut self) {
        self.removed = FieldNames::EMPTY;
        self.removed_others.clear();
        self.removed_bytes.clear();
        self.protocol.clear();
        self.appended.clear();
    }

    /// Leaves out all fields of these names. Reserved names are ignored: what becomes of these fields is decided when
    /// the head is written.
    pub fn remove(&mut self, names: FieldNames) {
        const OTHER: FieldNames = FieldNames::of(&[FieldName::Other]);
        self.removed = self.removed.union(names.difference(RESERVED).difference(OTHER));
    }

    /// Leaves out all fields of a name that may have no token.
    ///
    /// # Errors
    /// If the name is reserved or no token.
    pub fn remove_named(&mut self, name: &[u8]) -> Result<(), EditError> {
        match checked_name(name)? {
            FieldName::Other => {
                let start = self.removed_bytes.len();
                self.removed_bytes.extend_from_slice(name);
                self.removed_others.push(Span::new(start, self.removed_bytes.len()));
            }
            known => self.removed.insert(known),
        }
        Ok(())
    }

    /// Adds a line after those of the head.
    ///
    /// # Errors
    /// If the name is reserved or no token, or the value has a control character. Nothing is added then.
    pub fn append(&mut self, name: &[u8], value: &[u8]) -> Result<(), EditError> {
        self.append_joined(name, &[value], b"")
    }

    /// Adds a constant line after those of the head.
    pub fn add_line(&mut self, line: Line) {
        self.appended.extend_from_slice(line.text.as_bytes());
    }

    /// Adds a line of a known name after those of the head.
    ///
    /// # Errors
    /// If the name is reserved or `Other`, or the value has a control character. Nothing is added then.
    // Always, since nearly all callers know the name when they are compiled, and what is asked of it then costs nothing.
    #[inline(always)]
    pub fn add(&mut self, name: FieldName, value: &[u8]) -> Result<(), EditError> {
        if name == FieldName::Other {
            return Err(EditError::NameInvalid);
        }
        if RESERVED.contains(name) {
            return Err(EditError::Reserved(name));
        }
        if !is_value(value) {
            return Err(EditError::ValueInvalid);
        }
        let name = name.as_str().as_bytes();
        self.appended.reserve(name.len() + value.len() + 4);
        for part in [name, b": ", value, b"\r\n"] {
            self.appended.extend_from_slice(part);
        }
        Ok(())
    }

    /// Adds a line whose value is made of parts with `separator` between them: `append_joined(b"X-Forwarded-For",
    /// &[list, address], b", ")`. Empty parts are left out.
    ///
    /// # Errors
    /// As [`append`](Self::append).
    pub fn append_joined(&mut self, name: &[u8], parts: &[&[u8]], separator: &[u8]) -> Result<(), EditError> {
        checked_name(name)?;
        if !parts.iter().chain([&separator]).all(|part| is_value(part)) {
            return Err(EditError::ValueInvalid);
        }
        self.appended.extend_from_slice(name);
        self.appended.extend_from_slice(b": ");
        for (index, part) in parts.iter().filter(|part| !part.is_empty()).enumerate() {
            if index > 0 {
                self.appended.extend_from_slice(separator);
            }
            self.appended.extend_from_slice(part);
        }
        self.appended.extend_from_slice(b"\r\n");
        Ok(())
    }

    /// Puts one line in the place of all fields of that name.
    ///
    /// # Errors
    /// As [`append`](Self::append). `Other` is no name.
    pub fn replace(&mut self, name: FieldName, value: &[u8]) -> Result<(), EditError> {
        self.add(name, value)?;
        self.removed.insert(name);
        Ok(())
    }

    /// Makes the changes of `other` as well, an offer to switch excepted. They were checked when they were put there, so that
    /// this costs no more than copying them.
    pub fn extend(&mut self, other: &Edits) {
        self.removed = self.removed.union(other.removed);
        let base = self.removed_bytes.len();
        let moved = |span: &Span| Span::new(base + span.start as usize, base + span.end as usize);
        self.removed_others.extend(other.removed_others.iter().map(moved));
        self.removed_bytes.extend_from_slice(&other.removed_bytes);
        self.appended.extend_from_slice(&other.appended);
    }

    /// Offers the upstream to switch to `protocol`, which the client asked for. RFC 9110 §7.8. Without this an Upgrade goes
    /// no further than here.
    ///
    /// # Errors
    /// If it is not `token ["/" token]`.
    pub fn offer(&mut self, protocol: &[u8]) -> Result<(), EditError> {
        let (name, version) = match memchr::memchr(b'/', protocol) {
            Some(slash) => (&protocol[..slash], Some(&protocol[slash + 1..])),
            None => (protocol, None),
        };
        for part in [Some(name), version].into_iter().flatten() {
            if part.is_empty() || !part.iter().all(|&byte| is_token_byte(byte)) {
                return Err(EditError::ValueInvalid);
            }
        }
        self.protocol.clear();
        self.protocol.extend_from_slice(protocol);
        Ok(())
    }

    /// The protocol that is offered; empty for none.
    #[inline]
    #[must_use]
    pub fn offered(&self) -> &[u8] {
        &self.protocol
    }

    /// The interned names to leave out.
    #[inline]
    #[must_use]
    pub fn removed(&self) -> FieldNames {
        self.removed
    }

    /// All names to leave out, those with a token first.
    pub fn removed_names(&self) -> impl Iterator<Item = &[u8]> {
        let known = FieldName::KNOWN.iter().filter(|name| self.removed.contains(**name));
        let others = self.removed_others.iter().map(|name| name.of(&self.removed_bytes));
        known.map(|name| name.as_str().as_bytes()).chain(others)
    }

    /// The lines to add.
    #[inline]
    #[must_use]
    pub fn appended(&self) -> &[u8] {
        &self.appended
    }

    /// Whether names without a token are left out.
    #[inline]
    pub(crate) fn removes_others(&self) -> bool {
        !self.removed_others.is_empty()
    }

    /// Whether a field without a token of its own is left out.
    pub(crate) fn removes_other(&self, field: &Field, bytes: &[u8]) -> bool {
        let name = field.name.of(bytes);
        self.removed_others.iter().any(|removed| removed.of(&self.removed_bytes).eq_ignore_ascii_case(name))
    }
}

/// The token of a name that an edit may touch.
fn checked_name(name: &[u8]) -> Result<FieldName, EditError> {
    match FieldName::of(name) {
        FieldName::Other if name.is_empty() || !name.iter().all(|&byte| is_token_byte(byte)) => {
            Err(EditError::NameInvalid)
        }
        known if RESERVED.contains(known) => Err(EditError::Reserved(known)),
        name => Ok(name),
    }
}
