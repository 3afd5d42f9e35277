//! The same minimal proxy on ring, monoio, glommio, tokio and epoll.
//!
//! What a foundation costs shows only when everything above it is equal. Each variant is one file that does the least a
//! proxy can do, on one thread: read a request head, send those bytes on over a pooled connection, read the response as
//! far as its `Content-Length` says, send those bytes back. Nothing is parsed beyond that, nothing is rewritten, nothing
//! is retried, and a connection on which anything goes wrong is closed; the load generator counts what that costs.
//!
//! [`proxy`] holds what the variants share. `bench/versus` starts them as the targets `bare-epoll`, `bare-tokio` and so
//! on, and measures them beside full programs.

mod epoll;
#[cfg(feature = "glommio")]
mod glommio;
#[cfg(feature = "monoio")]
mod monoio;
mod proxy;
mod ring;
#[cfg(feature = "tokio")]
mod tokio;

use std::net::SocketAddr;

use anyhow::Context;
use clap::{Parser, ValueEnum};

use crate::proxy::Settings;

/// Proxies GET requests to one upstream, on one thread, on the chosen foundation.
#[derive(Debug, Parser)]
#[command(name = "runtimes")]
struct Arguments {
    /// What the proxy is built on.
    runtime: Runtime,

    /// Where clients are accepted.
    #[arg(long)]
    listen: SocketAddr,

    /// Where requests go.
    #[arg(long)]
    upstream: SocketAddr,

    /// The core that the thread is pinned to; left to the scheduler if absent.
    #[arg(long)]
    core: Option<usize>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Runtime {
    /// Edge-triggered epoll and a state machine by hand.
    Epoll,
    /// glommio's executor, io_uring as it sets it up.
    #[cfg(feature = "glommio")]
    Glommio,
    /// monoio on io_uring, with the set-up flags that it leaves out by default.
    #[cfg(feature = "monoio")]
    Monoio,
    /// Ringway's own ring.
    Ring,
    /// tokio's current-thread runtime.
    #[cfg(feature = "tokio")]
    Tokio,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let settings = Settings { listen: arguments.listen, upstream: arguments.upstream };
    if let Some(core) = arguments.core {
        pin(core).with_context(|| format!("cannot pin the thread to core {core}"))?;
    }
    match arguments.runtime {
        Runtime::Epoll => epoll::run(settings)?,
        #[cfg(feature = "glommio")]
        Runtime::Glommio => glommio::run(settings)?,
        #[cfg(feature = "monoio")]
        Runtime::Monoio => monoio::run(settings)?,
        Runtime::Ring => ring::run(settings)?,
        #[cfg(feature = "tokio")]
        Runtime::Tokio => tokio::run(settings)?,
    }
    Ok(())
}

/// Pins this thread, and those that it will start, before any runtime exists: each variant inherits the same placement.
fn pin(core: usize) -> rustix::io::Result<()> {
    let mut cores = rustix::thread::CpuSet::new();
    if core >= rustix::thread::CpuSet::MAX_CPU {
        return Err(rustix::io::Errno::INVAL);
    }
    cores.set(core);
    rustix::thread::sched_setaffinity(None, &cores)
}
