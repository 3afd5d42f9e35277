//! Writing heads. Everything is appended to the caller's buffer.
//!
//! A head that is passed on keeps its fields' order, case and spacing: neighbours that nobody touched are copied in one
//! run. What concerns one connection only is left out, and what frames the message is written from what this crate
//! knows, never from what a peer claimed.

use super::edits::{Edits, RESERVED};
use crate::selection::Selection;
use crate::{BodyLength, FieldName, Method, RequestHead, ResponseHead, Target, Version};

pub use super::encode::{CRLF, ChunkSize, DataFraming, LAST_CHUNK, OutputError, write_trailers};

/// What the head says about the connection after this exchange. RFC 9112 §9.3
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ConnectionOption {
    /// Nothing: what the peer's version takes for granted.
    #[default]
    None,
    /// It will be closed.
    Close,
    /// It stays open, said to a peer of HTTP/1.0 that asked for it.
    KeepAlive,
}

/// How a response's body is framed on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResponseFraming {
    /// There is no body, and no field speaks of one: 1xx and 204. RFC 9110 §8.6
    None,
    /// There is no body, and Content-Length tells what there would be: the answer to HEAD, and 304.
    Described,
    /// Content-Length.
    Exact(u64),
    /// Transfer-Encoding: chunked.
    Chunked,
    /// The body ends with the connection.
    UntilClose,
}

impl ResponseFraming {
    /// How a response of that status, whose body has that length as far as its sender said, is framed for a client of that
    /// version who asked by that method. In HTTP/2, where frames tell the end of every body, `Chunked` only means that nothing
    /// is said about its length. RFC 9112 §6.3, from the sender's side
    #[must_use]
    pub fn of(method: Method, version: Version, status: u16, body: BodyLength) -> ResponseFraming {
        match (status, body) {
            (100..200 | 204, _) => ResponseFraming::None,
            (200..300, _) if method == Method::Connect => ResponseFraming::None,
            (304, _) => ResponseFraming::Described,
            _ if method == Method::Head => ResponseFraming::Described,
            (_, BodyLength::None) => ResponseFraming::Exact(0),
            (_, BodyLength::Exact(length)) => ResponseFraming::Exact(length),
            // RFC 9112 §6.1: a client of HTTP/1.0 does not know chunks.
            _ if version == Version::Http10 => ResponseFraming::UntilClose,
            _ => ResponseFraming::Chunked,
        }
    }
}

/// Appends a request's head as HTTP/1.1: Host first, then the target in the form that an origin server expects, then
/// what is left of the fields, the edits, and the framing that `head` has.
///
/// `fallback_authority` is the Host of a request whose client named none, as HTTP/1.0 allows: a valid `host [":"
/// port]`.
pub fn write_request(
    out: &mut Vec<u8>,
    head: &RequestHead,
    bytes: &[u8],
    edits: &Edits,
    fallback_authority: &[u8],
    connection: ConnectionOption,
) {
    out.reserve(head.len() + edits.appended().len() + fallback_authority.len() + 96);
    write_request_target(out, head, bytes);
    // RFC 9110 §7.2: Host is best sent first.
    out.extend_from_slice(b" HTTP/1.1\r\nHost: ");
    out.extend_from_slice(head.authority.map_or(fallback_authority, |authority| authority.of(bytes)));
    out.extend_from_slice(CRLF);

    let selection = Selection::of_request(head, bytes, edits, head.body == BodyLength::Chunked);
    write_fields(out, &selection, edits);
    if head.body == BodyLength::Chunked {
        out.extend_from_slice(b"Transfer-Encoding: chunked\r\n");
    }
    if edits.offered().is_empty() {
        write_connection(out, connection);
    } else {
        write_upgrade(out, edits.offered());
    }
    out.extend_from_slice(CRLF);
}

