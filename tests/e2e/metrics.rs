//! Metrics: what is counted is what clients did, whichever shard served them, and Prometheus understands it.

use std::collections::BTreeSet;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use kit::process::run;
use kit::{Address, Config, Peer, Port, Prometheus, Ringway, Scrape, eventually, promtool, standard};
use serde_json::Value;
use tempfile::TempDir;

use crate::{OK, answering, start};

const TOKEN: &str = "a-token-for-the-tests-of-metrics";
/// Buckets of a histogram's, as the default has them.
const BOUNDS: usize = 20;

/// A proxy whose metrics are read over TCP, as Prometheus does it.
struct Measured {
    ringway: Ringway,
    admin: Port,
    folder: TempDir,
}

impl Measured {
    fn start(config: Config) -> Measured {
        let (admin, folder) = (Port::take(), tempfile::tempdir().unwrap());
        let token = folder.path().join("token");
        fs::write(&token, TOKEN).unwrap();
        fs::set_permissions(&token, Permissions::from_mode(0o600)).unwrap();
        let config = config.set("admin", "address", format!("\"{}\"", admin.address()));
        let config = config.set("admin", "token_file", format!("{:?}", token.display().to_string()));
        Measured { ringway: start(config), admin, folder }
    }

    /// The page as it is now, and what type it is said to be.
    fn page(&self, accept: &str) -> (String, String) {
        let head =
            format!("Host: localhost\r\nAuthorization: Bearer {TOKEN}\r\nAccept: {accept}\r\nConnection: close\r\n");
        let request = format!("GET /metrics HTTP/1.1\r\n{head}\r\n");
        let answer = Peer::connect(&self.admin.address()).exchange("GET", request.as_bytes()).unwrap();
        assert_eq!(answer.status(), 200, "{}", answer.text());
        (answer.text(), answer.head.field("content-type").unwrap_or_default().to_owned())
    }

    fn scrape(&self) -> Scrape {
        Scrape::parse(&self.page("text/plain").0)
    }

    /// Waits until a sum is what it is to be: an exchange is counted when it has ended, which is after its answer has left.
    #[track_caller]
    fn wait_for(&self, name: &str, labels: &[(&str, &str)], value: f64) -> Scrape {
        let mut last = None;
        eventually(&format!("{name}{labels:?} is {value}"), || {
            last = Some(self.scrape()).filter(|scrape| scrape.sum(name, labels) == Some(value));
            last.is_some()
        });
        last.expect("it was found")
    }

    /// Has the configuration read again, and tells with what status that was answered.
    fn reload(&self) -> u16 {
        let head = format!("Host: localhost\r\nAuthorization: Bearer {TOKEN}\r\nContent-Length: 0\r\n");
        let request = format!("POST /v1/reload HTTP/1.1\r\n{head}\r\n");
        Peer::connect(&self.admin.address()).exchange("POST", request.as_bytes()).unwrap().status()
    }

    fn token(&self) -> PathBuf {
        self.folder.path().join("token")
    }
}

fn get(peer: &mut Peer, path: &str) -> u16 {
    peer.exchange("GET", &standard::get(path)).unwrap().status()
}

