//! `[http2]`

use schemars::JsonSchema;
use serde::Deserialize;

use super::Size;
use crate::config::spanned::Spanned;

/// How much a client of HTTP/2 may have under way on one connection: [http2.md](http2.md) tells more. What `limits` and `timeouts` say
/// of requests holds for those of HTTP/2 as well.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(in crate::config) struct Http2 {
    /// Streams that a connection has at once; one more is refused.
    #[schemars(range(min = 1, max = 1000), extend("default" = 128))]
    pub(in crate::config) streams: Option<Spanned<i64>>,
    /// Bytes of a request's body that a client may send before any of it has gone on, at first.
    #[schemars(extend("default" = "64KiB", "x-range" = ["64KiB", "16MiB"]))]
    pub(in crate::config) window: Option<Spanned<Size>>,
    /// To what that grows where a long way and a fast client need it; not less than `window`.
    #[schemars(extend("default" = "1MiB", "x-range" = ["64KiB", "16MiB"]))]
    pub(in crate::config) window_max: Option<Spanned<Size>>,
    /// Bytes of all bodies of a connection that may wait to go on; then the client has to wait as well.
    #[schemars(extend("default" = "16MiB", "x-range" = ["64KiB", "256MiB"]))]
    pub(in crate::config) held_bytes: Option<Spanned<Size>>,
    /// Bytes of the largest frame that is taken.
    #[schemars(extend("default" = "16KiB", "x-range" = ["16KiB", "1MiB"]))]
    pub(in crate::config) frame_bytes: Option<Spanned<Size>>,
    /// How often a client may make work for nothing.
    #[serde(default)]
    pub(in crate::config) budgets: Http2Budgets,
}

/// How many frames of each kind a client may send that make work and bring it nothing; a tenth as many are forgiven each second. Beyond,
/// it is told to go (`GOAWAY` with `ENHANCE_YOUR_CALM`); beyond twice as many, its connection is closed.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(in crate::config) struct Http2Budgets {
    /// `SETTINGS`, each of which has to be acknowledged.
    #[schemars(range(min = 1, max = 1_000_000), extend("default" = 64))]
    pub(in crate::config) settings: Option<Spanned<i64>>,
    /// `PING`, which has to be answered.
    #[schemars(range(min = 1, max = 1_000_000), extend("default" = 1000))]
    pub(in crate::config) pings: Option<Spanned<i64>>,
    /// Streams that the client takes back.
    #[schemars(range(min = 1, max = 1_000_000), extend("default" = 500))]
    pub(in crate::config) resets: Option<Spanned<i64>>,
    /// Streams that have to be reset, or requests that have to be refused, for a fault of the client.
    #[schemars(range(min = 1, max = 1_000_000), extend("default" = 100))]
    pub(in crate::config) faults: Option<Spanned<i64>>,
    /// Streams beyond `streams`, once the client knows of that.
    #[schemars(range(min = 1, max = 1_000_000), extend("default" = 500))]
    pub(in crate::config) refusals: Option<Spanned<i64>>,
    /// Frames without content that end nothing.
    #[schemars(range(min = 1, max = 1_000_000), extend("default" = 200))]
    pub(in crate::config) empty_frames: Option<Spanned<i64>>,
    /// `PRIORITY` and `PRIORITY_UPDATE`.
    #[schemars(range(min = 1, max = 1_000_000), extend("default" = 500))]
    pub(in crate::config) priorities: Option<Spanned<i64>>,
    /// `WINDOW_UPDATE`, of which data that was sent earns some.
    #[schemars(range(min = 1, max = 1_000_000), extend("default" = 4000))]
    pub(in crate::config) window_updates: Option<Spanned<i64>>,
    /// `CONTINUATION`.
    #[schemars(range(min = 1, max = 1_000_000), extend("default" = 128))]
    pub(in crate::config) continuations: Option<Spanned<i64>>,
    /// Frames on streams that are over.
    #[schemars(range(min = 1, max = 1_000_000), extend("default" = 2000))]
    pub(in crate::config) late_frames: Option<Spanned<i64>>,
    /// Frames of unknown kinds.
    #[schemars(range(min = 1, max = 1_000_000), extend("default" = 500))]
    pub(in crate::config) unknown_frames: Option<Spanned<i64>>,
}
