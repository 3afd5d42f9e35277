//! Opening connections.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use socket2::{Domain, Protocol, SockAddr, Socket as RawSocket, Type};

use crate::Instant;
use crate::core::{Core, Descriptor, Operation};
use crate::kernel::{Entry, Key};
use crate::socket::Stream;
use crate::timer::Timer;

/// Opens a TCP connection, with TCP_NODELAY.
///
/// # Errors
/// The system's (ECONNREFUSED, ENETUNREACH, EMFILE), or [`io::ErrorKind::TimedOut`] after `timeout`.
pub async fn connect_tcp(address: SocketAddr, timeout: Duration) -> io::Result<Stream> {
    let socket = RawSocket::new(Domain::for_address(address), Type::STREAM.cloexec(), Some(Protocol::TCP))?;
    socket.set_tcp_nodelay(true)?;
    connect(socket, address.into(), timeout).await
}

/// Opens a connection to the Unix socket at `path`.
///
/// # Errors
/// As [`connect_tcp`]; ENOENT if there is none.
pub async fn connect_unix(path: &Path, timeout: Duration) -> io::Result<Stream> {
    let socket = RawSocket::new(Domain::UNIX, Type::STREAM.cloexec(), None)?;
    connect(socket, SockAddr::unix(path)?, timeout).await
}

async fn connect(socket: RawSocket, address: SockAddr, timeout: Duration) -> io::Result<Stream> {
    let core = Core::current();
    let deadline = Core::now() + timeout;
    let connecting = Rc::new(Connecting {
        address,
        descriptor: Descriptor::new(socket.into()),
        state: RefCell::new(State { result: None, waker: None }),
    });
    let entry = Entry::Connect {
        fd: connecting.descriptor.raw(),
        address: connecting.address.as_ptr().cast(),
        len: connecting.address.len(),
    };
    let key = core.start(Operation::Connect(Rc::clone(&connecting)), entry);
    let mut attempt = Attempt { connecting: Some(connecting), core, key, deadline, timer: Timer::new() };
    poll_fn(|cx| attempt.poll(cx)).await
}

/// The part of an attempt that its operation owns.
pub(crate) struct Connecting {
    /// What the kernel reads the address from.
    address: SockAddr,
    descriptor: Descriptor,
    state: RefCell<State>,
}

struct State {
    result: Option<i32>,
    waker: Option<Waker>,
}

impl Connecting {
    pub(crate) fn connected(self: Rc<Self>, result: i32) {
        let mut state = self.state.borrow_mut();
        state.result = Some(result);
        if let Some(waker) = state.waker.take() {
            waker.wake();
        }
    }
}

struct Attempt {
    connecting: Option<Rc<Connecting>>,
    core: Rc<Core>,
    key: Key,
    deadline: Instant,
    timer: Timer,
}

impl Attempt {
    fn poll(&mut self, cx: &Context<'_>) -> Poll<io::Result<Stream>> {
        let connecting = self.connecting.take().expect("an attempt is not polled after its end");
        let result = connecting.state.borrow().result;
        match result {
            Some(0) => {
                let connecting = Rc::into_inner(connecting).expect("the operation has ended and let go");
                Poll::Ready(Ok(Stream::from_descriptor(connecting.descriptor.into_owned())))
            }
            Some(error) => Poll::Ready(Err(io::Error::from_raw_os_error(-error))),
            None => {
                self.timer.set(self.deadline);
                if self.timer.poll(cx).is_ready() {
                    self.core.cancel(self.key);
                    return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
                }
                connecting.state.borrow_mut().waker = Some(cx.waker().clone());
                self.connecting = Some(connecting);
                Poll::Pending
            }
        }
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        if let Some(connecting) = &self.connecting
            && connecting.state.borrow().result.is_none()
        {
            self.core.cancel(self.key);
        }
    }
}
