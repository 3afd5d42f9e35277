//! What may stand ahead of a request: headers of the PROXY protocol, and the first bytes that tell protocols apart.

use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use kit::process::run;
use kit::{Config, Haproxy, Head, Origin, Peer, Ringway, eventually, standard};

use crate::start;

const V1: &str = "PROXY TCP4 203.0.113.7 192.0.2.1 50123 443\r\n";
const LIMIT: Duration = Duration::from_secs(30);

/// A header of version 2 for the same connection, with a TLV.
fn v2() -> Vec<u8> {
    let mut header = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x11".to_vec();
    header.extend([203, 0, 113, 7, 192, 0, 2, 1, 0xc3, 0xcb, 1, 0xbb]);
    header.extend(b"\x04\0\x02xx");
    header
}

/// A header of version 2 without addresses.
fn v2_local() -> Vec<u8> {
    b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0".to_vec()
}

/// Headers are taken of `networks`.
fn taking(mode: &str, networks: &str, origin: &Origin) -> Config {
    let config = Config::to(origin.address()).listener_option("proxy_protocol", format!("{mode:?}"));
    config.listener_option("proxy_networks", format!("[{networks:?}]"))
}

/// Sends `bytes` and then a request, and returns the head that the origin received.
fn forwarded(ringway: &Ringway, origin: &Origin, bytes: &[u8], fields: &str) -> Head {
    let before = origin.received_all().len();
    let request = format!("GET /length/1 HTTP/1.1\r\nHost: test.example\r\n{fields}\r\n");
    let response = ringway.connect().exchange("GET", &[bytes, request.as_bytes()].concat()).unwrap();
    assert_eq!(response.status(), 200);
    Head::parse(&origin.received_all()[before..])
}

/// Asserts that a connection that begins so is closed without a byte.
#[track_caller]
fn assert_closed(ringway: &Ringway, bytes: &[u8]) {
    let mut client = ringway.connect();
    // The other side may be quicker.
    let _ = client.send(bytes);
    let received = client.read_to_end().unwrap_or_default();
    assert_eq!(received, b"", "{}", bytes.escape_ascii());
}

fn counted(ringway: Ringway, name: &str) -> u64 {
    ringway.stop_and_count().get(name).copied().unwrap_or(0)
}

#[test]
fn the_address_of_a_proxy_header_takes_the_place_of_the_peers() {
    let origin = standard::start();
    let ringway = start(taking("required", "127.0.0.0/8", &origin));
    for header in [V1.as_bytes().to_vec(), v2()] {
        let head = forwarded(&ringway, &origin, &header, "X-Forwarded-For: 198.51.100.1\r\n");
        assert_eq!(head.values("x-forwarded-for"), ["203.0.113.7"], "what the client says of itself is not believed");
        assert_eq!(head.values("x-real-ip"), ["203.0.113.7"]);
    }
    let head = forwarded(&ringway, &origin, b"PROXY TCP6 2001:db8::7 2001:db8::1 5 443\r\n", "");
    assert_eq!(head.values("x-forwarded-for"), ["2001:db8::7"]);
    eventually("records tell of the client", || {
        let clients: Vec<String> = ringway.records().iter().map(|record| record["client"].to_string()).collect();
        clients == ["\"203.0.113.7\"", "\"203.0.113.7\"", "\"2001:db8::7\""]
    });
    let counts = ringway.stop_and_count();
    assert_eq!(counts.get("proxy_headers"), Some(&3), "{counts:?}");
}

#[test]
fn a_header_without_an_address_leaves_the_peers() {
    let origin = standard::start();
    let ringway = start(taking("required", "127.0.0.0/8", &origin));
    for header in [b"PROXY UNKNOWN\r\n".to_vec(), b"PROXY UNKNOWN 203.0.113.7 x\r\n".to_vec(), v2_local()] {
        let head = forwarded(&ringway, &origin, &header, "");
        assert_eq!(head.values("x-forwarded-for"), ["127.0.0.1"], "{}", header.escape_ascii());
    }
}

