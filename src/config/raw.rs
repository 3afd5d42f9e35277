//! The configuration as it is written, key by key. Nothing is required and nothing is checked here, only typed: what is
//! missing or out of range is found when the structs are lowered, where all such errors can be told at once.
//!
//! This is also where keys are described, once for all: the JSON Schema, the reference page and `ringway config show` are
//! made from the comments and attributes of these fields. Each field has
//!
//! - a comment that says what it means;
//! - `default`, the value of a key that is left out, as it would be written; or `x-default`, a few words where there is no
//!   such value; or it stands among the `required` of its struct;
//! - `range`, or `x-range` for durations and sizes, where there are bounds; `enum`, where only some words are allowed;
//! - `x-type`, where its kind of text has a name.
//!
//! That all of this is true of the lowering is tested in `schema/tests.rs`.

mod forms;
pub(super) mod http2;
pub(super) mod tls;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use super::spanned::Spanned;
pub(super) use forms::{Duration, FlagOr, ListOr, Quantity, Server, Size, TextOr, Values};

/// A whole configuration, or one file of it.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct File {
    /// More files: paths and patterns, relative to this one. They may stand where this one's folder is or elsewhere, and may
    /// include others themselves.
    #[serde(default)]
    #[schemars(extend("default" = [], "x-type" = "path or pattern"))]
    #[expect(dead_code, reason = "followed before this is read; here it is only described and checked for its shape")]
    pub(super) include: Vec<Spanned<String>>,
    /// Where clients are accepted. At least one.
    #[serde(default)]
    pub(super) listeners: Vec<Spanned<Listener>>,
    /// The groups of servers that requests are proxied to, each by its name: 1 to 64 letters of ASCII, digits, `-`, `_` and
    /// `.`; not `other`, which metrics use. At least one.
    #[serde(default)]
    pub(super) upstreams: BTreeMap<Spanned<String>, Upstream>,
    /// Which upstream serves which host and path. At least one.
    #[serde(default)]
    pub(super) routes: Vec<Spanned<Route>>,
    /// Which connections of TLS go to an upstream as they are, by the name that the client asks for.
    #[serde(default)]
    pub(super) passthrough: Vec<Spanned<Passthrough>>,
    /// How much a peer may send or hold.
    #[serde(default)]
    pub(super) limits: Limits,
    /// How long a client may take. The time-outs of upstreams stand with them.
    #[serde(default)]
    pub(super) timeouts: Timeouts,
    /// When a shard that has too much to do refuses new requests.
    #[serde(default)]
    pub(super) overload: Overload,
    /// How much a client of HTTP/2 may have under way on one connection.
    #[serde(default)]
    pub(super) http2: http2::Http2,
    /// Who Ringway is to clients that speak TLS, and what it insists on.
    #[serde(default)]
    pub(super) tls: tls::Tls,
    /// Whose forwarding headers are believed.
    #[serde(default)]
    pub(super) trust: Trust,
    /// What requests tell upstreams about clients besides the usual.
    #[serde(default)]
    pub(super) forwarding: Forwarding,
    /// How the work is laid over the machine's cores.
    #[serde(default)]
    pub(super) shards: Shards,
    /// What is written down.
    #[serde(default)]
    pub(super) log: Log,
    /// Who is asked for the addresses of servers that are known by name.
    #[serde(default)]
    pub(super) dns: Dns,
    /// What is counted, and how finely it is told.
    #[serde(default)]
    pub(super) metrics: Metrics,
    /// How the processes are run that serve.
    #[serde(default)]
    pub(super) process: Process,
    /// What is written down of each exchange, where its route does not say: `off`, or, to standard output, `json`, `common` or
    /// `combined`; or the name of one of `access_logs`; or a table with their keys.
    #[schemars(extend("x-default" = "what `log.access` says"))]
    pub(super) access_log: Option<Spanned<TextOr<AccessLog>>>,
    /// Access logs that routes may name, each by its name: 1 to 64 letters of ASCII, digits, `-`, `_` and `.`. At most 64.
    #[serde(default)]
    pub(super) access_logs: BTreeMap<Spanned<String>, AccessLog>,
    /// Where and by whom a running Ringway may be looked at and told what to do ([operation.md](operation.md#the-admin-api)).
    #[serde(default)]
    pub(super) admin: Admin,
    /// What is different in one environment, by its name. `--env NAME` or `RINGWAY_ENV` chooses one.
    #[serde(default)]
    #[expect(dead_code, reason = "merged before this is lowered; here it is only described and checked for its shape")]
    pub(super) environments: BTreeMap<Spanned<String>, Overlay>,
}

