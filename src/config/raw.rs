//! The configuration as it is written, key by key. Nothing is required and nothing is checked here, only typed: what is
//! missing or out of range is found when the structs are lowered, where all such errors can be told at once.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use toml::Spanned;

/// A whole file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct File {
    #[serde(default)]
    pub(super) listeners: Vec<Spanned<Listener>>,
    #[serde(default)]
    pub(super) upstreams: BTreeMap<Spanned<String>, Upstream>,
    #[serde(default)]
    pub(super) routes: Vec<Spanned<Route>>,
    #[serde(default)]
    pub(super) limits: Limits,
    #[serde(default)]
    pub(super) timeouts: Timeouts,
    #[serde(default)]
    pub(super) overload: Overload,
    #[serde(default)]
    pub(super) trust: Trust,
    #[serde(default)]
    pub(super) forwarding: Forwarding,
    #[serde(default)]
    pub(super) shards: Shards,
    #[serde(default)]
    pub(super) log: Log,
    #[serde(default)]
    pub(super) dns: Dns,
    #[serde(default)]
    pub(super) metrics: Metrics,
    #[serde(default)]
    pub(super) admin: Admin,
    #[serde(default)]
    pub(super) process: Process,
}

/// `[process]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct Process {
    /// The user that the worker runs as, by name; its groups are given up. The supervisor keeps its own, which must be root
    /// then. Default: as the supervisor.
    pub(super) user: Option<Spanned<String>>,
    /// The group that the worker runs as, by name; only beside `user`. Default: the user's own.
    pub(super) group: Option<Spanned<String>>,
    /// Whether a change of the configuration's files is a reload. Default: false.
    #[serde(default)]
    pub(super) watch: bool,
}

/// `[[listeners]]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct Listener {
    pub(super) address: Option<Spanned<String>>,
    pub(super) backlog: Option<Spanned<i64>>,
}

/// `[upstreams.NAME]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct Upstream {
    pub(super) servers: Option<Spanned<Vec<Spanned<Server>>>>,
    pub(super) connect_timeout: Option<Spanned<Quantity>>,
    pub(super) head_timeout: Option<Spanned<Quantity>>,
    pub(super) body_idle_timeout: Option<Spanned<Quantity>>,
    pub(super) body_rate_min: Option<Spanned<Quantity>>,
    pub(super) keep_alive_timeout: Option<Spanned<Quantity>>,
    pub(super) idle_connections: Option<Spanned<i64>>,
    pub(super) connections: Option<Spanned<i64>>,
    pub(super) balance: Option<Spanned<String>>,
    pub(super) hash: Option<Spanned<String>>,
    #[serde(default)]
    pub(super) health: Health,
    #[serde(default)]
    pub(super) retry: Retry,
}

/// An item of `servers`: an address alone, or a table.
#[derive(Debug)]
pub(super) enum Server {
    Address(String),
    Table(ServerTable),
}

/// `{ address = "…", weight = 3 }`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct ServerTable {
    pub(super) address: Option<Spanned<String>>,
    pub(super) weight: Option<Spanned<i64>>,
}

/// `[upstreams.NAME.health]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct Health {
    pub(super) failures: Option<Spanned<i64>>,
    pub(super) ejection_base: Option<Spanned<Quantity>>,
    pub(super) ejection_max: Option<Spanned<Quantity>>,
    pub(super) eject_share_max: Option<Spanned<i64>>,
    pub(super) failure_statuses: Option<Vec<Spanned<i64>>>,
}

/// `[upstreams.NAME.retry]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct Retry {
    pub(super) attempts: Option<Spanned<i64>>,
    pub(super) budget: Option<Spanned<i64>>,
    pub(super) budget_min: Option<Spanned<i64>>,
    pub(super) body_bytes: Option<Spanned<Quantity>>,
    pub(super) statuses: Option<Vec<Spanned<i64>>>,
    pub(super) backoff_base: Option<Spanned<Quantity>>,
    pub(super) backoff_max: Option<Spanned<Quantity>>,
}

