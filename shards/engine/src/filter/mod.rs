//! What a route does to heads on their way: its filters, one after the other. A route without any comes through here in a
//! loop over nothing.

mod headers;

use plan::filter::{RequestFilter, ResponseFilter};
use wire::h1::{Edits, Trailers};

use crate::exchange::Request;
use crate::forward;

/// Runs the filters of a request, once Ringway has said its own.
pub(crate) fn on_request(filters: &[RequestFilter], request: &Request, edits: &mut Edits) {
    for filter in filters {
        match filter {
            RequestFilter::Headers(headers) => headers::edit_request(headers, request, edits),
        }
    }
}

/// Whether a request's trailers may be passed on.
pub(crate) fn passes_trailers(filters: &[RequestFilter], trailers: &Trailers) -> bool {
    filters.iter().all(|filter| match filter {
        RequestFilter::Headers(headers) => headers::passes_trailers(headers, trailers),
    })
}

/// The changes to the final answer's head: the `usual` ones, or those with the request's name, unless that is empty, and the
/// filters' in `edits`, which has room for them.
pub(crate) fn on_response<'a>(
    filters: &[ResponseFilter],
    request_id: &[u8],
    usual: &'a Edits,
    edits: &'a mut Edits,
) -> &'a Edits {
    if filters.is_empty() && request_id.is_empty() {
        return usual;
    }
    edits.clear();
    edits.extend(usual);
    forward::add_name(edits, request_id);
    for filter in filters {
        match filter {
            ResponseFilter::Headers(headers) => edits.extend(headers.edits()),
        }
    }
    edits
}

/// What an answer of Ringway's own says for the filters.
pub(crate) fn on_own_answer(filters: &[ResponseFilter]) -> Edits {
    let mut edits = Edits::new();
    for filter in filters {
        match filter {
            ResponseFilter::Headers(headers) => edits.extend(headers.own()),
        }
    }
    edits
}
