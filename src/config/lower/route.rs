//! `[[routes]]`

use std::collections::HashMap;
use std::net::Ipv6Addr;

use crate::config::spanned::Spanned;
use plan::{HostPattern, PathPattern, Route, RouteTable, UpstreamId};

use super::access_log::Logs;
use super::upstream::Names;
use super::{filter, integer, too_many, websocket};
use crate::config::diagnostic::{Problem, Problems, Span, quoted};
use crate::config::omitted::item;
use crate::config::raw;
use crate::telemetry::metrics::{NO_ROUTE, OTHER};

/// Routes of one file.
const ROUTES_MAX: usize = 100_000;
/// What a host may look like.
pub(super) const HOST_FORMS: &str = "a host without scheme and port: `example.com`, `*.example.com`, `www.*`, `[::1]`";
/// Hosts of one route.
const HOSTS_MAX: usize = 10_000;
/// A host is a name of the DNS. RFC 1035 §2.3.4
const HOST_BYTES_MAX: usize = 253;
/// Protocols that one route lets clients switch to.
const UPGRADES_MAX: usize = 16;
/// A path has to fit into a request's head with room to spare.
const PATH_BYTES_MAX: usize = 4096;
/// Priorities lie between this and its negative: more than routes, so that each could have its own.
const PRIORITY_MAX: i32 = 1_000_000;
/// A name stands in records, metrics and addresses of the admin interface.
const NAME_BYTES_MAX: usize = 128;
/// What metrics call requests without a route, and all routes together that are too many to be counted each by itself. Names by
/// default have a `/`, and are none of these.
const NAMES_OF_METRICS: [&str; 2] = [NO_ROUTE, OTHER];

/// The routes; `takes_requests` says whether there have to be any.
pub(super) fn lower(
    file: &raw::File,
    names: &Names<'_>,
    logs: &Logs<'_>,
    takes_requests: bool,
    problems: &mut Problems,
) -> RouteTable {
    if takes_requests && file.routes.is_empty() && !problems.concern(&["routes"]) {
        let problem = Problem::new("no route is configured, so every request would be answered with 404");
        problems.in_file(problem.expected("at least one: [[routes]] with upstream = \"…\""));
    }
    if let Some(first_beyond) = file.routes.get(ROUTES_MAX) {
        too_many("routes", file.routes.len(), ROUTES_MAX, first_beyond.span(), problems);
    }
    let mut taken = Taken::default();
    let mut routes = Vec::new();
    for section in &file.routes {
        routes.extend(one(section, names, logs, &mut taken, problems));
    }
    if problems.is_empty() { RouteTable::new(routes) } else { RouteTable::default() }
}

/// One route, unless something is wrong with what it matches or with its upstream.
fn one(
    section: &Spanned<raw::Route>,
    names: &Names<'_>,
    logs: &Logs<'_>,
    taken: &mut Taken,
    problems: &mut Problems,
) -> Option<Route> {
    let (span, section) = (section.span(), section.get_ref());
    let upstream = upstream(span.clone(), section, names, problems);
    let (hosts, path) = (hosts(&span, section, problems), path(&span, section, problems));
    let priority = integer(section.priority.as_ref(), -PRIORITY_MAX..=PRIORITY_MAX, 0, problems);
    let (upgrades, filters) = (upgrades(section, problems), filter::lower(section, problems));
    let access_log = logs.of_route(section.access_log.as_ref(), problems);
    let websocket = websocket::lower(section, upgrades.as_deref(), problems);
    let streams = websocket::streams(section, problems);
    let is_new = path.as_ref().is_none_or(|path| taken.take(&span, &hosts, path, problems));
    let hosts = hosts.all();
    let name = name(&span, section, hosts.as_deref().zip(path.as_ref()), problems);
    // Of what is there twice, one complaint is enough.
    if let Some(name) = name.as_ref().filter(|_| is_new) {
        taken.take_name(section.name.as_ref().map_or(span, Spanned::span), name, problems);
    }
    let (name, hosts, path, default) = (name?, hosts?, path?, Route::new(None, "/", upstream?));
    let upgrades = upgrades.unwrap_or_else(|| default.upgrades.clone());
    let (connect, coalesce) = (section.connect, section.coalesce);
    Some(Route {
        name,
        hosts,
        path,
        priority,
        upgrades,
        websocket,
        streams,
        connect,
        coalesce,
        access_log,
        filters,
        ..default
    })
}

