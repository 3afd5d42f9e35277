//! The comparison's own part of the command line.

use std::{collections::BTreeSet, path::Path};

use anyhow::{Context, bail, ensure};
use clap::Args;

use super::Target;
use crate::process::Meter;

/// Targets that are compared at most.
const TARGETS_MAX: usize = 16;

/// Which targets take turns, and whose CPU time is told.
#[derive(Debug, Clone, Args)]
pub struct CompareArguments {
    /// URLs or scenario files; ratios are to the first.
    #[arg(required = true, num_args = 2.., value_name = "[NAME=]TARGET")]
    targets: Vec<String>,
    /// Rounds in which each target is measured once. Of fewer than six, no interval covers 95 %.
    #[arg(long, default_value_t = 9, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub rounds: u32,
    /// Tell a target's CPU time a request and memory, by its process.
    #[arg(long = "pid", value_name = "NAME=PID")]
    pids: Vec<String>,
    /// With --pid: count the processes that it started as well, such as workers.
    #[arg(long, requires = "pids")]
    children: bool,
    /// Tell a target's CPU time a request and memory, by its cgroup (v2).
    #[arg(long = "cgroup", value_name = "NAME=PATH")]
    cgroups: Vec<String>,
}

impl CompareArguments {
    /// The targets, with their meters.
    ///
    /// # Errors
    /// Fails when two have the same name, or a process or cgroup is not there or of no target.
    pub fn targets(&self) -> anyhow::Result<Vec<Target>> {
        ensure!(self.targets.len() <= TARGETS_MAX, "more than {TARGETS_MAX} targets");
        let mut targets: Vec<Target> = self.targets.iter().map(|argument| named(argument)).collect();
        let names: BTreeSet<&str> = targets.iter().map(|target| target.name.as_str()).collect();
        ensure!(names.len() == targets.len(), "two targets have the same name; give them others: NAME=TARGET");
        for argument in &self.pids {
            let (name, pid) = argument.split_once('=').context("--pid wants NAME=PID")?;
            let pid = pid.parse().with_context(|| format!("--pid {argument}: {pid} is no process id"))?;
            set_meter(&mut targets, name, Meter::process(pid, self.children)?)?;
        }
        for argument in &self.cgroups {
            let (name, path) = argument.split_once('=').context("--cgroup wants NAME=PATH")?;
            set_meter(&mut targets, name, Meter::cgroup(Path::new(path))?)?;
        }
        Ok(targets)
    }
}

fn set_meter(targets: &mut [Target], name: &str, meter: Meter) -> anyhow::Result<()> {
    let known: Vec<String> = targets.iter().map(|target| target.name.clone()).collect();
    let Some(target) = targets.iter_mut().find(|target| target.name == name) else {
        bail!("there is no target {name}, only {}", known.join(", "));
    };
    ensure!(target.meter.is_none(), "{name} has both a process and a cgroup, or several");
    target.meter = Some(meter);
    Ok(())
}

/// `NAME=TARGET`, where the name is nothing that could begin a URL or a path; otherwise the target names itself.
fn named(argument: &str) -> Target {
    let (name, load) = match argument.split_once('=') {
        Some((name, load)) if !name.is_empty() && !name.contains(['/', ':', '?', '.']) => (name, load),
        _ => (argument, argument),
    };
    Target { name: name.to_owned(), load: load.to_owned(), meter: None }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Command {
        #[command(flatten)]
        compare: CompareArguments,
    }

    fn targets(arguments: &[&str]) -> anyhow::Result<Vec<Target>> {
        Command::try_parse_from([&["loadgen"], arguments].concat())?.compare.targets()
    }

    #[test]
    fn a_name_stands_before_its_target() {
        let targets = targets(&["a=http://127.0.0.1:1/?x=y", "http://127.0.0.1:2/?x=y", "load.toml"]).unwrap();
        let names: Vec<(&str, &str)> = targets.iter().map(|target| (&*target.name, &*target.load)).collect();
        assert_eq!(names[0], ("a", "http://127.0.0.1:1/?x=y"));
        assert_eq!(names[1], ("http://127.0.0.1:2/?x=y", "http://127.0.0.1:2/?x=y"));
        assert_eq!(names[2], ("load.toml", "load.toml"));
    }

    #[test]
    fn a_process_belongs_to_a_target() {
        let own = std::process::id();
        let meters = targets(&["a=http://x/", "b=http://y/", "--children", "--pid", &format!("b={own}")]).unwrap();
        assert!(meters[0].meter.is_none());
        assert!(matches!(meters[1].meter, Some(Meter::Tree(_))));
        for arguments in [
            &["a=http://x/"][..],
            &["a=http://x/", "a=http://y/"],
            &["a=http://x/", "b=http://y/", "--children"],
            &["a=http://x/", "b=http://y/", "--pid", &format!("c={own}")],
            &["a=http://x/", "b=http://y/", "--pid", "b=no"],
            &["a=http://x/", "b=http://y/", "--pid", &format!("b={own}"), "--pid", &format!("b={own}")],
            &["a=http://x/", "b=http://y/", "--cgroup", "b=/nowhere/at/all"],
        ] {
            assert!(targets(arguments).is_err(), "{arguments:?}");
        }
    }
}
