//! The admin API: who may ask, what it tells, what it does.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use kit::process::run;
use kit::{Address, Config, Peer, Port, Ringway, eventually, standard};
use serde_json::{Value, json};

use crate::{BINARY, OK, answering, before, start};

const LIMIT: Duration = Duration::from_secs(30);
const SECRET: &str = "correct-horse-battery-staple";

/// What curl gets from the admin socket: the status and the JSON.
fn curl(ringway: &Ringway, arguments: &[&str], path: &str) -> (u16, Value) {
    let mut command = Command::new("curl");
    command.args(["--silent", "--show-error", "--max-time", "20", "--write-out", "\n%{http_code}", "--unix-socket"]);
    command.arg(ringway.admin_socket()).args(arguments).arg(format!("http://localhost{path}"));
    let output = run("curl", &mut command, LIMIT);
    let (body, status) = output.rsplit_once('\n').expect("a status behind the body");
    (status.parse().expect("a status"), serde_json::from_str(body).unwrap_or_default())
}

fn status(ringway: &Ringway) -> Value {
    let (status, body) = curl(ringway, &[], "/v1/status");
    assert_eq!(status, 200, "{body}");
    body
}

fn knock(ringway: &Ringway) -> Peer {
    Peer::connect(&Address::Unix(ringway.admin_socket()))
}

/// The status and the JSON of the answer to a request with these fields.
fn answer(peer: &mut Peer, line: &str, fields: &str) -> (u16, Value) {
    let method = line.split(' ').next().unwrap_or_default().to_owned();
    let response = peer.exchange(&method, format!("{line} HTTP/1.1\r\n{fields}\r\n").as_bytes()).unwrap();
    (response.status(), serde_json::from_str(&response.text()).unwrap_or_default())
}

fn token_file(folder: &Path, mode: u32) -> String {
    let path = folder.join("token");
    fs::write(&path, format!("{SECRET}\n")).unwrap();
    fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
    format!("{:?}", path.display().to_string())
}

#[test]
fn the_status_tells_what_was_served_and_by_whom() {
    let origin = answering(OK);
    let ringway = before(&origin);
    for _ in 0..3 {
        assert_eq!(ringway.connect().exchange("GET", &standard::get("/")).unwrap().status(), 200);
    }
    eventually("the exchanges are counted", || status(&ringway)["totals"]["exchanges"] == 3);
    let status = status(&ringway);
    assert_eq!(status["phase"], "serving");
    assert_eq!(status["pid"], ringway.process().id());
    assert_eq!(status["totals"]["outcomes"], json!({ "completed": 3 }));
    assert_eq!(status["listening"], json!([ringway.address().to_string()]));
    assert_eq!(status["shards"][0]["ticks"], true);
    assert_eq!(status["routes"][0]["upstream"], "app");
    let server = &status["upstreams"][0]["servers"][0];
    assert_eq!(server["address"], origin.address().to_string());
    assert_eq!((&server["state"], &server["requests"]), (&json!("up"), &json!(3)));
    let (code, upstream) = curl(&ringway, &[], "/v1/upstreams/app");
    assert_eq!((code, &upstream["servers"][0]["address"]), (200, &server["address"]));
}

#[test]
fn the_plan_is_shown_with_its_defaults() {
    let origin = answering(OK);
    let ringway = before(&origin);
    let (code, plan) = curl(&ringway, &[], "/v1/plan");
    assert_eq!(code, 200);
    assert_eq!(plan["upstreams"]["app"]["balance"], "round_robin");
    assert_eq!(plan["upstreams"]["app"]["servers"][0]["address"], origin.address().to_string());
    assert_eq!(plan["routes"][0]["upstream"], "app");
    assert_eq!(plan["timeouts"]["head"], 10.0);
}

