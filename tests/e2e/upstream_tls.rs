//! TLS with upstream servers: nginx's and OpenSSL's, and rustls's where a server has to misbehave.

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{ChildStdin, Command};
use std::sync::Arc;
use std::time::{Duration, Instant};

use kit::process::run;
use kit::{Address, Authority, Config, Nginx, Origin, Peer, Port, Process, Ringway, TlsFront, eventually, pattern};
use tls::rustls::pki_types::pem::PemObject;
use tls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tls::rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::start;

const NAME: &str = "app.internal";

/// To `server`, whose certificate `authority` has signed for [`NAME`]; `more` keys of its `tls` follow.
pub(crate) fn to(server: &Address, authority: &Authority, more: &str) -> Config {
    let tls = format!("{{ ca = {:?}, server_name = {NAME:?}{more} }}", authority.path());
    Config::to(server).upstream_option("tls", tls)
}

fn nginx(authority: &Authority) -> Nginx {
    Nginx::start_with_tls(&authority.sign(&[NAME]), None)
}

pub(crate) fn get(ringway: &Ringway, path: &str) -> (u16, String) {
    let request = format!("GET {path} HTTP/1.1\r\nHost: a.example\r\n\r\n");
    let answer = ringway.connect().exchange("GET", request.as_bytes()).unwrap();
    (answer.status(), answer.text())
}

/// What nginx says of the session that a request came by: connection, version, whether it was resumed, name, certificate.
fn session(ringway: &Ringway) -> Vec<String> {
    let (status, text) = get(ringway, "/session");
    assert_eq!(status, 200, "{text}");
    text.split(' ').map(str::to_owned).collect()
}

/// That a request is answered by 502, and the log says why by `reason`.
#[track_caller]
pub(crate) fn assert_refused(ringway: &Ringway, reason: &str) {
    assert_eq!(get(ringway, "/session").0, 502);
    eventually("the log says why", || {
        let log = ringway.process().stderr();
        log.contains("no TLS with a server") && log.contains(reason)
    });
}

fn bodies_arrive_whole(connect: impl Fn() -> Peer, nginx: &Nginx) {
    for size in [1, 20_000, 1 << 20] {
        nginx.put("file", &pattern::bytes(size));
        for path in ["/file", "/chunked/file", "/closed/file"] {
            let request = format!("GET {path} HTTP/1.1\r\nHost: {NAME}\r\n\r\n");
            let mut peer = connect();
            peer.send(request.as_bytes()).unwrap();
            let head = peer.read_pattern_response("GET", size as u64).unwrap();
            assert_eq!(head.status(), 200, "{path} of {size} bytes");
        }
        let mut peer = connect();
        peer.send(format!("PUT /put-{size} HTTP/1.1\r\nHost: {NAME}\r\nContent-Length: {size}\r\n\r\n").as_bytes())
            .unwrap();
        peer.send_pattern(0, size as u64).unwrap();
        // 204 where the file was there before.
        assert!([201, 204].contains(&peer.read_response("PUT").unwrap().status()));
        let chunked = format!("PUT /chunks-{size} HTTP/1.1\r\nHost: {NAME}\r\nTransfer-Encoding: chunked\r\n\r\n");
        peer.send(chunked.as_bytes()).unwrap();
        peer.send_pattern_chunked(size as u64, 30_000).unwrap();
        // 204 where the file was there before.
        assert!([201, 204].contains(&peer.read_response("PUT").unwrap().status()));
        for name in ["put", "chunks"] {
            assert!(nginx.file(&format!("{name}-{size}")).unwrap() == pattern::bytes(size), "{name} of {size} bytes");
        }
    }
}

#[test]
fn bodies_of_all_shapes_pass_between_a_plain_client_and_nginx_with_tls() {
    let authority = Authority::new();
    let nginx = nginx(&authority);
    let ringway = start(to(nginx.address(), &authority, "").shards(2));
    bodies_arrive_whole(|| ringway.connect(), &nginx);
}

#[test]
fn bodies_of_all_shapes_pass_between_a_client_and_nginx_both_with_tls() {
    let authority = Authority::new();
    let nginx = nginx(&authority);
    let ringway = start(to(nginx.address(), &authority, "").tls(&[&authority.sign(&["a.example"])]));
    for version in ["1.2", "1.3"] {
        let front = TlsFront::start(ringway.address(), "a.example", &authority.path(), version);
        bodies_arrive_whole(|| front.connect(), &nginx);
        assert_eq!(front.complaints(), "");
    }
}

