//! Connections to upstream servers: [`http1`] speaks over one, [`pool`] keeps them, [`connect`] opens them.

pub(crate) mod connect;
pub(crate) mod http1;
pub(crate) mod pool;
