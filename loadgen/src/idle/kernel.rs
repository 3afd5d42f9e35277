//! What the kernel itself uses for sockets, both ends of local connections together.

use std::fs;

use serde::Serialize;

/// The kernel's memory for sockets, as far as it may be read.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub(super) struct KernelMemory {
    /// Buffers of TCP sockets, in bytes (`/proc/net/sockstat`).
    pub(super) tcp_buffer_bytes: u64,
    /// Sockets of TCP in use in this network namespace (`/proc/net/sockstat`).
    pub(super) tcp_sockets: u64,
    /// The kernel's small objects of all kinds, in bytes (`Slab` of `/proc/meminfo`).
    pub(super) slab_bytes: u64,
    /// Those of them that make a connection, in bytes (`/proc/slabinfo`); only root may read it.
    pub(super) socket_slab_bytes: Option<u64>,
}

/// The slabs that grow with connections: sockets, their inodes and names, descriptors, what epoll and io_uring wait with.
const SLABS: [&str; 8] =
    ["TCP", "TCPv6", "sock_inode_cache", "dentry", "filp", "eventpoll_epi", "eventpoll_pwq", "request_sock_TCP"];

impl KernelMemory {
    pub(super) fn now() -> Self {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let (tcp_sockets, tcp_pages) = sockstat(&read("/proc/net/sockstat"));
        Self {
            tcp_buffer_bytes: tcp_pages * rustix::param::page_size() as u64,
            tcp_sockets,
            slab_bytes: meminfo(&read("/proc/meminfo"), "Slab:") << 10,
            socket_slab_bytes: fs::read_to_string("/proc/slabinfo").ok().map(|text| slabs(&text)),
        }
    }
}

/// Sockets and pages from `TCP: inuse 5 orphan 0 tw 0 alloc 7 mem 1`.
fn sockstat(text: &str) -> (u64, u64) {
    let words: Vec<&str> =
        text.lines().find(|line| line.starts_with("TCP:")).unwrap_or("").split_whitespace().collect();
    let of = |name: &str| {
        let at = words.iter().position(|word| *word == name)?;
        words.get(at + 1)?.parse().ok()
    };
    (of("inuse").unwrap_or(0), of("mem").unwrap_or(0))
}

fn meminfo(text: &str, name: &str) -> u64 {
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.split_whitespace().next()?.parse().ok());
    value.unwrap_or(0)
}

/// The sum of objects times their size, from lines `name active total size …`.
fn slabs(text: &str) -> u64 {
    let lines = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    lines
        .filter(|words| words.first().is_some_and(|name| SLABS.contains(name)))
        .filter_map(|words| Some(words.get(2)?.parse::<u64>().ok()? * words.get(3)?.parse::<u64>().ok()?))
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_s_words_are_understood() {
        assert_eq!(sockstat("sockets: used 9\nTCP: inuse 5 orphan 0 tw 0 alloc 7 mem 3\nUDP: inuse 1 mem 2\n"), (5, 3));
        assert_eq!(meminfo("MemTotal: 7 kB\nSlab:    123 kB\n", "Slab:"), 123);
        let text = "slabinfo - version: 2.1\nTCP 10 12 2304 7\nfilp 5 6 256 16\nother 1 1 1 1\n";
        assert_eq!(slabs(text), 12 * 2304 + 6 * 256);
    }
}
