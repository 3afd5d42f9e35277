//! HTTP/2 with clients: what requests and answers become, many at once.

use std::process::Command;
use std::time::Duration;

use kit::process::run;
use kit::{Address, Authority, Config, Gate, Head, Http2Client, Origin, Ringway, eventually, pattern, standard};
use serde_json::json;

use crate::{OK, answering, before, start};

const LIMIT: Duration = Duration::from_secs(60);
/// RFC 9113 §7
const NO_ERROR: u64 = 0;
const CANCEL: u64 = 8;

fn connect(ringway: &Ringway) -> Http2Client {
    Http2Client::connect(ringway.address())
}

/// What curl gets with these arguments.
fn curl(arguments: &[&str]) -> Vec<u8> {
    let output = Command::new("curl")
        .args(["--silent", "--show-error", "--max-time", "50", "--noproxy", "*"])
        .args(arguments)
        .output()
        .expect("curl");
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// An origin that reads and does not answer.
fn silent() -> Origin {
    Origin::start(|peer, _| peer.read_to_end().map(drop))
}

#[test]
fn a_request_is_passed_on_as_http1_and_its_answer_back() {
    let origin = standard::start();
    let ringway = before(&origin);
    let mut client = connect(&ringway);
    for length in [0, 1, 100, 4_096, 16_384, 16_385, 65_535, 65_536, 1_000_000] {
        let path = format!("/length/{length}?a=b");
        client.get(&path).assert_pattern(length);
        client.get(&format!("/chunked/{length}")).assert_pattern(length);
        client.get(&format!("/close/{length}")).assert_pattern(length);
    }
    let answer = client.get("/length/5?x");
    assert_eq!((answer.field("content-length"), answer.field("server")), (Some("5"), Some("standard")));
    assert_eq!((answer.field("via"), answer.field("connection")), (Some("1.1 ringway"), None));
    let saw = answer.values("x-saw");
    assert!(saw.contains(&"Host: test") && saw.contains(&"Via: 2.0 ringway"), "{saw:?}");
    let record = ringway.record_of("/length/5?x");
    assert_eq!((record["host"].as_str(), record["status"].as_u64()), (Some("test"), Some(200)), "{record}");
    assert_eq!((record["bytes_out"].as_u64(), record["route"].as_str()), (Some(5), Some("/")), "{record}");
}

#[test]
fn the_access_record_names_the_protocol() {
    let origin = standard::start();
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("access.log");
    let config = Config::to(origin.address()).set("access_log", "path", format!("{log:?}"));
    let ringway = start(config.set("access_log", "format", "\"combined\""));
    connect(&ringway).get("/length/5").assert_pattern(5);
    let read = || std::fs::read_to_string(&log).unwrap_or_default();
    eventually("the record", || read().contains("/length/5"));
    assert!(read().contains("\"GET /length/5 HTTP/2.0\" 200 5"), "{}", read());
}

#[test]
fn curl_and_nghttp_and_h2load_are_served_without_and_with_tls() {
    let origin = standard::start();
    let authority = Authority::new();
    let certificate = authority.sign(&["a.example"]);
    let plain = before(&origin);
    let secure = start(Config::to(origin.address()).tls(&[&certificate]));
    let url = plain.url("/length/200000");
    assert_eq!(curl(&["--http2-prior-knowledge", &url]), pattern::bytes(200_000));
    let connect_to = format!("a.example:443:{}", secure.address());
    let ca = authority.path().display().to_string();
    let tls = ["--cacert", &ca, "--connect-to", &connect_to, "https://a.example/length/200000"];
    assert_eq!(curl(&[&["--http2"], &tls[..]].concat()), pattern::bytes(200_000));
    let version = |flag| curl(&[&[flag, "--output", "/dev/null", "--write-out", "%{http_version}"], &tls[..]].concat());
    assert_eq!((version("--http2"), version("--http1.1")), (b"2".to_vec(), b"1.1".to_vec()));

    let printed = run("nghttp", Command::new("nghttp").args(["-nv", "-m", "10", &plain.url("/length/30000")]), LIMIT);
    assert_eq!(printed.matches(":status: 200").count(), 10, "{printed}");

    for url in [plain.url("/length/100"), format!("https://{}/length/100", secure.address())] {
        let printed = run("h2load", Command::new("h2load").args(["-n", "2000", "-c", "4", "-m", "32", &url]), LIMIT);
        assert!(printed.contains("2000 succeeded, 0 failed, 0 errored"), "{printed}");
    }
}

#[test]
fn pythons_h2_is_served() {
    let origin = standard::start();
    let ringway = before(&origin);
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/e2e/h2_client.py");
    let address = ringway.address().to_string();
    let (host, port) = address.split_once(':').unwrap();
    // Debian's interpreter, which has Debian's packages.
    let python = if std::path::Path::new("/usr/bin/python3").exists() { "/usr/bin/python3" } else { "python3" };
    assert_eq!(run("h2", Command::new(python).args([script, host, port]), LIMIT), "done\n");
}

#[test]
fn a_hundred_mebibytes_each_way_over_one_stream() {
    let origin = standard::start();
    let ringway = before(&origin);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("body");
    std::fs::write(&file, pattern::bytes(100 << 20)).unwrap();
    let upload = format!("@{}", file.display());
    let url = ringway.url("/length/104857600");
    let got = curl(&["--http2-prior-knowledge", "--data-binary", &upload, "--dump-header", "-", &url]);
    let text = String::from_utf8_lossy(&got[..1000]).into_owned();
    assert!(text.contains("x-body: 104857600\r\n"), "{text}");
    let head = text.find("\r\n\r\n").unwrap() + 4;
    assert!(got[head..] == pattern::bytes(100 << 20));
    assert!(ringway.process().memory_bytes() < 64 << 20, "{}", ringway.process().memory_bytes());
}

#[test]
fn bodies_stream_both_ways_at_once() {
    let origin = Origin::start(|peer, _| {
        peer.read_head()?;
        peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")?;
        let mut back = peer.second();
        peer.read_body(kit::Framing::Chunked, &mut |piece| {
            let chunk = [format!("{:x}\r\n", piece.len()).as_bytes(), piece, b"\r\n"].concat();
            back.send(&chunk).unwrap_or_default();
        })?;
        peer.send(b"0\r\n\r\n")
    });
    let ringway = before(&origin);
    let mut client = connect(&ringway);
    let stream = client.request("POST", "/", &[], false);
    let mut sent = 0;
    for _ in 0..20 {
        sent += client.send(stream, sent, 777, false);
        assert_eq!(client.wait_till(stream, "bytes", sent).bytes(), sent);
    }
    client.send(stream, sent, 0, true);
    client.wait(stream).assert_pattern(sent);
}

#[test]
fn trailers_pass_both_ways() {
    let origin = Origin::start(|peer, _| {
        while let Some(request) = peer.read_request()? {
            assert_eq!(request.trailers, [("x-sum".to_owned(), "7".to_owned())], "{request:?}");
            peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: grpc-status\r\n\r\n")?;
            peer.send(b"2\r\nok\r\n0\r\nGrpc-Status: 0\r\n\r\n")?;
        }
        Ok(())
    });
    let ringway = before(&origin);
    let mut client = connect(&ringway);
    for _ in 0..3 {
        let stream = client.request("POST", "/", &[("te", "trailers")], false);
        client.send_text(stream, "abc", false);
        client.trail(stream, &[("x-sum", "7")]);
        let answer = client.wait(stream);
        assert_eq!(
            (answer.status(), answer.text(), answer.trailers("grpc-status")),
            (200, "ok", vec!["0"]),
            "{answer:?}"
        );
    }
}

#[test]
fn heads_without_bodies_and_the_cookies_crumbs() {
    let origin = standard::start();
    let ringway = before(&origin);
    let mut client = connect(&ringway);
    let stream = client.request("HEAD", "/length/1234", &[], true);
    let answer = client.wait(stream);
    assert_eq!((answer.status(), answer.field("content-length"), answer.bytes()), (200, Some("1234"), 0));
    for status in [204, 304] {
        let answer = client.get(&format!("/status/{status}"));
        assert_eq!((answer.status(), answer.bytes(), answer.is_whole()), (status, 0, true));
    }
    let stream = client.request("GET", "/length/0", &[("cookie", "a=1"), ("cookie", "b=2"), ("x", "y")], true);
    let answer = client.wait(stream);
    let cookies = answer.values("x-saw").into_iter().filter(|saw| saw.to_ascii_lowercase().starts_with("cookie"));
    assert_eq!(cookies.map(str::to_ascii_lowercase).collect::<Vec<_>>(), ["cookie: a=1; b=2"]);
}

#[test]
fn answers_before_the_answer_are_passed_on() {
    let early =
        "HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    let origin = Origin::start(move |peer, _| {
        while let Some(head) = peer.read_head()? {
            if head.lists("expect", "100-continue") {
                peer.send(b"HTTP/1.1 100 Continue\r\n\r\n")?;
            }
            peer.read_body(head.request_framing(), &mut |_| {})?;
            peer.send(early.as_bytes())?;
        }
        Ok(())
    });
    let ringway = before(&origin);
    let mut client = connect(&ringway);
    let answer = client.get("/");
    assert_eq!((answer.informational(), answer.status(), answer.text()), (vec![103], 200, "ok"));
    let stream = client.request("POST", "/", &[("expect", "100-continue")], false);
    assert_eq!(client.wait_till(stream, "informational", 0).informational(), [100]);
    client.send(stream, 0, 100_000, true);
    let answer = client.wait(stream);
    assert_eq!((answer.informational(), answer.status()), (vec![100, 103], 200));
}

