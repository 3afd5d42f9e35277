//! A Plan as JSON.
//!
//! The plan crate knows no formats, so each of its structs has its view here. Destructuring names every field: a field that
//! is added to the Plan and forgotten here does not compile.

use std::sync::Arc;
use std::time::Duration;

use engine::Outcome;
use plan::access_log::{
    Condition, Field, LogTarget, Piece, Place, Rotation, Share, Syslog, SyslogAddress, SyslogProtocol,
};
use plan::filter::{Filters, HeaderEdits, RequestFilter, ResponseFilter};
use plan::tls::{Certificate, Stapling, UpstreamTls};
use plan::{
    AccessLog, AccessLogs, Coalesce, Forwarding, HashKey, Health, Http2, Http2Budgets, Io, LatencyBuckets, Limits,
    Listener, Metrics, Overload, Passthrough, PathPattern, PlainHttp, Plan, Protocols, ProxyProtocol, Retry, Route,
    SendProxy, Server, Shards, Streams, Timeouts, Tls, TrustPolicy, Upstream, UpstreamId, WebSocket,
};
use serde_json::{Map, Value, json};

use crate::control::balance;

/// What is served, resolved, with all defaults. Durations are in seconds, sizes in bytes.
#[derive(Debug, serde::Serialize)]
#[serde(transparent)]
pub(super) struct PlanView(Value);

impl PlanView {
    pub(super) fn of(plan: &Plan) -> PlanView {
        let Plan {
            listeners,
            upstreams,
            routes,
            passthrough,
            limits,
            timeouts,
            overload,
            http2,
            tls,
            trust,
            forwarding,
            shards,
            access_logs,
            metrics,
        } = plan;
        let upstream_name = |id: UpstreamId| upstreams[usize::from(id.0)].name.as_str();
        PlanView(json!({
            "listeners": listeners.iter().map(listener).collect::<Vec<_>>(),
            "upstreams": upstreams.iter().map(|one| (one.name.clone(), upstream(one))).collect::<Map<_, _>>(),
            "routes": routes.routes().iter().map(|one| route(one, upstream_name(one.upstream))).collect::<Vec<_>>(),
            "passthrough": passthrough.rules().iter().map(|one| rule(one, upstream_name(one.upstream))).collect::<Vec<_>>(),
            "limits": limits_view(limits),
            "timeouts": timeouts_view(timeouts),
            "overload": overload_view(overload),
            "http2": http2_view(http2),
            "tls": tls.as_ref().map(tls_view),
            "trust": trust_view(trust),
            "forwarding": forwarding_view(forwarding),
            "shards": shards_view(shards),
            "access_logs": access_logs_view(access_logs),
            "metrics": metrics_view(metrics),
        }))
    }
}

fn seconds(duration: &Duration) -> f64 {
    duration.as_secs_f64()
}

fn listener(listener: &Listener) -> Value {
    let Listener { address, backlog, proxy_protocol, protocols, tls: terminated } = listener;
    let plain_http = terminated.map(|tls| match tls.plain_http {
        PlainHttp::Refuse => "refuse",
        PlainHttp::Redirect => "redirect",
    });
    let Protocols { http1, http2, tls } = protocols;
    let (mode, trust) = match proxy_protocol {
        ProxyProtocol::Off => ("off", None),
        ProxyProtocol::Optional(trust) => ("optional", Some(trust)),
        ProxyProtocol::Required(trust) => ("required", Some(trust)),
    };
    let protocols = [("http1", http1), ("http2", http2), ("tls", tls)].into_iter().filter(|(_, is_served)| **is_served);
    json!({
        "address": address.to_string(),
        "backlog": backlog,
        "tls": terminated.is_some(),
        "plain_http": plain_http,
        "proxy_protocol": mode,
        "proxy_trust": trust.map(trust_view),
        "protocols": protocols.map(|(name, _)| name).collect::<Vec<_>>(),
    })
}

fn rule(rule: &Passthrough, upstream_name: &str) -> Value {
    let Passthrough { name, names, listeners, upstream: _, access_log } = rule;
    json!({
        "name": name,
        "names": names.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "listeners": listeners,
        "upstream": upstream_name,
        "access_log": access_log.map(|id| id.0),
    })
}

