//! The client's end of a connection: requests out, responses in, one exchange after another.
//!
//! Requests are not pipelined: each waits until [`reusable`](ClientConnection::reusable) says that the one before it
//! left nothing behind.

use super::body::{Decoded, Decoder};
use super::edits::Edits;
use super::encode::{DataFraming, Encoder, OutputError};
use super::read::{HeadScan, Parsed, parse_response};
use super::write::{self, ConnectionOption};
use crate::{BodyError, BodyLength, FieldName, Limits, Method, RequestHead, ResponseError, ResponseHead, Trailers};

/// Informational responses that may precede a final one.
pub const INFORMATIONAL_MAX: u8 = 16;

/// A connection in the role of the client.
#[derive(Debug)]
pub struct ClientConnection {
    state: State,
    /// The request's body.
    encoder: Encoder,
    /// The response's body; complete at once if there is none.
    decoder: Decoder,
    scan: HeadScan,
    method: Method,
    informational: u8,
    /// The protocol that the request offered to switch to; empty for none, and then nothing is allocated.
    offered: Vec<u8>,
    /// Whether the connection may carry another exchange, as far as both sides have said. Never becomes true again.
    persistent: bool,
}

/// Where the response stands. The request's body goes out beside it, from `write_head` to `finish`.
///
/// ```text
///                                     parse_head: 101 that was asked for, 2xx to CONNECT
///                            ┌───────────────────────────────► Switched
///            write_head      │        parse_head: final
///   ┌─► Idle ──────────► Awaited ─────────────────────► Receiving ─┐ decode_body
///   │                      └─┘ parse_head: 1xx             │ ▲─────┘
///   │                                                      │
///   └──────────────────────────────────────────────────────┘ reusable, then write_head
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// No request has been sent.
    Idle,
    /// A request's head has been sent, and no final response has come.
    Awaited,
    /// The final response's head has come.
    Receiving,
    /// The upstream has left HTTP: 101, or 2xx to CONNECT. What follows is no message.
    Switched,
}

impl ClientConnection {
    /// A connection on which nothing has been sent yet.
    #[must_use]
    pub fn new() -> ClientConnection {
        ClientConnection {
            state: State::Idle,
            encoder: Encoder::Awaiting,
            decoder: Decoder::new(BodyLength::None, &Limits::default()),
            scan: HeadScan::default(),
            method: Method::Get,
            informational: 0,
            offered: Vec::new(),
            persistent: true,
        }
    }

    /// Writes a request's head, as [`write::write_request`], and says `Connection: close` after
    /// [`force_close`](Self::force_close).
    pub fn write_head(
        &mut self,
        out: &mut Vec<u8>,
        head: &RequestHead,
        bytes: &[u8],
        edits: &Edits,
        fallback_authority: &[u8],
    ) {
        assert!(self.state == State::Idle || self.reusable(), "one exchange at a time");
        let connection = if self.persistent { ConnectionOption::None } else { ConnectionOption::Close };
        write::write_request(out, head, bytes, edits, fallback_authority, connection);
        self.state = State::Awaited;
        self.method = head.method();
        self.encoder = match head.body() {
            BodyLength::None => Encoder::Complete,
            length => Encoder::starting(length),
        };
        self.informational = 0;
        self.offered.clear();
        self.offered.extend_from_slice(edits.offered());
    }

    /// Announces a run of `data_bytes` of the request's body: what to send before and after it.
    ///
    /// # Errors
    /// If the head promised less. The connection has to be closed.
    pub fn data_framing(&mut self, data_bytes: usize) -> Result<DataFraming, OutputError> {
        let framing = self.encoder.data_framing(data_bytes);
        self.persistent &= framing.is_ok();
        framing
    }

    /// Ends the request. One without a body has ended with its head; then this does nothing.
    ///
    /// # Errors
    /// If the head promised more. The connection has to be closed.
    pub fn finish(&mut self, out: &mut Vec<u8>, trailers: Option<&Trailers>) -> Result<(), OutputError> {
        let finished = self.encoder.finish(out, trailers);
        self.persistent &= finished.is_ok();
        finished
    }

    /// Whether the request has been written whole, body included.
    #[inline]
    #[must_use]
    pub fn request_complete(&self) -> bool {
        self.encoder == Encoder::Complete
    }

    /// Reads the next response head, as [`parse_response`]. After an informational one the next is awaited; it begins
    /// where that one ended. `bytes` begin where the head before ended; after `Partial` the same bytes are handed in
    /// again with more behind them.
    ///
    /// # Errors
    /// As [`parse_response`]; also for bytes that answer no request, for a 101 that the request did not ask for, and for more than [`INFORMATIONAL_MAX`] informational responses. The connection has to be closed.
    pub fn parse_head(
        &mut self,
        bytes: &[u8],
        limits: &Limits,
        head: &mut ResponseHead,
    ) -> Result<Parsed, ResponseError> {
        if self.state == State::Idle || self.reusable() {
            return self.handle_idle_bytes(bytes).map(|()| Parsed::Partial);
        }
        assert!(self.state == State::Awaited, "one final response to a request");
        if !self.scan.is_promising(bytes, limits) {
            return Ok(Parsed::Partial);
        }
        let parsed = parse_response(bytes, limits, head);
        self.scan.note(bytes, &parsed);
        let outcome = match parsed {
            Ok(Parsed::Complete(_)) if head.status() == 101 => self.admit_switch(bytes, head).and(parsed),
            Ok(Parsed::Complete(_)) if self.method == Method::Connect && (200..300).contains(&head.status()) => {
                self.switch();
                parsed
            }
            Ok(Parsed::Complete(_)) if head.is_informational() => self.admit_informational().and(parsed),
            Ok(Parsed::Complete(len)) => {
                self.begin_response(head, limits, bytes.len() - len);
                parsed
            }
            _ => parsed,
        };
        self.persistent &= outcome.is_ok();
        outcome
    }

