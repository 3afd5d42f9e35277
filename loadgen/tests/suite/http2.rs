//! HTTP/2 against servers that we did not write (nginx, nghttpd, h2o), and against one that does wrong what a test says.

use std::{
    fs,
    io::{Read, Write},
    net::{Shutdown, TcpStream},
    path::Path,
    process::Command,
    time::Duration,
};

use kit::{Port, Process};
use loadgen::{
    load::Outcome,
    record::{ErrorKind, Http2Counts},
    scenario::{Body, Expect, Extent, Rate, Request, Scenario, Step, Timeouts, Url},
};

use crate::{
    peers::{NginxTls, certificate, trusting},
    server::{Server, run, scenario},
};

const SMALL: &[u8] = b"hello";
const LARGE_BYTES: usize = 3 << 20;
/// The SHA-256 of as many `x`, by `sha256sum`.
const LARGE_SHA256: [u8; 32] = [
    0x3b, 0xea, 0x8a, 0x9a, 0x07, 0xc1, 0xe8, 0xdc, 0xaa, 0x4c, 0x1b, 0x81, 0x68, 0x15, 0xc3, 0x5a, 0x29, 0xb4, 0xfb,
    0x58, 0x5b, 0xa6, 0xec, 0xc7, 0x0e, 0xa4, 0x48, 0x40, 0xa7, 0x94, 0xcf, 0xb3,
];

/// A server that has `/small` and `/large`, and its certificate.
struct Peer {
    _process: Process,
    plain: Port,
    secured: Port,
    folder: tempfile::TempDir,
}

fn web_folder() -> tempfile::TempDir {
    let folder = certificate();
    let www = folder.path().join("www");
    fs::create_dir(&www).unwrap();
    fs::write(www.join("small"), SMALL).unwrap();
    fs::write(www.join("large"), vec![b'x'; LARGE_BYTES]).unwrap();
    folder
}

impl Peer {
    fn nginx() -> Self {
        Self::start("nginx", "nginx.conf", |folder, plain, secured| {
            format!(
                "daemon off; master_process off; pid {folder}/pid; error_log {folder}/error.log;
                 events {{ worker_connections 256; }}
                 http {{
                     access_log off; client_body_temp_path {folder}/b; proxy_temp_path {folder}/p;
                     fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
                     keepalive_requests 1000000; client_max_body_size 16m; dav_methods PUT;
                     server {{
                         listen 127.0.0.1:{plain} http2; listen 127.0.0.1:{secured} ssl http2;
                         ssl_certificate {folder}/cert.pem; ssl_certificate_key {folder}/key.pem;
                         root {folder}/www;
                     }}
                 }}"
            )
        })
    }

    fn h2o() -> Self {
        Self::start("h2o", "h2o.yaml", |folder, plain, secured| {
            format!(
                "num-threads: 1\npid-file: {folder}/pid\nuser: root\nlisten:\n  host: 127.0.0.1\n  port: {plain}\nhosts:\n  \
                 default:\n    listen:\n      host: 127.0.0.1\n      port: {secured}\n      ssl:\n        certificate-file: \
                 {folder}/cert.pem\n        key-file: {folder}/key.pem\n    paths:\n      /:\n        file.dir: {folder}/www\n"
            )
        })
    }

    fn start(program: &str, config: &str, text: impl Fn(&str, u16, u16) -> String) -> Self {
        let (folder, plain, secured) = (web_folder(), Port::take(), Port::take());
        let file = folder.path().join(config);
        let path = folder.path().to_str().expect("a path in UTF-8");
        fs::write(&file, text(path, plain.number(), secured.number())).unwrap();
        let mut command = Command::new(program);
        command.arg("-c").arg(&file);
        command.env("PATH", format!("{}:/usr/sbin", std::env::var("PATH").unwrap_or_default()));
        let mut process = Process::spawn(program, &mut command);
        process.wait_until_listening(&plain.address());
        Self { _process: process, plain, secured, folder }
    }

