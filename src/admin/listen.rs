//! The socket of the admin API.
//!
//! A Unix socket is bound beside its place, made private, and only then renamed to it: nobody can connect before it is
//! private, and when a new generation takes the place over there is no moment without a socket.

use std::fs::{self, DirBuilder, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt, lchown};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use plan::Address;
use socket2::{Domain, SockAddr, Socket, Type};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};

/// Connections that may wait to be accepted. Few are needed, and the bound on open ones must be felt.
const BACKLOG: i32 = 64;
/// Name of the socket in the folder for sockets.
const SOCKET_NAME: &str = "admin.sock";
/// Where the sockets of the system's own Ringway are.
const SYSTEM_FOLDER: &str = "/run/ringway";

/// A listening socket of the admin API. When dropped, its file is removed, unless that is another one's by then.
#[derive(Debug)]
pub(super) struct Listening {
    socket: Listener,
    address: Address,
}

#[derive(Debug)]
enum Listener {
    Unix {
        socket: UnixListener,
        /// Device and inode of the socket's file.
        file: (u64, u64),
    },
    Tcp(TcpListener),
}

/// An accepted connection.
pub(super) trait Connection: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Connection for T {}

impl Listening {
    /// Opens the socket. `takes_over` says that a Ringway which listens there is the one that this one replaces; else it is in
    /// the way.
    pub(super) fn open(address: &Address, takes_over: bool) -> anyhow::Result<Listening> {
        let listening = match address {
            Address::Tcp(address) => open_tcp(*address, takes_over),
            Address::Unix(path) => open_unix(path, takes_over),
        };
        listening.with_context(|| format!("the admin API cannot listen on {address}"))
    }

    /// Where it listens; where port 0 was asked for, with the port it got.
    pub(super) fn address(&self) -> &Address {
        &self.address
    }

    pub(super) async fn accept(&self) -> io::Result<Box<dyn Connection>> {
        match &self.socket {
            Listener::Unix { socket, .. } => Ok(Box::new(socket.accept().await?.0)),
            Listener::Tcp(socket) => {
                let (stream, _) = socket.accept().await?;
                let _ = stream.set_nodelay(true);
                Ok(Box::new(stream))
            }
        }
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        let (Listener::Unix { file, .. }, Address::Unix(path)) = (&self.socket, &self.address) else { return };
        if identity(path).is_ok_and(|found| found == *file) {
            // It may be removed by hand in this moment.
            let _ = fs::remove_file(path);
        }
    }
}

fn open_tcp(address: std::net::SocketAddr, takes_over: bool) -> anyhow::Result<Listening> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM.cloexec(), None)?;
    socket.set_reuse_address(true)?;
    // The generation before this one listens until it ends. Both set the option, or the kernel would refuse.
    socket.set_reuse_port(takes_over || is_free(address)?)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    let socket = TcpListener::from_std(socket.into())?;
    let address = Address::Tcp(socket.local_addr()?);
    Ok(Listening { socket: Listener::Tcp(socket), address })
}

/// Whether nobody listens at `address`, not even one who would share it.
fn is_free(address: std::net::SocketAddr) -> io::Result<bool> {
    let probe = Socket::new(Domain::for_address(address), Type::STREAM.cloexec(), None)?;
    probe.set_reuse_address(true)?;
    probe.bind(&address.into()).map(|()| true)
}

fn open_unix(path: &Path, takes_over: bool) -> anyhow::Result<Listening> {
    check_place(path, takes_over)?;
    let beside = path.with_file_name(format!(".{}", std::process::id()));
    // What a process of the same id may have left.
    let _ = fs::remove_file(&beside);
    let socket = Socket::new(Domain::UNIX, Type::STREAM.cloexec().nonblocking(), None)?;
    socket.bind(&SockAddr::unix(&beside)?)?;
    let placed = fs::set_permissions(&beside, Permissions::from_mode(0o600))
        .and_then(|()| socket.listen(BACKLOG))
        .and_then(|()| fs::rename(&beside, path));
    if let Err(error) = placed {
        let _ = fs::remove_file(&beside);
        return Err(error.into());
    }
    let socket = UnixListener::from_std(socket.into())?;
    Ok(Listening { socket: Listener::Unix { socket, file: identity(path)? }, address: Address::Unix(path.to_owned()) })
}

