//! What frames other than DATA ask for. Header blocks have a file of their own.

use super::{Connection, Event, Incoming, ResetBy};
use crate::h2::budget::BudgetKind;
use crate::h2::config::Role;
use crate::h2::error::{ConnectionError, ErrorCode};
use crate::h2::flow::grown;
use crate::h2::frame::goaway::GoAway;
use crate::h2::frame::priority_update::PriorityUpdate;
use crate::h2::frame::{ACK, FrameError, FrameHeader, Kind, ping, priority, rst_stream, settings, window_update};
use crate::h2::priority::Priority;
use crate::h2::stream::StreamKey;

/// The caller asks whether the peer is alive.
pub(super) const PING_OF_CALLER: ping::Payload = *b"rw:alive";
/// How much comes in one round trip?
pub(super) const PING_OF_BANDWIDTH: ping::Payload = *b"rw:bytes";
/// Has the peer read that we are leaving?
pub(super) const PING_OF_LEAVING: ping::Payload = *b"rw:leave";

/// Streams that have not begun whose priorities are kept. RFC 9218 §7.1 asks for a bound.
const EARLY_PRIORITIES_MAX: usize = 16;

impl Connection {
    /// A frame other than DATA has come whole, and its header was checked.
    #[inline]
    pub(super) fn handle_frame(
        &mut self,
        header: FrameHeader,
        payload: &[u8],
        incoming: &mut Incoming,
        now_us: u64,
    ) -> Result<Option<Event>, ConnectionError> {
        match header.kind {
            Kind::Headers => self.handle_headers(header, payload, incoming, now_us),
            Kind::Continuation => self.handle_continuation(header, payload, incoming, now_us),
            Kind::WindowUpdate => self.handle_window_update(header.stream, payload, now_us),
            Kind::RstStream => self.handle_rst_stream(header.stream, payload, now_us),
            Kind::Settings => self.handle_settings(header, payload, now_us),
            Kind::Ping => self.handle_ping(header, payload, now_us),
            Kind::GoAway => self.handle_goaway(GoAway::parse(payload)),
            Kind::Priority => self.handle_priority(header, now_us),
            Kind::PriorityUpdate => self.handle_priority_update(PriorityUpdate::parse(payload), now_us),
            // RFC 9113 §5.5: an implementation must ignore and discard frames of unknown types.
            Kind::Unknown(_) => self.spend(BudgetKind::UnknownFrames, 1, now_us).map(|()| None),
            Kind::Data | Kind::PushPromise => unreachable!("one goes another way, and the other was refused"),
        }
    }

    /// RFC 9113 §6.9
    fn handle_window_update(&mut self, id: u32, payload: &[u8], now_us: u64) -> Result<Option<Event>, ConnectionError> {
        self.spend(BudgetKind::WindowUpdates, 1, now_us)?;
        let increment = window_update::increment(payload);
        if id == 0 {
            if increment == 0 {
                return Err(ConnectionError::WindowUpdateEmpty);
            }
            let window = grown(self.window, i64::from(increment));
            self.window = window.ok_or(ConnectionError::WindowOverflow { stream: 0 })?;
            return Ok(None);
        }
        self.check_not_idle(Kind::WindowUpdate, id)?;
        // On closed streams it is late, which is nobody's fault. RFC 9113 §5.1
        let Some(slot) = self.streams.find(id) else { return Ok(None) };
        if increment == 0 {
            return self.fault(slot, ErrorCode::PROTOCOL_ERROR, now_us).map(Some);
        }
        let stream = self.streams.at_mut(slot);
        let Some(window) = grown(stream.window, i64::from(increment)) else {
            return self.fault(slot, ErrorCode::FLOW_CONTROL_ERROR, now_us).map(Some);
        };
        stream.window = window;
        if window > 0 && stream.queued > 0 {
            self.scheduler.insert(&mut self.streams, slot);
        }
        Ok(None)
    }

    /// RFC 9113 §6.4
    fn handle_rst_stream(&mut self, id: u32, payload: &[u8], now_us: u64) -> Result<Option<Event>, ConnectionError> {
        self.check_not_idle(Kind::RstStream, id)?;
        let Some(slot) = self.streams.find(id) else {
            // Both ends may reset a stream at once, or one when the other has just ended it.
            return self.spend(BudgetKind::LateFrames, 1, now_us).map(|()| None);
        };
        // Who has our whole answer and resets what is left of its own half has cost nothing.
        if self.streams.at(slot).state.may_send() {
            self.spend(BudgetKind::Resets, 1, now_us)?;
        }
        let stream = self.streams.key(slot);
        self.forget(slot);
        Ok(Some(Event::Reset { stream, code: rst_stream::code(payload), by: ResetBy::Peer }))
    }

    /// RFC 9113 §6.5
    fn handle_settings(
        &mut self,
        header: FrameHeader,
        payload: &[u8],
        now_us: u64,
    ) -> Result<Option<Event>, ConnectionError> {
        if header.has(ACK) {
            if self.settings_unacknowledged == 0 {
                self.spend(BudgetKind::Settings, 1, now_us)?;
            } else {
                self.settings_unacknowledged -= 1;
                // Blocks that the peer wrote before it knew were written with the default. RFC 9113 §4.3.1
                self.decoder.set_table_bytes_max(self.config.decoder_table_bytes);
            }
            return Ok(None);
        }
        if !self.is_peer_known && self.config.role == Role::Client {
            self.counters.start(now_us);
        }
        self.spend(BudgetKind::Settings, 1 + header.length / (6 * 32), now_us)?;
        let before = self.peer;
        self.peer = before.after(payload, self.config.role == Role::Client)?;
        self.is_peer_known = true;
        // Each of them counts, if there are several: the lowest is what has to be answered. RFC 9113 §4.3.1
        for (_, bytes) in settings::entries(payload).flatten().filter(|(id, _)| *id == settings::HEADER_TABLE_SIZE) {
            self.encoder.set_table_bytes_max(bytes);
        }
        self.change_windows(i64::from(self.peer.stream_window_bytes) - i64::from(before.stream_window_bytes))?;
        settings::write_ack(&mut self.frames);
        Ok(Some(Event::Settings))
    }