#[test]
fn what_clients_did_is_counted_once_in_each_family_whichever_shard_served_them() {
    const CLIENTS: usize = 40;
    const REQUESTS: usize = 5;
    let origin = standard::start();
    let config = Config::new().shards(3).upstream("app", &[origin.address()]).route(None, "/length", "app");
    let measured = Measured::start(config.route(None, "/status", "app"));
    for _ in 0..CLIENTS {
        let mut client = measured.ringway.connect();
        for _ in 0..REQUESTS {
            let request = b"POST /length/1000 HTTP/1.1\r\nHost: test\r\nContent-Length: 5\r\n\r\nhello";
            assert_eq!(client.exchange("POST", request).unwrap().status(), 200);
        }
        assert_eq!(get(&mut client, "/status/304"), 304);
        assert_eq!(get(&mut client, "/status/503"), 503);
        assert_eq!(get(&mut client, "/elsewhere"), 404);
    }
    let clients = CLIENTS as f64;
    let (bodies, all) = (clients * REQUESTS as f64, clients * (REQUESTS + 3) as f64);
    let scrape = measured.wait_for("ringway_requests_total", &[], all);
    let sum =
        |name: &str, labels: &[(&str, &str)]| scrape.sum(name, labels).unwrap_or_else(|| panic!("no {name}{labels:?}"));
    let requests = |route, class| sum("ringway_requests_total", &[("route", route), ("class", class)]);
    assert_eq!((requests("/length", "2xx"), requests("/length", "5xx")), (bodies, 0.0));
    assert_eq!((requests("/status", "3xx"), requests("/status", "5xx")), (clients, clients));
    assert_eq!(requests("none", "4xx"), clients);
    assert_eq!(sum("ringway_request_failures_total", &[("route", "none"), ("outcome", "no_route")]), clients);
    assert_eq!(sum("ringway_request_body_bytes_total", &[("route", "/length")]), bodies * 5.0);
    assert_eq!(sum("ringway_response_body_bytes_total", &[("route", "/length")]), bodies * 1_000.0);
    for (route, count) in [("/length", bodies), ("/status", 2.0 * clients), ("none", clients)] {
        let latency = [("route", route)];
        assert_eq!(sum("ringway_request_duration_seconds_count", &latency), count, "{route}");
        let infinite = [("route", route), ("le", "+Inf")];
        assert_eq!(sum("ringway_request_duration_seconds_bucket", &infinite), count, "{route}");
        assert_eq!(scrape.of("ringway_request_duration_seconds_bucket", &latency).count(), BOUNDS);
        assert!(sum("ringway_request_duration_seconds_sum", &latency) < count * 20.0, "{route}");
    }
    let upstream = [("upstream", "app")];
    for name in ["requests_total", "head_duration_seconds_count", "duration_seconds_count"] {
        assert_eq!(sum(&format!("ringway_upstream_{name}"), &upstream), all - clients, "{name}");
    }
    let origin_address = origin.address().to_string();
    let server = [("upstream", "app"), ("server", origin_address.as_str())];
    assert_eq!(sum("ringway_server_requests_total", &server), all - clients);
    assert_eq!(sum("ringway_server_heads_total", &server), all - clients);
    let means = [
        sum("ringway_server_head_seconds_total", &server),
        sum("ringway_upstream_head_duration_seconds_sum", &upstream),
    ];
    // Both are sums of the same microseconds.
    assert!((means[0] - means[1]).abs() < 1e-9, "{means:?}");
    // 503 counts as a failure of the server.
    assert_eq!(sum("ringway_server_failures_total", &server), clients);
    let opened = sum("ringway_upstream_connects_total", &upstream);
    assert_eq!(opened, origin.accepted() as f64);
    assert_eq!(opened + sum("ringway_upstream_connection_reuses_total", &upstream), all - clients);
    let listener = measured.ringway.address().to_string();
    assert_eq!(sum("ringway_listener_requests_total", &[("listener", &listener)]), all);
    // And one by which the harness saw that it listens.
    assert_eq!(sum("ringway_listener_connections_total", &[("listener", &listener)]), clients + 1.0);
    assert_eq!(sum("ringway_shard_connections_total", &[]), clients + 1.0);
    assert_eq!(sum("ringway_exchanges_total", &[]), all);
    assert_eq!(scrape.of("ringway_shard_cpu_seconds_total", &[]).count(), 3, "each shard's thread is found");
    assert!(scrape.of("ringway_shard_tick_duration_seconds_count", &[]).all(|ticks| ticks.value > 0.0));
    // What rises and falls ends where it began.
    measured.wait_for("ringway_listener_connections_open", &[], 0.0);
    let scrape = measured.wait_for("ringway_server_requests_active", &[], 0.0);
    assert_eq!(scrape.sum("ringway_upstream_connections", &[("state", "in_use")]), Some(0.0));
    let idle = scrape.sum("ringway_upstream_connections", &[("state", "idle")]);
    assert_eq!(idle, Some(opened), "the origin keeps its connections");
}

#[test]
fn what_wrk_did_is_counted() {
    let origin = kit::Nginx::start(None);
    let config = Config::to(origin.address()).shards(2).set("log", "access", "\"off\"");
    let measured = Measured::start(config);
    let mut wrk = Command::new("wrk");
    let report = run("wrk", wrk.args(["-t1", "-c32", "-d2s", &measured.ringway.url("/echo")]), Duration::from_secs(30));
    let served: f64 =
        report.lines().find_map(|line| line.trim().split_once(" requests in")).expect("a report").0.parse().unwrap();
    let scrape = measured.wait_for("ringway_listener_connections_open", &[], 0.0);
    let counted = scrape.sum("ringway_requests_total", &[]).unwrap();
    // wrk leaves without the answers to its last requests.
    assert!(counted >= served && counted <= served + 32.0, "wrk had {served} answers, {counted} requests were counted");
    assert_eq!(scrape.sum("ringway_request_duration_seconds_count", &[]), Some(counted));
    let gone = scrape.sum("ringway_request_failures_total", &[("outcome", "client_gone")]).unwrap_or(0.0);
    assert_eq!(scrape.sum("ringway_request_failures_total", &[]).unwrap_or(0.0), gone);
    assert_eq!(scrape.sum("ringway_upstream_duration_seconds_count", &[]), Some(counted - gone));
    assert!(scrape.sum("ringway_upstream_connects_total", &[]) <= Some(32.0));
}

