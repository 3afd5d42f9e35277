//! The paths of the API, and what stands behind each.

use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::{Body, Bytes, Incoming};
use hyper::header::{ACCEPT, CONTENT_LENGTH, CONTENT_TYPE, TRANSFER_ENCODING};
use hyper::http::request::Parts;
use hyper::{Method, Request, StatusCode};
use serde::Deserialize;
use serde_json::json;

use super::answer::{Answer, Refusal, content, json};
use super::gate::Gate;
use super::plan_view::PlanView;
use crate::control::{DrainOrder, Ending, Handle, Phase, ReloadOutcome, Status, UpgradeOutcome};
use crate::discovery::DrainError;
use crate::profile::{Order, ProfileError};
use crate::telemetry::log;

/// Bytes of a request's body. The longest that makes sense is a filter of the log.
const BODY_BYTES_MAX: usize = 16 << 10;
/// How long a body may take.
const BODY_MAX: Duration = Duration::from_secs(5);
/// How long a probe waits for the control loop, which waits for nobody for so long.
const PROBE_MAX: Duration = Duration::from_secs(5);
/// Bytes of a path, and of one segment after decoding.
const PATH_BYTES_MAX: usize = 2048;

/// What the API has: method, path, and what it does, as `GET /v1` lists it and the documentation has it.
pub(super) const ENDPOINTS: [(&str, &str, &str); 17] = [
    ("GET", "/v1", "this list"),
    ("GET", "/v1/status", "how things stand: shards, listeners, routes, upstreams, counts, the last reload"),
    ("GET", "/v1/plan", "what is served, resolved, with all defaults"),
    ("GET", "/v1/upstreams", "the upstreams and their servers' health"),
    ("GET", "/v1/upstreams/NAME", "one of them"),
    ("POST", "/v1/upstreams/NAME/servers/ADDRESS/drain", "give a server no new requests"),
    ("POST", "/v1/upstreams/NAME/servers/ADDRESS/undrain", "give it requests again"),
    ("GET, PUT", "/v1/log-level", "what the program log says: `{\"level\": \"debug\"}`"),
    ("POST", "/v1/reopen-logs", "open the log files anew, since they were moved away"),
    ("POST", "/v1/reload", "read the configuration again; answers when it is in force, or why it is not"),
    ("POST", "/v1/upgrade", "become the executable on the disk; answers when that serves"),
    ("POST", "/v1/profile", "sample all threads: `?seconds=10&frequency=499`; answers with folded stacks"),
    ("POST", "/v1/stop", "finish what is under way, and end"),
    ("GET", "/metrics", "all counters, for Prometheus"),
    ("GET", "/livez", "200 while the process and all shards answer, else 503"),
    ("GET", "/readyz", "200 while connections are accepted and every upstream has a server, else 503"),
    ("GET", "/startupz", "200 once the first configuration is served, else 503"),
];

