//! Requests and answers on one connection: what is due is written, what arrives is read and counted.

use std::{
    cell::{Cell, RefCell},
    convert::Infallible,
    future::poll_fn,
    pin::pin,
    rc::Rc,
    task::Poll,
};

use monoio::{
    io::{AsyncReadRent, AsyncWriteRent, AsyncWriteRentExt, Splitable},
    net::TcpStream,
};

use super::{
    connection::{Connection, Phase},
    worker::{Job, Worker},
};
use crate::{
    client::{
        protocol::{Answered, Encoded, Event, Failure, GoAway, Key, Protocol},
        socket::transfer_failure,
        tls,
    },
    record::{Answer, ErrorKind},
};

/// Bytes that one read takes at most. Untouched pages of it cost nothing.
const READ_BYTES: usize = 64 << 10;
/// Bytes of requests that are gathered into one write, unless the first alone is longer.
const BATCH_BYTES_MAX: usize = 64 << 10;
/// Bytes that are enciphered at a time.
const SEAL_BYTES: usize = 256 << 10;

/// Requests and answers on one connection. Reading and writing go on side by side, so that neither end waits for the other
/// with full buffers.
pub(super) struct Exchange<'a> {
    worker: &'a Rc<Worker>,
    connection: &'a Rc<Connection>,
    tls: Option<RefCell<tls::Session>>,
    protocol: RefCell<Protocol>,
    /// The request for which the connection was made.
    first: Cell<Option<Job>>,
    /// Whether requests may be sent, before the peer has agreed to the protocol and after the last answer.
    is_open: Cell<bool>,
    is_closing: Cell<bool>,
    /// Whether no further requests are sent, and the connection ends with the last answer.
    is_draining: Cell<bool>,
    begun: Cell<u64>,
    answered: Cell<u64>,
    /// Of the requests that were begun, those that are in the record as streams.
    counted: Cell<u64>,
    first_byte_ns: Cell<Option<u64>>,
    /// The time of the bytes that were just handled, for the requests that follow from them at once.
    now_ns: Cell<Option<u64>>,
    has_reply: Cell<bool>,
}

impl<'a> Exchange<'a> {
    pub(super) fn new(
        worker: &'a Rc<Worker>,
        connection: &'a Rc<Connection>,
        tls: Option<RefCell<tls::Session>>,
        protocol: Protocol,
        first: Option<Job>,
    ) -> Self {
        Self {
            worker,
            connection,
            tls,
            protocol: RefCell::new(protocol),
            first: Cell::new(first),
            is_open: Cell::new(false),
            is_closing: Cell::new(false),
            is_draining: Cell::new(false),
            begun: Cell::new(0),
            answered: Cell::new(0),
            counted: Cell::new(0),
            first_byte_ns: Cell::new(None),
            now_ns: Cell::new(None),
            has_reply: Cell::new(false),
        }
    }

    /// Speaks until the peer closes, or the run is over for this connection.
    pub(super) async fn run(&self, stream: TcpStream) -> Result<(), Failure> {
        let (mut from_peer, mut to_peer) = stream.into_split();
        let mut reading = pin!(self.read(&mut from_peer));
        let mut writing = pin!(self.write(&mut to_peer));
        let mut write_failure = None;
        poll_fn(|context| {
            if self.connection.has_late.take() {
                self.give_up_late();
            }
            if let Poll::Ready(outcome) = reading.as_mut().poll(context) {
                return Poll::Ready(outcome);
            }
            // A peer that has closed may have answered before: what it sent is read first.
            if write_failure.is_none()
                && let Poll::Ready(Err(failure)) = writing.as_mut().poll(context)
            {
                write_failure = Some(failure);
            }
            self.now_ns.set(None);
            if self.has_nothing_left() { Poll::Ready(Ok(())) } else { Poll::Pending }
        })
        .await
    }