#[test]
fn each_end_has_its_outcome() {
    let (origin, closed) = (standard::start(), Port::take());
    let config = Config::new().upstream("app", &[origin.address()]).upstream("closed", &[&closed.address()]);
    let config = config.route(None, "/", "app").route(None, "/closed", "closed").limit("body_bytes", "\"10B\"");
    let measured = Measured::start(config);
    assert_eq!(get(&mut measured.ringway.connect(), "/closed"), 502);
    assert_eq!(measured.ringway.connect().exchange("GET", b"BAD\r\n\r\n").unwrap().status(), 400);
    let large = b"POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 11\r\n\r\n";
    assert_eq!(measured.ringway.connect().exchange("POST", large).unwrap().status(), 413);
    let scrape = measured.wait_for("ringway_requests_total", &[], 3.0);
    let failures =
        |route, outcome| scrape.sum("ringway_request_failures_total", &[("route", route), ("outcome", outcome)]);
    assert_eq!(failures("/closed", "upstream_refused"), Some(1.0));
    assert_eq!(failures("none", "client_malformed"), Some(1.0));
    assert_eq!(failures("/", "client_too_large"), Some(1.0), "a request that was refused had met its route");
    assert_eq!(scrape.of("ringway_request_failures_total", &[]).count(), 3);
    assert_eq!(scrape.sum("ringway_limits_hit_total", &[("limit", "limits.body_bytes")]), Some(1.0));
    assert_eq!(scrape.sum("ringway_listener_requests_total", &[]), Some(3.0));
    assert_eq!(scrape.sum("ringway_upstream_requests_total", &[]), Some(0.0), "no server has seen any");
    assert_eq!(scrape.sum("ringway_server_failures_total", &[("upstream", "closed")]), Some(1.0));
}

#[test]
fn a_server_that_fails_is_seen_to_be_passed_over_and_ejected() {
    let (origin, closed) = (standard::start(), Port::take());
    let config = Config::new().upstream("app", &[origin.address(), &closed.address()]).route(None, "/", "app");
    let config = config.upstream_option("health", "{ failures = 2, ejection_base = \"1h\", ejection_max = \"1h\" }");
    let measured = Measured::start(config);
    let mut client = measured.ringway.connect();
    (0..20).for_each(|_| assert_eq!(get(&mut client, "/length/1"), 200));
    let scrape = measured.wait_for("ringway_requests_total", &[], 20.0);
    let upstream = |name: &str| scrape.sum(&format!("ringway_upstream_{name}"), &[("upstream", "app")]);
    assert_eq!(upstream("failovers_total"), Some(2.0));
    assert_eq!(upstream("ejections_total"), Some(1.0));
    assert_eq!(upstream("requests_total"), Some(20.0));
    let (well, ill) = (origin.address().to_string(), closed.address().to_string());
    let server = |name: &str, server: &str| scrape.sum(&format!("ringway_server_{name}"), &[("server", server)]);
    assert_eq!((server("failures_total", &ill), server("ejected_shards", &ill)), (Some(2.0), Some(1.0)));
    assert_eq!((server("failures_total", &well), server("ejected_shards", &well)), (Some(0.0), Some(0.0)));
    assert_eq!((server("requests_total", &ill), server("requests_total", &well)), (Some(0.0), Some(20.0)));
}

#[test]
fn records_that_a_full_disk_refuses_are_counted_by_log() {
    let origin = standard::start();
    let measured = Measured::start(Config::to(origin.address()).set("access_log", "path", "\"/dev/full\""));
    assert_eq!(get(&mut measured.ringway.connect(), "/length/1"), 200);
    measured.wait_for("ringway_access_records_refused_total", &[("log", "/dev/full")], 1.0);
}

