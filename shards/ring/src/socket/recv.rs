//! Receiving: how bytes get from the kernel into the queue, and every switch of the way.
//!
//! ```text
//!                 poll, queue empty                      completion without `more`
//!    ┌────────┐ ───────────────────▶ ┌─────────────────┐ ───────────────────────────▶ ┌────────┐
//!    │ Parked │                      │ Armed(key, way) │                              │ Parked │
//!    └────────┘ ◀─── fed ── Starved ◀└─────────────────┘                              └────────┘
//!                              ENOBUFS        │ another way is wanted, the queue is       ▲
//!                                             │ full, or the socket is to be quiet        │ completion
//!                                             ▼                                           │ without `more`
//!                                     ┌──────────────────┐ ───────────────────────────────┘
//!                                     │ Cancelling(key)  │
//!                                     └──────────────────┘
//! ```
//! Every completion, in every state, puts its bytes at the end of the one queue, and the kernel completes an operation's
//! parts in order; at most one receive is in flight. So a switch is always: cancel, reap until `Parked` (bytes that arrive
//! meanwhile join the queue), hand over the queue, and only then arm the other way. No byte is lost or overtaken whatever
//! the cancellation races with. `Parked` with an empty queue is also the state from which the descriptor may be read by
//! other means (splice, a tunnel): [`poll_quiet`] leads there.
//!
//! A slow consumer stops its producer: a multishot receive is cancelled when [`QUEUE_MAX`] chunks wait, and armed again
//! when they have been taken.

use std::collections::VecDeque;
use std::io;
use std::num::NonZeroU64;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use super::Socket;
use crate::buffers::{Chunk, Group};
use crate::core::{Core, Operation};
use crate::kernel::{Completion, Entry, Key, RecvKind};

/// Chunks that may wait in the queue while a multishot receive goes on.
const QUEUE_MAX: usize = 8;

/// How a socket is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ReadMode {
    /// For heads and idle connections: a standing receive into small buffers. Costs least a message; has back-pressure
    /// only after several buffers.
    #[default]
    Head,
    /// For the head of a message whose body is large: one receive into one small buffer, which leaves the rest to be read in
    /// another way.
    Once,
    /// For bodies: one receive at a time into large buffers, several of them where the kernel can; nothing is read that
    /// was not asked for.
    Body,
}

/// The receiving side of a socket.
#[derive(Default)]
pub(crate) struct Recv {
    state: State,
    queue: Queue,
    /// What comes after the queue: the end (`None`) or an error number.
    end: Option<Option<i32>>,
    waker: Option<Waker>,
    /// Whether the socket stands in the queue of the starved of each group. It leaves a queue only when its turn comes,
    /// whatever has become of its state meanwhile.
    in_line: [bool; 2],
    /// Its place among the starved, drawn when it found no buffer and kept until it gets bytes: the first that is fed may
    /// take all that is free, and whoever was fed behind it must not go to the end for that.
    ticket: Option<NonZeroU64>,
}

