//! Sending: what is written in one tick leaves in one send.
//!
//! Writing puts chunks into the pending batch and marks the socket dirty; at the tick's end the batch goes to the kernel,
//! unless one is in flight already: then it goes when that has completed. A batch belongs to its operation until the last
//! completion, whatever becomes of the socket's user.

use std::io;
use std::net::Shutdown;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use super::Socket;
use super::batch::Batch;
use crate::buffers::Chunk;
use crate::core::{Core, Operation};
use crate::kernel::Key;

/// The sending side of a socket.
#[derive(Default)]
pub(crate) struct Send {
    pending: Option<Box<Batch>>,
    in_flight: Option<(Key, Box<Batch>)>,
    /// Bytes written that the kernel has not taken yet.
    bytes: usize,
    /// Bytes that the kernel has taken since the connection began.
    bytes_sent: u64,
    marked: bool,
    /// Nothing follows what was written.
    ends: bool,
    error: Option<i32>,
    waker: Option<Waker>,
}

/// Writes `chunk`; it leaves at the tick's end. After a failure it is dropped: [`poll_below`] tells.
pub(super) fn write(socket: &Rc<Socket>, core: &Rc<Core>, chunk: Chunk) {
    let mut send = socket.send.borrow_mut();
    if send.error.is_some() || chunk.is_empty() {
        return;
    }
    debug_assert!(!send.ends, "written behind the end");
    send.bytes += chunk.len();
    send.pending.get_or_insert_with(|| core.take_batch()).push(chunk);
    if !send.marked {
        send.marked = true;
        core.mark_dirty(Rc::clone(socket));
    }
}

/// Ready when at most `bytes` bytes wait to be taken by the kernel.
pub(super) fn poll_below(socket: &Rc<Socket>, cx: &Context<'_>, bytes: usize) -> Poll<io::Result<()>> {
    let mut send = socket.send.borrow_mut();
    if let Some(error) = send.error {
        return Poll::Ready(Err(io::Error::from_raw_os_error(error)));
    }
    if send.bytes <= bytes {
        return Poll::Ready(Ok(()));
    }
    if !send.waker.as_ref().is_some_and(|known| known.will_wake(cx.waker())) {
        send.waker = Some(cx.waker().clone());
    }
    Poll::Pending
}

/// Ends the sending side after what was written, and together with it where that is still to be handed over.
pub(super) fn end(socket: &Rc<Socket>) {
    let mut send = socket.send.borrow_mut();
    if !std::mem::replace(&mut send.ends, true) && send.bytes == 0 {
        shut(socket);
    }
}

/// Bytes written that the kernel has not taken.
pub(super) fn bytes_waiting(socket: &Rc<Socket>) -> usize {
    socket.send.borrow().bytes
}

/// Bytes that the kernel has taken since the connection began, or may have: what is in flight counts until it has failed.
pub(super) fn bytes_sent(socket: &Rc<Socket>) -> u64 {
    let send = socket.send.borrow();
    let in_flight = send.in_flight.as_ref().map_or(0, |(_, batch)| batch.bytes());
    send.bytes_sent + in_flight as u64
}

/// Takes note of bytes that were sent by other means.
pub(super) fn count(socket: &Rc<Socket>, bytes: usize) {
    socket.send.borrow_mut().bytes_sent += bytes as u64;
}

pub(super) fn flush(socket: &Rc<Socket>, core: &Rc<Core>) {
    let mut send = socket.send.borrow_mut();
    send.marked = false;
    if send.in_flight.is_none() {
        start(&mut send, socket, core);
    } else if let Some(pending) = &mut send.pending {
        // It has to wait for the one in flight.
        core.counters.bytes_copied_out.add(pending.settle() as u64);
    }
}

pub(super) fn sent(socket: &Rc<Socket>, core: &Rc<Core>, result: i32) {
    let mut send = socket.send.borrow_mut();
    let (_, mut batch) = send.in_flight.take().expect("a send completes only while it is in flight");
    match usize::try_from(result) {
        Ok(sent) => {
            core.counters.bytes_sent.add(sent as u64);
            batch.advance(sent);
            send.bytes -= sent;
            send.bytes_sent += sent as u64;
            if batch.bytes() > 0 {
                resume(&mut send, socket, core, batch);
            } else {
                core.give_batch_back(batch);
                start(&mut send, socket, core);
                if send.ends && send.bytes == 0 {
                    shut(socket);
                }
            }
        }
        Err(_) if matches!(-result, libc::EINTR | libc::EAGAIN) => resume(&mut send, socket, core, batch),
        Err(_) => {
            core.give_batch_back(batch);
            if let Some(pending) = send.pending.take() {
                core.give_batch_back(pending);
            }
            send.bytes = 0;
            send.error = Some(-result);
        }
    }
    if let Some(waker) = send.waker.take() {
        waker.wake();
    }
}

/// Cancels what is in flight and forgets what is not.
pub(super) fn abandon(socket: &Rc<Socket>, core: &Rc<Core>) {
    let mut send = socket.send.borrow_mut();
    send.waker = None;
    if let Some(pending) = send.pending.take() {
        core.give_batch_back(pending);
    }
    // Whatever the operation in flight leaves over is not sent again.
    send.error.get_or_insert(libc::ECANCELED);
    if let Some((key, _)) = &send.in_flight {
        core.cancel(*key);
    }
}

fn start(send: &mut Send, socket: &Rc<Socket>, core: &Rc<Core>) {
    if let Some(batch) = send.pending.take() {
        resume(send, socket, core, batch);
    }
}

fn resume(send: &mut Send, socket: &Rc<Socket>, core: &Rc<Core>, mut batch: Box<Batch>) {
    if send.error.is_some() {
        send.bytes = 0;
        return core.give_batch_back(batch);
    }
    core.counters.bytes_copied_out.add(batch.settle() as u64);
    // The operation owns the socket, and the socket keeps the batch in `in_flight` until the completion. It is put there
    // before the kernel's pointers into it are made: moving a box ends the right of earlier pointers to what is in it.
    let (in_flight, batch) = send.in_flight.insert((Key::NOBODY, batch));
    // What ends leaves in one packet with the end, which costs nobody another.
    let entry = batch.entry(socket.descriptor.raw(), send.ends);
    *in_flight = core.start(Operation::Send(Rc::clone(socket)), entry);
}

/// Has the peer read the end of the stream. One that is gone already needs not be told.
fn shut(socket: &Socket) {
    let _ = socket2::SockRef::from(&socket.descriptor.borrow()).shutdown(Shutdown::Write);
}
