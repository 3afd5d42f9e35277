//! What is told of held connections.

use std::fmt::Write;

use serde::Serialize;

use super::{KernelMemory, State};
use crate::{
    process::{Memory, Meter},
    record::Recording,
};

/// Memory at one moment.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct Moment {
    /// Of the processes that hold the connections.
    holders: Memory,
    /// Of the target.
    target: Option<Memory>,
    kernel: KernelMemory,
}

/// The load before and beside the connections, where there was one.
#[derive(Debug, Default)]
pub(super) struct Active {
    pub(super) before: Option<Recording>,
    pub(super) beside: Option<Recording>,
}

/// All that was seen.
#[derive(Debug)]
pub(super) struct Idle {
    pub(super) target: String,
    pub(super) wanted: u64,
    pub(super) processes: usize,
    /// How long opening took.
    pub(super) open_s: f64,
    /// At the end.
    pub(super) state: State,
    pub(super) before: Moment,
    /// When all were open.
    pub(super) during: Moment,
    /// At the end, before they were closed.
    pub(super) after: Moment,
    pub(super) active: Active,
}

impl Moment {
    pub(super) fn now(holders: &[i32], target: Option<&Meter>) -> anyhow::Result<Self> {
        let mut sum = Memory { resident_bytes: 0, proportional_bytes: Some(0) };
        for pid in holders {
            let memory = Meter::process(*pid, false)?.memory()?;
            sum.resident_bytes += memory.resident_bytes;
            sum.proportional_bytes = sum.proportional_bytes.zip(memory.proportional_bytes).map(|(a, b)| a + b);
        }
        Ok(Self { holders: sum, target: target.map(Meter::memory).transpose()?, kernel: KernelMemory::now() })
    }
}

/// A row of figures: before, when all were open, at the end.
type Row = (&'static str, [Option<u64>; 3]);

impl Idle {
    /// Whether all connections were held to the end, without an error.
    pub(super) fn is_whole(&self) -> bool {
        let errors = |load: &Option<Recording>| load.as_ref().is_some_and(|load| load.errors.total() > 0);
        self.state.open == self.wanted
            && self.state.errors.total() == 0
            && !errors(&self.active.before)
            && !errors(&self.active.beside)
    }

    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        self.write(&mut text).expect("a String takes whatever is written");
        text
    }

    fn write(&self, text: &mut String) -> std::fmt::Result {
        let state = &self.state;
        writeln!(text, "{}", self.target)?;
        writeln!(
            text,
            "connections   {} of {} open, from {} processes, after {:.1} s; {} closed by the target, {} answers",
            state.open, self.wanted, self.processes, self.open_s, state.closed, state.answers
        )?;
        for (kind, count) in state.errors.iter() {
            writeln!(text, "error         {kind}: {count}")?;
        }
        writeln!(
            text,
            "\n{:<26}{:>12}{:>12}{:>12}{:>16}",
            "memory", "before", "all open", "at the end", "a connection"
        )?;
        for (name, values) in self.rows() {
            let mib = |value: Option<u64>| {
                value.map_or("–".to_owned(), |bytes| format!("{:.1} MiB", bytes as f64 / 1048576.0))
            };
            let [before, during, after] = values;
            let each = before.zip(after).map_or("–".to_owned(), |(before, after)| {
                format!("{:.0} B", (after as f64 - before as f64) / state.open.max(1) as f64)
            });
            writeln!(text, "{name:<26}{:>12}{:>12}{:>12}{each:>16}", mib(before), mib(during), mib(after))?;
        }
        for (name, load) in [("before", &self.active.before), ("beside", &self.active.beside)] {
            let Some(load) = load else { continue };
            let us = |quantile| load.latency.quantile_ns(quantile) as f64 / 1e3;
            writeln!(
                text,
                "\nload {name}   {:.0} requests/s, {} errors, p50 {:.0} µs, p99 {:.0} µs, p99.9 {:.0} µs",
                load.requests_per_second(),
                load.errors.total(),
                us(0.5),
                us(0.99),
                us(0.999)
            )?;
        }
        Ok(())
    }

    fn rows(&self) -> Vec<Row> {
        let moments = [&self.before, &self.during, &self.after];
        let row = |name, of: &dyn Fn(&Moment) -> Option<u64>| (name, moments.map(of));
        vec![
            row("target, resident", &|moment| moment.target.map(|memory| memory.resident_bytes)),
            row("target, proportional", &|moment| moment.target?.proportional_bytes),
            row("loadgen, resident", &|moment| Some(moment.holders.resident_bytes)),
            row("loadgen, proportional", &|moment| moment.holders.proportional_bytes),
            row("kernel, TCP buffers", &|moment| Some(moment.kernel.tcp_buffer_bytes)),
            row("kernel, slab", &|moment| Some(moment.kernel.slab_bytes)),
            row("kernel, slab of sockets", &|moment| moment.kernel.socket_slab_bytes),
        ]
    }

    pub(super) fn json(&self) -> anyhow::Result<String> {
        let load = |recording: &Option<Recording>| {
            recording.as_ref().map(|recording| {
                serde_json::json!({
                    "requests_per_second": recording.requests_per_second(),
                    "errors": recording.errors.total(),
                    "p50_ns": recording.latency.quantile_ns(0.5),
                    "p99_ns": recording.latency.quantile_ns(0.99),
                    "p99_9_ns": recording.latency.quantile_ns(0.999),
                })
            })
        };
        let value = serde_json::json!({
            "target": self.target,
            "wanted": self.wanted,
            "processes": self.processes,
            "open_s": self.open_s,
            "state": self.state,
            "memory": { "before": self.before, "all_open": self.during, "end": self.after },
            "load": { "before": load(&self.active.before), "beside": load(&self.active.beside) },
        });
        Ok(format!("{}\n", serde_json::to_string_pretty(&value)?))
    }
}
