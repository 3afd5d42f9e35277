//! TLS that is passed through by the name that the client asks for, between real clients and real servers.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use kit::process::run;
use kit::{Config, Gate, Nginx, Origin, Peer, Port, Process, Ringway, eventually, pattern, standard};
use tempfile::TempDir;

use crate::start;

const LIMIT: Duration = Duration::from_secs(30);

/// A key and a certificate for `name`, signed by itself.
struct Certificate {
    name: &'static str,
    folder: TempDir,
}

impl Certificate {
    fn of(name: &'static str) -> Certificate {
        let folder = tempfile::tempdir().expect("a folder");
        let mut openssl = Command::new("openssl");
        openssl.args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
            "-nodes",
            "-days",
            "2",
        ]);
        openssl.args(["-subj", &format!("/CN={name}"), "-addext", &format!("subjectAltName=DNS:{name}")]);
        openssl.arg("-keyout").arg(folder.path().join("key")).arg("-out").arg(folder.path().join("certificate"));
        let _ = run("openssl", &mut openssl, LIMIT);
        Certificate { name, folder }
    }

    fn path(&self, file: &str) -> std::path::PathBuf {
        self.folder.path().join(file)
    }

    /// An nginx that answers every request with the certificate's name and what it knows of the client.
    fn nginx(&self, listen: &str) -> Nginx {
        let server = format!(
            "server {{ listen PORT ssl {listen}; ssl_certificate FOLDER/certificate; ssl_certificate_key FOLDER/key;
                location / {{ return 200 \"{} $ssl_server_name $proxy_protocol_addr\"; }} location /files/ {{ root FOLDER; }} }}",
            self.name
        );
        let read = |file| fs::read(self.path(file)).expect("a file of a certificate");
        Nginx::start_with(&server, &[("certificate", &read("certificate")), ("key", &read("key"))])
    }
}

/// Listens for TLS and HTTP/1 on one port.
fn on_one_port(origin: &Origin) -> Config {
    Config::to(origin.address()).listener_option("protocols", "[\"http1\", \"tls\"]")
}

fn port(ringway: &Ringway) -> String {
    ringway.address().to_string().rsplit(':').next().unwrap().to_owned()
}

/// What curl gets from `https://name/path` through the proxy; it verifies the certificate.
fn curl(ringway: &Ringway, certificate: &Certificate, name: &str, path: &str) -> String {
    let port = port(ringway);
    let mut curl = Command::new("curl");
    curl.args(["--silent", "--show-error", "--fail", "--max-time", "20", "--noproxy", "*", "--cacert"]);
    curl.arg(certificate.path("certificate")).args(["--resolve", &format!("{name}:{port}:127.0.0.1")]);
    run("curl", curl.arg(format!("https://{name}:{port}{path}")), LIMIT)
}

/// What openssl says of a handshake that asks for `name`, or for none.
fn s_client(ringway: &Ringway, name: Option<&str>) -> String {
    let mut command = Command::new("openssl");
    command.args(["s_client", "-connect", &ringway.address().to_string()]);
    match name {
        Some(name) => command.args(["-servername", name]),
        None => command.arg("-noservername"),
    };
    let mut process = Process::spawn("openssl", &mut command);
    let _ = process.wait();
    process.stdout() + &process.stderr()
}

/// The first message of a client that asks for `name`, as openssl sends it.
fn client_hello(name: &str) -> Vec<u8> {
    let origin = Origin::start(|peer, _| {
        let head = peer.read_bytes(5)?;
        peer.read_bytes(usize::from(u16::from_be_bytes([head[3], head[4]]))).map(|_| ())
    });
    let mut command = Command::new("openssl");
    command.args(["s_client", "-connect", &origin.address().to_string(), "-servername", name]);
    let mut process = Process::spawn("openssl", &mut command);
    let _ = process.wait();
    origin.received(0)
}

#[test]
fn connections_go_by_their_name_and_keep_the_servers_certificate() {
    let origin = standard::start();
    let (one, other) = (Certificate::of("one.example"), Certificate::of("a.other.example"));
    let (first, second) = (one.nginx(""), other.nginx(""));
    let config = on_one_port(&origin).upstream("one", &[first.address()]).upstream("another", &[second.address()]);
    let config = config.passthrough(&["one.example"], "one").passthrough(&["*.other.example"], "another");
    let ringway = start(config);
    assert_eq!(curl(&ringway, &one, "one.example", "/"), "one.example one.example ");
    assert_eq!(curl(&ringway, &other, "a.other.example", "/"), "a.other.example a.other.example ");
    // HTTP on the same port goes on as ever.
    assert_eq!(ringway.connect().exchange("GET", &standard::get("/length/9")).unwrap().status(), 200);
    eventually("records tell of both", || ringway.records().len() == 3);
    let records = ringway.records();
    let record = records.iter().find(|record| record["host"] == "one.example").expect("a record by its name");
    let told = ["client", "route", "upstream", "outcome"].map(|field| record[field].as_str().unwrap_or_default());
    assert_eq!(told, ["127.0.0.1", "one.example", "one", "completed"], "{record}");
    assert_eq!(record["status"], 200);
    assert!(record["bytes_in"].as_u64() > Some(300) && record["bytes_out"].as_u64() > Some(500), "{record}");
    let counts = ringway.stop_and_count();
    assert_eq!((counts.get("passthroughs"), counts.get("tunnels")), (Some(&2), Some(&2)), "{counts:?}");
}

#[test]
fn a_large_answer_is_spliced_and_whole() {
    const BYTES: usize = 30_000_000;
    let origin = standard::start();
    let certificate = Certificate::of("one.example");
    let nginx = certificate.nginx("");
    let ringway = start(on_one_port(&origin).upstream("one", &[nginx.address()]).passthrough(&["one.example"], "one"));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("body");
    nginx.put_into("files/large", &pattern::bytes(BYTES));
    let port = port(&ringway);
    let mut curl = Command::new("curl");
    curl.args(["--silent", "--show-error", "--fail", "--max-time", "60", "--noproxy", "*", "--cacert"]);
    curl.arg(certificate.path("certificate")).args(["--resolve", &format!("one.example:{port}:127.0.0.1")]);
    let _ = run("curl", curl.arg("--output").arg(&file).arg(format!("https://one.example:{port}/files/large")), LIMIT);
    assert!(fs::read(&file).unwrap() == pattern::bytes(BYTES), "byte for byte");
    let counts = ringway.stop_and_count();
    assert!(counts.get("ring_bytes_spliced").is_some_and(|bytes| *bytes > BYTES as u64 / 2), "{counts:?}");
}

#[test]
fn who_asks_for_nobody_here_gets_an_alert() {
    let origin = standard::start();
    let certificate = Certificate::of("one.example");
    let nginx = certificate.nginx("");
    let config = on_one_port(&origin).upstream("one", &[nginx.address()]).passthrough(&["one.example"], "one");
    let ringway = start(config.clone());
    for name in [Some("two.example"), Some("sub.one.example"), None] {
        let said = s_client(&ringway, name);
        assert!(said.contains("unrecognized name"), "{name:?}: {said}");
    }
    eventually("records tell of them", || {
        ringway.records().iter().filter(|record| record["outcome"] == "no_route").count() == 3
    });
    let counts = ringway.stop_and_count();
    assert_eq!(counts.get("refusals{tls_unknown_name}"), Some(&3), "{counts:?}");

    // A rule without names is for all of them.
    let ringway = start(config.passthrough(&[], "one"));
    for name in [Some("two.example"), None] {
        let said = s_client(&ringway, name);
        assert!(said.contains("CN = one.example"), "{name:?}: {said}");
    }
}

#[test]
fn a_handshake_may_come_in_any_pieces_and_reaches_the_server_as_it_was() {
    let hello = client_hello("one.example");
    assert!(hello.len() > 200, "{}", hello.len());
    let server = Origin::start({
        let length = hello.len() + 4;
        move |peer, _| {
            peer.read_bytes(length)?;
            peer.send(b"answer")?;
            peer.half_close()
        }
    });
    let origin = standard::start();
    let config = on_one_port(&origin).upstream("one", &[server.address()]).passthrough(&["one.example"], "one");
    let ringway = start(config);
    let bytes = [&hello[..], b"more"].concat();
    for split in 1..bytes.len() {
        let mut client = ringway.connect();
        client.send(&bytes[..split]).unwrap();
        if split % 32 == 0 {
            assert_eq!(ringway.connect().exchange("GET", &standard::get("/length/1")).unwrap().status(), 200);
        }
        client.send(&bytes[split..]).unwrap();
        assert_eq!(client.read_bytes(6).unwrap(), b"answer", "split at {split}");
        client.half_close().unwrap();
        client.assert_ends();
    }
    // The same message in records of few bytes each.
    let records: Vec<u8> =
        hello[5..].chunks(50).flat_map(|data| [&[22, 3, 1, 0, data.len() as u8], data].concat()).collect();
    let fill = vec![b'x'; (hello.len() + 4).saturating_sub(records.len())];
    let mut client = ringway.connect();
    client.send_in_pieces(&[records, fill].concat(), 40).unwrap();
    assert_eq!(client.read_bytes(6).unwrap(), b"answer");
    server.received_all().chunks(bytes.len()).take(bytes.len() - 1).for_each(|received| assert!(received == bytes));
}

#[test]
fn malformed_handshakes_are_refused_with_an_alert() {
    let server = standard::start();
    let config = on_one_port(&server).passthrough(&[], "app").limit("glitches_per_client", 100);
    let ringway = start(config);
    let hello = client_hello("one.example");
    let mut cut = hello.clone();
    cut[5 + 3] -= 1;
    // Not a ClientHello, a message too large, an empty record, another record within the message, lengths that do not add up.
    let handshakes: [(&[u8], u8); 5] = [
        (b"\x16\x03\x01\0\x04\x02\0\0\0", 10),
        (b"\x16\x03\x01\0\x04\x01\x01\0\0", 50),
        (b"\x16\x03\x01\0\0", 10),
        (b"\x16\x03\x01\0\x04\x01\0\0\x09\x17\x03\x01", 10),
        (&cut, 50),
    ];
    for (handshake, alert) in handshakes {
        let mut client = ringway.connect();
        client.send(handshake).unwrap();
        assert_eq!(client.read_to_end().unwrap(), [21, 3, 1, 0, 2, 2, alert], "{}", handshake.escape_ascii());
    }
    assert_eq!(server.accepted(), 0);
    let counts = ringway.stop_and_count();
    assert_eq!(counts.get("refusals{tls_malformed}"), Some(&5), "{counts:?}");
}

#[test]
fn a_server_that_cannot_be_connected_to_is_passed_over() {
    let origin = standard::start();
    let certificate = Certificate::of("one.example");
    let nginx = certificate.nginx("");
    let (dead, dead_too) = (Port::take(), Port::take());
    let config = on_one_port(&origin).upstream("one", &[&dead.address(), &dead_too.address(), nginx.address()]);
    let config = config.passthrough(&["one.example"], "one").upstream("none", &[&dead.address()]);
    let ringway = start(config.passthrough(&["none.example"], "none"));
    for _ in 0..4 {
        assert_eq!(curl(&ringway, &certificate, "one.example", "/"), "one.example one.example ");
    }
    let said = s_client(&ringway, Some("none.example"));
    assert!(said.contains("internal error"), "{said}");
    eventually("records tell of it", || {
        ringway.records().iter().any(|record| record["outcome"] == "upstream_refused" && record["status"] == 502)
    });
    let counts = ringway.stop_and_count();
    assert!(counts.get("upstream_failovers").is_some_and(|count| *count >= 2), "{counts:?}");
}

#[test]
fn servers_are_told_who_the_client_is() {
    let origin = standard::start();
    let certificate = Certificate::of("one.example");
    let nginx = certificate.nginx("proxy_protocol");
    for version in ["v1", "v2"] {
        let config = on_one_port(&origin).upstream("one", &[nginx.address()]);
        let config = config.upstream_option("send_proxy", format!("{version:?}")).passthrough(&["one.example"], "one");
        let ringway = start(config);
        assert_eq!(curl(&ringway, &certificate, "one.example", "/"), "one.example one.example 127.0.0.1");
    }
}

#[test]
fn it_has_the_limits_of_a_tunnel_and_of_a_drain() {
    let hello = client_hello("one.example");
    let serve = |gate: Gate| {
        Origin::start(move |peer, _| {
            peer.read_bytes(100)?;
            peer.send(b"answer")?;
            gate.wait();
            peer.half_close()
        })
    };
    let open = |ringway: &Ringway| {
        let mut client = ringway.connect();
        client.send(&hello).unwrap();
        assert_eq!(client.read_bytes(6).unwrap(), b"answer");
        client
    };
    let gate = Gate::new();
    let server = serve(gate.clone());
    let config = Config::to(server.address()).listener_option("protocols", "[\"tls\"]").passthrough(&[], "app");
    let ringway = start(config.clone().timeout("tunnel_idle", "300ms"));
    let (mut client, began) = (open(&ringway), Instant::now());
    client.assert_ends();
    assert!(began.elapsed() >= Duration::from_millis(250), "{:?}", began.elapsed());
    eventually("the record says why", || ringway.records().iter().any(|record| record["outcome"] == "tunnel_idle"));

    let mut ringway = start(config.timeout("drain", "500ms"));
    let mut client = open(&ringway);
    ringway.terminate();
    client.assert_ends();
    assert!(ringway.wait().success());
    let record = ringway.records().into_iter().next_back().expect("a record");
    assert_eq!(
        (record["outcome"].as_str(), record["limit"].as_str()),
        (Some("request_timeout"), Some("timeouts.drain"))
    );
    gate.open();
}

#[test]
fn it_works_between_openssl_and_openssl() {
    let certificate = Certificate::of("one.example");
    let port = Port::take();
    let mut server = Command::new("openssl");
    server.args(["s_server", "-accept", &port.address().to_string(), "-www", "-quiet"]);
    server.arg("-cert").arg(certificate.path("certificate")).arg("-key").arg(certificate.path("key"));
    let mut server = Process::spawn("openssl", &mut server);
    server.wait_until_listening(&port.address());
    let config =
        Config::to(port.address()).listener_option("protocols", "[\"tls\"]").passthrough(&["one.example"], "app");
    let ringway = start(config);
    for version in ["-tls1_2", "-tls1_3"] {
        let mut client = Command::new("openssl");
        client.args(["s_client", "-connect", &ringway.address().to_string(), "-servername", "one.example", version]);
        client.args(["-verify_return_error", "-CAfile"]).arg(certificate.path("certificate"));
        let mut client = Process::spawn("openssl", &mut client);
        let _ = client.wait();
        let said = client.stdout();
        assert!(said.contains("Verify return code: 0 (ok)") && said.contains("CN = one.example"), "{version}: {said}");
    }
    assert!(Path::new(&certificate.path("key")).exists());
}

#[test]
fn a_reload_changes_where_new_connections_go_and_leaves_the_others() {
    let hello = client_hello("one.example");
    let serve = |answer: &'static str| {
        Origin::start(move |peer, _| {
            peer.read_bytes(100)?;
            peer.send(answer.as_bytes())?;
            let _ = peer.read_to_end();
            Ok(())
        })
    };
    let (first, second) = (serve("first"), serve("other"));
    let config = |to: &Origin| {
        let config = Config::to(to.address()).listener_option("protocols", "[\"tls\"]");
        config.passthrough(&["one.example"], "app")
    };
    let ringway = start(config(&first));
    let open = |expected: &str| {
        let mut client: Peer = ringway.connect();
        client.send(&hello).unwrap();
        assert_eq!(client.read_bytes(5).unwrap(), expected.as_bytes());
        client
    };
    let client = open("first");
    ringway.reload(config(&second));
    let _other = open("other");
    assert!(client.is_idle(), "it goes on");
    assert_eq!(first.open(), 1);
}

#[test]
fn names_without_a_rule_end_here_where_tls_does() {
    let origin = standard::start();
    let certificate = Certificate::of("one.example");
    let nginx = certificate.nginx("");
    let authority = kit::Authority::new();
    let config = Config::to(origin.address()).tls(&[&authority.sign(&["two.example"])]);
    let ringway = start(config.upstream("one", &[nginx.address()]).passthrough(&["one.example"], "one"));
    assert_eq!(curl(&ringway, &certificate, "one.example", "/"), "one.example one.example ");
    let port = port(&ringway);
    let mut curl = Command::new("curl");
    curl.args(["--silent", "--show-error", "--fail", "--max-time", "20", "--noproxy", "*", "--cacert"]);
    curl.arg(authority.path()).args(["--resolve", &format!("two.example:{port}:127.0.0.1")]);
    let _ =
        run("curl", curl.args(["--output", "/dev/null"]).arg(format!("https://two.example:{port}/length/5")), LIMIT);
    assert_eq!(origin.accepted(), 1);
    let counts = ringway.stop_and_count();
    assert_eq!((counts.get("passthroughs"), counts.get("tls_handshakes")), (Some(&1), Some(&1)), "{counts:?}");
}
