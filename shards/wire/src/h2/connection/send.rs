//! What goes out: heads as soon as they are given, content and trailers when their turn has come.

use super::{Connection, PREFACE};
use crate::h1::Edits;
use crate::h1::write::ResponseFraming;
use crate::h2::HeadEncoder;
use crate::h2::budget::BudgetKind;
use crate::h2::config::Role;
use crate::h2::error::ErrorCode;
use crate::h2::frame::{PAYLOAD_BYTES_DEFAULT, data, headers, settings, window_update};
use crate::h2::settings::{TABLE_BYTES_DEFAULT, WINDOW_BYTES_DEFAULT};
use crate::h2::stream::{Ending, State, Stream, StreamKey};
use crate::{RequestHead, ResponseHead, Scheme, Trailers};

/// Why nothing was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// The stream is gone: it was reset, or the connection has failed.
    #[error("the stream is gone")]
    Gone,
    /// No stream may be opened now: as many are open as may be, or one end is leaving.
    #[error("no stream can be opened")]
    Unavailable,
    /// The peer does not take CONNECT with a `:protocol`.
    #[error("the peer takes no extended CONNECT")]
    ExtendedConnect,
}

/// What the caller is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Output {
    /// So many bytes of the stream's queue, to be put on the wire next: the frame's header has just been appended.
    Data {
        /// The stream.
        stream: StreamKey,
        /// How many; they are no longer [queued](Connection::queued).
        bytes: usize,
        /// Nothing follows on this stream.
        end: bool,
    },
    /// The stream's trailers, by [`Connection::send_trailers`].
    Trailers {
        /// The stream.
        stream: StreamKey,
    },
}

/// Who is to blame for the end of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Culprit {
    /// Nobody, or somebody on this side.
    Us,
    /// The peer: this is counted. CVE-2025-8671
    Peer,
}

impl Connection {
    /// Opens a stream with a request (client). `end`: no content and no trailers follow. The rest is as in
    /// [`HeadEncoder::write_request`]; a request that offers an upgrade does not end with its head.
    ///
    /// # Errors
    /// If no stream can be opened, or none with such a request.
    pub fn send_request(
        &mut self,
        head: &RequestHead,
        bytes: &[u8],
        edits: &Edits,
        (scheme, fallback_authority): (Scheme, &[u8]),
        end: bool,
    ) -> Result<StreamKey, SendError> {
        if self.streams_available() == 0 {
            return Err(SendError::Unavailable);
        }
        if !edits.offered().is_empty() && !self.peer.extended_connect {
            return Err(SendError::ExtendedConnect);
        }
        let id = self.next_local;
        self.next_local += 2;
        let start = headers::begin(&mut self.frames);
        self.encoder.write_request(&mut self.frames, head, bytes, edits, scheme, fallback_authority);
        headers::finish(&mut self.frames, start, id, end, self.peer.frame_bytes_max);
        let state = if end { State::HalfClosedLocal } else { State::Open };
        let granted = self.config.initial_window_bytes();
        let mut stream = Stream::new(id, state, self.peer.stream_window_bytes, granted);
        stream.is_head_sent = true;
        stream.method = head.method();
        stream.protocol = edits.offered().into();
        Ok(self.streams.insert(stream))
    }

    /// Answers with a head that was read elsewhere (server); a 101 becomes the answer that accepts an extended CONNECT.
    /// `end`: no content and no trailers follow. The rest is as in [`HeadEncoder::write_response`].
    ///
    /// # Errors
    /// If the stream is gone.
    pub fn send_response(
        &mut self,
        stream: StreamKey,
        head: &ResponseHead,
        bytes: &[u8],
        edits: &Edits,
        framing: ResponseFraming,
        end: bool,
    ) -> Result<(), SendError> {
        self.send_head(stream, end, |encoder, out| match head.status() {
            101 => encoder.write_switch(out, head, bytes, edits),
            _ => encoder.write_response(out, head, bytes, edits, framing),
        })
    }

