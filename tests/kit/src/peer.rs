//! One connection, driven byte by byte.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Shutdown, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use socket2::{Domain, SockAddr, Socket, Type};

use crate::message::field;
use crate::{Address, DEADLINE, Framing, Head, Message, pattern};

/// Bytes of a head after which this reader gives up.
const HEAD_BYTES_MAX: usize = 1 << 20;
/// Bytes that are kept of what one connection received.
const RECORD_BYTES_MAX: usize = 1 << 20;
/// Bytes that are read or written in one call.
const PIECE_BYTES: usize = 64 << 10;

/// One end of a connection: a client's, or an origin's.
///
/// Reading and writing fail after [`DEADLINE`]. Errors are `io::Error`s: a test unwraps them, and the script of an origin
/// passes them on, since for it the other side's going away is an ordinary end.
#[derive(Debug)]
pub struct Peer {
    socket: Arc<Socket>,
    /// Received and not yet consumed.
    unread: Vec<u8>,
    record: Record,
    record_bytes_max: usize,
}

/// What a connection received, as long as it is not too much.
pub(crate) type Record = Arc<Mutex<Vec<u8>>>;

impl Peer {
    /// Connects to `address`.
    ///
    /// # Panics
    /// If the connection is refused.
    #[must_use]
    #[track_caller]
    pub fn connect(address: &Address) -> Peer {
        Peer::try_connect(address).unwrap_or_else(|error| panic!("connecting to {address}: {error}"))
    }

    /// Connects to `address`, where refusal is a possible answer.
    ///
    /// # Errors
    /// Those of the connection.
    pub fn try_connect(address: &Address) -> io::Result<Peer> {
        Peer::connect_with(address, |_| Ok(()))
    }

    /// Connects with a receive buffer of about `bytes` in the kernel, for a reader that soon stops its sender.
    ///
    /// # Errors
    /// Those of the connection.
    pub fn connect_with_receive_buffer(address: &Address, bytes: usize) -> io::Result<Peer> {
        Peer::connect_with(address, |socket| socket.set_recv_buffer_size(bytes))
    }

    /// Connects from the local address `source`, to be another client.
    ///
    /// # Errors
    /// Those of the connection.
    pub fn connect_from(address: &Address, source: IpAddr) -> io::Result<Peer> {
        Peer::connect_with(address, |socket| socket.bind(&SockAddr::from(SocketAddr::new(source, 0))))
    }

    fn connect_with(address: &Address, prepare: impl FnOnce(&Socket) -> io::Result<()>) -> io::Result<Peer> {
        let (domain, target) = match address {
            Address::Tcp(address) => (Domain::for_address(*address), SockAddr::from(*address)),
            Address::Unix(path) => (Domain::UNIX, SockAddr::unix(path)?),
        };
        let socket = Socket::new(domain, Type::STREAM, None)?;
        prepare(&socket)?;
        socket.connect(&target)?;
        Peer::new(socket)
    }

    /// Takes over a connected socket.
    pub(crate) fn new(socket: Socket) -> io::Result<Peer> {
        socket.set_read_timeout(Some(DEADLINE))?;
        socket.set_write_timeout(Some(DEADLINE))?;
        if socket.local_addr()?.as_socket().is_some() {
            socket.set_tcp_nodelay(true)?;
        }
        Ok(Peer {
            socket: Arc::new(socket),
            unread: Vec::new(),
            record: Record::default(),
            record_bytes_max: RECORD_BYTES_MAX,
        })
    }

    /// A second handle on the same socket, so that one thread sends while another receives. What this handle has received
    /// and not yet handed out stays with it. The connection closes with its last handle.
    #[must_use]
    pub fn second(&self) -> Peer {
        let (socket, record) = (self.socket.clone(), self.record.clone());
        Peer { socket, unread: Vec::new(), record, record_bytes_max: self.record_bytes_max }
    }

    pub(crate) fn record(&self) -> Record {
        self.record.clone()
    }

    /// Keeps no record from now on.
    pub(crate) fn forget_record(&mut self) {
        self.record_bytes_max = 0;
    }

    pub(crate) fn socket(&self) -> &Arc<Socket> {
        &self.socket
    }

    // Sending.