/// `[environments.NAME]`: anything that a file may hold, but for `include` and `environments`, which are refused before
/// this is read.
#[derive(Debug, Deserialize)]
#[serde(transparent)]
pub(super) struct Overlay(#[expect(dead_code, reason = "only read for its shape; it is merged as a tree")] File);

/// `[[listeners]]`
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a table")]
#[schemars(extend("required" = ["address"]))]
pub(super) struct Listener {
    /// Where clients are accepted. Port 0 lets the kernel choose.
    #[schemars(extend("x-type" = "address"))]
    pub(super) address: Option<Spanned<String>>,
    /// Connections that the kernel holds until they are accepted.
    #[schemars(range(min = 1, max = 65_535), extend("default" = 4096))]
    pub(super) backlog: Option<Spanned<i64>>,
    /// Whether clients speak TLS here, with the certificates of `tls`.
    #[serde(default)]
    pub(super) tls: bool,
    /// What a client is told that speaks HTTP without TLS where `tls` is on: `refuse` is 400, `redirect` 308 to the same address
    /// with `https`.
    #[schemars(extend("default" = "refuse", "enum" = ["refuse", "redirect"]))]
    pub(super) plain_http: Option<Spanned<String>>,
    /// What clients may speak: `http1` and `http2`, which are HTTP/1 and HTTP/2 without TLS (HTTP/2 by prior knowledge, also known as
    /// h2c), and `tls`, which is terminated here if `tls` is on, and sent on by `[[passthrough]]`. Of several, the first bytes of a
    /// connection tell which it is. What is spoken inside TLS is for `tls.alpn` to say.
    #[schemars(inner(regex(pattern = "^(http1|http2|tls)$")),
        extend("x-default" = "`[\"tls\"]` where `tls` is on, else `[\"http1\", \"http2\"]`"))]
    pub(super) protocols: Option<Spanned<Vec<Spanned<String>>>>,
    /// Whether connections begin with a header of the PROXY protocol, version 1 or 2: `optional` believes those of trusted peers
    /// and refuses all others, `required` refuses in addition every connection without one and every peer that is not trusted.
    #[schemars(extend("default" = "off", "enum" = ["off", "optional", "required"]))]
    pub(super) proxy_protocol: Option<Spanned<String>>,
    /// Peers whose header is believed.
    #[schemars(extend("x-default" = "those of `[trust]`", "x-type" = "network"))]
    pub(super) proxy_networks: Option<Spanned<Vec<Spanned<String>>>>,
}

/// TLS that is not terminated here: connections that ask for these names (SNI) go to an upstream byte for byte.
/// [detection.md](detection.md#tls-pass-through) tells more.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a table")]
#[schemars(extend("required" = ["upstream"]))]
pub(super) struct Passthrough {
    /// The names, as hosts of routes are written: `example.com`, `*.example.com`, `www.*`; at most 10,000.
    #[schemars(length(min = 1, max = 10_000), extend("x-default" = "any, and clients that name none"))]
    pub(super) names: Option<Spanned<Vec<Spanned<String>>>>,
    /// The name of the upstream.
    pub(super) upstream: Option<Spanned<String>>,
    /// Addresses of listeners that it holds for, as they stand there.
    #[schemars(length(min = 1), extend("x-default" = "all that take TLS", "x-type" = "address"))]
    pub(super) listeners: Option<Spanned<Vec<Spanned<String>>>>,
    /// Where its connections are written down: the name of one of `access_logs`, or `off`.
    #[schemars(extend("x-default" = "what `access_log` says"))]
    pub(super) access_log: Option<Spanned<String>>,
}

