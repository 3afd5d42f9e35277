//! Writing heads of HTTP/2: trusted heads become blocks of compressed fields. RFC 9113 §8
//!
//! What goes into a block is what [`h1::write`](crate::h1::write) would put on the wire, by the same selection: fields of one
//! connection are left out, edits are made, and what frames the message is said from what this crate knows. Names are in lower
//! case, Host is `:authority`, and an upgrade is an extended CONNECT (RFC 8441), or the answer to one.
//!
//! Blocks depend on those before them: they are sent in the order in which they are written.

use crate::h1::Edits;
use crate::h1::gate::members;
use crate::h1::write::{Decimal, ResponseFraming, status_digits};
use crate::hpack::{Encoder, Pseudo, Spelling};
use crate::selection::Selection;
use crate::{Field, FieldName, RequestHead, ResponseHead, Scheme, Trailers};

/// Writes all heads and trailers that are sent to one peer on a connection. Everything is appended to the caller's buffer.
#[derive(Debug)]
pub struct HeadEncoder {
    hpack: Encoder,
    /// A name in lower case, or a path that is put together.
    scratch: Vec<u8>,
}

/// Fields of the handshake of a WebSocket that an extended CONNECT has no use for. RFC 8441 §5
const UPGRADE_ONLY: [&[u8]; 2] = [b"sec-websocket-key", b"sec-websocket-accept"];

impl HeadEncoder {
    /// An encoder whose table has at most so many bytes: see [`Encoder::new`].
    #[must_use]
    pub fn new(table_bytes_max: u32) -> HeadEncoder {
        HeadEncoder { hpack: Encoder::new(table_bytes_max), scratch: Vec::new() }
    }

    /// As [`Encoder::set_table_bytes_max`].
    pub fn set_table_bytes_max(&mut self, peer_bytes_max: u32) {
        self.hpack.set_table_bytes_max(peer_bytes_max);
    }

    /// Writes a request's head. One that offers an upgrade ([`Edits::offer`]) becomes an extended CONNECT, which the peer must have
    /// allowed, and whose stream does not end with the head.
    ///
    /// `scheme` is how the peer is reached; `fallback_authority` stands for the client that named no host.
    pub fn write_request(
        &mut self,
        out: &mut Vec<u8>,
        head: &RequestHead,
        bytes: &[u8],
        edits: &Edits,
        scheme: Scheme,
        fallback_authority: &[u8],
    ) {
        // An upstream is near, and bytes are cheap there: what the Huffman code would save is not worth what it costs both ends.
        self.hpack.set_spelling(Spelling::Plain);
        self.hpack.begin(out);
        let is_upgrade = !edits.offered().is_empty();
        let method = if is_upgrade { b"CONNECT" } else { head.method_name(bytes) };
        self.hpack.pseudo(Pseudo::Method, method, out);
        if is_upgrade {
            self.hpack.pseudo(Pseudo::Protocol, edits.offered(), out);
        }
        let authority = head.authority.map(|authority| authority.of(bytes)).filter(|authority| !authority.is_empty());
        let is_tunnel = head.target == crate::Target::Authority;
        if !is_tunnel {
            let scheme = match scheme {
                Scheme::Http => b"http".as_slice(),
                Scheme::Https => b"https",
            };
            self.hpack.pseudo(Pseudo::Scheme, scheme, out);
        }
        self.hpack.pseudo(Pseudo::Authority, authority.unwrap_or(fallback_authority), out);
        if !is_tunnel {
            self.write_path(out, head, bytes);
        }
        // Trailers may follow every body: frames tell its end.
        let selection = Selection::of_request(head, bytes, edits, true);
        self.write_fields(out, &selection, is_upgrade);
        if accepts_trailers(head, bytes) {
            self.hpack.field(FieldName::Te, b"trailers", false, out);
        }
        self.write_appended(out, edits);
    }

    /// Writes a response's head, informational ones included. Its `framing` is that of [`ResponseFraming::of`]; a stream whose
    /// response has no content ends with the head.
    pub fn write_response(
        &mut self,
        out: &mut Vec<u8>,
        head: &ResponseHead,
        bytes: &[u8],
        edits: &Edits,
        framing: ResponseFraming,
    ) {
        debug_assert!(head.status != 101, "HTTP/2 knows no switch");
        self.begin_response(out, head.status);
        let trailers = matches!(framing, ResponseFraming::Exact(_) | ResponseFraming::Chunked);
        let selection = Selection::of_response(head, bytes, edits, framing, trailers);
        self.write_fields(out, &selection, false);
        if let ResponseFraming::Exact(length) = framing
            && !selection.keeps(FieldName::ContentLength)
        {
            self.write_content_length(out, length);
        }
        self.write_appended(out, edits);
    }

    /// Writes the answer by which an extended CONNECT is accepted, from the 101 that an upgrade was accepted with. RFC 8441 §5
    pub fn write_switch(&mut self, out: &mut Vec<u8>, head: &ResponseHead, bytes: &[u8], edits: &Edits) {
        debug_assert!(head.status == 101);
        self.begin_response(out, 200);
        let selection = Selection::of_response(head, bytes, edits, ResponseFraming::None, false);
        self.write_fields(out, &selection, true);
        self.write_appended(out, edits);
    }

