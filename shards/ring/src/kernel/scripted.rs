//! A kernel that follows a script, and judges its caller.
//!
//! Sockets live in memory ([`World`]). At every entry the seed decides what happens next: which pending operation makes
//! progress and how much, when peers act, when a cancellation arrives, how many completions are seen, how time passes.
//! What the real kernel promises is kept: the parts of one operation come in order, buffers are picked in the order in which
//! they were provided, completions are seen in the order in which they were made. What it does not promise is broken as
//! often as possible: receives and sends are short, standing operations end, buffers run out, cancellations come late.
//!
//! Memory is used as the real kernel uses it: what is to be sent is read when it is taken, never at the push; a buffer is
//! written only when it is picked, and overwritten with [`POISON`] when it is given back, so that whoever still looks at it
//! notices. A violated rule is a panic; [`World::finish`] has the last word. [`progress`] is what operations do, one step at a time.

mod progress;
mod random;

use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::os::fd::{FromRawFd, OwnedFd, RawFd};
use std::rc::Rc;
use std::time::Duration;

use super::{Completion, Entry, Key, Wait};
use crate::Instant;
use crate::buffers::{FreeList, Group};

use progress::Outlook;
pub(crate) use random::{Random, byte_at};

/// What a buffer holds while it belongs to the kernel.
const POISON: u8 = 0xDD;
/// Descriptors of scripted sockets begin here, far above those that a process has.
const DESCRIPTOR_MIN: RawFd = 1_000_000;
/// More entries than any scenario needs: beyond, the shard spins.
const ENTERS_MAX: u32 = 50_000;

/// How a peer's stream ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    Fin,
    Reset,
    /// Not at all: the peer falls silent.
    Never,
}

/// What a peer does.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Script {
    /// Bytes that it sends.
    pub(crate) bytes: usize,
    pub(crate) end: End,
    /// Bytes that it reads; after them, sends fail (EPIPE) or, with `stalls`, wait for ever.
    pub(crate) reads: usize,
    pub(crate) stalls: bool,
    /// The stream whose bytes it expects to read.
    pub(crate) expects: usize,
}

/// How an attempt to connect goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Attempt {
    Succeeds,
    Refused,
    Hangs,
}

/// One socket, as its peer and the kernel see it.
#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) script: Script,
    attempt: Attempt,
    fd: RawFd,
    open: bool,
    /// Bytes of the script that have arrived here, and of these, those that a receive has delivered.
    arrived: usize,
    pub(crate) delivered: usize,
    end_arrived: bool,
    end_delivered: bool,
    /// Bytes that may be taken now; bytes taken so far.
    window: usize,
    pub(crate) taken: usize,
    /// A task waits for bytes or the end of this socket, as far as it knows.
    pub(crate) wanted: bool,
}

#[derive(Debug)]
struct Listening {
    /// Streams of the connections to come.
    backlog: VecDeque<usize>,
    /// Errors that may still come between them.
    errors_left: usize,
    open: bool,
}

#[derive(Debug)]
struct Pending {
    key: Key,
    entry: Entry,
    cancelled: bool,
    /// Bytes of a send that have been taken.
    taken: usize,
}

#[derive(Debug)]
struct Ring {
    group: Rc<Group>,
    /// The free buffers, in the order in which they are picked: number, address.
    free: VecDeque<(u16, *mut u8)>,
    is_free: Vec<bool>,
    next_position: u16,
    buffer_bytes: usize,
}

#[derive(Debug, Clone, Copy)]
enum Action {
    Arrive(usize),
    OpenWindow(usize),
    Progress(usize),
}

/// Everything outside of the shard.
#[derive(Debug)]
pub(crate) struct World {
    random: Random,
    pub(crate) peers: Vec<Peer>,
    listening: HashMap<RawFd, Listening>,
    /// Which peer an open descriptor leads to.
    descriptors: HashMap<RawFd, usize>,
    /// Attempts to connect that are about to be made.
    announced: VecDeque<(usize, Attempt)>,
    queued: Vec<(Key, Entry)>,
    pending: Vec<Pending>,
    posted: VecDeque<Completion>,
    rings: Vec<Ring>,
    actions: Vec<Action>,
    now: Instant,
    enters: u32,
    /// Completions that the queue shows at once.
    visible_max: usize,
    next_fd: RawFd,
    /// Whether receives fail now and then without a reason that a caller could know.
    moody: bool,
    /// Errors with which the next attempts to ring a bell fail.
    pub(crate) bell_errors: VecDeque<i32>,
    /// Rings whose bells were rung.
    pub(crate) rung: Vec<RawFd>,
}