    /// Goes on with the response's body, as [`Decoder::decode`]. Bytes behind its end make the connection unusable.
    ///
    /// # Errors
    /// As [`Decoder::decode`]. The connection has to be closed.
    pub fn decode_body(&mut self, input: &[u8]) -> Result<Decoded, BodyError> {
        assert!(self.state == State::Receiving, "a body follows its head");
        let decoded = self.decoder.decode(input);
        self.persistent &= match &decoded {
            Ok(decoded) => !decoded.complete || decoded.consumed == input.len(),
            Err(_) => false,
        };
        decoded
    }

    /// The upstream will send nothing more.
    ///
    /// # Errors
    /// [`BodyError::Truncated`] if a response was still to come or to end.
    pub fn handle_eof(&mut self) -> Result<(), BodyError> {
        self.persistent = false;
        match self.state {
            State::Idle => Ok(()),
            State::Awaited => Err(BodyError::Truncated),
            State::Receiving => self.decoder.handle_eof(),
            State::Switched => Ok(()),
        }
    }

    /// Bytes came while no exchange was under way.
    ///
    /// # Errors
    /// [`ResponseError::Unsolicited`] if there are any: an answer to a question that was not asked would be taken for
    /// the answer to the next.
    pub fn handle_idle_bytes(&mut self, bytes: &[u8]) -> Result<(), ResponseError> {
        if bytes.is_empty() {
            return Ok(());
        }
        self.persistent = false;
        Err(ResponseError::Unsolicited)
    }

    /// Whether the upstream has left HTTP, so that what follows is for the client as it is.
    #[inline]
    #[must_use]
    pub fn switched(&self) -> bool {
        self.state == State::Switched
    }

    /// Whether a request has been sent and no final response has come.
    #[inline]
    #[must_use]
    pub fn response_awaited(&self) -> bool {
        self.state == State::Awaited
    }

    /// Whether the response has come whole, body included.
    #[inline]
    #[must_use]
    pub fn response_complete(&self) -> bool {
        self.state == State::Receiving && self.decoder.is_complete()
    }

    /// As [`Decoder::run`].
    #[inline]
    #[must_use]
    pub fn body_run(&self) -> u64 {
        self.decoder.run()
    }

    /// As [`Decoder::pass`].
    ///
    /// # Panics
    /// As there.
    pub fn pass_body(&mut self, bytes: u64) {
        self.decoder.pass(bytes);
    }

    /// Data bytes of the response's body so far.
    #[inline]
    #[must_use]
    pub fn body_received(&self) -> u64 {
        self.decoder.received()
    }

    /// The response's trailers, once it is complete.
    #[must_use]
    pub fn trailers(&self) -> Option<&Trailers> {
        self.decoder.trailers()
    }

    /// Whether the next request may be sent: both messages of the last exchange are complete, the request before its
    /// answer, neither side wants to close, and no byte is left over.
    #[must_use]
    pub fn reusable(&self) -> bool {
        self.persistent && self.response_complete() && self.request_complete()
    }

    /// Lets this exchange be the last. If its head is not written yet, it will say so.
    pub fn force_close(&mut self) {
        self.persistent = false;
    }

    /// RFC 9110 §7.8 and §15.2.2: only to what was offered, and only once the request is whole.
    fn admit_switch(&mut self, bytes: &[u8], head: &ResponseHead) -> Result<(), ResponseError> {
        let named = head.connection.known.contains(FieldName::Upgrade);
        let protocol = head.value(FieldName::Upgrade, bytes).unwrap_or_default();
        let asked = !self.offered.is_empty() && protocol.eq_ignore_ascii_case(&self.offered);
        if !named || !asked || head.fields.repeated.contains(FieldName::Upgrade) || !self.request_complete() {
            return Err(ResponseError::SwitchUnasked);
        }
        self.switch();
        Ok(())
    }

    fn switch(&mut self) {
        self.persistent = false;
        self.state = State::Switched;
    }

    fn admit_informational(&mut self) -> Result<(), ResponseError> {
        if self.informational == INFORMATIONAL_MAX {
            return Err(ResponseError::InformationalTooMany { max: INFORMATIONAL_MAX });
        }
        self.informational += 1;
        Ok(())
    }

    fn begin_response(&mut self, head: &ResponseHead, limits: &Limits, bytes_left: usize) {
        let body = head.body_for(self.method);
        self.state = State::Receiving;
        self.decoder.reset(body, limits);
        // An answer that came before the request was complete may be followed by anything: the upstream may read the
        // rest of the request as the next one (0.CL desync), even if we send it.
        let early = !self.request_complete();
        let surplus = self.decoder.is_complete() && bytes_left > 0;
        self.persistent &= head.persistent() && body != BodyLength::UntilClose && !early && !surplus;
    }
}

impl Default for ClientConnection {
    fn default() -> ClientConnection {
        ClientConnection::new()
    }
}
