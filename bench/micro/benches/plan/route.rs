//! Lookups in `shards/plan/src/route.rs`, by the number of routes.

use std::hint::black_box;

use bench_micro::plan::route::{Kind, Workload};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};

fn lookups(criterion: &mut Criterion) {
    for kind in Kind::ALL {
        let mut group = criterion.benchmark_group(format!("plan/route/{}", kind.name()));
        for count in [10, 100, 1_000, 10_000] {
            let workload = Workload::new(kind, count);
            group.throughput(Throughput::Elements(workload.requests() as u64));
            group.bench_with_input(BenchmarkId::from_parameter(count), &workload, |bencher, workload| {
                bencher.iter(|| black_box(workload).find_all());
            });
        }
        group.finish();
    }
}

criterion_group!(benches, lookups);
criterion_main!(benches);
