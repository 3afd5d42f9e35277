//! Which fields of a head are passed on. The rule is one for all versions, whatever becomes of the fields on the wire.
//!
//! What concerns one connection only is left out, what the edits remove is left out, and so is what the sender of the new head
//! says in its own words: who is asked, and how long the body is.

use crate::field::FieldLines;
use crate::h1::{Edits, ResponseFraming};
use crate::head::ConnectionOptions;
use crate::{BodyLength, Field, FieldName, FieldNames, RequestHead, ResponseHead, Version};

/// The fields of a head that are passed on.
pub(crate) struct Selection<'a> {
    fields: &'a FieldLines,
    bytes: &'a [u8],
    options: &'a ConnectionOptions,
    edits: &'a Edits,
    /// Names to leave out.
    removed: FieldNames,
    /// Whether names without a token are left out too.
    by_name: bool,
}

impl<'a> Selection<'a> {
    /// Of a request, without Host. `trailers` may follow, as far as the new connection can carry them.
    #[inline]
    pub(crate) fn of_request(
        head: &'a RequestHead,
        bytes: &'a [u8],
        edits: &'a Edits,
        trailers: bool,
    ) -> Selection<'a> {
        let mut removed = head.connection.removed().union(edits.removed()).with(FieldName::Host);
        if !trailers {
            removed.insert(FieldName::Trailer);
        }
        if head.version == Version::Http10 {
            // RFC 9110 §10.1.1: there it means nothing, and the server behind us would take it for ours.
            removed.insert(FieldName::Expect);
        }
        Selection::new(&head.fields, bytes, &head.connection, edits, removed)
    }

    /// Of a response that is framed in that way. Its Content-Length is kept where it says the same, and else left out.
    #[inline]
    pub(crate) fn of_response(
        head: &'a ResponseHead,
        bytes: &'a [u8],
        edits: &'a Edits,
        framing: ResponseFraming,
        trailers: bool,
    ) -> Selection<'a> {
        let mut removed = head.connection.removed().union(edits.removed());
        let length_kept = match framing {
            ResponseFraming::Described => true,
            ResponseFraming::Exact(length) => head.framing == BodyLength::Exact(length),
            _ => false,
        };
        if !length_kept {
            removed.insert(FieldName::ContentLength);
        }
        if !trailers {
            removed.insert(FieldName::Trailer);
        }
        Selection::new(&head.fields, bytes, &head.connection, edits, removed)
    }

    #[inline]
    fn new(
        fields: &'a FieldLines,
        bytes: &'a [u8],
        options: &'a ConnectionOptions,
        edits: &'a Edits,
        removed: FieldNames,
    ) -> Selection<'a> {
        let by_name = edits.removes_others() || !options.others.is_empty();
        Selection { fields, bytes, options, edits, removed, by_name }
    }

    /// All fields of the head, those included that are left out.
    #[inline]
    pub(crate) fn lines(&self) -> &'a [Field] {
        &self.fields.lines
    }

    /// What the fields refer to.
    #[inline]
    pub(crate) fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Whether nothing is left out.
    #[inline]
    pub(crate) fn is_everything(&self) -> bool {
        !self.by_name && self.fields.present.intersection(self.removed).is_empty()
    }

    /// Whether fields of that name, which has a token, go on as they are.
    #[inline]
    pub(crate) fn keeps(&self, name: FieldName) -> bool {
        !self.removed.contains(name)
    }

    /// Whether the field stays behind.
    // Always, since it is asked of every field of every head, and a call costs more than the answer.
    #[inline(always)]
    pub(crate) fn leaves_out(&self, field: &Field) -> bool {
        self.removed.contains(field.token)
            || (self.by_name
                && field.token == FieldName::Other
                && (self.options.names(field, self.bytes) || self.edits.removes_other(field, self.bytes)))
    }
}
