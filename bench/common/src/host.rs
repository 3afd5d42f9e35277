//! What a run was made on and with: enough to judge its figures, nothing that names the machine.

use std::{collections::BTreeMap, env, fmt, fs, process::Command};

use anyhow::Context;
use engine::Utc;
use nix::sys::utsname::uname;
use serde::Serialize;

/// The conditions of a run.
#[derive(Debug, Clone, Serialize)]
pub struct Host {
    /// Date of the run in UTC, YYYY-MM-DD.
    pub date: String,
    /// The commit of the workspace, with `-dirty` if files differ from it.
    pub revision: String,
    /// The kernel's release.
    pub kernel: String,
    /// The processor's model.
    pub cpu: String,
    /// Cores that the system has.
    pub cores: usize,
    /// TCP's congestion control; it shapes what large bodies cost.
    pub congestion_control: String,
    /// What each program of the run says of its version.
    pub versions: BTreeMap<&'static str, String>,
}

impl Host {
    /// Describes this host and what a run uses on it.
    ///
    /// # Errors
    /// Fails when the system does not tell.
    pub fn describe(versions: BTreeMap<&'static str, String>) -> anyhow::Result<Self> {
        let cpu_info = fs::read_to_string("/proc/cpuinfo").context("cannot read /proc/cpuinfo")?;
        let congestion_control = fs::read_to_string("/proc/sys/net/ipv4/tcp_congestion_control");
        Ok(Self {
            date: today(),
            revision: revision(),
            kernel: uname()?.release().to_string_lossy().into_owned(),
            cpu: cpu_model(&cpu_info).unwrap_or("unknown").to_owned(),
            cores: cpu_info.lines().filter(|line| line.starts_with("processor")).count(),
            congestion_control: congestion_control.map_or_else(|_| "unknown".into(), |name| name.trim().to_owned()),
            versions,
        })
    }

    /// The name of a run's folder: date, kernel and revision.
    #[must_use]
    pub fn run_name(&self) -> String {
        format!("{}-{}-{}", self.date, self.kernel_version(), self.revision)
    }

    /// The release without a distributor's suffix, such as 6.18.4.
    fn kernel_version(&self) -> &str {
        self.kernel.split(['-', '+']).next().unwrap_or(&self.kernel)
    }
}

impl fmt::Display for Host {
    /// A line on the machine, then one for each program.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { date, revision, kernel, cpu, cores, congestion_control, versions } = self;
        write!(
            formatter,
            "{date}, revision {revision}, {cpu} ({cores} cores), Linux {kernel}, TCP {congestion_control}"
        )?;
        versions.values().try_for_each(|version| write!(formatter, "\n{version}"))
    }
}

/// The command line that a reader can repeat, of the bench in `package`: folders, which are this machine's own, are left
/// out.
#[must_use]
pub fn command_line(package: &str) -> String {
    let arguments = env::args().skip(1).map(|argument| without_folders(&argument));
    [format!("cargo run --release -p {package} --")].into_iter().chain(arguments).collect::<Vec<_>>().join(" ")
}

fn without_folders(argument: &str) -> String {
    let (option, value) = match argument.split_once('=') {
        Some((option, value)) => (format!("{option}="), value),
        None => (String::new(), argument),
    };
    let name = value.rsplit('/').next().unwrap_or(value);
    option + name
}

fn cpu_model(cpu_info: &str) -> Option<&str> {
    let line = cpu_info.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim())
}

fn revision() -> String {
    let git = |arguments: &[&str]| {
        let output = Command::new("git").args(arguments).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    // Kept runs are no change of what was measured.
    match (
        git(&["rev-parse", "--short", "HEAD"]),
        git(&["status", "--porcelain", "--", ":(top)", ":(top,exclude)perf"]),
    ) {
        (Some(commit), Some(changes)) if changes.is_empty() => commit,
        (Some(commit), _) => format!("{commit}-dirty"),
        (None, _) => "unknown".into(),
    }
}

/// Today's date by the calendar, in UTC.
fn today() -> String {
    let Utc { year, month, day, .. } = Utc::now();
    format!("{year:04}-{month:02}-{day:02}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_do_not_leave_the_machine() {
        assert_eq!(without_folders("--ringway=/home/somebody/ringway"), "--ringway=ringway");
        assert_eq!(without_folders("target/release/ringway"), "ringway");
        assert_eq!(without_folders("small@64"), "small@64");
    }

    #[test]
    fn the_cpu_has_a_name() {
        assert_eq!(cpu_model("processor\t: 0\nmodel name\t: AMD EPYC\nmodel name\t: other\n"), Some("AMD EPYC"));
        assert_eq!(cpu_model("processor\t: 0\n"), None);
    }
}
