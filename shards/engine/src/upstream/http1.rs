//! HTTP/1.1 towards an upstream: one exchange at a time on a connection.

use std::cell::RefCell;
use std::task::{Context, Poll, ready};

use plan::Plan;
use ring::{Chunk, Instant, ReadMode, Stream};
use wire::h1::{ClientConnection, Edits, Parsed, Trailers};
use wire::{BodyLength, Limits, Method, RequestHead, ResponseHead};

use crate::inbox::Inbox;
use crate::outbox::Outbox;
use crate::outcome::Error;
use crate::plain::Plain;
use crate::streams::{BodyPart, HeadKind, Sink, Source, Upstream};
use crate::transport::Transport;
use crate::tuning::{WAITING_BYTES_MAX, expected_mode, poll_run, read_mode};

/// A connection to an upstream server.
#[derive(Debug)]
pub(crate) struct Http1Upstream {
    transport: Transport,
    connection: ClientConnection,
    inbox: Inbox,
    outbox: Outbox,
    limits: Limits,
    /// The last head that arrived, and its bytes.
    head: Head,
    head_bytes: Chunk,
    method: Method,
    length: BodyLength,
    /// How the next answer is best read: as the last one was large or not. To find out only when its head has come would
    /// be too late, since most of a large body comes with it.
    expected: ReadMode,
    /// Bytes that the kernel had taken when this exchange began.
    sent_before: u64,
    /// A run of the body has passed by: what comes next is the frame of a chunk, and perhaps another run, which no large
    /// receive shall take.
    passed: bool,
    /// Whether any byte of this exchange's answer has arrived.
    answered: bool,
    /// The Host of a request that came without one.
    authority: Box<str>,
    /// When the last exchange ended.
    pub(super) idle_since: Instant,
}

impl Http1Upstream {
    pub(super) fn new(transport: Transport, limits: Limits, authority: Box<str>) -> Http1Upstream {
        Http1Upstream {
            transport,
            connection: ClientConnection::new(),
            inbox: Inbox::default(),
            outbox: Outbox::default(),
            limits,
            head: Head::default(),
            head_bytes: Chunk::default(),
            method: Method::Get,
            length: BodyLength::None,
            expected: ReadMode::Head,
            sent_before: 0,
            passed: false,
            answered: false,
            authority,
            idle_since: ring::now(),
        }
    }

    /// Whether any byte of the answer has arrived.
    pub(crate) fn has_answer(&self) -> bool {
        self.answered
    }

    /// Whether the next request may be sent on this connection.
    pub(super) fn is_reusable(&mut self) -> bool {
        self.transport.catch_up();
        self.connection.reusable()
            && self.inbox.is_empty()
            && self.transport.bytes_waiting() == 0
            && self.transport.is_fresh()
    }

    /// Ready when something happens on the idle connection, after which it is not to be used.
    pub(super) fn poll_stirred(&mut self, cx: &Context<'_>) -> Poll<()> {
        self.transport.poll_stirred(cx, self.expected)
    }

    /// The next exchange goes by these bounds.
    pub(super) fn limit(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// Lets go of what the last exchange held.
    pub(super) fn rest(&mut self, plan: &Plan) {
        self.expected = expected_mode(self.connection.body_received(), plan);
        self.head.recycle();
        self.head_bytes = Chunk::default();
        self.idle_since = ring::now();
    }
}

/// Room for an answer's head, from when it arrives until its connection rests. Most answers come, are passed on and are over in
/// one turn, so that all of a shard share a few heads that stay near, and none waits with an idle connection.
#[derive(Debug, Default)]
struct Head(Option<Box<ResponseHead>>);

thread_local! {
    #[allow(clippy::vec_box, reason = "heads go back and forth: a pointer moves, not the whole")]
    static HEADS: RefCell<Vec<Box<ResponseHead>>> = const { RefCell::new(Vec::new()) };
}

/// Heads that are kept for reuse.
const HEADS_MAX: usize = 64;

impl Head {
    fn vacant(&mut self) -> &mut ResponseHead {
        self.0.get_or_insert_with(|| HEADS.with_borrow_mut(Vec::pop).unwrap_or_default())
    }

    fn filled(&self) -> &ResponseHead {
        self.0.as_ref().expect("a head is read after it has arrived")
    }

    fn recycle(&mut self) {
        let Some(head) = self.0.take() else { return };
        HEADS.with_borrow_mut(|heads| {
            if heads.len() < HEADS_MAX {
                heads.push(head);
            }
        });
    }
}

impl Source for Http1Upstream {
    fn run_bytes(&self) -> u64 {
        if self.transport.is_plain() { self.connection.body_run() } else { 0 }
    }

    fn poll_run(&mut self, cx: &Context<'_>) -> Poll<u64> {
        poll_run(&mut self.transport, &self.inbox, self.connection.body_run(), cx)
    }

    fn source(&mut self) -> Option<&mut Stream> {
        self.transport.plain()
    }

