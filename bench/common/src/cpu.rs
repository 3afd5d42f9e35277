//! What processes and the machine spent of CPU time, as /proc tells it.

use std::{collections::HashMap, fs, io, ops::Sub, time::Duration};

use anyhow::Context;
use nix::{
    sys::resource::{UsageWho, getrusage},
    unistd::Pid,
};

/// Length of a clock tick of /proc. It is part of Linux's interface to programs (`USER_HZ`), whatever the kernel's own is.
const TICK: Duration = Duration::from_millis(10);

/// What a process and its descendants have spent, in user and kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TreeTime {
    /// Sum of the threads' schedstat: exact, but a thread that ended took its share with it.
    scheduled: Duration,
    /// utime and stime of the processes: in ticks, but complete.
    ticked: Ticked,
}

/// CPU time told apart by where it was spent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Ticked {
    /// In the program.
    pub user: Duration,
    /// In the kernel on its behalf.
    pub system: Duration,
}

impl TreeTime {
    /// What `root` and its descendants have spent so far.
    ///
    /// # Errors
    /// Fails when one of them ends meanwhile.
    pub fn of(root: Pid) -> anyhow::Result<Self> {
        let mut sum = Self::default();
        for pid in process_tree(root)? {
            let Self { scheduled, ticked } = Self::of_process(pid)?;
            sum.scheduled += scheduled;
            sum.ticked.user += ticked.user;
            sum.ticked.system += ticked.system;
        }
        Ok(sum)
    }

    /// What `pid` alone has spent so far, in all its threads.
    ///
    /// # Errors
    /// Fails when it ends meanwhile.
    pub fn of_process(pid: Pid) -> anyhow::Result<Self> {
        Ok(Self { scheduled: scheduled(pid)?, ticked: Stat::of(pid)?.time })
    }

    /// What was spent since `earlier`: the exact figure, unless the complete one shows that threads have ended or that
    /// this kernel keeps no schedstat.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        let scheduled = self.scheduled.saturating_sub(earlier.scheduled);
        let ticked = self.ticked.since(earlier.ticked).total();
        let tolerance = 2 * TICK + ticked / 50;
        if ticked > scheduled + tolerance { ticked } else { scheduled }
    }

    /// What was spent since `earlier`, told apart: the sum is that of [`Self::since`], its parts are as the ticks (10 ms)
    /// divide it.
    #[must_use]
    pub fn split_since(self, earlier: Self) -> Ticked {
        let total = self.since(earlier);
        let ticked = self.ticked.since(earlier.ticked);
        if ticked.total().is_zero() {
            return Ticked { user: total, system: Duration::ZERO };
        }
        let user = total.mul_f64(ticked.user.as_secs_f64() / ticked.total().as_secs_f64()).min(total);
        Ticked { user, system: total - user }
    }
}

impl Ticked {
    /// Both together.
    #[must_use]
    pub fn total(self) -> Duration {
        self.user + self.system
    }

    fn since(self, earlier: Self) -> Self {
        Self { user: self.user.saturating_sub(earlier.user), system: self.system.saturating_sub(earlier.system) }
    }
}

/// The ids of `root` and its descendants.
///
/// # Errors
/// Fails when /proc cannot be read.
pub fn process_tree(root: Pid) -> anyhow::Result<Vec<Pid>> {
    let mut children: HashMap<Pid, Vec<Pid>> = HashMap::new();
    for entry in fs::read_dir("/proc").context("cannot list /proc")? {
        let name = entry?.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse().ok()).map(Pid::from_raw) else { continue };
        // A process that has ended since it was listed has no children.
        let Ok(stat) = Stat::of(pid) else { continue };
        children.entry(stat.parent).or_default().push(pid);
    }
    let mut tree = vec![root];
    let mut next = 0;
    while let Some(pid) = tree.get(next) {
        tree.extend(children.remove(pid).unwrap_or_default());
        next += 1;
    }
    Ok(tree)
}