/// What a path leads to.
#[derive(Debug, PartialEq, Eq)]
enum Resource {
    Index,
    Status,
    Plan,
    Upstreams,
    Upstream(String),
    Drain { upstream: String, server: String, draining: bool },
    LogLevel,
    ReopenLogs,
    Reload,
    Upgrade,
    Profile,
    Stop,
    Metrics,
    Probe(Probe),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Probe {
    Live,
    Ready,
    Startup,
}

/// Answers one request.
pub(super) async fn answer(request: Request<Incoming>, gate: &RwLock<Gate>, handle: &Handle) -> Answer {
    let (head, body) = request.into_parts();
    let answered = match admit(&head, gate) {
        Ok(resource) => serve(resource, &head, body, handle).await,
        Err(refusal) => Err(refusal),
    };
    answered.unwrap_or_else(|refusal| {
        tracing::debug!(method = %head.method, path = head.uri.path(), detail = refusal.detail, "admin request refused");
        refusal.into_answer()
    })
}

/// The resource that a request may have. Who may not knock at all does not learn which paths there are.
fn admit(head: &Parts, gate: &RwLock<Gate>) -> Result<Resource, Refusal> {
    let resource = resource(head.uri.path());
    let is_probe = matches!(resource, Some(Resource::Probe(_)));
    gate.read().unwrap_or_else(PoisonError::into_inner).admit(head, is_probe)?;
    let detail = || format!("there is no {}; `GET /v1` lists what there is", head.uri.path());
    let resource = resource.ok_or_else(|| Refusal::new(StatusCode::NOT_FOUND, "not_found", detail()))?;
    check_method(&resource, &head.method)?;
    Ok(resource)
}

fn resource(path: &str) -> Option<Resource> {
    if path.len() > PATH_BYTES_MAX {
        return None;
    }
    let segments: Vec<String> = path.strip_prefix('/')?.split('/').map(decoded).collect::<Option<_>>()?;
    let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
    let owned = |text: &&str| (*text).to_owned();
    Some(match segments.as_slice() {
        ["v1"] => Resource::Index,
        ["v1", "status"] => Resource::Status,
        ["v1", "plan"] => Resource::Plan,
        ["v1", "upstreams"] => Resource::Upstreams,
        ["v1", "upstreams", name] => Resource::Upstream(owned(name)),
        ["v1", "upstreams", upstream, "servers", server, order @ ("drain" | "undrain")] => {
            Resource::Drain { upstream: owned(upstream), server: owned(server), draining: *order == "drain" }
        }
        ["v1", "log-level"] => Resource::LogLevel,
        ["v1", "reopen-logs"] => Resource::ReopenLogs,
        ["v1", "reload"] => Resource::Reload,
        ["v1", "upgrade"] => Resource::Upgrade,
        ["v1", "profile"] => Resource::Profile,
        ["v1", "stop"] => Resource::Stop,
        ["metrics"] => Resource::Metrics,
        ["livez"] => Resource::Probe(Probe::Live),
        ["readyz"] => Resource::Probe(Probe::Ready),
        ["startupz"] => Resource::Probe(Probe::Startup),
        _ => return None,
    })
}

/// A segment with its percent-encoding undone (RFC 3986 §2.1): the address of a Unix socket has slashes.
fn decoded(segment: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(segment.len());
    let mut rest = segment.as_bytes();
    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        if *byte != b'%' {
            bytes.push(*byte);
            continue;
        }
        let (digits, after) = rest.split_at_checked(2)?;
        let digit = |digit: u8| char::from(digit).to_digit(16);
        bytes.push((digit(digits[0])? * 16 + digit(digits[1])?) as u8);
        rest = after;
    }
    String::from_utf8(bytes).ok()
}

fn check_method(resource: &Resource, method: &Method) -> Result<(), Refusal> {
    let (allowed, is_allowed) = match resource {
        Resource::LogLevel => ("GET, HEAD, PUT", [Method::GET, Method::HEAD, Method::PUT].contains(method)),
        Resource::Drain { .. }
        | Resource::ReopenLogs
        | Resource::Reload
        | Resource::Upgrade
        | Resource::Profile
        | Resource::Stop => ("POST", *method == Method::POST),
        _ => ("GET, HEAD", [Method::GET, Method::HEAD].contains(method)),
    };
    if is_allowed { Ok(()) } else { Err(Refusal::method(allowed)) }
}

async fn serve(resource: Resource, head: &Parts, body: Incoming, handle: &Handle) -> Result<Answer, Refusal> {
    if resource == Resource::LogLevel && head.method == Method::PUT {
        return set_log_level(&read_json(head, body).await?);
    }
    // Nothing else takes a body. One that is sent all the same was meant for something that is not here.
    refuse_body(head, &body)?;
    match resource {
        Resource::Index => Ok(index()),
        Resource::Status => Ok(json(StatusCode::OK, &handle.status().await?)),
        Resource::Plan => {
            let plan = handle.plan().await?;
            Ok(json(StatusCode::OK, &PlanView::of(&plan)))
        }
        Resource::Upstreams => Ok(json(StatusCode::OK, &handle.status().await?.upstreams)),
        Resource::Upstream(name) => upstream(&handle.status().await?, &name),
        Resource::Drain { upstream, server, draining } => {
            let force = head.uri.query() == Some("force=true");
            drain(handle, DrainOrder { upstream, server, draining, force }).await
        }
        Resource::LogLevel => {
            Ok(json(StatusCode::OK, &json!({ "level": log::level(), "configured": log::configured_word() })))
        }
        Resource::ReopenLogs => {
            handle.reopen_logs().await?;
            Ok(json(StatusCode::ACCEPTED, &json!({ "reopening": true })))
        }
        Resource::Reload => reload(handle).await,
        Resource::Upgrade => upgrade(handle).await,
        Resource::Profile => {
            let profile = handle.profile(Order::of_query(head.uri.query())?).await?;
            Ok(json(StatusCode::OK, &profile))
        }
        Resource::Stop => {
            handle.stop().await?;
            Ok(json(StatusCode::ACCEPTED, &json!({ "stopping": true })))
        }
        Resource::Metrics => {
            let accept = head.headers.get(ACCEPT).and_then(|value| value.to_str().ok());
            let (text, kind) = handle.metrics().await.expose(accept);
            Ok(content(StatusCode::OK, kind, text))
        }
        Resource::Probe(probe) => {
            let status = tokio::time::timeout(PROBE_MAX, handle.status()).await;
            Ok(probe_answer(probe, status.unwrap_or(Err(Ending))))
        }
    }
}

