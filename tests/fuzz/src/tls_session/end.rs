//! One end of a connection, which holds whatever it reads against what the other has written.

use std::io::{Read, Write};
use std::sync::Arc;
use std::time::Duration;

use tls::rustls::{ClientConfig, ClientConnection};
use tls::{Negotiated, Session};

use super::ANSWER_BYTES_MAX;
use super::configs::{Configs, name};

pub(super) struct End {
    machine: Machine,
    is_server: bool,
    /// On its way to the other end.
    pub(super) outgoing: Vec<u8>,
    /// Has arrived, and is no whole record.
    partial: Vec<u8>,
    pub(super) negotiated: Option<Box<Negotiated>>,
    pub(super) written_bytes: usize,
    pub(super) read_bytes: usize,
    answered_bytes: usize,
    pub(super) has_closed: bool,
    /// Why it has failed.
    pub(super) failure: Option<String>,
}

enum Machine {
    Ours(Session),
    Rustls(Box<ClientConnection>),
}

impl End {
    pub(super) fn server(configs: &Configs) -> End {
        let session = Session::server(configs.server.clone()).expect("a configuration");
        End::of(Machine::Ours(session), true, Vec::new())
    }

    pub(super) fn our_client(config: Arc<ClientConfig>) -> End {
        let mut outgoing = Vec::new();
        let session = Session::client(config, name(), &mut outgoing).expect("a configuration");
        End::of(Machine::Ours(session), false, outgoing)
    }

    pub(super) fn rustls_client(config: Arc<ClientConfig>) -> End {
        let mut connection = ClientConnection::new(config, name()).expect("a configuration");
        connection.set_buffer_limit(None);
        let mut end = End::of(Machine::Rustls(Box::new(connection)), false, Vec::new());
        end.take();
        end
    }

    fn of(machine: Machine, is_server: bool, outgoing: Vec<u8>) -> End {
        End {
            machine,
            is_server,
            outgoing,
            partial: Vec::new(),
            negotiated: None,
            written_bytes: 0,
            read_bytes: 0,
            answered_bytes: 0,
            has_closed: false,
            failure: None,
        }
    }

    pub(super) fn is_rustls(&self) -> bool {
        matches!(self.machine, Machine::Rustls(_))
    }

    pub(super) fn is_handshaking(&self) -> bool {
        match &self.machine {
            Machine::Ours(session) => session.is_handshaking(),
            Machine::Rustls(connection) => connection.is_handshaking(),
        }
    }

    /// The other end has announced that it sends no more. rustls's does not tell.
    pub(super) fn has_ended(&self) -> bool {
        matches!(&self.machine, Machine::Ours(session) if session.has_ended())
    }

    /// Bytes that have arrived and were not dealt with.
    pub(super) fn unread(&self) -> usize {
        self.partial.len()
    }

    /// Reads bytes as they arrive, when the other end has written `written_bytes` of data.
    pub(super) fn read(&mut self, bytes: &[u8], written_bytes: usize) {
        let before = self.outgoing.len();
        let (is_server, from) = (self.is_server, self.read_bytes);
        let plaintext = match &mut self.machine {
            Machine::Ours(_) => self.read_ours(bytes),
            Machine::Rustls(_) => self.read_rustls(bytes),
        };
        assert!(from + plaintext.len() <= written_bytes, "data that nobody has written");
        let is_right = plaintext.iter().zip(from..).all(|(byte, at)| *byte == written_byte(!is_server, at));
        assert!(is_right, "data that was not written here");
        self.read_bytes += plaintext.len();
        self.answered_bytes += self.outgoing.len() - before;
        assert!(self.answered_bytes <= ANSWER_BYTES_MAX, "{} bytes for nothing", self.answered_bytes);
    }

    fn read_ours(&mut self, bytes: &[u8]) -> Vec<u8> {
        let Machine::Ours(session) = &mut self.machine else { unreachable!("chosen by the caller") };
        self.partial.extend_from_slice(bytes);
        let mut plaintext = Vec::new();
        loop {
            let (data_before, was_handshaking) = (plaintext.len(), session.is_handshaking());
            match session.handle_bytes(&self.partial, &mut plaintext, &mut self.outgoing) {
                Ok(progress) => {
                    assert_eq!(self.failure, None, "it has failed, and goes on");
                    assert!(progress.consumed <= self.partial.len(), "more than there was");
                    assert!(plaintext.len() - data_before <= progress.consumed, "more data than bytes");
                    assert!(!was_handshaking || plaintext.len() == data_before, "data before the end of the handshake");
                    assert_eq!(progress.negotiated.is_some(), was_handshaking && !session.is_handshaking());
                    self.partial.drain(..progress.consumed);
                    if progress.negotiated.is_none() {
                        if let Ok(missing) = Session::bytes_missing(&self.partial) {
                            assert!(missing > 0, "a whole record was left unread");
                        }
                        return plaintext;
                    }
                    assert!(self.negotiated.is_none(), "a second handshake");
                    self.negotiated = progress.negotiated;
                }
                Err(error) => {
                    assert!(!session.is_handshaking() && !session.has_ended());
                    let failure = self.failure.get_or_insert_with(|| error.to_string());
                    assert_eq!(*failure, error.to_string(), "it has failed in another way");
                    self.partial.clear();
                    self.stays_failed();
                    return plaintext;
                }
            }
        }
    }

