//! The `h2` crate's codec between two memories.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use bench_micro::wire::h1::{REQUEST, RESPONSE};
use bytes::Bytes;
use futures_core::Stream as _;
use h2::Codec;
use h2::frame::{Frame, Headers, Pseudo, StreamId};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// How often the head has been sent before what repeats of it is in the tables.
const WARM_UP: usize = 3;

/// Both ends of one direction of a connection.
pub(crate) struct Theirs {
    pseudo: fn() -> Pseudo,
    fields: HeaderMap,
    sender: Codec<Memory, Bytes>,
    receiver: Codec<Memory, Bytes>,
}

impl Theirs {
    /// Of a request, or of a response.
    pub(crate) fn of(what: &str) -> Theirs {
        const URI: &str = "https://www.example.com/articles/2026/11/on-measuring?page=2";
        match what {
            "request" => Theirs::new(|| Pseudo::request(Method::GET, Uri::from_static(URI), None), REQUEST),
            _ => Theirs::new(|| Pseudo::response(StatusCode::OK), RESPONSE),
        }
    }

    /// `head` has the fields, those of a connection and Host excepted.
    fn new(pseudo: fn() -> Pseudo, head: &[u8]) -> Theirs {
        let mut fields = HeaderMap::new();
        let lines = std::str::from_utf8(head).expect("text").lines().skip(1);
        for (name, value) in lines.filter_map(|line| line.split_once(": ")) {
            if !matches!(name, "Host" | "Connection") {
                let name: HeaderName = name.parse().expect("a name");
                fields.append(name, HeaderValue::from_str(value).expect("a value"));
            }
        }
        let mut theirs =
            Theirs { pseudo, fields, sender: Codec::new(Memory::default()), receiver: Codec::new(Memory::default()) };
        for _ in 0..WARM_UP {
            theirs.sender.get_mut().written.clear();
            let frame = theirs.frame();
            theirs.write(frame);
            let written = theirs.sender.get_mut().written.clone();
            theirs.receiver.get_mut().feed(written, false);
            theirs.decode();
        }
        // The last frame repeats: it adds nothing to the table.
        let written = theirs.sender.get_mut().written.clone();
        theirs.receiver.get_mut().feed(written, true);
        theirs
    }

    /// The frame to write.
    pub(crate) fn frame(&self) -> Headers {
        let mut frame = Headers::new(StreamId::from(1), (self.pseudo)(), self.fields.clone());
        frame.set_end_stream();
        frame
    }

    /// Writes one frame.
    pub(crate) fn write(&mut self, frame: Headers) {
        let mut cx = Context::from_waker(Waker::noop());
        self.sender.get_mut().written.clear();
        assert!(matches!(self.sender.poll_ready(&mut cx), Poll::Ready(Ok(()))));
        self.sender.buffer(Frame::Headers(frame)).expect("a sound frame");
        assert!(matches!(self.sender.flush(&mut cx), Poll::Ready(Ok(()))));
    }

    /// Reads one frame.
    pub(crate) fn decode(&mut self) {
        let mut cx = Context::from_waker(Waker::noop());
        let read = Pin::new(&mut self.receiver).poll_next(&mut cx);
        assert!(matches!(read, Poll::Ready(Some(Ok(Frame::Headers(_))))));
    }
}

/// What was written, and what is to be read.
#[derive(Default)]
struct Memory {
    written: Vec<u8>,
    unread: Vec<u8>,
    at: usize,
    repeats: bool,
}

impl Memory {
    fn feed(&mut self, bytes: Vec<u8>, repeats: bool) {
        (self.unread, self.at, self.repeats) = (bytes, 0, repeats);
    }
}

impl AsyncRead for Memory {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        while buffer.remaining() > 0 {
            if self.at == self.unread.len() && self.repeats {
                self.at = 0;
            }
            let piece = &self.unread[self.at..];
            let piece = &piece[..piece.len().min(buffer.remaining())];
            if piece.is_empty() {
                break;
            }
            buffer.put_slice(piece);
            let len = piece.len();
            self.at += len;
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Memory {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.written.extend_from_slice(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
