//! What the rest of the crate asks of a kernel, and the kernels that answer.
//!
//! An [`Entry`] is one operation handed over; a [`Completion`] is one answer. Everything above this module is written
//! against these two, so that the same sockets run on io_uring ([`uring`]) and, in tests, on a scripted double that
//! reorders, delays, cancels and shortens by seed. A readiness backend (epoll) fits under the same interface.

#[cfg(test)]
pub(crate) mod scripted;
pub(crate) mod uring;

use std::io;
use std::os::fd::RawFd;
use std::rc::Rc;
use std::time::Instant;

use crate::buffers::Group;

/// Names an operation in flight: an index into the table of operations, and the generation of that place, so that a
/// completion which arrives for an earlier tenant is recognised.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key(u64);

impl Key {
    /// Nobody waits for this operation's completion.
    pub(crate) const NOBODY: Key = Key(u64::MAX);
    /// Another shard rang the bell (MSG_RING).
    pub(crate) const BELL: Key = Key(u64::MAX - 1);
    /// The kernel's own timer ran out (see [`uring`]).
    pub(crate) const ALARM: Key = Key(u64::MAX - 2);

    pub(crate) fn new(index: u32, generation: u32) -> Key {
        debug_assert!(generation < u32::MAX, "the last generation is reserved");
        Key(u64::from(generation) << 32 | u64::from(index))
    }

    pub(crate) fn index(self) -> u32 {
        self.0 as u32
    }

    pub(crate) fn generation(self) -> u32 {
        (self.0 >> 32) as u32
    }

    pub(crate) fn to_bits(self) -> u64 {
        self.0
    }

    pub(crate) fn from_bits(bits: u64) -> Key {
        Key(bits)
    }
}

/// How a receive takes its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RecvKind {
    /// Goes on until cancelled, one buffer of the group a completion.
    Multishot,
    /// Ends with its first completion, which may span several consecutive buffers of the group.
    Bundle,
    /// Ends with its first completion, in one buffer of the group.
    Once,
}

/// One operation, as handed to the kernel. The pointers are to memory that the operation's entry in the table owns.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Entry {
    /// Accept connections until cancelled.
    Accept { fd: RawFd },
    /// Receive into buffers that the kernel picks from `group`.
    Recv { fd: RawFd, group: u16, kind: RecvKind },
    /// Send one run of bytes, whole unless the connection fails.
    Send { fd: RawFd, bytes: *const u8, len: u32 },
    /// Send the runs of bytes that a message header lists, whole unless the connection fails.
    SendMessage { fd: RawFd, message: *const libc::msghdr },
    /// Wait until a descriptor is ready for `events` (`POLLIN`, `POLLOUT`), or has failed.
    Poll { fd: RawFd, events: u32 },
    /// Open a connection.
    Connect { fd: RawFd, address: *const libc::sockaddr, len: libc::socklen_t },
    /// Read from an eventfd into eight bytes.
    ReadCounter { fd: RawFd, value: *mut u64 },
    /// Put a completion with [`Key::BELL`] on another ring.
    RingBell { ring: RawFd },
    /// Ask for the end of an operation; its own completion tells when it has ended.
    Cancel { target: Key },
    /// Close a descriptor that no operation uses any more.
    Close { fd: RawFd },
}

/// One answer of the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Completion {
    pub(crate) key: Key,
    /// A count or a descriptor; negative: an error number.
    pub(crate) result: i32,
    /// The operation goes on and will complete again.
    pub(crate) more: bool,
    /// The (first) buffer that the kernel picked.
    pub(crate) buffer: Option<u16>,
}

/// The kernel under a shard.
#[derive(Debug)]
#[cfg_attr(test, allow(clippy::large_enum_variant, reason = "the double is small, and there is one kernel a shard"))]
pub(crate) enum Kernel {
    /// The real one.
    Uring(uring::Uring),
    /// The test double.
    #[cfg(test)]
    Scripted(scripted::Scripted),
}

impl Kernel {
    /// Queues an operation; [`Kernel::enter`] hands it over.
    ///
    /// # Safety
    /// Until the operation's last completion has been popped, the memory that `entry` points to stays allocated and is
    /// not otherwise written (nor, where the kernel writes, read), and the descriptors that it names stay open.
    pub(crate) unsafe fn push(&mut self, key: Key, entry: Entry) {
        match self {
            // SAFETY: the same contract.
            Kernel::Uring(uring) => unsafe { uring.push(key, entry) },
            #[cfg(test)]
            Kernel::Scripted(scripted) => scripted.push(key, entry),
        }
    }

    /// Hands over what is queued. With `wait`, sleeps until at least one completion is there or `wait` has come.
    pub(crate) fn enter(&mut self, wait: Wait) -> io::Result<()> {
        match self {
            Kernel::Uring(uring) => uring.enter(wait),
            #[cfg(test)]
            Kernel::Scripted(scripted) => {
                scripted.enter(wait);
                Ok(())
            }
        }
    }

    /// Moves the completions that are there into `into`.
    pub(crate) fn reap(&mut self, into: &mut Vec<Completion>) {
        match self {
            Kernel::Uring(uring) => uring.reap(into),
            #[cfg(test)]
            Kernel::Scripted(scripted) => scripted.reap(into),
        }
    }

    /// Makes a buffer group known, all of its buffers free.
    pub(crate) fn register(&mut self, group: &Rc<Group>) -> io::Result<()> {
        match self {
            Kernel::Uring(uring) => uring.register(group),
            #[cfg(test)]
            Kernel::Scripted(scripted) => {
                scripted.register(group);
                Ok(())
            }
        }
    }

    /// The descriptor under which other shards ring this one's bell.
    pub(crate) fn descriptor(&self) -> RawFd {
        match self {
            Kernel::Uring(uring) => uring.descriptor(),
            #[cfg(test)]
            Kernel::Scripted(_) => -1,
        }
    }

    /// The time, which the scripted kernel makes itself.
    pub(crate) fn now(&self) -> Instant {
        match self {
            Kernel::Uring(_) => Instant::now(),
            #[cfg(test)]
            Kernel::Scripted(scripted) => scripted.now(),
        }
    }
}

/// Whether and how long [`Kernel::enter`] sleeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wait {
    /// Not at all: there is work to do.
    No,
    /// Until a completion is there.
    Forever,
    /// Until a completion is there, or this instant.
    Until(Instant),
}
