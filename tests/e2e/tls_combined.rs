//! TLS, with clients and with upstreams, under the features that have it below them: coalescing, upgrades, and the PROXY protocol.

use kit::websockets::Messages;
use kit::{Address, Authority, Config, Haproxy, Nginx, Origin, Peer, Ringway, Scrape, TlsFront, WebSocketServer};
use kit::{eventually, standard, websockets};

use crate::coalesce::{AT_ONCE, assert_answered, config, echo_all};
use crate::start;

const NAME: &str = "a.example";
const SERVER_NAME: &str = "app.internal";

/// A proxy with TLS on both sides; upstreams are reached through a server that has it, clients come through one of each version.
struct Between {
    authority: Authority,
    _server: Haproxy,
    ringway: Ringway,
}

impl Between {
    /// Starts both in the way to `server`; `config` is told the address at which that speaks TLS.
    fn start(server: &Address, config: impl FnOnce(&Address) -> Config) -> Between {
        let authority = Authority::new();
        let certificate = authority.sign(&[SERVER_NAME]);
        let front = Haproxy::start_with_tls(server, &format!("crt {}", certificate.display()));
        let tls = format!("{{ ca = {:?}, server_name = {SERVER_NAME:?} }}", authority.path());
        let config = config(front.address()).upstream_option("tls", tls).tls(&[&authority.sign(&[NAME])]);
        Between { ringway: start(config), authority, _server: front }
    }

    /// How many requests have shared a connection so far.
    fn coalesced(&self) -> Option<f64> {
        self.sum("ringway_upstream_coalesced_requests_total")
    }

    /// That no connection was given up with requests on it.
    fn assert_none_resent(&self) {
        assert_eq!(self.sum("ringway_upstream_coalesced_resent_total"), Some(0.0));
    }

    fn sum(&self, metric: &str) -> Option<f64> {
        let request = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        let answer = Peer::connect(&Address::Unix(self.ringway.admin_socket())).exchange("GET", request);
        Scrape::parse(&answer.unwrap().text()).sum(metric, &[])
    }

    fn clients(&self, version: &str) -> TlsFront {
        TlsFront::start(self.ringway.address(), NAME, &self.authority.path(), version)
    }
}

#[test]
fn requests_of_many_clients_with_tls_share_a_connection_with_tls() {
    let origin = Origin::start(|peer, _| echo_all(peer));
    let between = Between::start(origin.address(), |server| config(server, AT_ONCE));
    let (old, new) = (between.clients("1.2"), between.clients("1.3"));
    // Whoever comes before the shared connection is there, or while its tickets of TLS come, takes another.
    let mut warm = old.connect();
    let mut is_shared = || {
        let before = between.coalesced();
        assert_eq!(warm.exchange("GET", &standard::get("/warm")).unwrap().text(), "/warm");
        between.coalesced() > before
    };
    eventually("ten requests in a row have shared a connection", || (0..10).all(|_| is_shared()));
    let (before, connections) = (between.coalesced().unwrap(), origin.accepted());
    let targets = ["/a", "/b", "/c", "/d"];
    let mut clients: Vec<Peer> = [&old, &new, &old, &new].iter().map(|front| front.connect()).collect();
    for _ in 0..5 {
        clients.iter_mut().zip(targets).for_each(|(client, target)| client.send(&standard::get(target)).unwrap());
        assert_answered(&mut clients, &targets);
    }
    assert_eq!((between.coalesced().unwrap() - before, origin.accepted()), (20.0, connections));
    between.assert_none_resent();
}

#[test]
fn a_large_answer_is_shared_over_tls_and_each_client_gets_its_own() {
    let origin = standard::start();
    let between = Between::start(origin.address(), |server| config(server, AT_ONCE));
    let front = between.clients("1.3");
    std::thread::scope(|scope| {
        for client in 0..8_u64 {
            let front = &front;
            scope.spawn(move || {
                let mut peer = front.connect();
                for round in 0..20 {
                    let length = (client * 7_919 + round * 104_729) % 200_000;
                    peer.send(&standard::get(&format!("/length/{length}"))).unwrap();
                    peer.read_pattern_response("GET", length).unwrap();
                }
            });
        }
    });
    assert!(between.coalesced() > Some(0.0), "{:?}", between.coalesced());
    between.assert_none_resent();
}

#[test]
fn websockets_pass_with_tls_on_both_sides() {
    let server = WebSocketServer::start();
    let between = Between::start(&server.address(), |server| Config::to(server).shards(2));
    for version in ["1.2", "1.3"] {
        let front = between.clients(version);
        websockets::speak(&front.url("/socket"), Messages::Compressed);
        assert_eq!(front.complaints(), "");
    }
    between.ringway.assert_outcome("/socket", &["completed"]);
}

/// One of the two sides of a tunnel has no TLS, so that nothing but TLS keeps bytes from being spliced.
#[test]
fn websockets_pass_with_tls_on_either_side() {
    let (server, authority) = (WebSocketServer::start(), Authority::new());
    let ringway = start(Config::to(server.address()).tls(&[&authority.sign(&[NAME])]));
    websockets::speak(
        &TlsFront::start(ringway.address(), NAME, &authority.path(), "1.3").url("/"),
        Messages::Compressed,
    );
    let certificate = authority.sign(&[SERVER_NAME]);
    let front = Haproxy::start_with_tls(&server.address(), &format!("crt {}", certificate.display()));
    let tls = format!("{{ ca = {:?}, server_name = {SERVER_NAME:?} }}", authority.path());
    let ringway = start(Config::to(front.address()).upstream_option("tls", tls));
    websockets::speak(&ringway.url("/"), Messages::Plain);
}

#[test]
fn a_server_with_tls_learns_of_the_client_ahead_of_the_handshake() {
    let authority = Authority::new();
    let shown = authority.sign(&[SERVER_NAME]).display().to_string();
    let answer = "$proxy_protocol_addr $proxy_protocol_server_port $ssl_protocol $connection";
    let server = format!(
        "server {{ listen PORT ssl proxy_protocol; ssl_protocols TLSv1.2 TLSv1.3; ssl_certificate {shown}; ssl_certificate_key {shown};
                   location / {{ return 200 \"{answer}\"; }} }}"
    );
    let nginx = Nginx::start_with(&server, &[]);
    let Address::Tcp(nginx) = nginx.address() else { panic!("a TCP address") };
    let tls = format!("{{ ca = {:?}, server_name = {SERVER_NAME:?} }}", authority.path());
    for version in ["v1", "v2"] {
        let config = Config::to(nginx).upstream_option("tls", &tls);
        let ringway = start(config.upstream_option("send_proxy", format!("{version:?}")));
        let Address::Tcp(address) = ringway.address() else { panic!("a TCP address") };
        let mut connections = Vec::new();
        for host in [5, 6, 5] {
            let mut client = Peer::connect_from(ringway.address(), [127, 0, 0, host].into()).unwrap();
            let told = client.exchange("GET", &standard::get("/")).unwrap().text();
            let (session, connection) = told.rsplit_once(' ').unwrap();
            assert_eq!(session, format!("127.0.0.{host} {} TLSv1.3", address.port()), "{version}");
            connections.push(connection.to_owned());
        }
        connections.dedup();
        assert_eq!(connections.len(), 3, "{version}: a connection for each");
    }
}
