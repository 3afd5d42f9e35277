//! The servers behind an upstream: [`pool`] keeps connections to them, [`server`] is one of them, [`balance`] chooses among
//! them, [`health`] leaves out those that fail, [`retry`] says when another is asked, [`connect`] opens a connection,
//! [`announce`] tells the server whom it is for, [`http1`] speaks over it, and [`janitor`] drops those that died idle. Requests of routes that ask for it share connections
//! ([`coalesce`]).

mod announce;
pub(crate) mod balance;
pub(crate) mod coalesce;
pub(crate) mod connect;
pub(crate) mod health;
pub(crate) mod http1;
pub(crate) mod janitor;
pub(crate) mod pool;
pub(crate) mod retry;
pub(crate) mod server;