/// Certificates by their names: their keys are nobody's business.
fn tls_view(tls: &Tls) -> Value {
    let Tls { hosts, default, policies, tickets } = tls;
    let certificate = |certificate: &Arc<Certificate>| {
        let Certificate { name, chain, key: _, stapling, not_after_unix_s } = &**certificate;
        json!({
            "name": name,
            "chain": chain.len(),
            "ocsp": match stapling {
                Stapling::Off => "off",
                Stapling::Given(_) => "file",
                Stapling::Fetched => "fetch",
            },
            "not_after_unix_s": not_after_unix_s,
        })
    };
    let host = |host: &plan::tls::Host| {
        let plan::tls::Host { names, certificates, policy } = host;
        json!({
            "names": names.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "certificates": certificates.iter().map(certificate).collect::<Vec<_>>(),
            "policy": policy.0,
        })
    };
    json!({
        "hosts": hosts.iter().map(host).collect::<Vec<_>>(),
        "default": default,
        "policies": policies.iter().map(policy_view).collect::<Vec<_>>(),
        "tickets": tickets.as_ref().map(|tickets| {
            json!({ "rotation": seconds(&tickets.rotation), "keys_given": tickets.keys.len() })
        }),
    })
}

fn policy_view(policy: &plan::tls::Policy) -> Value {
    let plan::tls::Policy { version_min, suites, groups, client_auth, alpn } = policy;
    json!({
        "version_min": version_min.name(),
        "suites": suites.iter().map(|suite| suite.name()).collect::<Vec<_>>(),
        "groups": groups.iter().map(|group| group.name()).collect::<Vec<_>>(),
        "client_auth": client_auth.as_ref().map(|auth| {
            json!({ "required": auth.required, "roots": auth.roots.len(), "crls": auth.crls.len() })
        }),
        "alpn": alpn,
    })
}

fn route(route: &Route, upstream_name: &str) -> Value {
    let Route {
        name,
        hosts,
        path,
        priority,
        upstream: _,
        upgrades,
        websocket,
        streams,
        connect,
        coalesce,
        access_log,
        filters,
    } = route;
    let Streams { idle, total } = streams;
    let Filters { request, response } = filters;
    let (exact, prefix) = match path {
        PathPattern::Exact(path) => (Some(path), None),
        PathPattern::Prefix(prefix) => (None, Some(prefix)),
    };
    json!({
        "name": name,
        "hosts": hosts.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "path": exact,
        "prefix": prefix,
        "priority": priority,
        "upstream": upstream_name,
        "upgrades": upgrades,
        "websocket": websocket.as_ref().map(websocket_view),
        "stream_idle_timeout": seconds(idle),
        "stream_timeout": seconds(total),
        "connect": connect,
        "coalesce": coalesce,
        "access_log": access_log.map(|id| id.0),
        "request_filters": request.iter().map(|RequestFilter::Headers(edits)| headers(edits)).collect::<Vec<_>>(),
        "response_filters": response.iter().map(|ResponseFilter::Headers(edits)| headers(edits)).collect::<Vec<_>>(),
    })
}

fn websocket_view(policy: &WebSocket) -> Value {
    let WebSocket { frame_bytes_max, message_bytes_max, ping_interval, pong_timeout } = policy;
    json!({
        "frame_bytes": frame_bytes_max,
        "message_bytes": message_bytes_max,
        "ping_interval": seconds(ping_interval),
        "pong_timeout": seconds(pong_timeout),
    })
}

/// What `set` asks for is a name to remove and a line to add.
fn headers(edits: &HeaderEdits) -> Value {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let edits = edits.edits();
    let added = text(edits.appended());
    json!({ "headers": {
        "removed": edits.removed_names().map(text).collect::<Vec<_>>(),
        "added": added.lines().collect::<Vec<_>>(),
    } })
}

/// Logs and targets are named by their places in these lists, as routes and logs name them.
fn access_logs_view(logs: &AccessLogs) -> Value {
    let AccessLogs { logs, targets, default } = logs;
    json!({
        "logs": logs.iter().map(access_log).collect::<Vec<_>>(),
        "targets": targets.iter().map(log_target).collect::<Vec<_>>(),
        "default": default.map(|id| id.0),
    })
}

