//! The handshake, all by rustls, record by record.
//!
//! rustls gets one record at a time, so that what follows the last one of the handshake is still sealed when the keys change
//! hands, and so that a byte more than a handshake is read by nobody before it is over.

use std::sync::Arc;

use rustls::client::{ClientConnectionData, UnbufferedClientConnection};
use rustls::pki_types::ServerName;
use rustls::server::{ServerConnectionData, UnbufferedServerConnection};
use rustls::unbuffered::{ConnectionState, EncodeError, UnbufferedConnectionCommon, UnbufferedStatus};
use rustls::{ClientConfig, CommonState, ServerConfig};

use crate::error::Error;
use crate::negotiated::Negotiated;
use crate::traffic::{Rekeying, Traffic};

/// Bytes of records that wait for the rest of their message: a chain of certificates is the longest there is.
const WAITING_BYTES_MAX: usize = 96 << 10;

/// A handshake under way.
pub(crate) struct Handshake {
    side: Side,
    /// Records of which rustls has not let go: a message may be spread over several.
    records: Vec<u8>,
}

enum Side {
    Server(UnbufferedServerConnection),
    Client(UnbufferedClientConnection),
}

/// What came of a look at the records.
enum Step {
    /// A message is to be sent: it stands at the end of what is to be sent.
    More,
    /// Records are needed.
    Blocked,
    /// The handshake may be over.
    Ready,
}

impl Handshake {
    pub(crate) fn server(config: Arc<ServerConfig>) -> Result<Handshake, Error> {
        Ok(Handshake { side: Side::Server(UnbufferedServerConnection::new(config)?), records: Vec::new() })
    }

    pub(crate) fn client(config: Arc<ClientConfig>, name: ServerName<'static>) -> Result<Handshake, Error> {
        Ok(Handshake { side: Side::Client(UnbufferedClientConnection::new(config, name)?), records: Vec::new() })
    }

    /// Reads `record`, one that is there whole or none at all, and appends what is to be answered to `outgoing`. `true` when
    /// the handshake is over.
    ///
    /// # Errors
    /// Why it has failed; the alert, if one is due, is in `outgoing`.
    pub(crate) fn handle_record(&mut self, record: &[u8], outgoing: &mut Vec<u8>) -> Result<bool, Error> {
        if self.records.len() + record.len() > WAITING_BYTES_MAX {
            return Err(Error::TooLarge);
        }
        self.records.extend_from_slice(record);
        let result = self.run(outgoing);
        if result.is_err() {
            self.take_alerts(outgoing);
        }
        result
    }

    /// What was agreed on, and the keys, once it is over.
    pub(crate) fn finish(self) -> Result<(Negotiated, Traffic), Error> {
        debug_assert!(self.records.is_empty());
        let negotiated = Negotiated::of(self.common())?;
        let (secrets, rekeying) = match self.side {
            Side::Server(connection) => {
                let (secrets, kernel) = connection.dangerous_into_kernel_connection()?;
                (secrets, Rekeying::Server(kernel))
            }
            Side::Client(connection) => {
                let (secrets, kernel) = connection.dangerous_into_kernel_connection()?;
                (secrets, Rekeying::Client(kernel))
            }
        };
        let traffic = Traffic::new(negotiated.version, secrets, rekeying)?;
        Ok((negotiated, traffic))
    }

    fn run(&mut self, outgoing: &mut Vec<u8>) -> Result<bool, Error> {
        loop {
            match self.step(outgoing)? {
                Step::More => {}
                Step::Blocked => return Ok(false),
                Step::Ready => return Ok(!self.common().is_handshaking()),
            }
        }
    }

    fn step(&mut self, outgoing: &mut Vec<u8>) -> Result<Step, Error> {
        let (discard, step) = match &mut self.side {
            Side::Server(connection) => take_step(connection.process_tls_records(&mut self.records), outgoing),
            Side::Client(connection) => take_step(connection.process_tls_records(&mut self.records), outgoing),
        };
        self.records.drain(..discard);
        step
    }

    /// Has rustls tell the peer what was wrong. It is asked no further than for what it has to say: it would read on, where it
    /// has failed already, in records that it remembers places of.
    fn take_alerts(&mut self, outgoing: &mut Vec<u8>) {
        while self.common().wants_write()
            && let Ok(Step::More) = self.step(outgoing)
        {}
    }

    fn common(&self) -> &CommonState {
        fn of_server(connection: &UnbufferedConnectionCommon<ServerConnectionData>) -> &CommonState {
            connection
        }
        fn of_client(connection: &UnbufferedConnectionCommon<ClientConnectionData>) -> &CommonState {
            connection
        }
        match &self.side {
            Side::Server(connection) => of_server(connection),
            Side::Client(connection) => of_client(connection),
        }
    }
}

/// Does what rustls asks for. Returns how many bytes of the records it is done with.
fn take_step<Data>(status: UnbufferedStatus<'_, '_, Data>, outgoing: &mut Vec<u8>) -> (usize, Result<Step, Error>) {
    let step = match status.state {
        Err(rustls::Error::AlertReceived(alert)) => Err(Error::Alert(alert)),
        Err(error) => Err(error.into()),
        Ok(ConnectionState::EncodeTlsData(mut message)) => {
            let start = outgoing.len();
            // It tells how long the message is.
            match message.encode(&mut []) {
                Err(EncodeError::InsufficientSize(needed)) => {
                    outgoing.resize(start + needed.required_size, 0);
                    message.encode(&mut outgoing[start..]).map(|_| Step::More).map_err(|_| Error::Internal)
                }
                _ => Err(Error::Internal),
            }
        }
        Ok(ConnectionState::TransmitTlsData(sent)) => {
            sent.done();
            Ok(Step::More)
        }
        Ok(ConnectionState::BlockedHandshake) => Ok(Step::Blocked),
        Ok(ConnectionState::WriteTraffic(_)) => Ok(Step::Ready),
        Ok(ConnectionState::PeerClosed | ConnectionState::Closed) => Err(Error::Ended),
        // Early data is not offered, and no record of data is given to rustls.
        Ok(_) => Err(Error::UnexpectedMessage),
    };
    (status.discard, step)
}
