//! Recordings tell what was put in, however it was divided among threads.

use proptest::prelude::*;

use super::*;

const SECOND_NS: u64 = 1_000_000_000;

/// The sample at a quantile of sorted samples: the smallest that so many do not exceed.
fn exact(sorted: &[u64], quantile: f64) -> u64 {
    let rank = ((sorted.len() as f64 * quantile) - 1e-6).ceil().max(1.0) as usize;
    sorted[rank - 1]
}

fn distribution(samples: &[u64]) -> Distribution {
    let mut distribution = Distribution::new();
    samples.iter().for_each(|&sample| distribution.record(sample));
    distribution
}

#[test]
fn quantiles_of_known_distributions_are_right_to_a_thousandth() {
    let count = 200_000;
    let quantile = |sample: u32| (f64::from(sample) + 0.5) / f64::from(count);
    let exponential = |sample| -1e6 * (1.0 - quantile(sample)).ln();
    // Two answers in three take 120 µs, the third waits for something up to 40 ms.
    let two_modes = |sample| if quantile(sample) < 2.0 / 3.0 { 120e3 } else { 120e9 * (quantile(sample) - 0.6666) };
    let pareto = |sample| 50e3 / (1.0 - quantile(sample)).powf(0.9);
    let distributions: [&dyn Fn(u32) -> f64; 3] = [&exponential, &two_modes, &pareto];
    for (number, time_ns) in distributions.iter().enumerate() {
        let samples: Vec<u64> =
            (0..count).map(|sample| (time_ns(sample).max(1.0) as u64).min(LATENCY_NS_MAX)).collect();
        let recorded = distribution(&samples);
        for percent in [0.0, 1.0, 25.0, 50.0, 66.0, 75.0, 90.0, 99.0, 99.9, 99.99, 99.999, 100.0] {
            let (told, true_ns) = (recorded.quantile_ns(percent / 100.0), exact(&samples, percent / 100.0));
            let error = told as f64 / true_ns as f64 - 1.0;
            assert!((0.0..=0.001).contains(&error), "distribution {number}, p{percent}: {told} for {true_ns}");
        }
        assert_eq!((recorded.min_ns(), recorded.max_ns()), (samples[0], samples[samples.len() - 1]));
        let mean = samples.iter().sum::<u64>() as f64 / f64::from(count);
        assert!((recorded.mean_ns() / mean - 1.0).abs() < 1e-9);
    }
}

#[test]
fn an_empty_distribution_and_extreme_times_are_no_trouble() {
    let empty = Distribution::new();
    assert_eq!((empty.count(), empty.min_ns(), empty.max_ns(), empty.quantile_ns(0.99)), (0, 0, 0, 0));
    let extremes = distribution(&[0, u64::MAX]);
    assert_eq!((extremes.min_ns(), extremes.max_ns()), (1, LATENCY_NS_MAX));
    assert_eq!((extremes.quantile_ns(0.5), extremes.quantile_ns(1.0)), (1, LATENCY_NS_MAX));
}

#[test]
fn a_schedule_charges_the_server_for_its_pause() {
    let stalled = |schedule| {
        let mut recorder = Recorder::new(schedule);
        for request in 0..100 {
            // All were due during the first 100 ms, and sent when the server woke up at their end.
            let (due_ns, sent_ns) = (request * 1_000_000, 100_000_000);
            let due_ns = if schedule == Loop::Open { due_ns } else { sent_ns };
            let end_ns = sent_ns + 50_000;
            recorder.answered(&Answer { due_ns, sent_ns, first_byte_ns: end_ns, end_ns, status: Some(200) });
        }
        recorder.finish(SECOND_NS)
    };
    let open = stalled(Loop::Open);
    assert!(open.latency.quantile_ns(0.5) > 50_000_000 && open.first_byte.quantile_ns(0.5) > 50_000_000);
    assert!(open.service.unwrap().max_ns() == 50_000);
    let closed = stalled(Loop::Closed);
    assert_eq!((closed.latency.max_ns(), closed.service), (50_000, None));
}

/// What a thread may meet.
#[derive(Debug, Clone, Copy)]
enum Event {
    Answered { latency_ns: u64, waited_ns: u64, status: u16 },
    Failed(ErrorKind, Option<u16>),
    Bytes(u32, u32),
    Connected(u32),
    ShookHands(bool, u32),
}

fn events() -> impl Strategy<Value = Vec<(usize, u64, Event)>> {
    let kind = (0..ErrorKind::ALL.len()).prop_map(|kind| ErrorKind::ALL[kind]);
    let event = prop_oneof![
        4 => (1..10_000_000_000_u64, 0..50_000_000_u64, 100..600_u16)
            .prop_map(|(latency_ns, waited_ns, status)| Event::Answered { latency_ns, waited_ns, status }),
        1 => (kind, prop::option::of(100..1100_u16)).prop_map(|(kind, status)| Event::Failed(kind, status)),
        2 => (any::<u32>(), any::<u32>()).prop_map(|(received, sent)| Event::Bytes(received, sent)),
        1 => any::<u32>().prop_map(Event::Connected),
        1 => (any::<bool>(), any::<u32>()).prop_map(|(full, took_ns)| Event::ShookHands(full, took_ns)),
    ];
    prop::collection::vec((0..3_usize, 0..12 * SECOND_NS, event), 0..200).prop_map(|mut events| {
        events.sort_by_key(|(_, now_ns, _)| *now_ns);
        events
    })
}

