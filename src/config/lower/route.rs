//! `[[routes]]`

use std::collections::HashMap;
use std::net::Ipv6Addr;

use plan::{Route, RouteTable, UpstreamId};

use super::access_log::Logs;
use super::too_many;
use super::upstream::Names;
use crate::config::diagnostic::{Problem, Problems, Span, quoted};
use crate::config::raw;

/// Routes of one file.
const ROUTES_MAX: usize = 100_000;
/// A host is a name of the DNS. RFC 1035 §2.3.4
const HOST_BYTES_MAX: usize = 253;
/// Protocols that one route lets clients switch to.
const UPGRADES_MAX: usize = 16;
/// A prefix has to fit into a request's head with room to spare.
const PREFIX_BYTES_MAX: usize = 4096;

pub(super) fn lower(file: &raw::File, names: &Names<'_>, logs: &Logs<'_>, problems: &mut Problems) -> RouteTable {
    if file.routes.is_empty() {
        let problem = Problem::new("no route is configured, so every request would be answered with 404");
        problems.in_file(problem.expected("at least one: [[routes]] with upstream = \"…\""));
    }
    if let Some(first_beyond) = file.routes.get(ROUTES_MAX) {
        too_many("routes", file.routes.len(), ROUTES_MAX, first_beyond.span(), problems);
    }
    let mut seen: HashMap<(Option<String>, String), Span> = HashMap::new();
    let mut routes = Vec::new();
    for section in &file.routes {
        let upstream = upstream(section.span(), section.get_ref(), names, problems);
        let (Some(host), Some(prefix)) = (host(section.get_ref(), problems), prefix(section.get_ref(), problems))
        else {
            continue;
        };
        let span = section.span();
        if let Some(first) = seen.get(&(host.clone(), prefix.clone())) {
            let of_host = host.as_ref().map_or_else(|| "any host".to_owned(), |host| quoted(host));
            let problem = Problem::new(format!("a second route for {of_host} and prefix {}", quoted(&prefix)));
            problems.repeated(span, first.clone(), problem.note("the first would win, and this one never match"));
            continue;
        }
        seen.insert((host.clone(), prefix.clone()), span);
        let upgrades = upgrades(section.get_ref(), problems);
        let access_log = logs.of_route(section.get_ref().access_log.as_ref(), problems);
        if let Some(upstream) = upstream {
            let connect = section.get_ref().connect;
            let route = Route::new(host, prefix, upstream);
            let upgrades = upgrades.unwrap_or_else(|| route.upgrades.clone());
            routes.push(Route { upgrades, connect, access_log, ..route });
        }
    }
    RouteTable::new(routes)
}

fn upstream(span: Span, section: &raw::Route, names: &Names<'_>, problems: &mut Problems) -> Option<UpstreamId> {
    let Some(written) = &section.upstream else {
        problems.at(span, Problem::new("this route has no upstream").expected_one_of("", names.iter()));
        return None;
    };
    let name = written.get_ref();
    let found = names.find(name);
    if found.is_none() {
        let problem = Problem::new(format!("no upstream is named {}", quoted(name)));
        problems.at(written.span(), problem.expected_one_of(name, names.iter()));
    }
    found
}

/// The host in lower case; `Some(None)` where any will do, `None` where it is wrong.
fn host(section: &raw::Route, problems: &mut Problems) -> Option<Option<String>> {
    let Some(written) = &section.host else { return Some(None) };
    let host = written.get_ref();
    match host_problem(host) {
        None => Some(Some(host.to_ascii_lowercase())),
        Some(problem) => {
            problems.at(written.span(), problem.expected("a host without scheme and port: `example.com`, `[::1]`"));
            None
        }
    }
}

fn host_problem(host: &str) -> Option<Problem> {
    let shown = quoted(host);
    if let Some(literal) = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        let valid = literal.parse::<Ipv6Addr>().is_ok();
        return (!valid).then(|| Problem::new(format!("{shown} is not an IPv6 address")));
    }
    let problem = if host.is_empty() {
        Problem::new("the host is empty").note("leave the key out, and the route serves any host")
    } else if host.contains('*') {
        Problem::new(format!("{shown} is a pattern, and hosts are matched exactly"))
    } else if host.contains(['/', ':']) {
        Problem::new(format!("{shown} is more than a host"))
    } else if !host.is_ascii() {
        Problem::new(format!("{shown} is not ASCII")).note("write it as clients send it: `xn--…`")
    } else if host.len() > HOST_BYTES_MAX {
        Problem::new(format!("the host is {} bytes long, more than {HOST_BYTES_MAX}", host.len()))
    } else if !host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte)) {
        Problem::new(format!("{shown} is not a host"))
    } else if host.split('.').any(str::is_empty) {
        Problem::new(format!("{shown} has an empty label: a dot at an end, or two in a row"))
    } else {
        return None;
    };
    Some(problem)
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

fn prefix(section: &raw::Route, problems: &mut Problems) -> Option<String> {
    let Some(written) = &section.prefix else { return Some("/".to_owned()) };
    let prefix = written.get_ref();
    match prefix_problem(prefix) {
        None => Some(prefix.clone()),
        Some(problem) => {
            problems.at(written.span(), problem);
            None
        }
    }
}

/// A prefix is compared with the path in its one canonical form. What that form never contains would never match, and is
/// therefore a mistake.
fn prefix_problem(prefix: &str) -> Option<Problem> {
    let shown = quoted(prefix);
    let problem = if !prefix.starts_with('/') {
        let problem = Problem::new(format!("{shown} does not begin with `/`"));
        if prefix.contains(':') {
            problem
        } else {
            problem.note(format!("did you mean {}?", quoted(&format!("/{prefix}"))))
        }
    } else if prefix.len() > PREFIX_BYTES_MAX {
        Problem::new(format!("the prefix is {} bytes long, more than {PREFIX_BYTES_MAX}", prefix.len()))
    } else if prefix.contains(['?', '#']) {
        Problem::new(format!("{shown} is more than a path")).expected("a prefix without query and fragment")
    } else if prefix.contains('*') {
        Problem::new(format!("{shown} is a pattern")).note("a prefix matches everything below it as it is")
    } else if !prefix.bytes().all(|byte| byte.is_ascii_graphic()) {
        Problem::new(format!("{shown} has a character that stands in no path"))
            .note("write it percent-encoded, as clients send it")
    } else if prefix.contains("//") || prefix.split('/').any(|segment| segment == "." || segment == "..") {
        Problem::new(format!("{shown} is not in its shortest form"))
            .note("`//`, `/./` and `/../` are resolved before routes are tried")
    } else if let Some(canonical) = other_form(prefix) {
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

/// The form in which a prefix is compared, if it is written in another.
fn other_form(prefix: &str) -> Option<Result<String, wire::PathError>> {
    let mut canonical = Vec::new();
    match wire::path::canonicalize(prefix.as_bytes(), &mut canonical) {
        Ok(()) if canonical == prefix.as_bytes() => None,
        Ok(()) => Some(Ok(String::from_utf8_lossy(&canonical).into_owned())),
        Err(error) => Some(Err(error)),
    }
}