#[test]
fn a_server_that_fails_is_shown_as_ejected() {
    let (good, bad) = (answering(OK), answering("HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n"));
    let config = Config::new().upstream("app", &[good.address(), bad.address()]).route(None, "/", "app");
    let ringway = start(config);
    eventually("it is ejected", || {
        let _ = ringway.connect().exchange("GET", &standard::get("/")).unwrap();
        status(&ringway)["upstreams"][0]["servers"][1]["state"] == "ejected"
    });
    let server = &status(&ringway)["upstreams"][0]["servers"][1];
    assert!(server["ejected_for_ms"].as_u64().unwrap() > 0 && server["failures"].as_u64().unwrap() >= 5, "{server}");
}

#[test]
fn a_drained_server_finishes_what_it_has_and_gets_nothing_new() {
    let (slow, gate) = standard::held(OK);
    let other = answering(OK);
    let config = Config::new().upstream("app", &[slow.address(), other.address()]).route(None, "/", "app");
    let ringway = start(config);
    // Round robin: the first request goes to the first server.
    let mut client = ringway.connect();
    client.send(&standard::get("/")).unwrap();
    eventually("the request is at the server", || slow.accepted() == 1);

    let path = |order: &str| format!("/v1/upstreams/app/servers/{}/{order}", slow.address());
    let (code, told) = curl(&ringway, &["--request", "POST"], &path("drain"));
    assert_eq!((code, &told["changed"]), (200, &json!(true)));
    let server = || status(&ringway)["upstreams"][0]["servers"][0].clone();
    eventually("the shard knows", || server()["state"] == "draining");
    assert_eq!(server()["active"], 1);
    for _ in 0..6 {
        assert_eq!(ringway.connect().exchange("GET", &standard::get("/")).unwrap().status(), 200);
    }
    assert_eq!(slow.accepted(), 1, "nothing new went there");
    gate.open();
    assert_eq!(client.read_response("GET").unwrap().status(), 200);
    slow.wait_until_closed();
    eventually("nothing is under way there", || server()["active"] == 0);

    let (code, told) = curl(&ringway, &["--request", "POST"], &path("drain"));
    assert_eq!((code, &told["changed"]), (200, &json!(false)), "it was drained before");
    let (code, told) = curl(&ringway, &["--request", "POST"], &path("undrain"));
    assert_eq!((code, &told["changed"]), (200, &json!(true)));
    eventually("it gets requests again", || {
        let _ = ringway.connect().exchange("GET", &standard::get("/")).unwrap();
        slow.accepted() > 1
    });
}

#[test]
fn a_drained_server_stays_drained_over_a_reload_and_is_forgotten_when_it_leaves() {
    let (one, other) = (answering(OK), answering(OK));
    let config = Config::new().upstream("app", &[one.address(), other.address()]).route(None, "/", "app");
    let ringway = start(config);
    let path = format!("/v1/upstreams/app/servers/{}/drain", one.address());
    assert_eq!(curl(&ringway, &["--request", "POST"], &path).0, 200);
    let file = ringway.folder().join("ringway.toml");
    let before = fs::read_to_string(&file).unwrap();
    let reload = |text: &str| {
        fs::write(&file, text).unwrap();
        let (code, told) = curl(&ringway, &["--request", "POST"], "/v1/reload");
        assert_eq!((code, &told["outcome"]), (200, &json!("swapped")), "{told}");
    };
    let state = |address: &Address| {
        let status = status(&ringway);
        let servers = status["upstreams"][0]["servers"].as_array().unwrap().clone();
        servers.iter().find(|server| server["address"] == address.to_string()).map(|server| server["state"].clone())
    };
    reload(&before.replace("prefix = \"/\"", "prefix = \"/\"\nconnect = true"));
    assert_eq!(state(one.address()), Some(json!("draining")));
    for _ in 0..4 {
        assert_eq!(ringway.connect().exchange("GET", &standard::get("/")).unwrap().status(), 200);
    }
    assert_eq!(one.accepted(), 0);
    reload(&before.replace(&format!("\"{}\", ", one.address()), ""));
    assert_eq!(state(one.address()), None);
    reload(&before);
    assert_eq!(state(one.address()), Some(json!("up")));
}

