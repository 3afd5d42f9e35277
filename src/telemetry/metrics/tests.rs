use std::time::Duration;

use engine::Tallies;
use plan::{Address, LatencyBuckets, Plan, Route, RouteTable, Server, Upstream, UpstreamId};

use super::catalogue::{Kind, METRICS};
use super::snapshot::Reading;
use super::*;
use crate::config;

/// A Plan with these routes, each to an upstream of its own with one server.
fn plan(prefixes: &[&str]) -> Plan {
    let mut plan = config::embedded("127.0.0.1:9000".parse().unwrap());
    let server = |index: usize| Server::new(Address::Tcp(([127, 0, 0, 1], 9000 + index as u16).into()));
    let upstream = |(index, name): (usize, &&str)| Upstream::new(*name, vec![server(index)]);
    plan.upstreams = prefixes.iter().enumerate().map(upstream).collect();
    let route = |(index, prefix): (usize, &&str)| Route::new(None, *prefix, UpstreamId(index as u16));
    plan.routes = RouteTable::new(prefixes.iter().enumerate().map(route).collect());
    plan
}

/// Counts a request of `tallies` for the route and the upstream with this place in the Plan.
fn count(tallies: &Tallies, place: usize) {
    let upstream = &tallies.upstreams[place];
    upstream.upstream.requests.add(1);
    upstream.upstream.head_latency.record(Duration::from_millis(3));
    upstream.servers[0].requests.add(1);
}

fn number(metrics: &Metrics, name: &str, labels: &[&str]) -> Option<f64> {
    let snapshot = metrics.snapshot();
    let family = snapshot.families.iter().find(|family| family.metric.name == name).expect("a metric of the catalogue");
    family.samples.iter().find(|sample| sample.labels == labels).map(|sample| match &sample.reading {
        Reading::Number(value) => *value,
        Reading::Histogram { counts, .. } => counts.iter().sum::<u64>() as f64,
    })
}

#[test]
fn everything_in_the_catalogue_is_told_in_its_order_and_nothing_else() {
    let metrics = Metrics::new(1);
    metrics.tallies(&plan(&["/"]));
    let told: Vec<_> = metrics.snapshot().families.iter().map(|family| family.metric.name).collect();
    let known: Vec<_> = METRICS.iter().map(|metric| metric.name).collect();
    assert_eq!(told, known);
}

#[test]
fn names_and_helps_keep_the_conventions() {
    for metric in &METRICS {
        let name = metric.name;
        assert_eq!(name.ends_with("_total"), metric.kind == Kind::Counter, "{name}");
        assert_eq!(name.ends_with("_info"), metric.kind == Kind::Info, "{name}");
        assert!(metric.kind != Kind::Histogram || metric.unit() == Some("seconds"), "{name}");
        assert!(metric.help.ends_with('.') && !metric.help.contains(['"', '\\', '\n', '|']), "{name}: {}", metric.help);
        assert!(name.starts_with("ringway_") || name.starts_with("process_"), "{name}");
    }
}

#[test]
fn the_page_lists_the_catalogue() {
    let page = include_str!("../../../docs/metrics.md");
    let rows: Vec<_> =
        page.lines().filter(|line| line.starts_with("| `ringway_") || line.starts_with("| `process_")).collect();
    let expected: Vec<_> = METRICS
        .iter()
        .map(|metric| {
            let labels: Vec<_> = metric.labels.iter().map(|label| format!("`{label}`")).collect();
            format!("| `{}` | {} | {} | {} |", metric.name, metric.kind.as_str(), labels.join(", "), metric.help)
        })
        .collect();
    let differs = rows.iter().zip(&expected).find(|(row, expected)| row != expected);
    assert!(rows == expected, "docs/metrics.md is to list, in this order:\n{}\n\n{differs:?}", expected.join("\n"));
}

#[test]
fn shards_count_apart_and_are_summed() {
    let metrics = Metrics::new(3);
    let tallies = metrics.tallies(&plan(&["/a", "/b"]));
    for (shard, tallies) in tallies.iter().enumerate() {
        (0..=shard).for_each(|_| count(tallies, 1));
        metrics.listener(shard, "127.0.0.1:8080").expect("a listener of the Plan").requests.add(2);
    }
    assert!(metrics.listener(0, "127.0.0.1:8081").is_none());
    assert_eq!(number(&metrics, "ringway_upstream_requests_total", &["/a"]), Some(0.0));
    assert_eq!(number(&metrics, "ringway_upstream_requests_total", &["/b"]), Some(6.0));
    assert_eq!(number(&metrics, "ringway_upstream_head_duration_seconds", &["/b"]), Some(6.0));
    assert_eq!(number(&metrics, "ringway_server_requests_total", &["/b", "127.0.0.1:9001"]), Some(6.0));
    assert_eq!(number(&metrics, "ringway_listener_requests_total", &["127.0.0.1:8080"]), Some(6.0));
}

