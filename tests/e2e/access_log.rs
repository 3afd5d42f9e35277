//! The access log: its formats, who is written down where, and targets that are moved, full, slow or gone.

use std::fs;
use std::net::UdpSocket;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use kit::{Address, Config, DEADLINE, Peer, Port, Ringway, eventually, process, standard};
use serde_json::Value;
use tempfile::TempDir;

use crate::start;

/// A configuration that writes its access log to a file of that name in `folder`.
fn to_file(server: &Address, folder: &TempDir) -> (Config, PathBuf) {
    let path = folder.path().join("access.log");
    (Config::to(server).set("access_log", "path", format!("{path:?}")), path)
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

/// Waits until the file has so many lines, and returns them.
#[track_caller]
fn wait_for_lines(path: &Path, count: usize) -> Vec<String> {
    eventually(&format!("{} has {count} lines", path.display()), || read(path).lines().count() >= count);
    let text = read(path);
    assert!(text.ends_with('\n'), "whole lines: {text}");
    text.lines().map(str::to_owned).collect()
}

#[track_caller]
fn get(client: &mut Peer, target: &str) {
    let status = client.exchange("GET", &standard::get(target)).unwrap().status();
    assert!(status < 600, "{target}");
}

fn signal(ringway: &Ringway, name: &str) {
    let status = Command::new("kill").args([name, &ringway.process().id().to_string()]).status();
    assert!(status.unwrap().success());
}

#[test]
fn goaccess_reads_what_is_written_as_apache_writes_it() {
    const REQUESTS: usize = 40;
    let origin = standard::start();
    for (format, judge) in [("common", "COMMON"), ("combined", "COMBINED")] {
        let folder = tempfile::tempdir().unwrap();
        let (config, path) = to_file(origin.address(), &folder);
        let ringway = start(config.set("access_log", "format", format!("{format:?}")));
        let mut client = ringway.connect();
        for n in 0..REQUESTS {
            let request = format!(
                "GET /length/{n}?q=\"{n} HTTP/1.1\r\nHost: test\r\nReferer: http://a.example/\"\\\x07{n}\r\n\
                 User-Agent: \"odd\" agent\t\r\n\r\n"
            );
            let request = request.replace('\x07', "\t");
            assert_eq!(client.exchange("GET", request.as_bytes()).unwrap().status(), 200);
        }
        let lines = wait_for_lines(&path, REQUESTS);
        assert!(lines[3].starts_with("127.0.0.1 - - ["), "{}", lines[3]);
        assert!(lines[3].contains(r#"] "GET /length/3?q=\"3 HTTP/1.1" 200 3"#), "{}", lines[3]);
        assert_eq!(lines[3].contains(r#" "http://a.example/\"\\\t3" "\"odd\" agent""#), format == "combined");
        let mut command = Command::new("goaccess");
        command.arg(&path).args(["--no-global-config", "--log-format", judge, "-o", "json"]);
        let report: Value = serde_json::from_str(&process::run("goaccess", &mut command, DEADLINE)).unwrap();
        let general = &report["general"];
        assert_eq!(
            (&general["valid_requests"], &general["failed_requests"]),
            (&REQUESTS.into(), &0.into()),
            "{format}"
        );
        assert_eq!(report["status_codes"]["data"][0]["data"], "2xx Success");
    }
}

#[test]
fn a_template_shows_fields_of_both_heads_and_nothing_breaks_its_line() {
    let origin = standard::start();
    let folder = tempfile::tempdir().unwrap();
    let (config, path) = to_file(origin.address(), &folder);
    let template =
        "{client}|{method}|{path}|{status}|{response_header.SERVER}|{request_header.x-odd}|{limit}|{bytes_out}";
    let ringway = start(config.set("access_log", "format", format!("{template:?}")));
    let request = b"GET /length/7 HTTP/1.1\r\nHost: test\r\nX-Odd: a\xff\"b\\\tc\r\n\r\n";
    assert_eq!(ringway.connect().exchange("GET", request).unwrap().status(), 200);
    assert_eq!(ringway.connect().exchange("GET", b"\x00\x01 /\r\n\r\n").unwrap().status(), 400);
    let lines = wait_for_lines(&path, 2);
    assert_eq!(lines[0], r#"127.0.0.1|GET|/length/7|200|standard|a\xff\"b\\\tc|-|7"#);
    assert_eq!(lines[1], "127.0.0.1|-|-|400|-|-|-|0");
    assert_eq!(
        fs::metadata(&path).map(|file| std::os::unix::fs::PermissionsExt::mode(&file.permissions()) & 0o777).unwrap(),
        0o640
    );
}

#[test]
fn routes_choose_their_log_and_the_rest_goes_by_default() {
    let origin = standard::start();
    let folder = tempfile::tempdir().unwrap();
    let (config, default) = to_file(origin.address(), &folder);
    let api = folder.path().join("api.log");
    let config = config
        .route(Some("quiet.example"), "/", "app")
        .route_option("access_log", "\"off\"")
        .route(None, "/length", "app")
        .route_option("access_log", "\"api\"")
        .set("access_logs.api", "path", format!("{api:?}"))
        .set("access_logs.api", "format", "\"{path}\"");
    let ringway = start(config);
    let mut client = ringway.connect();
    let quiet = b"GET /length/1 HTTP/1.1\r\nHost: quiet.example\r\n\r\n";
    assert_eq!(client.exchange("GET", quiet).unwrap().status(), 200);
    get(&mut client, "/length/2");
    get(&mut client, "/status/204");
    // What a route refuses is its own, too.
    let connect = b"CONNECT quiet.example:443 HTTP/1.1\r\nHost: quiet.example:443\r\n\r\n";
    assert_eq!(ringway.connect().exchange("CONNECT", connect).unwrap().status(), 501);
    assert_eq!(wait_for_lines(&api, 1), ["/length/2"]);
    let line: Value = serde_json::from_str(&wait_for_lines(&default, 1)[0]).unwrap();
    assert_eq!(line["path"], "/status/204");
    get(&mut client, "/status/205");
    assert_eq!(wait_for_lines(&default, 2).len(), 2);
}

#[test]
fn a_sample_is_drawn_and_errors_are_always_written_if_asked() {
    const REQUESTS: usize = 600;
    let origin = standard::start();
    let folder = tempfile::tempdir().unwrap();
    let (config, path) = to_file(origin.address(), &folder);
    let config = config.set("access_log", "format", "\"{status}\"").set("access_log", "sample", "0.1").set(
        "access_log",
        "always",
        "{ statuses = [\"4xx\"] }",
    );
    let mut ringway = start(config);
    let mut client = ringway.connect();
    for _ in 0..REQUESTS {
        get(&mut client, "/length/1");
        get(&mut client, "/status/404");
    }
    ringway.terminate();
    assert!(ringway.wait().success());
    let lines = wait_for_lines(&path, REQUESTS);
    let of = |status: &str| lines.iter().filter(|line| *line == status).count();
    assert_eq!(of("404"), REQUESTS);
    // The expectation is 60, and its standard deviation 7.3.
    assert!((20..110).contains(&of("200")), "{} of {REQUESTS}", of("200"));
}

#[test]
fn only_what_meets_the_condition_is_written() {
    let origin = standard::start();
    let folder = tempfile::tempdir().unwrap();
    let (config, path) = to_file(origin.address(), &folder);
    let config = config.route(None, "/nowhere", "nowhere").set("access_log", "format", "\"{path}\"").set(
        "access_log",
        "only",
        "{ outcomes = [\"failed\"], slower_than = \"24h\" }",
    );
    let gone = Port::take();
    let ringway = start(config.upstream("nowhere", &[&gone.address()]));
    let mut client = ringway.connect();
    get(&mut client, "/status/500");
    get(&mut client, "/nowhere/1");
    get(&mut client, "/length/1");
    get(&mut client, "/nowhere/2");
    assert_eq!(wait_for_lines(&path, 2), ["/nowhere/1", "/nowhere/2"]);
}

#[test]
fn a_file_that_was_moved_away_is_opened_anew_on_sigusr1() {
    let origin = standard::start();
    let folder = tempfile::tempdir().unwrap();
    let (config, path) = to_file(origin.address(), &folder);
    // A process that was killed in the middle of a line left this.
    fs::write(&path, "torn").unwrap();
    let ringway = start(config.set("access_log", "format", "\"{path}\""));
    let mut client = ringway.connect();
    get(&mut client, "/length/1");
    assert_eq!(wait_for_lines(&path, 2), ["torn", "/length/1"]);
    let moved = folder.path().join("moved.log");
    fs::rename(&path, &moved).unwrap();
    get(&mut client, "/length/2");
    assert_eq!(wait_for_lines(&moved, 3)[2], "/length/2", "until it is told, it goes on with the file that it has");
    signal(&ringway, "-USR1");
    eventually("the file is there again", || path.exists());
    get(&mut client, "/length/3");
    assert_eq!(wait_for_lines(&path, 1), ["/length/3"]);
    assert_eq!(read(&moved).lines().count(), 3);
}

#[test]
fn no_line_is_lost_or_torn_when_a_file_is_put_aside_and_compressed() {
    const CLIENTS: usize = 4;
    const REQUESTS: usize = 400;
    let origin = standard::start();
    let folder = tempfile::tempdir().unwrap();
    let (config, path) = to_file(origin.address(), &folder);
    let config = config.shards(2).set("access_log", "rotate", "{ size = \"4KiB\", keep = 1000 }");
    let mut ringway = start(config);
    std::thread::scope(|scope| {
        for client in 0..CLIENTS {
            let ringway = &ringway;
            scope.spawn(move || {
                let mut peer = ringway.connect();
                (0..REQUESTS).for_each(|n| get(&mut peer, &format!("/length/{n}?client={client}")));
            });
        }
    });
    let compressed = |path: &Path| path.extension().is_some_and(|extension| extension == "gz");
    eventually("the files that were put aside are compressed", || {
        let files = files(folder.path());
        files.len() > 1 && files.iter().all(|file| *file == path || compressed(file))
    });
    ringway.terminate();
    assert!(ringway.wait().success());

    // By the time in their names, the one in use last.
    let mut files = files(folder.path());
    files.retain(|file| *file != path);
    files.sort();
    files.push(path.clone());
    let mut next = [0; CLIENTS];
    for file in &files {
        let text = match compressed(file) {
            true => process::run("gzip", Command::new("gzip").arg("-dc").arg(file), DEADLINE),
            false => read(file),
        };
        for line in text.lines() {
            let record: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
            let path = record["path"].as_str().unwrap();
            let (n, client) = path.trim_start_matches("/length/").split_once("?client=").unwrap();
            let client: usize = client.parse().unwrap();
            assert_eq!(n.parse(), Ok(next[client]), "each shard's lines keep their order");
            next[client] += 1;
        }
    }
    assert_eq!(next, [REQUESTS; CLIENTS]);
}

fn files(folder: &Path) -> Vec<PathBuf> {
    fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect()
}

#[test]
fn old_files_go_by_their_age_and_their_number() {
    let origin = standard::start();
    let folder = tempfile::tempdir().unwrap();
    let (config, path) = to_file(origin.address(), &folder);
    let rotate = "{ age = \"1s\", keep = 1, compress = false }";
    let ringway = start(config.set("access_log", "rotate", rotate).set("access_log", "format", "\"{path}\""));
    let mut client = ringway.connect();
    for n in 1..=3 {
        get(&mut client, &format!("/length/{n}"));
        eventually("the file was put aside, and the one before is gone", || {
            let files = files(folder.path());
            let asides = files.iter().filter(|file| **file != path).collect::<Vec<_>>();
            matches!(asides[..], [aside] if read(aside) == format!("/length/{n}\n")) && read(&path).is_empty()
        });
    }
}

/// Sends requests until the log tells that records are lost; each of them is answered all the same.
#[track_caller]
fn request_until_records_are_lost(ringway: &Ringway) {
    let mut client = ringway.connect();
    let target = format!("/length/1?{}", "x".repeat(1500));
    let begun = Instant::now();
    while !ringway.process().stderr().contains("access records are lost") {
        let response = client.exchange("GET", &standard::get(&target)).unwrap();
        assert_eq!(response.status(), 200);
        assert!(begun.elapsed() < DEADLINE, "the log tells of losses: {}", ringway.process().stderr());
    }
}

#[test]
fn a_full_disk_costs_records_and_is_told_once_a_second() {
    let origin = standard::start();
    let mut ringway = start(Config::to(origin.address()).set("access_log", "path", "\"/dev/full\""));
    let begun = Instant::now();
    request_until_records_are_lost(&ringway);
    for _ in 0..50 {
        get(&mut ringway.connect(), "/length/1");
    }
    ringway.terminate();
    assert!(ringway.wait().success());
    let log = ringway.process().stderr();
    assert!(log.contains("No space left on device"), "{log}");
    let lines = log.matches("access records are lost").count() as u64;
    assert!(lines <= begun.elapsed().as_secs() + 2, "a line a second at most, and one in the end: {log}");
}

#[test]
fn on_a_disk_that_fills_up_every_line_is_whole() {
    let origin = standard::start();
    let folder = tempfile::tempdir().unwrap();
    let mount = format!("mount -t tmpfs -o size=32k none {:?} && exec \"$0\" \"$@\"", folder.path());
    // A disk of its own that nobody else sees, for which no privilege is needed.
    let confine = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", &mount];
    let (config, path) = to_file(origin.address(), &folder);
    let ringway = Ringway::start_by(&confine, crate::BINARY, config);
    request_until_records_are_lost(&ringway);
    let seen = PathBuf::from(format!("/proc/{}/root{}", ringway.process().id(), path.display()));
    let text = read(&seen);
    assert!(text.ends_with("}\n"), "{:?}", text.lines().last());
    assert!(text.lines().all(|line| serde_json::from_str::<Value>(line).is_ok()));
    // When there is room again (what still waited may fill it once more), lines go on behind the last whole one.
    let file = fs::OpenOptions::new().write(true).open(&seen).unwrap();
    let mut client = ringway.connect();
    eventually("a line is written again", || {
        if file.metadata().unwrap().len() > 16 << 10 {
            file.set_len(0).unwrap();
        }
        get(&mut client, "/length/5");
        read(&seen)
            .lines()
            .any(|line| serde_json::from_str::<Value>(line).is_ok_and(|line| line["path"] == "/length/5"))
    });
    assert!(read(&seen).lines().all(|line| serde_json::from_str::<Value>(line).is_ok()), "{}", read(&seen));
}

#[test]
fn a_pipe_that_nobody_reads_holds_nobody_up() {
    let origin = standard::start();
    let folder = tempfile::tempdir().unwrap();
    let (config, path) = to_file(origin.address(), &folder);
    assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
    let mut ringway = start(config.set("access_log", "buffer", "\"64KiB\""));
    request_until_records_are_lost(&ringway);
    // Now somebody does: what he gets are whole lines.
    let mut reader = kit::Process::spawn("head", Command::new("head").args(["-n", "60"]).arg(&path));
    let mut client = ringway.connect();
    eventually("sixty lines have come", || {
        get(&mut client, "/length/9");
        !reader.is_running()
    });
    assert!(reader.wait().success());
    let text = reader.stdout();
    assert_eq!(text.lines().count(), 60);
    assert!(text.lines().all(|line| serde_json::from_str::<Value>(line).is_ok()), "{text}");
    // And nobody again: the proxy ends as ordered, the log full or not.
    let begun = Instant::now();
    ringway.terminate();
    assert!(ringway.wait().success());
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
}

#[test]
fn a_log_that_cannot_be_opened_keeps_the_proxy_from_starting() {
    let folder = tempfile::tempdir().unwrap();
    let port = Port::take();
    let config = Config::to("127.0.0.1:9").listen(port.address()).set("access_log", "path", "\"/nonexistent/x.log\"");
    let mut process = Ringway::spawn(crate::BINARY, &config, folder.path());
    assert_eq!(process.wait().code(), Some(1));
    assert!(process.stderr().contains("/nonexistent/x.log"), "{}", process.stderr());
}

#[test]
fn syslog_gets_a_datagram_for_each_record() {
    let origin = standard::start();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    let server = UnixDatagram::bind(&path).unwrap();
    server.set_read_timeout(Some(DEADLINE)).unwrap();
    let settings = format!(
        "{{ address = \"unix:{}\", facility = \"daemon\", severity = \"notice\", tag = \"edge\" }}",
        path.display()
    );
    let config = Config::to(origin.address()).set("access_log", "syslog", settings);
    let ringway = start(config.set("access_log", "format", "\"{path} {status}\""));
    let mut client = ringway.connect();
    get(&mut client, "/length/1");
    get(&mut client, "/length/2");
    let mut buffer = [0; 9000];
    for n in 1..=2 {
        let length = server.recv(&mut buffer).unwrap();
        let message = String::from_utf8_lossy(&buffer[..length]).into_owned();
        // RFC 3164 as syslog(3) writes it: daemon is 3, notice is 5; no host name, no newline.
        assert!(message.starts_with("<29>") && message.as_bytes()[10] == b' ', "{message}");
        assert!(message.ends_with(&format!(" edge[{}]: /length/{n} 200", ringway.process().id())), "{message}");
    }
    // The daemon goes, and comes back: requests go on, and so does the log.
    drop(server);
    fs::remove_file(&path).unwrap();
    get(&mut client, "/length/3");
    let server = UnixDatagram::bind(&path).unwrap();
    server.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    eventually("the log has found the daemon again", || {
        get(&mut client, "/length/4");
        server.recv(&mut buffer).is_ok_and(|length| buffer[..length].ends_with(b"/length/4 200"))
    });
}

#[test]
fn a_collector_gets_its_records_by_udp() {
    let origin = standard::start();
    let collector = UdpSocket::bind("127.0.0.1:0").unwrap();
    collector.set_read_timeout(Some(DEADLINE)).unwrap();
    let settings = format!("{{ address = \"{}\" }}", collector.local_addr().unwrap());
    let ringway = start(Config::to(origin.address()).set("access_log", "syslog", settings));
    get(&mut ringway.connect(), "/length/1");
    let mut buffer = [0; 9000];
    let length = collector.recv(&mut buffer).unwrap();
    let message = String::from_utf8_lossy(&buffer[..length]).into_owned();
    // RFC 5424 §6: PRI VERSION SP TIMESTAMP SP HOSTNAME SP APP-NAME SP PROCID SP MSGID SP STRUCTURED-DATA SP MSG
    let parts: Vec<&str> = message.splitn(8, ' ').collect();
    let pid = ringway.process().id().to_string();
    assert_eq!((parts[0], parts[3], parts[4], parts[5], parts[6]), ("<134>1", "ringway", &*pid, "access", "-"));
    assert!(parts[1].len() == 27 && parts[1].ends_with('Z'), "{message}");
    assert_eq!(serde_json::from_str::<Value>(parts[7]).unwrap()["path"], "/length/1");
}

#[test]
fn the_client_is_told_the_name_of_its_request_if_asked() {
    let origin = crate::answering("HTTP/1.1 200 OK\r\nX-Request-Id: of-the-upstream\r\nContent-Length: 2\r\n\r\nok");
    let config = Config::new().upstream("app", &[origin.address()]).route(None, "/app", "app");
    let config = config.set("forwarding", "return_request_id", true);
    let ringway = start(config.clone());
    let mut client = ringway.connect();
    for path in ["/app", "/nowhere"] {
        let response = client.exchange("GET", &standard::get(path)).unwrap();
        let [name] = response.head.values("x-request-id")[..] else { panic!("one name: {:?}", response.head) };
        assert_eq!((name.len(), ringway.record_of(path)["request_id"].as_str()), (32, Some(name)));
    }
    assert!(!String::from_utf8_lossy(&origin.received_all()).contains("X-Request-Id"), "the upstream was not to know");

    let ringway = start(config.set("forwarding", "request_id", true).set("trust", "networks", "[\"127.0.0.0/8\"]"));
    let request = b"GET /app HTTP/1.1\r\nHost: test\r\nX-Request-Id: of-a-friend\r\n\r\n";
    let response = ringway.connect().exchange("GET", request).unwrap();
    assert_eq!(response.head.values("x-request-id"), ["of-a-friend"]);
    assert_eq!(ringway.record_of("/app")["request_id"], "of-a-friend");
    assert!(String::from_utf8_lossy(&origin.received_all()).contains("X-Request-Id: of-a-friend"));
}

#[test]
fn a_standard_output_that_nobody_reads_holds_up_neither_requests_nor_the_end() {
    let origin = standard::start();
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    // Opened for reading as well, so that the pipe stays open without a reader; writes to it block once it is full.
    let redirect = format!("exec 3<>{pipe:?} && exec \"$0\" \"$@\" >&3");
    let config = Config::to(origin.address()).set("access_log", "buffer", "\"64KiB\"");
    let mut ringway = Ringway::start_by(&["sh", "-c", &redirect], crate::BINARY, config);
    request_until_records_are_lost(&ringway);
    ringway.terminate();
    assert!(ringway.wait().success());
    let log = ringway.process().stderr();
    assert!(log.contains("they were not taken in time"), "{log}");
}
