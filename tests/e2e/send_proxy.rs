//! Telling servers by the PROXY protocol who a connection was opened for.

use kit::{Config, Nginx, Origin, Peer, eventually, standard};

use crate::start;

/// An nginx that takes headers, and answers with what they say.
fn nginx() -> Nginx {
    let answer = "$proxy_protocol_addr:$proxy_protocol_port to $proxy_protocol_server_addr:$proxy_protocol_server_port";
    let server = format!("server {{ listen PORT proxy_protocol; location / {{ return 200 \"{answer}\"; }} }}");
    Nginx::start_with(&server, &[])
}

/// An origin that reads the line of version 1 and answers with it.
fn reading_v1() -> Origin {
    Origin::start(|peer, _| {
        let mut line = Vec::new();
        while !line.ends_with(b"\r\n") {
            line.extend(peer.read_bytes(1)?);
        }
        while peer.read_request()?.is_some() {
            let length = line.len() - 2;
            peer.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n").as_bytes())?;
            peer.send(&line[..length])?;
        }
        Ok(())
    })
}

fn told(client: &mut Peer, path: &str) -> String {
    client.exchange("GET", &standard::get(path)).unwrap().text()
}

#[test]
fn nginx_learns_of_both_ends_of_the_clients_connection() {
    let nginx = nginx();
    for version in ["v1", "v2"] {
        let ringway = start(Config::to(nginx.address()).upstream_option("send_proxy", format!("{version:?}")));
        let mut client = Peer::connect_from(ringway.address(), "127.0.0.5".parse().unwrap()).unwrap();
        let answer = told(&mut client, "/");
        assert!(answer.starts_with("127.0.0.5:"), "{version}: {answer}");
        assert!(answer.ends_with(&format!(" to {}", ringway.address())), "{version}: {answer}");
    }
}

#[test]
fn a_connection_is_opened_for_one_client_and_never_used_for_another() {
    let origin = reading_v1();
    let config = Config::to(origin.address()).upstream_option("send_proxy", "\"v1\"").upstream_option("connections", 4);
    let ringway = start(config.upstream_option("idle_connections", 4));
    let connect = |host: u8| Peer::connect_from(ringway.address(), [127, 0, 0, host].into()).unwrap();
    let mut clients = [connect(2), connect(3)];
    for round in 0..10 {
        for (client, host) in clients.iter_mut().zip([2, 3]) {
            let line = told(client, "/");
            assert!(line.starts_with(&format!("PROXY TCP4 127.0.0.{host} 127.0.0.1 ")), "round {round}: {line}");
        }
    }
    assert_eq!(origin.accepted(), 20, "each request has a connection of its own");
    eventually("all of them are closed", || origin.open() == 0);
    let counts = ringway.stop_and_count();
    assert_eq!(counts.get("upstream_reuses").copied().unwrap_or(0), 0, "{counts:?}");
}

#[test]
fn what_a_header_told_is_passed_on() {
    let origin = reading_v1();
    let config = Config::to(origin.address()).upstream_option("send_proxy", "\"v1\"");
    let config = config.listener_option("proxy_protocol", "\"optional\"");
    let ringway = start(config.set("trust", "networks", "[\"127.0.0.0/8\"]"));
    for (header, expected) in [
        ("PROXY TCP4 203.0.113.7 192.0.2.1 50123 443\r\n", "PROXY TCP4 203.0.113.7 192.0.2.1 50123 443"),
        ("PROXY TCP6 2001:db8::7 2001:db8::1 5 443\r\n", "PROXY TCP6 2001:db8::7 2001:db8::1 5 443"),
    ] {
        let mut client = ringway.connect();
        client.send(header.as_bytes()).unwrap();
        assert_eq!(told(&mut client, "/"), expected);
    }
    let line = told(&mut ringway.connect(), "/");
    assert!(line.starts_with("PROXY TCP4 127.0.0.1 127.0.0.1 "), "{line}");
}

#[test]
fn a_client_on_a_unix_socket_is_unknown() {
    let origin = reading_v1();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let config = Config::to(origin.address()).upstream_option("send_proxy", "\"v1\"");
    let _ringway = start(config.listen(format!("unix:{}", path.display())));
    assert_eq!(told(&mut Peer::connect(&kit::Address::Unix(path)), "/"), "PROXY UNKNOWN");
}

#[test]
fn idle_connections_of_before_are_not_used_after_the_order_to_tell() {
    let origin = Origin::start(|peer, _| {
        let mut line = peer.read_bytes(6)?;
        let is_told = line == b"PROXY ";
        while is_told && !line.ends_with(b"\r\n") {
            line.extend(peer.read_bytes(1)?);
        }
        let text = if is_told { String::from_utf8_lossy(&line).trim_end().to_owned() } else { "nothing".to_owned() };
        // Where the connection begins with the request, six bytes of its line are gone.
        while peer.read_head()?.is_some() {
            peer.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{text}", text.len()).as_bytes())?;
        }
        Ok(())
    });
    let ringway = start(Config::to(origin.address()));
    let mut client = ringway.connect();
    assert_eq!(told(&mut client, "/"), "nothing");
    ringway.reload(Config::to(origin.address()).upstream_option("send_proxy", "\"v1\""));
    // The client's connection is older than the order: its address is known, and no more.
    assert_eq!(told(&mut client, "/"), "PROXY TCP4 127.0.0.1 0.0.0.0 0 0");
    assert!(told(&mut ringway.connect(), "/").starts_with("PROXY TCP4 127.0.0.1 127.0.0.1 "));
    ringway.reload(Config::to(origin.address()));
    assert_eq!(told(&mut client, "/"), "nothing");
}