impl World {
    pub(crate) fn new(seed: u64) -> Rc<RefCell<World>> {
        let mut random = Random::new(seed);
        let visible_max = if random.one_in(3) { random.within(1, 3) } else { 64 };
        let moody = random.one_in(2);
        Rc::new(RefCell::new(World {
            random,
            peers: Vec::new(),
            listening: HashMap::new(),
            descriptors: HashMap::new(),
            announced: VecDeque::new(),
            queued: Vec::new(),
            pending: Vec::new(),
            posted: VecDeque::new(),
            rings: Vec::new(),
            actions: Vec::new(),
            now: Instant::now(),
            enters: 0,
            visible_max,
            next_fd: DESCRIPTOR_MIN,
            moody,
            bell_errors: VecDeque::new(),
            rung: Vec::new(),
        }))
    }

    /// A peer that is not connected yet. Its number is also that of the stream that it sends.
    pub(crate) fn peer(&mut self, script: Script) -> usize {
        self.peers.push(Peer {
            script,
            attempt: Attempt::Succeeds,
            fd: -1,
            open: false,
            arrived: 0,
            delivered: 0,
            end_arrived: false,
            end_delivered: false,
            window: 0,
            taken: 0,
            wanted: false,
        });
        self.peers.len() - 1
    }

    /// A connected socket that leads to `peer`. To be made and dropped inside of the shard.
    pub(crate) fn connected(&mut self, peer: usize) -> OwnedFd {
        let fd = self.open(peer);
        // SAFETY: not a descriptor of this process; the shard hands it to `Entry::Close`, never to the real kernel.
        unsafe { OwnedFd::from_raw_fd(fd) }
    }

    /// A listening socket to which these peers will connect, in this order.
    pub(crate) fn listener(&mut self, backlog: Vec<usize>) -> OwnedFd {
        let fd = self.next_fd;
        self.next_fd += 1;
        let errors_left = self.random.below(3);
        self.listening.insert(fd, Listening { backlog: backlog.into(), errors_left, open: true });
        // SAFETY: as in `connected`.
        unsafe { OwnedFd::from_raw_fd(fd) }
    }

    /// The next connect leads to `peer`, if it succeeds.
    pub(crate) fn expect_connect(&mut self, peer: usize, attempt: Attempt) {
        self.announced.push_back((peer, attempt));
    }

    /// Operations in flight.
    pub(crate) fn in_flight(&self) -> usize {
        self.queued.len() + self.pending.len() + self.posted.len()
    }

    /// Whether no receive is in flight on the peer's socket.
    pub(crate) fn is_quiet(&self, peer: usize) -> bool {
        let fd = self.peers[peer].fd;
        let receives = |entry: &Entry| matches!(entry, Entry::Recv { fd: on, .. } if *on == fd);
        !self.pending.iter().any(|pending| receives(&pending.entry)) && !self.queued.iter().any(|(_, e)| receives(e))
    }

    /// What must hold when the shard has ended and everything of it is dropped.
    pub(crate) fn finish(&self) {
        assert!(self.queued.is_empty(), "never handed over: {:?}", self.queued);
        assert!(self.pending.is_empty(), "still in flight: {:?}", self.pending);
        assert!(self.descriptors.is_empty(), "still open: {:?}", self.descriptors);
        assert!(self.listening.values().all(|listening| !listening.open), "a listener is still open");
        for ring in &self.rings {
            assert_eq!(ring.group.free(), ring.group.count(), "buffers of group {} are missing", ring.group.id());
        }
    }

    fn open(&mut self, peer: usize) -> RawFd {
        let fd = self.next_fd;
        self.next_fd += 1;
        self.attach(peer, fd);
        fd
    }

    fn attach(&mut self, peer: usize, fd: RawFd) {
        assert!(self.descriptors.insert(fd, peer).is_none(), "descriptor {fd} was used again while open");
        (self.peers[peer].fd, self.peers[peer].open) = (fd, true);
    }

