//! What the rest of the crate asks of a kernel, and the kernels that answer.
//!
//! An [`Entry`] is one operation handed over; a [`Completion`] is one answer. Everything above this module is written
//! against these two, so that the same sockets run on io_uring ([`uring`]), on epoll where that is refused ([`epoll`]), and,
//! in tests, on a scripted double that reorders, delays, cancels and shortens by seed.

pub(crate) mod epoll;
#[cfg(test)]
pub(crate) mod scripted;
pub(crate) mod uring;

use std::io;
use std::os::fd::RawFd;
use std::rc::Rc;
use std::sync::Arc;

use crate::Instant;
use crate::buffers::Group;
use crate::counters::Counters;

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

    /// Names the message by which the bell of the shard on `ring` is rung. It completes only if it could not be delivered, and
    /// its name then tells which it was. Of the reserved generation, below the names above.
    pub(crate) fn of_bell(ring: RawFd) -> Key {
        debug_assert!(ring >= 0, "a ring has a descriptor");
        Key(u64::from(u32::MAX) << 32 | u64::from(ring.cast_unsigned()))
    }

    /// The ring whose bell it names, if it names one.
    pub(crate) fn bell(self) -> Option<RawFd> {
        let ring = RawFd::try_from(self.index()).ok()?;
        (self.generation() == u32::MAX).then_some(ring)
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
    /// Send one run of bytes, whole unless the connection fails. With `more` the kernel may wait for what follows at once.
    Send { fd: RawFd, bytes: *const u8, len: u32, more: bool },
    /// Send the runs of bytes that a message header lists, likewise.
    SendMessage { fd: RawFd, message: *const libc::msghdr, more: bool },
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
    /// io_uring.
    Uring(uring::Uring),
    /// epoll, and system calls that do not block.
    Epoll(epoll::Epoll),
    /// The test double.
    #[cfg(test)]
    Scripted(scripted::Scripted),
}

impl Kernel {
    /// The kernel that `config` asks for, and what it offers.
    pub(crate) fn start(config: &crate::Config, counters: &Arc<Counters>) -> Result<(Kernel, Features), StartError> {
        let uring = || {
            let uring = uring::Uring::new(config.submission_entries, config.completion_entries, Arc::clone(counters))?;
            let features = uring.features();
            Ok((Kernel::Uring(uring), features))
        };
        let epoll = || {
            let epoll = epoll::Epoll::new(Arc::clone(counters))?;
            let features = epoll.features();
            Ok((Kernel::Epoll(epoll), features))
        };
        match config.backend {
            Backend::IoUring => uring(),
            Backend::Epoll => epoll(),
            Backend::Auto => uring().or_else(|error| if error.leaves_epoll() { epoll() } else { Err(error) }),
        }
    }

    /// Queues an operation; [`Kernel::enter`] hands it over, unless it was attempted at once.
    ///
    /// # Safety
    /// Until the operation's last completion has been popped, the memory that `entry` points to stays allocated and is
    /// not otherwise written (nor, where the kernel writes, read), and the descriptors that it names stay open.
    pub(crate) unsafe fn push(&mut self, key: Key, entry: Entry) {
        match self {
            // SAFETY: the same contract.
            Kernel::Uring(uring) => unsafe { uring.push(key, entry) },
            // SAFETY: the same contract.
            Kernel::Epoll(epoll) => unsafe { epoll.push(key, entry) },
            #[cfg(test)]
            Kernel::Scripted(scripted) => scripted.push(key, entry),
        }
    }

    /// Hands over what is queued. With `wait`, sleeps until at least one completion is there or `wait` has come.
    pub(crate) fn enter(&mut self, wait: Wait) -> io::Result<()> {
        match self {
            Kernel::Uring(uring) => uring.enter(wait),
            Kernel::Epoll(epoll) => epoll.enter(wait),
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
            Kernel::Epoll(epoll) => epoll.reap(into),
            #[cfg(test)]
            Kernel::Scripted(scripted) => scripted.reap(into),
        }
    }

    /// Makes a buffer group known, all of its buffers free.
    pub(crate) fn register(&mut self, group: &Rc<Group>) -> io::Result<()> {
        match self {
            Kernel::Uring(uring) => uring.register(group),
            Kernel::Epoll(epoll) => {
                epoll.register(group);
                Ok(())
            }
            #[cfg(test)]
            Kernel::Scripted(scripted) => {
                scripted.register(group);
                Ok(())
            }
        }
    }

    /// The descriptor under which other shards ring this one's bell by a message between rings; -1 if there is none.
    pub(crate) fn descriptor(&self) -> RawFd {
        match self {
            Kernel::Uring(uring) => uring.descriptor(),
            Kernel::Epoll(_) => -1,
            #[cfg(test)]
            Kernel::Scripted(_) => -1,
        }
    }

    /// The time, which the scripted kernel makes itself.
    pub(crate) fn now(&self) -> Instant {
        match self {
            Kernel::Uring(_) | Kernel::Epoll(_) => Instant::now(),
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

/// By which of the kernel's interfaces a shard waits and moves its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Backend {
    /// io_uring, or epoll where io_uring is refused or too old.
    #[default]
    Auto,
    /// io_uring: what everything is built for.
    IoUring,
    /// epoll: works everywhere, and costs a little more.
    Epoll,
}

/// What a shard runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Features {
    /// The backend in use; never [`Backend::Auto`].
    pub backend: Backend,
    /// One receive may fill several buffers (io_uring of Linux 6.10, and epoll).
    pub bundles: bool,
}

/// Why a shard cannot have the backend that it was to run on.
#[derive(Debug)]
pub enum StartError {
    /// The kernel forbids io_uring to this process.
    Refused(io::Error),
    /// The kernel is older than the floor.
    TooOld(io::Error),
    /// Something else: descriptors, memory.
    Failed(io::Error),
}

impl StartError {
    /// Whether the reason lies in io_uring alone, so that epoll would do.
    #[must_use]
    pub fn leaves_epoll(&self) -> bool {
        matches!(self, StartError::Refused(_) | StartError::TooOld(_))
    }
}

impl std::fmt::Display for StartError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            StartError::Refused(error) => write!(
                f,
                "the kernel refuses io_uring ({error}): set `sysctl kernel.io_uring_disabled=0`, and in a container allow \
                 io_uring_setup, io_uring_enter and io_uring_register in its seccomp profile"
            ),
            StartError::TooOld(error) => {
                write!(f, "this kernel's io_uring lacks what Ringway needs ({error}): Linux 6.1 or later is needed")
            }
            StartError::Failed(error) => write!(f, "io_uring could not be set up: {error}"),
        }
    }
}

impl std::error::Error for StartError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            StartError::Refused(error) | StartError::TooOld(error) | StartError::Failed(error) => Some(error),
        }
    }
}

/// What tells the kernel that something follows at once.
const fn more_flag(more: bool) -> libc::c_int {
    if more { libc::MSG_MORE } else { 0 }
}