#[test]
fn a_server_is_asked_for_its_name_and_its_connection_is_kept() {
    let authority = Authority::new();
    let nginx = nginx(&authority);
    let ringway = start(to(nginx.address(), &authority, ""));
    let first = session(&ringway);
    assert_eq!(first[1..4], ["TLSv1.3", ".", NAME]);
    // The tickets that have come meanwhile are no reason to give it up.
    assert_eq!(session(&ringway)[0], first[0]);
}

#[test]
fn sessions_are_resumed() {
    let authority = Authority::new();
    let nginx = nginx(&authority);
    let ringway = start(to(nginx.address(), &authority, "").upstream_option("idle_connections", 0));
    let (first, second) = (session(&ringway), session(&ringway));
    assert_ne!(first[0], second[0]);
    assert_eq!((first[2].as_str(), second[2].as_str()), (".", "r"));
}

#[test]
fn a_server_with_another_name_or_another_authority_is_refused() {
    let (authority, other) = (Authority::new(), Authority::new());
    let nginx = Nginx::start_with_tls(&authority.sign(&["other.internal"]), None);
    assert_refused(&start(to(nginx.address(), &authority, "")), "certificate");
    let stranger = Nginx::start_with_tls(&other.sign(&[NAME]), None);
    assert_refused(&start(to(stranger.address(), &authority, "")), "certificate");
    // Nobody but the system knows whom the system trusts; not this authority.
    let system = start(Config::to(stranger.address()).upstream_option("tls", format!("{{ server_name = {NAME:?} }}")));
    assert_refused(&system, "certificate");
}

#[test]
fn without_a_name_of_its_own_the_server_is_verified_by_its_address_or_host() {
    let authority = Authority::new();
    let by = |address: &dyn std::fmt::Display| {
        let tls = format!("{{ ca = {:?} }}", authority.path());
        start(Config::to(address).upstream_option("tls", tls))
    };
    let nginx = Nginx::start_with_tls(&authority.sign(&["127.0.0.1"]), None);
    assert_eq!(session(&by(nginx.address()))[1], "TLSv1.3");
    let Address::Tcp(address) = nginx.address() else { panic!("a TCP address") };
    let localhost = format!("localhost:{}", address.port());
    assert_refused(&by(&localhost), "certificate");
    let named = Nginx::start_with_tls(&authority.sign(&["localhost"]), None);
    let Address::Tcp(address) = named.address() else { panic!("a TCP address") };
    assert_eq!(session(&by(&format!("localhost:{}", address.port())))[3], "localhost");
    assert_refused(&by(named.address()), "certificate");
}

/// The pin of the key in `certificate`, by OpenSSL.
pub(crate) fn pin(certificate: &Path) -> String {
    let line = "openssl x509 -in \"$0\" -noout -pubkey | openssl pkey -pubin -outform der \
                | openssl dgst -sha256 -binary | openssl base64";
    let mut command = Command::new("sh");
    run("sh", command.args(["-c", line]).arg(certificate), Duration::from_secs(10)).trim().to_owned()
}

#[test]
fn a_pinned_key_is_asked_for() {
    let (authority, other) = (Authority::new(), Authority::new());
    let certificate = authority.sign(&[NAME]);
    let nginx = Nginx::start_with_tls(&certificate, None);
    let (right, wrong) = (pin(&certificate), pin(&other.path()));
    let both = start(to(nginx.address(), &authority, &format!(", pins = [{wrong:?}, {right:?}]")));
    assert_eq!(session(&both)[3], NAME);
    assert_refused(&start(to(nginx.address(), &authority, &format!(", pins = [{wrong:?}]"))), "pinned");
    let alone = |pin: &str| {
        let tls = format!("{{ pins = [{pin:?}], server_name = {NAME:?} }}");
        start(Config::to(nginx.address()).upstream_option("tls", tls))
    };
    assert_eq!(session(&alone(&right))[3], NAME);
    assert_refused(&alone(&wrong), "pinned");
}

