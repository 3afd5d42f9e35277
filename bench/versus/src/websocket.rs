//! WebSockets (RFC 6455): the load, and the server that sends every message back.
//!
//! No installed program of ours loads a WebSocket, so this one does: it starts itself again in two roles, each a process
//! of its own and pinned like any other, so that what they spend is counted apart. [`echo`] is the server behind the
//! proxy, [`mod@load`] the clients before it, [`frame`] what both speak. Each of them is one thread on epoll.
//!
//! They do what the comparison needs and no more: one message under way on a connection, one frame a message.

pub(crate) mod echo;
mod frame;
pub(crate) mod load;

use std::{net::SocketAddr, path::Path, process::Command};

use anyhow::{Context, ensure};
use bench_common::{
    interrupt::Interrupt,
    process::{self, Process},
    wrk::Load,
};
use clap::Subcommand;
use nix::{
    errno::Errno,
    sys::epoll::{Epoll, EpollEvent, EpollTimeout},
};

use crate::{batching, scenario::Scenario};

/// The example of RFC 6455 §1.3. Ringway, nginx and HAProxy pass both through, and none of them computes the answer.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// What this program is when it has started itself.
#[derive(Debug, Subcommand)]
pub enum Role {
    /// Answers every request with the small body, all that it has received in one write, until it is ended.
    #[command(hide = true)]
    BatchingUpstream {
        /// Where it listens.
        #[arg(long)]
        listen: SocketAddr,
    },
    /// Sends every message of its WebSockets back, until it is ended.
    #[command(hide = true)]
    WebsocketEcho {
        /// Where it listens.
        #[arg(long)]
        listen: SocketAddr,
    },
    /// Sends messages and awaits them back, and prints what that came to.
    #[command(hide = true)]
    WebsocketLoad {
        /// Whom it connects to.
        #[arg(long)]
        address: SocketAddr,
        /// How many WebSockets.
        #[arg(long)]
        connections: u32,
        /// The size of each message.
        #[arg(long)]
        message_bytes: usize,
        /// For how long.
        #[arg(long)]
        seconds: u32,
    },
}

impl Role {
    /// Plays it to its end.
    ///
    /// # Errors
    /// Fails when the sockets do.
    pub fn play(self) -> anyhow::Result<()> {
        match self {
            Self::BatchingUpstream { listen } => batching::serve(listen),
            Self::WebsocketEcho { listen } => echo::serve(listen),
            Self::WebsocketLoad { address, connections, message_bytes, seconds } => {
                let load = load::run(address, connections, message_bytes, seconds)?;
                println!("{}", serde_json::to_string(&load)?);
                Ok(())
            }
        }
    }
}

/// The server behind the proxies.
#[derive(Debug)]
pub(crate) struct EchoServer {
    pub(crate) process: Process,
    pub(crate) address: SocketAddr,
}

impl EchoServer {
    /// Starts it on `core`, and checks that it echoes.
    pub(crate) fn start(directory: &Path, core: usize, interrupt: &Interrupt) -> anyhow::Result<Self> {
        let address = process::free_address()?;
        let mut command = itself();
        command.args(["websocket-echo", "--listen", &address.to_string()]);
        let mut process = Process::start("websocket-echo", command, core, directory)?;
        process.wait_until_listening(address, interrupt)?;
        load::check(address, 1).with_context(|| format!("the echo server:\n{}", process.output()))?;
        Ok(Self { process, address })
    }
}

/// Loads `address` from a process of its own on `core`.
pub(crate) fn load(
    scenario: Scenario,
    address: SocketAddr,
    seconds: u32,
    core: usize,
    directory: &Path,
    interrupt: &Interrupt,
) -> anyhow::Result<Load> {
    let mut command = itself();
    command
        .args(["websocket-load", "--address", &address.to_string()])
        .args(["--connections", &scenario.connections.to_string()])
        .args(["--message-bytes", &scenario.length_bytes().to_string()])
        .args(["--seconds", &seconds.to_string()]);
    let mut process = Process::start("websocket-load", command, core, directory)?;
    let status = process.wait(interrupt)?;
    let output = process.output();
    ensure!(status.success(), "the load failed ({status}):\n{output}");
    let load: Load =
        serde_json::from_str(output.trim()).with_context(|| format!("not the figures of a load:\n{output}"))?;
    ensure!(load.requests > 0, "no message came back");
    Ok(load)
}

/// How many events there are. None, where the wait was interrupted: by a stop and a continuation, for instance.
pub(crate) fn wait(epoll: &Epoll, events: &mut [EpollEvent], timeout: EpollTimeout) -> anyhow::Result<usize> {
    match epoll.wait(events, timeout) {
        Err(Errno::EINTR) => Ok(0),
        waited => Ok(waited?),
    }
}

/// This program, to be started again. Not by its path, at which a newer build may stand by now.
pub(crate) fn itself() -> Command {
    Command::new("/proc/self/exe")
}