/// `[upstreams.NAME]`
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a table")]
#[schemars(extend("required" = ["servers"]))]
pub(super) struct Upstream {
    /// Addresses or names (`app.internal:8080`); with a weight as `{ address = "b:2", weight = 3 }`. At least one.
    #[schemars(length(min = 1))]
    pub(super) servers: Option<Spanned<Vec<Spanned<Server>>>>,
    /// Opening a connection, and waiting for one to be free.
    #[schemars(extend("default" = "2s", "x-range" = ["1ms", "24h"]))]
    pub(super) connect_timeout: Option<Spanned<Duration>>,
    /// From the request's end to the answer's head.
    #[schemars(extend("default" = "60s", "x-range" = ["1ms", "24h"]))]
    pub(super) head_timeout: Option<Spanned<Duration>>,
    /// How long a body may stand still.
    #[schemars(extend("default" = "60s", "x-range" = ["1ms", "24h"]))]
    pub(super) body_idle_timeout: Option<Spanned<Duration>>,
    /// Bytes a second that a server must take of a request's body or send of an answer's, on average after
    /// `timeouts.body_rate_grace`; `0B` demands none, so that a stream of events may trickle.
    #[schemars(extend("default" = "0B", "x-range" = ["0B", "1GiB"]))]
    pub(super) body_rate_min: Option<Spanned<Size>>,
    /// How long an unused connection is kept.
    #[schemars(extend("default" = "30s", "x-range" = ["1ms", "24h"]))]
    pub(super) keep_alive_timeout: Option<Spanned<Duration>>,
    /// Unused connections that a shard keeps; not more than `connections`.
    #[schemars(range(min = 0, max = 1_000_000), extend("default" = 512))]
    pub(super) idle_connections: Option<Spanned<i64>>,
    /// Connections that a shard opens.
    #[schemars(range(min = 1, max = 1_000_000), extend("default" = 16_384))]
    pub(super) connections: Option<Spanned<i64>>,
    /// TLS with the servers: `true`, or a table whose keys say who they are; [tls.md](tls.md#upstreams) lists them.
    #[schemars(extend("default" = false))]
    pub(super) tls: Option<Spanned<FlagOr<tls::UpstreamTls>>>,
    /// How requests are spread over the servers.
    #[schemars(extend("default" = "round_robin",
        "enum" = ["round_robin", "least_connections", "random_two", "source_hash", "consistent_hash"]))]
    pub(super) balance: Option<Spanned<String>>,
    /// What `consistent_hash` goes by: `source`, `path` or `header:NAME`; a request without the field goes by its source.
    #[schemars(regex(pattern = r"^(source|path|header:[!#$%&'*+.^_`|~0-9A-Za-z-]{1,64})$"),
        extend("x-default" = "`source`"))]
    pub(super) hash: Option<Spanned<String>>,
    /// The version of the PROXY protocol by which servers are told who a connection was opened for. Such a connection is for one
    /// request, or one pass-through, since the next one is of another client.
    #[schemars(extend("x-default" = "they are not told", "enum" = ["v1", "v2"]))]
    pub(super) send_proxy: Option<Spanned<String>>,
    /// When a server is passed over.
    #[serde(default)]
    pub(super) health: Health,
    /// When a request is sent again to another server. A server gets the same request once.
    #[serde(default)]
    pub(super) retry: Retry,
    /// How the requests of routes with `coalesce = true` share connections.
    #[serde(default)]
    pub(super) coalesce: Coalesce,
}

/// How requests share connections, if their route lets them: [http.md](http.md#coalescing) tells when that pays. All numbers
/// are for one shard and one server.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct Coalesce {
    /// Connections that are shared.
    #[schemars(range(min = 1, max = 64), extend("default" = 4))]
    pub(super) connections: Option<Spanned<i64>>,
    /// Requests that one of them carries at once; one that finds no room gets a connection of its own.
    #[schemars(range(min = 2, max = 1024), extend("default" = 256))]
    pub(super) depth: Option<Spanned<i64>>,
    /// Requests under way from which on connections are shared.
    #[schemars(range(min = 1, max = 1_000_000), extend("default" = 24))]
    pub(super) engage_at: Option<Spanned<i64>>,
    /// How long the answer that is due may take until its connection gets no more requests, and those behind it are sent again
    /// elsewhere.
    #[schemars(extend("default" = "20ms", "x-range" = ["1ms", "1h"]))]
    pub(super) stall_timeout: Option<Spanned<Duration>>,
}

/// `{ address = "…", weight = 3 }`
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a table")]
#[schemars(extend("required" = ["address"]))]
pub(super) struct ServerTable {
    /// An address or a name, with a port, or `unix:` and a path.
    #[schemars(extend("x-type" = "address"))]
    pub(super) address: Option<Spanned<String>>,
    /// The server's share of the requests, beside the weights of the others.
    #[schemars(range(min = 1, max = 1000), extend("default" = 1))]
    pub(super) weight: Option<Spanned<i64>>,
}

/// A server that fails time after time is ejected: it gets no requests for a while, then one at a time as a trial, and all
/// of its share once a trial has succeeded.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct Health {
    /// Failures in a row that eject; 0 never ejects.
    #[schemars(range(min = 0, max = 1000), extend("default" = 5))]
    pub(super) failures: Option<Spanned<i64>>,
    /// The first ejection; the *n*-th in a row lasts *n* times as long, less up to a fifth at random.
    #[schemars(extend("default" = "10s", "x-range" = ["1ms", "24h"]))]
    pub(super) ejection_base: Option<Spanned<Duration>>,
    /// The longest ejection.
    #[schemars(extend("default" = "5m", "x-range" = ["1ms", "24h"]))]
    pub(super) ejection_max: Option<Spanned<Duration>>,
    /// Percentage of the servers that may be ejected at once; where 100 leaves none, all are used.
    #[schemars(range(min = 0, max = 100), extend("default" = 50))]
    pub(super) eject_share_max: Option<Spanned<i64>>,
    /// Answers that count as failures.
    #[schemars(inner(range(min = 400, max = 599)), extend("default" = [502, 503, 504]))]
    pub(super) failure_statuses: Option<Vec<Spanned<i64>>>,
}

