//! Whether the addresses of a configuration can be listened on, asked of the kernel by binding them.
//!
//! No socket here ever listens. That would be harmful: one that joined the sockets of a running Ringway on the same port
//! (`SO_REUSEPORT`) would be given a part of its connections, and lose them.

use std::fmt::{self, Display};
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::path::Path;

use plan::{Address, Listener};
use serde_json::{Value, json};
use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use super::holder::{self, Holder};

/// What came of one address.
#[derive(Debug)]
pub(super) struct Finding {
    address: Address,
    pub(super) state: State,
    told: String,
}

/// Whether an address can be listened on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// It can.
    Free,
    /// Somebody listens there who lets a program of the same user join, as a running Ringway does: what `reload` and
    /// `upgrade` take over, and what a second `serve` would be refused.
    Shared,
    /// Somebody else listens there.
    Taken,
    /// This user may not.
    NotPermitted,
    /// No interface has the address.
    NoInterface,
    /// Something else is wrong with it.
    Unusable,
}

impl Finding {
    /// Whether there is nothing but perhaps a warning to say of it.
    pub(super) fn is_usable(&self) -> bool {
        matches!(self.state, State::Free | State::Shared)
    }

    pub(super) fn to_json(&self) -> Value {
        let state = match self.state {
            State::Free => "free",
            State::Shared => "shared",
            State::Taken => "taken",
            State::NotPermitted => "not_permitted",
            State::NoInterface => "no_interface",
            State::Unusable => "unusable",
        };
        let told = (self.state != State::Free).then_some(&self.told);
        json!({ "address": self.address.to_string(), "state": state, "message": told })
    }
}

impl Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.state {
            State::Free | State::Shared => write!(f, "{}: {}", self.address, self.told),
            _ => write!(f, "cannot listen on {}: {}", self.address, self.told),
        }
    }
}

/// Binds the address of each listener in turn, and lets it go again.
pub(super) fn bind(listeners: &[Listener]) -> Vec<Finding> {
    let one = |listener: &Listener| {
        let (state, told) = match &listener.address {
            Address::Tcp(address) => tcp(*address),
            Address::Unix(path) => unix(path),
        };
        Finding { address: listener.address.clone(), state, told }
    };
    listeners.iter().map(one).collect()
}

fn tcp(address: SocketAddr) -> (State, String) {
    let bound = |share_port: bool| {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM.cloexec(), Some(Protocol::TCP))?;
        // Connections of an earlier run that linger in TIME_WAIT are no obstacle.
        socket.set_reuse_address(true)?;
        socket.set_reuse_port(share_port)?;
        socket.bind(&address.into())
    };
    let Err(error) = bound(false) else { return free() };
    if error.kind() != ErrorKind::AddrInUse {
        return refused(&error);
    }
    let holder = holder::of_tcp(address);
    match bound(true) {
        Ok(()) => shared(holder),
        Err(_) => taken(holder),
    }
}

/// A Unix socket is bound beside its path and removed again: at the path itself, it would be in the way of a Ringway that
/// starts at the same time.
fn unix(path: &Path) -> (State, String) {
    if let Some(holder) = holder::of_unix(path) {
        return if holder.as_ref().is_some_and(Holder::is_ringway) { shared(holder) } else { taken(holder) };
    }
    match std::fs::symlink_metadata(path) {
        Ok(found) if !std::os::unix::fs::FileTypeExt::is_socket(&found.file_type()) => {
            return (State::Unusable, "something stands there that is no socket".to_owned());
        }
        _ => {}
    }
    let beside = path.with_file_name(format!(".ringway-{}", std::process::id()));
    // A path that only just fits cannot be tried beside itself.
    let Ok(address) = SockAddr::unix(&beside) else { return free() };
    let bound = Socket::new(Domain::UNIX, Type::STREAM.cloexec(), None).and_then(|socket| socket.bind(&address));
    match bound {
        Ok(()) => match std::fs::remove_file(&beside) {
            Ok(()) => free(),
            Err(error) => refused(&error),
        },
        Err(error) if error.kind() == ErrorKind::NotFound => {
            (State::Unusable, format!("there is no directory {}", path.parent().unwrap_or(path).display()))
        }
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {
            let folder = path.parent().unwrap_or(path).display();
            (State::NotPermitted, format!("this user may not write to {folder}"))
        }
        Err(error) => refused(&error),
    }
}

