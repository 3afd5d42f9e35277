//! Every kind of TLS with clients × every kind with upstreams × the shapes of HTTP/1.1, byte for byte as a direct connection.
//!
//! What clients say goes through OpenSSL (Python's ssl, and curl), what upstreams say through HAProxy's TLS before the standard
//! origin, and through nginx's and OpenSSL's own. [`crate::bodies`] has all shapes without TLS.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use kit::process::run;
use kit::{Address, Authority, Config, Framing, Haproxy, Nginx, Peer, Port, Process, Ringway, TlsFront};
use kit::{pattern, standard};

use crate::bodies::{cells, compare, seen, sixty_four_mebibytes};
use crate::start;

const NAME: &str = "a.example";
const SERVER_NAME: &str = "app.internal";
const LIMIT: Duration = Duration::from_secs(30);

/// What clients speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Client {
    Plain,
    Tls12,
    Tls13,
    Mutual,
}

/// What upstreams speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Upstream {
    Plain,
    Tls,
    Mutual,
}

const UPSTREAMS: [Upstream; 3] = [Upstream::Plain, Upstream::Tls, Upstream::Mutual];

/// An authority, and the certificates that it has signed for all who take part.
struct Certificates {
    authority: Authority,
    /// Of the proxy, for its clients.
    site: PathBuf,
    /// Of a client.
    alice: PathBuf,
    /// Of the upstream's server.
    server: PathBuf,
    /// Of the proxy, for its upstreams.
    proxy: PathBuf,
}

impl Certificates {
    fn new() -> Certificates {
        let authority = Authority::new();
        let sign = |name: &str| authority.sign(&[name]);
        let (site, alice) = (sign(NAME), sign("alice.clients.example"));
        let (server, proxy) = (sign(SERVER_NAME), sign("proxy.internal"));
        Certificates { authority, site, alice, server, proxy }
    }

    /// A proxy between clients of one kind and an upstream of another.
    fn between(&self, client: Client, upstream: Upstream, server: &Address) -> Ringway {
        let ca = self.authority.path();
        let shown =
            if upstream == Upstream::Mutual { format!(", certificate = {:?}", self.proxy) } else { String::new() };
        let mut config = Config::to(server).shards(2);
        if upstream != Upstream::Plain {
            config = config.upstream_option("tls", format!("{{ ca = {ca:?}, server_name = {SERVER_NAME:?}{shown} }}"));
        }
        if client != Client::Plain {
            config = config.tls(&[&self.site]);
        }
        if client == Client::Mutual {
            config = config.set("tls", "client_auth", format!("{{ ca = {ca:?} }}"));
        }
        start(config)
    }
}

/// Clients of one kind, and what they speak through.
struct Clients<'a> {
    ringway: &'a Ringway,
    front: Option<TlsFront>,
}

