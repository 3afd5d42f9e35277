//! TLS that is not terminated here: which connections go to which upstream, by the name that the client asks for (SNI).
//!
//! Names are looked up as the hosts of routes are: an exact one comes first, then the longest `*.suffix`, then the longest
//! `prefix.*`; then comes the rule without names, which is also for clients that name nobody.

use std::collections::HashSet;
use std::fmt;

use crate::{AccessLogId, HostIndex, HostPattern, UpstreamId};

/// One rule: connections of TLS for these names go to this upstream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Passthrough {
    /// What records call it.
    pub name: String,
    /// The names; none matches any, and connections without one.
    pub names: Vec<HostPattern>,
    /// The listeners that it holds for, by their places in [`crate::Plan::listeners`]; none are all that take TLS.
    pub listeners: Vec<u16>,
    /// Where matching connections go.
    pub upstream: UpstreamId,
    /// Where they are written down, if anywhere.
    pub access_log: Option<AccessLogId>,
}

/// The rules, compiled for lookup.
#[derive(Clone, Default)]
pub struct PassthroughTable {
    rules: Vec<Passthrough>,
    /// By listener.
    indices: Vec<Index>,
}

/// The rules that hold for one listener.
#[derive(Clone)]
struct Index {
    names: HostIndex<u32>,
    /// The place of the rule without names.
    any: Option<u32>,
}

impl PassthroughTable {
    /// The table of `rules`, for as many listeners as there are. Of two rules with the same name, the first is found.
    #[must_use]
    pub fn new(rules: Vec<Passthrough>, listeners: usize) -> PassthroughTable {
        if rules.is_empty() {
            return PassthroughTable::default();
        }
        let indices = (0..listeners).map(|listener| Index::new(&rules, listener)).collect();
        PassthroughTable { rules, indices }
    }

    /// The rule for connections to the listener at this place that ask for `name`, in any case.
    #[must_use]
    pub fn find(&self, listener: usize, name: Option<&str>) -> Option<&Passthrough> {
        let index = self.indices.get(listener)?;
        let named = name.and_then(|name| index.names.find(name.as_bytes()));
        self.rules.get(named.or(index.any)? as usize)
    }

    /// All rules, in the order of the configuration.
    #[must_use]
    pub fn rules(&self) -> &[Passthrough] {
        &self.rules
    }
}

impl Index {
    fn new(rules: &[Passthrough], listener: usize) -> Index {
        let holds = |rule: &Passthrough| {
            rule.listeners.is_empty() || rule.listeners.iter().any(|place| usize::from(*place) == listener)
        };
        let held = || (0u32..).zip(rules).filter(|(_, rule)| holds(rule));
        let mut seen = HashSet::new();
        let sites = held().flat_map(|(place, rule)| rule.names.iter().map(move |name| (name, place)));
        let sites: Vec<_> = sites.filter(|(name, _)| seen.insert(*name)).collect();
        let any = held().find(|(_, rule)| rule.names.is_empty()).map(|(place, _)| place);
        Index { names: HostIndex::new(&sites), any }
    }
}

impl PartialEq for PassthroughTable {
    /// The rules and their listeners say all; how they are compiled follows from them.
    fn eq(&self, other: &PassthroughTable) -> bool {
        (&self.rules, self.indices.len()) == (&other.rules, other.indices.len())
    }
}

impl Eq for PassthroughTable {}

impl fmt::Debug for PassthroughTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.rules.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(name: &str, names: &[HostPattern], listeners: &[u16]) -> Passthrough {
        let (name, names, listeners) = (name.to_owned(), names.to_vec(), listeners.to_vec());
        Passthrough { name, names, listeners, upstream: UpstreamId(0), access_log: None }
    }

    #[test]
    fn the_closest_name_is_found_among_the_rules_of_the_listener() {
        let exact = HostPattern::Exact("db.example".to_owned());
        let rules = vec![
            rule("exact", std::slice::from_ref(&exact), &[]),
            rule("suffix", &[HostPattern::Suffix("example".to_owned())], &[]),
            rule("elsewhere", &[exact], &[1]),
            rule("rest", &[], &[1]),
        ];
        let table = PassthroughTable::new(rules, 2);
        let found = |listener, name| table.find(listener, name).map(|rule| rule.name.as_str());
        assert_eq!(found(0, Some("DB.example")), Some("exact"));
        assert_eq!(found(0, Some("a.b.example")), Some("suffix"));
        assert_eq!((found(0, Some("other.test")), found(0, None)), (None, None));
        assert_eq!((found(1, Some("other.test")), found(1, None)), (Some("rest"), Some("rest")));
        assert_eq!(found(1, Some("db.example")), Some("exact"));
        assert_eq!(found(2, Some("db.example")), None, "there is no such listener");
        assert_eq!(PassthroughTable::default().find(0, None), None);
    }
}
