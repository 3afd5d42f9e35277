//! What a block of a browser's fields costs (`shards/wire/src/hpack`): the first of a connection, and those behind it.

use bench_micro::wire::hpack::Blocks;
use criterion::{Criterion, criterion_group, criterion_main};

fn blocks(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("wire/hpack");
    let mut blocks = Blocks::default();
    group.bench_function("encode", |bencher| bencher.iter(|| blocks.encode()));
    group.bench_function("decode", |bencher| bencher.iter(|| blocks.decode_later()));
    group.bench_function("decode first", |bencher| bencher.iter(|| blocks.decode_first()));
    group.finish();
}

criterion_group!(benches, blocks);
criterion_main!(benches);