#[test]
fn whom_the_header_names_is_trusted_or_not_as_a_peer_would_be() {
    let origin = standard::start();
    let config = taking("required", "127.0.0.0/8", &origin).set("trust", "networks", "[\"203.0.113.0/24\"]");
    let ringway = start(config);
    let told = "X-Forwarded-For: 198.51.100.1\r\n";
    let head = forwarded(&ringway, &origin, V1.as_bytes(), told);
    assert_eq!(head.values("x-forwarded-for").join(", "), "198.51.100.1, 203.0.113.7");
    let head = forwarded(&ringway, &origin, b"PROXY TCP4 192.0.2.9 192.0.2.1 1 2\r\n", told);
    assert_eq!(head.values("x-forwarded-for"), ["192.0.2.9"]);
    let head = forwarded(&ringway, &origin, b"PROXY TCP6 ::ffff:cb00:7107 ::1 1 2\r\n", told);
    assert_eq!(head.values("x-forwarded-for").join(", "), "198.51.100.1, 203.0.113.7", "IPv4 in IPv6 clothing");
}

#[test]
fn a_header_may_come_in_any_pieces_with_any_of_the_request() {
    let origin = standard::start();
    let ringway = start(taking("required", "127.0.0.0/8", &origin));
    let request = b"GET /length/3 HTTP/1.1\r\nHost: test\r\n\r\n";
    for header in [V1.as_bytes().to_vec(), v2()] {
        let bytes = [&header[..], request].concat();
        for split in 1..bytes.len() {
            let mut client = ringway.connect();
            client.send(&bytes[..split]).unwrap();
            // Later connections are served only if the shard does not wait for this one.
            if split % 16 == 0 {
                forwarded(&ringway, &origin, &header, "");
            }
            client.send(&bytes[split..]).unwrap();
            assert_eq!(client.read_response("GET").unwrap().body, kit::pattern::bytes(3), "split at {split}");
        }
        let mut client = ringway.connect();
        client.send_in_pieces(&bytes, bytes.len()).unwrap();
        assert_eq!(client.read_response("GET").unwrap().status(), 200);
    }
    // The connection goes on as any other, and what was pipelined behind the first request is not lost.
    let mut client = ringway.connect();
    client.send(&[V1.as_bytes(), request, request].concat()).unwrap();
    for _ in 0..2 {
        assert_eq!(client.read_response("GET").unwrap().status(), 200);
    }
    assert_eq!(client.exchange("GET", request).unwrap().status(), 200);
}

#[test]
fn a_spoofed_header_is_refused() {
    let origin = standard::start();
    let config = taking("optional", "192.0.2.0/24", &origin).limit("glitches_per_client", 3);
    let ringway = start(config);
    let head = forwarded(&ringway, &origin, b"", "");
    assert_eq!(head.values("x-forwarded-for"), ["127.0.0.1"], "who sends none is served");
    for header in [V1.as_bytes().to_vec(), v2(), v2_local(), b"PROXY UNKNOWN\r\n".to_vec()] {
        assert_closed(&ringway, &[&header[..], &standard::get("/spoofed")].concat());
    }
    assert!(!origin.received_all().windows(7).any(|window| window == b"spoofed"), "nothing of it went on");
    eventually("the log tells of it", || ringway.process().stderr().contains("proxy_untrusted"));
    eventually("each leaves a record", || {
        ringway.records().iter().filter(|record| record["outcome"] == "client_malformed").count() == 4
    });
    assert_closed(&ringway, &standard::get("/"));
    let counts = ringway.stop_and_count();
    let found =
        ["refusals{proxy_untrusted}", "limits{limits.glitches_per_client}"].map(|name| counts.get(name).copied());
    assert_eq!(found, [Some(4), Some(1)], "{counts:?}");
}

#[test]
fn where_a_header_is_required_nobody_comes_in_without() {
    let origin = standard::start();
    let ringway = start(taking("required", "127.0.0.0/8", &origin));
    assert_closed(&ringway, &standard::get("/"));
    assert_closed(&ringway, b"\x16\x03\x01\x02\0\x01");
    assert_closed(&ringway, b"PROXYTCP4 203.0.113.7 192.0.2.1 50123 443\r\n");
    assert_eq!(origin.accepted(), 0);
    assert_eq!(counted(ringway, "refusals{proxy_missing}"), 3);

    // Who may send none is closed before it says anything.
    let ringway = start(taking("required", "192.0.2.0/24", &origin));
    let before = ringway.process().stderr().matches("proxy_untrusted").count();
    ringway.connect().assert_ends();
    assert_closed(&ringway, &[V1.as_bytes(), &standard::get("/")].concat());
    assert_eq!(origin.accepted(), 0);
    assert!(ringway.process().stderr().matches("proxy_untrusted").count() >= before);
    assert!(counted(ringway, "refusals{proxy_untrusted}") >= 2);
}

