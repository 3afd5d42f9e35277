//! The server's end of a connection: requests in, responses out, one exchange after another.
//!
//! The caller owns the buffers and the socket. It hands in the bytes that came, sends the bytes that were written, and
//! asks [`next`](ServerConnection::next) what becomes of the connection once a response is complete. Pipelined requests
//! need nothing special: their bytes wait in the caller's buffer until `next` says [`Next::KeepAlive`]. A caller that wants to know
//! them sooner reads their heads itself, and has each [taken up](ServerConnection::take_up) in its turn.

use super::body::{Decoded, Decoder};
use super::edits::Edits;
use super::encode::{DataFraming, Encoder, OutputError};
use super::read::{HeadScan, Parsed, parse_request};
use super::write::{self, ConnectionOption, ResponseFraming};
use crate::{BodyError, BodyLength, Limits, Method, RequestError, RequestHead, ResponseHead, Trailers, Version};

/// A connection in the role of the server.
#[derive(Debug)]
pub struct ServerConnection {
    state: State,
    /// The request's body; complete at once if there is none.
    decoder: Decoder,
    /// The response's body.
    encoder: Encoder,
    scan: HeadScan,
    method: Method,
    version: Version,
    /// Whether the connection may carry another exchange. Never becomes true again within one exchange.
    persistent: bool,
    /// The client may be waiting for 100 (Continue) before it sends the body.
    continue_awaited: bool,
    /// 100 (Continue) has been sent.
    continue_sent: bool,
}

/// Where the response stands. The request's body comes in beside it, from `parse_head` on, until the decoder is
/// complete.
///
/// ```text
///              parse_head: Complete, or an error (then the connection closes after the answer)
///   ┌─► Idle ───────────────────────────────────► Awaited ◄─┐
///   │                                              │  │  └───┘ write_continue, write_informational
///   │                                   write_head │  │ write_own
///   │                                              ▼  │
///   │            data_framing ┌──────────────► Sending│
///   │                         └─────────────────┘ │   │
///   │                                      finish │   │
///   │                                             ▼   ▼
///   │                                            (write_switch leads from Awaited to Switched, where nothing follows)
///   │  next: KeepAlive                           Complete ──► next: Close, or Drain until the request is complete
///   └─────────────────────────────────────────────┘
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// A request's head is awaited.
    Idle,
    /// A request has come, and no final response yet.
    Awaited,
    /// The final head is written, the body goes on.
    Sending,
    /// The response is complete.
    Complete,
    /// The connection has left HTTP: `write_switch`, from `Awaited`.
    Switched,
}

/// What becomes of the connection after a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// The next request may be parsed.
    KeepAlive,
    /// The connection has to be closed.
    Close,
    /// The request's body has not ended: read on and throw away, within a bound, then ask again; or close.
    Drain,
}

impl ServerConnection {
    /// A connection on which nothing has come yet.
    #[must_use]
    pub fn new() -> ServerConnection {
        ServerConnection {
            state: State::Idle,
            decoder: Decoder::new(BodyLength::None, &Limits::default()),
            encoder: Encoder::Awaiting,
            scan: HeadScan::default(),
            method: Method::Get,
            version: Version::Http11,
            persistent: true,
            continue_awaited: false,
            continue_sent: false,
        }
    }

    /// Reads the next request's head, as [`parse_request`]. `bytes` begin where the previous request ended; after
    /// `Partial` the same bytes are handed in again with more behind them. Unless new bytes could change the outcome,
    /// they are not parsed again, so a client that sends byte by byte costs no more than its lines; in return, a fault
    /// in a line that comes in pieces is reported when the line ends.
    ///
    /// # Errors
    /// As [`parse_request`]. The request may be answered with [`write_own`](Self::write_own), and the connection
    /// closes.
    pub fn parse_head(
        &mut self,
        bytes: &[u8],
        limits: &Limits,
        head: &mut RequestHead,
    ) -> Result<Parsed, RequestError> {
        assert!(self.state == State::Idle, "a head is read between two exchanges");
        if !self.scan.is_promising(bytes, limits) {
            return Ok(Parsed::Partial);
        }
        let parsed = parse_request(bytes, limits, head);
        self.scan.note(bytes, &parsed);
        if parsed != Ok(Parsed::Partial) {
            self.begin(parsed.is_ok(), head, limits);
        }
        parsed
    }