/// What this program itself has spent.
///
/// # Errors
/// Fails when the system does not tell.
pub fn own_time() -> anyhow::Result<Duration> {
    resource_time(UsageWho::RUSAGE_SELF)
}

/// What those children of this program have spent that have ended.
///
/// # Errors
/// Fails when the system does not tell.
pub fn ended_children_time() -> anyhow::Result<Duration> {
    resource_time(UsageWho::RUSAGE_CHILDREN)
}

/// How long each core has been busy, for whomever; what the hypervisor gave to others included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MachineTime {
    cores: Vec<(usize, Duration)>,
}

impl MachineTime {
    /// What the cores have done so far.
    ///
    /// # Errors
    /// Fails when /proc cannot be read.
    pub fn now() -> anyhow::Result<Self> {
        let text = fs::read_to_string("/proc/stat").context("cannot read /proc/stat")?;
        Self::parse(&text).context("/proc/stat is not as expected")
    }

    /// The sum over the cores.
    #[must_use]
    pub fn total(&self) -> Duration {
        self.cores.iter().map(|(_, busy)| busy).sum()
    }

    /// One core's; zero for a core that there is not.
    #[must_use]
    pub fn core(&self, core: usize) -> Duration {
        self.cores.iter().find(|(number, _)| *number == core).map(|(_, busy)| *busy).unwrap_or_default()
    }

    fn parse(text: &str) -> Option<Self> {
        let mut cores = Vec::new();
        for line in text.lines() {
            let mut fields = line.split_ascii_whitespace();
            let Some(number) = fields.next().and_then(|name| name.strip_prefix("cpu")) else { continue };
            if number.is_empty() {
                continue;
            }
            let ticks: Vec<u32> = fields.map(|field| field.parse().ok()).collect::<Option<_>>()?;
            // user nice system idle iowait irq softirq steal guest guest_nice; the guests' are within user and nice.
            let [user, nice, system, _idle, _iowait, irq, softirq, steal, ..] = ticks[..] else { return None };
            let busy = [user, nice, system, irq, softirq, steal].into_iter().map(|ticks| TICK * ticks).sum();
            cores.push((number.parse().ok()?, busy));
        }
        (!cores.is_empty()).then_some(Self { cores })
    }
}

impl Sub for MachineTime {
    type Output = Self;

    fn sub(self, earlier: Self) -> Self {
        let since = |(core, busy): (usize, Duration)| (core, busy.saturating_sub(earlier.core(core)));
        Self { cores: self.cores.into_iter().map(since).collect() }
    }
}

/// The fields of /proc/PID/stat that count here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stat {
    parent: Pid,
    time: Ticked,
}

impl Stat {
    fn of(pid: Pid) -> anyhow::Result<Self> {
        let text = fs::read_to_string(format!("/proc/{pid}/stat"))
            .with_context(|| format!("process {pid} has ended while it was measured"))?;
        Self::parse(&text).with_context(|| format!("the stat of process {pid} is not as expected"))
    }

    fn parse(text: &str) -> Option<Self> {
        // The name, in parentheses, may itself contain spaces and parentheses. The field after it is the third of
        // proc_pid_stat(5): state, then ppid (4), utime (14) and stime (15).
        let (_, fields) = text.rsplit_once(") ")?;
        let fields: Vec<&str> = fields.split_ascii_whitespace().collect();
        let ticks = |number: usize| fields.get(number - 3)?.parse::<u32>().ok();
        Some(Self {
            parent: Pid::from_raw(fields.get(1)?.parse().ok()?),
            time: Ticked { user: TICK * ticks(14)?, system: TICK * ticks(15)? },
        })
    }
}

fn scheduled(pid: Pid) -> anyhow::Result<Duration> {
    let mut sum = Duration::ZERO;
    for thread in fs::read_dir(format!("/proc/{pid}/task")).with_context(|| format!("process {pid} has ended"))? {
        match fs::read_to_string(thread?.path().join("schedstat")) {
            Ok(text) => sum += parse_schedstat(&text).context("a schedstat is not as expected")?,
            // Without schedstat in this kernel, or with the thread gone, the ticks tell.
            Err(error) if error.kind() == io::ErrorKind::NotFound || error.raw_os_error() == Some(3) => {}
            Err(error) => return Err(error).context("cannot read a schedstat"),
        }
    }
    Ok(sum)
}