#[test]
fn the_last_server_is_drained_only_by_force_and_unknown_ones_not_at_all() {
    let origin = answering(OK);
    let ringway = before(&origin);
    let drain = |path: &str| curl(&ringway, &["--request", "POST"], path);
    let path = format!("/v1/upstreams/app/servers/{}/drain", origin.address());
    let (code, refused) = drain(&path);
    assert_eq!((code, &refused["error"]), (409, &json!("last_server")), "{refused}");
    assert_eq!(drain("/v1/upstreams/nope/servers/127.0.0.1:1/drain").1["error"], "unknown_upstream");
    let (code, refused) = drain("/v1/upstreams/app/servers/127.0.0.1:1/drain");
    assert_eq!((code, &refused["error"]), (404, &json!("unknown_server")));
    assert!(refused["detail"].as_str().unwrap().contains(&origin.address().to_string()), "{refused}");
    assert_eq!(drain(&format!("{path}?force=true")).0, 200);
    eventually("all is refused", || ringway.connect().exchange("GET", &standard::get("/")).unwrap().status() == 503);
}

#[test]
fn the_log_says_more_when_it_is_told_to() {
    let origin = answering(OK);
    let ringway = before(&origin);
    let set = |level: &str| {
        let body = json!({ "level": level }).to_string();
        let arguments = ["--request", "PUT", "--header", "Content-Type: application/json", "--data", &body];
        curl(&ringway, &arguments, "/v1/log-level")
    };
    assert_eq!(curl(&ringway, &[], "/v1/log-level"), (200, json!({ "level": "info", "configured": "info" })));
    let (status, answer) = set("debug");
    assert_eq!((status, &answer["level"], &answer["configured"]), (200, &json!("debug"), &json!("info")));
    assert!(answer["until"].as_str().unwrap().contains("a reload changes `log.level`"), "{answer}");
    assert_eq!(curl(&ringway, &[], "/v1/nowhere").0, 404);
    eventually("the refusal is logged", || ringway.process().stderr().contains("admin request refused"));
    assert_eq!(set("ringway=loud").0, 400);
    assert_eq!(curl(&ringway, &[], "/v1/log-level").1["level"], "debug");
    // A reload about something else leaves it alone; one that changes the key does not.
    let level_after = |config: Config| {
        ringway.rewrite(config);
        assert_eq!(curl(&ringway, &["--request", "POST"], "/v1/reload").0, 200);
        curl(&ringway, &[], "/v1/log-level").1["level"].clone()
    };
    assert_eq!(level_after(Config::to(origin.address()).limit("body_bytes", "\"1MiB\"")), "debug");
    assert_eq!(level_after(Config::to(origin.address()).set("log", "level", "\"warn\"")), "warn");
}

#[test]
fn probes_follow_the_life_of_the_worker() {
    let (origin, gate) = standard::held(OK);
    let mut ringway = before(&origin);
    for probe in ["/livez", "/readyz", "/startupz"] {
        assert_eq!(curl(&ringway, &[], probe), (200, json!({ "ok": true, "reasons": [] })), "{probe}");
    }
    let mut client = ringway.connect();
    client.send(&standard::get("/")).unwrap();
    eventually("the request is at the server", || origin.accepted() == 1);
    ringway.terminate();
    eventually("it is not ready while it drains", || curl(&ringway, &[], "/readyz").0 == 503);
    assert_eq!(curl(&ringway, &[], "/readyz").1["reasons"], json!(["it is draining"]));
    assert_eq!(curl(&ringway, &[], "/livez").0, 200, "to drain is to live");
    gate.open();
    assert_eq!(client.read_response("GET").unwrap().status(), 200);
    assert!(ringway.wait().success());
    assert!(!ringway.admin_socket().exists(), "the socket goes with it");
}

