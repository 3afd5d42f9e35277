//! Which route a request takes, and what the route lets through.

use plan::{Route, RouteId, RouteTable};
use wire::h1::Edits;
use wire::{BodyLength, Method, RequestHead, Target};

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

/// Passes the wish to switch protocols on, if the route lets clients switch to one that this one names. RFC 9110 §7.8
pub(crate) fn offer_upgrade(route: &Route, request: &Request, edits: &mut Edits) {
    let Request { head, bytes, .. } = request;
    // With a body, both sides would have to agree where it ends and the tunnel begins; nobody needs that.
    if !head.upgrade() || head.method() != Method::Get || head.body() != BodyLength::None {
        return;
    }
    if let Some(protocol) = head.protocols(bytes).find(|protocol| route.allows_upgrade(protocol)) {
        edits.offer(protocol).expect("what a route allows is a protocol");
    }
}
