//! The host as its files show it, below a root that tests choose.

pub mod ethtool;
mod interrupts;

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use rustix::fs::Access as Permission;
use serde::Serialize;

use crate::goal::cpus_of_list;

/// A file of /proc or /sys is never longer than this. What is longer is cut.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Where the host's files are. With another root than `/` everything is read and written below it, and programs are
/// looked for there too: nothing of this machine is touched.
#[derive(Debug, Clone)]
pub struct Host {
    root: PathBuf,
}

impl Host {
    /// The host below `root`.
    #[must_use]
    pub fn at(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    /// Where `path`, which begins with a slash, is on this machine.
    #[must_use]
    pub fn locate(&self, path: &str) -> PathBuf {
        self.root.join(path.trim_start_matches('/'))
    }

    /// The whole text of a file.
    ///
    /// # Errors
    /// As reading gives them; what is no UTF-8 is `InvalidData`.
    pub fn read(&self, path: &str) -> io::Result<String> {
        use io::Read as _;
        let mut text = String::new();
        fs::File::open(self.locate(path))?.take(FILE_BYTES_MAX).read_to_string(&mut text)?;
        Ok(text)
    }

    /// The bytes of a file that is no text.
    ///
    /// # Errors
    /// As reading gives them.
    pub fn read_bytes<const N: usize>(&self, path: &str) -> io::Result<[u8; N]> {
        use io::Read as _;
        let mut bytes = [0; N];
        fs::File::open(self.locate(path))?.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    /// Writes to a file that exists; the kernel's files are never made.
    ///
    /// # Errors
    /// As opening and writing give them: the kernel refuses a value by failing the write.
    pub fn write(&self, path: &str, text: &str) -> io::Result<()> {
        let mut file = OpenOptions::new().write(true).truncate(true).open(self.locate(path))?;
        // In one call: the kernel takes each write for a whole value.
        file.write_all(text.as_bytes())
    }

    /// Whether there is such a file or folder.
    #[must_use]
    pub fn has(&self, path: &str) -> bool {
        self.locate(path).exists()
    }

    /// Whether the file may be written. Root may write what its mode forbids, but not what the kernel or a read-only mount
    /// keeps closed.
    #[must_use]
    pub fn is_writable(&self, path: &str) -> bool {
        rustix::fs::access(self.locate(path), Permission::WRITE_OK).is_ok()
    }

    /// The names in a folder, numbers among them in their order. None if it cannot be read.
    #[must_use]
    pub fn list(&self, folder: &str) -> Vec<String> {
        let Ok(entries) = fs::read_dir(self.locate(folder)) else { return Vec::new() };
        let mut names: Vec<_> = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect();
        names.sort_by_key(|name| natural(name));
        names
    }

    /// The files that fit `pattern`, in which `*` stands for a part of one path element, each with what the stars stood
    /// for.
    #[must_use]
    pub fn matching(&self, pattern: &str) -> Vec<(String, Vec<String>)> {
        let mut found = vec![(String::new(), Vec::new())];
        for element in pattern.split('/').filter(|element| !element.is_empty()) {
            found = match element.split_once('*') {
                None => found.into_iter().map(|(path, stars)| (format!("{path}/{element}"), stars)).collect(),
                Some((before, after)) => {
                    let below = |(path, stars): (String, Vec<String>)| {
                        self.list(&path).into_iter().filter_map(move |name| {
                            let star = name.strip_prefix(before)?.strip_suffix(after)?;
                            // `cpu*` is not to find cpufreq: a star beside other characters is a number.
                            if star.is_empty() || !(element == "*" || star.bytes().all(|byte| byte.is_ascii_digit())) {
                                return None;
                            }
                            let stars = stars.iter().cloned().chain([star.to_owned()]).collect();
                            Some((format!("{path}/{name}"), stars))
                        })
                    };
                    found.into_iter().flat_map(below).collect()
                }
            };
        }
        found.retain(|(path, _)| self.has(path));
        found
    }

    /// Where the program is, in the folders where systems keep programs for administrators.
    #[must_use]
    pub fn program(&self, name: &str) -> Option<PathBuf> {
        const FOLDERS: [&str; 5] = ["usr/sbin", "sbin", "usr/bin", "bin", "usr/local/sbin"];
        FOLDERS.iter().map(|folder| self.root.join(folder).join(name)).find(|path| path.is_file())
    }

    /// The processes whose program is called `name`.
    #[must_use]
    pub fn processes(&self, name: &str) -> Vec<u32> {
        let pids = self.list("/proc").into_iter().filter_map(|entry| entry.parse().ok());
        pids.filter(|pid| self.read(&format!("/proc/{pid}/comm")).is_ok_and(|comm| comm.trim_end() == name)).collect()
    }
}

/// Digits compare as numbers: `rx-2` stands before `rx-10`.
fn natural(name: &str) -> (String, u64) {
    let text = name.trim_end_matches(|character: char| character.is_ascii_digit());
    (text.to_owned(), name[text.len()..].parse().unwrap_or(0))
}

/// What goals are computed from.
#[derive(Debug, Clone, Serialize)]
pub struct Facts {
    /// `Linux` and its release, as far as it is known.
    pub kernel: String,
    /// The CPUs that are online.
    pub cpus: Vec<u32>,
    /// Shards that Ringway has here.
    pub shards: usize,
    /// Memory.
    pub memory_bytes: u64,
    /// Network cards that are looked at.
    pub devices: Vec<Device>,
    /// Which start of the machine this is; empty if it does not tell.
    pub boot_id: String,
}

/// A network card.
#[derive(Debug, Clone, Serialize)]
pub struct Device {
    /// `eth0`.
    pub name: String,
    /// Receive queues.
    pub rx_queues: usize,
    /// Transmit queues.
    pub tx_queues: usize,
}

impl Facts {
    /// What `host` shows. `shards` is one for each CPU unless told; `devices` are those that hardware stands behind and that
    /// are up, unless some are named.
    #[must_use]
    pub fn of(host: &Host, shards: Option<usize>, devices: &[String]) -> Self {
        let text = |path: &str| host.read(path).map(|text| text.trim().to_owned()).unwrap_or_default();
        let cpus = cpus_of_list(&text("/sys/devices/system/cpu/online")).filter(|cpus| !cpus.is_empty());
        let cpus = cpus.unwrap_or_else(|| vec![0]);
        let memory_kib = text("/proc/meminfo")
            .lines()
            .find_map(|line| line.strip_prefix("MemTotal:")?.split_ascii_whitespace().next()?.parse::<u64>().ok());
        Self {
            kernel: format!("Linux {}", text("/proc/sys/kernel/osrelease")).trim_end().to_owned(),
            shards: shards.unwrap_or(cpus.len()),
            cpus,
            memory_bytes: memory_kib.unwrap_or(0).saturating_mul(1024),
            devices: devices_of(host, devices),
            boot_id: text("/proc/sys/kernel/random/boot_id"),
        }
    }

    /// The device of that name.
    #[must_use]
    pub fn device(&self, name: &str) -> Option<&Device> {
        self.devices.iter().find(|device| device.name == name)
    }

    /// The CPU of a shard, or of the queue that goes with it. Shards stand on the CPUs in their order.
    #[must_use]
    pub fn cpu_of(&self, shard: usize) -> u32 {
        self.cpus[shard % self.cpus.len()]
    }

    /// The CPUs that shards stand on.
    #[must_use]
    pub fn shard_cpus(&self) -> Vec<u32> {
        self.cpus.iter().copied().take(self.shards.max(1)).collect()
    }
}

fn devices_of(host: &Host, named: &[String]) -> Vec<Device> {
    const NET: &str = "/sys/class/net";
    let is_up = |name: &str| host.read(&format!("{NET}/{name}/operstate")).is_ok_and(|state| state.trim() == "up");
    let has_hardware = |name: &str| host.has(&format!("{NET}/{name}/device"));
    let chosen = |name: &String| match named {
        [] => has_hardware(name) && is_up(name),
        named => named.contains(name),
    };
    let queues = |name: &str, direction: &str| {
        host.list(&format!("{NET}/{name}/queues")).iter().filter(|queue| queue.starts_with(direction)).count()
    };
    let device = |name: String| Device { rx_queues: queues(&name, "rx-"), tx_queues: queues(&name, "tx-"), name };
    host.list(NET).into_iter().filter(chosen).map(device).collect()
}

/// An interrupt of a network card's queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueInterrupt {
    /// Its number.
    pub number: u32,
    /// What the driver calls it, such as `eth0-TxRx-3`.
    pub action: String,
    /// The queue.
    pub queue: usize,
}

impl Host {
    /// The interrupts of the queues of `device`, by number.
    #[must_use]
    pub fn queue_interrupts(&self, device: &str) -> Vec<QueueInterrupt> {
        interrupts::of_queues(self, device)
    }
}
