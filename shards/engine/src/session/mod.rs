//! Sessions: a client's connection, from the accept to the last byte. [`detect`] finds out what it carries, where that is in question;
//! [`http1`] is the one protocol so far.

pub(crate) mod detect;
pub(crate) mod http1;
pub(crate) mod secure;
