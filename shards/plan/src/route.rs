//! Which route serves a request, and what it does with it.
//!
//! A request is matched in three steps. The host picks a site ([`host`]): the exact host, else the longest `*.suffix`, else the
//! longest `prefix.*`. The path picks among that site's routes ([`path`]): an exact path, else the longest prefix. Routes
//! without a host belong to every site and come after its own. A higher priority comes before all of that.
//!
//! A lookup allocates nothing, and what it costs is bounded by the configuration, never by what a client sends: a client
//! adds nothing to the tables, and chooses neither how many labels nor how many prefixes are tried.

mod host;
mod path;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::fmt;
use std::ops::Index;
use std::time::Duration;

use crate::filter::Filters;
use crate::{AccessLogId, WebSocket};

pub use host::{HostIndex, HostPattern};
pub use path::PathPattern;

use path::{PathIndex, Site};

/// Index of an upstream in [`crate::Plan::upstreams`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UpstreamId(pub u16);

/// Index of a route in its table: its place in the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RouteId(pub u32);

/// One rule: requests for these hosts and paths go to this upstream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// What records and metrics call it; no two routes have the same name.
    pub name: String,
    /// The hosts; none matches any, also that of a request without one.
    pub hosts: Vec<HostPattern>,
    /// The paths.
    pub path: PathPattern,
    /// Of the routes that match a request, one with a higher priority wins.
    pub priority: i32,
    /// Where matching requests go.
    pub upstream: UpstreamId,
    /// Protocols that clients may switch to, in lower case. The tunnel that follows a switch is not looked into, but for
    /// [`Route::websocket`].
    pub upgrades: Vec<String>,
    /// How its WebSockets are looked into, if they are.
    pub websocket: Option<WebSocket>,
    /// How long its answers may last that are streams of events.
    pub streams: Streams,
    /// Whether CONNECT is passed on. The upstream, not Ringway, then decides where to and opens the connection.
    pub connect: bool,
    /// Whether its safe requests may share connections to the upstream, as [`crate::Coalesce`] says.
    pub coalesce: bool,
    /// Where its exchanges are written down, if anywhere.
    pub access_log: Option<AccessLogId>,
    /// What is done to requests and answers besides.
    pub filters: Filters,
}

impl Route {
    /// A route for everything below `prefix`, as it is by default: WebSocket is passed on, CONNECT is not.
    #[must_use]
    pub fn new(host: Option<HostPattern>, prefix: impl Into<String>, upstream: UpstreamId) -> Route {
        let (hosts, path): (Vec<HostPattern>, _) = (host.into_iter().collect(), PathPattern::Prefix(prefix.into()));
        Route {
            name: Route::default_name(&hosts, &path),
            hosts,
            path,
            priority: 0,
            upstream,
            upgrades: vec!["websocket".to_owned()],
            websocket: None,
            streams: Streams::default(),
            connect: false,
            coalesce: false,
            access_log: None,
            filters: Filters::default(),
        }
    }

    /// What a route is called that was given no name: its first host and its path, `=` before one that is exact. No two routes
    /// of a configuration have both in common.
    #[must_use]
    pub fn default_name(hosts: &[HostPattern], path: &PathPattern) -> String {
        let host = hosts.first().map(HostPattern::to_string).unwrap_or_default();
        format!("{host}{path}")
    }

    /// Whether clients may switch to `protocol`, compared without case (RFC 9110 §7.8).
    #[must_use]
    pub fn allows_upgrade(&self, protocol: &[u8]) -> bool {
        self.upgrades.iter().any(|allowed| allowed.as_bytes().eq_ignore_ascii_case(protocol))
    }
}

/// How long an answer may last that is a stream of events: `text/event-stream` (server-sent events), or `multipart/mixed`, in which
/// GraphQL sends what it was subscribed to. These stand in the place of the upstream's time-out and rate for bodies and of
/// [`crate::Timeouts::request`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Streams {
    /// How long the upstream may have nothing to say.
    pub idle: Duration,
    /// From the end of the request's head to the end of the answer. Zero sets no bound.
    pub total: Duration,
}

impl Default for Streams {
    fn default() -> Streams {
        Streams { idle: Duration::from_secs(3600), total: Duration::ZERO }
    }
}

/// The routes, compiled for lookup.
#[derive(Clone)]
pub struct RouteTable {
    routes: Vec<Route>,
    hosts: HostIndex<Site>,
    paths: PathIndex,
    /// The routes without a host.
    any: Site,
    /// Whether one of those may come before a route that names the request's host: whether any has a higher priority than any
    /// of the others.
    any_overrides: bool,
}

impl RouteTable {
    /// Compiles `routes`. Of two routes with the same host and path the earlier one wins.
    ///
    /// # Panics
    /// If there are 2^32 routes or bytes of patterns, or if a host has more than 255 bytes.
    #[must_use]
    pub fn new(routes: Vec<Route>) -> RouteTable {
        let mut any = Vec::new();
        let mut by_host: HashMap<&HostPattern, Vec<RouteId>> = HashMap::new();
        for (index, route) in routes.iter().enumerate() {
            let id = RouteId(u32::try_from(index).expect("fewer routes than 2^32"));
            route.hosts.iter().for_each(|host| by_host.entry(host).or_default().push(id));
            if route.hosts.is_empty() {
                any.push(id);
            }
        }
        let priorities = |named: bool| {
            routes.iter().filter(move |route| route.hosts.is_empty() != named).map(|route| route.priority)
        };
        let any_overrides = priorities(false).max().zip(priorities(true).min()).is_some_and(|(any, named)| any > named);
        let mut paths = PathIndex::default();
        let any = paths.add(&routes, any);
        let sites: Vec<_> = by_host.into_iter().map(|(host, ids)| (host, paths.add(&routes, ids))).collect();
        let hosts = HostIndex::new(&sites);
        paths.finish();
        RouteTable { hosts, paths, any, any_overrides, routes }
    }

    /// The routes by their ids, as they stand in the configuration.
    #[must_use]
    pub fn routes(&self) -> &[Route] {
        &self.routes
    }

    /// The route for `host` (without port, in any case; empty if the request named none) and `path` (without query, in its
    /// canonical form).
    #[must_use]
    pub fn find(&self, host: &[u8], path: &[u8]) -> Option<RouteId> {
        let own = self.hosts.find(host).and_then(|site| self.paths.find(site, path));
        match own {
            Some(own) if !self.any_overrides => Some(own),
            None => self.paths.find(self.any, path),
            Some(own) => {
                let priority = |id| self[id].priority;
                let any = self.paths.find(self.any, path).filter(|any| priority(*any) > priority(own));
                any.or(Some(own))
            }
        }
    }
}

impl Index<RouteId> for RouteTable {
    type Output = Route;

    fn index(&self, id: RouteId) -> &Route {
        &self.routes[id.0 as usize]
    }
}

/// The rest is compiled from the routes and says nothing new.
impl fmt::Debug for RouteTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RouteTable").field("routes", &self.routes).finish_non_exhaustive()
    }
}

impl PartialEq for RouteTable {
    fn eq(&self, other: &RouteTable) -> bool {
        self.routes == other.routes
    }
}

impl Eq for RouteTable {}

impl Default for RouteTable {
    fn default() -> RouteTable {
        RouteTable::new(Vec::new())
    }
}