/// When a request is sent again to another server. A server gets the same request once.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct Retry {
    /// How often a request is sent at most, the first time included.
    #[schemars(range(min = 1, max = 8), extend("default" = 2))]
    pub(super) attempts: Option<Spanned<i64>>,
    /// Retries for every hundred requests of a shard.
    #[schemars(range(min = 0, max = 100), extend("default" = 20))]
    pub(super) budget: Option<Spanned<i64>>,
    /// Retries a second and shard that are allowed however few requests there are.
    #[schemars(range(min = 0, max = 10_000), extend("default" = 10))]
    pub(super) budget_min: Option<Spanned<i64>>,
    /// The longest body that is kept to be sent again.
    #[schemars(extend("default" = "64KiB", "x-range" = ["0B", "16MiB"]))]
    pub(super) body_bytes: Option<Spanned<Size>>,
    /// Answers after which another server is asked.
    #[schemars(inner(range(min = 400, max = 599)), extend("default" = []))]
    pub(super) statuses: Option<Vec<Spanned<i64>>>,
    /// The longest pause before the first retry; it doubles for each further one, and a random part of it is waited.
    #[schemars(extend("default" = "25ms", "x-range" = ["1ms", "24h"]))]
    pub(super) backoff_base: Option<Spanned<Duration>>,
    /// The longest pause.
    #[schemars(extend("default" = "250ms", "x-range" = ["1ms", "24h"]))]
    pub(super) backoff_max: Option<Spanned<Duration>>,
}

/// Which route serves a request does not depend on their order: [configuration.md](configuration.md#routes) says which.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a table")]
#[schemars(extend("required" = ["upstream"]))]
pub(super) struct Route {
    /// What records and metrics call the route: 1 to 128 visible characters of ASCII, unlike any other's; not
    /// `none` or `other`, which metrics use.
    #[schemars(length(min = 1, max = 128),
        extend("x-default" = "its first host and its path, with `=` before an exact one: `example.com/api`"))]
    pub(super) name: Option<Spanned<String>>,
    /// The host, without port: `example.com`, `*.example.com` (one or more labels before it), `www.*` (one or more labels
    /// after it), `[::1]`.
    #[schemars(extend("x-default" = "any"))]
    pub(super) host: Option<Spanned<String>>,
    /// Several of them, in place of `host`; at most 10,000.
    #[schemars(length(max = 10_000), extend("x-default" = "any"))]
    pub(super) hosts: Option<Spanned<Vec<Spanned<String>>>>,
    /// The exact path, in place of `prefix`.
    #[schemars(regex(pattern = "^/"), extend("x-default" = "any below `prefix`"))]
    pub(super) path: Option<Spanned<String>>,
    /// The path and all below it, by whole segments: `/api` matches `/api` and `/api/x`, not `/apix`.
    #[schemars(regex(pattern = "^/"), extend("x-default" = "`/`"))]
    pub(super) prefix: Option<Spanned<String>>,
    /// Of the routes that match a request, one with a higher priority wins.
    #[schemars(range(min = -1_000_000, max = 1_000_000), extend("default" = 0))]
    pub(super) priority: Option<Spanned<i64>>,
    /// The name of the upstream that serves it.
    pub(super) upstream: Option<Spanned<String>>,
    /// Protocols that clients may switch to, at most 16; `h2c`, `h2`, `http` and `tls` are refused.
    #[schemars(length(max = 16), extend("default" = ["websocket"]))]
    pub(super) upgrades: Option<Vec<Spanned<String>>>,
    /// Whether frames of WebSockets are checked, their messages bounded and their ends pinged: `true`, or a table whose keys say how;
    /// [websocket.md](websocket.md) lists them. Else their tunnels are not looked into.
    #[schemars(extend("default" = false))]
    pub(super) websocket: Option<Spanned<FlagOr<WebSocket>>>,
    /// How long the upstream may be silent in an answer that is a stream of events (`text/event-stream`, `multipart/mixed`);
    /// in the place of the upstream's `body_idle_timeout` and `body_rate_min`.
    #[schemars(extend("default" = "1h", "x-range" = ["1ms", "24h"]))]
    pub(super) stream_idle_timeout: Option<Spanned<Duration>>,
    /// From the end of the request's head to the end of such an answer, in the place of `timeouts.request`; `0s` sets no bound.
    #[schemars(extend("default" = "0s", "x-range" = ["0s", "24h"]))]
    pub(super) stream_timeout: Option<Spanned<Duration>>,
    /// Whether `CONNECT` is passed to the upstream, which is then a forward proxy.
    #[serde(default)]
    pub(super) connect: bool,
    /// Whether `GET`, `HEAD` and `OPTIONS` without a body may share connections to the upstream, many requests in one send:
    /// [http.md](http.md#coalescing). The upstream's `coalesce` says how.
    #[serde(default)]
    pub(super) coalesce: bool,
    /// Where its exchanges are written down: the name of one of `access_logs`, or `off`.
    #[schemars(extend("x-default" = "what `access_log` says"))]
    pub(super) access_log: Option<Spanned<String>>,
    /// Changes to the header fields of requests to the upstream.
    #[serde(default)]
    pub(super) request_headers: HeaderEdits,
    /// Changes to the header fields of answers to the client.
    #[serde(default)]
    pub(super) response_headers: HeaderEdits,
}

