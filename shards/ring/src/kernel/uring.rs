//! io_uring, set up as measured: SINGLE_ISSUER and DEFER_TASKRUN (without either this or COOP_TASKRUN a request costs a
//! fifth to two fifths more), and never a wait for more than one completion (which would hang pipelined peers).

use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use io_uring::types::{BufRingEntry, CancelBuilder, Fd, Timespec};
use io_uring::{IoUring, cqueue, opcode, squeue};

use super::{Backend, Completion, Entry, Features, Key, RecvKind, StartError, Wait, more_flag};
use crate::Instant;
use crate::buffers::{Group, Mapping};
use crate::counters::Counters;

/// Most bytes of one bundled receive.
const BUNDLE_BYTES_MAX: u32 = 256 << 10;
/// `IORING_RECVSEND_BUNDLE` of linux/io_uring.h, which the binding sets only without a length.
const RECVSEND_BUNDLE: u16 = 1 << 4;

/// A ring and the buffer rings registered with it.
pub(crate) struct Uring {
    ring: IoUring,
    counters: Arc<Counters>,
    features: Features,
    /// When the alarms in flight ring, the earliest last. An alarm is set only if none rings sooner, so this is a stack.
    alarms: Vec<Instant>,
    /// What the kernel reads when an alarm is handed over; boxed, so that it stays in its place.
    timespec: Box<Timespec>,
    groups: Vec<(Rc<Group>, Mapping)>,
}

impl std::fmt::Debug for Uring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Uring").field("fd", &self.descriptor()).field("features", &self.features).finish()
    }
}

impl Uring {
    /// Sets up a ring of the calling thread, which alone may use it.
    pub(crate) fn new(sq_entries: u32, cq_entries: u32, counters: Arc<Counters>) -> Result<Uring, StartError> {
        let ring = IoUring::builder()
            .setup_single_issuer()
            .setup_defer_taskrun()
            // Tells when work is deferred, so that an entry which does not wait runs it as well: else a shard that is never
            // idle would never hear of its completions.
            .setup_taskrun_flag()
            .setup_submit_all()
            .setup_cqsize(cq_entries)
            .build(sq_entries)
            .map_err(|error| match error.raw_os_error() {
                Some(libc::EPERM | libc::EACCES | libc::ENOSYS) => StartError::Refused(error),
                Some(libc::EINVAL) => StartError::TooOld(error),
                _ => StartError::Failed(error),
            })?;
        let params = ring.params();
        if !params.is_feature_nodrop() || !params.is_feature_submit_stable() {
            return Err(StartError::TooOld(io::ErrorKind::Unsupported.into()));
        }
        let features = Features { backend: Backend::IoUring, bundles: params.is_feature_recvsend_bundle() };
        Ok(Uring { ring, counters, features, alarms: Vec::new(), timespec: Box::default(), groups: Vec::new() })
    }

    pub(crate) fn features(&self) -> Features {
        self.features
    }

    pub(crate) fn descriptor(&self) -> RawFd {
        self.ring.as_raw_fd()
    }

    /// See [`super::Kernel::push`].
    ///
    /// # Safety
    /// As there.
    pub(crate) unsafe fn push(&mut self, key: Key, entry: Entry) {
        let entry = translate(entry).user_data(key.to_bits());
        // SAFETY: the caller keeps what the entry points to until its last completion.
        unsafe { self.push_raw(&entry) }
    }

    /// # Safety
    /// As [`super::Kernel::push`].
    unsafe fn push_raw(&mut self, entry: &squeue::Entry) {
        // SAFETY: passed on from the caller.
        while unsafe { self.ring.submission().push(entry) }.is_err() {
            // The queue is full: hand it over now. A failure here other than an interruption or a full completion queue
            // (which the next reap empties; the kernel keeps what overflows) is a mistake of ours.
            self.counters.enters.add(1);
            match self.ring.submit() {
                Ok(_) => {}
                Err(error) if is_passing(&error) => {}
                Err(error) => panic!("io_uring_enter failed while its queue was full: {error}"),
            }
        }
        self.counters.entries.add(1);
    }

