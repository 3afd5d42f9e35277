//! Comparisons of targets whose figures are known.

use std::{cell::RefCell, time::Duration};

use bench_common::cpu::Ticked;

use super::*;
use crate::report::samples;

fn targets(names: &[&str]) -> Vec<Target> {
    names.iter().map(|name| Target { name: (*name).to_owned(), load: format!("http://{name}/"), meter: None }).collect()
}

/// Rounds in which the machine becomes slower, and `b` always takes half as long as `a`.
fn comparison() -> Comparison {
    let rounds = (0..7).map(|round| {
        let window = |service_us: u64, cpu_us: u64| {
            let recording = samples::report("", 2, 1000, service_us).recording;
            let cpu_each = Duration::from_micros(cpu_us);
            let requests = u32::try_from(recording.requests() + recording.errors.total()).unwrap();
            let cpu = Some(Ticked { user: cpu_each * requests / 4, system: cpu_each * requests * 3 / 4 });
            let memory = Some(Memory { resident_bytes: 9 << 20, proportional_bytes: Some((6 << 20) + round * 4096) });
            Window { recording, cpu, memory }
        };
        vec![window(400 + round * 40, 20 + round), window(200 + round * 20, 10 + round / 2)]
    });
    let about = samples::report("", 1, 10, 100).about;
    Comparison { about, targets: targets(&["a", "b"]), rounds: rounds.collect() }
}

fn answered() -> Recording {
    samples::report("", 1, 10, 100).recording
}

#[test]
fn a_target_that_answers_nothing_is_told_after_the_warm_up() {
    let about = samples::report("", 1, 10, 100).about;
    let mut windows = 0;
    let error = Comparison::measure(about, targets(&["a", "b"]), 5, |target, _| {
        windows += 1;
        Ok(Some(if target.name == "a" { answered() } else { Recording::default() }))
    })
    .unwrap_err();
    assert!(error.to_string().starts_with("b answered nothing"), "{error}");
    assert_eq!(windows, 2);
}

#[test]
fn the_targets_take_turns_and_the_first_round_does_not_count() {
    let asked = RefCell::new(Vec::new());
    let about = samples::report("", 1, 10, 100).about;
    let comparison = Comparison::measure(about, targets(&["a", "b"]), 2, |target, turn| {
        asked.borrow_mut().push(format!("{turn} {}", target.name));
        Ok(Some(answered()))
    })
    .unwrap();
    assert_eq!(asked.into_inner(), ["warm-up a", "warm-up b", "1/2 a", "1/2 b", "2/2 a", "2/2 b"]);
    assert_eq!(comparison.rounds.len(), 2);
}

#[test]
fn rounds_that_are_complete_survive_an_interruption() {
    let left = RefCell::new(7);
    let measure = |windows: u32| {
        left.replace(windows);
        let about = samples::report("", 1, 10, 100).about;
        Comparison::measure(about, targets(&["a", "b"]), 5, |_, _| {
            let more = left.replace_with(|left| left.saturating_sub(1)) > 0;
            Ok(more.then(answered))
        })
    };
    assert_eq!(measure(7).unwrap().rounds.len(), 2);
    assert!(measure(3).is_err(), "a warm-up is no round");
}

#[test]
fn a_ratio_is_taken_within_each_round() {
    let figures = figures::of(&comparison());
    let ratio = |metric: figures::Metric| {
        let figures = figures.iter().find(|figures| figures.metric == metric).unwrap();
        assert_eq!(figures.targets[0].unwrap().ratio, None);
        figures.targets[1].unwrap().ratio.unwrap()
    };
    // The machine slowed down by more than half over the rounds, which the ratios do not see.
    let p50 = ratio(figures::Metric::LatencyP50Ns);
    assert!((0.49..0.51).contains(&p50.low) && (0.49..0.51).contains(&p50.high), "{p50:?}");
    let cpu = ratio(figures::Metric::CpuNsPerRequest);
    assert!((0.47..0.51).contains(&cpu.low) && (0.48..0.51).contains(&cpu.high), "{cpu:?}");
    assert!(ratio(figures::Metric::MemoryBytes).covers(1.0));
}

#[test]
fn the_table_fits_a_terminal() {
    let text = comparison().text();
    for line in text.lines() {
        assert!(line.chars().count() <= 80, "{line}");
    }
    assert!(text.contains("CPU a request") && text.contains("b: 1"), "{text}");
}

#[test]
fn a_target_without_answers_has_no_figures() {
    let mut comparison = comparison();
    for round in &mut comparison.rounds {
        round[1] = Window { recording: Recording::default(), cpu: None, memory: None };
    }
    let figures = figures::of(&comparison);
    assert!(figures.iter().all(|figures| figures.targets[0].is_some() && figures.targets[1].is_none()));
    assert!(comparison.text().contains("b answered nothing as expected."));
    assert!(comparison.html("a and b").contains("</html>"));
}

#[test]
fn the_json_tells_what_the_figures_are() {
    let json: serde_json::Value = serde_json::from_str(&comparison().json().unwrap()).unwrap();
    assert_eq!(json["format"], FORMAT);
    assert_eq!(json["rounds"], 7);
    assert_eq!(json["targets"][1]["rounds"].as_array().unwrap().len(), 7);
    let p50 = json["metrics"].as_array().unwrap().iter().find(|metric| metric["metric"] == "latency_p50_ns").unwrap();
    assert!(p50["targets"][1]["ratio"]["median"].as_f64().unwrap() < 0.51);
    assert_eq!(json["targets"][0]["recording"]["latency"]["bands"][0].as_array().unwrap().len(), 2);
}
