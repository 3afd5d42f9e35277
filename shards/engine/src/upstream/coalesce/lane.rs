//! One shared connection.

use std::cell::RefCell;
use std::task::{Context, Poll, Waker, ready};

use plan::Coalesce as Policy;
use ring::{Buffer, Instant, ReadMode};
use wire::h1::Pipeline;
use wire::{Limits, ResponseHead};

use crate::inbox::Inbox;
use crate::transport::Transport;

/// Room of the buffer in which a tick's requests are gathered.
const GATHERED_ROOM_BYTES: usize = 16 << 10;

/// Bytes that are opened ahead of whoever reads them. A lane with more to be read takes no more requests meanwhile.
const OPENED_BYTES_MAX: usize = 64 << 10;

/// A connection that requests share, as they and its keeper see it.
pub(crate) struct Lane {
    pub(super) parts: RefCell<Parts>,
    /// The Host of a request that came without one.
    pub(super) authority: Box<str>,
    /// By what it was opened. A request under another policy does not share it.
    pub(super) policy: Policy,
}

/// What all of them change.
pub(super) struct Parts {
    pub(super) transport: Transport,
    /// Who waits for which answer, each with the waker of its task.
    pub(super) pipeline: Pipeline<Option<Waker>>,
    pub(super) inbox: Inbox,
    /// Bytes that the inbox has received in all.
    pub(super) received: u64,
    /// Requests that leave with this tick, and how many they are.
    pub(super) outbox: Option<Buffer>,
    pub(super) unsent: u32,
    pub(super) limits: Limits,
    /// Room for the next head, which goes from one request to the next.
    pub(super) spare_head: Option<Box<ResponseHead>>,
    /// Since when the answer that is due is awaited; while none is, since when the connection is idle.
    pub(super) since: Instant,
    /// The answer that is due has taken too long.
    pub(super) is_stalled: bool,
    pub(super) is_retired: bool,
    pub(super) keeper: Option<Waker>,
}

/// How much a lane has to do.
pub(super) struct Load {
    pub(super) waiting: usize,
    /// Whether it has something to send with this tick.
    pub(super) is_sending: bool,
}

impl Lane {
    pub(super) fn new(transport: Transport, policy: &Policy, authority: Box<str>, requests_max: Option<u32>) -> Lane {
        let parts = Parts {
            transport,
            pipeline: Pipeline::new(requests_max),
            inbox: Inbox::default(),
            received: 0,
            outbox: None,
            unsent: 0,
            limits: Limits::default(),
            spare_head: None,
            since: ring::now(),
            is_stalled: false,
            is_retired: false,
            keeper: None,
        };
        Lane { parts: RefCell::new(parts), authority, policy: *policy }
    }

    /// What it has to do; `None` if it takes no request.
    pub(super) fn load(&self, policy: &Policy) -> Option<Load> {
        let parts = &mut *self.parts.borrow_mut();
        parts.open_queued();
        let is_fit = !parts.is_stalled && !parts.is_retired && self.policy == *policy && parts.pipeline.is_open();
        (is_fit && parts.is_clean() && parts.is_counted())
            .then(|| Load { waiting: parts.pipeline.len(), is_sending: parts.unsent > 0 })
    }

    pub(super) fn retire(&self) {
        let mut parts = self.parts.borrow_mut();
        parts.is_retired = true;
        parts.wake_keeper();
    }
}

impl Parts {
    /// Whether nothing has come that nobody asked for. While answers are awaited, the pipeline finds out.
    fn is_clean(&self) -> bool {
        !self.pipeline.is_empty() || (self.inbox.is_empty() && self.transport.is_fresh())
    }

    /// Where this tick's requests are gathered.
    pub(super) fn outbox(&mut self) -> &mut Vec<u8> {
        self.outbox.get_or_insert_with(|| Buffer::with_room(GATHERED_ROOM_BYTES))
    }

    /// Hands what was gathered to the socket, where it leaves with this tick. Returns how many requests that is.
    pub(super) fn flush(&mut self) -> u32 {
        if let Some(gathered) = self.outbox.take() {
            self.transport.write(gathered.freeze());
        }
        std::mem::take(&mut self.unsent)
    }

    /// Receives more: `true` when bytes were added; `false` at the end, after which the pipeline knows whether it was one of
    /// an answer. A reset ends no answer.
    pub(super) fn poll_fill(&mut self, cx: &Context<'_>, mode: ReadMode) -> Poll<bool> {
        let before = self.inbox.bytes().len();
        let filled = ready!(self.inbox.poll_fill(&mut self.transport, cx, mode));
        self.received += (self.inbox.bytes().len() - before) as u64;
        match filled {
            Ok(true) => return Poll::Ready(true),
            Ok(false) => drop(self.pipeline.handle_eof()),
            Err(_) => self.pipeline.break_off(),
        }
        Poll::Ready(false)
    }

    /// Bytes of the connection that have come, read or not.
    pub(super) fn received(&self) -> u64 {
        debug_assert!(self.is_counted());
        self.received + self.transport.bytes_queued() as u64
    }

    /// Whether all that has come is counted by its bytes. How much there is in a record, only opening it tells.
    fn is_counted(&self) -> bool {
        self.transport.is_plain() || self.transport.bytes_queued() == 0
    }

    /// Opens the records that have come, so that it is known how much there was in them when the next request is sent, and that
    /// what is about TLS alone is not taken for something that nobody asked for. What is read here whoever waits for it finds.
    fn open_queued(&mut self) {
        while self.inbox.bytes().len() < OPENED_BYTES_MAX
            && let Some(chunk) = self.transport.take_queued()
        {
            self.received += chunk.len() as u64;
            self.inbox.add(chunk);
        }
    }

    /// The answer that was due has been read whole: the next one's turn.
    pub(super) fn turn(&mut self) {
        self.pipeline.finish();
        self.since = ring::now();
        if self.pipeline.is_empty() {
            self.is_stalled = false;
        }
        if self.pipeline.is_over() {
            self.wake_all();
        } else {
            self.wake_due();
        }
        if self.pipeline.has_lesson() {
            self.wake_keeper();
        }
    }

    /// Wakes who is to read on.
    pub(super) fn wake_due(&mut self) {
        match self.pipeline.due() {
            Some((waker, false)) => {
                if let Some(waker) = waker.take() {
                    waker.wake();
                }
            }
            _ => self.wake_keeper(),
        }
    }

    /// Everybody looks again: the connection is over, or stalled.
    pub(super) fn wake_all(&mut self) {
        for waker in self.pipeline.live() {
            if let Some(waker) = waker.take() {
                waker.wake();
            }
        }
        self.wake_keeper();
    }

    pub(super) fn wake_keeper(&self) {
        if let Some(keeper) = &self.keeper {
            keeper.wake_by_ref();
        }
    }
}