/// `[routes.websocket]`
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct WebSocket {
    /// Bytes of a frame's payload, in either direction; not more than `message_bytes`.
    #[schemars(extend("x-default" = "`message_bytes`", "x-range" = ["1B", "1TiB"]))]
    pub(super) frame_bytes: Option<Spanned<Size>>,
    /// Bytes of a message's payload, in either direction; of a compressed message, as they pass.
    #[schemars(extend("default" = "16MiB", "x-range" = ["1B", "1TiB"]))]
    pub(super) message_bytes: Option<Spanned<Size>>,
    /// For how long nothing may come from an end until it is sent a ping; `0s` sends none.
    #[schemars(extend("default" = "30s", "x-range" = ["0s", "24h"]))]
    pub(super) ping_interval: Option<Spanned<Duration>>,
    /// How long it may take to answer with a pong.
    #[schemars(extend("default" = "20s", "x-range" = ["1ms", "24h"]))]
    pub(super) pong_timeout: Option<Spanned<Duration>>,
}

/// `{ set = { "X-A" = "1" }, add = { "X-B" = ["2", "3"] }, remove = ["X-C"] }`
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct HeaderEdits {
    /// Fields that take the place of all of their name; at most 64 lines with those of `add`.
    #[serde(default)]
    #[schemars(extend("x-default" = "none"))]
    pub(super) set: BTreeMap<Spanned<String>, Spanned<String>>,
    /// Fields that come after those that are there; a list makes several lines of one name.
    #[serde(default)]
    #[schemars(extend("x-default" = "none"))]
    pub(super) add: BTreeMap<Spanned<String>, Spanned<Values>>,
    /// Names of fields that are left out; at most 64.
    #[serde(default)]
    #[schemars(length(max = 64), extend("default" = []))]
    pub(super) remove: Vec<Spanned<String>>,
}

/// How much a peer may send or hold. `connections_per_client` and `glitches_per_client` count each shard for itself, by
/// IPv4 address or IPv6 /64 network; peers that `[trust]` names, and those on Unix sockets, are not counted.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct Limits {
    /// Bytes of a head; more is answered with 431, or 414 for the request line alone. An upstream's makes a 502.
    #[schemars(extend("default" = "32KiB", "x-range" = ["1KiB", "1MiB"]))]
    pub(super) head_bytes: Option<Spanned<Size>>,
    /// Bytes of a request's target; more is answered with 414.
    #[schemars(extend("default" = "8KiB", "x-range" = ["16B", "1MiB"]))]
    pub(super) uri_bytes: Option<Spanned<Size>>,
    /// Fields of a head; more is answered with 431. An upstream's makes a 502.
    #[schemars(range(min = 1, max = 1000), extend("default" = 100))]
    pub(super) fields: Option<Spanned<i64>>,
    /// Bytes of one field; more is answered with 431. An upstream's makes a 502.
    #[schemars(extend("default" = "16KiB", "x-range" = ["64B", "1MiB"]))]
    pub(super) field_bytes: Option<Spanned<Size>>,
    /// Bytes of a request's body; more is answered with 413.
    #[schemars(extend("default" = "1TiB", "x-range" = ["0B", "1048576TiB"]))]
    pub(super) body_bytes: Option<Spanned<Size>>,
    /// Bytes a second of a client that sends a body or takes an answer, on average after `timeouts.body_rate_grace`; below
    /// it, 408, or the connection is closed. `0B` demands none.
    #[schemars(extend("default" = "240B", "x-range" = ["0B", "1GiB"]))]
    pub(super) body_rate_min: Option<Spanned<Size>>,
    /// Client connections of a shard; at the limit it accepts no more until one has ended.
    #[schemars(range(min = 1, max = 10_000_000), extend("default" = 100_000))]
    pub(super) connections: Option<Spanned<i64>>,
    /// Connections of one client; one more is closed at once. 0 sets no bound, since many may stand behind one address.
    #[schemars(range(min = 0, max = 10_000_000), extend("default" = 0))]
    pub(super) connections_per_client: Option<Spanned<i64>>,
    /// Requests of a connection; the last answer says `Connection: close`, or `GOAWAY` does. 0 sets no bound: a connection costs no more for
    /// being old.
    #[schemars(range(min = 0, max = 4_294_967_295i64), extend("default" = 0))]
    pub(super) requests_per_connection: Option<Spanned<i64>>,
    /// Breaches of the protocol in a minute; beyond it, new connections of that client are closed at once, for a minute. 0
    /// sets no bound. A refused head, a malformed body and a time-out of the client are a breach each; a client that leaves
    /// before its answer counts a hundredth of one.
    #[schemars(range(min = 0, max = 1_000_000), extend("default" = 100))]
    pub(super) glitches_per_client: Option<Spanned<i64>>,
}