    /// Takes up the next request, whose head has been read by [`parse_request`] before its turn came. The next bytes are those
    /// behind it.
    pub fn take_up(&mut self, head: &RequestHead, limits: &Limits) {
        assert!(self.state == State::Idle, "a request is taken up between two exchanges");
        self.begin(true, head, limits);
    }

    #[inline]
    fn begin(&mut self, is_sound: bool, head: &RequestHead, limits: &Limits) {
        self.state = State::Awaited;
        self.method = head.method();
        self.version = head.version();
        self.persistent &= is_sound && head.persistent();
        let body = if is_sound { head.body() } else { BodyLength::None };
        self.decoder.reset(body, limits);
        self.continue_awaited = is_sound && head.expect_continue();
        self.continue_sent = false;
    }

    /// Goes on with the request's body, as [`Decoder::decode`].
    ///
    /// # Errors
    /// As [`Decoder::decode`]. The connection closes after the response.
    pub fn decode_body(&mut self, input: &[u8]) -> Result<Decoded, BodyError> {
        assert!(self.state != State::Idle, "a body follows its head");
        // A client that sends its body is not waiting any more.
        self.continue_awaited &= input.is_empty();
        let decoded = self.decoder.decode(input);
        self.persistent &= decoded.is_ok();
        decoded
    }

    /// The client will send nothing more.
    ///
    /// # Errors
    /// [`BodyError::Truncated`] if the request's body had not ended.
    pub fn handle_eof(&mut self) -> Result<(), BodyError> {
        self.persistent = false;
        self.decoder.handle_eof()
    }

    /// Whether the request has come whole, body included.
    #[inline]
    #[must_use]
    pub fn request_complete(&self) -> bool {
        self.decoder.is_complete()
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

    /// Data bytes of the request's body so far.
    #[inline]
    #[must_use]
    pub fn body_received(&self) -> u64 {
        self.decoder.received()
    }

    /// The request's trailers, once it is complete.
    #[must_use]
    pub fn trailers(&self) -> Option<&Trailers> {
        self.decoder.trailers()
    }

    /// Whether a request has come and no final response has begun.
    #[inline]
    #[must_use]
    pub fn response_awaited(&self) -> bool {
        self.state == State::Awaited
    }

    /// Whether both messages of the exchange are complete and the next request may follow, as things stand.
    #[inline]
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.state == State::Complete && self.persistent && self.decoder.is_complete()
    }

