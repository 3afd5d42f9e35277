//! Running load, and a server that does with each connection what a test says.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use kit::DEADLINE;
use loadgen::{
    load::{Load, Outcome, Plan},
    scenario::{Extent, Request, Scenario, Url},
};

/// A GET of `url` with one thread, over two connections, ten times.
pub(crate) fn scenario(url: &str) -> Scenario {
    Scenario {
        connections: 2,
        threads: Some(1),
        extent: Extent::Requests(10),
        requests: vec![Request::to(Url::parse(url).expect("a URL"))],
        ..Scenario::default()
    }
}

/// Makes the load and waits for its end.
pub(crate) fn run(scenario: &Scenario) -> Outcome {
    let plan = Plan::new(scenario).expect("a scenario that can be run");
    Load::start(plan).expect("io_uring").finish().expect("threads that do their work")
}

/// Listens on a free port, and runs `serve` on a thread of its own for each connection, with its number.
pub(crate) struct Server {
    address: SocketAddr,
    accepted: Arc<AtomicUsize>,
    is_over: Arc<AtomicBool>,
    accepting: Option<JoinHandle<()>>,
}

impl Server {
    pub(crate) fn start(serve: impl Fn(TcpStream, usize) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("its address");
        let (is_over, accepted) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let (over, count, serve) = (Arc::clone(&is_over), Arc::clone(&accepted), Arc::new(serve));
        let accepting = thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if over.load(Ordering::Relaxed) {
                    break;
                }
                stream.set_read_timeout(Some(DEADLINE)).expect("a time limit");
                stream.set_nodelay(true).expect("no delay");
                let number = count.fetch_add(1, Ordering::Relaxed);
                let serve = Arc::clone(&serve);
                thread::spawn(move || serve(stream, number));
            }
        });
        Self { address, accepted, is_over, accepting: Some(accepting) }
    }

    /// A server that gives every request this answer.
    pub(crate) fn answering(answer: impl Into<Vec<u8>>) -> Self {
        let answer = answer.into();
        Self::start(move |mut stream, _| while read_head(&mut stream).is_some() && stream.write_all(&answer).is_ok() {})
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    /// Connections so far.
    pub(crate) fn accepted(&self) -> usize {
        self.accepted.load(Ordering::Relaxed)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        let _ = TcpStream::connect_timeout(&self.address, Duration::from_secs(1));
        if let Some(accepting) = self.accepting.take() {
            let _ = accepting.join();
        }
    }
}

/// Reads to the end of a request's head; `None` at the connection's end.
pub(crate) fn read_head(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let mut head = Vec::new();
    let mut byte = [0; 1];
    while !head.ends_with(b"\r\n\r\n") {
        // One byte at a time takes nothing of a request that follows.
        if stream.read(&mut byte).ok()? == 0 {
            return None;
        }
        head.push(byte[0]);
    }
    Some(head)
}
