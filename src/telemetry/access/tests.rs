//! Targets across reloads.

use std::path::{Path, PathBuf};

use engine::{KeptFields, Outcome, Outlets, Record, Recorder};
use plan::access_log::{Escape, Format, Share};
use plan::{AccessLog, AccessLogId, AccessLogs};

use super::*;

const DEADLINE: Duration = Duration::from_secs(20);

/// A Plan that writes to files of these names in `folder`.
fn plan(folder: &Path, names: &[&str]) -> Plan {
    let place = |name: &&str| Place::File { path: folder.join(name), rotation: None };
    let targets: Vec<LogTarget> =
        names.iter().map(|name| LogTarget { place: place(name), waiting_bytes_max: 64 << 10 }).collect();
    let format = || Format::template("{client}", Escape::Apache).unwrap();
    let log =
        |index| AccessLog { target: LogTargetId(index), format: format(), only: None, share: Share::ALL, always: None };
    let logs = (0..targets.len() as u16).map(log).collect();
    let mut plan = crate::config::embedded(([127, 0, 0, 1], 9).into());
    plan.access_logs = AccessLogs { logs, targets, default: Some(AccessLogId(0)) };
    plan
}

/// What a shard does with a Plan and its outlets.
struct Shard {
    plan: Plan,
    outlets: Outlets,
    recorder: Recorder,
}

impl Shard {
    fn write(&mut self, log: usize, client: &str) {
        let record = Record {
            client,
            tls: None,
            request: None,
            server_name: None,
            response: &KeptFields::default(),
            status: 200,
            outcome: Outcome::Completed,
            route: None,
            upstream: None,
            request_id: b"",
            bytes_in: 0,
            bytes_out: 0,
            duration: Duration::ZERO,
        };
        let log = &self.plan.access_logs.logs[log];
        assert!(self.recorder.write(log, &self.outlets, &record, engine::Instant::now()));
    }
}

fn serve(writer: &mut AccessWriter, plan: Plan, before: Option<&Shard>) -> Shard {
    let mut outlets = writer.apply(&plan, 1, &Metrics::new(1)).unwrap();
    let none = Outlets::default();
    let present = before.map_or(&none, |shard| &shard.outlets);
    let outlets = Outlets::next(present, outlets.remove(0));
    Shard { plan, outlets, recorder: Recorder::default() }
}

#[track_caller]
fn wait_for(path: &Path, text: &str) {
    let end = Instant::now() + DEADLINE;
    while std::fs::read_to_string(path).unwrap_or_default() != text {
        assert!(Instant::now() < end, "{} is to be {text:?}", path.display());
        std::thread::sleep(Duration::from_millis(2));
    }
}

#[tokio::test]
async fn a_reload_keeps_what_stays_and_lets_the_old_exchanges_finish() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| -> PathBuf { folder.path().join(name) };
    let mut writer = AccessWriter::default();
    let mut first = serve(&mut writer, plan(folder.path(), &["a", "b"]), None);
    first.write(0, "1");
    first.write(1, "1");
    // The same files in another order, less one and with a new one.
    let mut second = serve(&mut writer, plan(folder.path(), &["c", "b"]), Some(&first));
    assert_eq!(writer.writers.len(), 3);
    second.write(0, "2");
    second.write(1, "2");
    // Exchanges that began before still know the old logs; lines of one shard keep their order where the outlet was kept.
    first.write(1, "3");
    first.write(0, "3");
    wait_for(&path("a"), "1\n3\n");
    wait_for(&path("b"), "1\n2\n3\n");
    wait_for(&path("c"), "2\n");
    // Once the last of them has ended, nobody needs the file.
    drop(first);
    let end = Instant::now() + DEADLINE;
    while writer.writers.len() > 2 {
        assert!(Instant::now() < end, "the writer of a file that nobody needs ends");
        second = serve(&mut writer, plan(folder.path(), &["c", "b"]), Some(&second));
    }
    second.write(1, "4");
    writer.finish();
    assert_eq!(std::fs::read_to_string(path("b")).unwrap(), "1\n2\n3\n4\n");
}

#[tokio::test]
async fn a_target_that_comes_back_while_it_is_still_needed_has_one_writer() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = AccessWriter::default();
    let first = serve(&mut writer, plan(folder.path(), &["a"]), None);
    let second = serve(&mut writer, plan(folder.path(), &[]), Some(&first));
    let mut third = serve(&mut writer, plan(folder.path(), &["a"]), Some(&second));
    assert_eq!(writer.writers.len(), 1);
    third.write(0, "1");
    wait_for(&folder.path().join("a"), "1\n");
    drop(first);
    third.write(0, "2");
    writer.finish();
    assert_eq!(std::fs::read_to_string(folder.path().join("a")).unwrap(), "1\n2\n");
}

#[tokio::test]
async fn a_plan_whose_target_cannot_be_opened_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = AccessWriter::default();
    let mut shard = serve(&mut writer, plan(folder.path(), &["a"]), None);
    let refused = writer.apply(&plan(folder.path(), &["b", "missing/c"]), 1, &Metrics::new(1)).unwrap_err();
    assert!(format!("{refused:#}").contains("missing/c: No such file"), "{refused:#}");
    shard.write(0, "1");
    wait_for(&folder.path().join("a"), "1\n");
    // The next reload finds its outlet where it was.
    let mut shard = serve(&mut writer, plan(folder.path(), &["a"]), Some(&shard));
    shard.write(0, "2");
    wait_for(&folder.path().join("a"), "1\n2\n");
}
