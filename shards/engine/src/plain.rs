//! A connection as one end of a tunnel: after the switch, what HTTP/1 was spoken over carries bytes as they are.

use std::io;
use std::task::{Context, Poll, ready};

use ring::{Chunk, ReadMode, Stream};

use crate::inbox::Inbox;
use crate::streams::TunnelEnd;
use crate::transport::Transport;
use crate::tuning::WAITING_BYTES_MAX;

/// A connection, and what arrived before the switch.
pub(crate) struct Plain<'a> {
    pub(crate) transport: &'a mut Transport,
    /// Bytes behind the last head. They waited there for the tunnel.
    pub(crate) inbox: &'a mut Inbox,
}

impl TunnelEnd for Plain<'_> {
    fn poll_bytes(&mut self, cx: &Context<'_>, large: bool) -> Poll<io::Result<Option<Chunk>>> {
        let mode = if large { ReadMode::Body } else { ReadMode::Head };
        if self.inbox.is_empty() && !ready!(self.inbox.poll_fill(self.transport, cx, mode))? {
            return Poll::Ready(Ok(None));
        }
        let len = self.inbox.bytes().len();
        Poll::Ready(Ok(Some(self.inbox.take(len))))
    }

    fn send_bytes(&mut self, bytes: Chunk) {
        self.transport.write(bytes);
    }

    fn poll_room(&mut self, cx: &Context<'_>) -> Poll<io::Result<()>> {
        self.transport.poll_below(cx, WAITING_BYTES_MAX)
    }

    fn poll_end(&mut self, cx: &Context<'_>) -> Poll<io::Result<()>> {
        self.transport.end();
        self.transport.poll_below(cx, 0)
    }

    fn poll_quiet(&mut self, cx: &Context<'_>) -> Poll<bool> {
        if !self.inbox.is_empty() {
            return Poll::Ready(false);
        }
        let Some(stream) = self.transport.plain() else { return Poll::Ready(false) };
        ready!(stream.poll_quiet(cx));
        Poll::Ready(stream.is_fresh())
    }

    fn socket(&mut self) -> Option<&mut Stream> {
        self.transport.plain()
    }
}
