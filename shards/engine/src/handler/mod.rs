//! What answers a request once a route has been found: [`proxy`] asks an upstream.

mod passage;
pub(crate) mod proxy;
