//! What counting a request costs (`shards/engine/src/tally.rs`), by the number of routes that requests are spread over.

use std::hint::black_box;

use bench_micro::engine::tally::Workload;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};

fn counting(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("engine/tally");
    for routes in [1, 10, 100, 1_000] {
        let workload = Workload::new(routes);
        group.throughput(Throughput::Elements(workload.requests() as u64));
        group.bench_with_input(BenchmarkId::from_parameter(routes), &workload, |bencher, workload| {
            bencher.iter(|| black_box(workload).count_all());
        });
    }
    group.finish();
}

criterion_group!(benches, counting);
criterion_main!(benches);
