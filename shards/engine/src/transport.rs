//! What a session's bytes pass through: a socket, and TLS where the connection has it.
//!
//! A [`Transport`] has the verbs of a [`Stream`]. Where it is plain, each of them costs a branch more than the stream's own, and
//! [`Transport::plain`] gives the stream away for what only a socket can do: bytes that pass from one to the other unseen.

mod secured;

use std::io;
use std::task::{Context, Poll, Waker};

use ring::{Chunk, ReadMode, Stream};

pub(crate) use secured::Secured;

/// A client's or a server's connection, as sessions see it.
#[derive(Debug)]
pub(crate) enum Transport {
    /// Bytes as they are.
    Plain(Stream),
    /// In records. Boxed: an idle connection without TLS shall not be larger for those with it.
    Tls(Box<Secured>),
}

impl Transport {
    /// The socket, where what passes through it is what the session sees.
    pub(crate) fn plain(&mut self) -> Option<&mut Stream> {
        match self {
            Transport::Plain(stream) => Some(stream),
            Transport::Tls(_) => None,
        }
    }

    /// Whether [`Transport::plain`] gives the socket.
    pub(crate) fn is_plain(&self) -> bool {
        matches!(self, Transport::Plain(_))
    }

    /// As [`Stream::poll_recv`]. An end that the peer has not announced in TLS is an error: what was to come was cut off.
    pub(crate) fn poll_recv(&mut self, cx: &Context<'_>, mode: ReadMode) -> Poll<io::Result<Option<Chunk>>> {
        match self {
            Transport::Plain(stream) => stream.poll_recv(cx, mode),
            Transport::Tls(secured) => secured.poll_recv(cx, mode),
        }
    }

    /// As [`Stream::write`].
    pub(crate) fn write(&mut self, chunk: Chunk) {
        match self {
            Transport::Plain(stream) => stream.write(chunk),
            Transport::Tls(secured) => secured.write(&chunk),
        }
    }

    /// Receives and throws away, whatever it is; ready with `false` at the end.
    pub(crate) fn poll_drain(&mut self, cx: &Context<'_>) -> Poll<bool> {
        self.stream_mut().poll_recv(cx, ReadMode::Head).map(|received| matches!(received, Ok(Some(_))))
    }

    /// As [`Stream::poll_below`].
    pub(crate) fn poll_below(&mut self, cx: &Context<'_>, bytes: usize) -> Poll<io::Result<()>> {
        match self {
            Transport::Plain(stream) => stream.poll_below(cx, bytes),
            Transport::Tls(secured) => secured.poll_below(cx, bytes),
        }
    }

    /// As [`Stream::end`].
    pub(crate) fn end(&mut self) {
        match self {
            Transport::Plain(stream) => stream.end(),
            Transport::Tls(secured) => secured.end(),
        }
    }

    /// Nothing more is sent, and the end that will come is not to be taken for the end of what was being sent: TLS can tell the
    /// one from the other.
    pub(crate) fn break_off(&mut self) {
        if let Transport::Tls(secured) = self {
            secured.break_off();
        }
    }

    /// As [`Stream::watch`].
    pub(crate) fn watch(&mut self, mode: ReadMode) {
        match self {
            Transport::Plain(stream) => stream.watch(mode),
            Transport::Tls(secured) => secured.stream.watch(secured::mode(mode)),
        }
    }

    /// As [`Stream::is_fresh`].
    pub(crate) fn is_fresh(&self) -> bool {
        match self {
            Transport::Plain(stream) => stream.is_fresh(),
            Transport::Tls(secured) => secured.is_fresh(),
        }
    }

    /// Reads what has come and is about TLS alone, so that it is no reason to take an idle connection for one that is not
    /// fresh: a server may send tickets whenever it likes.
    pub(crate) fn catch_up(&mut self) {
        if let Transport::Tls(secured) = self
            && !secured.is_fresh()
        {
            let _ = secured.poll_stirred(&Context::from_waker(Waker::noop()), ReadMode::Head);
        }
    }

    /// As [`Stream::poll_failed`].
    pub(crate) fn poll_failed(&mut self, cx: &Context<'_>) -> Poll<io::Error> {
        self.stream_mut().poll_failed(cx)
    }

    /// As [`Stream::poll_stirred`]. What a server says of TLS alone, tickets say, is no stir.
    pub(crate) fn poll_stirred(&mut self, cx: &Context<'_>, mode: ReadMode) -> Poll<()> {
        match self {
            Transport::Plain(stream) => stream.poll_stirred(cx, mode),
            Transport::Tls(secured) => secured.poll_stirred(cx, mode),
        }
    }

    /// Opens the next record that has come, if it is one of data: without waiting for any, and without being woken by the next.
    /// What has come without TLS needs no opening, and stays where it is.
    pub(crate) fn take_queued(&mut self) -> Option<Chunk> {
        match self {
            Transport::Plain(_) => None,
            Transport::Tls(secured) => secured.take_queued(),
        }
    }

    /// As [`Stream::bytes_queued`], records and all.
    pub(crate) fn bytes_queued(&self) -> usize {
        match self {
            Transport::Plain(stream) => stream.bytes_queued(),
            Transport::Tls(secured) => secured.bytes_queued(),
        }
    }

    /// As [`Stream::bytes_waiting`].
    pub(crate) fn bytes_waiting(&self) -> usize {
        self.stream().bytes_waiting()
    }

    /// As [`Stream::bytes_sent`], records and all.
    pub(crate) fn bytes_sent(&self) -> u64 {
        self.stream().bytes_sent()
    }

    /// Whether something is to be said before the connection may be dropped.
    pub(crate) fn owes(&self) -> bool {
        match self {
            Transport::Plain(stream) => stream.bytes_waiting() > 0,
            Transport::Tls(secured) => secured.owes(),
        }
    }

    fn stream(&self) -> &Stream {
        match self {
            Transport::Plain(stream) => stream,
            Transport::Tls(secured) => &secured.stream,
        }
    }

    fn stream_mut(&mut self) -> &mut Stream {
        match self {
            Transport::Plain(stream) => stream,
            Transport::Tls(secured) => &mut secured.stream,
        }
    }
}
