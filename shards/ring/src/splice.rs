//! Bytes from socket to socket inside the kernel.
//!
//! A pipe of the pool takes pages from one socket and gives them to the other; no byte is copied. splice(2) is called
//! directly on non-blocking sockets, since the ring's own splice runs on worker threads, and the ring tells when a socket
//! that was not ready is.
//!
//! Whether a full pipe or an empty socket stopped a splice cannot be told apart; so the source is waited for only when the
//! pipe is empty.

use std::cell::RefCell;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::task::{Context, Poll, ready};

use crate::core::Core;
use crate::socket::{Direction, Stream};

/// Bytes that a pipe of ours holds. Beyond the pages that a user without privileges may have in pipes
/// (`fs.pipe-user-pages-soft`) the kernel grants less, down to a page or two.
const PIPE_BYTES: usize = 256 << 10;
/// Pipes smaller than this are not worth their system calls.
const PIPE_BYTES_MIN: usize = 64 << 10;
/// Empty pipes that are kept, a shard.
const KEPT_MAX: usize = 64;
/// Most bytes that are moved before other tasks get their turn.
const MOVED_BYTES_MAX: usize = 1 << 20;

thread_local! {
    static PIPES: RefCell<Vec<Pipe>> = const { RefCell::new(Vec::new()) };
}

/// A number of bytes on their way from one stream to another.
#[derive(Debug)]
pub struct Splice {
    /// Gone, when dropped, to the pool if it is empty.
    pipe: Option<Pipe>,
    /// Bytes still to be taken from the source; 0 also when an open-ended source has ended.
    left: u64,
    /// Whether the source's end is the end, and no number of bytes.
    open_ended: bool,
    /// Bytes in the pipe.
    held: usize,
    /// Whom the last [`Splice::poll`] that was not ready waits for.
    waits_for_sink: bool,
}

/// Which stream kept the bytes from moving.
#[derive(Debug)]
pub enum SpliceError {
    /// The source failed, or ended too early.
    Source(io::Error),
    /// The sink failed.
    Sink(io::Error),
}

impl Splice {
    /// Prepares to move `bytes` bytes. `None` if the system grants no pipe of a useful size, or `bytes` is 0.
    ///
    /// # Panics
    /// Outside of [`crate::run`].
    #[must_use]
    pub fn new(bytes: u64) -> Option<Splice> {
        if bytes == 0 {
            return None;
        }
        let pipe = PIPES.with_borrow_mut(Vec::pop).or_else(Pipe::open)?;
        Some(Splice { pipe: Some(pipe), left: bytes, open_ended: false, held: 0, waits_for_sink: false })
    }

    /// Prepares to move whatever comes until the source ends its side. `None` as in [`Splice::new`].
    #[must_use]
    pub fn until_end() -> Option<Splice> {
        let mut splice = Splice::new(u64::MAX)?;
        splice.open_ended = true;
        Some(splice)
    }