    /// Whether the run is over for this connection.
    fn has_nothing_left(&self) -> bool {
        (self.is_draining.get() || self.worker.is_over() && self.first_is_none())
            && self.connection.outstanding.borrow().is_empty()
    }

    fn first_is_none(&self) -> bool {
        let first = self.first.take();
        self.first.set(first);
        first.is_none()
    }

    async fn read(&self, from_peer: &mut impl AsyncReadRent) -> Result<(), Failure> {
        let early = self.tls.as_ref().map(|tls| tls.borrow_mut().take_early()).unwrap_or_default();
        self.handle(&early, self.worker.now_ns())?;
        let mut buffer = Vec::with_capacity(READ_BYTES);
        loop {
            let (result, read) = from_peer.read(buffer).await;
            buffer = read;
            let bytes = match result {
                Ok(0) => return self.end(),
                Ok(bytes) => bytes,
                Err(_) if self.is_closing.get() => return Ok(()),
                Err(error) => return Err(transfer_failure(&error)),
            };
            let now_ns = self.worker.now_ns();
            self.now_ns.set(Some(now_ns));
            self.worker.record(now_ns, |recorder| recorder.received(bytes as u64));
            match &self.tls {
                None => self.handle(&buffer, now_ns)?,
                Some(tls) => {
                    let mut tls = tls.borrow_mut();
                    tls.receive(&buffer, |plaintext| self.handle(plaintext, now_ns))?;
                    if tls.wants_write() {
                        self.has_reply.set(true);
                    }
                    // A peer that said that it has ended may keep the connection until we end it. RFC 8446 §6.1
                    let has_ended = tls.has_ended();
                    drop(tls);
                    if has_ended {
                        return self.end();
                    }
                }
            }
        }
    }

    /// Hands bytes of the protocol to it, and looks at what became complete.
    #[inline]
    fn handle(&self, mut input: &[u8], now_ns: u64) -> Result<(), Failure> {
        while !input.is_empty() && !self.is_closing.get() {
            if self.first_byte_ns.get().is_none() {
                self.first_byte_ns.set(Some(now_ns));
            }
            let mut protocol = self.protocol.borrow_mut();
            let received = protocol.receive(input)?;
            input = &input[received.consumed..];
            match received.event {
                None => {}
                Some(Event::Opened) => {
                    self.is_open.set(true);
                    self.connection.enter(Phase::Open, now_ns);
                    self.first_byte_ns.set(None);
                }
                Some(Event::Begun(key)) => self.connection.outstanding.borrow_mut().begin(key, now_ns),
                Some(Event::Answered(answered)) => self.handle_answer(answered, &mut protocol, now_ns),
                Some(Event::Failed(key, failure)) => self.handle_failure(key, &failure, now_ns),
                Some(Event::GoAway(go_away)) => self.handle_go_away(go_away, now_ns),
            }
            if let Protocol::WebSocket(_) = &*protocol {
                self.has_reply.set(true);
            }
        }
        Ok(())
    }

    #[inline]
    fn handle_answer(&self, answered: Answered, protocol: &mut Protocol, now_ns: u64) {
        let sent = self.connection.outstanding.borrow_mut().remove(answered.key).expect("an answer has a request");
        let first_byte_ns = if protocol.multiplexes() { sent.first_byte_ns } else { self.first_byte_ns.take() };
        let answer = Answer {
            due_ns: sent.job.due_ns,
            sent_ns: sent.sent_ns,
            first_byte_ns: first_byte_ns.unwrap_or(now_ns),
            end_ns: now_ns,
            status: answered.status,
        };
        self.worker.answered(answer, answered.unexpected);
        self.answered.set(self.answered.get() + 1);
        if protocol.multiplexes() {
            return;
        }
        let is_last = self.worker.plan.requests_per_connection.is_some_and(|last| self.answered.get() >= last);
        if answered.last || is_last {
            self.is_closing.set(true);
            self.connection.enter(Phase::Closing, now_ns);
            if let Protocol::WebSocket(session) = protocol {
                session.close();
            }
            // What follows an answer with `Connection: close` was not processed. RFC 9112 §9.6
            for sent in self.connection.outstanding.borrow_mut().take().iter().rev() {
                self.worker.give_back(self.connection.endpoint, sent.job);
            }
        }
    }

