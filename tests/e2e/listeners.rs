//! Where clients are accepted, and how many shards accept them.

use kit::{Address, Config, Head, Origin, Peer, Port, standard};

use crate::start;

#[test]
fn a_unix_socket_is_listened_on() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ringway.sock");
    let origin = standard::start();
    let ringway = start(Config::to(origin.address()).shards(2).listen(Address::Unix(path.clone())));
    for size in [0, 10, 100_000] {
        let mut client = Peer::connect(&Address::Unix(path.clone()));
        client.send(&standard::get(&format!("/length/{size}"))).unwrap();
        client.read_pattern_response("GET", size).unwrap();
    }
    assert_eq!(ringway.connect().exchange("GET", &standard::get("/length/1")).unwrap().status(), 200);
}

#[test]
fn an_upstream_on_a_unix_socket_is_reached() {
    let folder = tempfile::tempdir().unwrap();
    let origin = Origin::start_unix(&folder.path().join("origin.sock"), |peer, _| standard::serve(peer));
    let ringway = start(Config::to(origin.address()));
    let mut client = ringway.connect();
    for size in [0, 1, 65_537, 3_000_000] {
        client
            .send(format!("PUT /chunked/{size} HTTP/1.1\r\nHost: test\r\nContent-Length: {size}\r\n\r\n").as_bytes())
            .unwrap();
        client.send_pattern(0, size).unwrap();
        let head = client.read_pattern_response("PUT", size).unwrap();
        assert_eq!(head.field("x-body"), Some(size.to_string().as_str()));
    }
    assert_eq!(origin.accepted(), 1);
    assert_eq!(Head::parse(&origin.received(0)).values("x-forwarded-for"), ["127.0.0.1"]);
}

#[test]
fn several_listeners_serve_the_same() {
    let port = Port::take();
    let origin = standard::start();
    let ringway = start(Config::to(origin.address()).listen(port.address()));
    for address in [ringway.address(), &port.address()] {
        assert_eq!(Peer::connect(address).exchange("GET", &standard::get("/length/1")).unwrap().status(), 200);
    }
}

#[test]
fn every_number_of_shards_serves() {
    let origin = standard::start();
    for shards in [1, 2, 8] {
        let ringway = start(Config::to(origin.address()).shards(shards).set("shards", "pin", "true"));
        let mut clients: Vec<Peer> = (0..64).map(|_| ringway.connect()).collect();
        for client in &mut clients {
            client.send(&standard::get("/chunked/10000")).unwrap();
        }
        for client in &mut clients {
            client.read_pattern_response("GET", 10_000).unwrap();
        }
    }
}

#[test]
fn a_port_in_use_is_said_and_ends_the_program() {
    let port = Port::take();
    let Address::Tcp(address) = port.address() else { unreachable!("a port is of TCP") };
    let _taken = std::net::TcpListener::bind(address).unwrap();
    let origin = standard::start();
    let folder = tempfile::tempdir().unwrap();
    let config = Config::to(origin.address()).listen(address);
    let mut process = kit::Ringway::spawn(crate::BINARY, &config, folder.path());
    assert!(!process.wait().success());
    let message = process.stderr();
    assert!(message.contains(&address.to_string()), "the message names the address: {message}");
}
