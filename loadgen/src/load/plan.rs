//! A scenario made ready: addresses resolved, requests written out, certificates read.
//!
//! A plan lives as long as the process, so that sending a request needs no copy and no count of references.

use std::{fs, time::Duration};

use anyhow::Context;
use rustls::pki_types::ServerName;

use crate::{
    client::{socket::Address, tls},
    scenario::{BODY_BYTES_MAX, Body, Expect, Extent, Origin, Rate, Request, Scenario, Timeouts},
};

/// What all threads work from.
#[derive(Debug)]
pub struct Plan {
    pub(super) connections: usize,
    pub(super) threads: usize,
    pub(super) extent: Extent,
    pub(super) warm_up: Duration,
    pub(super) ramp_up: Duration,
    pub(super) http2: bool,
    /// HTTP/2: how much of an answer may be under way.
    pub(super) window_bytes: u32,
    /// Requests under way on one connection at most: a pipeline's, or streams.
    pub(super) under_way_max: usize,
    pub(super) requests_per_connection: Option<u64>,
    pub(super) pin: bool,
    pub(super) rate: Option<Rate>,
    pub(super) timeouts: Timeouts,
    pub(super) tls: Option<tls::Client>,
    pub(super) resumption: bool,
    pub(super) endpoints: Vec<Endpoint>,
}

/// An origin, and what is asked of it.
#[derive(Debug)]
pub(super) struct Endpoint {
    pub(super) origin: Origin,
    /// The path of its first request.
    pub(super) path: String,
    /// Where it is reached; a name may have several. Never none.
    pub(super) addresses: Vec<Address>,
    pub(super) server_name: Option<ServerName<'static>>,
    /// WebSocket's opening request, up to its key.
    pub(super) handshake: &'static [u8],
    pub(super) targets: Vec<Target>,
    /// The sum of the targets' weights.
    pub(super) weight: u64,
}

/// One kind of request, written out.
#[derive(Debug)]
pub struct Target {
    /// The request's bytes in HTTP/1.1.
    pub usual: &'static [u8],
    /// The same with `Connection: close`, for the last one of a connection.
    pub last: &'static [u8],
    /// The request's fields in HTTP/2, those that begin with a colon first.
    pub fields: &'static [(Vec<u8>, Vec<u8>)],
    /// Its body in HTTP/2, or WebSocket's message.
    pub body: &'static [u8],
    /// Whether the answer has no body whatever its head says.
    pub to_head: bool,
    /// What the answer has to be.
    pub expect: Expect,
    /// How often it comes, relative to the others.
    pub weight: u64,
}

impl Plan {
    /// Makes a scenario ready.
    ///
    /// # Errors
    /// A name that has no address, a file that cannot be read, parts that do not fit together.
    pub fn new(scenario: &Scenario) -> anyhow::Result<&'static Self> {
        scenario.check()?;
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let connections = scenario.connections as usize;
        let threads = scenario.threads.map_or(cores, |threads| threads as usize).min(connections);
        let mut endpoints: Vec<Endpoint> = Vec::new();
        for request in scenario.requests.iter().filter(|request| request.weight > 0) {
            // WebSocket's path belongs to the connection.
            let known = endpoints.iter().position(|endpoint| {
                endpoint.origin == request.url.origin
                    && (!endpoint.origin.websocket || endpoint.path == request.url.target)
            });
            let index = match known {
                Some(index) => index,
                None => {
                    endpoints.push(endpoint(scenario, request)?);
                    endpoints.len() - 1
                }
            };
            endpoints[index].weight += request.weight;
            endpoints[index].targets.push(target(scenario, request)?);
        }
        anyhow::ensure!(
            endpoints.len() * threads <= connections,
            "{connections} connections are too few for {} origins on each of {threads} threads",
            endpoints.len(),
        );
        let needs_tls = endpoints.iter().any(|endpoint| endpoint.origin.tls);
        let protocol = if scenario.http2 { tls::HTTP2 } else { tls::HTTP1 };
        let tls = needs_tls.then(|| tls::Client::new(&scenario.tls, protocol)).transpose().context("TLS")?;
        Ok(Box::leak(Box::new(Self {
            connections,
            threads,
            extent: scenario.extent,
            warm_up: scenario.warm_up,
            ramp_up: scenario.ramp_up,
            http2: scenario.http2,
            window_bytes: scenario.window_bytes as u32,
            under_way_max: if scenario.http2 { scenario.streams } else { scenario.pipeline } as usize,
            requests_per_connection: scenario.requests_per_connection,
            pin: scenario.pin,
            rate: scenario.rate.clone(),
            timeouts: scenario.timeouts,
            tls,
            resumption: scenario.tls.resumption,
            endpoints,
        })))
    }

    /// Threads that drive the connections.
    #[must_use]
    pub fn threads(&self) -> usize {
        self.threads
    }

    /// Which endpoint each of a thread's connections belongs to: dealt by weight, at least one each.
    pub(super) fn deal(&self, connections: usize) -> Vec<usize> {
        let total: u64 = self.endpoints.iter().map(|endpoint| endpoint.weight).sum();
        let mut dealt = vec![0_u64; self.endpoints.len()];
        let mut order: Vec<usize> = (0..self.endpoints.len()).take(connections).collect();
        order.iter().for_each(|endpoint| dealt[*endpoint] += 1);
        while order.len() < connections {
            // The endpoint that is farthest below its share gets the next.
            let share = |endpoint: usize| self.endpoints[endpoint].weight as f64 / total as f64;
            let next_total = (order.len() + 1) as f64;
            let want = |endpoint: usize| share(endpoint) * next_total - dealt[endpoint] as f64;
            let next = (0..dealt.len()).max_by(|a, b| want(*a).total_cmp(&want(*b))).expect("there is an endpoint");
            dealt[next] += 1;
            order.push(next);
        }
        order
    }
}

