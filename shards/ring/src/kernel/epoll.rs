//! The same operations on epoll, where io_uring is refused or too old.
//!
//! An operation is *attempted* by a system call that does not block. What would block waits in its descriptor's place of the
//! [`table`] until epoll tells of an edge. A descriptor is registered once, edge-triggered and for both directions, and stays
//! so until it is closed: in steady state a request costs two receives, two sends, and its share of one epoll_wait.
//!
//! # No edge is lost
//! An edge is told once, so a place remembers it (`readable`, `writable`) until an attempt has shown that nothing is left.
//! Receives are attempted only where an edge was told: registering tells of what was there before. Sends are attempted at
//! once, since nearly always there is room, and only what found none is registered for. What one place may do in one turn is
//! bounded; if there is more, the place stands in `unfinished` and gets its next turn before the shard sleeps.
//!
//! # What is the same as on io_uring, and what is not
//! A completion is queued and never dispatched from within a push; those of one operation come in order; a cancelled
//! operation completes with -ECANCELED, or with the bytes that it has sent; a receive without a free buffer with -ENOBUFS; a
//! send is whole unless the connection fails. Shards ring each other by their counters: there are no messages between epolls.

mod calls;
mod free;
mod reading;
mod table;
mod writing;

use std::collections::VecDeque;
use std::io;
use std::os::fd::{OwnedFd, RawFd};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use self::free::FreeBuffers;
use self::table::{Read, Table, Write};
use super::{Backend, Completion, Entry, Features, Key, StartError, Wait};
use crate::Instant;
use crate::buffers::Group;
use crate::counters::Counters;
use crate::socket::batch::RUNS_MAX;

/// Events taken by one wait. Each may fill a few buffers, so that a larger number would take many at once.
const EVENTS_MAX: usize = 256;
/// Times in a row that completions are handed over without a look at epoll.
const SKIPS_MAX: u32 = 3;
/// How often a connect to a Unix socket whose backlog is full is tried again; the kernel does not tell when it has room.
const CROWDED_RETRY: Duration = Duration::from_millis(5);

/// What a stream is registered for: EPOLLPRI tells of urgent data, at which receives stop short.
const STREAM_EDGES: i32 = libc::EPOLLIN | libc::EPOLLOUT | libc::EPOLLRDHUP | libc::EPOLLPRI | libc::EPOLLET;
/// What a listener or a counter is registered for: reading a counter would else be an edge by itself.
const INPUT_EDGES: i32 = libc::EPOLLIN | libc::EPOLLET;

/// An epoll, and the operations that wait for it.
pub(crate) struct Epoll {
    epoll: OwnedFd,
    counters: Arc<Counters>,
    table: Table,
    groups: Vec<(Rc<Group>, Rc<FreeBuffers>)>,
    /// Completions that were not reaped yet.
    posted: Vec<Completion>,
    /// Places that may go on without another edge, in the order of their next turns.
    unfinished: VecDeque<u32>,
    /// Places whose connect found a full backlog, and when they were tried last.
    crowded: Vec<u32>,
    crowded_tried: Instant,
    /// Entries in a row that looked for no events, since there were completions to dispatch first.
    skipped: u32,
    events: Vec<libc::epoll_event>,
    /// Where the runs of bytes of one call are listed.
    runs: Vec<libc::iovec>,
}

impl std::fmt::Debug for Epoll {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Epoll").field("epoll", &self.epoll).finish_non_exhaustive()
    }
}

impl Epoll {
    pub(crate) fn new(counters: Arc<Counters>) -> Result<Epoll, StartError> {
        Ok(Epoll {
            epoll: calls::epoll().map_err(StartError::Failed)?,
            counters,
            table: Table::default(),
            groups: Vec::new(),
            posted: Vec::new(),
            unfinished: VecDeque::new(),
            crowded: Vec::new(),
            crowded_tried: Instant::now(),
            skipped: 0,
            events: Vec::with_capacity(EVENTS_MAX),
            runs: Vec::with_capacity(RUNS_MAX),
        })
    }

