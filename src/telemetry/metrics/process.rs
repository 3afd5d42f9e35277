//! What the kernel knows of this process and its shards' threads, read when somebody asks.

use std::fs;
use std::path::Path;
use std::sync::OnceLock;

use rustix::param;
use rustix::process::{Resource, getrlimit};

/// This process, as the kernel sees it. What cannot be read is 0: metrics are no reason to fail.
#[derive(Debug, Default)]
pub(super) struct Process {
    pub(super) cpu_s: f64,
    pub(super) resident_bytes: f64,
    pub(super) virtual_bytes: f64,
    pub(super) open_descriptors: f64,
    pub(super) descriptors_max: f64,
    /// In seconds since 1970.
    pub(super) started_unix_s: f64,
}

/// A shard's thread, as the kernel sees it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Thread {
    pub(super) shard: usize,
    pub(super) cpu_s: f64,
    /// How long it was ready to run and another thread had its core.
    pub(super) waited_s: f64,
}

impl Process {
    pub(super) fn read() -> Process {
        let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
        let stat = Stat::parse(&stat);
        Process {
            cpu_s: stat.cpu_ticks / param::clock_ticks_per_second() as f64,
            resident_bytes: stat.resident_pages * param::page_size() as f64,
            virtual_bytes: stat.virtual_bytes,
            open_descriptors: open_descriptors() as f64,
            descriptors_max: getrlimit(Resource::Nofile).current.map_or(0.0, |max| max as f64),
            started_unix_s: boot_unix_s() + stat.started_ticks / param::clock_ticks_per_second() as f64,
        }
    }
}

/// The threads of the shards, by the names that they were given.
pub(super) fn shard_threads() -> Vec<Thread> {
    let Ok(tasks) = fs::read_dir("/proc/self/task") else { return Vec::new() };
    let mut threads: Vec<_> = tasks.flatten().filter_map(|task| thread(&task.path())).collect();
    threads.sort_by_key(|thread| thread.shard);
    threads
}

fn thread(task: &Path) -> Option<Thread> {
    let name = fs::read_to_string(task.join("comm")).ok()?;
    let shard = name.trim_end().strip_prefix("shard-")?.parse().ok()?;
    let times = fs::read_to_string(task.join("schedstat")).ok()?;
    let mut times = times.split_whitespace().map(|ns| ns.parse::<f64>().unwrap_or_default() / 1e9);
    Some(Thread { shard, cpu_s: times.next()?, waited_s: times.next()? })
}

/// The fields of /proc/self/stat that are told (proc(5)).
#[derive(Debug, Default, PartialEq)]
struct Stat {
    cpu_ticks: f64,
    started_ticks: f64,
    virtual_bytes: f64,
    resident_pages: f64,
}

impl Stat {
    fn parse(text: &str) -> Stat {
        // The second field is a name in parentheses, which may hold spaces and parentheses: what follows it is counted.
        let Some((_, rest)) = text.rsplit_once(") ") else { return Stat::default() };
        let fields: Vec<f64> = rest.split_whitespace().map(|field| field.parse().unwrap_or_default()).collect();
        let field = |number: usize| fields.get(number - 3).copied().unwrap_or_default();
        Stat {
            cpu_ticks: field(14) + field(15),
            started_ticks: field(22),
            virtual_bytes: field(23),
            resident_pages: field(24),
        }
    }
}

fn open_descriptors() -> u64 {
    // Since Linux 6.2 the folder's size is their number; to list them takes milliseconds when there are many.
    match fs::metadata("/proc/self/fd") {
        Ok(folder) if folder.len() > 0 => folder.len(),
        _ => fs::read_dir("/proc/self/fd").map_or(0, |entries| entries.count() as u64),
    }
}

/// When the system was started, in seconds since 1970.
fn boot_unix_s() -> f64 {
    static BOOT: OnceLock<f64> = OnceLock::new();
    *BOOT.get_or_init(|| {
        let text = fs::read_to_string("/proc/stat").unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("btime "));
        line.and_then(|seconds| seconds.trim().parse().ok()).unwrap_or_default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_does_not_shift_the_fields() {
        let tail = "S 1 1 1 0 -1 4194560 1 0 0 0 70 30 0 0 20 0 4 0 1234 8192 55 1844674";
        let expected = Stat { cpu_ticks: 100.0, started_ticks: 1234.0, virtual_bytes: 8192.0, resident_pages: 55.0 };
        assert_eq!(Stat::parse(&format!("42 (a) b (c) {tail}")), expected);
        assert_eq!(Stat::parse("nonsense"), Stat::default());
    }

    #[test]
    fn this_process_is_told_plausibly() {
        let process = Process::read();
        assert!(process.resident_bytes > 100_000.0 && process.virtual_bytes > process.resident_bytes, "{process:?}");
        assert!(process.open_descriptors >= 3.0 && process.descriptors_max >= process.open_descriptors, "{process:?}");
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs_f64();
        assert!((now - process.started_unix_s).abs() < 600.0, "{process:?}");
    }

    #[test]
    fn threads_are_found_by_their_names() {
        let thread = std::thread::Builder::new().name("shard-17".to_owned());
        let busy = thread.spawn(|| {
            let until = std::time::Instant::now() + std::time::Duration::from_millis(20);
            while std::time::Instant::now() < until {}
            shard_threads().into_iter().find(|thread| thread.shard == 17)
        });
        let found = busy.unwrap().join().unwrap().expect("the thread is found");
        assert!(found.cpu_s > 0.0, "{found:?}");
    }
}
