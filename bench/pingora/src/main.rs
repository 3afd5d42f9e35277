//! A reverse proxy on Pingora that does what the other targets of `bench/versus` do, and nothing else: every request goes to the one
//! upstream, over connections that are kept.

#![forbid(unsafe_code)]

use std::net::SocketAddr;

use async_trait::async_trait;
use clap::Parser;
use pingora::{
    Result,
    proxy::{ProxyHttp, Session, http_proxy_service},
    server::{Server, configuration::ServerConf},
    upstreams::peer::HttpPeer,
};

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Passes every request to one upstream, by Pingora.
#[derive(Debug, Parser)]
#[command(name = "pingora", version)]
struct Arguments {
    /// Where it listens.
    #[arg(long)]
    listen: SocketAddr,
    /// Where the requests go.
    #[arg(long)]
    upstream: SocketAddr,
    /// Upstream connections that are kept while they are idle.
    #[arg(long, default_value_t = 1024)]
    idle_connections: usize,
}

fn main() {
    let Arguments { listen, upstream, idle_connections } = Arguments::parse();
    let settings = ServerConf {
        threads: 1,
        // With one thread there is nobody to steal from: the single-threaded runtime spares what stealing takes.
        work_stealing: false,
        upstream_keepalive_pool_size: idle_connections,
        // The bench ends it; nobody's request is worth waiting for then.
        grace_period_seconds: Some(0),
        graceful_shutdown_timeout_seconds: Some(0),
        ..ServerConf::default()
    };
    let mut server = Server::new_with_opt_and_conf(None, settings);
    server.bootstrap();
    let mut service = http_proxy_service(&server.configuration, OneUpstream(upstream));
    service.add_tcp(&listen.to_string());
    server.add_service(service);
    server.run_forever()
}

struct OneUpstream(SocketAddr);

#[async_trait]
impl ProxyHttp for OneUpstream {
    type CTX = ();

    fn new_ctx(&self) -> Self::CTX {}

    async fn upstream_peer(&self, _session: &mut Session, (): &mut Self::CTX) -> Result<Box<HttpPeer>> {
        Ok(Box::new(HttpPeer::new(self.0, false, String::new())))
    }
}
