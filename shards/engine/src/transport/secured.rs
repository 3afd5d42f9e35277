//! A socket with TLS over it.
//!
//! A record that lies whole in what was received is opened from there into pooled memory; one that spans receives is gathered
//! first. What is written becomes records at once, which leave in one send with whatever else leaves in this tick; how many
//! bytes wait is the socket's to say, and so is back-pressure. Between two requests nothing is held but keys.

use std::io;
use std::task::{Context, Poll, Waker, ready};

use ring::{Buffer, Chunk, ReadMode, Stream};
use tls::{Negotiated, Session};

use super::Transport;

/// Room of the buffer that what is to be told the peer is written to, if anything is. Rarely anything is.
const ASIDE_ROOM_BYTES: usize = 1024;

/// A socket and what is spoken over it.
#[derive(Debug)]
pub(crate) struct Secured {
    pub(super) stream: Stream,
    session: Session,
    /// What was received and not looked at yet.
    received: Chunk,
    /// The beginning of a record of which more is to come.
    partial: Option<Buffer>,
    /// We have ended our side: nothing is to be sent any more.
    has_ended: bool,
    /// TLS has failed: nothing more comes, and nothing more goes.
    failure: Option<tls::Error>,
}

/// Room for the beginning of a record: the smallest that there is.
const PIECE_ROOM_BYTES: usize = 1024;

/// How a socket is read of which no byte passes unseen.
pub(super) fn mode(mode: ReadMode) -> ReadMode {
    match mode {
        ReadMode::Once => ReadMode::Body,
        mode => mode,
    }
}

impl Secured {
    pub(crate) fn new(stream: Stream, session: Session) -> Secured {
        Secured { stream, session, received: Chunk::default(), partial: None, has_ended: false, failure: None }
    }

    /// A connection that is refused before its handshake begins: nobody has the name that its client asks for.
    pub(crate) fn refuse(mut stream: Stream) -> Transport {
        // RFC 6066 §3: `unrecognized_name`, fatal, in the version that everybody understands before one is agreed on.
        stream.write(Chunk::from_static(&[21, 3, 1, 0, 2, 2, 112]));
        Transport::Plain(stream)
    }

    /// Why TLS has failed, if it has.
    pub(crate) fn failure(&self) -> Option<&tls::Error> {
        self.failure.as_ref()
    }

    /// Sends what was said outside of records of data, as a client says its first.
    pub(crate) fn send(&mut self, outgoing: Buffer) {
        if !outgoing.is_empty() && !self.has_ended {
            self.stream.write(outgoing.freeze());
        }
    }

    /// Shows the session bytes that were received by other means, before any other.
    pub(crate) fn feed(&mut self, bytes: Chunk) {
        debug_assert!(self.received.is_empty());
        self.received = bytes;
    }

    /// Ready when the peer has said something, or nothing more: a handshake can go on then.
    pub(crate) fn poll_arrival(&mut self, cx: &Context<'_>) -> Poll<io::Result<()>> {
        if self.received.is_empty() && !ready!(self.poll_receive(cx, ReadMode::Head))? {
            self.failure = Some(tls::Error::Ended);
            return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
        }
        Poll::Ready(Ok(()))
    }

    /// Ready when the handshake has ended, with what was agreed on.
    ///
    /// # Errors
    /// The socket's; and of kind `InvalidData` where TLS has failed, which [`Secured::failure`] explains.
    pub(crate) fn poll_handshake(&mut self, cx: &Context<'_>) -> Poll<io::Result<Box<Negotiated>>> {
        loop {
            let mut early = Buffer::with_room(0);
            if let Some(negotiated) = self.open_next(&mut early)? {
                // What came with the last message is opened in its turn.
                debug_assert!(early.is_empty());
                return Poll::Ready(Ok(negotiated));
            }
            if self.received.is_empty() && !ready!(self.poll_receive(cx, ReadMode::Head))? {
                self.failure = Some(tls::Error::Ended);
                return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
            }
        }
    }

    pub(super) fn poll_recv(&mut self, cx: &Context<'_>, read_mode: ReadMode) -> Poll<io::Result<Option<Chunk>>> {
        loop {
            if let Some(plaintext) = self.open_received()? {
                return Poll::Ready(Ok(Some(plaintext)));
            }
            if self.session.has_ended() {
                return Poll::Ready(Ok(None));
            }
            if self.failure.is_some() {
                return Poll::Ready(Err(io::ErrorKind::InvalidData.into()));
            }
            if !ready!(self.poll_receive(cx, mode(read_mode)))? {
                // Without a close_notify nobody knows whether this is all (RFC 8446 §6.1).
                return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
            }
        }
    }

    /// What there is in the records that have come and were not opened, up to the first that has any. Nobody waits for more.
    pub(super) fn take_queued(&mut self) -> Option<Chunk> {
        // What fails here fails for whoever reads.
        while self.failure.is_none() && !self.session.has_ended() {
            if let Some(plaintext) = self.open_received().ok()? {
                return Some(plaintext);
            }
            if self.bytes_queued() == 0 {
                break;
            }
            let Poll::Ready(Ok(true)) = self.poll_receive(&Context::from_waker(Waker::noop()), ReadMode::Head) else {
                break;
            };
        }
        None
    }

    /// Bytes that have come and were not opened yet, but for the beginning of a record.
    pub(super) fn bytes_queued(&self) -> usize {
        self.received.len() + self.stream.bytes_queued()
    }

