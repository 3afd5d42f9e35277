//! Messages to a shard, from another shard or from any thread.
//!
//! A mailbox is a bounded queue with one sender and one receiver (SPSC); a shard with several correspondents has several.
//! A sender that puts a message into a mailbox rings the shard's bell, unless it has been rung and not yet answered: shards
//! do it by a message between their rings (MSG_RING), where both have one; other threads, and shards on epoll, through an
//! eventfd that the shard reads.

use std::future::poll_fn;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use crate::core::Core;

/// How a shard is woken.
#[derive(Debug)]
pub(crate) struct Bell {
    /// The shard's ring, which stays open for as long as its thread runs; -1 where there is none.
    ring: RawFd,
    pub(crate) counter: OwnedFd,
    rung: AtomicBool,
}

impl Bell {
    pub(crate) fn new(ring: RawFd) -> io::Result<Bell> {
        // SAFETY: opens a new descriptor, which is checked and owned at once.
        let counter = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC) };
        if counter < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: as above.
        let counter = unsafe { OwnedFd::from_raw_fd(counter) };
        Ok(Bell { ring, counter, rung: AtomicBool::new(false) })
    }

    /// From now on senders ring again. The mailboxes are to be emptied after this, not before.
    pub(crate) fn answer(&self) {
        // Not a plain store: this reads what the senders stored by ringing, and so their messages are seen after it.
        self.rung.swap(false, Ordering::SeqCst);
    }

    fn ring(&self) {
        if self.rung.swap(true, Ordering::SeqCst) {
            return;
        }
        match Core::try_current() {
            Some(core) if self.ring >= 0 && core.rings_others_than(self.ring) => core.ring_bell_of(self.ring),
            _ => self.ring_by_counter(),
        }
    }

    fn ring_by_counter(&self) {
        let one = 1_u64.to_ne_bytes();
        // SAFETY: writes eight bytes from `one` to a descriptor that `self` keeps open.
        while unsafe { libc::write(self.counter.as_raw_fd(), one.as_ptr().cast(), one.len()) } < 0 {
            // An eventfd in blocking mode takes the count sooner or later.
            if io::Error::last_os_error().kind() != io::ErrorKind::Interrupted {
                break;
            }
        }
    }
}

/// The address of a shard for [`channel`]; may be sent to any thread.
#[derive(Debug, Clone)]
pub struct ShardAddress(Arc<Bell>);

impl ShardAddress {
    /// The address of the shard that runs on this thread.
    ///
    /// # Panics
    /// Outside of [`crate::run`].
    #[must_use]
    pub fn current() -> ShardAddress {
        ShardAddress(Arc::clone(&Core::current().bell))
    }
}

/// A mailbox for at most `capacity` messages. The receiver belongs to the shard at `address`: only there it is polled.
#[must_use]
pub fn channel<T: Send>(capacity: usize, address: &ShardAddress) -> (Sender<T>, Receiver<T>) {
    let (producer, consumer) = rtrb::RingBuffer::new(capacity);
    (Sender { producer, bell: LastRing(Arc::clone(&address.0)) }, Receiver { consumer })
}

/// The sending end of a mailbox.
#[derive(Debug)]
pub struct Sender<T> {
    producer: rtrb::Producer<T>,
    /// Dropped after `producer`: fields are dropped in this order.
    bell: LastRing,
}

/// Rings when it is dropped, so that the receiver notices that the sender, by then gone, is gone.
#[derive(Debug)]
struct LastRing(Arc<Bell>);

impl Drop for LastRing {
    fn drop(&mut self) {
        self.0.ring();
    }
}

impl<T> Sender<T> {
    /// Sends a message, without waiting.
    ///
    /// # Errors
    /// Gives the message back if the mailbox is full.
    pub fn send(&mut self, message: T) -> Result<(), T> {
        self.producer.push(message).map_err(|rtrb::PushError::Full(message)| message)?;
        self.bell.0.ring();
        Ok(())
    }
}

/// The receiving end of a mailbox.
#[derive(Debug)]
pub struct Receiver<T> {
    consumer: rtrb::Consumer<T>,
}

impl<T> Receiver<T> {
    /// The next message; `None` when the sender is gone and nothing is left.
    ///
    /// # Panics
    /// Outside of [`crate::run`].
    pub fn poll_recv(&mut self, cx: &Context<'_>) -> Poll<Option<T>> {
        // Whether the sender is gone is asked first: what it sent before is then seen below.
        let abandoned = self.consumer.is_abandoned();
        match self.consumer.pop() {
            Ok(message) => Poll::Ready(Some(message)),
            Err(_) if abandoned => Poll::Ready(None),
            Err(_) => {
                let core: Rc<Core> = Core::current();
                core.wait_for_bell(cx.waker());
                Poll::Pending
            }
        }
    }

    /// As [`Receiver::poll_recv`].
    pub async fn recv(&mut self) -> Option<T> {
        poll_fn(|cx| self.poll_recv(cx)).await
    }
}
