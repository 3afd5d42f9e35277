//! Records once the handshake is over: data, and the little that peers still tell each other.

use rustls::client::ClientConnectionData;
use rustls::kernel::KernelConnection;
use rustls::server::ServerConnectionData;
use rustls::{AlertDescription, ConnectionTrafficSecrets, ExtractedSecrets};

use crate::error::Error;
use crate::negotiated::Version;
use crate::record::{Content, RecordKey};

/// Records that one key may protect. RFC 8446 §5.5 allows 2^24.5 of full size to AES-GCM, and more to ChaCha20.
const RECORDS_PER_KEY_MAX: u64 = 1 << 24;
/// Records without data in a row, and requests for new keys without data between them, after which a peer is thought to mean
/// harm. As BoringSSL (kMaxEmptyRecords, kMaxKeyUpdates).
const IDLE_RECORDS_MAX: u8 = 32;
/// Warnings that a peer may give in TLS 1.2. As BoringSSL (kMaxWarningAlerts).
const WARNINGS_MAX: u8 = 4;
/// Bytes of messages to a client that wait for their rest: a ticket may be as long as that.
const MESSAGE_BYTES_MAX: usize = 64 << 10;
/// Bytes of the head of a handshake message.
const MESSAGE_HEAD_BYTES: usize = 4;

/// Types of handshake messages. RFC 8446 §4
const NEW_SESSION_TICKET: u8 = 4;
const KEY_UPDATE: u8 = 24;

/// Both directions of a connection whose handshake is over.
pub(crate) struct Traffic {
    inbound: RecordKey,
    outbound: RecordKey,
    version: Version,
    /// What rustls still knows, to be asked for other keys.
    rekeying: Rekeying,
    /// The beginning of a message to a client.
    message: Vec<u8>,
    idle_records: u8,
    warnings: u8,
    /// The peer has said that it sends no more.
    pub(crate) has_ended: bool,
    /// We have.
    has_closed: bool,
}

/// rustls's end of a connection that it does not see any more.
pub(crate) enum Rekeying {
    Server(KernelConnection<ServerConnectionData>),
    Client(KernelConnection<ClientConnectionData>),
}

impl Rekeying {
    fn inbound(&mut self) -> Result<(u64, ConnectionTrafficSecrets), Error> {
        Ok(match self {
            Rekeying::Server(connection) => connection.update_rx_secret()?,
            Rekeying::Client(connection) => connection.update_rx_secret()?,
        })
    }

    fn outbound(&mut self) -> Result<(u64, ConnectionTrafficSecrets), Error> {
        Ok(match self {
            Rekeying::Server(connection) => connection.update_tx_secret()?,
            Rekeying::Client(connection) => connection.update_tx_secret()?,
        })
    }
}

impl Traffic {
    pub(crate) fn new(version: Version, secrets: ExtractedSecrets, rekeying: Rekeying) -> Result<Traffic, Error> {
        Ok(Traffic {
            inbound: RecordKey::new(version, secrets.rx)?,
            outbound: RecordKey::new(version, secrets.tx)?,
            version,
            rekeying,
            message: Vec::new(),
            idle_records: 0,
            warnings: 0,
            has_ended: false,
            has_closed: false,
        })
    }

    /// Opens a record, which is there whole: data is appended to `plaintext`, what is to be answered to `outgoing`.
    ///
    /// # Errors
    /// Why the connection has failed; the alert, if one is due, is in `outgoing`.
    pub(crate) fn handle_record(
        &mut self,
        record: &[u8],
        plaintext: &mut Vec<u8>,
        outgoing: &mut Vec<u8>,
    ) -> Result<(), Error> {
        let start = plaintext.len();
        let result = match self.inbound.open(record, plaintext) {
            Ok(Content::Data) => self.count_idle(plaintext.len() == start),
            Ok(Content::Alert) => self.handle_alert(&plaintext[start..]),
            Ok(Content::Handshake) => self.handle_messages(&plaintext[start..], outgoing),
            Err(error) => Err(error),
        };
        // Only data is for others to see.
        if !matches!(result, Ok(Content::Data)) {
            plaintext.truncate(start);
        }
        match result {
            Ok(_) => Ok(()),
            Err(error) => {
                self.tell(&error, outgoing);
                Err(error)
            }
        }
    }

    /// Appends a record of data.
    ///
    /// # Errors
    /// When the key is used up and there is no other: TLS 1.2 knows no way to get one.
    pub(crate) fn seal(&mut self, data: &[u8], outgoing: &mut Vec<u8>) -> Result<(), Error> {
        if self.has_closed {
            return Err(Error::Ended);
        }
        if self.outbound.sequence() >= RECORDS_PER_KEY_MAX {
            match self.version {
                Version::Tls13 => self.update_outbound(outgoing)?,
                Version::Tls12 => {
                    self.close(outgoing);
                    return Err(Error::Exhausted);
                }
            }
        }
        self.outbound.seal(Content::Data, data, outgoing)
    }

