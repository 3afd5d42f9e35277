//! What a route does besides passing messages on: its filters, in the order in which they run.

mod headers;

use plan::Filters;
use plan::filter::headers::Direction;
use plan::filter::{RequestFilter, ResponseFilter};

use crate::config::diagnostic::Problems;
use crate::config::raw;

pub(super) fn lower(section: &raw::Route, problems: &mut Problems) -> Filters {
    let request = headers::lower(&section.request_headers, Direction::Requests, problems);
    let response = headers::lower(&section.response_headers, Direction::Responses, problems);
    Filters {
        request: request.map(RequestFilter::Headers).into_iter().collect(),
        response: response.map(ResponseFilter::Headers).into_iter().collect(),
    }
}
