//! A scenario as it is written: names and forms only, no meaning. [`super::lower`] gives it one.

use serde::Deserialize;
use toml::Spanned;

/// A string that will be read as a quantity, an address or a name, and that knows where it stands.
pub(super) type Text = Spanned<String>;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Scenario {
    #[serde(default)]
    pub(super) load: Load,
    pub(super) rate: Option<Rate>,
    #[serde(default)]
    pub(super) timeouts: Timeouts,
    #[serde(default)]
    pub(super) tls: Tls,
    /// Fields of every request.
    #[serde(default)]
    pub(super) headers: Vec<(Text, Text)>,
    #[serde(default)]
    pub(super) requests: Vec<Spanned<Request>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Load {
    pub(super) connections: Option<Spanned<u64>>,
    pub(super) threads: Option<Spanned<u64>>,
    pub(super) duration: Option<Text>,
    pub(super) requests: Option<Spanned<u64>>,
    pub(super) warm_up: Option<Text>,
    pub(super) ramp_up: Option<Text>,
    pub(super) http2: Option<bool>,
    pub(super) streams: Option<Spanned<u64>>,
    pub(super) window: Option<Text>,
    pub(super) pipeline: Option<Spanned<u64>>,
    pub(super) requests_per_connection: Option<Spanned<u64>>,
    pub(super) pin: Option<bool>,
    pub(super) unix_socket: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Rate {
    pub(super) arrivals: Option<Text>,
    pub(super) per_second: Option<Spanned<f64>>,
    #[serde(default)]
    pub(super) steps: Vec<Step>,
    pub(super) outstanding_max: Option<Spanned<u64>>,
    pub(super) seed: Option<u64>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Step {
    pub(super) per_second: Spanned<f64>,
    pub(super) duration: Text,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Timeouts {
    pub(super) connect: Option<Text>,
    pub(super) request: Option<Text>,
    pub(super) drain: Option<Text>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Tls {
    pub(super) insecure: Option<bool>,
    pub(super) ca_file: Option<Text>,
    pub(super) server_name: Option<Text>,
    pub(super) versions: Option<Vec<Text>>,
    pub(super) resumption: Option<bool>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Request {
    pub(super) url: Text,
    pub(super) method: Option<Text>,
    pub(super) weight: Option<Spanned<u64>>,
    #[serde(default)]
    pub(super) headers: Vec<(Text, Text)>,
    pub(super) body: Option<Body>,
    #[serde(default)]
    pub(super) expect: Expect,
}

/// One of three ways to give a body.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub(super) enum Body {
    /// These bytes.
    Text(String),
    /// What the file holds.
    File(Text),
    /// So many bytes of a pattern.
    Size(Text),
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Expect {
    pub(super) status: Option<Vec<Text>>,
    pub(super) body_bytes: Option<u64>,
    pub(super) body_sha256: Option<Text>,
}
