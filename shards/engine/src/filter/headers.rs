//! Fields that a route sets, adds and removes. They were checked when the Plan was built: here they are copied.

use plan::HeaderEdits;
use wire::FieldName;
use wire::h1::{Edits, Trailers};

use crate::exchange::Request;

/// Edits a request. Nothing that the client sends survives beside what is set: no other spelling of its name is passed on,
/// and `Connection` names away only what the client sent itself, never a line of ours.
pub(super) fn edit_request(headers: &HeaderEdits, request: &Request, edits: &mut Edits) {
    let Request { head, bytes, .. } = request;
    edits.extend(headers.edits());
    if !head.names().contains(FieldName::Other) {
        return;
    }
    for field in head.fields().iter().filter(|field| field.token == FieldName::Other) {
        let name = field.name.of(bytes);
        if headers.removes_alias(name) {
            edits.remove_named(name).expect("a name that passed the gate is a token");
        }
    }
}

/// Whether a request's trailers leave alone what the route sets or removes: a server that merges them into the header must not
/// get from there what the route took away.
pub(super) fn passes_trailers(headers: &HeaderEdits, trailers: &Trailers) -> bool {
    !trailers.fields().iter().any(|field| headers.removes(field.name.of(trailers.bytes())))
}
