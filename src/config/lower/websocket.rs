//! `[routes.websocket]`, and how long a route's streams of events may last

use std::ops::RangeInclusive;
use std::time::Duration;

use plan::{Streams, WebSocket};

use super::{TIMEOUT_RANGE, duration, size};
use crate::config::diagnostic::{Problem, Problems};
use crate::config::raw::{self, FlagOr};

/// Bytes of frames and messages.
const BYTES_RANGE: RangeInclusive<u64> = 1..=1 << 40;

/// `None` where WebSockets are not looked into. `upgrades` are the protocols that the route allows, if it says which.
pub(super) fn lower(section: &raw::Route, upgrades: Option<&[String]>, problems: &mut Problems) -> Option<WebSocket> {
    let written = section.websocket.as_ref()?;
    let (default, unwritten) = (WebSocket::default(), raw::WebSocket::default());
    let section = match written.get_ref() {
        FlagOr::Flag(false) => return None,
        FlagOr::Flag(true) => &unwritten,
        FlagOr::Table(section) => &**section,
    };
    if upgrades.is_some_and(|upgrades| !upgrades.iter().any(|protocol| protocol == "websocket")) {
        let problem = Problem::new("this route lets no client switch to WebSocket, so there would be none to check");
        problems.at(written.span(), problem.expected("`websocket` among its `upgrades`"));
    }
    let message = size(section.message_bytes.as_ref(), BYTES_RANGE, default.message_bytes_max, problems);
    let frame = size(section.frame_bytes.as_ref(), BYTES_RANGE, message, problems);
    if let Some(written) = section.frame_bytes.as_ref().filter(|_| frame > message) {
        let problem = Problem::new("a frame is allowed to be longer than a message, of which it is a part");
        problems.at(written.span(), problem.expected("not more than `message_bytes`, which is 16MiB by default"));
    }
    let from_zero = Duration::ZERO..=*TIMEOUT_RANGE.end();
    let ping_interval = duration(section.ping_interval.as_ref(), from_zero, default.ping_interval, problems);
    let pong_timeout = duration(section.pong_timeout.as_ref(), TIMEOUT_RANGE, default.pong_timeout, problems);
    Some(WebSocket { frame_bytes_max: frame, message_bytes_max: message, ping_interval, pong_timeout })
}

pub(super) fn streams(section: &raw::Route, problems: &mut Problems) -> Streams {
    let default = Streams::default();
    let from_zero = Duration::ZERO..=*TIMEOUT_RANGE.end();
    Streams {
        idle: duration(section.stream_idle_timeout.as_ref(), TIMEOUT_RANGE, default.idle, problems),
        total: duration(section.stream_timeout.as_ref(), from_zero, default.total, problems),
    }
}