#[test]
fn an_early_answer_is_whole_and_the_rest_of_the_upload_is_called_off() {
    let origin = Origin::start(|peer, _| {
        peer.read_head()?;
        peer.send(b"HTTP/1.1 403 No\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno")?;
        peer.read_to_end().map(drop)
    });
    let ringway = before(&origin);
    let mut client = connect(&ringway);
    let stream = client.request("POST", "/", &[], false);
    client.send(stream, 0, 50_000, false);
    let answer = client.wait(stream);
    assert_eq!((answer.status(), answer.text(), answer.is_whole()), (403, "no", true));
    assert_eq!(client.wait_till(stream, "reset", 0).reset(), Some(NO_ERROR));
    assert!(client.is_answered());
}

#[test]
fn a_hundred_streams_are_answered_together() {
    let (origin, gate) = standard::held(OK);
    let ringway = before(&origin);
    let mut client = connect(&ringway);
    let streams: Vec<u32> = (0..100).map(|_| client.request("GET", "/", &[], true)).collect();
    eventually("all are with the upstream", || origin.open() == 100);
    gate.open();
    for stream in streams {
        let answer = client.wait(stream);
        assert_eq!((answer.status(), answer.text()), (200, "ok"));
    }
}

#[test]
fn more_streams_than_are_allowed_are_refused_and_may_be_tried_again() {
    let (origin, gate) = standard::held(OK);
    let ringway = start(Config::to(origin.address()).set("http2", "streams", 3));
    let mut client = connect(&ringway);
    assert_eq!(client.settings["3"], 3, "SETTINGS_MAX_CONCURRENT_STREAMS");
    let streams: Vec<u32> = (0..4).map(|_| client.request("GET", "/", &[], true)).collect();
    assert_eq!(client.wait(streams[3]).reset(), Some(7), "REFUSED_STREAM");
    gate.open();
    for stream in &streams[..3] {
        assert_eq!(client.wait(*stream).status(), 200);
    }
    assert_eq!(client.get("/").status(), 200);
}

