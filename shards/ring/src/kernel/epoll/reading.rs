//! What a place reads: receives, accepts, and the counter of the bell.

use std::os::fd::RawFd;

use super::table::Read;
use super::{Epoll, INPUT_EDGES, STREAM_EDGES, calls, last};
use crate::kernel::{Completion, Key, RecvKind};

/// Buffers that a standing receive fills in one turn: less than makes its reader cancel it.
const RECEIVES_MAX: usize = 4;
/// Connections that one listener accepts in one turn.
const ACCEPTS_MAX: usize = 64;
/// Buffers of one bundled receive.
const BUNDLE_MAX: usize = 16;

impl Epoll {
    pub(super) fn start_read(&mut self, key: Key, fd: RawFd, read: Read) {
        let index = self.table.place(fd);
        let (is_stream, is_listener) = (matches!(read, Read::Recv { .. }), matches!(read, Read::Accept));
        if is_listener && !self.table[index].is_registered {
            self.table[index].is_listener = true;
            if let Err(error) = calls::make_nonblocking(fd) {
                return self.post(key, -error);
            }
        }
        if let Err(error) = self.watch(index, if is_stream { STREAM_EDGES } else { INPUT_EDGES }) {
            return self.post(key, -error);
        }
        debug_assert!(self.table[index].reading.is_none(), "two receives on {fd}");
        self.table[index].reading = Some((key, read));
        self.table.remember(key, index);
        self.advance_reading(index);
    }

    /// Goes on with what reads, for as long as it is this place's turn.
    pub(super) fn advance_reading(&mut self, index: u32) {
        let mut done = 0;
        while let Some((key, read)) = self.table[index].reading
            && self.table[index].readable
        {
            let turn = if read == Read::Accept { ACCEPTS_MAX } else { RECEIVES_MAX };
            if done == turn {
                if !std::mem::replace(&mut self.table[index].is_unfinished, true) {
                    self.unfinished.push_back(index);
                }
                return;
            }
            done += 1;
            let completion = match read {
                Read::Recv { group, kind } => self.receive(index, key, group, kind),
                Read::Accept => self.accept(index, key),
                Read::Counter { value } => self.read_counter(index, key, value),
            };
            let Some(completion) = completion else { return };
            if !completion.more {
                self.table[index].reading = None;
            }
            self.posted.push(completion);
        }
    }

    /// Fills free buffers once. `None` if there was nothing to fill them with.
    fn receive(&mut self, index: u32, key: Key, group: u16, kind: RecvKind) -> Option<Completion> {
        let place = &mut self.table[index];
        let (group, free) = &self.groups[usize::from(group)];
        let Some(first) = free.at(0) else { return Some(last(key, -libc::ENOBUFS)) };
        let count = if kind == RecvKind::Bundle { free.len().min(BUNDLE_MAX) } else { 1 };
        let asked_bytes = count * group.buffer_bytes() as usize;
        let received = if count == 1 {
            // SAFETY: a free buffer is the kernel's to write to, and no chunk is over it.
            unsafe { calls::receive(place.fd, group.address(first).as_ptr(), asked_bytes) }
        } else {
            let run = |buffer| libc::iovec {
                iov_base: group.address(buffer).as_ptr().cast(),
                iov_len: group.buffer_bytes() as usize,
            };
            self.runs.clear();
            self.runs.extend((0..count).filter_map(|ahead| free.at(ahead)).map(run));
            // SAFETY: as above, for each run.
            unsafe { calls::receive_runs(place.fd, &mut self.runs) }
        };
        match received {
            Ok(0) => Some(last(key, 0)),
            Ok(bytes) => {
                place.readable = bytes == asked_bytes || !place.short_means_empty;
                free.take(bytes.div_ceil(group.buffer_bytes() as usize));
                let more = kind == RecvKind::Multishot;
                Some(Completion { key, result: bytes as i32, more, buffer: Some(first) })
            }
            Err(libc::EAGAIN) => {
                place.readable = false;
                None
            }
            Err(error) => Some(last(key, -error)),
        }
    }

    fn accept(&mut self, index: u32, key: Key) -> Option<Completion> {
        let place = &mut self.table[index];
        match calls::accept(place.fd) {
            Ok(fd) => Some(Completion { key, result: fd, more: true, buffer: None }),
            Err(libc::EAGAIN) => {
                place.readable = false;
                None
            }
            // What waits is still there, so that the next attempt needs no edge.
            Err(error) => Some(last(key, -error)),
        }
    }

    fn read_counter(&mut self, index: u32, key: Key, value: *mut u64) -> Option<Completion> {
        let place = &mut self.table[index];
        // Only this reads the counter: after an edge it is above 0, so that reading does not block.
        place.readable = false;
        // SAFETY: the operation owns the eight bytes until its completion (`Kernel::push`).
        let read = unsafe { calls::read_counter(place.fd, value) };
        Some(last(key, read.map_or_else(|error| -error, |bytes| bytes as i32)))
    }
}
