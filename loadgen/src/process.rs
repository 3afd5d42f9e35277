//! What the other side spends: CPU time and memory of a process, a process tree or a cgroup.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, ensure};
use bench_common::cpu::{Ticked, TreeTime, process_tree};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

const KIB: u64 = 1024;

/// Whose CPU time and memory are read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Meter {
    /// One process with all its threads.
    Process(Pid),
    /// A process and its descendants.
    Tree(Pid),
    /// A cgroup (v2), by its folder.
    Cgroup(PathBuf),
}

/// CPU time spent so far.
#[derive(Debug, Clone, Copy)]
pub enum Spent {
    /// Of processes.
    Processes(TreeTime),
    /// Of a cgroup.
    Cgroup(Ticked),
}

/// Memory that is in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Memory {
    /// Pages in memory: of processes the resident set, which counts what they share once for each; of a cgroup its anonymous
    /// memory and mapped files.
    pub resident_bytes: u64,
    /// The same with what is shared divided among those who share it; not known of a cgroup, nor of a process of somebody
    /// else.
    pub proportional_bytes: Option<u64>,
}

impl Meter {
    /// Finds the cgroup at `path`: a folder, or a path below where cgroups are mounted.
    ///
    /// # Errors
    /// Fails when there is none, or it has no CPU accounting.
    pub fn cgroup(path: &Path) -> anyhow::Result<Self> {
        let mounted = Path::new("/sys/fs/cgroup").join(path.strip_prefix("/").unwrap_or(path));
        let folder = [path.to_owned(), mounted].into_iter().find(|folder| folder.join("cpu.stat").is_file());
        folder.map(Self::Cgroup).with_context(|| format!("{} is no cgroup (v2)", path.display()))
    }

    /// Finds the process of this id.
    ///
    /// # Errors
    /// Fails when there is none.
    pub fn process(pid: i32, with_children: bool) -> anyhow::Result<Self> {
        ensure!(pid > 0, "{pid} is no process id");
        let pid = Pid::from_raw(pid);
        TreeTime::of_process(pid).with_context(|| format!("there is no process {pid}"))?;
        Ok(if with_children { Self::Tree(pid) } else { Self::Process(pid) })
    }

    /// What was spent so far.
    ///
    /// # Errors
    /// Fails when it has ended.
    pub fn spent(&self) -> anyhow::Result<Spent> {
        match self {
            Self::Process(pid) => TreeTime::of_process(*pid).map(Spent::Processes),
            Self::Tree(pid) => TreeTime::of(*pid).map(Spent::Processes),
            Self::Cgroup(folder) => parse_cpu_stat(&read(&folder.join("cpu.stat"))?)
                .context("cpu.stat is not as expected")
                .map(Spent::Cgroup),
        }
    }

    /// What is in memory.
    ///
    /// # Errors
    /// Fails when it has ended.
    pub fn memory(&self) -> anyhow::Result<Memory> {
        match self {
            Self::Process(pid) => memory_of(*pid),
            Self::Tree(pid) => {
                let mut sum = Memory { resident_bytes: 0, proportional_bytes: Some(0) };
                for pid in process_tree(*pid)? {
                    let memory = memory_of(pid)?;
                    sum.resident_bytes += memory.resident_bytes;
                    sum.proportional_bytes =
                        sum.proportional_bytes.zip(memory.proportional_bytes).map(|(sum, bytes)| sum + bytes);
                }
                Ok(sum)
            }
            Self::Cgroup(folder) => {
                let resident_bytes =
                    parse_memory_stat(&read(&folder.join("memory.stat"))?).context("memory.stat is not as expected")?;
                Ok(Memory { resident_bytes, proportional_bytes: None })
            }
        }
    }
}

