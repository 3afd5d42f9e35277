//! What a service manager is told and gives: readiness and the like by `sd_notify(3)`, listening sockets by `sd_listen_fds(3)`.
//!
//! Without a service manager the environment has none of its variables, and all of this does nothing.

use std::io;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram, UnixListener};
use std::time::Duration;

use listenfd::ListenFd;
use plan::Address;

/// Whom the service manager wants told, and how often that it lives.
#[derive(Debug)]
pub(crate) struct Notifier {
    to: Option<(UnixDatagram, SocketAddr)>,
    watchdog: Option<Duration>,
}

/// Variables that are meant for this process and none that it starts.
pub(crate) const VARIABLES: [&str; 6] =
    ["NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES"];

impl Notifier {
    /// As the environment says.
    pub(crate) fn from_environment() -> Notifier {
        let to = std::env::var("NOTIFY_SOCKET").ok().and_then(|name| {
            let address = match name.strip_prefix('@') {
                Some(name) => SocketAddr::from_abstract_name(name),
                None => SocketAddr::from_pathname(&name),
            };
            let socket = UnixDatagram::unbound().and_then(|socket| socket.set_nonblocking(true).map(|()| socket));
            Some((socket.ok()?, address.ok()?))
        });
        let number = |name| std::env::var(name).ok().and_then(|value: String| value.parse::<u64>().ok());
        let is_ours = number("WATCHDOG_PID").is_none_or(|pid| pid == u64::from(std::process::id()));
        let watchdog = number("WATCHDOG_USEC").filter(|_| is_ours && to.is_some()).map(Duration::from_micros);
        Notifier { to, watchdog }
    }

    /// How often [`Notifier::tick`] is to be called, if it is to be called at all: twice as often as the service manager wants.
    pub(crate) fn watchdog_interval(&self) -> Option<Duration> {
        self.watchdog.map(|watchdog| watchdog / 2)
    }

    /// Connections are accepted. `status` is for people.
    pub(crate) fn ready(&self, status: &str) {
        self.tell(&format!("READY=1\nMAINPID={}\nSTATUS={status}", std::process::id()));
    }

    /// The configuration is about to be read again. [`Notifier::ready`] says when that is over.
    pub(crate) fn reloading(&self) {
        let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
        let now_us = now.tv_sec.unsigned_abs() * 1_000_000 + now.tv_nsec.unsigned_abs() / 1_000;
        self.tell(&format!("RELOADING=1\nMONOTONIC_USEC={now_us}"));
    }

    /// The end has begun.
    pub(crate) fn stopping(&self) {
        self.tell("STOPPING=1\nSTATUS=draining");
    }

    /// How things are, for people.
    pub(crate) fn status(&self, status: &str) {
        self.tell(&format!("STATUS={status}"));
    }

    /// Everything moves.
    pub(crate) fn tick(&self) {
        if self.watchdog.is_some() {
            self.tell("WATCHDOG=1");
        }
    }

    fn tell(&self, message: &str) {
        if let Some((socket, address)) = &self.to
            && let Err(error) = socket.send_to_addr(message.as_bytes(), address)
            && error.kind() != io::ErrorKind::WouldBlock
        {
            tracing::debug!(%error, "the service manager cannot be told");
        }
    }
}

/// Listening sockets that the service manager has opened, and that no listener has taken yet.
#[derive(Debug, Default)]
pub(crate) struct Activated(Vec<(Address, OwnedFd)>);

impl Activated {
    /// As the environment says. To be asked for once.
    pub(crate) fn from_environment() -> Activated {
        let mut passed = ListenFd::from_env();
        let mut sockets = Vec::new();
        for index in 0..passed.len() {
            match named(&mut passed, index) {
                Ok(socket) => sockets.push(socket),
                Err(error) => tracing::warn!(index, %error, "a socket that the service manager passed cannot be used"),
            }
        }
        Activated(sockets)
    }

    /// The socket at `address`, if there is one.
    pub(crate) fn take(&mut self, address: &Address) -> Option<OwnedFd> {
        let index = self.0.iter().position(|(passed, _)| passed == address)?;
        Some(self.0.swap_remove(index).1)
    }
}

impl Drop for Activated {
    fn drop(&mut self) {
        for (address, _) in &self.0 {
            tracing::warn!(%address, "the service manager listens there, and no listener of the configuration does: closed");
        }
    }
}

fn named(passed: &mut ListenFd, index: usize) -> io::Result<(Address, OwnedFd)> {
    let tcp: io::Result<Option<TcpListener>> = passed.take_tcp_listener(index);
    if let Ok(Some(socket)) = tcp {
        return Ok((Address::Tcp(socket.local_addr()?), own(socket.into())?));
    }
    let unix: Option<UnixListener> = passed.take_unix_listener(index)?;
    let socket = unix.ok_or(io::ErrorKind::NotFound)?;
    let path = socket.local_addr()?.as_pathname().map(ToOwned::to_owned);
    let path = path.ok_or_else(|| io::Error::other("its address is not a path"))?;
    Ok((Address::Unix(path), own(socket.into())?))
}

/// No other process shall have it unless it is given.
fn own(socket: OwnedFd) -> io::Result<OwnedFd> {
    rustix::io::fcntl_setfd(&socket, rustix::io::FdFlags::CLOEXEC)?;
    Ok(socket)
}
