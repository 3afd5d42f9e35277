use proptest::prelude::*;

use super::path::PathPattern;
use super::*;

fn host(pattern: &str) -> HostPattern {
    if let Some(suffix) = pattern.strip_prefix("*.") {
        HostPattern::Suffix(suffix.to_owned())
    } else if let Some(prefix) = pattern.strip_suffix(".*") {
        HostPattern::Prefix(prefix.to_owned())
    } else {
        HostPattern::Exact(pattern.to_owned())
    }
}

/// `hosts path priority`: hosts with commas between them, `-` for any; a path with `=` before it is exact.
fn route(text: &str) -> Route {
    let mut parts = text.split(' ');
    let (hosts, path) = (parts.next().unwrap(), parts.next().unwrap());
    let hosts = if hosts == "-" { Vec::new() } else { hosts.split(',').map(host).collect() };
    let path = match path.strip_prefix('=') {
        Some(path) => PathPattern::Exact(path.to_owned()),
        None => PathPattern::Prefix(path.to_owned()),
    };
    let priority = parts.next().map_or(0, |priority| priority.parse().unwrap());
    Route { hosts, path, priority, ..Route::new(None, "/", UpstreamId(0)) }
}

/// Compiles `routes` and checks which of them is found for each host and path.
fn check(routes: &[&str], cases: &[(&str, &str, Option<usize>)]) {
    let table = RouteTable::new(routes.iter().map(|text| route(text)).collect());
    for (host, path, expected) in cases {
        let found = table.find(host.as_bytes(), path.as_bytes()).map(|id| id.0 as usize);
        assert_eq!(found, *expected, "{host:?} {path}");
    }
}

#[test]
fn the_host_comes_first_then_the_longest_prefix() {
    check(
        &["- /", "- /api", "a.example /", "a.example /api/v2"],
        &[
            ("b.example", "/x", Some(0)),
            ("b.example", "/api/x", Some(1)),
            ("A.Example", "/api/x", Some(2)),
            ("a.example", "/api/v2/x", Some(3)),
            ("", "/", Some(0)),
        ],
    );
}

#[test]
fn a_prefix_matches_whole_segments() {
    check(
        &["- /api", "- /static/", "- /api-v2/x"],
        &[
            ("", "/api", Some(0)),
            ("", "/api/", Some(0)),
            ("", "/api/x", Some(0)),
            ("", "/static/x", Some(1)),
            ("", "/static/", Some(1)),
            ("", "/apix", None),
            ("", "/api-v2", None),
            ("", "/api-v2/x/y", Some(2)),
            ("", "/static", None),
            ("", "/", None),
        ],
    );
}

#[test]
fn an_exact_path_comes_before_prefixes_and_matches_nothing_below() {
    check(
        &["- /", "- =/health", "- /health", "- =/a/b", "x.example =/only", "x.example /only/below"],
        &[
            ("", "/health", Some(1)),
            ("", "/health/", Some(2)),
            ("", "/health/x", Some(2)),
            ("", "/a/b", Some(3)),
            ("", "/a/b/c", Some(0)),
            ("", "/a/", Some(0)),
            ("x.example", "/only", Some(4)),
            ("x.example", "/only/x", Some(0)),
            ("x.example", "/only/below/x", Some(5)),
        ],
    );
}

#[test]
fn exact_hosts_come_before_longer_suffixes_and_those_before_prefixes() {
    check(
        &["a.example.com /", "*.example.com /", "*.com /", "www.* /", "www.example.* /", "*.b.example.com /"],
        &[
            ("a.example.com", "/", Some(0)),
            ("A.EXAMPLE.COM.", "/", Some(0)),
            ("b.example.com", "/", Some(1)),
            ("x.a.example.com", "/", Some(1)),
            ("x.b.example.com", "/", Some(5)),
            ("example.com", "/", Some(2)),
            ("com", "/", None),
            (".com", "/", None),
            ("www.example.com", "/", Some(1)),
            ("www.example.org", "/", Some(4)),
            ("www.example.co.uk", "/", Some(4)),
            ("www.other.org", "/", Some(3)),
            ("www", "/", None),
            ("www.", "/", None),
            ("", "/", None),
        ],
    );
}

#[test]
fn the_sites_own_routes_and_those_of_any_host_are_all_that_serve_it() {
    // A request for a.example.com is never served by *.example.com, even where the exact host has no route for its path.
    check(
        &["a.example.com /own", "*.example.com /", "- /shared"],
        &[
            ("a.example.com", "/own/x", Some(0)),
            ("a.example.com", "/shared/x", Some(2)),
            ("a.example.com", "/other", None),
            ("b.example.com", "/shared/x", Some(1)),
            ("c.example", "/own", None),
        ],
    );
}

#[test]
fn a_higher_priority_comes_first() {
    check(
        &["a.example /", "a.example /api 1", "a.example /api/v2", "a.example =/api/exact", "- /well-known 5", "- /x"],
        &[
            ("a.example", "/api/v2/x", Some(1)),
            ("a.example", "/api/exact", Some(1)),
            ("a.example", "/other", Some(0)),
            ("a.example", "/well-known/x", Some(4)),
            ("a.example", "/x", Some(0)),
            ("b.example", "/x", Some(5)),
        ],
    );
    check(&["a.example / -1", "- /x"], &[("a.example", "/x", Some(1)), ("a.example", "/y", Some(0))]);
}

