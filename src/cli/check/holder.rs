//! Who listens at an address: what `ss -lp` would show, read from /proc.

use std::fmt::{self, Display};
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;

/// The flag of a Unix socket that listens (`__SO_ACCEPTCON`), and the state of a TCP socket that does (`TCP_LISTEN`).
const UNIX_LISTENS: u32 = 1 << 16;
const TCP_LISTENS: &str = "0A";

/// A process that holds a socket.
#[derive(Debug)]
pub(super) struct Holder {
    process: u32,
    name: String,
}

impl Holder {
    /// Whether it runs the same program as this process.
    pub(super) fn is_ringway(&self) -> bool {
        let program = |process: &str| {
            let path = fs::read_link(format!("/proc/{process}/exe")).ok()?;
            let name = path.file_name()?.to_string_lossy().into_owned();
            // So it is shown once the file was replaced by a newer version.
            Some(name.trim_end_matches(" (deleted)").to_owned())
        };
        let theirs = program(&self.process.to_string());
        theirs.is_some() && theirs == program("self")
    }
}

impl Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` (process {})", self.name, self.process)
    }
}

/// Who listens on this address and port, or on all addresses with this port; `None` if that cannot be seen.
pub(super) fn of_tcp(address: SocketAddr) -> Option<Holder> {
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"].map(|path| fs::read_to_string(path).unwrap_or_default());
    let lines = tables.iter().flat_map(|table| table.lines().skip(1));
    let inode = lines.filter_map(tcp_line).find(|(local, _)| overlaps(*local, address))?.1;
    holder(&inode)
}

/// The address and the inode of a line of /proc/net/tcp, if it is of a socket that listens.
fn tcp_line(line: &str) -> Option<(SocketAddr, String)> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    let (local, state, inode) = (fields.get(1)?, *fields.get(3)?, *fields.get(9)?);
    let (ip, port) = local.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    // Each 32 bits stand in the byte order of the machine.
    let mut bytes = Vec::new();
    for at in (0..ip.len()).step_by(8) {
        bytes.extend(u32::from_str_radix(ip.get(at..at + 8)?, 16).ok()?.to_ne_bytes());
    }
    let ip: IpAddr = match bytes.len() {
        4 => Ipv4Addr::from(<[u8; 4]>::try_from(bytes).ok()?).into(),
        _ => Ipv6Addr::from(<[u8; 16]>::try_from(bytes).ok()?).to_canonical(),
    };
    (state == TCP_LISTENS).then(|| (SocketAddr::new(ip, port), inode.to_owned()))
}

fn overlaps(one: SocketAddr, other: SocketAddr) -> bool {
    one.port() == other.port() && (one.ip() == other.ip() || one.ip().is_unspecified() || other.ip().is_unspecified())
}

/// Whether somebody listens at this path, and who, if that can be seen.
pub(super) fn of_unix(path: &Path) -> Option<Option<Holder>> {
    let table = fs::read_to_string("/proc/net/unix").unwrap_or_default();
    let path = path.to_string_lossy();
    let inode = table.lines().skip(1).find_map(|line| {
        let mut fields = line.split_whitespace();
        let flags = u32::from_str_radix(fields.nth(3)?, 16).ok()?;
        let inode = fields.nth(2)?;
        let listens = flags & UNIX_LISTENS != 0;
        // The path is the rest of the line: it may hold spaces.
        (listens && line.ends_with(&format!(" {path}"))).then(|| inode.to_owned())
    })?;
    Some(holder(&inode))
}

/// The process that has a socket of this inode open, among those that this user may look into.
fn holder(inode: &str) -> Option<Holder> {
    let wanted = format!("socket:[{inode}]");
    for entry in fs::read_dir("/proc").ok()?.flatten() {
        let Some(process) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        let descriptors = fs::read_dir(entry.path().join("fd")).into_iter().flatten().flatten();
        let mut targets = descriptors.filter_map(|descriptor| fs::read_link(descriptor.path()).ok());
        if targets.any(|target| target.as_os_str() == wanted.as_str()) {
            let name = fs::read_to_string(entry.path().join("comm")).unwrap_or_default();
            return Some(Holder { process, name: name.trim().to_owned() });
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_the_kernel_are_read() {
        if cfg!(target_endian = "big") {
            return;
        }
        let line =
            "   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 4242 1 0";
        assert_eq!(tcp_line(line), Some(("127.0.0.1:8080".parse().unwrap(), "4242".to_owned())));
        let line = "   1: 00000000000000000000000001000000:0050 0:0 0A 0:0 00:0 0  1000        0 7 1 0";
        assert_eq!(tcp_line(line), Some(("[::1]:80".parse().unwrap(), "7".to_owned())));
        let established =
            "   0: 0100007F:1F90 0100007F:9999 01 00000000:00000000 00:00000000 00000000  0        0 1 1 0";
        assert_eq!(tcp_line(established), None);
        assert_eq!(tcp_line("nothing of the kind"), None);
    }
}
