//! Bodies that pass from socket to socket: from which size, and where the system grants no pipes for it.

use std::fs;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use kit::{Config, Origin, Peer, Process, Ringway, eventually, pattern, standard};

use crate::{BINARY, start};

/// Pages of the pipe that a new one is before it is resized.
const DEFAULT_PAGES: usize = 16;
/// A body that is spliced wherever it can be.
const LARGE: u64 = 3_000_000;
const COPIED: &str = "bodies are copied";

/// Moves large bodies in both directions, framed in every way, each judged byte by byte.
fn move_bodies(ringway: &Ringway, rounds: usize) {
    let mut client = ringway.connect();
    for _ in 0..rounds {
        for framing in ["length", "chunked"] {
            client.send(&standard::get(&format!("/{framing}/{LARGE}"))).unwrap();
            client.read_pattern_response("GET", LARGE).unwrap();
        }
        client.send(format!("PUT / HTTP/1.1\r\nHost: t\r\nContent-Length: {LARGE}\r\n\r\n").as_bytes()).unwrap();
        client.send_pattern(0, LARGE).unwrap();
        let response = client.read_response("PUT").unwrap();
        assert_eq!(response.head.field("x-body"), Some(&LARGE.to_string()[..]));
    }
}

#[test]
fn bodies_are_spliced_from_the_size_that_is_configured() {
    let origin = standard::start();
    for (threshold, length, spliced) in
        [("4KiB", 16_000, true), ("32KiB", 16_000, false), ("32KiB", 500_000, true), ("1TiB", 500_000, false)]
    {
        let ringway = start(Config::to(origin.address()).set("shards", "splice_bytes_min", format!("{threshold:?}")));
        let mut client = ringway.connect();
        // The second answer is expected to be like the first.
        for _ in 0..5 {
            client.send(&standard::get(&format!("/length/{length}"))).unwrap();
            client.read_pattern_response("GET", length).unwrap();
        }
        let counts = ringway.stop_and_count();
        assert_eq!(counts.contains_key("ring_bytes_spliced"), spliced, "{length} bytes, {threshold}: {counts:?}");
        assert_eq!(counts.get("ring_pipes_refused"), None, "{counts:?}");
    }
}

#[test]
fn chunks_that_are_large_are_spliced_both_ways() {
    const CHUNK: usize = 200_000;
    let origin = Origin::start(|peer, _| {
        while let Some(head) = peer.read_head()? {
            let mut check = pattern::Check::default();
            peer.read_body(head.request_framing(), &mut |piece| check.update(piece))?;
            if head.method() == "PUT" {
                check.assert_whole(LARGE);
            }
            peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")?;
            peer.send_pattern_chunked(if head.method() == "PUT" { 0 } else { LARGE }, CHUNK)?;
        }
        Ok(())
    });
    for method in ["GET", "PUT"] {
        let ringway = start(Config::to(origin.address()));
        let mut client = ringway.connect();
        client
            .send(format!("{method} / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n").as_bytes())
            .unwrap();
        client.send_pattern_chunked(if method == "PUT" { LARGE } else { 0 }, CHUNK).unwrap();
        client.read_pattern_response(method, if method == "PUT" { 0 } else { LARGE }).unwrap();
        // Chunks whose beginning came with the one before are copied; not all are that.
        let counts = ringway.stop_and_count();
        assert!(
            counts.get("ring_bytes_spliced").is_some_and(|bytes| *bytes > CHUNK as u64 / 2),
            "{method}: {counts:?}"
        );
    }
}

#[test]
fn uploads_are_spliced() {
    let origin = standard::start();
    let ringway = start(Config::to(origin.address()));
    let mut client = ringway.connect();
    client.send(format!("PUT / HTTP/1.1\r\nHost: t\r\nContent-Length: {LARGE}\r\n\r\n").as_bytes()).unwrap();
    client.send_pattern(0, LARGE).unwrap();
    assert_eq!(client.read_response("PUT").unwrap().head.field("x-body"), Some(&LARGE.to_string()[..]));
    let counts = ringway.stop_and_count();
    assert!(counts["ring_bytes_spliced"] > LARGE / 2, "{counts:?}");
}

#[test]
fn a_client_that_uploaded_is_expected_to_upload() {
    const PART: u64 = 60_000;
    const PARTS: u64 = 10;
    let origin = standard::start();
    let ringway = start(Config::to(origin.address()));
    let mut client = ringway.connect();
    for _ in 0..PARTS {
        // A PUT could be sent to another server again, and such a small one is kept for that.
        upload(&mut client, "POST", PART);
    }
    // Of the first, head and body came together; of all others no more than the beginning.
    let counts = ringway.stop_and_count();
    assert!(counts["ring_bytes_spliced"] >= (PARTS - 1) * (PART - 8192), "{counts:?}");
}

#[test]
fn what_a_client_sends_after_an_upload_is_its_own_choice() {
    let origin = standard::start();
    let ringway = start(Config::to(origin.address()));
    let mut client = ringway.connect();
    for length in [60_000, 1, 9_000, 300_000, 0, 60_000, 20_000, 60_000] {
        upload(&mut client, "PUT", length);
        upload(&mut client, "POST", length);
        // Two at once, one of them with the beginning of a body.
        client.send(&[standard::get("/length/10"), standard::get("/length/100000")].concat()).unwrap();
        client.read_pattern_response("GET", 10).unwrap();
        client.read_pattern_response("GET", 100_000).unwrap();
    }
}

