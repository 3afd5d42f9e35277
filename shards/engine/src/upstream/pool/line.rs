//! A connection to a server that carries one client's bytes as they are.

use std::rc::Rc;

use super::{Admitted, Place, Pool};
use crate::client::Client;
use crate::deadline::Deadline;
use crate::outcome::Error;
use crate::transport::Transport;
use crate::upstream::health::Verdict;
use crate::upstream::server::{Ticket, Tried};

/// The connection, closed when this is dropped: nobody else could make sense of what is on it.
pub(crate) struct Line {
    transport: Transport,
    pool: Rc<Pool>,
    ticket: Ticket,
}

impl Pool {
    /// Opens a connection for `client` to a server that has not been `tried`. One that cannot be connected to counts as tried.
    ///
    /// # Errors
    /// As [`Pool::lease`].
    pub(crate) async fn open(
        self: &Rc<Self>,
        client: &Client,
        tried: &mut Tried,
        deadline: &mut Deadline,
    ) -> Result<Line, Error> {
        let ticket = self.pick(None, self.source_key(client), tried)?;
        let Admitted::New(place) = self.admit(&ticket, true, deadline).await? else {
            unreachable!("a fresh connection is no idle one");
        };
        // TLS, if it is spoken, is the client's own with the server.
        let transport = self.connect(&ticket, None, client, tried).await?;
        // The place is the line's from here on.
        std::mem::forget(place);
        self.begin(&ticket);
        Ok(Line { transport, pool: Rc::clone(self), ticket })
    }
}

impl Line {
    pub(crate) fn transport(&mut self) -> &mut Transport {
        &mut self.transport
    }

    /// The server has done what could be seen of it.
    pub(crate) fn acquit(&self) {
        self.pool.judge(&self.ticket, Verdict::Success);
    }

    /// The server ended the connection without a byte.
    pub(crate) fn condemn(&self) {
        self.pool.judge(&self.ticket, Verdict::Failure);
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        drop(Place(&self.pool.held));
    }
}
