//! Bytes that arrived and are not consumed yet.
//!
//! A head that lies in one chunk is parsed and sliced where it lies. One that spans chunks is gathered once, into pooled
//! memory; from then on nothing of it holds a lease, however slowly the rest arrives.

use std::io;
use std::task::{Context, Poll, ready};

use ring::{Buffer, Chunk, ReadMode};
use wire::h1::Decoded;

use crate::transport::Transport;

/// Room of a buffer in which a head is gathered: the smallest there is, because whoever sends a head in pieces may be slow,
/// and one of many. It grows to the limit on heads if need be.
const GATHERED_ROOM_BYTES: usize = 1024;

/// The unconsumed bytes of one connection.
#[derive(Debug, Default)]
pub(crate) struct Inbox {
    chunk: Chunk,
    gathered: Option<Buffer>,
    ended: bool,
}

impl Inbox {
    /// The bytes that are there.
    pub(crate) fn bytes(&self) -> &[u8] {
        match &self.gathered {
            Some(gathered) => gathered,
            None => &self.chunk,
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.bytes().is_empty()
    }

    /// Whether the peer has ended its side; bytes may still be there.
    pub(crate) fn is_ended(&self) -> bool {
        self.ended
    }

    /// Receives more, behind what is there: `true` when bytes were added, `false` at the end of the stream.
    pub(crate) fn poll_fill(
        &mut self,
        transport: &mut Transport,
        cx: &Context<'_>,
        mode: ReadMode,
    ) -> Poll<io::Result<bool>> {
        if self.ended {
            return Poll::Ready(Ok(false));
        }
        let Some(chunk) = ready!(transport.poll_recv(cx, mode))? else {
            self.ended = true;
            return Poll::Ready(Ok(false));
        };
        self.add(chunk);
        Poll::Ready(Ok(true))
    }

    /// Adds what was received by other means, behind what is there.
    pub(crate) fn add(&mut self, chunk: Chunk) {
        if self.is_empty() {
            self.gathered = None;
            self.chunk = chunk;
        } else {
            self.gather().extend_from_slice(&chunk);
        }
    }

    /// Prepares for waiting in the middle of something: what is there no longer holds a lease.
    pub(crate) fn settle(&mut self) {
        if self.gathered.is_none() && !self.chunk.is_empty() {
            self.gather();
        }
    }

    /// Takes the first `n` bytes.
    pub(crate) fn take(&mut self, n: usize) -> Chunk {
        if let Some(gathered) = self.gathered.take() {
            self.chunk = gathered.freeze();
        }
        self.chunk.split_to(n)
    }

    /// Takes what the decoder of a body dealt with, and returns the data that it found.
    pub(crate) fn take_decoded(&mut self, decoded: &Decoded) -> Option<Chunk> {
        let mut data = self.take(decoded.consumed);
        if decoded.data.is_empty() {
            return None;
        }
        data.truncate(decoded.data.end);
        data.advance(decoded.data.start);
        Some(data)
    }

    fn gather(&mut self) -> &mut Buffer {
        let chunk = std::mem::take(&mut self.chunk);
        self.gathered.get_or_insert_with(|| {
            let mut buffer = Buffer::with_room(GATHERED_ROOM_BYTES.max(chunk.len()));
            buffer.extend_from_slice(&chunk);
            buffer
        })
    }
}