    /// Writes the head of an answer of our own, with a body of `body_bytes` bytes of that type to follow; no type, no
    /// Content-Type.
    pub fn write_status(&mut self, out: &mut Vec<u8>, status: u16, content_type: &str, body_bytes: u64, edits: &Edits) {
        debug_assert!((200..1000).contains(&status));
        self.begin_response(out, status);
        if !content_type.is_empty() {
            self.hpack.field(FieldName::ContentType, content_type.as_bytes(), false, out);
        }
        // RFC 9110 §8.6, as in HTTP/1.
        if status != 204 && status != 304 {
            self.write_content_length(out, body_bytes);
        }
        self.write_appended(out, edits);
    }

    /// Writes 100 (Continue). RFC 9110 §15.2.1
    pub fn write_continue(&mut self, out: &mut Vec<u8>) {
        self.begin_response(out, 100);
    }

    /// Writes a trailer section, with which the stream ends.
    pub fn write_trailers(&mut self, out: &mut Vec<u8>, trailers: &Trailers) {
        self.hpack.begin(out);
        for field in trailers.fields() {
            self.write_field(out, field, trailers.bytes());
        }
    }

    fn begin_response(&mut self, out: &mut Vec<u8>, status: u16) {
        self.hpack.begin(out);
        self.hpack.pseudo(Pseudo::Status, &status_digits(status), out);
    }

    /// Path and query as one. An absolute-form target may have a query and no path.
    fn write_path(&mut self, out: &mut Vec<u8>, head: &RequestHead, bytes: &[u8]) {
        let target = head.path_and_query(bytes);
        if target.first() != Some(&b'?') {
            return self.hpack.pseudo(Pseudo::Path, target, out);
        }
        self.scratch.clear();
        self.scratch.push(b'/');
        self.scratch.extend_from_slice(target);
        self.hpack.pseudo(Pseudo::Path, &self.scratch, out);
    }

    #[inline]
    fn write_fields(&mut self, out: &mut Vec<u8>, selection: &Selection<'_>, is_upgrade: bool) {
        let bytes = selection.bytes();
        let is_everything = selection.is_everything();
        for field in selection.lines() {
            let is_left_out =
                !is_everything && selection.leaves_out(field) || is_upgrade && is_upgrade_only(field, bytes);
            if !is_left_out {
                self.write_field(out, field, bytes);
            }
        }
    }

    #[inline]
    fn write_field(&mut self, out: &mut Vec<u8>, field: &Field, bytes: &[u8]) {
        self.write_parts(out, field.token, field.name.of(bytes), field.value.of(bytes), field.never_indexed);
    }

    /// The lines that edits add: each is a name, a colon and a space, and a value.
    fn write_appended(&mut self, out: &mut Vec<u8>, edits: &Edits) {
        let mut rest = edits.appended();
        while let Some(end) = memchr::memchr(b'\n', rest) {
            let line = &rest[..end - 1];
            let colon = memchr::memchr(b':', line).expect("a line of edits has a colon");
            let (name, value) = (&line[..colon], &line[colon + 2..]);
            self.write_parts(out, FieldName::of(name), name, value.trim_ascii(), false);
            rest = &rest[end + 1..];
        }
    }

    #[inline]
    fn write_parts(&mut self, out: &mut Vec<u8>, token: FieldName, name: &[u8], value: &[u8], never_indexed: bool) {
        if token != FieldName::Other {
            return self.hpack.field(token, value, never_indexed, out);
        }
        if !name.iter().any(u8::is_ascii_uppercase) {
            return self.hpack.field_named(name, value, never_indexed, out);
        }
        self.scratch.clear();
        self.scratch.extend_from_slice(name);
        self.scratch.make_ascii_lowercase();
        self.hpack.field_named(&self.scratch, value, never_indexed, out);
    }

    fn write_content_length(&mut self, out: &mut Vec<u8>, length: u64) {
        self.hpack.field(FieldName::ContentLength, Decimal::new(length).as_bytes(), false, out);
    }
}

fn is_upgrade_only(field: &Field, bytes: &[u8]) -> bool {
    field.token == FieldName::Other && UPGRADE_ONLY.iter().any(|name| field.name.of(bytes).eq_ignore_ascii_case(name))
}

/// Whether the client understands trailers. Ringway passes them on whether it does or not; that it does is worth telling, since
/// there are servers that refuse a call of gRPC without it. Nothing else of a TE goes on. RFC 9113 §8.2.2
fn accepts_trailers(head: &RequestHead, bytes: &[u8]) -> bool {
    head.names().contains(FieldName::Te)
        && head
            .fields()
            .iter()
            .filter(|field| field.token == FieldName::Te)
            .flat_map(|field| members(field.value, bytes))
            .any(|member| member.of(bytes).eq_ignore_ascii_case(b"trailers"))
}