    /// Nothing comes of a session that has failed, with more bytes or without.
    fn stays_failed(&mut self) {
        let Machine::Ours(session) = &mut self.machine else { unreachable!("chosen by the caller") };
        let (mut plaintext, mut outgoing) = (Vec::new(), Vec::new());
        for bytes in [&[][..], b"\x17", b"\x16\x03\x01\x00\x01\x00", b"GET / HTTP/1.1\r\n"] {
            let again = session.handle_bytes(bytes, &mut plaintext, &mut outgoing);
            assert_eq!(again.err().map(|error| error.to_string()), self.failure, "{}", bytes.escape_ascii());
        }
        assert!(session.seal(b"late", Duration::ZERO, &mut outgoing).is_err());
        session.close(&mut outgoing);
        assert!(plaintext.is_empty() && outgoing.is_empty());
    }

    fn read_rustls(&mut self, mut bytes: &[u8]) -> Vec<u8> {
        let Machine::Rustls(connection) = &mut self.machine else { unreachable!("chosen by the caller") };
        let mut plaintext = Vec::new();
        while !bytes.is_empty() && self.failure.is_none() {
            // It takes nothing behind the end.
            match connection.read_tls(&mut bytes) {
                Ok(0) => break,
                Ok(_) => {}
                Err(error) => self.failure = Some(error.to_string()),
            }
            match connection.process_new_packets() {
                Ok(state) => {
                    let start = plaintext.len();
                    plaintext.resize(start + state.plaintext_bytes_to_read(), 0);
                    connection.reader().read_exact(&mut plaintext[start..]).expect("as much as it has told");
                }
                Err(error) => self.failure = Some(error.to_string()),
            }
        }
        self.take();
        plaintext
    }

    /// Writes so much data, if it can, `now` counted in tenths of a second.
    pub(super) fn write(&mut self, count: usize, now: u8) {
        if self.is_handshaking() || self.has_closed || self.failure.is_some() {
            return;
        }
        let data: Vec<u8> =
            (self.written_bytes..self.written_bytes + count).map(|at| written_byte(self.is_server, at)).collect();
        match &mut self.machine {
            Machine::Ours(session) => {
                let (before, now) = (self.outgoing.len(), Duration::from_millis(u64::from(now) * 100));
                session.seal(&data, now, &mut self.outgoing).expect("nothing is wrong");
                let records = 1 + 10 + count / 1_400;
                assert!(self.outgoing.len() - before <= count + records * Session::OVERHEAD_BYTES_MAX);
            }
            Machine::Rustls(connection) => connection.writer().write_all(&data).expect("memory"),
        }
        self.written_bytes += count;
        self.take();
    }

    /// Asks for other keys, where that can be done.
    pub(super) fn update_keys(&mut self) -> bool {
        let can = !(self.is_handshaking() || self.has_closed || self.failure.is_some());
        let Machine::Rustls(connection) = &mut self.machine else { return false };
        let is_done = can && connection.refresh_traffic_keys().is_ok();
        self.take();
        is_done
    }

    pub(super) fn close(&mut self) {
        if self.is_handshaking() || self.failure.is_some() {
            return;
        }
        match &mut self.machine {
            Machine::Ours(session) => session.close(&mut self.outgoing),
            Machine::Rustls(connection) => connection.send_close_notify(),
        }
        self.has_closed = true;
        self.take();
    }

    /// Sends what rustls has to send.
    fn take(&mut self) {
        if let Machine::Rustls(connection) = &mut self.machine {
            while connection.wants_write() {
                connection.write_tls(&mut self.outgoing).expect("memory");
            }
        }
    }
}

/// The data that an end writes: no two places near each other look alike, nor do the two directions.
fn written_byte(is_server: bool, at: usize) -> u8 {
    let mixed = (at as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56;
    mixed as u8 ^ if is_server { 0xa5 } else { 0 }
}
