//! What a route does to requests and answers besides passing them on: chains of filters, compiled when the Plan is built.
//!
//! A route without filters has empty chains, and runs no filter code.

pub mod headers;

pub use headers::{HeaderEdits, HeaderError};

/// The filters of a route, in the order in which they run.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Filters {
    /// Over the request's head, before it is sent to the upstream.
    pub request: Vec<RequestFilter>,
    /// Over the final answer's head, before it is sent to the client.
    pub response: Vec<ResponseFilter>,
}

/// A filter of requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RequestFilter {
    /// Sets, adds and removes fields.
    Headers(HeaderEdits),
}

/// A filter of answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ResponseFilter {
    /// Sets, adds and removes fields.
    Headers(HeaderEdits),
}