#[test]
fn a_server_that_asks_is_shown_the_certificate() {
    let authority = Authority::new();
    let (server, proxy) = (authority.sign(&[NAME]), authority.sign(&["proxy.internal"]));
    let nginx = Nginx::start_with_tls(&server, Some(&authority.path()));
    let shown = start(to(nginx.address(), &authority, &format!(", certificate = {proxy:?}")));
    assert_eq!(session(&shown)[4], "SUCCESS");
    let none = start(to(nginx.address(), &authority, ""));
    let (status, text) = get(&none, "/session");
    assert!(status == 400 && text.contains("No required SSL certificate"), "{text}");
}

#[test]
fn the_next_server_is_asked_where_a_handshake_fails() {
    let (authority, other) = (Authority::new(), Authority::new());
    let (wrong, right) = (nginx(&other), nginx(&authority));
    let tls = format!("{{ ca = {:?}, server_name = {NAME:?} }}", authority.path());
    let config = Config::new().upstream("app", &[wrong.address(), right.address()]).upstream_option("tls", tls);
    let ringway = start(config.route(None, "/", "app"));
    for _ in 0..4 {
        session(&ringway);
    }
}

#[test]
fn the_connect_timeout_covers_the_handshake() {
    let silent = Origin::start(|peer, _| peer.read_to_end().map(drop));
    let authority = Authority::new();
    let ringway = start(to(silent.address(), &authority, "").upstream_timeout("connect_timeout", "300ms"));
    let began = Instant::now();
    assert_eq!(get(&ringway, "/").0, 504);
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
}

#[test]
fn what_a_server_says_before_the_end_of_the_handshake_is_no_answer() {
    let eager = Origin::start(|peer, _| {
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")?;
        peer.read_to_end().map(drop)
    });
    assert_refused(&start(to(eager.address(), &Authority::new(), "")), "no TLS with a server");
}

#[test]
fn what_a_server_says_at_the_end_of_the_handshake_is_no_answer() {
    let authority = Authority::new();
    let config = server_config(&authority);
    let address = serve(move |stream| {
        // TLS 1.3 lets a server speak before the client's Finished.
        let mut connection = ServerConnection::new(Arc::clone(&config)).map_err(io::Error::other)?;
        let mut stream = stream;
        connection.read_tls(&mut stream)?;
        connection.process_new_packets().map_err(io::Error::other)?;
        connection.writer().write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")?;
        let mut together = Vec::new();
        while connection.wants_write() {
            connection.write_tls(&mut together)?;
        }
        stream.write_all(&together)?;
        stream.read_to_end(&mut Vec::new()).map(drop)
    });
    assert_refused(&start(to(&address, &authority, "")), "before it was asked");
}

#[test]
fn an_answer_that_is_cut_off_is_not_taken_for_whole() {
    let authority = Authority::new();
    let config = server_config(&authority);
    let address = serve(move |stream| {
        let connection = ServerConnection::new(Arc::clone(&config)).map_err(io::Error::other)?;
        let mut stream = StreamOwned::new(connection, stream);
        let mut request = [0; 4096];
        let count = stream.read(&mut request)?;
        stream.write_all(b"HTTP/1.1 200 OK\r\n\r\nall there is")?;
        if request[..count].starts_with(b"GET /whole") {
            stream.conn.send_close_notify();
        }
        stream.flush()
    });
    let ringway = start(to(&address, &authority, ""));
    assert_eq!(get(&ringway, "/whole"), (200, "all there is".to_owned()));
    let mut peer = ringway.connect();
    peer.send(b"GET /cut HTTP/1.1\r\nHost: a.example\r\n\r\n").unwrap();
    // An answer in chunks that does not end.
    assert!(peer.read_response("GET").is_err());
    ringway.assert_outcome("/whole", &["completed"]);
    ringway.assert_outcome("/cut", &["upstream_gone"]);
}

/// `openssl s_server` without a word of HTTP: what it is given it says, and what it hears it prints.
struct Speaking {
    server: Process,
    input: Option<ChildStdin>,
    port: Port,
}

impl Speaking {
    fn start(authority: &Authority, version: &str) -> Speaking {
        let port = Port::take();
        let mut command = Command::new("openssl");
        command.args(["s_server", "-quiet", version, "-naccept", "1", "-accept", &port.number().to_string(), "-cert"]);
        let (server, input) = Process::spawn_with_input("openssl", command.arg(authority.sign(&[NAME])));
        // A connection to find out would be the one that it accepts.
        eventually("OpenSSL listens", || listens(port.number()));
        Speaking { server, input: Some(input), port }
    }