impl<'a> Clients<'a> {
    fn of(kind: Client, ringway: &'a Ringway, certificates: &Certificates) -> Clients<'a> {
        let front = |identity: Option<&Path>, version: &str| {
            TlsFront::start_as(identity, ringway.address(), NAME, &certificates.authority.path(), version)
        };
        let front = match kind {
            Client::Plain => None,
            Client::Tls12 => Some(front(None, "1.2")),
            Client::Tls13 => Some(front(None, "1.3")),
            Client::Mutual => Some(front(Some(&certificates.alice), "1.3")),
        };
        Clients { ringway, front }
    }

    fn connect(&self) -> Peer {
        self.front.as_ref().map_or_else(|| self.ringway.connect(), TlsFront::connect)
    }

    fn assert_content(&self) {
        assert_eq!(self.front.as_ref().map(TlsFront::complaints).unwrap_or_default(), "");
    }
}

/// An answer, and what it tells of its request, but for what a proxy adds.
#[derive(Debug, PartialEq, Eq)]
struct Told {
    seen: (u16, Vec<(String, String)>, Vec<String>),
    /// The status lines of the 1xx before it, and their links.
    interim: Vec<String>,
    trailers: Vec<(String, String)>,
    request_trailers: Vec<String>,
}

/// What [`crate::bodies`] leaves out: trailers both ways, a 1xx, and many requests in one write, all on one connection.
fn converse(mut peer: Peer) -> Vec<Told> {
    let mut told: Vec<Told> = Vec::new();
    let mut hear = |peer: &mut Peer, method: &str, length: usize| {
        let answer = peer.read_response(method).unwrap();
        assert!(
            answer.body == pattern::bytes(length),
            "{length} bytes of the pattern were to come after {:?}",
            answer.head
        );
        let interim =
            answer.interim.iter().map(|head| head.start_line.clone() + head.field("link").unwrap_or_default());
        let request_trailers = answer.head.values("x-saw-trailer").into_iter().map(str::to_owned).collect();
        let (seen, interim) = (seen(&answer.head), interim.collect());
        told.push(Told { seen, interim, trailers: answer.trailers, request_trailers });
    };
    let fields = "Host: test\r\nTE: trailers\r\n";
    let chunked = format!("{fields}Transfer-Encoding: chunked\r\nTrailer: X-Digest\r\n\r\n");
    peer.send(format!("POST /trailers/40000 HTTP/1.1\r\n{chunked}").as_bytes()).unwrap();
    peer.send_pattern_chunked_with(50_000, 7_000, "X-Digest: 1234\r\n").unwrap();
    hear(&mut peer, "POST", 40_000);
    peer.send(format!("GET /early/20000 HTTP/1.1\r\n{fields}\r\n").as_bytes()).unwrap();
    hear(&mut peer, "GET", 20_000);
    let pipelined: Vec<(&str, usize)> = (0..60).map(|n| (["GET", "HEAD", "POST"][n % 3], n * 37)).collect();
    let mut requests = Vec::new();
    for (n, (method, length)) in pipelined.iter().enumerate() {
        let kind = ["length", "chunked"][n % 2];
        let body = if *method == "POST" { pattern::bytes(n * 50) } else { Vec::new() };
        let content = if *method == "POST" { format!("Content-Length: {}\r\n", body.len()) } else { String::new() };
        requests.extend(format!("{method} /{kind}/{length} HTTP/1.1\r\n{fields}{content}\r\n").into_bytes());
        requests.extend(body);
    }
    peer.send(&requests).unwrap();
    for (method, length) in pipelined {
        hear(&mut peer, method, if method == "HEAD" { 0 } else { length });
    }
    assert!(peer.is_idle(), "something follows the last answer");
    assert!(
        !told[0].trailers.is_empty() && !told[0].request_trailers.is_empty(),
        "both ends have sent trailers: {told:?}"
    );
    assert!(!told[1].interim.is_empty(), "there was a 103: {told:?}");
    told
}

/// All shapes between `clients` and upstreams of each kind.
fn every_shape_between(kind: Client) {
    let (origin, certificates) = (standard::start(), Certificates::new());
    let (server, ca) = (certificates.server.display(), certificates.authority.path());
    for upstream in UPSTREAMS {
        let verify = if upstream == Upstream::Mutual {
            format!("ca-file {} verify required", ca.display())
        } else {
            String::new()
        };
        let front = (upstream != Upstream::Plain)
            .then(|| Haproxy::start_with_tls(origin.address(), &format!("crt {server} {verify}")));
        let address = front.as_ref().map_or(origin.address(), Haproxy::address);
        let ringway = certificates.between(kind, upstream, address);
        let clients = Clients::of(kind, &ringway, &certificates);
        let compare = |method, request, sizes: &[u64]| {
            compare(|| clients.connect(), origin.address(), &cells(method, request, sizes));
        };
        for (method, request) in
            [("GET", None), ("HEAD", None), ("POST", Some(Framing::Length(0))), ("POST", Some(Framing::Chunked))]
        {
            compare(method, request, &[0, 1, 16 << 10]);
        }
        compare("POST", Some(Framing::Chunked), &[1 << 20]);
        assert_eq!(converse(clients.connect()), converse(Peer::connect(origin.address())), "{kind:?} {upstream:?}");
        sixty_four_mebibytes(&mut clients.connect(), Framing::Length(0), "chunked");
        clients.assert_content();
    }
}

#[test]
fn every_shape_between_plain_clients_and_upstreams_of_each_kind() {
    every_shape_between(Client::Plain);
}

#[test]
fn every_shape_between_clients_with_tls_1_2_and_upstreams_of_each_kind() {
    every_shape_between(Client::Tls12);
}

#[test]
fn every_shape_between_clients_with_tls_1_3_and_upstreams_of_each_kind() {
    every_shape_between(Client::Tls13);
}

#[test]
fn every_shape_between_clients_with_certificates_and_upstreams_of_each_kind() {
    every_shape_between(Client::Mutual);
}

/// What curl writes that is a client of this kind, by `arguments`, of `path`.
fn curl(kind: Client, ringway: &Ringway, certificates: &Certificates, path: &str, arguments: &[&str]) -> Vec<u8> {
    let output = certificates.authority.folder().join("output");
    let scheme = if kind == Client::Plain { "http" } else { "https" };
    let mut command = Command::new("curl");
    command.args(["--silent", "--show-error", "--fail", "--max-time", "20", "--noproxy", "*", "--output"]);
    command.arg(&output).arg("--cacert").arg(certificates.authority.path());
    command.args(["--connect-to", &format!("{NAME}::{}", ringway.address())]);
    match kind {
        Client::Plain => {}
        Client::Tls12 => _ = command.args(["--tls-max", "1.2"]),
        Client::Tls13 => _ = command.arg("--tlsv1.3"),
        Client::Mutual => _ = command.arg("--cert").arg(&certificates.alice),
    }
    let _ = run("curl", command.args(arguments).arg(format!("{scheme}://{NAME}{path}")), LIMIT);
    std::fs::read(&output).unwrap_or_default()
}

const CLIENTS: [Client; 4] = [Client::Plain, Client::Tls12, Client::Tls13, Client::Mutual];

#[test]
fn curl_of_each_kind_reaches_nginx_of_each_kind() {
    let certificates = Certificates::new();
    let (server, ca) = (&certificates.server, certificates.authority.path());
    let upload = certificates.authority.folder().join("upload");
    std::fs::write(&upload, pattern::bytes(300_000)).unwrap();
    let upload = upload.to_str().unwrap();
    for (upstream, versions, version) in [
        (Upstream::Plain, "", ""),
        (Upstream::Tls, "TLSv1.2", "TLSv1.2 . app.internal NONE"),
        (Upstream::Tls, "TLSv1.3", "TLSv1.3 . app.internal NONE"),
        (Upstream::Mutual, "TLSv1.2", "TLSv1.2 . app.internal SUCCESS"),
        (Upstream::Mutual, "TLSv1.3", "TLSv1.3 . app.internal SUCCESS"),
    ] {
        let authority = (upstream == Upstream::Mutual).then_some(&*ca);
        let nginx = match upstream {
            Upstream::Plain => Nginx::start(None),
            _ => Nginx::start_with_tls_of(versions, server, authority),
        };
        nginx.put("file", &pattern::bytes(1 << 20));
        for kind in CLIENTS {
            let ringway = certificates.between(kind, upstream, nginx.address());
            let curl = |path: &str, arguments: &[&str]| curl(kind, &ringway, &certificates, path, arguments);
            let what = format!("{kind:?} {upstream:?} {versions}");
            if upstream != Upstream::Plain {
                let session = String::from_utf8(curl("/session", &[])).unwrap();
                assert_eq!(session.split_once(' ').unwrap().1, version, "{what}");
                assert!(curl("/chunked/file", &[]) == pattern::bytes(1 << 20), "{what}: chunks");
                assert!(curl("/closed/file", &[]) == pattern::bytes(1 << 20), "{what}: until the end");
            }
            assert!(curl("/file", &[]) == pattern::bytes(1 << 20), "{what}");
            let head = String::from_utf8(curl("/file", &["--head"])).unwrap();
            // In HTTP/2 names are in lower case.
            assert!(head.to_ascii_lowercase().contains("content-length: 1048576\r\n"), "{what}: {head}");
            for (n, more) in
                [["--header", "X-Framing: length"], ["--header", "Transfer-Encoding: chunked"]].iter().enumerate()
            {
                let name = format!("/{kind:?}-{n}");
                curl(&name, &[&["--upload-file", upload], &more[..]].concat());
                assert!(nginx.file(&name[1..]) == Some(pattern::bytes(300_000)), "{what}: {more:?}");
            }
        }
    }
}

#[test]
fn curl_of_each_kind_reaches_openssls_server_of_each_kind() {
    let certificates = Certificates::new();
    let ca = certificates.authority.path();
    let (port, folder) = (Port::take(), tempfile::tempdir().unwrap());
    std::fs::write(folder.path().join("file"), pattern::bytes(1 << 20)).unwrap();
    for (upstream, version) in [(Upstream::Tls, "-tls1_2"), (Upstream::Tls, "-tls1_3"), (Upstream::Mutual, "-tls1_3")] {
        let mut command = Command::new("openssl");
        command.args(["s_server", "-quiet", "-WWW", version, "-accept", &port.number().to_string(), "-cert"]);
        command.arg(&certificates.server).current_dir(folder.path());
        if upstream == Upstream::Mutual {
            command.args(["-Verify", "2", "-verify_return_error", "-CAfile"]).arg(&ca);
        }
        let mut server = Process::spawn("openssl", &mut command);
        server.wait_until_listening(&port.address());
        for kind in CLIENTS {
            let ringway = certificates.between(kind, upstream, &port.address());
            let body = curl(kind, &ringway, &certificates, "/file", &[]);
            assert!(body == pattern::bytes(1 << 20), "{kind:?} {upstream:?} {version}: {} bytes", body.len());
            ringway.assert_outcome("/file", &["completed"]);
        }
    }
}
