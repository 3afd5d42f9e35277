//! The gate of HTTP/2: a block of compressed fields becomes a trusted head, or is refused. RFC 9113 §8
//!
//! What comes out is what comes out of the gate of HTTP/1: a run of text, and a head whose spans refer to it. The text is the
//! head that an HTTP/1 peer would have sent,
//!
//! ```text
//! GET /path?query HTTP/1.1            HTTP/1.1 200 OK
//! host: a.example                     content-type: text/plain
//! accept: */*
//! cookie: a=1; b=2
//! ```
//!
//! so that whoever routes, filters, records or writes it needs to know nothing of the version it came in; only
//! [`version`](crate::RequestHead::version) tells. Pseudo-header fields become the start line and Host, the crumbs of a cookie one line
//! (§8.2.3), and an extended CONNECT (RFC 8441) what it stands for: a GET that asks for an upgrade. A 2xx that answers one
//! becomes the 101 that a client of HTTP/1 waits for.
//!
//! What HTTP/2 itself demands is checked here, field by field: order and completeness of pseudo-header fields, names without
//! capitals, nothing that concerns a connection of HTTP/1. Then the text passes the rules that it shares with HTTP/1's, at the
//! same gate as that one's.
//!
//! A message that is refused is no reason to end the connection: the rest of its block is decoded, so that the tables stay in
//! step, and thrown away. Only a block that goes on without end is not followed to the end ([`HeadError::Excessive`]).

mod error;
mod lines;
mod request;
mod response;

pub use error::{Excess, HeadError, MalformedHead};

use std::ops::ControlFlow;

use request::RequestReader;
use response::ResponseReader;

use crate::field::FieldLines;
use crate::hpack::{Decoder, HeaderField, HpackError, Name};
use crate::{Limits, Method, RequestHead, ResponseHead, Trailers};

/// Reads all heads and trailers that one peer sends on a connection, in the order in which their blocks came.
#[derive(Debug)]
pub struct HeadDecoder {
    hpack: Decoder,
    /// What the pseudo-header fields of a request say, one behind the other.
    pseudo: Vec<u8>,
    /// The crumbs of a request's cookie.
    cookie: Vec<u8>,
}

/// What a response answers.
#[derive(Debug, Clone, Copy, Default)]
pub struct Asked<'a> {
    /// The method of the request as its sender knows it: not CONNECT for an upgrade that was sent as an extended one.
    pub method: Method,
    /// The protocol of an extended CONNECT; empty for none.
    pub protocol: &'a [u8],
}

impl HeadDecoder {
    /// A decoder whose table has at most so many bytes: see [`Decoder::new`].
    #[must_use]
    pub fn new(table_bytes_max: u32) -> HeadDecoder {
        HeadDecoder { hpack: Decoder::new(table_bytes_max), pseudo: Vec::new(), cookie: Vec::new() }
    }

    /// As [`Decoder::set_table_bytes_max`].
    pub fn set_table_bytes_max(&mut self, table_bytes_max: u32) {
        self.hpack.set_table_bytes_max(table_bytes_max);
    }

    /// Reads a request's head from its whole block into `head`, whose spans refer to `bytes`; what both had before is forgotten.
    /// `end_stream` tells whether the stream ends with the block. After an error both mean nothing.
    ///
    /// Bounds are those of an HTTP/1 head, but that each field counts 32 bytes besides its name and value (RFC 9113 §6.5.2), and
    /// that there may be as many crumbs of a cookie as fields.
    ///
    /// # Errors
    /// The first violation of the protocol or of a limit. [`HeadError::is_connection_error`] tells what it ends.
    pub fn decode_request(
        &mut self,
        block: &[u8],
        limits: &Limits,
        end_stream: bool,
        head: &mut RequestHead,
        bytes: &mut Vec<u8>,
    ) -> Result<(), HeadError> {
        let HeadDecoder { hpack, pseudo, cookie } = self;
        let mut reader = RequestReader::new(head, bytes, pseudo, cookie, limits);
        decode(hpack, block, limits, &mut reader)?;
        reader.finish(end_stream)
    }

