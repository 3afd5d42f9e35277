//! What a connection and the exchange on one of its streams share: the data that waits between them, in either direction.
//!
//! A flow is kept for another stream when its own has ended, by the shard and not by the connection: one that is idle owns none.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::task::{Context, Waker};

use ring::{Buffer, Chunk};
use wire::h1::Trailers;
use wire::h2::StreamKey;

use crate::outcome::Error;

/// Data of at most this many bytes is gathered where other data waits before it: a slice would take as much room as the data.
const GATHERED_BYTES_MAX: usize = 512;
/// Room in which it is gathered.
const GATHERED_ROOM_BYTES: usize = 4096;
/// Bytes of a response that wait for the client on one stream before no more are taken for it.
const STREAM_BYTES_MAX: usize = 64 << 10;
/// The same for all streams of a connection. One on which nothing waits always gets some.
const CONNECTION_BYTES_MAX: usize = 1 << 20;
/// Flows that a shard keeps: about as many as are in use at once.
const KEPT_MAX: usize = 4096;

/// The state of one stream between the connection and the exchange.
#[derive(Debug, Default)]
pub(crate) struct Flow {
    pub(super) key: StreamKey,
    /// Data that was received and not taken yet.
    pub(super) inbound: Inbound,
    /// The request has ended.
    pub(super) is_received: bool,
    /// Those of the request, if it had some.
    pub(super) trailers: Option<Box<Trailers>>,
    /// Data that is to be sent.
    pub(super) outbound: VecDeque<Chunk>,
    pub(super) outbound_bytes: usize,
    /// The trailers that are to be sent behind it.
    pub(super) outbound_trailers: Option<Box<Trailers>>,
    /// The end of the response has been written.
    pub(super) is_sent: bool,
    /// Why nothing more comes or goes, once that is so.
    pub(super) gone: Option<Error>,
    /// The exchange's task, if it waits.
    waker: Option<Waker>,
}

/// A flow as both sides hold it.
pub(super) type Shared = Rc<RefCell<Flow>>;

/// Flows for reuse.
#[derive(Debug, Default)]
pub(crate) struct Flows(RefCell<Vec<Shared>>);

impl Flows {
    /// A flow for the stream `key`.
    pub(super) fn take(&self, key: StreamKey) -> Shared {
        let flow = self.0.borrow_mut().pop().unwrap_or_default();
        flow.borrow_mut().key = key;
        flow
    }

    /// Takes a flow back, if nobody else holds it.
    pub(super) fn give_back(&self, mut flow: Shared) {
        let mut kept = self.0.borrow_mut();
        if kept.len() < KEPT_MAX
            && let Some(state) = Rc::get_mut(&mut flow)
        {
            state.get_mut().clear();
            kept.push(flow);
        }
    }
}

impl Flow {
    fn clear(&mut self) {
        self.inbound.clear();
        self.outbound.clear();
        (self.is_received, self.is_sent, self.outbound_bytes) = (false, false, 0);
        (self.trailers, self.outbound_trailers) = (None, None);
        (self.gone, self.waker) = (None, None);
    }

    /// Whether more of the response may be taken up, while so many bytes of the whole connection wait.
    pub(super) fn has_room(&self, connection_bytes: usize) -> bool {
        let is_below = self.outbound_bytes < STREAM_BYTES_MAX && connection_bytes < CONNECTION_BYTES_MAX;
        self.outbound_bytes == 0 || is_below
    }

    /// Has the task of `cx` woken by the next [`Flow::wake`].
    pub(super) fn wait(&mut self, cx: &Context<'_>) {
        if !self.waker.as_ref().is_some_and(|known| known.will_wake(cx.waker())) {
            self.waker = Some(cx.waker().clone());
        }
    }

    /// Wakes the exchange, if it waits.
    pub(super) fn wake(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    /// Nothing more comes or goes, for this reason unless there is one already.
    pub(super) fn end(&mut self, error: Error) {
        self.gone.get_or_insert(error);
        self.wake();
    }

    /// Takes the next data to be sent, at most `bytes` of it; empty when there is none.
    pub(super) fn take_outbound(&mut self, bytes: usize) -> Chunk {
        let Some(front) = self.outbound.front_mut() else { return Chunk::default() };
        let taken = front.split_to(bytes.min(front.len()));
        if front.is_empty() {
            self.outbound.pop_front();
        }
        self.outbound_bytes -= taken.len();
        taken
    }
}

/// Data in the order in which it came.
#[derive(Debug, Default)]
pub(super) struct Inbound {
    chunks: VecDeque<Chunk>,
    /// Small pieces behind those.
    gathered: Option<Buffer>,
}

impl Inbound {
    /// Takes data up, which may have to wait for as long as it takes.
    pub(super) fn push(&mut self, mut data: Chunk) {
        let waits_for_others = !self.chunks.is_empty() || self.gathered.is_some();
        if waits_for_others && data.len() <= GATHERED_BYTES_MAX {
            let gathered = self.gathered.get_or_insert_with(|| Buffer::with_room(GATHERED_ROOM_BYTES));
            gathered.extend_from_slice(&data);
            if gathered.len() > GATHERED_ROOM_BYTES - GATHERED_BYTES_MAX {
                self.chunks.extend(self.gathered.take().map(Buffer::freeze));
            }
            return;
        }
        self.chunks.extend(self.gathered.take().map(Buffer::freeze));
        data.settle();
        self.chunks.push_back(data);
    }

    /// Takes the next piece.
    pub(super) fn pop(&mut self) -> Option<Chunk> {
        self.chunks.pop_front().or_else(|| self.gathered.take().map(Buffer::freeze))
    }

    fn clear(&mut self) {
        self.chunks.clear();
        self.gathered = None;
    }
}
