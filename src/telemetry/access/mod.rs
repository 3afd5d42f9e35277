//! The access log: what the shards recorded, written by a thread of its own for each target.
//!
//! [`AccessWriter`] belongs to the control loop. Given a Plan, it opens the targets and hands each shard an outlet to each of
//! them; given the next, it keeps the writers and outlets of targets that stay, so that no record is lost on the way. A target
//! is a [`Sink`]: a file (which may put itself aside, [`rotation`]), standard output, or syslog. A sink that stands still holds
//! up its own thread and nobody else: the shards' outlets to it fill up, and they drop and count records ([`writer`]).

mod appender;
mod file;
mod rotation;
mod stdout;
mod syslog;
mod writer;

use std::time::{Duration, Instant};

use anyhow::Context;
use engine::NextOutlet;
use plan::access_log::{LogTarget, Place};
use plan::{LogTargetId, Plan};

use writer::Writer;

use super::metrics::Metrics;

/// How long the writers may take in the end for what still waits. A reader that does not read would keep them for ever.
const FINISH_WITHIN: Duration = Duration::from_secs(3);

/// The writers of all targets.
#[derive(Default)]
pub(crate) struct AccessWriter {
    writers: Vec<Writer>,
}

/// Where lines go.
trait Sink: Send {
    /// Writes as many of these bytes, which end with a whole line, as goes without waiting; 0 if none does. After bytes that
    /// do not end with a line the rest of it follows, unless there was an error.
    ///
    /// # Errors
    /// When they cannot be written. The line that was begun is cut off, and the next bytes are a new one's.
    fn write(&mut self, lines: &[u8]) -> std::io::Result<usize>;

    /// Opens the target anew, because it was moved away.
    ///
    /// # Errors
    /// When that fails; then the old one is still in use.
    fn reopen(&mut self) -> std::io::Result<()> {
        Ok(())
    }

    /// Does what is due from time to time.
    ///
    /// # Errors
    /// What went wrong; it will be tried again.
    fn tend(&mut self, _now: Instant) -> anyhow::Result<()> {
        Ok(())
    }

    /// Obeys other settings for the same place.
    fn change(&mut self, _target: &LogTarget) {}
}

impl AccessWriter {
    /// Obeys `plan`: opens the targets that are new, and returns the outlets of each of `shards` shards. Targets that are gone
    /// are written to until the last exchange has ended that knew them. To be called within the runtime.
    ///
    /// # Errors
    /// When a target cannot be opened. Then nothing has changed.
    pub(crate) fn apply(
        &mut self,
        plan: &Plan,
        shards: usize,
        metrics: &Metrics,
    ) -> anyhow::Result<Vec<Vec<NextOutlet>>> {
        self.writers.retain(|writer| !writer.is_idle());
        let targets = &plan.access_logs.targets;
        let position = |place: &Place| self.writers.iter().position(|writer| writer.is_of(place));
        let known: Vec<Option<usize>> = targets.iter().map(|target| position(&target.place)).collect();
        let mut opened = Vec::new();
        for (target, _) in targets.iter().zip(&known).filter(|(_, known)| known.is_none()) {
            let sink =
                open(&target.place).with_context(|| format!("the access log cannot go to {}", name(&target.place)))?;
            let refused = metrics.access_log(&name(&target.place));
            opened.push(Writer::start(target.clone(), sink, refused)?);
        }
        // Nothing fails from here on.
        let present: Vec<Option<LogTargetId>> = self.writers.iter_mut().map(|writer| writer.id.take()).collect();
        let first_opened = self.writers.len();
        self.writers.append(&mut opened);
        let mut outlets: Vec<Vec<NextOutlet>> = (0..shards).map(|_| Vec::new()).collect();
        let mut next_opened = first_opened..;
        for ((index, target), known) in targets.iter().enumerate().zip(known) {
            let place = known.or_else(|| next_opened.next()).expect("an endless range");
            let writer = &mut self.writers[place];
            let kept = present.get(place).copied().flatten().filter(|_| writer.fits(target));
            writer.obey(target);
            writer.id = Some(LogTargetId(u16::try_from(index).expect("a Plan has few targets")));
            for outlets in &mut outlets {
                outlets.push(match kept {
                    Some(id) => NextOutlet::Kept(id),
                    None => NextOutlet::New(writer.outlet()),
                });
            }
        }
        Ok(outlets)
    }

    /// Opens all files anew, since they were moved away.
    pub(crate) fn reopen(&self) {
        self.writers.iter().for_each(Writer::reopen);
    }

    /// Writes what is left, once the shards have ended.
    pub(crate) fn finish(mut self) {
        self.writers.iter().for_each(Writer::stop);
        let end = Instant::now() + FINISH_WITHIN;
        self.writers.drain(..).for_each(|writer| writer.finish(end));
    }
}

fn open(place: &Place) -> anyhow::Result<Box<dyn Sink>> {
    Ok(match place {
        Place::Stdout => Box::new(stdout::Stdout::open()?),
        Place::File { path, rotation } => Box::new(file::LogFile::open(path, *rotation)?),
        Place::Syslog(syslog) => Box::new(syslog::SyslogSocket::open(syslog.clone())),
    })
}

/// The place as the program log and the metrics call it.
pub(super) fn name(place: &Place) -> String {
    use plan::access_log::SyslogAddress;
    match place {
        Place::Stdout => "standard output".to_owned(),
        Place::File { path, .. } => path.display().to_string(),
        Place::Syslog(syslog) => match &syslog.address {
            SyslogAddress::Unix(path) => format!("syslog at {}", path.display()),
            SyslogAddress::Udp(address) => format!("syslog at {address}"),
        },
    }
}

#[cfg(test)]
mod tests;