    /// Reads a response's head, informational or final, in the manner of [`decode_request`](Self::decode_request).
    ///
    /// # Errors
    /// As there.
    pub fn decode_response(
        &mut self,
        block: &[u8],
        limits: &Limits,
        end_stream: bool,
        asked: Asked<'_>,
        head: &mut ResponseHead,
        bytes: &mut Vec<u8>,
    ) -> Result<(), HeadError> {
        let mut reader = ResponseReader::new(head, bytes, asked, limits);
        decode(&mut self.hpack, block, limits, &mut reader)?;
        reader.finish(end_stream)
    }

    /// Reads a trailer section. What may not stand in one is left out, as in HTTP/1.
    ///
    /// # Errors
    /// As [`decode_request`](Self::decode_request).
    pub fn decode_trailers(&mut self, block: &[u8], limits: &Limits, trailers: &mut Trailers) -> Result<(), HeadError> {
        trailers.clear();
        let (bytes, fields) = trailers.parts();
        decode(&mut self.hpack, block, limits, &mut TrailerReader { bytes, fields, limits })?;
        let (bytes, _) = trailers.parts();
        bytes.extend_from_slice(b"\r\n");
        trailers.retain_allowed();
        Ok(())
    }

    /// Decodes a block that nobody wants any more, so that the tables stay in step.
    ///
    /// # Errors
    /// If the connection has to be closed.
    pub fn discard(&mut self, block: &[u8], limits: &Limits) -> Result<(), HeadError> {
        let mut list_bytes = 0;
        let mut count = |field: HeaderField<'_>| {
            list_bytes += field.list_bytes();
            within(list_bytes, limits)
        };
        self.hpack.decode(block, &mut count).map_err(compression)
    }
}

/// One kind of message, field by field.
trait Reader {
    /// Takes the next field of the block.
    fn take(&mut self, field: &HeaderField<'_>) -> Result<(), HeadError>;
}

/// Decodes a whole block, also behind a fault, which is then what is reported.
fn decode(hpack: &mut Decoder, block: &[u8], limits: &Limits, reader: &mut impl Reader) -> Result<(), HeadError> {
    let max = limits.head_bytes_max;
    let mut list_bytes = 0;
    let mut fault = None;
    let mut sink = |field: HeaderField<'_>| {
        list_bytes += field.list_bytes();
        if fault.is_none() {
            fault = match list_bytes > u64::from(max) {
                true => Some(HeadError::TooLarge(Excess::Head { max })),
                false => reader.take(&field).err(),
            };
        }
        within(list_bytes, limits)
    };
    hpack.decode(block, &mut sink).map_err(compression)?;
    fault.map_or(Ok(()), Err)
}

/// Whether a block is followed any further, though what it says is thrown away: one that names fields of the table again and
/// again is a few bytes for us to receive and any amount of work to decode.
fn within(list_bytes: u64, limits: &Limits) -> ControlFlow<()> {
    /// How many lists of the size that is allowed.
    const LISTS_MAX: u64 = 4;
    if list_bytes > LISTS_MAX * u64::from(limits.head_bytes_max) {
        return ControlFlow::Break(());
    }
    ControlFlow::Continue(())
}

fn compression(error: HpackError) -> HeadError {
    match error {
        HpackError::Abandoned => HeadError::Excessive,
        error => HeadError::Compression(error),
    }
}

struct TrailerReader<'a> {
    bytes: &'a mut Vec<u8>,
    fields: &'a mut FieldLines,
    limits: &'a Limits,
}

impl Reader for TrailerReader<'_> {
    fn take(&mut self, field: &HeaderField<'_>) -> Result<(), HeadError> {
        let name = match field.key {
            Name::Field(name) => name,
            Name::Invalid => return Err(lines::invalid_name(field)),
            // RFC 9113 §8.1
            Name::Pseudo(pseudo) => return Err(MalformedHead::PseudoMisplaced(pseudo).into()),
        };
        lines::check(name, field)?;
        lines::push(self.bytes, self.fields, self.limits, name, field)
    }
}
