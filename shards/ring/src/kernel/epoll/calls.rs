//! The system calls. An error is its number, positive; none of them blocks, and an interrupted one is made again.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

use crate::kernel::more_flag;

const RECEIVE_FLAGS: libc::c_int = libc::MSG_DONTWAIT;
const SEND_FLAGS: libc::c_int = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;

pub(super) fn epoll() -> io::Result<OwnedFd> {
    // SAFETY: opens a new descriptor, which is checked and owned at once.
    let epoll = unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) };
    if epoll < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: as above.
    Ok(unsafe { OwnedFd::from_raw_fd(epoll) })
}

/// Replaces `events` with those that are there, at most its capacity, after at most this long (negative: for ever).
pub(super) fn wait(epoll: &OwnedFd, events: &mut Vec<libc::epoll_event>, timeout_ms: i32) -> Result<(), i32> {
    events.clear();
    let capacity = i32::try_from(events.capacity()).unwrap_or(i32::MAX);
    // SAFETY: the kernel writes at most `capacity` events to the vector's memory.
    let count = unsafe { libc::epoll_wait(epoll.as_raw_fd(), events.as_mut_ptr(), capacity, timeout_ms) };
    if count < 0 {
        return Err(errno());
    }
    // SAFETY: so many events were written.
    unsafe { events.set_len(count as usize) };
    Ok(())
}

pub(super) fn register(epoll: &OwnedFd, fd: RawFd, edges: i32, name: u64) -> Result<(), i32> {
    let mut event = libc::epoll_event { events: edges as u32, u64: name };
    // SAFETY: the kernel reads the event during the call.
    checked(unsafe { libc::epoll_ctl(epoll.as_raw_fd(), libc::EPOLL_CTL_ADD, fd, &raw mut event) })
}

pub(super) fn forget(epoll: &OwnedFd, fd: RawFd) {
    // SAFETY: no memory is involved. A descriptor that is not registered is no harm.
    unsafe { libc::epoll_ctl(epoll.as_raw_fd(), libc::EPOLL_CTL_DEL, fd, std::ptr::null_mut()) };
}

pub(super) fn close(fd: RawFd) {
    // SAFETY: the caller is told by the descriptor's only owner to close it (`Entry::Close`).
    unsafe { libc::close(fd) };
}

/// What of `events` is ready now; 0 if nothing is.
pub(super) fn poll(fd: RawFd, events: i16) -> Result<i32, i32> {
    let mut asked = libc::pollfd { fd, events, revents: 0 };
    // SAFETY: the kernel reads and writes one structure during the call.
    counted(|| unsafe { libc::poll(&raw mut asked, 1, 0) } as isize)?;
    Ok(asked.revents.into())
}

/// # Safety
/// The `len` bytes from `into` on may be written.
pub(super) unsafe fn receive(fd: RawFd, into: *mut u8, len: usize) -> Result<usize, i32> {
    // SAFETY: the caller's promise.
    counted(|| unsafe { libc::recv(fd, into.cast(), len, RECEIVE_FLAGS) })
}

/// # Safety
/// What `runs` list may be written.
pub(super) unsafe fn receive_runs(fd: RawFd, runs: &mut [libc::iovec]) -> Result<usize, i32> {
    let mut message = message(runs);
    // SAFETY: the caller's promise; header and list live during the call.
    counted(|| unsafe { libc::recvmsg(fd, &raw mut message, RECEIVE_FLAGS) })
}

/// # Safety
/// The `len` bytes from `bytes` on may be read.
pub(super) unsafe fn send(fd: RawFd, bytes: *const u8, len: usize, more: bool) -> Result<usize, i32> {
    // SAFETY: the caller's promise.
    counted(|| unsafe { libc::send(fd, bytes.cast(), len, SEND_FLAGS | more_flag(more)) })
}

/// # Safety
/// What `runs` list may be read.
pub(super) unsafe fn send_runs(fd: RawFd, runs: &mut [libc::iovec], more: bool) -> Result<usize, i32> {
    let message = message(runs);
    // SAFETY: the caller's promise; header and list live during the call.
    counted(|| unsafe { libc::sendmsg(fd, &raw const message, SEND_FLAGS | more_flag(more)) })
}

/// # Safety
/// `value` may be written.
pub(super) unsafe fn read_counter(fd: RawFd, value: *mut u64) -> Result<usize, i32> {
    // SAFETY: the caller's promise.
    counted(|| unsafe { libc::read(fd, value.cast(), size_of::<u64>()) })
}

/// The next connection, in non-blocking mode.
pub(super) fn accept(fd: RawFd) -> Result<RawFd, i32> {
    let none = std::ptr::null_mut();
    let flags = libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
    // SAFETY: no memory is involved: the peer's address is not asked for.
    counted(|| unsafe { libc::accept4(fd, none, none.cast(), flags) } as isize).map(|fd| fd as RawFd)
}

/// # Safety
/// `address` points to `len` bytes of an address.
pub(super) unsafe fn connect(fd: RawFd, address: *const libc::sockaddr, len: libc::socklen_t) -> Result<(), i32> {
    // SAFETY: the caller's promise.
    checked(unsafe { libc::connect(fd, address, len) })
}

/// For calls that cannot be told one by one not to block: connect(2) and accept(2).
pub(super) fn make_nonblocking(fd: RawFd) -> Result<(), i32> {
    let mut yes: libc::c_int = 1;
    // SAFETY: the kernel reads one number during the call.
    checked(unsafe { libc::ioctl(fd, libc::FIONBIO, &raw mut yes) })
}

/// The error that waits on a socket; 0 if none does.
pub(super) fn pending_error(fd: RawFd) -> i32 {
    option(fd, libc::SO_ERROR).unwrap_or_else(|error| error)
}

pub(super) fn is_tcp(fd: RawFd) -> bool {
    option(fd, libc::SO_PROTOCOL) == Ok(libc::IPPROTO_TCP)
}

fn option(fd: RawFd, name: libc::c_int) -> Result<libc::c_int, i32> {
    let mut value: libc::c_int = 0;
    let mut len = size_of::<libc::c_int>() as libc::socklen_t;
    // SAFETY: the kernel writes one number, and its length, during the call.
    checked(unsafe { libc::getsockopt(fd, libc::SOL_SOCKET, name, (&raw mut value).cast(), &raw mut len) })?;
    Ok(value)
}

fn message(runs: &mut [libc::iovec]) -> libc::msghdr {
    // SAFETY: a message header of zeros is valid: null pointers with zero lengths.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_iov = runs.as_mut_ptr();
    message.msg_iovlen = runs.len() as _;
    message
}

fn checked(result: libc::c_int) -> Result<(), i32> {
    if result < 0 { Err(errno()) } else { Ok(()) }
}

/// What a call returned that counts something.
fn counted(mut call: impl FnMut() -> isize) -> Result<usize, i32> {
    loop {
        match usize::try_from(call()) {
            Ok(count) => return Ok(count),
            Err(_) => match errno() {
                libc::EINTR => {}
                error => return Err(error),
            },
        }
    }
}

fn errno() -> i32 {
    io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO)
}