    /// nghttpd serves one port, with TLS or without, so that there are two of them.
    fn nghttpd(tls: bool) -> (Process, Port, tempfile::TempDir) {
        let (folder, port) = (web_folder(), Port::take());
        let mut command = Command::new("nghttpd");
        command.arg("-d").arg(folder.path().join("www"));
        command.args(["--address=127.0.0.1", "--echo-upload", &port.number().to_string()]);
        if tls {
            command.arg(folder.path().join("key.pem")).arg(folder.path().join("cert.pem"));
        } else {
            command.arg("--no-tls");
        }
        let mut process = Process::spawn("nghttpd", &mut command);
        process.wait_until_listening(&port.address());
        (process, port, folder)
    }
}

/// Two connections with eight streams each, over TLS if there is a folder with the certificate.
fn http2(port: &Port, tls: Option<&Path>) -> Scenario {
    let scheme = if tls.is_some() { "https" } else { "http" };
    Scenario {
        http2: true,
        streams: 8,
        tls: tls.map(trusting).unwrap_or_default(),
        ..scenario(&format!("{scheme}://127.0.0.1:{}/small", port.number()))
    }
}

/// The same with small and large answers, one verified by its hash.
fn mixed(port: &Port, tls: Option<&Path>) -> Scenario {
    let mut scenario = Scenario { extent: Extent::Requests(200), window_bytes: 65_535, ..http2(port, tls) };
    let small = scenario.requests[0].clone();
    let large = Request { url: Url { target: "/large".to_owned(), ..small.url.clone() }, ..small.clone() };
    let expecting = |request: Request, bytes| Request {
        expect: Expect { body_bytes: Some(bytes), ..Expect::default() },
        ..request
    };
    let head = Request { method: "HEAD".to_owned(), ..large.clone() };
    let mut large = expecting(large, LARGE_BYTES as u64);
    large.expect.body_sha256 = Some(LARGE_SHA256);
    scenario.requests = vec![Request { weight: 4, ..expecting(small, 5) }, large, expecting(head, 0)];
    scenario
}

#[track_caller]
fn assert_answered(outcome: &Outcome, requests: u64, connections: u64) {
    let Outcome { recording, unanswered, examples, .. } = outcome;
    assert_eq!((recording.requests(), recording.errors.total(), *unanswered), (requests, 0, 0), "{examples:?}");
    let http2 = &recording.http2;
    assert_eq!((http2.streams, http2.connections, http2.go_aways), (requests, connections, 0));
    assert_eq!((http2.resets_sent, http2.resets_received), (0, 0));
}

#[test]
fn nginx_serves_small_and_large_answers_with_and_without_tls() {
    let nginx = Peer::nginx();
    assert_answered(&run(&mixed(&nginx.plain, None)), 200, 2);
    let secured = run(&mixed(&nginx.secured, Some(nginx.folder.path())));
    assert_answered(&secured, 200, 2);
    let recording = secured.recording;
    assert_eq!(recording.handshake_full.count() + recording.handshake_resumed.count(), 2);
    assert!(recording.first_byte.quantile_ns(0.5) <= recording.latency.quantile_ns(0.5));
}

#[test]
fn h2o_serves_small_and_large_answers_with_and_without_tls() {
    let h2o = Peer::h2o();
    assert_answered(&run(&mixed(&h2o.plain, None)), 200, 2);
    assert_answered(&run(&mixed(&h2o.secured, Some(h2o.folder.path()))), 200, 2);
}

#[test]
fn nghttpd_serves_small_and_large_answers_and_gives_uploads_back() {
    for tls in [false, true] {
        let (_process, port, folder) = Peer::nghttpd(tls);
        let folder = tls.then(|| folder.path());
        assert_answered(&run(&mixed(&port, folder)), 200, 2);
        let mut upload = http2(&port, folder);
        upload.requests[0].method = "POST".to_owned();
        upload.requests[0].body = Some(Body::Size(700_000));
        upload.requests[0].expect.body_bytes = Some(700_000);
        upload.extent = Extent::Requests(32);
        assert_answered(&run(&upload), 32, 2);
    }
}

