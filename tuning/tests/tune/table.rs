//! The table holds together.

use std::collections::HashSet;
use std::path::Path;

use tuning::goal::{Goal, Place};
use tuning::host::{Device, Facts};
use tuning::knob::{Access, Effect, Profile};
use tuning::knobs;

fn facts(cpus: u32) -> Facts {
    Facts {
        kernel: "Linux".to_owned(),
        cpus: (0..cpus).collect(),
        shards: cpus as usize,
        memory_bytes: 64 << 30,
        devices: vec![Device { name: "eth0".to_owned(), rx_queues: 2, tx_queues: 2 }],
        boot_id: String::new(),
    }
}

#[test]
fn every_knob_is_told_completely() {
    let mut names = HashSet::new();
    for knob in knobs::all() {
        assert!(names.insert(knob.name), "{} stands there twice", knob.name);
        for (what, text) in [("what", knob.what), ("why", knob.why), ("cost", knob.cost), ("source", knob.source)] {
            assert!(!text.is_empty(), "{} has no {what}", knob.name);
        }
        assert!(knob.why.ends_with('.') && knob.cost.ends_with('.'), "{}: sentences end", knob.name);
        let is_sysctl = matches!(knob.access, Access::Sysctl { .. });
        assert_eq!(is_sysctl, !knob.name.starts_with(knob.area.name()), "{}: a sysctl has its own name", knob.name);
    }
}

#[test]
fn runs_that_are_named_are_kept() {
    let runs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../perf/runs");
    for knob in knobs::all() {
        if let Effect::Run { folder, .. } = knob.effect {
            assert!(runs.join(folder).is_dir(), "{}: there is no run {folder}", knob.name);
        }
    }
}

#[test]
fn what_would_be_written_is_what_is_wanted() {
    let place = Place { device: "eth0".to_owned(), queue: 1, ..Place::default() };
    for cpus in [1, 2, 4, 8, 64, 130] {
        for knob in knobs::all() {
            for profile in Profile::ALL {
                let goal = knob.wanted.by(profile).on(&facts(cpus), &place);
                for now in ["", "0", "1 2 3", "1 2", "18446744073709551615"] {
                    let Some(value) = goal.value_after(now) else { continue };
                    assert!(goal.holds(&value), "{} {profile:?} on {cpus} CPUs: {value} is not {goal}", knob.name);
                }
            }
        }
    }
}

#[test]
fn a_laptop_keeps_its_power_and_its_card() {
    for knob in knobs::all().filter(|knob| matches!(knob.name.split('.').next(), Some("nic" | "cpu" | "memory" | "vm")))
    {
        assert!(matches!(knob.wanted.laptop, Goal::Leave), "{}", knob.name);
    }
}
