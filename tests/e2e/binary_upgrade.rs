//! Another executable, in the same process and on the same sockets.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use kit::{Config, Ringway, eventually, standard};

use crate::BINARY;
use crate::reload::{assert_echoes, echo, tunnel};
use crate::under_load::Load;

/// Puts a copy of the program into `folder`, as a package manager does: by renaming it into its place.
fn install(folder: &Path) {
    fs::copy(BINARY, folder.join("new")).unwrap();
    fs::rename(folder.join("new"), folder.join("ringway")).unwrap();
}

/// Which file that is; `None` for that of a process that has ended.
fn inode(path: impl AsRef<Path>) -> Option<u64> {
    fs::metadata(path).ok().map(|metadata| metadata.ino())
}

#[track_caller]
fn upgrade(ringway: &Ringway, folder: &Path) {
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
