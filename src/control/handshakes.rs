//! What shards answer handshakes with, and begin them with.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use anyhow::Context;
use engine::Connectors;
use plan::Plan;
use plan::tls::{Certificate, Tickets, UpstreamTls};
use tls::{Acceptor, Connector, TicketKeys};

use super::heritage::LeftTickets;
use super::stapling::Stapling;
use crate::certs;

/// How often is told that a certificate expires soon.
const WARNING_INTERVAL: Duration = Duration::from_secs(12 * 60 * 60);

/// What shards have of TLS.
#[derive(Debug)]
pub(super) struct Parties {
    /// Who answers clients, if the Plan has TLS.
    pub(super) acceptor: Option<Arc<Acceptor>>,
    /// Who speaks with the servers of each upstream.
    pub(super) connectors: Connectors,
}

/// The acceptor in force, the keys of its tickets, and the answers that it shows with its certificates.
#[derive(Debug)]
pub(super) struct Handshakes {
    pub(super) stapling: Stapling,
    acceptor: Option<Arc<Acceptor>>,
    /// The connectors in force, by what they were made of.
    connectors: HashMap<String, (Arc<UpstreamTls>, Connector)>,
    /// Those that are drawn here; tickets of keys that were given leave them alone.
    drawn: Option<Drawn>,
    /// Acceptors that shards may still have. They are held until nobody else does, so that no shard drops one.
    retired: Vec<Arc<Acceptor>>,
    /// When certificates that expire were looked for.
    warned: Option<Instant>,
}

#[derive(Debug)]
struct Drawn {
    keys: TicketKeys,
    at: Instant,
}

impl Handshakes {
    /// None yet. Tickets are made with the keys that were `left` by the generation before this one, if it did.
    pub(super) fn new(left: Option<&LeftTickets>) -> Handshakes {
        let drawn = left.and_then(LeftTickets::take).map(|(keys, age)| {
            let now = Instant::now();
            Drawn { keys, at: now.checked_sub(age).unwrap_or(now) }
        });
        Handshakes {
            stapling: Stapling::new(),
            acceptor: None,
            connectors: HashMap::new(),
            drawn,
            retired: Vec::new(),
            warned: None,
        }
    }

    /// The keys that tickets are made with, for the next generation.
    pub(super) fn left_tickets(&self) -> Option<LeftTickets> {
        self.drawn.as_ref().map(|drawn| LeftTickets::new(&drawn.keys, drawn.at.elapsed()))
    }

    /// The acceptor for `plan`, if it has TLS, and its connectors. The next ones are made of what they have in common with these.
    pub(super) fn prepare(&mut self, plan: &Plan) -> anyhow::Result<Parties> {
        let connectors = self.connectors(plan)?;
        self.retired.retain(|acceptor| Arc::strong_count(acceptor) > 1);
        let now_unix_s = self.stapling.follow(plan.tls.as_ref());
        let next = match &plan.tls {
            None => None,
            Some(policy) => {
                let keys = policy.tickets.as_ref().map(|tickets| self.keys(tickets));
                let staples = |certificate: &Certificate| self.stapling.staple(certificate, now_unix_s);
                Some(Arc::new(Acceptor::stapling(policy, keys.as_ref(), &staples, self.acceptor.as_deref())?))
            }
        };
        self.retired.extend(std::mem::replace(&mut self.acceptor, next.clone()));
        Ok(Parties { acceptor: next, connectors })
    }

    fn connectors(&mut self, plan: &Plan) -> anyhow::Result<Connectors> {
        let (mut made, mut connectors) = (HashMap::new(), Vec::new());
        for upstream in &plan.upstreams {
            let Some(policy) = &upstream.tls else {
                connectors.push(None);
                continue;
            };
            // Roots of the system are a hundred and more: they are not read again where nothing has changed.
            let known = self.connectors.get(&upstream.name).filter(|(known, _)| known == policy);
            let connector = match known {
                Some((_, connector)) => connector.clone(),
                None => Connector::new(policy).with_context(|| format!("upstream {}", upstream.name))?,
            };
            made.insert(upstream.name.clone(), (Arc::clone(policy), connector.clone()));
            connectors.push(Some(connector));
        }
        self.connectors = made;
        Ok(connectors.into())
    }

    /// What there is to warn of in the certificates of `plan`, now and then.
    pub(super) fn warnings(&mut self, plan: &Plan) -> Vec<String> {
        if self.warned.is_some_and(|at| at.elapsed() < WARNING_INTERVAL) {
            return Vec::new();
        }
        // At the start the reading of the files has told of them.
        let is_first = self.warned.replace(Instant::now()).is_none();
        match &plan.tls {
            Some(tls) if !is_first => certs::expiring(tls, SystemTime::now()),
            _ => Vec::new(),
        }
    }

    /// Draws other keys if tickets have been made with these for long enough. The next acceptor has them.
    pub(super) fn rotate(&mut self, plan: &Plan) -> bool {
        let tickets = plan.tls.as_ref().and_then(|policy| policy.tickets.as_ref());
        let Some((tickets, drawn)) = tickets.filter(|tickets| tickets.keys.is_empty()).zip(self.drawn.as_mut()) else {
            return false;
        };
        let is_due = drawn.at.elapsed() >= tickets.rotation.max(Duration::from_secs(1));
        if is_due {
            *drawn = Drawn { keys: drawn.keys.rotated(), at: Instant::now() };
        }
        is_due
    }

    fn keys(&mut self, tickets: &Tickets) -> TicketKeys {
        TicketKeys::given(&tickets.keys).unwrap_or_else(|| {
            let drawn = || Drawn { keys: TicketKeys::random(), at: Instant::now() };
            self.drawn.get_or_insert_with(drawn).keys.clone()
        })
    }
}
