//! What following a WebSocket costs (`shards/wire/src/ws`), by the size of its messages and by whether they are text.

use bench_micro::wire::ws::Frames;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

fn reading(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("wire/ws");
    for (name, mut frames) in [
        ("small text, masked", Frames::small_text()),
        ("small binary, not masked", Frames::small_binary()),
        ("16 KiB of text, masked", Frames::large_text()),
        ("16 KiB of binary, masked", Frames::large_binary()),
    ] {
        group.throughput(Throughput::Bytes(frames.bytes() as u64));
        group.bench_function(name, |bencher| bencher.iter(|| frames.read()));
    }
    group.finish();
}

criterion_group!(benches, reading);
criterion_main!(benches);