    /// The real kernel's part of an entry: hand over, let things happen, wait.
    fn enter(&mut self, wait: Wait) {
        self.enters += 1;
        assert!(self.enters < ENTERS_MAX, "the shard spins: {self}");
        for (key, entry) in std::mem::take(&mut self.queued) {
            self.submit(key, entry);
        }
        if wait != Wait::No && self.posted.is_empty() {
            self.assert_nobody_is_forgotten();
        }
        for _ in 0..self.random.below(4) {
            self.step();
        }
        self.now += Duration::from_micros(self.random.below(700) as u64);
        while wait != Wait::No && self.posted.is_empty() {
            if let Wait::Until(instant) = wait
                && (self.now >= instant || self.random.one_in(6))
            {
                self.now = self.now.max(instant);
                return;
            }
            if !self.step() {
                let Wait::Until(instant) = wait else { panic!("the shard would sleep for ever: {self}") };
                self.now = self.now.max(instant);
            }
            self.now += Duration::from_micros(self.random.below(100) as u64);
        }
    }

    /// The shard is about to sleep: a task that waits for bytes which are there must have a receive in flight, unless there
    /// is no buffer for it.
    fn assert_nobody_is_forgotten(&self) {
        if self.rings.iter().any(|ring| ring.free.is_empty()) {
            return;
        }
        for (number, peer) in self.peers.iter().enumerate() {
            let ready = peer.arrived > peer.delivered || (peer.end_arrived && !peer.end_delivered);
            let forgotten = peer.open && peer.wanted && ready && self.is_quiet(number);
            assert!(!forgotten, "the shard sleeps, peer {number} is waited for and ready: {self}");
        }
    }

    fn submit(&mut self, key: Key, entry: Entry) {
        match entry {
            Entry::Cancel { target } => {
                match self.pending.iter_mut().find(|pending| pending.key == target) {
                    Some(pending) => pending.cancelled = true,
                    None => self.post(Key::NOBODY, -libc::ENOENT, false, None),
                }
                return;
            }
            Entry::Close { fd } => return self.close(fd),
            Entry::RingBell { ring } => return self.ring_bell(key, ring),
            Entry::Connect { fd, .. } => {
                let (peer, attempt) = self.announced.pop_front().expect("a connect that the scenario announced");
                self.attach(peer, fd);
                self.peers[peer].attempt = attempt;
            }
            Entry::Recv { fd, .. } => {
                assert!(self.descriptors.contains_key(&fd), "a receive on {fd}, which is not open");
                let twice = self.pending.iter().any(|p| matches!(p.entry, Entry::Recv { fd: on, .. } if on == fd));
                assert!(!twice, "two receives on {fd}");
            }
            Entry::Send { fd, .. } | Entry::SendMessage { fd, .. } => {
                assert!(self.descriptors.contains_key(&fd), "a send on {fd}, which is not open");
                let twice = self.pending.iter().any(|pending| {
                    matches!(pending.entry, Entry::Send { fd: on, .. } | Entry::SendMessage { fd: on, .. } if on == fd)
                });
                assert!(!twice, "two sends on {fd}");
            }
            Entry::Accept { fd } => {
                assert!(self.listening.get(&fd).is_some_and(|listening| listening.open), "an accept on {fd}");
            }
            Entry::ReadCounter { .. } | Entry::Poll { .. } => {}
        }
        self.pending.push(Pending { key, entry, cancelled: false, taken: 0 });
    }

    fn close(&mut self, fd: RawFd) {
        let in_use = self.pending.iter().find(|pending| descriptor_of(&pending.entry) == Some(fd));
        assert!(in_use.is_none(), "{fd} is closed under {in_use:?}");
        if let Some(listening) = self.listening.get_mut(&fd) {
            assert!(std::mem::replace(&mut listening.open, false), "{fd} is closed twice");
            return;
        }
        let peer = self.descriptors.remove(&fd).unwrap_or_else(|| panic!("{fd} is closed, but is not open"));
        self.peers[peer].open = false;
        if fd < DESCRIPTOR_MIN {
            // SAFETY: a real socket, made for a connect; its only owner has handed it over to be closed.
            assert_eq!(unsafe { libc::close(fd) }, 0);
        }
    }

    /// Silent where it succeeds, as the real one is asked to be.
    fn ring_bell(&mut self, key: Key, ring: RawFd) {
        match self.bell_errors.pop_front() {
            Some(error) => self.post(key, -error, false, None),
            None => self.rung.push(ring),
        }
    }

    fn post(&mut self, key: Key, result: i32, more: bool, buffer: Option<u16>) {
        self.posted.push_back(Completion { key, result, more, buffer });
    }

