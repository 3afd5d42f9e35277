//! What leaves in one send.

use crate::buffers::Chunk;

/// Most runs of bytes in one send. The kernel takes at most 1,024 (UIO_MAXIOV).
pub(crate) const RUNS_MAX: usize = 128;

/// Runs of bytes that leave a socket in one send, and the memory that describes them to the kernel.
pub(crate) struct Batch {
    chunks: Vec<Chunk>,
    /// Index of the first chunk that is not sent whole.
    first: usize,
    bytes: usize,
    runs: Vec<libc::iovec>,
    header: libc::msghdr,
}

impl Default for Batch {
    fn default() -> Batch {
        // SAFETY: a message header of zeros is valid: null pointers with zero lengths.
        let header = unsafe { std::mem::zeroed() };
        Batch { chunks: Vec::with_capacity(8), first: 0, bytes: 0, runs: Vec::with_capacity(8), header }
    }
}

impl Batch {
    pub(crate) fn push(&mut self, chunk: Chunk) {
        if !chunk.is_empty() {
            self.bytes += chunk.len();
            self.chunks.push(chunk);
        }
    }

    /// Bytes that are not sent yet.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn clear(&mut self) {
        self.chunks.clear();
        self.runs.clear();
        (self.first, self.bytes) = (0, 0);
    }

    /// Ends leases that would wait while buffers are scarce. Returns the number of bytes copied.
    pub(crate) fn settle(&mut self) -> usize {
        self.chunks[self.first..].iter_mut().map(Chunk::settle).sum()
    }

    /// Takes note that the first `sent` bytes have left. They are released.
    pub(crate) fn advance(&mut self, mut sent: usize) {
        self.bytes -= sent;
        while sent > 0 {
            let chunk = &mut self.chunks[self.first];
            let here = sent.min(chunk.len());
            chunk.advance(here);
            sent -= here;
            if chunk.is_empty() {
                *chunk = Chunk::default();
                self.first += 1;
            }
        }
    }

    /// The operation's entry for what is not sent yet. It points into the batch, which therefore stays boxed and unchanged
    /// until the operation has completed. `more` says that something follows at once.
    pub(crate) fn entry(&mut self, fd: std::os::fd::RawFd, more: bool) -> crate::kernel::Entry {
        let left = &self.chunks[self.first..];
        debug_assert!(!left.is_empty(), "a send of nothing");
        if let [only] = left {
            return crate::kernel::Entry::Send { fd, bytes: only.as_ptr(), len: only.len() as u32, more };
        }
        self.runs.clear();
        self.runs.extend(
            left.iter()
                .take(RUNS_MAX)
                .map(|chunk| libc::iovec { iov_base: chunk.as_ptr().cast_mut().cast(), iov_len: chunk.len() }),
        );
        self.header.msg_iov = self.runs.as_mut_ptr();
        self.header.msg_iovlen = self.runs.len();
        crate::kernel::Entry::SendMessage { fd, message: &raw const self.header, more }
    }
}
