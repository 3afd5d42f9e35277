//! Servers that are known by name.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::process::Command;

use kit::{Config, DnsServer, Gate, Origin, Port, Ringway, eventually, standard};

use crate::{BINARY, start};

const NAME: &str = "app.test";
const FIRST: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 1));
const SECOND: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));
const V6: IpAddr = IpAddr::V6(Ipv6Addr::LOCALHOST);

/// An origin that answers with the last character of its address, and holds back requests for `/held`.
fn origin(ip: IpAddr, port: &Port, gate: &Gate) -> Origin {
    let gate = gate.clone();
    Origin::start_at(SocketAddr::new(ip, port.number()), move |peer, _| {
        while let Some(request) = peer.read_request()? {
            if request.head.target() == "/held" {
                gate.wait();
            }
            let name = ip.to_string();
            peer.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{name}", name.len()).as_bytes())?;
        }
        Ok(())
    })
}

fn named(dns: &DnsServer, port: &Port) -> Config {
    let config = Config::to(format!("{NAME}:{}", port.number()));
    config.set("dns", "servers", format!("[\"{}\"]", dns.address()))
}

fn ask(ringway: &Ringway) -> String {
    let response = ringway.connect().exchange("GET", &standard::get("/")).unwrap();
    assert_eq!(response.status(), 200, "{}", response.text());
    response.text()
}

#[test]
fn a_name_stands_for_all_its_addresses_of_both_families() {
    let (dns, port, gate) = (DnsServer::start(), Port::take(), Gate::new());
    let _origins = [FIRST, SECOND, V6].map(|ip| origin(ip, &port, &gate));
    dns.set(NAME, &[FIRST, SECOND, V6], 60);
    let ringway = start(named(&dns, &port));
    let mut seen: Vec<_> = (0..9).map(|_| ask(&ringway)).collect();
    seen.sort_unstable();
    assert_eq!(seen, [["127.0.0.1"; 3], ["127.0.0.2"; 3], ["::1"; 3]].concat());
}

#[test]
fn a_change_is_followed_and_disturbs_nobody_who_stays() {
    let (dns, port, gate) = (DnsServer::start(), Port::take(), Gate::new());
    let (first, second, v6) = (origin(FIRST, &port, &gate), origin(SECOND, &port, &gate), origin(V6, &port, &gate));
    dns.set(NAME, &[FIRST, SECOND], 1);
    let ringway = start(named(&dns, &port));
    // One request is held at each server, and each has an idle connection beside it.
    let mut held = [ringway.connect(), ringway.connect()];
    held.iter_mut().for_each(|client| client.send(&standard::get("/held")).unwrap());
    eventually("both requests are held", || first.accepted() == 1 && second.accepted() == 1);
    assert_ne!(ask(&ringway), ask(&ringway));

    dns.set(NAME, &[FIRST, V6], 1);
    eventually("the new address is used", || ask(&ringway) == "::1");
    for _ in 0..10 {
        assert_ne!(ask(&ringway), "127.0.0.2");
    }
    assert_eq!(first.accepted(), 2, "a connection to the server that stayed was touched");
    eventually("the idle connection to the server that left is closed", || second.open() == 1);
    gate.open();
    let mut answers = held.each_mut().map(|client| client.read_response("GET").unwrap().text());
    answers.sort_unstable();
    assert_eq!(answers, ["127.0.0.1", "127.0.0.2"]);
    second.wait_until_closed();
    assert!(v6.accepted() > 0);
}

#[test]
fn the_last_good_answer_stays_in_force() {
    let (dns, port, gate) = (DnsServer::start(), Port::take(), Gate::new());
    let _origin = origin(FIRST, &port, &gate);
    dns.set(NAME, &[FIRST], 1);
    let ringway = start(named(&dns, &port));
    assert_eq!(ask(&ringway), "127.0.0.1");
    dns.fail(NAME);
    eventually("the failure is said", || ringway.process().stderr().contains("does not resolve"));
    assert_eq!(ask(&ringway), "127.0.0.1");
}

#[test]
fn a_name_without_an_address_is_503_until_it_has_one() {
    let (dns, port, gate) = (DnsServer::start(), Port::take(), Gate::new());
    let _origin = origin(FIRST, &port, &gate);
    let ringway = start(named(&dns, &port));
    let response = ringway.connect().exchange("GET", &standard::get("/none")).unwrap();
    assert_eq!(response.status(), 503);
    ringway.assert_outcome("/none", &["no_server"]);
    dns.set(NAME, &[FIRST], 60);
    eventually("the name is known", || ringway.connect().exchange("GET", &standard::get("/")).unwrap().status() == 200);
}

#[test]
fn a_name_stands_beside_fixed_addresses() {
    let (dns, port, gate) = (DnsServer::start(), Port::take(), Gate::new());
    let (_first, fixed) = (origin(FIRST, &port, &gate), origin(SECOND, &port, &gate));
    dns.set(NAME, &[FIRST], 60);
    let ringway = start(named(&dns, &port).weighted_server(fixed.address(), 2));
    let mut seen: Vec<_> = (0..9).map(|_| ask(&ringway)).collect();
    seen.sort_unstable();
    assert_eq!(seen, [&["127.0.0.1"; 3][..], &["127.0.0.2"; 6]].concat());
}

#[test]
fn the_hosts_file_is_asked_first() {
    let (dns, port, gate) = (DnsServer::start(), Port::take(), Gate::new());
    let _origin = origin(FIRST, &port, &gate);
    let config = Config::to(format!("localhost:{}", port.number()));
    let ringway = start(config.set("dns", "servers", format!("[\"{}\"]", dns.address())));
    // Where localhost is ::1 as well, that address refuses, and the next one is asked.
    assert_eq!(ask(&ringway), "127.0.0.1");
}

#[test]
fn a_check_warns_of_a_name_that_does_not_resolve() {
    let (dns, port) = (DnsServer::start(), Port::take());
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ringway.toml");
    std::fs::write(&file, named(&dns, &port).listen(port.address()).to_toml()).unwrap();
    let check = || {
        let output = Command::new(BINARY).arg("check").arg("--config").arg(&file).output().unwrap();
        assert!(output.status.success());
        String::from_utf8(output.stderr).unwrap()
    };
    let warning = check();
    assert!(warning.starts_with("ringway: warning: `app.test` of upstream `app` does not resolve"), "{warning}");
    dns.set(NAME, &[FIRST], 60);
    assert_eq!(check(), "");
}
