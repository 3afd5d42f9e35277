//! Another executable, in the same process and on the same sockets.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::Command;

use kit::{Config, Ringway, eventually, standard};

use crate::BINARY;
use crate::reload::{assert_echoes, echo, tunnel};
use crate::under_load::Load;

/// Puts a copy of the program into `folder`, as a package manager does: by renaming it into its place.
pub(crate) fn install(folder: &Path) {
    fs::copy(BINARY, folder.join("new")).unwrap();
    fs::rename(folder.join("new"), folder.join("ringway")).unwrap();
}

/// Which file that is; `None` for that of a process that has ended.
fn inode(path: impl AsRef<Path>) -> Option<u64> {
    fs::metadata(path).ok().map(|metadata| metadata.ino())
}

#[track_caller]
pub(crate) fn upgrade(ringway: &Ringway, folder: &Path) {
    let pid = ringway.process().id();
    install(folder);
    ringway.process().signal("USR2");
    let is_new = || inode(format!("/proc/{pid}/exe")) == inode(folder.join("ringway"));
    eventually("the supervisor is the new executable", is_new);
    eventually("its worker as well", || {
        ringway
            .process()
            .children()
            .iter()
            .any(|worker| inode(format!("/proc/{worker}/exe")) == inode(folder.join("ringway")))
    });
}

#[test]
fn an_upgrade_keeps_sockets_and_process_and_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    install(folder.path());
    let (origin, plain) = (echo(), standard::start());
    let config = Config::new().upstream("echo", &[origin.address()]).upstream("plain", &[plain.address()]);
    let config = config.route(None, "/", "echo").route(None, "/length", "plain").shards(2);
    let mut ringway = Ringway::start_supervised(folder.path().join("ringway"), config);
    let mut client = tunnel(&ringway);
    let load = Load::start(ringway.address());
    upgrade(&ringway, folder.path());
    load.go_on();
    upgrade(&ringway, folder.path());
    load.assert_lossless();
    assert_echoes(&mut client, "through the generations");
    drop(client);
    eventually("the old generations end", || ringway.process().children().len() == 1);
    // The new one obeys like the old one.
    ringway.terminate();
    assert_eq!(ringway.wait().code(), Some(0));
}

#[test]
fn an_executable_that_does_not_work_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    install(folder.path());
    let origin = standard::start();
    let ringway = Ringway::start_supervised(folder.path().join("ringway"), Config::to(origin.address()));
    let worker = ringway.worker();
    let broken = folder.path().join("broken");
    fs::write(&broken, "#!/bin/sh\necho out of order >&2\nexit 3\n").unwrap();
    fs::set_permissions(&broken, fs::Permissions::from_mode(0o755)).unwrap();
    fs::rename(&broken, folder.path().join("ringway")).unwrap();
    ringway.process().signal("USR2");
    eventually("the log says why", || ringway.process().stderr().contains("it exited with 3: out of order"));
    assert_eq!(ringway.worker(), worker);
    assert_eq!(ringway.connect().exchange("GET", &standard::get("/length/1")).unwrap().status(), 200);
    upgrade(&ringway, folder.path());
}

/// A program that answers like this one when it is asked, but whose worker does `what`.
fn install_with_a_worker_that(what: &str, folder: &Path) {
    let new = folder.join("broken");
    let script = format!("#!/bin/sh\nif [ \"$1\" = worker ]; then {what}; fi\nexec {BINARY} \"$@\"\n");
    fs::write(&new, script).unwrap();
    fs::set_permissions(&new, fs::Permissions::from_mode(0o755)).unwrap();
    fs::rename(&new, folder.join("ringway")).unwrap();
}

#[test]
fn a_worker_that_starts_and_then_fails_changes_nothing_and_whoever_asked_is_told() {
    let folder = tempfile::tempdir().unwrap();
    install(folder.path());
    let (origin, plain) = (echo(), standard::start());
    let config = Config::new().upstream("echo", &[origin.address()]).upstream("plain", &[plain.address()]);
    let config = config.route(None, "/", "echo").route(None, "/length", "plain");
    let ringway = Ringway::start_supervised(folder.path().join("ringway"), config);
    let mut client = tunnel(&ringway);
    let load = Load::start(ringway.address());
    let (supervisor, worker) = (inode(format!("/proc/{}/exe", ringway.process().id())), ringway.worker());
    // It ends; it has its sockets and its line and is killed; it runs out of descriptors on the way.
    let failures = [
        ("sleep 0.2; exit 7".to_owned(), "it exited with 7"),
        ("head -c 1 >/dev/null; kill -KILL $$".to_owned(), "it was ended by SIGKILL"),
        (format!("ulimit -n 12; exec {BINARY} \"$@\""), "Too many open files"),
    ];
    for (what, why) in failures {
        install_with_a_worker_that(&what, folder.path());
        let socket = format!("unix:{}", ringway.admin_socket().display());
        let output = Command::new(BINARY).args(["upgrade", "--admin", &socket]).output().unwrap();
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(4), "{told}");
        assert!(told.contains(why), "{told}");
        assert_eq!(ringway.process().children(), [worker]);
        // The admin API is still this worker's.
        let output = Command::new(BINARY).args(["status", "--json", "--admin", &socket]).output().unwrap();
        let status: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
        assert_eq!(status["pid"], worker);
    }
    assert_eq!(inode(format!("/proc/{}/exe", ringway.process().id())), supervisor);
    load.assert_lossless();
    assert_echoes(&mut client, "as if nothing had been");
    upgrade(&ringway, folder.path());
}

#[test]
fn a_tunnel_outlives_fifty_reloads_and_an_upgrade() {
    let folder = tempfile::tempdir().unwrap();
    install(folder.path());
    let origin = echo();
    let config = |fields: u32| Config::to(origin.address()).limit("fields", fields);
    let ringway = Ringway::start_supervised(folder.path().join("ringway"), config(49));
    let mut client = tunnel(&ringway);
    for round in 0..50 {
        ringway.reload(config(50 + round));
        if round == 25 {
            upgrade(&ringway, folder.path());
        }
        assert_echoes(&mut client, "still here");
    }
    let generations = ringway.process().children().len();
    assert_eq!(generations, 2, "the generation that was replaced drains, for the tunnel's sake");
}
