//! A connection until it is known what it carries: a header of the PROXY protocol perhaps, then TLS or HTTP.
//!
//! Only connections to listeners that ask for it come here, and they leave as soon as it is known; what was received goes with
//! them. One deadline, from the accept on, is for all of it and for the first request's head.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::task::Poll;

use plan::{Address, Listener, Passthrough, PlainHttp, ProxyProtocol, TrustPolicy};
use ring::{Chunk, Instant, ReadMode, Stream};
use wire::RequestHead;
use wire::detect::{Opening, Wanted, opening};
use wire::h1::{Parsed as ParsedHead, parse_request};
use wire::proxy_protocol::{self, Origin, Parsed};
use wire::tls_hello::{Alert, ClientHello, HelloReader, Progress};

use super::{farewell, http1, http2, secure};
use crate::client::{Client, Ends};
use crate::deadline::Deadline;
use crate::handler::passthrough::Passing;
use crate::inbox::Inbox;
use crate::outcome::{Error, Kind, Limit, Outcome, Side};
use crate::record::{KeptFields, Record};
use crate::refusal::Refusal;
use crate::shard::{Acceptance, Membership, Serving};
use crate::transport::Transport;
use crate::tuning::wire_limits;

/// The answer to HTTP without TLS where only TLS is served.
const PLAIN_UNSERVED: &[u8] =
    b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 49\r\n\
    Connection: close\r\n\r\n400 Bad Request: this port is served by TLS only\n";

/// The answer to HTTP/1 where only HTTP/2 is served without TLS.
const HTTP1_UNSERVED: &[u8] =
    b"HTTP/1.1 505 HTTP Version Not Supported\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 67\r\n\
    Connection: close\r\n\r\n505 HTTP Version Not Supported: this port is served by HTTP/2 only\n";

/// Whether this connection begins with a header of the PROXY protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Header {
    /// None is looked for.
    Ignored,
    /// One is refused.
    Forbidden,
    /// One is believed.
    Allowed,
    /// There has to be one.
    Required,
}

/// What a connection carries.
enum Found {
    /// HTTP/1, or what its reader has an answer to: if the client `may_know_http2`, the preface of that too.
    Http1 { may_know_http2: bool },
    /// HTTP/2, of which the preface has come.
    Http2,
    /// TLS, of which the first message has come.
    Tls(ClientHello),
}

/// Why a connection goes no further.
enum End {
    /// It is refused, and this is sent before it is closed.
    Refused(Refusal, Chunk),
    /// The same, by TLS.
    Alerted(Refusal, Alert),
    /// A limit on the client that it turned out to be.
    Limited(Limit),
    /// It took too long.
    Late,
    /// Nobody is there any more, or the shard stops.
    Gone,
}

impl Refusal {
    /// The connection is closed without a word: what the peer speaks is not known, or it is not trusted with an answer.
    fn silently(self) -> End {
        End::Refused(self, Chunk::default())
    }
}

/// The connection, and what is known of it.
struct Detection {
    shard: Membership,
    /// Always plain: what it carries is what is to be found out.
    transport: Transport,
    inbox: Inbox,
    /// The peer; once the header has been read, whom it speaks for.
    client: Client,
    header: Header,
    /// Which of the Plan's listeners it came by.
    place: usize,
    began: Instant,
    due: Instant,
}

/// Takes a connection to a listener that [detects](Listener::detects), if its peer may have one more.
pub(crate) fn admit(shard: &Acceptance, serving: &Serving, listener: &Listener, stream: Stream, client: Client) {
    let header = match &listener.proxy_protocol {
        ProxyProtocol::Off => Header::Ignored,
        ProxyProtocol::Optional(trust) if trusts(trust, listener, &stream) => Header::Allowed,
        ProxyProtocol::Optional(_) => Header::Forbidden,
        ProxyProtocol::Required(trust) if trusts(trust, listener, &stream) => Header::Required,
        ProxyProtocol::Required(_) => return shard.refused(&client, Refusal::ProxyUntrusted),
    };
    let client = match header {
        Header::Allowed | Header::Required => client.speaking_for_others(),
        Header::Ignored | Header::Forbidden => client,
    };
    match shard.enter(&client, shard.tally.as_ref()) {
        Ok(membership) => {
            let began = ring::now();
            let due = began + serving.plan.timeouts.head;
            let inbox = Inbox::default();
            let (shard, place) = (membership, shard.place);
            let transport = Transport::Plain(stream);
            ring::spawn(Detection { shard, transport, inbox, client, header, place, began, due }.run());
        }
        Err(limit) => shard.counters.hit(limit),
    }
}