    /// Answers with a head of our own (server), as [`HeadEncoder::write_status`] writes it. `end`: no content follows.
    ///
    /// # Errors
    /// If the stream is gone.
    pub fn send_status(
        &mut self,
        stream: StreamKey,
        status: u16,
        (content_type, body_bytes): (&str, u64),
        edits: &Edits,
        end: bool,
    ) -> Result<(), SendError> {
        self.send_head(stream, end, |encoder, out| encoder.write_status(out, status, content_type, body_bytes, edits))
    }

    /// Passes on a response before the final one, 101 excepted (server).
    ///
    /// # Errors
    /// If the stream is gone.
    pub fn send_informational(
        &mut self,
        stream: StreamKey,
        head: &ResponseHead,
        bytes: &[u8],
    ) -> Result<(), SendError> {
        self.send_block(stream, false, |encoder, out| {
            encoder.write_response(out, head, bytes, &Edits::new(), ResponseFraming::None);
        })
    }

    /// Sends 100 (Continue) (server).
    ///
    /// # Errors
    /// If the stream is gone.
    pub fn send_continue(&mut self, stream: StreamKey) -> Result<(), SendError> {
        self.send_block(stream, false, HeadEncoder::write_continue)
    }

    /// The final head of an answer.
    #[inline]
    fn send_head(
        &mut self,
        key: StreamKey,
        end: bool,
        write: impl FnOnce(&mut HeadEncoder, &mut Vec<u8>),
    ) -> Result<(), SendError> {
        self.send_block(key, end, write)?;
        let stream = self.streams.at_mut(key.slot);
        debug_assert!(!stream.is_head_sent, "a stream has one final head");
        stream.is_head_sent = true;
        if end {
            self.end_local(key.slot);
        }
        Ok(())
    }

    #[inline]
    fn send_block(
        &mut self,
        key: StreamKey,
        end: bool,
        write: impl FnOnce(&mut HeadEncoder, &mut Vec<u8>),
    ) -> Result<(), SendError> {
        let stream = self.sending(key)?;
        debug_assert!(stream.state.may_send(), "nothing follows the end");
        let start = headers::begin(&mut self.frames);
        write(&mut self.encoder, &mut self.frames);
        headers::finish(&mut self.frames, start, key.id, end, self.peer.frame_bytes_max);
        Ok(())
    }

    /// So many more bytes of content wait in the caller's queue; with `end`, nothing follows them. To be said behind
    /// the stream's head.
    ///
    /// # Errors
    /// If the stream is gone.
    #[inline]
    pub fn queue_data(&mut self, stream: StreamKey, bytes: usize, end: bool) -> Result<(), SendError> {
        let key = stream;
        let stream = self.sending(key)?;
        debug_assert!(
            stream.is_head_sent && stream.ending == Ending::Open,
            "content stands behind a head, and before an end"
        );
        stream.queued += bytes as u64;
        if end {
            stream.ending = Ending::End;
        }
        if stream.queued > 0 {
            if stream.window > 0 {
                self.scheduler.insert(&mut self.streams, key.slot);
            }
        } else if end {
            // Nothing waits, and nothing takes no window. RFC 9113 §6.9.1
            self.frames.extend_from_slice(&data::header(key.id, 0, true));
            self.end_local(key.slot);
        }
        Ok(())
    }

    /// Trailers follow the content that is queued. They are asked for when their turn has come ([`Output::Trailers`]).
    ///
    /// # Errors
    /// If the stream is gone.
    pub fn queue_trailers(&mut self, stream: StreamKey) -> Result<(), SendError> {
        let key = stream;
        let stream = self.sending(key)?;
        debug_assert!(stream.is_head_sent && stream.ending == Ending::Open, "a stream has one end");
        stream.ending = Ending::Trailers;
        if stream.queued == 0 {
            self.trailers_due.push_back(key);
        }
        Ok(())
    }

