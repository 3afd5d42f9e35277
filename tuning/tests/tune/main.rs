//! The command, as its users run it: on hosts made of files, and in network namespaces of their own.
//!
//! `UPDATE_GOLDEN=1 cargo test -p ringway-tuning` writes the expected outputs and the generated files anew; read the
//! difference before it is committed.

mod apply;
mod crash;
mod fake;
mod files;
mod namespace;
mod table;
mod views;

use std::path::Path;

/// Holds `text` against the file, or writes the file if that is asked for.
fn assert_golden(path: &Path, text: &str) {
    if std::env::var_os("UPDATE_GOLDEN").is_some_and(|value| value == "1") {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    let expected = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        expected == text,
        "{} is stale: UPDATE_GOLDEN=1 cargo test -p ringway-tuning\n--- expected\n{expected}\n--- is\n{text}",
        path.display()
    );
}
