//! The proxy from outside: real sockets, real clients, real servers. One module for each feature; each test's name is the
//! sentence that it proves.

mod access_log;
mod admin;
mod backends;
mod balance;
mod binary_upgrade;
mod bodies;
mod certificates;
mod cli;
mod client_failures;
mod clients;
mod coalesce;
mod configuration;
mod counters;
mod detection;
mod dns;
mod documents;
mod drain;
mod events;
mod expect;
mod faults;
mod forwarding;
mod glitches;
mod headers;
mod health;
mod http2;
mod http2_attacks;
mod limits;
mod listeners;
mod many_connections;
mod metrics;
mod overload;
mod passing;
mod passthrough;
mod paths;
mod pipelining;
mod pipes;
mod pool;
mod profile;
mod records;
mod reload;
mod retry;
mod routing;
mod scarcity;
mod send_proxy;
mod servers;
mod slow_bodies;
mod slow_clients;
mod stapling;
mod supervisor;
mod systemd;
mod tls;
mod tls_combined;
mod tls_failures;
mod tls_generations;
mod tls_matrix;
mod under_load;
mod upgrade;
mod upstream_failures;
mod upstream_handshakes;
mod upstream_timeouts;
mod upstream_tls;
mod upstream_tls_reload;
mod via;
mod websocket;

use kit::{Config, Origin, Ringway};

/// The proxy that Cargo built.
const BINARY: &str = env!("CARGO_BIN_EXE_ringway");

/// Runs the proxy with `config`.
fn start(config: Config) -> Ringway {
    Ringway::start(BINARY, config)
}

/// Runs the proxy before `origin`, with everything else at its default.
fn before(origin: &Origin) -> Ringway {
    start(Config::to(origin.address()))
}

/// An origin that gives `answer` to every request.
fn answering(answer: &'static str) -> Origin {
    Origin::start(move |peer, _| {
        while peer.read_request()?.is_some() {
            peer.send(answer.as_bytes())?;
        }
        Ok(())
    })
}

/// The answer of an origin with nothing to say.
const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