    /// Whether no exchange is under way.
    #[inline]
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.state == State::Idle
    }

    /// Whether the connection may go on after this exchange, as things stand.
    #[inline]
    #[must_use]
    pub fn persistent(&self) -> bool {
        self.persistent
    }

    /// Sends 100 (Continue) if the client is waiting for it and no final response has begun. Tells whether it did.
    pub fn write_continue(&mut self, out: &mut Vec<u8>) -> bool {
        let wanted = self.continue_awaited && self.state == State::Awaited && !self.decoder.is_complete();
        if wanted {
            write::write_continue(out);
            self.continue_awaited = false;
            self.continue_sent = true;
        }
        wanted
    }

    /// Passes on an informational response of an upstream, unless the client is of HTTP/1.0, which knows none (RFC 9110
    /// §15.2), or it is a 100 after our own.
    pub fn write_informational(&mut self, out: &mut Vec<u8>, head: &ResponseHead, bytes: &[u8]) {
        assert!(self.state == State::Awaited, "informational responses precede the final one");
        assert!(head.is_informational() && head.status() != 101, "a switch is no informational response");
        if self.version == Version::Http10 || (head.status() == 100 && self.continue_sent) {
            return;
        }
        if head.status() == 100 {
            self.continue_awaited = false;
            self.continue_sent = true;
        }
        write::write_response(out, head, bytes, &Edits::default(), ResponseFraming::None, ConnectionOption::None);
    }

    /// Writes the final response's head, whose body has the given length as far as its sender said; decides how the
    /// body is framed for this client and whether the connection goes on.
    pub fn write_head(
        &mut self,
        out: &mut Vec<u8>,
        head: &ResponseHead,
        bytes: &[u8],
        edits: &Edits,
        body: BodyLength,
    ) {
        assert!(!head.is_informational(), "a final response has a status of 200 or above");
        let framing = ResponseFraming::of(self.method, self.version, head.status(), body);
        self.begin_response(framing);
        write::write_response(out, head, bytes, edits, framing, self.connection_option());
    }

    /// Passes on the answer with which an upstream leaves HTTP: 101, or 2xx to CONNECT. What follows on the connection is no
    /// message.
    pub fn write_switch(&mut self, out: &mut Vec<u8>, head: &ResponseHead, bytes: &[u8], edits: &Edits) {
        assert!(self.state == State::Awaited, "a switch answers a request");
        if head.status() == 101 {
            write::write_switch(out, head, bytes, edits);
        } else {
            assert!(self.method == Method::Connect && (200..300).contains(&head.status()), "RFC 9110 §9.3.6");
            write::write_response(out, head, bytes, edits, ResponseFraming::None, ConnectionOption::None);
        }
        self.persistent = false;
        self.state = State::Switched;
    }

    /// Writes a whole response of our own. The body is left out where the request or the status allows none.
    pub fn write_own(&mut self, out: &mut Vec<u8>, status: u16, content_type: &str, body: &[u8], edits: &Edits) {
        assert!((200..1000).contains(&status), "a final response has a status of 200 or above");
        let length = BodyLength::Exact(body.len() as u64);
        let framing = ResponseFraming::of(self.method, self.version, status, length);
        self.begin_response(framing);
        write::write_status(out, status, content_type, body.len() as u64, edits, self.connection_option());
        if matches!(framing, ResponseFraming::Exact(_)) {
            out.extend_from_slice(body);
        }
        self.encoder = Encoder::Complete;
        self.state = State::Complete;
    }

    /// Announces a run of `data_bytes` of the response's body: what to send before and after it.
    ///
    /// # Errors
    /// If the head promised less. The connection has to be closed at once.
    pub fn data_framing(&mut self, data_bytes: usize) -> Result<DataFraming, OutputError> {
        assert!(self.state == State::Sending, "data follows a head");
        let framing = self.encoder.data_framing(data_bytes);
        self.persistent &= framing.is_ok();
        framing
    }

    /// Ends the response; to be called for responses without a body too, [`write_own`](Self::write_own) excepted.
    ///
    /// # Errors
    /// If the head promised more. The connection has to be closed at once.
    pub fn finish(&mut self, out: &mut Vec<u8>, trailers: Option<&Trailers>) -> Result<(), OutputError> {
        assert!(self.state == State::Sending, "a response ends after it has begun");
        let finished = self.encoder.finish(out, trailers);
        self.persistent &= finished.is_ok();
        self.state = State::Complete;
        finished
    }

    /// Lets this exchange be the last. If its head is not written yet, it will say so.
    pub fn force_close(&mut self) {
        self.persistent = false;
    }

    /// What becomes of the connection, now that the response is complete. After `KeepAlive` the next head may be
    /// parsed.
    #[expect(clippy::should_implement_trait, reason = "a verb of the connection, in the words of its callers")]
    pub fn next(&mut self) -> Next {
        if !self.persistent {
            return Next::Close;
        }
        assert!(self.state == State::Complete, "an exchange ends when its response does");
        if !self.decoder.is_complete() {
            return Next::Drain;
        }
        self.state = State::Idle;
        self.encoder = Encoder::Awaiting;
        Next::KeepAlive
    }

    fn begin_response(&mut self, framing: ResponseFraming) {
        assert!(self.state == State::Awaited, "one final response to a request");
        self.state = State::Sending;
        // A client that waits for 100 may send its body after this response or leave it out: what follows on the
        // connection could be either, so nothing may follow. RFC 9110 §10.1.1
        let body_in_doubt = self.continue_awaited && !self.decoder.is_complete();
        // What follows a refused CONNECT may be meant for the tunnel already.
        let ahead_in_doubt = self.method == Method::Connect;
        self.persistent &= !body_in_doubt && !ahead_in_doubt && framing != ResponseFraming::UntilClose;
        self.encoder = Encoder::starting(match framing {
            ResponseFraming::None | ResponseFraming::Described => BodyLength::None,
            ResponseFraming::Exact(length) => BodyLength::Exact(length),
            ResponseFraming::Chunked => BodyLength::Chunked,
            ResponseFraming::UntilClose => BodyLength::UntilClose,
        });
    }

    /// RFC 9112 §9.3
    fn connection_option(&self) -> ConnectionOption {
        match (self.persistent, self.version) {
            (false, _) => ConnectionOption::Close,
            (true, Version::Http10) => ConnectionOption::KeepAlive,
            (true, _) => ConnectionOption::None,
        }
    }
}

impl Default for ServerConnection {
    fn default() -> ServerConnection {
        ServerConnection::new()
    }
}