impl Spent {
    /// What was spent since `earlier`, which the same meter read.
    #[must_use]
    pub fn since(self, earlier: Self) -> Ticked {
        match (self, earlier) {
            (Self::Processes(now), Self::Processes(then)) => now.split_since(then),
            (Self::Cgroup(now), Self::Cgroup(then)) => {
                Ticked { user: now.user.saturating_sub(then.user), system: now.system.saturating_sub(then.system) }
            }
            _ => unreachable!("a meter reads always the same"),
        }
    }
}

fn memory_of(pid: Pid) -> anyhow::Result<Memory> {
    // Only who may trace a process reads how it shares its pages.
    if let Ok(text) = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))
        && let Some(resident_bytes) = field_kib(&text, "Rss:")
    {
        return Ok(Memory { resident_bytes, proportional_bytes: field_kib(&text, "Pss:") });
    }
    let text = read(Path::new(&format!("/proc/{pid}/status")))?;
    let resident_bytes = field_kib(&text, "VmRSS:").with_context(|| format!("process {pid} has ended"))?;
    Ok(Memory { resident_bytes, proportional_bytes: None })
}

/// The value of a line such as `Pss:   1234 kB`, in bytes.
fn field_kib(text: &str, name: &str) -> Option<u64> {
    let value = text.lines().find_map(|line| line.strip_prefix(name))?;
    Some(value.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * KIB)
}

fn parse_cpu_stat(text: &str) -> Option<Ticked> {
    let time = |name| Some(Duration::from_micros(field(text, name)?));
    Some(Ticked { user: time("user_usec")?, system: time("system_usec")? })
}

fn parse_memory_stat(text: &str) -> Option<u64> {
    Some(field(text, "anon")? + field(text, "file_mapped")?)
}

/// The value of a line such as `anon 1234`.
fn field(text: &str, name: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))?.parse().ok()
}

fn read(path: &Path) -> anyhow::Result<String> {
    fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    #[test]
    fn this_process_spends_and_holds() {
        let meter = Meter::process(std::process::id().cast_signed(), false).unwrap();
        let before = meter.spent().unwrap();
        let began = Instant::now();
        let mut sum = 0_u64;
        // Until its own clock has run: somebody else may have the core meanwhile.
        while meter.spent().unwrap().since(before).total() < Duration::from_millis(30) {
            assert!(began.elapsed() < Duration::from_secs(30), "no time was counted; {sum}");
            sum = (0..100_000).fold(sum, |sum, number| sum.wrapping_mul(31) ^ number);
        }
        let memory = meter.memory().unwrap();
        assert!(memory.resident_bytes > 100 * KIB);
        assert!(memory.proportional_bytes.is_none_or(|bytes| bytes <= memory.resident_bytes));
    }

    #[test]
    fn a_cgroup_is_read_from_its_files() {
        let folder = tempfile::tempdir().unwrap();
        let write = |cpu: &str, memory: &str| {
            fs::write(folder.path().join("cpu.stat"), cpu).unwrap();
            fs::write(folder.path().join("memory.stat"), memory).unwrap();
        };
        write("usage_usec 30\nuser_usec 10\nsystem_usec 20\n", "anon 4096\nfile 9\nfile_mapped 100\n");
        let meter = Meter::cgroup(folder.path()).unwrap();
        let before = meter.spent().unwrap();
        write("usage_usec 90\nuser_usec 35\nsystem_usec 55\n", "anon 4096\nfile 9\nfile_mapped 100\n");
        let spent = meter.spent().unwrap().since(before);
        assert_eq!(spent, Ticked { user: Duration::from_micros(25), system: Duration::from_micros(35) });
        assert_eq!(meter.memory().unwrap(), Memory { resident_bytes: 4196, proportional_bytes: None });
        assert!(Meter::cgroup(Path::new("/nowhere/at/all")).is_err());
    }

    #[test]
    fn who_is_not_there_has_no_meter() {
        for pid in [0, -1, i32::MAX] {
            assert!(Meter::process(pid, true).is_err());
        }
    }
}
