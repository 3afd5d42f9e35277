//! Against servers that we did not write: nginx, Python's http.server, Python's websockets.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use kit::{Nginx, Port, Process, PythonServer};
use loadgen::{
    record::ErrorKind,
    scenario::{Body, Expect, Extent, Request, Scenario, Tls, TlsVersions, Url},
};

use crate::server::{run, scenario};

#[test]
fn nginx_serves_small_and_large_files_heads_and_uploads() {
    let nginx = Nginx::start(None);
    nginx.put("small", b"hello");
    nginx.put("large", &vec![b'x'; 3 << 20]);
    let url = |path: &str| Url::parse(&format!("http://{}/{path}", nginx.address())).unwrap();
    let expecting = |path: &str, bytes| Request {
        expect: Expect { body_bytes: Some(bytes), ..Expect::default() },
        ..Request::to(url(path))
    };
    let head = Request { method: "HEAD".to_owned(), ..expecting("large", 0) };
    let put = Request { method: "PUT".to_owned(), body: Some(Body::Size(2 << 20)), ..expecting("upload", 0) };
    let scenario = Scenario {
        connections: 4,
        threads: Some(2),
        extent: Extent::Requests(200),
        requests: vec![expecting("small", 5), expecting("large", 3 << 20), head, put],
        ..scenario("http://127.0.0.1/")
    };
    let outcome = run(&scenario);
    assert_eq!((outcome.recording.requests(), outcome.recording.errors.total()), (200, 0), "{:?}", outcome.examples);
    assert_eq!(nginx.file("upload").map(|file| file.len()), Some(2 << 20));
}

#[test]
fn python_s_server_ends_bodies_with_the_connection_and_keeps_it() {
    for (protocol, connections) in [("HTTP/1.0", 20), ("HTTP/1.1", 2)] {
        let server = PythonServer::start(protocol);
        server.put("file", b"0123456789");
        let mut scenario =
            Scenario { extent: Extent::Requests(20), ..scenario(&format!("http://{}/file", server.address())) };
        scenario.requests[0].expect.body_bytes = Some(10);
        let recording = run(&scenario).recording;
        assert_eq!((recording.requests(), recording.errors.total()), (20, 0), "{protocol}");
        assert_eq!(recording.connect.count(), connections, "{protocol}");
    }
}

#[test]
fn a_unix_socket_takes_the_place_of_the_host() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let nginx = Nginx::start(Some(&path));
    nginx.put("small", b"hello");
    let scenario = Scenario { unix_socket: Some(path), ..scenario("http://some.host/small") };
    assert_eq!(run(&scenario).recording.requests(), 10);
}

/// nginx with a certificate for `localhost` that it signed itself.
pub(crate) struct NginxTls {
    _process: Process,
    port: Port,
    folder: tempfile::TempDir,
}

/// Makes `cert.pem`, for `localhost` and signed by itself, and `key.pem`.
pub(crate) fn certificate() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let arguments = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 30 \
                     -subj /CN=localhost -addext subjectAltName=DNS:localhost \
                     -addext basicConstraints=critical,CA:FALSE -keyout";
    let mut openssl = Command::new("openssl");
    openssl.args(arguments.split_whitespace()).arg(path("key.pem")).arg("-out").arg(path("cert.pem"));
    assert!(openssl.output().expect("openssl").status.success());
    folder
}

pub(crate) fn trusting(folder: &Path) -> Tls {
    let server_name = Some("localhost".to_owned());
    Tls { ca_file: Some(folder.join("cert.pem")), server_name, ..Tls::default() }
}

