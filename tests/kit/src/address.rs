//! Where a socket is, and ports that no other test uses.

use std::fmt;
use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU16, Ordering};

/// The address of a stream socket. It is written as the proxy's configuration wants it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// An address and port.
    Tcp(SocketAddr),
    /// The path of a Unix socket.
    Unix(PathBuf),
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Tcp(address) => address.fmt(f),
            Address::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// A port of the loopback address, held for one server until dropped.
///
/// A server under test binds its port itself, some time after the test chose it, and Ringway binds with `SO_REUSEPORT`, so
/// that two proxies on one port would silently share its connections. The port therefore lies outside the range from which
/// the kernel takes ports for clients, and a lock on a file keeps other tests, in this process and in others, away from it.
#[derive(Debug)]
pub struct Port {
    number: u16,
    _lock: File,
}

impl Port {
    const FIRST: u16 = 10_000;
    const COUNT: u16 = 20_000;

    /// Takes a free port.
    ///
    /// # Panics
    /// If a lock file cannot be made, or all ports are taken.
    #[must_use]
    pub fn take() -> Port {
        // Tests run in many processes at once; starting at different places saves them from trying the same ports.
        static NEXT: AtomicU16 = AtomicU16::new(0);
        let start = u16::try_from(std::process::id() % u32::from(Port::COUNT)).expect("the remainder is small");
        let folder = std::env::temp_dir().join("ringway-kit-ports");
        fs::create_dir_all(&folder).expect("a folder for the ports' locks");
        for _ in 0..Port::COUNT {
            let step = NEXT.fetch_add(1, Ordering::Relaxed) % Port::COUNT;
            let number = Port::FIRST + (start + step) % Port::COUNT;
            let lock = File::create(folder.join(number.to_string())).expect("a lock file for a port");
            if lock.try_lock().is_ok() && TcpListener::bind((Ipv4Addr::LOCALHOST, number)).is_ok() {
                return Port { number, _lock: lock };
            }
        }
        panic!("no free port between {} and {}", Port::FIRST, Port::FIRST + Port::COUNT);
    }

    /// The port's number.
    #[must_use]
    pub fn number(&self) -> u16 {
        self.number
    }

    /// The port on the loopback address.
    #[must_use]
    pub fn address(&self) -> Address {
        Address::Tcp(SocketAddr::from((Ipv4Addr::LOCALHOST, self.number)))
    }
}
