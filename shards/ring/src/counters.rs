//! What a shard asked of the kernel, counted by the shard alone and read by anyone.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::Histogram;

/// A number that one thread writes and others may read: a relaxed store, no read-modify-write, no shared cache line
/// written by two.
#[derive(Debug, Default)]
pub struct Count(AtomicU64);

impl Count {
    /// Adds `n`. Only the owning thread may call it; two writers would lose counts (nothing worse).
    pub fn add(&self, n: u64) {
        self.0.store(self.0.load(Ordering::Relaxed).wrapping_add(n), Ordering::Relaxed);
    }

    /// Takes `n` away again, as [`Count::add`].
    pub fn sub(&self, n: u64) {
        self.add(n.wrapping_neg());
    }

    /// Replaces the number, as [`Count::add`].
    pub fn set(&self, n: u64) {
        self.0.store(n, Ordering::Relaxed);
    }

    /// The number as the owner last stored it.
    #[must_use]
    pub fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// The counters of one shard's ring.
#[derive(Debug, Default)]
pub struct Counters {
    /// Calls of io_uring_enter, or of epoll_wait.
    pub enters: Count,
    /// Operations handed over (SQEs, on io_uring).
    pub entries: Count,
    /// Completions reaped (CQEs, on io_uring).
    pub completions: Count,
    /// Bytes received.
    pub bytes_received: Count,
    /// Bytes sent.
    pub bytes_sent: Count,
    /// Bytes that passed from socket to socket inside the kernel; they count among those received and sent.
    pub bytes_spliced: Count,
    /// Bytes copied out of kernel-picked buffers because few of these were free.
    pub bytes_copied_out: Count,
    /// Times a receive found no free buffer and had to wait for one.
    pub receives_starved: Count,
    /// Times accepting paused because descriptors or memory ran out.
    pub accept_pauses: Count,
    /// Times the completion queue was found to have overflowed; the kernel keeps what does not fit aside.
    pub overflows: Count,
    /// How long the shard took from one look at the kernel to the next, waiting and the kernel's own work apart; if
    /// [`crate::Config::time_ticks`] says so.
    pub ticks: Histogram,
    /// Pipes for splicing that the kernel granted smaller than asked for, because the user has many pages in pipes.
    pub pipes_shrunk: Count,
    /// Times nothing could be spliced, because the kernel granted no pipe of a useful size.
    pub pipes_refused: Count,
    /// Tasks that ended in a panic.
    pub panics: Count,
    /// Connected sockets that are open; rises and falls.
    pub sockets_open: Count,
}