fn index() -> Answer {
    let endpoint =
        |(methods, path, what): &(&str, &str, &str)| json!({ "methods": methods, "path": path, "what": what });
    json(StatusCode::OK, &json!({ "endpoints": ENDPOINTS.iter().map(endpoint).collect::<Vec<_>>() }))
}

fn upstream(status: &Status, name: &str) -> Result<Answer, Refusal> {
    match status.upstreams.iter().find(|upstream| upstream.name == name) {
        Some(upstream) => Ok(json(StatusCode::OK, upstream)),
        None => Err(DrainError::UnknownUpstream(name.to_owned()).into()),
    }
}

async fn drain(handle: &Handle, order: DrainOrder) -> Result<Answer, Refusal> {
    let (upstream, server, draining) = (order.upstream.clone(), order.server.clone(), order.draining);
    let changed = handle.drain(order).await??;
    let told = json!({ "upstream": upstream, "server": server, "draining": draining, "changed": changed });
    Ok(json(StatusCode::OK, &told))
}

async fn reload(handle: &Handle) -> Result<Answer, Refusal> {
    match handle.reload().await? {
        ReloadOutcome::Refused { reason } => Err(Refusal::new(StatusCode::UNPROCESSABLE_ENTITY, "refused", reason)),
        outcome => Ok(json(StatusCode::OK, &outcome)),
    }
}

async fn upgrade(handle: &Handle) -> Result<Answer, Refusal> {
    match handle.upgrade().await? {
        UpgradeOutcome::Refused { reason } => Err(Refusal::new(StatusCode::UNPROCESSABLE_ENTITY, "refused", reason)),
        outcome @ UpgradeOutcome::Upgraded { .. } => Ok(json(StatusCode::OK, &outcome)),
    }
}

/// The body of `PUT /v1/log-level`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct LogLevel {
    level: String,
}

fn set_log_level(body: &LogLevel) -> Result<Answer, Refusal> {
    let refused = |error: anyhow::Error| Refusal::new(StatusCode::BAD_REQUEST, "wrong_level", format!("{error:#}"));
    log::set_level(&body.level).map_err(refused)?;
    tracing::info!(level = body.level, "the program log's level was set by the admin API");
    // Not for ever, and whoever sets it is to know that.
    let until = "a reload changes `log.level`, or another worker takes over";
    Ok(json(StatusCode::OK, &json!({ "level": log::level(), "configured": log::configured_word(), "until": until })))
}

/// Whether a probe succeeds, and what it found. A worker whose control loop has ended is neither alive nor ready.
fn probe_answer(probe: Probe, status: Result<Status, Ending>) -> Answer {
    let Ok(status) = status else {
        return json(
            StatusCode::SERVICE_UNAVAILABLE,
            &json!({ "ok": false, "reasons": ["the control loop does not answer"] }),
        );
    };
    let mut reasons = Vec::new();
    match probe {
        Probe::Live => {
            let stuck = status.shards.iter().enumerate().filter(|(_, shard)| !shard.ticks);
            reasons.extend(stuck.map(|(index, _)| format!("shard {index} does not answer")));
        }
        Probe::Ready if status.phase == Phase::Serving => {
            let empty = status.upstreams.iter().filter(|upstream| upstream.servers.is_empty());
            reasons.extend(empty.map(|upstream| format!("no name of upstream `{}` has an address", upstream.name)));
        }
        Probe::Ready if status.phase == Phase::Draining => reasons.push("it is draining".to_owned()),
        Probe::Ready => reasons.push("it is starting".to_owned()),
        Probe::Startup if status.phase == Phase::Starting => reasons.push("it is starting".to_owned()),
        Probe::Startup => {}
    }
    let code = if reasons.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    json(code, &json!({ "ok": reasons.is_empty(), "reasons": reasons }))
}