    fn pass(&mut self, bytes: usize) {
        self.connection.pass_body(bytes as u64);
        self.passed = true;
    }
}

impl Sink for Http1Upstream {
    fn begin_run(&mut self, bytes: u64) -> Result<(), Error> {
        let framing = self.connection.data_framing(bytes as usize).map_err(|_| Error::CLIENT_MALFORMED)?;
        self.outbox.begin_run(&mut self.transport, &framing);
        Ok(())
    }

    fn sink(&mut self) -> Option<&mut Stream> {
        self.transport.plain()
    }

    fn end_run(&mut self) {
        self.outbox.end_run();
    }
}

impl Upstream for Http1Upstream {
    type Tunnel<'a> = Plain<'a>;

    fn tunnel(&mut self) -> Plain<'_> {
        Plain { transport: &mut self.transport, inbox: &mut self.inbox }
    }

    fn send_head(&mut self, head: &RequestHead, bytes: &[u8], edits: &Edits) {
        self.sent_before = self.transport.bytes_sent();
        (self.answered, self.passed) = (false, false);
        self.method = head.method();
        self.connection.write_head(self.outbox.bytes(), head, bytes, edits, self.authority.as_bytes());
    }

    fn send_data(&mut self, data: Chunk) -> Result<(), Error> {
        // The client's body is as long as its head said, so the promise of ours holds: a breach is the client's.
        let framing = self.connection.data_framing(data.len()).map_err(|_| Error::CLIENT_MALFORMED)?;
        self.outbox.data(&mut self.transport, &framing, data);
        Ok(())
    }

    fn finish(&mut self, trailers: Option<&Trailers>) -> Result<(), Error> {
        self.connection.finish(self.outbox.bytes(), trailers).map_err(|_| Error::CLIENT_MALFORMED)
    }

    fn flush(&mut self) {
        self.outbox.flush(&mut self.transport);
    }

    fn poll_writable(&mut self, cx: &Context<'_>) -> Poll<Result<(), Error>> {
        self.transport.poll_below(cx, WAITING_BYTES_MAX).map_err(|_| Error::UPSTREAM_GONE)
    }

    fn poll_head(&mut self, cx: &Context<'_>) -> Poll<Result<HeadKind, Error>> {
        loop {
            if !self.inbox.is_empty() {
                self.answered = true;
                let parsed = self.connection.parse_head(self.inbox.bytes(), &self.limits, self.head.vacant());
                let parsed = parsed.map_err(|error| {
                    tracing::debug!(%error, "malformed response");
                    Error::UPSTREAM_MALFORMED
                })?;
                if let Parsed::Complete(len) = parsed {
                    self.head_bytes = self.inbox.take(len);
                    let head = self.head.filled();
                    self.length = head.body_for(self.method);
                    return Poll::Ready(Ok(match () {
                        () if self.connection.switched() => HeadKind::Switched,
                        () if head.is_informational() => HeadKind::Informational,
                        () => HeadKind::Final,
                    }));
                }
                self.inbox.settle();
            }
            let filled = ready!(self.inbox.poll_fill(&mut self.transport, cx, self.expected));
            if !filled.unwrap_or(false) {
                return Poll::Ready(Err(Error::UPSTREAM_GONE));
            }
        }
    }

    fn response(&self) -> (&ResponseHead, &[u8]) {
        (self.head.filled(), &self.head_bytes)
    }

    fn body_length(&self) -> BodyLength {
        self.length
    }

    fn poll_body(&mut self, cx: &Context<'_>) -> Poll<Result<BodyPart, Error>> {
        loop {
            if self.connection.response_complete() {
                return Poll::Ready(Ok(BodyPart::End));
            }
            if !self.inbox.is_empty() {
                let decoded = self.connection.decode_body(self.inbox.bytes());
                let decoded = decoded.map_err(|error| {
                    tracing::debug!(%error, "malformed response body");
                    Error::UPSTREAM_MALFORMED
                })?;
                if let Some(data) = self.inbox.take_decoded(&decoded) {
                    return Poll::Ready(Ok(BodyPart::Data(data)));
                }
                continue;
            }
            let mode = match self.expected {
                _ if self.passed => ReadMode::Once,
                ReadMode::Once | ReadMode::Body => ReadMode::Body,
                ReadMode::Head => read_mode(self.length, self.connection.body_received()),
            };
            let filled = ready!(self.inbox.poll_fill(&mut self.transport, cx, mode));
            self.passed = false;
            // A reset does not end a body, not even one that lasts until the connection's end.
            let ended = filled.is_ok_and(|filled| filled || self.connection.handle_eof().is_ok());
            if !ended {
                return Poll::Ready(Err(Error::UPSTREAM_GONE));
            }
        }
    }

    fn trailers(&self) -> Option<&Trailers> {
        self.connection.trailers()
    }

    fn has_sent(&self) -> bool {
        self.transport.bytes_sent() > self.sent_before
    }
}