    /// Sends all of `bytes`.
    ///
    /// # Errors
    /// Those of the socket, or a time-out.
    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.socket.as_ref().write_all(bytes).map_err(|error| explain(error, "sending"))
    }

    /// Sends `bytes` in `pieces` of about the same size, each in a segment of its own. The pause between them is no wait for
    /// anything: it makes the kernel deliver them apart.
    ///
    /// # Errors
    /// Those of the socket, or a time-out.
    pub fn send_in_pieces(&mut self, bytes: &[u8], pieces: usize) -> io::Result<()> {
        let size = bytes.len().div_ceil(pieces.max(1)).max(1);
        for piece in bytes.chunks(size) {
            self.send(piece)?;
            std::thread::sleep(Duration::from_micros(200));
        }
        Ok(())
    }

    /// Sends the bytes from `start` to `end` of the [`pattern`].
    ///
    /// # Errors
    /// Those of the socket, or a time-out.
    pub fn send_pattern(&mut self, start: u64, end: u64) -> io::Result<()> {
        let mut offset = start;
        while offset < end {
            let length = usize::try_from(end - offset).unwrap_or(usize::MAX).min(4 * PIECE_BYTES);
            let piece = pattern::stretch(offset, length);
            self.send(piece)?;
            offset += piece.len() as u64;
        }
        Ok(())
    }

    /// Sends the first `length` bytes of the [`pattern`] as chunks of at most `chunk_bytes_max`, and the last chunk.
    ///
    /// # Errors
    /// Those of the socket, or a time-out.
    pub fn send_pattern_chunked(&mut self, length: u64, chunk_bytes_max: usize) -> io::Result<()> {
        self.send_pattern_chunked_with(length, chunk_bytes_max, "")
    }

    /// As [`Peer::send_pattern_chunked`], with these trailer fields, each a line with its end.
    ///
    /// # Errors
    /// Those of the socket, or a time-out.
    pub fn send_pattern_chunked_with(&mut self, length: u64, chunk_bytes_max: usize, trailers: &str) -> io::Result<()> {
        let (mut out, mut offset) = (Vec::new(), 0);
        while offset < length {
            let size = usize::try_from(length - offset).unwrap_or(usize::MAX).min(chunk_bytes_max);
            out.extend_from_slice(format!("{size:x}\r\n").as_bytes());
            pattern::append(&mut out, offset, size);
            out.extend_from_slice(b"\r\n");
            offset += size as u64;
            if out.len() >= 4 * PIECE_BYTES {
                self.send(&out)?;
                out.clear();
            }
        }
        out.extend_from_slice(format!("0\r\n{trailers}\r\n").as_bytes());
        self.send(&out)
    }

    /// Says that nothing more will be sent (FIN), and goes on receiving.
    ///
    /// # Errors
    /// Those of the socket.
    pub fn half_close(&self) -> io::Result<()> {
        self.socket.shutdown(Shutdown::Write)
    }

    /// Resets the connection (RST), whatever is still to be sent or received.
    ///
    /// # Errors
    /// Those of the socket.
    pub fn reset(self) -> io::Result<()> {
        self.reset_on_drop()
    }

    /// Makes the end of this connection a reset, for a script that does not own its peer.
    ///
    /// # Errors
    /// Those of the socket.
    pub fn reset_on_drop(&self) -> io::Result<()> {
        self.socket.set_linger(Some(Duration::ZERO))
    }

    // Receiving.

    /// Receives a head, up to and including its blank line. `None` if the connection ended before its first byte.
    ///
    /// # Errors
    /// Those of the socket, a time-out, or an end in the middle of the head.
    pub fn read_head(&mut self) -> io::Result<Option<Head>> {
        let mut searched = 0;
        loop {
            let from = usize::saturating_sub(searched, 3);
            if let Some(at) = find(&self.unread[from..], b"\r\n\r\n") {
                let raw: Vec<u8> = self.unread.drain(..from + at + 4).collect();
                return Ok(Some(Head::parse(&raw)));
            }
            searched = self.unread.len();
            assert!(searched <= HEAD_BYTES_MAX, "a head of more than {HEAD_BYTES_MAX} bytes");
            if self.receive("a head")? == 0 {
                return if self.unread.is_empty() { Ok(None) } else { Err(self.ended_early("a head")) };
            }
        }
    }

    /// Receives a body and hands each piece of it, decoded, to `sink`. Returns the trailer fields.
    ///
    /// # Errors
    /// Those of the socket, a time-out, or an end before the body's.
    pub fn read_body(&mut self, framing: Framing, sink: &mut dyn FnMut(&[u8])) -> io::Result<Vec<(String, String)>> {
        match framing {
            Framing::Length(length) => self.read_exactly(length, sink)?,
            Framing::UntilClose => {
                while !self.unread.is_empty() || self.receive("a body until the end")? > 0 {
                    sink(&std::mem::take(&mut self.unread));
                }
            }
            Framing::Chunked => return self.read_chunks(sink),
        }
        Ok(Vec::new())
    }

    /// Receives a whole request. `None` if the connection ended before its first byte.
    ///
    /// # Errors
    /// Those of the socket, a time-out, or an end in the middle of the request.
    pub fn read_request(&mut self) -> io::Result<Option<Message>> {
        let Some(head) = self.read_head()? else { return Ok(None) };
        let mut body = Vec::new();
        let trailers = self.read_body(head.request_framing(), &mut |piece| body.extend_from_slice(piece))?;
        Ok(Some(Message { head, body, trailers, interim: Vec::new() }))
    }

    /// Receives a whole response to a request with `method`, after any 1xx responses.
    ///
    /// # Errors
    /// Those of the socket, a time-out, or an end in the middle of the response.
    pub fn read_response(&mut self, method: &str) -> io::Result<Message> {
        let (head, interim) = self.read_final_head()?;
        let mut body = Vec::new();
        let trailers = self.read_body(head.response_framing(method), &mut |piece| body.extend_from_slice(piece))?;
        Ok(Message { head, body, trailers, interim })
    }

    /// Receives the head of a final response, and those of the 1xx responses before it.
    ///
    /// # Errors
    /// Those of the socket, a time-out, or an end before the head's.
    pub fn read_final_head(&mut self) -> io::Result<(Head, Vec<Head>)> {
        let mut interim = Vec::new();
        loop {
            let head = self.read_head()?.ok_or_else(|| self.ended_early("a response"))?;
            if !(100..200).contains(&head.status()) || head.status() == 101 {
                return Ok((head, interim));
            }
            interim.push(head);
        }
    }

    /// Sends a request with `method` and receives its response.
    ///
    /// # Errors
    /// Those of the socket, a time-out, or an end in the middle of the response.
    pub fn exchange(&mut self, method: &str, request: &[u8]) -> io::Result<Message> {
        self.send(request)?;
        self.read_response(method)
    }

    /// Receives a response whose body must be the first `length` bytes of the [`pattern`]; returns its head.
    ///
    /// # Errors
    /// Those of the socket, a time-out, or an end in the middle of the response.
    #[track_caller]
    pub fn read_pattern_response(&mut self, method: &str, length: u64) -> io::Result<Head> {
        let (head, _) = self.read_final_head()?;
        let mut check = pattern::Check::default();
        self.read_body(head.response_framing(method), &mut |piece| check.update(piece))?;
        assert!(check.is_whole(length), "{length} bytes of the pattern were to come, not {check:?}, after {head:?}");
        Ok(head)
    }

    /// Receives everything until the other side closes.
    ///
    /// # Errors
    /// Those of the socket (a reset, say), or a time-out.
    pub fn read_to_end(&mut self) -> io::Result<Vec<u8>> {
        let mut all = Vec::new();
        self.read_body(Framing::UntilClose, &mut |piece| all.extend_from_slice(piece))?;
        Ok(all)
    }

    /// Receives exactly `length` bytes, whatever they are.
    ///
    /// # Errors
    /// Those of the socket, a time-out, or an end before that.
    pub fn read_bytes(&mut self, length: usize) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::with_capacity(length);
        self.read_exactly(length as u64, &mut |piece| bytes.extend_from_slice(piece))?;
        Ok(bytes)
    }

    /// Demands that the other side closes the connection, or resets it, without sending anything more.
    ///
    /// # Panics
    /// If a byte comes, or nothing does until the deadline.
    #[track_caller]
    pub fn assert_ends(&mut self) {
        match self.read_to_end() {
            Ok(more) => assert!(more.is_empty(), "unexpected bytes before the end: {}", more.escape_ascii()),
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => {}
            Err(error) => panic!("the connection was to end: {error}"),
        }
    }

    /// Whether the connection is still open, with nothing to read.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.unread.is_empty() && self.socket.set_nonblocking(true).is_ok() && {
            let mut byte = [std::mem::MaybeUninit::uninit()];
            let peeked = self.socket.peek(&mut byte);
            let restored = self.socket.set_nonblocking(false);
            restored.is_ok() && peeked.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
        }
    }

    /// Receives whatever comes next; returns how many bytes, 0 at the end.
    fn receive(&mut self, what: &str) -> io::Result<usize> {
        let mut piece = [0; PIECE_BYTES];
        let count = loop {
            match self.socket.as_ref().read(&mut piece) {
                // Where a read has a time-out, a process that was stopped for a while finds it interrupted.
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => break read.map_err(|error| explain(error, &format!("receiving {what}")))?,
            }
        };
        self.unread.extend_from_slice(&piece[..count]);
        let mut record = self.record.lock().expect("no thread panics holding a record");
        let room = self.record_bytes_max.saturating_sub(record.len());
        record.extend_from_slice(&piece[..count.min(room)]);
        Ok(count)
    }

    fn read_exactly(&mut self, length: u64, sink: &mut dyn FnMut(&[u8])) -> io::Result<()> {
        let mut missing = length;
        while missing > 0 {
            if self.unread.is_empty() && self.receive("a body")? == 0 {
                return Err(self.ended_early(&format!("a body, with {missing} of {length} bytes missing")));
            }
            let count = self.unread.len().min(usize::try_from(missing).unwrap_or(usize::MAX));
            sink(&self.unread[..count]);
            self.unread.drain(..count);
            missing -= count as u64;
        }
        Ok(())
    }

    /// Receives chunks. This reader is strict, so that a test notices when what was forwarded is not well formed.
    fn read_chunks(&mut self, sink: &mut dyn FnMut(&[u8])) -> io::Result<Vec<(String, String)>> {
        loop {
            let line = self.read_line()?;
            let size = u64::from_str_radix(&line, 16).map_err(|_| malformed(&format!("chunk size {line:?}")))?;
            if size == 0 {
                break;
            }
            self.read_exactly(size, sink)?;
            let end = self.read_line()?;
            if !end.is_empty() {
                return Err(malformed(&format!("{end:?} after a chunk")));
            }
        }
        let mut trailers = Vec::new();
        loop {
            let line = self.read_line()?;
            if line.is_empty() {
                return Ok(trailers);
            }
            trailers.push(field(&line).ok_or_else(|| malformed(&format!("trailer {line:?}")))?);
        }
    }

    fn read_line(&mut self) -> io::Result<String> {
        loop {
            if let Some(at) = find(&self.unread, b"\r\n") {
                let line: Vec<u8> = self.unread.drain(..at + 2).take(at).collect();
                return Ok(line.into_iter().map(char::from).collect());
            }
            if self.receive("a line of a chunked body")? == 0 {
                return Err(self.ended_early("a chunked body"));
            }
        }
    }

    fn ended_early(&self, what: &str) -> io::Error {
        let message = format!("the connection ended before {what}; unread: {}", self.unread.escape_ascii());
        io::Error::new(io::ErrorKind::UnexpectedEof, message)
    }
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}