    /// Sends the trailers that were asked for, with which our half of the stream ends.
    ///
    /// # Errors
    /// If the stream is gone.
    pub fn send_trailers(&mut self, stream: StreamKey, trailers: &Trailers) -> Result<(), SendError> {
        let sending = self.sending(stream)?;
        debug_assert!(
            sending.ending == Ending::Trailers && sending.queued == 0,
            "trailers are sent when they are asked for"
        );
        // An empty block would be legal, and some peers are known not to understand it.
        if trailers.is_empty() {
            self.frames.extend_from_slice(&data::header(stream.id, 0, true));
        } else {
            self.send_block(stream, true, |encoder, out| encoder.write_trailers(out, trailers))?;
        }
        self.end_local(stream.slot);
        Ok(())
    }

    /// Ends a stream at once, in both directions, and forgets it. What is queued is not sent.
    pub fn reset(&mut self, stream: StreamKey, code: ErrorCode, culprit: Culprit) {
        if self.streams.of(stream).is_none() || self.failed.is_some() {
            return;
        }
        self.reset_stream(stream.slot, code);
        if culprit == Culprit::Peer {
            self.counters.owe(BudgetKind::Faults);
        }
    }

    /// Appends to `out` what is to be sent next: all frames that are ready, and then, if a DATA frame's turn has come,
    /// its header. The caller puts the bytes that it is then asked for behind it, or sends the trailers that it is
    /// asked for, and polls again; `None` if there is nothing more. Whoever stops polling holds the connection up,
    /// which is how a socket that takes no more is obeyed.
    #[inline]
    pub fn poll_output(&mut self, out: &mut Vec<u8>) -> Option<Output> {
        if self.failed.is_none() {
            self.write_window_updates();
        }
        if out.is_empty() {
            std::mem::swap(out, &mut self.frames);
        } else {
            out.append(&mut self.frames);
        }
        if self.failed.is_some() {
            return None;
        }
        while let Some(stream) = self.trailers_due.pop_front() {
            if self.streams.of(stream).is_some() {
                return Some(Output::Trailers { stream });
            }
        }
        self.next_data(out)
    }

    /// Whether [`poll_output`](Self::poll_output) would find anything.
    #[must_use]
    pub fn wants_output(&self) -> bool {
        !self.frames.is_empty()
            || (!self.scheduler.is_empty() && self.window > 0)
            || !self.trailers_due.is_empty()
            || !self.updates.is_empty()
            || self.intake.increment_of_connection(self.target, self.config.held_bytes_max).is_some()
    }

    /// Appends the header of the DATA frame whose turn it is.
    #[inline]
    fn next_data(&mut self, out: &mut Vec<u8>) -> Option<Output> {
        if self.window <= 0 {
            return None;
        }
        let slot = self.scheduler.first()?;
        let key = self.streams.key(slot);
        let stream = self.streams.at_mut(slot);
        debug_assert!(stream.queued > 0 && stream.window > 0, "who has nothing to send has no turn");
        let frame_bytes_max = self.peer.frame_bytes_max.min(self.config.data_frame_bytes_max);
        let allowed = (stream.window as u32).min(self.window as u32).min(frame_bytes_max);
        let bytes = stream.queued.min(u64::from(allowed)) as u32;
        stream.queued -= u64::from(bytes);
        stream.window -= bytes as i32;
        stream.sent += u64::from(bytes);
        self.window -= bytes as i32;
        let is_last = stream.queued == 0;
        let end = is_last && stream.ending == Ending::End;
        let are_trailers_due = is_last && stream.ending == Ending::Trailers;
        let goes_on = !is_last && stream.window > 0;
        out.extend_from_slice(&data::header(key.id, bytes, end));
        self.earn_acknowledgements(bytes, is_last);
        self.scheduler.pass(&mut self.streams, slot, goes_on);
        if end {
            self.end_local(slot);
        } else if are_trailers_due {
            self.trailers_due.push_back(key);
        }
        Some(Output::Data { stream: key, bytes: bytes as usize, end })
    }

