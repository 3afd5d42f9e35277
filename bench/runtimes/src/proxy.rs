//! What every variant shares: the settings, the size of a buffer, and where a message ends.

use std::{io, net::SocketAddr, sync::LazyLock};

use memchr::memmem::Finder;

/// Size of the one buffer that a client connection owns. It bounds a head, and is the unit in which bodies are streamed.
pub(crate) const BUFFER_BYTES: usize = 64 * 1024;

/// How many connections the kernel may hold for a listener before they are accepted; what most runtimes ask for.
pub(crate) const BACKLOG_CONNECTIONS: i32 = 1024;

/// Where clients are accepted, and where their requests go.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Settings {
    pub(crate) listen: SocketAddr,
    pub(crate) upstream: SocketAddr,
}

/// Whether `received` is one whole request.
///
/// # Errors
/// Bytes after the head are a body or a pipelined request, and a head that fills the buffer never ends: this proxy
/// serves neither.
pub(crate) fn is_request(received: &[u8]) -> io::Result<bool> {
    match head_bytes(received) {
        Some(head_bytes) if head_bytes == received.len() => Ok(true),
        Some(_) => Err(invalid("bytes follow the head of a request")),
        None if received.len() == BUFFER_BYTES => Err(invalid("the head of a request does not fit the buffer")),
        None => Ok(false),
    }
}

/// The length of the response that `received` starts, head and body, once its head is complete.
///
/// # Errors
/// Fails on a response whose length is not given by one well-formed `Content-Length`, and on a head that fills the
/// buffer.
pub(crate) fn response_bytes(received: &[u8]) -> io::Result<Option<u64>> {
    let Some(head_bytes) = head_bytes(received) else {
        return if received.len() == BUFFER_BYTES {
            Err(invalid("the head of a response does not fit the buffer"))
        } else {
            Ok(None)
        };
    };
    let body_bytes =
        content_length(&received[..head_bytes]).ok_or_else(|| invalid("a response without a valid Content-Length"))?;
    (head_bytes as u64).checked_add(body_bytes).map(Some).ok_or_else(|| invalid("a response of more than 2^64 bytes"))
}

/// What is left of a response of which `unread_bytes` were awaited and `received_bytes` arrived; none arrive at the end
/// of the stream.
///
/// # Errors
/// Fails when the upstream closed too early or sent more than its head announced.
pub(crate) fn bytes_left(unread_bytes: u64, received_bytes: usize) -> io::Result<u64> {
    if received_bytes == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    unread_bytes.checked_sub(received_bytes as u64).ok_or_else(|| invalid("a response longer than its Content-Length"))
}

fn head_bytes(received: &[u8]) -> Option<usize> {
    static HEAD_END: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\r\n\r\n"));
    HEAD_END.find(received).map(|at| at + b"\r\n\r\n".len())
}

fn content_length(head: &[u8]) -> Option<u64> {
    const NAME: &[u8] = b"content-length:";
    let mut line_start = 0;
    for line_end in memchr::memchr_iter(b'\n', head) {
        let line = &head[line_start..line_end];
        line_start = line_end + 1;
        if let Some((name, value)) = line.split_at_checked(NAME.len())
            && name.eq_ignore_ascii_case(NAME)
        {
            return std::str::from_utf8(value).ok()?.trim().parse().ok();
        }
    }
    None
}

fn invalid(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_whole_at_its_empty_line() {
        assert!(!is_request(b"GET / HTTP/1.1\r\nHost: a\r\n").unwrap());
        assert!(is_request(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap());
    }

    #[test]
    fn what_follows_a_request_is_refused() {
        assert!(is_request(b"GET / HTTP/1.1\r\n\r\nGET").is_err());
        assert!(is_request(&[b'x'; BUFFER_BYTES]).is_err());
    }

    #[test]
    fn a_response_is_as_long_as_its_head_and_content_length() {
        let head = b"HTTP/1.1 200 OK\r\nServer: a\r\ncontent-LENGTH: 128\r\n\r\n";
        assert_eq!(response_bytes(&head[..20]).unwrap(), None);
        assert_eq!(response_bytes(head).unwrap(), Some(head.len() as u64 + 128));
        let with_body = [head.as_slice(), b"body"].concat();
        assert_eq!(response_bytes(&with_body).unwrap(), Some(head.len() as u64 + 128));
    }

    #[test]
    fn a_response_must_state_its_length() {
        assert!(response_bytes(b"HTTP/1.1 200 OK\r\n\r\n").is_err());
        assert!(response_bytes(b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n").is_err());
        assert!(response_bytes(b"HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551615\r\n\r\n").is_err());
        assert!(response_bytes(&[b'x'; BUFFER_BYTES]).is_err());
    }

    #[test]
    fn a_body_ends_exactly_where_it_was_announced() {
        assert_eq!(bytes_left(10, 4).unwrap(), 6);
        assert_eq!(bytes_left(6, 6).unwrap(), 0);
        assert!(bytes_left(6, 7).is_err());
        assert!(bytes_left(6, 0).is_err());
    }
}