fn refuse_body(head: &Parts, body: &Incoming) -> Result<(), Refusal> {
    let is_empty = body.is_end_stream() || head.headers.get(CONTENT_LENGTH).is_some_and(|length| length == "0");
    if is_empty && !head.headers.contains_key(TRANSFER_ENCODING) {
        return Ok(());
    }
    Err(Refusal::new(StatusCode::BAD_REQUEST, "unexpected_body", "this request has no body"))
}

async fn read_json<T: for<'de> Deserialize<'de>>(head: &Parts, body: Incoming) -> Result<T, Refusal> {
    let kind = head.headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    if !kind.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("application/json") {
        let detail = "the body is to be `Content-Type: application/json`";
        return Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", detail));
    }
    let bytes = read(body).await?;
    let malformed = |error: serde_json::Error| Refusal::new(StatusCode::BAD_REQUEST, "malformed", error.to_string());
    serde_json::from_slice(&bytes).map_err(malformed)
}

async fn read(body: Incoming) -> Result<Bytes, Refusal> {
    let collected = tokio::time::timeout(BODY_MAX, Limited::new(body, BODY_BYTES_MAX).collect()).await;
    match collected {
        Err(_) => Err(Refusal::new(StatusCode::REQUEST_TIMEOUT, "timeout", "the body took too long")),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            let detail = format!("a body has at most {BODY_BYTES_MAX} bytes");
            Err(Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", detail))
        }
        Ok(Err(error)) => Err(Refusal::new(StatusCode::BAD_REQUEST, "malformed", error.to_string())),
        Ok(Ok(body)) => Ok(body.to_bytes()),
    }
}

impl From<Ending> for Refusal {
    fn from(ending: Ending) -> Refusal {
        Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "ending", ending.to_string())
    }
}

impl From<DrainError> for Refusal {
    fn from(error: DrainError) -> Refusal {
        let (status, word) = match error {
            DrainError::UnknownUpstream(_) => (StatusCode::NOT_FOUND, "unknown_upstream"),
            DrainError::UnknownServer { .. } => (StatusCode::NOT_FOUND, "unknown_server"),
            DrainError::LastServer(_) => (StatusCode::CONFLICT, "last_server"),
        };
        Refusal::new(status, word, error.to_string())
    }
}

impl From<ProfileError> for Refusal {
    fn from(error: ProfileError) -> Refusal {
        let (status, word) = match error {
            ProfileError::Busy => (StatusCode::CONFLICT, "busy"),
            ProfileError::Order(_) => (StatusCode::BAD_REQUEST, "wrong_order"),
            ProfileError::Forbidden { .. } => (StatusCode::FORBIDDEN, "forbidden_by_the_kernel"),
            ProfileError::Unsupported(_) => (StatusCode::NOT_IMPLEMENTED, "unsupported_by_the_kernel"),
            ProfileError::Failed(_) => (StatusCode::INTERNAL_SERVER_ERROR, "failed"),
        };
        Refusal::new(status, word, error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_path_that_is_listed_leads_somewhere_and_no_other_does() {
        for (_, path, _) in ENDPOINTS {
            assert!(resource(path).is_some(), "{path}");
            assert!(resource(&format!("{path}/x")).is_none() || path == "/v1/upstreams", "{path}/x");
        }
        for path in ["/", "/v1/", "/v2", "/v1/status/", "//v1/status", "/v1/upstreams/%zz", "/v1/%", "*", ""] {
            assert!(resource(path).is_none(), "{path}");
        }
    }

    #[test]
    fn the_documentation_lists_what_there_is() {
        let page = include_str!("../../docs/operation.md");
        for (methods, path, what) in ENDPOINTS {
            let row = format!("| {methods} | `{path}` | {what} |");
            assert!(page.contains(&row), "docs/operation.md lacks {row}");
        }
    }

    #[test]
    fn names_and_addresses_are_decoded_once() {
        let found = resource("/v1/upstreams/app/servers/unix:%2Frun%2Fa%2520b.sock/drain");
        let (upstream, server) = ("app".to_owned(), "unix:/run/a%20b.sock".to_owned());
        assert_eq!(found, Some(Resource::Drain { upstream, server, draining: true }));
    }
}
