//! `[upstreams.NAME]`

use std::collections::HashMap;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use crate::config::spanned::Spanned;
use plan::{Address, Balance, Coalesce, HashKey, Health, Retry, SendProxy, Server, Upstream, UpstreamId};

use super::limits::{RATE_RANGE, bytes};
use super::tls::{self, Files};
use super::{TIMEOUT_RANGE, duration, integer, size, too_many, word};
use crate::config::address::{self, Endpoint};
use crate::config::diagnostic::{Problem, Problems, Span, quoted};
use crate::config::omitted::item;
use crate::config::raw;
use crate::discovery::Name;
use crate::telemetry::metrics::OTHER;

/// An [`UpstreamId`] counts to here.
const UPSTREAMS_MAX: usize = 1 << 16;
/// Servers of one upstream.
const SERVERS_MAX: usize = 4096;
/// Connections to one upstream, a shard. An upper bound against slips of the keyboard; descriptors end sooner.
const CONNECTIONS_MAX: u32 = 1_000_000;
/// A server's weight.
const WEIGHT_MAX: u16 = 1000;
/// Bytes of a header field's name that requests are balanced by.
const FIELD_NAME_BYTES_MAX: usize = 64;
/// How long others wait behind an answer on a shared connection.
const STALL_RANGE: RangeInclusive<Duration> = Duration::from_millis(1)..=Duration::from_secs(60 * 60);
/// A name stands in logs, records and addresses of the admin interface.
const NAME_CHARS_MAX: usize = 64;

/// The names of a file's upstreams, in the order in which they stand there, which is the order of their ids.
pub(super) struct Names<'f> {
    entries: Vec<(&'f Spanned<String>, &'f raw::Upstream)>,
    /// Many routes name them.
    ids: HashMap<&'f str, UpstreamId>,
}