    pub(crate) fn features(&self) -> Features {
        Features { backend: Backend::Epoll, bundles: true }
    }

    pub(crate) fn register(&mut self, group: &Rc<Group>) {
        debug_assert_eq!(usize::from(group.id()), self.groups.len(), "groups are numbered as they are registered");
        let free = Rc::new(FreeBuffers::new(group.count()));
        group.attach(Box::new(Rc::clone(&free)));
        self.groups.push((Rc::clone(group), free));
    }

    /// See [`super::Kernel::push`].
    ///
    /// # Safety
    /// As there.
    pub(crate) unsafe fn push(&mut self, key: Key, entry: Entry) {
        self.counters.entries.add(1);
        match entry {
            Entry::Recv { fd, group, kind } => self.start_read(key, fd, Read::Recv { group, kind }),
            Entry::Accept { fd } => self.start_read(key, fd, Read::Accept),
            Entry::ReadCounter { fd, value } => self.start_read(key, fd, Read::Counter { value }),
            Entry::Send { fd, bytes, len, more } => {
                self.start_write(key, fd, Write::Run { bytes, len: len as usize, sent: 0, more });
            }
            Entry::SendMessage { fd, message, more } => {
                self.start_write(key, fd, Write::Message { message, sent: 0, more });
            }
            Entry::Connect { fd, address, len } => {
                self.start_write(key, fd, Write::Connect { address, len, started: false });
            }
            Entry::Poll { fd, events } => self.start_poll(key, fd, events),
            Entry::Cancel { target } => self.cancel(target),
            Entry::Close { fd } => self.close(fd),
            Entry::RingBell { .. } => unreachable!("a shard on epoll rings bells by their counters"),
        }
    }

    /// Gives those a turn that may go on, then waits for edges: not at all if there are completions already, or more to do.
    pub(crate) fn enter(&mut self, wait: Wait) -> io::Result<()> {
        for _ in 0..self.unfinished.len() {
            let Some(place) = self.unfinished.pop_front() else { break };
            self.table[place].is_unfinished = false;
            self.advance_reading(place);
        }
        self.retry_crowded();
        // What was done at once is told first: it may lead to more that can be, and then one wait serves for all of it.
        if !self.posted.is_empty() && self.skipped < SKIPS_MAX {
            self.skipped += 1;
            return Ok(());
        }
        self.skipped = 0;
        let idle = self.posted.is_empty() && self.unfinished.is_empty();
        let timeout_ms = if idle { self.timeout_ms(wait) } else { 0 };
        self.counters.enters.add(1);
        match calls::wait(&self.epoll, &mut self.events, timeout_ms) {
            Ok(()) => {}
            Err(libc::EINTR) => return Ok(()),
            Err(error) => return Err(io::Error::from_raw_os_error(error)),
        }
        for index in 0..self.events.len() {
            let event = self.events[index];
            if let Some(place) = self.table.find(event.u64) {
                self.edge(place, event.events as i32);
            }
        }
        Ok(())
    }

    pub(crate) fn reap(&mut self, into: &mut Vec<Completion>) {
        self.counters.completions.add(self.posted.len() as u64);
        into.append(&mut self.posted);
    }

    /// Milliseconds to sleep, rounded up: a timer is never early.
    fn timeout_ms(&self, wait: Wait) -> i32 {
        let left_ms = |until: Instant| {
            let left = until.saturating_duration_since(Instant::now());
            i32::try_from(left.as_nanos().div_ceil(1_000_000)).unwrap_or(i32::MAX)
        };
        let timeout_ms = match wait {
            Wait::No => 0,
            Wait::Forever => -1,
            Wait::Until(instant) => left_ms(instant),
        };
        if self.crowded.is_empty() || timeout_ms == 0 {
            return timeout_ms;
        }
        let retry_ms = left_ms(self.crowded_tried + CROWDED_RETRY);
        if timeout_ms < 0 { retry_ms } else { retry_ms.min(timeout_ms) }
    }

