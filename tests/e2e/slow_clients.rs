//! 2,000 clients that send or read a byte a second, beside others. The test runs alone: see `.config/nextest.toml` and
//! [`kit::Turn`].

use std::thread;
use std::time::{Duration, Instant};

use kit::{Config, Peer, Ringway, SlowClients, Turn, standard};

use crate::BINARY;
use crate::many_connections::raise_descriptor_limit;

const SLOW: usize = 2_000;
/// Of this process and of the proxy, each for itself: slow clients, the upstream connections and pipes of those with a request.
const DESCRIPTORS: usize = 10 * SLOW;
/// User memory that the proxy may take for each slow client, its exchange and a share of all pooled buffers included: 64 MiB for
/// 2,000. Measured are about 19 KiB.
const SLOW_BYTES_MAX: u64 = 32 << 10;
/// How much longer the slowest hundredth of the others may wait.
const RATIO_MAX: f64 = 1.5;
/// The machine may be busy with something else in any round: the median of the rounds counts, and more are taken while it
/// does not suffice.
const ROUNDS: [usize; 4] = [3, 5, 9, 15];
const WINDOW: Duration = Duration::from_millis(800);
const NORMAL: usize = 8;

#[test]
fn two_thousand_slow_clients_delay_nobody_and_take_little() {
    let _turn = Turn::alone();
    raise_descriptor_limit(DESCRIPTORS);
    let origin = standard::start();
    let config = Config::to(origin.address()).timeout("head", "5m").timeout("body_idle", "5m");
    let config = config.limit("connections", 10_000).set("log", "access", "\"off\"");
    let ringway = Ringway::start_in_turn(BINARY, config);
    p99(&ringway);
    let memory = ringway.process().memory_bytes();

    let (mut ratios, mut growth_max) = (Vec::new(), 0);
    for rounds in ROUNDS {
        while ratios.len() < rounds {
            let without = p99(&ringway);
            let slow = SlowClients::start(ringway.address(), SLOW);
            let with = p99(&ringway);
            growth_max = growth_max.max(ringway.process().memory_bytes().saturating_sub(memory));
            let returned = slow.returned();
            println!("p99 {without:?} without, {with:?} with; {growth_max} bytes at most; {returned} came back");
            ratios.push(with.as_secs_f64() / without.as_secs_f64());
        }
        if median(&ratios) <= RATIO_MAX {
            break;
        }
    }
    let ratio = median(&ratios);
    println!("p99 with slow clients is {ratio:.2} of p99 without; {} bytes each", growth_max / SLOW as u64);
    assert!(ratio <= RATIO_MAX, "p99 with slow clients to p99 without: {ratios:?}");
    assert!(growth_max <= SLOW as u64 * SLOW_BYTES_MAX, "memory grew by {growth_max} bytes");
}

/// What 99 of 100 requests take at most, of some clients that ask one after the other.
fn p99(ringway: &Ringway) -> Duration {
    let mut times: Vec<Duration> = thread::scope(|scope| {
        let clients: Vec<_> = (0..NORMAL).map(|_| scope.spawn(|| ask(ringway))).collect();
        clients.into_iter().flat_map(|client| client.join().expect("a client that is served")).collect()
    });
    times.sort_unstable();
    times[times.len() * 99 / 100]
}

fn ask(ringway: &Ringway) -> Vec<Duration> {
    let (mut client, request) = (Peer::connect(ringway.address()), standard::get("/length/1000"));
    let (mut times, end) = (Vec::new(), Instant::now() + WINDOW);
    loop {
        let start = Instant::now();
        if start >= end {
            return times;
        }
        assert_eq!(client.exchange("GET", &request).expect("an answer").body.len(), 1_000);
        times.push(start.elapsed());
    }
}

fn median(values: &[f64]) -> f64 {
    let mut values = values.to_vec();
    values.sort_unstable_by(f64::total_cmp);
    values[values.len() / 2]
}
