//! What the heads of a request and its response cost (`shards/wire/src/h2/{gate,write}.rs`), beside the `h2` crate.
//!
//! The crate is measured at its codec, which its feature `unstable` shows: a `Headers` frame that was built before goes into memory,
//! and bytes of a frame in memory become a `Headers`, its map of fields built. That is what our figures have and the frame's nine bytes
//! besides, and does not have the rules of RFC 9113 §8, which the crate checks further up.

#[path = "h2_heads/crate.rs"]
mod theirs;

use bench_micro::wire::h2_heads::Heads;
use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use theirs::Theirs;

fn heads(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("wire/h2/heads");
    let mut heads = Heads::default();
    group.bench_function("write_request", |bencher| bencher.iter(|| heads.write_request()));
    group.bench_function("decode_request", |bencher| bencher.iter(|| heads.decode_request()));
    group.bench_function("write_response", |bencher| bencher.iter(|| heads.write_response()));
    group.bench_function("decode_response", |bencher| bencher.iter(|| heads.decode_response()));
    group.bench_function("both ways", |bencher| bencher.iter(|| heads.both_ways()));
    group.finish();
}

fn heads_of_the_crate(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("h2 crate");
    for what in ["request", "response"] {
        let mut theirs = Theirs::of(what);
        group.bench_function(format!("write_{what}"), |bencher| {
            let builder = Theirs::of(what);
            bencher.iter_batched(|| builder.frame(), |frame| theirs.write(frame), BatchSize::SmallInput);
        });
        group.bench_function(format!("decode_{what}"), |bencher| bencher.iter(|| theirs.decode()));
    }
    group.finish();
}

criterion_group!(benches, heads, heads_of_the_crate);
criterion_main!(benches);
