//! Clients that go on while something is done to the proxy, and miss nothing.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

use kit::{Address, Peer, eventually, standard};

/// Clients at work: half of them keep their connections, half open one for each request.
pub(crate) struct Load {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

struct Shared {
    address: Address,
    is_over: AtomicBool,
    answered: AtomicUsize,
    failures: Mutex<Vec<String>>,
}

impl Load {
    pub(crate) fn start(address: &Address) -> Load {
        let shared = Arc::new(Shared {
            address: address.clone(),
            is_over: AtomicBool::new(false),
            answered: AtomicUsize::new(0),
            failures: Mutex::default(),
        });
        let thread = |keeps: bool| {
            let shared = Arc::clone(&shared);
            thread::spawn(move || shared.run(keeps))
        };
        let threads = (0..8).map(|number| thread(number % 2 == 0)).collect();
        let load = Load { shared, threads };
        load.go_on();
        load
    }

    /// Waits until every client can have had another answer.
    pub(crate) fn go_on(&self) {
        let before = self.shared.answered.load(Ordering::Relaxed);
        eventually("requests are answered", || self.shared.answered.load(Ordering::Relaxed) >= before + 40);
    }

    /// Ends it, and demands that every request was answered.
    #[track_caller]
    pub(crate) fn assert_lossless(self) {
        self.go_on();
        self.shared.is_over.store(true, Ordering::Relaxed);
        for thread in self.threads {
            thread.join().expect("a client");
        }
        let failures = self.shared.failures.lock().unwrap();
        let answered = self.shared.answered.load(Ordering::Relaxed);
        assert!(failures.is_empty(), "{} of {answered} requests: {:?}", failures.len(), failures[0]);
    }
}

impl Shared {
    fn run(&self, keeps: bool) {
        let mut kept = None;
        while !self.is_over.load(Ordering::Relaxed) {
            match self.request(&mut kept, keeps) {
                Ok(()) => _ = self.answered.fetch_add(1, Ordering::Relaxed),
                Err(error) => {
                    kept = None;
                    self.failures.lock().unwrap().push(error.to_string());
                }
            }
        }
    }

    fn request(&self, kept: &mut Option<Peer>, keeps: bool) -> io::Result<()> {
        let mut client = match kept.take() {
            Some(client) => client,
            None => Peer::try_connect(&self.address)?,
        };
        let answer = client.exchange("GET", &standard::get("/length/100"))?;
        if answer.status() != 200 {
            return Err(io::Error::other(format!("status {}", answer.status())));
        }
        // RFC 9112 §9.6: the last answer says so.
        if keeps && !answer.head.lists("connection", "close") {
            *kept = Some(client);
        }
        Ok(())
    }
}