fn free() -> (State, String) {
    (State::Free, "free".to_owned())
}

fn shared(holder: Option<Holder>) -> (State, String) {
    let who = holder.map_or_else(|| "a program of this user".to_owned(), |holder| holder.to_string());
    let told =
        format!("{who} listens there, as a running Ringway would: a reload or an upgrade of it takes the address over");
    (State::Shared, told)
}

fn taken(holder: Option<Holder>) -> (State, String) {
    let who = holder.map_or_else(|| "another process".to_owned(), |holder| holder.to_string());
    (State::Taken, format!("{who} listens there"))
}

fn refused(error: &io::Error) -> (State, String) {
    match error.kind() {
        ErrorKind::AddrNotAvailable => (State::NoInterface, "no interface of this machine has that address".to_owned()),
        ErrorKind::PermissionDenied => (
            State::NotPermitted,
            "not permitted. A port below 1024 needs CAP_NET_BIND_SERVICE; one from 1024 up does not".to_owned(),
        ),
        _ => (State::Unusable, error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(address: Address) -> Finding {
        bind(&[Listener::new(address)]).remove(0)
    }

    fn socket(share_port: bool) -> (Socket, SocketAddr) {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.set_reuse_port(share_port).unwrap();
        socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
        socket.listen(1).unwrap();
        let address = socket.local_addr().unwrap().as_socket().unwrap();
        (socket, address)
    }

    #[test]
    fn who_shares_is_told_from_who_does_not() {
        let (sharing, address) = socket(true);
        let finding = found(Address::Tcp(address));
        assert!(finding.state == State::Shared && finding.is_usable(), "{finding}");
        // Not one connection went to the socket that asked.
        let client = std::net::TcpStream::connect(address).unwrap();
        let (_, peer) = sharing.accept().unwrap();
        assert_eq!(peer.as_socket(), client.local_addr().ok());

        let (alone, address) = socket(false);
        let finding = found(Address::Tcp(address));
        assert!(finding.state == State::Taken && !finding.is_usable(), "{finding}");
        assert!(finding.to_string().contains(&format!("(process {})", std::process::id())), "{finding}");
        drop(alone);
        assert_eq!(found(Address::Tcp(address)).state, State::Free);
    }

    #[test]
    fn an_address_of_nobody_is_told_apart() {
        let finding = found(Address::Tcp("192.0.2.1:8080".parse().unwrap()));
        assert_eq!(finding.state, State::NoInterface, "{finding}");
    }

    #[test]
    fn a_unix_path_is_left_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("r.sock");
        assert_eq!(found(Address::Unix(path.clone())).state, State::Free);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "nothing is left behind");
        // One that nobody listens at any more is replaced by `serve`.
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        assert_eq!(found(Address::Unix(path.clone())).state, State::Free);
        assert!(path.exists());
        std::fs::remove_file(&path).unwrap();

        let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
        let finding = found(Address::Unix(path.clone()));
        assert_eq!(finding.state, State::Shared, "this very program listens there: {finding}");
        drop(listener);
        std::fs::remove_file(&path).unwrap();
        std::fs::write(&path, "").unwrap();
        assert_eq!(found(Address::Unix(path)).state, State::Unusable);
        let finding = found(Address::Unix(folder.path().join("absent/r.sock")));
        assert!(finding.state == State::Unusable && finding.to_string().contains("there is no directory"), "{finding}");
    }
}