    /// A request has failed by itself.
    fn handle_failure(&self, key: Key, failure: &Failure, now_ns: u64) {
        let Some(sent) = self.connection.outstanding.borrow_mut().remove(key) else { return };
        self.worker.record(now_ns, |recorder| {
            recorder.http2(|http2| match failure.kind {
                ErrorKind::StreamReset => http2.resets_received += 1,
                _ => http2.resets_sent += 1,
            });
        });
        self.worker.failed(failure, sent.job.due_ns);
    }

    /// The peer ends the connection: what it has not processed is sent on another one, unless it does so for an error, or
    /// before it has answered anything, which might go on forever.
    fn handle_go_away(&self, go_away: GoAway, now_ns: u64) {
        self.is_draining.set(true);
        self.worker.record(now_ns, |recorder| recorder.http2(|http2| http2.go_aways += 1));
        let mut outstanding = self.connection.outstanding.borrow_mut();
        let is_useless = self.answered.get() == 0 && go_away.unprocessed.len() == outstanding.len();
        let failure = go_away
            .failure
            .or_else(|| is_useless.then(|| Failure::new(ErrorKind::GoneAway, "before it had answered any request")));
        for key in go_away.unprocessed.into_iter().rev() {
            let Some(sent) = outstanding.remove(key) else { continue };
            match &failure {
                Some(failure) => self.worker.failed(failure, sent.job.due_ns),
                None => self.worker.give_back(self.connection.endpoint, sent.job),
            }
        }
        if let Some(job) = self.first.take() {
            self.worker.give_back(self.connection.endpoint, job);
        }
    }

    /// Requests that have taken too long are given up; the others go on.
    fn give_up_late(&self) {
        let timeout_ns = self.worker.plan.timeouts.request.as_nanos() as u64;
        let now_ns = self.worker.now_ns();
        let late = self.connection.outstanding.borrow().due_before(now_ns.saturating_sub(timeout_ns));
        for key in late {
            self.protocol.borrow_mut().cancel(key);
            self.handle_failure(key, &Failure::new(ErrorKind::TimedOut, "no answer in time"), now_ns);
        }
    }

    /// The peer has closed.
    fn end(&self) -> Result<(), Failure> {
        if self.is_closing.get() {
            return Ok(());
        }
        let now_ns = self.worker.now_ns();
        let cut = self.tls.as_ref().is_some_and(|tls| !tls.borrow_mut().has_ended());
        let mut protocol = self.protocol.borrow_mut();
        if let Some(answered) = protocol.end()? {
            if cut {
                return Err(Failure::new(ErrorKind::ClosedEarly, "TLS was cut without a close_notify"));
            }
            self.handle_answer(answered, &mut protocol, now_ns);
        }
        Ok(())
    }

    async fn write(&self, to_peer: &mut impl AsyncWriteRent) -> Result<Infallible, Failure> {
        let mut batch = Vec::new();
        let mut sealed = Vec::new();
        self.is_open.set(self.protocol.borrow_mut().open(&mut batch));
        if self.is_open.get() {
            self.connection.enter(Phase::Open, self.worker.now_ns());
        }
        // What can be said without the peer's consent goes with the first bytes.
        let mut prepared = poll_fn(|_| self.next_output(&mut batch)).await;
        loop {
            let sent_bytes = if let Some(tls) = &self.tls {
                seal_and_write(tls, prepared.unwrap_or(&batch), &mut sealed, to_peer).await?
            } else if let Some(prepared) = prepared {
                let (result, _) = to_peer.write_all(prepared).await;
                result.map_err(|error| transfer_failure(&error))?
            } else {
                let (result, written) = to_peer.write_all(std::mem::take(&mut batch)).await;
                batch = written;
                result.map_err(|error| transfer_failure(&error))?
            };
            let now_ns = self.now_ns.get().unwrap_or_else(|| self.worker.now_ns());
            self.worker.record(now_ns, |recorder| recorder.sent(sent_bytes as u64));
            batch.clear();
            prepared = poll_fn(|_| self.next_output(&mut batch)).await;
        }
    }