    /// Lets one thing happen. False if nothing can.
    fn step(&mut self) -> bool {
        let mut actions = std::mem::take(&mut self.actions);
        actions.clear();
        for (number, peer) in self.peers.iter().enumerate().filter(|(_, peer)| peer.open) {
            let ends = peer.script.end != End::Never && !peer.end_arrived;
            if peer.arrived < peer.script.bytes || ends {
                actions.push(Action::Arrive(number));
            }
        }
        for (index, pending) in self.pending.iter().enumerate() {
            match self.outlook(pending) {
                Outlook::Ready => actions.push(Action::Progress(index)),
                Outlook::Window(peer) => actions.push(Action::OpenWindow(peer)),
                Outlook::Blocked => {}
            }
        }
        let action = if actions.is_empty() { None } else { Some(actions[self.random.below(actions.len())]) };
        self.actions = actions;
        match action {
            None => return false,
            Some(Action::Arrive(peer)) => self.arrive(peer),
            Some(Action::OpenWindow(peer)) => self.peers[peer].window += self.random.within(1, 200),
            Some(Action::Progress(index)) => self.progress(index),
        }
        true
    }
}

impl std::fmt::Display for World {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (number, peer) in self.peers.iter().enumerate() {
            writeln!(f, "peer {number}: {peer:?}")?;
        }
        for ring in &self.rings {
            writeln!(f, "group {}: free {:?}", ring.group.id(), ring.free)?;
        }
        writeln!(f, "pending: {:#?}", self.pending)?;
        write!(f, "posted: {:?}", self.posted)
    }
}

fn descriptor_of(entry: &Entry) -> Option<RawFd> {
    match entry {
        Entry::Accept { fd }
        | Entry::Recv { fd, .. }
        | Entry::Send { fd, .. }
        | Entry::SendMessage { fd, .. }
        | Entry::Connect { fd, .. }
        | Entry::Poll { fd, .. }
        | Entry::ReadCounter { fd, .. } => Some(*fd),
        Entry::RingBell { .. } | Entry::Cancel { .. } | Entry::Close { .. } => None,
    }
}

/// The double of [`super::uring::Uring`].
pub(crate) struct Scripted {
    world: Rc<RefCell<World>>,
}

impl Scripted {
    pub(crate) fn new(world: &Rc<RefCell<World>>) -> Scripted {
        Scripted { world: Rc::clone(world) }
    }

    pub(crate) fn push(&mut self, key: Key, entry: Entry) {
        self.world.borrow_mut().queued.push((key, entry));
    }

    pub(crate) fn enter(&mut self, wait: Wait) {
        self.world.borrow_mut().enter(wait);
    }

    pub(crate) fn reap(&mut self, into: &mut Vec<Completion>) {
        let world = &mut *self.world.borrow_mut();
        let seen = world.posted.len().min(world.visible_max);
        into.extend(world.posted.drain(..seen));
    }

    pub(crate) fn register(&mut self, group: &Rc<Group>) {
        let ring = Ring {
            group: Rc::clone(group),
            free: VecDeque::new(),
            is_free: vec![false; usize::from(group.count())],
            next_position: 0,
            buffer_bytes: 0,
        };
        self.world.borrow_mut().rings.push(ring);
        group.attach(Box::new(Provided { world: Rc::clone(&self.world), group: group.id() }));
    }

    pub(crate) fn now(&self) -> Instant {
        self.world.borrow().now
    }
}

impl std::fmt::Debug for Scripted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Scripted").finish_non_exhaustive()
    }
}

impl Drop for Scripted {
    fn drop(&mut self) {
        for ring in &self.world.borrow().rings {
            ring.group.detach();
        }
    }
}

/// The free list of one group.
struct Provided {
    world: Rc<RefCell<World>>,
    group: u16,
}

impl FreeList for Provided {
    fn provide(&self, position: u16, buffer: u16, address: *mut u8, len: u32) {
        let world = &mut *self.world.borrow_mut();
        let ring = &mut world.rings[usize::from(self.group)];
        assert_eq!(position, ring.next_position, "a place in the free list is left out or used twice");
        ring.next_position = position.wrapping_add(1);
        ring.buffer_bytes = len as usize;
        let was_free = std::mem::replace(&mut ring.is_free[usize::from(buffer)], true);
        assert!(!was_free, "buffer {buffer} is provided twice");
        // SAFETY: the buffer has just been given to the kernel, that is, to us.
        unsafe { address.write_bytes(POISON, len as usize) };
        ring.free.push_back((buffer, address));
    }
}
