//! The listening sockets, for as long as there is a Ringway.
//!
//! Whoever holds them, the supervisor or a worker alone, opens them once ([`Sockets::open`]); a worker that comes later gets
//! copies. Three rules keep connections from being lost:
//! - a socket listens only when a worker is ready to accept from it ([`Sockets::listen`]): one that is only bound gets none;
//! - a socket of a shard that is no longer there gets no new connections ([`Sockets::steer`]), the worker takes what waits in
//!   it, and only the generation after that does without it ([`Sockets::renew`]);
//! - a listener that is removed is closed by the last worker that has it, when it is empty.

mod free;

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use engine::Backend;
use plan::{Address, Listener};
use serde::{Deserialize, Serialize};
use socket2::SockRef;

use crate::systemd::Activated;
pub(crate) use free::ListenError;

/// How long connections that were on their way to a socket may take to arrive when the kernel sends it no new ones.
const STRAGGLING_MAX: Duration = Duration::from_secs(3);

/// The sockets of all listeners, in the order of the Plan.
#[derive(Debug)]
pub(crate) struct Sockets {
    listeners: Vec<Held>,
}

/// The sockets of one listener.
#[derive(Debug)]
struct Held {
    name: Name,
    sockets: Vec<OwnedFd>,
    /// Since when the kernel has been told to spread connections over fewer sockets than there are.
    steered: Option<Instant>,
}

/// How a listener's sockets are known.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Name {
    /// The address as the configuration has it.
    asked: String,
    /// The address as it is: with a port where 0 was asked for.
    bound: String,
    /// How many shards have a socket of their own; `None` where one serves them all.
    shards: Option<usize>,
    is_steered: bool,
    /// Whether the service manager opened it, to whom its file belongs then.
    is_activated: bool,
}

/// One socket of one shard.
#[derive(Debug)]
pub(crate) struct Socket {
    /// The address of its listener, as the configuration has it.
    pub(crate) asked: String,
    /// The place of its listener in the Plan.
    pub(crate) listener: usize,
    pub(crate) socket: OwnedFd,
}

/// What there is to know about sockets beside the sockets themselves, for another process.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Manifest(Vec<(Name, usize)>);

impl Sockets {
    /// Opens the sockets of `listeners`, or takes them from those that the service manager has opened.
    pub(crate) fn open(listeners: &[Listener], shards: u16, activated: &mut Activated) -> Result<Sockets, ListenError> {
        let open = |listener: &Listener| match activated.take(&listener.address) {
            Some(socket) => Held::activated(listener, socket, usize::from(shards)),
            None => Held::open(listener, usize::from(shards)),
        };
        Ok(Sockets { listeners: listeners.iter().map(open).collect::<Result<_, _>>()? })
    }

    /// The sockets of another configuration: copies of these where the address stays, new ones where it does not.
    pub(crate) fn renew(&self, listeners: &[Listener], shards: u16) -> Result<Sockets, ListenError> {
        let mut known: Vec<&Held> = self.listeners.iter().collect();
        let renew = |listener: &Listener| {
            let asked = listener.address.to_string();
            match known.iter().position(|held| held.name.asked == asked) {
                Some(index) => known.remove(index).renew(listener, usize::from(shards)),
                None => Held::open(listener, usize::from(shards)),
            }
        };
        Ok(Sockets { listeners: listeners.iter().map(renew).collect::<Result<_, _>>()? })
    }

    /// Has the kernel give new connections to the sockets of the shards that there are, now that a worker accepts from them.
    pub(crate) fn steer(&mut self) {
        for held in &mut self.listeners {
            let Some(shards) = held.name.shards else { continue };
            let surplus = held.sockets.len() > shards;
            if !surplus && !held.name.is_steered {
                continue;
            }
            match engine::steer(&held.sockets[0], shards as u32) {
                Ok(()) => {
                    held.name.is_steered = true;
                    held.steered = surplus.then(|| held.steered.unwrap_or_else(Instant::now));
                }
                Err(error) => {
                    tracing::warn!(address = held.name.asked, %error, "the sockets of removed shards stay in use");
                }
            }
        }
    }

