//! What an exchange needs of the two connections that it joins.
//!
//! [`Downstream`] is one request's place in a client's session, [`Upstream`] one request's place in a connection to a
//! server. A protocol that carries one exchange at a time (HTTP/1) implements them on the connection itself, one that
//! carries many (HTTP/2) on a stream of it. Everything is polled with `&mut self` and never waits inside: so one task can
//! drive both directions of an exchange at once, and back-pressure is a matter of whom it polls.
//!
//! Large bodies need not be seen: where both sides are plain connections, a run of data passes from socket to socket
//! ([`Source`], [`Sink`]).
//!
//! What is sent is collected until [`Downstream::flush`] or [`Upstream::flush`], so that a head and a small body are one
//! run of bytes on the wire.

use std::io;
use std::task::{Context, Poll};

use ring::{Chunk, Instant, Stream};
use wire::h1::{Edits, Trailers};
use wire::{BodyLength, RequestHead, ResponseHead};

use crate::handler::coalesce::Lead;
use crate::outcome::Error;
use crate::upstream::coalesce::Seat;
use crate::upstream::server::Ticket;

/// The next part of a body.
#[derive(Debug)]
pub(crate) enum BodyPart {
    /// Some bytes of it, never none.
    Data(Chunk),
    /// It has ended; trailers, if there were any, are with the stream.
    End,
}

/// What arrived from the upstream, to be found in [`Upstream::response`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HeadKind {
    /// 1xx: another head follows.
    Informational,
    /// The response proper.
    Final,
    /// The upstream has left HTTP, as it was asked to: 101, or 2xx to CONNECT. What follows are a tunnel's bytes.
    Switched,
}

/// Where a body comes from.
pub(crate) trait Source {
    /// How many data bytes come next in one run, without framing between them; 0 where they cannot be taken past this stream.
    fn run_bytes(&self) -> u64 {
        0
    }
    /// Ready with the number of data bytes of the run that may now be taken from [`Source::source`] past this stream; 0 if none
    /// may.
    fn poll_run(&mut self, _: &Context<'_>) -> Poll<u64> {
        Poll::Ready(0)
    }
    /// The socket behind the stream, where a run may be taken from it.
    fn source(&mut self) -> Option<&mut Stream> {
        None
    }
    /// Takes note of bytes of the run that were taken.
    fn pass(&mut self, _bytes: usize) {}
}

/// Where a body goes.
pub(crate) trait Sink {
    /// Announces a run of data bytes that will be given to [`Sink::sink`] past this stream.
    fn begin_run(&mut self, _bytes: u64) -> Result<(), Error> {
        Ok(())
    }
    /// The socket behind the stream, where a run may be given to it.
    fn sink(&mut self) -> Option<&mut Stream> {
        None
    }
    /// Takes note of bytes of the run that were given.
    fn count(&mut self, _bytes: usize) {}
    /// Ends the run.
    fn end_run(&mut self) {}
}