/// `[[routes]]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct Route {
    /// What records and metrics call the route: 1 to 128 visible characters of ASCII, different for each. Default: its first
    /// host and its path, with `=` before an exact one, such as `example.com/api`.
    pub(super) name: Option<Spanned<String>>,
    /// The host, without port: `example.com`, `*.example.com` (one or more labels before it), `www.*` (one or more labels
    /// after it), `[::1]`. Default: any host.
    pub(super) host: Option<Spanned<String>>,
    /// Several of them, in place of `host`.
    pub(super) hosts: Option<Spanned<Vec<Spanned<String>>>>,
    /// The exact path, in place of `prefix`.
    pub(super) path: Option<Spanned<String>>,
    /// The path and all below it, by whole segments. Default: `/`.
    pub(super) prefix: Option<Spanned<String>>,
    /// Of the routes that match a request, one with a higher priority wins; -1,000,000 to 1,000,000. Default: 0.
    pub(super) priority: Option<Spanned<i64>>,
    /// The name of the upstream that serves it. Required.
    pub(super) upstream: Option<Spanned<String>>,
    /// Protocols that clients may switch to; at most 16. Default: `["websocket"]`.
    pub(super) upgrades: Option<Vec<Spanned<String>>>,
    /// Whether `CONNECT` is passed to the upstream, which is then a forward proxy. Default: `false`.
    #[serde(default)]
    pub(super) connect: bool,
    /// Changes to the header fields of requests to the upstream. Default: none.
    #[serde(default)]
    pub(super) request_headers: HeaderEdits,
    /// Changes to the header fields of answers to the client. Default: none.
    #[serde(default)]
    pub(super) response_headers: HeaderEdits,
}

/// `{ set = { "X-A" = "1" }, add = { "X-B" = ["2", "3"] }, remove = ["X-C"] }`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct HeaderEdits {
    /// Fields that take the place of all of their name; at most 64 lines with those of `add`. Default: none.
    #[serde(default)]
    pub(super) set: BTreeMap<Spanned<String>, Spanned<String>>,
    /// Fields that come after those that are there; a list makes several lines of one name. Default: none.
    #[serde(default)]
    pub(super) add: BTreeMap<Spanned<String>, Spanned<Values>>,
    /// Names of fields that are left out; at most 64. Default: none.
    #[serde(default)]
    pub(super) remove: Vec<Spanned<String>>,
}

/// A value of `add`: one text, or a list of them.
#[derive(Debug)]
pub(super) enum Values {
    One(String),
    Many(Vec<Spanned<String>>),
}

/// `[limits]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct Limits {
    pub(super) head_bytes: Option<Spanned<Quantity>>,
    pub(super) uri_bytes: Option<Spanned<Quantity>>,
    pub(super) fields: Option<Spanned<i64>>,
    pub(super) field_bytes: Option<Spanned<Quantity>>,
    pub(super) body_bytes: Option<Spanned<Quantity>>,
    pub(super) body_rate_min: Option<Spanned<Quantity>>,
    pub(super) connections: Option<Spanned<i64>>,
    pub(super) connections_per_client: Option<Spanned<i64>>,
    pub(super) requests_per_connection: Option<Spanned<i64>>,
    pub(super) glitches_per_client: Option<Spanned<i64>>,
}

/// `[timeouts]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct Timeouts {
    pub(super) head: Option<Spanned<Quantity>>,
    pub(super) body_idle: Option<Spanned<Quantity>>,
    pub(super) body_rate_grace: Option<Spanned<Quantity>>,
    pub(super) request: Option<Spanned<Quantity>>,
    pub(super) keep_alive: Option<Spanned<Quantity>>,
    pub(super) drain: Option<Spanned<Quantity>>,
    pub(super) tunnel_idle: Option<Spanned<Quantity>>,
}

/// `[overload]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct Overload {
    pub(super) queue_time: Option<Spanned<Quantity>>,
    pub(super) interval: Option<Spanned<Quantity>>,
}