/// What the routes so far match and are called, and where that stands.
#[derive(Default)]
struct Taken {
    matches: HashMap<(Option<HostPattern>, PathPattern), Span>,
    names: HashMap<String, Span>,
}

impl Taken {
    /// Records what a route matches. Tells whether none before it matches the same.
    fn take(&mut self, route: &Span, hosts: &Hosts, path: &PathPattern, problems: &mut Problems) -> bool {
        let named = hosts.known.iter().map(|(host, span)| (Some(host), span));
        let any = (hosts.known.is_empty() && hosts.is_whole).then_some((None, route));
        let mut is_new = true;
        for (host, span) in named.chain(any) {
            let key = (host.cloned(), path.clone());
            let Some(first) = self.matches.get(&key) else {
                self.matches.insert(key, span.clone());
                continue;
            };
            is_new = false;
            let of_host = host.map_or_else(|| "any host".to_owned(), |host| quoted(&host.to_string()));
            let of_path = match path {
                PathPattern::Exact(path) => format!("path {}", quoted(path)),
                PathPattern::Prefix(prefix) => format!("prefix {}", quoted(prefix)),
            };
            let problem = Problem::new(format!("a second route for {of_host} and {of_path}"));
            problems.repeated(span.clone(), first.clone(), problem.note("one of the two would never match"));
        }
        is_new
    }

    fn take_name(&mut self, span: Span, name: &str, problems: &mut Problems) {
        if let Some(first) = self.names.get(name) {
            let problem = Problem::new(format!("a second route is named {}", quoted(name)));
            return problems.repeated(
                span,
                first.clone(),
                problem.note("records and metrics tell routes by their names"),
            );
        }
        self.names.insert(name.to_owned(), span);
    }
}

/// The name, written or by default after what the route `matches`; `None` where that is not known.
fn name(
    route: &Span,
    section: &raw::Route,
    matches: Option<(&[HostPattern], &PathPattern)>,
    problems: &mut Problems,
) -> Option<String> {
    let Some(written) = section.name.as_ref() else {
        let matches = matches.filter(|_| !problems.concern(&["routes", &item(route), "name"]));
        return matches.map(|(hosts, path)| Route::default_name(hosts, path));
    };
    let name = written.get_ref();
    if NAMES_OF_METRICS.contains(&name.as_str()) {
        let problem = Problem::new(format!("a route cannot be named {}", quoted(name)));
        problems.at(
            written.span(),
            problem.note("metrics use the word: for requests without a route, or for routes beyond their bound"),
        );
    }
    let valid = (1..=NAME_BYTES_MAX).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_graphic());
    if !valid {
        let problem = Problem::new(format!("{} is not a name for a route", quoted(name)));
        problems.at(written.span(), problem.expected(format!("1 to {NAME_BYTES_MAX} visible characters of ASCII")));
    }
    Some(name.clone())
}

fn upstream(span: Span, section: &raw::Route, names: &Names<'_>, problems: &mut Problems) -> Option<UpstreamId> {
    let Some(written) = &section.upstream else {
        if !problems.concern(&["routes", &item(&span), "upstream"]) {
            problems.at(span, Problem::new("this route has no upstream").expected_one_of("", names.iter()));
        }
        return None;
    };
    let found = names.named(written, problems)?;
    if section.coalesce && names.sends_proxy(found) {
        let problem = Problem::new("requests cannot share connections to an upstream that is told whom each is for");
        let problem = problem.note("either `coalesce` of the route or `send_proxy` of the upstream");
        problems.at(written.span(), problem);
    }
    Some(found)
}

/// The hosts of a route and where they stand, as far as they are right.
#[derive(Default)]
struct Hosts {
    known: Vec<(HostPattern, Span)>,
    /// Whether these are all; none are then any host.
    is_whole: bool,
}

impl Hosts {
    fn all(self) -> Option<Vec<HostPattern>> {
        self.is_whole.then(|| self.known.into_iter().map(|(host, _)| host).collect())
    }
}

