//! One connection: records in, plaintext out; plaintext in, records out.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ServerConfig};

use crate::error::Error;
use crate::handshake::Handshake;
use crate::negotiated::Negotiated;
use crate::pace::Pace;
use crate::record::{HEADER_BYTES, OVERHEAD_BYTES_MAX, record_len};
use crate::traffic::Traffic;

/// A connection of TLS, in either role.
///
/// Its user reads bytes into [`Session::handle_bytes`] and sends what that appends to `outgoing`. When the handshake is over,
/// [`Session::seal`] makes records of data. When it has failed, what stands in `outgoing` tells the peer and is to be sent, and
/// nothing more is to be done with it.
///
/// ```text
///  Handshake ──── Finished ───▶ Traffic ──── close_notify of the peer ───▶ has_ended
///      │                           │
///      └───────── error ───────────┴──▶ Failed
/// ```
pub struct Session {
    state: State,
    pace: Pace,
}

enum State {
    Handshake(Box<Handshake>),
    Traffic(Box<Traffic>),
    Failed(Error),
}

/// What came of bytes.
#[derive(Debug, Default)]
pub struct Progress {
    /// Bytes that are dealt with: whole records. What follows them is to be shown again, with more behind it.
    pub consumed: usize,
    /// The handshake has ended with these bytes.
    pub negotiated: Option<Box<Negotiated>>,
}

impl Session {
    /// Bytes that a record takes besides its data, at most.
    pub const OVERHEAD_BYTES_MAX: usize = OVERHEAD_BYTES_MAX;

    /// The server's side, before the client's first byte. `config` must let secrets be extracted.
    ///
    /// # Errors
    /// When rustls does not accept the configuration.
    pub fn server(config: Arc<ServerConfig>) -> Result<Session, Error> {
        debug_assert!(config.enable_secret_extraction);
        Ok(Session { state: State::Handshake(Box::new(Handshake::server(config)?)), pace: Pace::default() })
    }

    /// The client's side. What it says first stands in `outgoing`. `config` must let secrets be extracted.
    ///
    /// # Errors
    /// When rustls does not accept the configuration.
    pub fn client(
        config: Arc<ClientConfig>,
        name: ServerName<'static>,
        outgoing: &mut Vec<u8>,
    ) -> Result<Session, Error> {
        debug_assert!(config.enable_secret_extraction);
        let mut handshake = Handshake::client(config, name)?;
        handshake.handle_record(&[], outgoing)?;
        Ok(Session { state: State::Handshake(Box::new(handshake)), pace: Pace::default() })
    }

    /// Reads records. Data is appended to `plaintext`, of which there is never more than there are bytes; what is to be sent to
    /// the peer is appended to `outgoing`. It goes no further than to the end of the handshake, if that comes.
    ///
    /// # Errors
    /// Why the connection has failed; from then on always.
    pub fn handle_bytes(
        &mut self,
        incoming: &[u8],
        plaintext: &mut Vec<u8>,
        outgoing: &mut Vec<u8>,
    ) -> Result<Progress, Error> {
        if let State::Failed(error) = &self.state {
            return Err(error.clone());
        }
        let result = self.try_handle(incoming, plaintext, outgoing);
        if let Err(error) = &result {
            self.state = State::Failed(error.clone());
        }
        result
    }

    fn try_handle(
        &mut self,
        incoming: &[u8],
        plaintext: &mut Vec<u8>,
        outgoing: &mut Vec<u8>,
    ) -> Result<Progress, Error> {
        let mut progress = Progress::default();
        loop {
            let rest = &incoming[progress.consumed..];
            if self.has_ended() {
                // RFC 8446 §6.1: what comes behind the end is ignored.
                progress.consumed = incoming.len();
                return Ok(progress);
            }
            let record = match record_len(rest)? {
                Some(len) if len <= rest.len() => &rest[..len],
                _ => return Ok(progress),
            };
            progress.consumed += record.len();
            match &mut self.state {
                State::Traffic(traffic) => traffic.handle_record(record, plaintext, outgoing)?,
                State::Failed(error) => return Err(error.clone()),
                State::Handshake(handshake) => {
                    if handshake.handle_record(record, outgoing)? {
                        // What follows is for whoever has seen what was agreed on.
                        progress.negotiated = Some(self.finish()?);
                        return Ok(progress);
                    }
                }
            }
        }
    }

    /// Makes records of `data`, which is sent at `now`, behind what stands in `outgoing`. The time is counted from any moment that
    /// stays the same.
    ///
    /// # Errors
    /// When nothing can be sent: the handshake is not over, the connection was closed or has failed, or the key is used up.
    pub fn seal(&mut self, data: &[u8], now: Duration, outgoing: &mut Vec<u8>) -> Result<(), Error> {
        let traffic = match &mut self.state {
            State::Traffic(traffic) => traffic,
            State::Handshake(_) => return Err(Error::Internal),
            State::Failed(error) => return Err(error.clone()),
        };
        self.pace.begin(now);
        let mut left = data;
        while !left.is_empty() {
            let (part, rest) = left.split_at(self.pace.next(left.len()));
            traffic.seal(part, outgoing)?;
            left = rest;
        }
        Ok(())
    }

    /// Tells the peer that nothing more is sent, so that it knows the end from a connection cut off.
    pub fn close(&mut self, outgoing: &mut Vec<u8>) {
        if let State::Traffic(traffic) = &mut self.state {
            traffic.close(outgoing);
        }
    }

    /// Whether the handshake is still under way.
    #[must_use]
    pub fn is_handshaking(&self) -> bool {
        matches!(self.state, State::Handshake(_))
    }

    /// Whether the peer has said that it sends no more. Where the bytes end without that, the rest of them was cut off.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        matches!(&self.state, State::Traffic(traffic) if traffic.has_ended)
    }

    /// Bytes that are missing until the record that `bytes` begin with is whole; so many are missing for its header first.
    ///
    /// # Errors
    /// When no record is that long.
    pub fn bytes_missing(bytes: &[u8]) -> Result<usize, Error> {
        let len = record_len(bytes)?.unwrap_or(HEADER_BYTES);
        Ok(len.saturating_sub(bytes.len()))
    }

    /// Seals a handshake message that nobody would send.
    #[cfg(test)]
    pub(crate) fn seal_handshake(&mut self, message: &[u8], outgoing: &mut Vec<u8>) {
        let State::Traffic(traffic) = &mut self.state else { panic!("no traffic yet") };
        traffic.seal_handshake(message, outgoing);
    }

    fn finish(&mut self) -> Result<Box<Negotiated>, Error> {
        let State::Handshake(handshake) = std::mem::replace(&mut self.state, State::Failed(Error::Internal)) else {
            return Err(Error::Internal);
        };
        let (negotiated, traffic) = handshake.finish()?;
        self.state = State::Traffic(Box::new(traffic));
        Ok(Box::new(negotiated))
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match &self.state {
            State::Handshake(_) => "handshake",
            State::Traffic(_) => "traffic",
            State::Failed(_) => "failed",
        };
        write!(f, "Session({state})")
    }
}
