//! Listening sockets: opening them, and accepting from them.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::path::Path;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use socket2::{Domain, Protocol, SockAddr, SockRef, Socket as RawSocket, Type};

use crate::core::{Core, Descriptor, Operation};
use crate::kernel::{Completion, Entry, Key};
use crate::socket::Stream;
use crate::timer::Timer;

/// How long accepting pauses when descriptors or memory ran out and none is given back meanwhile.
const PAUSE: Duration = Duration::from_millis(100);

/// Opens a TCP socket that listens on `address`. With `share_port`, several sockets may listen on the same address, and
/// the kernel spreads the connections over them (SO_REUSEPORT).
///
/// # Errors
/// The system's: EADDRINUSE, EACCES, EADDRNOTAVAIL.
pub fn listen_tcp(address: SocketAddr, backlog: u32, share_port: bool) -> io::Result<OwnedFd> {
    let socket = bind_tcp(address, share_port)?;
    listen(&socket, backlog)?;
    Ok(socket)
}

/// As [`listen_tcp`], up to and without listening: the kernel gives the socket no connections yet.
///
/// # Errors
/// As there.
pub fn bind_tcp(address: SocketAddr, share_port: bool) -> io::Result<OwnedFd> {
    let socket = RawSocket::new(Domain::for_address(address), Type::STREAM.cloexec(), Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(share_port)?;
    // Accepted sockets inherit it.
    socket.set_tcp_nodelay(true)?;
    socket.bind(&address.into())?;
    Ok(socket.into())
}

/// Has a bound socket listen. One that listens already gets the new backlog.
///
/// # Errors
/// The system's; EADDRINUSE if another socket that does not share the port was faster.
pub fn listen(socket: &OwnedFd, backlog: u32) -> io::Result<()> {
    SockRef::from(socket).listen(backlog.min(i32::MAX.unsigned_abs()) as i32)
}

/// From now on new connections to the address of `socket` go to the first `count` of the sockets that share it
/// (SO_REUSEPORT), in the order in which they began to listen. Those that wait in the others stay there. So a socket can be
/// taken out of use without a loss: closing one resets what waits in it.
///
/// # Errors
/// The system's.
pub fn steer(socket: &OwnedFd, count: u32) -> io::Result<()> {
    // A classic filter's number is the socket's (socket(7), SO_ATTACH_REUSEPORT_CBPF). Any socket will do, and chance spreads
    // them best: a connection is looked up by its addresses once it exists.
    let step = |code: u32, k: u32| libc::sock_filter { code: code as u16, jt: 0, jf: 0, k };
    let random = (libc::SKF_AD_OFF + libc::SKF_AD_RANDOM) as u32;
    let mut filter = [
        step(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, random),
        step(libc::BPF_ALU | libc::BPF_MOD | libc::BPF_K, count.max(1)),
        step(libc::BPF_RET | libc::BPF_A, 0),
    ];
    let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_mut_ptr() };
    // SAFETY: the kernel copies the program, which lives until the call returns, and its length is told.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_ATTACH_REUSEPORT_CBPF,
            (&raw const program).cast(),
            size_of_val(&program) as libc::socklen_t,
        )
    };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Opens a Unix socket that listens at `path`. A socket file at which nobody listens any more is replaced.
///
/// # Errors
/// The system's; EADDRINUSE if somebody listens there or the path is another kind of file.
pub fn listen_unix(path: &Path, backlog: u32) -> io::Result<OwnedFd> {
    let address = SockAddr::unix(path)?;
    let socket = RawSocket::new(Domain::UNIX, Type::STREAM.cloexec(), None)?;
    if let Err(error) = socket.bind(&address) {
        if error.kind() != io::ErrorKind::AddrInUse || !is_stale(&address)? {
            return Err(error);
        }
        std::fs::remove_file(path)?;
        socket.bind(&address)?;
    }
    socket.listen(backlog.min(i32::MAX.unsigned_abs()) as i32)?;
    Ok(socket.into())
}

/// Errors of an accept after which the next one may well succeed: a cancellation of ours, or something that befell one
/// connection before it was accepted (accept(2) lists the network's).
fn passes(error: i32) -> bool {
    let network = [
        libc::ENETDOWN,
        libc::EPROTO,
        libc::ENOPROTOOPT,
        libc::EHOSTDOWN,
        libc::ENONET,
        libc::EHOSTUNREACH,
        libc::ENETUNREACH,
    ];
    matches!(error, libc::ECANCELED | libc::EINTR | libc::ECONNABORTED) || network.contains(&error)
}

fn is_stale(address: &SockAddr) -> io::Result<bool> {
    let probe = RawSocket::new(Domain::UNIX, Type::STREAM.cloexec(), None)?;
    Ok(matches!(probe.connect(address), Err(error) if error.kind() == io::ErrorKind::ConnectionRefused))
}

/// A listening socket of this shard.
pub struct Listener {
    accepting: Rc<Accepting>,
    core: Rc<Core>,
    pause: Timer,
    /// The shard's count of closed descriptors when accepting paused, while it is paused.
    paused_at: Option<u64>,
}

/// The part of a listener that its operation owns.
pub(crate) struct Accepting {
    descriptor: Descriptor,
    inner: RefCell<Inner>,
}