fn feed(recorder: &mut Recorder, now_ns: u64, event: Event) {
    recorder.tick(now_ns);
    match event {
        Event::Answered { latency_ns, waited_ns, status } => recorder.answered(&Answer {
            due_ns: now_ns.saturating_sub(latency_ns),
            sent_ns: now_ns.saturating_sub(latency_ns.saturating_sub(waited_ns)),
            first_byte_ns: now_ns.saturating_sub(latency_ns / 3),
            end_ns: now_ns,
            status: Some(status),
        }),
        Event::Failed(kind, status) => recorder.failed(kind, status, now_ns),
        Event::Bytes(received, sent) => {
            recorder.received(received.into());
            recorder.sent(sent.into());
        }
        Event::Connected(took_ns) => recorder.connected(took_ns.into()),
        Event::ShookHands(true, took_ns) => recorder.shook_hands(Handshake::Full, took_ns.into()),
        Event::ShookHands(false, took_ns) => recorder.shook_hands(Handshake::Resumed, took_ns.into()),
    }
}

fn assert_sums(recording: &Recording) {
    let sum = |count: fn(&Point) -> u64| recording.series.points.iter().map(count).sum::<u64>();
    assert_eq!(sum(|point| point.requests), recording.requests());
    assert_eq!(sum(|point| point.latency.iter().map(|band| band.count).sum()), recording.requests());
    assert_eq!(sum(|point| point.errors), recording.errors.total());
    assert_eq!((sum(|point| point.bytes_in), sum(|point| point.bytes_out)), (recording.bytes_in, recording.bytes_out));
}

proptest! {
    // Each case fills histograms of some megabytes.
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn threads_together_are_as_one(events in events()) {
        let mut threads = [(); 3].map(|()| Recorder::new(Loop::Open));
        let mut one = Recorder::new(Loop::Open);
        for &(thread, now_ns, event) in &events {
            feed(&mut threads[thread], now_ns, event);
            feed(&mut one, now_ns, event);
        }
        let end_ns = 12 * SECOND_NS;
        let merged = Recording::merged(threads.map(|recorder| recorder.finish(end_ns)));
        let one = one.finish(end_ns);
        assert_sums(&one);
        prop_assert_eq!(&merged, &one);
        prop_assert_eq!(one.series.points.len(), 12);

        let json = serde_json::to_string(&one).unwrap();
        prop_assert_eq!(serde_json::from_str::<Recording>(&json).unwrap(), one);
    }

    #[test]
    fn a_coarser_series_loses_nothing(events in events(), times in 1..4_u32) {
        let mut recorder = Recorder::new(Loop::Closed);
        events.iter().for_each(|&(_, now_ns, event)| feed(&mut recorder, now_ns, event));
        let mut recording = recorder.finish(12 * SECOND_NS);
        let connections = recording.series.points.last().map(|point| point.connections);
        (0..times).for_each(|_| recording.series.coarsen());
        assert_sums(&recording);
        prop_assert_eq!(recording.series.interval_s, 1 << times);
        prop_assert_eq!(recording.series.points.last().map(|point| point.connections), connections);
    }
}

#[test]
fn a_long_run_has_longer_points_and_merges_with_a_short_one() {
    let mut long = Recorder::new(Loop::Closed);
    let answer =
        |end_ns| Answer { due_ns: end_ns - 5, sent_ns: end_ns - 5, first_byte_ns: end_ns, end_ns, status: None };
    let seconds = POINTS_MAX as u64 * 5;
    (1..=seconds).for_each(|second| long.answered(&answer(second * SECOND_NS)));
    let mut long = long.finish(seconds * SECOND_NS);
    assert!(long.series.points.len() <= POINTS_MAX, "{}", long.series.points.len());
    assert_eq!(long.series.interval_s, 8);
    assert_sums(&long);

    let mut short = Recorder::new(Loop::Closed);
    (1..=10).for_each(|second| short.answered(&answer(second * SECOND_NS)));
    long.merge(short.finish(10 * SECOND_NS));
    assert_eq!(long.requests(), seconds + 10);
    assert_sums(&long);
}

#[test]
fn the_series_ends_with_the_run() {
    let lengths = [0, 1, SECOND_NS - 1, SECOND_NS, SECOND_NS + 1, 5 * SECOND_NS / 2];
    let points = lengths.map(|end_ns| Recorder::new(Loop::Closed).finish(end_ns).series.points.len());
    assert_eq!(points, [0, 1, 1, 1, 2, 3]);
}

#[test]
fn connections_are_counted_until_they_end() {
    let mut recorder = Recorder::new(Loop::Closed);
    (0..3).for_each(|_| recorder.connected(1000));
    recorder.tick(SECOND_NS);
    recorder.disconnected();
    recorder.tick(2 * SECOND_NS);
    (0..2).for_each(|_| recorder.disconnected());
    let recording = recorder.finish(3 * SECOND_NS);
    let open: Vec<u64> = recording.series.points.iter().map(|point| point.connections).collect();
    assert_eq!((open, recording.connections_max), (vec![3, 2, 0], 3));
}

#[test]
fn later_runs_add_up_without_a_series() {
    let run = || {
        let mut recorder = Recorder::new(Loop::Closed);
        recorder.connected(1000);
        recorder.failed(ErrorKind::Reset, None, 5);
        recorder.finish(SECOND_NS)
    };
    let mut runs = run();
    runs.append(run());
    assert_eq!((runs.elapsed_ns, runs.connections_max, runs.errors.total()), (2 * SECOND_NS, 1, 2));
    assert_eq!(runs.series, Series::default());
}