fn access_log(log: &AccessLog) -> Value {
    let AccessLog { target, format, only, share, always } = log;
    let condition = |condition: &Condition| {
        let Condition { status_classes, outcomes, slower_than } = condition;
        let classes = (1..=5).filter(|class| status_classes & 1 << class != 0).map(|class| format!("{class}xx"));
        let words = Outcome::WORDS.iter().enumerate().filter(|(index, _)| outcomes & 1 << index != 0);
        json!({
            "statuses": classes.collect::<Vec<_>>(),
            "outcomes": words.map(|(_, word)| word).collect::<Vec<_>>(),
            "slower_than": slower_than.as_ref().map(seconds),
        })
    };
    let response_header = |place: u8| format!("response_header.{}", format.response_headers[usize::from(place)]);
    let piece = |piece: &Piece| match piece {
        Piece::Text(text) => text.clone(),
        Piece::Member(text, Field::ResponseHeader(place)) => format!("{text}{{{}}}", response_header(*place)),
        Piece::Member(text, field) => format!("{text}{{{field}}}"),
        Piece::Value(Field::ResponseHeader(place)) => format!("{{{}}}", response_header(*place)),
        Piece::Value(field) => format!("{{{field}}}"),
    };
    json!({
        "target": target.0,
        "format": format.pieces.iter().map(piece).collect::<String>(),
        "only": only.as_ref().map(condition),
        "always": always.as_ref().map(condition),
        "sample": f64::from(share.0) / f64::from(Share::ALL.0),
    })
}

fn log_target(target: &LogTarget) -> Value {
    let LogTarget { place, waiting_bytes_max } = target;
    let place = match place {
        Place::Stdout => json!("stdout"),
        Place::File { path, rotation } => json!({ "path": path, "rotate": rotation.as_ref().map(rotation_view) }),
        Place::Syslog(Syslog { address, protocol, priority, tag }) => json!({
            "syslog": match address {
                SyslogAddress::Unix(path) => format!("unix:{}", path.display()),
                SyslogAddress::Udp(address) => address.to_string(),
            },
            "protocol": match protocol {
                SyslogProtocol::Rfc3164 => "rfc3164",
                SyslogProtocol::Rfc5424 => "rfc5424",
            },
            "priority": priority,
            "tag": tag,
        }),
    };
    json!({ "place": place, "buffer": waiting_bytes_max })
}

fn rotation_view(rotation: &Rotation) -> Value {
    let Rotation { bytes_max, age_max, kept_max, compress } = rotation;
    json!({ "size": bytes_max, "age": age_max.as_ref().map(seconds), "keep": kept_max, "compress": compress })
}

fn metrics_view(metrics: &Metrics) -> Value {
    let Metrics { enabled, series_max, latency } = metrics;
    let latency_buckets = match latency {
        LatencyBuckets::Coarse => "coarse",
        LatencyBuckets::Standard => "standard",
        LatencyBuckets::Fine => "fine",
    };
    json!({ "enabled": enabled, "series_max": series_max, "latency_buckets": latency_buckets })
}

fn upstream(upstream: &Upstream) -> Value {
    let Upstream {
        name: _,
        servers,
        tls,
        balance: by,
        health,
        retry,
        connect_timeout,
        head_timeout,
        body_idle_timeout,
        body_rate_min,
        keep_alive_timeout,
        idle_connections_max,
        connections_max,
        coalesce,
        send_proxy,
    } = upstream;
    let hash = match by {
        plan::Balance::ConsistentHash(HashKey::Source) => json!("source"),
        plan::Balance::ConsistentHash(HashKey::Path) => json!("path"),
        plan::Balance::ConsistentHash(HashKey::Header(name)) => json!(format!("header:{name}")),
        _ => Value::Null,
    };
    json!({
        "servers": servers.iter().map(server).collect::<Vec<_>>(),
        "tls": tls.as_deref().map_or(Value::Null, upstream_tls),
        "balance": balance(by),
        "hash": hash,
        "health": health_view(health),
        "retry": retry_view(retry),
        "connect_timeout": seconds(connect_timeout),
        "head_timeout": seconds(head_timeout),
        "body_idle_timeout": seconds(body_idle_timeout),
        "body_rate_min": body_rate_min,
        "keep_alive_timeout": seconds(keep_alive_timeout),
        "idle_connections": idle_connections_max,
        "connections": connections_max,
        "coalesce": coalesce_view(coalesce),
        "send_proxy": send_proxy.map(|version| match version {
            SendProxy::V1 => "v1",
            SendProxy::V2 => "v2",
        }),
    })
}

fn upstream_tls(tls: &UpstreamTls) -> Value {
    let UpstreamTls { server_name, roots, pins, certificate, version_min, alpn, resumes } = tls;
    json!({
        "server_name": server_name,
        "roots": roots.len(),
        "pins": pins.len(),
        "certificate": certificate.as_ref().map(|certificate| &certificate.name),
        "min_version": version_min.name(),
        "alpn": alpn,
        "resumes": resumes,
    })
}