/// Appends the answer that switches protocols. RFC 9110 §15.2.2
pub fn write_switch(out: &mut Vec<u8>, head: &ResponseHead, bytes: &[u8], edits: &Edits) {
    debug_assert!(head.status == 101);
    out.extend_from_slice(b"HTTP/1.1 101 Switching Protocols\r\n");
    write_fields(out, &Selection::of_response(head, bytes, edits, ResponseFraming::None, false), edits);
    write_upgrade(out, head.value(FieldName::Upgrade, bytes).unwrap_or_default());
    out.extend_from_slice(CRLF);
}

/// Appends a response's head as HTTP/1.1, with the status and the reason that it had.
pub fn write_response(
    out: &mut Vec<u8>,
    head: &ResponseHead,
    bytes: &[u8],
    edits: &Edits,
    framing: ResponseFraming,
    connection: ConnectionOption,
) {
    out.reserve(head.len() + edits.appended().len() + 96);
    out.extend_from_slice(b"HTTP/1.1 ");
    write_status_code(out, head.status);
    out.extend_from_slice(b" ");
    out.extend_from_slice(head.reason.of(bytes));
    out.extend_from_slice(CRLF);

    let selection = Selection::of_response(head, bytes, edits, framing, framing == ResponseFraming::Chunked);
    write_fields(out, &selection, edits);
    match framing {
        ResponseFraming::Exact(length) if !selection.keeps(FieldName::ContentLength) => {
            write_content_length(out, length)
        }
        ResponseFraming::Chunked => out.extend_from_slice(b"Transfer-Encoding: chunked\r\n"),
        _ => {}
    }
    write_connection(out, connection);
    out.extend_from_slice(CRLF);
}

/// Appends the head of an answer of our own, with a body of `body_bytes` bytes of that type to follow; no type, no
/// Content-Type. `edits` may add lines (Date, say); there is nothing for it to remove.
pub fn write_status(
    out: &mut Vec<u8>,
    status: u16,
    content_type: &str,
    body_bytes: u64,
    edits: &Edits,
    connection: ConnectionOption,
) {
    debug_assert!((200..1000).contains(&status));
    out.extend_from_slice(b"HTTP/1.1 ");
    write_status_code(out, status);
    out.extend_from_slice(b" ");
    out.extend_from_slice(reason_phrase(status).as_bytes());
    out.extend_from_slice(CRLF);
    if !content_type.is_empty() {
        out.extend_from_slice(b"Content-Type: ");
        out.extend_from_slice(content_type.as_bytes());
        out.extend_from_slice(CRLF);
    }
    // RFC 9110 §8.6: never in a 204; in a 304 it would describe what we do not have.
    if status != 204 && status != 304 {
        write_content_length(out, body_bytes);
    }
    out.extend_from_slice(edits.appended());
    write_connection(out, connection);
    out.extend_from_slice(CRLF);
}

/// Appends 100 (Continue). RFC 9110 §15.2.1
pub fn write_continue(out: &mut Vec<u8>) {
    out.extend_from_slice(b"HTTP/1.1 100 Continue\r\n\r\n");
}

/// Method and target. An origin server gets the origin form (RFC 9112 §3.2.1) or, for the server as a whole, an
/// asterisk.
#[inline]
fn write_request_target(out: &mut Vec<u8>, head: &RequestHead, bytes: &[u8]) {
    match head.target {
        _ if head.is_rewritten() => {
            out.extend_from_slice(head.method_name(bytes));
            out.extend_from_slice(b" ");
            out.extend_from_slice(head.path_and_query(bytes));
        }
        Target::Origin | Target::Asterisk | Target::Authority => {
            out.extend_from_slice(&bytes[head.method_span.start as usize..head.target_span.end as usize]);
        }
        Target::Absolute(_) => {
            out.extend_from_slice(head.method_name(bytes));
            out.extend_from_slice(b" ");
            out.extend_from_slice(head.path(bytes));
            if let Some(query) = head.query {
                out.extend_from_slice(b"?");
                out.extend_from_slice(query.of(bytes));
            }
        }
    }
}

