//! `[[passthrough]]`

use std::collections::HashMap;

use plan::{HostPattern, Listener, Passthrough, PassthroughTable, UpstreamId};

use super::access_log::Logs;
use super::route;
use super::too_many;
use super::upstream::Names;
use crate::config::address;
use crate::config::diagnostic::{Problem, Problems, Span, quoted};
use crate::config::omitted::item;
use crate::config::raw;
use crate::config::spanned::Spanned;

/// Rules of one file.
const RULES_MAX: usize = 10_000;
/// Names of one rule.
const NAMES_MAX: usize = 10_000;
/// What records call the rule without names.
const NAMELESS: &str = "passthrough";

pub(super) fn lower(
    file: &raw::File,
    listeners: &[Listener],
    names: &Names<'_>,
    logs: &Logs<'_>,
    problems: &mut Problems,
) -> PassthroughTable {
    if let Some(first_beyond) = file.passthrough.get(RULES_MAX) {
        too_many("rules", file.passthrough.len(), RULES_MAX, first_beyond.span(), problems);
    }
    let takes_tls = listeners.iter().any(|listener| listener.protocols.tls);
    if let Some(first) = file.passthrough.first().filter(|_| !takes_tls && !problems.concern(&["listeners"])) {
        let problem = Problem::new("no listener takes TLS, so nothing would be passed through");
        problems.at(first.span(), problem.expected("a listener with protocols = [\"tls\"] or [\"http1\", \"tls\"]"));
    }
    let mut taken = HashMap::new();
    let mut rules = Vec::new();
    for section in &file.passthrough {
        let rule = one(section, listeners, names, logs, problems);
        if let Some(rule) = rule.filter(|(rule, spans)| is_new(section, rule, spans, listeners, &mut taken, problems)) {
            rules.push(rule.0);
        }
    }
    PassthroughTable::new(rules, listeners.len())
}

/// A rule, and where its names stand.
fn one(
    section: &Spanned<raw::Passthrough>,
    listeners: &[Listener],
    upstreams: &Names<'_>,
    logs: &Logs<'_>,
    problems: &mut Problems,
) -> Option<(Passthrough, Vec<Span>)> {
    let (span, section) = (section.span(), section.get_ref());
    let upstream = upstream(&span, section, upstreams, problems);
    let names = names(&span, section, problems);
    let places = places(section, listeners, problems);
    let access_log = logs.of_route(section.access_log.as_ref(), problems);
    let ((names, spans), listeners, upstream) = (names?, places?, upstream?);
    let name = names.first().map_or_else(|| NAMELESS.to_owned(), HostPattern::to_string);
    Some((Passthrough { name, names, listeners, upstream, access_log }, spans))
}

fn upstream(
    span: &Span,
    section: &raw::Passthrough,
    upstreams: &Names<'_>,
    problems: &mut Problems,
) -> Option<UpstreamId> {
    let Some(written) = &section.upstream else {
        if !problems.concern(&["passthrough", &item(span), "upstream"]) {
            problems.at(span.clone(), Problem::new("this rule has no upstream").expected_one_of("", upstreams.iter()));
        }
        return None;
    };
    upstreams.named(written, problems)
}

/// The names, and where each stands.
fn names(span: &Span, section: &raw::Passthrough, problems: &mut Problems) -> Option<(Vec<HostPattern>, Vec<Span>)> {
    let Some(written) = &section.names else {
        let is_omitted = problems.concern(&["passthrough", &item(span), "names"]);
        return (!is_omitted).then(Default::default);
    };
    let list = written.get_ref();
    if list.is_empty() {
        let problem = Problem::new("the list of names is empty");
        problems.at(
            written.span(),
            problem.note("leave the key out, and the rule is for any name, and for clients that name none"),
        );
        return None;
    }
    if let Some(first_beyond) = list.get(NAMES_MAX) {
        too_many("names", list.len(), NAMES_MAX, first_beyond.span(), problems);
        return None;
    }
    let before = problems.count();
    let mut names = Vec::with_capacity(list.len());
    for written in list {
        match route::host(written.get_ref()) {
            Ok(HostPattern::Exact(name)) if name.starts_with('[') || name.parse::<std::net::Ipv4Addr>().is_ok() => {
                // RFC 6066 §3
                let problem = Problem::new(format!("{} is an address", quoted(written.get_ref())));
                problems.at(written.span(), problem.note("clients of TLS ask for names only"));
            }
            Ok(name) => names.push(name),
            Err(problem) => {
                let forms = "a name without port: `example.com`, `*.example.com`, `www.*`";
                problems.at(written.span(), problem.expected(forms));
            }
        }
    }
    (problems.count() == before).then(|| (names, list.iter().map(Spanned::span).collect()))
}

/// The places of the listeners that the rule holds for; none are all.
fn places(section: &raw::Passthrough, listeners: &[Listener], problems: &mut Problems) -> Option<Vec<u16>> {
    let Some(written) = &section.listeners else { return Some(Vec::new()) };
    if written.get_ref().is_empty() {
        let problem = Problem::new("the list of listeners is empty");
        problems.at(written.span(), problem.note("leave the key out, and the rule holds for all that take TLS"));
        return None;
    }
    let mut places = Some(Vec::new());
    for written in written.get_ref() {
        let found = address::listen(written.get_ref())
            .map(|address| listeners.iter().position(|listener| listener.address == address && listener.protocols.tls));
        match found {
            Ok(Some(place)) => {
                if let Some(places) = &mut places {
                    // There are 256 listeners at most.
                    places.push(u16::try_from(place).unwrap_or(u16::MAX));
                }
                continue;
            }
            Ok(None) if problems.concern(&["listeners"]) => {}
            Ok(None) => {
                let problem = Problem::new(format!("no listener at {} takes TLS", quoted(written.get_ref())));
                let known = listeners.iter().filter(|listener| listener.protocols.tls);
                let known: Vec<String> = known.map(|listener| listener.address.to_string()).collect();
                let problem = problem.expected_one_of(written.get_ref(), known.iter().map(String::as_str));
                problems.at(written.span(), problem);
            }
            Err(problem) => problems.at(written.span(), problem),
        }
        places = None;
    }
    places
}

/// Records what a rule matches. Tells whether none before it matches the same.
fn is_new(
    section: &Spanned<raw::Passthrough>,
    rule: &Passthrough,
    spans: &[Span],
    listeners: &[Listener],
    taken: &mut HashMap<(Option<HostPattern>, usize), Span>,
    problems: &mut Problems,
) -> bool {
    let named = rule.names.iter().cloned().map(Some).zip(spans.iter().cloned());
    let any = rule.names.is_empty().then(|| (None, section.span()));
    for (name, span) in named.chain(any) {
        for place in 0..listeners.len() {
            if !rule.listeners.is_empty() && !rule.listeners.iter().any(|held| usize::from(*held) == place) {
                continue;
            }
            let key = (name.clone(), place);
            let Some(first) = taken.get(&key) else {
                taken.insert(key, span.clone());
                continue;
            };
            let of = name.map_or_else(|| "any name".to_owned(), |name| quoted(&name.to_string()));
            let problem = Problem::new(format!("a second rule for {of}"));
            problems.repeated(span, first.clone(), problem.note("one of the two would never match"));
            return false;
        }
    }
    true
}
