//! What a request and its answer cost a server's end of HTTP/2 (`shards/wire/src/h2`), and what a frame of content
//! does.

use bench_micro::wire::h2::{Kinds, Relay, STREAMS, Server};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

fn exchanges(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("wire/h2");
    group.throughput(Throughput::Elements(STREAMS as u64));
    for (name, kinds) in [("small", Kinds::Small), ("browser", Kinds::Browser)] {
        let mut server = Server::new(kinds);
        group.bench_function(name, |bencher| bencher.iter(|| server.exchange()));
    }
    group.throughput(Throughput::Elements(1));
    let mut relay = Relay::default();
    group.bench_function("frame", |bencher| bencher.iter(|| relay.relay()));
    group.finish();
}

criterion_group!(benches, exchanges);
criterion_main!(benches);