#[test]
fn a_slow_reader_stops_no_other_stream() {
    let origin = standard::start();
    let ringway = before(&origin);
    let mut client = connect(&ringway);
    let slow = client.hold("/length/10000000");
    assert_eq!(client.wait_till(slow, "bytes", 65_535).bytes(), 65_535);
    for _ in 0..5 {
        client.get("/length/1000000").assert_pattern(1_000_000);
    }
    assert_eq!(client.wait_till(slow, "head", 0).bytes(), 65_535);
    client.grant(slow, 100_000_000);
    client.wait(slow).assert_pattern(10_000_000);
}

#[test]
fn an_upload_that_the_upstream_does_not_take_stops_no_other_and_fills_no_memory() {
    let (origin, gate) = (standard::start(), Gate::new());
    let stuck = Origin::start({
        let gate = gate.clone();
        move |peer, _| {
            let head = peer.read_head()?.unwrap();
            gate.wait();
            let mut length = 0;
            peer.read_body(head.request_framing(), &mut |piece| length += piece.len())?;
            let body = length.to_string();
            peer.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()).as_bytes())
        }
    });
    let config = Config::to(origin.address()).upstream("stuck", &[stuck.address()]).route(None, "/stuck", "stuck");
    let ringway = start(config);
    let mut client = connect(&ringway);
    let uploads: Vec<u32> = (0..4).map(|_| client.request("POST", "/stuck", &[], false)).collect();
    // Each goes as far as the windows and the sockets let it.
    for upload in &uploads {
        client.order(&json!({ "do": "fill", "stream": upload }));
    }
    client.get("/length/300000").assert_pattern(300_000);
    let stream = client.request("POST", "/length/0", &[], false);
    client.send(stream, 0, 500_000, true);
    let answer = client.wait(stream);
    assert_eq!(answer.field("x-body"), Some("500000"), "{answer:?}");
    assert!(ringway.process().memory_bytes() < 64 << 20, "{}", ringway.process().memory_bytes());
    gate.open();
    for upload in uploads {
        client.send(upload, 0, 0, true);
        assert_eq!(client.wait(upload).status(), 200);
    }
}

