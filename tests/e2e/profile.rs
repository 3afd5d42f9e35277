//! `ringway profile`: a running Ringway samples itself, and the command draws it.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use kit::process::run;
use kit::{Config, Ringway, eventually, standard};

use crate::{BINARY, OK, answering, before};

const LIMIT: Duration = Duration::from_secs(60);

/// `ringway profile` with these words, asking `ringway`; nothing is sent elsewhere.
fn profile(ringway: &Ringway, folder: &Path, words: &[&str]) -> Output {
    let mut command = Command::new(BINARY);
    command.current_dir(folder).arg("profile").args(words).arg("--admin").arg(ringway.admin_socket());
    command.output().expect("the command starts")
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Whether the kernel lets this user sample a process of its own. Where it does not, a test of what is seen has nothing to see,
/// and says so.
fn may_sample(output: &Output) -> bool {
    let forbidden = stderr(output).contains("the kernel forbids sampling") || stderr(output).contains("cannot sample");
    if forbidden {
        eprintln!("SKIPPED: {}", stderr(output));
    }
    !forbidden
}

/// What curl gets for a POST to this path: the status and the text.
fn post(ringway: &Ringway, path: &str, words: &[&str]) -> String {
    let mut command = Command::new("curl");
    command.args(["--silent", "--show-error", "--request", "POST", "--write-out", "\n%{http_code}"]).args(words);
    command.arg("--unix-socket").arg(ringway.admin_socket()).arg(format!("http://localhost{path}"));
    run("curl", &mut command, LIMIT)
}

/// Has a client ask again and again while `what` happens.
fn under_load<T>(ringway: &Ringway, what: impl FnOnce() -> T) -> T {
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut client = ringway.connect();
            while !over.load(Ordering::Relaxed) {
                assert_eq!(client.exchange("GET", &standard::get("/")).unwrap().status(), 200);
            }
        });
        let result = what();
        over.store(true, Ordering::Relaxed);
        result
    })
}

#[test]
fn a_profile_is_a_picture_with_frames_of_ringway() {
    let origin = answering(OK);
    let ringway = before(&origin);
    let folder = tempfile::tempdir().unwrap();
    let output = under_load(&ringway, || profile(&ringway, folder.path(), &["1s", "--frequency", "999"]));
    if !may_sample(&output) {
        return;
    }
    assert!(output.status.success(), "{}", stderr(&output));
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(told.starts_with("ringway-profile.svg: ") && told.contains(" samples of "), "{told}");
    let svg = fs::read_to_string(folder.path().join("ringway-profile.svg")).unwrap();
    assert!(svg.starts_with("<?xml") && svg.trim_end().ends_with("</svg>"));
    assert!(svg.contains("<title>shard-0 ("), "the shard's thread is the root of its stacks");
    assert!(
        svg.contains("ringway_ring::") && svg.contains("ringway_engine::"),
        "functions of Ringway have names: {told}"
    );
}

#[test]
fn folded_stacks_lead_from_the_thread_into_the_shard() {
    let origin = answering(OK);
    let ringway = before(&origin);
    let folder = tempfile::tempdir().unwrap();
    let output = under_load(&ringway, || profile(&ringway, folder.path(), &["1s", "--folded", "--output", "-"]));
    if !may_sample(&output) {
        return;
    }
    assert!(output.status.success(), "{}", stderr(&output));
    let folded = String::from_utf8_lossy(&output.stdout).into_owned();
    let is_stack = |line: &str| {
        line.rsplit_once(' ').is_some_and(|(stack, count)| !stack.is_empty() && count.parse::<u64>().is_ok())
    };
    assert!(folded.lines().count() > 1 && folded.lines().all(is_stack), "{folded}");
    let walked = folded
        .lines()
        .any(|line| line.starts_with("shard-0;") && line.contains("ringway_ring::") && line.matches(';').count() > 8);
    assert!(walked, "frame pointers lead from the thread's start to the work:\n{folded}");
    assert!(!folder.path().join("ringway-profile.svg").exists());
}

#[test]
fn one_profile_is_taken_at_a_time_and_one_that_is_given_up_ends() {
    let origin = answering(OK);
    let ringway = before(&origin);
    let first = post(&ringway, "/v1/profile?seconds=1", &[]);
    if first.ends_with("\n403") || first.ends_with("\n501") {
        eprintln!("SKIPPED: {first}");
        return;
    }
    assert!(first.ends_with("\n200"), "{first}");
    thread::scope(|scope| {
        let begin = || {
            let mut curl = Command::new("curl");
            curl.args(["--silent", "--request", "POST", "--unix-socket"]).arg(ringway.admin_socket());
            curl.arg("http://localhost/v1/profile?seconds=60").spawn().expect("curl starts")
        };
        let mut long = begin();
        eventually("the second is refused", || {
            // The other one may have been the first.
            if long.try_wait().expect("curl is ours").is_some() {
                long = begin();
            }
            post(&ringway, "/v1/profile?seconds=1", &[]).contains("\"busy\"")
        });
        let folder = tempfile::tempdir().unwrap();
        let refused = profile(&ringway, folder.path(), &["1s"]);
        assert_eq!(refused.status.code(), Some(4), "{}", stderr(&refused));
        assert!(stderr(&refused).contains("one at a time"), "{}", stderr(&refused));
        long.kill().unwrap();
        long.wait().unwrap();
        scope.spawn(|| {
            eventually("the next is taken", || post(&ringway, "/v1/profile?seconds=1", &[]).ends_with("\n200"))
        });
    });
}

#[test]
fn what_makes_no_profile_is_said() {
    let origin = answering(OK);
    let ringway = before(&origin);
    let folder = tempfile::tempdir().unwrap();
    for words in [["0s"], ["61s"], ["10"], ["1.5s"]] {
        let output = profile(&ringway, folder.path(), &words);
        assert_eq!(output.status.code(), Some(2), "{words:?}");
        assert!(stderr(&output).contains("`1s` to `60s`"), "{}", stderr(&output));
    }
    for (query, detail) in [
        ("seconds=0", "1 to 60"),
        ("seconds=61", "1 to 60"),
        ("frequency=1000", "1 to 999"),
        ("x=1", "there is no `x`"),
    ] {
        let answer = post(&ringway, &format!("/v1/profile?{query}"), &[]);
        assert!(answer.ends_with("\n400") && answer.contains(detail), "{query}: {answer}");
    }
    let nowhere = Command::new(BINARY)
        .args(["profile", "1s", "--admin"])
        .arg(folder.path().join("none.sock"))
        .output()
        .expect("the command starts");
    assert_eq!(nowhere.status.code(), Some(3));
    assert!(stderr(&nowhere).contains("no Ringway is running"), "{}", stderr(&nowhere));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "nothing was written");
}

/// A kernel that forbids it, by a seccomp filter as containers and the systemd unit have one.
#[test]
fn a_kernel_that_forbids_sampling_is_said_with_what_it_takes() {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/e2e/refuse.py");
    let origin = answering(OK);
    let ringway = Ringway::start_by(&["python3", script, "perf_event_open"], BINARY, Config::to(origin.address()));
    let folder = tempfile::tempdir().unwrap();
    let output = profile(&ringway, folder.path(), &["1s"]);
    assert_eq!(output.status.code(), Some(4), "{}", stderr(&output));
    let told = stderr(&output);
    assert!(
        told.contains("the kernel forbids sampling") && told.contains("CAP_PERFMON") && told.contains("seccomp"),
        "{told}"
    );
    assert_eq!(ringway.connect().exchange("GET", &standard::get("/")).unwrap().status(), 200, "it serves on");
}
