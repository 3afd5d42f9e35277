//! What shards answer handshakes with.

use std::sync::Arc;

use plan::Plan;
use plan::tls::Tickets;
use tls::{Acceptor, AcceptorError, TicketKeys};

/// The acceptor in force, and the keys of its tickets.
#[derive(Debug, Default)]
pub(super) struct Handshakes {
    acceptor: Option<Arc<Acceptor>>,
    /// Those that are drawn here; tickets of keys that were given leave them alone.
    keys: Option<TicketKeys>,
}

impl Handshakes {
    /// The acceptor for `plan`, if it has TLS. It is the one before the next.
    pub(super) fn prepare(&mut self, plan: &Plan) -> Result<Option<Arc<Acceptor>>, AcceptorError> {
        let Some(policy) = &plan.tls else {
            self.acceptor = None;
            return Ok(None);
        };
        let keys = policy.tickets.as_ref().map(|tickets| self.keys_for(tickets));
        let acceptor = Arc::new(Acceptor::new(policy, keys.as_ref(), self.acceptor.as_deref())?);
        Ok(Some(Arc::clone(self.acceptor.insert(acceptor))))
    }

    fn keys_for(&mut self, tickets: &Tickets) -> TicketKeys {
        let drawn = || self.keys.get_or_insert_with(TicketKeys::random).clone();
        TicketKeys::given(&tickets.keys).unwrap_or_else(drawn)
    }
}
