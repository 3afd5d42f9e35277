//! `[upstreams.NAME]`

use plan::{Server, Upstream, UpstreamId};
use toml::Spanned;

use super::limits::{RATE_RANGE, bytes};
use super::{TIMEOUT_RANGE, duration, integer, too_many};
use crate::config::address;
use crate::config::diagnostic::{Problem, Problems, quoted};
use crate::config::raw;

/// An [`UpstreamId`] counts to here.
const UPSTREAMS_MAX: usize = 1 << 16;
/// Servers of one upstream.
const SERVERS_MAX: usize = 4096;
/// Connections to one upstream, a shard. An upper bound against slips of the keyboard; descriptors end sooner.
const CONNECTIONS_MAX: u32 = 1_000_000;
/// A name stands in logs, records and addresses of the admin interface.
const NAME_CHARS_MAX: usize = 64;

/// The names of a file's upstreams, in the order in which they stand there, which is the order of their ids.
pub(super) struct Names<'f> {
    entries: Vec<(&'f Spanned<String>, &'f raw::Upstream)>,
}

impl<'f> Names<'f> {
    pub(super) fn of(file: &'f raw::File) -> Names<'f> {
        let mut entries: Vec<_> = file.upstreams.iter().collect();
        entries.sort_by_key(|(name, _)| name.span().start);
        Names { entries }
    }

    pub(super) fn find(&self, name: &str) -> Option<UpstreamId> {
        let index = self.entries.iter().position(|(known, _)| known.get_ref() == name)?;
        u16::try_from(index).ok().map(UpstreamId)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &'f str> {
        self.entries.iter().map(|(name, _)| name.get_ref().as_str())
    }
}

pub(super) fn lower(file: &raw::File, names: &Names<'_>, problems: &mut Problems) -> Vec<Upstream> {
    if file.upstreams.is_empty() {
        let problem = Problem::new("no upstream is configured, so there is nowhere to proxy to");
        problems.in_file(problem.expected("at least one: [upstreams.app] with servers = [\"127.0.0.1:9000\"]"));
    }
    if let Some((name, _)) = names.entries.get(UPSTREAMS_MAX) {
        too_many("upstreams", names.entries.len(), UPSTREAMS_MAX, name.span(), problems);
    }
    names.entries.iter().map(|(name, section)| one(name, section, problems)).collect()
}

fn one(name: &Spanned<String>, section: &raw::Upstream, problems: &mut Problems) -> Upstream {
    check_name(name, problems);
    let default = Upstream::new(name.get_ref().clone(), servers(name, section, problems));
    let connections_max = integer(section.connections.as_ref(), 1..=CONNECTIONS_MAX, default.connections_max, problems);
    // The default follows a smaller bound on all connections; a written number must fit below it.
    let idle_default = default.idle_connections_max.min(connections_max);
    let idle_max = integer(section.idle_connections.as_ref(), 0..=CONNECTIONS_MAX, idle_default, problems);
    if let Some(written) = section.idle_connections.as_ref().filter(|_| idle_max > connections_max) {
        let problem = Problem::new(format!("{idle_max} idle connections are more than may be open"));
        problems.at(written.span(), problem.expected(format!("at most `connections`, which is {connections_max}")));
    }
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
        ..default
    }
}

fn check_name(name: &Spanned<String>, problems: &mut Problems) {
    let text = name.get_ref();
    let fits = !text.is_empty() && text.chars().count() <= NAME_CHARS_MAX;
    if !fits || !text.chars().all(|char| char.is_ascii_alphanumeric() || "-_.".contains(char)) {
        let problem = Problem::new(format!("{} is not a name for an upstream", quoted(text)));
        let expected = format!("1 to {NAME_CHARS_MAX} letters of ASCII, digits, `-`, `_` and `.`");
        problems.at(name.span(), problem.expected(expected));
    }
}

fn servers(name: &Spanned<String>, section: &raw::Upstream, problems: &mut Problems) -> Vec<Server> {
    let expected = "at least one, for example servers = [\"127.0.0.1:9000\"]";
    let Some(written) = &section.servers else {
        let problem = Problem::new(format!("upstream {} has no servers", quoted(name.get_ref())));
        problems.at(name.span(), problem.expected(expected));
        return Vec::new();
    };
    let list = written.get_ref();
    if list.is_empty() {
        let problem = Problem::new(format!("upstream {} has no servers", quoted(name.get_ref())));
        problems.at(written.span(), problem.expected(expected));
    }
    if let Some(first_beyond) = list.get(SERVERS_MAX) {
        too_many("servers", list.len(), SERVERS_MAX, first_beyond.span(), problems);
    }
    let mut servers = Vec::new();
    for server in list {
        match address::server(server.get_ref()) {
            Ok(address) => servers.push(Server { address }),
            Err(problem) => problems.at(server.span(), problem),
        }
    }
    servers
}