/// How long a client may take.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct Timeouts {
    /// From a request's first byte (the first: from the accept) to the end of its head; progress does not extend it.
    #[schemars(extend("default" = "10s", "x-range" = ["1ms", "24h"]))]
    pub(super) head: Option<Spanned<Duration>>,
    /// How long a client may neither send its body nor read its answer.
    #[schemars(extend("default" = "30s", "x-range" = ["1ms", "24h"]))]
    pub(super) body_idle: Option<Spanned<Duration>>,
    /// How far a body may fall behind its `body_rate_min`, on either side, counting only the time in which that side is
    /// waited for.
    #[schemars(extend("default" = "10s", "x-range" = ["1ms", "24h"]))]
    pub(super) body_rate_grace: Option<Spanned<Duration>>,
    /// From the end of a request's head to the end of its answer; `0s` sets no bound.
    #[schemars(extend("default" = "0s", "x-range" = ["0s", "24h"]))]
    pub(super) request: Option<Spanned<Duration>>,
    /// How long a connection may be idle.
    #[schemars(extend("default" = "60s", "x-range" = ["1ms", "24h"]))]
    pub(super) keep_alive: Option<Spanned<Duration>>,
    /// How long exchanges may go on after SIGTERM.
    #[schemars(extend("default" = "30s", "x-range" = ["0s", "24h"]))]
    pub(super) drain: Option<Spanned<Duration>>,
    /// How long a tunnel may be without a byte in either direction.
    #[schemars(extend("default" = "10m", "x-range" = ["1ms", "24h"]))]
    pub(super) tunnel_idle: Option<Spanned<Duration>>,
}

/// When a shard that has too much to do refuses new requests.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct Overload {
    /// How long work that is ready may wait for its turn in a shard; `0s` refuses nothing.
    #[schemars(extend("default" = "100ms", "x-range" = ["0s", "1m"]))]
    pub(super) queue_time: Option<Spanned<Duration>>,
    /// How long it must wait longer than that until new requests are refused (503, `Retry-After: 1`); a queue that comes back
    /// within it is refused at once.
    #[schemars(extend("default" = "500ms", "x-range" = ["10ms", "1m"]))]
    pub(super) interval: Option<Spanned<Duration>>,
}

/// Whose forwarding headers are believed.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct Trust {
    /// CIDR blocks of peers whose forwarding headers are believed.
    #[serde(default)]
    #[schemars(extend("default" = [], "x-type" = "network"))]
    pub(super) networks: Vec<Spanned<String>>,
    /// Whether peers on Unix sockets are believed.
    #[serde(default)]
    pub(super) unix: bool,
}

/// What requests tell upstreams about clients besides the usual.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct Forwarding {
    /// Whether requests are named by `X-Request-Id`.
    #[serde(default)]
    pub(super) request_id: bool,
    /// Whether clients are told the name of their request, by `X-Request-Id` in the answer.
    #[serde(default)]
    pub(super) return_request_id: bool,
    /// Whether `Forwarded` (RFC 7239) is sent beside `X-Forwarded-*`.
    #[serde(default)]
    pub(super) forwarded: bool,
}

