//! Sessions: a client's connection, from the accept to the last byte. [`http1`] is the one protocol so far.

pub(crate) mod http1;
pub(crate) mod secure;