#[test]
fn a_malformed_header_is_refused() {
    let origin = standard::start();
    let ringway = start(taking("optional", "127.0.0.0/8", &origin));
    let head = forwarded(&ringway, &origin, b"", "");
    assert_eq!(head.values("x-forwarded-for"), ["127.0.0.1"]);
    let mut wrong_checksum = b"\r\n\r\n\0\r\nQUIT\n\x21\0\0\x07\x03\0\x04".to_vec();
    wrong_checksum.extend([1, 2, 3, 4]);
    let headers: [&[u8]; 5] = [
        b"PROXY TCP4 203.0.113.7 192.0.2.1 050 443\r\n",
        b"PROXY TCP4 203.0.113.7 192.0.2.1 1 443\n",
        &[b"PROXY UNKNOWN ".as_slice(), &[b'x'; 120]].concat(),
        b"\r\n\r\n\0\r\nQUIT\n\x21\x11\xff\xff",
        &wrong_checksum,
    ];
    for header in headers {
        assert_closed(&ringway, &[header, &standard::get("/")].concat());
    }
    assert_eq!(counted(ringway, "refusals{proxy_malformed}"), 5);
}

#[test]
fn where_no_header_is_taken_one_is_a_malformed_request() {
    let origin = standard::start();
    let ringway = crate::before(&origin);
    let mut client = ringway.connect();
    client.send(&[V1.as_bytes(), &standard::get("/")].concat()).unwrap();
    assert_eq!(client.read_response("GET").unwrap().status(), 400);
    assert_eq!(origin.accepted(), 0);
}

#[test]
fn limits_by_client_go_by_the_address_of_the_header() {
    let origin = standard::start();
    let config = taking("required", "127.0.0.0/8", &origin).limit("connections_per_client", 2);
    let ringway = start(config.limit("glitches_per_client", 2));
    let of = |host: u8| format!("PROXY TCP4 203.0.113.{host} 192.0.2.1 1 443\r\n").into_bytes();
    let open = |host: u8| {
        let mut client = ringway.connect();
        client.send(&[&of(host)[..], &standard::get("/length/1")].concat()).unwrap();
        client.read_response("GET").map(|_| client)
    };
    let held: Vec<Peer> = [1, 1, 2, 2].into_iter().map(|host| open(host).unwrap()).collect();
    assert!(open(1).is_err() && open(2).is_err() && open(3).is_ok());
    drop(held);
    eventually("places are given back", || open(1).is_ok());
    // Breaches are put down to it as well, and not to the proxy that speaks for it.
    for _ in 0..3 {
        let mut client = ringway.connect();
        client.send(&[&of(9)[..], b"GET / HTTP/1.1\r\n\r\n"].concat()).unwrap();
        assert_eq!(client.read_response("GET").unwrap().status(), 400);
    }
    assert!(open(9).is_err() && open(8).is_ok());
    let counts = ringway.stop_and_count();
    assert!(counts.get("limits{limits.connections_per_client}").is_some_and(|count| *count >= 2), "{counts:?}");
    assert_eq!(counts.get("limits{limits.glitches_per_client}"), Some(&1), "{counts:?}");
}

