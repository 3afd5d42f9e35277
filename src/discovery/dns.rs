//! Names looked up in `/etc/hosts` and the DNS, IPv4 and IPv6.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use anyhow::Context;
use hickory_resolver::TokioResolver;
use hickory_resolver::config::{ConnectionConfig, LookupIpStrategy, NameServerConfig, ResolverConfig};
use hickory_resolver::net::runtime::TokioRuntimeProvider;

use super::{ADDRESSES_MAX, Discovery};

/// How often a server that does not answer is asked.
const ATTEMPTS: usize = 2;

/// Who is asked. Clones ask over the same sockets.
#[derive(Clone)]
pub(super) struct Dns {
    resolver: TokioResolver,
}

/// What is known of a name for a time.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Answer {
    /// The addresses in order, each once; at least one.
    pub(super) addresses: Vec<IpAddr>,
    /// How long they may be used: the shortest time to live of all records that led to them.
    pub(super) ttl: Duration,
}

impl Dns {
    /// Asks the servers that `discovery` names, or else those of the system. `/etc/hosts` and `/etc/resolv.conf` are read
    /// now and not again.
    pub(super) fn new(discovery: &Discovery) -> anyhow::Result<Dns> {
        let mut builder = if discovery.servers.is_empty() {
            TokioResolver::builder_tokio().context("the system's name servers are not to be found")?
        } else {
            let servers = discovery.servers.iter().copied().map(name_server).collect();
            let config = ResolverConfig::from_name_servers(servers);
            TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
        };
        let options = builder.options_mut();
        options.timeout = discovery.timeout;
        options.attempts = ATTEMPTS;
        options.ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
        // When to ask again is decided here, by the time to live; a second memory would double it.
        options.cache_size = 0;
        Ok(Dns { resolver: builder.build().context("the resolver cannot be set up")? })
    }

    /// All addresses of `host`, of both families.
    ///
    /// # Errors
    /// When there are none, or nobody answers in time.
    pub(super) async fn look_up(&self, host: &str) -> anyhow::Result<Answer> {
        let found = self.resolver.lookup_ip(host).await?;
        let mut addresses: Vec<IpAddr> = found.iter().collect();
        addresses.sort_unstable();
        addresses.dedup();
        addresses.truncate(ADDRESSES_MAX);
        anyhow::ensure!(!addresses.is_empty(), "the answer has no address");
        let ttl = found.as_lookup().answers().iter().map(|record| record.ttl).min().unwrap_or_default();
        Ok(Answer { addresses, ttl: Duration::from_secs(ttl.into()) })
    }
}

/// A server that is asked over UDP, and over TCP where an answer is too long.
fn name_server(address: SocketAddr) -> NameServerConfig {
    let mut connections = vec![ConnectionConfig::udp(), ConnectionConfig::tcp()];
    connections.iter_mut().for_each(|connection| connection.port = address.port());
    NameServerConfig::new(address.ip(), true, connections)
}
