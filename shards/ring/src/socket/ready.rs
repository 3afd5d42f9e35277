//! Waiting until a socket can be read or written by other means than the ring's own operations.

use std::rc::Rc;
use std::task::{Context, Waker};

use super::Socket;
use crate::core::{Core, Operation};
use crate::kernel::{Entry, Key};

/// Which side of a socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    Read,
    Write,
}

/// One side's wait.
#[derive(Default)]
pub(crate) struct Wait {
    in_flight: Option<Key>,
    waker: Option<Waker>,
}

/// Has the task woken when the socket is ready, has ended, or has failed. To be asked after an attempt found that it was not.
pub(crate) fn wait(socket: &Rc<Socket>, core: &Rc<Core>, cx: &Context<'_>, direction: Direction) {
    let mut waits = socket.ready.borrow_mut();
    let wait = &mut waits.get_or_insert_default()[direction as usize];
    wait.waker = Some(cx.waker().clone());
    if wait.in_flight.is_none() {
        let events = match direction {
            Direction::Read => libc::POLLIN | libc::POLLRDHUP,
            Direction::Write => libc::POLLOUT,
        };
        let entry = Entry::Poll { fd: socket.descriptor.raw(), events: events.unsigned_abs().into() };
        wait.in_flight = Some(core.start(Operation::Ready(Rc::clone(socket), direction), entry));
    }
}

/// The wait is over; whoever tries next finds out how.
pub(super) fn ready(socket: &Rc<Socket>, direction: Direction) {
    let mut waits = socket.ready.borrow_mut();
    let wait = &mut waits.get_or_insert_default()[direction as usize];
    wait.in_flight = None;
    if let Some(waker) = wait.waker.take() {
        waker.wake();
    }
}

pub(super) fn abandon(socket: &Rc<Socket>, core: &Rc<Core>) {
    for wait in socket.ready.borrow_mut().iter_mut().flat_map(|waits| waits.iter_mut()) {
        wait.waker = None;
        if let Some(key) = wait.in_flight {
            core.cancel(key);
        }
    }
}
