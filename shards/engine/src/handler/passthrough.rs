//! TLS that is not terminated here: a client's connection joined with one to a server, from the first byte on.
//!
//! What was read to find the server is sent to it first; then both directions are a tunnel's, with its limits, and spliced where
//! bytes pour.

use std::future::poll_fn;
use std::task::{Context, Poll};

use plan::Passthrough;
use ring::{Instant, ReadMode};

use super::tunnel::Tunnel;
use crate::client::Client;
use crate::counters::Open;
use crate::deadline::Deadline;
use crate::inbox::Inbox;
use crate::outcome::{Error, Kind, Limit, Outcome, Side};
use crate::plain::Plain;
use crate::record::{KeptFields, Record};
use crate::shard::{Membership, Serving};
use crate::transport::Transport;
use crate::upstream::pool::Line;
use crate::upstream::server::Tried;

/// What is known of a connection that is to be passed through.
pub(crate) struct Passing<'a> {
    pub(crate) shard: &'a Membership,
    pub(crate) serving: &'a Serving,
    pub(crate) rule: &'a Passthrough,
    pub(crate) client: &'a Client,
    /// The name that the client has asked for.
    pub(crate) name: Option<&'a str>,
    pub(crate) began: Instant,
}

impl Passing<'_> {
    /// Passes the connection through, until both sides have ended, and writes down how that went. `received` is what has come from the
    /// client so far. Tells whether a server was there: if not, the client has got no byte yet.
    pub(crate) async fn run(&self, transport: &mut Transport, received: &mut Inbox, deadline: &mut Deadline) -> bool {
        let mut bytes = (0, 0);
        // While a server is looked for, what has come shall hold no lease.
        received.settle();
        let line = match self.shard.overload.admit() {
            Ok(()) => self.connect(transport, deadline).await,
            Err(error) => Err(error),
        };
        let ended = match line {
            Ok(mut line) => {
                let ended = self.join(transport, received, &mut line, &mut bytes, deadline).await;
                match &ended {
                    Err(error) if error.side == Side::Upstream && bytes.1 == 0 => line.condemn(),
                    _ => line.acquit(),
                }
                self.record(&ended, bytes);
                return true;
            }
            Err(error) => Err(error),
        };
        self.record(&ended, bytes);
        false
    }

    /// A connection to a server of the upstream. Those that cannot be connected to are passed over.
    async fn connect(&self, transport: &mut Transport, deadline: &mut Deadline) -> Result<Line, Error> {
        let pool = self.serving.pool(self.rule.upstream);
        let mut tried = Tried::default();
        loop {
            let opened = {
                let mut opening = std::pin::pin!(pool.open(self.client, &mut tried, deadline));
                poll_fn(|cx| {
                    if let Poll::Ready(opened) = opening.as_mut().poll(cx) {
                        return Poll::Ready(opened);
                    }
                    transport.watch(ReadMode::Head);
                    let gone = transport.poll_failed(cx).map(|error| Err(Error::client_gone(error)));
                    self.unless_cut(gone, cx)
                })
                .await
            };
            match opened {
                Err(error) if error.side == Side::Upstream && pool.has_untried(&tried) => pool.count_failover(),
                opened => return opened,
            }
        }
    }

    /// Moves bytes in both directions. `bytes` are those that came from the client and those that went to it.
    async fn join(
        &self,
        transport: &mut Transport,
        received: &mut Inbox,
        line: &mut Line,
        bytes: &mut (u64, u64),
        deadline: &mut Deadline,
    ) -> Result<(), Error> {
        let counters = &self.shard.counters;
        counters.passthroughs.add(1);
        counters.tunnels.add(1);
        let _open = Open::new(&counters.tunnels_open);
        deadline.set(self.serving.plan.timeouts.tunnel_idle);
        let mut unread = Inbox::default();
        let client = Plain { transport, inbox: received };
        let server = Plain { transport: line.transport(), inbox: &mut unread };
        let mut tunnel = Tunnel::new(client, server, &self.serving.plan);
        let ended = poll_fn(|cx| {
            let polled = tunnel.poll(cx, deadline);
            self.unless_cut(polled, cx)
        })
        .await;
        *bytes = tunnel.bytes();
        ended
    }

    /// What came of a wait, unless the shard stops and has waited as long as it may.
    fn unless_cut<T>(&self, waited: Poll<Result<T, Error>>, cx: &Context<'_>) -> Poll<Result<T, Error>> {
        self.shard.register(cx);
        match waited {
            Poll::Pending if self.shard.is_cutting() => {
                Poll::Ready(Err(Error::new(Side::Ringway, Kind::TimedOut, 503).by(Limit::Drain)))
            }
            waited => waited,
        }
    }

    fn record(&self, ended: &Result<(), Error>, (bytes_in, bytes_out): (u64, u64)) {
        let outcome = ended.map_or_else(Outcome::Failed, |()| Outcome::Completed);
        self.shard.note(self.client, outcome);
        let (now, response) = (ring::now(), KeptFields::default());
        self.shard.record(self.serving, self.rule.access_log, now, || Record {
            client: self.client.text(),
            request: None,
            server_name: self.name,
            tls: None,
            response: &response,
            status: match outcome {
                Outcome::Completed => 200,
                Outcome::Failed(error) => error.status,
            },
            outcome,
            route: Some(&self.rule.name),
            upstream: Some(&self.serving.pool(self.rule.upstream).policy().name),
            request_id: b"",
            bytes_in,
            bytes_out,
            duration: now.saturating_duration_since(self.began),
        });
    }
}
