//! The configuration as it is written, key by key. Nothing is required and nothing is checked here, only typed: what is
//! missing or out of range is found when the structs are lowered, where all such errors can be told at once.

use std::collections::BTreeMap;

use serde::Deserialize;
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
    pub(super) shards: Shards,
    #[serde(default)]
    pub(super) log: Log,
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
    pub(super) servers: Option<Spanned<Vec<Spanned<String>>>>,
    pub(super) connect_timeout: Option<Spanned<Quantity>>,
    pub(super) head_timeout: Option<Spanned<Quantity>>,
    pub(super) body_idle_timeout: Option<Spanned<Quantity>>,
    pub(super) body_rate_min: Option<Spanned<Quantity>>,
    pub(super) keep_alive_timeout: Option<Spanned<Quantity>>,
    pub(super) idle_connections: Option<Spanned<i64>>,
    pub(super) connections: Option<Spanned<i64>>,
}

/// `[[routes]]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct Route {
    pub(super) host: Option<Spanned<String>>,
    pub(super) prefix: Option<Spanned<String>>,
    pub(super) upstream: Option<Spanned<String>>,
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

/// `[shards]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct Shards {
    pub(super) count: Option<Spanned<i64>>,
    pub(super) pin: Option<bool>,
}

/// `[log]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct Log {
    pub(super) level: Option<Spanned<String>>,
    pub(super) access: Option<Spanned<String>>,
}

/// A duration or a size. Numbers without a unit are let in so that they can be refused with advice.
#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "invalid type, expected a string with a number and a unit")]
pub(super) enum Quantity {
    Text(String),
    Integer(i64),
    Float(f64),
}