#[test]
fn a_latency_lies_in_the_bucket_that_it_belongs_to() {
    const PAUSE: Duration = Duration::from_millis(300);
    let origin = kit::Origin::start(|peer, _| {
        peer.read_request()?;
        std::thread::sleep(PAUSE);
        peer.send(OK.as_bytes())
    });
    let measured = Measured::start(Config::to(origin.address()));
    let start = Instant::now();
    assert_eq!(get(&mut measured.ringway.connect(), "/"), 200);
    let took = start.elapsed();
    let scrape = measured.wait_for("ringway_requests_total", &[], 1.0);
    for name in ["request_duration", "upstream_head_duration", "upstream_duration"] {
        let within = |bound: &str| scrape.sum(&format!("ringway_{name}_seconds_bucket"), &[("le", bound)]);
        assert_eq!(within("0.25"), Some(0.0), "{name}");
        assert!(took > Duration::from_millis(500) || within("0.5") == Some(1.0), "{name} of {took:?}");
        let sum = scrape.sum(&format!("ringway_{name}_seconds_sum"), &[]).unwrap();
        // Time is read once a tick, and a tick may have begun a little before the request came.
        assert!(sum >= PAUSE.as_secs_f64() * 0.95 && sum <= took.as_secs_f64() + 0.01, "{name}: {sum} of {took:?}");
    }
}

#[test]
fn a_tunnel_is_counted_when_it_ends_with_its_bytes_and_the_time_to_its_opening() {
    let origin = kit::Origin::start(|peer, _| {
        peer.read_head()?;
        peer.send(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nhello")?;
        peer.read_to_end().map(drop)
    });
    let measured = Measured::start(Config::to(origin.address()));
    let mut client = measured.ringway.connect();
    client.send(b"GET / HTTP/1.1\r\nHost: test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n").unwrap();
    assert_eq!(client.read_head().unwrap().unwrap().status(), 101);
    assert_eq!(client.read_bytes(5).unwrap(), b"hello");
    let scrape = measured.wait_for("ringway_tunnels_open", &[], 1.0);
    assert_eq!(scrape.sum("ringway_requests_total", &[]), Some(0.0));
    let opened = Instant::now();
    while opened.elapsed() < Duration::from_millis(300) {
        client.send(b"x").unwrap();
        assert_eq!(measured.scrape().sum("ringway_tunnels_open", &[]), Some(1.0));
    }
    client.half_close().unwrap();
    let scrape = measured.wait_for("ringway_requests_total", &[("class", "1xx")], 1.0);
    assert_eq!(scrape.sum("ringway_tunnels_open", &[]), Some(0.0));
    assert_eq!(scrape.sum("ringway_response_body_bytes_total", &[]), Some(5.0));
    assert!(scrape.sum("ringway_request_body_bytes_total", &[]) > Some(0.0));
    assert!(scrape.sum("ringway_request_duration_seconds_sum", &[]) < Some(0.25), "the tunnel's life is no latency");
}

#[test]
fn names_with_every_character_are_read_back() {
    let origin = standard::start();
    let name = r#"a\b"c{d}=,\n"#;
    let config = Config::to(origin.address()).route(None, "/odd", "app").route_option("name", format!("{name:?}"));
    let measured = Measured::start(config);
    assert_eq!(get(&mut measured.ringway.connect(), "/odd"), 200);
    measured.wait_for("ringway_requests_total", &[("route", name), ("class", "2xx")], 1.0);
}

#[test]
fn series_beyond_the_bound_are_counted_together() {
    let origin = answering(OK);
    let config = Config::new().upstream("app", &[origin.address()]).set("metrics", "series_max", 3);
    let config = ["/a", "/b", "/c", "/d", "/e"].iter().fold(config, |config, prefix| config.route(None, prefix, "app"));
    let measured = Measured::start(config);
    let mut client = measured.ringway.connect();
    for (times, path) in [(1, "/a"), (2, "/b"), (3, "/c"), (4, "/d"), (5, "/e")] {
        (0..times).for_each(|_| assert_eq!(get(&mut client, path), 200));
    }
    let scrape = measured.wait_for("ringway_requests_total", &[], 15.0);
    // One of the three is for requests without a route.
    assert_eq!(scrape.values("ringway_requests_total", "route"), ["/a", "/b", "none", "other"]);
    assert_eq!(scrape.sum("ringway_requests_total", &[("route", "other")]), Some(12.0));
    assert_eq!(scrape.sum("ringway_metrics_label_sets_folded", &[("kind", "route")]), Some(3.0));
    assert_eq!(scrape.sum("ringway_metrics_label_sets_folded", &[("kind", "upstream")]), Some(0.0));
}

#[test]
fn without_metrics_only_the_shards_themselves_are_counted() {
    let origin = answering(OK);
    let measured = Measured::start(Config::to(origin.address()).set("metrics", "enabled", "false"));
    assert_eq!(get(&mut measured.ringway.connect(), "/"), 200);
    let scrape = measured.wait_for("ringway_exchanges_total", &[("outcome", "completed")], 1.0);
    for name in ["requests_total", "upstream_requests_total", "server_requests_total", "listener_requests_total"] {
        assert_eq!(scrape.sum(&format!("ringway_{name}"), &[]), None, "{name}");
    }
    assert_eq!(scrape.sum("ringway_shard_tick_duration_seconds_count", &[]), Some(0.0), "no tick is timed");
}

#[test]
fn a_reload_resets_nothing_that_stays() {
    let origin = answering(OK);
    let config = Config::new().upstream("app", &[origin.address()]).upstream("gone", &[origin.address()]);
    let measured = Measured::start(config.route(None, "/stays", "app").route(None, "/goes", "gone"));
    let mut client = measured.ringway.connect();
    for path in ["/stays", "/stays", "/goes"] {
        assert_eq!(get(&mut client, path), 200);
    }
    measured.wait_for("ringway_requests_total", &[], 3.0);
    let loaded = measured.scrape().sum("ringway_config_loaded_timestamp_seconds", &[]);
    let file = measured.ringway.folder().join("ringway.toml");
    let before = fs::read_to_string(&file).unwrap();
    fs::write(&file, before.replace("/goes", "/comes").replace("gone", "come")).unwrap();
    assert_eq!(measured.reload(), 200);
    assert_eq!((get(&mut client, "/stays"), get(&mut client, "/comes")), (200, 200));
    let scrape = measured.wait_for("ringway_requests_total", &[("route", "/comes")], 1.0);
    assert_eq!(scrape.values("ringway_requests_total", "route"), ["/comes", "/stays", "none"]);
    assert_eq!(scrape.values("ringway_upstream_requests_total", "upstream"), ["app", "come"]);
    assert_eq!(scrape.sum("ringway_requests_total", &[("route", "/stays")]), Some(3.0));
    assert_eq!(scrape.sum("ringway_upstream_requests_total", &[("upstream", "app")]), Some(3.0));
    assert_eq!(scrape.sum("ringway_upstream_connects_total", &[("upstream", "app")]), Some(1.0), "its pool goes on");
    assert_eq!(scrape.sum("ringway_exchanges_total", &[]), Some(5.0));
    assert!(scrape.sum("ringway_config_loaded_timestamp_seconds", &[]) > loaded);

    fs::write(&file, "nonsense").unwrap();
    assert_eq!(measured.reload(), 422);
    let scrape = measured.scrape();
    let reloads = |outcome| scrape.sum("ringway_reloads_total", &[("outcome", outcome)]);
    assert_eq!((reloads("done"), reloads("refused")), (Some(1.0), Some(1.0)));
    assert_eq!(scrape.sum("ringway_requests_total", &[]), Some(4.0), "what went is told no more");
}

fn dashboards() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("dashboards")
}