#[test]
fn a_reload_resets_nothing_that_stays_and_forgets_what_goes() {
    let metrics = Metrics::new(1);
    count(&metrics.tallies(&plan(&["/a", "/b"]))[0], 1);
    let mut later = plan(&["/c", "/d", "/b"]);
    // The server's address is part of its labels.
    later.upstreams[2].servers = plan(&["/a", "/b"]).upstreams[1].servers.clone();
    count(&metrics.tallies(&later)[0], 2);
    let name = "ringway_upstream_requests_total";
    assert_eq!(["/a", "/b", "/c"].map(|upstream| number(&metrics, name, &[upstream])), [None, Some(2.0), Some(0.0)]);
    assert_eq!(number(&metrics, "ringway_server_requests_total", &["/b", "127.0.0.1:9001"]), Some(2.0));
    let servers = [Server::new(Address::Unix("/run/b.sock".into()))];
    metrics.servers(&later, UpstreamId(2), &servers)[0][0].requests.add(5);
    assert_eq!(number(&metrics, "ringway_server_requests_total", &["/b", "unix:/run/b.sock"]), Some(5.0));
    assert_eq!(number(&metrics, "ringway_server_requests_total", &["/b", "127.0.0.1:9001"]), None);
    assert_eq!(number(&metrics, "ringway_server_requests_total", &["/c", "127.0.0.1:9000"]), Some(0.0));
}

#[test]
fn beyond_the_bound_everything_is_one() {
    let metrics = Metrics::new(2);
    let mut many = plan(&["/a", "/b", "/c", "/d"]);
    many.metrics.series_max = 2;
    let tallies = metrics.tallies(&many);
    tallies.iter().for_each(|tallies| (0..4).for_each(|place| count(tallies, place)));
    let name = "ringway_upstream_requests_total";
    let told = ["/a", "/b", "/c", "/d", "other"].map(|upstream| number(&metrics, name, &[upstream]));
    assert_eq!(told, [Some(2.0), Some(2.0), None, None, Some(4.0)]);
    assert_eq!(number(&metrics, "ringway_server_requests_total", &["other", "other"]), Some(4.0));
    assert_eq!(number(&metrics, "ringway_metrics_label_sets", &["upstream"]), Some(2.0));
    assert_eq!(number(&metrics, "ringway_metrics_label_sets_folded", &["upstream"]), Some(2.0));
    // What goes makes room for what comes. What stays is counted where it was: a pool goes on with the cells that it has.
    let new = plan(&["/e"]).upstreams.remove(0);
    many.upstreams.splice(..2, [new]);
    count(&metrics.tallies(&many)[0], 0);
    assert_eq!(
        ["/a", "/c", "/e", "other"].map(|upstream| number(&metrics, name, &[upstream])),
        [None, None, Some(1.0), Some(4.0)]
    );
    assert_eq!(number(&metrics, "ringway_metrics_label_sets_folded", &["upstream"]), Some(2.0));
}

#[test]
fn without_metrics_there_are_no_cells() {
    let metrics = Metrics::new(2);
    let mut off = plan(&["/a"]);
    metrics.tallies(&off);
    off.metrics.enabled = false;
    let tallies = metrics.tallies(&off);
    assert!(
        tallies.len() == 2 && tallies.iter().all(|tallies| tallies.routes.is_empty() && tallies.unrouted.is_none())
    );
    assert!(metrics.listener(0, "127.0.0.1:8080").is_none());
    assert!(metrics.servers(&off, UpstreamId(0), &off.upstreams[0].servers).iter().all(Vec::is_empty));
    assert_eq!(number(&metrics, "ringway_upstream_requests_total", &["/a"]), None);
}

#[test]
fn the_next_worker_goes_on_where_this_one_was() {
    let (metrics, next) = (Metrics::new(2), Metrics::new(3));
    let before = metrics.tallies(&plan(&["/a", "/b"]));
    before.iter().for_each(|tallies| count(tallies, 1));
    before[0].upstreams[1].upstream.connections.add(7);
    metrics.counters(1).exchanges[0].add(5);
    metrics.count_reload();
    let carried = serde_json::to_string(&metrics.carry()).unwrap();
    let after = next.tallies(&plan(&["/a", "/b"]));
    next.take_over(&serde_json::from_str(&carried).unwrap());
    count(&after[2], 1);
    assert_eq!(number(&next, "ringway_upstream_requests_total", &["/b"]), Some(3.0));
    assert_eq!(number(&next, "ringway_upstream_head_duration_seconds", &["/b"]), Some(3.0));
    assert_eq!(number(&next, "ringway_exchanges_total", &["completed"]), Some(5.0));
    assert_eq!(number(&next, "ringway_reloads_total", &["done"]), Some(1.0));
    // Connections did not come along.
    assert_eq!(number(&next, "ringway_upstream_connections", &["/b", "in_use"]), Some(0.0));
    // What another version counts is not taken for what this one does.
    let other = carried.replacen("\"of\":", "\"of\":9", 1);
    next.take_over(&serde_json::from_str(&other).unwrap());
    assert_eq!(number(&next, "ringway_exchanges_total", &["completed"]), Some(5.0));
}

