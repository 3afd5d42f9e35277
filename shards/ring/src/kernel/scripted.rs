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
//! notices. A violated rule is a panic; [`World::finish`] has the last word.

use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::os::fd::{FromRawFd, OwnedFd, RawFd};
use std::rc::Rc;
use std::time::Duration;

use super::{Completion, Entry, Key, RecvKind, Wait};
use crate::Instant;
use crate::buffers::{FreeList, Group};

/// What a buffer holds while it belongs to the kernel.
const POISON: u8 = 0xDD;
/// Descriptors of scripted sockets begin here, far above those that a process has.
const DESCRIPTOR_MIN: RawFd = 1_000_000;
/// More entries than any scenario needs: beyond, the shard spins.
const ENTERS_MAX: u32 = 50_000;

/// The byte at `offset` of the stream number `stream`: no short period, different for each stream.
pub(crate) fn byte_at(stream: usize, offset: usize) -> u8 {
    let mixed = (offset as u32 ^ (stream as u32) << 20).wrapping_mul(0x9E37_79B1);
    (mixed >> 24) as u8 ^ (mixed >> 13) as u8
}

/// Numbers that follow from a seed alone (SplitMix64: Steele, Lea, Flood 2014).
#[derive(Debug, Clone)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Random {
        Random(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below `end`, which is not 0.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    /// A number from `first` to `last`.
    pub(crate) fn within(&mut self, first: usize, last: usize) -> usize {
        first + self.below(last - first + 1)
    }

    pub(crate) fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }
}

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

    fn outlook(&self, pending: &Pending) -> Outlook {
        if pending.cancelled {
            return Outlook::Ready;
        }
        match pending.entry {
            Entry::Recv { fd, .. } => {
                let peer = &self.peers[self.descriptors[&fd]];
                Outlook::ready_if(peer.arrived > peer.delivered || peer.end_arrived)
            }
            Entry::Send { fd, .. } | Entry::SendMessage { fd, .. } => {
                let number = self.descriptors[&fd];
                let peer = &self.peers[number];
                if peer.taken >= peer.script.reads {
                    Outlook::ready_if(!peer.script.stalls)
                } else if peer.window > 0 {
                    Outlook::Ready
                } else {
                    Outlook::Window(number)
                }
            }
            Entry::Accept { fd } => {
                let listening = &self.listening[&fd];
                Outlook::ready_if(!listening.backlog.is_empty() || listening.errors_left > 0)
            }
            Entry::Connect { fd, .. } => Outlook::ready_if(self.attempt(fd) != Attempt::Hangs),
            Entry::ReadCounter { .. } | Entry::Poll { .. } => Outlook::Blocked,
            Entry::RingBell { .. } | Entry::Cancel { .. } | Entry::Close { .. } => {
                unreachable!("done when handed over")
            }
        }
    }

    fn attempt(&self, fd: RawFd) -> Attempt {
        self.peers[self.descriptors[&fd]].attempt
    }

    fn arrive(&mut self, number: usize) {
        let more = self.random.within(1, 90);
        let peer = &mut self.peers[number];
        if peer.arrived == peer.script.bytes {
            peer.end_arrived = true;
        }
        peer.arrived = (peer.arrived + more).min(peer.script.bytes);
    }

    fn progress(&mut self, index: usize) {
        let Pending { key, entry, cancelled, taken } = self.pending[index];
        // A cancellation arrives now, or the operation is quicker once more.
        if cancelled && self.random.one_in(2) {
            self.pending.swap_remove(index);
            let result = if taken > 0 { taken as i32 } else { -libc::ECANCELED };
            return self.post(key, result, false, None);
        }
        let more = match entry {
            Entry::Recv { fd, group, kind } => self.receive(key, fd, group, kind),
            Entry::Send { fd, bytes, len, .. } => {
                let runs = [libc::iovec { iov_base: bytes.cast_mut().cast(), iov_len: len as usize }];
                self.send(index, key, fd, &runs)
            }
            Entry::SendMessage { fd, message, .. } => {
                // SAFETY: the caller of `Kernel::push` keeps the header and the runs that it lists until the operation has
                // completed; it has not.
                let runs = unsafe { std::slice::from_raw_parts((*message).msg_iov, (*message).msg_iovlen) };
                self.send(index, key, fd, runs)
            }
            Entry::Accept { fd } => self.accept(key, fd),
            Entry::Connect { fd, .. } => match self.attempt(fd) {
                Attempt::Hangs => true,
                Attempt::Succeeds => self.last(key, 0),
                Attempt::Refused => self.last(key, -libc::ECONNREFUSED),
            },
            Entry::ReadCounter { .. } | Entry::Poll { .. } => true,
            Entry::RingBell { .. } | Entry::Cancel { .. } | Entry::Close { .. } => {
                unreachable!("done when handed over")
            }
        };
        if !more {
            self.pending.swap_remove(index);
        }
    }

    /// Posts an operation's last completion.
    fn last(&mut self, key: Key, result: i32) -> bool {
        self.post(key, result, false, None);
        false
    }

    /// Moves bytes into buffers, if there are any of either. Returns whether the operation goes on.
    fn receive(&mut self, key: Key, fd: RawFd, group: u16, kind: RecvKind) -> bool {
        let number = self.descriptors[&fd];
        let moody = self.moody && self.random.one_in(8);
        let peer = &self.peers[number];
        let available = peer.arrived - peer.delivered;
        if available == 0 {
            if !peer.end_arrived {
                return true;
            }
            return self.receive_end(key, number, group);
        }
        let ring = &self.rings[usize::from(group)];
        if moody || ring.free.is_empty() {
            let free = !ring.free.is_empty();
            let errors = [libc::ENOBUFS, libc::ENOBUFS, libc::EINTR, libc::EAGAIN];
            let error = if free { errors[self.random.below(errors.len())] } else { libc::ENOBUFS };
            return self.last(key, -error);
        }
        let size = self.rings[usize::from(group)].buffer_bytes;
        let buffers = if kind == RecvKind::Bundle { self.random.within(1, ring.free.len()) } else { 1 };
        let mut len = available.min(size * buffers);
        if self.random.one_in(3) {
            len = self.random.within(1, len);
        }
        let first = self.fill(number, group, len);
        let more = kind == RecvKind::Multishot && !self.random.one_in(8);
        self.post(key, len as i32, more, Some(first));
        more
    }

    fn receive_end(&mut self, key: Key, number: usize, group: u16) -> bool {
        self.peers[number].end_delivered = true;
        if self.peers[number].script.end == End::Reset {
            return self.last(key, -libc::ECONNRESET);
        }
        let with_buffer = !self.rings[usize::from(group)].free.is_empty() && self.random.one_in(4);
        let buffer = with_buffer.then(|| self.fill(number, group, 0));
        self.post(key, 0, false, buffer);
        false
    }

    /// Fills the next free buffers with the next `len` bytes of a peer. Returns the first buffer.
    fn fill(&mut self, number: usize, group: u16, len: usize) -> u16 {
        let size = self.rings[usize::from(group)].buffer_bytes;
        let ring = &mut self.rings[usize::from(group)];
        let peer = &mut self.peers[number];
        let first = ring.free[0].0;
        let mut left = len;
        loop {
            let (buffer, address) = ring.free.pop_front().expect("as many buffers as were counted");
            ring.is_free[usize::from(buffer)] = false;
            let here = left.min(size);
            for offset in 0..here {
                // SAFETY: the buffer was provided and not picked since, so that it is the kernel's to write to.
                unsafe { address.add(offset).write(byte_at(number, peer.delivered + offset)) };
            }
            peer.delivered += here;
            left -= here;
            if left == 0 {
                return first;
            }
        }
    }

    /// Takes bytes. Returns whether the operation goes on.
    fn send(&mut self, index: usize, key: Key, fd: RawFd, runs: &[libc::iovec]) -> bool {
        let number = self.descriptors[&fd];
        let before = self.pending[index].taken;
        let total: usize = runs.iter().map(|run| run.iov_len).sum();
        let peer = &mut self.peers[number];
        let room = peer.script.reads - peer.taken;
        if room == 0 {
            if peer.script.stalls {
                return true;
            }
            return self.last(key, if before > 0 { before as i32 } else { -libc::EPIPE });
        }
        if before == 0 && self.random.one_in(12) {
            let error = [libc::EINTR, libc::EAGAIN][self.random.below(2)];
            return self.last(key, -error);
        }
        let now = (total - before).min(room).min(peer.window);
        for position in before..before + now {
            let expected = byte_at(peer.script.expects, peer.taken);
            assert_eq!(read_run(runs, position), expected, "byte {} sent to peer {number}", peer.taken);
            peer.taken += 1;
        }
        peer.window -= now;
        let taken = before + now;
        self.pending[index].taken = taken;
        // MSG_WAITALL makes short sends rare, not impossible.
        let ends = taken == total || (taken > 0 && self.random.one_in(4));
        if ends {
            self.post(key, taken as i32, false, None);
        }
        !ends
    }

    fn accept(&mut self, key: Key, fd: RawFd) -> bool {
        let error = self.random.one_in(3);
        let listening = self.listening.get_mut(&fd).expect("a listener of this world");
        if listening.errors_left > 0 && (error || listening.backlog.is_empty()) {
            listening.errors_left -= 1;
            let errors = [libc::EMFILE, libc::ENFILE, libc::ENOMEM, libc::ECONNABORTED];
            let error = errors[self.random.below(errors.len())];
            return self.last(key, -error);
        }
        let Some(peer) = listening.backlog.pop_front() else { return true };
        let more = !self.random.one_in(6);
        let fd = self.open(peer);
        self.post(key, fd, more, None);
        more
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

enum Outlook {
    Ready,
    /// Waits for the peer to read on.
    Window(usize),
    Blocked,
}

impl Outlook {
    fn ready_if(ready: bool) -> Outlook {
        if ready { Outlook::Ready } else { Outlook::Blocked }
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

/// The byte at `position` of the bytes that `runs` list.
fn read_run(runs: &[libc::iovec], mut position: usize) -> u8 {
    for run in runs {
        if position < run.iov_len {
            // SAFETY: within a run of a send in flight, whose memory the caller of `Kernel::push` keeps.
            return unsafe { run.iov_base.cast::<u8>().add(position).read() };
        }
        position -= run.iov_len;
    }
    unreachable!("a position within the runs")
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
