//! Servers that an operator is about to take away: they get no new requests until he says otherwise.
//!
//! An order holds for a server of an upstream, by the upstream's name and the server's address, whatever else about either
//! changes: other servers, other weights, another configuration. It ends when it is taken back, or when a new configuration
//! does not know the server any more: one that comes back later is taken for a healthy new one.

use std::collections::BTreeSet;

use plan::{Plan, Server};
use serde::{Deserialize, Serialize};

/// The orders in force.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Drains {
    /// Names of upstreams, and addresses of servers as text.
    servers: BTreeSet<(String, String)>,
}

impl Drains {
    /// Gives the order, or takes it back; tells whether that changed anything.
    pub(super) fn set(&mut self, upstream: &str, server: &str, draining: bool) -> bool {
        let key = (upstream.to_owned(), server.to_owned());
        if draining { self.servers.insert(key) } else { self.servers.remove(&key) }
    }

    /// Marks those of `servers`, all of one upstream, that an order is about.
    pub(super) fn mark(&self, upstream: &str, servers: &mut [Server]) {
        if self.servers.is_empty() {
            return;
        }
        for server in servers {
            server.draining = self.servers.contains(&(upstream.to_owned(), server.address.to_string()));
        }
    }

    /// Forgets the orders about servers that `plan` does not know, but for those of upstreams with `named` servers: an address
    /// of a name may be gone for a moment.
    pub(super) fn retain_known(&mut self, plan: &Plan, named: impl Fn(usize) -> bool) {
        self.servers.retain(|(upstream, server)| {
            let known = plan.upstreams.iter().enumerate().find(|(_, policy)| policy.name == *upstream);
            known.is_some_and(|(index, policy)| {
                named(index) || policy.servers.iter().any(|known| known.address.to_string() == *server)
            })
        });
    }
}