    pub(crate) fn enter(&mut self, wait: Wait) -> io::Result<()> {
        if let Wait::Until(instant) = wait {
            self.set_alarm(instant);
        }
        let want = usize::from(wait != Wait::No);
        self.counters.enters.add(1);
        match self.ring.submit_and_wait(want) {
            Ok(_) => Ok(()),
            Err(error) if is_passing(&error) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// One timeout operation of the kernel serves all timers of the shard. It is set only when no earlier one is in
    /// flight, so that in a busy shard, whose deadlines move further away with every request, it costs nothing. An alarm
    /// that rings for a deadline which has moved since wakes the shard once, for nothing.
    fn set_alarm(&mut self, instant: Instant) {
        if self.alarms.last().is_some_and(|earliest| *earliest <= instant) {
            return;
        }
        self.alarms.push(instant);
        let left = instant.saturating_duration_since(Instant::now()).max(Duration::from_micros(1));
        *self.timespec = Timespec::from(left);
        let entry = opcode::Timeout::new(&raw const *self.timespec).build().user_data(Key::ALARM.to_bits());
        // SAFETY: the kernel copies the timespec when the entry is handed over; the box keeps its place until then, and a
        // later alarm, which would overwrite it, is set only after that.
        unsafe { self.push_raw(&entry) };
    }

    pub(crate) fn reap(&mut self, into: &mut Vec<Completion>) {
        if self.ring.submission().cq_overflow() {
            self.counters.overflows.add(1);
        }
        let mut queue = self.ring.completion();
        for cqe in &mut queue {
            let key = Key::from_bits(cqe.user_data());
            if key == Key::ALARM {
                let now = Instant::now();
                self.alarms.retain(|instant| *instant > now);
                continue;
            }
            // A mistake of ours, whoever waits for this operation and whether anybody does.
            debug_assert_ne!(cqe.result(), -libc::EFAULT, "an operation means memory that is gone");
            let flags = cqe.flags();
            into.push(Completion {
                key,
                result: cqe.result(),
                more: cqueue::more(flags),
                buffer: cqueue::buffer_select(flags),
            });
        }
        self.counters.completions.add(into.len() as u64);
    }

    pub(crate) fn register(&mut self, group: &Rc<Group>) -> io::Result<()> {
        let entries = group.count();
        let mapping = Mapping::new(usize::from(entries) * size_of::<BufRingEntry>())?;
        let base = mapping.base().as_ptr().cast::<BufRingEntry>();
        // SAFETY: the mapping is page-aligned, large enough for `entries` entries, and kept in `self.groups` for as long
        // as the ring lives (fields drop in order: `ring` first).
        unsafe { self.ring.submitter().register_buf_ring_with_flags(base as u64, entries, group.id(), 0)? };
        group.attach(Box::new(BufferRing { base, mask: entries - 1 }));
        self.groups.push((Rc::clone(group), mapping));
        Ok(())
    }
}

impl Drop for Uring {
    fn drop(&mut self) {
        for (group, _) in &self.groups {
            group.detach();
        }
    }
}

/// Errors that pass by themselves: a signal, a full completion queue (the caller reaps next), a lack of memory that the
/// kernel reports before it has taken anything over.
fn is_passing(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EINTR | libc::EBUSY | libc::EAGAIN | libc::ETIME))
}

/// The ring of free buffers that is shared with the kernel.
struct BufferRing {
    base: *mut BufRingEntry,
    mask: u16,
}

impl crate::buffers::FreeList for BufferRing {
    fn provide(&self, position: u16, buffer: u16, address: *mut u8, len: u32) {
        // SAFETY: the position is masked into the ring, whose mapping outlives `self` (see `Uring::register`); the kernel
        // reads the entry only after the tail below has passed it.
        let entry = unsafe { &mut *self.base.add(usize::from(position & self.mask)) };
        entry.set_addr(address as u64);
        entry.set_len(len);
        entry.set_bid(buffer);
        // SAFETY: the tail overlays the first entry of the mapping; the kernel only reads it. Release pairs with the
        // kernel's acquire, so that it sees the entry before the tail.
        unsafe {
            let tail = BufRingEntry::tail(self.base).cast::<AtomicU16>();
            (*tail).store(position.wrapping_add(1), Ordering::Release);
        }
    }
}

fn translate(entry: Entry) -> squeue::Entry {
    match entry {
        Entry::Accept { fd } => opcode::AcceptMulti::new(Fd(fd)).flags(libc::SOCK_CLOEXEC).build(),
        Entry::Recv { fd, group, kind: RecvKind::Multishot } => opcode::RecvMulti::new(Fd(fd), group).build(),
        // With a length, the kernel lines up that many bytes of buffers at once; without, it begins with a single buffer.
        Entry::Recv { fd, group, kind: RecvKind::Bundle } => {
            opcode::Recv::new(Fd(fd), std::ptr::null_mut(), BUNDLE_BYTES_MAX)
                .buf_group(group)
                .ioprio(RECVSEND_BUNDLE)
                .build()
                .flags(squeue::Flags::BUFFER_SELECT)
        }
        Entry::Recv { fd, group, kind: RecvKind::Once } => opcode::Recv::new(Fd(fd), std::ptr::null_mut(), 0)
            .buf_group(group)
            .build()
            .flags(squeue::Flags::BUFFER_SELECT),
        Entry::Send { fd, bytes, len, more } => {
            let flags = libc::MSG_NOSIGNAL | libc::MSG_WAITALL | more_flag(more);
            opcode::Send::new(Fd(fd), bytes, len).flags(flags).build()
        }
        Entry::SendMessage { fd, message, more } => {
            let flags = (libc::MSG_NOSIGNAL | libc::MSG_WAITALL | more_flag(more)).unsigned_abs();
            opcode::SendMsg::new(Fd(fd), message).flags(flags).build()
        }
        Entry::Poll { fd, events } => opcode::PollAdd::new(Fd(fd), events).build(),
        Entry::Connect { fd, address, len } => opcode::Connect::new(Fd(fd), address, len).build(),
        Entry::ReadCounter { fd, value } => opcode::Read::new(Fd(fd), value.cast(), 8).build(),
        Entry::RingBell { ring } => {
            opcode::MsgRingData::new(Fd(ring), 0, Key::BELL.to_bits(), None).build().flags(squeue::Flags::SKIP_SUCCESS)
        }
        Entry::Cancel { target } => {
            let target = CancelBuilder::user_data(target.to_bits());
            opcode::AsyncCancel2::new(target).build().flags(squeue::Flags::SKIP_SUCCESS)
        }
        Entry::Close { fd } => opcode::Close::new(Fd(fd)).build().flags(squeue::Flags::SKIP_SUCCESS),
    }
}