    /// Counts the requests that were begun since the last time.
    fn count_streams(&self) {
        let begun = self.begun.get() - self.counted.replace(self.begun.get());
        if begun > 0 {
            let now_ns = self.now_ns.get().unwrap_or_else(|| self.worker.now_ns());
            self.worker.record(now_ns, |recorder| recorder.http2(|http2| http2.streams += begun));
        }
    }

    /// What is to be written next: prepared bytes, or what is then in `batch`.
    fn next_output(&self, batch: &mut Vec<u8>) -> Poll<Option<&'static [u8]>> {
        let mut protocol = self.protocol.borrow_mut();
        let has_reply = self.has_reply.replace(false) && {
            let tls_wants = self.tls.as_ref().is_some_and(|tls| tls.borrow().wants_write());
            protocol.reply(batch, BATCH_BYTES_MAX) || tls_wants
        };
        let mut prepared: Option<&'static [u8]> = None;
        let per_connection = self.worker.plan.requests_per_connection.unwrap_or(u64::MAX);
        let mut outstanding = self.connection.outstanding.borrow_mut();
        while self.is_open.get()
            && !self.is_closing.get()
            && !self.is_draining.get()
            && outstanding.len() < self.worker.plan.under_way_max.min(protocol.requests_max())
            && self.begun.get() < per_connection
            && batch.len() < BATCH_BYTES_MAX
        {
            let now_ns = || self.now_ns.get().unwrap_or_else(|| self.worker.now_ns());
            let job = self.first.take();
            let Some(job) = job.or_else(|| self.worker.take(self.connection.endpoint, self.connection, now_ns)) else {
                break;
            };
            let key = outstanding.insert(job, now_ns());
            self.begun.set(self.begun.get() + 1);
            let encoded = protocol.request(job.target, key, self.begun.get() == per_connection, batch);
            if let Encoded::Prepared(bytes) = encoded {
                if batch.is_empty() && prepared.is_none() {
                    prepared = Some(bytes);
                    continue;
                }
                batch.extend_from_slice(prepared.take().unwrap_or_default());
                batch.extend_from_slice(bytes);
            }
        }
        if protocol.multiplexes() {
            if self.begun.get() == per_connection || protocol.is_spent() {
                self.is_draining.set(true);
            }
            self.count_streams();
            protocol.reply(batch, BATCH_BYTES_MAX);
        }
        if has_reply || prepared.is_some() || !batch.is_empty() { Poll::Ready(prepared) } else { Poll::Pending }
    }
}

/// Writes `plaintext` through TLS, and what TLS itself has to say; returns the bytes that the socket took.
async fn seal_and_write(
    tls: &RefCell<tls::Session>,
    plaintext: &[u8],
    sealed: &mut Vec<u8>,
    to_peer: &mut impl AsyncWriteRent,
) -> Result<usize, Failure> {
    let mut pieces = plaintext.chunks(SEAL_BYTES);
    let mut sent_bytes = 0;
    loop {
        let piece = pieces.next();
        tls.borrow_mut().write(piece.unwrap_or_default(), sealed);
        if sealed.is_empty() {
            return Ok(sent_bytes);
        }
        let (result, written) = to_peer.write_all(std::mem::take(sealed)).await;
        sent_bytes += result.map_err(|error| transfer_failure(&error))?;
        *sealed = written;
        sealed.clear();
        if piece.is_none() {
            return Ok(sent_bytes);
        }
    }
}
