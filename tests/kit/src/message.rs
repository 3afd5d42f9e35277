//! HTTP/1.1 messages as a plain reader sees them. Nothing is judged, normalised or repaired: that is what is under test.

use std::collections::BTreeSet;
use std::fmt;

/// The start line and fields of a message, in the order and case in which they came.
#[derive(Clone, PartialEq, Eq)]
pub struct Head {
    /// The bytes, from the start line to the blank line, both included.
    pub raw: Vec<u8>,
    /// The request line or status line, without its line end.
    pub start_line: String,
    /// Names and values. The value is without the blanks around it; bytes above 127 are read as Latin-1.
    pub fields: Vec<(String, String)>,
}

impl Head {
    /// Reads a head, up to its blank line; what follows is left out.
    #[must_use]
    pub fn parse(raw: &[u8]) -> Head {
        let end = raw.windows(4).position(|window| window == b"\r\n\r\n").map_or(raw.len(), |at| at + 4);
        let raw = &raw[..end];
        let text: String = raw.iter().copied().map(char::from).collect();
        let mut lines = text.split("\r\n");
        let start_line = lines.next().unwrap_or_default().to_owned();
        Head { raw: raw.to_vec(), start_line, fields: lines.filter_map(field).collect() }
    }

    /// The status code of a response, 0 if the start line has none.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.start_line.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0)
    }

    /// The method of a request.
    #[must_use]
    pub fn method(&self) -> &str {
        self.start_line.split(' ').next().unwrap_or_default()
    }

    /// The target of a request.
    #[must_use]
    pub fn target(&self) -> &str {
        self.start_line.split(' ').nth(1).unwrap_or_default()
    }

    /// The value of the first field of that name, in any case.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&str> {
        self.values(name).first().copied()
    }

    /// The values of all fields of that name, in order.
    #[must_use]
    pub fn values(&self, name: &str) -> Vec<&str> {
        self.fields.iter().filter(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str()).collect()
    }

    /// Whether a list-valued field names `token`.
    #[must_use]
    pub fn lists(&self, name: &str, token: &str) -> bool {
        self.values(name).iter().flat_map(|value| value.split(',')).any(|t| t.trim().eq_ignore_ascii_case(token))
    }

    /// The fields that are meant for the other end (RFC 9110 §7.6.1), in order, without those named in `except`: all but the
    /// fields of one connection, and those that the connection's own `Connection` field names.
    #[must_use]
    pub fn end_to_end(&self, except: &[&str]) -> Vec<(String, String)> {
        let mut hop: BTreeSet<String> =
            ["connection", "keep-alive", "proxy-connection", "te", "transfer-encoding", "upgrade"]
                .into_iter()
                .chain(except.iter().copied())
                .map(str::to_ascii_lowercase)
                .collect();
        let named = self.values("connection");
        hop.extend(named.iter().flat_map(|value| value.split(',')).map(|name| name.trim().to_ascii_lowercase()));
        self.fields.iter().filter(|(name, _)| !hop.contains(&name.to_ascii_lowercase())).cloned().collect()
    }

    /// How the body of this request is delimited (RFC 9112 §6.3).
    #[must_use]
    pub fn request_framing(&self) -> Framing {
        match self.declared_framing() {
            Framing::UntilClose => Framing::Length(0),
            framing => framing,
        }
    }

    /// How the body of this response to a request with `method` is delimited (RFC 9112 §6.3).
    #[must_use]
    pub fn response_framing(&self, method: &str) -> Framing {
        let status = self.status();
        if method == "HEAD" || (100..200).contains(&status) || status == 204 || status == 304 {
            return Framing::Length(0);
        }
        self.declared_framing()
    }

    fn declared_framing(&self) -> Framing {
        if self.lists("transfer-encoding", "chunked") {
            return Framing::Chunked;
        }
        match self.field("content-length") {
            Some(length) => Framing::Length(length.parse().expect("a content length in digits")),
            None => Framing::UntilClose,
        }
    }
}

impl fmt::Debug for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.raw.escape_ascii())
    }
}

/// How a body is delimited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// By a number of bytes.
    Length(u64),
    /// By chunks.
    Chunked,
    /// By the end of the connection.
    UntilClose,
}

/// A whole message.
#[derive(Debug, Clone)]
pub struct Message {
    /// Its head.
    pub head: Head,
    /// Its body, decoded.
    pub body: Vec<u8>,
    /// The fields after the last chunk.
    pub trailers: Vec<(String, String)>,
    /// The heads of 1xx responses that came before.
    pub interim: Vec<Head>,
}

impl Message {
    /// The status code of a response.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.head.status()
    }

    /// The body as text, for messages.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// `body` in chunks of at most `chunk_bytes_max`, with the last chunk and an empty trailer section.
#[must_use]
pub fn chunked(body: &[u8], chunk_bytes_max: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(body.len() + body.len() / chunk_bytes_max * 10 + 16);
    for chunk in body.chunks(chunk_bytes_max) {
        out.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
        out.extend_from_slice(chunk);
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"0\r\n\r\n");
    out
}

/// Splits a field line; `None` for a blank one.
pub(crate) fn field(line: &str) -> Option<(String, String)> {
    let (name, value) = line.split_once(':')?;
    Some((name.to_owned(), value.trim_matches([' ', '\t']).to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_keeps_case_and_order() {
        let head = Head::parse(b"GET /x HTTP/1.1\r\nHost: a\r\nX-B: 1\r\nx-b:2 \r\nConnection: X-C\r\nX-C: 3\r\n\r\n");
        assert_eq!((head.method(), head.target()), ("GET", "/x"));
        assert_eq!(head.values("X-b"), ["1", "2"]);
        let names: Vec<_> = head.end_to_end(&["host"]).into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["X-B", "x-b"]);
    }

    #[test]
    fn framing_follows_the_rules_of_each_side() {
        let request = Head::parse(b"POST / HTTP/1.1\r\n\r\n");
        assert_eq!(request.request_framing(), Framing::Length(0));
        let response = Head::parse(b"HTTP/1.1 200 OK\r\n\r\n");
        assert_eq!(response.response_framing("GET"), Framing::UntilClose);
        assert_eq!(response.response_framing("HEAD"), Framing::Length(0));
        let chunked = Head::parse(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
        assert_eq!(chunked.response_framing("GET"), Framing::Chunked);
    }
}
