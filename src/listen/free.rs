//! Whether an address is free, asked before a socket is opened there.
//!
//! TCP listeners are opened with `SO_REUSEPORT`, with which the kernel lets a second Ringway of the same user join the
//! first one's port without a word, and gives each a part of the connections. A socket without that option is refused
//! instead, and is therefore what asks.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;

use plan::Address;
use socket2::{Domain, Protocol, Socket, Type};

/// An address that cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: {}", told(reason))]
pub(crate) struct ListenError {
    pub(crate) address: Address,
    reason: io::Error,
}

impl ListenError {
    pub(super) fn new(address: &Address, reason: io::Error) -> ListenError {
        ListenError { address: address.clone(), reason }
    }

    /// Whether another address would help.
    pub(crate) fn is_taken(&self) -> bool {
        self.reason.kind() == ErrorKind::AddrInUse
    }
}

/// Checks that `address` can be bound. Unix paths are left to who binds them.
pub(super) fn check(address: &Address) -> Result<(), ListenError> {
    match address {
        Address::Tcp(tcp) => bind(*tcp).map_err(|reason| ListenError::new(address, reason)),
        Address::Unix(_) => Ok(()),
    }
}

/// Binds and never listens: a connection that came in the meantime would be lost.
fn bind(address: SocketAddr) -> io::Result<()> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // Connections of an earlier run that linger in TIME_WAIT are no obstacle.
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())
}

fn told(error: &io::Error) -> String {
    match error.kind() {
        ErrorKind::AddrInUse => "another process listens there".to_owned(),
        ErrorKind::AddrNotAvailable => "no interface of this machine has that address".to_owned(),
        ErrorKind::PermissionDenied => {
            "not permitted. A port below 1024 needs CAP_NET_BIND_SERVICE; one from 1024 up does not".to_owned()
        }
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reusable() -> Socket {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.set_reuse_address(true).unwrap();
        socket.set_reuse_port(true).unwrap();
        socket
    }

    #[test]
    fn a_port_of_another_ringway_is_taken_although_the_kernel_would_share_it() {
        let first = reusable();
        first.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
        first.listen(1).unwrap();
        let address = first.local_addr().unwrap().as_socket().unwrap();
        reusable().bind(&address.into()).expect("the kernel shares it, which is the trap");
        let error = check(&Address::Tcp(address)).unwrap_err();
        assert!(error.is_taken());
        assert_eq!(error.to_string(), format!("cannot listen on {address}: another process listens there"));
        drop(first);
        check(&Address::Tcp(address)).unwrap();
    }

    #[test]
    fn an_address_of_nobody_is_told_apart() {
        let address: SocketAddr = "192.0.2.1:8080".parse().unwrap();
        let error = check(&Address::Tcp(address)).unwrap_err();
        assert!(!error.is_taken() && error.to_string().ends_with("no interface of this machine has that address"));
    }
}