#[test]
fn promtool_finds_nothing_wrong() {
    let origin = standard::start();
    let measured = Measured::start(Config::to(origin.address()));
    assert_eq!(get(&mut measured.ringway.connect(), "/length/1"), 200);
    let (page, kind) = measured.page("text/plain");
    assert_eq!(kind, "text/plain; version=0.0.4; charset=utf-8");
    let folder = dashboards().join("prometheus");
    assert_eq!(promtool(&folder, &["check", "metrics"], &page), "");
    assert!(promtool(&folder, &["check", "rules", "ringway.rules.yml"], "").contains("SUCCESS"));
    assert!(promtool(&folder, &["test", "rules", "ringway.rules.test.yml"], "").contains("SUCCESS"));
    let (page, kind) = measured.page("application/openmetrics-text; version=1.0.0");
    assert_eq!(kind, "application/openmetrics-text; version=1.0.0; charset=utf-8");
    assert!(page.ends_with("\n# EOF\n"), "{page}");
}

#[test]
fn each_alert_has_a_test_and_each_metric_that_is_asked_for_exists() {
    let read = |name: &str| fs::read_to_string(dashboards().join(name)).unwrap();
    let (rules, tests) = (read("prometheus/ringway.rules.yml"), read("prometheus/ringway.rules.test.yml"));
    let alerts: Vec<_> = rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect();
    assert!(alerts.len() >= 20, "{alerts:?}");
    for alert in alerts {
        assert!(tests.contains(&format!("alertname=\"{alert}\"")), "{alert} has no test that it fires");
    }
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/metrics.md")).unwrap();
    let documented: BTreeSet<_> = page.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next()).collect();
    for text in [&rules, &tests, &read("grafana/ringway.json")] {
        let words = text.split(|char: char| !char.is_ascii_alphanumeric() && char != '_');
        for word in words.filter(|word| word.starts_with("ringway_") || word.starts_with("process_")) {
            let family =
                ["_bucket", "_count", "_sum"].iter().find_map(|suffix| word.strip_suffix(suffix)).unwrap_or(word);
            assert!(documented.contains(family), "{word} is no metric");
        }
    }
}