#[test]
fn a_client_that_takes_its_request_back_frees_the_upstream_at_each_phase() {
    let held = silent();
    let endless = Origin::start(|peer, _| {
        peer.read_request()?;
        peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")?;
        peer.send_pattern_chunked(u64::MAX, 1_000)
    });
    let config = Config::new().upstream("held", &[held.address()]).upstream("endless", &[endless.address()]);
    let ringway = start(config.route(None, "/", "held").route(None, "/endless", "endless"));
    let mut client = connect(&ringway);
    // Before the head of the answer, in the middle of the upload, and in the middle of the answer.
    let stream = client.request("GET", "/waiting", &[], true);
    eventually("it is with the upstream", || held.open() == 1);
    client.reset(stream);
    held.wait_until_closed();
    let stream = client.request("POST", "/uploading", &[], false);
    client.send(stream, 0, 1000, false);
    eventually("it is with the upstream", || held.open() == 1);
    client.reset(stream);
    held.wait_until_closed();
    let stream = client.hold("/endless");
    client.wait_till(stream, "bytes", 65_535);
    client.reset(stream);
    endless.wait_until_closed();
    assert!(client.is_answered());
    for path in ["/waiting", "/uploading", "/endless"] {
        ringway.assert_outcome(path, &["client_gone"]);
    }
    drop(client);
    let counts = ringway.stop_and_count();
    let counted = |name: &str| counts.get(name).copied().unwrap_or(0);
    assert_eq!((counted("http2_connections"), counted("http2_requests")), (1, 3), "{counts:?}");
    assert_eq!((counted("http2_resets_received"), counted("http2_resets_sent")), (3, 0), "{counts:?}");
}

#[test]
fn an_upstream_that_breaks_off_breaks_the_stream_and_not_the_connection() {
    let origin = Origin::start(|peer, _| {
        let head = peer.read_head()?.unwrap();
        match head.target() {
            "/head" => Ok(()),
            "/body" => peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc"),
            "/chunk" => peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab"),
            _ => peer.send(OK.as_bytes()),
        }
    });
    let ringway = start(Config::to(origin.address()).upstream_option("retry", "{ attempts = 1 }"));
    let mut client = connect(&ringway);
    let answer = client.get("/head");
    assert_eq!((answer.status(), answer.is_whole()), (502, true));
    assert!(answer.text().contains("upstream_gone"), "{answer:?}");
    for path in ["/body", "/chunk"] {
        let answer = client.get(path);
        assert_eq!(
            (answer.status(), answer.is_whole(), answer.reset()),
            (200, false, Some(2)),
            "{path}: INTERNAL_ERROR"
        );
        ringway.assert_outcome(path, &["upstream_gone"]);
    }
    assert_eq!(client.get("/").status(), 200);
}

