//! `[tls]`, and what belongs to it.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Duration, Values};
use crate::config::spanned::Spanned;

/// Who Ringway is to the clients of the listeners with `tls = true`, and what it insists on. Files are PEM, and their paths
/// relative to the file of the configuration that names them: [tls.md](tls.md) tells more.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(in crate::config) struct Tls {
    /// Certificates, each for the hosts that it names itself, with those that lead towards its root behind it. The first is also for
    /// clients that ask for a host which none is for, or for none. Of those for the same host, of different kinds (ECDSA, RSA),
    /// a client is shown one that it can verify.
    #[schemars(extend("x-default" = "none: such clients are refused", "x-type" = "path"))]
    pub(in crate::config) certificate: Option<Spanned<Values>>,
    /// The files of the keys of `certificate`.
    #[schemars(extend("x-default" = "the same files", "x-type" = "path"))]
    pub(in crate::config) key: Option<Spanned<Values>>,
    /// Folders of certificates and keys, each for the hosts that it names itself: all `.pem`, `.crt`, `.cer` and `.key` there and
    /// in the folders right below.
    #[schemars(extend("x-default" = "none", "x-type" = "path"))]
    pub(in crate::config) certificates: Option<Spanned<Values>>,
    /// Whether clients are shown with a certificate that it is not revoked (OCSP stapling): `off`; `fetch`, by asking the
    /// responder that it names; or files with answers, each for the certificate that it is about.
    #[schemars(extend("x-default" = "`off`", "x-type" = "`off`, `fetch` or path"))]
    pub(in crate::config) ocsp: Option<Spanned<Values>>,
    /// What is spoken, in one word, by Mozilla's guidelines: `modern` is TLS 1.3 alone, `intermediate` TLS 1.2 as well.
    #[schemars(extend("default" = "intermediate", "enum" = ["modern", "intermediate"]))]
    pub(in crate::config) profile: Option<Spanned<String>>,
    /// The oldest version, in place of the profile's.
    #[schemars(extend("x-default" = "what `profile` says", "enum" = ["1.2", "1.3"]))]
    pub(in crate::config) min_version: Option<Spanned<String>>,
    /// The cipher suites, by their names at the IANA, in place of the profile's.
    #[schemars(length(min = 1), extend("x-default" = "what `profile` says"))]
    pub(in crate::config) suites: Option<Spanned<Vec<Spanned<String>>>>,
    /// The groups for the exchange of keys, best first, in place of the profile's.
    #[schemars(length(min = 1),
        extend("x-default" = "`X25519MLKEM768`, `x25519`, `secp256r1`, `secp384r1`"))]
    pub(in crate::config) groups: Option<Spanned<Vec<Spanned<String>>>>,
    /// What is spoken inside TLS, best first, as clients are told by ALPN: `h2` is HTTP/2, `http/1.1` HTTP/1. A client that offers
    /// none of these is refused; one that says nothing speaks `http/1.1`.
    #[schemars(length(min = 1), inner(regex(pattern = "^(h2|http/1.1)$")), extend("default" = ["h2", "http/1.1"]))]
    pub(in crate::config) alpn: Option<Spanned<Vec<Spanned<String>>>>,
    /// Who clients have to be.
    pub(in crate::config) client_auth: Option<Spanned<ClientAuth>>,
    /// How sessions are resumed.
    #[serde(default)]
    pub(in crate::config) tickets: Tickets,
    /// Hosts with certificates or rules of their own.
    #[serde(default)]
    pub(in crate::config) hosts: Vec<Spanned<TlsHost>>,
}