fn hosts(route: &Span, section: &raw::Route, problems: &mut Problems) -> Hosts {
    let is_omitted = ["host", "hosts"].iter().any(|key| problems.concern(&["routes", &item(route), key]));
    let written = match (&section.host, &section.hosts) {
        (None, None) => &[],
        (Some(host), None) => std::slice::from_ref(host),
        (None, Some(hosts)) if hosts.get_ref().is_empty() && !is_omitted => {
            let problem = Problem::new("the list of hosts is empty");
            problems.at(hosts.span(), problem.note("leave the key out, and the route serves any host"));
            return Hosts::default();
        }
        (None, Some(hosts)) => hosts.get_ref().as_slice(),
        (Some(host), Some(_)) => {
            let problem = Problem::new("this route has both `host` and `hosts`");
            problems.at(host.span(), problem.expected("one of the two: hosts = [\"a.example\", \"b.example\"]"));
            return Hosts::default();
        }
    };
    if written.len() > HOSTS_MAX {
        too_many("hosts", written.len(), HOSTS_MAX, route.clone(), problems);
        return Hosts::default();
    }
    let mut hosts = Hosts { known: Vec::new(), is_whole: !is_omitted };
    for written in written {
        match host(written.get_ref()) {
            Ok(host) => hosts.known.push((host, written.span())),
            Err(problem) => {
                problems.at(written.span(), problem.expected(HOST_FORMS));
                hosts.is_whole = false;
            }
        }
    }
    hosts
}

/// The host in the form in which it is matched: in lower case, without the dot at its end, an IPv6 address as RFC 5952 has it.
pub(super) fn host(written: &str) -> Result<HostPattern, Problem> {
    if let Some(literal) = written.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        let address = literal.parse::<Ipv6Addr>();
        let address = address.map_err(|_| Problem::new(format!("{} is not an IPv6 address", quoted(written))))?;
        return Ok(HostPattern::Exact(format!("[{address}]")));
    }
    let host = written.strip_suffix('.').unwrap_or(written).to_ascii_lowercase();
    let (name, pattern): (_, fn(String) -> HostPattern) = match (host.strip_prefix("*."), host.strip_suffix(".*")) {
        (Some(suffix), None) => (suffix, HostPattern::Suffix),
        (None, Some(prefix)) => (prefix, HostPattern::Prefix),
        _ => (host.as_str(), HostPattern::Exact),
    };
    match host_problem(written, name) {
        None => Ok(pattern(name.to_owned())),
        Some(problem) => Err(problem),
    }
}

/// What is wrong with `name`, which is what `written` has besides a wildcard.
fn host_problem(written: &str, name: &str) -> Option<Problem> {
    let shown = quoted(written);
    let problem = if written.is_empty() || written == "*" {
        let what = if written.is_empty() { "the host is empty".to_owned() } else { format!("{shown} is not a host") };
        Problem::new(what).note("leave the key out, and the route serves any host")
    } else if name.contains('*') {
        Problem::new(format!("{shown} has a wildcard that is no whole label at one end"))
    } else if let Some(suffix) = written.strip_prefix('.').filter(|suffix| suffix.contains(char::is_alphanumeric)) {
        Problem::new(format!("{shown} begins with a dot"))
            .note(format!("to serve the domain and all below it: hosts = [\"{suffix}\", \"*.{suffix}\"]"))
    } else if name.contains(['/', ':']) {
        Problem::new(format!("{shown} is more than a host"))
    } else if !name.is_ascii() {
        not_ascii(written)
    } else if name.len() > HOST_BYTES_MAX {
        Problem::new(format!("the host is {} bytes long, more than {HOST_BYTES_MAX}", name.len()))
    } else if name.split('.').any(str::is_empty) {
        Problem::new(format!("{shown} has an empty label: two dots in a row, or nothing but a dot"))
    } else if !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte)) {
        Problem::new(format!("{shown} is not a host"))
    } else {
        return None;
    };
    Some(problem)
}

/// Clients send names of other scripts as A-labels (RFC 5890 §2.3.2.1), and compared is what they send.
fn not_ascii(written: &str) -> Problem {
    let problem = Problem::new(format!("{} is not ASCII", quoted(written)));
    let labels: Option<Vec<String>> = written.split('.').map(|label| idna::domain_to_ascii(label).ok()).collect();
    match labels {
        Some(labels) => problem.note(format!("write it as clients send it: {}", quoted(&labels.join(".")))),
        None => problem.note("write it as clients send it: `xn--…`"),
    }
}