#[test]
fn one_deadline_covers_header_and_head() {
    let origin = standard::start();
    let config = taking("required", "127.0.0.0/8", &origin).passthrough(&["a.example"], "app");
    let config = config.listener_option("protocols", "[\"http1\", \"tls\"]").timeout("head", "1s");
    let ringway = start(config);
    let whole = [V1.as_bytes(), &standard::get("/")].concat();
    let hello = [V1.as_bytes(), b"\x16\x03\x01\x02\0\x01\0\x01"].concat();
    for (bytes, answered) in
        [(&b""[..], false), (&whole[..20], false), (&whole[..V1.len()], false), (&hello, false), (&whole[..60], true)]
    {
        let (began, mut client) = (Instant::now(), ringway.connect());
        // Progress does not extend it.
        let mut sender = client.second();
        let bytes = bytes.to_vec();
        let sending = thread::spawn(move || {
            for byte in bytes {
                if sender.send(&[byte]).is_err() {
                    return;
                }
                thread::sleep(Duration::from_millis(1));
            }
        });
        let received = client.read_to_end().unwrap_or_default();
        let took = began.elapsed();
        sending.join().unwrap();
        assert_eq!(received.starts_with(b"HTTP/1.1 408"), answered, "{}", received.escape_ascii());
        assert!(took >= Duration::from_millis(900) && took < Duration::from_secs(8), "{took:?}");
    }
    assert_eq!(origin.accepted(), 0);
    let counts = ringway.stop_and_count();
    assert!(counts.get("limits{timeouts.head}").is_some_and(|count| *count >= 5), "{counts:?}");
}

#[test]
fn curl_and_haproxy_speak_it() {
    let origin = standard::start();
    let ringway = start(taking("required", "127.0.0.0/8", &origin));
    let mut curl = Command::new("curl");
    let arguments = ["--silent", "--show-error", "--fail", "--max-time", "20", "--noproxy", "*", "--haproxy-protocol"];
    let _ = run("curl", curl.args(arguments).args(["--output", "/dev/null", &ringway.url("/length/1000")]), LIMIT);
    for (mode, options) in
        [("tcp", "send-proxy"), ("tcp", "send-proxy-v2"), ("http", "send-proxy-v2 proxy-v2-options crc32c")]
    {
        let haproxy = Haproxy::start(mode, ringway.address(), options);
        let mut client = Peer::connect_from(haproxy.address(), "127.0.0.9".parse().unwrap()).unwrap();
        let before = origin.received_all().len();
        client.send(&standard::get("/length/100000")).unwrap();
        client.read_pattern_response("GET", 100_000).unwrap();
        let head = Head::parse(&origin.received_all()[before..]);
        assert_eq!(head.values("x-forwarded-for"), ["127.0.0.9"], "{options}");
    }
    let counts = ringway.stop_and_count();
    assert!(counts.get("proxy_headers").is_some_and(|count| *count >= 4), "{counts:?}");
}

#[test]
fn a_unix_socket_is_trusted_where_the_configuration_says_so() {
    let origin = standard::start();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let config = taking("required", "127.0.0.0/8", &origin).set("trust", "unix", true);
    let ringway = start(config.listen(format!("unix:{}", path.display())));
    let before = origin.received_all().len();
    let mut client = Peer::connect(&kit::Address::Unix(path));
    client.send(&[V1.as_bytes(), &standard::get("/length/1")].concat()).unwrap();
    assert_eq!(client.read_response("GET").unwrap().status(), 200);
    assert_eq!(Head::parse(&origin.received_all()[before..]).values("x-forwarded-for"), ["203.0.113.7"]);
    drop(ringway);
}

#[test]
fn protocols_that_are_not_served_are_told_apart_and_counted() {
    let origin = standard::start();
    let hello = b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03";
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    let status = |ringway: &Ringway, bytes: &[u8]| {
        let mut client = ringway.connect();
        client.send(bytes).unwrap();
        client.read_response("GET").unwrap().status()
    };
    // Without detection, and with it.
    let plain = start(Config::to(origin.address()).listener_option("protocols", "[\"http1\"]"));
    let config = Config::to(origin.address()).passthrough(&["a.example"], "app");
    let both = start(config.clone().listener_option("protocols", "[\"http1\", \"tls\"]"));
    assert_eq!([status(&plain, hello), status(&plain, preface), status(&plain, b"\0\0\r\n\r\n")], [400, 505, 400]);
    assert_eq!(
        [status(&both, preface), status(&both, b"\0\0\r\n\r\n"), status(&both, &standard::get("/length/1"))],
        [505, 400, 200]
    );
    let counts = plain.stop_and_count();
    for name in ["refusals{tls_unserved}", "refusals{http2_unserved}", "refusals{unknown_protocol}"] {
        assert_eq!(counts.get(name), Some(&1), "{name}: {counts:?}");
    }
    assert_eq!(counted(both, "refusals{http2_unserved}"), 1);

    let tls_only = start(config.listener_option("protocols", "[\"tls\"]"));
    assert_eq!([status(&tls_only, &standard::get("/")), status(&tls_only, preface)], [400, 400]);
    assert_closed(&tls_only, b"\0\0\r\n\r\n");
    let counts = tls_only.stop_and_count();
    for name in ["refusals{plain_unserved}", "refusals{http2_unserved}", "refusals{unknown_protocol}"] {
        assert_eq!(counts.get(name), Some(&1), "{name}: {counts:?}");
    }
    assert_eq!(origin.accepted(), 1);
}