#[test]
fn heads_that_are_too_large_or_wrong_are_refused_and_the_connection_goes_on() {
    let origin = standard::start();
    let ringway = before(&origin);
    let mut client = connect(&ringway);
    let long = "x".repeat(40_000);
    let many: Vec<(String, String)> = (0..150).map(|number| (format!("x-{number}"), "y".to_owned())).collect();
    let many: Vec<(&str, &str)> = many.iter().map(|(name, value)| (&name[..], &value[..])).collect();
    let target = format!("/{}", "x".repeat(9_000));
    let pseudo = [(":method", "GET"), (":scheme", "http"), (":authority", "test"), (":path", "/length/1")];
    for (fields, status) in [
        ([&pseudo[..], &[("x-long", &long)]].concat(), 431),
        ([&pseudo[..], &many].concat(), 431),
        ([&pseudo[..3], &[(":path", &target)]].concat(), 414),
        ([&pseudo[..], &[("connection", "close")]].concat(), 400),
        ([&pseudo[..], &[("host", "other")]].concat(), 400),
        ([&pseudo[..], &[("te", "gzip")]].concat(), 400),
        (pseudo[..3].to_vec(), 400),
    ] {
        let stream = client.open(&fields, true);
        let answer = client.wait(stream);
        assert_eq!(answer.status(), status, "{fields:.200?}: {answer:?}");
    }
    client.get("/length/3").assert_pattern(3);
    assert_eq!(origin.accepted(), 1);
    let records = ringway.stop_and_count();
    assert_eq!((records["exchanges{client_too_large}"], records["exchanges{client_malformed}"]), (3, 4), "{records:?}");
}

#[test]
fn content_that_is_not_as_long_as_announced_breaks_the_stream() {
    let origin = silent();
    let ringway = before(&origin);
    let mut client = connect(&ringway);
    for (announced, sent) in [("10", 5), ("5", 10)] {
        let stream = client.request("POST", "/", &[("content-length", announced)], false);
        client.send(stream, 0, sent, true);
        assert_eq!(client.wait_till(stream, "reset", 0).reset(), Some(1), "PROTOCOL_ERROR");
    }
    assert!(client.is_answered());
}

#[test]
fn limits_of_requests_hold_on_each_stream() {
    let origin = standard::start();
    let config = Config::to(origin.address()).limit("body_bytes", "\"1000B\"").timeout("body_idle", "300ms");
    let ringway = start(config);
    let mut client = connect(&ringway);
    let stream = client.request("POST", "/length/1", &[("content-length", "1001")], false);
    assert_eq!(client.wait(stream).status(), 413);
    let stream = client.request("POST", "/length/1", &[], false);
    client.send(stream, 0, 1001, false);
    assert_eq!(client.wait(stream).status(), 413);
    // A body that stands still.
    let stream = client.request("POST", "/length/1", &[], false);
    client.send(stream, 0, 10, false);
    assert_eq!(client.wait(stream).status(), 408);
    // An answer that is not taken.
    let stream = client.hold("/length/3000000");
    let answer = client.wait(stream);
    assert_eq!((answer.bytes(), answer.is_whole(), answer.reset()), (65_535, false, Some(CANCEL)));
    assert!(client.is_answered());
    let counts = ringway.stop_and_count();
    assert_eq!((counts["limits{limits.body_bytes}"], counts["limits{timeouts.body_idle}"]), (2, 2), "{counts:?}");
}

#[test]
fn a_connection_is_closed_when_it_is_idle_or_has_carried_its_share() {
    let origin = standard::start();
    let ringway = start(Config::to(origin.address()).timeout("keep_alive", "300ms"));
    let mut client = connect(&ringway);
    client.get("/length/1").assert_pattern(1);
    assert_eq!(client.wait_for_end(), [NO_ERROR]);
    assert_eq!(ringway.stop_and_count()["limits{timeouts.keep_alive}"], 1);

    let ringway = start(Config::to(origin.address()).limit("requests_per_connection", 3));
    let mut client = connect(&ringway);
    for _ in 0..3 {
        client.get("/length/1").assert_pattern(1);
    }
    assert_eq!(client.wait_for_end(), [NO_ERROR, NO_ERROR]);
}

