//! Where a target waits: stacks weighted by the µs that passed until it went on.

use std::{
    collections::HashMap,
    fs,
    io::BufRead,
    thread,
    time::{Duration, Instant},
};

use bench_common::{cpu, interrupt::Interrupt};
use flame::{KERNEL_MARK, Stacks};
use nix::unistd::Pid;

/// How often the stacks in /proc are read.
const LOOK_INTERVAL: Duration = Duration::from_millis(5);
/// The innermost frame of a wait for the core itself: the thread could have gone on.
const PREEMPTED: &str = "[preempted]";

/// All threads of a process and its descendants.
pub(crate) fn threads(root: Pid) -> anyhow::Result<Vec<Pid>> {
    let mut threads = Vec::new();
    for process in cpu::process_tree(root)? {
        for entry in fs::read_dir(format!("/proc/{process}/task"))? {
            let name = entry?.file_name();
            threads.extend(name.to_str().and_then(|name| name.parse().ok()).map(Pid::from_raw));
        }
    }
    Ok(threads)
}

/// One switch of a core from a thread to another.
#[derive(Debug, PartialEq)]
struct Switch {
    at_us: f64,
    from: i32,
    from_name: String,
    /// Whether the one that left the core could have gone on.
    preempted: bool,
    to: i32,
}

/// Folds what `perf script -F comm,tid,time,event,trace,ip,sym,dso` prints of sched:sched_switch. What has not come back by the
/// end is not in it.
pub(crate) fn of_switches(script: &mut dyn BufRead, threads: &[Pid]) -> anyhow::Result<Stacks> {
    let is_watched = |thread: i32| threads.contains(&Pid::from_raw(thread));
    // When each thread left its core, and by which stack.
    let mut away: HashMap<i32, (f64, String)> = HashMap::new();
    let mut stacks = Stacks::new();
    let mut leaving: Option<(Switch, Vec<String>)> = None;
    for line in script.lines().map(Some).chain([None]) {
        let line = line.transpose()?;
        if let Some(frame) = line.as_deref().and_then(|line| line.strip_prefix('\t')) {
            if let Some((_, frames)) = &mut leaving {
                frames.push(frame_name(frame));
            }
            continue;
        }
        let Some(switch) = line.as_deref().map(parse_switch) else {
            note_leaving(leaving.take(), &mut away);
            break;
        };
        let Some(switch) = switch else { continue };
        note_leaving(leaving.take(), &mut away);
        if let Some((since_us, stack)) = away.remove(&switch.to) {
            stacks.add(stack, (switch.at_us - since_us).max(0.0) as u64);
        }
        leaving = is_watched(switch.from).then(|| (switch, Vec::new()));
    }
    Ok(stacks)
}

/// Remembers the stack of a thread that has left its core.
fn note_leaving(leaving: Option<(Switch, Vec<String>)>, away: &mut HashMap<i32, (f64, String)>) {
    let Some((switch, mut frames)) = leaving else { return };
    frames.push(switch.from_name);
    frames.reverse();
    if switch.preempted {
        frames.push(PREEMPTED.to_owned());
    }
    away.insert(switch.from, (switch.at_us, frames.join(";")));
}

/// `COMM TID [CPU] SECONDS: sched:sched_switch: prev_comm=… prev_pid=… prev_prio=… prev_state=S ==> next_comm=… next_pid=… …`
fn parse_switch(line: &str) -> Option<Switch> {
    let (before, trace) = line.split_once(": sched:sched_switch:")?;
    let at_s: f64 = before.split_whitespace().next_back()?.parse().ok()?;
    let (from, to) = trace.split_once(" ==> ")?;
    let field = |text: &str, name: &str| -> Option<String> {
        let (_, value) = text.rsplit_once(name)?;
        Some(value.split(' ').next()?.to_owned())
    };
    // A name may have spaces: it ends where the next field begins.
    let (_, name) = from.split_once("prev_comm=")?;
    let (name, _) = name.rsplit_once(" prev_pid=")?;
    Some(Switch {
        at_us: at_s * 1e6,
        from: field(from, "prev_pid=")?.parse().ok()?,
        from_name: name.replace(';', ":"),
        preempted: field(from, "prev_state=")?.starts_with('R'),
        to: field(to, "next_pid=")?.parse().ok()?,
    })
}

/// `ADDRESS NAME (FILE)`: the name, with the kernel's marked. Its addresses are the upper half.
fn frame_name(frame: &str) -> String {
    let frame = frame.trim();
    let (frame, _file) = frame.rsplit_once(" (").unwrap_or((frame, ""));
    let (address, name) = frame.split_once(' ').unwrap_or((frame, "[unknown]"));
    let name = name.replace(';', ":");
    let is_kernel = u64::from_str_radix(address, 16).is_ok_and(|address| address >> 63 == 1);
    if is_kernel { name + KERNEL_MARK } else { name }
}