impl<'f> Names<'f> {
    pub(super) fn of(file: &'f raw::File) -> Names<'f> {
        let mut entries: Vec<_> = file.upstreams.iter().collect();
        entries.sort_by_key(|(name, _)| name.span().start);
        let ids = (0..=u16::MAX).map(UpstreamId);
        let ids = entries.iter().zip(ids).map(|((name, _), id)| (name.get_ref().as_str(), id)).collect();
        Names { entries, ids }
    }

    /// The upstream that is written there.
    pub(super) fn named(&self, written: &Spanned<String>, problems: &mut Problems) -> Option<UpstreamId> {
        let name = written.get_ref();
        let found = self.ids.get(name.as_str()).copied();
        if found.is_none() && !problems.concern(&["upstreams", name]) {
            let problem = Problem::new(format!("no upstream is named {}", quoted(name)));
            problems.at(written.span(), problem.expected_one_of(name, self.iter()));
        }
        found
    }

    /// Whether its servers are told who a connection is opened for.
    pub(super) fn sends_proxy(&self, id: UpstreamId) -> bool {
        self.entries.get(usize::from(id.0)).is_some_and(|(_, section)| section.send_proxy.is_some())
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &'f str> {
        self.entries.iter().map(|(name, _)| name.get_ref().as_str())
    }
}

/// The upstreams. Those of their servers that are known by name go into `hosts`.
pub(super) fn lower(
    file: &raw::File,
    names: &Names<'_>,
    (hosts, files): (&mut Vec<Name>, &mut Files<'_>),
    problems: &mut Problems,
) -> Vec<Upstream> {
    if file.upstreams.is_empty() && !problems.concern(&["upstreams"]) {
        let problem = Problem::new("no upstream is configured, so there is nowhere to proxy to");
        problems.in_file(problem.expected("at least one: [upstreams.app] with servers = [\"127.0.0.1:9000\"]"));
    }
    if let Some((name, _)) = names.entries.get(UPSTREAMS_MAX) {
        too_many("upstreams", names.entries.len(), UPSTREAMS_MAX, name.span(), problems);
    }
    let mut upstreams = Vec::new();
    for (index, (name, section)) in names.entries.iter().enumerate() {
        // One beyond the last id was refused above.
        let id = UpstreamId(u16::try_from(index).unwrap_or(u16::MAX));
        let before = hosts.len();
        let mut upstream = one(id, name, section, hosts, problems);
        let needs_name = upstream.servers.iter().any(|server| matches!(server.address, Address::Unix(_)));
        if let Some(written) = &section.tls {
            upstream.tls = tls::lower_upstream(written, needs_name, &hosts[before..], files, problems).map(Arc::new);
        }
        upstreams.push(upstream);
    }
    upstreams
}

fn one(
    id: UpstreamId,
    name: &Spanned<String>,
    section: &raw::Upstream,
    hosts: &mut Vec<Name>,
    problems: &mut Problems,
) -> Upstream {
    check_name(name, problems);
    let default = Upstream::new(name.get_ref().clone(), servers(id, name, section, hosts, problems));
    let (balance, health) = (balance(name, section, problems), health(&section.health, problems));
    let (retry, coalesce) = (retry(&section.retry, problems), coalesce(&section.coalesce, problems));
    let connections_max = integer(section.connections.as_ref(), 1..=CONNECTIONS_MAX, default.connections_max, problems);
    // The default follows a smaller bound on all connections; a written number must fit below it.
    let idle_default = default.idle_connections_max.min(connections_max);
    let idle_max = integer(section.idle_connections.as_ref(), 0..=CONNECTIONS_MAX, idle_default, problems);
    // A bound that was refused is none to compare with.
    let is_refused = |written: &Spanned<i64>| *written.get_ref() != i64::from(connections_max);
    let is_known = !section.connections.as_ref().is_some_and(is_refused)
        && !problems.concern(&["upstreams", name.get_ref(), "connections"]);
    if let Some(written) = section.idle_connections.as_ref().filter(|_| is_known && idle_max > connections_max) {
        let problem = Problem::new(format!("{idle_max} idle connections are more than may be open"));
        problems.at(written.span(), problem.expected(format!("at most `connections`, which is {connections_max}")));
    }
    let versions = [("v1", Some(SendProxy::V1)), ("v2", Some(SendProxy::V2))];
    let send_proxy = word(section.send_proxy.as_ref(), "a version of the PROXY protocol", &versions, None, problems);
    let body_rate_min = bytes(section.body_rate_min.as_ref(), RATE_RANGE, default.body_rate_min, problems);
    let mut timeout = |written: &Option<_>, default| duration(written.as_ref(), TIMEOUT_RANGE, default, problems);
    Upstream {
        connect_timeout: timeout(&section.connect_timeout, default.connect_timeout),
        head_timeout: timeout(&section.head_timeout, default.head_timeout),
        body_idle_timeout: timeout(&section.body_idle_timeout, default.body_idle_timeout),
        body_rate_min,
        keep_alive_timeout: timeout(&section.keep_alive_timeout, default.keep_alive_timeout),
        idle_connections_max: idle_max,
        connections_max,
        balance,
        health,
        retry,
        coalesce,
        send_proxy,
        ..default
    }
}

fn check_name(name: &Spanned<String>, problems: &mut Problems) {
    let text = name.get_ref();
    if text == OTHER {
        let problem = Problem::new(format!("an upstream cannot be named {}", quoted(text)));
        problems.at(name.span(), problem.note("metrics use the word for the upstreams beyond their bound"));
    }
    let fits = !text.is_empty() && text.chars().count() <= NAME_CHARS_MAX;
    if !fits || !text.chars().all(|char| char.is_ascii_alphanumeric() || "-_.".contains(char)) {
        let problem = Problem::new(format!("{} is not a name for an upstream", quoted(text)));
        let expected = format!("1 to {NAME_CHARS_MAX} letters of ASCII, digits, `-`, `_` and `.`");
        problems.at(name.span(), problem.expected(expected));
    }
}

fn balance(name: &Spanned<String>, section: &raw::Upstream, problems: &mut Problems) -> Balance {
    let by_key = Balance::ConsistentHash(HashKey::default());
    let known = [
        ("round_robin", &Balance::RoundRobin),
        ("least_connections", &Balance::LeastConnections),
        ("random_two", &Balance::RandomTwo),
        ("source_hash", &Balance::SourceHash),
        ("consistent_hash", &by_key),
    ];
    let before = problems.count();
    let balance = word(section.balance.as_ref(), "a way to balance", &known, &Balance::RoundRobin, problems).clone();
    let is_known = problems.count() == before && !problems.concern(&["upstreams", name.get_ref(), "balance"]);
    let Some(written) = &section.hash else { return balance };
    if balance != by_key && is_known {
        let problem = Problem::new("`hash` has a meaning only where servers are chosen by it");
        problems.at(written.span(), problem.expected("`balance = \"consistent_hash\"` beside it"));
        return balance;
    }
    match written.get_ref().as_str() {
        "source" => Balance::ConsistentHash(HashKey::Source),
        "path" => Balance::ConsistentHash(HashKey::Path),
        text => match text.strip_prefix("header:").filter(|name| is_field_name(name)) {
            Some(name) => Balance::ConsistentHash(HashKey::Header(name.to_ascii_lowercase())),
            None => {
                let problem = Problem::new(format!("{} is nothing to balance by", quoted(text)));
                problems.at(written.span(), problem.expected("`source`, `path`, or `header:` and a field's name"));
                balance
            }
        },
    }
}

/// RFC 9110 §5.1
fn is_field_name(name: &str) -> bool {
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    (1..=FIELD_NAME_BYTES_MAX).contains(&name.len()) && name.bytes().all(is_token)
}

fn health(section: &raw::Health, problems: &mut Problems) -> Health {
    let default = Health::default();
    Health {
        failures: integer(section.failures.as_ref(), 0..=1000, default.failures, problems),
        ejection_base: duration(section.ejection_base.as_ref(), TIMEOUT_RANGE, default.ejection_base, problems),
        ejection_max: duration(section.ejection_max.as_ref(), TIMEOUT_RANGE, default.ejection_max, problems),
        eject_share_max: integer(section.eject_share_max.as_ref(), 0..=100, default.eject_share_max, problems),
        failure_statuses: statuses(section.failure_statuses.as_deref(), default.failure_statuses, problems),
    }
}

fn retry(section: &raw::Retry, problems: &mut Problems) -> Retry {
    let default = Retry::default();
    let body_bytes = size(section.body_bytes.as_ref(), 0..=16 << 20, default.body_bytes_max.into(), problems);
    Retry {
        attempts: integer(section.attempts.as_ref(), 1..=8, default.attempts, problems),
        budget_percent: integer(section.budget.as_ref(), 0..=100, default.budget_percent, problems),
        budget_min_per_s: integer(section.budget_min.as_ref(), 0..=10_000, default.budget_min_per_s, problems),
        body_bytes_max: u32::try_from(body_bytes).unwrap_or(default.body_bytes_max),
        statuses: statuses(section.statuses.as_deref(), default.statuses, problems),
        backoff_base: duration(section.backoff_base.as_ref(), TIMEOUT_RANGE, default.backoff_base, problems),
        backoff_max: duration(section.backoff_max.as_ref(), TIMEOUT_RANGE, default.backoff_max, problems),
    }
}

fn coalesce(section: &raw::Coalesce, problems: &mut Problems) -> Coalesce {
    let default = Coalesce::default();
    Coalesce {
        connections_max: integer(section.connections.as_ref(), 1..=64, default.connections_max, problems),
        depth_max: integer(section.depth.as_ref(), 2..=1024, default.depth_max, problems),
        engage_at: integer(section.engage_at.as_ref(), 1..=1_000_000, default.engage_at, problems),
        stall_timeout: duration(section.stall_timeout.as_ref(), STALL_RANGE, default.stall_timeout, problems),
    }
}

/// Statuses of errors, each once.
fn statuses(written: Option<&[Spanned<i64>]>, default: Vec<u16>, problems: &mut Problems) -> Vec<u16> {
    let Some(written) = written else { return default };
    let mut statuses: Vec<u16> = written.iter().map(|status| integer(Some(status), 400..=599, 500, problems)).collect();
    statuses.sort_unstable();
    statuses.dedup();
    statuses
}

/// The servers with fixed addresses; those known by name go into `hosts`.
fn servers(
    id: UpstreamId,
    name: &Spanned<String>,
    section: &raw::Upstream,
    hosts: &mut Vec<Name>,
    problems: &mut Problems,
) -> Vec<Server> {
    let written = section.servers.as_ref();
    let list = written.map_or(&[][..], |written| written.get_ref());
    if list.is_empty() && !problems.concern(&["upstreams", name.get_ref(), "servers"]) {
        let problem = Problem::new(format!("upstream {} has no servers", quoted(name.get_ref())));
        let problem = problem.expected("at least one, for example servers = [\"127.0.0.1:9000\"]");
        problems.at(written.map_or_else(|| name.span(), Spanned::span), problem);
    }
    if let Some(first_beyond) = list.get(SERVERS_MAX) {
        too_many("servers", list.len(), SERVERS_MAX, first_beyond.span(), problems);
    }
    let mut servers = Vec::new();
    for server in list {
        let Some((text, span, weight)) = server_parts(name.get_ref(), server, problems) else { continue };
        match address::server(text) {
            Ok(Endpoint::Address(address)) => servers.push(Server { weight, ..Server::new(address) }),
            Ok(Endpoint::Name { host, port }) => hosts.push(Name { upstream: id, host, port, weight }),
            Err(problem) => problems.at(span, problem),
        }
    }
    servers
}

/// The address as text, where it stands, and the weight.
fn server_parts<'s>(
    upstream: &str,
    server: &'s Spanned<raw::Server>,
    problems: &mut Problems,
) -> Option<(&'s str, Span, u16)> {
    let table = match server.get_ref() {
        raw::Server::Address(text) => return Some((text, server.span(), 1)),
        raw::Server::Table(table) => table,
    };
    let weight = integer(table.weight.as_ref(), 1..=WEIGHT_MAX, 1, problems);
    let Some(address) = &table.address else {
        if !problems.concern(&["upstreams", upstream, "servers", &item(&server.span()), "address"]) {
            let problem = Problem::new("this server has no address");
            problems.at(server.span(), problem.expected("for example { address = \"127.0.0.1:9000\", weight = 2 }"));
        }
        return None;
    };
    Some((address.get_ref(), address.span(), weight))
}
