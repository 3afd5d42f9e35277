//! A tool that dies in the middle, and one that runs twice.

use std::fs;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use crate::fake::Fake;

/// Starts `apply --yes` and waits until its ethtool hangs: everything before is set, that one thing is recorded and not
/// set, everything behind is neither.
fn apply_that_hangs(fake: &Fake) -> (Child, String) {
    const DEADLINE: Duration = Duration::from_secs(30);
    fake.put("fake/hang", "");
    let child = fake.command(&["apply", "--yes"]).stdout(Stdio::null()).spawn().unwrap();
    let began = Instant::now();
    while !fake.path("fake/hangs").exists() {
        assert!(began.elapsed() < DEADLINE, "it never came to ethtool");
        std::thread::sleep(Duration::from_millis(5));
    }
    let ethtool = fake.text("fake/hangs").trim().to_owned();
    (child, ethtool)
}

/// Ends both, the tool first: it sees nothing of it. Only these two, by their numbers.
fn kill((mut child, ethtool): (Child, String)) {
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(std::process::Command::new("kill").args(["-9", &ethtool]).status().unwrap().success());
}

#[test]
fn what_was_set_before_a_crash_is_reverted() {
    let fake = Fake::new();
    let before = fake.snapshot();
    kill(apply_that_hangs(&fake));
    fs::remove_file(fake.path("fake/hang")).unwrap();
    fs::remove_file(fake.path("fake/hangs")).unwrap();
    assert_eq!(fake.sysctl("net.core.somaxconn"), "4096");
    assert_eq!(fake.text("fake/combined"), "2\n");
    assert_eq!(fake.sysctl("fs.pipe-user-pages-soft"), "16384");

    let revert = fake.tune(&["revert", "--yes"]);
    assert_eq!(revert.status, 0, "{}", revert.out);
    assert!(revert.out.contains("as before   nic.queues [eth0]"), "{}", revert.out);
    assert_eq!(fake.snapshot(), before);
}

#[test]
fn applying_goes_on_after_a_crash_with_the_first_old_values() {
    let fake = Fake::new();
    let before = fake.snapshot();
    kill(apply_that_hangs(&fake));
    fs::remove_file(fake.path("fake/hang")).unwrap();
    fs::remove_file(fake.path("fake/hangs")).unwrap();
    assert_eq!(fake.tune(&["apply", "--yes"]).status, 0);
    assert_eq!(fake.text("fake/combined"), "4\n");
    assert_eq!(fake.tune(&["revert", "--yes"]).status, 0);
    assert_eq!(fake.snapshot(), before);
}

#[test]
fn a_crash_between_the_change_and_its_record_is_no_stranger() {
    let fake = Fake::new();
    let before = fake.snapshot();
    kill(apply_that_hangs(&fake));
    fs::remove_file(fake.path("fake/hang")).unwrap();
    fs::remove_file(fake.path("fake/hangs")).unwrap();
    // The change came through after all, a moment before the tool died.
    let ethtool = fake.path("usr/sbin/ethtool");
    assert!(std::process::Command::new(ethtool).args(["-L", "eth0", "combined", "4"]).status().unwrap().success());
    let revert = fake.tune(&["revert", "--yes"]);
    assert_eq!(revert.status, 0, "{}", revert.out);
    assert_eq!(fake.snapshot(), before);
}

#[test]
fn two_at_once_would_mistake_each_others_values() {
    let fake = Fake::new();
    let first = apply_that_hangs(&fake);
    for arguments in [["apply", "--yes"], ["revert", "--yes"]] {
        let second = fake.tune(&arguments);
        assert_eq!(second.status, 2);
        assert!(second.err.contains("another ringway-tune is at work"), "{}", second.err);
    }
    // Looking is free.
    assert_eq!(fake.tune(&["check"]).status, 1);
    kill(first);
}
