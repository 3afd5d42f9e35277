//! What a place writes: sends, and connects.

use std::os::fd::RawFd;

use super::table::Write;
use super::{CROWDED_RETRY, Epoll, STREAM_EDGES, calls};
use crate::Instant;
use crate::kernel::Key;

/// A send that got so far is told as a short one, so that its bytes can be counted in a completion.
const SENT_MAX: usize = 1 << 30;

impl Epoll {
    pub(super) fn start_write(&mut self, key: Key, fd: RawFd, write: Write) {
        let index = self.table.place(fd);
        debug_assert!(self.table[index].writing.is_none(), "two sends on {fd}");
        self.table[index].writing = Some((key, write));
        self.table.remember(key, index);
        self.advance_writing(index);
    }

    /// Goes on with what writes until it is whole, has failed, or has to wait.
    pub(super) fn advance_writing(&mut self, index: u32) {
        while let Some((key, write)) = self.table[index].writing
            && self.table[index].writable
        {
            let result = match write {
                Write::Run { bytes, len, sent, more } => self.send(index, write, len, sent, |fd| {
                    // SAFETY: the operation owns the bytes until its completion (`Kernel::push`), and fewer are sent.
                    unsafe { calls::send(fd, bytes.add(sent), (len - sent).min(SENT_MAX), more) }
                }),
                Write::Message { message, sent, more } => {
                    // SAFETY: as above, the header and the runs that it lists.
                    let whole = unsafe { std::slice::from_raw_parts((*message).msg_iov, (*message).msg_iovlen) };
                    let len = whole.iter().map(|run| run.iov_len).sum();
                    let mut runs = std::mem::take(&mut self.runs);
                    let result = self.send(index, write, len, sent, |fd| {
                        list_rest(whole, sent, &mut runs);
                        // SAFETY: as above; what is listed lies within these runs.
                        unsafe { calls::send_runs(fd, &mut runs, more) }
                    });
                    self.runs = runs;
                    result
                }
                Write::Connect { address, len, started } => self.connect(index, key, address, len, started),
            };
            if let Some(result) = result {
                self.table[index].writing = None;
                self.post(key, result);
            }
        }
    }

    /// Sends once, by `call`. `None` if it is to go on: at once if the place is still writable.
    fn send(
        &mut self,
        index: u32,
        write: Write,
        len: usize,
        sent: usize,
        call: impl FnOnce(RawFd) -> Result<usize, i32>,
    ) -> Option<i32> {
        let error = match call(self.table[index].fd) {
            Ok(bytes) if sent + bytes >= len.min(SENT_MAX) => return Some((sent + bytes) as i32),
            Ok(bytes) => {
                let place = &mut self.table[index];
                place.writable = !place.short_means_empty;
                if let Some((_, waiting)) = &mut place.writing {
                    *waiting = write.after(bytes);
                }
                return None;
            }
            Err(libc::EAGAIN) => match self.wait_for_room(index) {
                Ok(()) => return None,
                Err(error) => error,
            },
            Err(error) => error,
        };
        // What was sent before the failure is told first; whoever sends the rest hears of the failure then.
        Some(if sent > 0 { sent as i32 } else { -error })
    }

    fn wait_for_room(&mut self, index: u32) -> Result<(), i32> {
        self.table[index].writable = false;
        self.watch(index, STREAM_EDGES)
    }

    /// Begins to connect, or learns what came of it. `None` if that is not known yet.
    fn connect(
        &mut self,
        index: u32,
        key: Key,
        address: *const libc::sockaddr,
        len: libc::socklen_t,
        started: bool,
    ) -> Option<i32> {
        let fd = self.table[index].fd;
        if started {
            return Some(-calls::pending_error(fd));
        }
        let begun = calls::make_nonblocking(fd).and_then(|()| {
            // SAFETY: the operation owns the address until its completion (`Kernel::push`).
            unsafe { calls::connect(fd, address, len) }
        });
        match begun {
            Ok(()) => Some(0),
            Err(libc::EINPROGRESS | libc::EINTR) => {
                self.table[index].writing = Some((key, Write::Connect { address, len, started: true }));
                self.wait_for_room(index).err().map(|error| -error)
            }
            // A Unix socket's backlog is full.
            Err(libc::EAGAIN) => {
                self.table[index].writable = false;
                self.crowded.push(index);
                self.crowded_tried = Instant::now();
                None
            }
            Err(error) => Some(-error),
        }
    }

    pub(super) fn retry_crowded(&mut self) {
        if self.crowded.is_empty() || self.crowded_tried.elapsed() < CROWDED_RETRY {
            return;
        }
        for index in std::mem::take(&mut self.crowded) {
            // By now the attempt may have been given up, and the place be another's.
            if let Some((_, Write::Connect { started: false, .. })) = self.table[index].writing {
                self.table[index].writable = true;
                self.advance_writing(index);
            }
        }
    }
}

/// Lists what is left of `whole` after its first `sent` bytes.
fn list_rest(whole: &[libc::iovec], mut sent: usize, rest: &mut Vec<libc::iovec>) {
    rest.clear();
    for run in whole {
        let skipped = sent.min(run.iov_len);
        sent -= skipped;
        if skipped < run.iov_len {
            let iov_base = run.iov_base.cast::<u8>().wrapping_add(skipped).cast();
            rest.push(libc::iovec { iov_base, iov_len: run.iov_len - skipped });
        }
    }
}