    /// The addresses, with the ports that the kernel chose where 0 was asked for.
    pub(crate) fn addresses(&self) -> Vec<String> {
        self.listeners.iter().map(|held| held.name.bound.clone()).collect()
    }

    /// The addresses as the configuration has them.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.listeners.iter().map(|held| held.name.asked.clone()).collect()
    }

    /// All sockets, listener by listener.
    pub(crate) fn descriptors(&self) -> impl Iterator<Item = &OwnedFd> {
        self.listeners.iter().flat_map(|held| &held.sockets)
    }

    pub(crate) fn manifest(&self) -> Manifest {
        Manifest(self.listeners.iter().map(|held| (held.name.clone(), held.sockets.len())).collect())
    }

    /// The sockets that another process has described and sent.
    pub(crate) fn received(manifest: Manifest, descriptors: &mut impl Iterator<Item = OwnedFd>) -> Option<Sockets> {
        let received = |(name, count): (Name, usize)| {
            let sockets: Vec<OwnedFd> = descriptors.by_ref().take(count).collect();
            // How long ago that was is not known: it begins anew.
            let surplus = name.shards.is_some_and(|shards| count > shards);
            let steered = (name.is_steered && surplus).then(Instant::now);
            (sockets.len() == count && count > 0).then_some(Held { name, sockets, steered })
        };
        Some(Sockets { listeners: manifest.0.into_iter().map(received).collect::<Option<_>>()? })
    }

    /// Has connections come in, now that somebody is there to accept them by `backend`. `listeners` are those that the sockets
    /// belong to.
    pub(crate) fn listen(&self, listeners: &[Listener], backend: Backend) -> Result<(), ListenError> {
        for (held, listener) in self.listeners.iter().zip(listeners) {
            // In this order: the kernel numbers them as they begin to listen, and `steer` counts on the numbers.
            for socket in &held.sockets {
                // All generations share this flag. Epoll sets it itself, and without it the generation before this one, which
                // still accepts, would wait in the kernel with all of its connections.
                let ready = match backend {
                    Backend::Epoll => Ok(()),
                    Backend::Auto | Backend::IoUring => SockRef::from(socket).set_nonblocking(false),
                };
                let listen = ready.and_then(|()| engine::listen(socket, listener.backlog));
                listen.map_err(|reason| ListenError::new(&listener.address, reason))?;
            }
        }
        Ok(())
    }

    /// Gives the sockets out to `shards` shards. A shard has at least one of each listener; one that several have is copied.
    pub(crate) fn deal(self, shards: usize) -> io::Result<Vec<Vec<Socket>>> {
        let mut dealt: Vec<Vec<Socket>> = (0..shards).map(|_| Vec::new()).collect();
        for (listener, held) in self.listeners.into_iter().enumerate() {
            let asked = held.name.asked;
            let count = held.sockets.len();
            for (shard, without) in dealt.iter_mut().enumerate().skip(count) {
                let socket = held.sockets[shard % count].try_clone()?;
                without.push(Socket { asked: asked.clone(), listener, socket });
            }
            for (index, socket) in held.sockets.into_iter().enumerate() {
                dealt[index % shards].push(Socket { asked: asked.clone(), listener, socket });
            }
        }
        Ok(dealt)
    }

    /// Closes these copies. Where nobody else has any, so are the sockets.
    pub(crate) fn let_go(&mut self) {
        self.listeners.iter_mut().for_each(|held| held.sockets.clear());
    }

    /// The files of the Unix sockets that `kept` does not have, for whoever is to remove them.
    pub(crate) fn files(&self, kept: Option<&Sockets>) -> Files {
        let kept = kept.map(Sockets::asked).unwrap_or_default();
        let gone = self.listeners.iter().filter(|held| !held.name.is_activated && !kept.contains(&held.name.asked));
        Files(gone.filter_map(|held| held.name.bound.strip_prefix("unix:").map(PathBuf::from)).collect())
    }
}

