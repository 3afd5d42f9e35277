//! What a run was made on and with: enough to judge its figures, nothing that names the machine.

use std::{
    collections::BTreeMap,
    env, fmt, fs,
    process::Command,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::Context;
use nix::sys::utsname::uname;
use serde::{Deserialize, Serialize};

/// The conditions of a run.
#[derive(Debug, Clone, Serialize)]
pub struct Host {
    /// Date of the run in UTC, YYYY-MM-DD.
    pub date: String,
    /// The commit of the workspace, with `-dirty` if files differ from it.
    pub revision: String,
    /// The machine.
    #[serde(flatten)]
    pub machine: Machine,
    /// What each program of the run says of its version.
    pub versions: BTreeMap<&'static str, String>,
}

/// A machine, as far as figures depend on it and without its name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    /// The kernel's release.
    pub kernel: String,
    /// The processor's model.
    pub cpu: String,
    /// Cores that the system has.
    pub cores: usize,
    /// TCP's congestion control; it shapes what large bodies cost.
    pub congestion_control: String,
}

impl Machine {
    /// Describes this machine.
    ///
    /// # Errors
    /// Fails when the system does not tell.
    pub fn describe() -> anyhow::Result<Self> {
        let cpu_info = fs::read_to_string("/proc/cpuinfo").context("cannot read /proc/cpuinfo")?;
        let congestion_control = fs::read_to_string("/proc/sys/net/ipv4/tcp_congestion_control");
        Ok(Self {
            kernel: uname()?.release().to_string_lossy().into_owned(),
            cpu: cpu_model(&cpu_info).unwrap_or("unknown").to_owned(),
            cores: cpu_info.lines().filter(|line| line.starts_with("processor")).count(),
            congestion_control: congestion_control.map_or_else(|_| "unknown".into(), |name| name.trim().to_owned()),
        })
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kernel, cpu, cores, congestion_control } = self;
        write!(formatter, "{cpu} ({cores} cores), Linux {kernel}, TCP {congestion_control}")
    }
}

impl Host {
    /// Describes this host and what a run uses on it.
    ///
    /// # Errors
    /// Fails when the system does not tell.
    pub fn describe(versions: BTreeMap<&'static str, String>) -> anyhow::Result<Self> {
        let today = SystemTime::now().duration_since(UNIX_EPOCH).context("the clock is before 1970")?;
        Ok(Self {
            date: date_text(today.as_secs() / (24 * 60 * 60)),
            revision: revision(),
            machine: Machine::describe()?,
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
        self.machine.kernel.split(['-', '+']).next().unwrap_or(&self.machine.kernel)
    }
}

impl fmt::Display for Host {
    /// A line on the machine, then one for each program.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { date, revision, machine, versions } = self;
        write!(formatter, "{date}, revision {revision}, {machine}")?;
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

/// The time `since_epoch` after 1970 in UTC, as RFC 3339 writes it, to the second.
#[must_use]
pub fn timestamp(since_epoch: Duration) -> String {
    let seconds = since_epoch.as_secs();
    let (day, second) = (seconds / (24 * 60 * 60), seconds % (24 * 60 * 60));
    format!("{}T{:02}:{:02}:{:02}Z", date_text(day), second / 3600, second / 60 % 60, second % 60)
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

/// The date `days` after 1970-01-01, by Howard Hinnant's `civil_from_days`. The engine has a calendar too, but the load generator
/// stands on this crate and has no part of the proxy in it.
fn date_text(days: u64) -> String {
    // Counted from 0000-03-01, so that a leap day is the last of its year, in eras of 400 years.
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = 400 * era + year_of_era + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates() {
        for (days, text) in [(0, "1970-01-01"), (11_016, "2000-02-29"), (11_017, "2000-03-01"), (20_453, "2025-12-31")]
        {
            assert_eq!(date_text(days), text);
        }
    }

    #[test]
    fn timestamps() {
        assert_eq!(timestamp(Duration::ZERO), "1970-01-01T00:00:00Z");
        assert_eq!(timestamp(Duration::from_millis(1_767_225_599_999)), "2025-12-31T23:59:59Z");
    }

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