#[test]
fn nginx_takes_uploads() {
    let nginx = Peer::nginx();
    let mut upload = http2(&nginx.plain, None);
    upload.requests[0].url.target = "/upload".to_owned();
    upload.requests[0].method = "PUT".to_owned();
    upload.requests[0].body = Some(Body::Size(2 << 20));
    assert_answered(&run(&upload), 10, 2);
    let stored = fs::metadata(nginx.folder.path().join("www/upload")).expect("the upload");
    assert_eq!(stored.len(), 2 << 20);
}

#[test]
fn an_open_loop_and_a_connection_for_each_request() {
    let nginx = Peer::nginx();
    let rate = Rate { steps: vec![Step { per_second: 500.0, duration: Duration::ZERO }], ..Rate::default() };
    let open = Scenario {
        rate: Some(rate),
        extent: Extent::Duration(Duration::from_secs(1)),
        ..http2(&nginx.secured, Some(nginx.folder.path()))
    };
    assert_answered(&run(&open), 500, 2);
    let each = Scenario {
        requests_per_connection: Some(1),
        extent: Extent::Requests(20),
        connections: 1,
        ..http2(&nginx.secured, Some(nginx.folder.path()))
    };
    let outcome = run(&each);
    assert_answered(&outcome, 20, 20);
    let recording = outcome.recording;
    assert_eq!((recording.handshake_full.count(), recording.handshake_resumed.count()), (1, 19));
    let three = Scenario { requests_per_connection: Some(3), ..each };
    assert_eq!(run(&three).recording.http2.connections, 7);
}

#[test]
fn a_server_that_knows_only_http_1_refuses_the_protocol() {
    // With TLS: nginx without http2 chooses nothing by ALPN. Without: it answers the preface with an error of HTTP/1.
    let nginx = NginxTls::start();
    let mut secured = for_a_while(&format!("https://{}/", nginx.address()));
    secured.tls.insecure = true;
    assert_only(&run(&secured), ErrorKind::ProtocolRefused);
    let plain = kit::Nginx::start(None);
    assert_only(&run(&for_a_while(&format!("http://{}/", plain.address()))), ErrorKind::ProtocolRefused);
}

fn for_a_while(url: &str) -> Scenario {
    Scenario { http2: true, streams: 4, extent: Extent::Duration(Duration::from_millis(300)), ..scenario(url) }
}

