//! 15,000 connections at once. The test runs alone: see `.config/nextest.toml` and [`kit::Turn`].

use std::process::Command;

use kit::{Config, Peer, Ringway, Turn, standard};

use crate::BINARY;

const CONNECTIONS: usize = 15_000;
/// Descriptors that this process and the proxy need, each for itself: one for each connection, and some.
const DESCRIPTORS: usize = CONNECTIONS + 500;
/// User memory of an idle keep-alive connection.
const IDLE_BYTES_MAX: u64 = 2 << 10;

#[test]
fn fifteen_thousand_connections_are_held_and_served() {
    let _turn = Turn::alone();
    raise_descriptor_limit(DESCRIPTORS);
    let origin = standard::start();
    let config = Config::to(origin.address()).shards(2).limit("connections", 20_000);
    let ringway = Ringway::start_in_turn(BINARY, config.timeout("keep_alive", "10m").set("log", "access", "\"off\""));
    warm_up(&ringway);
    let (memory, descriptors) = (ringway.process().memory_bytes(), ringway.process().descriptors());

    let mut clients: Vec<Peer> = Vec::with_capacity(CONNECTIONS);
    for number in 0..CONNECTIONS {
        let mut client = ringway.connect();
        let response = client.exchange("GET", &standard::get("/length/10"));
        assert_eq!(response.unwrap_or_else(|error| panic!("connection {number}: {error}")).status(), 200);
        clients.push(client);
    }
    let growth = ringway.process().memory_bytes().saturating_sub(memory);
    let each = growth / CONNECTIONS as u64;
    println!("{each} bytes of user memory for each idle connection");
    assert!(ringway.process().descriptors() >= descriptors + CONNECTIONS, "all connections are held");
    assert!(each <= IDLE_BYTES_MAX, "{each} bytes for each idle connection");

    for (number, client) in clients.iter_mut().enumerate() {
        assert!(client.is_idle(), "connection {number} was closed");
        let response = client.exchange("GET", &standard::get("/length/10"));
        assert_eq!(response.unwrap_or_else(|error| panic!("connection {number}: {error}")).status(), 200);
    }
    drop(clients);
    ringway.wait_for_descriptors(descriptors);
}

/// Brings the proxy to the state in which it is after some work. Its receive buffers are a pool of constant size, which becomes
/// resident as it goes round: that is no memory of a connection.
fn warm_up(ringway: &Ringway) {
    let mut clients: Vec<Peer> = (0..200).map(|_| ringway.connect()).collect();
    for _ in 0..30 {
        for client in &mut clients {
            assert_eq!(client.exchange("GET", &standard::get("/length/10")).unwrap().status(), 200);
        }
    }
    let busy = ringway.process().descriptors();
    drop(clients);
    ringway.wait_for_descriptors(busy - 200);
}

/// Raises the limit on descriptors of this process, which the proxy inherits.
pub(crate) fn raise_descriptor_limit(descriptors: usize) {
    let process = std::process::id().to_string();
    let status = Command::new("prlimit").args(["--pid", &process, &format!("--nofile={descriptors}:")]).status();
    assert!(
        status.expect("prlimit").success(),
        "this test needs {descriptors} descriptors: raise the hard limit (ulimit -Hn)"
    );
}
