//! How operations in flight make progress: what the kernel does between two entries of its caller.

use std::os::fd::RawFd;

use super::{Attempt, End, Pending, World, byte_at};
use crate::kernel::{Entry, Key, RecvKind};

/// Whether an operation can make progress.
pub(super) enum Outlook {
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

impl World {
    pub(super) fn outlook(&self, pending: &Pending) -> Outlook {
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

    pub(super) fn arrive(&mut self, number: usize) {
        let more = self.random.within(1, 90);
        let peer = &mut self.peers[number];
        if peer.arrived == peer.script.bytes {
            peer.end_arrived = true;
        }
        peer.arrived = (peer.arrived + more).min(peer.script.bytes);
    }

    pub(super) fn progress(&mut self, index: usize) {
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
