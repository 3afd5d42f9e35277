//! Small pieces gathered into one run of bytes.
//!
//! A head, the frame of a chunk and a small body are copied together: a few hundred bytes cost less to copy than to
//! describe to the kernel one by one. Larger data is passed on as it lies.

use ring::{Buffer, Chunk};
use wire::h1::DataFraming;

use crate::transport::Transport;

/// Data of at most this many bytes is copied.
const COPIED_BYTES_MAX: usize = 1024;
/// Room of a buffer: for most heads with a small body.
const ROOM_BYTES: usize = 4096;

/// What is to be sent before anything else.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    gathered: Option<Buffer>,
    /// What follows the run that passes from another socket.
    run_suffix: &'static [u8],
}

impl Outbox {
    /// The bytes that leave next, to append to.
    pub(crate) fn bytes(&mut self) -> &mut Vec<u8> {
        self.gathered.get_or_insert_with(|| Buffer::with_room(ROOM_BYTES))
    }

    /// Whether another small answer may be gathered behind what is there.
    pub(crate) fn has_room(&self) -> bool {
        self.gathered.as_ref().is_none_or(|gathered| gathered.len() <= ROOM_BYTES - COPIED_BYTES_MAX)
    }

    /// Appends data with its framing.
    pub(crate) fn data(&mut self, transport: &mut Transport, framing: &DataFraming, data: Chunk) {
        if !framing.prefix.is_empty() {
            self.bytes().extend_from_slice(framing.prefix.as_bytes());
        }
        let gathered = self.gathered.as_ref().map_or(0, |buffer| buffer.len());
        if data.len() <= COPIED_BYTES_MAX && gathered + data.len() <= ROOM_BYTES {
            self.bytes().extend_from_slice(&data);
        } else {
            self.flush(transport);
            transport.write(data);
        }
        if !framing.suffix.is_empty() {
            self.bytes().extend_from_slice(framing.suffix);
        }
    }

    /// Begins a run of data that the socket will be given past this: what was gathered and the run's framing go first.
    pub(crate) fn begin_run(&mut self, transport: &mut Transport, framing: &DataFraming) {
        if !framing.prefix.is_empty() {
            self.bytes().extend_from_slice(framing.prefix.as_bytes());
        }
        self.run_suffix = framing.suffix;
        self.flush(transport);
    }

    /// Ends the run.
    pub(crate) fn end_run(&mut self) {
        let suffix = std::mem::take(&mut self.run_suffix);
        if !suffix.is_empty() {
            self.bytes().extend_from_slice(suffix);
        }
    }

    /// Hands what was gathered to the socket, where it leaves with this tick.
    pub(crate) fn flush(&mut self, transport: &mut Transport) {
        if let Some(buffer) = self.gathered.take() {
            transport.write(buffer.freeze());
        }
    }
}