/// The protocols in lower case; `None` where the file leaves them at the default.
fn upgrades(section: &raw::Route, problems: &mut Problems) -> Option<Vec<String>> {
    let written = section.upgrades.as_ref()?;
    if let Some(first_beyond) = written.get(UPGRADES_MAX) {
        too_many("upgrades", written.len(), UPGRADES_MAX, first_beyond.span(), problems);
    }
    let mut upgrades = Vec::new();
    for written in written {
        match upgrade_problem(written.get_ref()) {
            None => upgrades.push(written.get_ref().to_ascii_lowercase()),
            Some(problem) => problems.at(written.span(), problem),
        }
    }
    Some(upgrades)
}

fn upgrade_problem(protocol: &str) -> Option<Problem> {
    let shown = quoted(protocol);
    let is_token = |part: &str| {
        !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
    };
    let name = protocol.split('/').next().unwrap_or_default();
    // Inside such a tunnel a client would speak to the upstream past every rule of ours.
    if ["h2c", "h2", "http", "tls"].iter().any(|refused| name.eq_ignore_ascii_case(refused)) {
        return Some(Problem::new(format!("{shown} is never passed on")).note("requests inside it would go unseen"));
    }
    let valid = protocol.split('/').count() <= 2 && protocol.split('/').all(is_token);
    (!valid).then(|| Problem::new(format!("{shown} is not a protocol")).expected("a token such as `websocket`"))
}

/// The path; `None` where it is wrong, or not known.
fn path(route: &Span, section: &raw::Route, problems: &mut Problems) -> Option<PathPattern> {
    let (written, pattern): (_, fn(String) -> PathPattern) = match (&section.path, &section.prefix) {
        _ if ["path", "prefix"].iter().any(|key| problems.concern(&["routes", &item(route), key])) => return None,
        (None, None) => return Some(PathPattern::Prefix("/".to_owned())),
        (Some(path), None) => (path, PathPattern::Exact),
        (None, Some(prefix)) => (prefix, PathPattern::Prefix),
        (Some(path), Some(_)) => {
            let problem = Problem::new("this route has both `path` and `prefix`");
            problems
                .at(path.span(), problem.expected("one of the two: `path` matches nothing below it, `prefix` does"));
            return None;
        }
    };
    match path_problem(written.get_ref(), if section.path.is_some() { "path" } else { "prefix" }) {
        None => Some(pattern(written.get_ref().clone())),
        Some(problem) => {
            problems.at(written.span(), problem);
            None
        }
    }
}

/// A path is compared with the path in its one canonical form. What that form never contains would never match, and is
/// therefore a mistake.
fn path_problem(path: &str, key: &str) -> Option<Problem> {
    let shown = quoted(path);
    let problem = if !path.starts_with('/') {
        let problem = Problem::new(format!("{shown} does not begin with `/`"));
        if path.contains(':') {
            problem
        } else {
            problem.note(format!("did you mean {}?", quoted(&format!("/{path}"))))
        }
    } else if path.len() > PATH_BYTES_MAX {
        Problem::new(format!("the {key} is {} bytes long, more than {PATH_BYTES_MAX}", path.len()))
    } else if path.contains(['?', '#']) {
        Problem::new(format!("{shown} is more than a path")).expected(format!("a {key} without query and fragment"))
    } else if path.contains('*') {
        Problem::new(format!("{shown} is a pattern")).note("`prefix` matches everything below it as it is")
    } else if !path.bytes().all(|byte| byte.is_ascii_graphic()) {
        Problem::new(format!("{shown} has a character that stands in no path"))
            .note("write it percent-encoded, as clients send it")
    } else if path.contains("//") || path.split('/').any(|segment| segment == "." || segment == "..") {
        Problem::new(format!("{shown} is not in its shortest form"))
            .note("`//`, `/./` and `/../` are resolved before routes are tried")
    } else if let Some(canonical) = other_form(path) {
        match canonical {
            Ok(canonical) => Problem::new(format!("{shown} is not in its canonical form"))
                .note(format!("requests are matched in that form: write {}", quoted(&canonical))),
            Err(error) => Problem::new(format!("{shown} matches no request, since such paths are refused: {error}")),
        }
    } else {
        return None;
    };
    Some(problem)
}

/// The form in which a path is compared, if it is written in another.
fn other_form(path: &str) -> Option<Result<String, wire::PathError>> {
    let mut canonical = Vec::new();
    match wire::path::canonicalize(path.as_bytes(), &mut canonical) {
        Ok(()) if canonical == path.as_bytes() => None,
        Ok(()) => Some(Ok(String::from_utf8_lossy(&canonical).into_owned())),
        Err(error) => Some(Err(error)),
    }
}
