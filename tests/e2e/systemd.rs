//! What a service manager gives and is told.

use std::os::unix::net::UnixDatagram;
use std::sync::{Arc, Mutex};
use std::thread;

use kit::{Config, Peer, Port, Ringway, eventually, standard};

use crate::BINARY;

/// Becomes its arguments, with a listening socket as the service manager passes it. The first is the port.
const ACTIVATE: &str = "import os, socket, sys
listener = socket.socket()
listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
listener.bind(('127.0.0.1', int(sys.argv[1])))
listener.listen(16)
os.dup2(listener.fileno(), 3)
os.environ.update(LISTEN_FDS='1', LISTEN_PID=str(os.getpid()))
os.execv(sys.argv[2], sys.argv[2:])";

/// A socket of a service manager that keeps what it is told.
struct Manager {
    path: String,
    told: Arc<Mutex<Vec<String>>>,
    _folder: tempfile::TempDir,
}

impl Manager {
    fn start() -> Manager {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify").display().to_string();
        let socket = UnixDatagram::bind(&path).unwrap();
        let told = Arc::<Mutex<Vec<String>>>::default();
        let keep = Arc::clone(&told);
        thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(length) = socket.recv(&mut bytes) {
                keep.lock().unwrap().push(String::from_utf8_lossy(&bytes[..length]).into_owned());
            }
        });
        Manager { path, told, _folder: folder }
    }

    fn was_told(&self, text: &str) -> bool {
        self.told.lock().unwrap().iter().any(|message| message.lines().any(|line| line.starts_with(text)))
    }
}

#[test]
fn a_service_manager_is_told_how_things_are() {
    for is_supervised in [true, false] {
        let manager = Manager::start();
        let origin = standard::start();
        let environment = format!("NOTIFY_SOCKET={}", manager.path);
        let command = ["env", &environment, "WATCHDOG_USEC=600000"];
        let config = || Config::to(origin.address());
        let mut ringway = match is_supervised {
            true => Ringway::start_supervised_by(&command, BINARY, config()),
            false => Ringway::start_by(&command, BINARY, config()),
        };
        let main = format!("MAINPID={}", ringway.process().id());
        eventually("it is ready", || manager.was_told("READY=1") && manager.was_told(&main));
        eventually("the watchdog is fed", || manager.was_told("WATCHDOG=1"));
        assert!(!manager.was_told("RELOADING=1"));
        ringway.reload(config().limit("fields", 50));
        eventually("it says that it reloads", || {
            manager.was_told("RELOADING=1") && manager.was_told("MONOTONIC_USEC=")
        });
        ringway.terminate();
        assert_eq!(ringway.wait().code(), Some(0));
        eventually("it says that it stops", || manager.was_told("STOPPING=1"));
    }
}

#[test]
fn a_socket_that_the_service_manager_has_opened_is_used() {
    for is_supervised in [true, false] {
        let origin = standard::start();
        let port = Port::take();
        let address = port.address();
        let number = address.to_string().rsplit_once(':').unwrap().1.to_owned();
        let command = ["python3", "-c", ACTIVATE, &number];
        let config = Config::to(origin.address()).listen(&address).shards(2);
        let ringway = match is_supervised {
            true => Ringway::start_supervised_by(&command, BINARY, config),
            false => Ringway::start_by(&command, BINARY, config),
        };
        for _ in 0..8 {
            let answer = Peer::connect(&address).exchange("GET", &standard::get("/length/1"));
            assert_eq!(answer.unwrap().status(), 200);
        }
        assert!(!ringway.process().stderr().contains("no listener of the configuration does"));
    }
}
