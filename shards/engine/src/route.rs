//! Which route a request takes, and what the route lets through.

use plan::{Route, RouteId, RouteTable};
use wire::h1::Edits;
use wire::{BodyLength, Method, RequestHead, ResponseHead, Target, Version};

use crate::exchange::Request;
use crate::outcome::{Error, Kind, Side};

/// The route for a request, by its host and its path.
pub(crate) fn find(routes: &RouteTable, head: &RequestHead, bytes: &[u8]) -> Option<RouteId> {
    let path = match head.target() {
        // RFC 9112 §3.2.4: the asterisk means the server as a whole. CONNECT names no path at all.
        Target::Asterisk | Target::Authority => b"/",
        _ => head.path(bytes),
    };
    routes.find(head.host(bytes), path)
}

/// A tunnel to anywhere is not for a reverse proxy to open: an upstream may, where a route says so.
pub(crate) fn check_connect(route: Option<&Route>, head: &RequestHead) -> Result<(), Error> {
    if !route.is_some_and(|route| route.connect) {
        return Err(Error::new(Side::Client, Kind::Unsupported, 501));
    }
    // RFC 9110 §9.3.6: CONNECT has no content; what looks like it may be the tunnel's.
    if head.body() == BodyLength::None { Ok(()) } else { Err(Error::CLIENT_MALFORMED) }
}

/// Whether a client of HTTP/2 asks for a tunnel on its stream (RFC 8441), which is read as the GET with an upgrade that a client of HTTP/1
/// would have sent.
#[inline]
pub(crate) fn is_extended_connect(head: &RequestHead) -> bool {
    head.version() == Version::Http2 && head.upgrade()
}

/// What is no more than a wish in HTTP/1 is all that an extended CONNECT is about: where the route does not let it switch, no upstream is
/// asked. RFC 9220 §3
pub(crate) fn check_extended_connect(route: &Route, head: &RequestHead, bytes: &[u8]) -> Result<(), Error> {
    let is_refused = || !head.protocols(bytes).any(|protocol| route.allows_upgrade(protocol));
    if is_extended_connect(head) && is_refused() {
        return Err(Error::new(Side::Client, Kind::Unsupported, 501));
    }
    Ok(())
}

/// Holds the final answer to an extended CONNECT against what was asked. To its client a 2xx means that the tunnel stands, so none is passed
/// on but for a 101, and none for that but from a server that has understood. RFC 8441 §5, RFC 6455 §4.1
pub(crate) fn check_switch(request: &Request, head: &ResponseHead, bytes: &[u8]) -> Result<(), Error> {
    let Some(key) = &request.websocket_key else { return Ok(()) };
    let is_accepted = match head.status() {
        101 if is_websocket(&request.head, &request.bytes) => {
            let accept = head.field_named(b"sec-websocket-accept", bytes);
            accept.is_some_and(|accept| key.is_answered_by(accept.value.of(bytes)))
        }
        status => !(200..300).contains(&status),
    };
    if is_accepted { Ok(()) } else { Err(Error::UPSTREAM_MALFORMED) }
}

fn is_websocket(head: &RequestHead, bytes: &[u8]) -> bool {
    head.protocols(bytes).any(|protocol| protocol.eq_ignore_ascii_case(b"websocket"))
}

/// Passes the wish to switch protocols on, if the route lets clients switch to one that this one names. RFC 9110 §7.8
pub(crate) fn offer_upgrade(route: &Route, request: &Request, edits: &mut Edits) {
    let Request { head, bytes, .. } = request;
    // With a body, both sides would have to agree where it ends and the tunnel begins; nobody needs that.
    if !head.upgrade() || head.method() != Method::Get || head.body() != BodyLength::None {
        return;
    }
    if let Some(protocol) = head.protocols(bytes).find(|protocol| route.allows_upgrade(protocol)) {
        edits.offer(protocol).expect("what a route allows is a protocol");
        if let Some(key) = request.websocket_key.as_ref().filter(|_| is_websocket(head, bytes)) {
            const NAME: &[u8] = b"Sec-WebSocket-Key";
            let added = edits.remove_named(NAME).and_then(|()| edits.append(NAME, key.as_bytes()));
            added.expect("a key is text");
        }
    }
}