/// Files of Unix sockets, which stay when the socket is closed unless they are removed.
#[derive(Debug)]
pub(crate) struct Files(Vec<PathBuf>);

impl Files {
    pub(crate) fn remove(self) {
        for path in self.0 {
            // It may have been removed by hand.
            let _ = std::fs::remove_file(path);
        }
    }
}

impl Held {
    fn open(listener: &Listener, shards: usize) -> Result<Held, ListenError> {
        free::check(&listener.address)?;
        let failed = |reason| ListenError::new(&listener.address, reason);
        match &listener.address {
            Address::Unix(path) => {
                let socket = engine::listen_unix(path, listener.backlog).map_err(failed)?;
                Ok(Held::new(listener, listener.address.to_string(), vec![socket], None))
            }
            Address::Tcp(address) => {
                let first = engine::bind_tcp(*address, true).map_err(failed)?;
                let bound = local(&first).unwrap_or(*address);
                let mut held = Held::new(listener, bound.to_string(), vec![first], Some(shards));
                held.grow(shards).map_err(failed)?;
                Ok(held)
            }
        }
    }

    /// A socket that the service manager has opened. Unless it lets others share its port, it serves all shards.
    fn activated(listener: &Listener, socket: OwnedFd, shards: usize) -> Result<Held, ListenError> {
        let failed = |reason| ListenError::new(&listener.address, reason);
        let bound = match local(&socket) {
            Some(bound) => {
                SockRef::from(&socket).set_tcp_nodelay(true).map_err(failed)?;
                bound.to_string()
            }
            None => listener.address.to_string(),
        };
        let is_shared = local(&socket).is_some() && SockRef::from(&socket).reuse_port().map_err(failed)?;
        let mut held = Held::new(listener, bound, vec![socket], is_shared.then_some(shards));
        held.name.is_activated = true;
        held.grow(shards).map_err(failed)?;
        Ok(held)
    }

    fn new(listener: &Listener, bound: String, sockets: Vec<OwnedFd>, shards: Option<usize>) -> Held {
        let asked = listener.address.to_string();
        let name = Name { asked, bound, shards, is_steered: false, is_activated: false };
        Held { name, sockets, steered: None }
    }

    fn renew(&self, listener: &Listener, shards: usize) -> Result<Held, ListenError> {
        let failed = |reason| ListenError::new(&listener.address, reason);
        let is_settled = self.steered.is_some_and(|since| since.elapsed() >= STRAGGLING_MAX);
        let kept = match self.name.shards {
            Some(wanted) if is_settled => wanted,
            _ => self.sockets.len(),
        };
        let sockets = self.sockets.iter().take(kept).map(OwnedFd::try_clone).collect::<Result<_, _>>();
        let name = Name { shards: self.name.shards.map(|_| shards), ..self.name.clone() };
        let mut held = Held { name, sockets: sockets.map_err(failed)?, steered: None };
        held.grow(shards).map_err(failed)?;
        // Shards that come back take their sockets up again; what is still surplus goes on straggling.
        held.steered = self.steered.filter(|_| held.sockets.len() > shards && self.name.shards == Some(shards));
        Ok(held)
    }

    /// Gives every one of `shards` shards a socket of its own, if that is how it is.
    fn grow(&mut self, shards: usize) -> io::Result<()> {
        if self.name.shards.is_none() {
            return Ok(());
        }
        let address = local(&self.sockets[0]).ok_or(io::ErrorKind::AddrNotAvailable)?;
        while self.sockets.len() < shards {
            self.sockets.push(engine::bind_tcp(address, true)?);
        }
        Ok(())
    }
}

/// The address of a TCP socket.
fn local(socket: &OwnedFd) -> Option<SocketAddr> {
    SockRef::from(socket).local_addr().ok()?.as_socket()
}
