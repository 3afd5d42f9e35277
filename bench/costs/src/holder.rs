//! The other process, which holds idle connections: descriptors are limited a process, and its memory must not be counted.

use std::{
    env,
    io::{self, BufRead, BufReader, Write},
    net::{SocketAddr, TcpStream},
    process::{Child, Command, Stdio},
};

use anyhow::{Context, ensure};
use bench_common::{affinity, body::Body, fetch};

/// What the process says once all its connections are open.
const READY: &str = "ready";

/// A process that holds connections, each of which has had one request. Dropping it ends it and them.
pub(crate) struct Holder(Child);

impl Holder {
    /// Starts it on `core`, and returns when it holds all connections.
    pub(crate) fn start(address: SocketAddr, connections: u32, core: usize) -> anyhow::Result<Self> {
        let mut command = Command::new(env::current_exe().context("cannot find this program")?);
        command.args(["hold", &address.to_string(), &connections.to_string()]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let child = affinity::on_core(core, || command.spawn())?.context("cannot start the holder of connections")?;
        let mut holder = Self(child);
        let mut line = String::new();
        if let Some(output) = holder.0.stdout.take() {
            BufReader::new(output).read_line(&mut line).context("cannot read from the holder of connections")?;
        }
        ensure!(line.trim_end() == READY, "the holder of connections failed; what it said stands above");
        Ok(holder)
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        // The end of its input is its order to end.
        self.0.stdin = None;
        let _ = self.0.wait();
    }
}

/// Be that process: open the connections one after the other, and hold them until standard input ends.
pub(crate) fn hold(address: SocketAddr, connections: u32) -> anyhow::Result<()> {
    let open = |number| {
        fetch::open(address, Body::SMALL).with_context(|| format!("connection {number} of {connections} failed"))
    };
    let held: Vec<TcpStream> = (1..=connections).map(open).collect::<anyhow::Result<_>>()?;
    writeln!(io::stdout(), "{READY}")?;
    io::copy(&mut io::stdin(), &mut io::sink()).context("cannot wait for the end")?;
    drop(held);
    Ok(())
}