#[derive(Default)]
struct Inner {
    in_flight: Option<Key>,
    cancelling: bool,
    accepted: VecDeque<Result<Descriptor, i32>>,
    waker: Option<Waker>,
}

impl Listener {
    /// Connections that may wait to be taken by [`Listener::poll_accept`] while the kernel goes on accepting.
    const QUEUE_MAX: usize = 256;

    /// Takes over a listening socket, which must be in blocking mode.
    #[must_use]
    pub fn from_descriptor(fd: OwnedFd) -> Listener {
        let accepting = Rc::new(Accepting { descriptor: Descriptor::new(fd), inner: RefCell::default() });
        Listener { accepting, core: Core::current(), pause: Timer::new(), paused_at: None }
    }

    /// The next connection.
    ///
    /// # Errors
    /// EMFILE, ENFILE, ENOMEM or ENOBUFS when descriptors or memory have run out; EINVAL and others when the socket does
    /// not listen. The next call then waits until a descriptor of this shard was closed, or a tenth of a second, so that a
    /// loop over this neither spins nor stalls. Failures of a single connection before it was accepted (ECONNABORTED) are
    /// passed over.
    pub async fn accept(&mut self) -> io::Result<Stream> {
        poll_fn(|cx| self.poll_accept(cx)).await
    }

    /// As [`Listener::accept`].
    ///
    /// # Errors
    /// As there.
    pub fn poll_accept(&mut self, cx: &Context<'_>) -> Poll<io::Result<Stream>> {
        if let Some(closed) = self.paused_at {
            if closed == self.core.descriptors_closed() && self.pause.poll(cx).is_pending() {
                self.core.wait_for_descriptor(cx.waker());
                return Poll::Pending;
            }
            self.paused_at = None;
        }
        let mut inner = self.accepting.inner.borrow_mut();
        while let Some(accepted) = inner.accepted.pop_front() {
            match accepted {
                Ok(descriptor) => return Poll::Ready(Ok(Stream::from_descriptor(descriptor.into_owned()))),
                Err(error) if passes(error) || !inner.accepted.is_empty() => {}
                Err(error) => {
                    drop(inner);
                    self.pause();
                    return Poll::Ready(Err(io::Error::from_raw_os_error(error)));
                }
            }
        }
        if inner.in_flight.is_none() {
            let entry = Entry::Accept { fd: self.accepting.descriptor.raw() };
            inner.in_flight = Some(self.core.start(Operation::Accept(Rc::clone(&self.accepting)), entry));
        }
        inner.waker = Some(cx.waker().clone());
        Poll::Pending
    }

    /// Ends the standing accept, so that new connections wait in the kernel's queue, for this or for another process.
    /// Those that were accepted already can still be taken. The next [`Listener::poll_accept`] that finds none starts again.
    pub fn stop(&mut self) {
        self.accepting.cancel(&self.core);
    }

    /// After [`Listener::stop`]: the next connection that was accepted before the stop took effect, and `None` when there is
    /// none left and none to come.
    pub fn poll_rest(&mut self, cx: &Context<'_>) -> Poll<Option<io::Result<Stream>>> {
        let mut inner = self.accepting.inner.borrow_mut();
        while let Some(accepted) = inner.accepted.pop_front() {
            if let Ok(descriptor) = accepted {
                return Poll::Ready(Some(Ok(Stream::from_descriptor(descriptor.into_owned()))));
            }
        }
        if inner.in_flight.is_none() {
            return Poll::Ready(None);
        }
        inner.waker = Some(cx.waker().clone());
        Poll::Pending
    }

    fn pause(&mut self) {
        self.core.counters.accept_pauses.add(1);
        self.paused_at = Some(self.core.descriptors_closed());
        self.pause.set(Core::now() + PAUSE);
    }

    /// The socket's address; `None` for a Unix socket.
    #[must_use]
    pub fn local(&self) -> Option<SocketAddr> {
        // SAFETY: the descriptor is open for as long as `self.accepting` is held.
        let fd = unsafe { std::os::fd::BorrowedFd::borrow_raw(self.accepting.descriptor.raw()) };
        SockRef::from(&fd).local_addr().ok()?.as_socket()
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.accepting.cancel(&self.core);
    }
}

impl std::fmt::Debug for Listener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Listener").field("fd", &self.accepting.descriptor).finish_non_exhaustive()
    }
}

impl Accepting {
    pub(crate) fn accepted(self: Rc<Self>, completion: &Completion) {
        let mut inner = self.inner.borrow_mut();
        if !completion.more {
            inner.in_flight = None;
            inner.cancelling = false;
        }
        inner.accepted.push_back(if completion.result >= 0 {
            // SAFETY: the kernel has just opened this descriptor for us, and nobody else knows it.
            Ok(Descriptor::new(unsafe { OwnedFd::from_raw_fd(completion.result) }))
        } else {
            Err(-completion.result)
        });
        if inner.accepted.len() >= Listener::QUEUE_MAX {
            drop(inner);
            self.cancel(&Core::current());
            inner = self.inner.borrow_mut();
        }
        if let Some(waker) = inner.waker.take() {
            waker.wake();
        }
    }

    fn cancel(&self, core: &Core) {
        let mut inner = self.inner.borrow_mut();
        if let Some(key) = inner.in_flight
            && !inner.cancelling
        {
            inner.cancelling = true;
            core.cancel(key);
        }
    }
}
