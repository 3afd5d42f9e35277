//! Which upstream serves a request.

use crate::AccessLogId;

/// Index of an upstream in [`crate::Plan::upstreams`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UpstreamId(pub u16);

/// One rule: requests for this host below this path go to this upstream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// The host, in lower case, without port; `None` matches any.
    pub host: Option<String>,
    /// The path prefix, beginning with `/`. It matches whole segments: `/api` matches `/api` and `/api/x`, not `/apix`.
    pub prefix: String,
    /// Where matching requests go.
    pub upstream: UpstreamId,
    /// Protocols that clients may switch to, in lower case. The tunnel that follows a switch is not looked into.
    pub upgrades: Vec<String>,
    /// Whether CONNECT is passed on. The upstream, not Ringway, then decides where to and opens the connection.
    pub connect: bool,
    /// Where its exchanges are written down, if anywhere.
    pub access_log: Option<AccessLogId>,
}

impl Route {
    /// A route as it is by default: WebSocket is passed on, CONNECT is not.
    #[must_use]
    pub fn new(host: Option<String>, prefix: impl Into<String>, upstream: UpstreamId) -> Route {
        Route {
            host,
            prefix: prefix.into(),
            upstream,
            upgrades: vec!["websocket".to_owned()],
            connect: false,
            access_log: None,
        }
    }

    /// Whether clients may switch to `protocol`, compared without case (RFC 9110 §7.8).
    #[must_use]
    pub fn allows_upgrade(&self, protocol: &[u8]) -> bool {
        self.upgrades.iter().any(|allowed| allowed.as_bytes().eq_ignore_ascii_case(protocol))
    }
}

/// The routes in the order in which they are tried: those with a host before those without, and longer prefixes before
/// shorter ones.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RouteTable {
    routes: Vec<Route>,
}

impl RouteTable {
    /// Orders `routes` for matching. Of two routes with the same host and prefix the earlier one wins.
    #[must_use]
    pub fn new(mut routes: Vec<Route>) -> RouteTable {
        routes.sort_by_key(|route| (route.host.is_none(), std::cmp::Reverse(route.prefix.len())));
        RouteTable { routes }
    }

    /// The routes, in the order in which they are tried.
    #[must_use]
    pub fn routes(&self) -> &[Route] {
        &self.routes
    }

    /// The route for `host` (without port, in any case; empty if the request named none) and `path` (without query).
    #[must_use]
    pub fn find(&self, host: &[u8], path: &[u8]) -> Option<&Route> {
        self.routes.iter().find(|route| {
            route.host.as_ref().is_none_or(|name| name.as_bytes().eq_ignore_ascii_case(host))
                && prefix_matches(route.prefix.as_bytes(), path)
        })
    }
}

/// Whether `path` lies below `prefix`, by whole segments.
fn prefix_matches(prefix: &[u8], path: &[u8]) -> bool {
    let Some(rest) = path.strip_prefix(prefix) else { return false };
    rest.is_empty() || prefix.ends_with(b"/") || rest.starts_with(b"/")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(routes: &[(Option<&str>, &str)]) -> RouteTable {
        let route = |(index, (host, prefix)): (usize, &(Option<&str>, &str))| {
            Route::new(host.map(str::to_owned), *prefix, UpstreamId(u16::try_from(index).unwrap()))
        };
        RouteTable::new(routes.iter().enumerate().map(route).collect())
    }

    #[test]
    fn the_host_comes_first_then_the_longest_prefix() {
        let table = table(&[(None, "/"), (None, "/api"), (Some("a.example"), "/"), (Some("a.example"), "/api/v2")]);
        let found = |host: &str, path: &str| table.find(host.as_bytes(), path.as_bytes()).map(|route| route.upstream.0);
        assert_eq!(found("b.example", "/x"), Some(0));
        assert_eq!(found("b.example", "/api/x"), Some(1));
        assert_eq!(found("A.Example", "/api/x"), Some(2));
        assert_eq!(found("a.example", "/api/v2/x"), Some(3));
        assert_eq!(found("", "/"), Some(0));
    }

    #[test]
    fn a_prefix_matches_whole_segments() {
        let table = table(&[(None, "/api"), (None, "/static/")]);
        let found = |path: &str| table.find(b"", path.as_bytes()).is_some();
        assert!(found("/api") && found("/api/") && found("/api/x") && found("/static/x"));
        assert!(!found("/apix") && !found("/static") && !found("/"));
    }
}