/// Sends head and body of an upload in one write, and reads what the origin says of it.
fn upload(client: &mut Peer, method: &str, length: u64) {
    let mut request = format!("{method} / HTTP/1.1\r\nHost: t\r\nContent-Length: {length}\r\n\r\n").into_bytes();
    request.extend(pattern::bytes(length as usize));
    client.send(&request).unwrap();
    let response = client.read_response(method).unwrap();
    assert_eq!(response.head.field("x-body"), Some(&length.to_string()[..]));
}

#[test]
fn a_user_with_few_pages_left_gets_smaller_pipes() {
    let Some(user) = User::take() else { return };
    let _held = user.hold_all_but(2 * DEFAULT_PAGES + DEFAULT_PAGES / 2);
    let (origin, ringway) = user.proxy();
    move_bodies(&ringway, 2);
    // More at once than there are pages for.
    thread::scope(|scope| (0..6).for_each(|_| drop(scope.spawn(|| move_bodies(&ringway, 1)))));
    drop(origin);
    let counts = ringway.stop_and_count();
    assert!(counts["ring_pipes_shrunk"] >= 1, "{counts:?}");
    assert!(counts["ring_bytes_spliced"] >= LARGE, "{counts:?}");
}

#[test]
fn a_user_without_pages_has_its_bodies_copied_and_is_told_once_a_second() {
    let Some(user) = User::take() else { return };
    let _held = user.hold_all_but(0);
    let (_origin, ringway) = user.proxy();
    move_bodies(&ringway, 3);
    eventually("the log tells", || ringway.process().stderr().contains(COPIED));
    let told = ringway.process().stderr().matches(COPIED).count();
    assert!((1..=9).contains(&told), "once a second, and not nine times: {told}");
    let counts = ringway.stop_and_count();
    // All but the chunks, which are too small to be spliced.
    assert!(counts["ring_pipes_refused"] >= 6, "{counts:?}");
    assert_eq!(counts.get("ring_bytes_spliced"), None, "{counts:?}");
}

/// As under `fs.pipe-user-pages-hard`, where no pipe is opened at all: there the kernel says ENFILE, here EMFILE.
#[test]
fn without_descriptors_for_pipes_bodies_are_copied() {
    let origin = standard::start();
    let ringway = start(Config::to(origin.address()));
    let mut client = ringway.connect();
    assert_eq!(client.exchange("GET", &standard::get("/length/1")).unwrap().status(), 200);
    ringway.process().limit_descriptors(3);
    for _ in 0..3 {
        client.send(&standard::get(&format!("/length/{LARGE}"))).unwrap();
        client.read_pattern_response("GET", LARGE).unwrap();
    }
    let counts = ringway.stop_and_count();
    assert!(counts["ring_pipes_refused"] >= 3, "{counts:?}");
    assert_eq!(counts.get("ring_bytes_spliced"), None, "{counts:?}");
}

/// A user without privileges of whom nobody else is anything.
struct User {
    command: Vec<String>,
    /// `fs.pipe-user-pages-soft`.
    pages_max: usize,
}

impl User {
    /// `None`, said aloud, where this test may not become another user, or the system sets no bound.
    fn take() -> Option<User> {
        static TAKEN: AtomicU32 = AtomicU32::new(0);
        // Tests run in processes or in threads: both make the difference.
        let id = 1_000_000 + std::process::id() * 8 + TAKEN.fetch_add(1, Ordering::Relaxed);
        // To read is kept: the folders of the binary and of the configuration may be ours alone.
        let words = format!(
            "setpriv --reuid={id} --regid={id} --clear-groups --inh-caps=-all,+dac_read_search \
             --ambient-caps=-all,+dac_read_search --"
        );
        let command: Vec<String> = words.split(' ').map(str::to_owned).collect();
        let tried = Command::new(&command[0]).args(&command[1..]).arg("true").output();
        if !tried.is_ok_and(|output| output.status.success()) {
            eprintln!("skipped: becoming another user is for root alone");
            return None;
        }
        let bound = fs::read_to_string("/proc/sys/fs/pipe-user-pages-soft").expect("a bound on the pages in pipes");
        let pages_max = bound.trim().parse().expect("a number of pages");
        // Each descriptor of the holder has up to 256 pages.
        if !(1_000..=1 << 20).contains(&pages_max) {
            eprintln!("skipped: fs.pipe-user-pages-soft is {pages_max}");
            return None;
        }
        Some(User { command, pages_max })
    }

    /// A process of this user that holds pipes with all the pages that it may have, but `left`.
    fn hold_all_but(&self, left: usize) -> Process {
        // 1031 is F_SETPIPE_SZ.
        const HOLD: &str = "
import fcntl, os, signal, sys
left = int(sys.argv[1])
while left > 0:
    pages = min(256, 1 << left.bit_length() - 1)
    fcntl.fcntl(os.pipe()[1], 1031, pages * 4096)
    left -= pages
print('held', flush=True)
signal.pause()
";
        let mut command = Command::new(&self.command[0]);
        command.args(&self.command[1..]).args(["python3", "-c", HOLD, &(self.pages_max - left).to_string()]);
        let mut holder = Process::spawn("the holder of pipes", &mut command);
        eventually("the pipes are held", || {
            assert!(holder.is_running(), "{}", holder.stderr());
            holder.stdout().contains("held")
        });
        holder
    }

    /// The proxy as this user, before the standard origin.
    fn proxy(&self) -> (Origin, Ringway) {
        let origin = standard::start();
        let command: Vec<&str> = self.command.iter().map(String::as_str).collect();
        // Nor may that user write where the harness would have its socket.
        let config = Config::to(origin.address()).set("admin", "address", "\"off\"");
        let ringway = Ringway::start_by(&command, BINARY, config);
        (origin, ringway)
    }
}