/// Refuses a place that is taken by anything but a socket that nobody listens on any more.
fn check_place(path: &Path, takes_over: bool) -> anyhow::Result<()> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error.into()),
        Ok(metadata) if !metadata.file_type().is_socket() => bail!("there is something that is not a socket"),
        Ok(_) => {}
    }
    match UnixStream::connect(path) {
        Ok(_) if !takes_over => bail!(Taken),
        Err(error) if error.kind() == ErrorKind::PermissionDenied => Err(error.into()),
        _ => Ok(()),
    }
}

/// Another process listens at the path.
#[derive(Debug, thiserror::Error)]
#[error("another process listens there")]
pub(super) struct Taken;

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    fs::symlink_metadata(path).map(|metadata| (metadata.dev(), metadata.ino()))
}

/// Where the admin socket is by default: in the folder that systemd made for the service, in the user's own folder for
/// sockets, or in that of the system; in this order, and none if there is no such folder for this user.
pub(crate) fn default_paths() -> Vec<PathBuf> {
    let service = folder("RUNTIME_DIRECTORY");
    let user = folder("XDG_RUNTIME_DIR").map(|folder| folder.join("ringway"));
    let system = PathBuf::from(SYSTEM_FOLDER);
    service.into_iter().chain(user).chain([system]).map(|folder| folder.join(SOCKET_NAME)).collect()
}

/// The folder that an environment variable names.
fn folder(variable: &str) -> Option<PathBuf> {
    let value = std::env::var(variable).ok()?;
    // systemd lists several, separated by colons, where the unit names several.
    let first = value.split(':').next().filter(|folder| folder.starts_with('/'))?;
    Some(PathBuf::from(first))
}

/// Makes the folder of the default socket for a worker that runs as another user, who could not. Where that fails there is no
/// socket by default, which the worker says.
pub(crate) fn give_default_folder(user: u32, group: u32) {
    let service = folder("RUNTIME_DIRECTORY");
    let folder = service.unwrap_or_else(|| PathBuf::from(SYSTEM_FOLDER));
    let made = match DirBuilder::new().mode(0o755).create(&folder) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(error),
        _ => lchown(&folder, Some(user), Some(group)),
    };
    if let Err(error) = made {
        tracing::warn!(folder = %folder.display(), "the folder of the admin socket cannot be made: {error}");
    }
}

/// The first of the default places that this process can have, its folder made if it is missing.
pub(super) fn default_place() -> Option<PathBuf> {
    let is_root = rustix::process::geteuid().is_root();
    default_paths().into_iter().find(|path| {
        let Some(folder) = path.parent() else { return false };
        if folder == Path::new(SYSTEM_FOLDER) && !is_root && !folder.is_dir() {
            return false;
        }
        match DirBuilder::new().mode(0o700).create(folder) {
            Ok(()) => true,
            Err(error) if error.kind() == ErrorKind::AlreadyExists => is_writable(folder),
            Err(_) => false,
        }
    })
}

fn is_writable(folder: &Path) -> bool {
    rustix::fs::access(folder, rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runtime() -> tokio::runtime::Runtime {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
    }

    #[test]
    fn the_socket_is_private_and_goes_with_its_owner() {
        let runtime = runtime();
        let _context = runtime.enter();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("admin.sock");
        let listening = Listening::open(&Address::Unix(path.clone()), false).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing else is left beside it");
        drop(listening);
        assert!(!path.exists());
    }

    #[test]
    fn a_stale_socket_is_replaced_and_a_living_one_only_by_its_successor() {
        let runtime = runtime();
        let _context = runtime.enter();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("admin.sock");
        let address = Address::Unix(path.clone());
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        let first = Listening::open(&address, false).unwrap();
        let refused = format!("{:#}", Listening::open(&address, false).unwrap_err());
        assert!(refused.ends_with("another process listens there"), "{refused}");
        let second = Listening::open(&address, true).unwrap();
        drop(first);
        assert!(path.exists(), "the file is the second one's");
        drop(second);
        assert!(!path.exists());
    }

    #[test]
    fn what_is_not_a_socket_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("admin.sock");
        fs::write(&path, "precious").unwrap();
        let refused = format!("{:#}", Listening::open(&Address::Unix(path.clone()), true).unwrap_err());
        assert!(refused.ends_with("not a socket"), "{refused}");
        assert_eq!(fs::read_to_string(path).unwrap(), "precious");
    }
}