fn coalesce_view(coalesce: &Coalesce) -> Value {
    let Coalesce { connections_max, depth_max, engage_at, stall_timeout } = coalesce;
    json!({
        "connections": connections_max,
        "depth": depth_max,
        "engage_at": engage_at,
        "stall_timeout": seconds(stall_timeout),
    })
}

fn server(server: &Server) -> Value {
    let Server { address, host, weight, draining } = server;
    json!({ "address": address.to_string(), "host": host.as_deref(), "weight": weight, "draining": draining })
}

fn health_view(health: &Health) -> Value {
    let Health { failures, ejection_base, ejection_max, eject_share_max, failure_statuses } = health;
    json!({
        "failures": failures,
        "ejection_base": seconds(ejection_base),
        "ejection_max": seconds(ejection_max),
        "eject_share_max": eject_share_max,
        "failure_statuses": failure_statuses,
    })
}

fn retry_view(retry: &Retry) -> Value {
    let Retry { attempts, budget_percent, budget_min_per_s, body_bytes_max, statuses, backoff_base, backoff_max } =
        retry;
    json!({
        "attempts": attempts,
        "budget": budget_percent,
        "budget_min": budget_min_per_s,
        "body_bytes": body_bytes_max,
        "statuses": statuses,
        "backoff_base": seconds(backoff_base),
        "backoff_max": seconds(backoff_max),
    })
}

fn http2_view(http2: &Http2) -> Value {
    let Http2 { streams_max, window_bytes, window_bytes_max, held_bytes_max, frame_bytes_max, budgets } = http2;
    let Http2Budgets {
        settings,
        pings,
        resets,
        faults,
        refusals,
        empty_frames,
        priorities,
        window_updates,
        continuations,
        late_frames,
        unknown_frames,
    } = budgets;
    json!({
        "streams": streams_max,
        "window": window_bytes,
        "window_max": window_bytes_max,
        "held_bytes": held_bytes_max,
        "frame_bytes": frame_bytes_max,
        "budgets": {
            "settings": settings,
            "pings": pings,
            "resets": resets,
            "faults": faults,
            "refusals": refusals,
            "empty_frames": empty_frames,
            "priorities": priorities,
            "window_updates": window_updates,
            "continuations": continuations,
            "late_frames": late_frames,
            "unknown_frames": unknown_frames,
        },
    })
}

fn limits_view(limits: &Limits) -> Value {
    let Limits {
        head_bytes_max,
        uri_bytes_max,
        fields_max,
        field_bytes_max,
        body_bytes_max,
        connections_max,
        connections_per_client_max,
        requests_per_connection_max,
        glitches_per_client_max,
        body_rate_min,
    } = limits;
    json!({
        "head_bytes": head_bytes_max,
        "uri_bytes": uri_bytes_max,
        "fields": fields_max,
        "field_bytes": field_bytes_max,
        "body_bytes": body_bytes_max,
        "body_rate_min": body_rate_min,
        "connections": connections_max,
        "connections_per_client": connections_per_client_max,
        "requests_per_connection": requests_per_connection_max,
        "glitches_per_client": glitches_per_client_max,
    })
}

fn timeouts_view(timeouts: &Timeouts) -> Value {
    let Timeouts { head, body_idle, body_rate_grace, request, keep_alive, drain, tunnel_idle } = timeouts;
    json!({
        "head": seconds(head),
        "body_idle": seconds(body_idle),
        "body_rate_grace": seconds(body_rate_grace),
        "request": seconds(request),
        "keep_alive": seconds(keep_alive),
        "drain": seconds(drain),
        "tunnel_idle": seconds(tunnel_idle),
    })
}

fn overload_view(overload: &Overload) -> Value {
    let Overload { queue_time, interval } = overload;
    json!({ "queue_time": seconds(queue_time), "interval": seconds(interval) })
}

fn trust_view(trust: &TrustPolicy) -> Value {
    let TrustPolicy { networks, unix } = trust;
    json!({ "networks": networks.iter().map(ToString::to_string).collect::<Vec<_>>(), "unix": unix })
}

fn forwarding_view(forwarding: &Forwarding) -> Value {
    let Forwarding { request_id, return_request_id, forwarded } = forwarding;
    json!({ "request_id": request_id, "return_request_id": return_request_id, "forwarded": forwarded })
}

fn shards_view(shards: &Shards) -> Value {
    let Shards { count, pin, io, splice_bytes_min } = shards;
    let io = match io {
        Io::Auto => "auto",
        Io::IoUring => "io_uring",
        Io::Epoll => "epoll",
    };
    json!({ "count": count, "pin": pin, "io": io, "splice_bytes_min": splice_bytes_min })
}