/// Looks at the kernel stacks of those threads that wait, for `seconds`, and weighs each look by the time since the one before.
/// A wait that is shorter than the interval is met by chance; user frames are not to be seen.
pub(crate) fn of_looks(threads: &[Pid], seconds: u32, interrupt: &Interrupt) -> anyhow::Result<Stacks> {
    let mut stacks = Stacks::new();
    let end = Instant::now() + Duration::from_secs(seconds.into());
    let mut before = Instant::now();
    while Instant::now() < end {
        interrupt.check()?;
        thread::sleep(LOOK_INTERVAL);
        let weight_us = before.elapsed().as_micros() as u64;
        before = Instant::now();
        for thread in threads {
            let read = |file: &str| fs::read_to_string(format!("/proc/{thread}/task/{thread}/{file}"));
            // A thread may end, or wake up, between two files.
            let (Ok(stat), Ok(stack)) = (read("stat"), read("stack")) else { continue };
            if let Some(stack) = waiting(&stat, &stack) {
                stacks.add(stack, weight_us);
            }
        }
    }
    Ok(stacks)
}

/// The folded stack of a thread that waits; none of one that runs or could run.
fn waiting(stat: &str, stack: &str) -> Option<String> {
    let (name, rest) = stat.split_once('(')?.1.rsplit_once(") ")?;
    if !rest.starts_with(['S', 'D']) {
        return None;
    }
    // `[<0>] do_nanosleep+0x5e/0x170`, innermost first.
    let frames = stack.lines().filter_map(|line| line.split_once("] ")?.1.split('+').next());
    let mut frames: Vec<String> = frames.map(|frame| format!("{frame}{KERNEL_MARK}")).collect();
    frames.push(name.replace(';', ":"));
    frames.reverse();
    Some(frames.join(";"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SWITCHES: &str = "\
shard 0    21 [000]    10.000100: sched:sched_switch: prev_comm=shard 0 prev_pid=21 prev_prio=120 prev_state=S ==> next_comm=wrk next_pid=30 next_prio=120
\tffffffff821facd8 __schedule ([kernel.kallsyms])
\tffffffff821fb643 schedule ([kernel.kallsyms])
\t           cf503 ringway_ring::kernel::wait (/usr/bin/ringway)

wrk        30 [000]    10.000350: sched:sched_switch: prev_comm=wrk prev_pid=30 prev_prio=120 prev_state=S ==> next_comm=shard 0 next_pid=21 next_prio=120
\tffffffff821facd8 __schedule ([kernel.kallsyms])

shard 0    21 [000]    10.000400: sched:sched_switch: prev_comm=shard 0 prev_pid=21 prev_prio=120 prev_state=R+ ==> next_comm=wrk next_pid=30 next_prio=120
\tffffffff821facd8 __schedule ([kernel.kallsyms])
\t           cf503 ringway_ring::core::turn (/usr/bin/ringway)

wrk        30 [000]    10.000500: sched:sched_switch: prev_comm=wrk prev_pid=30 prev_prio=120 prev_state=R ==> next_comm=shard 0 next_pid=21 next_prio=120

shard 0    21 [000]    10.000900: sched:sched_switch: prev_comm=shard 0 prev_pid=21 prev_prio=120 prev_state=S ==> next_comm=swapper/0 next_pid=0 next_prio=120
";

    #[test]
    fn a_wait_lasts_until_the_thread_is_switched_to() {
        let stacks = of_switches(&mut SWITCHES.as_bytes(), &[Pid::from_raw(21)]).unwrap();
        let waited = "shard 0;ringway_ring::core::turn;__schedule_[k];[preempted] 100\n\
                      shard 0;ringway_ring::kernel::wait;schedule_[k];__schedule_[k] 250\n";
        assert_eq!(stacks.to_string(), waited, "and what has not come back is not counted");
    }

    #[test]
    fn only_threads_that_wait_are_looked_at() {
        let stack = "[<0>] do_epoll_wait+0x1/0x2\n[<0>] do_syscall_64+0x71/0x280\n";
        let folded = waiting("7 (control (x)) S 1 7", stack);
        assert_eq!(folded.as_deref(), Some("control (x);do_syscall_64_[k];do_epoll_wait_[k]"));
        assert_eq!(waiting("7 (control) R 1 7", stack), None);
    }
}