/// The queries of the dashboard, with the panels that ask them, for a time of ten seconds.
fn dashboard_queries() -> Vec<(String, String)> {
    let text = fs::read_to_string(dashboards().join("grafana/ringway.json")).unwrap();
    let dashboard: Value = serde_json::from_str(&text).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let mut queries = Vec::new();
    for panel in panels {
        for target in panel["targets"].as_array().into_iter().flatten() {
            let query = target["expr"].as_str().unwrap().replace("$__rate_interval", "10s");
            let query =
                ["$instance", "$route", "$upstream"].iter().fold(query, |query, name| query.replace(name, ".*"));
            assert!(!query.contains('$'), "{query}");
            queries.push((panel["title"].as_str().unwrap().to_owned(), query));
        }
    }
    queries
}

#[test]
fn a_real_prometheus_scrapes_it_and_every_panel_of_the_dashboard_has_data() {
    let (origin, closed) = (standard::start(), Port::take());
    let config =
        Config::new().shards(2).upstream("app", &[origin.address(), &closed.address()]).route(None, "/", "app");
    let config = config.upstream_option("health", "{ failures = 1, ejection_base = \"1h\", ejection_max = \"1h\" }");
    let config =
        config.route(None, "/odd", "app").route_option("name", r#""say\"hi\"""#).limit("body_bytes", "\"10B\"");
    let measured = Measured::start(config);
    let rules = dashboards().join("prometheus/ringway.rules.yml");
    let prometheus = Prometheus::start(measured.admin.address(), &measured.token(), &rules);
    let mut unanswered = dashboard_queries();
    assert!(unanswered.len() > 40, "{unanswered:?}");
    let large = b"POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 11\r\n\r\n";
    eventually("every query has an answer", || {
        for path in ["/length/100", "/odd", "/status/503"] {
            get(&mut measured.ringway.connect(), path);
        }
        measured.ringway.connect().exchange("POST", large).unwrap();
        unanswered.retain(|(_, query)| prometheus.query(query).is_empty());
        if !unanswered.is_empty() {
            eprintln!("{} queries have no answer yet: {unanswered:?}", unanswered.len());
        }
        unanswered.is_empty()
    });
    let target = &prometheus.api("targets")["activeTargets"][0];
    assert_eq!((target["health"].as_str(), target["lastError"].as_str()), (Some("up"), Some("")), "{target}");
    let labels = prometheus.query("ringway_requests_total{route=\"say\\\"hi\\\"\"}");
    assert_eq!(labels.len(), 5, "a class each: {labels:?}");
    let rules = &prometheus.api("rules")["groups"][0]["rules"];
    for rule in rules.as_array().unwrap() {
        assert_eq!(rule["health"], "ok", "{rule}");
    }
    let types = prometheus.api("metadata?metric=ringway_request_duration_seconds");
    assert_eq!(types["ringway_request_duration_seconds"][0]["type"], "histogram", "{types}");
    assert!(!prometheus.log().contains("Error on ingesting"), "{}", prometheus.log());
}

/// The admin API's address is not this one: what clients can reach tells nothing.
#[test]
fn clients_cannot_read_metrics() {
    let origin = answering(OK);
    let measured = Measured::start(Config::to(origin.address()));
    let answer = measured.ringway.connect().exchange("GET", &standard::get("/metrics")).unwrap();
    assert_eq!(answer.text(), "ok", "it goes to the upstream like everything");
    let bare = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let address: Address = measured.admin.address();
    assert_eq!(Peer::connect(&address).exchange("GET", bare).unwrap().status(), 401);
}