    pub(super) fn write(&mut self, data: &[u8]) {
        if self.has_ended || self.failure.is_some() || data.is_empty() {
            return;
        }
        let mut outgoing = Buffer::with_room(data.len() + Session::OVERHEAD_BYTES_MAX);
        if let Err(error) = self.session.seal(data, ring::now().since_start(), &mut outgoing) {
            tracing::debug!(%error, "sealing failed");
            self.failure = Some(error);
        }
        self.send(outgoing);
    }

    pub(crate) fn poll_below(&mut self, cx: &Context<'_>, bytes: usize) -> Poll<io::Result<()>> {
        if self.failure.is_some() && !self.has_ended {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        self.stream.poll_below(cx, bytes)
    }

    /// Says that nothing more is sent, and then sends nothing more.
    pub(super) fn end(&mut self) {
        if !self.has_ended {
            if self.failure.is_none() {
                let mut outgoing = Buffer::with_room(ASIDE_ROOM_BYTES);
                self.session.close(&mut outgoing);
                self.send(outgoing);
            }
            self.has_ended = true;
            self.stream.end();
        }
    }

    /// The connection's end will not be announced.
    pub(super) fn break_off(&mut self) {
        self.failure.get_or_insert(tls::Error::Ended);
    }

    pub(super) fn owes(&self) -> bool {
        self.stream.bytes_waiting() > 0 || !(self.has_ended || self.failure.is_some())
    }

    pub(super) fn is_fresh(&self) -> bool {
        self.received.is_empty()
            && self.partial.is_none()
            && self.failure.is_none()
            && !self.session.has_ended()
            && self.stream.is_fresh()
    }

    /// Looks at what comes on an idle connection: what is only about TLS is taken note of.
    pub(crate) fn poll_stirred(&mut self, cx: &Context<'_>, read_mode: ReadMode) -> Poll<()> {
        match self.poll_recv(cx, mode(read_mode)) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Ok(Some(unasked))) => {
                // Whoever looks for freshness finds none.
                self.failure = Some(tls::Error::UnexpectedMessage);
                drop(unasked);
                Poll::Ready(())
            }
            Poll::Ready(_) => Poll::Ready(()),
        }
    }

    /// Opens what was received, up to the first data in it.
    fn open_received(&mut self) -> io::Result<Option<Chunk>> {
        while !self.received.is_empty() {
            let mut plaintext = Buffer::with_room(self.room());
            self.open_next(&mut plaintext)?;
            if !plaintext.is_empty() {
                return Ok(Some(plaintext.freeze()));
            }
        }
        Ok(None)
    }

    /// Receives into `received`; ready with `false` at the end of the stream.
    fn poll_receive(&mut self, cx: &Context<'_>, mode: ReadMode) -> Poll<io::Result<bool>> {
        let chunk = ready!(self.stream.poll_recv(cx, mode))?;
        let has_come = chunk.is_some();
        self.received = chunk.unwrap_or_default();
        Poll::Ready(Ok(has_come))
    }

    /// Room for the data of the next record, or of all that were received.
    fn room(&self) -> usize {
        self.partial.as_ref().map_or(self.received.len(), |partial| {
            partial.len() + Session::bytes_missing(partial).unwrap_or(0).min(self.received.len())
        })
    }

    /// Opens the record that was begun, or else all whole records in what was received.
    fn open_next(&mut self, plaintext: &mut Buffer) -> io::Result<Option<Box<Negotiated>>> {
        if self.failure.is_some() {
            self.received = Chunk::default();
            return Err(io::ErrorKind::InvalidData.into());
        }
        if let Some(partial) = &mut self.partial {
            loop {
                let missing = match Session::bytes_missing(partial) {
                    Ok(0) => break,
                    Ok(missing) => missing,
                    Err(error) => return Err(self.fail(error)),
                };
                if self.received.is_empty() {
                    return Ok(None);
                }
                let more = self.received.split_to(missing.min(self.received.len()));
                partial.extend_from_slice(&more);
            }
            let record = self.partial.take().expect("it was just completed");
            return self.open(&record, plaintext).map(|progress| progress.negotiated);
        }
        let received = std::mem::take(&mut self.received);
        let progress = self.open(&received, plaintext)?;
        self.received = received;
        self.received.advance(progress.consumed);
        if progress.negotiated.is_none() && !self.received.is_empty() {
            // More of it is to come, and meanwhile it shall hold no lease.
            let rest = std::mem::take(&mut self.received);
            // Most of a large record is not far; a small piece may be all that a slow peer sends for long.
            let is_far = rest.len() < PIECE_ROOM_BYTES;
            let missing = Session::bytes_missing(&rest).map_err(|error| self.fail(error))?;
            let mut partial = Buffer::with_room(if is_far { PIECE_ROOM_BYTES } else { rest.len() + missing });
            partial.extend_from_slice(&rest);
            self.partial = Some(partial);
        }
        Ok(progress.negotiated)
    }

    fn open(&mut self, records: &[u8], plaintext: &mut Buffer) -> io::Result<tls::Progress> {
        let mut outgoing = Buffer::with_room(ASIDE_ROOM_BYTES);
        let progress = self.session.handle_bytes(records, plaintext, &mut outgoing);
        self.send(outgoing);
        progress.map_err(|error| self.fail(error))
    }

    fn fail(&mut self, error: tls::Error) -> io::Error {
        tracing::debug!(%error, "TLS failed");
        self.failure = Some(error);
        (self.received, self.partial) = (Chunk::default(), None);
        io::ErrorKind::InvalidData.into()
    }
}
