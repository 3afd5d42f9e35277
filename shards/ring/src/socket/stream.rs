//! The user's handle to a connected socket.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::rc::Rc;
use std::task::{Context, Poll};

use super::{Direction, ReadMode, Socket, ready, recv, send};
use crate::buffers::Chunk;
use crate::core::{Core, Descriptor};

/// A connected stream socket (TCP or Unix).
///
/// Dropping it cancels what is in flight and closes the descriptor once the kernel has let go. What was written and not
/// yet taken by the kernel is then lost: [`Stream::flush`] first where it matters.
pub struct Stream {
    socket: Rc<Socket>,
    core: Rc<Core>,
}

impl Stream {
    /// Takes over a connected socket, which must be in blocking mode (the ring waits in the caller's stead).
    #[must_use]
    pub fn from_descriptor(fd: OwnedFd) -> Stream {
        let core = Core::current();
        core.counters.sockets_open.add(1);
        Stream { socket: Socket::new(Descriptor::new(fd)), core }
    }

    /// The next bytes, read in `mode`; `None` at the end of the stream. See [`ReadMode`] for the modes; they may be mixed
    /// freely, bytes stay in order.
    ///
    /// # Errors
    /// The socket's, ECONNRESET say. Once the stream has ended or failed, it stays so.
    pub fn poll_recv(&mut self, cx: &Context<'_>, mode: ReadMode) -> Poll<io::Result<Option<Chunk>>> {
        recv::poll_recv(&self.socket, &self.core, cx, mode)
    }

    /// [`Stream::poll_recv`] as a future.
    ///
    /// # Errors
    /// As there.
    pub async fn recv(&mut self, mode: ReadMode) -> io::Result<Option<Chunk>> {
        poll_fn(|cx| self.poll_recv(cx, mode)).await
    }

    /// Puts bytes back, to be received again first.
    pub fn unread(&mut self, chunk: Chunk) {
        recv::unread(&self.socket, chunk);
    }

    /// Keeps a receive on an idle socket, in the mode in which the next bytes are expected, so that its end is noticed
    /// ([`Stream::poll_failed`], [`Stream::is_fresh`]). No buffer is held meanwhile.
    pub fn watch(&mut self, mode: ReadMode) {
        recv::watch(&self.socket, &self.core, mode);
    }

    /// Whether the peer has neither sent anything that was not received yet nor closed nor failed, as far as is known
    /// without asking the kernel: an idle connection of which this does not hold is not to be used again.
    #[must_use]
    pub fn is_fresh(&self) -> bool {
        recv::peek(&self.socket) == (false, None)
    }

    /// Bytes that have come and were not received yet.
    #[must_use]
    pub fn bytes_queued(&self) -> usize {
        recv::bytes_queued(&self.socket)
    }

    /// Ready with the error when the connection has failed (was reset, say); bytes that wait and an orderly end do not
    /// count. Only a receive in flight notices: see [`Stream::watch`].
    pub fn poll_failed(&mut self, cx: &Context<'_>) -> Poll<io::Error> {
        match recv::peek(&self.socket).1 {
            Some(Some(error)) => Poll::Ready(io::Error::from_raw_os_error(error)),
            _ => {
                recv::wait(&self.socket, cx);
                Poll::Pending
            }
        }
    }

    /// Ready when something has changed on an idle socket, which is watched in `mode`: bytes, the end, or a failure.
    pub fn poll_stirred(&mut self, cx: &Context<'_>, mode: ReadMode) -> Poll<()> {
        self.watch(mode);
        if !self.is_fresh() {
            return Poll::Ready(());
        }
        recv::wait(&self.socket, cx);
        Poll::Pending
    }

    /// Ready when no receive is in flight any more; bytes delivered before that are still there to be received. From then
    /// on, and until the next receive, the descriptor may be read by other means.
    pub fn poll_quiet(&mut self, cx: &Context<'_>) -> Poll<()> {
        recv::poll_quiet(&self.socket, &self.core, cx)
    }

    /// Writes bytes. They leave in one send with whatever else is written in this tick; [`Stream::poll_below`] tells whether
    /// more may be written, and of failures.
    pub fn write(&mut self, chunk: Chunk) {
        send::write(&self.socket, &self.core, chunk);
    }

    /// Ready when at most `bytes` of the bytes written are not yet taken by the kernel.
    ///
    /// # Errors
    /// The send's, EPIPE say; from then on always.
    pub fn poll_below(&mut self, cx: &Context<'_>, bytes: usize) -> Poll<io::Result<()>> {
        send::poll_below(&self.socket, cx, bytes)
    }

    /// Waits until the kernel has taken all that was written.
    ///
    /// # Errors
    /// As [`Stream::poll_below`].
    pub async fn flush(&mut self) -> io::Result<()> {
        poll_fn(|cx| self.poll_below(cx, 0)).await
    }

    /// Bytes written that the kernel has not taken yet.
    #[must_use]
    pub fn bytes_waiting(&self) -> usize {
        send::bytes_waiting(&self.socket)
    }

    /// Bytes that the kernel has taken since the connection began, or may have: an upper bound of what the peer has seen.
    #[must_use]
    pub fn bytes_sent(&self) -> u64 {
        send::bytes_sent(&self.socket)
    }

    /// Ends the sending side: the peer reads the end of the stream after all that was written, and in one packet with the last
    /// of it where that has not left yet. Nothing may be written afterwards; [`Stream::poll_below`] tells when it has left.
    pub fn end(&mut self) {
        send::end(&self.socket);
    }

    /// The peer's address; `None` for a Unix socket or if the peer is gone.
    #[must_use]
    pub fn peer(&self) -> Option<SocketAddr> {
        let address = socket2::SockRef::from(&self.descriptor()).peer_addr().ok()?.as_socket()?;
        // An IPv4 client of an IPv6 listener is an IPv4 client.
        Some(SocketAddr::new(address.ip().to_canonical(), address.port()))
    }

    /// Our own address; `None` for a Unix socket.
    #[must_use]
    pub fn local(&self) -> Option<SocketAddr> {
        socket2::SockRef::from(&self.descriptor()).local_addr().ok()?.as_socket()
    }

    /// For system calls that must not block. The ring's operations wait all the same.
    pub(crate) fn make_nonblocking(&self) -> io::Result<()> {
        if !self.socket.nonblocking.replace(true) {
            socket2::SockRef::from(&self.descriptor()).set_nonblocking(true)?;
        }
        Ok(())
    }

    pub(crate) fn wait_ready(&self, cx: &Context<'_>, direction: Direction) {
        ready::wait(&self.socket, &self.core, cx, direction);
    }

    pub(crate) fn descriptor_number(&self) -> RawFd {
        self.socket.descriptor.raw()
    }

    pub(crate) fn count_received(&self, bytes: usize) {
        self.core.counters.bytes_received.add(bytes as u64);
    }

    /// Bytes that were sent past the ring, from another socket, count like others.
    pub(crate) fn count_sent(&self, bytes: usize) {
        self.core.counters.bytes_spliced.add(bytes as u64);
        self.core.counters.bytes_sent.add(bytes as u64);
        send::count(&self.socket, bytes);
    }

    fn descriptor(&self) -> BorrowedFd<'_> {
        self.socket.descriptor.borrow()
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.core.counters.sockets_open.sub(1);
        self.socket.abandon(&self.core);
    }
}

impl std::fmt::Debug for Stream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stream").field("fd", &self.descriptor().as_raw_fd()).finish()
    }
}
