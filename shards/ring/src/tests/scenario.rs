//! What users of the crate do, in every order that a seed can think of.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io;
use std::panic::resume_unwind;
use std::path::Path;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use crate::core::Core;
use crate::kernel::scripted::{Attempt, End, Random, Script, World, byte_at};
use crate::{Buffer, Chunk, Listener, ReadMode, Stream, Timer};

/// What a task does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Receive,
    Send,
    Both,
    Relay,
    Accept,
    Connect,
    Sleep,
    Panic,
}

const KINDS: [Kind; 8] =
    [Kind::Receive, Kind::Send, Kind::Both, Kind::Relay, Kind::Accept, Kind::Connect, Kind::Sleep, Kind::Panic];

/// What the tasks of one run share.
#[derive(Clone)]
pub(super) struct Case(Rc<Shared>);

struct Shared {
    world: Rc<RefCell<World>>,
    random: RefCell<Random>,
    only: Option<Kind>,
    running: Cell<usize>,
    waker: RefCell<Option<Waker>>,
    panics_on_purpose: Cell<u64>,
}

/// One task of a case, counted while it lives.
struct Task {
    case: Case,
    random: Random,
}

impl Drop for Task {
    fn drop(&mut self) {
        self.case.0.running.set(self.case.0.running.get() - 1);
        if let Some(waker) = self.case.0.waker.take() {
            waker.wake();
        }
    }
}

