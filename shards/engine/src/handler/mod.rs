//! What answers a request once a route has been found: [`proxy`] asks an upstream, [`relay`] moves both bodies,
//! [`passage`] lets large ones pass from socket to socket, [`timing`] knows how long that may take, and [`tunnel`] joins what
//! has left HTTP; [`websocket`] does so where the route wants frames looked at. [`passthrough`] joins what never comes to a request. [`coalesce`] is an attempt over a connection that requests share.

pub(crate) mod coalesce;
mod passage;
pub(crate) mod passthrough;
pub(crate) mod proxy;
mod relay;
mod timing;
mod tunnel;
mod websocket;

pub use websocket::Breach;