#[test]
fn http_and_tls_share_a_port_behind_a_proxy_header() {
    let origin = standard::start();
    let authority = kit::Authority::new();
    let config = taking("optional", "127.0.0.0/8", &origin).tls(&[&authority.sign(&["one.example"])]);
    let ringway = start(config.listener_option("protocols", "[\"http1\", \"tls\"]"));
    let head = forwarded(&ringway, &origin, V1.as_bytes(), "");
    assert_eq!((head.field("x-forwarded-for"), head.field("x-forwarded-proto")), (Some("203.0.113.7"), Some("http")));
    let port = ringway.address().to_string().rsplit(':').next().unwrap().to_owned();
    let mut curl = Command::new("curl");
    curl.args(["--silent", "--show-error", "--fail", "--max-time", "20", "--noproxy", "*", "--haproxy-protocol"]);
    curl.arg("--cacert").arg(authority.path()).args(["--resolve", &format!("one.example:{port}:127.0.0.1")]);
    let before = origin.received_all().len();
    let url = format!("https://one.example:{port}/length/5");
    let _ = run("curl", curl.args(["--output", "/dev/null", &url]), LIMIT);
    let head = Head::parse(&origin.received_all()[before..]);
    assert_eq!((head.field("x-forwarded-for"), head.field("x-forwarded-proto")), (Some("127.0.0.1"), Some("https")));
    // HAProxy passes the client's TLS on, behind the header.
    let haproxy = Haproxy::start("tcp", ringway.address(), "send-proxy-v2");
    let front = haproxy.address().to_string().rsplit(':').next().unwrap().to_owned();
    let mut curl = Command::new("curl");
    curl.args(["--silent", "--show-error", "--fail", "--max-time", "20", "--noproxy", "*", "--interface", "127.0.0.8"]);
    curl.arg("--cacert").arg(authority.path()).args(["--resolve", &format!("one.example:{front}:127.0.0.1")]);
    let before = origin.received_all().len();
    let url = format!("https://one.example:{front}/length/5");
    let _ = run("curl", curl.args(["--output", "/dev/null", &url]), LIMIT);
    let head = Head::parse(&origin.received_all()[before..]);
    assert_eq!((head.field("x-forwarded-for"), head.field("x-forwarded-proto")), (Some("127.0.0.8"), Some("https")));
}

#[test]
fn plain_http_on_a_port_for_tls_is_refused_or_sent_to_https() {
    let origin = standard::start();
    let authority = kit::Authority::new();
    let config = Config::to(origin.address()).tls(&[&authority.sign(&["one.example"])]);
    let request = b"GET /a?b=c HTTP/1.1\r\nHost: one.example:8443\r\n\r\n";
    let refusing = start(config.clone());
    let mut client = refusing.connect();
    client.send(request).unwrap();
    assert_eq!(client.read_response("GET").unwrap().status(), 400);
    assert_eq!(counted(refusing, "refusals{plain_unserved}"), 1);

    let redirecting = start(config.listener_option("plain_http", "\"redirect\""));
    for split in [1, 10, request.len() - 1, request.len()] {
        let mut client = redirecting.connect();
        client.send(&request[..split]).unwrap();
        client.send(&request[split..]).unwrap();
        let response = client.read_response("GET").unwrap();
        let location = response.head.field("location");
        assert_eq!((response.status(), location), (308, Some("https://one.example:8443/a?b=c")), "split at {split}");
        client.assert_ends();
    }
    let mut client = redirecting.connect();
    client.send(b"GET / HTTP/1.0\r\n\r\n").unwrap();
    assert_eq!(client.read_response("GET").unwrap().status(), 400, "it names no host");
    assert_eq!(origin.accepted(), 0);
}