/// One side of a tunnel, once both sides have left HTTP: bytes as they are. A plain connection is one, and so is a stream of
/// HTTP/2 that was opened by an extended CONNECT (RFC 8441).
pub(crate) trait TunnelEnd {
    /// The next bytes, never none; `None` once the peer has ended its sending. `large` says that many will come at once.
    fn poll_bytes(&mut self, cx: &Context<'_>, large: bool) -> Poll<io::Result<Option<Chunk>>>;
    /// Sends bytes. They leave with this tick.
    fn send_bytes(&mut self, bytes: Chunk);
    /// Ready when more may be sent.
    fn poll_room(&mut self, cx: &Context<'_>) -> Poll<io::Result<()>>;
    /// Ends our sending; ready when all has been sent.
    fn poll_end(&mut self, cx: &Context<'_>) -> Poll<io::Result<()>>;
    /// Ready when the socket may be read by other means; with `false` when bytes or an end wait, which are to be taken first.
    fn poll_quiet(&mut self, _: &Context<'_>) -> Poll<bool> {
        Poll::Ready(false)
    }
    /// The socket, where the tunnel's bytes are all that it carries.
    fn socket(&mut self) -> Option<&mut Stream> {
        None
    }
}

/// One request's place in a client's session.
pub(crate) trait Downstream: Source + Sink {
    /// The client's side of a tunnel.
    type Tunnel<'a>: TunnelEnd
    where
        Self: 'a;
    /// The next part of the request's body.
    fn poll_body(&mut self, cx: &Context<'_>) -> Poll<Result<BodyPart, Error>>;
    /// The trailers of a body that has ended.
    fn trailers(&self) -> Option<&Trailers>;
    /// Passes a 1xx response on.
    fn send_informational(&mut self, head: &ResponseHead, bytes: &[u8]);
    /// Begins the response. `body` is what the upstream's framing says.
    fn send_head(&mut self, head: &ResponseHead, bytes: &[u8], edits: &Edits, body: BodyLength);
    /// Sends a part of the response's body.
    fn send_data(&mut self, data: Chunk) -> Result<(), Error>;
    /// Ends the response's body.
    fn finish(&mut self, trailers: Option<&Trailers>) -> Result<(), Error>;
    /// Passes on the answer that leaves HTTP, 101 or 2xx to CONNECT: from here on the client's side is [`Downstream::tunnel`].
    fn switch(&mut self, head: &ResponseHead, bytes: &[u8], edits: &Edits);
    /// The client's side after [`Downstream::switch`].
    fn tunnel(&mut self) -> Self::Tunnel<'_>;
    /// Takes note of the bytes that a tunnel received from the client and sent to it.
    fn count_tunnel(&mut self, received: u64, sent: u64);
    /// Answers in Ringway's own name, without content.
    fn respond(&mut self, status: u16, edits: &Edits);
    /// Answers in Ringway's own name, with a small text and the lines that `edits` adds, if no response has begun; else ends
    /// the exchange so that the client notices that the response is not whole.
    fn fail(&mut self, error: &Error, edits: &Edits);
    /// What was sent so far leaves with this tick.
    fn flush(&mut self);
    /// Ready when more of the response may be sent.
    fn poll_writable(&mut self, cx: &Context<'_>) -> Poll<Result<(), Error>>;
    /// Ready when the client is known to be gone for good.
    fn poll_failed(&mut self, cx: &Context<'_>) -> Poll<Error>;
    /// The status that was sent, once one was.
    fn status(&self) -> Option<u16>;
    /// Whether the request has come whole, body included.
    fn request_complete(&self) -> bool;
    /// Bytes of the request's body received so far, without framing.
    fn body_bytes_received(&self) -> u64;
    /// Bytes of the response's body sent so far, without framing.
    fn body_bytes_sent(&self) -> u64;
    /// Whether the client has sent more behind this request, which waits for its turn.
    fn is_followed(&self) -> bool {
        false
    }
    /// Sends the requests behind this one ahead of their turn, as far as `lead` lets them.
    fn look_ahead(&mut self, _lead: &Lead<'_>) {}
    /// When this request was sent to the upstream, if that was ahead of its turn.
    fn sent_ahead(&self) -> Option<Instant> {
        None
    }
    /// The place that such a request has there, once.
    fn take_place(&mut self) -> Option<(Seat, Ticket)> {
        None
    }
}

/// One request's place in a connection to an upstream server.
pub(crate) trait Upstream: Source + Sink {
    /// The upstream's side of a tunnel.
    type Tunnel<'a>: TunnelEnd
    where
        Self: 'a;
    /// The upstream's side after [`HeadKind::Switched`].
    fn tunnel(&mut self) -> Self::Tunnel<'_>;
    /// Begins the request.
    fn send_head(&mut self, head: &RequestHead, bytes: &[u8], edits: &Edits);
    /// Sends a part of the request's body.
    fn send_data(&mut self, data: Chunk) -> Result<(), Error>;
    /// Ends the request's body.
    fn finish(&mut self, trailers: Option<&Trailers>) -> Result<(), Error>;
    /// What was sent so far leaves with this tick.
    fn flush(&mut self);
    /// Ready when more of the request may be sent.
    fn poll_writable(&mut self, cx: &Context<'_>) -> Poll<Result<(), Error>>;
    /// The next head of the answer.
    fn poll_head(&mut self, cx: &Context<'_>) -> Poll<Result<HeadKind, Error>>;
    /// The head that [`Upstream::poll_head`] announced last, and the bytes that it refers to.
    fn response(&self) -> (&ResponseHead, &[u8]);
    /// How the response's body ends.
    fn body_length(&self) -> BodyLength;
    /// The next part of the response's body.
    fn poll_body(&mut self, cx: &Context<'_>) -> Poll<Result<BodyPart, Error>>;
    /// The trailers of a body that has ended.
    fn trailers(&self) -> Option<&Trailers>;
    /// Whether the server can have seen any byte of the request.
    fn has_sent(&self) -> bool;
}