/// Whether the header of this peer is believed. Of one that has gone already nothing is.
fn trusts(trust: &TrustPolicy, listener: &Listener, stream: &Stream) -> bool {
    match listener.address {
        Address::Tcp(_) => stream.peer().is_some_and(|peer| trust.trusts(peer.ip())),
        Address::Unix(_) => trust.unix,
    }
}

impl Detection {
    async fn run(mut self) {
        let mut deadline = Deadline::new();
        match self.detect(&mut deadline).await {
            Ok(Found::Http1 { may_know_http2 }) => self.serve_http1(may_know_http2),
            Ok(Found::Http2) => self.serve_http2(),
            Ok(Found::Tls(hello)) => self.serve_tls(hello, &mut deadline).await,
            Err(end) => self.end(end, &mut deadline).await,
        }
    }

    /// Reads as much as it takes to know what comes: a handshake of TLS, HTTP/1 or HTTP/2.
    async fn detect(&mut self, deadline: &mut Deadline) -> Result<Found, End> {
        self.read_header(deadline).await?;
        let serving = self.shard.serving();
        let Some(listener) = serving.plan.listeners.get(self.place) else { return Err(End::Gone) };
        let protocols = listener.protocols;
        let http1 = Found::Http1 { may_know_http2: protocols.http2 };
        if protocols.http1 && !protocols.tls {
            return Ok(http1);
        }
        let wanted = Wanted { proxy: false, tls: protocols.tls, http2: !protocols.http1 };
        loop {
            match opening(self.inbox.bytes(), wanted) {
                None => self.receive(deadline).await?,
                Some(Opening::Tls) => return self.read_hello(deadline).await.map(Found::Tls),
                // Whatever it is, the reader of requests has an answer to it, or knows it for HTTP/2.
                Some(_) if protocols.http1 => return Ok(http1),
                Some(Opening::Http2) if protocols.http2 => return Ok(Found::Http2),
                Some(Opening::Http1) if protocols.http2 => {
                    return Err(End::Refused(Refusal::Http1Unserved, Chunk::from_static(HTTP1_UNSERVED)));
                }
                Some(Opening::Http1) => return Err(self.answer_plain(&serving, listener, deadline).await?),
                Some(Opening::Http2) => {
                    return Err(End::Refused(Refusal::Http2Unserved, Chunk::from_static(PLAIN_UNSERVED)));
                }
                Some(_) => return Err(Refusal::Unknown.silently()),
            }
        }
    }

    /// Reads the header of the PROXY protocol, if there is to be one, and finds out for whom the peer speaks.
    async fn read_header(&mut self, deadline: &mut Deadline) -> Result<(), End> {
        let origin = loop {
            match self.header {
                Header::Ignored => return Ok(()),
                Header::Forbidden => match opening(self.inbox.bytes(), Wanted { proxy: true, ..Wanted::default() }) {
                    None => {}
                    Some(Opening::ProxyV1 | Opening::ProxyV2) => return Err(Refusal::ProxyUntrusted.silently()),
                    Some(_) => return Ok(()),
                },
                Header::Allowed | Header::Required => match proxy_protocol::parse(self.inbox.bytes()) {
                    Ok(Parsed::Partial) => {}
                    Ok(Parsed::Complete(header, len)) => {
                        self.inbox.take(len);
                        self.shard.counters.proxy_headers.add(1);
                        break header.origin;
                    }
                    Ok(Parsed::Absent) if self.header == Header::Required => {
                        return Err(Refusal::ProxyMissing.silently());
                    }
                    Ok(Parsed::Absent) => break Origin::Local,
                    Err(error) => {
                        tracing::debug!(peer = self.client.text(), %error, "malformed PROXY header");
                        return Err(Refusal::ProxyMalformed.silently());
                    }
                },
            }
            self.receive(deadline).await?;
        };
        self.identify(origin)
    }

