//! The listening sockets of all shards.

use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

use anyhow::Context;
use plan::{Address, Listener, Plan};

/// Every listener's sockets: one a shard for TCP (the kernel spreads connections over them), one that all shards accept
/// from for a Unix path.
pub(super) struct Listeners {
    listeners: Vec<Open>,
}

enum Open {
    Tcp { address: SocketAddr, sockets: Vec<Option<OwnedFd>> },
    Unix { path: PathBuf, socket: OwnedFd },
}

impl Listeners {
    /// Opens them all.
    pub(super) fn open(plan: &Plan) -> anyhow::Result<Listeners> {
        let open = |listener: &Listener| {
            open(listener, usize::from(plan.shards.count))
                .with_context(|| format!("cannot listen on {}", listener.address))
        };
        Ok(Listeners { listeners: plan.listeners.iter().map(open).collect::<Result<_, _>>()? })
    }

    /// The addresses, with the ports that the kernel chose where 0 was asked for.
    pub(super) fn addresses(&self) -> Vec<Address> {
        let address = |open: &Open| match open {
            Open::Tcp { address, .. } => Address::Tcp(*address),
            Open::Unix { path, .. } => Address::Unix(path.clone()),
        };
        self.listeners.iter().map(address).collect()
    }

    /// The sockets of one shard; to be asked for once.
    pub(super) fn of_shard(&mut self, shard: usize) -> std::io::Result<Vec<OwnedFd>> {
        let socket = |open: &mut Open| match open {
            Open::Tcp { sockets, .. } => Ok(sockets[shard].take().expect("a shard takes its sockets once")),
            Open::Unix { socket, .. } => socket.try_clone(),
        };
        self.listeners.iter_mut().map(socket).collect()
    }
}

impl Drop for Listeners {
    fn drop(&mut self) {
        for open in &self.listeners {
            if let Open::Unix { path, .. } = open {
                // It may have been removed by hand.
                let _ = std::fs::remove_file(path);
            }
        }
    }
}

fn open(listener: &Listener, shards: usize) -> std::io::Result<Open> {
    match &listener.address {
        Address::Unix(path) => {
            let socket = engine::listen_unix(path, listener.backlog)?;
            Ok(Open::Unix { path: path.clone(), socket })
        }
        Address::Tcp(address) => {
            let first = engine::listen_tcp(*address, listener.backlog, true)?;
            let local = socket2::SockRef::from(&first).local_addr()?.as_socket();
            let address = local.unwrap_or(*address);
            let mut sockets = vec![Some(first)];
            for _ in 1..shards {
                sockets.push(Some(engine::listen_tcp(address, listener.backlog, true)?));
            }
            Ok(Open::Tcp { address, sockets })
        }
    }
}
