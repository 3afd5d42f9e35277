//! Accepting connections, also when descriptors run out.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use ringway_ring::{Counters, Instant, Listener, ReadMode, Stream, listen_tcp};

use crate::{SMALL, bytes, finish, in_child, shard, start_shard, verify};

fn listener() -> Listener {
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    Listener::from_descriptor(listen_tcp(any, 1_024, false).expect("a free port"))
}

#[test]
fn every_connection_is_accepted_and_served() {
    const CONNECTIONS: usize = 400;
    shard(SMALL, || async {
        let mut listener = listener();
        let address = listener.local().expect("its address");
        let clients = std::thread::spawn(move || {
            let open: Vec<_> = (0..CONNECTIONS).map(|_| TcpStream::connect(address).expect("room")).collect();
            for (number, mut client) in open.into_iter().enumerate() {
                std::io::Write::write_all(&mut client, &bytes(number % 16, 0, 50)).expect("somebody reads");
                let mut answer = Vec::new();
                std::io::Read::read_to_end(&mut client, &mut answer).expect("the answer");
                verify(&answer, number % 16, 0);
                assert_eq!(answer.len(), 50);
            }
        });
        for taken in 0..CONNECTIONS {
            if taken % 50 == 0 {
                listener.stop();
            }
            let mut stream = listener.accept().await.expect("a connection");
            ringway_ring::spawn(async move {
                let question = stream.recv(ReadMode::Head).await.expect("bytes").expect("bytes");
                stream.write(question);
                stream.flush().await.expect("somebody reads");
            });
        }
        while !clients.is_finished() {
            ringway_ring::sleep(Duration::from_millis(1)).await;
        }
        clients.join().expect("the clients end well");
    });
}

/// Processor time of this process.
fn cpu_time() -> Duration {
    // SAFETY: a structure of zeros is valid, and the kernel fills it.
    let usage = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        assert_eq!(libc::getrusage(libc::RUSAGE_SELF, &raw mut usage), 0);
        usage
    };
    let duration = |time: libc::timeval| Duration::new(time.tv_sec as u64, time.tv_usec as u32 * 1_000);
    duration(usage.ru_utime) + duration(usage.ru_stime)
}

#[test]
fn accepting_without_descriptors_pauses_and_recovers() {
    in_child("listening::accepting_without_descriptors_pauses_and_recovers", || {
        let limit = libc::rlimit { rlim_cur: 64, rlim_max: 64 };
        // SAFETY: reads a structure that lives.
        assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) }, 0);
        let counters = Arc::new(Counters::default());
        finish(start_shard(SMALL, &counters, || async {
            let mut listener = listener();
            let address = listener.local().expect("its address");
            let client = TcpStream::connect(address).expect("the backlog has room");
            let mut fillers = Vec::new();
            fill(&mut fillers);
            let (cpu_before, start) = (cpu_time(), Instant::now());
            let mut errors = 0;
            while start.elapsed() < Duration::from_secs(1) {
                let error = listener.accept().await.expect_err("no descriptor is free");
                assert_eq!(error.raw_os_error(), Some(libc::EMFILE));
                errors += 1;
            }
            let cpu = cpu_time() - cpu_before;
            assert!(errors <= 15, "{errors} errors in a second: accepting spins");
            assert!(cpu < Duration::from_millis(200), "{cpu:?} of processor time in a second of waiting");
            // A descriptor of another hand: noticed at the next attempt.
            fillers.truncate(fillers.len() - 3);
            drop(accept_at_last(&mut listener).await);
            drop(client);
            // A descriptor of the shard's own: noticed at once, which is sooner than after a pause of 100 ms. One round of
            // many has to show it, on a machine that is busy with other things.
            let mut soonest = Duration::MAX;
            for _ in 0..20 {
                // The kernel closes what was dropped when it is entered next.
                ringway_ring::sleep(Duration::from_millis(1)).await;
                fill(&mut fillers);
                let own = Stream::from_descriptor(OwnedFd::from(fillers.pop().expect("enough of them")));
                fillers.pop();
                let client = TcpStream::connect(address).expect("the backlog has room");
                assert!(listener.accept().await.is_err());
                let start = Instant::now();
                drop(own);
                drop(accept_at_last(&mut listener).await);
                soonest = soonest.min(start.elapsed());
                drop(client);
            }
            assert!(soonest < Duration::from_millis(60), "{soonest:?} until the closed descriptor was noticed");
        }));
        assert!(counters.accept_pauses.value() >= 5);
    });
}

/// Opens files until no descriptor is free.
fn fill(fillers: &mut Vec<std::fs::File>) {
    while let Ok(filler) = std::fs::File::open("/dev/null") {
        fillers.push(filler);
    }
}

async fn accept_at_last(listener: &mut Listener) -> Stream {
    loop {
        if let Ok(stream) = listener.accept().await {
            return stream;
        }
    }
}

#[test]
fn a_socket_that_does_not_listen_is_an_error_and_no_spinning() {
    shard(SMALL, || async {
        let bound = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        socket2::SockRef::from(&bound).shutdown(std::net::Shutdown::Both).expect("it listens no more");
        let mut listener = Listener::from_descriptor(bound.into());
        let start = Instant::now();
        for _ in 0..3 {
            let error = listener.accept().await.expect_err("it does not listen");
            assert_eq!(error.raw_os_error(), Some(libc::EINVAL));
        }
        // Each error but the first comes after a pause.
        assert!(start.elapsed() >= Duration::from_millis(150));
    });
}
