use bench_common::host::Machine;

use super::*;
use crate::{idle::IdleSample, measure::example};

fn round(polluted: bool, costs: [(&str, bool, f64); 3]) -> Round {
    let samples =
        costs.map(|(target, peer, proxy_us_per_request)| Sample { peer, proxy_us_per_request, ..example(target) });
    let pollution = polluted.then(|| "others used 9 %".to_owned());
    Round { polluted, pollution, samples: samples.into() }
}

fn rounds() -> Vec<Round> {
    vec![
        round(false, [("bare-ring", false, 8.0), ("nginx", true, 10.0), ("haproxy", true, 16.0)]),
        round(true, [("bare-ring", false, 90.0), ("nginx", true, 1.0), ("haproxy", true, 1.0)]),
        round(false, [("bare-ring", false, 9.0), ("nginx", true, 15.0), ("haproxy", true, 20.0)]),
        round(false, [("bare-ring", false, 10.0), ("nginx", true, 10.0), ("haproxy", true, 22.0)]),
    ]
}

/// A report with a scenario of each kind.
pub(crate) fn report(reference: Option<&str>) -> Report {
    let machine =
        Machine { kernel: "6.18".into(), cpu: "a <fast> one".into(), cores: 2, congestion_control: "bbr".into() };
    let versions = [("nginx", "nginx 1 & 2".to_owned())].into();
    let host = Host { date: "2026-11-20".into(), revision: "abc".into(), machine, versions };
    let settings = Settings {
        targets: ["bare-ring", "nginx", "haproxy"].map(str::to_owned).into(),
        reference: reference.map(str::to_owned),
        rounds: 3,
        seconds: 4,
        warm_up_seconds: 2,
        proxy_core: 0,
        load_core: 1,
    };
    let mut report = Report { host, command: "cargo run".into(), settings, scenarios: Vec::new(), idle: Vec::new() };
    report.add("small@64".parse().unwrap(), Measured { per_second: None, rounds: rounds() });
    report.add("open-half@64".parse().unwrap(), Measured { per_second: Some(45_000), rounds: rounds() });
    report.add_idle("idle@1000".parse().unwrap(), idle_rounds());
    report
}

fn idle_rounds() -> Vec<IdleRound> {
    let sample = |target: &str, peer, user_bytes, kernel_bytes| {
        let cost = bench_versus::generator::IdleCost { user_bytes, user_total_bytes: 2.0 * user_bytes, kernel_bytes };
        IdleSample { target: target.into(), peer, cost }
    };
    let round = |bytes: f64| IdleRound {
        samples: vec![sample("ringway", false, bytes, Some(7000.0)), sample("nginx", true, 2.0 * bytes, None)],
    };
    vec![round(500.0), round(600.0), round(550.0)]
}

#[test]
fn ratios_are_of_the_cheapest_peer_round_by_round() {
    let report = report(None);
    let scenario = &report.scenarios[0];
    assert_eq!(scenario.reference, "nginx");
    let bare = &scenario.targets[0];
    assert_eq!(bare.ratio, Spread { median: 0.8, min: 0.6, max: 1.0 });
    assert_eq!(bare.ratio_estimate, Estimate { median: 0.8, low: 0.6, high: 1.0 });
    assert_eq!(bare.total_us_per_request.median, 14.0);
    assert_eq!(scenario.targets[2].over_floor_us, Some(Spread { median: 11.0, min: 8.0, max: 12.0 }));
}

#[test]
fn a_named_reference_takes_the_place_of_the_cheapest_peer() {
    assert_eq!(report(Some("haproxy")).scenarios[0].reference, "haproxy");
    // One that this scenario did not have.
    assert_eq!(report(Some("haproxy")).idle[0].reference, "nginx");
}

#[test]
fn without_peers_the_cheapest_target_is_the_reference() {
    let targets = [("ringway", false, 9.0), ("bare-epoll", false, 8.0), ("bare-tokio", false, 9.5)];
    let names = targets.iter().map(|(name, peer, _)| (*name, *peer));
    assert_eq!(reference(names, |target| targets[target].2, None), 1);
}

#[test]
fn polluted_rounds_count_only_where_there_is_nothing_else() {
    let rounds = [round(true, [("ringway", false, 9.0), ("nginx", true, 8.0), ("haproxy", true, 9.5)])];
    assert_eq!(counted(&rounds).len(), 1);
    let mut report = report(None);
    report.add("64k@64".parse().unwrap(), Measured { per_second: None, rounds: rounds.into() });
    let text = report.text();
    assert!(
        text.contains("64k@64: 65536 bytes, 64 connections, NO CLEAN ROUND of 1 (others used 9 %); do not quote this")
    );
}

#[test]
fn the_table_says_what_bounds_the_figures() {
    let text = report(None).text();
    assert!(text.contains(
        "open-half@64: 128 bytes, 64 connections, 45000 requests due a second, rounds: 3; polluted and left out: 1"
    ));
    let row = text.lines().find(|line| line.starts_with("nginx  ")).unwrap();
    assert!(row.ends_with("60+100 % *"), "{row}");
    assert!(text.contains(BOUNDED));
}

#[test]
fn a_latency_that_nobody_told_is_no_zero() {
    let spread = |median| Spread { median, min: 0.0, max: 900.0 };
    assert_eq!([0.0, 612.4].map(|median| latency_text(spread(median))), ["–", "612"]);
}

#[test]
fn memory_has_a_table_of_its_own() {
    let text = report(None).text();
    let at = text.find("idle@1000: 1000 connections, rounds: 3.").expect(&text);
    let rows: Vec<Vec<&str>> = text[at..].lines().skip(1).map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(rows[1], ["ringway", "550", "(500-600)", "0.50", "(0.50-0.50)", "1100", "7000"]);
    assert_eq!(rows[2], ["nginx", "1100", "(1000-1200)", "1.00", "(1.00-1.00)", "2200", "–"]);
}