#[test]
fn what_a_worker_counts_after_it_was_succeeded_is_added() {
    let (metrics, next) = (Metrics::new(1), Metrics::new(1));
    let (before, after) = (metrics.tallies(&plan(&["/a"])), next.tallies(&plan(&["/a"])));
    count(&before[0], 0);
    let gave = metrics.carry();
    next.take_over(&gave);
    count(&before[0], 0);
    metrics.counters(0).exchanges[0].add(3);
    count(&after[0], 0);
    next.take_over(&metrics.carry().since(&gave));
    assert_eq!(number(&next, "ringway_upstream_requests_total", &["/a"]), Some(3.0));
    assert_eq!(number(&next, "ringway_upstream_head_duration_seconds", &["/a"]), Some(3.0));
    assert_eq!(number(&next, "ringway_exchanges_total", &["completed"]), Some(3.0));
    next.take_over(&gave.since(&gave));
    assert_eq!(number(&next, "ringway_upstream_requests_total", &["/a"]), Some(3.0));
}

#[test]
fn a_histogram_is_told_with_the_chosen_bounds_and_counts_all() {
    let metrics = Metrics::new(1);
    let mut plan = plan(&["/a"]);
    plan.metrics.latency = LatencyBuckets::Coarse;
    let latency = metrics.tallies(&plan).remove(0).upstreams.remove(0).upstream;
    for us in [20, 100, 101, 70_000, 90_000_000] {
        latency.total_latency.record(Duration::from_micros(us));
    }
    let text = render(&metrics.snapshot(), Format::Prometheus);
    let lines = text.lines().filter(|line| line.starts_with("ringway_upstream_duration_seconds"));
    let expected = r#"ringway_upstream_duration_seconds_bucket{upstream="/a",le="0.0001"} 2
ringway_upstream_duration_seconds_bucket{upstream="/a",le="0.001"} 3
ringway_upstream_duration_seconds_bucket{upstream="/a",le="0.01"} 3
ringway_upstream_duration_seconds_bucket{upstream="/a",le="0.1"} 4
ringway_upstream_duration_seconds_bucket{upstream="/a",le="1.0"} 4
ringway_upstream_duration_seconds_bucket{upstream="/a",le="10.0"} 4
ringway_upstream_duration_seconds_bucket{upstream="/a",le="+Inf"} 5
ringway_upstream_duration_seconds_sum{upstream="/a"} 90.070221
ringway_upstream_duration_seconds_count{upstream="/a"} 5"#;
    assert_eq!(lines.collect::<Vec<_>>().join("\n"), expected);
    assert_eq!(
        (snapshot::buckets(LatencyBuckets::Standard).len(), snapshot::buckets(LatencyBuckets::Fine).len()),
        (19, 128)
    );
}

#[test]
fn the_formats_differ_in_what_they_call_a_family() {
    let metrics = Metrics::new(1);
    metrics.tallies(&plan(&["/\"odd\\\n"]));
    let (text, kind) = metrics.expose(None);
    assert_eq!(kind, "text/plain; version=0.0.4; charset=utf-8");
    assert!(text.contains("# TYPE ringway_tunnels_total counter\nringway_tunnels_total 0\n"), "{text}");
    assert!(text.contains("# TYPE ringway_build_info gauge\n") && !text.contains("# UNIT") && !text.contains("# EOF"));
    assert!(text.contains(r#"ringway_requests_total{route="/\"odd\\\n",class="2xx"} 0"#), "{text}");
    let (text, kind) = metrics.expose(Some("application/openmetrics-text"));
    assert_eq!(kind, "application/openmetrics-text; version=1.0.0; charset=utf-8");
    assert!(text.contains("# TYPE ringway_tunnels counter\nringway_tunnels_total 0\n"), "{text}");
    assert!(text.contains("# TYPE ringway_build info\nringway_build_info{"), "{text}");
    assert!(text.contains("# UNIT process_resident_memory_bytes bytes\n") && text.ends_with("\n# EOF\n"));
    assert!(text.contains("# TYPE ringway_request_body_bytes counter\n# UNIT ringway_request_body_bytes bytes\n"));
}