/// Starts a few tasks and waits for their end, or does not wait: then the shard ends in the middle of everything.
pub(super) async fn main(case: Case) {
    let mut random = Random::new(case.random());
    for _ in 0..random.within(1, 6) {
        let kind = case.0.only.unwrap_or(KINDS[random.below(KINDS.len())]);
        case.spawn(kind);
    }
    if random.one_in(6) {
        return crate::sleep(Duration::from_millis(random.below(30) as u64)).await;
    }
    poll_fn(|cx| {
        *case.0.waker.borrow_mut() = Some(cx.waker().clone());
        if case.0.running.get() == 0 { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    // Only the shard's own read of its eventfd stays.
    while case.0.world.borrow().in_flight() > 1 {
        crate::sleep(Duration::from_millis(5)).await;
    }
    let core = Core::current();
    assert_eq!(crate::free_buffers(), (core.heads.count(), core.bodies.count()), "buffers are missing");
}

impl Case {
    pub(super) fn new(world: &Rc<RefCell<World>>, seed: u64, only: Option<Kind>) -> Case {
        Case(Rc::new(Shared {
            world: Rc::clone(world),
            random: RefCell::new(Random::new(seed)),
            only,
            running: Cell::new(0),
            waker: RefCell::new(None),
            panics_on_purpose: Cell::new(0),
        }))
    }

    pub(super) fn panics_on_purpose(&self) -> u64 {
        self.0.panics_on_purpose.get()
    }

    fn random(&self) -> u64 {
        self.0.random.borrow_mut().next()
    }

    fn task(&self) -> Task {
        self.0.running.set(self.0.running.get() + 1);
        Task { case: self.clone(), random: Random::new(self.random()) }
    }

    fn spawn(&self, kind: Kind) {
        let task = self.task();
        crate::spawn(async move {
            match kind {
                Kind::Receive | Kind::Send | Kind::Both | Kind::Panic => task.talk(kind).await,
                Kind::Relay => task.relay().await,
                Kind::Accept => task.accept().await,
                Kind::Connect => task.connect().await,
                Kind::Sleep => task.sleep().await,
            }
        });
    }
}

impl Task {
    fn peer(&mut self, expects: Option<usize>) -> usize {
        let random = &mut self.random;
        let (most, end, stalls) = (random.within(1, 900), random.below(8), random.one_in(8));
        let script = Script {
            bytes: random.below(most),
            end: [End::Fin, End::Reset, End::Never][end.min(8 - end).min(2)],
            reads: if random.one_in(3) { random.below(600) } else { 1 << 20 },
            stalls,
            // A stream that no peer sends, so that it is not mistaken for one.
            expects: expects.unwrap_or(random.within(1_000, 4_000)),
        };
        self.case.0.world.borrow_mut().peer(script)
    }

    fn connected(&mut self, expects: Option<usize>) -> Session {
        let peer = self.peer(expects);
        let fd = self.case.0.world.borrow_mut().connected(peer);
        self.session(Stream::from_descriptor(fd), peer)
    }

    fn session(&mut self, stream: Stream, peer: usize) -> Session {
        let script = self.case.0.world.borrow().peers[peer].script;
        let random = Random::new(self.random.next());
        Session {
            case: self.case.clone(),
            stream,
            peer,
            script,
            random,
            received: 0,
            written: 0,
            held: Vec::new(),
            mode: ReadMode::Head,
        }
    }

    async fn talk(mut self, kind: Kind) {
        let session = self.connected(None);
        session.talk(kind).await;
    }

    /// Passes what one peer sends on to another.
    async fn relay(mut self) {
        let mut from = self.connected(None);
        let mut to = self.connected(Some(from.peer));
        let mut written = 0;
        let limit = self.random.below(400);
        loop {
            from.mode = from.random_mode();
            let patience = from.patience();
            let chunk = match from.receive(patience).await {
                None => return,
                Some(Ok(Some(chunk))) => chunk,
                Some(_) => break,
            };
            written += chunk.len();
            if from.random.one_in(4) {
                from.hold(&chunk);
            }
            to.stream.write(chunk);
            if from.random.one_in(3) {
                continue;
            }
            match to.drained(limit, 20).await {
                Some(Ok(())) => {}
                Some(Err(_)) => break,
                None => return,
            }
            if from.random.one_in(30) {
                return;
            }
        }
        to.written = written;
        to.flush().await;
    }

    async fn accept(mut self) {
        let peers: Vec<usize> = (0..self.random.within(0, 5)).map(|_| self.peer(None)).collect();
        let fd = self.case.0.world.borrow_mut().listener(peers.clone());
        let mut listener = Listener::from_descriptor(fd);
        let mut waiting = peers.into_iter();
        let mut timer = Timer::new();
        loop {
            timer.set(crate::now() + Duration::from_millis(self.random.within(1, 150) as u64));
            let accepted = poll_fn(|cx| match listener.poll_accept(cx) {
                Poll::Ready(accepted) => Poll::Ready(Some(accepted)),
                Poll::Pending => timer.poll(cx).map(|()| None),
            });
            match accepted.await {
                Some(Ok(stream)) => {
                    let peer = waiting.next().expect("no more connections than there are");
                    let mut task = self.case.task();
                    let session = task.session(stream, peer);
                    if !task.random.one_in(5) {
                        crate::spawn(async move {
                            let _task = task;
                            session.talk(Kind::Both).await;
                        });
                    }
                }
                Some(Err(error)) => {
                    let expected = [libc::EMFILE, libc::ENFILE, libc::ENOMEM];
                    assert!(expected.contains(&error.raw_os_error().expect("a system's error")), "{error}");
                }
                None if self.random.one_in(3) => listener.stop(),
                None if waiting.len() == 0 || self.random.one_in(8) => return,
                None => {}
            }
        }
    }

    async fn connect(mut self) {
        if cfg!(miri) {
            return;
        }
        let attempt = [Attempt::Succeeds, Attempt::Succeeds, Attempt::Refused, Attempt::Hangs][self.random.below(4)];
        let peer = self.peer(None);
        self.case.0.world.borrow_mut().expect_connect(peer, attempt);
        let timeout = Duration::from_millis(self.random.within(1, 40) as u64);
        let patience =
            if self.random.one_in(4) { Duration::from_millis(self.random.below(5) as u64) } else { timeout * 2 };
        let start = crate::now();
        let connecting = crate::connect_unix(Path::new("/nobody/listens/here"), timeout);
        let connected = match within(patience, connecting).await {
            None => return,
            Some(connected) => connected,
        };
        match connected {
            Ok(stream) => {
                assert_eq!(attempt, Attempt::Succeeds);
                self.session(stream, peer).talk(Kind::Both).await;
            }
            Err(error) if error.kind() == io::ErrorKind::TimedOut => assert!(crate::now() >= start + timeout),
            Err(error) => {
                assert_eq!((attempt, error.kind()), (Attempt::Refused, io::ErrorKind::ConnectionRefused));
            }
        }
    }

    async fn sleep(mut self) {
        for _ in 0..self.random.within(1, 8) {
            let due = crate::now() + Duration::from_micros(self.random.below(90_000) as u64);
            crate::sleep_until(due).await;
            let late = crate::now().checked_duration_since(due).expect("a timer that does not expire early");
            assert!(late < Duration::from_millis(3), "{late:?} late");
        }
    }
}

/// A future's result, or `None` when the patience has run out: then the future is dropped as it is.
async fn within<F: Future>(patience: Duration, future: F) -> Option<F::Output> {
    let mut timer = Timer::new();
    timer.set(crate::now() + patience);
    let mut future = std::pin::pin!(future);
    poll_fn(|cx| match future.as_mut().poll(cx) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending => timer.poll(cx).map(|()| None),
    })
    .await
}

/// One stream, and what is known of its peer.
struct Session {
    case: Case,
    stream: Stream,
    peer: usize,
    script: Script,
    random: Random,
    /// Bytes received so far, and bytes written.
    received: usize,
    written: usize,
    /// Chunks that are kept for a while, with their place in the stream.
    held: Vec<(Chunk, usize)>,
    mode: ReadMode,
}

impl Drop for Session {
    fn drop(&mut self) {
        // While a task unwinds after a failed check, another panic would hide the first.
        if !std::thread::panicking() {
            self.held.iter().for_each(|(chunk, place)| self.verify(chunk, *place));
        }
        self.case.0.world.borrow_mut().peers[self.peer].wanted = false;
    }
}

impl Session {
    async fn talk(mut self, kind: Kind) {
        let panics_at = if kind == Kind::Panic { self.random.below(12) } else { usize::MAX };
        for step in 0.. {
            if step == panics_at {
                let count = &self.case.0.panics_on_purpose;
                count.set(count.get() + 1);
                // Without the hook, which would print a trace for each.
                resume_unwind(Box::new("on purpose"));
            }
            let goes_on = match kind {
                Kind::Receive => self.receive_step().await,
                Kind::Send => self.send_step().await,
                _ => match self.random.below(3) {
                    0 => self.receive_step().await,
                    1 => self.send_step().await,
                    _ => self.both_step().await,
                },
            };
            if !goes_on || self.random.one_in(60) {
                return;
            }
            match self.random.below(8) {
                0 => crate::sleep(Duration::from_millis(self.random.below(6) as u64)).await,
                1 => crate::yield_now().await,
                _ => {}
            }
        }
    }

    /// Something that receivers do. Returns whether there is more to do.
    async fn receive_step(&mut self) -> bool {
        match self.random.below(14) {
            0 => {
                let patience = Duration::from_millis(self.random.below(5) as u64);
                let stream = &mut self.stream;
                if within(patience, poll_fn(|cx| stream.poll_quiet(cx))).await.is_some() {
                    // Until somebody asks again, whatever happens meanwhile.
                    for _ in 0..3 {
                        assert!(self.case.0.world.borrow().is_quiet(self.peer), "a receive is in flight after all");
                        crate::sleep(Duration::from_millis(self.random.below(3) as u64)).await;
                    }
                }
            }
            // Asks for quiet and does not wait for it.
            1 => {
                let _ = poll_fn(|cx| Poll::Ready(self.stream.poll_quiet(cx).is_ready())).await;
            }
            2 => self.stream.watch(self.mode),
            3 => {
                let patience = Duration::from_millis(self.random.below(5) as u64);
                let (stream, mode) = (&mut self.stream, self.mode);
                let stirred = within(patience, poll_fn(|cx| stream.poll_stirred(cx, mode))).await.is_some();
                assert!(!stirred || !self.stream.is_fresh(), "nothing has changed");
            }
            4 => {
                let keep = self.random.below(self.held.len() + 1);
                for (chunk, place) in self.held.split_off(keep) {
                    self.verify(&chunk, place);
                }
            }
            5 | 6 => self.mode = self.random_mode(),
            _ => {
                let patience = self.patience();
                return match self.receive(patience).await {
                    None => self.script.end != End::Never || self.received < self.script.bytes,
                    Some(Ok(Some(chunk))) => {
                        self.keep_or_put_back(chunk);
                        true
                    }
                    Some(_) => false,
                };
            }
        }
        true
    }

    /// The next bytes, the end, or `None` if it took too long. Everything is checked.
    async fn receive(&mut self, patience: Option<usize>) -> Option<io::Result<Option<Chunk>>> {
        let mut timer = Timer::new();
        if let Some(patience) = patience {
            timer.set(crate::now() + Duration::from_millis(patience as u64));
        }
        let received = poll_fn(|cx| match self.poll_receive(cx) {
            Poll::Ready(received) => Poll::Ready(Some(received)),
            Poll::Pending => timer.poll(cx).map(|()| None),
        })
        .await;
        self.want(false);
        self.note_received(&received);
        received
    }

    fn poll_receive(&mut self, cx: &Context<'_>) -> Poll<io::Result<Option<Chunk>>> {
        let received = self.stream.poll_recv(cx, self.mode);
        self.want(received.is_pending());
        received
    }

    fn want(&self, wanted: bool) {
        self.case.0.world.borrow_mut().peers[self.peer].wanted = wanted;
    }

    fn note_received(&mut self, received: &Option<io::Result<Option<Chunk>>>) {
        match received {
            None => {}
            Some(Ok(Some(chunk))) => {
                assert!(!chunk.is_empty(), "a chunk of nothing");
                self.verify(chunk, self.received);
                self.received += chunk.len();
            }
            Some(Ok(None)) => {
                assert_eq!((self.script.end, self.received), (End::Fin, self.script.bytes), "the end");
                assert!(!self.stream.is_fresh());
            }
            Some(Err(error)) => {
                assert_eq!(error.raw_os_error(), Some(libc::ECONNRESET));
                assert_eq!((self.script.end, self.received), (End::Reset, self.script.bytes), "the failure");
                assert!(!self.stream.is_fresh());
            }
        }
    }

    fn verify(&self, chunk: &Chunk, place: usize) {
        for (offset, byte) in chunk.iter().enumerate() {
            let at = place + offset;
            assert_eq!(*byte, byte_at(self.peer, at), "byte {at} received from peer {}", self.peer);
        }
    }

    fn hold(&mut self, chunk: &Chunk) {
        let place = self.received - chunk.len();
        let start = self.random.below(chunk.len());
        let end = self.random.within(start, chunk.len());
        self.held.push((chunk.slice(start..end), place + start));
        if self.held.len() > 6 {
            let (chunk, place) = self.held.remove(0);
            self.verify(&chunk, place);
        }
    }

    fn keep_or_put_back(&mut self, mut chunk: Chunk) {
        match self.random.below(8) {
            0 => self.hold(&chunk),
            1 => {
                let place = self.received - chunk.len();
                self.held.push((chunk, place));
            }
            2 => {
                let front = chunk.split_to(self.random.below(chunk.len() + 1));
                self.verify(&front, self.received - chunk.len() - front.len());
                self.received -= chunk.len();
                self.stream.unread(chunk);
            }
            3 => {
                self.received -= chunk.len();
                self.stream.unread(chunk);
            }
            4 => {
                chunk.settle();
                self.hold(&chunk);
            }
            _ => {}
        }
    }

    fn random_mode(&mut self) -> ReadMode {
        [ReadMode::Head, ReadMode::Head, ReadMode::Body, ReadMode::Body, ReadMode::Once][self.random.below(5)]
    }

    /// Milliseconds that a wait may take. A peer that falls silent is not waited for without an end.
    fn patience(&mut self) -> Option<usize> {
        let endless = self.script.end != End::Never && self.random.one_in(2);
        (!endless).then(|| self.random.below(12))
    }

    /// Something that senders do. Returns whether there is more to do.
    async fn send_step(&mut self) -> bool {
        match self.random.below(6) {
            0 => {
                let limit = self.random.below(300);
                match self.drained(limit, 10).await {
                    Some(Ok(())) => assert!(self.stream.bytes_waiting() <= limit),
                    Some(Err(_)) => return false,
                    None => return !self.script.stalls || !self.random.one_in(3),
                }
                true
            }
            1 => self.flush().await && self.written < 4_000,
            2 if self.random.one_in(10) => {
                (0..150).for_each(|_| self.write(2));
                true
            }
            _ => {
                let len = self.random.below(120);
                self.write(len);
                true
            }
        }
    }

    fn write(&mut self, len: usize) {
        let mut buffer = Buffer::with_room(len);
        buffer.extend((self.written..self.written + len).map(|at| byte_at(self.script.expects, at)));
        self.stream.write(buffer.freeze());
        self.written += len;
    }

    /// Waits until at most `limit` bytes wait to be sent, or for the failure, which must be due; `None` if it took too long.
    async fn drained(&mut self, limit: usize, patience: usize) -> Option<io::Result<()>> {
        // A peer that does not stall reads on or fails: then nothing but its wake-up may end the wait.
        let endless = !self.script.stalls && self.random.one_in(2);
        let patience = Duration::from_millis(patience as u64);
        let stream = &mut self.stream;
        let draining = poll_fn(|cx| stream.poll_below(cx, limit));
        let drained = if endless { Some(draining.await) } else { within(patience, draining).await };
        if let Some(Err(error)) = &drained {
            self.expect_failure(error);
        }
        drained
    }

    fn expect_failure(&self, error: &io::Error) {
        assert_eq!(error.raw_os_error(), Some(libc::EPIPE));
        let taken = self.case.0.world.borrow().peers[self.peer].taken;
        assert!(!self.script.stalls && taken == self.script.reads, "a failure that nobody caused");
    }

    /// Waits until everything has been taken, and checks that it was. False if it was not.
    async fn flush(&mut self) -> bool {
        let flushed = self.drained(0, 30).await;
        if let Some(Ok(())) = flushed {
            assert_eq!(self.case.0.world.borrow().peers[self.peer].taken, self.written, "bytes taken");
        }
        matches!(flushed, Some(Ok(())))
    }

    /// Waits for bytes and for room at once.
    async fn both_step(&mut self) -> bool {
        let len = self.random.below(90);
        self.write(len);
        let limit = self.random.below(100);
        let mut timer = Timer::new();
        timer.set(crate::now() + Duration::from_millis(8));
        let (mut received, mut drained) = (None, None);
        poll_fn(|cx| {
            if received.is_none()
                && let Poll::Ready(got) = self.poll_receive(cx)
            {
                received = Some(got);
            }
            if drained.is_none()
                && let Poll::Ready(result) = self.stream.poll_below(cx, limit)
            {
                drained = Some(result);
            }
            if received.is_some() && drained.is_some() { Poll::Ready(()) } else { timer.poll(cx) }
        })
        .await;
        self.want(false);
        self.note_received(&received);
        if let Some(Err(error)) = &drained {
            self.expect_failure(error);
        }
        let failed = matches!(drained, Some(Err(_)));
        match received {
            Some(Ok(Some(chunk))) => self.keep_or_put_back(chunk),
            Some(_) => return false,
            None => {}
        }
        !failed && self.written < 4_000
    }
}
