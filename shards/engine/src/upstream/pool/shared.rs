//! What a pool has to do with connections that requests share: [`super::super::coalesce`] does the rest.

use std::rc::Rc;

use plan::Plan;

use super::{Chosen, Held, Place, Pool};
use crate::upstream::coalesce::{self, Seat};
use crate::upstream::server::{Server, Ticket, Tried};

impl Pool {
    /// A place on a connection that requests share, to the server whose turn it is; if that has none, only the choice of the
    /// server, for a connection of the request's own. `is_followed` says that its client has sent more behind it.
    pub(crate) fn join(self: &Rc<Self>, key: u64, is_followed: bool) -> Result<(Seat, Ticket), Option<Chosen>> {
        let servers = self.servers.borrow();
        let now = (!self.ward.is_empty()).then(ring::now);
        let picked = self.choose(&servers, key, &Tried::default(), now).ok_or(None)?;
        let (server, alone) = (&servers[picked], Err(Chosen::new(picked)));
        // A server that is on trial gets one request, not a batch of them.
        if now.is_some() && !server.health.is_in() {
            return alone;
        }
        let choice = server.lanes.choose(&self.policy().coalesce, server.active() + 1, is_followed, ring::now());
        if choice.opens {
            coalesce::open(self, server);
        }
        match choice.lane {
            Some(lane) => Ok((Seat::new(lane, self), Ticket::new(server, now))),
            None => alone,
        }
    }

    /// A place behind `seat` on its connection, for a request that its client pipelined behind, if the server is still to be
    /// asked this way and there is room.
    pub(crate) fn join_behind(self: &Rc<Self>, seat: &Seat, ticket: &Ticket) -> Option<(Seat, Ticket)> {
        let server: &Rc<Server> = ticket;
        let is_trusted = self.ward.is_empty() || server.health.is_in();
        if server.keeps_none() || self.held.is_closing() || !is_trusted {
            return None;
        }
        let seat = server.lanes.behind(seat, self, ring::now())?;
        Some((seat, Ticket::new(server, None)))
    }

    /// A request is sent again that shared its connection.
    pub(crate) fn count_resent(&self) {
        self.counters.coalesced_resent.add(1);
        self.count(|tally| tally.coalesced_resent.add(1));
    }

    pub(in crate::upstream) fn plan(&self) -> &Plan {
        &self.plan
    }

    pub(in crate::upstream) fn held(&self) -> &Rc<Held> {
        &self.held
    }

    /// A place among the connections that may exist, if one is free.
    pub(in crate::upstream) fn take_place(&self) -> bool {
        let is_free = self.open.get() < self.policy().connections_max;
        if is_free {
            self.open.set(self.open.get() + 1);
            self.count(|tally| tally.connections.add(1));
        }
        is_free
    }
}

impl Held {
    /// A connection that was not a lease's has been closed.
    pub(in crate::upstream) fn give_place_back(&self) {
        drop(Place(self));
    }

    /// Whether nothing is kept any more.
    pub(in crate::upstream) fn is_closing(&self) -> bool {
        self.closing.get()
    }

    /// So many requests that share a connection leave in one send.
    pub(in crate::upstream) fn count_batch(&self, requests: u32) {
        self.counters.coalesced_batches.add(1);
        self.counters.coalesced_requests.add(u64::from(requests));
        self.count(|tally| {
            tally.coalesced_batches.add(1);
            tally.coalesced_requests.add(u64::from(requests));
        });
    }
}