    /// From here on the connection is that of whoever the peer speaks for.
    fn identify(&mut self, origin: Origin) -> Result<(), End> {
        let serving = self.shard.serving();
        let plan = &serving.plan;
        self.client = match origin {
            // The connection's own addresses count.
            Origin::Local | Origin::Unknown => {
                let Some(stream) = self.transport.plain() else { return Err(End::Gone) };
                Client::new(stream.peer(), plan).with_ends(serving.ends_of(stream))
            }
            Origin::Unix => Client::new(None, plan),
            Origin::Tcp { source, destination } => {
                let ends = serving.announces.then_some(Ends { source, destination });
                let source = SocketAddr::new(source.ip().to_canonical(), source.port());
                Client::new(Some(source), plan).with_ends(ends)
            }
        };
        self.shard.identify(&self.client).map_err(End::Limited)
    }

    /// Reads the first message of a handshake, of which the beginning is there.
    async fn read_hello(&mut self, deadline: &mut Deadline) -> Result<ClientHello, End> {
        let mut reader = HelloReader::default();
        loop {
            match reader.read(self.inbox.bytes()) {
                Ok(Progress::Partial) => self.receive(deadline).await?,
                Ok(Progress::Complete(hello)) => return Ok(hello),
                Ok(Progress::NotTls) => return Err(End::Alerted(Refusal::TlsMalformed, Alert::UnexpectedMessage)),
                Err(error) => {
                    tracing::debug!(client = self.client.text(), %error, "malformed ClientHello");
                    return Err(End::Alerted(Refusal::TlsMalformed, error.alert()));
                }
            }
        }
    }

    /// What a client is told that speaks HTTP without TLS where only TLS is served: nothing that it asks for, and perhaps where to
    /// ask again.
    async fn answer_plain(
        &mut self,
        serving: &Serving,
        listener: &Listener,
        deadline: &mut Deadline,
    ) -> Result<End, End> {
        let refused = |answer| End::Refused(Refusal::PlainUnserved, answer);
        if listener.tls.is_none_or(|tls| tls.plain_http == PlainHttp::Refuse) {
            return Ok(refused(Chunk::from_static(PLAIN_UNSERVED)));
        }
        let (mut head, limits) = (RequestHead::new(), wire_limits(&serving.plan));
        loop {
            match parse_request(self.inbox.bytes(), &limits, &mut head) {
                Ok(ParsedHead::Partial) => self.receive(deadline).await?,
                Ok(ParsedHead::Complete(_)) => return Ok(refused(redirect(&head, self.inbox.bytes()))),
                Err(_) => return Ok(refused(Chunk::from_static(PLAIN_UNSERVED))),
            }
        }
    }

    /// Waits for more bytes, which it does not do for longer than until the deadline.
    async fn receive(&mut self, deadline: &mut Deadline) -> Result<(), End> {
        self.inbox.settle();
        deadline.set_at(self.due);
        poll_fn(|cx| {
            self.shard.register(cx);
            if let Poll::Ready(filled) = self.inbox.poll_fill(&mut self.transport, cx, ReadMode::Head) {
                return Poll::Ready(if filled.unwrap_or(false) { Ok(()) } else { Err(End::Gone) });
            }
            if let Some(until) = self.shard.idle_until() {
                if until <= ring::now() {
                    return Poll::Ready(Err(End::Gone));
                }
                deadline.bring_forward(until);
            }
            deadline.poll(cx).map(|()| Err(if self.shard.is_draining() { End::Gone } else { End::Late }))
        })
        .await
    }

    /// Goes on as a connection of HTTP/1, in a task of its own size.
    fn serve_http1(mut self, may_know_http2: bool) {
        let received = self.inbox.take(self.inbox.bytes().len());
        if let Some(stream) = self.transport.plain().filter(|_| !received.is_empty()) {
            stream.unread(received);
        }
        ring::spawn(http1::serve(self.shard, self.transport, self.client, self.due, may_know_http2));
    }

