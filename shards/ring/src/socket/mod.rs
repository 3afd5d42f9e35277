//! A connected stream socket, from the side of its operations.
//!
//! [`Socket`] is shared by the handle that the user holds ([`crate::Stream`]) and by the operations in flight. Its
//! descriptor is closed when the last of them is gone: thus exactly once, and never under an operation. Receiving
//! ([`recv`]) and sending ([`send`]) are two state machines that share nothing but the descriptor. [`ready`] is for whoever
//! moves bytes by other means.

pub(crate) mod batch;
mod ready;
mod recv;
mod send;
mod stream;

use std::cell::{Cell, RefCell};
use std::rc::Rc;

pub(crate) use ready::Direction;
pub use recv::ReadMode;
pub use stream::Stream;

use crate::buffers::Group;
use crate::core::{Core, Descriptor};
use crate::kernel::Completion;

/// The part of a connected socket that operations own.
pub(crate) struct Socket {
    descriptor: Descriptor,
    recv: RefCell<recv::Recv>,
    send: RefCell<send::Send>,
    /// Waits for readiness, of reading and of writing; only sockets that were spliced have any.
    ready: RefCell<Option<Box<[ready::Wait; 2]>>>,
    nonblocking: Cell<bool>,
}

impl Socket {
    pub(crate) fn new(descriptor: Descriptor) -> Rc<Socket> {
        Rc::new(Socket {
            descriptor,
            recv: RefCell::default(),
            send: RefCell::default(),
            ready: RefCell::default(),
            nonblocking: Cell::new(false),
        })
    }

    /// A receive has completed.
    pub(crate) fn received(self: Rc<Self>, core: &Rc<Core>, completion: &Completion) {
        recv::received(&self, core, completion);
    }

    /// A send has completed.
    pub(crate) fn sent(self: Rc<Self>, core: &Rc<Core>, result: i32) {
        send::sent(&self, core, result);
    }

    /// A wait for readiness is over.
    pub(crate) fn ready(self: Rc<Self>, direction: Direction) {
        ready::ready(&self, direction);
    }

    /// Hands what was written over to the kernel.
    pub(crate) fn flush(self: Rc<Self>, core: &Rc<Core>) {
        send::flush(&self, core);
    }

    /// A buffer of `group` is free again. Returns whether it was waited for.
    pub(crate) fn fed(self: Rc<Self>, core: &Rc<Core>, group: &Group) -> bool {
        recv::fed(&self, core, group)
    }

    /// The user's handle is gone: what is in flight is cancelled, and the descriptor is closed when it has ended.
    fn abandon(self: &Rc<Self>, core: &Rc<Core>) {
        recv::abandon(self, core);
        send::abandon(self, core);
        ready::abandon(self, core);
    }
}