impl NginxTls {
    pub(crate) fn start() -> Self {
        let folder = certificate();
        let path = |name: &str| folder.path().join(name);
        let port = Port::take();
        fs::write(path("nginx.conf"), configuration(folder.path(), &port)).unwrap();
        let mut nginx = Command::new("nginx");
        nginx.arg("-c").arg(path("nginx.conf")).arg("-e").arg(path("error.log"));
        nginx.env("PATH", format!("{}:/usr/sbin", std::env::var("PATH").unwrap_or_default()));
        let mut process = Process::spawn("nginx", &mut nginx);
        process.wait_until_listening(&port.address());
        Self { _process: process, port, folder }
    }

    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port.number())
    }

    /// The file of the certificate.
    pub(crate) fn certificate(&self) -> PathBuf {
        self.folder.path().join("cert.pem")
    }

    fn scenario(&self) -> Scenario {
        Scenario {
            tls: trusting(self.folder.path()),
            ..scenario(&format!("https://127.0.0.1:{}/", self.port.number()))
        }
    }
}

fn configuration(folder: &Path, port: &Port) -> String {
    let folder = folder.display();
    format!(
        "daemon off; master_process off; pid {folder}/pid; error_log {folder}/error.log;
         events {{ worker_connections 256; }}
         http {{
             access_log off; client_body_temp_path {folder}/b; proxy_temp_path {folder}/p;
             fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
             server {{
                 listen 127.0.0.1:{} ssl; ssl_certificate {folder}/cert.pem; ssl_certificate_key {folder}/key.pem;
                 ssl_protocols TLSv1.2 TLSv1.3; ssl_session_cache shared:a:1m;
                 location / {{ return 200 \"$ssl_protocol $ssl_server_name\"; }}
             }}
         }}
        ",
        port.number()
    )
}

#[test]
fn tls_verifies_the_certificate_in_both_versions() {
    let nginx = NginxTls::start();
    for (versions, answer_bytes) in [(TlsVersions::Tls12, 17), (TlsVersions::Tls13, 17), (TlsVersions::Both, 17)] {
        let mut scenario = nginx.scenario();
        scenario.tls.versions = versions;
        scenario.requests[0].expect.body_bytes = Some(answer_bytes);
        let outcome = run(&scenario);
        let recording = outcome.recording;
        let counts = (recording.requests(), recording.errors.total());
        assert_eq!(counts, (10, 0), "{versions:?} {:?}", outcome.examples);
        assert_eq!(recording.handshake_full.count() + recording.handshake_resumed.count(), 2);
    }
    let mut untrusted = nginx.scenario();
    untrusted.tls.ca_file = None;
    untrusted.extent = Extent::Duration(Duration::from_millis(200));
    let outcome = run(&untrusted);
    assert!(outcome.recording.errors.of(ErrorKind::Tls) > 0, "{:?}", outcome.recording.errors);
    assert_eq!(outcome.recording.requests(), 0);
    untrusted.tls.insecure = true;
    assert_eq!(run(&untrusted).recording.errors.total(), 0);
    let mut other_name = nginx.scenario();
    other_name.tls.server_name = Some("example.com".to_owned());
    other_name.extent = Extent::Duration(Duration::from_millis(200));
    assert!(run(&other_name).recording.errors.of(ErrorKind::Tls) > 0);
}

#[test]
fn full_and_resumed_handshakes_are_counted_apart() {
    let nginx = NginxTls::start();
    for versions in [TlsVersions::Tls12, TlsVersions::Tls13] {
        let mut scenario = Scenario {
            connections: 1,
            requests_per_connection: Some(1),
            extent: Extent::Requests(20),
            ..nginx.scenario()
        };
        scenario.tls.versions = versions;
        let resumed = run(&scenario).recording;
        assert_eq!((resumed.handshake_full.count(), resumed.handshake_resumed.count()), (1, 19), "{versions:?}");
        scenario.tls.resumption = false;
        let full = run(&scenario).recording;
        assert_eq!((full.handshake_full.count(), full.handshake_resumed.count()), (20, 0), "{versions:?}");
        assert_eq!(full.requests() + resumed.requests(), 40);
    }
}

#[test]
fn openssl_s_server_answers_one_request_a_connection() {
    let (folder, port) = (certificate(), Port::take());
    for version in ["-tls1_2", "-tls1_3"] {
        let mut server = Command::new("openssl");
        server.args(["s_server", "-www", "-quiet", version, "-accept", &port.number().to_string()]);
        server.arg("-cert").arg(folder.path().join("cert.pem")).arg("-key").arg(folder.path().join("key.pem"));
        let mut server = Process::spawn("openssl", &mut server);
        server.wait_until_listening(&port.address());
        // It serves one connection after another.
        let scenario = Scenario {
            tls: trusting(folder.path()),
            connections: 1,
            requests_per_connection: Some(1),
            ..scenario(&format!("https://127.0.0.1:{}/", port.number()))
        };
        let outcome = run(&scenario);
        let recording = outcome.recording;
        assert_eq!((recording.requests(), recording.errors.total()), (10, 0), "{version} {:?}", outcome.examples);
        assert_eq!((recording.handshake_full.count(), recording.handshake_resumed.count()), (1, 9), "{version}");
    }
}

/// An echo server on Python's websockets, whose messages may be large; over TLS with the certificate of that folder.
fn websocket_echo(tls: Option<&Path>) -> (Process, Port) {
    const SCRIPT: &str = "
import asyncio, ssl, sys, websockets
async def echo(socket):
    async for message in socket:
        await socket.send(message)
async def main():
    context = None
    if len(sys.argv) > 2:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(sys.argv[2] + '/cert.pem', sys.argv[2] + '/key.pem')
    async with websockets.serve(echo, '127.0.0.1', int(sys.argv[1]), max_size=None, compression=None, ssl=context):
        await asyncio.Future()
asyncio.run(main())
";
    let port = Port::take();
    // Debian's Python has Debian's packages, whatever else is called python3 here.
    let python = if Path::new("/usr/bin/python3").exists() { "/usr/bin/python3" } else { "python3" };
    let mut command = Command::new(python);
    command.args(["-c", SCRIPT, &port.number().to_string()]).args(tls);
    let mut process = Process::spawn("python3", &mut command);
    process.wait_until_listening(&port.address());
    (process, port)
}

#[test]
fn websocket_messages_come_back_from_python_s_websockets() {
    let (_process, port) = websocket_echo(None);
    for (size, pipeline) in [(0, 1), (5, 1), (125, 1), (126, 4), (65_535, 2), (65_536, 1), (1 << 20, 1)] {
        let mut scenario = Scenario { pipeline, ..scenario(&format!("ws://127.0.0.1:{}/", port.number())) };
        scenario.requests[0].body = Some(Body::Size(size));
        let outcome = run(&scenario);
        let recording = outcome.recording;
        assert_eq!((recording.requests(), recording.errors.total()), (10, 0), "{size} {:?}", outcome.examples);
        assert_eq!(recording.connect.count(), 2);
    }
    let scenario = Scenario {
        requests_per_connection: Some(5),
        extent: Extent::Requests(20),
        connections: 1,
        ..scenario(&format!("ws://127.0.0.1:{}/", port.number()))
    };
    let recording = run(&scenario).recording;
    assert_eq!((recording.requests(), recording.errors.total(), recording.connect.count()), (20, 0, 4));
}

#[test]
fn websocket_messages_come_back_over_tls() {
    let folder = certificate();
    let (_process, port) = websocket_echo(Some(folder.path()));
    for size in [5, 70_000] {
        let url = format!("wss://127.0.0.1:{}/", port.number());
        let mut scenario = Scenario { tls: trusting(folder.path()), ..scenario(&url) };
        scenario.requests[0].body = Some(Body::Size(size));
        let outcome = run(&scenario);
        let recording = outcome.recording;
        assert_eq!((recording.requests(), recording.errors.total()), (10, 0), "{size} {:?}", outcome.examples);
        assert_eq!(recording.handshake_full.count() + recording.handshake_resumed.count(), 2);
    }
}

#[test]
fn websocket_to_a_server_that_knows_only_http() {
    let nginx = Nginx::start(None);
    let scenario = Scenario {
        extent: Extent::Duration(Duration::from_millis(200)),
        ..scenario(&format!("ws://{}/echo", nginx.address()))
    };
    let errors = run(&scenario).recording.errors;
    assert!(errors.of(ErrorKind::UnexpectedStatus) > 0 && errors.of(ErrorKind::UnexpectedStatus) == errors.total());
}