/// The first field: time on a core, in nanoseconds.
fn parse_schedstat(text: &str) -> Option<Duration> {
    text.split_ascii_whitespace().next()?.parse().ok().map(Duration::from_nanos)
}

fn resource_time(of: UsageWho) -> anyhow::Result<Duration> {
    let usage = getrusage(of).context("cannot read the resource usage")?;
    let microseconds = |time: nix::sys::time::TimeVal| {
        Duration::new(time.tv_sec().unsigned_abs(), 0) + Duration::from_micros(time.tv_usec().unsigned_abs())
    };
    Ok(microseconds(usage.user_time()) + microseconds(usage.system_time()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stat_is_read_behind_any_name() {
        let text = "42 (a) (b c) S 7 42 42 0 -1 4194560 100 0 0 0 120 35 0 0 20 0 1 0 999 1 2\n";
        let stat = Stat::parse(text).unwrap();
        let time = Ticked { user: Duration::from_millis(1200), system: Duration::from_millis(350) };
        assert_eq!(stat, Stat { parent: Pid::from_raw(7), time });
        assert_eq!(Stat::parse("42 (a) S 7"), None);
    }

    #[test]
    fn schedstat_starts_with_the_time_on_a_core() {
        assert_eq!(parse_schedstat("35249367 10092214 123\n"), Some(Duration::from_nanos(35_249_367)));
        assert_eq!(parse_schedstat(""), None);
    }

    #[test]
    fn a_core_is_busy_when_not_idle_or_waiting() {
        let text = "cpu  3 0 3 900 0 0 0 0 0 0\ncpu0 1 2 3 400 50 4 5 6 7 8\ncpu1 10 0 0 500 0 0 0 0 0 0\nintr 5\n";
        let machine = MachineTime::parse(text).unwrap();
        assert_eq!(machine.core(0), TICK * 21);
        assert_eq!(machine.core(1), TICK * 10);
        assert_eq!(machine.total(), TICK * 31);
        assert_eq!((machine.clone() - machine).total(), Duration::ZERO);
        assert_eq!(MachineTime::parse("intr 5\n"), None);
    }

    #[test]
    fn the_exact_time_is_preferred_until_a_thread_is_lost() {
        let time = |scheduled, ticked| TreeTime {
            scheduled: Duration::from_millis(scheduled),
            ticked: Ticked { user: Duration::from_millis(ticked), system: Duration::ZERO },
        };
        let start = time(100, 100);
        assert_eq!(time(1107, 1110).since(start), Duration::from_millis(1007));
        assert_eq!(time(1107, 1090).since(start), Duration::from_millis(1007));
        assert_eq!(time(507, 1110).since(start), Duration::from_millis(1010));
    }

    #[test]
    fn the_ticks_divide_the_exact_time() {
        let time = |scheduled, user, system| TreeTime {
            scheduled: Duration::from_millis(scheduled),
            ticked: Ticked { user: Duration::from_millis(user), system: Duration::from_millis(system) },
        };
        let split = time(1100, 350, 760).split_since(time(100, 100, 10));
        assert_eq!(split, Ticked { user: Duration::from_millis(250), system: Duration::from_millis(750) });
        let unticked = time(4, 0, 0).split_since(time(1, 0, 0));
        assert_eq!(unticked.total(), Duration::from_millis(3));
    }

    #[test]
    fn the_tree_of_this_process_contains_its_child() {
        let mut child = std::process::Command::new("cat").stdin(std::process::Stdio::piped()).spawn().unwrap();
        let tree = process_tree(Pid::this()).unwrap();
        let found = tree.contains(&Pid::from_raw(child.id().cast_signed()));
        drop(child.stdin.take());
        child.wait().unwrap();
        assert_eq!(tree[0], Pid::this());
        assert!(found);
    }
}
