//! What answers a request once a route has been found: [`proxy`] asks an upstream.

pub(crate) mod proxy;