/// `[[tls.hosts]]`: what is left out is as `tls` says.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(in crate::config) struct TlsHost {
    /// The host: `example.com`, or `*.example.com` for all below it.
    #[schemars(extend("x-default" = "none, if there are `hosts`"))]
    pub(in crate::config) host: Option<Spanned<String>>,
    /// Several of them, in place of `host`; at most 10,000.
    #[schemars(length(max = 10_000), extend("x-default" = "none, if there is a `host`"))]
    pub(in crate::config) hosts: Option<Spanned<Vec<Spanned<String>>>>,
    /// Its certificates, of different kinds.
    #[schemars(extend("x-default" = "those of `tls` that are for the host", "x-type" = "path"))]
    pub(in crate::config) certificate: Option<Spanned<Values>>,
    /// The files of the keys of `certificate`.
    #[schemars(extend("x-default" = "the same files", "x-type" = "path"))]
    pub(in crate::config) key: Option<Spanned<Values>>,
    /// As that of `tls`, for `certificate`.
    #[schemars(extend("x-default" = "that of `tls`", "x-type" = "`off`, `fetch` or path"))]
    pub(in crate::config) ocsp: Option<Spanned<Values>>,
    /// As that of `tls`.
    #[schemars(extend("x-default" = "that of `tls`", "enum" = ["modern", "intermediate"]))]
    pub(in crate::config) profile: Option<Spanned<String>>,
    /// As that of `tls`.
    #[schemars(extend("x-default" = "that of `tls`, or of `profile` here", "enum" = ["1.2", "1.3"]))]
    pub(in crate::config) min_version: Option<Spanned<String>>,
    /// As those of `tls`.
    #[schemars(length(min = 1), extend("x-default" = "those of `tls`, or of `profile` here"))]
    pub(in crate::config) suites: Option<Spanned<Vec<Spanned<String>>>>,
    /// As those of `tls`.
    #[schemars(length(min = 1), extend("x-default" = "those of `tls`, or of `profile` here"))]
    pub(in crate::config) groups: Option<Spanned<Vec<Spanned<String>>>>,
    /// As that of `tls`.
    #[schemars(length(min = 1), inner(regex(pattern = "^(h2|http/1.1)$")), extend("x-default" = "that of `tls`"))]
    pub(in crate::config) alpn: Option<Spanned<Vec<Spanned<String>>>>,
    /// Who its clients have to be, in place of what `tls` says.
    pub(in crate::config) client_auth: Option<Spanned<ClientAuth>>,
}

/// How clients prove who they are, by certificates of their own.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(in crate::config) struct ClientAuth {
    /// Whether clients without a certificate are refused (`required`) or served (`optional`); those with a wrong one are refused
    /// in both cases. `off` asks for none.
    #[schemars(extend("x-default" = "`required` where there is a `ca`, else `off`", "enum" = ["off", "optional", "required"]))]
    pub(in crate::config) mode: Option<Spanned<String>>,
    /// The certificates that theirs must lead to.
    #[schemars(extend("x-default" = "none", "x-type" = "path"))]
    pub(in crate::config) ca: Option<Spanned<Values>>,
    /// Lists of what has been revoked. Where there are any, each certificate must be covered by one.
    #[schemars(extend("x-default" = "none", "x-type" = "path"))]
    pub(in crate::config) crl: Option<Spanned<Values>>,
}

/// Tickets are what clients keep to come back with less ado.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(in crate::config) struct Tickets {
    /// Whether clients get any.
    #[schemars(extend("default" = true))]
    pub(in crate::config) enabled: Option<bool>,
    /// How long tickets are made with one key. They are good for as long again.
    #[schemars(extend("default" = "12h", "x-range" = ["1m", "168h"]))]
    pub(in crate::config) rotation: Option<Spanned<Duration>>,
    /// Files of 32, 48 or 80 random bytes, the same on several machines: the first makes tickets, all are accepted.
    #[schemars(extend("x-default" = "none: keys are drawn at random", "x-type" = "path"))]
    pub(in crate::config) keys: Option<Spanned<Values>>,
}

/// How TLS is spoken with an upstream's servers: [tls.md](tls.md#upstreams) tells more. Paths are relative to the file of the
/// configuration that has them.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(in crate::config) struct UpstreamTls {
    /// The certificates that those of the servers must lead to.
    #[schemars(extend("x-default" = "what the system trusts; nothing where there are `pins`", "x-type" = "path"))]
    pub(in crate::config) ca: Option<Spanned<Values>>,
    /// The name that servers are asked for and have to prove.
    #[schemars(extend("x-default" = "the host in each server's address"))]
    pub(in crate::config) server_name: Option<Spanned<String>>,
    /// The SHA-256 of public keys (SubjectPublicKeyInfo) in base64, one of which a server must have; at most 64.
    #[schemars(length(min = 1, max = 64), extend("x-default" = "none: any key will do"))]
    pub(in crate::config) pins: Option<Spanned<Vec<Spanned<String>>>>,
    /// The certificate that servers are shown if they ask for one, with those that lead towards its root behind it.
    #[schemars(extend("x-default" = "none", "x-type" = "path"))]
    pub(in crate::config) certificate: Option<Spanned<String>>,
    /// The file of its key.
    #[schemars(extend("x-default" = "the same file", "x-type" = "path"))]
    pub(in crate::config) key: Option<Spanned<String>>,
    /// The oldest version that is spoken.
    #[schemars(extend("default" = "1.2", "enum" = ["1.2", "1.3"]))]
    pub(in crate::config) min_version: Option<Spanned<String>>,
}