/// `[trust]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct Trust {
    #[serde(default)]
    pub(super) networks: Vec<Spanned<String>>,
    #[serde(default)]
    pub(super) unix: bool,
}

/// `[forwarding]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct Forwarding {
    #[serde(default)]
    pub(super) request_id: bool,
    #[serde(default)]
    pub(super) forwarded: bool,
}

/// `[shards]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct Shards {
    pub(super) count: Option<Spanned<i64>>,
    pub(super) pin: Option<bool>,
    pub(super) io: Option<Spanned<String>>,
}

/// `[log]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct Log {
    pub(super) level: Option<Spanned<String>>,
    pub(super) access: Option<Spanned<String>>,
}

/// `[dns]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct Dns {
    #[serde(default)]
    pub(super) servers: Vec<Spanned<String>>,
    pub(super) timeout: Option<Spanned<Quantity>>,
}

/// `[metrics]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct Metrics {
    /// Whether traffic is counted by listener, route, upstream and server; what a shard counts of itself as a whole is
    /// counted in any case. Default: true.
    pub(super) enabled: Option<bool>,
    /// Number of listeners, routes, upstreams and servers that are counted each by itself, a kind; those beyond it are
    /// counted together under the label `other`. 1 to 100000; default: 1000.
    pub(super) series_max: Option<Spanned<i64>>,
    /// The bounds that histograms of latencies are told with: `coarse` (6, from 0.1 ms to 10 s), `standard` (19, from
    /// 0.05 ms to 60 s) or `fine` (128, from 0.005 ms to 100 s). Default: `standard`.
    pub(super) latency_buckets: Option<Spanned<String>>,
}

/// `[admin]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct Admin {
    /// Where the admin API listens: `unix:/run/ringway/admin.sock`, `127.0.0.1:9901` (which needs a `token_file`), or `off`.
    /// Default: a Unix socket in the folder for sockets of this user or service.
    pub(super) address: Option<Spanned<String>>,
    /// The file that holds the token which requests must carry (`Authorization: Bearer …`): 16 to 1,024 bytes of visible
    /// ASCII in one line, not readable by others. Default: none, which is enough for a Unix socket only.
    pub(super) token_file: Option<Spanned<String>>,
    /// Further names that requests may be addressed to in `Host`, without port. At most 64. Default: none; loopback names and
    /// the address itself are always allowed.
    #[serde(default)]
    pub(super) hosts: Vec<Spanned<String>>,
    /// Origins of web pages that may send requests: `https://ops.example.com`. At most 64. Default: none.
    #[serde(default)]
    pub(super) origins: Vec<Spanned<String>>,
}

impl<'de> Deserialize<'de> for Server {
    /// By hand, because an untagged enum would lose the places of the table's values, and what is wrong with them.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Server, D::Error> {
        struct Form;
        impl<'de> Visitor<'de> for Form {
            type Value = Server;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an address, or a table with `address` and `weight`")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Server, E> {
                Ok(Server::Address(text.to_owned()))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Server, A::Error> {
                ServerTable::deserialize(MapAccessDeserializer::new(map)).map(Server::Table)
            }
        }
        deserializer.deserialize_any(Form)
    }
}

impl<'de> Deserialize<'de> for Values {
    /// By hand, as [`Server`].
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Values, D::Error> {
        struct Form;
        impl<'de> Visitor<'de> for Form {
            type Value = Values;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string, or a list of strings")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Values, E> {
                Ok(Values::One(text.to_owned()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Values, A::Error> {
                Vec::deserialize(SeqAccessDeserializer::new(list)).map(Values::Many)
            }
        }
        deserializer.deserialize_any(Form)
    }
}

/// A duration or a size. Numbers without a unit are let in so that they can be refused with advice.
#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "invalid type, expected a string with a number and a unit")]
pub(super) enum Quantity {
    Text(String),
    Integer(i64),
    Float(f64),
}