/// How the work is laid over the machine's cores.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct Shards {
    /// Number of shards.
    #[schemars(range(min = 1, max = 1024), extend("x-default" = "cores that this process may use"))]
    pub(super) count: Option<Spanned<i64>>,
    /// Whether each is pinned to a core.
    #[schemars(extend("default" = true))]
    pub(super) pin: Option<bool>,
    /// By which interface of the kernel they move bytes; `auto` takes epoll where io_uring is refused or too old.
    #[schemars(extend("default" = "auto", "enum" = ["auto", "io_uring", "epoll"]))]
    pub(super) io: Option<Spanned<String>>,
    /// Bytes of a body in one run (the rest of it, or of a chunk) from which they pass from socket to socket inside the kernel,
    /// without being copied; as many at a time, twice in a row, through a tunnel. `1TiB` never splices.
    #[schemars(extend("default" = "32KiB", "x-range" = ["4KiB", "1TiB"]))]
    pub(super) splice_bytes_min: Option<Spanned<Size>>,
}

/// What is written down.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct Log {
    /// How much the program's own log says.
    #[schemars(extend("default" = "info", "enum" = ["error", "warn", "info", "debug", "trace"]))]
    pub(super) level: Option<Spanned<String>>,
    /// Whether each exchange is written to standard output, as one JSON object a line: an older way to write `access_log`.
    #[schemars(extend("default" = "off", "enum" = ["off", "json"]))]
    pub(super) access: Option<Spanned<String>>,
}

/// What is written down of each exchange, and where: [logging.md](logging.md) tells more.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct AccessLog {
    /// `json`, `common`, `combined`, or a template with fields in braces: `"{client} {request} {status}"`.
    #[schemars(extend("default" = "json"))]
    pub(super) format: Option<Spanned<String>>,
    /// The members of `format = "json"`, in their order.
    #[schemars(extend("x-default" = "those that [logging.md](logging.md#formats) names"))]
    pub(super) fields: Option<Spanned<Vec<Spanned<String>>>>,
    /// How a template's values are escaped.
    #[schemars(extend("default" = "apache", "enum" = ["apache", "json"]))]
    pub(super) escape: Option<Spanned<String>>,
    /// The absolute path of the file, or of a named pipe.
    #[schemars(regex(pattern = "^/"), extend("x-default" = "standard output", "x-type" = "path"))]
    pub(super) path: Option<Spanned<String>>,
    /// When the file is put aside, and a new one begun: at a size, or `{ size = "100MiB", age = "24h", keep = 7, compress =
    /// true }`.
    #[schemars(extend("x-default" = "never"))]
    pub(super) rotate: Option<Spanned<TextOr<Rotate>>>,
    /// The system's log in the place of a file: a datagram socket (`unix:/dev/log`) or the address of a collector, by UDP; or a
    /// table with `address`, `protocol`, `facility`, `severity` and `tag`.
    #[schemars(extend("x-default" = "none"))]
    pub(super) syslog: Option<Spanned<TextOr<Syslog>>>,
    /// Bytes of each shard's lines that may wait for the writer. Lines beyond it are dropped and counted.
    #[schemars(extend("default" = "1MiB", "x-range" = ["64KiB", "64MiB"]))]
    pub(super) buffer: Option<Spanned<Size>>,
    /// The share of exchanges that is written down, taken at random.
    #[schemars(range(min = 0, max = 1), extend("default" = 1.0))]
    pub(super) sample: Option<Spanned<f64>>,
    /// Only exchanges that meet this are written down: one of these classes of statuses, or any part of `{ statuses =
    /// ["5xx"], outcomes = ["failed"], slower_than = "1s" }`.
    #[schemars(extend("x-default" = "all"))]
    pub(super) only: Option<Spanned<ListOr<LogCondition>>>,
    /// Exchanges that are written down whatever `sample` and `only` say; as `only`.
    #[schemars(extend("x-default" = "none"))]
    pub(super) always: Option<Spanned<ListOr<LogCondition>>>,
}

/// When a file is put aside, and what becomes of it.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct Rotate {
    /// From this size on.
    #[schemars(extend("x-default" = "whatever size", "x-range" = ["4KiB", "1TiB"]))]
    pub(super) size: Option<Spanned<Size>>,
    /// At this age, unless it is empty.
    #[schemars(extend("x-default" = "whatever age", "x-range" = ["1s", "8784h"]))]
    pub(super) age: Option<Spanned<Duration>>,
    /// How many of them are kept.
    #[schemars(range(min = 1, max = 10_000), extend("default" = 7))]
    pub(super) keep: Option<Spanned<i64>>,
    /// Whether they are compressed by gzip.
    #[schemars(extend("default" = true))]
    pub(super) compress: Option<bool>,
}

