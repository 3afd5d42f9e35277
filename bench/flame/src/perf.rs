//! perf: what it can see here, its recordings, and the text of them.

use std::{
    io::BufReader,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, bail, ensure};
use bench_common::{interrupt::Interrupt, process::Process, programs::installed};
use nix::unistd::Pid;

use crate::arguments::Unwinding;

/// Bytes of the stack that perf copies at each sample for DWARF. Deeper frames are lost.
const DWARF_STACK_BYTES: u32 = 16 << 10;

/// The installed perf, on a core that is not the proxy's.
#[derive(Debug)]
pub(crate) struct Perf<'a> {
    program: PathBuf,
    directory: &'a Path,
    core: usize,
    interrupt: &'a Interrupt,
}

impl<'a> Perf<'a> {
    /// Finds it.
    pub(crate) fn find(directory: &'a Path, core: usize, interrupt: &'a Interrupt) -> anyhow::Result<Self> {
        let program = installed("perf").context("on Debian: apt-get install linux-perf")?;
        Ok(Self { program, directory, core, interrupt })
    }

    /// What it says of its version.
    pub(crate) fn version(&self) -> String {
        let output = Command::new(&self.program).arg("--version").output();
        output.map_or_else(|_| "unknown".into(), |output| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }

    /// What is counted: the processor's cycles, or, where there is no counter for them (most virtual machines), the clock. The
    /// clock's samples cannot come while interrupts are off, and fall on the instruction that allows them again.
    pub(crate) fn event(&self) -> &'static str {
        let stat = Command::new(&self.program).args(["stat", "-x", ",", "-e", "cycles", "--", "true"]).output();
        let counts = stat.is_ok_and(|output| {
            let told = String::from_utf8_lossy(&output.stderr).into_owned();
            output.status.success() && told.lines().any(|line| counted(line).is_some_and(|cycles| cycles > 0))
        });
        if counts { "cycles" } else { "cpu-clock" }
    }

    /// Records samples of the processes for `seconds`; the file.
    pub(crate) fn record_samples(
        &self,
        event: &str,
        frequency: u32,
        unwinding: Unwinding,
        processes: &[Pid],
        seconds: u32,
    ) -> anyhow::Result<PathBuf> {
        let processes: Vec<String> = processes.iter().map(Pid::to_string).collect();
        let options = ["-F", &frequency.to_string(), "-e", event, "-p", &processes.join(",")].map(str::to_owned);
        self.record(&options, unwinding, seconds)
    }

    /// Records every switch from and to the threads for `seconds`; the file.
    pub(crate) fn record_switches(
        &self,
        unwinding: Unwinding,
        threads: &[Pid],
        seconds: u32,
    ) -> anyhow::Result<PathBuf> {
        let filter: Vec<String> =
            threads.iter().map(|thread| format!("prev_pid == {thread} || next_pid == {thread}")).collect();
        // On all cores: the moment a thread comes back is told by whoever left the core to it.
        let options = ["-a", "-e", "sched:sched_switch", "--filter", &filter.join(" || ")].map(str::to_owned);
        self.record(&options, unwinding, seconds)
    }

    fn record(&self, options: &[String], unwinding: Unwinding, seconds: u32) -> anyhow::Result<PathBuf> {
        let file = self.directory.join("perf.data");
        let mut command = Command::new(&self.program);
        command.arg("record").arg("--quiet").arg("--output").arg(&file).args(options);
        match unwinding {
            Unwinding::FramePointers => command.args(["--call-graph", "fp"]),
            Unwinding::Dwarf => command.args(["--call-graph", &format!("dwarf,{DWARF_STACK_BYTES}")]),
        };
        command.args(["--", "sleep", &seconds.to_string()]);
        let mut process = Process::start("perf", command, self.core, self.directory)?;
        let status = process.wait(self.interrupt)?;
        if !status.success() {
            bail!(
                "perf record failed ({status}); `sysctl kernel.perf_event_paranoid` of 1 or less, or the capability \
                 CAP_PERFMON, is what it takes to see the kernel:\n{}",
                process.output()
            );
        }
        Ok(file)
    }

    /// Has a recording printed, and read.
    pub(crate) fn script<T>(
        &self,
        recording: &Path,
        options: &[&str],
        read: impl FnOnce(&mut dyn std::io::BufRead) -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        let mut child = Command::new(&self.program)
            // Inlined functions would take addr2line a second for each address.
            .args(["script", "--no-inline", "--input"])
            .arg(recording)
            .args(options)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            // It complains of every symbol table that is not installed.
            .stderr(Stdio::null())
            .spawn()
            .context("cannot start perf script")?;
        let output = child.stdout.take().context("perf script without output")?;
        let result = read(&mut BufReader::new(output));
        let status = child.wait().context("perf script")?;
        let result = result?;
        ensure!(status.success(), "perf script failed ({status})");
        Ok(result)
    }
}

/// The figure in a line of `perf stat -x ,`.
fn counted(line: &str) -> Option<u64> {
    line.split(',').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_supported_is_no_count() {
        assert_eq!(counted("<not supported>,,cycles,0,100.00,,"), None);
        assert_eq!(counted("734512,,cycles,412345,100.00,,"), Some(734_512));
    }
}
