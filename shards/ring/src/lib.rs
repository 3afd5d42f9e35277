//! The kernel floor of a shard: executor, sockets, buffers, timers and mailboxes of one thread on its own io_uring, or epoll.
//!
//! The crate knows sockets and bytes. It refuses to know HTTP, configuration, logging, and other threads' memory. It is the
//! only crate of Ringway with `unsafe`, so that what can go wrong with memory goes wrong here or nowhere.
//!
//! # Who owns what
//! The kernel writes to our memory, and reads it, while we run, and no borrow checker or sanitizer sees that. So:
//!
//! 1. **An operation owns what the kernel may touch.** Each operation in flight has an entry in the table of [`core`], which
//!    holds the owner of its memory and its descriptor (an `Rc` of the socket, say) until the *last* completion has been
//!    dispatched. Futures and handles own nothing that the kernel touches: dropping one only asks for a cancellation.
//! 2. **A descriptor is closed exactly once, by its owner, and never under an operation**, because every operation on it
//!    holds the owner. It can therefore not be reused while the kernel still means the old one.
//! 3. **A key carries a generation.** A completion finds its operation by index and generation; one that came for an earlier
//!    tenant of the place would be noticed, not misdelivered.
//! 4. **Bytes that arrived are immutable** ([`Chunk`]). The buffer they lie in goes back to the kernel when the last chunk
//!    over it is dropped, and not before.
//! 5. **Every switch of how a socket is read is one state machine** (`socket/recv.rs`): cancel, reap, hand over, switch.
//! 6. **The end waits.** When the shard ends, everything is cancelled and reaped before any memory is freed.
//!
//! # The path through the files
//! `core.rs` is the tick and the table of operations; `kernel/` what is asked of a kernel and who answers; `socket/` the
//! connected socket (`recv.rs`, `send.rs`, and the user's handle `stream.rs`); `splice.rs` bytes that pass without being seen;
//! `listener.rs`, `connect.rs`, `timer.rs`, `mailbox.rs` what else a shard waits for; `buffers/` memory; `wheel.rs` and `executor.rs` stand alone.

mod buffers;
mod connect;
mod core;
mod counters;
mod executor;
mod histogram;
mod instant;
mod kernel;
mod listener;
mod mailbox;
mod pooled;
mod prefetch;
mod socket;
mod splice;
#[cfg(test)]
mod tests;
mod tick;
mod timer;
mod wheel;

use std::future::Future;
use std::rc::Rc;
use std::sync::Arc;

pub use buffers::{Buffer, Chunk};
pub use connect::{connect_tcp, connect_unix};
pub use counters::{Count, Counters};
pub use histogram::Histogram;
pub use instant::Instant;
pub use kernel::{Backend, Features, StartError};
pub use listener::{Listener, bind_tcp, listen, listen_tcp, listen_unix, steer};
pub use mailbox::{Receiver, Sender, ShardAddress, channel};
pub use pooled::{Pooled, pooled};
pub use socket::{ReadMode, Stream};
pub use splice::{Splice, SpliceError};
pub use tick::next_tick;
pub use timer::{Timer, now, sleep, sleep_until};

use crate::core::Core;
use crate::kernel::{Kernel, uring::Uring};

/// What a shard's ring is made of: its backend, and the sizes of queues and buffers.
#[derive(Debug, Clone, Copy)]
pub struct Config {
    /// What it runs on. The sizes of queues concern io_uring alone.
    pub backend: Backend,
    /// Operations that can be queued before they are handed over; more are handed over early. A power of two.
    pub submission_entries: u32,
    /// Completions that the ring holds; the kernel keeps what exceeds it aside. A power of two.
    pub completion_entries: u32,
    /// Buffers for heads and idle connections: a power of two, at most 32,768.
    pub head_buffers: u16,
    /// Bytes of each of these.
    pub head_buffer_bytes: u32,
    /// Buffers for bodies: a power of two, at most 32,768.
    pub body_buffers: u16,
    /// Bytes of each of these.
    pub body_buffer_bytes: u32,
    /// Bytes of memory that the shard keeps for its own use of buffers; what exceeds it is freed.
    pub pool_bytes_max: usize,
    /// Whether ticks are timed, which takes another look at the clock for each.
    pub time_ticks: bool,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            backend: Backend::Auto,
            submission_entries: 1024,
            completion_entries: 8192,
            head_buffers: 1024,
            head_buffer_bytes: 4096,
            body_buffers: 512,
            body_buffer_bytes: 16 << 10,
            pool_bytes_max: 16 << 20,
            time_ticks: false,
        }
    }
}

/// Makes this thread a shard: sets up its ring, runs the future that `main` makes until it ends, and winds up.
///
/// # Errors
/// When the backend cannot be had ([`StartError`] says what to do), or the kernel fails it later on.
///
/// # Panics
/// If the thread is a shard already, or if `main` panics.
pub fn run<F>(
    config: &Config,
    counters: Arc<Counters>,
    main: impl FnOnce(Features) -> F,
) -> Result<F::Output, StartError>
where
    F: Future + 'static,
    F::Output: 'static,
{
    buffers::pool::keep_at_most(config.pool_bytes_max);
    let (kernel, features) = Kernel::start(config, &counters)?;
    let core = Core::new(kernel, config, features.bundles, counters).map_err(StartError::Failed)?;
    core.run(move || main(features)).map_err(StartError::Failed)
}

/// Whether this process may use io_uring as a shard would: sets a small ring up and takes it down again.
///
/// # Errors
/// As [`run`] would fail with [`Backend::IoUring`].
pub fn probe() -> Result<Features, StartError> {
    Uring::new(8, 16, Arc::default()).map(|uring| uring.features())
}

/// Starts a task on this shard. It runs until it ends or the shard does. A panic in it ends it alone and is counted.
///
/// # Panics
/// Outside of [`run`].
pub fn spawn(future: impl Future<Output = ()> + 'static) {
    Core::current().executor.spawn(future);
}

/// Lets every other task that is ready run first.
pub async fn yield_now() {
    let mut yielded = false;
    std::future::poll_fn(|cx| {
        if std::mem::replace(&mut yielded, true) {
            return std::task::Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        std::task::Poll::Pending
    })
    .await;
}

/// Fractions of the shard's kernel-picked buffers that are free now: heads, bodies. For tests and status pages.
///
/// # Panics
/// Outside of [`run`].
#[must_use]
pub fn free_buffers() -> (u16, u16) {
    let core: Rc<Core> = Core::current();
    (core.heads.free(), core.bodies.free())
}