/// The system's log as a target.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct Syslog {
    /// A datagram socket, or the address of a collector, which is sent to by UDP.
    #[schemars(extend("default" = "unix:/dev/log", "x-type" = "address"))]
    pub(super) address: Option<Spanned<String>>,
    /// The form of a message.
    #[schemars(extend("x-default" = "`rfc3164` on a socket, `rfc5424` by UDP", "enum" = ["rfc3164", "rfc5424"]))]
    pub(super) protocol: Option<Spanned<String>>,
    /// The facility, by its customary name.
    #[schemars(extend("default" = "local0"))]
    pub(super) facility: Option<Spanned<String>>,
    /// The severity, by its customary name.
    #[schemars(extend("default" = "info"))]
    pub(super) severity: Option<Spanned<String>>,
    /// The name under which the messages come.
    #[schemars(length(min = 1, max = 48), extend("default" = "ringway"))]
    pub(super) tag: Option<Spanned<String>>,
}

/// What any part of it is true of meets it.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct LogCondition {
    /// Classes of statuses: `1xx` to `5xx`.
    #[serde(default)]
    #[schemars(extend("default" = []))]
    pub(super) statuses: Vec<Spanned<String>>,
    /// Outcomes by their words, or `failed` for all but `completed`.
    #[serde(default)]
    #[schemars(extend("default" = []))]
    pub(super) outcomes: Vec<Spanned<String>>,
    /// Exchanges that took longer.
    #[schemars(extend("x-default" = "none", "x-range" = ["1ms", "24h"]))]
    pub(super) slower_than: Option<Spanned<Duration>>,
}

/// Who is asked for the addresses of servers that are known by name.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct Dns {
    /// Whom to ask, `192.0.2.53` or `127.0.0.1:5353`.
    #[serde(default)]
    #[schemars(length(max = 16), extend("x-default" = "those of `/etc/resolv.conf`", "x-type" = "address"))]
    pub(super) servers: Vec<Spanned<String>>,
    /// How long one question may take; it is asked twice.
    #[schemars(extend("default" = "2s", "x-range" = ["10ms", "60s"]))]
    pub(super) timeout: Option<Spanned<Duration>>,
}

/// `[process]`
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct Process {
    /// The account that the worker runs as, by name. It gives up all further groups; the supervisor keeps what it is, and has to
    /// be root.
    #[schemars(extend("x-default" = "as the supervisor"))]
    pub(super) user: Option<Spanned<String>>,
    /// Its group, by name; only beside `user`.
    #[schemars(extend("x-default" = "the user's own"))]
    pub(super) group: Option<Spanned<String>>,
    /// Whether a change of the configuration's files is a reload.
    #[serde(default)]
    pub(super) watch: bool,
}

/// [metrics.md](metrics.md) lists what is counted.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct Metrics {
    /// Whether traffic is counted by listener, route, upstream and server; what a shard counts of itself as a whole is
    /// counted in any case.
    #[schemars(extend("default" = true))]
    pub(super) enabled: Option<bool>,
    /// Listeners, routes, upstreams and servers that are counted each by itself, a kind; those beyond it are counted together
    /// under the label `other`.
    #[schemars(range(min = 1, max = 100_000), extend("default" = 1000))]
    pub(super) series_max: Option<Spanned<i64>>,
    /// The bounds that histograms of latencies are told with: `coarse` (6, from 0.1 ms to 10 s), `standard` (19, from
    /// 0.05 ms to 60 s) or `fine` (128, from 0.005 ms to 100 s).
    #[schemars(extend("default" = "standard", "enum" = ["coarse", "standard", "fine"]))]
    pub(super) latency_buckets: Option<Spanned<String>>,
}

/// `[admin]`
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct Admin {
    /// Where the admin API listens: `unix:/run/ringway/admin.sock`, `127.0.0.1:9901` (which needs a `token_file`), or `off`.
    #[schemars(extend("x-default" = "a Unix socket in the folder that this user or service has for them", "x-type" = "address"))]
    pub(super) address: Option<Spanned<String>>,
    /// The file that holds the token which requests must carry (`Authorization: Bearer …`): one line of visible ASCII, 16 to
    /// 1,024 bytes, that others may not read. A Unix socket needs none.
    #[schemars(extend("x-default" = "none"))]
    pub(super) token_file: Option<Spanned<String>>,
    /// Names that requests may be addressed to in `Host`, without port, beside loopback names and the address itself.
    #[serde(default)]
    #[schemars(length(max = 64), extend("default" = []))]
    pub(super) hosts: Vec<Spanned<String>>,
    /// Origins of web pages that may send requests: `https://ops.example.com`.
    #[serde(default)]
    #[schemars(length(max = 64), extend("default" = []))]
    pub(super) origins: Vec<Spanned<String>>,
}