/// All errors were of this kind, and there were some.
#[track_caller]
fn assert_only(outcome: &Outcome, kind: ErrorKind) {
    let errors = &outcome.recording.errors;
    assert!(errors.of(kind) > 0 && errors.of(kind) == errors.total(), "{errors:?} {:?}", outcome.examples);
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = (payload.len() as u32).to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

fn answer(stream: u32) -> Vec<u8> {
    // END_HEADERS and END_STREAM; `:status: 204`.
    frame(1, 0x5, stream, &[0x89])
}

fn go_away(last: u32, code: u32) -> Vec<u8> {
    frame(7, 0, 0, &[last.to_be_bytes(), code.to_be_bytes()].concat())
}

/// A server whose answer to a stream's HEADERS `answer` says; `None` ends the connection.
fn server(answer: impl Fn(u32) -> Option<Vec<u8>> + Send + Sync + 'static) -> Server {
    Server::start(move |mut stream, _| {
        let mut preface = [0; 24];
        if stream.read_exact(&mut preface).is_err() || stream.write_all(&frame(4, 0, 0, &[])).is_err() {
            return;
        }
        while let Some((kind, id)) = read_frame(&mut stream) {
            if kind != 1 {
                continue;
            }
            let Some(bytes) = answer(id) else {
                // What has come and was not read would make a reset of the end.
                let _ = stream.shutdown(Shutdown::Write);
                while read_frame(&mut stream).is_some() {}
                return;
            };
            if stream.write_all(&bytes).is_err() {
                return;
            }
        }
    })
}

fn read_frame(stream: &mut TcpStream) -> Option<(u8, u32)> {
    let mut head = [0; 9];
    stream.read_exact(&mut head).ok()?;
    let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
    std::io::copy(&mut stream.take(u64::from(length)), &mut std::io::sink()).ok()?;
    Some((head[3], u32::from_be_bytes([head[5], head[6], head[7], head[8]])))
}

#[test]
fn a_reset_fails_one_request_and_the_others_go_on() {
    let server = server(|id| Some(if id % 8 == 1 { frame(3, 0, id, &2_u32.to_be_bytes()) } else { answer(id) }));
    let outcome = run(&Scenario { connections: 1, extent: Extent::Requests(80), ..for_a_while(&server.url()) });
    let recording = outcome.recording;
    assert_eq!((recording.requests(), recording.errors.of(ErrorKind::StreamReset)), (60, 20), "{:?}", outcome.examples);
    assert_eq!(
        recording.http2,
        Http2Counts { connections: 1, streams: 80, resets_received: 20, ..Http2Counts::default() }
    );
    assert_eq!(outcome.examples, [(ErrorKind::StreamReset, "INTERNAL_ERROR".to_owned())]);
}

#[test]
fn what_a_go_away_leaves_unprocessed_is_sent_again() {
    // The fifth stream is answered, and no later one.
    let server = server(|id| match id {
        9 => Some([answer(id), go_away(9, 0)].concat()),
        11.. => Some(Vec::new()),
        _ => Some(answer(id)),
    });
    let outcome = run(&Scenario { extent: Extent::Requests(50), ..for_a_while(&server.url()) });
    let recording = outcome.recording;
    assert_eq!((recording.requests(), recording.errors.total()), (50, 0), "{:?}", outcome.examples);
    assert!(recording.http2.connections >= 10 && recording.http2.go_aways >= 8, "{:?}", recording.http2);
    assert!(recording.http2.streams > 50, "{:?}", recording.http2);
}

#[test]
fn a_go_away_for_an_error_fails_what_it_leaves() {
    let calm = server(|id| Some(if id == 3 { go_away(1, 11) } else { answer(id) }));
    let outcome = run(&for_a_while(&calm.url()));
    assert_only(&outcome, ErrorKind::GoneAway);
    assert!(outcome.examples.contains(&(ErrorKind::GoneAway, "ENHANCE_YOUR_CALM".to_owned())));
    // One that processes nothing, ever, does not make an endless run.
    let useless = server(|_| Some(go_away(0, 0)));
    let outcome = run(&Scenario { extent: Extent::Requests(20), ..for_a_while(&useless.url()) });
    assert_eq!(outcome.recording.errors.of(ErrorKind::GoneAway), 20, "{:?}", outcome.recording.errors);
}

#[test]
fn a_request_without_an_answer_times_out_alone() {
    let server = server(|id| Some(if id == 1 { Vec::new() } else { answer(id) }));
    let timeouts = Timeouts { request: Duration::from_millis(100), ..Timeouts::default() };
    let outcome = run(&Scenario { timeouts, connections: 1, ..for_a_while(&server.url()) });
    let recording = outcome.recording;
    assert_eq!((recording.errors.total(), recording.errors.of(ErrorKind::TimedOut)), (1, 1), "{:?}", outcome.examples);
    assert_eq!((recording.http2.resets_sent, recording.http2.connections), (1, 1));
    assert!(recording.requests() > 10);
}

#[test]
fn a_connection_cut_in_the_middle_fails_all_that_wait() {
    let server = server(|id| (id < 5).then(Vec::new));
    assert_only(&run(&for_a_while(&server.url())), ErrorKind::ClosedEarly);
}

#[test]
fn what_is_no_http_2_is_malformed() {
    let server = server(|id| Some(frame(0, 0, id, b"a body before its head")));
    assert_only(&run(&for_a_while(&server.url())), ErrorKind::Malformed);
}