#[test]
fn a_head_that_does_not_come_whole_in_time_ends_the_connection() {
    let origin = standard::start();
    let ringway = start(Config::to(origin.address()).timeout("head", "400ms"));
    // HEADERS with 100 bytes, of which 10 come.
    let mut client = connect(&ringway);
    client.raw(&[&[0, 0, 100, 1, 5, 0, 0, 0, 1][..], &[0; 10]].concat(), 1);
    client.wait_for_end();
    // A preface without settings.
    let mut peer = ringway.connect();
    peer.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").unwrap();
    peer.read_to_end().unwrap();
    assert_eq!(ringway.stop_and_count()["limits{timeouts.head}"], 2);
}

#[test]
fn a_drain_says_so_and_lets_streams_finish() {
    let (origin, gate) = standard::held(OK);
    let mut ringway = start(Config::to(origin.address()).timeout("drain", "20s"));
    let mut client = connect(&ringway);
    let mut idle = connect(&ringway);
    let stream = client.request("GET", "/", &[], true);
    eventually("it is with the upstream", || origin.open() == 1);
    ringway.terminate();
    assert_eq!(client.wait_for_goaway(), [NO_ERROR]);
    idle.wait_for_end();
    gate.open();
    assert_eq!(client.wait(stream).text(), "ok");
    assert_eq!(client.wait_for_end(), [NO_ERROR, NO_ERROR], "in two steps");
    assert_eq!(ringway.wait().code(), Some(0));
}

#[test]
fn what_outlasts_the_drain_is_cut_off_and_told() {
    let origin = silent();
    let mut ringway = start(Config::to(origin.address()).timeout("drain", "400ms"));
    let mut client = connect(&ringway);
    let streams = [(); 5].map(|()| client.request("GET", "/", &[], true));
    eventually("they are with the upstream", || origin.open() == 5);
    ringway.terminate();
    for stream in streams {
        assert_eq!(client.wait(stream).status(), 503);
    }
    assert_eq!(ringway.wait().code(), Some(0));
}

#[test]
fn a_reload_touches_no_stream_and_the_next_one_goes_by_the_new_plan() {
    let (old, gate) = standard::held(OK);
    let new = answering("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nnew");
    let ringway = start(Config::to(old.address()));
    let mut client = connect(&ringway);
    let stream = client.request("GET", "/", &[], true);
    eventually("it is with the upstream", || old.open() == 1);
    ringway.reload(Config::to(new.address()));
    assert_eq!(client.get("/").text(), "new");
    gate.open();
    assert_eq!(client.wait(stream).text(), "ok");
}

#[test]
fn a_request_for_a_host_under_another_policy_is_misdirected() {
    let origin = standard::start();
    let authority = Authority::new();
    let certificate = authority.sign(&["a.example", "b.example"]);
    let hosts = "[{ host = \"b.example\", min_version = \"1.3\" }]";
    let ringway = start(Config::to(origin.address()).tls(&[&certificate]).set("tls", "hosts", hosts));
    let mut client = Http2Client::connect_tls(ringway.address(), &authority.path(), "a.example", "h2,http/1.1");
    assert_eq!(client.protocol.as_deref(), Some("h2"));
    for (host, status) in [("a.example", 200), ("b.example", 421), ("a.example", 200)] {
        let fields = [(":method", "GET"), (":scheme", "https"), (":authority", host), (":path", "/length/1")];
        let stream = client.open(&fields, true);
        assert_eq!(client.wait(stream).status(), status, "{host}");
    }
}