    /// Whether it holds nothing at the moment, so that it may be given up and the streams be used otherwise.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.held == 0
    }

    /// Whether all bytes have reached the sink.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.left == 0 && self.held == 0
    }

    /// Whether it is the sink that is waited for, not the source.
    #[must_use]
    pub fn waits_for_sink(&self) -> bool {
        self.waits_for_sink
    }

    /// Ready with the number of bytes that the sink has taken, above 0, until [`Splice::is_done`] (at the end of an open-ended
    /// source perhaps with 0). Before the first call
    /// the source has to be quiet ([`Stream::poll_quiet`]) with nothing left to receive; what was written to the sink
    /// before leaves first.
    ///
    /// # Errors
    /// When either stream fails. What is in the pipe is lost then, so that both connections have to be given up.
    pub fn poll(
        &mut self,
        cx: &Context<'_>,
        source: &mut Stream,
        sink: &mut Stream,
    ) -> Poll<Result<usize, SpliceError>> {
        self.waits_for_sink = true;
        ready!(sink.poll_below(cx, 0)).map_err(SpliceError::Sink)?;
        source.make_nonblocking().map_err(SpliceError::Source)?;
        sink.make_nonblocking().map_err(SpliceError::Sink)?;
        let mut moved = 0;
        let (source_blocked, sink_blocked) = loop {
            let filled = self.fill(source)?;
            let drained = self.drain(sink)?;
            moved += drained.unwrap_or(0);
            let stuck = filled.is_none() && drained.unwrap_or(0) == 0;
            if self.is_done() || moved >= MOVED_BYTES_MAX || stuck {
                break (filled.is_none(), drained.is_none());
            }
        };
        if moved > 0 || self.is_done() {
            return Poll::Ready(Ok(moved));
        }
        self.waits_for_sink = sink_blocked && self.held > 0;
        if self.waits_for_sink {
            sink.wait_ready(cx, Direction::Write);
        } else if source_blocked {
            source.wait_ready(cx, Direction::Read);
        } else {
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    }

    /// Moves what the source has into the pipe; `None` if that would block (or the pipe is full).
    fn fill(&mut self, source: &Stream) -> Result<Option<usize>, SpliceError> {
        if self.left == 0 {
            return Ok(None);
        }
        let pipe = self.pipe.as_ref().expect("a splice has its pipe");
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(PIPE_BYTES);
        match move_bytes(source.descriptor_number(), pipe.write.as_raw_fd(), most, false) {
            Ok(0) if self.open_ended => {
                self.left = 0;
                Ok(None)
            }
            Ok(0) => Err(SpliceError::Source(io::ErrorKind::UnexpectedEof.into())),
            Ok(moved) => {
                self.left -= moved as u64;
                self.held += moved;
                source.count_received(moved);
                Ok(Some(moved))
            }
            Err(error) if would_block(&error) => Ok(None),
            Err(error) => Err(SpliceError::Source(error)),
        }
    }

    /// Moves what is in the pipe to the sink; `None` if that would block.
    fn drain(&mut self, sink: &Stream) -> Result<Option<usize>, SpliceError> {
        if self.held == 0 {
            return Ok(Some(0));
        }
        let pipe = self.pipe.as_ref().expect("a splice has its pipe");
        // Where nobody knows whether more will come, the kernel must not wait for it.
        let more = self.left > 0 && !self.open_ended;
        match move_bytes(pipe.read.as_raw_fd(), sink.descriptor_number(), self.held, more) {
            Ok(moved) => {
                self.held -= moved;
                sink.count_sent(moved);
                Ok(Some(moved))
            }
            Err(error) if would_block(&error) => Ok(None),
            Err(error) => Err(SpliceError::Sink(error)),
        }
    }
}

impl Drop for Splice {
    fn drop(&mut self) {
        if let Some(pipe) = self.pipe.take_if(|_| self.held == 0) {
            let _ = PIPES.try_with(|pipes| {
                let mut pipes = pipes.borrow_mut();
                if pipes.len() < KEPT_MAX {
                    pipes.push(pipe);
                }
            });
        }
    }
}

#[derive(Debug)]
struct Pipe {
    read: OwnedFd,
    write: OwnedFd,
}

impl Pipe {
    /// A new pipe, if there is one to be had.
    fn open() -> Option<Pipe> {
        let counters = &Core::current().counters;
        match Pipe::new() {
            Ok((pipe, granted)) => {
                counters.pipes_shrunk.add(u64::from(granted < PIPE_BYTES));
                Some(pipe)
            }
            Err(_) => {
                counters.pipes_refused.add(1);
                None
            }
        }
    }

    /// A pipe, and how many bytes it holds.
    fn new() -> io::Result<(Pipe, usize)> {
        let mut ends: [RawFd; 2] = [-1; 2];
        // SAFETY: the kernel writes two descriptors to the array.
        if unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC | libc::O_NONBLOCK) } < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: both have just been opened for us, and nobody else knows them.
        let pipe = unsafe { Pipe { read: OwnedFd::from_raw_fd(ends[0]), write: OwnedFd::from_raw_fd(ends[1]) } };
        // SAFETY: sets and asks for a number of an open descriptor.
        let granted = unsafe {
            libc::fcntl(pipe.write.as_raw_fd(), libc::F_SETPIPE_SZ, PIPE_BYTES as libc::c_int);
            libc::fcntl(pipe.write.as_raw_fd(), libc::F_GETPIPE_SZ)
        };
        let granted = usize::try_from(granted).unwrap_or(0);
        if granted < PIPE_BYTES_MIN {
            return Err(io::ErrorKind::OutOfMemory.into());
        }
        Ok((pipe, granted))
    }
}

fn would_block(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}

fn move_bytes(from: RawFd, to: RawFd, most: usize, more: bool) -> io::Result<usize> {
    let more = if more { libc::SPLICE_F_MORE } else { 0 };
    let none = std::ptr::null_mut();
    // SAFETY: moves bytes between two open descriptors; no memory of ours is involved.
    let moved =
        unsafe { libc::splice(from, none, to, none, most, libc::SPLICE_F_NONBLOCK | libc::SPLICE_F_MOVE | more) };
    usize::try_from(moved).map_err(|_| io::Error::last_os_error())
}