    /// A frame of content may be answered with WINDOW_UPDATEs, the more the longer it is, and with a PING that
    /// measures. One that is short because the peer grants its window crumb by crumb earns nothing. CVE-2019-9511
    #[inline]
    fn earn_acknowledgements(&mut self, bytes: u32, is_last: bool) {
        const CRUMB_BYTES: u32 = 1024;
        let is_worth_it = is_last || bytes >= CRUMB_BYTES;
        let base = if is_worth_it { 4 } else { 0 };
        self.counters.earn(BudgetKind::WindowUpdates, base + bytes / 512);
        self.counters.earn(BudgetKind::Pings, u32::from(is_worth_it));
    }

    /// Tells the peer what it may send again. All that was released since the last time goes into one frame for each
    /// stream.
    fn write_window_updates(&mut self) {
        let increment = self.intake.increment_of_connection(self.target, self.config.held_bytes_max);
        if let Some(increment) = increment {
            self.intake.granted += increment as i32;
            window_update::write(&mut self.frames, 0, increment);
        }
        while let Some(key) = self.updates.pop() {
            let Some(stream) = self.streams.of_mut(key) else { continue };
            stream.is_update_due = false;
            // The peer has ended its half: it needs no window any more.
            if !stream.state.may_receive() {
                continue;
            }
            if let Some(increment) = stream.intake.increment_of_stream(stream.target) {
                stream.intake.granted += increment as i32;
                window_update::write(&mut self.frames, key.id, increment);
            }
        }
    }

    /// The preface and our SETTINGS, which say no more than what differs from what the peer takes for granted. RFC 9113
    /// §3.4
    pub(super) fn send_preface(&mut self) {
        let config = &self.config;
        let mut said = [(0, 0); 8];
        let mut count = 0;
        let mut say = |id: u16, value: u32| {
            said[count] = (id, value);
            count += 1;
        };
        if config.decoder_table_bytes != TABLE_BYTES_DEFAULT {
            say(settings::HEADER_TABLE_SIZE, config.decoder_table_bytes);
        }
        match config.role {
            Role::Client => say(settings::ENABLE_PUSH, 0),
            Role::Server => {
                say(settings::MAX_CONCURRENT_STREAMS, config.streams_max);
                // RFC 9218 §2.1: those of RFC 7540 are ignored.
                say(settings::NO_RFC7540_PRIORITIES, 1);
                if config.extended_connect {
                    say(settings::ENABLE_CONNECT_PROTOCOL, 1);
                }
            }
        }
        if self.stream_target != WINDOW_BYTES_DEFAULT {
            say(settings::INITIAL_WINDOW_SIZE, self.stream_target);
        }
        if config.payload_bytes_max() != PAYLOAD_BYTES_DEFAULT {
            say(settings::MAX_FRAME_SIZE, config.payload_bytes_max());
        }
        say(settings::MAX_HEADER_LIST_SIZE, config.heads.head_bytes_max);
        if config.role == Role::Client {
            self.frames.extend_from_slice(PREFACE);
        }
        settings::write(&mut self.frames, &said[..count]);
        self.settings_unacknowledged = 1;
        // No setting widens the connection's window. RFC 9113 §6.9.2
        if self.target > WINDOW_BYTES_DEFAULT {
            window_update::write(&mut self.frames, 0, self.target - WINDOW_BYTES_DEFAULT);
            self.intake.granted = self.target as i32;
        }
    }

    /// The stream, if it can be sent on.
    #[inline]
    fn sending(&mut self, key: StreamKey) -> Result<&mut Stream, SendError> {
        if self.failed.is_some() {
            return Err(SendError::Gone);
        }
        self.streams.of_mut(key).filter(|stream| stream.state.may_send()).ok_or(SendError::Gone)
    }
}