fn endpoint(scenario: &Scenario, request: &Request) -> anyhow::Result<Endpoint> {
    let origin = request.url.origin.clone();
    let addresses = match &scenario.unix_socket {
        Some(path) => vec![Address::Unix(path.clone())],
        None => origin.resolve().map_err(anyhow::Error::msg)?.into_iter().map(Address::Tcp).collect(),
    };
    let server_name = origin.tls.then(|| {
        let name = scenario.tls.server_name.clone().unwrap_or_else(|| origin.host.clone());
        ServerName::try_from(name.clone()).with_context(|| format!("`{name}` is no name for TLS"))
    });
    let mut handshake = format!("GET {} HTTP/1.1\r\n", request.url.target).into_bytes();
    write_fields(&mut handshake, scenario, request);
    Ok(Endpoint {
        addresses,
        server_name: server_name.transpose()?,
        handshake: handshake.leak(),
        targets: Vec::new(),
        weight: 0,
        path: request.url.target.clone(),
        origin,
    })
}

fn target(scenario: &Scenario, request: &Request) -> anyhow::Result<Target> {
    let body = body(request.body.as_ref())?;
    let content = body.as_deref().unwrap_or_default();
    let written = |last: bool| -> &'static [u8] {
        let mut bytes = format!("{} {} HTTP/1.1\r\n", request.method, request.url.target).into_bytes();
        write_fields(&mut bytes, scenario, request);
        if last {
            bytes.extend_from_slice(b"Connection: close\r\n");
        }
        // Methods that anticipate content say that there is none. RFC 9110 §8.6
        if body.is_some() || matches!(request.method.as_str(), "POST" | "PUT" | "PATCH") {
            bytes.extend_from_slice(format!("Content-Length: {}\r\n", content.len()).as_bytes());
        }
        bytes.extend_from_slice(b"\r\n");
        bytes.extend_from_slice(content);
        bytes.leak()
    };
    let in_http1 = !scenario.http2 && !request.url.origin.websocket;
    Ok(Target {
        usual: if in_http1 { written(false) } else { b"" },
        last: if in_http1 && scenario.requests_per_connection.is_some() { written(true) } else { b"" },
        fields: if scenario.http2 { fields(scenario, request, content.len()).leak() } else { &[] },
        body: if in_http1 { b"" } else { content.to_vec().leak() },
        to_head: request.method == "HEAD",
        expect: request.expect.clone(),
        weight: request.weight,
    })
}

/// The fields of a request in HTTP/2, names in lower case. RFC 9113 §8.2, §8.3.1
fn fields(scenario: &Scenario, request: &Request, body_bytes: usize) -> Vec<(Vec<u8>, Vec<u8>)> {
    let given = || scenario.headers.iter().chain(&request.headers);
    let is_host = |name: &str| name.eq_ignore_ascii_case("host");
    let host = given().find(|(name, _)| is_host(name)).map(|(_, value)| value.clone());
    let origin = &request.url.origin;
    let mut fields = vec![
        (":method".to_owned(), request.method.clone()),
        (":scheme".to_owned(), if origin.tls { "https" } else { "http" }.to_owned()),
        (":authority".to_owned(), host.unwrap_or_else(|| origin.authority())),
        (":path".to_owned(), request.url.target.clone()),
    ];
    fields.extend(
        given().filter(|(name, _)| !is_host(name)).map(|(name, value)| (name.to_ascii_lowercase(), value.clone())),
    );
    if body_bytes > 0 || matches!(request.method.as_str(), "POST" | "PUT" | "PATCH") {
        fields.push(("content-length".to_owned(), body_bytes.to_string()));
    }
    fields.into_iter().map(|(name, value)| (name.into_bytes(), value.into_bytes())).collect()
}

fn write_fields(output: &mut Vec<u8>, scenario: &Scenario, request: &Request) {
    let fields = || scenario.headers.iter().chain(&request.headers);
    // A server may want Host first. RFC 9110 §7.2
    if !fields().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
        output.extend_from_slice(format!("Host: {}\r\n", request.url.origin.authority()).as_bytes());
    }
    for (name, value) in fields() {
        output.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
    }
}

fn body(body: Option<&Body>) -> anyhow::Result<Option<Vec<u8>>> {
    Ok(match body {
        None => None,
        Some(Body::Bytes(bytes)) => Some(bytes.clone()),
        Some(Body::Size(size)) => {
            // Letters, so that whoever looks at it sees what it is.
            Some((0..*size).map(|at| b'a' + (at % 26) as u8).collect())
        }
        Some(Body::File(path)) => {
            let bytes = fs::read(path).with_context(|| format!("reading the body {}", path.display()))?;
            anyhow::ensure!(bytes.len() as u64 <= BODY_BYTES_MAX, "{} is too large for a body", path.display());
            Some(bytes)
        }
    })
}