    /// Says that nothing more is sent, if that was not said before.
    pub(crate) fn close(&mut self, outgoing: &mut Vec<u8>) {
        if !std::mem::replace(&mut self.has_closed, true) {
            let warning = [1, u8::from(AlertDescription::CloseNotify)];
            // It cannot fail but by our own mistake, and then the connection ends without it.
            let _ = self.outbound.seal(Content::Alert, &warning, outgoing);
        }
    }

    /// Seals a handshake message that nobody would send.
    #[cfg(test)]
    pub(crate) fn seal_handshake(&mut self, message: &[u8], outgoing: &mut Vec<u8>) {
        self.outbound.seal(Content::Handshake, message, outgoing).unwrap();
    }

    fn tell(&mut self, error: &Error, outgoing: &mut Vec<u8>) {
        if let Some(alert) = error.alert()
            && !std::mem::replace(&mut self.has_closed, true)
        {
            let _ = self.outbound.seal(Content::Alert, &[2, u8::from(alert)], outgoing);
        }
    }

    /// A record has come; `idle` if it brought nothing.
    fn count_idle(&mut self, idle: bool) -> Result<Content, Error> {
        self.idle_records = if idle { self.idle_records + 1 } else { 0 };
        if self.idle_records > IDLE_RECORDS_MAX { Err(Error::Busywork) } else { Ok(Content::Data) }
    }

    /// RFC 8446 §6, RFC 5246 §7.2
    fn handle_alert(&mut self, alert: &[u8]) -> Result<Content, Error> {
        let [level, description] = *alert else { return Err(Error::Malformed) };
        let description = AlertDescription::from(description);
        match (self.version, level, description) {
            (_, _, AlertDescription::CloseNotify) => {
                self.has_ended = true;
                Ok(Content::Alert)
            }
            (Version::Tls13, _, AlertDescription::UserCanceled) | (Version::Tls12, 1, _) => {
                self.warnings += 1;
                if self.warnings > WARNINGS_MAX { Err(Error::Busywork) } else { Ok(Content::Alert) }
            }
            _ => Err(Error::Alert(description)),
        }
    }

    /// What a handshake message may still say: a server gets requests for new keys, and a client tickets besides.
    fn handle_messages(&mut self, data: &[u8], outgoing: &mut Vec<u8>) -> Result<Content, Error> {
        if data.is_empty() {
            return Err(Error::UnexpectedMessage);
        }
        let mut gathered = std::mem::take(&mut self.message);
        let mut bytes = data;
        if !gathered.is_empty() {
            gathered.extend_from_slice(data);
            bytes = &gathered;
        }
        while !bytes.is_empty() {
            let Some((kind, body, rest)) = split_message(bytes) else {
                // Only tickets may come in pieces: whatever changes keys ends with its record. RFC 8446 §5.1
                let is_ticket = bytes[0] == NEW_SESSION_TICKET && matches!(self.rekeying, Rekeying::Client(_));
                if !is_ticket || self.version == Version::Tls12 || bytes.len() > MESSAGE_BYTES_MAX {
                    return Err(self.out_of_place());
                }
                self.message = bytes.to_vec();
                break;
            };
            match (self.version, kind, &mut self.rekeying) {
                (Version::Tls13, KEY_UPDATE, _) if rest.is_empty() => self.handle_key_update(body, outgoing)?,
                (Version::Tls13, NEW_SESSION_TICKET, Rekeying::Client(connection)) => {
                    connection.handle_new_session_ticket(body)?;
                    self.count_idle(true)?;
                }
                _ => return Err(self.out_of_place()),
            }
            bytes = rest;
        }
        Ok(Content::Handshake)
    }

    /// In TLS 1.2 every handshake message begins another handshake (CVE-2009-3555, CVE-2011-1473).
    fn out_of_place(&self) -> Error {
        match self.version {
            Version::Tls12 => Error::Renegotiation,
            Version::Tls13 => Error::UnexpectedMessage,
        }
    }

    /// RFC 8446 §4.6.3
    fn handle_key_update(&mut self, body: &[u8], outgoing: &mut Vec<u8>) -> Result<(), Error> {
        let is_requested = match body {
            [0] => false,
            [1] => true,
            _ => return Err(Error::Malformed),
        };
        self.count_idle(true)?;
        self.inbound = RecordKey::new(self.version, self.rekeying.inbound()?)?;
        if is_requested && !self.has_closed {
            self.update_outbound(outgoing)?;
        }
        Ok(())
    }

    fn update_outbound(&mut self, outgoing: &mut Vec<u8>) -> Result<(), Error> {
        self.outbound.seal(Content::Handshake, &[KEY_UPDATE, 0, 0, 1, 0], outgoing)?;
        self.outbound = RecordKey::new(self.version, self.rekeying.outbound()?)?;
        Ok(())
    }
}

/// The type and the body of the first message, and what follows it; `None` if it is not whole.
fn split_message(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (head, rest) = bytes.split_at_checked(MESSAGE_HEAD_BYTES)?;
    let len = u32::from_be_bytes([0, head[1], head[2], head[3]]) as usize;
    let (body, rest) = rest.split_at_checked(len)?;
    Some((head[0], body, rest))
}
