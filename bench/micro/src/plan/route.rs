//! Tables of routes, and requests for them.

use plan::{HostPattern, PathPattern, Route, RouteTable, UpstreamId};

/// Requests of a workload. Enough that a branch predictor cannot learn them, few enough that they themselves stay in the cache.
const REQUESTS: usize = 4096;

/// What there is many of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Hosts, each with a route of its own.
    Exact,
    /// `*.suffix`, each with a route of its own.
    Suffix,
    /// Prefixes of one host.
    Prefix,
}

/// A table, and requests that are spread over all of its routes.
#[derive(Debug)]
pub struct Workload {
    /// The table.
    pub table: RouteTable,
    requests: Vec<Request>,
    /// What the requests say, one behind the other: they come in order, and shall drive no more of the table out of the cache
    /// than they must.
    text: Vec<u8>,
}

/// The lengths of a host and of the path that follows it.
#[derive(Debug, Clone, Copy)]
struct Request {
    host_len: u8,
    path_len: u8,
}

impl Kind {
    /// All of them.
    pub const ALL: [Kind; 3] = [Kind::Exact, Kind::Suffix, Kind::Prefix];

    /// What the many are called.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Kind::Exact => "exact hosts",
            Kind::Suffix => "wildcard hosts",
            Kind::Prefix => "prefixes of a host",
        }
    }

    /// `count` routes.
    #[must_use]
    pub fn routes(self, count: usize) -> Vec<Route> {
        (0..count).map(|index| self.route(index)).collect()
    }

    fn route(self, index: usize) -> Route {
        // Names as hosting companies have them, in no order that a hash or a cache could profit from.
        let (host, path) = match self {
            Kind::Exact => (HostPattern::Exact(format!("shop-{:05}.example.com", mixed(index))), "/".to_owned()),
            Kind::Suffix => (HostPattern::Suffix(format!("shop-{:05}.example.com", mixed(index))), "/".to_owned()),
            Kind::Prefix => {
                (HostPattern::Exact("api.example.com".to_owned()), format!("/v1/service-{:05}", mixed(index)))
            }
        };
        let hosts = vec![host];
        let path = PathPattern::Prefix(path);
        let name = Route::default_name(&hosts, &path);
        Route { name, hosts, path, ..Route::new(None, "/", UpstreamId(0)) }
    }
}

impl Workload {
    /// `count` routes, and requests for them.
    #[must_use]
    pub fn new(kind: Kind, count: usize) -> Workload {
        let routes = kind.routes(count);
        let request = |index: usize| {
            let route = &routes[mixed(index) % count];
            let host = match &route.hosts[0] {
                HostPattern::Suffix(suffix) => format!("www.{suffix}"),
                host => host.to_string(),
            };
            let path = format!("{}/x", route.path.text().trim_end_matches('/'));
            let len = |text: &str| u8::try_from(text.len()).expect("short texts");
            (Request { host_len: len(&host), path_len: len(&path) }, host + &path)
        };
        let (requests, texts): (Vec<Request>, Vec<String>) = (0..REQUESTS).map(request).unzip();
        Workload { table: RouteTable::new(routes), requests, text: texts.concat().into_bytes() }
    }

    /// How many requests [`find_all`](Self::find_all) looks up.
    #[must_use]
    pub fn requests(&self) -> usize {
        self.requests.len()
    }

    /// Looks all requests up; the number that were found, which is all of them.
    #[must_use]
    pub fn find_all(&self) -> usize {
        let mut rest = &self.text[..];
        let is_found = |request: &&Request| {
            let (host, after) = rest.split_at(usize::from(request.host_len));
            let (path, after) = after.split_at(usize::from(request.path_len));
            rest = after;
            self.table.find(host, path).is_some()
        };
        self.requests.iter().filter(is_found).count()
    }
}

/// A number below 100,000 for each of the first 100,000, in no order: multiplying by a prime that does not divide 100,000
/// maps them one to one.
fn mixed(index: usize) -> usize {
    index * 61_843 % 100_000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_request_is_found() {
        for kind in Kind::ALL {
            for count in [1, 10, 1000] {
                let workload = Workload::new(kind, count);
                assert_eq!(workload.find_all(), workload.requests(), "{kind:?} {count}");
            }
        }
    }
}
