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
    /// Bytes of a body in one run from which they pass from socket to socket inside the kernel; as many at a time, twice in a
    /// row, through a tunnel. 4KiB to 1TiB, default 32KiB; 1TiB never splices.
    pub(super) splice_bytes_min: Option<Spanned<Quantity>>,
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

/// A duration or a size. Numbers without a unit are let in so that they can be refused with advice.
#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "invalid type, expected a string with a number and a unit")]
pub(super) enum Quantity {
    Text(String),
    Integer(i64),
    Float(f64),
}
