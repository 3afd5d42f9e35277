//! The configuration as it is written, key by key. Nothing is required and nothing is checked here, only typed: what is
//! missing or out of range is found when the structs are lowered, where all such errors can be told at once.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
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
    /// What is written down of each exchange: `"off"`, `"json"`, `"common"`, `"combined"` (to standard output), the name of
    /// one of `[access_logs]`, or a table like theirs. Default: `"off"`.
    pub(super) access_log: Option<Spanned<AccessLogChoice>>,
    /// Access logs that routes may name.
    #[serde(default)]
    pub(super) access_logs: BTreeMap<Spanned<String>, AccessLog>,
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
    pub(super) host: Option<Spanned<String>>,
    pub(super) prefix: Option<Spanned<String>>,
    pub(super) upstream: Option<Spanned<String>>,
    pub(super) upgrades: Option<Vec<Spanned<String>>>,
    #[serde(default)]
    pub(super) connect: bool,
    /// The access log of this route: `"off"`, or the name of one of `[access_logs]`. Default: what `access_log` says.
    pub(super) access_log: Option<Spanned<String>>,
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
    /// Whether clients are told the name of their request, by `X-Request-Id` in the response. Default: `false`.
    #[serde(default)]
    pub(super) return_request_id: bool,
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

/// What stands for an access log at the top level.
#[derive(Debug)]
pub(super) enum AccessLogChoice {
    Word(String),
    Table(Box<AccessLog>),
}

/// `[access_log]` and `[access_logs.NAME]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct AccessLog {
    /// `"json"`, `"common"`, `"combined"`, or a template with fields in braces: `"{client} {request} {status}"`. Default:
    /// `"json"`.
    pub(super) format: Option<Spanned<String>>,
    /// The members of `format = "json"`, in their order. Default: those that docs/logging.md names.
    pub(super) fields: Option<Spanned<Vec<Spanned<String>>>>,
    /// How a template's values are escaped: `"apache"` or `"json"`. Default: `"apache"`.
    pub(super) escape: Option<Spanned<String>>,
    /// The absolute path of the file, or of a named pipe. Default: standard output.
    pub(super) path: Option<Spanned<String>>,
    /// When the file is put aside, and a new one begun. Default: never.
    pub(super) rotate: Option<Spanned<Rotate>>,
    /// The system's log in the place of a file.
    pub(super) syslog: Option<Spanned<Syslog>>,
    /// Bytes of each shard's lines that may wait for the writer; 64KiB to 64MiB. Lines beyond it are dropped and counted.
    /// Default: `1MiB`.
    pub(super) buffer: Option<Spanned<Quantity>>,
    /// The share of exchanges that is written down, 0.0 to 1.0, taken at random. Default: 1.0.
    pub(super) sample: Option<Spanned<f64>>,
    /// Only exchanges that meet this condition are written down. Default: all.
    pub(super) only: Option<Spanned<LogCondition>>,
    /// Exchanges that are written down whatever `sample` and `only` say. Default: none.
    pub(super) always: Option<Spanned<LogCondition>>,
}

/// `rotate = { size = "100MiB", age = "24h", keep = 7, compress = true }`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct Rotate {
    /// From this size on the file is put aside; 4KiB to 1TiB. Default: whatever size.
    pub(super) size: Option<Spanned<Quantity>>,
    /// At this age the file is put aside, unless it is empty; 1s to 8784h. Default: whatever age.
    pub(super) age: Option<Spanned<Quantity>>,
    /// How many of them are kept; 1 to 10000. Default: 7.
    pub(super) keep: Option<Spanned<i64>>,
    /// Whether they are compressed by gzip. Default: `true`.
    pub(super) compress: Option<bool>,
}

/// `syslog = { address = "unix:/dev/log" }`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct Syslog {
    /// A datagram socket (`unix:/dev/log`), or the address of a collector, which is sent to by UDP. Default:
    /// `unix:/dev/log`.
    pub(super) address: Option<Spanned<String>>,
    /// The form of a message: `"rfc3164"` or `"rfc5424"`. Default: the former on a socket, the latter by UDP.
    pub(super) protocol: Option<Spanned<String>>,
    /// The facility, by its customary name. Default: `"local0"`.
    pub(super) facility: Option<Spanned<String>>,
    /// The severity, by its customary name. Default: `"info"`.
    pub(super) severity: Option<Spanned<String>>,
    /// The name under which the messages come; 1 to 48 characters. Default: `"ringway"`.
    pub(super) tag: Option<Spanned<String>>,
}

/// `{ statuses = ["5xx"], outcomes = ["failed"], slower_than = "1s" }`: what any of them is true of meets it.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct LogCondition {
    /// Classes of statuses: `"1xx"` to `"5xx"`. Default: none.
    #[serde(default)]
    pub(super) statuses: Vec<Spanned<String>>,
    /// Outcomes by their words, or `"failed"` for all but `completed`. Default: none.
    #[serde(default)]
    pub(super) outcomes: Vec<Spanned<String>>,
    /// Exchanges that took longer; 1ms to 24h. Default: none.
    pub(super) slower_than: Option<Spanned<Quantity>>,
}

/// `[dns]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct Dns {
    #[serde(default)]
    pub(super) servers: Vec<Spanned<String>>,
    pub(super) timeout: Option<Spanned<Quantity>>,
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

impl<'de> Deserialize<'de> for AccessLogChoice {
    /// By hand, as [`Server`].
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<AccessLogChoice, D::Error> {
        struct Form;
        impl<'de> Visitor<'de> for Form {
            type Value = AccessLogChoice;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("`\"off\"`, a format, the name of an access log, or a table")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<AccessLogChoice, E> {
                Ok(AccessLogChoice::Word(text.to_owned()))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<AccessLogChoice, A::Error> {
                let table = AccessLog::deserialize(MapAccessDeserializer::new(map))?;
                Ok(AccessLogChoice::Table(Box::new(table)))
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