    /// The window with which streams begin has changed by so much, and with it those of all streams. RFC 9113 §6.9.2
    fn change_windows(&mut self, change: i64) -> Result<(), ConnectionError> {
        if change == 0 {
            return Ok(());
        }
        let mut keys = std::mem::take(&mut self.updates);
        let due = keys.len();
        keys.extend(self.streams.keys());
        for key in keys.drain(due..) {
            let stream = self.streams.at_mut(key.slot);
            let overflow = ConnectionError::WindowOverflow { stream: stream.id };
            stream.window = grown(stream.window, change).ok_or(overflow)?;
            if stream.window <= 0 {
                self.scheduler.remove(&mut self.streams, key.slot);
            } else if stream.queued > 0 {
                self.scheduler.insert(&mut self.streams, key.slot);
            }
        }
        self.updates = keys;
        Ok(())
    }

    /// RFC 9113 §6.7
    fn handle_ping(
        &mut self,
        header: FrameHeader,
        payload: &[u8],
        now_us: u64,
    ) -> Result<Option<Event>, ConnectionError> {
        let payload = ping::payload(payload);
        if !header.has(ACK) {
            self.spend(BudgetKind::Pings, 1, now_us)?;
            ping::write(&mut self.frames, payload, true);
            return Ok(None);
        }
        if payload == PING_OF_BANDWIDTH {
            self.measured(now_us);
        } else if payload == PING_OF_LEAVING {
            self.left_is_known();
        } else if self.is_ping_awaited && payload == PING_OF_CALLER {
            self.is_ping_awaited = false;
            return Ok(Some(Event::Pong));
        }
        Ok(None)
    }

    /// A round trip is over, and with it a measurement of what the path holds.
    fn measured(&mut self, now_us: u64) {
        let config = &self.config;
        if let Some(target) = self.bandwidth.measured(self.stream_target, config.stream_window_bytes_max, now_us) {
            self.stream_target = target;
            let of_connection = target.saturating_mul(2).min(config.connection_window_bytes_max);
            self.target = self.target.max(of_connection);
        }
    }

    /// RFC 9113 §6.8
    fn handle_goaway(&mut self, goaway: GoAway) -> Result<Option<Event>, ConnectionError> {
        if self.peer_last_stream.is_some_and(|before| goaway.last_stream > before) {
            return Err(ConnectionError::Contradiction { kind: Kind::GoAway });
        }
        self.peer_last_stream = Some(goaway.last_stream);
        if self.config.role == Role::Client {
            let unread: Vec<_> = self.streams.keys().filter(|key| key.id > goaway.last_stream).collect();
            for StreamKey { id, slot } in unread {
                self.departed.remember(id, self.streams.at(slot).intake.granted);
                self.forget(slot);
            }
        }
        Ok(Some(Event::GoAway { last_stream: goaway.last_stream, code: goaway.code }))
    }

    /// RFC 9113 §6.3: nothing but the length matters.
    fn handle_priority(&mut self, header: FrameHeader, now_us: u64) -> Result<Option<Event>, ConnectionError> {
        self.spend(BudgetKind::Priorities, 1, now_us)?;
        if priority::is_length_right(header) {
            return Ok(None);
        }
        match self.streams.find(header.stream) {
            Some(slot) => self.fault(slot, ErrorCode::FRAME_SIZE_ERROR, now_us).map(Some),
            None => Err(FrameError::Length { kind: Kind::Priority, length: header.length }.into()),
        }
    }

    /// RFC 9218 §7.1
    fn handle_priority_update(
        &mut self,
        update: PriorityUpdate<'_>,
        now_us: u64,
    ) -> Result<Option<Event>, ConnectionError> {
        self.spend(BudgetKind::Priorities, 1, now_us)?;
        // Only clients send it, and only about streams of theirs.
        if self.config.role == Role::Client || update.stream.is_multiple_of(2) {
            return Err(ConnectionError::Contradiction { kind: Kind::PriorityUpdate });
        }
        let Some(priority) = Priority::parse(update.value) else { return Ok(None) };
        if let Some(slot) = self.streams.find(update.stream) {
            self.scheduler.change(&mut self.streams, slot, priority);
        } else if update.stream > self.highest_remote {
            self.early_priorities.retain(|(stream, _)| *stream != update.stream);
            if self.early_priorities.len() == EARLY_PRIORITIES_MAX {
                self.early_priorities.pop_front();
            }
            self.early_priorities.push_back((update.stream, priority));
        }
        Ok(None)
    }

    /// What was said of the priority of a stream that begins now.
    #[inline]
    pub(super) fn early_priority(&mut self, id: u32) -> Option<Priority> {
        if self.early_priorities.is_empty() {
            return None;
        }
        let said = self.early_priorities.iter().find(|(stream, _)| *stream == id).map(|(_, priority)| *priority);
        self.early_priorities.retain(|(stream, _)| *stream > id);
        said
    }
}
