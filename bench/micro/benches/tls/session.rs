//! Records in `shards/tls/src/session.rs`, there and back, beside rustls's own.

use std::hint::black_box;

use bench_micro::tls::session::WAYS;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};

fn echoes(criterion: &mut Criterion) {
    for size in [128, 16 << 10] {
        let mut group = criterion.benchmark_group(format!("tls/session/{size}"));
        group.throughput(Throughput::Bytes(2 * size as u64));
        for (way, pair) in WAYS {
            let (mut pair, data) = (pair(), vec![7; size]);
            // Small records at first are not what is measured.
            for _ in 0..200 {
                assert_eq!(pair.echo(&data), size);
            }
            group.bench_function(BenchmarkId::from_parameter(way), |bencher| {
                bencher.iter(|| pair.echo(black_box(&data)));
            });
        }
        group.finish();
    }
}

criterion_group!(benches, echoes);
criterion_main!(benches);