#[test]
fn a_route_of_many_hosts_serves_each_and_ip_addresses_are_hosts() {
    check(
        &["a.example,*.b.example,c.* /", "[::1],192.0.2.1 /"],
        &[
            ("a.example", "/", Some(0)),
            ("x.b.example", "/", Some(0)),
            ("c.d", "/", Some(0)),
            ("[::1]", "/", Some(1)),
            ("192.0.2.1", "/", Some(1)),
            ("192.0.2.2", "/", None),
        ],
    );
}

#[test]
fn hosts_beyond_every_bound_are_looked_up_and_found_nowhere() {
    let table = RouteTable::new(vec![route("*.example /"), route("www.* /"), route("a.example /")]);
    for host in [".".repeat(255), "a.".repeat(127), "x".repeat(4000), format!("{}xample.org", "e.".repeat(4000))] {
        assert_eq!(table.find(host.as_bytes(), b"/"), None);
    }
    let deep = format!("{}example", "a.".repeat(120));
    assert_eq!(table.find(deep.as_bytes(), b"/"), Some(RouteId(0)));
}

#[test]
fn equal_routes_are_served_by_the_first() {
    check(&["- /a", "- /a", "x.y /a", "x.y /a"], &[("", "/a", Some(0)), ("x.y", "/a/b", Some(2))]);
}

#[test]
fn tables_are_equal_and_shown_by_their_routes() {
    let table = |text| RouteTable::new(vec![route(text)]);
    assert_eq!(table("a.b /"), table("a.b /").clone());
    assert_ne!(table("a.b /"), table("a.b /x"));
    assert!(format!("{:?}", table("a.b /")).starts_with("RouteTable { routes: [Route {"));
}

/// The rules as the documentation tells them, tried one route after the other.
fn find_by_trying(routes: &[Route], host: &str, path: &str) -> Option<usize> {
    let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
    let matches = |pattern: &HostPattern| match pattern {
        HostPattern::Exact(name) => *name == host,
        HostPattern::Suffix(suffix) => {
            host.strip_suffix(suffix.as_str()).is_some_and(|rest| rest.len() > 1 && rest.ends_with('.'))
        }
        HostPattern::Prefix(prefix) => {
            host.strip_prefix(prefix.as_str()).is_some_and(|rest| rest.len() > 1 && rest.starts_with('.'))
        }
    };
    let rank = |pattern: &&HostPattern| match pattern {
        HostPattern::Exact(_) => (2, 0),
        HostPattern::Suffix(suffix) => (1, suffix.len()),
        HostPattern::Prefix(prefix) => (0, prefix.len()),
    };
    let site = routes.iter().flat_map(|route| &route.hosts).filter(|pattern| matches(pattern)).max_by_key(rank);
    let serves = |route: &Route| match &route.path {
        PathPattern::Exact(exact) => path == exact,
        PathPattern::Prefix(prefix) => {
            path == prefix || path.starts_with(&format!("{}/", prefix.strip_suffix('/').unwrap_or(prefix)))
        }
    };
    let of_site = |route: &Route| site.is_some_and(|site| route.hosts.contains(site));
    let candidates = routes.iter().enumerate().filter(|(_, route)| of_site(route) || route.hosts.is_empty());
    let order = |(index, route): &(usize, &Route)| {
        let exact = matches!(route.path, PathPattern::Exact(_));
        (route.priority, of_site(route), exact, route.path.text().len(), std::cmp::Reverse(*index))
    };
    candidates.filter(|(_, route)| serves(route)).max_by_key(order).map(|(index, _)| index)
}

fn any_host() -> impl Strategy<Value = String> {
    prop::collection::vec(prop::sample::select(vec!["a", "b", "ab", "www", "Example", "-"]), 1..5)
        .prop_map(|labels| labels.join("."))
}

fn any_pattern() -> impl Strategy<Value = HostPattern> {
    (any_host(), 0..3).prop_map(|(host, kind)| {
        let host = host.to_ascii_lowercase();
        match kind {
            0 => HostPattern::Exact(host),
            1 => HostPattern::Suffix(host),
            _ => HostPattern::Prefix(host),
        }
    })
}

fn any_path() -> impl Strategy<Value = String> {
    prop::collection::vec(prop::sample::select(vec!["a", "b", "ab", "a-b", "%2F", "~", ""]), 0..5)
        .prop_map(|segments| format!("/{}", segments.join("/")))
}

fn any_route() -> impl Strategy<Value = Route> {
    (prop::collection::vec(any_pattern(), 0..3), any_path(), any::<bool>(), -1..2).prop_map(
        |(hosts, path, exact, priority)| {
            let path = if exact { PathPattern::Exact(path) } else { PathPattern::Prefix(path) };
            Route { hosts, path, priority, ..Route::new(None, "/", UpstreamId(0)) }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]
    #[test]
    fn a_lookup_finds_what_trying_all_routes_finds(
        routes in prop::collection::vec(any_route(), 0..24),
        asked in prop::collection::vec((any_host(), any::<bool>(), any_path()), 1..24),
    ) {
        let table = RouteTable::new(routes.clone());
        for (host, dot, path) in asked {
            let host = if dot { format!("{host}.") } else { host };
            let found = table.find(host.as_bytes(), path.as_bytes()).map(|id| id.0 as usize);
            prop_assert_eq!(found, find_by_trying(&routes, &host, &path), "{} {}", host, path);
        }
    }
}
