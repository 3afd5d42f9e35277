//! Who may use the machine now.
//!
//! A test that fills the machine (15,000 connections, a load generator) must run alone, or it makes others miss their
//! deadlines. `.config/nextest.toml` tells nextest which tests those are; under plain `cargo test`, and between test
//! targets, this lock does: most tests share it, and a heavy one holds it alone.

use std::fs::{File, OpenOptions};

/// A share of the machine, or all of it, until dropped.
#[derive(Debug)]
pub struct Turn {
    _lock: File,
}

impl Turn {
    /// Waits until no heavy test runs.
    ///
    /// # Panics
    /// If the lock file cannot be made.
    #[must_use]
    pub fn shared() -> Turn {
        let lock = file();
        lock.lock_shared().expect("a shared lock");
        Turn { _lock: lock }
    }

    /// Waits until no other test that uses the machine runs. A test takes it before it starts anything else.
    ///
    /// # Panics
    /// If the lock file cannot be made.
    #[must_use]
    pub fn alone() -> Turn {
        let lock = file();
        lock.lock().expect("a lock");
        Turn { _lock: lock }
    }
}

fn file() -> File {
    let path = std::env::temp_dir().join("ringway-kit-turn");
    OpenOptions::new().create(true).append(true).open(path).expect("the file that tests take turns with")
}