/// Chunks in order. Mostly there is one, and then nothing is allocated.
#[derive(Default)]
struct Queue {
    /// Present unless the queue is empty.
    first: Option<Chunk>,
    /// Kept, once there was need of it.
    #[allow(clippy::box_collection, reason = "every socket has the room for it, and nearly none the need")]
    rest: Option<Box<VecDeque<Chunk>>>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum State {
    #[default]
    Parked,
    Armed(Key, ReadMode),
    Cancelling(Key, ReadMode),
    Starved(ReadMode),
}

/// The next bytes; `None` at the end of the stream.
pub(super) fn poll_recv(
    socket: &Rc<Socket>,
    core: &Rc<Core>,
    cx: &Context<'_>,
    mode: ReadMode,
) -> Poll<io::Result<Option<Chunk>>> {
    let mut recv = socket.recv.borrow_mut();
    if let Some(chunk) = recv.queue.pop_front() {
        return Poll::Ready(Ok(Some(chunk)));
    }
    match recv.end {
        Some(None) => return Poll::Ready(Ok(None)),
        Some(Some(error)) => return Poll::Ready(Err(io::Error::from_raw_os_error(error))),
        None => {}
    }
    match recv.state {
        State::Parked => start(&mut recv, socket, core, mode),
        // A one-shot receive ends by itself with the bytes that are waited for; only the standing one must be stopped.
        State::Armed(key, ReadMode::Head) if mode != ReadMode::Head => {
            recv.state = State::Cancelling(key, ReadMode::Head);
            core.cancel(key);
        }
        State::Armed(..) | State::Cancelling(..) | State::Starved(_) => {}
    }
    recv.wait(cx);
    Poll::Pending
}

/// Ready when nothing is in flight and the kernel will deliver nothing more unless asked. The queue may hold bytes.
pub(super) fn poll_quiet(socket: &Rc<Socket>, core: &Rc<Core>, cx: &Context<'_>) -> Poll<()> {
    let mut recv = socket.recv.borrow_mut();
    match recv.state {
        State::Parked => return Poll::Ready(()),
        State::Starved(_) => {
            // The place in the queue of the starved is left when its turn comes.
            recv.state = State::Parked;
            return Poll::Ready(());
        }
        State::Armed(key, mode) => {
            recv.state = State::Cancelling(key, mode);
            core.cancel(key);
        }
        State::Cancelling(..) => {}
    }
    recv.wait(cx);
    Poll::Pending
}

/// Arms a receive if nothing is in flight, without waiting for anything: so that the end of an idle connection is noticed.
pub(super) fn watch(socket: &Rc<Socket>, core: &Rc<Core>, mode: ReadMode) {
    let mut recv = socket.recv.borrow_mut();
    if recv.state == State::Parked && recv.queue.is_empty() && recv.end.is_none() {
        start(&mut recv, socket, core, mode);
    }
}

/// What is known without waiting: whether bytes are queued, and whether the stream has ended or failed behind them.
pub(super) fn peek(socket: &Rc<Socket>) -> (bool, Option<Option<i32>>) {
    let recv = socket.recv.borrow();
    (!recv.queue.is_empty(), recv.end)
}

/// Bytes that are queued.
pub(super) fn bytes_queued(socket: &Rc<Socket>) -> usize {
    socket.recv.borrow().queue.bytes()
}

/// Registers for the next change.
pub(super) fn wait(socket: &Rc<Socket>, cx: &Context<'_>) {
    socket.recv.borrow_mut().wait(cx);
}

/// Puts bytes back to the front of the queue.
pub(super) fn unread(socket: &Rc<Socket>, chunk: Chunk) {
    if !chunk.is_empty() {
        socket.recv.borrow_mut().queue.push_front(chunk);
    }
}

pub(super) fn received(socket: &Rc<Socket>, core: &Rc<Core>, completion: &Completion) {
    let mut recv = socket.recv.borrow_mut();
    let (State::Armed(_, mode) | State::Cancelling(_, mode)) = recv.state else {
        unreachable!("a receive completes only while it is in flight, not in {:?}", recv.state)
    };
    let cancelling = matches!(recv.state, State::Cancelling(..));
    let group = group(core, mode);
    if let Some(first) = completion.buffer {
        // A buffer without bytes can come with the end of the stream.
        let len = usize::try_from(completion.result).unwrap_or(0);
        core.counters.bytes_received.add(len as u64);
        recv.ticket = None;
        group.lease(first, len, |mut chunk| {
            if !chunk.is_empty() {
                core.counters.bytes_copied_out.add(chunk.settle() as u64);
                recv.queue.push_back(chunk);
            }
        });
    }
    if !completion.more {
        recv.state = State::Parked;
        match -completion.result {
            // If it was being cancelled, whoever wanted that decides how to go on.
            libc::ENOBUFS if !cancelling => {
                core.counters.receives_starved.add(1);
                return line_up(&mut recv, socket, core, mode);
            }
            // Not the peer's doing: the operation is simply started again when somebody asks.
            libc::ECANCELED | libc::ENOBUFS | libc::EINTR | libc::EAGAIN => {}
            0 => recv.end = Some(None),
            error if error > 0 => recv.end = Some(Some(error)),
            _ => {}
        }
    } else if let State::Armed(key, mode) = recv.state
        && recv.queue.len() >= QUEUE_MAX
    {
        recv.state = State::Cancelling(key, mode);
        core.cancel(key);
    }
    recv.wake();
}

/// A buffer of `free` is free: receive again, unless nobody wants to any more. Returns whether it was waited for.
pub(super) fn fed(socket: &Rc<Socket>, core: &Rc<Core>, free: &Group) -> bool {
    let mut recv = socket.recv.borrow_mut();
    recv.in_line[usize::from(free.id())] = false;
    let State::Starved(mode) = recv.state else { return false };
    let waits = group(core, mode).id() == free.id();
    if waits {
        arm(&mut recv, socket, core, mode);
    }
    waits
}

/// Cancels what is in flight and forgets what was received.
pub(super) fn abandon(socket: &Rc<Socket>, core: &Rc<Core>) {
    let mut recv = socket.recv.borrow_mut();
    recv.queue.clear();
    recv.waker = None;
    match recv.state {
        State::Armed(key, mode) => {
            recv.state = State::Cancelling(key, mode);
            core.cancel(key);
        }
        State::Starved(_) => recv.state = State::Parked,
        State::Parked | State::Cancelling(..) => {}
    }
}

/// Receives, once those have who already wait for a buffer: else one that takes its bytes quickly would always be first.
fn start(recv: &mut Recv, socket: &Rc<Socket>, core: &Rc<Core>, mode: ReadMode) {
    if core.anyone_starves(group(core, mode)) {
        line_up(recv, socket, core, mode);
    } else {
        arm(recv, socket, core, mode);
    }
}

/// Waits until a buffer is free ([`fed`]).
fn line_up(recv: &mut Recv, socket: &Rc<Socket>, core: &Rc<Core>, mode: ReadMode) {
    recv.state = State::Starved(mode);
    let group = group(core, mode);
    let ticket = *recv.ticket.get_or_insert_with(|| core.draw_ticket());
    if !std::mem::replace(&mut recv.in_line[usize::from(group.id())], true) {
        core.mark_starved(socket, group, ticket);
    }
}

fn arm(recv: &mut Recv, socket: &Rc<Socket>, core: &Rc<Core>, mode: ReadMode) {
    let kind = match mode {
        ReadMode::Head => RecvKind::Multishot,
        ReadMode::Once => RecvKind::Once,
        ReadMode::Body if core.bundles => RecvKind::Bundle,
        ReadMode::Body => RecvKind::Once,
    };
    let entry = Entry::Recv { fd: socket.descriptor.raw(), group: group(core, mode).id(), kind };
    let key = core.start(Operation::Recv(Rc::clone(socket)), entry);
    recv.state = State::Armed(key, mode);
}

fn group(core: &Core, mode: ReadMode) -> &Rc<Group> {
    match mode {
        ReadMode::Head | ReadMode::Once => &core.heads,
        ReadMode::Body => &core.bodies,
    }
}

impl Queue {
    fn len(&self) -> usize {
        usize::from(self.first.is_some()) + self.rest.as_ref().map_or(0, |rest| rest.len())
    }

    fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    fn bytes(&self) -> usize {
        self.first.iter().chain(self.rest.iter().flat_map(|rest| rest.iter())).map(|chunk| chunk.len()).sum()
    }

    fn push_back(&mut self, chunk: Chunk) {
        match &self.first {
            None => self.first = Some(chunk),
            Some(_) => self.rest.get_or_insert_default().push_back(chunk),
        }
    }

    fn push_front(&mut self, chunk: Chunk) {
        if let Some(second) = self.first.replace(chunk) {
            self.rest.get_or_insert_default().push_front(second);
        }
    }

    fn pop_front(&mut self) -> Option<Chunk> {
        let next = self.rest.as_mut().and_then(|rest| rest.pop_front());
        std::mem::replace(&mut self.first, next)
    }

    fn clear(&mut self) {
        *self = Queue::default();
    }
}

impl Recv {
    fn wait(&mut self, cx: &Context<'_>) {
        if !self.waker.as_ref().is_some_and(|known| known.will_wake(cx.waker())) {
            self.waker = Some(cx.waker().clone());
        }
    }

    fn wake(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}
