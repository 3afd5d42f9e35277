//! A target under load, looked into.

use std::{thread, time::Duration};

use anyhow::{Context, anyhow};
use bench_common::{cpu, interrupt::Interrupt};
use bench_versus::{scenario::Scenario, stage::Stage, targets::Running};
use flame::Stacks;

use crate::{
    arguments::{Arguments, OffCpu, Unwinding},
    off_cpu,
    perf::Perf,
};

/// How much longer the load goes on than the look, for perf to begin.
const MARGIN_SECONDS: u32 = 2;
/// How long the load runs before the look begins: its connections are open by then.
const LEAD: Duration = Duration::from_millis(500);
/// What of a sample is to be printed: not its period, so that each weighs the same.
const SAMPLE_FIELDS: [&str; 2] = ["-F", "comm,tid,time,event,ip,sym,dso"];
/// What of a switch is to be printed.
const SWITCH_FIELDS: [&str; 2] = ["-F", "comm,tid,cpu,time,event,trace,ip,sym,dso"];

/// How a target is looked into.
pub(crate) struct View<'a> {
    arguments: &'a Arguments,
    scenario: Scenario,
    stage: &'a Stage<'a>,
    perf: &'a Perf<'a>,
    interrupt: &'a Interrupt,
    event: &'static str,
}

impl<'a> View<'a> {
    pub(crate) fn new(
        arguments: &'a Arguments,
        scenario: Scenario,
        stage: &'a Stage<'a>,
        perf: &'a Perf<'a>,
        interrupt: &'a Interrupt,
    ) -> Self {
        Self { arguments, scenario, stage, perf, interrupt, event: perf.event() }
    }

    /// How, in words.
    pub(crate) fn method(&self) -> String {
        let unwinding = match self.arguments.unwind {
            Unwinding::FramePointers => "frame pointers",
            Unwinding::Dwarf => "DWARF",
        };
        match self.arguments.off_cpu {
            None => format!("on CPU: {} at {} Hz, stacks by {unwinding}", self.event, self.arguments.frequency),
            Some(OffCpu::Switches) => format!("off CPU: sched:sched_switch, every wait, stacks by {unwinding}"),
            Some(OffCpu::Stacks) => {
                "off CPU: /proc/PID/task/TID/stack every 5 ms, kernel stacks alone, short waits by chance".to_owned()
            }
        }
    }

    /// Loads the target, and looks for `seconds`.
    pub(crate) fn take(&self, target: &Running, seconds: u32) -> anyhow::Result<Stacks> {
        eprintln!("{} under {}: {} s", target.target, self.scenario, self.arguments.warm_up_seconds + seconds);
        self.stage.load(target, self.scenario, self.arguments.warm_up_seconds)?;
        thread::scope(|scope| {
            let load = scope.spawn(|| self.stage.load(target, self.scenario, seconds + MARGIN_SECONDS));
            thread::sleep(LEAD);
            let stacks = self.look(target, seconds);
            load.join().map_err(|_| anyhow!("the load panicked"))?.context("the load")?;
            stacks
        })
    }

    fn look(&self, target: &Running, seconds: u32) -> anyhow::Result<Stacks> {
        let Arguments { frequency, unwind, .. } = *self.arguments;
        let root = target.process.pid();
        match self.arguments.off_cpu {
            None => {
                let processes = cpu::process_tree(root)?;
                let recording = self.perf.record_samples(self.event, frequency, unwind, &processes, seconds)?;
                self.perf.script(&recording, &SAMPLE_FIELDS, |script| Ok(Stacks::of_perf_script(script)?))
            }
            Some(OffCpu::Switches) => {
                let threads = off_cpu::threads(root)?;
                let recording = self
                    .perf
                    .record_switches(unwind, &threads, seconds)
                    .context("the tracepoint needs root and tracefs; --off-cpu stacks does without the tracepoint")?;
                self.perf.script(&recording, &SWITCH_FIELDS, |script| off_cpu::of_switches(script, &threads))
            }
            Some(OffCpu::Stacks) => {
                let threads = off_cpu::threads(root)?;
                off_cpu::of_looks(&threads, seconds, self.interrupt)
            }
        }
    }
}