    /// Takes note of an edge, and lets those go on who waited for it.
    fn edge(&mut self, index: u32, events: i32) {
        const OVER: i32 = libc::EPOLLHUP | libc::EPOLLERR;
        let any = |of: i32| events & of != 0;
        let ready = [any(libc::EPOLLIN | libc::EPOLLRDHUP | OVER), any(libc::EPOLLOUT | OVER)];
        let place = &mut self.table[index];
        place.readable |= ready[0];
        place.writable |= ready[1];
        // The end comes after the last bytes, and urgent data between two others, without an edge of its own.
        place.short_means_empty &= !any(libc::EPOLLPRI | libc::EPOLLRDHUP | OVER);
        for (side, ready) in ready.into_iter().enumerate() {
            let poll = &mut self.table[index].polls[side];
            if ready && *poll != Key::NOBODY {
                let key = std::mem::replace(poll, Key::NOBODY);
                self.post(key, events);
            }
        }
        self.advance_reading(index);
        self.advance_writing(index);
    }

    /// Somebody who moves bytes by other means waits. What the place remembers knows nothing of these: the kernel is asked, and
    /// if it says no, there is an edge to come.
    fn start_poll(&mut self, key: Key, fd: RawFd, events: u32) {
        let index = self.table.place(fd);
        if let Err(error) = self.watch(index, STREAM_EDGES) {
            return self.post(key, -error);
        }
        match calls::poll(fd, events as i16) {
            Ok(0) => {
                let reads = events & libc::POLLIN as u32 != 0;
                let place = &mut self.table[index];
                *(if reads { &mut place.readable } else { &mut place.writable }) = false;
                let poll = &mut place.polls[usize::from(!reads)];
                debug_assert_eq!(*poll, Key::NOBODY, "two polls on one side of {fd}");
                *poll = key;
                self.table.remember(key, index);
            }
            Ok(ready) => self.post(key, ready),
            Err(error) => self.post(key, -error),
        }
    }

    /// Registers a descriptor, once.
    fn watch(&mut self, index: u32, edges: i32) -> Result<(), i32> {
        let place = &mut self.table[index];
        if place.is_registered {
            return Ok(());
        }
        calls::register(&self.epoll, place.fd, edges, place.name(index))?;
        place.is_registered = true;
        place.short_means_empty = edges == STREAM_EDGES && calls::is_tcp(place.fd);
        Ok(())
    }

    /// Ends an operation that waits. One that has completed already is none of ours any more.
    fn cancel(&mut self, target: Key) {
        let Some(index) = self.table.place_of(target) else { return };
        let place = &mut self.table[index];
        if let Some((key, _)) = place.reading
            && key == target
        {
            place.reading = None;
            self.post(target, -libc::ECANCELED);
        } else if let Some((key, write)) = place.writing
            && key == target
        {
            place.writing = None;
            let sent = write.sent();
            self.post(target, if sent > 0 { sent as i32 } else { -libc::ECANCELED });
        } else if let Some(poll) = place.polls.iter_mut().find(|poll| **poll == target) {
            *poll = Key::NOBODY;
            self.post(target, -libc::ECANCELED);
        }
    }

    fn close(&mut self, fd: RawFd) {
        if let Some(index) = self.table.remove(fd) {
            // The kernel forgets a descriptor with its last duplicate, and other processes may have the listener as well.
            if self.table[index].is_listener {
                calls::forget(&self.epoll, fd);
            }
        }
        calls::close(fd);
    }

    /// An operation's last completion.
    fn post(&mut self, key: Key, result: i32) {
        self.posted.push(last(key, result));
    }
}

impl Drop for Epoll {
    fn drop(&mut self) {
        for (group, _) in &self.groups {
            group.detach();
        }
    }
}

fn last(key: Key, result: i32) -> Completion {
    Completion { key, result, more: false, buffer: None }
}