#[test]
fn stop_ends_it() {
    let origin = answering(OK);
    let mut ringway = before(&origin);
    assert_eq!(curl(&ringway, &["--request", "POST"], "/v1/stop").0, 202);
    assert!(ringway.wait().success());
}

#[test]
fn the_counts_are_there_for_prometheus() {
    let origin = answering(OK);
    let ringway = before(&origin);
    assert_eq!(ringway.connect().exchange("GET", &standard::get("/")).unwrap().status(), 200);
    eventually("the exchange is counted", || status(&ringway)["totals"]["exchanges"] == 1);
    let response = knock(&ringway).exchange("GET", b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    assert_eq!(response.status(), 200);
    assert!(response.text().contains("ringway_"), "{}", response.text());
}

#[test]
fn the_socket_is_its_users_alone() {
    let origin = answering(OK);
    let ringway = before(&origin);
    let mode = fs::metadata(ringway.admin_socket()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn a_web_page_cannot_speak_for_its_reader() {
    let origin = answering(OK);
    let ringway = start(Config::to(origin.address()).set("admin", "origins", r#"["https://ops.example"]"#));
    let mut peer = knock(&ringway);
    // DNS rebinding: the attacker's name points here.
    let (code, refused) = answer(&mut peer, "GET /v1/status", "Host: evil.example\r\n");
    assert_eq!((code, &refused["error"]), (421, &json!("wrong_host")));
    let stop = |origin: &str| format!("Host: localhost\r\nOrigin: {origin}\r\nContent-Length: 0\r\n");
    let (code, refused) = answer(&mut peer, "POST /v1/stop", &stop("https://evil.example"));
    assert_eq!((code, &refused["error"]), (403, &json!("wrong_origin")));
    assert_eq!(answer(&mut peer, "POST /v1/stop", &stop("null")).0, 403);
    assert_eq!(answer(&mut peer, "GET /v1/status", "").0, 400, "no Host at all");
    let listed = "Host: localhost\r\nOrigin: https://ops.example\r\n";
    assert_eq!(answer(&mut peer, "GET /v1/status", listed).0, 200);
    // A form can be sent from any page without asking; it is no JSON.
    let form = "Host: localhost\r\nContent-Type: text/plain\r\nContent-Length: 0\r\n";
    assert_eq!(answer(&mut peer, "PUT /v1/log-level", form).0, 415);
}

#[test]
fn methods_bodies_and_paths_are_strict() {
    let origin = answering(OK);
    let ringway = before(&origin);
    let mut peer = knock(&ringway);
    let host = "Host: localhost\r\n";
    assert_eq!(answer(&mut peer, "GET /v1/reload", host).0, 405);
    assert_eq!(answer(&mut peer, "POST /v1/status", &format!("{host}Content-Length: 0\r\n")).0, 405);
    assert_eq!(answer(&mut peer, "GET /v1/nothing", host).0, 404);
    assert_eq!(answer(&mut peer, "GET /v1/../v1/status", host).0, 404);
    let json_of = |length: usize| format!("{host}Content-Type: application/json\r\nContent-Length: {length}\r\n");
    let oversized = format!("PUT /v1/log-level HTTP/1.1\r\n{}\r\n{}", json_of(20_000), "x".repeat(20_000));
    assert_eq!(knock(&ringway).exchange("PUT", oversized.as_bytes()).unwrap().status(), 413);
    let unknown = r#"{"level":"info","else":1}"#;
    let request = format!("PUT /v1/log-level HTTP/1.1\r\n{}\r\n{unknown}", json_of(unknown.len()));
    assert_eq!(knock(&ringway).exchange("PUT", request.as_bytes()).unwrap().status(), 400);
    let with_body = format!("POST /v1/stop HTTP/1.1\r\n{}\r\n{{}}", json_of(2));
    assert_eq!(knock(&ringway).exchange("POST", with_body.as_bytes()).unwrap().status(), 400, "it was not obeyed");
    let long = format!("GET /{} HTTP/1.1\r\n{host}\r\n", "x".repeat(30_000));
    let mut peer = knock(&ringway);
    // It may close while the rest is still being sent.
    let _ = peer.send(long.as_bytes());
    let refused = peer.read_response("GET").map_or(431, |response| response.status());
    assert!([414, 431].contains(&refused), "{refused}");
    assert_eq!(status(&ringway)["phase"], "serving");
}

#[test]
fn over_tcp_nothing_is_answered_without_the_token() {
    let origin = answering(OK);
    let folder = tempfile::tempdir().unwrap();
    let port = Port::take();
    let config = Config::to(origin.address()).set("admin", "address", format!("\"{}\"", port.address())).set(
        "admin",
        "token_file",
        token_file(folder.path(), 0o600),
    );
    let _ringway = start(config);
    let mut peer = Peer::connect(&port.address());
    let host = format!("Host: {}\r\n", port.address());
    let of = |token: &str| format!("{host}Authorization: Bearer {token}\r\n");
    assert_eq!(answer(&mut peer, "GET /v1/status", &host).0, 401);
    assert_eq!(answer(&mut peer, "GET /v1/status", &of("wrong-horse-battery-staple")).0, 401);
    assert_eq!(answer(&mut peer, "GET /v1/nothing", &host).0, 401, "which paths there are is not told either");
    assert_eq!(answer(&mut peer, "GET /v1/status", &of(SECRET)).0, 200);
    let rebound = format!("Host: evil.example\r\nAuthorization: Bearer {SECRET}\r\n");
    assert_eq!(answer(&mut peer, "GET /v1/status", &rebound).0, 421);
    assert_eq!(answer(&mut peer, "GET /livez", &host).0, 200, "orchestrators have no token");
}

#[test]
fn tcp_without_a_token_or_with_one_that_others_can_read_does_not_start() {
    let origin = answering(OK);
    let folder = tempfile::tempdir().unwrap();
    let port = Port::take();
    let tcp = Config::to(origin.address()).listen(Port::take().address()).set(
        "admin",
        "address",
        format!("\"{}\"", port.address()),
    );
    let refused = |config: &Config| {
        let mut process = Ringway::spawn(BINARY, config, folder.path());
        assert_eq!(process.wait().code(), Some(1));
        process.stderr()
    };
    let said = refused(&tcp);
    assert!(said.contains("a `token_file` beside it"), "{said}");
    let said = refused(&tcp.set("admin", "token_file", token_file(folder.path(), 0o644)));
    assert!(said.contains("is open to others (mode 644)"), "{said}");
}

#[test]
fn slow_callers_are_cut_off_and_many_do_not_lock_others_out() {
    let origin = answering(OK);
    let ringway = before(&origin);
    // More than there may be at once; each sends a piece of a head and then nothing.
    let mut slow: Vec<Peer> = (0..80).map(|_| knock(&ringway)).collect();
    for peer in &mut slow {
        peer.send(b"GET /v1/status HTTP/1.1\r\nHost:").unwrap();
    }
    let descriptors = ringway.process().descriptors();
    let began = Instant::now();
    // In its turn, when the first ones have been cut off.
    assert_eq!(status(&ringway)["phase"], "serving");
    assert!(began.elapsed() < Duration::from_secs(12), "{:?}", began.elapsed());
    for peer in &mut slow {
        // Some are told why (408), and all are closed.
        let _ = peer.read_to_end();
    }
    assert!(descriptors < 64 + 60, "no more than 64 were accepted: {descriptors} descriptors");
    assert_eq!(ringway.connect().exchange("GET", &standard::get("/")).unwrap().status(), 200);
}