#[test]
fn what_is_not_served_is_not_offered_and_not_taken() {
    let origin = standard::start();
    let authority = Authority::new();
    let certificate = authority.sign(&["a.example"]);
    let version = |ringway: &Ringway, arguments: &[&str]| {
        let connect_to = format!("a.example:443:{}", ringway.address());
        let ca = authority.path().display().to_string();
        let common = ["--output", "/dev/null", "--write-out", "%{http_version}", "--cacert", &ca];
        let to = ["--connect-to", &connect_to, "https://a.example/length/1"];
        String::from_utf8(curl(&[&common, arguments, &to[..]].concat())).unwrap()
    };
    let config = Config::to(origin.address()).tls(&[&certificate]);
    let old = start(config.clone().set("tls", "alpn", "[\"http/1.1\"]"));
    assert_eq!(version(&old, &["--http2"]), "1.1");
    let only_new = start(config.set("tls", "alpn", "[\"h2\"]"));
    assert_eq!(version(&only_new, &["--http2"]), "2");
    let refused = Command::new("curl")
        .args(["--silent", "--insecure", "--no-alpn", "--http1.1", "--noproxy", "*"])
        .arg(format!("https://{}/length/1", only_new.address()))
        .output();
    assert!(!refused.unwrap().status.success(), "a client without ALPN speaks HTTP/1.1, which is not served");

    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    let only_http1 = start(Config::to(origin.address()).listener_option("protocols", "[\"http1\"]"));
    let mut peer = only_http1.connect();
    peer.send(preface).unwrap();
    assert_eq!(peer.read_response("GET").unwrap().status(), 505);
    let only_http2 = start(Config::to(origin.address()).listener_option("protocols", "[\"http2\"]"));
    connect(&only_http2).get("/length/10").assert_pattern(10);
    let mut peer = only_http2.connect();
    peer.send(&standard::get("/length/1")).unwrap();
    assert_eq!(peer.read_response("GET").unwrap().status(), 505);
    assert_eq!(only_http2.stop_and_count()["refusals{http1_unserved}"], 1);
}

#[test]
fn it_is_found_behind_a_proxy_header_and_beside_tls_and_in_pieces() {
    let origin = standard::start();
    let authority = Authority::new();
    let certificate = authority.sign(&["a.example"]);
    let config = Config::to(origin.address()).tls(&[&certificate]);
    let config = config.listener_option("protocols", "[\"http1\", \"http2\", \"tls\"]");
    let all = start(config.clone());
    connect(&all).get("/length/10").assert_pattern(10);
    Http2Client::connect_tls(all.address(), &authority.path(), "a.example", "h2").get("/length/10").assert_pattern(10);
    let mut peer = all.connect();
    assert_eq!(peer.exchange("GET", &standard::get("/length/1")).unwrap().status(), 200);

    let proxied = config.listener_option("proxy_protocol", "\"required\"");
    let proxied = start(proxied.listener_option("proxy_networks", "[\"127.0.0.0/8\"]"));
    let mut peer = proxied.connect();
    // The preface and settings, byte by byte behind the header: settings and their acknowledgement come back.
    peer.send(b"PROXY TCP4 203.0.113.7 192.0.2.1 1000 80\r\n").unwrap();
    let greeting = [&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..], &[0, 0, 0, 4, 0, 0, 0, 0, 0]].concat();
    peer.send_in_pieces(&greeting, greeting.len()).unwrap();
    // GET /length/0 for `test`, all but :path by the static table or as it is.
    let head = [&[0x82, 0x86, 0x41, 4][..], b"test", &[0x44, 9], b"/length/0"].concat();
    peer.send(&[&[0, 0, head.len() as u8, 1, 5, 0, 0, 0, 1], &head[..]].concat()).unwrap();
    eventually("it is with the upstream", || {
        Head::parse(&origin.received_all()).values("x-forwarded-for").contains(&"203.0.113.7")
            || String::from_utf8_lossy(&origin.received_all()).contains("X-Forwarded-For: 203.0.113.7")
    });
}

#[test]
fn a_unix_socket_serves_it_too() {
    let origin = standard::start();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let ringway = start(Config::to(origin.address()).listen(format!("unix:{}", path.display())));
    Http2Client::connect(&Address::Unix(path)).get("/length/100000").assert_pattern(100_000);
    drop(ringway);
}

/// A text frame of WebSocket as clients send it, masked with zeros.
fn text_frame(text: &str) -> String {
    format!("\u{81}{}\0\0\0\0{text}", char::from(0x80 + text.len() as u8))
}