    /// The same, of HTTP/2.
    fn serve_http2(mut self) {
        let received = self.inbox.take(self.inbox.bytes().len());
        ring::spawn(http2::serve(self.shard, self.transport, self.client, self.due, received));
    }

    /// Goes on where the name leads that the client asks for: to a server, if there is a rule for it, or to a handshake here.
    async fn serve_tls(mut self, hello: ClientHello, deadline: &mut Deadline) {
        let serving = self.shard.serving();
        if let Some(rule) = serving.plan.passthrough.find(self.place, hello.server_name()) {
            return ring::pooled(|| self.pass_through(&serving, rule, hello.server_name(), deadline)).await;
        }
        if serving.plan.listeners.get(self.place).is_none_or(|listener| listener.tls.is_none()) {
            return self.end(End::Alerted(Refusal::TlsUnknownName, Alert::UnrecognizedName), deadline).await;
        }
        let received = self.inbox.take(self.inbox.bytes().len());
        let Detection { shard, transport: Transport::Plain(stream), client, due, .. } = self else { return };
        let server_name = hello.server_name().map(Into::into);
        ring::spawn(secure::serve(secure::Greeted { shard, stream, client, received, server_name, due }));
    }

    /// Joins the client with a server.
    async fn pass_through(
        &mut self,
        serving: &Serving,
        rule: &Passthrough,
        name: Option<&str>,
        deadline: &mut Deadline,
    ) {
        let passing = Passing { shard: &self.shard, serving, rule, client: &self.client, name, began: self.began };
        if !passing.run(&mut self.transport, &mut self.inbox, deadline).await {
            self.farewell(Chunk::copy_of(&Alert::InternalError.record()), deadline).await;
        }
    }

    async fn end(&mut self, end: End, deadline: &mut Deadline) {
        match end {
            End::Gone => {}
            End::Limited(limit) => self.shard.counters.hit(limit),
            End::Late if self.inbox.is_empty() => self.shard.counters.hit(Limit::HeadTime),
            End::Late => self.note(Error::new(Side::Client, Kind::TimedOut, 408).by(Limit::HeadTime)),
            End::Refused(refusal, answer) => {
                self.refuse(refusal);
                if !answer.is_empty() {
                    self.farewell(answer, deadline).await;
                }
            }
            End::Alerted(refusal, alert) => {
                self.refuse(refusal);
                self.farewell(Chunk::copy_of(&alert.record()), deadline).await;
            }
        }
    }

    fn refuse(&self, refusal: Refusal) {
        self.shard.refused(&self.client, refusal);
        self.note(refusal.error());
    }

    /// Takes note of a connection that comes to no request, and writes it down where exchanges without a route go.
    fn note(&self, error: Error) {
        let (outcome, now) = (Outcome::Failed(error), ring::now());
        self.shard.note(&self.client, outcome);
        let serving = self.shard.serving();
        let response = KeptFields::default();
        self.shard.record(&serving, serving.plan.access_logs.default, now, || Record {
            client: self.client.text(),
            request: None,
            server_name: None,
            tls: None,
            response: &response,
            status: error.status,
            outcome,
            route: None,
            upstream: None,
            request_id: b"",
            bytes_in: 0,
            bytes_out: 0,
            duration: now.saturating_duration_since(self.began),
        });
    }

    /// Closes so that the client can read what is said last (RFC 9112 §9.6 has the reason).
    async fn farewell(&mut self, last: Chunk, deadline: &mut Deadline) {
        self.transport.write(last);
        farewell(&mut self.transport, deadline).await;
    }
}

/// The answer that names the same address with `https`, to a request that says which host it is for.
fn redirect(head: &RequestHead, bytes: &[u8]) -> Chunk {
    let Some(authority) = head.authority().map(|authority| authority.of(bytes)).filter(|name| !name.is_empty()) else {
        return Chunk::from_static(PLAIN_UNSERVED);
    };
    // What passed the gate has neither blanks nor ends of lines.
    let answer = [
        b"HTTP/1.1 308 Permanent Redirect\r\nLocation: https://",
        authority,
        head.path_and_query(bytes),
        b"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
    ];
    Chunk::copy_of(&answer.concat())
}
