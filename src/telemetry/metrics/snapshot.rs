//! All values at one moment, summed over the shards.

use std::time::{Duration, SystemTime};

use engine::{Breach, BudgetKind, Count, Counters, Histogram, Limit, Outcome, Refusal, RouteTally, UpstreamTally};
use plan::LatencyBuckets;
use tls::{Negotiated, Reason};

use super::catalogue::{METRICS, Metric};
use super::process::{self, Process};
use super::registry::{Cells, Labels, Registry, Series};

/// All values at one moment. The cells are read one after the other while the shards go on, so that two that ought to agree
/// may differ by what happened in between.
#[derive(Debug)]
pub(crate) struct Snapshot {
    /// In the order of the catalogue.
    pub(crate) families: Vec<Family>,
    /// The buckets whose bounds are told, in ascending order.
    pub(super) buckets: Vec<usize>,
}

/// All values of one metric.
#[derive(Debug)]
pub(crate) struct Family {
    pub(crate) metric: &'static Metric,
    pub(crate) samples: Vec<Sample>,
}

/// One value.
#[derive(Debug)]
pub(crate) struct Sample {
    /// In the order of the metric's labels.
    pub(crate) labels: Labels,
    pub(crate) reading: Reading,
}

/// What is told of one set of labels.
#[derive(Debug, PartialEq)]
pub(crate) enum Reading {
    Number(f64),
    Histogram { counts: Vec<u64>, sum_us: u64 },
}

/// Takes it.
pub(super) fn take(registry: &Registry) -> Snapshot {
    let mut families = Families(Vec::with_capacity(METRICS.len()));
    routes(&mut families, &registry.routes);
    listeners(&mut families, registry);
    upstreams(&mut families, registry);
    servers(&mut families, registry);
    worker(&mut families, registry);
    shards(&mut families, &registry.shards);
    this_process(&mut families);
    Snapshot { families: families.0, buckets: buckets(registry.latency) }
}

/// The buckets whose bounds `latency` tells.
pub(super) fn buckets(latency: LatencyBuckets) -> Vec<usize> {
    const COARSE: [u64; 6] = [100, 1_000, 10_000, 100_000, 1_000_000, 10_000_000];
    const STANDARD: [u64; 19] = [
        50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000,
        2_500_000, 5_000_000, 10_000_000, 30_000_000, 60_000_000,
    ];
    let among = |bounds: &[u64]| {
        let is_told = |bucket: &usize| {
            Histogram::bound(*bucket).is_some_and(|bound| bounds.iter().any(|us| bound == Duration::from_micros(*us)))
        };
        (0..Histogram::BUCKETS).filter(is_told).collect()
    };
    match latency {
        LatencyBuckets::Coarse => among(&COARSE),
        LatencyBuckets::Standard => among(&STANDARD),
        LatencyBuckets::Fine => (0..Histogram::BUCKETS - 1).collect(),
    }
}