    /// Asks for `path` through a proxy, and waits until the server has heard.
    fn asked(&self, authority: &Authority, path: &str) -> (Ringway, Peer) {
        let ringway = start(to(&self.port.address(), authority, ""));
        let mut client = ringway.connect();
        client.send(format!("GET {path} HTTP/1.1\r\nHost: a.example\r\n\r\n").as_bytes()).unwrap();
        eventually("the server has heard", || self.server.stdout().contains(path));
        (ringway, client)
    }

    fn say(&mut self, text: &str) {
        self.input.as_mut().expect("it has not ended").write_all(text.as_bytes()).unwrap();
    }
}

/// Whether somebody listens on this port of this machine.
fn listens(port: u16) -> bool {
    let sockets = ["/proc/net/tcp", "/proc/net/tcp6"].map(|table| std::fs::read_to_string(table).unwrap_or_default());
    let local = format!(":{port:04X}");
    sockets.iter().flat_map(|table| table.lines()).any(|line| {
        let words: Vec<&str> = line.split_whitespace().take(4).collect();
        words.len() == 4 && words[1].ends_with(&local) && words[3] == "0A"
    })
}

#[test]
fn an_answer_of_openssls_is_whole_if_it_ends_with_a_close_notify() {
    let authority = Authority::new();
    for version in ["-tls1_2", "-tls1_3"] {
        let mut speaking = Speaking::start(&authority, version);
        let (ringway, mut client) = speaking.asked(&authority, "/whole");
        speaking.say("HTTP/1.1 200 OK\r\n\r\nall there is");
        let head = client.read_final_head().unwrap().0;
        // The end of what it is to say is the end of its connection.
        speaking.input = None;
        let mut body = Vec::new();
        client.read_body(head.response_framing("GET"), &mut |piece| body.extend_from_slice(piece)).unwrap();
        assert_eq!(body, b"all there is", "{version}");
        ringway.assert_outcome("/whole", &["completed"]);
    }
}

#[test]
fn an_answer_of_openssls_is_not_whole_if_it_is_killed() {
    let authority = Authority::new();
    // Until the connection ends, by a length, and in chunks.
    for head in ["", "Content-Length: 100\r\n", "Transfer-Encoding: chunked\r\n"] {
        for version in ["-tls1_2", "-tls1_3"] {
            let mut speaking = Speaking::start(&authority, version);
            let (ringway, mut client) = speaking.asked(&authority, "/cut");
            let body = if head.starts_with('T') { "4\r\nhalf\r\n" } else { "half" };
            speaking.say(&format!("HTTP/1.1 200 OK\r\n{head}\r\n{body}"));
            let head = client.read_final_head().unwrap().0;
            speaking.server.signal("KILL");
            let read = client.read_body(head.response_framing("GET"), &mut |_| {});
            assert!(read.is_err(), "{version}: {head:?}");
            ringway.assert_outcome("/cut", &["upstream_gone"]);
        }
    }
}

#[test]
fn an_openssl_that_is_killed_before_it_answers_is_a_bad_gateway() {
    let authority = Authority::new();
    let speaking = Speaking::start(&authority, "-tls1_3");
    let (ringway, mut client) = speaking.asked(&authority, "/nothing");
    speaking.server.signal("KILL");
    assert_eq!(client.read_response("GET").unwrap().status(), 502);
    let record = ringway.record_of("/nothing");
    assert_ne!(record["outcome"], "completed", "{record}");
}

fn server_config(authority: &Authority) -> Arc<ServerConfig> {
    let path = authority.sign(&[NAME]);
    let provider = Arc::new(tls::rustls::crypto::aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let chain = vec![CertificateDer::from_pem_file(&path).unwrap()];
    let key = PrivateKeyDer::from_pem_file(&path).unwrap();
    let mut config = builder.with_no_client_auth().with_single_cert(chain, key).unwrap();
    config.send_half_rtt_data = true;
    Arc::new(config)
}

/// Serves connections one after the other, as `script` says, for as long as the test lasts.
fn serve(script: impl Fn(TcpStream) -> io::Result<()> + Send + 'static) -> Address {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            // The other side may go away whenever it likes.
            let _ = stream.and_then(&script);
        }
    });
    Address::Tcp(address)
}