/// Copies the fields that are selected, run by run, and adds the edits' lines.
#[inline(always)]
fn write_fields(out: &mut Vec<u8>, selection: &Selection<'_>, edits: &Edits) {
    let (lines, bytes) = (selection.lines(), selection.bytes());
    if let (Some(first), Some(last)) = (lines.first(), lines.last()) {
        let mut run_start = first.line.start as usize;
        if !selection.is_everything() {
            for field in lines.iter().filter(|field| selection.leaves_out(field)) {
                out.extend_from_slice(&bytes[run_start..field.line.start as usize]);
                run_start = field.line.end as usize;
            }
        }
        out.extend_from_slice(&bytes[run_start..last.line.end as usize]);
    }
    out.extend_from_slice(edits.appended());
}

fn write_connection(out: &mut Vec<u8>, connection: ConnectionOption) {
    match connection {
        ConnectionOption::None => {}
        ConnectionOption::Close => out.extend_from_slice(b"Connection: close\r\n"),
        ConnectionOption::KeepAlive => out.extend_from_slice(b"Connection: keep-alive\r\n"),
    }
}

/// The connection's own fields of an upgrade, written anew.
fn write_upgrade(out: &mut Vec<u8>, protocol: &[u8]) {
    out.extend_from_slice(b"Connection: Upgrade\r\nUpgrade: ");
    out.extend_from_slice(protocol);
    out.extend_from_slice(CRLF);
}

fn write_content_length(out: &mut Vec<u8>, length: u64) {
    out.extend_from_slice(b"Content-Length: ");
    out.extend_from_slice(Decimal::new(length).as_bytes());
    out.extend_from_slice(CRLF);
}

fn write_status_code(out: &mut Vec<u8>, status: u16) {
    out.extend_from_slice(&status_digits(status));
}

/// The three digits of a status code.
#[inline]
pub(crate) fn status_digits(status: u16) -> [u8; 3] {
    let digit = |value: u16| b'0' + (value % 10) as u8;
    [digit(status / 100), digit(status / 10), digit(status)]
}

/// A number in decimal.
pub(crate) struct Decimal {
    digits: [u8; 20],
    start: usize,
}

impl Decimal {
    pub(crate) fn new(value: u64) -> Decimal {
        let mut decimal = Decimal { digits: [0; 20], start: 20 };
        let mut rest = value;
        loop {
            decimal.start -= 1;
            decimal.digits[decimal.start] = b'0' + (rest % 10) as u8;
            rest /= 10;
            if rest == 0 {
                return decimal;
            }
        }
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.digits[self.start..]
    }
}

/// The reason phrase of a status code: those that this proxy answers with itself, and those that come without one in HTTP/2 and go on
/// in HTTP/1 often enough. Empty for others, as the grammar allows. RFC 9110 §15
#[must_use]
pub fn reason_phrase(status: u16) -> &'static str {
    match status {
        100 => "Continue",
        101 => "Switching Protocols",
        103 => "Early Hints",
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        204 => "No Content",
        206 => "Partial Content",
        301 => "Moved Permanently",
        302 => "Found",
        303 => "See Other",
        304 => "Not Modified",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        408 => "Request Timeout",
        409 => "Conflict",
        410 => "Gone",
        411 => "Length Required",
        412 => "Precondition Failed",
        413 => "Content Too Large",
        414 => "URI Too Long",
        415 => "Unsupported Media Type",
        416 => "Range Not Satisfiable",
        417 => "Expectation Failed",
        421 => "Misdirected Request",
        422 => "Unprocessable Content",
        426 => "Upgrade Required",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        505 => "HTTP Version Not Supported",
        508 => "Loop Detected",
        _ => "",
    }
}

// Edits cannot name a field that this file writes.
const _: () = assert!(RESERVED.contains(FieldName::TransferEncoding) && RESERVED.contains(FieldName::Connection));