#[test]
fn a_websocket_is_opened_by_an_extended_connect_and_carried_by_its_stream() {
    let server = kit::WebSocketServer::start();
    let ringway = start(Config::to(server.address()));
    let mut client = connect(&ringway);
    assert_eq!(client.settings["8"], 1, "SETTINGS_ENABLE_CONNECT_PROTOCOL");
    let fields = [
        (":method", "CONNECT"),
        (":protocol", "websocket"),
        (":scheme", "http"),
        (":authority", "test"),
        (":path", "/chat"),
        ("sec-websocket-version", "13"),
    ];
    let streams = [(); 3].map(|()| client.open(&fields, false));
    for stream in streams {
        let answer = client.wait_till(stream, "head", 0);
        assert_eq!((answer.status(), answer.field("sec-websocket-accept"), answer.field("upgrade")), (200, None, None));
    }
    let echoed = "\u{81}\u{5}hello\u{81}\u{5}again";
    for stream in streams {
        for text in ["hello", "again"] {
            client.send_text(stream, &text_frame(text), false);
        }
    }
    for stream in streams {
        assert_eq!(client.wait_till(stream, "bytes", echoed.chars().count() as u64).text(), echoed);
        // The closing handshake: a frame of 1000, which is answered, and then both sides end.
        client.send_text(stream, "\u{88}\u{82}\0\0\0\0\u{3}\u{e8}", true);
        let answer = client.wait(stream);
        assert_eq!((answer.text(), answer.is_whole()), (&*format!("{echoed}\u{88}\u{2}\u{3}\u{e8}"), true));
    }
    let record = ringway.record_of("/chat");
    assert_eq!((record["status"].as_u64(), record["outcome"].as_str()), (Some(200), Some("completed")), "{record}");
    assert_eq!(record["bytes_in"].as_u64(), Some(30), "{record}");
}

#[test]
fn an_extended_connect_that_comes_to_no_tunnel_is_never_told_of_success() {
    let answers = [
        ("/ok", OK, 502),
        ("/unasked", "HTTP/1.1 101 Up\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n", 502),
        ("/no", "HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n", 403),
    ];
    let origin = Origin::start(move |peer, _| {
        let head = peer.read_head()?.unwrap();
        let answer = answers.iter().find(|(path, ..)| head.target() == *path).unwrap().1;
        peer.send(answer.as_bytes())?;
        peer.read_to_end().map(drop)
    });
    let config = Config::to(origin.address()).route(None, "/closed", "app").route_option("upgrades", "[]");
    let ringway = start(config);
    let mut client = connect(&ringway);
    let ask = |client: &mut Http2Client, path: &str, protocol: &str| {
        let fields = [(":method", "CONNECT"), (":protocol", protocol), (":scheme", "http"), (":authority", "test")];
        let stream = client.open(&[&fields[..], &[(":path", path)]].concat(), false);
        client.wait_till(stream, "head", 0).status()
    };
    for (path, _, status) in answers {
        assert_eq!(ask(&mut client, path, "websocket"), status, "{path}");
    }
    assert_eq!(ask(&mut client, "/closed", "websocket"), 501, "the route lets nobody switch");
    assert_eq!(ask(&mut client, "/ok", "connect-udp"), 501, "nor to anything but what it names");
    let stream = client.open(&[(":method", "CONNECT"), (":authority", "test:443")], false);
    assert_eq!(client.wait(stream).status(), 501, "CONNECT is for routes that allow it");
    assert!(client.is_answered());
}

#[test]
fn streams_share_connections_to_the_upstream_where_their_route_coalesces() {
    let origin = standard::start();
    let config = Config::to(origin.address()).route_option("coalesce", true);
    let ringway = start(config.upstream_option("coalesce", "{ engage_at = 4 }"));
    let mut client = connect(&ringway);
    for round in 0..5 {
        let streams: Vec<(u32, u64)> = (0..60)
            .map(|number| {
                let length = round * 1_000 + number;
                (client.request("GET", &format!("/length/{length}"), &[], true), length)
            })
            .collect();
        for (stream, length) in streams {
            client.wait(stream).assert_pattern(length);
        }
    }
    drop(client);
    let counts = ringway.stop_and_count();
    assert_eq!((counts["exchanges{completed}"], counts["http2_requests"]), (300, 300), "{counts:?}");
    assert!(origin.accepted() < 100, "{} connections", origin.accepted());
}