fn routes(families: &mut Families, routes: &Series<RouteTally>) {
    let by_class = routes.iter().flat_map(|(labels, cells)| {
        let class = |(index, class): (usize, &'static str)| {
            number(with(&labels, class), sum(cells, |tally| &tally.responses[index]))
        };
        RouteTally::CLASSES.into_iter().enumerate().map(class).collect::<Vec<_>>()
    });
    families.add("ringway_requests_total", by_class);
    let failures = routes.iter().flat_map(|(labels, cells)| {
        let failure = |(index, word): (usize, &'static str)| (word, sum(cells, |tally| &tally.failures[index]));
        let counted = Outcome::WORDS.into_iter().enumerate().map(failure).filter(|(_, count)| *count > 0);
        counted.map(|(word, count)| number(with(&labels, word), count)).collect::<Vec<_>>()
    });
    families.add("ringway_request_failures_total", failures);
    families.histograms("ringway_request_duration_seconds", routes, |tally| &tally.latency);
    families.counts("ringway_request_body_bytes_total", routes, |tally| &tally.request_body_bytes);
    families.counts("ringway_response_body_bytes_total", routes, |tally| &tally.response_body_bytes);
}

fn listeners(families: &mut Families, registry: &Registry) {
    let listeners = &registry.listeners;
    families.counts("ringway_listener_connections_total", listeners, |tally| &tally.connections);
    families.counts("ringway_listener_connections_open", listeners, |tally| &tally.connections_open);
    families.counts("ringway_listener_requests_total", listeners, |tally| &tally.requests);
}

fn upstreams(families: &mut Families, registry: &Registry) {
    let upstreams = &registry.upstreams;
    families.counts("ringway_upstream_requests_total", upstreams, |tally| &tally.requests);
    families.histograms("ringway_upstream_head_duration_seconds", upstreams, |tally| &tally.head_latency);
    families.histograms("ringway_upstream_duration_seconds", upstreams, |tally| &tally.total_latency);
    families.counts("ringway_upstream_retries_total", upstreams, |tally| &tally.retries);
    families.counts("ringway_upstream_retries_denied_total", upstreams, |tally| &tally.retries_denied);
    families.counts("ringway_upstream_failovers_total", upstreams, |tally| &tally.failovers);
    families.counts("ringway_upstream_ejections_total", upstreams, |tally| &tally.ejections);
    families.counts("ringway_upstream_connects_total", upstreams, |tally| &tally.connects);
    families.counts("ringway_upstream_connection_reuses_total", upstreams, |tally| &tally.reuses);
    let connections = upstreams.iter().flat_map(|(labels, cells)| {
        let idle = sum(cells, |tally| &tally.connections_idle);
        let in_use = sum(cells, |tally| &tally.connections).saturating_sub(idle);
        [number(with(&labels, "idle"), idle), number(with(&labels, "in_use"), in_use)]
    });
    families.add("ringway_upstream_connections", connections);
    families.counts("ringway_upstream_coalesced_requests_total", upstreams, |tally| &tally.coalesced_requests);
    families.counts("ringway_upstream_coalesced_batches_total", upstreams, |tally| &tally.coalesced_batches);
    families.counts("ringway_upstream_coalesced_resent_total", upstreams, |tally| &tally.coalesced_resent);
    families.counts("ringway_upstream_coalesced_stalls_total", upstreams, |tally| &tally.coalesced_stalls);
    families.counts("ringway_upstream_coalesced_connections", upstreams, |tally| &tally.coalesced_connections);
    upstream_handshakes(families, upstreams);
}

fn upstream_handshakes(families: &mut Families, upstreams: &Series<UpstreamTally>) {
    let kinds = |(labels, cells): (Labels, &Cells<UpstreamTally>)| {
        let count = |kind: usize| sum(cells, |tally| &tally.tls_handshakes[kind]);
        ["false", "true"].into_iter().enumerate().map(|(kind, word)| number(with(&labels, word), count(kind))).collect()
    };
    // Upstreams without TLS have none.
    let has_any = |samples: &Vec<Sample>| samples.iter().any(|sample| sample.reading != Reading::Number(0.0));
    let handshakes = upstreams.iter().map(kinds).filter(has_any).flatten();
    families.add("ringway_upstream_tls_handshakes_total", handshakes);
    let failed = upstreams.iter().flat_map(|(labels, cells)| {
        let count =
            |(index, word): (usize, &'static str)| (word, sum(cells, |tally| &tally.tls_handshakes_failed[index]));
        let counted = Reason::NAMES.into_iter().enumerate().map(count).filter(|(_, count)| *count > 0);
        counted.map(|(word, count)| number(with(&labels, word), count)).collect::<Vec<_>>()
    });
    families.add("ringway_upstream_tls_handshakes_failed_total", failed);
    let latencies =
        upstreams.iter().map(|(labels, cells)| sample(labels, read(cells.all().map(|tally| &tally.tls_latency))));
    let latencies = latencies.filter(|sample| match &sample.reading {
        Reading::Histogram { counts, .. } => counts.iter().any(|count| *count > 0),
        Reading::Number(_) => true,
    });
    families.add("ringway_upstream_tls_handshake_duration_seconds", latencies);
}

fn servers(families: &mut Families, registry: &Registry) {
    let servers = &registry.servers;
    families.counts("ringway_server_requests_total", servers, |tally| &tally.requests);
    families.counts("ringway_server_failures_total", servers, |tally| &tally.failures);
    families.counts("ringway_server_heads_total", servers, |tally| &tally.heads);
    let seconds = servers
        .iter()
        .map(|(labels, cells)| sample(labels, Reading::Number(sum(cells, |tally| &tally.heads_us) as f64 / 1e6)));
    families.add("ringway_server_head_seconds_total", seconds);
    families.counts("ringway_server_requests_active", servers, |tally| &tally.active);
    families.counts("ringway_server_ejected_shards", servers, |tally| &tally.ejected);
}

fn worker(families: &mut Families, registry: &Registry) {
    let total = |count: fn(&Counters) -> &Count| {
        let all = registry.shards.iter().map(|counters| &**counters).chain([&registry.earlier]);
        all.map(|counters| count(counters).value()).sum::<u64>()
    };
    let by_word = |words: &'static [&'static str], counts: fn(&Counters) -> &[Count]| {
        words.iter().enumerate().map(move |(index, word)| {
            let all = registry.shards.iter().map(|counters| &**counters).chain([&registry.earlier]);
            number(vec![(*word).to_owned()], all.map(|counters| counts(counters)[index].value()).sum())
        })
    };
    families.add("ringway_exchanges_total", by_word(&Outcome::WORDS, |counters| &counters.exchanges));
    families.add("ringway_limits_hit_total", by_word(&Limit::NAMES, |counters| &counters.limits));
    let handshakes = (0..Negotiated::KINDS).map(|kind| {
        let all = registry.shards.iter().map(|counters| &**counters).chain([&registry.earlier]);
        let labels = Negotiated::words_of(kind).map(str::to_owned).to_vec();
        (labels, all.map(|counters| counters.tls_handshakes[kind].value()).sum::<u64>())
    });
    // Most kinds never are.
    let handshakes = handshakes.filter(|(_, count)| *count > 0).map(|(labels, count)| number(labels, count));
    families.add("ringway_tls_handshakes_total", handshakes);
    families.add(
        "ringway_tls_handshakes_failed_total",
        by_word(&Reason::NAMES, |counters| &counters.tls_handshakes_failed),
    );
    families.single("ringway_tunnels_total", total(|counters| &counters.tunnels) as f64);
    families.single("ringway_tunnels_open", total(|counters| &counters.tunnels_open) as f64);
    families.single("ringway_websockets_total", total(|counters| &counters.websockets) as f64);
    families.single("ringway_websocket_pings_total", total(|counters| &counters.websocket_pings) as f64);
    families.add("ringway_websocket_breaches_total", by_word(&Breach::WORDS, |counters| &counters.websocket_breaches));
    families.single("ringway_passthroughs_total", total(|counters| &counters.passthroughs) as f64);
    families.single("ringway_proxy_headers_total", total(|counters| &counters.proxy_headers) as f64);
    families.add("ringway_connections_refused_total", by_word(&Refusal::WORDS, |counters| &counters.refusals));
    families.single("ringway_http2_connections_total", total(|counters| &counters.http2_connections) as f64);
    families.single("ringway_http2_requests_total", total(|counters| &counters.http2_requests) as f64);
    let resets: [(&str, OfShard); 2] =
        [("client", |counters| &counters.http2_resets_received), ("ringway", |counters| &counters.http2_resets_sent)];
    let resets = resets.map(|(by, count)| number(vec![by.to_owned()], total(count)));
    families.add("ringway_http2_resets_total", resets.into_iter());
    families
        .add("ringway_http2_budgets_exceeded_total", by_word(&BudgetKind::NAMES, |counters| &counters.http2_budgets));
    families.single("ringway_clients_cut_off_total", total(|counters| &counters.clients_cut_off) as f64);
    families.single("ringway_access_records_dropped_total", total(|counters| &counters.records_dropped) as f64);
    families.counts("ringway_access_records_refused_total", &registry.logs, |tally| &tally.records);
    let reloads = [("done", registry.reloads.done), ("refused", registry.reloads.refused)];
    let by_outcome = reloads.map(|(outcome, count)| number(vec![outcome.to_owned()], count));
    families.add("ringway_reloads_total", by_outcome.into_iter());
    families.single("ringway_config_loaded_timestamp_seconds", unix_s(registry.reloads.loaded));
    let until = |(name, until): &(String, i64)| sample(vec![name.clone()], Reading::Number(*until as f64));
    let certificates = registry.certificates.iter().map(until);
    families.add("ringway_certificate_not_after_timestamp_seconds", certificates);
    families.single("ringway_certificate_files_broken", registry.broken_files as f64);
    let answers = registry.ocsp.iter().map(|(outcome, count)| number(vec![outcome.clone()], *count));
    families.add("ringway_ocsp_answers_total", answers);
    families.add("ringway_ocsp_next_update_timestamp_seconds", registry.staples.iter().map(until));
    families.single("ringway_generation", registry.generation as f64);
    families.single("ringway_worker_crashes_total", registry.crashes as f64);
    let kinds = [
        ("listener", registry.listeners.len(), registry.listeners.folded.len()),
        ("route", registry.routes.len(), registry.routes.folded.len()),
        ("upstream", registry.upstreams.len(), registry.upstreams.folded.len()),
        ("server", registry.servers.len(), registry.servers.folded.len()),
    ];
    let own = kinds.map(|(kind, own, _)| number(vec![kind.to_owned()], own as u64));
    families.add("ringway_metrics_label_sets", own.into_iter());
    let folded = kinds.map(|(kind, _, folded)| number(vec![kind.to_owned()], folded as u64));
    families.add("ringway_metrics_label_sets_folded", folded.into_iter());
}

/// One of the counts of a shard.
type OfShard = fn(&Counters) -> &Count;

fn shards(families: &mut Families, shards: &[std::sync::Arc<Counters>]) {
    let threads = process::shard_threads();
    let label = |shard: usize| vec![shard.to_string()];
    let of_threads = |reading: fn(&process::Thread) -> f64| {
        threads.iter().map(move |thread| sample(label(thread.shard), Reading::Number(reading(thread))))
    };
    families.add("ringway_shard_cpu_seconds_total", of_threads(|thread| thread.cpu_s));
    families.add("ringway_shard_run_queue_seconds_total", of_threads(|thread| thread.waited_s));
    let histograms = |histogram: fn(&Counters) -> &Histogram| {
        shards
            .iter()
            .enumerate()
            .map(move |(shard, counters)| sample(label(shard), read([histogram(counters)].into_iter())))
    };
    families.add("ringway_shard_tick_duration_seconds", histograms(|counters| &counters.ring.ticks));
    families.add("ringway_shard_queue_duration_seconds", histograms(|counters| &counters.queue_time));
    let each: &[(&str, OfShard)] = &[
        ("ringway_shard_shedding", |counters| &counters.shedding),
        ("ringway_shard_connections_total", |counters| &counters.connections_accepted),
        ("ringway_shard_connections_open", |counters| &counters.connections_open),
        ("ringway_shard_task_panics_total", |counters| &counters.ring.panics),
    ];
    let ring: &[(&str, OfShard)] = &[
        ("ringway_ring_enters_total", |counters| &counters.ring.enters),
        ("ringway_ring_entries_total", |counters| &counters.ring.entries),
        ("ringway_ring_completions_total", |counters| &counters.ring.completions),
        ("ringway_ring_overflows_total", |counters| &counters.ring.overflows),
        ("ringway_ring_receives_starved_total", |counters| &counters.ring.receives_starved),
        ("ringway_ring_accept_pauses_total", |counters| &counters.ring.accept_pauses),
        ("ringway_ring_pipes_shrunk_total", |counters| &counters.ring.pipes_shrunk),
        ("ringway_ring_pipes_refused_total", |counters| &counters.ring.pipes_refused),
        ("ringway_ring_received_bytes_total", |counters| &counters.ring.bytes_received),
        ("ringway_ring_sent_bytes_total", |counters| &counters.ring.bytes_sent),
        ("ringway_ring_spliced_bytes_total", |counters| &counters.ring.bytes_spliced),
        ("ringway_ring_copied_out_bytes_total", |counters| &counters.ring.bytes_copied_out),
    ];
    let counts = |families: &mut Families, each: &[(&str, OfShard)]| {
        for (name, count) in each {
            let samples = shards.iter().enumerate();
            families.add(name, samples.map(|(shard, counters)| number(label(shard), count(counters).value())));
        }
    };
    counts(families, each);
    let swaps = shards
        .iter()
        .enumerate()
        .map(|(shard, counters)| sample(label(shard), Reading::Number(counters.plan_swap_ns_max.value() as f64 / 1e9)));
    families.add("ringway_shard_plan_swap_max_seconds", swaps);
    counts(families, ring);
}

fn this_process(families: &mut Families) {
    let process = Process::read();
    families.single("process_cpu_seconds_total", process.cpu_s);
    families.single("process_resident_memory_bytes", process.resident_bytes);
    families.single("process_virtual_memory_bytes", process.virtual_bytes);
    families.single("process_open_fds", process.open_descriptors);
    families.single("process_max_fds", process.descriptors_max);
    families.single("process_start_time_seconds", process.started_unix_s);
    let build = [env!("CARGO_PKG_VERSION"), std::env::consts::ARCH].map(str::to_owned);
    families.add("ringway_build_info", std::iter::once(sample(build.to_vec(), Reading::Number(1.0))));
}

/// The families told so far.
struct Families(Vec<Family>);

impl Families {
    fn add(&mut self, name: &str, samples: impl Iterator<Item = Sample>) {
        let metric = METRICS.iter().find(|metric| metric.name == name).expect("the catalogue has every metric");
        let samples: Vec<Sample> = samples.collect();
        debug_assert!(samples.iter().all(|sample| sample.labels.len() == metric.labels.len()), "{name}");
        self.0.push(Family { metric, samples });
    }

    fn single(&mut self, name: &str, value: f64) {
        self.add(name, std::iter::once(sample(Vec::new(), Reading::Number(value))));
    }

    fn counts<T: Default>(&mut self, name: &str, series: &Series<T>, count: fn(&T) -> &Count) {
        self.add(name, series.iter().map(|(labels, cells)| number(labels, sum(cells, count))));
    }

    fn histograms<T: Default>(&mut self, name: &str, series: &Series<T>, histogram: fn(&T) -> &Histogram) {
        let samples = series.iter().map(|(labels, cells)| sample(labels, read(cells.all().map(histogram))));
        self.add(name, samples);
    }
}

pub(super) fn sum<T: Default>(cells: &Cells<T>, count: impl Fn(&T) -> &Count) -> u64 {
    // Wrapping, because what rises and falls may be read in the middle of a move from one cell to another.
    cells.all().map(|cell| count(cell).value()).fold(0, u64::wrapping_add)
}

fn read<'a>(histograms: impl Iterator<Item = &'a Histogram>) -> Reading {
    let (mut counts, mut sum_us) = (vec![0; Histogram::BUCKETS], 0);
    for histogram in histograms {
        counts.iter_mut().zip(histogram.counts()).for_each(|(sum, count)| *sum += count);
        sum_us += histogram.sum_us();
    }
    Reading::Histogram { counts, sum_us }
}

fn sample(labels: Labels, reading: Reading) -> Sample {
    Sample { labels, reading }
}

fn number(labels: Labels, value: u64) -> Sample {
    sample(labels, Reading::Number(value as f64))
}

fn with(labels: &Labels, last: &str) -> Labels {
    labels.iter().cloned().chain([last.to_owned()]).collect()
}

fn unix_s(time: SystemTime) -> f64 {
    time.duration_since(SystemTime::UNIX_EPOCH).map_or(0.0, |since| since.as_millis() as f64 / 1000.0)
}