fn malformed(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("malformed: {what}"))
}

/// Says what went on when `error` came; a time-out of the socket is the kit's deadline.
fn explain(error: io::Error, doing: &str) -> io::Error {
    match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
            io::Error::new(io::ErrorKind::TimedOut, format!("{DEADLINE:?} passed while {doing}"))
        }
        kind => io::Error::new(kind, format!("{error} while {doing}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Origin;

    /// What this reader says to `answer`.
    fn read(answer: &'static str) -> io::Result<Message> {
        let origin = Origin::start(move |peer, _| {
            peer.read_head()?;
            peer.send(answer.as_bytes())
        });
        Peer::connect(origin.address()).exchange("GET", b"GET / HTTP/1.1\r\n\r\n")
    }

    #[test]
    fn interim_responses_chunks_and_trailers_are_read() {
        let message = read(
            "HTTP/1.1 103 Early Hints\r\nA: b\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\
             3\r\nabc\r\n2\r\nde\r\n0\r\nT: u\r\n\r\n",
        )
        .unwrap();
        assert_eq!((message.text(), message.interim.len()), ("abcde".to_owned(), 1));
        assert_eq!(message.trailers, [("T".to_owned(), "u".to_owned())]);
    }

    #[test]
    fn chunks_that_are_not_well_formed_are_errors() {
        for body in ["3\r\nabcd\r\n0\r\n\r\n", "x\r\n", "3;a\r\nabc\r\n0\r\n\r\n", "3\r\nabc\r\n", "3\r\nabc\r\n0\r\n"]
        {
            let answer = format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{body}");
            assert!(read(answer.leak()).is_err(), "{body:?}");
        }
    }
}
